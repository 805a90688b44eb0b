"""Slots: which row of which request was ever sent, kept so that a row that comes back finds its answer."""

from __future__ import annotations

import io

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sm_async_nb.core.packing import pack
from sm_async_nb.errors import RequestError
from sm_async_nb.job.slots import Slots, slots_from_parquet, to_parquet


def prints(*texts):
    """Fingerprints that begin with these bytes and go on with NULs, which must count."""
    return np.array([text.ljust(16, b"\0") for text in texts], dtype="V16")


def slots_of(numbers, in_view=None, fingerprints=None, sizes=None):
    return Slots(
        numbers=np.array(numbers, dtype=np.int64),
        fingerprints=prints(*([b"p"] * len(numbers))) if fingerprints is None else fingerprints,
        payload_bytes=np.array(sizes or [0] * len(numbers), dtype=np.int64),
        in_view=len(numbers) if in_view is None else in_view,
    )


@given(
    st.lists(st.tuples(st.integers(0, 2**40), st.binary(min_size=16, max_size=16), st.integers(0, 10**9))), st.data()
)
def test_slots_are_read_as_they_were_written(lines, data):
    """Every number, fingerprint and size, and where the view ends."""
    numbers, fingerprints, sizes = zip(*lines, strict=True) if lines else ((), (), ())
    written = slots_of(numbers, data.draw(st.integers(0, len(lines))), np.array(fingerprints, dtype="V16"), sizes)
    read = slots_from_parquet(to_parquet(written))

    assert (list(numbers), list(sizes)) == (read.numbers.tolist(), read.payload_bytes.tolist())
    assert [*fingerprints] == [one.tobytes() for one in read.fingerprints]
    assert (written.in_view, np.dtype("V16")) == (read.in_view, read.fingerprints.dtype)


@given(st.integers(1, 30), st.integers(1, 5), st.lists(st.integers(0, 9), min_size=1, max_size=30))
def test_the_packing_of_a_view_is_the_one_it_was_made_of(first, rows_per_request, cells):
    """With rows that share a slot, and requests of several rows."""
    same_as = np.array([cells.index(cell) for cell in cells], dtype=np.int64)
    packing = pack(len(cells), rows_per_request=rows_per_request, same_as=same_as)
    numbers = np.repeat(np.arange(len(packing)) + first, np.diff(packing.bounds))
    again = slots_of(numbers).packing(packing.slot_of_row)

    assert packing.slots.tolist() == again.slots.tolist()
    assert packing.slot_of_row.tolist() == again.slot_of_row.tolist()
    assert packing.bounds.tolist() == again.bounds.tolist()


@pytest.mark.parametrize(
    ("numbers", "in_view", "requests", "bounds"),
    [
        ([], 0, [], [0]),
        ([4], 0, [], [0]),
        ([4], 1, [4], [0, 1]),
        ([0, 1, 2], 3, [0, 1, 2], [0, 1, 2, 3]),
        ([7, 7, 2, 9, 9, 9], 6, [7, 2, 9], [0, 2, 3, 6]),
        ([7, 7, 2, 9, 9, 9], 4, [7, 2, 9], [0, 2, 3, 4]),
        ([7, 7, 7], 2, [7], [0, 2]),
    ],
    ids=["nothing", "history only", "one", "plain", "packed", "cut in a request", "the rest is history"],
)
def test_the_requests_of_a_view_are_runs_of_one_number(numbers, in_view, requests, bounds):
    """History does not count, even that of the same request."""
    slots = slots_of(numbers, in_view)

    assert (requests, bounds) == (slots.view_numbers.tolist(), slots.bounds.tolist())


def test_each_request_of_the_view_has_its_size():
    """So that none has to be made to know what it would be sent as."""
    slots = slots_of([7, 7, 2, 5], in_view=3, sizes=[10, 10, 20, 30])

    assert [10, 20] == slots.view_payload_bytes.tolist()


def test_fingerprints_of_the_view_are_those_of_its_slots():
    """History has others."""
    slots = slots_of([1, 2, 3], in_view=2, fingerprints=prints(b"a", b"b", b"c"))

    assert prints(b"a", b"b").tobytes() == slots.view_fingerprints.tobytes()


def test_a_slot_that_no_row_asks_for_names_row_0():
    """It has been answered; its place in the request stays, so that the answers of its neighbours are found."""
    packing = slots_of([4, 4, 4]).packing(np.array([2, 0]))

    assert [1, 0, 0] == packing.slots.tolist()
    assert [0, 0] == packing.request_of(np.arange(2)).tolist()


def test_of_several_rows_with_one_slot_the_first_is_sent():
    """As when they were packed."""
    assert [1, 0] == slots_of([0, 1]).packing(np.array([1, 0, 0, 1])).slots.tolist()


def test_a_frame_of_no_rows_asks_for_no_slot():
    """All that was sent is history."""
    packing = slots_of([4, 5], in_view=0).packing(np.array([], dtype=np.int64))

    assert (0, [], []) == (len(packing), packing.slots.tolist(), packing.slot_of_row.tolist())


@pytest.mark.parametrize(("numbers", "expected"), [([], 0), ([0], 1), ([3, 9, 1], 10)])
def test_the_next_number_is_one_that_was_never_given(numbers, expected):
    """History counts."""
    assert expected == slots_of(numbers, in_view=0).next_number


# The file


def test_anybody_can_read_the_file():
    """Plain Parquet: a line for each slot, the view first."""
    table = pq.read_table(io.BytesIO(to_parquet(slots_of([7, 2], in_view=1, sizes=[10, 20]))))

    assert {
        "number": [7, 2],
        "fingerprint": [b"p".ljust(16, b"\0")] * 2,
        "payload_bytes": [10, 20],
        "in_view": [True, False],
    } == table.to_pydict()


def test_a_slot_costs_few_bytes():
    """Sixteen of them are its fingerprint, which nothing makes smaller."""
    count = 10_000
    random = np.random.default_rng(0).bytes(16 * count)
    body = to_parquet(slots_of(np.arange(count), None, np.frombuffer(random, dtype="V16"), [100] * count))

    assert len(body) / count < 20


@pytest.mark.parametrize("body", [b"", b"nonsense", to_parquet(slots_of([1]))[:-9]])
def test_what_is_no_file_of_slots_is_refused(body):
    """A job cannot be continued without it."""
    with pytest.raises(RequestError, match=r"^The slots of a job cannot be read: "):
        slots_from_parquet(body)


def test_a_repr_counts():
    """And shows no fingerprints."""
    assert "<Slots: 1 in view, 2 of history>" == repr(slots_of([1, 2, 3], in_view=1))
