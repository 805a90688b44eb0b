"""What is known about every request of a job, and how knowing more changes it.

Start here: the rest of the package learns facts and shows what this file makes of them.

A request has one status, and a status changes only when a fact is learned. What follows from a fact is looked up in
:data:`NEXT`, for a million requests at once::

    status[requests] = NEXT[status[requests], fact]

Read a line as "a request that is ... becomes ... when it is learned that ...". A dot is a fact that changes nothing
(it was known, or came too late); an empty place is a fact that cannot be, which is refused with the request's story.

========= ============== ======== ======== ============ ============= =============== ======= ========= =============
is        INPUT_UPLOADED ACCEPTED REFUSED  OUTPUT_FOUND FAILURE_FOUND DEADLINE_PASSED RETRIED CANCELLED INPUT_DELETED
========= ============== ======== ======== ============ ============= =============== ======= ========= =============
planned   uploaded       accepted rejected                                                    cancelled
uploaded  .              accepted rejected                                                    cancelled
accepted                                   completed    failed        expired
completed                                  .            .             .                                 .
failed                                     .            .             .               planned           .
expired                                    completed    failed        .               planned           .
rejected                                                                              planned           .
cancelled                                                                             planned           .
========= ============== ======== ======== ============ ============= =============== ======= ========= =============

Throttling, 5xx, lost credentials and network trouble are no facts about a request, so they have no column.
``expired`` is a presumption, since the service tells nobody that a queued request timed out: a late object wins.

Nothing here does I/O or asks the time. Times are seconds since the epoch, UTC; NaN where something has not happened.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import IntEnum
from typing import Any

import numpy as np

from sm_async_nb.core.columns import BoolArray, FloatArray, IntArray, TextColumn
from sm_async_nb.errors import IllegalFactError


class Status(IntEnum):
    """Where a request stands. ``str(status)`` is the word that tables show."""

    PLANNED = 0
    UPLOADED = 1
    ACCEPTED = 2
    COMPLETED = 3
    FAILED = 4
    EXPIRED = 5
    REJECTED = 6
    CANCELLED = 7

    def __str__(self) -> str:
        return self.name.lower()

    @property
    def is_final(self) -> bool:
        """Whether the request has come to its end, unless it is retried or a late object turns up."""
        return self > Status.ACCEPTED


class Fact(IntEnum):
    """What can be learned about a request, in the order in which it can happen."""

    INPUT_UPLOADED = 0
    ACCEPTED = 1
    REFUSED = 2
    OUTPUT_FOUND = 3
    FAILURE_FOUND = 4
    DEADLINE_PASSED = 5
    RETRIED = 6
    CANCELLED = 7
    INPUT_DELETED = 8


_NO = 255
_S = Status
NEXT = np.full((len(Status), len(Fact)), _NO, dtype=np.uint8)
NEXT[_S.PLANNED, [Fact.INPUT_UPLOADED, Fact.ACCEPTED, Fact.REFUSED]] = [_S.UPLOADED, _S.ACCEPTED, _S.REJECTED]
NEXT[_S.UPLOADED, [Fact.INPUT_UPLOADED, Fact.ACCEPTED, Fact.REFUSED]] = [_S.UPLOADED, _S.ACCEPTED, _S.REJECTED]
NEXT[[_S.PLANNED, _S.UPLOADED], Fact.CANCELLED] = _S.CANCELLED
_ENDINGS = [Fact.OUTPUT_FOUND, Fact.FAILURE_FOUND, Fact.DEADLINE_PASSED]
NEXT[_S.ACCEPTED, _ENDINGS] = [_S.COMPLETED, _S.FAILED, _S.EXPIRED]
NEXT[_S.COMPLETED, _ENDINGS] = _S.COMPLETED
NEXT[_S.FAILED, _ENDINGS] = _S.FAILED
NEXT[_S.EXPIRED, _ENDINGS] = [_S.COMPLETED, _S.FAILED, _S.EXPIRED]
NEXT[[_S.FAILED, _S.EXPIRED, _S.REJECTED, _S.CANCELLED], Fact.RETRIED] = _S.PLANNED
_ENDED = [_S.COMPLETED, _S.FAILED, _S.EXPIRED, _S.REJECTED, _S.CANCELLED]
NEXT[_ENDED, Fact.INPUT_DELETED] = _ENDED
NEXT.setflags(write=False)

# The columns of numbers; what else there is about a request lies in `texts` and `messages`.
COLUMNS = ("status", "attempt", "input_uploaded", "accepted_at", "finished_at", "http_status")

# How many requests `unsent` looks at in one go: large enough for NumPy, small enough to be free.
_WINDOW = 16_384


@dataclass(frozen=True, kw_only=True)
class Learned:
    """One fact about many requests.

    ``at`` is when it happened, one time for all or one each. ``details`` are what came with the fact, a sequence each:
    ``output_location``, ``failure_location``, ``inference_id``, ``request_id`` and ``http_status`` with ACCEPTED;
    ``message``, ``request_id`` and ``http_status`` with REFUSED; ``message`` and ``http_status``, the model's, with
    FAILURE_FOUND where they are known.
    """

    fact: Fact
    requests: IntArray
    at: float | FloatArray
    details: Mapping[str, Sequence[str | None]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """Why the job does not get on, in words, since when, and how many calls have met it."""

    message: str
    since: float
    calls: int


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """What a face shows: how many requests stand where, at one instant. It never changes and costs nothing to keep.

    ``trouble`` is what the job tries to get over by itself; ``paused`` is what it waits to be resumed from.
    ``stopped`` says why nothing more is sent, if something stopped it; ``throttled`` counts the calls that were asked
    to come more slowly.
    """

    revision: int
    at: float
    started_at: float
    counts: tuple[int, ...]
    trouble: Trouble | None = None
    paused: Trouble | None = None
    stopped: str | None = None
    throttled: int = 0
    is_over: bool = False

    def __getitem__(self, status: Status) -> int:
        return self.counts[status]

    @property
    def requests(self) -> int:
        """All of the job's requests."""
        return sum(self.counts)

    @property
    def ended(self) -> int:
        """Those that came to an end, good or bad."""
        return sum(self.counts[status] for status in Status if status.is_final)


