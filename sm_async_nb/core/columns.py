"""A column of short texts that costs bytes, not objects: locations and ids of a million requests."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self, cast, overload

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sm_async_nb.core.uuids import PACKED, packed, unpacked

IntArray = npt.NDArray[np.int64]
HeadNumbers = npt.NDArray[np.unsignedinteger[Any]]
FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Parts:
    """Texts in two parts: text ``i`` is ``heads[head[i]] + tail[i]``. Nobody may change the arrays."""

    heads: Sequence[str]
    head: HeadNumbers
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

    S3 locations of a job share their directories, and names that we made begin alike. So a text is kept in two parts:
    its beginning, stored once, and the rest in a fixed-width array that widens when a longer one comes. The rest of ids
    that AWS makes is kept as :mod:`~sm_async_nb.core.uuids` has it. An empty text and no text are the same.

    Parameters
    ----------
    length
        How many texts there are.
    parts
        What they are at first: those of another column, with arrays of this one's own. Empty if not said.
    """

    def __init__(self, length: int, parts: Parts | None = None) -> None:
        parts = parts or Parts(heads=[""], head=np.zeros(length, dtype=np.uint8), tail=np.zeros(length, dtype="S1"))
        self._heads = list(parts.heads)
        self._head_numbers = {head: number for number, head in enumerate(self._heads)}
        self._head = parts.head
        self._tail = parts.tail

    def __len__(self) -> int:
        return len(self._head)

    def __getitem__(self, position: int) -> str:
        return self.take(np.array([position]))[0]

    @property
    def nbytes(self) -> int:
        """What the column takes, the shared beginnings apart."""
        return self._head.nbytes + self._tail.nbytes

    @property
    def parts(self) -> Parts:
        """The whole column as it is kept; later changes of the column may show in it."""
        return Parts(heads=self._heads, head=self._head, tail=self._texts_of(self._tail))

    @property
    def searchable(self) -> Parts:
        """The same without common beginnings, so that a search sees each text whole; short ones begin with NUL."""
        parts = self.parts
        if not any(parts.heads):
            return parts
        heads = [head.encode() for head in parts.heads]
        width = max(map(len, heads))
        before = np.frombuffer(b"".join(head.rjust(width, b"\0") for head in heads), dtype=np.uint8)
        after = np.ascontiguousarray(parts.tail).view(np.uint8).reshape(len(self), -1)
        whole = np.concatenate([before.reshape(-1, width)[parts.head], after], axis=1)
        no_head = np.zeros(len(self), dtype=np.uint8)
        return Parts(heads=[""], head=no_head, tail=whole.view(f"S{whole.shape[1]}").reshape(-1))

    def copy(self) -> Self:
        """The same texts, which later changes of this column do not reach."""
        return type(self)(len(self), Parts(heads=self._heads, head=self._head.copy(), tail=self._tail.copy()))

    def view(self, positions: IntArray) -> Self:
        """A column of the texts at ``positions``, in this order; changes of this column do not reach it."""
        head, tail = self._head[positions], self._tail[positions]
        return type(self)(len(positions), Parts(heads=self._heads, head=head, tail=tail))  # packed, if this one is

    def put(self, positions: IntArray, texts: Sequence[str | None]) -> None:
        """Store ``texts[i]`` at ``positions[i]``; where it is None, what is there stays."""
        told = _told(texts)
        if told is not None:
            positions, texts = positions[told], _without_none(texts)
        if len(positions):
            self.put_parts(positions, _parts_of_arrow(texts.array) if isinstance(texts, Texts) else _parts(texts))

    def put_parts(self, positions: IntArray, parts: Parts) -> None:
        """Store text ``i`` of ``parts`` at ``positions[i]``."""
        self._put_tail(positions, parts.tail)
        numbers = np.array([self._number(head) for head in parts.heads], dtype=np.uint32)
        needed = np.min_scalar_type(len(self._heads))
        if needed.itemsize > self._head.dtype.itemsize:
            self._head = self._head.astype(needed)
        self._head[positions] = numbers[parts.head]

    def clear(self, positions: IntArray) -> None:
        """Forget the texts at ``positions``."""
        self._head[positions] = 0
        self._tail[positions] = np.zeros(1, dtype=self._tail.dtype)

    def take(self, positions: IntArray) -> list[str]:
        """The texts at ``positions``."""
        heads = [self._heads[number] for number in self._head[positions].tolist()]
        tails = self._texts_of(self._tail[positions]).tolist()
        return [head + tail.decode() for head, tail in zip(heads, tails, strict=True)]

    def _put_tail(self, positions: IntArray, tail: npt.NDArray[np.bytes_]) -> None:
        ids = packed(tail)
        if ids is not None and (self._is_packed or self._is_empty):
            if not self._is_packed:
                self._tail = np.zeros(len(self), dtype=PACKED)
            self._tail[positions] = ids
            return
        self._tail = self._texts_of(self._tail)
        if tail.dtype.itemsize > self._tail.dtype.itemsize:
            self._tail = self._tail.astype(tail.dtype)
        self._tail[positions] = tail

    @property
    def _is_packed(self) -> bool:
        return self._tail.dtype == PACKED

    @property
    def _is_empty(self) -> bool:
        return self._tail.dtype.itemsize == 1 and not self._tail.view(np.uint8).any()

    @staticmethod
    def _texts_of(tail: npt.NDArray[Any]) -> npt.NDArray[np.bytes_]:
        return unpacked(tail) if tail.dtype == PACKED else tail

    def _number(self, head: str) -> int:
        number = self._head_numbers.get(head)
        if number is None:
            number = self._head_numbers[head] = len(self._heads)
            self._heads.append(head)
        return number


