"""Running ``submit`` again under a job's name: what was answered stays, and only the rest is sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd

from sm_async_nb.aws.storage import Storage
from sm_async_nb.core.asked import Asked, differences
from sm_async_nb.core.batch import Batch
from sm_async_nb.core.columns import IntArray
from sm_async_nb.core.continuation import Continued, OldSlots, continue_with
from sm_async_nb.core.locations import JobLayout
from sm_async_nb.errors import JobChangedError
from sm_async_nb.job.aside import FEW_LINES, aside
from sm_async_nb.job.checkpoint import Folded, copy_columns, reopen, write_checkpoint
from sm_async_nb.job.document import Document, Settings, write_document
from sm_async_nb.job.frame import from_parquet, slot_of_row, to_parquet
from sm_async_nb.job.opening import Opened, open_frame, open_slots, opened, papers_of
from sm_async_nb.job.slots import Slots
from sm_async_nb.job.slots import to_parquet as slots_to_parquet


class Continuation(NamedTuple):
    """A job as it goes on, and the requests in it that are to be sent once more."""

    opened: Opened
    again: IntArray

    @property
    def has_more_to_do(self) -> bool:
        """Whether anything is to be sent or looked for."""
        return self.opened.has_more_to_do or bool(self.again.size)


async def continue_job(
    storage: Storage,
    document: Document,
    batch: Batch,
    layout: JobLayout,
    *,
    asked: Asked,
    settings: Settings,
    tags: Mapping[str, str],
    note: str,
    retry_failed: bool,
    restart: bool,
) -> Continuation:
    """Match the rows with what was sent, and write a revision if anything is new. The lease is ours by now.

    Raises
    ------
    JobChangedError
        If something else is asked for than before, and ``restart`` does not say that this is meant.
    """
    if not restart:
        refuse_changes(document, asked)
    kept = await open_frame(storage, layout, document)
    slots = await open_slots(storage, layout, document)
    folded = await reopen(storage, layout, slots.next_number)
    old = _old(slots, folded, slot_of_row(kept), nothing_fits=restart)
    matched = continue_with(old, batch.fingerprints, batch.terms, retry_failed=retry_failed, pack_new=batch.pack_new)
    _refuse_used_filenames(document, asked, matched)
    batch.continue_with(matched.packing, matched.payload_bytes, numbers=matched.numbers)
    wanted = replace(document, asked=asked, settings=settings, tags=tags or document.tags, note=note or document.note)
    if not matched.is_same or wanted != document or not _is_equal(from_parquet(kept), batch.frame):
        document = await _revise(storage, wanted, batch, layout, matched=matched, folded=folded)
        folded = await reopen(storage, layout, int(matched.slot_numbers.max(initial=-1)) + 1)
    papers = papers_of(document, layout, batch, _numbers(matched))
    found = opened(document, papers, folded)
    return Continuation(found, np.flatnonzero(np.isin(matched.numbers, matched.again)))


def refuse_changes(document: Document, asked: Asked) -> None:
    """Refuse to go on with a job that was asked for otherwise.

    Raises
    ------
    JobChangedError
        With the difference.
    """
    changes = differences(document.asked, asked)
    if changes:
        listed = "\n".join(f"  {change}" for change in changes)
        raise JobChangedError(
            f"Job {document.job_id!r} was asked for otherwise before, so its answers would not fit:\n{listed}\n"
            "Choose another name, or pass restart=True to send every row again. Nothing was sent."
        )


def _refuse_used_filenames(document: Document, asked: Asked, matched: Continued) -> None:
    """What older rows left there under the caller's own names would be taken for the answers of new ones."""
    has_history = len(matched.slot_numbers) > matched.in_view
    if asked.arguments.filename is not None and has_history and matched.is_new.any():
        raise JobChangedError(
            f"Rows of job {document.job_id!r} that were sent before have changed or are gone, and with filename= new"
            " answers may get the names of theirs, and be taken for them. Choose another name for the job."
            " Nothing was sent."
        )


def _old(slots: Slots, folded: Folded, of_rows: IntArray, *, nothing_fits: bool) -> OldSlots:
    # What was sent under other terms answers nothing that is asked for now, whatever its payload is.
    fingerprints = np.zeros_like(slots.fingerprints) if nothing_fits else slots.fingerprints
    return OldSlots(
        numbers=slots.numbers,
        fingerprints=fingerprints,
        payload_bytes=slots.payload_bytes,
        in_view=slots.in_view,
        status=folded.ledger.status,
        slot_of_row=of_rows,
    )


def _is_equal(kept: pd.DataFrame, given: pd.DataFrame) -> bool:
    """Whether the frame that lies there is this one, in its labels and in columns that are not sent, too."""
    return kept.index.equals(given.index) and kept.columns.equals(given.columns) and kept.equals(given)


async def _revise(
    storage: Storage, document: Document, batch: Batch, layout: JobLayout, *, matched: Continued, folded: Folded
) -> Document:
    """Write the next revision. Its document comes last: without it the one before is the newest."""
    revision = document.revision + 1
    base = folded.next_segment or None
    if base is not None:
        await write_checkpoint(storage, layout, copy_columns(folded.ledger), next_segment=base)
    slots = Slots(
        numbers=matched.slot_numbers,
        fingerprints=matched.slot_fingerprints,
        payload_bytes=matched.sized(batch.payload_bytes),
        in_view=matched.in_view,
    )
    revised = replace(document, revision=revision, rows=len(batch.frame), requests=len(batch), base=base)
    is_small = len(batch.frame) <= FEW_LINES
    frame = await aside(partial(to_parquet, batch.frame, matched.packing.slot_of_row), is_small=is_small)
    await storage.put(layout.frame(revision), frame)
    await storage.put(layout.slots(revision), await aside(partial(slots_to_parquet, slots), is_small=is_small))
    await write_document(storage, layout.revision(revision), revised)
    return revised


def _numbers(matched: Continued) -> IntArray | None:
    ever = int(matched.slot_numbers.max(initial=-1)) + 1
    is_plain = ever == len(matched.numbers) and bool((matched.numbers == np.arange(ever)).all())
    return None if is_plain else matched.numbers
