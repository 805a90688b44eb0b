"""A frame in S3: the submitted index and columns, so that a job can go on, and be joined, without the original.

Parquet carries most columns as they are; :mod:`~sm_async_nb.job.cells` writes the others as JSON text, cell by cell.
What a column was in pandas stands in the file's metadata. Nothing is ever pickled.
"""

from __future__ import annotations

import base64
import copy
import datetime as dt
import decimal
import io
import json
import marshal
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pandas.api.types import is_object_dtype

from sm_async_nb.core.columns import IntArray
from sm_async_nb.errors import RequestError
from sm_async_nb.job.cells import from_text, to_text, zone_name, zone_of

FORMAT = 1
_METADATA = b"sm_async_nb"
_SLOT_OF_ROW = "slot of row"  # the names of the frame's own columns begin with a number

_DEPTH = 10

# Arrow's own errors are subclasses of these; LookupError is pytz's for a zone that it does not know.
_NOT_FOR_ARROW = (ValueError, TypeError, NotImplementedError, OverflowError, LookupError)


def snapshot(frame: pd.DataFrame) -> pd.DataFrame:
    """A copy that later edits of ``frame`` cannot reach, not even those inside a list in a cell."""
    copied = frame.copy(deep=True)
    for place, dtype in enumerate(copied.dtypes):
        if is_object_dtype(dtype) and any(_is_mutable(value) for value in copied.iloc[:, place]):
            copied.isetitem(place, _deep_copied(copied.iloc[:, place]))
    return copied


def to_parquet(frame: pd.DataFrame, slot_of_row: IntArray | None = None) -> bytes:
    """The frame, index included, as the bytes of a Parquet file.

    Parameters
    ----------
    slot_of_row
        In which slot each row finds its answer, kept beside the rows for the function :func:`slot_of_row`.
    """
    kept = [_write(level) for level in _levels(frame.index)]
    kept += [_write(frame.iloc[:, place]) for place in range(frame.shape[1])]
    names = [f"{place} {name}" for place, name in enumerate([*frame.index.names, *frame.columns])]
    arrays = {_encodable(name): one.array for name, one in zip(names, kept, strict=True)}
    if slot_of_row is not None:
        arrays[_SLOT_OF_ROW] = pa.array(slot_of_row.astype(np.int64))
    told = {
        "format": FORMAT,
        "index": _index_told(frame.index),
        "columns": _labels_told(frame.columns),
        "how": [one.how for one in kept],
    }
    table = pa.table(arrays).replace_schema_metadata({_METADATA: json.dumps(told)})
    file = io.BytesIO()
    pq.write_table(table, file, compression="zstd")
    return file.getvalue()


def from_parquet(body: bytes) -> pd.DataFrame:
    """The frame that :func:`to_parquet` wrote: its values, dtypes, index and labels.

    Not all comes back as it was: an Enum is its value, a memoryview (or a bytearray inside a list) is bytes, a named
    tuple is a tuple, a subclass of a built-in type is that type, an object of another library is its ``str``, and a
    column of an extension dtype of another library, or in a time zone without a name (dateutil's), is one of objects.
    ``attrs`` and ``flags`` are not kept.

    Raises
    ------
    RequestError
        If the bytes are something else, or of a newer version of this package.
    """
    try:
        table = pq.read_table(io.BytesIO(body))
        told = orjson.loads((table.schema.metadata or {})[_METADATA])
        if told["format"] != FORMAT:
            raise ValueError(f"it has format {told['format']}, and this version reads {FORMAT}")
        return _frame(table, told)
    except (OSError, *_NOT_FOR_ARROW) as error:
        raise RequestError(f"The frame of a job cannot be read: {type(error).__name__}: {error}.") from error


