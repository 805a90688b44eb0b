"""A column of short texts that costs bytes, not objects: locations and ids of a million requests."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


class TextColumn:
    """Texts by position, at most a few dozen bytes each.

    S3 locations of a job share their directories, so a text is kept in two parts: all up to the last slash, stored
    once, and the rest in a fixed-width array that widens when a longer one comes. An empty text and no text are the
    same.
    """

    def __init__(self, length: int) -> None:
        self._heads: list[str] = [""]
        self._head_numbers: dict[str, int] = {"": 0}
        self._head = np.zeros(length, dtype=np.uint32)
        self._tail = np.zeros(length, dtype="S1")

    def __len__(self) -> int:
        return len(self._tail)

    def __getitem__(self, position: int) -> str:
        tail: bytes = self._tail[position].item()
        return f"{self._heads[self._head[position]]}{tail.decode()}"

    @property
    def nbytes(self) -> int:
        """What the column takes, the shared beginnings apart."""
        return self._head.nbytes + self._tail.nbytes

    def put(self, positions: IntArray, texts: Sequence[str | None]) -> None:
        """Store ``texts[i]`` at ``positions[i]``."""
        if not len(positions):
            return
        parts = [_split(text or "") for text in texts]
        tails = np.array([tail for _, tail in parts], dtype=np.bytes_)
        if tails.dtype.itemsize > self._tail.dtype.itemsize:
            self._tail = self._tail.astype(tails.dtype)
        self._tail[positions] = tails
        self._head[positions] = [self._number(head) for head, _ in parts]

    def clear(self, positions: IntArray) -> None:
        """Forget the texts at ``positions``."""
        self._head[positions] = 0
        self._tail[positions] = b""

    def take(self, positions: IntArray) -> list[str]:
        """The texts at ``positions``."""
        heads = [self._heads[number] for number in self._head[positions].tolist()]
        return [head + tail.decode() for head, tail in zip(heads, self._tail[positions].tolist(), strict=True)]

    def _number(self, head: str) -> int:
        number = self._head_numbers.get(head)
        if number is None:
            number = self._head_numbers[head] = len(self._heads)
            self._heads.append(head)
        return number


def _split(text: str) -> tuple[str, bytes]:
    head, slash, tail = text.rpartition("/")
    return head + slash, tail.encode()
