"""What was really called: S3 and the SageMaker runtime behind a meter that counts each call on the wire.

A call is counted when it is made, whatever comes of it. What botocore repeats by itself is part of one call.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sm_async_nb.aws.runtime import Accepted, Runtime
from sm_async_nb.aws.storage import Names, Storage, StoredObject, delete_batches
from sm_async_nb.core.estimate import S3_GET, S3_LIST, S3_PUT
from sm_async_nb.core.locations import S3Location
from sm_async_nb.errors import ServiceTroubleError

_NAMES_A_PAGE = 1_000

# Deleting is free.
_PRICES = {"PutObject": S3_PUT, "ListObjectsV2": S3_LIST, "GetObject": S3_GET, "HeadObject": S3_GET}


@dataclass(kw_only=True)
class Meter:
    """Counts of one job's calls, kept by the one event loop that makes them.

    ``calls`` are by operation, as in ``PutObject``. ``bytes_sent`` and ``bytes_received`` are of bodies alone.
    ``troubled`` counts the calls that did not get through, and ``throttled`` those of them that were throttled.
    """

    calls: Counter[str] = field(default_factory=Counter)
    bytes_sent: int = 0
    bytes_received: int = 0
    throttled: int = 0
    troubled: int = 0

    @property
    def s3_fee(self) -> float:
        """What the S3 calls cost in US dollars, at the prices of S3 Standard in us-east-1."""
        return sum(self.calls[operation] * price for operation, price in _PRICES.items())

    @contextmanager
    def counting(self, operation: str) -> Iterator[None]:
        """Count one call, which is made in the block."""
        self.calls[operation] += 1
        try:
            yield
        except ServiceTroubleError as trouble:
            self.troubled += 1
            self.throttled += trouble.throttled
            raise


class MeteredStorage:
    """A :class:`~sm_async_nb.aws.storage.Storage` whose calls are counted.

    :meth:`directories` is counted as one LIST for each thousand names, and at least one.
    """

    def __init__(self, storage: Storage, meter: Meter) -> None:
        self._storage = storage
        self._meter = meter

    async def put(
        self, location: S3Location, body: bytes, content_type: str | None = None, *, create_only: bool = False
    ) -> None:
        self._meter.bytes_sent += len(body)
        with self._meter.counting("PutObject"):
            await self._storage.put(location, body, content_type, create_only=create_only)

    async def get(self, location: S3Location) -> tuple[bytes, str | None]:
        with self._meter.counting("GetObject"):
            body, content_type = await self._storage.get(location)
        self._meter.bytes_received += len(body)
        return body, content_type

    async def list(self, prefix: S3Location, *, start_after: str = "") -> AsyncIterator[Sequence[StoredObject]]:
        pages = aiter(self._storage.list(prefix, start_after=start_after))
        while (page := await self._next_page(pages)) is not None:
            yield page

    async def directories(self, prefix: S3Location) -> Names:
        with self._meter.counting("ListObjectsV2"):
            names = await self._storage.directories(prefix)
        self._meter.calls["ListObjectsV2"] += max(len(names) - 1, 0) // _NAMES_A_PAGE
        return names

    async def head(self, location: S3Location) -> StoredObject | None:
        with self._meter.counting("HeadObject"):
            return await self._storage.head(location)

    async def delete(self, locations: Sequence[S3Location]) -> None:
        for batch in delete_batches(locations):
            with self._meter.counting("DeleteObjects"):
                await self._storage.delete(batch)

    async def _next_page(self, pages: AsyncIterator[Sequence[StoredObject]]) -> Sequence[StoredObject] | None:
        with self._meter.counting("ListObjectsV2"):
            page = await anext(pages, None)
        if page is None:  # the end of the last page was known without a call
            self._meter.calls["ListObjectsV2"] -= 1
        return page


class MeteredRuntime:
    """A :class:`~sm_async_nb.aws.runtime.Runtime` whose calls are counted."""

    def __init__(self, runtime: Runtime, meter: Meter) -> None:
        self._runtime = runtime
        self._meter = meter

    async def invoke(self, fields: Mapping[str, Any]) -> Accepted:
        self._meter.bytes_sent += len(fields.get("body") or b"")
        with self._meter.counting("InvokeEndpointAsync"):
            return await self._runtime.invoke(fields)
