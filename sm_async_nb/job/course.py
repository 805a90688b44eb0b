"""The course of a job: its connections, its lease and its engine, from the start over pauses to the end."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import dataclasses
import random
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable
from concurrent.futures import Future
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TypeVar

from sm_async_nb.aws.metering import Meter, MeteredRuntime, MeteredStorage
from sm_async_nb.aws.notifications import open_notifications
from sm_async_nb.aws.runtime import open_runtime
from sm_async_nb.aws.session import Session, forget_credentials
from sm_async_nb.aws.storage import StorageChoice, open_storage
from sm_async_nb.core.ledger import Learned, Ledger, Trouble
from sm_async_nb.errors import EndpointError, JobInUseError, RequestError, ServiceTroubleError, SmAsyncError
from sm_async_nb.job import background
from sm_async_nb.job.backoff import Backoff
from sm_async_nb.job.engine import LAST_WORDS, Beginning, Connections, Engine, told_of
from sm_async_nb.job.following import Newest
from sm_async_nb.job.lease import Lease
from sm_async_nb.job.looking import TakeBody
from sm_async_nb.job.papers import Papers

Result = TypeVar("Result")

# Leaving a job, for good or for another kernel, must not take longer. Seconds.
_LEAVING = 0.4


class Course:
    """Runs the engine of one job on the background loop, as often as there is something to do.

    What the engine cannot get over by itself, such as credentials that have expired, pauses the job: the lease is
    given back, and :meth:`resume` goes on where it was, unless somebody else went on with the job meanwhile.
    """

    def __init__(
        self,
        papers: Papers,
        ledger: Ledger,
        lock: threading.Lock,
        *,
        session: Session,
        meter: Meter,
        lease: Lease,
        newest: Newest,
        beginning: Beginning,
        heard: Callable[[Learned], None],
        take_body: TakeBody,
        storage: StorageChoice = "auto",
    ) -> None:
        self.paused: SmAsyncError | None = None
        self._papers = papers
        self._session = session
        self._storage: StorageChoice = storage
        self._meter = meter
        self._lease = lease
        self._newest = newest
        self.engine = Engine(
            batch=papers.batch,
            layout=papers.layout,
            ledger=ledger,
            lock=lock,
            limits=papers.limits,
            now=time.time,
            publish=newest.publish,
            lease=lease,
            beginning=beginning,
            heard=heard,
            take_body=take_body,
        )
        self._running: Future[None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._resumed: asyncio.Event | None = None
        self._is_leaving = False
        self._connecting = Backoff(random.Random())  # noqa: S311 - no secret

    # For other threads

    def start(self) -> None:
        """Set the engine going."""
        self._newest.begin()
        self._running = background.start(self._run())
        self._running.add_done_callback(self._ended)

    def _ended(self, running: Future[None]) -> None:
        is_well = not (self._is_leaving or running.cancelled() or running.exception())
        if is_well and self.engine.has_news:
            self.start()  # somebody has asked for more while the lease was given back
        else:
            self._newest.end()

    @property
    def is_running(self) -> bool:
        """Whether the engine is at work, or paused."""
        return self._running is not None and not self._running.done()

    def what_stopped_it(self) -> BaseException | None:
        """Why the engine ended before the job did, or why it is paused."""
        if self._running is None or not self._running.done():
            return self.paused
        return None if self._running.cancelled() else self._running.exception()

    def tell(self, act: Callable[[Engine], Result]) -> Result:
        """Have ``act`` done on the loop, to an engine that is at work."""

        async def acted() -> Result:
            return act(self.engine)

        result = background.run(acted())
        if not self.is_running:
            self.start()
        return result

    def wait_until_recorded(self) -> None:
        """Return when the journal has all that was told, or the engine has ended otherwise."""
        while self.is_running and self.engine.has_news and self.paused is None:
            time.sleep(background.TICK)
        self._raise_if_it_could_not()

    def _raise_if_it_could_not(self) -> None:
        error = self.what_stopped_it()
        if error is not None:
            raise error

    def resume(self, session: Session | None) -> None:
        """Go on after a pause, with these credentials, or with those that the session's chain gives now."""
        if session is not None:
            self._session = session
        else:
            forget_credentials(self._session)
        if not self.is_running:
            self.start()
            return

        self._newest.begin()

        async def resumed() -> None:
            self.paused = None
            if self._resumed is not None:
                self._resumed.set()

        background.run(resumed())

    @property
    def has_left(self) -> bool:
        """Whether the job was left to others."""
        return self._is_leaving

    def leave(self) -> None:
        """Stop following the job here, within a second, so that another can; nothing that is known is lost."""
        _leave((self,))

    def begin_to_leave(self) -> Future[None] | None:
        """Have the engine end, without waiting for it; what is to be waited for, if it is at work."""
        if self._running is None or self._running.done():
            return None
        self._is_leaving = True
        # The task and not the future is cancelled, since its last words are waited for.
        background.call_soon(self._cancel)
        return self._running

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    # On the loop

    async def _run(self) -> None:
        self._task = asyncio.current_task()
        _courses.add(self)
        try:
            while not self._is_leaving:
                try:
                    resumed = await self._run_once()
                except JobInUseError:
                    raise
                except (RequestError, EndpointError) as error:
                    resumed = self._pause(error)
                except ServiceTroubleError as trouble:
                    await self._sit_out(trouble)
                    continue
                self._connecting.get_on()
                if resumed is not None:
                    await resumed.wait()
                elif not self.engine.has_more_to_do:
                    return
        finally:
            _courses.discard(self)
            if self._lease.may_send():
                await self._release_at_last()

    async def _run_once(self) -> asyncio.Event | None:
        """Run the engine to its end; or until it pauses, then what says when it is resumed."""
        async with self._connected() as connections:
            self._lease.connect(connections.storage)
            await self._lease.acquire(told_of(self._newest.snapshot))
            try:
                await self.engine.run(connections)
            except JobInUseError:
                raise
            except (RequestError, EndpointError) as error:
                return self._pause(error)  # before the lease is given back, which tells of it
            finally:
                await self._release()
        return None

    async def _sit_out(self, trouble: ServiceTroubleError) -> None:
        """What stands in the way of getting connected is told, and after a while it is tried again."""
        now = time.time()
        self._connecting.meet(trouble, now)
        seen = dataclasses.replace(self._newest.snapshot, at=now, trouble=self._connecting.trouble, paused=None)
        self._newest.publish(seen)
        await asyncio.sleep(max(self._connecting.hold_until - now, 0))

    async def _release(self) -> None:
        await self._lease.let_go(told_of(self._newest.snapshot), seconds=_LEAVING)

    async def _release_at_last(self) -> None:
        """Give the lease back although there is no connection, or not any more, over what is opened soonest."""
        with contextlib.suppress(SmAsyncError, TimeoutError):
            async with (
                asyncio.timeout(_LEAVING),
                open_storage(self._session, terms=self._papers.storage_terms) as storage,
            ):
                self._lease.connect(storage)
                await self._lease.release(told_of(self._newest.snapshot))

    def _pause(self, error: SmAsyncError) -> asyncio.Event:
        """Say that somebody has to do something; the event is set when they have, however soon that is."""
        self.paused = error
        self._resumed = resumed = asyncio.Event()
        now = time.time()
        trouble = Trouble(message=str(error), since=now, calls=1)
        self._newest.publish(dataclasses.replace(self._newest.snapshot, at=now, trouble=None, paused=trouble))
        return resumed

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[Connections]:
        session, papers = self._session, self._papers
        concurrency = papers.limits.concurrency
        async with AsyncExitStack() as stack:
            storage = await stack.enter_async_context(
                open_storage(session, concurrency=concurrency, terms=papers.storage_terms, storage=self._storage)
            )
            runtime = await stack.enter_async_context(open_runtime(session, concurrency=concurrency))
            notifications = None
            if papers.queue_url is not None:
                notifications = await stack.enter_async_context(open_notifications(session, papers.queue_url))
            yield Connections(
                storage=MeteredStorage(storage, self._meter),
                runtime=MeteredRuntime(runtime, self._meter),
                notifications=notifications,
            )


# Those at work, to be left when the interpreter ends.
_courses: set[Course] = set()


def leave_all() -> None:
    """Leave every job that is followed here, so that it can be attached to at once."""
    _leave(tuple(_courses))


def _leave(courses: Iterable[Course]) -> None:
    """Leave all of them at one time, so that many jobs take no longer than one."""
    leaving = [running for course in courses if (running := course.begin_to_leave()) is not None]
    give_up = time.monotonic() + _LEAVING + LAST_WORDS
    for running in leaving:
        with contextlib.suppress(BaseException):
            background.wait(running, max(give_up - time.monotonic(), 0))


atexit.register(leave_all)
