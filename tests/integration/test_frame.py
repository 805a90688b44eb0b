"""Frames at submit: copied so that nobody can change them, and written so that the same frame can be read."""

from __future__ import annotations

import collections
import datetime as dt
import decimal
import enum
import io
import math
import pathlib
import re
import uuid
import zoneinfo
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from integration.scene import NEW_SDK

from sm_async_nb.core.build import RequestArguments, build_batch
from sm_async_nb.errors import RequestError
from sm_async_nb.job import frame as frames
from sm_async_nb.job.frame import from_parquet, slot_of_row, snapshot, to_parquet

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


# There and back


def there_and_back(frame):
    return from_parquet(to_parquet(frame))


def assert_kept(frame):
    pd.testing.assert_frame_equal(frame, there_and_back(frame))


def objects(*values):
    """A column of objects, as they are."""
    column = np.empty(len(values), dtype=object)
    for place, value in enumerate(values):
        column[place] = value
    return pd.Series(column, dtype=object)


DAYS = pd.DatetimeIndex(["2026-03-28 12:00", "2026-03-29 12:00", None])
NOON = dt.datetime.fromisoformat("2026-01-01T12:00:00")
PARIS = zoneinfo.ZoneInfo("Europe/Paris")
COLUMNS = {
    "integers": pd.Series([1, -2, 2**62]),
    "small integers": pd.Series([1, 255, 0], dtype="uint8"),
    "large integers": pd.Series([1, 2**64 - 1, 0], dtype="uint64"),
    "floats": pd.Series([1.5, math.nan, -math.inf]),
    "float32": pd.Series([0.1, math.nan, 1], dtype="float32"),
    "float16": pd.Series([0.1, math.nan, 1], dtype="float16"),
    "missing numbers of another make": pd.Series(np.array([-1, 2**62 * 2 - 1, 0], dtype="i8").view("f8")),
    "booleans": pd.Series([True, False, True]),
    "complex": pd.Series([1 + 2j, 0, 1]),
    "integers of another machine": pd.Series(np.array([1, 2, 3], dtype=">i4")),
    "times": pd.Series(DAYS),
    "times in seconds": pd.Series(DAYS.as_unit("s")),
    "nanoseconds": pd.Series(DAYS.as_unit("ns") + pd.Timedelta(1, "ns")),
    "the far future": pd.Series(np.array([2**60, 0, 1], dtype="M8[s]")),
    "UTC": pd.Series(DAYS.tz_localize("UTC")),
    "a zone": pd.Series(DAYS.tz_localize("Europe/Paris")),
    "a zone of Python": pd.Series(DAYS.tz_localize(PARIS)),
    "an offset": pd.Series(DAYS.tz_localize(dt.timezone(dt.timedelta(hours=-9, minutes=-30)))),
    "durations": pd.Series(pd.to_timedelta(["1h", None, "-1us"])),
    "durations in seconds": pd.Series(pd.to_timedelta(["1h", None, "-1s"]).as_unit("s")),
    "periods": pd.Series(pd.PeriodIndex(["2026-01", None, "2026-03"], freq="M")),
    "quarters": pd.Series(pd.PeriodIndex(["2026Q1", None, "2026Q3"], freq="Q-NOV")),
    "intervals": pd.Series(pd.interval_range(0, 3)),
    "intervals of times": pd.Series(pd.interval_range(DAYS[0], periods=3, closed="left")),
    "intervals of times in a zone": pd.Series(pd.interval_range(DAYS[0].tz_localize(PARIS), periods=3)),
    "intervals with one missing": pd.Series(pd.arrays.IntervalArray.from_tuples([(0.0, 1.0), math.nan, (1.0, 2.0)])),
    "texts": pd.Series(["ü", None, ""]),
    "strings": pd.Series(["ü", None, ""], dtype="string[python]"),
    "strings in Arrow": pd.Series(["ü", None, ""], dtype="string[pyarrow]"),
    "categories": pd.Series(["b", None, "a"], dtype="category"),
    "ordered categories": pd.Series(pd.Categorical([3, None, 1], categories=[9, 3, 1], ordered=True)),
    "categories of intervals": pd.Series(pd.cut([1, 2, 5], 3)),
    "categories of times": pd.Series(pd.Categorical(DAYS.tz_localize("UTC"))),
    "nullable integers": pd.Series([1, None, 2**62], dtype="Int64"),
    "nullable bytes": pd.Series([1, None, 255], dtype="UInt8"),
    "nullable floats": pd.Series([1.5, None, 0], dtype="Float32"),
    "nullable booleans": pd.Series([True, None, False], dtype="boolean"),
    "sparse integers": pd.Series([0, 1, 0], dtype="Sparse[int64]"),
    "sparse floats": pd.Series([math.nan, 1, math.nan], dtype="Sparse[float64]"),
    "Arrow integers": pd.Series([1, None, 3], dtype="int8[pyarrow]"),
    "Arrow lists": pd.Series([[1], None, []], dtype=pd.ArrowDtype(pa.list_(pa.int32()))),
    "Arrow structs": pd.Series([{"a": 1}, None, {"a": None}], dtype=pd.ArrowDtype(pa.struct([("a", pa.int8())]))),
    "Arrow times": pd.Series([1, None, 3], dtype=pd.ArrowDtype(pa.timestamp("s", "Europe/Paris"))),
    "Arrow durations": pd.Series([1, None, 3], dtype=pd.ArrowDtype(pa.duration("ms"))),
    "Arrow dates": pd.Series([dt.date(2026, 1, 1), None, None], dtype=pd.ArrowDtype(pa.date32())),
    "Arrow decimals": pd.Series([decimal.Decimal("1.10"), None, None], dtype=pd.ArrowDtype(pa.decimal128(9, 2))),
    "Arrow bytes": pd.Series([b"\xff", None, b""], dtype=pd.ArrowDtype(pa.binary())),
    "Arrow texts": pd.Series(["a", None, ""], dtype=pd.ArrowDtype(pa.large_string())),
    "Arrow categories": pd.Series(["a", None, "b"], dtype=pd.ArrowDtype(pa.dictionary(pa.int8(), pa.string()))),
    "objects: texts": objects("a", None, "ü"),
    "objects: integers": objects(1, None, 2**63),
    "objects: numbers of both kinds": objects(1, 1.0, 2.5),
    "objects: missing in every way": objects(None, math.nan, pd.NA),
    "objects: booleans": objects(*[True, None, 1]),
    "objects: bytes": objects(b"\xff", None, b""),
    "objects: large integers": objects(2**70, -1, None),
    "objects: decimals": objects(decimal.Decimal("1.10"), decimal.Decimal("2.20"), None),
    "objects: decimals of their own": objects(decimal.Decimal("1.10"), decimal.Decimal("1.1"), decimal.Decimal("-0.0")),
    "objects: decimals without a number": objects(decimal.Decimal("NaN"), decimal.Decimal("1E+400"), None),
    "objects: dates": objects(dt.date(2026, 1, 1), None, dt.date(1, 1, 1)),
    "objects: datetimes": objects(NOON, None, NOON.replace(microsecond=1)),
    "objects: datetimes in zones": objects(dt.datetime(2026, 7, 1, tzinfo=dt.UTC), NOON, None),
    "objects: hours twice": objects(
        dt.datetime(2026, 10, 25, 2, 30, tzinfo=PARIS), dt.datetime(2026, 10, 25, 2, 30, tzinfo=PARIS, fold=1), None
    ),
    "objects: an hour that does not exist": objects(dt.datetime(2026, 3, 29, 2, 30, tzinfo=PARIS), "a", None),
    "objects: timestamps": objects(pd.Timestamp("2026-01-01", tz="Europe/Paris"), pd.NaT, pd.Timestamp(1, unit="s")),
    "objects: durations": objects(dt.timedelta(-1, 5), pd.Timedelta("1ns"), None),
    "objects: times of day": objects(dt.time(12), dt.time(12, 0, 0, 1, dt.UTC), None),
    "objects: lists": objects([1, 2], None, []),
    "objects: lists of both kinds": objects([1, 2.5], [[None], {"k": (1,)}], "a"),
    "objects: tuples": objects((1, "a"), (), None),
    "objects: dicts": objects({"a": 1}, {"a": None}, {"a": 2}),
    "objects: dicts of different keys": objects({"a": 1}, {"b": 2}, {}),
    "objects: dicts with other keys": objects({1: "a"}, {(1, 2): "b"}, {"$": "Decimal", "of": "1"}),
    "objects: sets": objects({1}, frozenset("a"), set()),
    "objects: of NumPy": objects(np.int64(1), np.float32(0.1), np.datetime64("2026-01-01")),
    "objects: of pandas": objects(pd.Period("2026-01", "M"), pd.Interval(0, 1, "left"), pd.NaT),
    "objects: others": objects(uuid.UUID(int=1), 1 + 2j, pathlib.Path("a/b.png")),
    "objects: bytearrays": objects(bytearray(b"\xff"), b"\xff", None),
    "objects: broken texts": objects("\ud800", "a", None),
    "objects: vectors": objects(np.array([0.5, math.nan]), None, np.array([])),
    "objects: short vectors": objects(np.arange(3, dtype="f4"), np.arange(2, dtype="f4"), None),
    "objects: vectors of booleans": objects(np.array([True, False]), np.array([True]), None),
    "objects: arrays": objects(np.ones((2, 3)), np.ones(2, dtype="i4"), np.array(5)),
    "objects: arrays of objects": objects(np.array(["a", None], dtype=object), np.array(["a"]), None),
}
columns = pytest.mark.parametrize("column", [pytest.param(column, id=name) for name, column in COLUMNS.items()])


