"""What is wrong with the rows of a frame: counted, and the first few told by index label."""

from __future__ import annotations

import pandas as pd

from sm_async_nb.core.values import as_python
from sm_async_nb.errors import RequestError

_SHOWN = 5


class Problems:
    """Rows that cannot be sent, and why."""

    def __init__(self, index: pd.Index) -> None:
        self._index = index
        self._rows: set[int] = set()
        self.told: list[str] = []

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, row: int) -> bool:
        """Whether something is wrong with a row."""
        return row in self._rows

    def add(self, row: int, problem: str) -> None:
        """Note what is wrong with a row; the first thing about it is told."""
        if row not in self._rows and len(self._rows) < _SHOWN:
            self.told.append(f"row {label(self._index, row)}: {problem}")
        self._rows.add(row)

    def refuse(self) -> None:
        """Raise a RequestError if there are any."""
        if not self._rows:
            return
        counted = "1 row" if len(self) == 1 else f"{len(self)} of {len(self._index)} rows"
        listed = "".join(f"\n  {told}" for told in self.told)
        more = f"\n  and {len(self) - len(self.told)} more" if len(self) > len(self.told) else ""
        raise RequestError(f"{counted} cannot be sent:{listed}{more}\nNothing was sent.")


def label(index: pd.Index, row: int) -> str:
    """A row's index label as a message shows it, 5 and not np.int64(5)."""
    return repr(as_python(index[row]))


def sentence(error: Exception) -> str:
    """What an error says, with one full stop."""
    return f"{str(error).rstrip('.')}."
