"""A job that is run again with other rows: what was answered stays, what is new is sent, and nothing is forgotten."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sm_async_nb.core.continuation import OldSlots, continue_with
from sm_async_nb.core.fingerprint import fingerprints_of
from sm_async_nb.core.ledger import Status
from sm_async_nb.core.packing import pack
from sm_async_nb.core.terms import Terms

S = Status
COMPLETED, ACCEPTED, UPLOADED, PLANNED = S.COMPLETED, S.ACCEPTED, S.UPLOADED, S.PLANNED
FAILED, EXPIRED, REJECTED, CANCELLED = S.FAILED, S.EXPIRED, S.REJECTED, S.CANCELLED
SINGLE = Terms()
PAIRS = Terms(rows_per_request=2)


def marks(rows):
    """A letter stands for what a row sends."""
    return fingerprints_of([row.encode() for row in rows])


def letters(fingerprints, known="abcdefghijklmnopqrstuvwxyz"):
    names = {fingerprint.tobytes(): letter for fingerprint, letter in zip(marks(known), known, strict=True)}
    return "".join(names[fingerprint.tobytes()] for fingerprint in fingerprints)


def old_slots(requests, status, *, in_view=None, slot_of_row=None):
    """Slots of requests written as texts: ``["ab", "c"]`` is a request for rows a and b, and one for c."""
    numbers = np.repeat(np.arange(len(requests)), [len(request) for request in requests])
    return OldSlots(
        numbers=numbers,
        fingerprints=marks("".join(requests)),
        payload_bytes=numbers + 100,
        in_view=len(numbers) if in_view is None else in_view,
        status=np.array(status, dtype=np.uint8),
        slot_of_row=None if slot_of_row is None else np.array(slot_of_row),
    )


def answered_by(continued):
    """The number of the request that answers each row."""
    rows = np.arange(len(continued.packing.slot_of_row))
    return continued.numbers[continued.packing.request_of(rows)].tolist()


# Which request answers which row


def test_the_same_frame_is_the_same_revision():
    """Running the cell again costs nothing, and no object is written."""
    old = old_slots(["a", "b", "c"], [COMPLETED, ACCEPTED, PLANNED], slot_of_row=[0, 1, 2])
    continued = continue_with(old, marks("abc"), SINGLE)

    assert (True, 0, [0, 1, 2]) == (continued.is_same, continued.rows_sent, answered_by(continued))
    assert continued.payload_bytes.tolist() == [100, 101, 102]


def test_new_rows_get_new_numbers_and_old_ones_keep_theirs():
    """Wherever in the frame they are; a row that is gone leaves the view and not the memory."""
    continued = continue_with(old_slots(["a", "b", "c"], [COMPLETED] * 3), marks("xcya"), SINGLE)

    assert [3, 2, 4, 0] == answered_by(continued) == continued.numbers.tolist()
    assert continued.is_new.tolist() == [True, False, True, False]
    assert continued.payload_bytes.tolist() == [-1, 102, -1, 100]
    assert (continued.slot_numbers.tolist(), letters(continued.slot_fingerprints)) == ([3, 2, 4, 0, 1], "xcyab")
    assert (continued.in_view, continued.is_same, continued.rows_sent) == (4, False, 2)


def test_rows_in_another_order_are_another_revision_and_nothing_is_sent():
    """The view is in the order of the rows, so that tables and parts of results are too."""
    old = old_slots(["a", "b"], [COMPLETED, PLANNED], slot_of_row=[0, 1])
    continued = continue_with(old, marks("ba"), SINGLE)

    assert ([1, 0], 0, False) == (answered_by(continued), continued.rows_sent, continued.is_same)


def test_rows_within_a_request_in_another_order_are_another_revision():
    """The request is the same, and each row finds its own answer in it."""
    old = old_slots(["ab"], [ACCEPTED], slot_of_row=[0, 1])
    continued = continue_with(old, marks("ba"), PAIRS)

    assert (continued.packing.slot_of_row.tolist(), continued.rows_sent, continued.is_same) == ([1, 0], 0, False)


@pytest.mark.parametrize(
    ("better", "worse"),
    [(COMPLETED, ACCEPTED), (ACCEPTED, UPLOADED), (ACCEPTED, PLANNED)]
    + [(PLANNED, bad) for bad in (FAILED, EXPIRED, REJECTED, CANCELLED)]
    + [(UPLOADED, bad) for bad in (FAILED, EXPIRED, REJECTED, CANCELLED)],
)
@pytest.mark.parametrize("order", [1, -1])
def test_the_slot_that_is_nearest_to_an_answer_is_taken(better, worse, order):
    """Of two that would send the same, whichever comes first."""
    statuses = [better, worse][::order]
    continued = continue_with(old_slots(["a", "a"], statuses), marks("a"), SINGLE)

    assert [statuses.index(better)] == answered_by(continued)


def test_of_two_that_are_alike_the_one_in_view_is_taken():
    """Or the view would change back and forth for nothing."""
    continued = continue_with(old_slots(["b", "a", "a"], [COMPLETED] * 3, in_view=2), marks("ba"), SINGLE)

    assert [0, 1] == answered_by(continued)


def test_a_row_that_comes_back_finds_its_answer_in_the_history():
    """Filtering a frame for a while costs nothing."""
    continued = continue_with(old_slots(["a", "b"], [COMPLETED, COMPLETED], in_view=1), marks("ab"), SINGLE)

    assert ([0, 1], 0) == (answered_by(continued), continued.rows_sent)


def test_equal_rows_have_a_slot_each():
    """The third of three is new if there were two."""
    continued = continue_with(old_slots(["a", "a"], [COMPLETED, PLANNED]), marks("aaa"), SINGLE)

    assert [0, 1, 2] == answered_by(continued)


def test_equal_rows_share_a_slot_when_the_same_is_sent_once():
    """The best there is."""
    old = old_slots(["a", "a"], [FAILED, COMPLETED])
    continued = continue_with(old, marks("abab"), Terms(deduplicate=True))

    assert [1, 2, 1, 2] == answered_by(continued)
    assert (len(continued.packing), continued.packing.slots.tolist()) == (2, [0, 1])


# What is sent again


@pytest.mark.parametrize(("retry_failed", "again"), [(False, [3]), (True, [0, 1, 2, 3])])
def test_failures_stay_where_they_are_unless_they_are_retried(retry_failed, again):
    """What was cancelled was not sent, and running the cell again means to send it."""
    old = old_slots(["a", "b", "c", "d", "e"], [FAILED, EXPIRED, REJECTED, CANCELLED, COMPLETED])
    continued = continue_with(old, marks("abcde"), SINGLE, retry_failed=retry_failed)

    assert ([0, 1, 2, 3, 4], again) == (answered_by(continued), continued.again.tolist())


def test_a_request_that_is_not_completed_is_kept_with_all_its_rows_or_not_at_all():
    """What is left of it would be another payload under the same name."""
    continued = continue_with(old_slots(["ab", "cd"], [ACCEPTED, ACCEPTED]), marks("acd"), PAIRS)

    assert ([2, 1, 1], [2, 1]) == (answered_by(continued), continued.numbers.tolist())
    assert letters(continued.slot_fingerprints) == "acdab"


def test_a_completed_request_answers_those_of_its_rows_that_are_left():
    """In the place of the others stands a row of the same request, whose fields it shares; nothing is made of it."""
    continued = continue_with(old_slots(["ab", "cd"], [COMPLETED, COMPLETED]), marks("xdb"), PAIRS)

    assert [2, 1, 0] == answered_by(continued)
    assert ([0, 1, 1, 2, 2], [0, 2, 4]) == (continued.packing.slots.tolist(), continued.packing.slot_of_row.tolist())
    assert letters(continued.slot_fingerprints) == "xcdab"


def test_a_request_that_misses_a_row_leaves_its_others_to_a_request_that_misses_none():
    """Two requests have row a; the first of them cannot be kept, so the second has it."""
    continued = continue_with(old_slots(["ab", "ac"], [ACCEPTED, ACCEPTED]), marks("ac"), PAIRS)

    assert ([1, 1], 0) == (answered_by(continued), continued.rows_sent)


def test_new_rows_are_packed_among_themselves():
    """As many to a request as the terms say."""
    continued = continue_with(old_slots(["ab"], [COMPLETED]), marks("xaybz"), PAIRS)

    assert [1, 0, 1, 0, 2] == answered_by(continued)
    assert np.diff(continued.packing.bounds).tolist() == [2, 2, 1]


def test_whoever_knows_how_large_rows_are_packs_them():
    """By size, for example; the packing is in places of the rows that are given."""
    given = []

    def alone(rows):
        given.append(rows.tolist())
        return pack(len(rows))

    continued = continue_with(old_slots(["a"], [COMPLETED]), marks("xay"), PAIRS, pack_new=alone)

    assert ([[0, 2]], [1, 0, 2]) == (given, answered_by(continued))
    with pytest.raises(ValueError, match="pack_new"):
        continue_with(old_slots(["a"], [COMPLETED]), marks("xay"), Terms(max_payload_bytes=100))


@pytest.mark.parametrize(("requests", "rows"), [([], "ab"), (["a", "b"], ""), ([], "")], ids=["new", "gone", "none"])
def test_a_job_may_begin_and_end_with_nothing(requests, rows):
    """An empty frame is a frame."""
    continued = continue_with(old_slots(requests, [COMPLETED] * len(requests)), marks(rows), SINGLE)

    assert (len(rows), len(requests) + len(rows)) == (len(continued.packing), len(continued.slot_numbers))


def test_sizes_of_new_requests_are_filled_in_for_the_slots():
    """What is written down for the next time."""
    continued = continue_with(old_slots(["ab", "c"], [COMPLETED, COMPLETED]), marks("abxy"), PAIRS)

    assert continued.sized(np.array([100, 7])).tolist() == [100, 100, 7, 7, 101]


# A job's life


@dataclass
class Life:
    """A job that is run again and again; ``sent`` counts how often each row was sent to its good end."""

    terms: Terms
    old: OldSlots = field(default_factory=lambda: old_slots([], []))
    sent: Counter = field(default_factory=Counter)

    def run(self, rows, outcomes, *, retry_failed):
        before = self.old
        seen = {(int(n), mark.tobytes()) for n, mark in zip(before.numbers, before.fingerprints, strict=True)}
        continued = continue_with(before, marks(rows), self.terms, retry_failed=retry_failed)
        self.check(continued, rows, seen)
        status = np.append(before.status, np.zeros(int(continued.is_new.sum()), dtype=np.uint8))
        status[continued.again] = PLANNED
        for number in continued.numbers.tolist():
            if not Status(status[number]).is_final:
                status[number] = outcomes.draw(st.sampled_from(Status))
                if status[number] == COMPLETED:
                    self.sent.update(letters(continued.slot_fingerprints[continued.slot_numbers == number]))
        self.old = OldSlots(
            numbers=continued.slot_numbers,
            fingerprints=continued.slot_fingerprints,
            payload_bytes=continued.sized(np.zeros(len(continued.packing), dtype=np.int64)),
            in_view=continued.in_view,
            status=status,
            slot_of_row=continued.packing.slot_of_row,
        )
        return continued

    def check(self, continued, rows, seen):
        packing = continued.packing
        told = list(zip(continued.slot_numbers.tolist(), continued.slot_fingerprints, strict=True))
        assert letters(continued.slot_fingerprints[packing.slot_of_row]) == rows, "a slot answers its row"
        assert len(set(continued.numbers.tolist())) == len(packing), "a request is there once"
        assert seen <= {(number, fingerprint.tobytes()) for number, fingerprint in told}, "nothing is forgotten"
        assert (
            np.repeat(continued.numbers, np.diff(packing.bounds)) == continued.slot_numbers[: len(packing.slots)]
        ).all()
        if not self.terms.deduplicate:
            assert len(set(packing.slot_of_row.tolist())) == len(rows), "no two rows share a slot"
        self.check_nothing_finished_is_sent(continued, rows)

    def check_nothing_finished_is_sent(self, continued, rows):
        numbers = continued.numbers[continued.packing.request_of(np.arange(len(rows)))]
        is_completed = np.append(self.old.status, np.zeros(len(continued.numbers), dtype=np.uint8)) == COMPLETED
        done = Counter(row for row, number in zip(rows, numbers.tolist(), strict=True) if is_completed[number])
        for row, count in Counter(rows).items():
            had = self.sent[row] if not self.terms.deduplicate else count * (self.sent[row] > 0)
            assert done[row] == min(count, had), (
                f"{row} has {had} answers and {count} rows, of which {done[row]} use one"
            )


@given(
    st.data(),
    st.lists(st.text("abcdef", max_size=8), min_size=1, max_size=6),
    st.sampled_from([SINGLE, PAIRS, Terms(rows_per_request=3), Terms(deduplicate=True)]),
    st.booleans(),
)
def test_whatever_is_done_to_a_frame_what_was_answered_is_never_sent_again(data, frames, terms, retry_failed):
    """Rows are added, dropped, changed, moved and repeated, from revision to revision."""
    life = Life(terms)
    for rows in frames:
        life.run(rows, data, retry_failed=retry_failed)
    again = life.run(frames[-1], data, retry_failed=False)

    assert again.rows_sent == 0 or terms.packed
