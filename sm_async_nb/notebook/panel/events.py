"""The last events of a job, told from two snapshots that follow each other."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from sm_async_nb.core.ledger import Snapshot, Status
from sm_async_nb.notebook.panel.rows import clock

_KEPT = 50


class Events:
    """What has happened since somebody looks, the oldest first, with the time of day (UTC).

    Parameters
    ----------
    begun_at
        When the job began, if that was before this kernel knew of it.
    """

    def __init__(self, first: Snapshot, begun_at: float | None = None) -> None:
        self._before = first
        self.told: deque[tuple[str, str]] = deque(maxlen=_KEPT)
        began = first.started_at if begun_at is None else begun_at
        self.told.append((clock(began), f"begun, {first.requests:,} requests"))
        if began < first.started_at:
            self.told.append((clock(first.started_at), "opened here"))

    def note(self, text: str, at: float) -> None:
        """Something that somebody did."""
        self.told.append((clock(at), text))

    def see(self, seen: Snapshot) -> None:
        """Tell what is new in a snapshot."""
        before, self._before = self._before, seen
        for text in _news(before, seen):
            self.told.append((clock(seen.at), text))


def _news(before: Snapshot, seen: Snapshot) -> Iterator[str]:
    yield from _first_of(before, seen)
    if seen.trouble is not None and (before.trouble is None or before.trouble.message != seen.trouble.message):
        yield f"trouble: {seen.trouble.message}"
    if before.trouble is not None and seen.trouble is None and not seen.is_over:
        yield "the trouble is over"
    if seen.paused is not None and before.paused is None:
        yield f"paused: {seen.paused.message}"
    if before.paused is not None and seen.paused is None:
        yield "goes on after the pause"
    if seen.stopped is not None and before.stopped is None:
        yield f"sending has stopped: {seen.stopped}"
    if seen.is_over and not before.is_over:
        yield f"over: {', '.join(f'{seen[status]:,} {status}' for status in Status if seen[status]) or 'no rows'}"
    if before.is_over and not seen.is_over:
        yield "runs again"


def _first_of(before: Snapshot, seen: Snapshot) -> Iterator[str]:
    for status in Status:
        if status.is_final and seen[status] and not before[status]:
            yield f"the first is {status}"
