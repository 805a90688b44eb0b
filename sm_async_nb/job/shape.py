"""From decoded answers to the frame a user wants: which part of an answer, which columns, which types."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import jmespath
import numpy as np
import pandas as pd
from jmespath.exceptions import JMESPathError

from sm_async_nb.core.columns import BoolArray
from sm_async_nb.core.problems import label
from sm_async_nb.errors import RequestError

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
        As for ``DataFrame.astype``.
    explode
        Whether an answer that is a list becomes as many rows, with the row's index label on each.
    errors
        ``"coerce"``: rows without an answer have missing values; ``"ignore"``: they are left out; ``"raise"``: if
        one has failed, that is an error.

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
        try:
            return jmespath.compile(self.output).search  # type: ignore[no-any-return]
        except JMESPathError as error:
            said = str(error).splitlines()[0].rstrip(".:").removesuffix(", for expression")
            raise RequestError(f"output={self.output!r} is no JMESPath: {said}.") from None

    def frame(self, values: Iterable[Any], known: BoolArray, index: pd.Index) -> pd.DataFrame:
        """The values as a frame on ``index``: a dict's keys as columns, all else as ``output``."""
        picked = self._picked(values, known, index)
        if self.explode:
            picked, known, index = _exploded(picked, known, index)
        frame = pd.DataFrame([_record(value) if there else {} for value, there in zip(picked, known, strict=True)])
        frame = frame.set_axis(index) if len(frame) else pd.DataFrame(index=index)
        if self.errors == "ignore":
            frame = frame.loc[np.asarray(known)]
        return self._typed(frame)

    def _picked(self, values: Iterable[Any], known: BoolArray, index: pd.Index) -> list[Any]:
        pick = self.pick()
        picked: list[Any] = []
        for row, (value, there) in enumerate(zip(values, known, strict=True)):
            try:
                picked.append(pick(value) if there else None)
            except Exception as error:
                raise RequestError(
                    f"output= fails on the answer of row {label(index, row)}: {type(error).__name__}: {error}."
                ) from error
        return picked

    def _typed(self, frame: pd.DataFrame) -> pd.DataFrame:
        if self.dtype is None:
            return frame
        if isinstance(self.dtype, Mapping):
            return frame.astype({name: kind for name, kind in self.dtype.items() if name in frame.columns})
        return frame.astype(self.dtype)


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
