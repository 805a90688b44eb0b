"""Watching a job that somebody else follows: its journal is read as it grows, and nothing is written."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable

import numpy as np

from sm_async_nb.aws.storage import Storage
from sm_async_nb.core.columns import IntArray
from sm_async_nb.core.ledger import Learned, Ledger, Snapshot
from sm_async_nb.errors import ServiceTroubleError
from sm_async_nb.job.journal import Journal
from sm_async_nb.job.papers import Papers

# Between two looks at the journal: soon after something came, seldom while nothing does. Seconds.
_SHORTEST = 2.0
_LONGEST = 15.0
_STEP = 1.5


class Watcher:
    """Applies what the journal tells to a ledger that shows the job's view."""

    def __init__(
        self,
        papers: Papers,
        ledger: Ledger,
        lock: threading.Lock,
        *,
        next_segment: int,
        publish: Callable[[Snapshot], None],
        heard: Callable[[Learned], None],
    ) -> None:
        self._papers = papers
        self._ledger = ledger
        self._lock = lock
        self._next_segment = next_segment
        self._publish = publish
        self._heard = heard
        # The job may grow meanwhile by requests that this view does not show.
        self._place_of = _places(np.arange(len(ledger)) if papers.numbers is None else papers.numbers)
        self._started_at = time.time()

    async def run(self, storage: Storage) -> None:
        """Watch until every request has come to an end."""
        pause = _SHORTEST
        while not self._ledger.is_finished:
            try:
                came = await self._read(storage)
            except ServiceTroubleError:
                came = False  # somebody else follows the job; this one only looks again
            self._show()
            pause = _SHORTEST if came else min(pause * _STEP, _LONGEST)
            if not self._ledger.is_finished:
                await asyncio.sleep(pause)

    async def _read(self, storage: Storage) -> bool:
        journal = Journal(storage, self._papers.layout, next_segment=self._next_segment)
        came = False
        async for batch in journal.read(self._next_segment):
            for learned in batch:
                self._take(learned)
            self._next_segment += 1
            came = True
        return came

    def _take(self, learned: Learned) -> None:
        shown = _shown(learned, self._place_of)
        with self._lock:
            self._ledger.apply(shown)
        self._heard(shown)

    def _show(self) -> None:
        ledger = self._ledger
        self._publish(
            Snapshot(revision=ledger.revision, at=time.time(), started_at=self._started_at, counts=ledger.counts)
        )


def _places(numbers: IntArray) -> IntArray:
    """The place of each number in the view, -1 where it is not shown."""
    places = np.full(int(numbers.max(initial=-1)) + 1, -1, dtype=np.int64)
    places[numbers] = np.arange(len(numbers))
    return places


def _shown(learned: Learned, place_of: IntArray) -> Learned:
    inside = learned.requests < len(place_of)
    places = np.where(inside, place_of[np.minimum(learned.requests, len(place_of) - 1)], -1)
    keep = places >= 0
    at = np.broadcast_to(np.asarray(learned.at, dtype=np.float64), keep.shape)[keep]
    details = {
        name: [value for value, kept in zip(values, keep.tolist(), strict=True) if kept]
        for name, values in learned.details.items()
    }
    return Learned(fact=learned.fact, requests=places[keep], at=at, details=details)