def slot_of_row(body: bytes) -> IntArray:
    """In which slot each row of a written frame finds its answer; each in its own, if nothing was said."""
    file = pq.ParquetFile(io.BytesIO(body))
    if _SLOT_OF_ROW not in file.schema_arrow.names:
        return np.arange(file.metadata.num_rows)
    return np.array(file.read(columns=[_SLOT_OF_ROW]).column(0).to_numpy(), dtype=np.int64)


def as_texts(column: pd.Series) -> Any:
    """Each value as JSON text that anybody can read, None where there is none."""
    return pa.array([None if value is None else _as_text(value) for value in column], pa.string())


def _frame(table: Any, told: Mapping[str, Any]) -> pd.DataFrame:
    arrays = [_read(table.column(place), how) for place, how in enumerate(told["how"])]
    levels = len(told["index"]["names"])
    index = _index(arrays[:levels], told["index"])
    columns = {place: _series(array, index) for place, array in enumerate(arrays[levels:])}
    frame = pd.DataFrame(columns, index=index, copy=False)
    frame.columns = _labels(told["columns"])
    return frame


def _series(array: Any, index: pd.Index) -> Any:
    # The dtype is said, since pandas looks into objects otherwise and makes texts or times of them.
    return pd.Series(array, index=index, dtype=array.dtype, copy=False)


def _encodable(name: str) -> str:
    return name.encode("utf-8", "replace").decode()


# Labels


def _index_told(index: pd.Index) -> dict[str, Any]:
    told: dict[str, Any] = {"names": [to_text(name) for name in index.names]}
    if isinstance(index, pd.MultiIndex):
        told["labels"] = [_labels_told(labels) for labels in index.levels]
    if isinstance(index, pd.RangeIndex):
        told["range"] = [index.start, index.stop, index.step]
    freq = getattr(index, "freq", None)
    if freq is not None and not isinstance(index, pd.PeriodIndex):
        told["freq"] = freq.freqstr
    return told


def _levels(index: pd.Index) -> list[pd.Series]:
    """The index as columns; a level of several as pandas has it, a number for each row, and its labels apart."""
    if isinstance(index, pd.MultiIndex):
        return [pd.Series(np.asarray(codes)) for codes in index.codes]
    return [pd.Series(index.array, dtype=index.dtype)]


def _index(levels: Any, told: Mapping[str, Any]) -> pd.Index:
    names = [from_text(name) for name in told["names"]]
    if "labels" in told:
        labels: Any = [_labels(one) for one in told["labels"]]
        return pd.MultiIndex(labels, levels, names=names)
    if "range" in told:
        start, stop, step = told["range"]
        return pd.RangeIndex(start, stop, step, name=names[0])
    index = pd.Index(levels[0], dtype=levels[0].dtype, name=names[0], tupleize_cols=False)
    return _with_freq(index, told["freq"]) if "freq" in told else index


def _with_freq(index: Any, freq: str) -> pd.Index:
    try:
        index.freq = freq
    except ValueError:  # another pandas has another word for it
        return index  # type: ignore[no-any-return]
    return index  # type: ignore[no-any-return]


def _labels_told(labels: pd.Index) -> dict[str, Any]:
    """Labels of columns, say, may be anything that an index may be: so they are the index of a frame of nothing."""
    if isinstance(labels, pd.RangeIndex):
        return _index_told(labels)
    return {"frame": _base64(to_parquet(pd.DataFrame(index=labels)))}


def _labels(told: Mapping[str, Any]) -> pd.Index:
    return from_parquet(base64.b64decode(told["frame"])).index if "frame" in told else _index([], told)


# Columns


@dataclass(frozen=True)
class _Kept:
    """A column as Arrow has it, and how to make a column of it again."""

    array: Any
    how: dict[str, Any]


def _write(column: Any) -> _Kept:
    dtype = column.dtype
    write = next((write for kind, write in _WRITERS if isinstance(dtype, kind)), _write_cells)
    if _MASKED.fullmatch(str(dtype)):
        write = _write_masked
    try:
        kept = write(column)
    except _NOT_FOR_ARROW:
        return _write_cells(column)
    return kept if _fits_parquet(kept.array.type) else _write_cells(column)