@columns
def test_a_column_comes_back(column):
    """Same dtype and values, and the same objects inside."""
    assert_kept(pd.DataFrame({"c": column}))
    assert list(map(repr, column)) == list(map(repr, there_and_back(pd.DataFrame({"c": column}))["c"]))


@columns
def test_a_column_of_no_rows_comes_back(column):
    """Its dtype is all that there is of it."""
    assert_kept(pd.DataFrame({"c": column.iloc[:0]}))


@pytest.mark.parametrize("name", [name for name in COLUMNS if not re.search("float16|vectors|arrays", name)])
def test_any_column_may_be_the_index(name):
    """Labels may be anything that cells may be, but for what pandas itself refuses."""
    column = COLUMNS[name]
    index = pd.Index(column.array, dtype=column.dtype, name=("a", 1), tupleize_cols=False)

    assert_kept(pd.DataFrame({"n": range(len(index))}, index=index))


INDEXES = {
    "plain": pd.RangeIndex(3),
    "range": pd.RangeIndex(2, 8, 2, name="n"),
    "duplicates": pd.Index(["a", "a", "b"]),
    "mixed": pd.Index([1, "a", None], dtype=object),
    "tuples": pd.Index([("a", 1), ("b", 2), ()], tupleize_cols=False),
    "days": pd.date_range("2026-01-01", periods=3, freq="D"),
    "month ends": pd.date_range("2026-01-01", periods=3, freq="ME", tz="Europe/Paris", name="when"),
    "hours": pd.timedelta_range("1h", periods=3, freq="h"),
    "levels": pd.MultiIndex.from_tuples([("x", 1), ("x", 1), ("y", 2)], names=["letter", None]),
    "levels of one name": pd.MultiIndex.from_tuples([("x", 1), ("x", 2), ("y", 2)], names=["k", "k"]),
    "one level": pd.MultiIndex.from_arrays([["x", "y", "y"]], names=[7]),
    "levels with missing labels": pd.MultiIndex.from_arrays([[1, None, 2], ["a", "b", None]]),
    "levels of times": pd.MultiIndex.from_arrays([DAYS.tz_localize("UTC"), pd.Categorical(["b", "a", "b"])]),
    "levels with unused labels": pd.MultiIndex.from_product([[1, 2], ["a", "b"]])[[0, 3, 3]],
}
indexes = pytest.mark.parametrize("index", [pytest.param(index, id=name) for name, index in INDEXES.items()])


