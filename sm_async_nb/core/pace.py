"""How many calls may be under way at once: a little more as long as they get through, half as soon as they do not.

Additive increase and multiplicative decrease, as TCP has it (RFC 5681, 3.1): a service says that it is asked too often
and not how often it may be asked, and that may change from minute to minute.
"""

from __future__ import annotations

# A window of two would otherwise be tried again after every second call, and a fifth of all calls be throttled.
_FEWEST = 8


class Pace:
    """The window of one kind of call. It never asks the time.

    It finds the rate of a service that takes two calls or more in the time that one takes. Where one call at a time is
    too often already, there have to be pauses too.

    Parameters
    ----------
    most
        How many calls may ever be under way at once; the window begins there.

    Examples
    --------
    >>> pace = Pace(64)
    >>> pace.throttled(sent_at=10.0, now=10.1)
    >>> pace.room, pace.throttles
    (32, 1)
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.window = float(most)
        self.throttles = 0
        self._cut_at = float("-inf")

    def __repr__(self) -> str:
        return f"<Pace of {self.room} of {self.most} calls at once, throttled {self.throttles} times>"

    @property
    def room(self) -> int:
        """How many calls may be under way now, at least 1."""
        return int(self.window)

    def succeeded(self) -> None:
        """A call got through: a window of them, and eight at least, makes the window larger by one call."""
        self.window = min(self.window + 1 / max(self.window, _FEWEST), float(self.most))

    def throttled(self, sent_at: float, now: float) -> None:
        """The service asks for fewer calls. All that were sent before the last cut have caused one cut together."""
        self.throttles += 1
        if sent_at >= self._cut_at:
            self.window = max(self.window / 2, 1.0)
            self._cut_at = now
