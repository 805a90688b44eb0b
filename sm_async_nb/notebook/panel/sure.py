"""What cannot be taken back takes a second click, which counts once somebody can have read the question."""

from __future__ import annotations

import math
from collections.abc import Callable

# A double-click, or clicks that were waiting for a busy kernel, have read nothing. Seconds.
_READING_SECONDS = 0.5


class Sure:
    """The question that stands on a button, if one does.

    Parameters
    ----------
    clock
        Tells the time in seconds.
    patience_seconds
        How long a question stands.
    """

    def __init__(self, clock: Callable[[], float], *, patience_seconds: float = math.inf) -> None:
        self._clock, self._patience = clock, patience_seconds
        self._question, self._asked_at = "", -math.inf

    @property
    def is_asking(self) -> bool:
        """Whether a question stands."""
        return bool(self._question)

    def is_late(self, now: float) -> bool:
        """Whether the question, if there is one, has stood for too long."""
        return now > self._asked_at + self._patience

    def asks(self, question: str) -> bool:
        """Whether a click leads to this question, and is not yet the answer to it."""
        now = self._clock()
        if question != self._question or self.is_late(now):
            self._question, self._asked_at = question, now
            return True
        if now < self._asked_at + _READING_SECONDS:
            return True
        self.forget()
        return False

    def forget(self) -> None:
        """Ask nothing any more."""
        self._question, self._asked_at = "", -math.inf
