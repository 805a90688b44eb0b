"""The window that a table shows of a million rows: which rows there are to see, in which order, and the cut.

Pure NumPy; texts are searched as Arrow keeps them. An order is an array of row numbers, or None where every row is
shown in the submitted order, which then costs nothing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from sm_async_nb.core.columns import BoolArray, IntArray, Parts
from sm_async_nb.core.ledger import Status

Order = IntArray | None

# What Arrow says of values that it cannot take; its own errors are subclasses of these.
_NOT_FOR_ARROW = (ValueError, TypeError, NotImplementedError, OverflowError)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What somebody wants to see: rows of these statuses (all, if none is named) that have the text, by a column."""

    statuses: frozenset[int] = frozenset()
    text: str = ""
    column: str = ""
    descending: bool = False

    @property
    def is_everything(self) -> bool:
        """Whether it is all rows as they were submitted."""
        return not (self.statuses or self.text or self.column)


def order_of(shown: BoolArray | None, key: npt.NDArray[Any] | None, *, descending: bool = False) -> Order:
    """The rows to show, sorted by ``key`` where there is one.

    Parameters
    ----------
    shown
        Which of them are shown; None for all.
    key
        A number for each row; NaN comes last, whichever way it is sorted. Equal rows stay as they were submitted.
    """
    rows = None if shown is None else np.flatnonzero(shown)
    if key is None:
        return rows
    values = key if rows is None else key[rows]
    by_value = np.argsort(_descending(values) if descending else values, kind="stable")
    return np.asarray(by_value if rows is None else rows[by_value], dtype=np.int64)


def cut(length: int, order: Order, start: int, count: int) -> IntArray:
    """The rows at the places ``start`` to ``start + count`` of an order; fewer at its end."""
    if order is None:
        return np.arange(min(max(start, 0), length), min(max(start, 0) + max(count, 0), length), dtype=np.int64)
    return order[max(start, 0) : max(start, 0) + max(count, 0)]


def total(length: int, order: Order) -> int:
    """How many rows an order has."""
    return length if order is None else len(order)


def with_status(status: npt.NDArray[np.uint8], statuses: Iterable[int]) -> BoolArray:
    """Which rows have one of these statuses."""
    wanted = np.zeros(len(Status), dtype=np.bool_)
    wanted[list(statuses)] = True
    return np.asarray(wanted[status], dtype=np.bool_)


def places(index: pd.Index) -> IntArray:
    """Numbers that sort as the labels do, equal ones for equal labels; what cannot be compared is sorted as texts."""
    try:
        return _places(index)
    except TypeError:
        return _places(pd.Index([str(label) for label in index], dtype=object))


def _places(index: pd.Index) -> IntArray:
    ranks = np.empty(len(index), dtype=np.int64)
    ranks[index.argsort()] = np.arange(len(index))
    if index.is_unique:
        return ranks
    # Equal labels have the first place of theirs, so that they stay as they were submitted, whichever way is sorted.
    codes = pd.factorize(index, use_na_sentinel=False)[0]
    first = np.full(int(codes.max()) + 1, len(index), dtype=np.int64)
    np.minimum.at(first, codes, ranks)
    return np.asarray(first[codes], dtype=np.int64)


def ranks_of(messages: dict[int, str], length: int) -> npt.NDArray[np.float64]:
    """Numbers that sort as the messages do, NaN where there is none."""
    ranks = np.full(length, np.nan)
    words = sorted(set(messages.values()))
    number = dict(zip(words, range(len(words)), strict=True))
    for request, message in messages.items():
        ranks[request] = number[message]
    return ranks


def as_texts(values: pd.Index | pd.Series) -> Any:
    """Labels or cells as Arrow keeps texts."""
    if not isinstance(values, pd.MultiIndex):
        with contextlib.suppress(*_NOT_FOR_ARROW):
            return pc.cast(pa.array(values, from_pandas=True), pa.string())
    return pa.array([sayable(value) for value in values], type=pa.string())


def has_text(texts: Any, text: str) -> BoolArray:
    """Which of Arrow's texts have this one in them, whatever the case."""
    found = pc.fill_null(pc.match_substring(texts, sayable(text), ignore_case=True), fill_value=False)
    return np.asarray(found.to_numpy(zero_copy_only=False), dtype=np.bool_)


def has_id(parts: Parts, text: str) -> BoolArray:
    """Which of a column of ids have this text in them; ids are ASCII, and are compared as they are."""
    wanted = sayable(text).encode()
    in_head = np.array([text in head for head in parts.heads], dtype=np.bool_)
    in_tail = np.char.find(parts.tail, wanted) >= 0 if len(parts.tail) else np.zeros(0, dtype=np.bool_)
    return np.asarray(in_tail | in_head[parts.head], dtype=np.bool_)


def text_columns(frame: pd.DataFrame) -> Sequence[Any]:
    """The places of the columns that may hold texts."""
    return [
        place
        for place, dtype in enumerate(frame.dtypes)
        if isinstance(dtype, pd.StringDtype | pd.CategoricalDtype) or dtype.kind == "O"
    ]


def sayable(value: object) -> str:
    """A value as a text that can be encoded: one with a lone surrogate has it in words."""
    return str(value).encode(errors="backslashreplace").decode()


def _descending(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return -values if values.dtype.kind == "f" else -values.astype(np.int64)
