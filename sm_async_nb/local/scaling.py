"""How many instances an endpoint has: all at once, or none until somebody needs one. Pure; ``now`` is an argument.

::

    asleep ──backlog──> waking ──cold start──> awake ──idle──> asleep

The service itself scales by Application Auto Scaling, whose policies are the user's own. What is here is the outcome
of the two usual ones: scale to zero when idle, and wake up on a backlog (HasBacklogWithoutCapacity).
"""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real

from sm_async_nb.errors import RequestError


@dataclass(frozen=True, kw_only=True)
class ScalingRule:
    """When instances come and go.

    ``cold_start``
        Seconds from the wish for an instance until it is there. None: instances come at once, and an endpoint that has
        none stays so until it is given some, unless it may ``scale_to_zero_after``: then its requests wake it.
    ``scale_to_zero_after``
        Seconds without a request after which there is no instance left. None: never.
    ``wakes_at_backlog``
        How many requests wake an endpoint that has no instance. The service, without a policy on
        HasBacklogWithoutCapacity, stays asleep until the backlog exceeds the target of its other policy.

    Raises
    ------
    RequestError
        If one of them is no number, or negative.
    """

    cold_start: float | None = None
    scale_to_zero_after: float | None = None
    wakes_at_backlog: int = 1

    def __post_init__(self) -> None:
        # Found out here, and not with the first request, when the endpoint reckons with them.
        for name in ("cold_start", "scale_to_zero_after"):
            seconds = getattr(self, name)
            if seconds is not None and not _is_amount(seconds):
                raise RequestError(f"{name}= is a number of seconds, 0 or more, or None, got {seconds!r}.")
        if not _is_amount(self.wakes_at_backlog):
            raise RequestError(f"wakes_at_backlog= is a number of requests, 0 or more, got {self.wakes_at_backlog!r}.")

    @property
    def wakes(self) -> bool:
        """Whether a backlog wakes an endpoint that has no instance; one that was put to sleep must not stay so."""
        return self.cold_start is not None or self.scale_to_zero_after is not None


class Scaling:
    """The instances of one endpoint. ``current`` are there, ``desired`` are wished for."""

    def __init__(self, instances: int, rule: ScalingRule) -> None:
        self.current = instances
        self.desired = instances
        self._configured = instances
        self._rule = rule
        self._ready_at: float | None = None
        self._idle_since: float | None = None

    def __repr__(self) -> str:
        return f"<Scaling {self.current} of {self.desired} instances>"

    def configure(self, instances: int, now: float) -> None:
        """The endpoint was told to have so many."""
        if instances != self._configured:
            self._configured = instances
            # Idle from now on: it was wanted at this moment.
            self._idle_since = None
            self._wish(instances, now)

    def look(self, backlog: int, now: float, *, busy: bool) -> None:
        """Let instances come and go as is due at ``now``; ``busy`` is whether a request waits or runs."""
        if self._ready_at is not None and now >= self._ready_at:
            self.current, self._ready_at = self.desired, None
        if self._rule.wakes and not self.desired and backlog >= self._rule.wakes_at_backlog:
            self._wish(max(1, self._configured), now)
        self._fall_asleep(now, busy=busy)

    def wakes_at(self) -> float | None:
        """When an instance comes or goes, if nothing happens before. None if none does."""
        if self._ready_at is not None:
            return self._ready_at
        if self._idle_since is None or self._rule.scale_to_zero_after is None or not self.current:
            return None
        return self._idle_since + self._rule.scale_to_zero_after

    def _wish(self, desired: int, now: float) -> None:
        self.desired = desired
        if desired > self.current and self._rule.cold_start:
            self._ready_at = now + self._rule.cold_start
        else:
            self.current, self._ready_at = desired, None

    def _fall_asleep(self, now: float, *, busy: bool) -> None:
        if busy or self._idle_since is None:
            self._idle_since = None if busy else now
        elif self._rule.scale_to_zero_after is not None and now - self._idle_since >= self._rule.scale_to_zero_after:
            self._wish(0, now)


def _is_amount(value: object) -> bool:
    return isinstance(value, Real) and float(value) >= 0
