"""The columns of some rows as lists of plain values, with messages that say which column is at fault."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import pandas as pd

from sm_async_nb.core.values import Form, column_values


@contextmanager
def naming(column: Hashable) -> Iterator[None]:
    """Begin the message of whatever goes wrong with the column's name."""
    try:
        yield
    except TypeError as error:
        raise TypeError(f"column {column!r}: {error}") from None
    except ValueError as error:
        raise ValueError(f"column {column!r}: {error}") from None


def columns_of(rows: pd.DataFrame, form: Form, *, missing_allowed: bool) -> list[list[Any]]:
    """Each column's values, in the frame's order.

    Raises
    ------
    TypeError, ValueError
        If a value has no plain form, or is missing and may not be.
    """
    columns = []
    for name, column in rows.items():
        with naming(name):
            values = column_values(column, form)
            if not missing_allowed and any(value is None for value in values):
                raise missing()
        columns.append(values)
    return columns


def scalars_of(rows: pd.DataFrame, form: Form, *, missing_allowed: bool) -> list[list[Any]]:
    """`columns_of`, without lists and dicts, for which a line of text has no place."""
    columns = columns_of(rows, form, missing_allowed=missing_allowed)
    for name, values in zip(rows.columns, columns, strict=True):
        nested = {type(value) for value in values} & {list, dict}
        if nested:
            kind = min(one.__name__ for one in nested)
            raise TypeError(f"column {name!r}: a {kind} cannot be written as {form.name}; send application/json")
    return columns


def refuse_missing(rows: pd.DataFrame) -> None:
    """Raise ValueError for the first column in which a value is missing."""
    for name, column in rows.items():
        if column.isna().any():
            with naming(name):
                raise missing()


def missing() -> ValueError:
    """What is said of a value that is missing and may not be."""
    return ValueError("a value is missing; fill it, or choose nan='null'")


def only_column(rows: pd.DataFrame, form: str) -> pd.Series:
    """The one column there is.

    Raises
    ------
    ValueError
        If there are more, or none.
    """
    if rows.shape[1] != 1:
        raise ValueError(f"{form} is made of exactly one column, got {rows.shape[1]}; choose it with columns=[...]")
    return rows.iloc[:, 0]


def alone(parts: Sequence[bytes], bounds: Sequence[int]) -> list[bytes]:
    """The parts of requests of one row each."""
    assert len(bounds) == len(parts) + 1, "several rows share a request, and the codec was not told"
    return list(parts)


def joined(parts: Sequence[bytes], bounds: Sequence[int]) -> list[bytes]:
    """The parts of each pack, one after the other."""
    return [b"".join(parts[start:stop]) for start, stop in pairwise(bounds)]
