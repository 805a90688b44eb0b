"""``image/…``, ``audio/…``, ``video/…`` and ``application/octet-stream``: a cell's bytes, or those of a local file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from sm_async_nb.core.codecs import WrongCountError
from sm_async_nb.core.codecs.cells import naming, only_column

_SHOWN_CHARACTERS = 120


@dataclass(frozen=True, kw_only=True)
class RawCodec:
    """One column of bytes or of local paths; bytes have no place for a missing value, nor for a second row."""

    suffix: str = ".bin"
    one_column: bool = True
    overhead: int = 0

    def encode(self, rows: pd.DataFrame, bounds: Sequence[int]) -> list[bytes]:
        column = only_column(rows, "a payload of raw bytes")
        if len(bounds) != len(rows) + 1:
            raise ValueError("raw bytes of several rows cannot share a request; send one row a request")
        with naming(column.name):
            return [_bytes(cell) for cell in column.tolist()]

    def decode(self, answer: bytes, count: int, *, packed: bool) -> list[Any]:  # noqa: ARG002
        if count != 1:
            raise WrongCountError(count)
        return [answer]

    def sizes(self, rows: pd.DataFrame) -> None:  # noqa: ARG002
        return None


def _bytes(cell: Any) -> bytes:
    if isinstance(cell, (bytes, bytearray, memoryview)):
        return bytes(cell)
    if isinstance(cell, str) or hasattr(cell, "__fspath__"):
        return _file(cell)
    if pd.api.types.is_scalar(cell) and pd.isna(cell):
        raise ValueError("a value is missing, which raw bytes cannot say; drop the row")
    raise TypeError(f"a value of type {type(cell).__name__} is neither bytes nor the path of a local file")


def _file(path: Any) -> bytes:
    """The one place of the core that touches the disk: what a path in a frame stands for is the file's bytes."""
    text = str(path)
    if "://" in text[:_SHOWN_CHARACTERS]:
        raise ValueError(f"{_shown(text)} is no local path; download it, or name the column as input_location=")
    try:
        with open(path, "rb") as file:  # noqa: PTH123  (pathlib is I/O, which the core leaves to others)
            return file.read()
    except OSError as error:
        raise ValueError(f"the file {_shown(text)} cannot be read: {error.strerror}") from None
    except ValueError:
        raise ValueError(f"{_shown(text)} is neither bytes nor the path of a local file") from None


def _shown(path: str) -> str:
    # A column of texts that are no paths at all is a likely mistake, and a text may be long.
    return repr(path if len(path) <= _SHOWN_CHARACTERS else f"{path[:_SHOWN_CHARACTERS]}…")
