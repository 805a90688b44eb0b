"""How each MIME type is written and read: rows to payloads, answers to a value for each row."""

from __future__ import annotations

import datetime as dt
import decimal
import io
import math
from itertools import islice

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sm_async_nb.core.payload import Options, WrongCountError, codec_for, decode
from sm_async_nb.errors import RequestError

JSON, JSON_LINES, CSV, LIBSVM = "application/json", "application/jsonlines", "text/csv", "text/libsvm"
TEXT, NPY, PARQUET, RAW = "text/plain", "application/x-npy", "application/x-parquet", "application/octet-stream"


def column(cells, dtype=object):
    """A frame of one column, ``x``."""
    return pd.DataFrame({"x": pd.Series(cells, dtype=dtype)})


def encode(rows, content_type, pack=None, **options):
    """The payloads of the rows, one a row or ``pack`` in each."""
    codec = codec_for(content_type, Options(packed=pack is not None, **options))
    return codec.encode(rows, bounds_of(len(rows), pack or 1))


def bounds_of(length, pack):
    return [*range(0, length, pack), length] if length else [0]


def there_and_back(rows, content_type, pack=None, **options):
    """What a model that answers with what it was asked would be understood to have said."""
    counts = np.diff(bounds_of(len(rows), pack or 1)).tolist()
    payloads = encode(rows, content_type, pack, **options)
    check_sizes(rows, payloads, counts, codec_for(content_type, Options(packed=pack is not None, **options)))
    packs = [
        decode(payload, content_type, count, packed=pack is not None)
        for payload, count in zip(payloads, counts, strict=True)
    ]
    return [value for values in packs for value in values]


def check_sizes(rows, payloads, counts, codec):
    """The sizes of rows and the overhead are those of a payload to the byte, so that packs by size keep a limit."""
    sizes = iter(codec.sizes(rows) or [])
    if counts and codec.suffix not in {".npy", ".parquet", ".bin"}:
        assert [sum(islice(sizes, count)) + codec.overhead for count in counts] == [len(one) for one in payloads]


