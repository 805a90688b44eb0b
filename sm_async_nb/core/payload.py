"""Rows to payload bytes and answers back to values, by MIME type.

A codec is two functions. Encoding takes the columns of some rows and gives one payload for each row; decoding takes
one answer and gives the value for its row: a dict (its keys become columns), a list, a number, a text, or bytes.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
import pandas as pd
from pandas.api.types import is_float_dtype

from sm_async_nb.errors import RequestError

# The csv module refuses cells of more than 128 KiB unless told otherwise; generated texts are longer.
csv.field_size_limit(max(csv.field_size_limit(), 2**31 - 1))

Encoder = Callable[[pd.DataFrame], list[bytes]]
Decoder = Callable[[bytes], Any]


@dataclass(frozen=True)
class Codec:
    """How one MIME type is written and read. ``suffix`` ends the names of its objects in S3."""

    suffix: str
    encode: Encoder
    decode: Decoder


def codec_for(content_type: str) -> Codec:
    """The codec of a MIME type; parameters such as ``; charset=utf-8`` do not matter.

    Raises
    ------
    RequestError
        If rows cannot be written as it, with the types that can.
    """
    codec = _CODECS.get(mime_type(content_type))
    if codec is None:
        known = ", ".join(_CODECS)
        raise RequestError(
            f"Rows cannot be written as content_type {content_type!r}; the types known are {known}. Nothing was sent."
        )
    return codec


def decode(answer: bytes, content_type: str | None) -> Any:
    """The value of an answer; bytes where nothing is known about its type.

    Raises
    ------
    ValueError
        If the bytes are not what the content type says.
    """
    codec = _CODECS.get(mime_type(content_type or ""))
    if codec is not None:
        return codec.decode(answer)
    if mime_type(content_type or "").startswith("text/"):
        return answer.decode()
    return answer


def mime_type(content_type: str) -> str:
    """``text/csv; charset=utf-8`` is ``text/csv``."""
    return content_type.partition(";")[0].strip().lower()


def _encode_json(rows: pd.DataFrame) -> list[bytes]:
    return [_json(record) for record in records(rows)]


def _encode_json_lines(rows: pd.DataFrame) -> list[bytes]:
    return [line + b"\n" for line in _encode_json(rows)]


def _encode_csv(rows: pd.DataFrame) -> list[bytes]:
    # SageMaker's built-in algorithms read CSV without header and index; what is missing is an empty cell.
    return [_csv_line(cells) for cells in zip(*(_plain_column(rows[name]) for name in rows.columns), strict=True)]


def _decode_json_lines(answer: bytes) -> Any:
    values = [orjson.loads(line) for line in answer.splitlines() if line.strip()]
    return values[0] if len(values) == 1 else values


def _decode_csv(answer: bytes) -> Any:
    try:
        lines = [line for line in csv.reader(io.StringIO(answer.decode(), newline="")) if line]
    except csv.Error as error:
        raise ValueError(str(error)) from None
    return _alone(_alone([[_number_or_text(cell) for cell in line] for line in lines]))


_CODECS: Mapping[str, Codec] = {
    "application/json": Codec(".json", _encode_json, orjson.loads),
    "application/jsonlines": Codec(".jsonl", _encode_json_lines, _decode_json_lines),
    "text/csv": Codec(".csv", _encode_csv, _decode_csv),
}


def records(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """One dict a row, with values that JSON can carry or that `_json` knows how to write."""
    names = [str(name) for name in rows.columns]
    _refuse_infinity(rows)
    columns = [_plain_column(rows[name]) for name in rows.columns]
    return [dict(zip(names, cells, strict=True)) for cells in zip(*columns, strict=True)]


def _refuse_infinity(rows: pd.DataFrame) -> None:
    for name in rows.columns:
        column = rows[name]
        if is_float_dtype(column.dtype) and np.isinf(column.to_numpy(dtype=np.float64, na_value=np.nan)).any():
            raise ValueError(f"column {name!r} is infinite, which JSON has no number for")


def _plain_column(column: pd.Series) -> Sequence[Any]:
    """A column as Python objects, None where a value is missing."""
    values = column.astype(object)
    missing = column.isna()
    if missing.any():
        values = values.where(~missing, None)
    return values.tolist()


_JSON_OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS


def _json(record: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(record, default=_json_default, option=_JSON_OPTIONS)
    except TypeError as error:
        # orjson hides what `_json_default` said behind a sentence of its own.
        raise error.__cause__ or error from None


def _json_default(value: Any) -> Any:
    if value is pd.NaT or value is pd.NA:
        return None
    if isinstance(value, pd.Timestamp):
        return value.isoformat()
    raise TypeError(f"a value of type {type(value).__name__} cannot be written as JSON")


def _csv_line(cells: Sequence[Any]) -> bytes:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue().encode()


def _number_or_text(cell: str) -> int | float | str:
    if "_" in cell:
        return cell  # Python reads 2024_01 as a number; nobody who writes CSV means one
    for number in (int, float):
        try:
            return number(cell)
        except ValueError:
            continue
    return cell


def _alone(values: list[Any]) -> Any:
    """A list of one is its only member; a list of several stays."""
    return values[0] if len(values) == 1 else values
