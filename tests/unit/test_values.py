"""Cells as plain values: one by one, and whole columns at a time."""

from __future__ import annotations

import collections
import datetime as dt
import decimal
import enum
import math
import uuid
from zoneinfo import ZoneInfo

import numpy as np
import orjson
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sm_async_nb.core.values import TEXT, Digits, column_values, plain, plain_to_json, to_json

PARIS = ZoneInfo("Europe/Paris")
NOON = dt.datetime(2026, 1, 1, 12)  # noqa: DTZ001


class Plan(enum.Enum):
    GOLD = "gold"


class Level(enum.IntEnum):
    HIGH = 3


class Colour(enum.StrEnum):
    RED = "red"


class Name(str):
    __slots__ = ()


Point = collections.namedtuple("Point", "x y")  # noqa: PYI024


@pytest.mark.parametrize(
    "missing",
    [
        None,
        float("nan"),
        np.nan,
        np.float32("nan"),
        pd.NaT,
        pd.NA,
        decimal.Decimal("NaN"),
        decimal.Decimal("sNaN"),
        np.datetime64("NaT"),
        np.timedelta64("NaT"),
        np.ma.masked,
    ],
    ids=repr,
)
def test_every_kind_of_missing_is_none(missing):
    """Alone, in a list, in a dict, and as a cell of a column."""
    assert (None, [None], {"k": None}) == (plain(missing), plain([missing]), plain({"k": missing}))
    assert column_values(pd.Series([1, missing], dtype=object)) == [1, None]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (True, True),
        (np.True_, True),
        (7, 7),
        (np.int8(-7), -7),
        (np.uint64(2**64 - 1), 2**64 - 1),
        (-(2**63), -(2**63)),
        (2**64, Digits("18446744073709551616")),
        (-(2**63) - 1, Digits("-9223372036854775809")),
        (0.1, 0.1),
        (np.float32(0.5), 0.5),
        (np.float16(0.5), 0.5),
        (np.longdouble(0.5), 0.5),
        (-0.0, -0.0),
        ("", ""),
        ("ü€😀", "ü€😀"),
        (np.str_("s"), "s"),
        (Name("n"), "n"),
        (decimal.Decimal("1.10"), Digits("1.10")),
        (decimal.Decimal("1E+3"), Digits("1E+3")),
        (decimal.Decimal("-0"), Digits("-0")),
        (Digits("1.10"), Digits("1.10")),
        (NOON, "2026-01-01T12:00:00"),
        (NOON.replace(microsecond=5), "2026-01-01T12:00:00.000005"),
        (NOON.replace(tzinfo=PARIS), "2026-01-01T12:00:00+01:00"),
        (pd.Timestamp(NOON), "2026-01-01T12:00:00"),
        (pd.Timestamp("2026-01-01 12:00:00.000000001", tz="UTC"), "2026-01-01T12:00:00.000000001+00:00"),
        (np.datetime64("2026-01-01T12:00:00.25"), "2026-01-01T12:00:00.250000"),
        (dt.date(2026, 1, 1), "2026-01-01"),
        (dt.time(12, 30), "12:30:00"),
        (dt.timedelta(days=1, seconds=1), "P1DT0H0M1S"),
        (pd.Timedelta("-1s"), "P-1DT23H59M59S"),
        (np.timedelta64(90, "s"), "P0DT0H1M30S"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (pd.Period("2026-01", "M"), "2026-01"),
        (Plan.GOLD, "gold"),
        (Level.HIGH, 3),
        (Colour.RED, "red"),
        ((1, [2, (3,)]), [1, [2, [3]]]),
        (Point(1, 2), [1, 2]),
        (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
        (np.array([0.5, np.nan]), [0.5, None]),
        (np.array(7), 7),
        (np.array(0.5), 0.5),
        (np.array([]), []),
        (np.array([True, False]), [True, False]),
        (np.array(["a", None], dtype=object), ["a", None]),
        (np.array(["2026-01-01", "NaT"], dtype="M8[D]"), ["2026-01-01T00:00:00", None]),
        (np.ma.array([1, 2], mask=[False, True]), [1, None]),
        ([np.array([1.0]), {"t": NOON}], [[1.0], {"t": "2026-01-01T12:00:00"}]),
        ({1: "one", Plan.GOLD: 2, dt.date(2026, 1, 1): 3}, {"1": "one", "gold": 2, "2026-01-01": 3}),
        ({np.int64(4): 1, Name("n"): 2, np.str_("s"): 3}, {"4": 1, "n": 2, "s": 3}),
        (collections.OrderedDict(a=1), {"a": 1}),
        ({}, {}),
    ],
    ids=repr,
)
def test_a_value_as_a_reader_would_write_it_by_hand(value, expected):
    """And of Python's own types exactly, for NumPy's and those of others are not everywhere understood."""
    written = plain(value)

    assert (expected, type(expected)) == (written, type(written))
    assert plain(written) == written
    assert plain(pd.Series([value], dtype=object)[0]) == column_values(pd.Series([value], dtype=object))[0]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (decimal.Decimal("1.10"), b"1.10"),
        ([decimal.Decimal("0.1"), 2**70], b"[0.1,1180591620717411303424]"),
        ({"a": decimal.Decimal("1E-30")}, b'{"a":1E-30}'),
        ({decimal.Decimal("1.10"): 1}, b'{"1.10":1}'),
        ([float("nan"), pd.NaT], b"[null,null]"),
        ("1.10", b'"1.10"'),
    ],
)
def test_json_has_every_digit_of_an_exact_number_and_no_quotes(value, expected):
    """What a float would round arrives as it was."""
    assert expected == to_json(value)


