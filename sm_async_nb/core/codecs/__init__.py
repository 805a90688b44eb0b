"""How each MIME type is written and read: one small file a family, all with the same few methods."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import pandas as pd


class Codec(Protocol):
    """Rows to payloads, and an answer back to a value for each row."""

    @property
    def suffix(self) -> str:
        """What the names of its objects in S3 end in."""

    @property
    def one_column(self) -> bool:
        """Whether a payload is made of exactly one column."""

    @property
    def overhead(self) -> int:
        """The bytes of a payload besides the `sizes` of its rows."""

    def encode(self, rows: pd.DataFrame, bounds: Sequence[int]) -> list[bytes]:
        """One payload for each pack of rows ``bounds[i]:bounds[i + 1]``; the bounds span all rows.

        Raises
        ------
        TypeError, ValueError
            If a cell has no form in this type, naming its column and never showing it in full.
        """

    def decode(self, answer: bytes, count: int, *, packed: bool) -> list[Any]:
        """The values for ``count`` rows.

        A request that was not ``packed`` has one row, and the answer is its value whatever it looks like. All
        others are split, a last pack of one row too.

        Raises
        ------
        WrongCountError
            If there is not one value for each row.
        ValueError
            If the bytes are not of the type.
        """

    def sizes(self, rows: pd.DataFrame) -> list[int] | None:
        """The bytes that each row adds to a payload; None where that depends on its neighbours."""


class WrongCountError(ValueError):
    """An answer has not one value for each row. ``found`` is None where there is nothing to count."""

    def __init__(self, expected: int, found: int | None = None) -> None:
        rows = "1 row" if expected == 1 else f"{expected} rows"
        if found is None:
            super().__init__(f"the answer cannot be split among the {rows} sent")
        else:
            super().__init__(f"the answer has {found} {'row' if found == 1 else 'rows'} for {expected} sent")
        self.expected = expected
        self.found = found


def counted(values: Sequence[Any], count: int) -> list[Any]:
    """The values, if there are ``count`` of them; `WrongCountError` if not."""
    if len(values) != count:
        raise WrongCountError(count, len(values))
    return list(values)
