"""``application/x-npy``: rows as one NumPy array whose first axis is the rows. Never pickled, either way."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, cast

import numpy as np
import pandas as pd

from sm_async_nb.core.codecs import WrongCountError, counted
from sm_async_nb.core.codecs.cells import missing, naming, refuse_missing

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, kw_only=True)
class NpyCodec:
    """Columns of numbers as an array of shape (rows, columns), or one column of arrays of one shape, stacked.

    What is missing is NaN, so a column of whole numbers that misses one travels as floats; ``nan="error"`` refuses it.
    """

    nan: str = "null"
    suffix: str = ".npy"
    one_column: bool = False
    overhead: int = 0

    def encode(self, rows: pd.DataFrame, bounds: Sequence[int]) -> list[bytes]:
        if self.nan == "error":
            refuse_missing(rows)
        if rows.shape[1] == 1 and not _is_numeric(rows.iloc[:, 0]):
            cells = _arrays(rows.iloc[:, 0], missing_allowed=self.nan != "error")
            with naming(rows.columns[0]):
                return [_saved(_stacked(cells[start:stop])) for start, stop in pairwise(bounds)]
        table = _table(rows)
        return [_saved(table[start:stop]) for start, stop in pairwise(bounds)]

    def decode(self, answer: bytes, count: int, *, packed: bool) -> list[Any]:
        """A number a row, or the row's own array."""
        array = _loaded(answer)
        if not packed:
            return [_value(array[0] if array.shape[:1] == (1,) else array)]
        if array.ndim == 0 and count != 1:
            raise WrongCountError(count)
        return [_value(row) for row in counted(list(np.atleast_1d(array)), count)]

    def sizes(self, rows: pd.DataFrame) -> None:  # noqa: ARG002
        return None


def _is_numeric(column: pd.Series) -> bool:
    return column.dtype.kind in "biuf"


def _table(rows: pd.DataFrame) -> Array:
    columns = []
    for name, column in rows.items():
        with naming(name):
            columns.append(_numbers(column))
    dtype = np.result_type(*columns)
    for name, numbers in zip(rows.columns, columns, strict=True):
        with naming(name):
            _check_exact(numbers, dtype)
    return np.column_stack(columns).astype(dtype, copy=False)


def _numbers(column: pd.Series) -> Array:
    if not _is_numeric(column):
        raise TypeError(f"values of dtype {column.dtype} cannot be written as NPY beside others; it has numbers only")
    dtype = column.dtype if isinstance(column.dtype, np.dtype) else np.dtype(cast(Any, column.dtype).numpy_dtype)
    if dtype.kind == "f":
        return column.to_numpy(dtype=dtype, na_value=np.nan)
    if not column.hasnans:
        return column.to_numpy(dtype=dtype)
    _check_exact(column.dropna().to_numpy(dtype=dtype), np.dtype(np.float64))
    return column.to_numpy(dtype=np.float64, na_value=np.nan)


def _check_exact(numbers: Array, dtype: np.dtype[Any]) -> None:
    """One array has one dtype, and a large whole number among floats would become its neighbour."""
    # Compared as Python's own numbers: NumPy would round the whole numbers for the comparison too.
    if dtype.kind == "f" and numbers.dtype.kind in "iu" and numbers.astype(dtype).tolist() != numbers.tolist():
        raise ValueError(f"a whole number does not fit {dtype} exactly; send it as a text, or application/json")


def _arrays(column: pd.Series, *, missing_allowed: bool) -> list[Array]:
    with naming(column.name):
        return [_array(cell, missing_allowed=missing_allowed) for cell in column]


def _array(cell: Any, *, missing_allowed: bool) -> Array:
    if not isinstance(cell, (list, tuple, np.ndarray)):
        raise TypeError(
            f"a value of type {type(cell).__name__} cannot be written as NPY;"
            " give the column a numeric dtype, or arrays of one shape"
        )
    try:
        array = np.asarray(cell)
    except ValueError:  # of ragged lists, with words about NumPy's inside
        raise ValueError("a list whose parts differ in length cannot be written as NPY") from None
    if array.dtype.kind not in "biufc":
        raise TypeError(f"an array of dtype {array.dtype} cannot be written as NPY; it has numbers only")
    if not missing_allowed and array.dtype.kind in "fc" and np.isnan(array).any():
        raise missing()
    return array


def _stacked(cells: list[Array]) -> Array:
    shapes = sorted({cell.shape for cell in cells})
    if len(shapes) > 1:
        raise ValueError(f"arrays of shapes {shapes[0]} and {shapes[1]} cannot share a request")
    stacked = np.stack(cells)
    for cell in cells:
        _check_exact(cell, stacked.dtype)
    return stacked


def _saved(array: Array) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()


def _loaded(answer: bytes) -> Array:
    # Not np.load, which opens .npz archives too and answers a few wrong bytes with other errors than ValueError.
    try:
        return np.lib.format.read_array(io.BytesIO(answer), allow_pickle=False)
    except (EOFError, MemoryError, OverflowError, SyntaxError, TypeError) as error:
        raise ValueError(f"the array's header is damaged ({type(error).__name__})") from None


def _value(row: Any) -> Any:
    """A number as Python's own; an array stays one, a tenth of the size of a list."""
    return row if isinstance(row, np.ndarray) and row.ndim else row.item()