@indexes
def test_an_index_comes_back(index):
    """With its names, its levels and its frequency."""
    assert_kept(pd.DataFrame({"n": [1, 2, 3]}, index=index))
    assert_kept(pd.DataFrame({"n": [1, 2, 3]}, index=index).iloc[:0])
    assert_kept(pd.DataFrame(index=index))


@indexes
def test_column_labels_come_back(index):
    """They may be whatever an index may be; two of one name stay two."""
    assert_kept(pd.DataFrame([[1, "a", 2.5], [2, "b", None]], columns=index))


@pytest.mark.parametrize(
    "labels",
    [
        [0, 1],
        [0.5, "0.5"],
        [None, ("a", 1)],
        ["index 0", "slot of row"],
        ["0 a", "a"],
        ["\ud800", "b"],
        [pd.Timestamp("2026-01-01"), dt.date(2026, 1, 1)],
    ],
    ids=["numbers", "number and text", "none and a tuple", "our own words", "a position", "broken", "times"],
)
def test_columns_of_any_name_come_back(labels):
    """Of each its own type, since a template or columns= names it by that."""
    frame = pd.DataFrame([[10, 20], [11, 21]], columns=pd.Index(labels, dtype=object, tupleize_cols=False))

    assert labels == there_and_back(frame).columns.tolist()
    assert_kept(frame)


