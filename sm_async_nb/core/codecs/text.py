"""``text/plain`` and every other ``text/…``: one column's text as UTF-8, one row a line where rows share a request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from sm_async_nb.core.codecs import counted
from sm_async_nb.core.codecs.cells import alone, joined, naming, only_column, scalars_of
from sm_async_nb.core.values import TEXT


@dataclass(frozen=True, kw_only=True)
class TextCodec:
    """Numbers and times are written as they are in CSV; what is missing is empty, ``nan="error"`` refuses it."""

    nan: str = "null"
    packed: bool = False
    suffix: str = ".txt"
    one_column: bool = True
    overhead: int = 0

    def encode(self, rows: pd.DataFrame, bounds: Sequence[int]) -> list[bytes]:
        parts = self._parts(rows)
        return joined(parts, bounds) if self.packed else alone(parts, bounds)

    def decode(self, answer: bytes, count: int, *, packed: bool) -> list[Any]:
        text = answer.decode()
        return counted(_lines(text), count) if packed else [text]

    def sizes(self, rows: pd.DataFrame) -> list[int]:
        return [len(part) for part in self._parts(rows)]

    def _parts(self, rows: pd.DataFrame) -> list[bytes]:
        column = only_column(rows, "text")
        (values,) = scalars_of(rows, TEXT, missing_allowed=self.nan != "error")
        texts = ["" if value is None else str(value) for value in values]
        if not self.packed:
            return [text.encode() for text in texts]
        with naming(column.name):
            return [_line(text) for text in texts]


def _line(text: str) -> bytes:
    if "\n" in text or "\r" in text:
        raise ValueError(
            "a text with a line break cannot share a request with others; send one row a request, or application/json"
        )
    return text.encode() + b"\n"


def _lines(text: str) -> list[str]:
    # Not str.splitlines, which takes form feeds and some Unicode characters for the end of a line.
    lines = text.replace("\r\n", "\n").split("\n")
    return lines[:-1] if lines[-1] == "" else lines
