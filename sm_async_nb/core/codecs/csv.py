"""``text/csv`` as SageMaker's built-in algorithms read and write it: no header, no index."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from sm_async_nb.core.codecs import counted
from sm_async_nb.core.codecs.cells import joined, scalars_of
from sm_async_nb.core.values import Form

_CSV = Form("CSV", infinities=True)

# The csv module refuses cells of more than 128 KiB unless told otherwise; generated texts are longer.
csv.field_size_limit(max(csv.field_size_limit(), 2**31 - 1))


@dataclass(frozen=True, kw_only=True)
class CsvCodec:
    """One line a row, what is missing as an empty cell; ``nan="error"`` refuses it."""

    nan: str = "null"
    suffix: str = ".csv"
    one_column: bool = False
    overhead: int = 0

    def encode(self, rows: pd.DataFrame, bounds: Sequence[int]) -> list[bytes]:
        return joined(self._lines(rows), bounds)

    def decode(self, answer: bytes, count: int, *, packed: bool) -> list[Any]:
        lines = _read(answer)
        if not packed:
            return [_alone([_alone(line) for line in lines] if len(lines) == 1 else lines)]
        if len(lines) == 1 and len(lines[0]) == count:
            return lines[0]  # the built-in XGBoost answers all rows in one line
        return counted([_alone(line) for line in lines], count)

    def sizes(self, rows: pd.DataFrame) -> list[int]:
        return [len(line) for line in self._lines(rows)]

    def _lines(self, rows: pd.DataFrame) -> list[bytes]:
        columns = scalars_of(rows, _CSV, missing_allowed=self.nan != "error")
        sink = _Lines()
        csv.writer(sink, lineterminator="\r\n").writerows(zip(*columns, strict=True))
        return sink.lines


class _Lines:
    """Where a csv writer writes: it hands over one whole line at a time.

    The writer is told to end lines with CR LF, since it quotes a cell for the characters of the line's end only and
    a lone CR in a cell would end a line for most readers; what is sent ends with LF.
    """

    def __init__(self) -> None:
        self.lines: list[bytes] = []

    def write(self, line: str) -> None:
        self.lines.append(line.removesuffix("\r\n").encode() + b"\n")


def _read(answer: bytes) -> list[list[Any]]:
    try:
        text = io.StringIO(answer.decode("utf-8-sig"), newline="")
        return [[_number_or_text(cell) for cell in line] for line in csv.reader(text) if line]
    except csv.Error as error:
        raise ValueError(str(error)) from None


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
