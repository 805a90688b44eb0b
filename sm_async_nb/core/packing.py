"""Which rows go into which request.

Rows that are sent twice for the same answer may share a **slot** (``deduplicate``), and consecutive slots share a
request (``rows_per_request``, ``max_payload_bytes``). Three arrays say it all, for a million rows too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from sm_async_nb.core.columns import IntArray


@dataclass(frozen=True)
class Packing:
    """Rows in slots, slots in requests.

    ``slots[s]`` is the row that slot ``s`` sends; ``slot_of_row[r]`` is where row ``r`` finds its answer; request ``q``
    sends the slots ``bounds[q]`` to ``bounds[q + 1]``.
    """

    slots: IntArray
    slot_of_row: IntArray
    bounds: IntArray

    def __len__(self) -> int:
        """How many requests there are."""
        return len(self.bounds) - 1

    def rows_of(self, request: int) -> IntArray:
        """The rows that a request sends, in their order in its payload."""
        return self.slots[self.bounds[request] : self.bounds[request + 1]]

    def request_of(self, rows: IntArray) -> IntArray:
        """The request that each row's answer comes with."""
        found = np.searchsorted(self.bounds, self.slot_of_row[rows], side="right") - 1
        return np.asarray(found, dtype=np.int64)

    def taken(self, frame: pd.DataFrame, requests: range) -> tuple[pd.DataFrame, list[int]]:
        """The rows of consecutive requests, and the bounds between them."""
        bounds = self.bounds[requests.start : requests.stop + 1]
        return frame.iloc[self.slots[bounds[0] : bounds[-1]]], (bounds - bounds[0]).tolist()

    def slots_of(self, requests: IntArray) -> IntArray:
        """All slots of these requests, request by request."""
        if not len(requests):
            return np.empty(0, dtype=np.int64)
        return np.concatenate([np.arange(self.bounds[q], self.bounds[q + 1]) for q in requests.tolist()])


def one_row_each(rows: int) -> Packing:
    """A request for each row."""
    bounds = np.arange(rows + 1)
    return Packing(bounds[:-1], bounds[:-1], bounds)


def pack(
    rows: int,
    *,
    rows_per_request: int = 1,
    max_payload_bytes: int | None = None,
    sizes: IntArray | None = None,
    same_as: IntArray | None = None,
    overhead: int = 0,
) -> Packing:
    """Put ``rows`` rows into requests.

    Parameters
    ----------
    rows_per_request
        At most so many slots in a request.
    max_payload_bytes, sizes, overhead
        And at most so many bytes, where row ``r`` adds ``sizes[r]`` to the ``overhead`` of a payload. A row that is
        larger alone goes alone.
    same_as
        For each row the first row with the same content, itself if there is none.
    """
    first = np.arange(rows) if same_as is None else same_as
    slots, slot_of_row = np.unique(first, return_inverse=True)
    if max_payload_bytes is None or sizes is None:
        step = min(rows_per_request, max(len(slots), 1))
        bounds = np.append(np.arange(0, len(slots), step), len(slots))
    else:
        bounds = _bounds_by_size(sizes[slots], rows_per_request, max_payload_bytes - overhead)
    return Packing(slots.astype(np.int64), slot_of_row.astype(np.int64).reshape(-1), bounds.astype(np.int64))


def _bounds_by_size(sizes: IntArray, rows_per_request: int, room: int) -> IntArray:
    bounds, size, count = [0], 0, 0
    for place, added in enumerate(sizes.tolist()):
        if count and (count == rows_per_request or size + added > room):
            bounds.append(place)
            size = count = 0
        size += added
        count += 1
    return np.array([*bounds, len(sizes)] if len(sizes) else [0], dtype=np.int64)
