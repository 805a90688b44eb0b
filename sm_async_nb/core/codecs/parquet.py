"""``application/x-parquet``: rows as a small Parquet file without the index; answers as a dict a row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pandas as pd

from sm_async_nb.core.codecs import counted
from sm_async_nb.core.codecs.cells import naming, refuse_missing

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, kw_only=True)
class ParquetCodec:
    """Every column type that Arrow knows; what is missing is null, ``nan="error"`` refuses it."""

    nan: str = "null"
    suffix: str = ".parquet"
    one_column: bool = False
    overhead: int = 0

    def encode(self, rows: pd.DataFrame, bounds: Sequence[int]) -> list[bytes]:
        if self.nan == "error":
            refuse_missing(rows)
        # One table for all packs: a pack in which a column is all missing keeps the type of the others.
        table = _table(rows)
        return [_saved(table.slice(start, stop - start)) for start, stop in pairwise(bounds)]

    def decode(self, answer: bytes, count: int, *, packed: bool) -> list[Any]:
        records = _loaded(answer)
        if packed:
            return counted(records, count)
        return records if len(records) == 1 else [records]

    def sizes(self, rows: pd.DataFrame) -> None:  # noqa: ARG002
        return None


def _table(rows: pd.DataFrame) -> pa.Table:
    import pyarrow as pa

    columns = {}
    for name, column in rows.items():
        with naming(name):
            columns[str(name)] = _arrow(column)
    return pa.table(columns)


def _arrow(column: pd.Series) -> Any:
    import pyarrow as pa

    try:
        return pa.Array.from_pandas(column)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        # Arrow's own words show the value, which may be long and is nobody else's business.
        kinds = ", ".join(sorted({type(cell).__name__ for cell in column}))
        raise TypeError(f"values of these types cannot be one Parquet column: {kinds}") from None


def _saved(table: pa.Table) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    try:
        pq.write_table(table, sink)
    except pa.ArrowException as error:
        raise ValueError(f"Parquet has no form for a column: {error}") from None
    return bytes(sink.getvalue())


def _loaded(answer: bytes) -> list[dict[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(pa.BufferReader(answer)).read()  # read_table sets up a data set, at thrice the cost
        return list(table.drop_columns(_index_columns(table)).to_pylist())
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"it cannot be read as Parquet: {error}") from None


def _index_columns(table: pa.Table) -> list[str]:
    """What pandas wrote for an index: it numbers the rows that were sent, which are known."""
    described = (table.schema.pandas_metadata or {}).get("index_columns", [])
    return [name for name in described if isinstance(name, str) and name in table.column_names]
