"""One kind of call, whether it gets through, and how long to leave it alone when it does not."""

from __future__ import annotations

import random

from sm_async_nb.core.ledger import Trouble
from sm_async_nb.errors import ServiceTroubleError

# From half a second, doubling to half a minute, with jitter.
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 30.0


class Backoff:
    """The trouble that one kind of call is in, if it is in any.

    ``hold_until`` is when to try again, in seconds since the epoch; 0 when nothing stands in the way. ``throttles``
    counts the calls that were asked to come more slowly, in all.
    """

    def __init__(self, jitter: random.Random) -> None:
        self.trouble: Trouble | None = None
        self.hold_until = 0.0
        self.throttles = 0
        self._pause = _FIRST_PAUSE
        self._jitter = jitter

    def meet(self, error: ServiceTroubleError, now: float) -> None:
        """A call did not get through. Many that fail together make one pause."""
        since, calls = (self.trouble.since, self.trouble.calls) if self.trouble else (now, 0)
        self.trouble = Trouble(message=str(error), since=since, calls=calls + 1)
        self.throttles += error.throttled
        if now >= self.hold_until:
            self.hold_until = now + self._pause * self._jitter.uniform(0.5, 1.5)
            self._pause = min(self._pause * 2, _LONGEST_PAUSE)

    def get_on(self) -> None:
        """A call got through: the trouble is over."""
        self.trouble = None
        self.hold_until = 0.0
        self._pause = _FIRST_PAUSE


def oldest(*backoffs: Backoff) -> Trouble | None:
    """The trouble that has lasted longest."""
    return min((b.trouble for b in backoffs if b.trouble), key=lambda trouble: trouble.since, default=None)