def _read(column: Any, how: Mapping[str, Any]) -> Any:
    return _READERS[how["kind"]](column, how)


def _fits_parquet(kind: Any) -> bool:
    """Whether a column of this type can be written, and read again.

    Parquet has no struct without fields, which is what empty dicts are for Arrow, and it lacks some other types. What
    is nested deeper than its reader likes is written all the same.
    """
    try:
        pq.write_table(pa.schema([("column", kind)]).empty_table(), io.BytesIO())
    except _NOT_FOR_ARROW:
        return False
    return _depth(kind) <= _DEPTH


def _depth(kind: Any) -> int:
    return 1 + max((_depth(kind.field(place).type) for place in range(kind.num_fields)), default=0)


def _write_cells(column: Any) -> _Kept:
    texts = pa.array([None if value is None else to_text(value) for value in column], pa.string())
    dtype = column.dtype.str if isinstance(column.dtype, np.dtype) else "O"
    return _Kept(texts, {"kind": "cells", "dtype": dtype})


def _read_cells(column: Any, how: Mapping[str, Any]) -> Any:
    cells = [None if text is None else from_text(text) for text in column.to_pylist()]
    return _objects(cells).astype(how["dtype"])


def _objects(values: list[Any]) -> Any:
    """Filled one by one, since NumPy makes a list of lists into a table."""
    array = np.empty(len(values), dtype=object)
    for place, value in enumerate(values):
        array[place] = value
    return array


def _write_numpy(column: Any) -> _Kept:
    dtype = column.dtype
    if is_object_dtype(dtype):
        return _write_objects(column)
    native = column.to_numpy().astype(dtype.newbyteorder("="))
    return _Kept(_in_milliseconds(pa.array(native)), {"kind": "numpy", "dtype": dtype.str})


def _in_milliseconds(array: Any) -> Any:
    """Parquet has no seconds; here those that are too many for milliseconds are refused, and not in the end."""
    kind = array.type
    return array.cast(pa.timestamp("ms", kind.tz)) if pa.types.is_timestamp(kind) and kind.unit == "s" else array


def _read_numpy(column: Any, how: Mapping[str, Any]) -> Any:
    return np.array(column.to_numpy(), dtype=how["dtype"])


def _write_objects(column: Any) -> _Kept:
    values = column.tolist()
    kinds = set(map(type, values)) - {type(None)}
    if kinds == {np.ndarray}:
        return _write_arrays(values)
    tell = repr if kinds in _TOLD_BY_REPR else _exactly
    if kinds not in _EXACT:
        for value in values:
            tell(value)  # before Arrow sees it, which follows a list that contains itself until the kernel dies
    array = pa.array(values)
    is_same = kinds in _EXACT or _is_same(values, array.to_pylist(), tell)
    return _Kept(array, {"kind": "objects"}) if is_same else _write_cells(column)


def _is_same(values: list[Any], back: list[Any], tell: Callable[[Any], Any]) -> bool:
    return list(map(type, values)) == list(map(type, back)) and all(
        map(operator.eq, map(tell, values), map(tell, back))
    )


# Of one of these types alone Arrow gives back what it was given. Elsewhere it makes 1.0 of 1, or 1.10 of 1.1.
_EXACT: tuple[set[type], ...] = (set(), {str}, {bool}, {int}, {float}, {bytes})
_TOLD_BY_REPR: tuple[set[type], ...] = ({decimal.Decimal}, {dt.date}, {dt.datetime}, {dt.time}, {dt.timedelta})


def _exactly(value: Any) -> bytes:
    """A value with all its types: 1 is told from 1.0 and True, and a list from a tuple.

    Raises ValueError for other than built-in types, and for what is nested without end.
    """
    return marshal.dumps(value, 2)  # of this version, which writes equal values equally


