"""Rows to payload bytes and answers back to values."""

from __future__ import annotations

import csv
import datetime as dt
import enum
import json
import uuid

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from sm_async_nb.core.payload import codec_for, mime_type
from sm_async_nb.core.payload import decode as decode_rows
from sm_async_nb.errors import RequestError

JSON, JSON_LINES, CSV = "application/json", "application/jsonlines", "text/csv"


class Plan(enum.Enum):
    GOLD = "gold"


def encode(column, content_type=JSON, dtype=None):
    """The payloads of a frame with this one column, ``x``."""
    return payloads(pd.DataFrame({"x": pd.Series(column, dtype=dtype)}), content_type)


def payloads(rows, content_type=JSON):
    """One payload a row."""
    return codec_for(content_type).encode(rows, range(len(rows) + 1))


def decode(answer, content_type):
    """The value of an answer to one row."""
    (value,) = decode_rows(answer, content_type)
    return value


# Types


@pytest.mark.parametrize(
    ("column", "dtype", "expected"),
    [
        ([1, 2], "int64", [1, 2]),
        ([1, 2], "uint8", [1, 2]),
        ([0.1, float("nan")], "float64", [0.1, None]),
        ([0.5, float("nan")], "float32", [0.5, None]),
        ([True, False], "bool", [True, False]),
        ([True, None], "boolean", [True, None]),
        ([1, None], "Int64", [1, None]),
        ([2**62 + 1, None], "Int64", [2**62 + 1, None]),
        ([0.5, None], "Float64", [0.5, None]),
        (["a", None], "string", ["a", None]),
        (["a", None], "object", ["a", None]),
        (["a", pd.NA, pd.NaT, np.nan], "object", ["a", None, None, None]),
        (["a", "b", None], "category", ["a", "b", None]),
        ([1, 2, None], "category", [1, 2, None]),
        ([1, None], pd.ArrowDtype(pa.int32()), [1, None]),
        ([0.5, None], pd.ArrowDtype(pa.float64()), [0.5, None]),
        ([True, None], pd.ArrowDtype(pa.bool_()), [True, None]),
        (["a", None], pd.ArrowDtype(pa.string()), ["a", None]),
        ([[1, 2], None], pd.ArrowDtype(pa.list_(pa.int64())), [[1, 2], None]),
        ([np.int64(7), np.float64(0.5), *np.array([True]), np.str_("s")], "object", [7, 0.5, True, "s"]),
        ([np.float32(0.5), np.int8(-1), np.uint64(2**64 - 1)], "object", [0.5, -1, 2**64 - 1]),
        ([np.array([1.5, 2.5]), [1, [2]], {"k": None}], "object", [[1.5, 2.5], [1, [2]], {"k": None}]),
        ([{1: "one"}], "object", [{"1": "one"}]),
        (["ü€😀", 'quote"', "line\nbreak", "\\", ""], None, ["ü€😀", 'quote"', "line\nbreak", "\\", ""]),
        ([pd.Timestamp("2026-01-01 12:00:00.25"), pd.NaT], None, ["2026-01-01T12:00:00.250000", None]),
        ([pd.Timestamp("2026-01-01 12:00", tz="Europe/Paris")], None, ["2026-01-01T12:00:00+01:00"]),
        ([pd.Timestamp("2026-01-01 12:00", tz="UTC")], "object", ["2026-01-01T12:00:00+00:00"]),
        ([dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)], "object", ["2026-01-01T12:00:00+00:00"]),
        ([dt.date(2026, 1, 1)], "object", ["2026-01-01"]),
        ([np.datetime64("2026-01-01T12:00:00")], "object", ["2026-01-01T12:00:00"]),
        ([uuid.UUID(int=0)], "object", ["00000000-0000-0000-0000-000000000000"]),
        ([Plan.GOLD], "object", ["gold"]),
    ],
)
def test_json_carries_what_pandas_holds(column, dtype, expected):
    """Every kind of column as the value a reader would write by hand; what is missing is null."""
    assert [{"x": value} for value in expected] == [json.loads(payload) for payload in encode(column, dtype=dtype)]


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ({1, 2}, "a value of type set cannot be written as JSON"),
        (b"raw", "a value of type bytes cannot be written as JSON"),
        (pd.Interval(0, 1), "a value of type Interval cannot be written as JSON"),
        (1 + 2j, "a value of type complex cannot be written as JSON"),
        ("\ud800", "a text with a lone surrogate cannot be written as JSON"),
    ],
    ids=["set", "bytes", "interval", "complex", "surrogate"],
)
def test_json_refuses_what_it_could_only_guess_at(value, told):
    """Better a refusal before anything is sent than a model that reads something else."""
    with pytest.raises((TypeError, ValueError), match=f"column 'x': {told}"):
        encode([value], dtype="object")


