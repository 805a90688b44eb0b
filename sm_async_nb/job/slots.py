"""Every row's place in a request that was ever sent, so that a row which comes back finds its answer.

A **slot** is a place for a row in a request. The slots of the newest revision's **view** come first, in the order in
which requests show them; behind them is the history: slots of requests that no row asks for any more, and that may be
asked for again.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sm_async_nb.core.columns import IntArray
from sm_async_nb.core.fingerprint import FINGERPRINT, Fingerprints
from sm_async_nb.core.packing import Packing
from sm_async_nb.errors import RequestError

_WIDTH = FINGERPRINT.itemsize


@dataclass(frozen=True, kw_only=True)
class Slots:
    """One line for each slot; the first ``in_view`` of them are the view.

    Parameters
    ----------
    numbers
        The number of the request that each belongs to; those of one request are adjacent in the view.
    fingerprints
        What was sent for it, as 16 bytes.
    payload_bytes
        The size of its request's payload.
    in_view
        How many are in the view.
    """

    numbers: IntArray
    fingerprints: Fingerprints
    payload_bytes: IntArray
    in_view: int

    def __len__(self) -> int:
        return len(self.numbers)

    def __repr__(self) -> str:
        return f"<Slots: {self.in_view} in view, {len(self) - self.in_view} of history>"

    @cached_property
    def bounds(self) -> IntArray:
        """The view's request ``q`` has the slots ``bounds[q]`` to ``bounds[q + 1]``."""
        numbers = self.numbers[: self.in_view]
        return np.concatenate([np.flatnonzero(np.diff(numbers, prepend=-1)), [self.in_view]]).astype(np.int64)

    @property
    def view_numbers(self) -> IntArray:
        """The number of each request of the view."""
        return self.numbers[self.bounds[:-1]]

    @property
    def view_payload_bytes(self) -> IntArray:
        """The size of the payload of each request of the view."""
        return self.payload_bytes[self.bounds[:-1]]

    @property
    def view_fingerprints(self) -> Fingerprints:
        """The fingerprint of each slot of the view."""
        return self.fingerprints[: self.in_view]

    @property
    def next_number(self) -> int:
        """The number that the next new request gets; how many there have been."""
        return int(self.numbers.max(initial=-1)) + 1

    def packing(self, slot_of_row: IntArray) -> Packing:
        """The view's requests for a frame whose row ``r`` finds its answer in slot ``slot_of_row[r]``.

        A slot that no row asks for any more names another row of its request, whose fields are the same. The request
        has been answered, and is never sent again.
        """
        slots = np.full(self.in_view, -1, dtype=np.int64)
        # Where several rows share a slot, what is assigned last stays: the first of them.
        slots[slot_of_row[::-1]] = np.arange(len(slot_of_row))[::-1]
        request_of = np.repeat(np.arange(len(self.bounds) - 1), np.diff(self.bounds))
        first = np.full(len(self.bounds) - 1, len(slot_of_row), dtype=np.int64)
        np.minimum.at(first, request_of[slots >= 0], slots[slots >= 0])
        slots = np.where(slots < 0, first[request_of], slots)
        return Packing(slots=slots, slot_of_row=slot_of_row.astype(np.int64), bounds=self.bounds)


def to_parquet(slots: Slots) -> bytes:
    """The bytes of the file ``slots.parquet``."""
    fingerprints = np.ascontiguousarray(slots.fingerprints, dtype=FINGERPRINT)
    arrays = {
        "number": pa.array(slots.numbers.astype(np.int64)),
        "fingerprint": pa.FixedSizeBinaryArray.from_buffers(
            pa.binary(_WIDTH), len(fingerprints), [None, pa.py_buffer(fingerprints.view(np.uint8))]
        ),
        "payload_bytes": pa.array(slots.payload_bytes.astype(np.int64)),
        "in_view": pa.array(np.arange(len(slots)) < slots.in_view),
    }
    file = io.BytesIO()
    # Fingerprints are random: no dictionary and no compression makes them smaller.
    compression = {**dict.fromkeys(arrays, "zstd"), "fingerprint": "none"}
    pq.write_table(pa.table(arrays), file, use_dictionary=False, compression=compression)
    return file.getvalue()


def slots_from_parquet(body: bytes) -> Slots:
    """What :func:`to_parquet` wrote.

    Raises
    ------
    RequestError
        If it is something else.
    """
    try:
        table = pq.read_table(io.BytesIO(body))
        return _slots(table)
    except (pa.ArrowException, OSError, KeyError, ValueError) as error:
        raise RequestError(f"The slots of a job cannot be read: {type(error).__name__}: {error}.") from error


def _slots(table: Any) -> Slots:
    column = table.column("fingerprint")
    if column.type != pa.binary(_WIDTH):
        raise ValueError(f"a fingerprint is {_WIDTH} bytes, not {column.type}")
    chunks = [np.frombuffer(c.buffers()[1], FINGERPRINT, len(c), c.offset * _WIDTH) for c in column.chunks]
    return Slots(
        numbers=table.column("number").to_numpy().copy(),
        fingerprints=np.concatenate([np.empty(0, dtype=FINGERPRINT), *chunks]),
        payload_bytes=table.column("payload_bytes").to_numpy().copy(),
        in_view=int(table.column("in_view").to_numpy().sum()),
    )
