"""A row's fingerprint: sixteen bytes that are the same when, and only when, the same would be sent for the row.

They tell a row that was answered already from one that is new or was changed, whatever its place and index label are.
What counts is what the model sees of this row alone: its payload, were it the only one in its request, and those fields
of the request that vary from row to row. What is the same for all rows is compared as a whole, by
:mod:`~sm_async_nb.core.asked`; names that the job makes up are nobody's business.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from sm_async_nb.core.columns import IntArray
from sm_async_nb.core.content import Content, FromColumns

# NumPy's bytes ("S16") lose zeros at their end; void keeps them.
FINGERPRINT = np.dtype("V16")
Fingerprints = npt.NDArray[np.void]


def no_fingerprints(rows: int = 0) -> Fingerprints:
    """As many empty ones."""
    return np.zeros(rows, dtype=FINGERPRINT)


def fingerprints_of(marks: Sequence[bytes], told: Sequence[bytes] | None = None) -> Fingerprints:
    """The fingerprints of rows by what stands for their payloads, and what is told of their fields."""
    texts = marks if told is None else map(operator.add, told, marks)
    digests = [blake2b(text, digest_size=16).digest() for text in texts]
    return np.frombuffer(b"".join(digests), dtype=FINGERPRINT)


def told_of(values: Mapping[str, Sequence[Any]]) -> list[bytes] | None:
    """The fields that vary, as bytes, for each row; what is None is not sent and leaves no trace."""
    if not values:
        return None
    names = sorted(values)
    # ascii() and not repr(), whose escapes differ from one Python to the next with the Unicode tables.
    return [
        ascii([(name, value) for name, value in zip(names, row, strict=True) if value is not None]).encode()
        for row in zip(*(values[name] for name in names), strict=True)
    ]


def marks_of(content: Content | None, rows: pd.DataFrame, payloads: Sequence[bytes]) -> Sequence[bytes]:
    """What stands for the payloads of these rows: mostly themselves.

    The types of a Parquet file, and of an array of nullable numbers, follow from the rows beside it in the frame, and a
    Parquet file names the Arrow that wrote it. The same row would look new in another place or on another machine, so
    its values stand for it.
    """
    if not isinstance(content, FromColumns) or content.suffix not in (".npy", ".parquet"):
        return payloads
    columns = rows.loc[:, content.columns]
    if content.suffix == ".npy" and all(isinstance(dtype, np.dtype) for dtype in columns.dtypes):
        return payloads
    return _values(columns) or payloads


def same_as(fingerprints: Fingerprints) -> IntArray:
    """For each row the first with the same fingerprint, itself if there is none."""
    codes, first = grouped(fingerprints)
    return first[codes]


def grouped(fingerprints: Fingerprints) -> tuple[IntArray, IntArray]:
    """A number for each fingerprint, the same for the same, in order of appearance; and where each appears first."""
    halves = np.ascontiguousarray(fingerprints).view(np.uint64).reshape(-1, 2)
    codes, first = _grouped(halves[:, 0])
    if (halves[first[codes], 1] == halves[:, 1]).all():
        return codes, first
    # Two that differ agree in their first halves, which nobody has seen yet.
    pairs, _ = _grouped(halves[:, 1])
    return _grouped(codes * len(codes) + pairs)


def _grouped(keys: npt.NDArray[Any]) -> tuple[IntArray, IntArray]:
    codes, different = pd.factorize(keys)
    first = np.empty(len(different), dtype=np.int64)
    first[codes[::-1]] = np.arange(len(codes) - 1, -1, -1)
    return codes.astype(np.int64, copy=False), first


def _values(rows: pd.DataFrame) -> list[bytes]:
    """Nothing where Arrow knows no type for a column, which is refused in the end."""
    import pyarrow as pa

    try:
        columns = [pa.Array.from_pandas(column).to_pylist() for _, column in rows.items()]
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return []
    names = [str(name) for name in rows.columns]
    cells = zip(*(map(_plain, column) for column in columns), strict=True)
    return [ascii(list(zip(names, row, strict=True))).encode() for row in cells]


def _plain(value: Any) -> Any:
    """1 for 1.0 too, which is what becomes of it beside a row that misses its number."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return [_plain(item) for item in value] if isinstance(value, list) else value