class Ledger:
    """The columns, one line a request, and the one way to change them: :meth:`apply`.

    Parameters
    ----------
    length
        How many requests there are.
    allowance
        Seconds from acceptance until silence is taken for expiry, one for all or one for each:
        ``request_ttl_seconds + invocation_timeout_seconds`` and some grace.
    """

    def __init__(self, length: int, *, allowance: float | FloatArray) -> None:
        self.status = np.zeros(length, dtype=np.uint8)
        self.attempt = np.zeros(length, dtype=np.uint16)
        self.input_uploaded = np.zeros(length, dtype=np.bool_)
        self.accepted_at = np.full(length, np.nan)
        self.finished_at = np.full(length, np.nan)
        self.http_status = np.zeros(length, dtype=np.uint16)
        self.allowance = np.asarray(allowance, dtype=np.float64)
        self.texts = {
            name: TextColumn(length) for name in ("output_location", "failure_location", "inference_id", "request_id")
        }
        # Few requests fail, so what was said about them is kept by request and not by column.
        self.messages: dict[int, str] = {}
        self.revision = 0
        self._counts = np.bincount(self.status, minlength=len(Status))
        self._first_unsent = 0
        self._next_deadline = np.inf

    def __len__(self) -> int:
        return len(self.status)

    def __repr__(self) -> str:
        stands = ", ".join(f"{self._counts[status]} {status}" for status in Status if self._counts[status])
        return f"<Ledger of {len(self)} requests: {stands or 'none'}>"

    @property
    def counts(self) -> tuple[int, ...]:
        """How many requests have each status, in the order of :class:`Status`."""
        return tuple(self._counts.tolist())

    @property
    def is_finished(self) -> bool:
        """Whether every request has come to an end."""
        return not self._counts[: Status.ACCEPTED + 1].any()

    def recount(self) -> None:
        """Make the counts agree with the columns, for those who have put whole columns in."""
        self._counts = np.bincount(self.status, minlength=len(Status))
        self._first_unsent = 0
        self._next_deadline = -np.inf
        self.revision += 1

    def view(self, numbers: IntArray, *, allowance: float | FloatArray) -> Ledger:
        """A ledger of these requests only, in this order."""
        chosen = Ledger(len(numbers), allowance=allowance)
        for name in COLUMNS:
            setattr(chosen, name, getattr(self, name)[numbers])
        chosen.texts = {name: column.view(numbers) for name, column in self.texts.items()}
        places = {number: place for place, number in enumerate(numbers.tolist())} if self.messages else {}
        chosen.messages = {places[number]: text for number, text in self.messages.items() if number in places}
        chosen.recount()
        return chosen

    def apply(self, learned: Learned) -> None:
        """Take in one fact about some requests.

        Raises
        ------
        IllegalFactError
            If it cannot follow from what is known about one of them; nothing is changed then.
        """
        requests = np.asarray(learned.requests, dtype=np.int64)
        before = self.status[requests]
        after = NEXT[before, learned.fact]
        self._refuse_what_cannot_be(learned.fact, requests, after)
        self.status[requests] = after
        self._counts += np.bincount(after, minlength=len(Status)) - np.bincount(before, minlength=len(Status))
        self.revision += 1
        self._remember(learned, requests, after != before)

    def check(self, batch: Sequence[Learned]) -> None:
        """Make sure that these facts can be applied one after the other, and change nothing.

        A fact is written to the journal before it is applied, and a journal that cannot be read again is worse than
        an error now.

        Raises
        ------
        IllegalFactError
            As :meth:`apply` would.
        """
        touched = np.sort(np.concatenate([np.empty(0, dtype=np.int64), *(learned.requests for learned in batch)]))
        touched = touched[np.diff(touched, prepend=-1) > 0]  # for a few hundred a third of what np.unique takes
        status = self.status[touched]
        for learned in batch:
            places = np.searchsorted(touched, learned.requests)
            after = NEXT[status[places], learned.fact]
            self._refuse_what_cannot_be(learned.fact, learned.requests, after)
            status[places] = after

    def may_learn(self, fact: Fact, requests: IntArray) -> BoolArray:
        """Of which of these the fact can be, as far as is known."""
        return np.asarray(NEXT[self.status[requests], fact] != _NO)

    def where(self, *statuses: Status) -> IntArray:
        """The requests that have one of these statuses, in order."""
        return np.flatnonzero(np.isin(self.status, statuses))

    def unsent(self, busy: BoolArray, limit: int) -> IntArray:
        """The first ``limit`` requests that were not accepted, refused or cancelled, and are not ``busy``."""
        found: list[IntArray] = []
        start = self._first_unsent = self._skip_sent(self._first_unsent)
        while start < len(self) and limit > 0:
            window = slice(start, start + _WINDOW)
            hits = np.flatnonzero((self.status[window] < Status.ACCEPTED) & ~busy[window])[:limit] + start
            found.append(hits)
            limit -= len(hits)
            start += _WINDOW
        return np.concatenate(found) if found else np.empty(0, dtype=np.int64)

    def overdue(self, now: float) -> IntArray:
        """The accepted requests whose allowance has run out."""
        if now < self._next_deadline:
            return np.empty(0, dtype=np.int64)
        waiting = self.where(Status.ACCEPTED)
        deadlines = self.deadline(waiting)
        self._next_deadline = deadlines.min(initial=np.inf)
        return waiting[deadlines <= now]

    def deadline(self, requests: IntArray) -> FloatArray:
        """When silence about these requests becomes expiry; NaN for those that were never accepted."""
        allowance = self.allowance if self.allowance.ndim == 0 else self.allowance[requests]
        return np.asarray(self.accepted_at[requests] + allowance, dtype=np.float64)

    @property
    def next_deadline(self) -> float:
        """No accepted request is overdue before this time; infinite when none waits."""
        return float(self._next_deadline)

    def story(self, request: int) -> str:
        """What is known about one request, in a sentence, for messages about defects."""
        told = [f"request {request}, attempt {self.attempt[request] + 1}, is {Status(self.status[request])}"]
        for name, times in (("accepted", self.accepted_at), ("ended", self.finished_at)):
            if not np.isnan(times[request]):
                told.append(f"{name} {datetime.fromtimestamp(times[request], UTC).isoformat(timespec='milliseconds')}")
        told += [f"{name} {column[request]}" for name, column in self.texts.items() if column[request]]
        return ", ".join(told)

    def _refuse_what_cannot_be(self, fact: Fact, requests: IntArray, after: Any) -> None:
        illegal = np.flatnonzero(after == _NO)
        if illegal.size:
            story = self.story(int(requests[illegal[0]]))
            others = f" ({illegal.size - 1} more like it)" if illegal.size > 1 else ""
            raise IllegalFactError(f"{fact.name} cannot be: {story}{others}. Nothing was changed.")
        if _has_duplicates(requests):
            raise IllegalFactError(f"{fact.name} names a request twice in one batch. Nothing was changed.")

    def _remember(self, learned: Learned, requests: IntArray, moved: BoolArray) -> None:
        at = np.broadcast_to(np.asarray(learned.at, dtype=np.float64), requests.shape)[moved]
        moved_requests = requests[moved]
        if learned.fact == Fact.INPUT_UPLOADED:
            self.input_uploaded[moved_requests] = True
        elif learned.fact == Fact.ACCEPTED:
            self.accepted_at[moved_requests] = at
            self._next_deadline = min(self._next_deadline, self.deadline(moved_requests).min(initial=np.inf))
        elif learned.fact == Fact.RETRIED:
            self._start_again(moved_requests)
        elif learned.fact == Fact.INPUT_DELETED:
            self.input_uploaded[requests] = False
        else:
            self.finished_at[moved_requests] = at
        self._keep_details(learned.details, moved_requests, moved)

    def _keep_details(self, details: Mapping[str, Sequence[str | None]], requests: IntArray, moved: BoolArray) -> None:
        for name, values in details.items():
            kept = values if moved.all() else [value for value, keep in zip(values, moved, strict=True) if keep]
            if name == "message":
                self.messages.update((int(r), text) for r, text in zip(requests, kept, strict=True) if text)
            elif name == "http_status":
                told = np.array([int(status or 0) for status in kept], dtype=np.uint16)
                self.http_status[requests] = np.where(told, told, self.http_status[requests])
            else:
                self.texts[name].put(requests, kept)

    def _start_again(self, requests: IntArray) -> None:
        self.attempt[requests] += 1
        self.accepted_at[requests] = np.nan
        self.finished_at[requests] = np.nan
        self.http_status[requests] = 0
        for column in self.texts.values():
            column.clear(requests)
        for request in requests.tolist():
            self.messages.pop(request, None)
        self._first_unsent = min(self._first_unsent, int(requests.min(initial=len(self))))

    def _skip_sent(self, start: int) -> int:
        """The first request from ``start`` on that was not sent; the cursor that keeps `unsent` from O(n)."""
        while start < len(self):
            unsent = np.flatnonzero(self.status[start : start + _WINDOW] < Status.ACCEPTED)
            if unsent.size:
                return start + int(unsent[0])
            start += _WINDOW
        return len(self)


def _has_duplicates(requests: IntArray) -> bool:
    # Nearly every batch comes in ascending order, which is far cheaper to see than to sort.
    if (np.diff(requests) > 0).all():
        return False
    return np.unique(requests).size != requests.size