def written(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def parquet(frame, **options):
    file = io.BytesIO()
    frame.to_parquet(file, **options)
    return file.getvalue()


# Payloads

TWO = pd.DataFrame({"a": [1, 2], "b": ["x", None]})
TEXTS = TWO["b"].dtype  # object, or str since pandas 3


@pytest.mark.parametrize(
    ("rows", "content_type", "options", "expected"),
    [
        (TWO, JSON, {}, [b'{"a":1,"b":"x"}', b'{"a":2,"b":null}']),
        (TWO, JSON, {"nan": "omit"}, [b'{"a":1,"b":"x"}', b'{"a":2}']),
        (TWO, JSON, {"pack": 2}, [b'[{"a":1,"b":"x"},{"a":2,"b":null}]']),
        (TWO, JSON, {"pack": 1}, [b'[{"a":1,"b":"x"}]', b'[{"a":2,"b":null}]']),
        (TWO, JSON, {"pack": 9, "wrap": "instances"}, [b'{"instances":[{"a":1,"b":"x"},{"a":2,"b":null}]}']),
        (TWO[["a"]], JSON, {"bare": True}, [b"1", b"2"]),
        (TWO[["a"]], JSON, {"bare": True, "pack": 2, "wrap": "instances"}, [b'{"instances":[1,2]}']),
        (TWO, JSON_LINES, {}, [b'{"a":1,"b":"x"}\n', b'{"a":2,"b":null}\n']),
        (TWO, JSON_LINES, {"pack": 2, "nan": "omit"}, [b'{"a":1,"b":"x"}\n{"a":2}\n']),
        (TWO[["b"]], JSON_LINES, {"bare": True, "pack": 2}, [b'"x"\nnull\n']),
        (TWO, CSV, {}, [b"1,x\n", b"2,\n"]),
        (TWO, CSV, {"pack": 2}, [b"1,x\n2,\n"]),
        (column(["a\rb"]), CSV, {}, [b'"a\rb"\n']),
        (column([decimal.Decimal("1.10"), 2**70]), CSV, {"pack": 2}, [b"1.10\n1180591620717411303424\n"]),
        (column([pd.Timestamp("2026-01-01", tz="UTC")]), CSV, {}, [b"2026-01-01T00:00:00+00:00\n"]),
        (
            pd.DataFrame({"a": [0.5, 0.0], "b": [None, 7.0], "c": [True, False]}),
            LIBSVM,
            {},
            [b"0 1:0.5 3:1\n", b"0 1:0.0 2:7.0 3:0\n"],
        ),
        (column([1, 0]), LIBSVM, {"pack": 2}, [b"0 1:1\n0 1:0\n"]),
        (column([None, decimal.Decimal("0.1")]), "text/x-libsvm", {}, [b"0\n", b"0 1:0.1\n"]),
        (column(["ü\nb", None]), TEXT, {}, ["ü\nb".encode(), b""]),
        (column(["a", None]), "text/html; charset=utf-8", {"pack": 2}, [b"a\n\n"]),
        (column([0.5, dt.date(2026, 1, 1)]), TEXT, {}, [b"0.5", b"2026-01-01"]),
        (column([b"a", bytearray(b"b"), memoryview(b"c")]), RAW, {}, [b"a", b"b", b"c"]),
        (column([b"a"], pd.ArrowDtype(pa.binary())), "image/png", {}, [b"a"]),
    ],
)
def test_rows_as_their_type_writes_them(rows, content_type, options, expected):
    """Bare where a request is one row, wrapped where it may have several: a last pack of one too."""
    assert expected == encode(rows, content_type, **options)


@pytest.mark.parametrize(
    ("rows", "pack", "expected"),
    [
        (pd.DataFrame({"a": [1, 2], "b": [3, 4]}), None, [np.array([[1, 3]]), np.array([[2, 4]])]),
        (pd.DataFrame({"a": [1, 2], "b": [3, 4]}), 2, [np.array([[1, 3], [2, 4]])]),
        (pd.DataFrame({"a": [1, 2], "b": [0.5, np.nan]}), 2, [np.array([[1, 0.5], [2, np.nan]])]),
        (pd.DataFrame({"a": [True], "b": [2]}), None, [np.array([[1, 2]])]),
        (column([1, None], "Int64"), 2, [np.array([[1.0], [np.nan]])]),
        (column([1, 2], "Int64"), 2, [np.array([[1], [2]])]),
        (column([0.5, None], "Float32"), 2, [np.array([[0.5], [np.nan]], dtype="f4")]),
        (column([1, None], pd.ArrowDtype(pa.int32())), 2, [np.array([[1.0], [np.nan]])]),
        (column([True, False], "boolean"), 2, [np.array([[True], [False]])]),
        (column([0.5], "float16"), None, [np.array([[0.5]], dtype="f2")]),
        (column([[1, 2], [3, 4]]), 2, [np.array([[1, 2], [3, 4]])]),
        (column([np.zeros((2, 3)), np.ones((2, 3))]), None, [np.zeros((1, 2, 3)), np.ones((1, 2, 3))]),
        (column([[1, 2]], pd.ArrowDtype(pa.list_(pa.int64()))), None, [np.array([[1, 2]])]),
    ],
)
def test_numpy_arrays_have_the_rows_on_their_first_axis(rows, pack, expected):
    """Of one dtype for all columns; what is missing is NaN."""
    arrays = [np.load(io.BytesIO(payload), allow_pickle=False) for payload in encode(rows, NPY, pack)]

    assert [array.dtype for array in expected] == [array.dtype for array in arrays]
    for one, other in zip(expected, arrays, strict=True):
        np.testing.assert_array_equal(one, other, strict=True)


def test_a_parquet_payload_has_the_columns_without_the_index():
    """Anybody's reader finds the frame's columns by their names, and nothing else."""
    rows = pd.DataFrame({"a": [1, 2], 7: ["x", None]}, index=["r-1", "r-2"])
    (payload,) = encode(rows, PARQUET, 2)

    assert pd.read_parquet(io.BytesIO(payload)).columns.tolist() == ["a", "7"]
    assert decode(payload, PARQUET, 2) == [{"a": 1, "7": "x"}, {"a": 2, "7": None}]


def test_a_pack_of_missing_texts_is_still_a_parquet_column_of_texts():
    """A model that saw texts in one request must not see nulls of no type in the next."""
    payloads = encode(column(["x", None]), PARQUET)

    assert {pa.parquet.read_schema(io.BytesIO(payload)).field("x").type for payload in payloads} == {pa.string()}


def test_paths_of_local_files_stand_for_what_is_in_them(tmp_path):
    """As text or as Path."""
    (tmp_path / "a.png").write_bytes(b"\x89PNG")
    rows = column([str(tmp_path / "a.png"), tmp_path / "a.png"])

    assert encode(rows, "image/png") == [b"\x89PNG", b"\x89PNG"]


@pytest.mark.parametrize("content_type", [JSON, JSON_LINES, CSV, LIBSVM, TEXT, NPY, PARQUET, RAW])
def test_no_rows_are_no_payloads_of_any_type(content_type):
    """An empty frame is a job without requests."""
    assert encode(column([], "float64"), content_type) == []


@pytest.mark.parametrize(
    ("content_type", "suffix"),
    [
        (JSON, ".json"),
        (JSON_LINES, ".jsonl"),
        (CSV, ".csv"),
        (LIBSVM, ".libsvm"),
        (TEXT, ".txt"),
        ("text/html", ".txt"),
        (NPY, ".npy"),
        (PARQUET, ".parquet"),
        (RAW, ".bin"),
        ("image/png", ".bin"),
        ("Audio/WAV; rate=16000", ".bin"),
        ("video/mp4", ".bin"),
    ],
)
def test_names_of_inputs_end_in_what_they_are(content_type, suffix):
    """So that somebody who looks into the bucket can open one."""
    assert suffix == codec_for(content_type).suffix


@pytest.mark.parametrize(
    ("content_type", "bare", "expected"),
    [
        (JSON, False, False),
        (JSON, True, True),
        (JSON_LINES, True, True),
        (CSV, False, False),
        (TEXT, False, True),
        (RAW, False, True),
    ],
)
def test_a_codec_knows_whether_it_is_made_of_one_column(content_type, bare, expected):
    """So that a caller can say it once, and not of every row."""
    assert expected == codec_for(content_type, Options(bare=bare)).one_column


# Refusals of rows

INTO_JSON = "send application/json"
MISSING = "column {!r}: a value is missing; fill it, or choose nan='null'"
ONLY_NUMBERS = "cannot be written as libsvm, which has numbers only"


@pytest.mark.parametrize(
    ("rows", "content_type", "options", "told"),
    [
        (TWO, JSON, {"nan": "error"}, MISSING.format("b")),
        (TWO, JSON_LINES, {"nan": "error"}, MISSING.format("b")),
        (TWO, CSV, {"nan": "error"}, MISSING.format("b")),
        (column([np.nan]), LIBSVM, {"nan": "error"}, MISSING.format("x")),
        (TWO[["b"]], TEXT, {"nan": "error"}, MISSING.format("b")),
        (column([np.nan], "f8"), NPY, {"nan": "error"}, MISSING.format("x")),
        (column([[np.nan]]), NPY, {"nan": "error"}, MISSING.format("x")),
        (TWO, PARQUET, {"nan": "error"}, MISSING.format("b")),
        (TWO, JSON, {"bare": True}, "bare JSON is made of exactly one column, got 2; choose it with columns=[...]"),
        (TWO, TEXT, {}, "text is made of exactly one column, got 2; choose it with columns=[...]"),
        (TWO, RAW, {}, "a payload of raw bytes is made of exactly one column, got 2; choose it with columns=[...]"),
        (column([[1]]), CSV, {}, f"column 'x': a list cannot be written as CSV; {INTO_JSON}"),
        (column([{"k": 1}]), CSV, {}, f"column 'x': a dict cannot be written as CSV; {INTO_JSON}"),
        (column([(1,)]), TEXT, {}, f"column 'x': a list cannot be written as text; {INTO_JSON}"),
        (column([{1}]), CSV, {}, "column 'x': a value of type set cannot be written as CSV"),
        (column(["a"]), LIBSVM, {}, f"column 'x': a value of type str {ONLY_NUMBERS}"),
        (column([[1]]), LIBSVM, {}, f"column 'x': a value of type list {ONLY_NUMBERS}"),
        (
            column([math.inf]),
            LIBSVM,
            {},
            "column 'x': an infinite number cannot be written as libsvm; replace it, or send text/csv",
        ),
        (
            column(["a\nb"]),
            TEXT,
            {"pack": 2},
            "column 'x': a text with a line break cannot share a request with others;"
            " send one row a request, or application/json",
        ),
        (
            TWO,
            NPY,
            {},
            f"column 'b': values of dtype {TEXTS} cannot be written as NPY beside others; it has numbers only",
        ),
        (
            column([1]),
            NPY,
            {},
            (
                "column 'x': a value of type int cannot be written as NPY;"
                " give the column a numeric dtype, or arrays of one shape"
            ),
        ),
        (
            column([None, [1]]),
            NPY,
            {},
            "column 'x': a value of type NoneType cannot be written as NPY;"
            " give the column a numeric dtype, or arrays of one shape",
        ),
        (column([[1, [2]]]), NPY, {}, "column 'x': a list whose parts differ in length cannot be written as NPY"),
        (column([["a"]]), NPY, {}, "column 'x': an array of dtype <U1 cannot be written as NPY; it has numbers only"),
        (
            column([[None]]),
            NPY,
            {},
            "column 'x': an array of dtype object cannot be written as NPY; it has numbers only",
        ),
        (column([[1], [1, 2]]), NPY, {"pack": 2}, "column 'x': arrays of shapes (1,) and (2,) cannot share a request"),
        (
            pd.DataFrame({"a": [2**53 + 1], "b": [0.5]}),
            NPY,
            {},
            "column 'a': a whole number does not fit float64 exactly; send it as a text, or application/json",
        ),
        (
            column([2**53 + 1, None], "Int64"),
            NPY,
            {},
            "column 'x': a whole number does not fit float64 exactly; send it as a text, or application/json",
        ),
        (
            column([[2**53 + 1], [0.5]]),
            NPY,
            {"pack": 2},
            "column 'x': a whole number does not fit float64 exactly; send it as a text, or application/json",
        ),
        (
            column([1, "secret"]),
            PARQUET,
            {},
            "column 'x': values of these types cannot be one Parquet column: int, str",
        ),
        (column([object()]), PARQUET, {}, "column 'x': values of these types cannot be one Parquet column: object"),
        (column([1.5]), RAW, {}, "column 'x': a value of type float is neither bytes nor the path of a local file"),
        (column([None]), RAW, {}, "column 'x': a value is missing, which raw bytes cannot say; drop the row"),
        (
            column(["no/such.png"]),
            "image/png",
            {},
            "column 'x': the file 'no/such.png' cannot be read: No such file or directory",
        ),
        (column(["."]), "image/png", {}, "column 'x': the file '.' cannot be read: Is a directory"),
        (column(["a\0b"]), RAW, {}, "column 'x': 'a\\x00b' is neither bytes nor the path of a local file"),
        (
            column(["s3://bkt/a.png"]),
            "image/png",
            {},
            "column 'x': 's3://bkt/a.png' is no local path; download it, or name the column as input_location=",
        ),
    ],
)
def test_what_a_type_cannot_carry_is_refused_by_column(rows, content_type, options, told):
    """The fact, where, and the way out; never a value in full."""
    with pytest.raises((TypeError, ValueError)) as refusal:
        encode(rows, content_type, **options)

    assert told == str(refusal.value)


def test_a_long_text_that_is_no_path_is_shown_in_part():
    """Somebody chose the wrong column, and its texts are not for a log."""
    with pytest.raises(ValueError, match=r"the file 'x{120}…' cannot be read: File name too long"):
        encode(column(["x" * 10_000]), RAW)


def test_packs_that_a_codec_was_not_told_of_are_a_defect():
    """Two JSON objects in a row are no JSON."""
    with pytest.raises(AssertionError):
        codec_for(JSON).encode(TWO, [0, 2])


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"nan": "drop"}, "nan must be one of 'null', 'error', 'omit', got 'drop'. Nothing was sent."),
        ({"wrap": "rows"}, "wrap must be one of 'array', 'instances', got 'rows'. Nothing was sent."),
        (
            {"nan": "omit", "bare": True},
            (
                "nan='omit' leaves a key out, and a bare value has none; use nan='null' or nan='error'."
                " Nothing was sent."
            ),
        ),
    ],
)
def test_options_that_there_are_not_are_refused(options, told):
    """Before a row is looked at."""
    with pytest.raises(RequestError) as refusal:
        Options(**options)

    assert told == str(refusal.value)


