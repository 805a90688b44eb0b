"""Frames at submit: copied so that nobody can change them, and written so that any of them can be read back."""

from __future__ import annotations

import datetime as dt
import decimal
import io
import uuid

import numpy as np
import orjson
import pandas as pd
import pyarrow.parquet as pq
import pytest

from sm_async_nb.job.frame import snapshot, to_parquet

# Snapshots


def test_a_snapshot_is_the_frame():
    """Same values, dtypes, index and columns."""
    frame = pd.DataFrame({"n": [1, 2], "s": ["a", None], "o": [[1], {"k": 2}]}, index=pd.Index(["x", "x"], name="id"))

    pd.testing.assert_frame_equal(frame, snapshot(frame))


@pytest.mark.parametrize(
    "edit",
    [
        lambda frame: frame.__setitem__("n", 0),
        lambda frame: frame.loc.__setitem__(("a", "n"), 0),
        lambda frame: frame.loc["a", "nested"].append(9),
        lambda frame: frame.loc["b", "nested"]["k"].append(9),
        lambda frame: frame.pop("n"),
        lambda frame: setattr(frame, "index", ["z", "z"]),
        lambda frame: setattr(frame.index, "name", "other"),
    ],
    ids=["column", "cell", "list", "list in a dict", "pop", "labels", "name of the index"],
)
def test_no_later_edit_reaches_a_snapshot(edit):
    """Not even one inside a cell, which a deep copy of pandas leaves shared."""

    def fresh():
        nested = pd.Series([[1, 2], {"k": [3]}], index=["a", "b"], dtype=object)
        return pd.DataFrame({"n": [1, 2], "nested": nested}, index=["a", "b"])

    frame = fresh()
    copied = snapshot(frame)
    edit(frame)

    pd.testing.assert_frame_equal(fresh(), copied)


@pytest.mark.parametrize(
    "values",
    [
        pytest.param([np.int64(1), None], id="numpy integer"),
        pytest.param([*np.array([True]), False], id="numpy bool"),
        pytest.param([decimal.Decimal(1), None], id="decimal"),
        pytest.param([[1], [2]], id="lists of one length"),
        pytest.param([np.array([1]), np.array([2])], id="arrays of one length"),
        pytest.param([pd.Timestamp("2026-01-01"), None], id="timestamp"),
        pytest.param([dt.datetime(2026, 1, 1, tzinfo=dt.UTC)] * 2, id="datetimes"),
    ],
)
def test_a_snapshot_keeps_columns_of_objects(values):
    """An integer beside a missing value is sent as 1 and not as 1.0."""
    frame = pd.DataFrame({"o": pd.Series(values, dtype=object)})

    pd.testing.assert_frame_equal(frame, snapshot(frame))


def test_a_snapshot_of_an_empty_frame_is_empty():
    """With its columns."""
    frame = pd.DataFrame({"a": pd.Series(dtype="int64"), "o": pd.Series(dtype=object)})

    pd.testing.assert_frame_equal(frame, snapshot(frame))


# Parquet


def read(frame):
    """The columns, index levels first, as lists, and the names that were kept beside them."""
    table = pq.read_table(io.BytesIO(to_parquet(frame)))
    names = orjson.loads(table.schema.metadata[b"sm_async_nb"])
    return [column.to_pylist() for column in table.columns], names


@pytest.mark.parametrize(
    ("index", "labels", "names"),
    [
        (pd.RangeIndex(2), [[0, 1]], [None]),
        (pd.Index(["b", "a"], name="id"), [["b", "a"]], ["id"]),
        (pd.Index(["a", "a"]), [["a", "a"]], [None]),
        (pd.Index([1.5, np.nan]), [[1.5, None]], [None]),
        (
            pd.MultiIndex.from_tuples([("x", 1), ("y", 2)], names=["letter", None]),
            [["x", "y"], [1, 2]],
            ["letter", None],
        ),
        (pd.MultiIndex.from_tuples([("x", 1), ("x", 1)], names=["k", "k"]), [["x", "x"], [1, 1]], ["k", "k"]),
        (pd.Index(["a", "b"], name="n"), [["a", "b"]], ["n"]),
        (pd.Index([1, "a"], dtype=object), [["1", '"a"']], [None]),
        (pd.Index(["x", "y"], dtype="category"), [["x", "y"]], [None]),
        (pd.Index([True, False]), [[True, False]], [None]),
        (pd.Index([("a", 1), ("b", 2)], tupleize_cols=False), [['["a",1]', '["b",2]']], [None]),
    ],
    ids=[
        "range",
        "texts",
        "duplicates",
        "a missing label",
        "several levels",
        "levels of one name",
        "named as a column",
        "mixed",
        "categories",
        "booleans",
        "tuples",
    ],
)
def test_any_index_can_be_written(index, labels, names):
    """Its levels come first, whatever they are called."""
    columns, kept = read(pd.DataFrame({"n": [10, 20]}, index=index))

    assert [*labels, [10, 20]] == columns
    assert {"index": names, "columns": ["n"]} == kept


