"""Following a job from any thread or loop: always the newest snapshot, in a plain loop or an asynchronous one."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Generic, TypeVar

from sm_async_nb.core.ledger import Ledger, Snapshot
from sm_async_nb.job.background import TICK

Item = TypeVar("Item")


class Newest:
    """The newest snapshot, and how to wait for the next. Whoever is slow misses some, and never the last."""

    def __init__(self, first: Snapshot) -> None:
        self.snapshot = first
        self._changed = threading.Condition()

    def publish(self, snapshot: Snapshot) -> None:
        """Replace it. It is not over before :meth:`end` says so, which knows that all is cleaned up behind it."""
        self._replace(dataclasses.replace(snapshot, is_over=False))

    def begin(self) -> None:
        """More will come, although it was over before: a job that is retried, or resumed."""
        self._replace(dataclasses.replace(self.snapshot, is_over=False, paused=None))

    def end(self) -> None:
        """No other comes after this one."""
        self._replace(dataclasses.replace(self.snapshot, is_over=True))

    def follow(self, give_up: float | None = None, *, every: float | None = None) -> Iterator[Snapshot]:
        """Each new snapshot until the last, or until the monotonic clock shows ``give_up``.

        With ``every``, the last one comes again after so many seconds, so that a clock can go on.
        """
        seen: Snapshot | None = None
        while seen is None or not seen.is_over:
            again = None if every is None else time.monotonic() + every
            with self._changed:
                while self.snapshot is seen and not (_is_past(give_up) or _is_past(again)):
                    self._changed.wait(TICK)
            if self.snapshot is not seen:
                seen = self.snapshot
                yield seen
            elif _is_past(give_up):
                return
            else:
                yield dataclasses.replace(self.snapshot, at=time.time())

    async def follow_async(self) -> AsyncIterator[Snapshot]:
        """The same on a loop that is not the job's."""
        seen: Snapshot | None = None
        while seen is None or not seen.is_over:
            # Looking now and then is what survives an interrupt of the caller's cell.
            while self.snapshot is seen:  # noqa: ASYNC110
                await asyncio.sleep(TICK)
            seen = self.snapshot
            yield seen

    def _replace(self, snapshot: Snapshot) -> None:
        with self._changed:
            self.snapshot = snapshot
            self._changed.notify_all()


def first_snapshot(ledger: Ledger, stopped: str | None = None) -> Snapshot:
    """How a job stands that nobody is following yet."""
    now = time.time()
    return Snapshot(revision=0, at=now, started_at=now, counts=ledger.counts, stopped=stopped, is_over=True)


class Both(Generic[Item]):
    """What can be gone through with ``for`` and with ``async for``, from the start each time."""

    def __init__(self, items: Callable[[], Iterator[Item]], items_async: Callable[[], AsyncIterator[Item]]) -> None:
        self._items = items
        self._items_async = items_async

    def __iter__(self) -> Iterator[Item]:
        return self._items()

    def __aiter__(self) -> AsyncIterator[Item]:
        return self._items_async()


def _is_past(moment: float | None) -> bool:
    return moment is not None and time.monotonic() >= moment
