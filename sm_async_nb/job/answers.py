"""The answers of a job: fetched once each, decoded, and put beside the rows they belong to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pandas as pd

from sm_async_nb.aws.storage import Storage
from sm_async_nb.core.columns import IntArray
from sm_async_nb.core.locations import parse_s3_uri
from sm_async_nb.core.packing import Packing
from sm_async_nb.core.payload import WrongCountError, decode
from sm_async_nb.core.verdict import verdict_of
from sm_async_nb.errors import ServiceTroubleError
from sm_async_nb.job.shape import Shape, Shaping

_READERS = 64
_ATTEMPTS = 5
_FIRST_PAUSE = 0.5

# A failure object is the container's own words; more of them than this belongs in a log viewer.
_SHOWN_CHARACTERS = 4_096
_SHOWN_BYTES = 80


Accept = str | Callable[[int], str | None] | None


class Answers:
    """Decoded outputs and the texts of failures; ``has_value`` and ``messages`` are by request.

    Parameters
    ----------
    packing
        Which rows each request has sent, so that its answer can be split among them.
    accept
        What was asked for, of all requests or by request; it decides how an output without a content type of its
        own is decoded.
    packed
        Whether requests were allowed to have several rows.
    """

    def __init__(self, packing: Packing, accept: Accept, *, packed: bool = False) -> None:
        self._packing = packing
        self._accept_of = accept if callable(accept) else lambda _request: accept
        self._packed = packed
        self._values = np.empty(len(packing.slots), dtype=object)
        self._bodies = np.empty(len(packing), dtype=object)
        self.has_value = np.zeros(len(packing), dtype=np.bool_)
        self._fetched = np.zeros(len(packing), dtype=np.bool_)
        self.messages: dict[int, str] = {}
        # What the words of failures say of the model's own status, which may stand behind what is shown of them.
        self.failure_status: dict[int, int] = {}

    def missing(self, requests: IntArray) -> IntArray:
        """Those whose output was not fetched yet."""
        return requests[~self._fetched[requests]]

    def forget(self, requests: IntArray) -> None:
        """Let go of what was fetched for these requests, which costs a GET each if they are wanted again."""
        self._values[self._packing.slots_of(requests)] = None
        self._bodies[requests] = None
        self.has_value[requests] = self._fetched[requests] = False

    async def fetch_outputs(self, storage: Storage, requests: Sequence[int], locations: Sequence[str]) -> None:
        """Get and decode the outputs at ``locations``, one GET each.

        An output that is gone or does not decode is a message about its request and no error here.
        """
        await _each(storage, requests, locations, self.take_output)

    async def fetch_failures(self, storage: Storage, requests: Sequence[int], locations: Sequence[str]) -> None:
        """Get the failure objects at ``locations``: the model's own words, never decoded as an answer."""
        await _each(storage, requests, locations, self._take_failure)

    def frame(self, rows: IntArray, index: pd.Index, shaping: Shaping | None = None) -> pd.DataFrame:
        """What ``rows`` were answered, as a frame on ``index``."""
        shaping = shaping or Shaping(Shape(), index)
        requests = self._packing.request_of(rows)
        values = self._bodies[requests] if shaping.is_raw else self._values[self._packing.slot_of_row[rows]]
        return shaping.frame(values, self.has_value[requests], index)

    def take_output(self, request: int, location: str, body: bytes | None, content_type: str | None) -> None:
        """Decode an output that was found at ``location``; None if it was gone."""
        self._fetched[request] = True
        if body is None:
            self.messages[request] = f"Its output is gone: there is no object at {location}."
            return
        chosen = content_type if content_type not in _UNTOLD else self._accept_of(request)
        slots = self._packing.slots_of(np.array([request]))
        try:
            values = decode(body, chosen, len(slots), packed=self._packed)
        except WrongCountError as error:
            self.messages[request] = f"Its output at {location} cannot be split: {error}."
            return
        except ValueError as error:
            head = body[:_SHOWN_BYTES]
            self.messages[request] = f"Its output at {location} is not {chosen}: {error}. It begins with {head!r}."
            return
        for slot, value in zip(slots.tolist(), values, strict=True):
            self._values[slot] = value
        self._bodies[request] = body
        self.has_value[request] = True
        self.messages.pop(request, None)

    def _take_failure(self, request: int, location: str, body: bytes | None, _content_type: str | None) -> None:
        if body is None:
            self.messages[request] = f"Its failure object is gone: there is no object at {location}."
            return
        words = body.decode(errors="replace")
        self.messages[request] = words[:_SHOWN_CHARACTERS]
        status = verdict_of(words).http_status
        if status is not None:
            self.failure_status[request] = status


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
