"""Writing a new job to S3, so that another kernel could go on with it from the first request on."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np

from sm_async_nb.aws.storage import Storage
from sm_async_nb.core.asked import Asked
from sm_async_nb.core.batch import Batch
from sm_async_nb.core.ledger import Ledger
from sm_async_nb.core.locations import JobLayout
from sm_async_nb.job.aside import FEW_LINES, aside
from sm_async_nb.job.document import Document, Settings, write_document
from sm_async_nb.job.engine import Beginning
from sm_async_nb.job.frame import to_parquet
from sm_async_nb.job.opening import Opened, papers_of
from sm_async_nb.job.papers import GRACE
from sm_async_nb.job.slots import Slots
from sm_async_nb.job.slots import to_parquet as slots_to_parquet


async def create_job(
    storage: Storage,
    batch: Batch,
    layout: JobLayout,
    *,
    asked: Asked,
    settings: Settings,
    tags: Mapping[str, str],
    note: str,
    now: float,
) -> Opened:
    """Write the papers of a checked batch; the lease is ours by now.

    The manifest comes last: a job without one was never there, and what lies there of it is written over.
    """
    packing = batch.packing
    slots_a_request = np.diff(packing.bounds)
    slots = Slots(
        numbers=np.repeat(np.arange(len(batch)), slots_a_request),
        fingerprints=batch.fingerprints[packing.slots],
        payload_bytes=np.repeat(batch.payload_bytes, slots_a_request),
        in_view=len(packing.slots),
    )
    document = Document(
        job_id=layout.job_id,
        created_at=now,
        asked=asked,
        settings=settings,
        rows=len(batch.frame),
        requests=len(batch),
        tags=dict(tags),
        note=note,
    )
    is_small = len(batch.frame) <= FEW_LINES
    frame = await aside(partial(to_parquet, batch.frame, packing.slot_of_row), is_small=is_small)
    await storage.put(layout.frame(), frame)
    await storage.put(layout.slots(), await aside(partial(slots_to_parquet, slots), is_small=is_small))
    await write_document(storage, layout.manifest, document)
    return Opened(
        document=document,
        papers=papers_of(document, layout, batch, None),
        ledger=Ledger(len(batch), allowance=batch.allowance + GRACE),
        beginning=Beginning(),
    )