@pytest.mark.parametrize(
    "labels",
    [pd.CategoricalIndex(["a", "b"]), pd.interval_range(0, 2), pd.period_range("2026-01", periods=2, freq="M")],
    ids=["categories", "intervals", "periods"],
)
def test_columns_that_pandas_made_itself_come_back(labels):
    """A pivot table has such names."""
    assert_kept(pd.DataFrame([[10, 20], [11, 21]], columns=labels))


def test_empty_frames_come_back():
    """No rows, no columns, or neither."""
    assert_kept(pd.DataFrame())
    assert_kept(pd.DataFrame(index=["a", "a"]))
    assert_kept(pd.DataFrame({"a": pd.Series(dtype="int64"), "o": pd.Series(dtype=object)}))


def test_a_frame_of_many_rows_comes_back():
    """More than one batch or row group of a reader."""
    count = 150_000
    numbers = np.arange(count)
    assert_kept(
        pd.DataFrame({"n": numbers, "t": numbers.astype(str), "c": pd.Categorical(numbers % 7)}, index=numbers[::-1])
    )


def test_writing_leaves_the_frame_as_it_was():
    """Its index and its names."""
    frame = pd.DataFrame({"a": [1]}, index=pd.Index(["x"], name="id"))
    before = frame.copy()
    to_parquet(frame)

    pd.testing.assert_frame_equal(before, frame)


def test_a_frame_that_was_read_can_be_changed():
    """Its memory is its own, and not the file's."""
    frame = there_and_back(pd.DataFrame({"n": [1], "f": [0.5], "t": pd.to_datetime(["2026-01-01"])}))
    frame.loc[0, "n"], frame.loc[0, "f"] = 7, 7.5

    assert (7, 7.5) == (frame.loc[0, "n"], frame.loc[0, "f"])


# Any frame

cells = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.binary(max_size=3)
    | st.decimals()
    | st.dates()
    | st.datetimes(timezones=st.none() | st.timezones() | st.just(dt.UTC))
    | st.times()
    | st.timedeltas()
    | st.uuids()
    | st.complex_numbers()
    | st.sampled_from([pd.NA, pd.NaT, np.int64(1), np.float32(0.1), np.float64(0.5) > 0]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=3) | st.just("$"), inner, max_size=3)
        | st.tuples(inner, inner)
    ),
    max_leaves=4,
)


@settings(max_examples=150)
@given(st.lists(cells, max_size=4))
def test_any_objects_come_back(values):
    """Whatever stands beside them; told by their reprs, since NaN differs from itself."""
    frame = pd.DataFrame({"c": objects(*values)})

    assert list(map(repr, values)) == list(map(repr, there_and_back(frame)["c"].tolist()))


ENCODED = ("application/json", "application/jsonlines", "text/csv")


def payloads(frame, content_type):
    """What is sent for each row, or why it cannot be."""
    batch = build_batch(frame, RequestArguments(endpoint_name="e", content_type=content_type), NEW_SDK)
    try:
        return batch.content.encode(frame, list(range(len(frame) + 1)))
    except (TypeError, ValueError, AttributeError) as refusal:
        return str(refusal)


@settings(max_examples=150)
@given(st.lists(cells, min_size=1, max_size=4), st.sampled_from(ENCODED))
def test_payloads_of_any_objects_are_the_same_before_and_after(values, content_type):
    """A job that goes on elsewhere sends what it would have sent here."""
    frame = pd.DataFrame({"c": objects(*values)})

    assert payloads(frame, content_type) == payloads(there_and_back(frame), content_type)


@columns
@pytest.mark.parametrize("content_type", [*ENCODED, "application/x-npy", "application/x-parquet", "text/plain"])
def test_payloads_are_the_same_before_and_after(column, content_type):
    """To the byte, or refused in the same words."""
    frame = pd.DataFrame({"c": column})

    assert payloads(frame, content_type) == payloads(there_and_back(frame), content_type)


# What does not come back as it was


class Point(NamedTuple):
    x: int
    y: int


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    LOW = 1


