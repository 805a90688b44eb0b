"""The only durable state of a job: what was learned, in Parquet segments in S3, each written once.

Re-opening a job is reading the segments in order and applying what they say to an empty ledger.
"""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Sequence
from pathlib import PurePosixPath

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sm_async_nb.aws.storage import Storage
from sm_async_nb.core.ledger import Fact, Learned
from sm_async_nb.core.locations import JobLayout
from sm_async_nb.errors import JobInUseError

_DETAILS = ("output_location", "failure_location", "inference_id", "request_id", "http_status", "message")
_SCHEMA = pa.schema(
    [
        ("request", pa.uint32()),
        ("fact", pa.dictionary(pa.int8(), pa.string())),
        ("at", pa.timestamp("us", tz="UTC")),
        *((name, pa.string()) for name in _DETAILS),
    ]
)
_MICROSECONDS = 1_000_000


class Journal:
    """The segments of one shard of a job, appended to by one writer.

    A segment is created and never replaced (``If-None-Match: *``), so a second writer is found out by the first
    segment that both try to write.
    """

    def __init__(self, storage: Storage, layout: JobLayout, *, next_segment: int = 0) -> None:
        self._storage = storage
        self._layout = layout
        self._next_segment = next_segment

    async def append(self, learned: Sequence[Learned]) -> None:
        """Write one segment. Calling again with the same facts after a lost answer is harmless.

        Raises
        ------
        JobInUseError
            If another writer has written this segment.
        """
        body = encode_segment(learned)
        location = self._layout.journal_segment(self._next_segment)
        try:
            await self._storage.put(location, body, create_only=True)
        except FileExistsError:
            # Our own write may have arrived although its answer did not.
            if (await self._storage.get(location))[0] != body:
                raise JobInUseError(
                    f"Somebody else writes to job {self._layout.job_id}: {location} is not ours."
                    " This kernel stops following it; nothing that was recorded is lost."
                ) from None
        self._next_segment += 1

    async def read(self) -> AsyncIterator[list[Learned]]:
        """What the segments say, in the order in which it was learned; appending goes on behind the last."""
        prefix = self._layout.journal_prefix
        async for page in self._storage.list(prefix):
            for stored in page:
                body, _ = await self._storage.get(stored.location)
                yield decode_segment(body)
                self._next_segment = int(PurePosixPath(stored.location.key).stem) + 1


def encode_segment(learned: Sequence[Learned]) -> bytes:
    """Facts as the bytes of a Parquet file, a line for each request that one is about."""
    tables = [_table(one) for one in learned]
    file = io.BytesIO()
    pq.write_table(pa.concat_tables(tables) if tables else _SCHEMA.empty_table(), file, compression="zstd")
    return file.getvalue()


def decode_segment(body: bytes) -> list[Learned]:
    """The facts of a segment, a run of equal ones each."""
    table = pq.read_table(io.BytesIO(body), schema=_SCHEMA)
    if not table.num_rows:
        return []
    names = table.column("fact").combine_chunks().dictionary.to_pylist()
    codes = table.column("fact").combine_chunks().indices.to_numpy()
    starts = np.flatnonzero(np.diff(codes, prepend=-1))
    stops = [*starts[1:].tolist(), len(codes)]
    return [
        _learned(Fact[names[codes[start]]], table.slice(start, stop - start))
        for start, stop in zip(starts.tolist(), stops, strict=True)
    ]


def _table(learned: Learned) -> pa.Table:
    length = len(learned.requests)
    at = np.broadcast_to(np.asarray(learned.at, dtype=np.float64), (length,))
    columns = {
        "request": pa.array(learned.requests.astype(np.uint32)),
        "fact": pa.array([learned.fact.name] * length, _SCHEMA.field("fact").type),
        "at": pa.array(np.rint(at * _MICROSECONDS).astype(np.int64)).cast(_SCHEMA.field("at").type),
        **{name: pa.array(learned.details.get(name, [None] * length), pa.string()) for name in _DETAILS},
    }
    return pa.table(columns, schema=_SCHEMA)


def _learned(fact: Fact, table: pa.Table) -> Learned:
    details = {name: table.column(name) for name in _DETAILS}
    return Learned(
        fact=fact,
        requests=table.column("request").to_numpy().astype(np.int64),
        at=table.column("at").cast(pa.int64()).to_numpy() / _MICROSECONDS,
        details={name: column.to_pylist() for name, column in details.items() if column.null_count < len(column)},
    )
