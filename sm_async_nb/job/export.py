"""Results as Parquet files, a part at a time, for jobs whose answers are larger than memory."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from sm_async_nb.aws.storage import Storage
from sm_async_nb.core.columns import IntArray
from sm_async_nb.core.locations import S3Location, after_nearly_s3, parse_s3_uri
from sm_async_nb.core.packing import Packing
from sm_async_nb.errors import RequestError
from sm_async_nb.job.frame import as_texts

ROWS_A_PART = 20_000

_ADDRESS = re.compile(r"\s*\w[\w+.-]+://")


def parts(packing: Packing, rows: int) -> Iterator[tuple[IntArray, IntArray, IntArray]]:
    """The rows of each part in order, the requests that answer them, and those that no later part needs."""
    request_of = packing.request_of(np.arange(rows))
    last_row = np.zeros(len(packing), dtype=np.int64)
    np.maximum.at(last_row, request_of, np.arange(rows))
    for start in range(0, rows, ROWS_A_PART):
        chosen = np.arange(start, min(start + ROWS_A_PART, rows))
        requests = np.unique(request_of[chosen])
        yield chosen, requests, requests[last_row[requests] <= chosen[-1]]


class Target:
    """Where parts go: a folder, or a prefix in S3. Parts that lie there already are never overwritten."""

    def __init__(self, into: str | Path, storage: Storage) -> None:
        self._storage = storage
        self._prefix = _s3_prefix(into)
        self._folder = None if self._prefix else Path(into).expanduser()

    async def check(self) -> None:
        """Refuse a place that has parts in it.

        Raises
        ------
        RequestError
            Naming the first of them.
        """
        found = await self._first_part()
        if found:
            raise RequestError(f"There are results at {found} already. Choose another place, or remove them.")

    async def write(self, number: int, frame: pd.DataFrame) -> str:
        """Write one part; say where it lies."""
        name, body = f"part-{number:05d}.parquet", to_parquet(frame)
        if self._prefix is not None:
            location = self._prefix.child(name)
            await self._storage.put(location, body, create_only=True)
            return str(location)
        assert self._folder is not None
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / name).write_bytes(body)
        return str(self._folder / name)

    async def _first_part(self) -> str | None:
        if self._prefix is None:
            assert self._folder is not None
            return next((str(path) for path in sorted(self._folder.glob("part-*.parquet"))), None)
        async for page in self._storage.list(self._prefix.child("part-")):
            return str(page[0].location) if page else None
        return None


def to_parquet(frame: pd.DataFrame) -> bytes:
    """A frame with its index, as pandas reads it back; what Parquet has no type for is kept as JSON text."""
    file = io.BytesIO()
    try:
        frame.to_parquet(file)
    except (ValueError, TypeError, NotImplementedError, OverflowError):
        file = io.BytesIO()
        odd = [name for name in frame.columns if frame[name].dtype == np.dtype(object)]
        frame.assign(**{name: as_texts(frame[name]) for name in odd}).to_parquet(file)
    return file.getvalue()


def refuse_mistyped(into: str | Path) -> None:
    """Refuse what is meant as an address and is not one in S3: it would become a folder of an odd name.

    Raises
    ------
    RequestError
        With the S3 URI that may be meant.
    """
    text = str(into)
    rest = after_nearly_s3(text)
    if text.startswith("s3://") and text[5:6] not in ("", "/"):
        return
    if rest is not None or _ADDRESS.match(text):
        hint = f" Did you mean 's3://{rest}'?" if rest else ""
        raise RequestError(f"into= is a folder or an S3 URI, and {text!r} is neither.{hint} Nothing was fetched.")


def _s3_prefix(into: str | Path) -> S3Location | None:
    return parse_s3_uri(into) if isinstance(into, str) and into.startswith("s3://") else None
