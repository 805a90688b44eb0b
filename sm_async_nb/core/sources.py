"""Where a field of the request gets its value for each row: a constant, a column, or a template over the row."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import pandas as pd

from sm_async_nb.core.codecs.cells import naming
from sm_async_nb.core.template import Template, is_template
from sm_async_nb.core.values import JSON, TEXT, Form, column_values


class Source(Protocol):
    """A field's value for each of some rows; None is not sent."""

    def values(self, rows: pd.DataFrame) -> list[Any]:
        """One value a row."""


@dataclass(frozen=True)
class Constant:
    """The same for every row. Its repr does not tell it, since it may be custom attributes."""

    value: Any = field(repr=False)

    def __str__(self) -> str:
        return "constant"

    def values(self, rows: pd.DataFrame) -> list[Any]:
        return [self.value] * len(rows)


@dataclass(frozen=True)
class Column:
    """A column of the frame; a missing cell is not sent."""

    name: Hashable

    def __str__(self) -> str:
        return f"column {self.name!r}"

    def values(self, rows: pd.DataFrame) -> list[Any]:
        return [_whole(value) for value in column_values(rows[self.name], TEXT)]


@dataclass(frozen=True)
class FromTemplate:
    """A template over the row; one that is a single expression keeps the type of its value."""

    template: Template

    def __str__(self) -> str:
        return f"template {self.template.source!r}"

    def values(self, rows: pd.DataFrame) -> list[Any]:
        return [_whole(self.template.value(row)) for row in plain_rows(rows, self.template.used, TEXT)]


def source_of(name: str, given: Any, frame: pd.DataFrame) -> Source:
    """What a field's argument means: a text that is a column's name is that column, one with ``{{`` a template."""
    if is_template(given):
        called = f"the template in {name}="
        return FromTemplate(Template(given, list(frame.columns), as_json=False, called=called))
    if isinstance(given, str) and given in frame.columns:
        return Column(given)
    return Constant(given)


def plain_rows(rows: pd.DataFrame, columns: Sequence[Hashable], form: Form = JSON) -> list[Mapping[str, Any]]:
    """The rows as dicts of plain values, of these columns only."""
    names = [str(column) for column in columns]
    if not names:
        return [{}] * len(rows)
    cells = zip(*(_plain_column(rows[column], form) for column in columns), strict=True)
    return [dict(zip(names, row, strict=True)) for row in cells]


def _plain_column(column: pd.Series, form: Form) -> list[Any]:
    with naming(column.name):
        return column_values(column, form)


def _whole(value: Any) -> Any:
    """A column of whole numbers with gaps is one of floats in pandas; 300.0 seconds are 300."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
