"""Finding out which requests have an answer, by looking into S3; there is nobody to ask.

Where the returned locations carry the job's own marks, one LIST tells of a thousand requests. Where they lie among
other people's objects (an SDK without ``S3OutputPathExtension`` and ``Filename``, or a service that names failures
its own way), listing would cost more with every object ever written there, so the few requests that have waited
longest are looked at one by one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from sm_async_nb.aws.storage import Storage
from sm_async_nb.core.ledger import Fact
from sm_async_nb.core.locations import JobLayout, S3Location, parse_s3_uri
from sm_async_nb.errors import ServiceTroubleError

_LISTS_AT_A_TIME = 16

# Of the requests that cannot be listed, so many of the oldest are looked at each time, and as many of the others in
# turn, so that a few that never get an answer cannot hide those behind them.
_OLDEST_A_LOOK = 32
_OTHERS_A_LOOK = 32

# A failure that cannot be listed is looked for only when its request has waited this long. Seconds.
_PATIENCE = 30.0


# A tuple, since it is made in a quarter of a dataclass's time and of these there is one for each request.
class Answer(NamedTuple):
    """A request's answer was found: an output or a failure, and when it was written."""

    fact: Fact
    request: int
    at: float


@dataclass
class Look:
    """What one look found, how many LISTs and HEADs it took, and why it may not have seen everything.

    What it found of ``given_up`` is of no interest any more: they are sent once more since it began.
    """

    answers: list[Answer] = field(default_factory=list)
    lists: int = 0
    heads: int = 0
    trouble: ServiceTroubleError | None = None
    given_up: set[int] = field(default_factory=set)


class Tracker:
    """The locations of the requests in flight, and how to see whether something lies there."""

    def __init__(self, storage: Storage, layout: JobLayout) -> None:
        self._storage = storage
        self._layout = layout
        # By what an object there would mean and by private prefix: the rest of each key, and whose it is.
        self._listed: dict[tuple[Fact, S3Location], dict[str, int]] = {}
        self._probed: dict[int, dict[Fact, S3Location]] = {}
        self._prefixes: dict[tuple[str, bool], S3Location | None] = {}
        self._accepted_at: dict[int, float] = {}
        # When those that cannot be listed were last looked at; not all of them are, each time.
        self.probed_at: dict[int, float] = {}
        self._turn = 0
        self._newest = Look()

    def __len__(self) -> int:
        return len(self._accepted_at)

    def follow(self, request: int, output_location: str, failure_location: str, accepted_at: float) -> None:
        """Begin to watch where the service says it will put the answer to ``request``."""
        self._accepted_at[request] = accepted_at
        for fact, uri in _places(output_location, failure_location):
            prefix, rest = self._watched(uri)
            if prefix is None:
                self._probed.setdefault(request, {})[fact] = parse_s3_uri(uri)
                self.probed_at[request] = float("-inf")
            else:
                self._listed.setdefault((fact, prefix), {})[rest] = request

    def leave(self, request: int, output_location: str, failure_location: str) -> None:
        """Watch ``request`` no longer."""
        self._accepted_at.pop(request, None)
        self._probed.pop(request, None)
        self.probed_at.pop(request, None)
        for fact, uri in _places(output_location, failure_location):
            prefix, rest = self._watched(uri)
            watched = self._listed.get((fact, prefix)) if prefix else None
            if prefix and watched:
                watched.pop(rest, None)
                if not watched:
                    del self._listed[fact, prefix]

    def give_up(self, requests: Iterable[int]) -> None:
        """Have a look that is under way say nothing of these, which were left before it has ended."""
        self._newest.given_up.update(requests)

    def _watched(self, uri: str) -> tuple[S3Location | None, str]:
        """The prefix that a location is watched through, if it has one, and the rest of its key."""
        directory, _, name = uri.rpartition("/")
        # A thousand locations have these in common, and whether they are watched follows from nothing else.
        common = directory, name.startswith(self._layout.token)
        if common not in self._prefixes:
            self._prefixes[common] = self._layout.watched_prefix(parse_s3_uri(uri))
        prefix = self._prefixes[common]
        return prefix, uri[len(str(prefix)) :] if prefix else ""

    async def look(self, now: float) -> Look:
        """Look once at every place where an answer may have appeared.

        Raises
        ------
        StorageAccessError
            If looking is not allowed. Trouble is told in the result, beside what was found in spite of it.
        """
        look = self._newest = Look()
        gate = asyncio.Semaphore(_LISTS_AT_A_TIME)
        lists = [self._list(fact, prefix, dict(rest), look, gate) for (fact, prefix), rest in self._listed.items()]
        probes = [self._probe(request, look, now) for request in self._worth_a_probe(now)]
        for error in await asyncio.gather(*lists, *probes, return_exceptions=True):
            if isinstance(error, ServiceTroubleError):
                look.trouble = error
            elif error is not None:
                raise error
        return look

    async def _list(
        self, fact: Fact, prefix: S3Location, watched: dict[str, int], look: Look, gate: asyncio.Semaphore
    ) -> None:
        # What lies before the oldest key that is waited for, and behind the newest, was seen or is not ours.
        first, last = prefix.key + min(watched), prefix.key + max(watched)
        async with gate:
            async for page in self._storage.list(prefix, start_after=first[:-1]):
                look.lists += 1
                for stored in page:
                    request = watched.get(_rest(stored.location, prefix))
                    if request is not None:
                        look.answers.append(Answer(fact, request, stored.modified_at))
                if page and page[-1].location.key >= last:
                    return

    def _worth_a_probe(self, now: float) -> list[int]:
        # The failure of a request whose output is listed comes rarely; a long wait is the first sign of it.
        waiting = [
            request
            for request, places in self._probed.items()
            if Fact.OUTPUT_FOUND in places or now - self._accepted_at[request] > _PATIENCE
        ]
        oldest, others = waiting[:_OLDEST_A_LOOK], waiting[_OLDEST_A_LOOK:]
        start = self._turn % len(others) if others else 0
        self._turn = start + _OTHERS_A_LOOK
        return oldest + [*others[start:], *others[:start]][:_OTHERS_A_LOOK]

    async def _probe(self, request: int, look: Look, now: float) -> None:
        for fact, location in tuple(self._probed[request].items()):
            look.heads += 1
            stored = await self._storage.head(location)
            if stored is not None:
                look.answers.append(Answer(fact, request, stored.modified_at))
                return
        if request in self._probed:
            self.probed_at[request] = now


def _places(output_location: str, failure_location: str) -> Iterator[tuple[Fact, str]]:
    if output_location:
        yield Fact.OUTPUT_FOUND, output_location
    if failure_location:
        yield Fact.FAILURE_FOUND, failure_location


def _rest(location: S3Location, prefix: S3Location) -> str:
    return location.key[len(prefix.key) :]