@pytest.mark.parametrize("content_type", [CSV, TEXT, NPY, PARQUET, RAW])
def test_nothing_can_be_omitted_where_there_are_no_keys(content_type):
    """A cell left out of a line would shift all those after it."""
    told = f"nan='omit' leaves a key out, and {content_type} has none; use nan='null' or nan='error'. Nothing was sent."
    with pytest.raises(RequestError) as refusal:
        codec_for(content_type, Options(nan="omit"))

    assert told == str(refusal.value)


def test_files_cannot_share_a_request():
    """Nobody could tell where one ends."""
    with pytest.raises(RequestError) as refusal:
        codec_for("image/png", Options(packed=True))

    told = "Several rows cannot share a request of image/png; leave rows_per_request at 1. Nothing was sent."
    assert told == str(refusal.value)


# Answers


@pytest.mark.parametrize(
    ("answer", "content_type", "count", "expected"),
    [
        (b"[1, 2]", JSON, 2, [1, 2]),
        (b"[[1, 2], [3, 4]]", JSON, 2, [[1, 2], [3, 4]]),
        (b'{"predictions": [1, 2]}', JSON, 2, [1, 2]),
        (b'{"predictions": [1, 2], "model": "v7"}', JSON, 2, [1, 2]),
        (b'{"predictions": [1, 2], "classes": ["a", "b", "c"]}', JSON, 2, [1, 2]),
        (b'{"label": ["a", "b"], "p": [0.5, 0.9]}', JSON, 2, [{"label": "a", "p": 0.5}, {"label": "b", "p": 0.9}]),
        (b"[1]", JSON, 1, [1]),
        (b"[[1, 2]]", JSON, 1, [[1, 2]]),
        (b'{"predictions": [7]}', JSON, 1, [7]),
        (b"0.5", JSON, 1, [0.5]),
        (b'{"p": 0.5}', JSON, 1, [{"p": 0.5}]),
        (b'{"p": 1}\n{"p": 2}\n', JSON_LINES, 2, [{"p": 1}, {"p": 2}]),
        (b"[1, 2]\n\n[3, 4]", JSON_LINES, 2, [[1, 2], [3, 4]]),
        (b"[1]", JSON_LINES, 1, [[1]]),
        (b"0.5\n0.7\n", CSV, 2, [0.5, 0.7]),
        (b"0.5,0.7", CSV, 2, [0.5, 0.7]),
        (b"1,a\r\n2,b\r\n", CSV, 2, [[1, "a"], [2, "b"]]),
        (b"1,a\n", CSV, 1, [[1, "a"]]),
        (b"7\n", CSV, 1, [7]),
        ("\ufeff1\n2\n".encode(), CSV, 2, [1, 2]),
        (b"0 1:0.5\n1 2:7\n", LIBSVM, 2, [{"label": 0, "1": 0.5}, {"label": 1, "2": 7}]),
        (b"a\r\n\r\nc", TEXT, 3, ["a", "", "c"]),
        ("a\x0cb\nc\u2028d\n".encode(), TEXT, 2, ["a\x0cb", "c\u2028d"]),
        (b"a\n", TEXT, 1, ["a"]),
        (written([0.5, 0.7]), NPY, 2, [0.5, 0.7]),
        (written(np.float32(0.5)), NPY, 1, [0.5]),
        (written([True]), NPY, 1, [True]),
        (parquet(pd.DataFrame({"p": [1, 2]})), PARQUET, 2, [{"p": 1}, {"p": 2}]),
        (parquet(pd.DataFrame({"p": [1, 2]}, index=["a", "b"])), PARQUET, 2, [{"p": 1}, {"p": 2}]),
        (b"%PDF", "application/pdf", 1, [b"%PDF"]),
    ],
)
def test_an_answer_to_a_pack_has_a_value_for_each_row(answer, content_type, count, expected):
    """In each of the forms that models have for it."""
    assert expected == decode(answer, content_type, count, packed=True)