# The end of a name that was made here, of which ten thousand requests have the beginning in common. Nothing in a UUID
# looks like it.
_OWN_END = re.compile(r"(?<=-[0-9]{4})[0-9]{4}-[0-9]+[a-z.-]*\Z")

# As many texts to each beginning are worth a cut of the same length in all of them.
_ALIKE = 8


def _told(texts: Sequence[str | None]) -> BoolArray | None:
    """Which are texts; None if all are."""
    if isinstance(texts, Texts):
        return np.asarray(texts.array.is_valid()) if texts.array.null_count else None
    return np.array([text is not None for text in texts], dtype=np.bool_) if None in texts else None


def _without_none(texts: Sequence[str | None]) -> Sequence[str | None]:
    if isinstance(texts, Texts):
        return Texts(texts.array.drop_null())
    return [text for text in texts if text is not None]


def _parts(texts: Sequence[str | None]) -> Parts:
    whole = [text or "" for text in texts]
    ours = _OWN_END.search(whole[0])
    if ours is not None:
        end = len(ours[0])
        parts = _cut([text[:-end] for text in whole], [text[-end:] for text in whole])
        if len(parts.heads) <= 1 + len(whole) // _ALIKE:
            return parts
    split = [text.rpartition("/") for text in whole]
    return _cut([before + slash for before, slash, _ in split], [after for _, _, after in split])


def _cut(before: list[str], after: list[str]) -> Parts:
    numbers = {head: number for number, head in enumerate(dict.fromkeys(before))}
    head = np.array([numbers[one] for one in before], dtype=np.uint32)
    return Parts(heads=list(numbers), head=head, tail=np.array([one.encode() for one in after], dtype=np.bytes_))


def _parts_of_arrow(texts: Any) -> Parts:
    """The same without an object for each text."""
    whole = pc.fill_null(texts, "")
    whole = pa.concat_arrays(whole.chunks) if isinstance(whole, pa.ChunkedArray) else whole
    ours = _OWN_END.search(whole[0].as_py())
    if ours is not None:
        end = len(ours[0])
        heads = pc.utf8_slice_codeunits(whole, 0, -end).dictionary_encode()
        if len(heads.dictionary) <= 1 + len(whole) // _ALIKE:
            return _cut_of_arrow(heads, pc.utf8_slice_codeunits(whole, -end))
    heads = pc.replace_substring_regex(whole, r"[^/]*\z", "").dictionary_encode()
    return _cut_of_arrow(heads, pc.replace_substring_regex(whole, r"(?s)\A.*/", ""))


def _cut_of_arrow(heads: Any, tails: Any) -> Parts:
    numbers = heads.indices.to_numpy().astype(np.uint32)
    return Parts(heads=heads.dictionary.to_pylist(), head=numbers, tail=_fixed_width(tails.cast(pa.binary())))


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
