"""What the parts of an engine share: the job's papers, what is under way, and what was found."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from sm_async_nb.core.batch import Batch
from sm_async_nb.core.ledger import Fact, Ledger, Status
from sm_async_nb.core.locations import JobLayout
from sm_async_nb.core.plan import Limits, Underway
from sm_async_nb.job.findings import Findings

_ANSWERS = (Fact.OUTPUT_FOUND, Fact.FAILURE_FOUND)
_ACCEPTED = int(Status.ACCEPTED)


@dataclass
class Desk:
    """One job at work. Everything here belongs to one event loop; the ledger is read by other threads too."""

    batch: Batch
    layout: JobLayout
    ledger: Ledger
    limits: Limits
    now: Callable[[], float]
    show: Callable[[], None]
    underway: Underway = field(init=False)
    findings: Findings = field(default_factory=Findings)
    # Why the payload of a request cannot be made again.
    lost: dict[int, str] = field(default_factory=dict)
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    # Resolved when all that was found before is in the journal.
    waiting: list[asyncio.Future[None]] = field(default_factory=list)
    # Those that are sent once more, as long as the ledger does not know of it.
    retried: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.underway = Underway(busy=np.zeros(len(self.ledger), dtype=np.bool_))

    def clear(self) -> None:
        """Begin anew with what is known: nothing is under way, and what was found is kept."""
        self.underway = Underway(
            busy=np.zeros(len(self.ledger), dtype=np.bool_),
            is_stopped=self.underway.is_stopped,
            forgiven=self.underway.forgiven,
            looked_at=self.underway.looked_at,
        )
        self.lost.clear()
        self.waiting.clear()
        self.wake = asyncio.Event()

    def learn(self, fact: Fact, request: int, at: float, **details: str) -> None:
        """Note a fact, which is believed when it is in the journal; its time is kept to the microsecond, as there.

        An answer to an attempt that was given up is no fact about the next one.
        """
        if fact in _ANSWERS:
            # With item() and a number, as a comparison of NumPy's costs more than all the rest here.
            if request in self.retried or self.ledger.status.item(request) < _ACCEPTED:
                return
            self.underway.busy[request] = True
        if not self.findings:
            self.underway.found_at = self.now()
        self.findings.add(fact, request, round(at, 6), **details)

    async def recorded(self) -> None:
        """Return when all that was found so far is in the journal."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiting.append(future)
        await future

    async def pause_until(self, moment: float) -> None:
        """Sleep until then, at once if it is past."""
        await asyncio.sleep(max(moment - self.now(), 0))

    async def sleep(self, until: float) -> None:
        """Sleep until something happens, or until this time."""
        pause = None if math.isinf(until) else max(until - self.now(), 0)
        try:
            async with asyncio.timeout(pause):
                await self.wake.wait()
        except TimeoutError:
            pass
        self.wake.clear()
