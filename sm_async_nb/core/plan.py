"""What to do next, decided from what is known: a ledger, the time, the limits, and what is already under way.

The engine asks, does what it is told, learns facts from it, and asks again. Nothing here does I/O or keeps state, so
a six-hour expiry is tested in microseconds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from sm_async_nb.core.columns import BoolArray, FloatArray, IntArray
from sm_async_nb.core.ledger import Ledger, Status
from sm_async_nb.errors import RequestError


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How much may happen at once.

    Parameters
    ----------
    concurrency
        Requests that are being uploaded or invoked at one time.
    max_unrecorded
        Requests that were sent but whose facts are not in the journal yet. After a crash these, and only these, may
        be sent again.
    max_in_flight
        Accepted requests without an answer. The service's queue holds 120,000 messages in flight.
    retries
        How often a request is sent again by itself when the model answered 5xx or no answer came in time. One that
        the model refused (4xx), or failed on without saying how, is not.
    max_failures
        Stop sending when more requests than this have ended badly: a number of them, or a share, below 1, of those
        that have ended. None never stops.
    """

    concurrency: int = 64
    max_unrecorded: int = 256
    max_in_flight: int = 100_000
    retries: int = 0
    max_failures: float | None = None

    def __post_init__(self) -> None:
        for name, least in (("concurrency", 1), ("max_unrecorded", 1), ("max_in_flight", 1), ("retries", 0)):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise RequestError(
                    f"{name} must be a whole number of at least {least}, got {value!r}. Nothing was sent."
                )
        if self.max_in_flight > MAX_IN_FLIGHT:
            raise RequestError(
                f"max_in_flight must be at most {MAX_IN_FLIGHT:,}, which is what the service's queue holds,"
                f" got {self.max_in_flight:,}. Nothing was sent."
            )
        self._check_max_failures()

    def _check_max_failures(self) -> None:
        given = self.max_failures
        is_number = isinstance(given, int | float) and not isinstance(given, bool)
        if given is not None and not (is_number and (0 < given < 1 or (given >= 0 and given == int(given)))):
            raise RequestError(
                "max_failures must be a whole number of requests, or a share of them between 0 and 1,"
                f" got {given!r}. Nothing was sent."
            )


