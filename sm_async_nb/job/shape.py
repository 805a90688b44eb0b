"""From decoded answers to the frame a user wants: which part of an answer, which columns, which types."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from sm_async_nb.core.columns import BoolArray
from sm_async_nb.core.flags import check_flags
from sm_async_nb.core.problems import label
from sm_async_nb.errors import InferenceFailedError, RequestError
from sm_async_nb.job.paths import Path, nearest_first

Pick = Callable[[Any], Any]
_ERRORS = ("raise", "coerce", "ignore")


@dataclass(frozen=True, kw_only=True)
class Shape:
    """How answers become columns.

    Parameters
    ----------
    output
        A JMESPath into the answer, a function of it, or ``"raw"`` for its bytes; None takes all of it.
    dtype
        As for ``DataFrame.astype``; what names columns names those of the answers.
    explode
        Whether an answer that is a list becomes as many rows, with the row's index label on each.
    errors
        ``"coerce"``: rows without an answer have missing values; ``"ignore"``: they are left out; ``"raise"``: if
        one has failed, or the path does not fit it, that is an error.

    Raises
    ------
    RequestError
        If an argument is wrong.
    """

    output: str | Pick | None = None
    dtype: Any = None
    explode: bool = False
    errors: str = "coerce"

    def __post_init__(self) -> None:
        check_flags(explode=self.explode)
        if self.errors not in _ERRORS:
            raise RequestError(f"errors must be one of 'raise', 'coerce', 'ignore', got {self.errors!r}.")
        if self.output is not None and not isinstance(self.output, str) and not callable(self.output):
            raise RequestError(f"output must be a JMESPath, a function or 'raw', got {type(self.output).__name__}.")
        self.pick()

    @property
    def is_raw(self) -> bool:
        """Whether the answers' bytes are wanted."""
        return isinstance(self.output, str) and self.output == "raw"

    def pick(self) -> Pick:
        """What takes the wanted part out of an answer."""
        if self.output is None or self.is_raw:
            return lambda value: value
        if callable(self.output):
            return self.output
        return Path(self.output)


class Shaping:
    """The answers of one job on their way into one shape, all at once or a part after the other in row order.

    Whether a path, or a column of ``dtype``, is in no answer is decided by all answers so far, so by the first part
    that has any.

    Parameters
    ----------
    labels
        What the rows are called, from the first.
    """

    def __init__(self, shape: Shape, labels: pd.Index) -> None:
        self._shape = shape
        self._labels = labels
        self._pick = shape.pick()
        self._path = self._pick if isinstance(self._pick, Path) else None
        self._rows = 0
        self._first_misfit: str | None = None
        self._columns: dict[str, None] = {}

    @property
    def is_raw(self) -> bool:
        """Whether the answers' bytes are wanted."""
        return self._shape.is_raw

    def frame(self, values: Iterable[Any], known: BoolArray, index: pd.Index) -> pd.DataFrame:
        """The values of the next rows as a frame on ``index``: a dict's keys as columns, all else as ``output``.

        Raises
        ------
        RequestError
            If the path has a part that is in none of the answers.
        InferenceFailedError
            With ``errors="raise"``, if it is in some and not in others.
        """
        picked = self._picked(values, known)
        self._check_path()
        if self._shape.explode:
            picked, known, index = _exploded(picked, known, index)
        frame = pd.DataFrame([_record(value) if there else {} for value, there in zip(picked, known, strict=True)])
        frame = frame.set_axis(index) if len(frame) else pd.DataFrame(index=index)
        return frame.loc[np.asarray(known)] if self._shape.errors == "ignore" else frame

    def typed(self, frame: pd.DataFrame) -> pd.DataFrame:
        """A frame of :meth:`frame` with the types that are wanted.

        Raises
        ------
        RequestError
            If a column is named that is in none of the frames so far.
        """
        dtype = self._shape.dtype
        if not isinstance(dtype, Mapping):
            return frame if dtype is None else frame.astype(dtype)
        self._columns |= dict.fromkeys(frame.columns)
        for name in dtype:
            # Without a single answer nobody knows which columns there are.
            if self._columns and name not in self._columns:
                near = nearest_first(str(name), self._columns, "column")
                raise RequestError(f"dtype= names {name!r}, and no answer has such a column.{near}")
        return frame.astype({name: kind for name, kind in dtype.items() if name in frame.columns})

    def misfits(self) -> str | None:
        """Which answers the path does not fit, if it fits others."""
        path = self._path
        if path is None or not path.misfits:
            return None
        return (
            f"{path} does not fit {path.counted}. The first is that of row {self._first_misfit}: {path.first_misfit()}"
        )

    def _picked(self, values: Iterable[Any], known: BoolArray) -> list[Any]:
        picked: list[Any] = []
        for value, there in zip(values, known, strict=True):
            try:
                picked.append(self._pick(value) if there else None)
            except Exception as error:
                raise RequestError(
                    f"output= fails on the answer of row {self._label()}: {type(error).__name__}: {error}."
                ) from error
            if self._first_misfit is None and self._path is not None and self._path.misfits:
                self._first_misfit = self._label()
            self._rows += 1
        return picked

    def _check_path(self) -> None:
        if self._path is None:
            return
        self._path.refuse_if_nowhere()
        if self._shape.errors == "raise" and self._path.misfits:
            raise InferenceFailedError(
                f"Row {self._first_misfit}, completed: {self._path} does not fit its answer:"
                f" {self._path.first_misfit()} In all, it does not fit {self._path.counted}."
            )

    def _label(self) -> str:
        return label(self._labels, self._rows)


def _record(value: Any) -> dict[str, Any]:
    return {str(key): item for key, item in value.items()} if isinstance(value, dict) else {"output": value}


def _exploded(values: list[Any], known: BoolArray, index: pd.Index) -> tuple[list[Any], BoolArray, pd.Index]:
    """Each item of a list on a row of its own; an empty list leaves a row without an answer, as in pandas."""
    rows: list[int] = []
    items: list[Any] = []
    there: list[bool] = []
    for row, value in enumerate(values):
        parts = value if isinstance(value, list | tuple | np.ndarray) else [value]
        for part in parts if len(parts) else [None]:
            rows.append(row)
            items.append(part)
            there.append(bool(known[row]) and bool(len(parts)))
    return items, np.array(there, dtype=np.bool_), index.take(rows)
