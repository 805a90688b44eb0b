"""A frame in S3: the submitted index and columns, so that results can be joined without the original.

Parquet carries most frames as they are. A column or index level of mixed or unknown objects is kept as JSON text, and
read back as what JSON can say; nothing is ever pickled.
"""

from __future__ import annotations

import copy
import io
import json
from collections.abc import Hashable
from typing import Any

import numpy as np
import orjson
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pandas.api.types import is_object_dtype


def snapshot(frame: pd.DataFrame) -> pd.DataFrame:
    """A copy that later edits of ``frame`` cannot reach, not even those inside a list in a cell."""
    copied = frame.copy(deep=True)
    for place, dtype in enumerate(copied.dtypes):
        if is_object_dtype(dtype) and any(_is_mutable(value) for value in copied.iloc[:, place]):
            copied.isetitem(place, _deep_copied(copied.iloc[:, place]))
    return copied


def to_parquet(frame: pd.DataFrame) -> bytes:
    """The frame, index included, as the bytes of a Parquet file."""
    plain = frame.reset_index(names=[f"index {level}" for level in range(frame.index.nlevels)], allow_duplicates=True)
    plain.columns = [f"{place} {name}" for place, name in enumerate(plain.columns)]
    arrays = [_to_arrow(plain.iloc[:, place]) for place in range(plain.shape[1])]
    names = {
        "index": [_label(name) for name in frame.index.names],
        "columns": [_label(name) for name in frame.columns],
    }
    table = pa.table(arrays, names=list(plain.columns)).replace_schema_metadata({"sm_async_nb": orjson.dumps(names)})
    file = io.BytesIO()
    pq.write_table(table, file, compression="zstd")
    return file.getvalue()


def _to_arrow(column: pd.Series) -> pa.Array:
    try:
        array = pa.Array.from_pandas(column)
    except (ValueError, TypeError, NotImplementedError, OverflowError):  # Arrow's own errors are subclasses of these
        return as_texts(column)
    return array if _fits_parquet(array.type) else as_texts(column)


def _fits_parquet(kind: pa.DataType) -> bool:
    """Parquet has no struct without fields, which is what a column of empty dicts becomes."""
    if pa.types.is_struct(kind) and kind.num_fields == 0:
        return False
    return all(_fits_parquet(kind.field(place).type) for place in range(kind.num_fields))


def as_texts(column: pd.Series) -> pa.Array:
    """Each value as JSON text, None where there is none."""
    return pa.array([None if value is None else _as_text(value) for value in column], pa.string())


def _as_text(value: object) -> str:
    # Not orjson: the standard library writes integers of any size and escapes lone surrogates.
    try:
        return json.dumps(value, default=str, separators=(",", ":"))
    except (TypeError, ValueError):
        return json.dumps(str(value))


def _deep_copied(column: pd.Series) -> Any:
    # Filled one by one and as a Series, since NumPy makes a list of lists into a table, and pandas guesses dtypes.
    copied = np.empty(len(column), dtype=object)
    for place, value in enumerate(column):
        copied[place] = copy.deepcopy(value)
    return pd.Series(copied, index=column.index, dtype=object)


def _is_mutable(value: object) -> bool:
    return not isinstance(value, str | bytes | int | float | bool | None)


def _label(name: Hashable) -> Any:
    return name if isinstance(name, str | int | float | None) else str(name)
