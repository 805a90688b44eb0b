"""Text columns: what is put in comes out, whatever was there before."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sm_async_nb.core.columns import TextColumn, Texts

# A fixed-width array ends a text at its last character that is not NUL; no S3 key, id or URI ends in one.
texts = st.text(max_size=40).filter(lambda text: not text.endswith("\0"))
locations = st.builds(
    lambda folders, name: "/".join(["s3://bucket", *folders, name]),
    st.lists(st.sampled_from(["out", "fail", "a b", "ü", ""]), max_size=3),
    texts,
)
LENGTH = 6


@given(st.lists(st.tuples(st.integers(0, LENGTH - 1), texts | locations)))
def test_a_column_is_a_list_of_texts(puts):
    """Written in any order and over one another, with any characters."""
    column, expected = TextColumn(LENGTH), [""] * LENGTH
    for position, text in puts:
        column.put(np.array([position]), [text])
        expected[position] = text

    assert expected == column.take(np.arange(LENGTH))
    assert expected == [column[position] for position in range(LENGTH)]


@given(st.lists(texts | locations, min_size=LENGTH, max_size=LENGTH), st.sets(st.integers(0, LENGTH - 1)))
def test_clear_forgets_its_positions_and_no_others(given_texts, cleared):
    """A retried request loses its locations; its neighbours keep theirs."""
    column = TextColumn(LENGTH)
    column.put(np.arange(LENGTH), given_texts)
    column.clear(np.array(sorted(cleared), dtype=np.int64))
    expected = ["" if position in cleared else text for position, text in enumerate(given_texts)]

    assert expected == column.take(np.arange(LENGTH))


def test_a_longer_text_widens_the_column_and_keeps_what_was_there():
    """The width is that of the longest end of a location so far."""
    column = TextColumn(2)
    column.put(np.array([0]), ["s3://b/k"])
    narrow = column.nbytes
    column.put(np.array([1]), ["s3://b/" + "k" * 100])

    assert column.take(np.arange(2)) == ["s3://b/k", "s3://b/" + "k" * 100]
    assert narrow < column.nbytes


def test_shared_directories_are_stored_once():
    """A long prefix costs a number a row, and not its length."""
    column = TextColumn(1_000)
    column.put(np.arange(1_000), [f"s3://bucket/{'deep/' * 50}{number:03d}" for number in range(1_000)])

    assert (4 + 3) * 1_000 == column.nbytes


@pytest.mark.parametrize("absent", [None, ""], ids=["none", "empty"])
def test_no_text_and_an_empty_text_are_the_same(absent):
    """And either replaces what was there."""
    column = TextColumn(1)
    column.put(np.array([0]), ["s3://b/k"])
    column.put(np.array([0]), [absent])

    assert column[0] == ""


def test_take_keeps_the_order_it_was_asked_in():
    """Repeats included."""
    column = TextColumn(3)
    column.put(np.arange(3), ["a", "b", "c"])

    assert column.take(np.array([2, 0, 2])) == ["c", "a", "c"]
    assert column.take(np.array([], dtype=np.int64)) == []


def test_putting_nothing_changes_nothing():
    """An empty batch has no width."""
    column = TextColumn(1)
    column.put(np.array([], dtype=np.int64), [])

    assert (1, "") == (len(column), column[0])


anything = st.lists(st.none() | texts | locations, min_size=LENGTH, max_size=LENGTH)


@given(anything, anything)
def test_a_copy_and_its_original_go_their_own_ways(first, second):
    """A checkpoint is written from a copy while the job goes on."""
    column = TextColumn(LENGTH)
    column.put(np.arange(LENGTH), first)
    copied = column.copy()
    column.put(np.arange(LENGTH), second)

    assert [text or "" for text in first] == copied.take(np.arange(LENGTH))
    copied.put(np.arange(LENGTH), ["s3://other/place"] * LENGTH)

    assert [text or "" for text in second] == column.take(np.arange(LENGTH))


@given(anything, st.lists(st.integers(0, LENGTH - 1), max_size=2 * LENGTH))
def test_a_view_has_the_texts_of_its_positions(given_texts, positions):
    """In their order, and as a column of its own."""
    column = TextColumn(LENGTH)
    column.put(np.arange(LENGTH), given_texts)
    view = column.view(np.array(positions, dtype=np.int64))
    column.clear(np.arange(LENGTH))

    assert [given_texts[position] or "" for position in positions] == view.take(np.arange(len(positions)))
    assert len(positions) == len(view)


@given(anything, anything)
def test_the_parts_of_a_column_make_the_same_column(first, second):
    """Put over whatever was there, which has directories and a width of its own."""
    column, other = TextColumn(LENGTH), TextColumn(LENGTH)
    column.put(np.arange(LENGTH), first)
    other.put(np.arange(LENGTH), second)
    other.put_parts(np.arange(LENGTH)[::-1], column.parts)

    assert [text or "" for text in first[::-1]] == other.take(np.arange(LENGTH))


@given(anything, st.integers(0, LENGTH), st.integers(0, LENGTH), st.booleans())
def test_texts_of_a_file_are_put_as_any_others(given_texts, start, stop, chunked):
    """Whole columns of them, without an object for each: a slice, or in several chunks."""
    array = pa.array(given_texts, pa.string())
    array = pa.chunked_array([array[:2], array[2:]]) if chunked else array
    texts_of_a_file = Texts(array.slice(start, max(stop - start, 0)))
    positions = np.arange(LENGTH)[: len(texts_of_a_file)]
    fast, plain = TextColumn(LENGTH), TextColumn(LENGTH)
    fast.put(positions, texts_of_a_file)
    plain.put(positions, given_texts[start : max(start, stop)])

    assert plain.take(np.arange(LENGTH)) == fast.take(np.arange(LENGTH))


def test_texts_of_a_file_are_a_sequence():
    """For those few that want the texts themselves."""
    several = Texts(pa.array(["a", None, "c"]))

    assert (3, ["a", None, "c"], "c", ["a", None]) == (len(several), list(several), several[2], several[:2])
    assert None in several
    assert repr(several) == "<Texts: 3>"