def _read_objects(column: Any, _how: Mapping[str, Any]) -> Any:
    return _objects(column.to_pylist())


def _write_arrays(values: list[Any]) -> _Kept:
    """Vectors of numbers, which embeddings are: eight bytes a number at most."""
    arrays = [value for value in values if value is not None]
    dtypes = {value.dtype for value in arrays}
    if len(dtypes) > 1 or arrays[0].dtype.kind not in "biuf" or any(value.ndim != 1 for value in arrays):
        raise TypeError("these are no vectors of one dtype")
    lengths = [0 if value is None else len(value) for value in values]
    offsets = pa.array(np.cumsum([0, *lengths]), mask=np.array([*(value is None for value in values), False]))
    lists = pa.LargeListArray.from_arrays(offsets, pa.array(np.concatenate(arrays)))
    return _Kept(lists, {"kind": "arrays", "dtype": arrays[0].dtype.str})


def _read_arrays(column: Any, how: Mapping[str, Any]) -> Any:
    values: list[Any] = []
    for chunk in column.chunks:
        numbers = chunk.values.to_numpy(zero_copy_only=False).astype(how["dtype"])  # noqa: PD011 (Arrow's, not pandas')
        offsets = chunk.offsets.to_pylist()
        missing = chunk.is_null().to_pylist()
        values += [
            None if gone else numbers[offsets[place] : offsets[place + 1]].copy() for place, gone in enumerate(missing)
        ]
    return _objects(values)


def _write_arrow(column: Any) -> _Kept:
    array = column.array.__arrow_array__()
    kind = pa.schema([("column", array.type)]).serialize().to_pybytes()
    return _Kept(_in_milliseconds(array), {"kind": "arrow", "type": _base64(kind)})


def _read_arrow(column: Any, how: Mapping[str, Any]) -> Any:
    kind = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(how["type"]))).field(0).type
    return pd.arrays.ArrowExtensionArray(column.cast(kind))


def _write_texts(column: Any) -> _Kept:
    dtype = column.dtype
    storage = "python" if dtype.storage == "python" else "pyarrow"
    told = {"kind": "texts", "storage": storage, "nan": dtype.na_value is not pd.NA}
    return _Kept(pa.Array.from_pandas(column), told)


def _read_texts(column: Any, how: Mapping[str, Any]) -> Any:
    dtype = _text_dtype(how["storage"], nan=how["nan"])
    return pd.array(column.to_pandas().to_numpy(dtype=object), dtype=dtype)


def _text_dtype(storage: Any, *, nan: bool) -> Any:
    if not nan:
        return pd.StringDtype(storage)
    try:
        return pd.StringDtype(storage, na_value=np.nan)
    except TypeError:  # pandas 2.2 has it in Arrow's storage only, under this name
        return pd.StringDtype("pyarrow_numpy")


def _write_masked(column: Any) -> _Kept:
    return _Kept(pa.Array.from_pandas(column), {"kind": "masked", "dtype": str(column.dtype)})


def _read_masked(column: Any, how: Mapping[str, Any]) -> Any:
    dtype: Any = pd.api.types.pandas_dtype(how["dtype"])
    return dtype.__from_arrow__(column)


def _write_categories(column: Any) -> _Kept:
    categories = _labels_told(column.cat.categories)
    told = {"kind": "categories", "categories": categories, "ordered": bool(column.cat.ordered)}
    return _Kept(pa.array(column.cat.codes.to_numpy()), told)


def _read_categories(column: Any, how: Mapping[str, Any]) -> Any:
    dtype = pd.CategoricalDtype(_labels(how["categories"]), how["ordered"])
    return pd.Categorical.from_codes(column.to_numpy(), dtype=dtype)


