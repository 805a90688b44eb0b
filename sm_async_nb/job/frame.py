"""A frame in S3: the submitted index and columns, so that results can be joined without the original.

Parquet carries most frames as they are. A column or index level of mixed or unknown objects is kept as JSON text, and
read back as what JSON can say; nothing is ever pickled.
"""

from __future__ import annotations

import copy
import io
from collections.abc import Hashable
from typing import Any

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
            copied.isetitem(place, [copy.deepcopy(value) for value in copied.iloc[:, place]])
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
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError):
        return pa.array([None if value is None else _as_text(value) for value in column], pa.string())
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def _as_text(value: object) -> str:
    return orjson.dumps(value, default=str, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS).decode()


def _is_mutable(value: object) -> bool:
    return not isinstance(value, str | bytes | int | float | bool | None)


def _label(name: Hashable) -> Any:
    return name if isinstance(name, str | int | float | None) else str(name)
