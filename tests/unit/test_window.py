"""Which rows a table shows, in which order, and the window that is cut of them."""

from __future__ import annotations

import math
import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sm_async_nb.core.columns import TextColumn
from sm_async_nb.core.ledger import Status
from sm_async_nb.notebook.panel import window

NAN = float("nan")


def test_all_rows_as_they_were_submitted_are_no_array():
    """A million rows that nobody sorts cost nothing."""
    assert window.order_of(None, None) is None
    assert [3, 4] == window.cut(5, None, 3, 10).tolist()
    assert 5 == window.total(5, None)


def test_a_filter_keeps_the_submitted_order():
    """Rows of two statuses among eight."""
    status = np.array([Status.FAILED, Status.COMPLETED, Status.EXPIRED, Status.FAILED], dtype=np.uint8)
    shown = window.with_status(status, {Status.FAILED, Status.EXPIRED})

    assert [0, 2, 3] == window.order_of(shown, None).tolist()
    assert [2, 3] == window.cut(4, window.order_of(shown, None), 1, 5).tolist()


@pytest.mark.parametrize(("descending", "expected"), [(False, [3, 0, 2, 1]), (True, [0, 2, 3, 1])])
def test_what_is_not_known_comes_last_whichever_way_it_is_sorted(descending, expected):
    """A row without a latency is never the slowest; equal rows stay in their order."""
    latency = np.array([2.0, NAN, 2.0, 1.0])

    assert expected == window.order_of(None, latency, descending=descending).tolist()


@given(
    st.lists(st.tuples(st.integers(0, 7), st.floats(0, 9) | st.just(NAN)), max_size=30),
    st.sets(st.integers(0, 7)),
    st.booleans(),
    st.integers(-3, 40),
    st.integers(-3, 40),
)
def test_a_window_is_a_part_of_what_python_would_sort(rows, statuses, descending, start, count):
    """The same as ``sorted`` with a key, for whatever is asked."""
    status = np.array([one for one, _ in rows], dtype=np.uint8)
    key = np.array([value for _, value in rows], dtype=np.float64)
    shown = window.with_status(status, statuses)
    order = window.order_of(shown, key, descending=descending)

    def rank(row):
        value = rows[row][1]
        return (math.isnan(value), 0 if math.isnan(value) else (-value if descending else value))

    expected = sorted((row for row, (one, _) in enumerate(rows) if one in statuses), key=rank)
    assert expected == order.tolist()
    assert (
        expected[max(start, 0) : max(start, 0) + max(count, 0)] == window.cut(len(rows), order, start, count).tolist()
    )


@pytest.mark.parametrize(
    ("index", "expected"),
    [
        (pd.Index(["b", "a", "c"]), [1, 0, 2]),
        (pd.Index([3, "a", None], dtype=object), [0, 2, 1]),
        (pd.MultiIndex.from_tuples([("b", 1), ("a", 2), ("a", 1)]), [2, 1, 0]),
        (pd.date_range("2026-01-01", periods=3)[::-1], [2, 1, 0]),
    ],
    ids=["texts", "mixed", "two levels", "dates"],
)
def test_labels_of_any_kind_have_places(index, expected):
    """Those that Python cannot compare are sorted as texts."""
    assert expected == window.places(index).tolist()


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("kind", ["texts", "missing ones too", "two levels", "lists"])
def test_equal_labels_stay_as_they_were_submitted(kind, descending):
    """They were scrambled once: the places of labels came from a sort that is not stable."""
    names = [f"c{number * 37 % 5}" for number in range(100)]
    index = {
        "texts": pd.Index(names),
        "missing ones too": pd.Index([None if name == "c0" else name for name in names], dtype=object),
        "two levels": pd.MultiIndex.from_tuples([(name, 1) for name in names]),
        "lists": pd.Index([[name] for name in names]),
    }[kind]
    order = window.order_of(None, window.places(index), descending=descending).tolist()

    assert order == sorted(range(100), key=lambda row: names[row], reverse=descending)


@pytest.mark.parametrize(
    "values",
    [pd.Series([2**70, "plan A"], dtype=object), pd.Index(["\ud800", "plan A"], dtype=object)],
    ids=["a number that is too large", "a lone surrogate"],
)
def test_what_arrow_cannot_take_is_searched_all_the_same(values):
    """A search that raises stopped the whole view once."""
    texts = window.as_texts(values)
    parts = TextColumn(2).parts

    assert [False, True] == window.has_text(texts, "plan a").tolist()
    assert [False, False] == window.has_text(texts, "x\ud800").tolist()
    assert [False, False] == window.has_id(parts, "x\ud800").tolist()


@pytest.mark.parametrize(
    "values",
    [
        pd.Index(["plan A", "Plan b", None]),
        pd.Series(["plan A", "Plan b", None], dtype="category"),
        pd.Series(["plan A", "Plan b", 7], dtype=object),
        pd.Index([("plan A", 1), ("Plan b", 2), ("c", 3)]),
    ],
    ids=["texts", "categories", "mixed", "two levels"],
)
def test_a_text_is_found_whatever_the_case(values):
    """In labels and cells of every kind; what is missing has no text."""
    assert [True, True, False] == window.has_text(window.as_texts(values), "PLAN").tolist()


def test_numbers_and_dates_are_found_as_they_read():
    """Somebody types 2026-01-02 to find a row of that day."""
    dates = pd.date_range("2026-01-01", periods=3)

    assert [False, True, False] == window.has_text(window.as_texts(dates), "2026-01-02").tolist()
    assert [False, True] == window.has_text(window.as_texts(pd.RangeIndex(41, 43)), "42").tolist()


def test_ids_are_found_by_any_part():
    """The head that all share, and the number at the end."""
    ids = TextColumn(3)
    ids.put(np.array([0, 1]), ["job-7/000", "job-7/001"])

    assert [True, True, False] == window.has_id(ids.parts, "job-7").tolist()
    assert [False, True, False] == window.has_id(ids.parts, "001").tolist()


def test_messages_are_sorted_as_texts_and_rows_without_one_come_last():
    """So that what went wrong in the same way stands together."""
    ranks = window.ranks_of({2: "no column plan", 0: "out of memory", 3: "no column plan"}, 4)

    assert [2, 3, 0, 1] == window.order_of(None, ranks).tolist()


def test_texts_are_looked_for_where_they_may_be():
    """Numbers are not searched, categories are."""
    frame = pd.DataFrame({"n": [1], "text": ["a"], "kind": pd.Categorical(["b"])})

    assert [1, 2] == list(window.text_columns(frame))


def test_a_million_rows_are_filtered_sorted_and_searched_in_less_than_a_blink():
    """Generous limits: this is no benchmark, but a loop over rows in Python would take ten times as long."""
    count = 1_000_000
    rng = np.random.default_rng(1)
    status = rng.integers(0, 8, count).astype(np.uint8)
    latency = rng.random(count)
    labels = window.as_texts(pd.RangeIndex(count))
    started = time.perf_counter()
    shown = window.with_status(status, {3, 4}) & window.has_text(labels, "77")
    order = window.order_of(shown, latency)
    seconds = time.perf_counter() - started

    assert 0 < window.total(count, order) < count
    assert seconds < 2
