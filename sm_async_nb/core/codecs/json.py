"""``application/json`` and ``application/jsonlines``: a row is an object, or one column's value alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import orjson
import pandas as pd

from sm_async_nb.core.codecs import WrongCountError, counted
from sm_async_nb.core.codecs.cells import alone, columns_of, joined, only_column
from sm_async_nb.core.values import JSON, plain, plain_to_json

# What a pack begins and ends with.
ENVELOPES: Mapping[str, tuple[bytes, bytes]] = {"array": (b"[", b"]"), "instances": (b'{"instances":[', b"]}")}


@dataclass(frozen=True, kw_only=True)
class JsonCodec:
    """One object a request; several rows as an array, or as the ``instances`` of an object.

    ``nan`` is about a row's own values: ``"null"`` writes null, ``"omit"`` leaves the key out, ``"error"`` refuses.
    What is missing inside a list or dict is always null. ``bare`` takes one column's value without the object.
    """

    nan: str = "null"
    bare: bool = False
    wrap: str = "array"
    packed: bool = False
    suffix: str = ".json"

    @property
    def one_column(self) -> bool:
        return self.bare

    @property
    def overhead(self) -> int:
        before, after = ENVELOPES[self.wrap]
        return len(before) + len(after) - 1 if self.packed else 0  # `sizes` counts one comma too many

    def encode(self, rows: pd.DataFrame, bounds: Sequence[int]) -> list[bytes]:
        parts = written(rows, nan=self.nan, bare=self.bare)
        if not self.packed:
            return alone(parts, bounds)
        before, after = ENVELOPES[self.wrap]
        return [before + b",".join(parts[start:stop]) + after for start, stop in pairwise(bounds)]

    def decode(self, answer: bytes, count: int, *, packed: bool) -> list[Any]:
        value = loads(answer)
        return split(value, count) if packed else [value]

    def sizes(self, rows: pd.DataFrame) -> list[int]:
        parts = written(rows, nan=self.nan, bare=self.bare)
        return [len(part) + self.packed for part in parts]


@dataclass(frozen=True, kw_only=True)
class JsonLinesCodec:
    """One line a row. The options are those of `JsonCodec`; a line needs no wrapping."""

    nan: str = "null"
    bare: bool = False
    suffix: str = ".jsonl"
    overhead: int = 0

    @property
    def one_column(self) -> bool:
        return self.bare

    def encode(self, rows: pd.DataFrame, bounds: Sequence[int]) -> list[bytes]:
        return joined(self._lines(rows), bounds)

    def decode(self, answer: bytes, count: int, *, packed: bool) -> list[Any]:
        values = [loads(line) for line in answer.splitlines() if line.strip()]
        if packed:
            return counted(values, count)
        return values if len(values) == 1 else [values]

    def sizes(self, rows: pd.DataFrame) -> list[int]:
        return [len(line) for line in self._lines(rows)]

    def _lines(self, rows: pd.DataFrame) -> list[bytes]:
        return [part + b"\n" for part in written(rows, nan=self.nan, bare=self.bare)]


def written(rows: pd.DataFrame, *, nan: str, bare: bool) -> list[bytes]:
    """Each row as JSON."""
    columns = columns_of(rows, JSON, missing_allowed=nan != "error")
    if bare:
        only_column(rows, "bare JSON")
        return [plain_to_json(value) for value in columns[0]]
    names = [plain(str(name)) for name in rows.columns]
    record = _present if nan == "omit" else _record
    return [plain_to_json(record(names, cells)) for cells in zip(*columns, strict=True)]


_Record = Callable[[Iterable[str], Iterable[Any]], dict[str, Any]]


def _record(names: Iterable[str], cells: Iterable[Any]) -> dict[str, Any]:
    return dict(zip(names, cells, strict=True))


def _present(names: Iterable[str], cells: Iterable[Any]) -> dict[str, Any]:
    return {name: cell for name, cell in zip(names, cells, strict=True) if cell is not None}


def loads(text: bytes) -> Any:
    """JSON, and what Python's own writer makes of it: a bare NaN or Infinity is common in answers of models."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return json.loads(text)


def split(value: Any, count: int) -> list[Any]:
    """The values for ``count`` rows out of one answer: an array, an object that holds one, or an object of columns.

    Raises
    ------
    WrongCountError
        If there is none of that length, or several that could be meant.
    """
    if isinstance(value, list):
        return counted(value, count)
    lists = {key: item for key, item in value.items() if isinstance(item, list)} if isinstance(value, dict) else {}
    if not lists and count == 1:
        return [value]  # many a model squeezes the answer to a pack of one
    fitting = [item for item in lists.values() if len(item) == count]
    if len(fitting) == 1:
        return fitting[0]
    if fitting and len(fitting) == len(value):
        return [dict(zip(lists, cells, strict=True)) for cells in zip(*fitting, strict=True)]
    lengths = {len(item) for item in lists.values()}
    raise WrongCountError(count, lengths.pop() if len(lengths) == 1 and not fitting else None)