@pytest.mark.parametrize(
    ("answer", "content_type", "expected"),
    [
        (b"[1]", JSON, [1]),
        (b'{"predictions": [1]}', JSON, {"predictions": [1]}),
        (b"[1]", JSON_LINES, [1]),
        (b"a\nb\n", TEXT, "a\nb\n"),
        (b"0 1:0.5\n", LIBSVM, {"label": 0, "1": 0.5}),
        (b"0 1:1\n0 1:2\n", LIBSVM, [{"label": 0, "1": 1}, {"label": 0, "1": 2}]),
        (written(0.5), NPY, 0.5),
        (written([0.5]), NPY, 0.5),
        (parquet(pd.DataFrame({"p": [1]})), PARQUET, {"p": 1}),
        (parquet(pd.DataFrame({"p": [1, 2]})), PARQUET, [{"p": 1}, {"p": 2}]),
        (b"\x00", "image/png", b"\x00"),
    ],
)
def test_the_answer_to_one_row_is_its_value_whatever_it_looks_like(answer, content_type, expected):
    """Nothing is unwrapped that a model may have meant."""
    assert [expected] == decode(answer, content_type)


@pytest.mark.parametrize("array", [np.arange(3), np.arange(6).reshape(1, 2, 3), np.arange(6).reshape(2, 3)], ids=str)
def test_an_array_for_one_row_is_its_value(array):
    """Without the axis of the rows, where there is one."""
    (value,) = decode(written(array), NPY)

    np.testing.assert_array_equal(array[0] if len(array) == 1 else array, value)