def _write_instants(column: Any) -> _Kept:
    name, unit = zone_name(column.dtype.tz), column.dtype.unit
    if name is None:
        return _write_cells(column)
    instants = pa.array(column.dt.tz_convert(None).to_numpy()).cast(pa.timestamp(unit, "UTC"))
    return _Kept(_in_milliseconds(instants), {"kind": "instants", "zone": name, "unit": unit})


def _read_instants(column: Any, how: Mapping[str, Any]) -> Any:
    instants = pd.DatetimeIndex(column.to_numpy().astype(f"M8[{how['unit']}]"))
    return instants.tz_localize("UTC").tz_convert(zone_of(how["zone"])).array


def _write_periods(column: Any) -> _Kept:
    return _Kept(pa.array(column.array.asi8), {"kind": "periods", "dtype": str(column.dtype)})


def _read_periods(column: Any, how: Mapping[str, Any]) -> Any:
    dtype: Any = pd.api.types.pandas_dtype(how["dtype"])
    return pd.arrays.PeriodArray(np.array(column.to_numpy()), dtype=dtype)


def _write_intervals(column: Any) -> _Kept:
    ends = [_write(pd.Series(end)) for end in (column.array.left, column.array.right)]
    both = pa.StructArray.from_arrays([end.array for end in ends], names=["left", "right"])
    return _Kept(both, {"kind": "intervals", "closed": column.dtype.closed, "ends": [end.how for end in ends]})


def _read_intervals(column: Any, how: Mapping[str, Any]) -> Any:
    left, right = (_read(pc.struct_field(column, [place]), end) for place, end in enumerate(how["ends"]))
    return pd.arrays.IntervalArray.from_arrays(left, right, closed=how["closed"])


def _write_sparse(column: Any) -> _Kept:
    dense = _write(pd.Series(column.array.to_dense(), dtype=column.dtype.subtype))
    told = {"kind": "sparse", "dtype": column.dtype.subtype.str, "fill": to_text(column.dtype.fill_value)}
    return _Kept(dense.array, {**told, "of": dense.how})


def _read_sparse(column: Any, how: Mapping[str, Any]) -> Any:
    dtype = pd.SparseDtype(np.dtype(how["dtype"]), from_text(how["fill"]))
    return pd.arrays.SparseArray(_read(column, how["of"]), dtype=dtype)


_MASKED = re.compile(r"U?Int(8|16|32|64)|Float(32|64)|boolean")
_WRITERS: tuple[tuple[type, Callable[[Any], _Kept]], ...] = (
    (np.dtype, _write_numpy),
    (pd.ArrowDtype, _write_arrow),
    (pd.StringDtype, _write_texts),
    (pd.CategoricalDtype, _write_categories),
    (pd.DatetimeTZDtype, _write_instants),
    (pd.PeriodDtype, _write_periods),
    (pd.IntervalDtype, _write_intervals),
    (pd.SparseDtype, _write_sparse),
)
_READERS: Mapping[str, Callable[[Any, Mapping[str, Any]], Any]] = {
    "cells": _read_cells,
    "numpy": _read_numpy,
    "objects": _read_objects,
    "arrays": _read_arrays,
    "arrow": _read_arrow,
    "texts": _read_texts,
    "masked": _read_masked,
    "categories": _read_categories,
    "instants": _read_instants,
    "periods": _read_periods,
    "intervals": _read_intervals,
    "sparse": _read_sparse,
}


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()


# Values


def _as_text(value: object) -> str:
    # Not orjson: the standard library writes integers of any size and escapes lone surrogates.
    try:
        return json.dumps(value, default=str, separators=(",", ":"))
    except (TypeError, ValueError):
        return json.dumps(str(value))


def _deep_copied(column: pd.Series) -> Any:
    # Filled one by one and as a Series, since NumPy makes a list of lists into a table, and pandas guesses dtypes.
    return pd.Series(_objects([copy.deepcopy(value) for value in column]), index=column.index, dtype=object)


def _is_mutable(value: object) -> bool:
    return not isinstance(value, str | bytes | int | float | bool | None)