@pytest.mark.parametrize("dtype", ["float64", "float32", "Float64", pd.ArrowDtype(pa.float64())], ids=str)
@pytest.mark.parametrize("infinite", [float("inf"), float("-inf")])
@pytest.mark.parametrize("content_type", [JSON, JSON_LINES])
def test_json_does_not_turn_infinity_into_a_missing_value(content_type, infinite, dtype):
    """JSON has no infinity; a row that holds one cannot be sent as JSON, and must not be sent as something else."""
    with pytest.raises(
        ValueError, match="column 'x': an infinite number cannot be written as JSON; replace it, or send text/csv"
    ):
        encode([1.0, infinite], content_type, dtype)


@pytest.mark.parametrize("cell", [float("inf"), [1.0, float("-inf")], {"k": float("inf")}, np.array([np.inf])], ids=str)
def test_json_does_not_turn_an_infinity_inside_a_cell_into_a_missing_value(cell):
    """The same promise for a column of objects."""
    with pytest.raises(ValueError, match="column 'x': an infinite number cannot be written as JSON"):
        encode([cell], dtype=object)


def test_csv_carries_infinity():
    """It has a word for it."""
    assert encode([float("-inf")], CSV) == [b"-inf\n"]


def test_a_json_payload_has_the_columns_in_their_order():
    """One compact object a row, by the columns' names."""
    rows = pd.DataFrame({"plan": ["a", "b"], "age": [1, 2]})

    assert payloads(rows) == [b'{"plan":"a","age":1}', b'{"plan":"b","age":2}']


def test_json_lines_are_json_with_an_end():
    """One line a row."""
    assert encode(["a\nb"], JSON_LINES) == [b'{"x":"a\\nb"}\n']


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"a": 1, "b": 0.1, "c": "x"}, b"1,0.1,x\n"),
        ({"a": 'say "hi"', "b": "one,two", "c": "up\ndown"}, b'"say ""hi""","one,two","up\ndown"\n'),
        ({"a": None, "b": float("nan"), "c": pd.NaT}, b",,\n"),
        ({"a": True, "b": pd.NA, "c": "ü€"}, "True,,ü€\n".encode()),
        ({"a": 1e300, "b": -0.0, "c": 12345678901234567}, b"1e+300,-0.0,12345678901234567\n"),
        ({"a": None}, b'""\n'),
    ],
    ids=["plain", "quotes", "missing", "bool and unicode", "numbers", "one empty cell"],
)
def test_a_csv_payload_is_a_line_without_header_and_index(row, expected):
    """As SageMaker's built-in algorithms read it; a missing value is an empty cell."""
    assert [expected] == payloads(pd.DataFrame([row]), CSV)


def test_integers_stay_integers_beside_missing_ones():
    """A model that reads text sees 1, and not 1.0."""
    assert encode([1, None], CSV, "Int64") == [b"1\n", b'""\n']


@pytest.mark.parametrize("content_type", [JSON, JSON_LINES, CSV])
def test_no_rows_make_no_payloads(content_type):
    """An empty frame is a job without requests."""
    assert payloads(pd.DataFrame({"x": []}), content_type) == []


def test_a_column_may_have_any_hashable_name():
    """JSON's keys are texts."""
    rows = pd.DataFrame([[1, 2, 3]], columns=pd.Index([0, ("a", 1), 2.5], dtype=object, tupleize_cols=False))

    assert [json.loads(payload) for payload in payloads(rows)] == [{"0": 1, "('a', 1)": 2, "2.5": 3}]


