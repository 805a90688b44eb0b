"""Running a job again with other rows: which of them are answered already, or will be, and which are sent.

A job has answered, or tried to answer, its **old slots**; the rows of a new frame are matched with them by
:mod:`fingerprint <sm_async_nb.core.fingerprint>`. A request keeps its number for ever, so what is kept goes on where it
was, and what is new gets numbers behind all others. Requests that answer none of the new rows are not forgotten: a row
that comes back later finds them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sm_async_nb.core.columns import BoolArray, IntArray
from sm_async_nb.core.fingerprint import Fingerprints, grouped
from sm_async_nb.core.ledger import Status
from sm_async_nb.core.packing import Packing, pack
from sm_async_nb.core.terms import Terms

# The smaller, the better a slot answers a row.
_RANK = np.zeros(len(Status), dtype=np.int64)
_RANK[Status.ACCEPTED] = 1
_RANK[[Status.UPLOADED, Status.PLANNED]] = 2
_RANK[[Status.EXPIRED, Status.FAILED, Status.REJECTED, Status.CANCELLED]] = 3
_RANK.setflags(write=False)
_RANKS = 4

_NOBODY = -1

PackNew = Callable[[IntArray], Packing]


@dataclass(frozen=True, kw_only=True)
class OldSlots:
    """The places in requests that a job has had rows for, one line each.

    Parameters
    ----------
    numbers, fingerprints, payload_bytes
        Of each slot: its request, what it sends, and how many bytes its request has.
    in_view
        So many of them, the first, are those of the newest revision; the others are history. Slots of one request
        are together.
    status
        :class:`~sm_async_nb.core.ledger.Status` by request number; as long as the next number.
    slot_of_row
        Which slots the rows of the newest revision have; without it a revision is never the same.
    """

    numbers: IntArray
    fingerprints: Fingerprints
    payload_bytes: IntArray
    in_view: int
    status: npt.NDArray[np.uint8]
    slot_of_row: IntArray | None = None


@dataclass(frozen=True, kw_only=True)
class Continued:
    """A revision: which request answers which row, and what is to do about it.

    Parameters
    ----------
    packing
        Rows in slots, slots in requests. A slot whose row is gone has another row of its request; it is finished.
    numbers, is_new
        Of each request of ``packing``: its number for ever, and whether it is new.
    payload_bytes
        Of each request; -1 where it is new.
    again
        The numbers of the requests that are to be retried.
    slot_numbers, slot_fingerprints, slot_payload_bytes
        Of each slot ever sent, those of ``packing`` first: the next revision's :class:`OldSlots`.
    is_same
        Whether this is the revision before, so that none has to be written.
    """

    packing: Packing
    numbers: IntArray
    is_new: BoolArray
    payload_bytes: IntArray
    again: IntArray
    slot_numbers: IntArray
    slot_fingerprints: Fingerprints
    slot_payload_bytes: IntArray
    is_same: bool

    @property
    def in_view(self) -> int:
        """How many slots the packing has."""
        return len(self.packing.slots)

    @property
    def rows_sent(self) -> int:
        """How many rows get a new request."""
        new_slots = np.repeat(self.is_new, np.diff(self.packing.bounds))
        return int(new_slots[self.packing.slot_of_row].sum())

    def sized(self, payload_bytes: IntArray) -> IntArray:
        """``slot_payload_bytes``, now that those of the new requests are known."""
        mine = np.repeat(payload_bytes, np.diff(self.packing.bounds))
        return np.concatenate([mine, self.slot_payload_bytes[self.in_view :]])


def continue_with(
    old: OldSlots,
    fingerprints: Fingerprints,
    terms: Terms,
    *,
    retry_failed: bool = False,
    pack_new: PackNew | None = None,
) -> Continued:
    """Match the rows of a frame with what was sent before, and pack the others.

    The k-th row with a fingerprint has the k-th slot with it, or, where equal rows are sent once, all have the best. A
    completed slot is better than an accepted one, that than one which is not sent yet, and that than one that failed.
    A request of several rows that is not completed is kept with all its rows or not at all, since what is left of it
    would be another request.

    Parameters
    ----------
    old, fingerprints
        What was sent, and what each row of the frame has to send.
    terms
        How rows become requests.
    retry_failed
        Whether failed, expired and rejected requests are sent again. Cancelled ones always are.
    pack_new
        How new rows, given by position, become requests: a packing of positions in what it is given. By default they
        are packed by number alone.
    """
    codes, _ = grouped(np.concatenate([old.fingerprints, fingerprints]))
    old_codes, codes = codes[: len(old.numbers)], codes[len(old.numbers) :]
    asking = np.sort(np.unique(codes, return_index=True)[1]) if terms.deduplicate else np.arange(len(codes))
    row_of_slot, left = _matched(old, old_codes, asking, codes[asking])
    packed = (pack_new or _by_number(terms))(left)
    view = _view(old, fingerprints, row_of_slot, left, packed)
    slot_of_row = view.slot_of_row(len(codes))
    if terms.deduplicate:
        slot_of_code = np.zeros(int(codes.max(initial=-1)) + 1, dtype=np.int64)
        slot_of_code[codes[asking]] = slot_of_row[asking]
        slot_of_row = slot_of_code[codes]
    return _continued(old, view, slot_of_row, retry_failed=retry_failed)


# Which old slot answers which row


def _matched(old: OldSlots, old_codes: IntArray, asking: IntArray, codes: IntArray) -> tuple[IntArray, IntArray]:
    """The row that each old slot answers, or nobody; and the rows that none does."""
    chosen = _chosen(old, old_codes, codes)
    slots = np.flatnonzero(chosen)
    slots = slots[np.argsort(old_codes[slots], kind="stable")]
    by_code = np.argsort(codes, kind="stable")
    answered = np.bincount(old_codes[slots], minlength=_length(old_codes, codes))[codes[by_code]]
    has_one = _place_among_equals(codes[by_code]) < answered
    row_of_slot = np.full(len(old.numbers), _NOBODY)
    row_of_slot[slots] = asking[by_code[has_one]]  # both are in the order of their fingerprints, then of their places
    return row_of_slot, np.sort(asking[by_code[~has_one]])


def _chosen(old: OldSlots, old_codes: IntArray, codes: IntArray) -> BoolArray:
    """Which old slots are wanted: the best with each fingerprint, as many as there are rows with it."""
    wanted = np.bincount(codes, minlength=_length(old_codes, codes))
    status = old.status[old.numbers]
    all_or_none = status != Status.COMPLETED
    is_history = np.arange(len(old.numbers)) >= old.in_view
    order = np.argsort((old_codes * _RANKS + _RANK[status]) * 2 + is_history, kind="stable")
    given_up = _of_requests(old, all_or_none & (wanted[old_codes] == 0))
    while True:
        order = order[~given_up[order]]
        chosen = np.zeros(len(old.numbers), dtype=np.bool_)
        chosen[order] = _place_among_equals(old_codes[order]) < wanted[old_codes[order]]
        # A request that misses a row is given up as a whole, and then another may have the rows that it had.
        given_up = _of_requests(old, all_or_none & ~chosen)
        if not (given_up & chosen).any():
            return chosen


def _of_requests(old: OldSlots, slots: BoolArray) -> BoolArray:
    """All slots of the requests that have one of these."""
    requests = np.zeros(len(old.status), dtype=np.bool_)
    requests[old.numbers[slots]] = True
    return requests[old.numbers]


def _place_among_equals(codes: IntArray) -> IntArray:
    """0, 1, 2, ... within each run of equal codes."""
    starts = np.flatnonzero(np.diff(codes, prepend=-1))
    lengths = np.diff(np.append(starts, len(codes)))
    return np.arange(len(codes)) - np.repeat(starts, lengths)


def _length(*codes: IntArray) -> int:
    return max((int(some.max(initial=-1)) + 1 for some in codes), default=0)


def _by_number(terms: Terms) -> PackNew:
    if terms.max_payload_bytes is not None:
        raise ValueError("max_payload_bytes: only pack_new knows how large rows are")
    return lambda rows: pack(len(rows), rows_per_request=terms.rows_at_most)


# The new revision


@dataclass(frozen=True, kw_only=True)
class _View:
    """The slots of a revision, request by request; ``rows`` has nobody where the row is gone."""

    numbers: IntArray
    rows: IntArray
    stand_ins: IntArray
    fingerprints: Fingerprints
    payload_bytes: IntArray
    history: IntArray

    def slot_of_row(self, rows: int) -> IntArray:
        found = np.zeros(rows, dtype=np.int64)
        present = np.flatnonzero(self.rows != _NOBODY)
        found[self.rows[present]] = present
        return found

    @property
    def bounds(self) -> IntArray:
        starts = np.flatnonzero(np.diff(self.numbers, prepend=-1))
        return np.append(starts, len(self.numbers))


def _view(old: OldSlots, fingerprints: Fingerprints, row_of_slot: IntArray, left: IntArray, packed: Packing) -> _View:
    """What is kept and what is new, in the order of each request's first row."""
    next_number = len(old.status)
    is_kept = np.zeros(next_number, dtype=np.bool_)
    is_kept[old.numbers[row_of_slot != _NOBODY]] = True
    kept, history = np.flatnonzero(is_kept[old.numbers]), np.flatnonzero(~is_kept[old.numbers])
    new = left[packed.slots]
    new_numbers = np.repeat(np.arange(next_number, next_number + len(packed)), np.diff(packed.bounds))
    numbers = np.concatenate([old.numbers[kept], new_numbers])
    rows = np.concatenate([row_of_slot[kept], new])
    first = np.full(next_number + len(packed), len(fingerprints))
    np.minimum.at(first, numbers[rows != _NOBODY], rows[rows != _NOBODY])
    order = np.argsort(first[numbers], kind="stable")
    return _View(
        numbers=numbers[order],
        rows=rows[order],
        stand_ins=np.where(rows == _NOBODY, first[numbers], rows)[order],
        fingerprints=np.concatenate([old.fingerprints[kept], fingerprints[new]])[order],
        payload_bytes=np.concatenate([old.payload_bytes[kept], np.full(len(new), -1)])[order],
        history=history,
    )


def _continued(old: OldSlots, view: _View, slot_of_row: IntArray, *, retry_failed: bool) -> Continued:
    bounds = view.bounds
    numbers = view.numbers[bounds[:-1]]
    is_new = numbers >= len(old.status)
    status = old.status[numbers[~is_new]]
    again = status == Status.CANCELLED
    if retry_failed:
        again |= np.isin(status, [Status.FAILED, Status.EXPIRED, Status.REJECTED])
    return Continued(
        packing=Packing(view.stand_ins, slot_of_row, bounds),
        numbers=numbers,
        is_new=is_new,
        payload_bytes=view.payload_bytes[bounds[:-1]],
        again=np.sort(numbers[~is_new][again]),
        slot_numbers=np.concatenate([view.numbers, old.numbers[view.history]]),
        slot_fingerprints=np.concatenate([view.fingerprints, old.fingerprints[view.history]]),
        slot_payload_bytes=np.concatenate([view.payload_bytes, old.payload_bytes[view.history]]),
        is_same=(
            old.slot_of_row is not None
            and np.array_equal(view.numbers, old.numbers[: old.in_view])
            and np.array_equal(slot_of_row, old.slot_of_row)
        ),
    )