@pytest.mark.parametrize(
    ("answer", "content_type", "expected", "found"),
    [
        (b"[1, 2, 3]", JSON, 2, 3),
        (b"[]", JSON, 1, 0),
        (b'{"predictions": [1]}', JSON, 2, 1),
        (b'{"predictions": [0.1, 0.9]}', JSON, 1, 2),
        (b'{"a": [1, 2], "b": [3]}', JSON, 3, None),
        (b'{"a": [1, 2], "b": [3, 4], "model": "v7"}', JSON, 2, None),
        (b'{"p": 1}', JSON, 2, None),
        (b"0.5", JSON, 2, None),
        (b'{"p": 1}\n', JSON_LINES, 2, 1),
        (b"1\n2\n3\n", CSV, 2, 3),
        (b"1,2,3\n", CSV, 2, 1),
        (b"", CSV, 2, 0),
        (b"0 1:1\n", LIBSVM, 2, 1),
        (b"a\nb\nc", TEXT, 2, 3),
        (written([1]), NPY, 2, 1),
        (written(1), NPY, 2, None),
        (parquet(pd.DataFrame({"p": [1]})), PARQUET, 2, 1),
        (b"%PDF", "application/pdf", 2, None),
        (b"\x00", None, 2, None),
    ],
)
def test_an_answer_that_has_not_one_value_for_each_row_says_how_many_it_has(answer, content_type, expected, found):
    """Values given to the wrong rows are worse than none."""
    with pytest.raises(WrongCountError) as refusal:
        decode(answer, content_type, expected, packed=True)

    assert (expected, found) == (refusal.value.expected, refusal.value.found)