@pytest.mark.parametrize(
    "index",
    [
        pd.date_range("2026-01-01", periods=2, tz="Europe/Paris"),
        pd.period_range("2026-01", periods=2, freq="M"),
        pd.timedelta_range("1h", periods=2),
        pd.interval_range(0, 2),
    ],
    ids=["dates", "periods", "times", "intervals"],
)
def test_any_index_of_times_can_be_written(index):
    """As Parquet has it."""
    (labels, values), _ = read(pd.DataFrame({"n": [10, 20]}, index=index))

    assert (2, [10, 20]) == (len(set(map(str, labels))), values)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, None], [1.0, None]),
        (["ü", None], ["ü", None]),
        ([[1, 2], None], [[1, 2], None]),
        ([{"k": 1}, {"k": None}], [{"k": 1}, {"k": None}]),
        ([b"\xff", b""], [b"\xff", b""]),
        ([decimal.Decimal("1.10"), None], [decimal.Decimal("1.10"), None]),
        ([dt.date(2026, 1, 1), None], [dt.date(2026, 1, 1), None]),
        ([1, "a"], ["1", '"a"']),
        ([[1], "a"], ["[1]", '"a"']),
        ([1 + 2j, None], ['"(1+2j)"', None]),
        ([uuid.UUID(int=0), "a"], ['"00000000-0000-0000-0000-000000000000"', '"a"']),
        ([object, None], ["\"<class 'object'>\"", None]),
    ],
    ids=[
        "numbers",
        "texts",
        "lists",
        "dicts",
        "bytes",
        "decimals",
        "dates",
        "mixed",
        "mixed nested",
        "complex",
        "uuid",
        "anything",
    ],
)
def test_any_column_can_be_written(values, expected):
    """What Parquet cannot hold is kept as JSON text; nothing is ever pickled."""
    series = pd.Series(values) if expected[0] == 1.0 else pd.Series(values, dtype=object)
    columns, _ = read(pd.DataFrame({"c": series}))

    assert expected == columns[1]


@pytest.mark.parametrize(
    "values",
    [[2**70, 1], [2**70, "a"], [{}, {}], ["\ud800", "a"]],
    ids=["large integers", "a large integer among others", "empty dicts", "lone surrogates"],
)
def test_a_column_that_is_not_even_sent_does_not_keep_a_job_from_beginning(values):
    """The frame is written when the manifest is there already, so a refusal leaves half a job behind."""
    columns, _ = read(pd.DataFrame({"c": pd.Series(values, dtype=object)}))

    assert len(columns[1]) == 2


@pytest.mark.parametrize(
    "dtype",
    [
        "category",
        "Int64",
        "boolean",
        "string",
        "Float32",
        "float16",
        "timedelta64[ns]",
        "datetime64[ns, UTC]",
        "Sparse[int64]",
        "int64[pyarrow]",
        "complex128",
    ],
)
def test_a_column_of_any_dtype_can_be_written(dtype):
    """Row by row, the missing ones missing."""
    columns, _ = read(pd.DataFrame({"c": pd.Series([1, 0], dtype="int64").astype(dtype)}))

    assert len(set(map(str, columns[1]))) == 2


def test_a_column_of_periods_can_be_written():
    """What pandas has and Parquet has not."""
    columns, _ = read(pd.DataFrame({"c": pd.period_range("2026-01", periods=2, freq="M")}))

    assert len(set(map(str, columns[1]))) == 2


@pytest.mark.parametrize(
    ("columns", "names"),
    [
        (pd.Index(["a", "b"]), ["a", "b"]),
        (pd.Index([0, 1]), ["0", "1"]),
        (pd.Index([0.5, "0.5"], dtype=object), [0.5, "0.5"]),
        (pd.Index(["index 0", None], dtype=object), ["index 0", None]),
        (pd.Index(["1 a", "a"]), ["1 a", "a"]),
        (pd.MultiIndex.from_tuples([("a", "x"), ("a", "y")]), ["('a', 'x')", "('a', 'y')"]),
        (pd.DatetimeIndex(["2026-01-01", "2026-01-02"]), ["2026-01-01 00:00:00", "2026-01-02 00:00:00"]),
    ],
    ids=["texts", "numbers", "number and text", "like an index", "like a position", "two lines", "dates"],
)
def test_columns_of_any_name_can_be_written(columns, names):
    """Two names that look the same stay two columns."""
    values, kept = read(pd.DataFrame([[10, 20], [11, 21]], columns=columns))

    assert [[10, 11], [20, 21]] == values[1:]
    assert [str(name) for name in names] == [str(name) for name in kept["columns"]]


@pytest.mark.parametrize(
    "columns",
    [pd.CategoricalIndex(["a", "b"]), pd.interval_range(0, 2), pd.period_range("2026-01", periods=2, freq="M")],
    ids=["categories", "intervals", "periods"],
)
def test_columns_that_pandas_made_itself_can_be_written(columns):
    """A pivot table has such names."""
    values, _ = read(pd.DataFrame([[10, 20], [11, 21]], columns=columns))

    assert [[10, 11], [20, 21]] == values[1:]


def test_an_empty_frame_can_be_written():
    """No rows, and the columns all the same."""
    values, kept = read(pd.DataFrame({"a": pd.Series(dtype="int64"), "o": pd.Series(dtype=object)}))

    assert ([[], [], []], ["a", "o"]) == (values, kept["columns"])


def test_writing_leaves_the_frame_as_it_was():
    """Its index and its names."""
    frame = pd.DataFrame({"a": [1]}, index=pd.Index(["x"], name="id"))
    before = frame.copy()
    to_parquet(frame)

    pd.testing.assert_frame_equal(before, frame)
