"""UUIDs as the sixteen bytes that they are, and back: the ids that AWS gives to a million requests."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

# A text ends at its last byte that is not NUL, as NumPy has it; of sixteen bytes each counts.
PACKED = np.dtype("V16")
_DASHES = [8, 13, 18, 23]
_LENGTH = 36
_DIGITS = np.delete(np.arange(_LENGTH), _DASHES)
_LETTERS = np.frombuffer(b"0123456789abcdef", dtype=np.uint8)
_NO_DIGIT = 255
_VALUES = np.full(256, _NO_DIGIT, dtype=np.uint8)
_VALUES[_LETTERS] = np.arange(16)


def packed(texts: npt.NDArray[np.bytes_]) -> npt.NDArray[np.void] | None:
    """The bytes of UUIDs in their usual form; None if there is a text that is none, or that is nothing but zeros."""
    if texts.dtype.itemsize != _LENGTH:
        return None
    letters = np.ascontiguousarray(texts).view(np.uint8).reshape(-1, _LENGTH)
    values = _VALUES[letters[:, _DIGITS]]
    if (values == _NO_DIGIT).any() or (letters[:, _DASHES] != ord("-")).any() or not values.any(axis=1).all():
        return None
    together: npt.NDArray[Any] = np.ascontiguousarray(values[:, ::2] << 4 | values[:, 1::2])
    return together.view(PACKED).reshape(-1)


def unpacked(ids: npt.NDArray[np.void]) -> npt.NDArray[np.bytes_]:
    """The texts of which :func:`packed` made these; zeros are no text."""
    together = np.ascontiguousarray(ids).view(np.uint8).reshape(-1, 16)
    letters = np.full((len(ids), _LENGTH), ord("-"), dtype=np.uint8)
    letters[:, _DIGITS[::2]] = _LETTERS[together >> 4]
    letters[:, _DIGITS[1::2]] = _LETTERS[together & 15]
    letters[~together.any(axis=1)] = 0
    return letters.view(f"S{_LENGTH}").reshape(-1)
