"""A column of short texts that costs bytes, not objects: locations and ids of a million requests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self, cast, overload

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Parts:
    """Texts in two parts: text ``i`` is ``heads[head[i]] + tail[i]``. Nobody may change the arrays."""

    heads: Sequence[str]
    head: npt.NDArray[np.uint32]
    tail: npt.NDArray[np.bytes_]


class Texts(Sequence[str | None]):
    """Texts that came from a Parquet file, as Arrow has them: a sequence that makes no objects until it is looked at.

    Parameters
    ----------
    array
        An Arrow array of strings, in one chunk or in several.
    """

    def __init__(self, array: Any) -> None:
        self.array = array

    def __len__(self) -> int:
        return len(self.array)

    @overload
    def __getitem__(self, place: int) -> str | None: ...
    @overload
    def __getitem__(self, place: slice) -> list[str | None]: ...
    def __getitem__(self, place: int | slice) -> str | list[str | None] | None:
        if isinstance(place, slice):
            return list(self)[place]
        return cast(str | None, self.array[place].as_py())

    def __iter__(self) -> Iterator[str | None]:
        return iter(self.array.to_pylist())

    def __repr__(self) -> str:
        return f"<Texts: {len(self)}>"


class TextColumn:
    """Texts by position, at most a few dozen bytes each.

    S3 locations of a job share their directories, so a text is kept in two parts: all up to the last slash, stored
    once, and the rest in a fixed-width array that widens when a longer one comes. An empty text and no text are the
    same.

    Parameters
    ----------
    length
        How many texts there are.
    parts
        What they are at first: those of another column, with arrays of this one's own. Empty if not said.
    """

    def __init__(self, length: int, parts: Parts | None = None) -> None:
        parts = parts or Parts(heads=[""], head=np.zeros(length, dtype=np.uint32), tail=np.zeros(length, dtype="S1"))
        self._heads = list(parts.heads)
        self._head_numbers = {head: number for number, head in enumerate(self._heads)}
        self._head = parts.head
        self._tail = parts.tail

    def __len__(self) -> int:
        return len(self._head)

    def __getitem__(self, position: int) -> str:
        tail: bytes = self._tail[position].item()
        return f"{self._heads[self._head[position]]}{tail.decode()}"

    @property
    def nbytes(self) -> int:
        """What the column takes, the shared beginnings apart."""
        return self._head.nbytes + self._tail.nbytes

    @property
    def parts(self) -> Parts:
        """The whole column as it is kept; later changes of the column may show in it."""
        return Parts(heads=self._heads, head=self._head, tail=self._tail)

    def copy(self) -> Self:
        """The same texts, which later changes of this column do not reach."""
        return type(self)(len(self), Parts(heads=self._heads, head=self._head.copy(), tail=self._tail.copy()))

    def view(self, positions: IntArray) -> Self:
        """A column of the texts at ``positions``, in this order; changes of this column do not reach it."""
        head, tail = self._head[positions], self._tail[positions]
        return type(self)(len(positions), Parts(heads=self._heads, head=head, tail=tail))

    def put(self, positions: IntArray, texts: Sequence[str | None]) -> None:
        """Store ``texts[i]`` at ``positions[i]``."""
        if len(positions):
            self.put_parts(positions, _parts_of_arrow(texts.array) if isinstance(texts, Texts) else _parts(texts))

    def put_parts(self, positions: IntArray, parts: Parts) -> None:
        """Store text ``i`` of ``parts`` at ``positions[i]``."""
        if parts.tail.dtype.itemsize > self._tail.dtype.itemsize:
            self._tail = self._tail.astype(parts.tail.dtype)
        self._tail[positions] = parts.tail
        numbers = np.array([self._number(head) for head in parts.heads], dtype=np.uint32)
        self._head[positions] = numbers[parts.head]

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


def _parts(texts: Sequence[str | None]) -> Parts:
    numbers: dict[str, int] = {}
    split = [(text or "").rpartition("/") for text in texts]
    head = [numbers.setdefault(before + slash, len(numbers)) for before, slash, _ in split]
    tail = np.array([after.encode() for _, _, after in split], dtype=np.bytes_)
    return Parts(heads=list(numbers), head=np.array(head, dtype=np.uint32), tail=tail)


def _parts_of_arrow(texts: Any) -> Parts:
    """The same without an object for each text."""
    whole = pc.fill_null(texts, "")
    whole = pa.concat_arrays(whole.chunks) if isinstance(whole, pa.ChunkedArray) else whole
    heads = pc.replace_substring_regex(whole, r"[^/]*\z", "").dictionary_encode()
    tails = pc.replace_substring_regex(whole, r"(?s)\A.*/", "").cast(pa.binary())
    return Parts(heads=heads.dictionary.to_pylist(), head=heads.indices.to_numpy(), tail=_fixed_width(tails))


def _fixed_width(texts: Any) -> npt.NDArray[np.bytes_]:
    """Arrow's bytes of any length, filled up with NUL to that of the longest, as NumPy has them."""
    lengths = pc.binary_length(texts).to_numpy().astype(np.int64)
    width = int(lengths.max(initial=1))
    filled = np.zeros((len(texts), width), dtype=np.uint8)
    filled[np.arange(width) < lengths[:, None]] = _joined(texts, int(lengths.sum()))
    return filled.view(f"S{width}").reshape(-1)


def _joined(texts: Any, length: int) -> npt.NDArray[np.uint8]:
    _, offsets, data = texts.buffers()
    if not length:
        return np.empty(0, dtype=np.uint8)
    start = int(np.frombuffer(offsets, dtype=np.int32)[texts.offset])
    return np.frombuffer(data, dtype=np.uint8)[start : start + length]