def test_encoding_leaves_the_rows_as_they_were():
    """They belong to somebody else."""
    rows = pd.DataFrame({"x": [1.0, float("nan")], "y": ["a", None]})
    before = rows.copy()
    payloads(rows)

    pd.testing.assert_frame_equal(before, rows)


# Content types


@pytest.mark.parametrize("content_type", ["application/json", "Application/JSON", "application/json; charset=utf-8"])
def test_case_and_parameters_of_a_content_type_do_not_matter(content_type):
    """They are not part of what it is."""
    assert mime_type(content_type) == JSON
    assert codec_for(content_type).suffix == ".json"


def test_a_content_type_that_cannot_be_written_is_refused_with_those_that_can():
    """The message is the list of what to choose from."""
    with pytest.raises(RequestError) as refusal:
        codec_for("application/pdf")

    expected = (
        "Rows cannot be written as content_type 'application/pdf';"
        " the types known are application/json, application/jsonlines, text/csv, text/libsvm, text/x-libsvm,"
        " application/x-npy, application/x-parquet, application/octet-stream, text/*, image/*, audio/*, video/*."
        " Nothing was sent."
    )
    assert expected == str(refusal.value)


# Answers


@pytest.mark.parametrize(
    ("answer", "content_type", "expected"),
    [
        (b'{"p": 0.5}', JSON, {"p": 0.5}),
        (b"[0.25, 0.75]", JSON, [0.25, 0.75]),
        (b"0.5", "application/json; charset=utf-8", 0.5),
        (b"null", JSON, None),
        (b'{"p": 1}\n', JSON_LINES, {"p": 1}),
        (b'{"p": 1}\r\n\n{"p": 2}', JSON_LINES, [{"p": 1}, {"p": 2}]),
        (b"", JSON_LINES, []),
        (b"0.5\n", CSV, 0.5),
        (b"7", "text/csv; charset=utf-8", 7),
        (b"0.25,0.75\n", CSV, [0.25, 0.75]),
        (b"1,a\n2,b\n", CSV, [[1, "a"], [2, "b"]]),
        (b'"one,two",""\n', CSV, ["one,two", ""]),
        (b"1\n2\n", CSV, [[1], [2]]),
        (b"", CSV, []),
        ("ü".encode(), "text/plain", "ü"),
        (b"<b>", "text/html; charset=utf-8", "<b>"),
        (b"%PDF", "application/pdf", b"%PDF"),
        (b"\x00\xff", None, b"\x00\xff"),
        (b"x", "", b"x"),
    ],
)
def test_an_answer_is_read_by_its_content_type(answer, content_type, expected):
    """JSON as its values, CSV as numbers and texts, other text as text, all else as the bytes it is."""
    assert expected == decode(answer, content_type)


@pytest.mark.parametrize(
    ("answer", "content_type"),
    [(b"{", JSON), (b"", JSON), (b"not json", JSON_LINES), (b"\xff", CSV), (b"\xff", "text/plain"), (b"\xff", JSON)],
)
def test_an_answer_that_is_not_what_it_says_is_a_value_error(answer, content_type):
    """One kind of error for all codecs, so that one place can tell of it."""
    with pytest.raises(ValueError, match=r"."):
        decode(answer, content_type)


def test_a_long_generated_text_is_an_ordinary_csv_answer():
    """The csv module would take 128 KiB for a mistake."""
    assert decode(b"x" * 140_000, CSV) == "x" * 140_000


def test_a_csv_answer_with_the_line_ends_of_another_age_is_read():
    """A carriage return alone ends a line too."""
    assert decode(b"a,1\rb,2\r", CSV) == [["a", 1], ["b", 2]]


def test_a_csv_answer_that_the_csv_module_refuses_is_a_value_error(monkeypatch):
    """One odd answer must not end the fetching of all the others."""

    def refuse(lines):
        raise csv.Error("line contains NUL")

    monkeypatch.setattr(csv, "reader", refuse)

    with pytest.raises(ValueError, match="line contains NUL"):
        decode(b"a", CSV)


def test_a_csv_label_with_an_underscore_stays_a_text():
    """'2024_01' is a class, not 202401."""
    assert decode(b"2024_01,1_0.5\n", CSV) == ["2024_01", "1_0.5"]
