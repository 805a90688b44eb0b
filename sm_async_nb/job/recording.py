"""Facts on their way into the journal, and only then into the ledger."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

from sm_async_nb.aws.storage import Storage
from sm_async_nb.core.columns import IntArray
from sm_async_nb.core.ledger import Learned
from sm_async_nb.errors import ServiceTroubleError, StorageAccessError
from sm_async_nb.job.backoff import Backoff
from sm_async_nb.job.checkpoint import copy_columns, write_checkpoint
from sm_async_nb.job.desk import Desk
from sm_async_nb.job.journal import Journal

# After so many segments what they come to is written down in one piece, so that a job is opened again in seconds.
SEGMENTS_A_CHECKPOINT = 512

# A job that is over leaves a checkpoint if there are more segments than this to read instead.
_FEW_SEGMENTS = 32


class Recorder:
    """Writes what was found; one write at a time.

    A batch that was taken and could not be written is kept, and is the first to be written when there is a connection
    again, since its segment may be there already.

    Parameters
    ----------
    lock
        Held while the ledger changes.
    heard
        Called with every fact that the ledger has taken in.
    """

    def __init__(
        self,
        desk: Desk,
        backoff: Backoff,
        lock: threading.Lock,
        heard: Callable[[Learned], None],
        *,
        next_segment: int = 0,
        numbers: IntArray | None = None,
        checkpoint: int | None = None,
        base: int | None = None,
    ) -> None:
        self._desk = desk
        self._backoff = backoff
        self._lock = lock
        self._heard = heard
        self._numbers = numbers
        self._base = base
        self._next_segment = next_segment
        self._last_checkpoint = checkpoint or 0
        self._kept: list[Learned] = []
        self._waiting: list[asyncio.Future[None]] = []
        self._storage: Storage | None = None
        self._journal: Journal | None = None

    def connect(self, storage: Storage) -> None:
        """Go on with this connection."""
        self._storage = storage
        self._journal = Journal(storage, self._desk.layout, next_segment=self._next_segment, numbers=self._numbers)

    def __len__(self) -> int:
        """How many facts are waiting."""
        return len(self._desk.findings) + sum(len(learned.requests) for learned in self._kept)

    async def record(self) -> list[Learned]:
        """Write what was found to the journal, then, and only then, believe it; returns it.

        Raises
        ------
        IllegalFactError
            If a fact cannot be; nothing is written then.
        JobInUseError
            If somebody else writes to this journal.
        """
        assert self._journal is not None
        if not self._kept:
            batch = self._desk.findings.take()
            self._desk.ledger.check(batch)
            self._kept, self._waiting, self._desk.waiting = batch, self._desk.waiting, []
        await self._write(self._journal, self._kept)
        batch, self._kept = self._kept, []
        self._next_segment = self._journal.next_segment
        for learned in batch:
            with self._lock:
                self._desk.ledger.apply(learned)
            self._heard(learned)
        for future in self._waiting:
            if not future.done():
                future.set_result(None)
        self._waiting = []
        return batch

    async def _write(self, journal: Journal, batch: list[Learned]) -> None:
        while True:
            try:
                await journal.append(batch)
            except ServiceTroubleError as trouble:
                self._backoff.meet(trouble, self._desk.now())
                self._desk.show()
                await self._desk.pause_until(self._backoff.hold_until)
            else:
                self._backoff.get_on()
                return

    @property
    def owes_a_checkpoint(self) -> bool:
        """Whether so many segments have come since the last one that opening the job would take long."""
        return self._next_segment - self._last_checkpoint >= SEGMENTS_A_CHECKPOINT

    async def checkpoint(self, *, at_the_end: bool = False) -> None:
        """Write down what the segments so far come to. It is a help and no truth, so trouble with it is no matter."""
        least = _FEW_SEGMENTS if at_the_end else SEGMENTS_A_CHECKPOINT
        if self._next_segment - self._last_checkpoint < least:
            return
        assert self._storage is not None
        self._last_checkpoint = self._next_segment
        with self._lock:
            columns = copy_columns(self._desk.ledger)
        try:
            await write_checkpoint(
                self._storage,
                self._desk.layout,
                columns,
                next_segment=self._last_checkpoint,
                numbers=self._numbers,
                base=self._base,
            )
        except (ServiceTroubleError, StorageAccessError):
            return
