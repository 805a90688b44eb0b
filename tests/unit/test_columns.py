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

    assert (1 + 3) * 1_000 == column.nbytes


def names_of(numbers):
    return [f"s3://bucket/out/job/abcdefghij-{number:08d}-0.out" for number in numbers]


@pytest.mark.parametrize("as_given", [list, lambda names: Texts(pa.array(names))], ids=["list", "arrow"])
def test_names_of_our_own_cost_what_they_differ_in(as_given):
    """A million requests have four such columns; what ten thousand names have in common is stored once."""
    column = TextColumn(20_000)
    names = names_of(range(20_000))
    column.put(np.arange(20_000), as_given(names))

    assert names == column.take(np.arange(20_000))
    assert (1 + len("0042-0.out")) * 20_000 == column.nbytes


@pytest.mark.parametrize("as_given", [list, lambda names: Texts(pa.array(names))], ids=["list", "arrow"])
def test_names_that_only_begin_like_ours_are_cut_at_their_slash(as_given):
    """The first of a batch is no promise for the others: a beginning for each text would cost more than the text."""
    names = [*names_of([1]), *(f"s3://bucket/out/{'x' * 40}{number:04d}-suffix" for number in range(30)), ""]
    column = TextColumn(len(names))
    column.put(np.arange(len(names)), as_given(names))

    assert names == column.take(np.arange(len(names)))
    assert 3 >= len(set(column.parts.heads) - {""})


def test_more_beginnings_than_a_byte_can_count():
    """The number of a beginning grows with them."""
    column = TextColumn(70_000)
    texts = [f"s3://bucket/{number}/a" for number in range(70_000)]
    column.put(np.arange(300), texts[:300])
    two = column.nbytes
    column.put(np.arange(70_000), texts)

    assert texts == column.take(np.arange(70_000))
    assert (70_000 * (2 + 1), 70_000 * (4 + 1)) == (two, column.nbytes)


@given(st.lists(st.none() | texts | locations, min_size=LENGTH, max_size=LENGTH))
def test_a_search_sees_each_text_whole(given_texts):
    """Also over the place where it is cut."""
    column = TextColumn(LENGTH)
    column.put(np.arange(LENGTH), given_texts)
    found = column.searchable

    assert not any(found.heads)
    assert [(text or "").lstrip("\0") for text in given_texts] == [tail.decode().lstrip("\0") for tail in found.tail]


IDS = ["0f5a2c11-9b7e-4d1c-8a3f-00112233aabb", "ffffffff-ffff-ffff-ffff-ffffffffffff"]


def test_ids_of_aws_cost_sixteen_bytes():
    """And come back as they were; one that is cleared is no text."""
    column = TextColumn(3)
    column.put(np.arange(2), IDS)
    column.put(np.array([2]), IDS[:1])
    column.clear(np.array([2]))

    assert [*IDS, ""] == column.take(np.arange(3))
    assert 3 * (1 + 16) == column.nbytes
    assert [*IDS, ""] == [tail.decode() for tail in column.copy().parts.tail]


@pytest.mark.parametrize(
    "other",
    ["r-1", "", None, "00000000-0000-0000-0000-000000000000", IDS[0].upper(), IDS[0].replace("-", "_"), "x" * 36],
)
def test_an_id_of_another_form_makes_a_column_of_texts_again(other):
    """Whatever a service calls a request."""
    column = TextColumn(3)
    column.put(np.arange(2), IDS)
    column.put(np.arange(1, 3), [other, IDS[1]])

    assert [IDS[0], IDS[1] if other is None else other, IDS[1]] == column.take(np.arange(3))


@pytest.mark.parametrize("kind", [list, lambda texts: Texts(pa.array(texts, pa.string()))], ids=["list", "arrow"])
def test_no_text_leaves_what_was_there_and_an_empty_one_does_not(kind):
    """A fact that does not tell of a place must not make a journal say something else than the job knew."""
    column = TextColumn(3)
    column.put(np.arange(3), ["s3://b/k", "s3://b/l", "s3://b/m"])
    column.put(np.arange(3), kind([None, "", "s3://b/n"]))
    column.put(np.arange(1), kind([None]))

    assert ["s3://b/k", "", "s3://b/n"] == column.take(np.arange(3))


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

    assert [(old if new is None else new) or "" for old, new in zip(first, second, strict=True)] == column.take(
        np.arange(LENGTH)
    )


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
