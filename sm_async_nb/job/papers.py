"""What a job is, apart from how it stands: what was asked for, its requests, and where it lies."""

from __future__ import annotations

from dataclasses import dataclass

from sm_async_nb.aws.storage import StorageTerms
from sm_async_nb.core.asked import Asked
from sm_async_nb.core.batch import Batch
from sm_async_nb.core.columns import IntArray
from sm_async_nb.core.locations import JobLayout
from sm_async_nb.core.plan import Limits

# How long after TTL and timeout an answer may still be on its way into S3 before silence counts. Seconds.
GRACE = 60


@dataclass(frozen=True, kw_only=True)
class Papers:
    """Everything that attaching to a job finds in S3, its journal apart.

    ``numbers`` are the requests' own, where they are not their places in the batch.
    """

    asked: Asked
    batch: Batch
    layout: JobLayout
    limits: Limits
    storage_terms: StorageTerms
    tracker: str = "list"
    numbers: IntArray | None = None
    revision: int = 0

    @property
    def endpoint_name(self) -> str:
        return self.batch.endpoint_name

    @property
    def queue_url(self) -> str | None:
        """Where notifications are received, None where S3 is looked at alone."""
        kind, _, url = self.tracker.partition(":")
        return url if kind == "sqs" else None
