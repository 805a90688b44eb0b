"""``text/libsvm``: a line a row, ``0 1:0.5 3:7``, the columns numbered from 1 in their order.

A missing value is left out, and a zero is written: for XGBoost what is absent is missing, not zero.
The label that a line begins with is 0, since it is what the model is asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from sm_async_nb.core.codecs import counted
from sm_async_nb.core.codecs.cells import columns_of, joined, naming
from sm_async_nb.core.values import Digits, Form

_LIBSVM = Form("libsvm", infinities=False)


@dataclass(frozen=True, kw_only=True)
class LibsvmCodec:
    """Numbers and booleans only; a missing value is left out, ``nan="error"`` refuses it."""

    nan: str = "null"
    suffix: str = ".libsvm"
    one_column: bool = False
    overhead: int = 0

    def encode(self, rows: pd.DataFrame, bounds: Sequence[int]) -> list[bytes]:
        return joined(self._lines(rows), bounds)

    def decode(self, answer: bytes, count: int, *, packed: bool) -> list[Any]:
        """A dict a row: ``{"label": 0, "1": 0.5}``."""
        values = [_read(line) for line in answer.decode().splitlines() if line.strip()]
        if packed:
            return counted(values, count)
        return values if len(values) == 1 else [values]

    def sizes(self, rows: pd.DataFrame) -> list[int]:
        return [len(line) for line in self._lines(rows)]

    def _lines(self, rows: pd.DataFrame) -> list[bytes]:
        columns = columns_of(rows, _LIBSVM, missing_allowed=self.nan != "error")
        for name, values in zip(rows.columns, columns, strict=True):
            with naming(name):
                _check_numbers(values)
        return [_line(cells) for cells in zip(*columns, strict=True)]


def _check_numbers(values: Iterable[Any]) -> None:
    others = {type(value) for value in values} - {int, float, bool, Digits, type(None)}
    if others:
        kind = min(one.__name__ for one in others)
        raise TypeError(f"a value of type {kind} cannot be written as libsvm, which has numbers only")


def _line(cells: Iterable[Any]) -> bytes:
    features = [
        f" {index}:{int(cell) if isinstance(cell, bool) else cell}"
        for index, cell in enumerate(cells, start=1)
        if cell is not None
    ]
    return f"0{''.join(features)}\n".encode()


def _read(line: str) -> dict[str, int | float]:
    label, *features = line.split()
    pairs = [feature.partition(":") for feature in features]
    return {"label": _number(label), **{index: _number(value) for index, _, value in pairs}}


def _number(text: str) -> int | float:
    try:
        return int(text)
    except ValueError:
        return float(text)
