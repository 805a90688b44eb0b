"""The answers of a job: fetched once each, decoded, and put beside the rows they belong to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from sm_async_nb.aws.storage import Storage
from sm_async_nb.core.columns import IntArray
from sm_async_nb.core.locations import parse_s3_uri
from sm_async_nb.core.payload import decode
from sm_async_nb.errors import ServiceTroubleError

_READERS = 64
_ATTEMPTS = 5
_FIRST_PAUSE = 0.5

# A failure object is the container's own words; more of them than this belongs in a log viewer.
_SHOWN_CHARACTERS = 4_096
_SHOWN_BYTES = 80


class Answers:
    """Decoded outputs and the texts of failures, by request.

    Parameters
    ----------
    length
        How many requests there are.
    accept
        What was asked for; it decides how an output without a content type of its own is decoded.
    """

    def __init__(self, length: int, accept: str | None) -> None:
        self._accept = accept
        self._values = np.empty(length, dtype=object)
        self.has_value = np.zeros(length, dtype=np.bool_)
        self.messages: dict[int, str] = {}

    def missing(self, requests: IntArray) -> IntArray:
        """Those whose output was not fetched yet, or cannot be read."""
        return requests[~self.has_value[requests]]

    async def fetch_outputs(self, storage: Storage, requests: Sequence[int], locations: Sequence[str]) -> None:
        """Get and decode the outputs at ``locations``, one GET each.

        An output that is gone or does not decode is a message about its request and no error here.
        """
        await _each(storage, requests, locations, self._take_output)

    async def fetch_failures(self, storage: Storage, requests: Sequence[int], locations: Sequence[str]) -> None:
        """Get the failure objects at ``locations``: the model's own words, never decoded as an answer."""
        await _each(storage, requests, locations, self._take_failure)

    def frame(self, requests: IntArray, index: pd.Index) -> pd.DataFrame:
        """The outputs of ``requests`` as a frame on ``index``: a dict's keys as columns, all else as ``output``."""
        records = [
            _record(value) if known else {}
            for value, known in zip(self._values[requests], self.has_value[requests], strict=True)
        ]
        frame = pd.DataFrame(records)
        return frame.set_axis(index) if len(frame) else pd.DataFrame(index=index)

    def _take_output(self, request: int, location: str, body: bytes | None, content_type: str | None) -> None:
        if body is None:
            self.messages[request] = f"Its output is gone: there is no object at {location}."
            return
        chosen = content_type if content_type not in _UNTOLD else self._accept
        try:
            self._values[request] = decode(body, chosen)
        except ValueError as error:
            head = body[:_SHOWN_BYTES]
            self.messages[request] = f"Its output at {location} is not {chosen}: {error}. It begins with {head!r}."
            return
        self.has_value[request] = True
        self.messages.pop(request, None)

    def _take_failure(self, request: int, location: str, body: bytes | None, _content_type: str | None) -> None:
        if body is None:
            self.messages[request] = f"Its failure object is gone: there is no object at {location}."
        else:
            self.messages[request] = body.decode(errors="replace")[:_SHOWN_CHARACTERS]


# What S3 says when nobody said what an object is.
_UNTOLD = {None, "", "binary/octet-stream"}

_Taker = Callable[[int, str, bytes | None, str | None], None]


async def _each(storage: Storage, requests: Sequence[int], locations: Sequence[str], take: _Taker) -> None:
    """Get every location with a few readers; what would be a million tasks is a few dozen."""
    work = iter(list(zip(requests, locations, strict=True)))
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(_READERS, len(requests))):
                group.create_task(_read(storage, work, take))
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None  # the readers meet the same trouble, and callers catch it by its class


async def _read(storage: Storage, work: Iterator[tuple[int, str]], take: _Taker) -> None:
    for request, location in work:
        take(request, location, *await _get(storage, location))


async def _get(storage: Storage, location: str) -> tuple[bytes | None, str | None]:
    for attempt in range(_ATTEMPTS):
        try:
            return await storage.get(parse_s3_uri(location))
        except FileNotFoundError:
            return None, None
        except ServiceTroubleError:
            if attempt == _ATTEMPTS - 1:
                raise
            await asyncio.sleep(_FIRST_PAUSE * 2**attempt)
    raise AssertionError("the last attempt returns or raises")


def _record(value: Any) -> dict[str, Any]:
    return {str(key): item for key, item in value.items()} if isinstance(value, dict) else {"output": value}