class Thing:
    def __str__(self):
        return "a thing"


@pytest.mark.parametrize(
    ("given_cell", "kept"),
    [
        (Colour.RED, "red"),
        (Level.LOW, 1),
        (Point(1, 2), (1, 2)),
        (collections.OrderedDict(a=1), {"a": 1}),
        (collections.UserString("a"), "a"),
        (memoryview(b"a"), b"a"),
        (np.str_("a"), "a"),
        (Thing(), "a thing"),
        (object, "<class 'object'>"),
    ],
    ids=[
        "enum",
        "int enum",
        "named tuple",
        "dict of a kind",
        "text of a kind",
        "memory",
        "NumPy text",
        "thing",
        "class",
    ],
)
def test_what_has_no_form_comes_back_as_the_next_best(given_cell, kept):
    """What a payload would make of it, or its text."""
    (found, _) = there_and_back(pd.DataFrame({"c": objects(given_cell, 5)}))["c"]

    assert kept == found


def test_a_list_that_contains_itself_does_not_keep_a_job_from_beginning():
    """Nobody can send it either."""
    endless = []
    endless.append(endless)

    assert ["[[...]]", 1] == there_and_back(pd.DataFrame({"c": objects(endless, 1)}))["c"].tolist()


def test_a_number_of_thousands_of_digits_does_not_keep_a_job_from_beginning():
    """Python itself refuses to write it."""
    assert [hex(10**5_000), "a"] == there_and_back(pd.DataFrame({"c": objects(10**5_000, "a")}))["c"].tolist()


def test_a_time_in_a_zone_without_a_name_keeps_its_instant_and_offset():
    """So its payload is the same, though the column is one of objects then."""

    class Here(dt.tzinfo):
        def utcoffset(self, when):
            return dt.timedelta(hours=2)

        def dst(self, when):
            return None

        def tzname(self, when):
            return "here"

    frame = pd.DataFrame({"c": objects(dt.datetime(2026, 1, 1, tzinfo=Here()), None)})

    assert payloads(frame, "application/json") == payloads(there_and_back(frame), "application/json")


# The file


def test_anybody_can_read_the_columns():
    """Plain Parquet, the index first; a position before each name, since names may be equal."""
    frame = pd.DataFrame({"n": [1, 2], 7: ["x", None], "o": [[1], "a"]}, index=pd.Index(["r-1", "r-2"], name="id"))
    table = pq.read_table(io.BytesIO(to_parquet(frame)))

    assert {"0 id": ["r-1", "r-2"], "1 n": [1, 2], "2 7": ["x", None], "3 o": ["[1]", '"a"']} == table.to_pydict()


def test_slots_are_kept_beside_the_rows():
    """And are no column of the frame."""
    frame = pd.DataFrame({"slot of row": ["a", "b", "c"]})
    body = to_parquet(frame, np.array([1, 0, 1]))

    assert [1, 0, 1] == slot_of_row(body).tolist()
    pd.testing.assert_frame_equal(frame, from_parquet(body))


def test_without_slots_each_row_has_its_own():
    """As it is when one row is one request."""
    assert [0, 1, 2] == slot_of_row(to_parquet(pd.DataFrame({"a": [1, 2, 3]}))).tolist()


@pytest.mark.parametrize("body", [b"", b"nonsense", to_parquet(pd.DataFrame({"a": [1]}))[:-9]])
def test_what_is_no_frame_is_refused(body):
    """In the words of this package."""
    with pytest.raises(RequestError, match=r"^The frame of a job cannot be read: "):
        from_parquet(body)


def test_a_frame_of_a_newer_version_is_refused(monkeypatch):
    """Half of it might be misunderstood."""
    with monkeypatch.context() as newer:
        newer.setattr(frames, "FORMAT", frames.FORMAT + 1)
        body = to_parquet(pd.DataFrame({"a": [1]}))
    with pytest.raises(RequestError) as refusal:
        from_parquet(body)

    assert str(refusal.value) == (
        "The frame of a job cannot be read: ValueError: it has format 2, and this version reads 1."
    )


def test_reading_runs_nobodys_code():
    """A cell that looks like one of ours names a type from a list, and nothing else."""
    frame = pd.DataFrame({"c": objects({"$": "os.system", "of": "true"}, 1)})

    assert {"$": "os.system", "of": "true"} == there_and_back(frame)["c"][0]