@dataclass(kw_only=True)
class Underway:
    """What the engine has begun and the ledger does not know yet.

    ``busy`` marks the requests that are being sent or whose facts are being written; ``sending`` counts the first kind
    and ``unrecorded`` both; ``lost`` is how many of the busy ones cannot be sent at all, since their payload is gone.
    ``findings`` facts wait to be written, the oldest since ``found_at``. No request is sent before ``hold_until``,
    none from ``send_until`` on, when the lease ends, and no more than ``window`` at a time; ``is_stopped`` ends
    sending for good. ``forgiven`` are how many had ended badly, and at all, when somebody last asked for more. The next
    look is at ``look_at``, or as soon as a deadline passes, but never before ``look_not_before``; ``looked_at`` is when
    the last look began that got through, and ``looked_at_each`` the same for those requests that are not looked at
    every time.
    """

    busy: BoolArray
    sending: int = 0
    unrecorded: int = 0
    lost: int = 0
    findings: int = 0
    found_at: float = 0.0
    recording: bool = False
    looking: bool = False
    hold_until: float = 0.0
    send_until: float = float("inf")
    window: int = 2**31
    is_stopped: bool = False
    forgiven: tuple[int, int] = (0, 0)
    look_at: float = 0.0
    look_not_before: float = 0.0
    looked_at: float = float("-inf")
    looked_at_each: Mapping[int, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Send:
    """Upload the inputs of these requests where that is still to do, and invoke the endpoint for each."""

    requests: IntArray


@dataclass(frozen=True)
class Record:
    """Write what was found to the journal and apply it."""


@dataclass(frozen=True)
class LookForAnswers:
    """Find out which outputs and failures have appeared in S3."""


@dataclass(frozen=True)
class DeclareExpired:
    """Record that neither an output nor a failure came in time for these requests."""

    requests: IntArray


@dataclass(frozen=True)
class Retry:
    """Record that these requests are to be sent once more."""

    requests: IntArray


@dataclass(frozen=True)
class Stop:
    """Send nothing more, and say why."""

    reason: str


@dataclass(frozen=True)
class Cancel:
    """Record that these requests will not be sent."""

    requests: IntArray


@dataclass(frozen=True)
class Sleep:
    """Nothing more can be done before something is learned, or this time has come (infinite: only the former)."""

    until: float


@dataclass(frozen=True)
class Finish:
    """Every request has come to an end."""


@dataclass(frozen=True)
class GiveUp:
    """Nothing is left but requests whose payload cannot be made again here."""


Action = Send | Record | LookForAnswers | DeclareExpired | Retry | Stop | Cancel | Sleep | Finish | GiveUp


def next_actions(ledger: Ledger, now: float, limits: Limits, underway: Underway) -> list[Action]:
    """All that should be begun now, ending with how long to sleep, or with :class:`Finish` or :class:`GiveUp`."""
    again = _to_retry(ledger, limits, underway)
    stop = list(_stop(ledger, limits, underway, again))
    if stop:
        return [*stop, Sleep(now)]  # also where all has ended: whoever waits is told
    nothing_comes = not (underway.unrecorded or underway.findings or underway.recording or again.size)
    if nothing_comes and ledger.is_finished and not _owes_a_look(ledger, underway):
        return [Finish()]
    if nothing_comes and underway.lost and underway.lost == _unfinished(ledger):
        return [GiveUp()]
    return [
        *_cancel(ledger, underway),
        *_retry(ledger, now, underway, again),
        *_send(ledger, now, limits, underway),
        *_record(now, limits, underway),
        *_look(ledger, now, underway),
        *_expire(ledger, now, underway),
        Sleep(_wakes_at(ledger, now, underway, again)),
    ]


def first_look(now: float) -> float:
    """When to look for the answer to the first request that was just accepted."""
    return now + _SHORTEST_LOOK


def next_look(now: float, pause: float, *, found: int, lists: int, heads: int) -> float:
    """When to look again, after a look that took so many LISTs and HEADs and found so many answers.

    ``pause`` is how long was waited before it. Many answers for their price shorten it, a few let it grow a little,
    none let it grow to a quarter of a minute; and a look is never so soon that it costs more than twenty LISTs a
    second would.
    """
    if found and found >= _MANY_FOR_A_LIST * lists + _MANY_FOR_A_HEAD * heads:
        pause = pause / _STEP
    elif found:
        pause = min(pause * _SMALL_STEP, max(pause, _LONGEST_LOOK_WHILE_FOUND))
    else:
        pause = pause * _STEP
    cheapest = lists * _SECONDS_FOR_A_LIST + heads * _SECONDS_FOR_A_HEAD
    return now + max(min(max(pause, _SHORTEST_LOOK), _LONGEST_LOOK), cheapest)


# Pauses in seconds.
_SHORTEST_LOOK = 0.25
_LONGEST_LOOK = 15.0
_LONGEST_LOOK_WHILE_FOUND = 2.0
_STEP = 1.5
_SMALL_STEP = 1.1

# S3 asks 12.5 times as much for a LIST, which can tell of a thousand answers, as for a HEAD, which tells of one.
_SECONDS_FOR_A_LIST = 0.05
_SECONDS_FOR_A_HEAD = 0.004
_MANY_FOR_A_LIST = 50
_MANY_FOR_A_HEAD = 0.4

# A journal segment is a PUT, so facts wait for company this long while requests are still being sent. Seconds.
_LONGEST_UNRECORDED = 0.5


# The most messages that the service's queue holds in flight.
MAX_IN_FLIGHT = 120_000

# A model that fell over is left alone for so long before its request is sent again, doubling each time. Seconds.
_FIRST_REST = 5.0
_LONGEST_REST = 300.0

# The model's own status, from which on a failure may pass.
_SERVER_ERROR = 500

# A share of failures says something only when so many requests have ended.
_ENOUGH_TO_JUDGE = 20

_BAD = [Status.FAILED, Status.EXPIRED, Status.REJECTED]


def _to_retry(ledger: Ledger, limits: Limits, underway: Underway) -> IntArray:
    """The requests that ended in a way that may pass, and have tries left."""
    if not limits.retries or underway.is_stopped or not (ledger.counts[Status.FAILED] or ledger.counts[Status.EXPIRED]):
        return np.empty(0, dtype=np.int64)
    ended = ledger.where(Status.FAILED, Status.EXPIRED)
    passing = (ledger.status[ended] == Status.EXPIRED) | (ledger.http_status[ended] >= _SERVER_ERROR)
    return np.asarray(ended[passing & (ledger.attempt[ended] < limits.retries)], dtype=np.int64)


def _retry(ledger: Ledger, now: float, underway: Underway, again: IntArray) -> Iterator[Retry]:
    due = again[(_retry_at(ledger, again) <= now) & ~underway.busy[again]]
    if due.size:
        yield Retry(due)


def _retry_at(ledger: Ledger, again: IntArray) -> FloatArray:
    rest = np.minimum(_FIRST_REST * 2.0 ** ledger.attempt[again], _LONGEST_REST)
    return np.asarray(ledger.finished_at[again] + rest, dtype=np.float64)


def _stop(ledger: Ledger, limits: Limits, underway: Underway, again: IntArray) -> Iterator[Stop]:
    if limits.max_failures is None or underway.is_stopped:
        return
    all_bad, all_ended = bad_and_ended(ledger.counts)
    bad, ended = (all_bad - underway.forgiven[0] - again.size, all_ended - underway.forgiven[1] - again.size)
    if 0 < limits.max_failures < 1:
        if ended >= min(_ENOUGH_TO_JUDGE, len(ledger)) and bad > limits.max_failures * ended:
            yield Stop(f"{bad:,} of {ended:,} requests ended badly, more than max_failures={limits.max_failures}")
    elif bad > limits.max_failures:
        yield Stop(f"{bad:,} requests ended badly, more than max_failures={limits.max_failures:,.0f}")


def bad_and_ended(counts: Sequence[int]) -> tuple[int, int]:
    """How many requests ended badly, and how many ended at all with a word from the service or its silence."""
    bad = sum(counts[status] for status in _BAD)
    return bad, bad + counts[Status.COMPLETED]


def _cancel(ledger: Ledger, underway: Underway) -> Iterator[Cancel]:
    if underway.is_stopped and (requests := ledger.unsent(underway.busy, len(ledger))).size:
        yield Cancel(requests)


def _unfinished(ledger: Ledger) -> int:
    return sum(ledger.counts[: Status.ACCEPTED + 1])


def _owes_a_look(ledger: Ledger, underway: Underway) -> bool:
    """A job that is opened again looks once whether late answers have come for what was taken for expired."""
    return bool(ledger.counts[Status.EXPIRED]) and underway.looked_at == float("-inf")


def _send(ledger: Ledger, now: float, limits: Limits, underway: Underway) -> Iterator[Send]:
    room = min(
        min(limits.concurrency, underway.window) - underway.sending,
        limits.max_unrecorded - underway.unrecorded,
        limits.max_in_flight - underway.unrecorded - ledger.counts[Status.ACCEPTED],
    )
    if room > 0 and underway.hold_until <= now < underway.send_until and not underway.is_stopped:
        requests = ledger.unsent(underway.busy, room)
        if requests.size:
            yield Send(requests)


def _record(now: float, limits: Limits, underway: Underway) -> Iterator[Record]:
    if not underway.findings or underway.recording:
        return
    nothing_else_comes = not underway.sending
    many = underway.findings >= limits.max_unrecorded // 2
    if nothing_else_comes or many or now >= underway.found_at + _LONGEST_UNRECORDED:
        yield Record()


def _look(ledger: Ledger, now: float, underway: Underway) -> Iterator[LookForAnswers]:
    if now >= _look_is_due(ledger, underway):
        yield LookForAnswers()


def _look_is_due(ledger: Ledger, underway: Underway) -> float:
    if underway.looking or not (ledger.counts[Status.ACCEPTED] or _owes_a_look(ledger, underway)):
        return float("inf")
    due = underway.look_at
    if underway.looked_at < ledger.next_deadline:
        due = min(due, ledger.next_deadline)
    return max(due, underway.look_not_before)


def _expire(ledger: Ledger, now: float, underway: Underway) -> Iterator[DeclareExpired]:
    # Silence is what a look after the deadline has not found: a laptop that slept has looked at nothing meanwhile.
    overdue = ledger.overdue(min(now, underway.looked_at))
    overdue = overdue[~underway.busy[overdue]]
    if underway.looked_at_each and overdue.size:
        looked_at = [underway.looked_at_each.get(request, underway.looked_at) for request in overdue.tolist()]
        overdue = overdue[ledger.deadline(overdue) <= looked_at]
    if overdue.size:
        yield DeclareExpired(overdue)


def _wakes_at(ledger: Ledger, now: float, underway: Underway, again: IntArray) -> float:
    times = [underway.hold_until, _look_is_due(ledger, underway), *_retry_at(ledger, again).tolist()]
    if underway.findings and not underway.recording:
        times.append(underway.found_at + _LONGEST_UNRECORDED)
    return min((time for time in times if time > now), default=float("inf"))