@pytest.mark.parametrize(
    ("expected", "found", "told"),
    [
        (20, 19, "the answer has 19 rows for 20 sent"),
        (20, 1, "the answer has 1 row for 20 sent"),
        (20, None, "the answer cannot be split among the 20 rows sent"),
        (1, None, "the answer cannot be split among the 1 row sent"),
    ],
)
def test_a_wrong_count_is_told_in_a_sentence(expected, found, told):
    """With both numbers, where there are two."""
    assert told == str(WrongCountError(expected, found))


NPZ = io.BytesIO()
np.savez(NPZ, a=[1])
PICKLED = io.BytesIO()
np.save(PICKLED, np.array([{}], dtype=object), allow_pickle=True)


@pytest.mark.parametrize(
    ("answer", "content_type"),
    [
        (b"{", JSON),
        (b"{}\n{", JSON_LINES),
        (b"\xff", CSV),
        (b"\xff", TEXT),
        (b"0 1:x", LIBSVM),
        (b"0 1", LIBSVM),
        (b"0 1:2:3", LIBSVM),
        (b"", NPY),
        (b"\x93NUMPY", NPY),
        (b"0.5", NPY),
        (written([1, 2])[:-1], NPY),
        (written([1]).replace(b"(1,)", b"(1e)"), NPY),
        (written([1] * 11).replace(b"(11,), }" + b" " * 16, b"(9" + b"9" * 16 + b",), }     "), NPY),
        (NPZ.getvalue(), NPY),
        (PICKLED.getvalue(), NPY),
        (b"", PARQUET),
        (b"PAR1", PARQUET),
        (parquet(pd.DataFrame({"p": [1]}))[:-20], PARQUET),
        (b"PAR1" + b"\xff" * 60 + b"\x20\x00\x00\x00PAR1", PARQUET),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_bytes_that_are_not_of_the_type_are_a_value_error_and_no_wrong_count(answer, content_type, packed):
    """One kind of error for all codecs; a pickle is never opened."""
    with pytest.raises(ValueError) as refusal:
        decode(answer, content_type, 1, packed=packed)

    assert not isinstance(refusal.value, WrongCountError)


# Round trips: at least a thousand examples of each

many = settings(max_examples=1000)
packs = st.sampled_from([None, 1, 2])
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=4,
)
finite = st.floats(allow_nan=False, allow_infinity=False)
int64 = st.integers(-(2**63), 2**63 - 1)
# What a column of a dtype holds; the dtype itself is part of what is tried.
typed = st.sampled_from(
    [
        ("int64", int64),
        ("uint64", st.integers(0, 2**64 - 1)),
        ("float64", finite),
        ("bool", st.booleans()),
        ("Int64", st.none() | int64),
        ("Float64", st.none() | finite),
        ("boolean", st.none() | st.booleans()),
        ("string", st.none() | st.text()),
        (pd.ArrowDtype(pa.int64()), st.none() | int64),
        (pd.ArrowDtype(pa.string()), st.none() | st.text()),
        (object, st.none() | st.text()),
    ]
)
typed_cells = typed.flatmap(lambda kind: st.tuples(st.just(kind[0]), st.lists(kind[1], max_size=2)))


def of_cells(dtype, cells):
    """A column, made without a guess at what the cells are."""
    return pd.DataFrame({"x": pd.Series(cells, dtype=dtype)})


@many
@given(st.lists(json_values, max_size=3), packs, st.sampled_from(["array", "instances"]))
def test_json_comes_back_as_it_was(cells, pack, wrap):
    """As records and bare, in one value or in lines, from a model that answers under the key it was asked under."""
    rows = of_cells(object, cells)

    assert [{"x": cell} for cell in cells] == there_and_back(rows, JSON, pack)
    assert [{"x": cell} for cell in cells] == there_and_back(rows, JSON_LINES, pack)
    assert cells == there_and_back(rows, JSON, pack, bare=True, wrap=wrap)
    assert cells == there_and_back(rows, JSON_LINES, pack, bare=True)


@many
@given(typed_cells, packs)
def test_columns_of_every_dtype_come_back_as_they_were(kind, pack):
    """To the last digit, missing ones included; what is omitted was missing, and nothing else is."""
    dtype, cells = kind
    rows = of_cells(dtype, cells)

    assert [{"x": cell} for cell in cells] == there_and_back(rows, JSON, pack)
    assert [{"x": cell} for cell in cells] == there_and_back(rows, PARQUET, pack)
    assert [{} if cell is None else {"x": cell} for cell in cells] == there_and_back(rows, JSON, pack, nan="omit")


csv_cells = st.one_of(
    st.integers(),
    st.floats(allow_nan=False),
    st.text(alphabet=st.characters(codec="utf-8")).map("t:{}".format),
)


@many
@given(
    st.integers(1, 3).flatmap(lambda width: st.lists(st.lists(csv_cells, min_size=width, max_size=width), max_size=3)),
    packs,
)
def test_csv_comes_back_as_it_was(lines, pack):
    """Whole numbers of any size, floats with their infinities, texts with commas, quotes and every line break."""
    rows = pd.DataFrame(lines, dtype=object)
    expected = [line[0] if len(line) == 1 else line for line in lines]

    assert expected == there_and_back(rows, CSV, pack)


@many
@given(st.lists(st.tuples(st.none() | finite, int64, st.booleans()), max_size=3), packs)
def test_libsvm_comes_back_as_it_was(lines, pack):
    """A missing value is not there, a zero is."""
    rows = pd.DataFrame(lines, columns=["a", "b", "c"], dtype=object)
    expected = [
        {"label": 0, **{str(index): cell for index, cell in enumerate(line, 1) if cell is not None}} for line in lines
    ]

    assert expected == there_and_back(rows, LIBSVM, pack)


@many
@given(st.lists(st.text(), max_size=3), st.integers(1, 2))
def test_texts_come_back_as_they_were(cells, pack):
    """With their line breaks when they are alone; otherwise with all that only some take for the end of a line."""
    lines = [cell.replace("\n", "").replace("\r", "") for cell in cells]

    assert cells == there_and_back(of_cells(object, cells), TEXT)
    assert lines == there_and_back(of_cells(object, lines), TEXT, pack)


numbers = st.sampled_from(
    [
        ("int64", int64),
        ("uint8", st.integers(0, 255)),
        ("float64", st.floats()),
        ("float32", st.floats(width=32)),
        ("bool", st.booleans()),
    ]
)


@many
@given(
    numbers.flatmap(lambda kind: st.tuples(st.just(kind[0]), st.lists(st.tuples(kind[1], kind[1]), max_size=3))), packs
)
def test_numpy_comes_back_as_it_was(kind, pack):
    """Bit by bit and with its dtype, from columns and from a column of arrays."""
    dtype, lines = kind
    expected = [np.array(line, dtype=dtype) for line in lines]
    columns = pd.DataFrame(np.array(lines, dtype=dtype).reshape(-1, 2))
    arrays = pd.DataFrame({"x": pd.Series(expected, dtype=object)})

    for rows in (columns, arrays):
        values = there_and_back(rows, NPY, pack)

        assert [(one.dtype, one.tobytes()) for one in expected] == [(one.dtype, one.tobytes()) for one in values]


arrow_cells = st.sampled_from(
    [
        st.binary(),
        st.dates(),
        st.integers(-(10**9), 10**9).map(lambda seconds: dt.datetime.fromtimestamp(seconds, dt.UTC)),
        st.integers(-(10**9), 10**9).map(lambda number: decimal.Decimal(number).scaleb(-3)),
        st.lists(int64),
        st.lists(st.text()),
    ]
).flatmap(lambda cells: st.lists(st.none() | cells, max_size=2))


@many
@given(arrow_cells, packs)
def test_parquet_comes_back_as_it_was(cells, pack):
    """Bytes, dates, times, exact numbers and lists as what they are."""
    assert [{"x": cell} for cell in cells] == there_and_back(of_cells(object, cells), PARQUET, pack)


@many
@given(st.lists(st.binary(), max_size=3))
def test_raw_bytes_come_back_as_they_were(cells):
    """There is nothing to misunderstand."""
    assert cells == there_and_back(of_cells(object, cells), RAW)


@pytest.mark.parametrize("content_type", [NPY, PARQUET, RAW])
def test_a_type_whose_rows_have_no_size_of_their_own_says_so(content_type):
    """What a row adds depends on its neighbours, or it has none."""
    assert codec_for(content_type).sizes(column([1])) is None
