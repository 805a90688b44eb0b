"""The only durable state of a job: what was learned, in Parquet segments in S3, each written once.

Re-opening a job is reading the segments in order and applying what they say to an empty ledger. A segment names
requests by their **numbers**, which never change; the newest revision of a job may show them in another order.
"""

from __future__ import annotations

import asyncio
import io
import re
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from sm_async_nb.aws.storage import Storage
from sm_async_nb.core.columns import IntArray, Texts
from sm_async_nb.core.ledger import Fact, Learned
from sm_async_nb.core.locations import JobLayout
from sm_async_nb.errors import JobInUseError, RequestError

_DETAILS = ("output_location", "failure_location", "inference_id", "request_id", "http_status", "message")
_SCHEMA = pa.schema(
    [
        ("request", pa.uint32()),
        ("fact", pa.dictionary(pa.int8(), pa.string())),
        ("at", pa.timestamp("us", tz="UTC")),
        *((name, pa.string()) for name in _DETAILS),
    ]
)
_REPEATED = ["fact", "http_status", "message"]
_MICROSECONDS = 1_000_000

# Segments that are fetched at once. Each is asked for alone, so a long journal would otherwise be one round trip after
# the other.
_AHEAD = 32
_SEGMENT_NAME = re.compile(r"(\d{8,})\.parquet")


class Journal:
    """The segments of one shard of a job, appended to by one writer.

    A segment is created and never replaced (``If-None-Match: *``), so a second writer is found out by the first
    segment that both try to write.

    Parameters
    ----------
    storage, layout
        Where the segments lie.
    next_segment
        Where appending begins.
    numbers
        What requests are called in the segments: ``numbers[i]`` is the number of request ``i`` of whoever appends.
        Without it each is its own number.
    """

    def __init__(
        self, storage: Storage, layout: JobLayout, *, next_segment: int = 0, numbers: IntArray | None = None
    ) -> None:
        self._storage = storage
        self._layout = layout
        self._next_segment = next_segment
        self._numbers = numbers

    @property
    def next_segment(self) -> int:
        """The segment that the next :meth:`append` writes."""
        return self._next_segment

    async def append(self, learned: Sequence[Learned]) -> None:
        """Write one segment. Calling again with the same facts after a lost answer is harmless.

        After an error call again with the same facts and no others: the segment may be there although no answer
        said so, and with other facts it would be taken for somebody else's.

        Raises
        ------
        JobInUseError
            If another writer has written this segment.
        """
        body = encode_segment([self._numbered(one) for one in learned])
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

    async def read(self, start: int = 0) -> AsyncIterator[list[Learned]]:
        """What the segments from ``start`` on say, in the order in which it was learned; requests are numbers.

        Appending goes on behind the last that was read.

        Raises
        ------
        RequestError
            If a segment is missing between others, or cannot be read: the journal is damaged then.
        """
        self._next_segment = start
        waiting: deque[asyncio.Task[list[Learned]]] = deque()
        try:
            async with aclosing(self._listed(start)) as listed:
                async for segment in listed:
                    waiting.append(asyncio.create_task(self._fetch(segment)))
                    if len(waiting) == _AHEAD:
                        yield await self._first(waiting)
            while waiting:
                yield await self._first(waiting)
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

    async def _listed(self, start: int) -> AsyncGenerator[int]:
        """The segments that there are, from ``start`` on, without a gap."""
        expected = start
        after = self._layout.journal_segment(start - 1).key if start else ""
        async for page in self._storage.list(self._layout.journal_prefix, start_after=after):
            for stored in page:
                name = _SEGMENT_NAME.fullmatch(stored.location.key.rpartition("/")[2])
                if name is None:
                    continue  # the S3 console leaves an empty object where somebody made a folder
                if int(name[1]) != expected:
                    raise RequestError(
                        f"The journal of job {self._layout.job_id} is damaged: there is {stored.location}, but not"
                        f" {self._layout.journal_segment(expected)} before it. Restore that object, from an older"
                        " version of it if the bucket keeps versions. Nothing was changed."
                    )
                yield expected
                expected += 1

    async def _fetch(self, segment: int) -> list[Learned]:
        location = self._layout.journal_segment(segment)
        body, _ = await self._storage.get(location)
        try:
            return decode_segment(body)
        except (pa.ArrowException, OSError, ValueError, KeyError) as error:
            raise RequestError(
                f"The journal of job {self._layout.job_id} cannot be read: {location} is damaged, or was written by a"
                f" newer version of sm-async-nb ({type(error).__name__}: {error}). Nothing was changed."
            ) from error

    async def _first(self, waiting: deque[asyncio.Task[list[Learned]]]) -> list[Learned]:
        learned = await waiting[0]
        waiting.popleft()
        self._next_segment += 1
        return learned

    def _numbered(self, learned: Learned) -> Learned:
        return learned if self._numbers is None else replace(learned, requests=self._numbers[learned.requests])


def encode_segment(learned: Sequence[Learned]) -> bytes:
    """Facts as the bytes of a Parquet file, a line for each request that one is about."""
    tables = [_table(one) for one in learned]
    table = pa.concat_tables(tables) if tables else _SCHEMA.empty_table()
    file = io.BytesIO()
    # Nobody searches a segment, so statistics are left out; nor do texts repeat in one, but for a few.
    pq.write_table(table, file, compression="zstd", use_dictionary=_REPEATED, write_statistics=False)
    return file.getvalue()


def decode_segment(body: bytes) -> list[Learned]:
    """The facts of a segment, a run of equal ones each, in which no request is there twice."""
    # Not read_table, which takes twice as long for a small file; and of these there are many.
    table = pq.ParquetFile(pa.BufferReader(body)).read(use_threads=False).combine_chunks()
    if not table.num_rows:
        return []
    names = table.column("fact").combine_chunks().dictionary.to_pylist()
    codes = table.column("fact").combine_chunks().indices.to_numpy()
    starts = np.flatnonzero(np.diff(codes, prepend=-1)).tolist()
    starts = _cut_where_repeated(table.column("request").to_numpy(), [*starts, len(codes)])
    return [_learned(Fact[names[codes[start]]], table.slice(start, stop - start)) for start, stop in pairwise(starts)]


def _cut_where_repeated(requests: npt.NDArray[np.uint32], cuts: list[int]) -> list[int]:
    """The same cuts, and one before each request that is there already: what was told twice is two facts."""
    found = []
    for start, stop in pairwise(cuts):
        found.append(start)
        run = requests[start:stop]
        if (run[1:] > run[:-1]).all() or np.unique(run).size == run.size:
            continue
        seen: set[int] = set()
        for place, request in enumerate(run.tolist(), start):
            if request in seen:
                found.append(place)
                seen.clear()
            seen.add(request)
    return [*found, cuts[-1]]


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
        details={name: Texts(column) for name, column in details.items() if column.null_count < len(column)},
    )
