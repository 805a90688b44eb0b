"""The engine: plan, run the actions, write the facts to the journal, apply them, publish a snapshot; again.

It decides nothing (:mod:`~sm_async_nb.core.plan` does) and knows nothing (the ledger does). It runs as one coroutine
with a task for each request on its way; a request is invoked as soon as its own input is up. What it cannot get over
it raises, and it may be run again, with other connections: what was known, and what was found, is kept.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from sm_async_nb.aws.notifications import Notifications
from sm_async_nb.aws.runtime import Runtime
from sm_async_nb.aws.storage import Storage
from sm_async_nb.core.batch import Batch
from sm_async_nb.core.columns import IntArray
from sm_async_nb.core.ledger import Fact, Learned, Ledger, Snapshot, Status
from sm_async_nb.core.locations import JobLayout
from sm_async_nb.core.plan import (
    Action,
    Cancel,
    DeclareExpired,
    Finish,
    GiveUp,
    Limits,
    LookForAnswers,
    Record,
    Retry,
    Send,
    Sleep,
    Stop,
    bad_and_ended,
    next_actions,
)
from sm_async_nb.errors import PayloadLostError, ServiceTroubleError
from sm_async_nb.job.backoff import Backoff, oldest
from sm_async_nb.job.desk import Desk
from sm_async_nb.job.lease import HEARTBEAT, Lease
from sm_async_nb.job.looking import Looker, TakeBody
from sm_async_nb.job.recording import Recorder
from sm_async_nb.job.sending import Sender

# A lease that is over is asked for again this often. Seconds.
_SHORTEST_BEAT = 1.0
_FIRST_BEAT = 2.0

# On the way out, what was learned last gets this long to reach the journal. Seconds.
LAST_WORDS = 0.6


@dataclass(frozen=True, kw_only=True)
class Connections:
    """What the engine speaks through while it runs."""

    storage: Storage
    runtime: Runtime
    notifications: Notifications | None = None


@dataclass(frozen=True, kw_only=True)
class Beginning:
    """Where the journal of a job goes on.

    ``numbers`` are the requests' own, where they are not their places; ``checkpoint`` is the newest one, and ``base``
    the one that a newer must name as lying below it.
    """

    next_segment: int = 0
    numbers: IntArray | None = None
    checkpoint: int | None = None
    base: int | None = None


class Engine:
    """Carries the requests of one job through their lives.

    Parameters
    ----------
    batch, layout
        What to send, and where things lie.
    ledger, lock
        What is known so far. It changes only under the lock, so that other threads can read columns that agree.
    limits
        How much may happen at once.
    now
        The time, in seconds since the epoch.
    publish
        Called with a snapshot whenever something has changed; must return at once.
    lease
        What allows to write to this job, and to send; None where nobody else can.
    beginning
        Where the journal goes on.
    heard
        Called with every fact that the ledger has taken in.
    take_body
        Called with the outputs that come inside notifications: request, bytes, content type.
    jitter
        Where the randomness of pauses comes from.
    """

    def __init__(
        self,
        *,
        batch: Batch,
        layout: JobLayout,
        ledger: Ledger,
        lock: threading.Lock,
        limits: Limits,
        now: Callable[[], float],
        publish: Callable[[Snapshot], None],
        lease: Lease | None = None,
        beginning: Beginning | None = None,
        heard: Callable[[Learned], None] = lambda _: None,
        take_body: TakeBody = lambda *_: None,
        jitter: random.Random | None = None,
    ) -> None:
        beginning = beginning or Beginning()
        jitter = jitter or random.Random()  # noqa: S311
        self._sends, self._looks, self._listens, self._records, self._beats = (Backoff(jitter) for _ in range(5))
        self._desk = desk = Desk(
            batch=batch, layout=layout, ledger=ledger, limits=limits, now=now, show=lambda: self._show(is_over=False)
        )
        self._sender = Sender(desk, self._sends)
        self._looker = Looker(desk, looks=self._looks, listens=self._listens, take_body=take_body)
        self._recorder = Recorder(desk, self._records, lock, heard, **vars(beginning))
        self._lease = lease
        self._publish = publish
        self._tasks: set[asyncio.Task[None]] = set()
        self._recording: asyncio.Task[None] | None = None
        self._checkpointing: asyncio.Task[None] | None = None
        self._fatal: BaseException | None = None
        self._stopped: str | None = None
        self._started_at = now()

    async def run(self, connections: Connections) -> None:
        """Work until every request has come to an end.

        Raises
        ------
        RequestError, EndpointError
            When somebody has to do something first. What is known stays, and it may be run again.
        JobInUseError, IllegalFactError
            When going on makes no sense; what is recorded stays in the journal.
        """
        self._connect(connections)
        self._show(is_over=False)
        try:
            while len(self._recorder):  # what was found before a pause; nothing may be planned without it
                await self._record()
            self._looker.connect(connections.storage, connections.notifications)
            if connections.notifications is not None:
                self._spawn(self._looker.listen())
            while (until := self._begin_what_can_be()) is not None:
                await self._desk.sleep(until)
            await self._recorder.checkpoint(at_the_end=True)
            await self._looker.clear_away(LAST_WORDS)
        finally:
            await self._wind_up()
            self._show(is_over=True)

    def stop(self, reason: str) -> int:
        """Send nothing more; returns how many requests will not be sent. To be called on the engine's loop."""
        self._stopped = self._stopped or reason
        self._desk.underway.is_stopped = True
        self._desk.wake.set()
        return int(self._desk.ledger.unsent(self._desk.underway.busy, len(self._desk.ledger)).size)

    def retry(self, requests: IntArray) -> IntArray:
        """Send those of these once more that have ended, and give them back. To be called on the engine's loop.

        What has failed by now is counted by ``max_failures`` no longer: whoever sends more has seen it.
        """
        self._stopped = None
        underway, counts = self._desk.underway, self._desk.ledger.counts
        underway.is_stopped = False
        underway.forgiven = bad_and_ended(counts)
        return self._note_what_may_be(Fact.RETRIED, requests)

    def note_deleted_inputs(self, requests: IntArray) -> IntArray:
        """The inputs of those of these that have ended are given up; gives them back. To be called on the loop."""
        return self._note_what_may_be(Fact.INPUT_DELETED, requests)

    def _note_what_may_be(self, fact: Fact, requests: IntArray) -> IntArray:
        """Note it of those it still can be of: something else may have been found since they were chosen."""
        ledger, busy = self._desk.ledger, self._desk.underway.busy
        requests = requests[ledger.may_learn(fact, requests) & ~busy[requests]]
        self._note(fact, requests)
        return requests

    @property
    def has_news(self) -> bool:
        """Whether something was noted that is not written down."""
        return len(self._recorder) > 0

    @property
    def has_more_to_do(self) -> bool:
        """Whether it has to run again: somebody may have asked for more while it was ending."""
        return self.has_news or not self._desk.ledger.is_finished

    @property
    def throttles(self) -> int:
        """How many calls were asked to come more slowly."""
        return self._sends.throttles + self._looks.throttles + self._records.throttles

    def _connect(self, connections: Connections) -> None:
        self._desk.clear()
        self._fatal = None
        self._recording = self._checkpointing = None
        self._sender.connect(connections.storage, connections.runtime)
        self._recorder.connect(connections.storage)
        if self._lease is not None:
            self._lease.connect(connections.storage)
            self._desk.underway.send_until = self._lease.send_until
            self._spawn(self._keep_the_lease(self._lease))

    # The plan

    def _begin_what_can_be(self) -> float | None:
        """Start every action of the plan; say until when to sleep, None if all is done."""
        if self._fatal is not None:
            raise self._fatal
        desk = self._desk
        desk.underway.findings = len(self._recorder)
        for action in next_actions(desk.ledger, desk.now(), desk.limits, desk.underway):
            match action:
                case Sleep(until):
                    return until
                case Finish():
                    return None
                case GiveUp():
                    raise self._loss()
                case _:
                    self._do(action)
        raise AssertionError("a plan ends with Sleep, Finish or GiveUp")

    def _do(self, action: Action) -> None:
        match action:
            case Send(requests):
                self._send(requests)
            case Record():
                self._desk.underway.recording = True
                self._recording = self._spawn(self._record())
            case LookForAnswers():
                self._desk.underway.looking = True
                self._spawn(self._looker.look())
            case DeclareExpired(requests):
                self._note(Fact.DEADLINE_PASSED, requests)
            case Retry(requests):
                self._note(Fact.RETRIED, requests)
            case Cancel(requests):
                self._note(Fact.CANCELLED, requests)
            case Stop(reason):
                self.stop(reason)

    def _send(self, requests: IntArray) -> None:
        self._desk.underway.busy[requests] = True
        self._desk.underway.sending += len(requests)
        self._desk.underway.unrecorded += len(requests)
        for request in requests.tolist():
            self._spawn(self._sender.send(request))

    def _note(self, fact: Fact, requests: IntArray) -> None:
        self._desk.underway.busy[requests] = True
        if fact == Fact.RETRIED:
            self._desk.retried.update(requests.tolist())
            self._looker.give_up(requests)
        now = self._desk.now()
        for request in requests.tolist():
            self._desk.learn(fact, request, now)
        self._desk.wake.set()

    def _loss(self) -> PayloadLostError:
        lost = self._desk.lost
        first = next(iter(lost.values()))
        return PayloadLostError(f"{len(lost):,} requests were not sent. {first}")

    # Learning

    async def _record(self) -> None:
        for learned in await self._recorder.record():
            self._settle(learned)
        self._recording = None
        self._desk.underway.recording = False
        if self._recorder.owes_a_checkpoint and self._checkpointing is None:
            self._checkpointing = self._spawn(self._checkpoint())
        self._show(is_over=False)

    async def _checkpoint(self) -> None:
        await self._recorder.checkpoint()
        self._checkpointing = None

    def _settle(self, learned: Learned) -> None:
        if learned.fact == Fact.INPUT_UPLOADED:
            self._sender.settle(learned.requests)
            return
        underway = self._desk.underway
        underway.busy[learned.requests] = False
        if learned.fact in {Fact.ACCEPTED, Fact.REFUSED}:
            underway.unrecorded = max(underway.unrecorded - len(learned.requests), 0)
        if learned.fact == Fact.ACCEPTED and self._looker.is_connected:
            self._looker.follow(learned.requests)
        if learned.fact == Fact.RETRIED:
            self._desk.lost.clear()
            self._desk.retried.difference_update(learned.requests.tolist())
            bad, ended = bad_and_ended(self._desk.ledger.counts)
            underway.forgiven = min(underway.forgiven[0], bad), min(underway.forgiven[1], ended)

    # The lease

    async def _keep_the_lease(self, lease: Lease) -> None:
        pause = _FIRST_BEAT  # soon, so that whoever lists jobs sees how this one stands
        while True:
            await asyncio.sleep(min(max(lease.send_until - self._desk.now(), _SHORTEST_BEAT), pause))
            pause = HEARTBEAT
            try:
                await lease.renew(self._told())
            except ServiceTroubleError as trouble:
                self._beats.meet(trouble, self._desk.now())
                self._show(is_over=False)
                await self._desk.pause_until(self._beats.hold_until)
            else:
                self._beats.get_on()
            self._desk.underway.send_until = lease.send_until
            self._desk.wake.set()

    def _told(self) -> dict[str, Any]:
        return told_of(self._snapshot(is_over=False))

    # Tasks

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._task_ended)
        return task

    def _task_ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._fatal = self._fatal or task.exception()
        self._desk.wake.set()

    async def _wind_up(self) -> None:
        """Stop what is under way, and give what was learned last a moment to reach the journal."""
        recording = self._recording
        for task in self._tasks - {recording}:
            task.cancel()
        await asyncio.gather(*(self._tasks - {recording}), return_exceptions=True)
        with contextlib.suppress(Exception):
            async with asyncio.timeout(LAST_WORDS):
                if recording is not None:
                    await recording
                while len(self._recorder):
                    await self._record()
        for task in set(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _show(self, *, is_over: bool) -> None:
        self._publish(self._snapshot(is_over=is_over))

    def _snapshot(self, *, is_over: bool) -> Snapshot:
        ledger = self._desk.ledger
        return Snapshot(
            revision=ledger.revision,
            at=self._desk.now(),
            started_at=self._started_at,
            counts=ledger.counts,
            trouble=oldest(self._sends, self._looks, self._listens, self._records, self._beats),
            stopped=self._stopped,
            throttled=self.throttles,
            is_over=is_over,
        )


def told_of(snapshot: Snapshot) -> dict[str, Any]:
    """What a job tells of itself with its lease, for those who list jobs."""
    return {
        "counts": {str(status): snapshot[status] for status in Status if snapshot[status]},
        "trouble": snapshot.trouble.message if snapshot.trouble else None,
        "paused": snapshot.paused.message if snapshot.paused else None,
        "stopped": snapshot.stopped,
        "is_over": snapshot.ended == snapshot.requests,
    }
