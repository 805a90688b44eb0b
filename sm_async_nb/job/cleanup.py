"""Deleting what a job has left in S3: inputs of requests that have ended, and outputs; nobody else's objects."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from sm_async_nb.aws.storage import Storage
from sm_async_nb.core.columns import BoolArray, IntArray
from sm_async_nb.core.ledger import Ledger, Status
from sm_async_nb.core.locations import S3Location, parse_s3_uri
from sm_async_nb.job.papers import Papers

_NUMBER = re.compile(r"(\d{8,})\.[A-Za-z0-9.]+")


@dataclass(frozen=True, kw_only=True)
class Cleanup:
    """What was deleted, or would be.

    ``inputs`` and ``outputs`` count objects, failures among the outputs; ``input_bytes`` is what the inputs take.
    """

    inputs: int
    input_bytes: int
    outputs: int
    is_done: bool

    def __str__(self) -> str:
        what = f"{self.inputs:,} inputs of {self.input_bytes:,} bytes and {self.outputs:,} outputs"
        if self.is_done:
            return f"{what} were deleted."
        return f"{what} would be deleted. Call it again with dry_run=False to do it; it cannot be undone."

    __repr__ = __str__


@dataclass(frozen=True, kw_only=True)
class Doomed:
    """What is to be deleted: the inputs with their sizes in bytes and their requests, and the outputs."""

    inputs: Sequence[S3Location]
    sizes: Sequence[int]
    requests: IntArray
    outputs: Sequence[S3Location]

    def of(self, requests: IntArray) -> Doomed:
        """The same with the inputs of these requests only."""
        kept = np.flatnonzero(np.isin(self.requests, requests)).tolist()
        return replace(
            self,
            inputs=[self.inputs[at] for at in kept],
            sizes=[self.sizes[at] for at in kept],
            requests=self.requests[kept],
        )


async def doomed(storage: Storage, papers: Papers, ledger: Ledger, *, inputs: bool, outputs: bool) -> Doomed:
    """What belongs to requests that have ended.

    Only inputs that the job itself has uploaded are meant, as they lie there now, and outputs where the service said
    that it would write them.
    """
    ended = ledger.status > Status.ACCEPTED
    found: list[S3Location] = []
    requests: list[int] = []
    sizes: list[int] = []
    if inputs:
        place_of = _places(papers, ended)
        async for page in storage.list(papers.layout.inputs):
            for stored in page:
                name = _NUMBER.fullmatch(stored.location.key.rpartition("/")[2])
                request = place_of.get(int(name[1])) if name else None
                if request is not None:
                    found.append(stored.location)
                    requests.append(request)
                    sizes.append(stored.size)
    return Doomed(
        inputs=found,
        sizes=sizes,
        requests=np.array(requests, dtype=np.int64),
        outputs=_answers(ledger) if outputs else [],
    )


def _places(papers: Papers, ended: BoolArray) -> dict[int, int]:
    """The places of ended requests by their numbers."""
    places = np.flatnonzero(ended)
    numbers = places if papers.numbers is None else papers.numbers[places]
    return dict(zip(numbers.tolist(), places.tolist(), strict=True))


def _answers(ledger: Ledger) -> list[S3Location]:
    found: list[S3Location] = []
    for status, name in ((Status.COMPLETED, "output_location"), (Status.FAILED, "failure_location")):
        locations = ledger.texts[name].take(ledger.where(status))
        found += [parse_s3_uri(location) for location in locations if location]
    return found