def test_only_plain_values_are_written_as_they_are():
    """The short cut is for those who have been through `plain`."""
    with pytest.raises(TypeError, match="Type is not JSON serializable: set"):
        plain_to_json({1})


CYCLE = []
CYCLE.append(CYCLE)
DEEP = []
for _ in range(300):
    DEEP = [DEEP]


INFINITE = "an infinite number cannot be written as JSON; replace it, or send text/csv"
SURROGATE = (
    "a text with a lone surrogate cannot be written as JSON; text.encode('utf-8', 'replace').decode() repairs it"
)
BYTES = "make it a text, with base64 for example, or send it alone as application/octet-stream"


@pytest.mark.parametrize(
    ("value", "kind", "told"),
    [
        (float("inf"), ValueError, INFINITE),
        (-math.inf, ValueError, INFINITE),
        (np.float32("inf"), ValueError, INFINITE),
        (
            decimal.Decimal("-Infinity"),
            ValueError,
            INFINITE,
        ),
        (
            np.array([1, np.inf]),
            ValueError,
            INFINITE,
        ),
        ({1}, TypeError, "a value of type set cannot be written as JSON"),
        (frozenset(), TypeError, "a value of type frozenset cannot be written as JSON"),
        (1j, TypeError, "a value of type complex cannot be written as JSON"),
        (np.complex64(1), TypeError, "a value of type complex64 cannot be written as JSON"),
        (np.array([1j]), TypeError, "a value of type complex128 cannot be written as JSON"),
        (pd.Interval(0, 1), TypeError, "a value of type Interval cannot be written as JSON"),
        (object(), TypeError, "a value of type object cannot be written as JSON"),
        (pd.Series([1]), TypeError, "a value of type Series cannot be written as JSON"),
        (int, TypeError, "a value of type type cannot be written as JSON"),
        (
            b"secret",
            TypeError,
            f"a value of type bytes cannot be written as JSON; {BYTES}",
        ),
        (
            np.bytes_(b"secret"),
            TypeError,
            f"a value of type bytes_ cannot be written as JSON; {BYTES}",
        ),
        (
            "secret \ud800",
            ValueError,
            SURROGATE,
        ),
        (
            {"\udfff": 1},
            ValueError,
            SURROGATE,
        ),
        ({(1, 2): 3}, TypeError, "a dict with a key of type tuple cannot be written as JSON"),
        ({None: 3}, TypeError, "a dict with a key of type NoneType cannot be written as JSON"),
        ({0.5: 3}, TypeError, "a dict with a key of type float cannot be written as JSON"),
        ({True: 3}, TypeError, "a dict with a key of type bool cannot be written as JSON"),
        ({1: "a", "1": "b"}, ValueError, "a dict with two keys of one name cannot be written as JSON"),
        (10**5000, ValueError, "a number of 16,610 bits cannot be written as JSON"),
        (CYCLE, ValueError, "a value nested more than 200 deep cannot be written as JSON"),
        (DEEP, ValueError, "a value nested more than 200 deep cannot be written as JSON"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_has_no_plain_form_is_refused_by_its_type_and_never_shown(value, kind, told):
    """A message may end in a log, and a value is nobody else's business."""
    with pytest.raises(kind) as refusal:
        plain([value])

    assert told == str(refusal.value)


def test_what_has_a_word_for_infinity_takes_it():
    """Text does, JSON does not."""
    assert plain(float("inf"), TEXT) == math.inf
    assert column_values(pd.Series([1.0, -math.inf]), TEXT) == [1.0, -math.inf]


# Columns

MOMENTS = ["1890-06-01 00:00:00.123456", "2026-01-01 12:00", "2026-07-01 12:00:00.5", None]
COLUMNS = {
    "int64": pd.Series([1, -2]),
    "uint8": pd.Series([1, 2], dtype="uint8"),
    "uint64": pd.Series([2**64 - 1], dtype="uint64"),
    "bool": pd.Series([True, False]),
    "float64": pd.Series([0.1, np.nan]),
    "float32": pd.Series([0.1, np.nan], dtype="float32"),
    "datetime": pd.Series(pd.to_datetime(MOMENTS, format="ISO8601")),
    "datetime in seconds": pd.Series(pd.to_datetime([*MOMENTS[1:2], None])).astype("M8[s]"),
    "datetime in nanoseconds": pd.Series([pd.Timestamp("2026-01-01 12:00:00.000000001"), pd.NaT]),
    "datetime in UTC": pd.Series(pd.to_datetime(MOMENTS, format="ISO8601")).dt.tz_localize("UTC"),
    "datetime in Paris": pd.Series(pd.to_datetime(MOMENTS, format="ISO8601")).dt.tz_localize("Europe/Paris"),
    "datetime in New York": pd.Series(pd.to_datetime(MOMENTS, format="ISO8601")).dt.tz_localize("America/New_York"),
    "datetime half an hour off": pd.Series(pd.to_datetime(MOMENTS[1:2])).dt.tz_localize("Asia/Kolkata"),
    "timedelta": pd.Series(pd.to_timedelta(["1D", "-1s", None])),
    "period": pd.Series(pd.PeriodIndex(["2026-01", None], freq="M")),
    "category": pd.Series(["a", "b", None, "a"], dtype="category"),
    "category of times": pd.Series(pd.Categorical(pd.to_datetime(["2026-01-01", None]))),
    "category of floats": pd.Series(pd.Categorical([0.5, 1.5, np.nan])),
    "Int64": pd.Series([2**62 + 1, None], dtype="Int64"),
    "UInt8": pd.Series([1, None], dtype="UInt8"),
    "Float64": pd.Series([0.5, None], dtype="Float64"),
    "boolean": pd.Series([True, None], dtype="boolean"),
    "string": pd.Series(["ü", None], dtype="string"),
    "string by Python": pd.Series(["ü", None], dtype="string[python]"),
    "texts": pd.Series(["a", "ü", None]),
    "objects": pd.Series([1, "a", None, [1], {"k": 0.5}], dtype=object),
    "sparse": pd.Series(pd.arrays.SparseArray([0, 1])),
    "sparse floats": pd.Series(pd.arrays.SparseArray([np.nan, 1.5])),
    **{
        f"Arrow {kind}": pd.Series(cells, dtype=pd.ArrowDtype(kind))
        for kind, cells in (
            (pa.int32(), [1, None]),
            (pa.float64(), [0.5, None]),
            (pa.bool_(), [True, None]),
            (pa.string(), ["ü", None]),
            (pa.large_string(), ["ü", None]),
            (pa.decimal128(5, 2), [decimal.Decimal("1.10"), None]),
            (pa.timestamp("us", "Europe/Paris"), [NOON.replace(tzinfo=PARIS), None]),
            (pa.timestamp("ns"), [pd.Timestamp(NOON), None]),
            (pa.duration("us"), [dt.timedelta(1), None]),
            (pa.date32(), [dt.date(2026, 1, 1), None]),
            (pa.time64("us"), [dt.time(12), None]),
            (pa.list_(pa.float64()), [[0.5, None], None]),
            (pa.struct([("a", pa.int64())]), [{"a": 1}, None]),
        )
    },
}


@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_at_a_time_is_the_same_as_a_cell_at_a_time(name):
    """The fast ways are only faster."""
    column = COLUMNS[name]
    cells = [plain(cell) for cell in column.tolist()]
    values = column_values(column)

    assert cells == values
    assert [type(cell) for cell in cells] == [type(value) for value in values]
    assert orjson.loads(to_json(values)) == orjson.loads(to_json(cells))


@pytest.mark.parametrize("name", COLUMNS)
def test_no_rows_of_a_column_are_no_values(name):
    """Of every dtype."""
    assert column_values(COLUMNS[name].iloc[:0]) == []


@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_of_missing_values_only_is_as_many_nones(name):
    """A block of rows may have nothing else."""
    gone = COLUMNS[name][COLUMNS[name].isna()]

    assert column_values(gone) == [None] * len(gone)


def test_a_category_that_no_row_has_is_nobodys_problem():
    """Filtering a frame leaves its categories behind."""
    column = pd.Series(pd.Categorical([1.0, math.inf]))[:1]

    assert column_values(column) == [1.0]


def test_a_text_of_several_surrogates_is_found_among_good_ones():
    """A column is looked through as one text."""
    with pytest.raises(ValueError, match="a text with a lone surrogate"):
        column_values(pd.Series(["good", "\ud83d", "\ude00"], dtype=object))


moments = st.datetimes(dt.datetime(1700, 1, 1), dt.datetime(2200, 1, 1))  # noqa: DTZ001
zones = st.sampled_from([None, "UTC", "Europe/Paris", "America/St_Johns", "Africa/Monrovia", "+05:45"])


# Numbers of nanoseconds, of microseconds and of whole seconds, all between 1700 and 2230.
instants = st.sampled_from([1, 1_000, 10**9]).flatmap(
    lambda step: st.integers(-(85 * 10**17) // step, 82 * 10**17 // step).map(lambda number: number * step)
)


@settings(max_examples=1000)
@given(st.lists(st.none() | instants, min_size=1, max_size=3), zones, st.sampled_from(["s", "ms", "us", "ns"]))
def test_times_of_a_column_are_what_isoformat_says_of_each(times, zone, unit):
    """Down to the nanosecond, in zones that were odd before they were round."""
    cells = np.array(["NaT" if time is None else time for time in times], dtype="M8[ns]")
    column = pd.Series(cells.astype(f"M8[{unit}]"))
    if zone is not None:
        column = column.dt.tz_localize("UTC").dt.tz_convert(zone)

    assert [None if time is pd.NaT else time.isoformat() for time in column.tolist()] == column_values(column)


cells = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_infinity=False)
    | st.text()
    | st.decimals(allow_infinity=False)
    | st.uuids()
    | st.dates()
    | moments
    | st.timedeltas(dt.timedelta(-1000), dt.timedelta(1000))
    | st.lists(st.floats(allow_infinity=False), max_size=2).map(np.array)
)
nests = st.recursive(cells, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2))


@settings(max_examples=1000)
@given(nests)
def test_whatever_is_plain_is_json_and_stays_as_it_is(value):
    """Plain twice is plain once, and every JSON reader takes it."""
    written = plain(value)

    assert plain(written) == written
    assert plain_to_json(written) == to_json(value)
    orjson.loads(to_json(value))
