"""The answers of the rows in sight, so that the table shows how they begin without anybody having asked for results.

Each is a GET that costs, and that ``results()`` then need not make. So only rows are fetched that stay in sight for two
looks, few at a time, and no more than some thousands in all; and none where answers turn out to be large, since S3
gives an object as a whole here.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sm_async_nb.core.columns import IntArray
from sm_async_nb.errors import SmAsyncError
from sm_async_nb.job import peek
from sm_async_nb.job.job import Job
from sm_async_nb.notebook.panel.screen import errand

_EVERY_SECONDS = 0.4
_AT_ONCE = 20
_MOST = 2_000
# An answer that is larger is nothing to fetch for sixty letters of it.
_LARGE_BYTES = 64_000

InSight = Callable[[], IntArray]


class Heads:
    """What fetches them.

    Parameters
    ----------
    in_sight
        Tells which rows are looked at now.
    fetched
        Called when some have come, on the thread that fetched them.
    tell
        Takes why no more are fetched.
    """

    def __init__(
        self, job: Job, in_sight: InSight, *, fetched: Callable[[], object], tell: Callable[[str], object]
    ) -> None:
        self._job, self._in_sight, self._fetched, self._tell = job, in_sight, fetched, tell
        self.is_on = True
        self._looked_at = 0.0
        self._seen: IntArray = np.empty(0, dtype=np.int64)
        self._tried: set[tuple[int, int]] = set()
        self._is_busy = False

    @property
    def goes_on(self) -> bool:
        """Whether what is in sight is fetched, so that it is on its way."""
        return self.is_on and len(self._tried) < _MOST

    @property
    def is_settled(self) -> bool:
        """Whether nothing is left to fetch for what is in sight now."""
        return not self._is_busy and not self._wanted().size

    def refresh(self, now: float) -> None:
        """Look at what is in sight, now and then, and send for what was there before and was not fetched."""
        if now - self._looked_at < _EVERY_SECONDS or self._is_busy:
            return
        self._looked_at = now
        before, self._seen = self._seen, self._wanted()
        stayed = np.intersect1d(before, self._seen)
        if stayed.size:
            self._is_busy = True
            errand(lambda: self._fetch(stayed))

    def _wanted(self) -> IntArray:
        """The requests in sight whose answers were never asked for."""
        if not self.goes_on:
            return np.empty(0, dtype=np.int64)
        rows = self._in_sight()
        if not rows.size:
            return rows
        unread = peek.unread(self._job, np.unique(peek.request_of(self._job, rows)))
        return np.array([one[0] for one in self._attempts(unread) if one not in self._tried], dtype=np.int64)

    def _attempts(self, requests: IntArray) -> list[tuple[int, int]]:
        attempts = peek.lines(self._job, requests).attempt
        return list(zip(requests.tolist(), attempts.tolist(), strict=True))

    def _fetch(self, requests: IntArray) -> None:
        """One to see how large they are, then the others as long as they stay in sight."""
        try:
            some = requests[:1] if not self._tried else requests[:_AT_ONCE]
            while some.size and self.is_on:
                self._tried.update(self._attempts(some))
                peek.load(self._job, some)
                self._stop_if_large(some)
                self._fetched()
                some = np.intersect1d(requests, self._wanted())[:_AT_ONCE]
        except SmAsyncError as error:
            self.is_on = False
            self._tell(f"Answers are not fetched for the table any more: {error}")
        finally:
            self._is_busy = False

    def _stop_if_large(self, requests: IntArray) -> None:
        largest = max((len(body) for body in peek.lines(self._job, requests).answers if body), default=0)
        if largest > _LARGE_BYTES:
            self.is_on = False
            self._tell(
                f"An answer has {largest:,} bytes, so no others are fetched for the table; open a row to see it."
            )
