"""Opening a job that lies in S3: its papers, what is known of its requests, and where its journal goes on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import numpy as np

from sm_async_nb.aws.storage import Storage
from sm_async_nb.core.batch import Batch
from sm_async_nb.core.build import build_batch
from sm_async_nb.core.columns import IntArray
from sm_async_nb.core.ledger import Ledger, Status
from sm_async_nb.core.locations import JobLayout, S3Location
from sm_async_nb.core.request import Field
from sm_async_nb.errors import JobNotFoundError
from sm_async_nb.job.aside import FEW_BYTES, aside
from sm_async_nb.job.checkpoint import Folded, reopen
from sm_async_nb.job.document import Document, find_document
from sm_async_nb.job.engine import Beginning
from sm_async_nb.job.frame import from_parquet, slot_of_row
from sm_async_nb.job.journal import Journal
from sm_async_nb.job.papers import GRACE, Papers
from sm_async_nb.job.slots import Slots, slots_from_parquet


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A job as it stands: ``ledger`` shows the newest revision's requests."""

    document: Document
    papers: Papers
    ledger: Ledger
    beginning: Beginning

    @property
    def has_more_to_do(self) -> bool:
        """Whether something is to be sent, or to be looked for: a late answer of what was taken for expired, too."""
        return not self.ledger.is_finished or bool(self.ledger.counts[Status.EXPIRED])


class Found(NamedTuple):
    """What lies in S3 of a job, its journal apart."""

    document: Document
    papers: Papers
    slots: Slots


async def open_papers(storage: Storage, layout: JobLayout, known_fields: Mapping[str, Field]) -> Found:
    """What a job is, made again from what lies in S3, without the frame it came from.

    Raises
    ------
    JobNotFoundError
        If there is no job.
    """
    document = await find_document(storage, layout)
    kept = await open_frame(storage, layout, document)
    slots = await open_slots(storage, layout, document)
    frame = await aside(partial(from_parquet, kept), is_small=len(kept) <= FEW_BYTES)
    batch = build_batch(frame, document.asked.arguments, known_fields)
    numbers = numbers_of(slots)
    batch.restore(slots.packing(slot_of_row(kept)), slots.view_payload_bytes, slots.view_fingerprints, numbers=numbers)
    return Found(document, papers_of(document, layout, batch, numbers), slots)


async def open_frame(storage: Storage, layout: JobLayout, document: Document) -> bytes:
    """The submitted rows, and which slot answers each."""
    return await _part(storage, layout, layout.frame(document.revision))


async def open_slots(storage: Storage, layout: JobLayout, document: Document) -> Slots:
    """Where each row that was ever sent found its answer."""
    return slots_from_parquet(await _part(storage, layout, layout.slots(document.revision)))


async def open_job(storage: Storage, layout: JobLayout, known_fields: Mapping[str, Field]) -> Reading:
    """A job as S3 knows it now, whoever writes to it."""
    document, papers, slots = await open_papers(storage, layout, known_fields)
    return Reading(document, papers, await reopen(storage, layout, slots.next_number))


class Reading:
    """A job that is being opened: it may be read on when its lease is ours, and nobody else writes any more."""

    def __init__(self, document: Document, papers: Papers, folded: Folded) -> None:
        self._document = document
        self._papers = papers
        self._folded = folded

    @property
    def opened(self) -> Opened:
        """What is known by now."""
        return opened(self._document, self._papers, self._folded)

    async def read_on(self, storage: Storage) -> None:
        """Take in what was written since."""
        journal = Journal(storage, self._papers.layout, next_segment=self._folded.next_segment)
        async for batch in journal.read(self._folded.next_segment):
            for learned in batch:
                self._folded.ledger.apply(learned)
        self._folded = replace(self._folded, next_segment=journal.next_segment)


def opened(document: Document, papers: Papers, folded: Folded) -> Opened:
    """A job whose journal was read, as its newest revision shows it."""
    allowance = papers.batch.allowance + GRACE
    numbers = np.arange(len(folded.ledger)) if papers.numbers is None else papers.numbers
    return Opened(
        document=document,
        papers=papers,
        ledger=folded.ledger.view(numbers, allowance=allowance),
        beginning=Beginning(
            next_segment=folded.next_segment,
            numbers=papers.numbers,
            checkpoint=folded.newest_checkpoint,
            base=document.base,
        ),
    )


def papers_of(document: Document, layout: JobLayout, batch: Batch, numbers: IntArray | None) -> Papers:
    """The papers of a revision."""
    return Papers(
        asked=document.asked,
        batch=batch,
        layout=layout,
        limits=document.settings.limits,
        storage_terms=document.settings.storage_terms,
        tracker=document.settings.tracker,
        numbers=numbers,
        revision=document.revision,
    )


def numbers_of(slots: Slots) -> IntArray | None:
    """The requests' own numbers, None where they are their places and there are no others."""
    numbers = slots.view_numbers
    is_plain = slots.next_number == len(numbers) and bool((numbers == np.arange(len(numbers))).all())
    return None if is_plain else numbers


async def _part(storage: Storage, layout: JobLayout, location: S3Location) -> bytes:
    try:
        body, _ = await storage.get(location)
    except FileNotFoundError:
        raise JobNotFoundError(f"The job at {layout.home}/ is not whole: there is no object at {location}.") from None
    return body
