"""The engine: plan, run the actions, write the facts to the journal, apply them, publish a snapshot; again.

It decides nothing (:mod:`~sm_async_nb.core.plan` does) and knows nothing (the ledger does). It runs as one coroutine
with a task for each request on its way; a request is invoked as soon as its own input is up.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import numpy as np

from sm_async_nb.aws.runtime import Runtime
from sm_async_nb.aws.storage import Storage
from sm_async_nb.core.batch import Batch
from sm_async_nb.core.ledger import Fact, Learned, Ledger, Snapshot
from sm_async_nb.core.locations import JobLayout
from sm_async_nb.core.plan import (
    DeclareExpired,
    Finish,
    Limits,
    LookForAnswers,
    Record,
    Send,
    Sleep,
    Underway,
    first_look,
    next_actions,
    next_look,
)
from sm_async_nb.errors import InvocationRefusedError, ServiceTroubleError
from sm_async_nb.job.backoff import Backoff, oldest
from sm_async_nb.job.findings import Findings
from sm_async_nb.job.journal import Journal
from sm_async_nb.job.tracker import Tracker

# On the way out, what was learned last gets this long to reach the journal. Seconds.
_LAST_WORDS = 1.0


@dataclass(frozen=True, kw_only=True)
class Connections:
    """What the engine speaks through while it runs."""

    storage: Storage
    runtime: Runtime


class Engine:
    """Carries the requests of one job through their lives.

    Parameters
    ----------
    batch, layout
        What to send, and where things lie.
    ledger, lock
        What is known so far. It changes only under the lock, so that other threads can read columns that agree.
    connections
        S3 and the SageMaker runtime.
    limits
        How much may happen at once.
    now
        The time, in seconds since the epoch.
    publish
        Called with a snapshot whenever something has changed; must return at once.
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
        connections: Connections,
        limits: Limits,
        now: Callable[[], float],
        publish: Callable[[Snapshot], None],
        jitter: random.Random | None = None,
    ) -> None:
        self.ledger = ledger
        self.lock = lock
        self._batch = batch
        self._layout = layout
        self._storage = connections.storage
        self._runtime = connections.runtime
        self._journal = Journal(connections.storage, layout)
        self._tracker = Tracker(connections.storage, layout)
        self._limits = limits
        self._now = now
        self._publish = publish
        jitter = jitter or random.Random()  # noqa: S311
        self._sends, self._looks, self._records = Backoff(jitter), Backoff(jitter), Backoff(jitter)
        self._underway = Underway(busy=np.zeros(len(ledger), dtype=np.bool_), looked_at_each=self._tracker.probed_at)
        self._findings = Findings()
        self._tasks: set[asyncio.Task[None]] = set()
        self._recording: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        # Inputs that are up, but whose upload is not in the ledger yet.
        self._uploaded: set[int] = set()
        self._look_ended_at = -math.inf
        self._fatal: BaseException | None = None
        self._started_at = now()

    async def run(self) -> None:
        """Work until every request has come to an end.

        Raises
        ------
        RequestError, IllegalFactError
            When going on makes no sense; what is known stays in the journal.
        """
        self._show(is_over=False)
        try:
            while (until := self._begin_what_can_be()) is not None:
                await self._sleep(until)
        finally:
            await self._wind_up()
            self._show(is_over=True)

    def _begin_what_can_be(self) -> float | None:
        """Start every action of the plan; say until when to sleep, None if all is done."""
        if self._fatal is not None:
            raise self._fatal
        self._underway.findings = len(self._findings)
        for action in next_actions(self.ledger, self._now(), self._limits, self._underway):
            match action:
                case Send(requests):
                    self._send_all(requests.tolist())
                case Record():
                    self._underway.recording = True
                    self._recording = self._spawn(self._record())
                case LookForAnswers():
                    self._underway.looking = True
                    self._spawn(self._look())
                case DeclareExpired(requests):
                    self._underway.busy[requests] = True
                    for request in requests.tolist():
                        self._learn(Fact.DEADLINE_PASSED, request, self._now())
                    self._wake.set()
                case Sleep(until):
                    return until
                case Finish():
                    return None
        raise AssertionError("a plan ends with Sleep or Finish")

    async def _sleep(self, until: float) -> None:
        pause = None if math.isinf(until) else max(until - self._now(), 0)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await self._wake.wait()
        self._wake.clear()

    # Sending

    def _send_all(self, requests: list[int]) -> None:
        for request in requests:
            self._underway.busy[request] = True
            self._underway.sending += 1
            self._underway.unrecorded += 1
            self._spawn(self._send(request))

    async def _send(self, request: int) -> None:
        try:
            await self._upload_and_invoke(request)
        except InvocationRefusedError as refusal:
            self._learn(Fact.REFUSED, request, self._now(), **_told(refusal))
        except ServiceTroubleError as trouble:
            self._meet(self._sends, trouble)
            self._underway.hold_until = self._sends.hold_until
            self._let_go(request)
        else:
            self._sends.get_on()
        finally:
            self._underway.sending -= 1

    async def _upload_and_invoke(self, request: int) -> None:
        prepared = self._batch.prepare(request, int(self.ledger.attempt[request]), self._layout)
        if prepared.location is not None and not self._is_up(request):
            await self._storage.put(prepared.location, prepared.payload, prepared.fields.get("content_type"))
            self._uploaded.add(request)
            self._learn(Fact.INPUT_UPLOADED, request, self._now())
        accepted = await self._runtime.invoke(prepared.fields)
        self._learn(
            Fact.ACCEPTED,
            request,
            self._now(),
            output_location=accepted.output_location,
            failure_location=accepted.failure_location,
            inference_id=accepted.inference_id,
            request_id=accepted.request_id,
            http_status=str(accepted.http_status),
        )

    def _is_up(self, request: int) -> bool:
        return bool(self.ledger.input_uploaded[request]) or request in self._uploaded

    def _let_go(self, request: int) -> None:
        """Nothing was learned about the request: it stays where it is, and may be sent again."""
        self._underway.busy[request] = False
        self._underway.unrecorded -= 1

    # Looking for answers

    async def _look(self) -> None:
        began = self._now()
        try:
            look = await self._tracker.look(began)
        finally:
            self._underway.looking = False
        for answer in look.answers:
            self._learn(answer.fact, answer.request, answer.at)
            self._leave(answer.request)
        if look.trouble is None:
            self._looks.get_on()
            self._underway.looked_at = began
        else:
            self._meet(self._looks, look.trouble)
        self._underway.look_not_before = self._looks.hold_until
        pause = began - self._look_ended_at
        self._look_ended_at = self._now()
        self._underway.look_at = next_look(
            self._look_ended_at, pause, found=len(look.answers), lists=look.lists, heads=look.heads
        )

    def _leave(self, request: int) -> None:
        texts = self.ledger.texts
        self._tracker.leave(request, texts["output_location"][request], texts["failure_location"][request])

    def _follow(self, learned: Learned) -> None:
        if not len(self._tracker):
            self._look_ended_at = self._now()
            self._underway.look_at = first_look(self._now())
        outputs = self.ledger.texts["output_location"].take(learned.requests)
        failures = self.ledger.texts["failure_location"].take(learned.requests)
        times = self.ledger.accepted_at[learned.requests].tolist()
        for followed in zip(learned.requests.tolist(), outputs, failures, times, strict=True):
            self._tracker.follow(*followed)

    # Learning

    def _learn(self, fact: Fact, request: int, at: float, **details: str) -> None:
        if not self._findings:
            self._underway.found_at = self._now()
        self._findings.add(fact, request, at, **details)

    async def _record(self) -> None:
        """Write what was found to the journal, then, and only then, believe it."""
        batch = self._findings.take()
        self.ledger.check(batch)
        await self._write(batch)
        for learned in batch:
            with self.lock:
                self.ledger.apply(learned)
            self._settle(learned)
        self._recording = None
        self._underway.recording = False
        self._show(is_over=False)

    async def _write(self, batch: list[Learned]) -> None:
        while True:
            try:
                await self._journal.append(batch)
            except ServiceTroubleError as trouble:
                self._meet(self._records, trouble)
                await asyncio.sleep(max(self._records.hold_until - self._now(), 0))
            else:
                self._records.get_on()
                return

    def _settle(self, learned: Learned) -> None:
        if learned.fact == Fact.INPUT_UPLOADED:
            self._uploaded.difference_update(learned.requests.tolist())
            return
        self._underway.busy[learned.requests] = False
        if learned.fact in {Fact.ACCEPTED, Fact.REFUSED}:
            self._underway.unrecorded -= len(learned.requests)
        if learned.fact == Fact.ACCEPTED:
            self._follow(learned)

    def _meet(self, backoff: Backoff, trouble: ServiceTroubleError) -> None:
        backoff.meet(trouble, self._now())
        self._show(is_over=False)

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
        self._wake.set()

    async def _wind_up(self) -> None:
        """Stop what is under way, and give what was learned last a moment to reach the journal."""
        recording = self._recording
        for task in self._tasks - {recording}:
            task.cancel()
        await asyncio.gather(*(self._tasks - {recording}), return_exceptions=True)
        with contextlib.suppress(Exception):
            async with asyncio.timeout(_LAST_WORDS):
                if recording is not None:
                    await recording
                if self._findings:
                    await self._record()

    def _show(self, *, is_over: bool) -> None:
        self._publish(
            Snapshot(
                revision=self.ledger.revision,
                at=self._now(),
                started_at=self._started_at,
                counts=self.ledger.counts,
                trouble=oldest(self._sends, self._looks, self._records),
                is_over=is_over,
            )
        )


def _told(refusal: InvocationRefusedError) -> dict[str, str]:
    return {"message": str(refusal), "request_id": refusal.request_id, "http_status": str(refusal.status)}
