"""The queue of an asynchronous endpoint: who starts next, who waited too long, who ran too long.

Pure: what happened goes in (:meth:`InvocationQueue.enqueue`, :meth:`InvocationQueue.finished`), what to do about it
comes out (:meth:`InvocationQueue.next_actions`), and ``now`` is an argument, in seconds since the epoch.

::

    enqueue ──> waiting ──Start──> running ──finished──> gone
                   └──Expire──> gone  └──TimeOut──> gone      (its late answer is dropped)

The service promises first in, first out on a best-effort basis only; this queue keeps it exactly, unless an
invocation is enqueued as the first.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from itertools import count
from typing import Generic, TypeAlias, TypeVar

# What the service takes when the request does not say: the doc strings of the two members in the service model.
DEFAULT_REQUEST_TTL_SECONDS = 21600
DEFAULT_INVOCATION_TIMEOUT_SECONDS = 900

# Deadlines of invocations that are gone stay in the heap until there are this many more of them than live ones.
_STALE_DEADLINES = 1024

T = TypeVar("T", bound=Hashable)


@dataclass(frozen=True)
class Start(Generic[T]):
    """Give this invocation to the model; it holds a slot now."""

    invocation: T


@dataclass(frozen=True)
class Expire(Generic[T]):
    """Drop this invocation: it waited for its RequestTTLSeconds and never started."""

    invocation: T


@dataclass(frozen=True)
class TimeOut(Generic[T]):
    """Stop waiting for this invocation: it ran for its InvocationTimeoutSeconds. Its slot is free."""

    invocation: T


Action: TypeAlias = Start[T] | Expire[T] | TimeOut[T]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Waiting:
    expires_at: float
    invocation_timeout_seconds: float


class InvocationQueue(Generic[T]):
    """A first-in, first-out queue before a fixed number of slots.

    ``slots`` is instances times MaxConcurrentInvocationsPerInstance; it may be changed at any time, and a lower
    number interrupts nothing. An invocation is any hashable value that is in the queue at most once at a time.
    Every operation is O(log n) or better, amortised.
    """

    def __init__(self, *, slots: int) -> None:
        self.slots = slots
        self._waiting: OrderedDict[T, _Waiting] = OrderedDict()
        self._running: dict[T, float] = {}
        self._deadlines: list[tuple[float, int, T]] = []
        self._numbers = count()

    def __repr__(self) -> str:
        return f"<InvocationQueue {self.running} of {self.slots} slots running, {self.backlog} waiting>"

    @property
    def backlog(self) -> int:
        """How many wait for a slot."""
        return len(self._waiting)

    @property
    def running(self) -> int:
        """How many hold a slot."""
        return len(self._running)

    @property
    def oldest(self) -> T | None:
        """The one that is next, or of those that run the first that started; None if there is none."""
        return next(iter(self._waiting), next(iter(self._running), None))

    def enqueue(
        self,
        invocation: T,
        *,
        now: float,
        request_ttl_seconds: float = DEFAULT_REQUEST_TTL_SECONDS,
        invocation_timeout_seconds: float = DEFAULT_INVOCATION_TIMEOUT_SECONDS,
        first: bool = False,
    ) -> None:
        """Take an invocation in, behind those that wait, or before them if it is to be ``first``.

        Raises
        ------
        ValueError
            If the same invocation is waiting or running already.
        """
        if invocation in self._waiting or invocation in self._running:
            raise ValueError(f"{invocation!r} is in the queue already.")
        expires_at = now + request_ttl_seconds
        self._waiting[invocation] = _Waiting(
            expires_at=expires_at, invocation_timeout_seconds=invocation_timeout_seconds
        )
        if first:
            self._waiting.move_to_end(invocation, last=False)
        self._remember(expires_at, invocation)

    def next_actions(self, now: float) -> list[Action[T]]:
        """What is due at ``now``: passed deadlines first, by time, then starts in the order of arrival.

        Each action is told once. A deadline is passed at its very instant.
        """
        return [*self._passed_deadlines(now), *self._starts(now)]

    def finished(self, invocation: T) -> bool:
        """Free the slot of an invocation that was answered. False if it is gone already and its answer is void."""
        return self._running.pop(invocation, None) is not None

    def wakes_at(self) -> float | None:
        """When the next deadline passes, if nothing happens before. None if there is none."""
        while self._deadlines and not self._is_live(self._deadlines[0]):
            heapq.heappop(self._deadlines)
        return self._deadlines[0][0] if self._deadlines else None

    def _passed_deadlines(self, now: float) -> list[Action[T]]:
        passed: list[Action[T]] = []
        while (at := self.wakes_at()) is not None and at <= now:
            invocation = heapq.heappop(self._deadlines)[2]
            passed.append(self._drop(invocation))
        return passed

    def _drop(self, invocation: T) -> Action[T]:
        if self._waiting.pop(invocation, None) is not None:
            return Expire(invocation)
        del self._running[invocation]
        return TimeOut(invocation)

    def _starts(self, now: float) -> list[Action[T]]:
        free = max(0, min(self.slots - self.running, self.backlog))
        return [self._start(now) for _ in range(free)]

    def _start(self, now: float) -> Action[T]:
        invocation, waited = self._waiting.popitem(last=False)
        times_out_at = now + waited.invocation_timeout_seconds
        self._running[invocation] = times_out_at
        self._remember(times_out_at, invocation)
        return Start(invocation)

    def _remember(self, at: float, invocation: T) -> None:
        # The number keeps the heap from comparing invocations, and makes equal deadlines pass in order of arrival.
        heapq.heappush(self._deadlines, (at, next(self._numbers), invocation))
        if len(self._deadlines) > 2 * (self.backlog + self.running) + _STALE_DEADLINES:
            self._deadlines = [deadline for deadline in self._deadlines if self._is_live(deadline)]
            heapq.heapify(self._deadlines)

    def _is_live(self, deadline: tuple[float, int, T]) -> bool:
        at, _, invocation = deadline
        waiting = self._waiting.get(invocation)
        return at == (waiting.expires_at if waiting else self._running.get(invocation))
