"""Text columns: what is put in comes out, whatever was there before."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sm_async_nb.core.columns import TextColumn

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
