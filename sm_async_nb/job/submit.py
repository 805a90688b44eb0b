"""From a call to a running job: everything that can be refused is refused here, before anything is uploaded.

A job of that name that was there before is continued: what was answered is not sent again.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from sm_async_nb.aws.endpoint import Endpoint, describe_endpoint, warning_without_failure_path
from sm_async_nb.aws.metering import Meter, MeteredStorage
from sm_async_nb.aws.session import Session, checked_session, known_fields
from sm_async_nb.aws.storage import Storage, StorageChoice, check_choice, open_storage
from sm_async_nb.core.asked import Asked, asked_of
from sm_async_nb.core.batch import Batch
from sm_async_nb.core.build import RequestArguments, build_batch
from sm_async_nb.core.estimate import Plan, estimate
from sm_async_nb.core.flags import check_flags
from sm_async_nb.core.locations import JobLayout, S3Location, check_job_id, new_job_id
from sm_async_nb.errors import RequestError, SmAsyncWarning, StorageAccessError
from sm_async_nb.job import background, registry
from sm_async_nb.job.continuing import Continuation, continue_job, refuse_changes
from sm_async_nb.job.creating import create_job
from sm_async_nb.job.document import Settings, read_document
from sm_async_nb.job.engine import told_of
from sm_async_nb.job.following import first_snapshot
from sm_async_nb.job.frame import snapshot
from sm_async_nb.job.job import Job, ShowProgress
from sm_async_nb.job.lease import Lease
from sm_async_nb.job.papers import GRACE
from sm_async_nb.job.prefix import INPUT_PREFIX_VARIABLE, given_prefix

_DEFAULT_PREFIX = "sm-async-nb"
_HOW_TO_CHOOSE = f"Pass input_prefix='s3://bucket/prefix', or set {INPUT_PREFIX_VARIABLE}."


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What a caller wants of the job itself, whatever it sends.

    ``storage`` is about this process and no other, so it is no part of the job.
    """

    name: str | None = None
    input_prefix: str | None = None
    settings: Settings = field(default_factory=Settings)
    tags: Mapping[str, str] = field(default_factory=dict)
    note: str = ""
    retry_failed: bool = False
    restart: bool = False
    storage: StorageChoice = "auto"

    def __post_init__(self) -> None:
        check_choice(self.storage)
        check_flags("Nothing was sent.", retry_failed=self.retry_failed, restart=self.restart)
        if self.name is not None:
            try:
                check_job_id(self.name)
            except ValueError as error:
                raise RequestError(f"{error} Nothing was sent.") from None
        elif self.retry_failed or self.restart:
            raise RequestError(
                "retry_failed= and restart= are about a job that was there before; say which with name=."
                " Nothing was sent."
            )
        is_mapping = isinstance(self.tags, Mapping)
        if not is_mapping or not all(isinstance(text, str) for pair in self.tags.items() for text in pair):
            raise RequestError(f"tags= takes texts by names that are texts, got {self.tags!r}. Nothing was sent.")
        if not isinstance(self.note, str):
            raise RequestError(f"note= takes a text, got {type(self.note).__name__}. Nothing was sent.")


def submit(
    frame: pd.DataFrame,
    arguments: RequestArguments,
    wishes: Wishes,
    *,
    session: Session | None,
    progress: Callable[[], AbstractContextManager[ShowProgress]],
) -> Job:
    """Check everything, write what the job is to S3, or find it there, and set it going.

    Raises
    ------
    RequestError
        For whatever is wrong with the call, the frame, the endpoint or the buckets; nothing was sent then.
    """
    _check_frame(frame)
    given_session, session = session, checked_session(session)
    batch = build_batch(snapshot(frame), arguments, known_fields(session))
    batch.check()
    prefix = given_prefix(wishes.input_prefix)
    endpoint = describe_endpoint(session, arguments.endpoint_name)
    if endpoint.s3_failure_path is None:
        slowest = float(np.max(batch.allowance, initial=0)) + GRACE
        warnings.warn(warning_without_failure_path(endpoint, slowest), SmAsyncWarning, stacklevel=3)
    name = wishes.name or new_job_id(arguments.endpoint_name, time.time())
    layout = JobLayout(prefix or _default_prefix(endpoint), name)
    asked = asked_of(arguments, batch)
    here = registry.followed_here(layout)
    if here is not None and not wishes.restart and here.does(asked, batch, wishes.settings):
        if wishes.retry_failed:
            here.retry()
        return here.go_on(given_session)
    if here is not None:
        if not wishes.restart:
            here.refuse_changes(asked)  # before it is left, so that it runs on
        here.leave()
    meter = Meter()
    found, lease = background.run(_open(session, meter, batch, layout, endpoint, asked=asked, wishes=wishes))
    job = Job(found.opened, session=session, lease=lease, meter=meter, progress=progress, storage=wishes.storage)
    job.send_again(found.again)
    return registry.followed(job, layout) if found.has_more_to_do else job


def plan(
    frame: pd.DataFrame,
    arguments: RequestArguments,
    *,
    session: Session | None,
    seconds_per_request: float | None,
    price_per_hour: float | None,
    slots: int,
) -> Plan:
    """What a submit would do, without a call to AWS.

    Raises
    ------
    RequestError
        If an argument is wrong whatever the rows are; what is wrong with rows is in the plan.
    """
    _check_frame(frame)
    batch = build_batch(frame, arguments, known_fields(session or Session()))
    return estimate(batch, seconds_per_request=seconds_per_request, price_per_hour=price_per_hour, slots=slots)


def _check_frame(frame: pd.DataFrame) -> None:
    if not frame.columns.is_unique:
        twice = frame.columns[frame.columns.duplicated()][0]
        raise RequestError(f"The frame has two columns named {twice!r}; rename one. Nothing was sent.")


def _default_prefix(endpoint: Endpoint) -> S3Location:
    """Beside the outputs, in the one bucket that is known to belong to the endpoint."""
    if endpoint.s3_output_path is None:
        raise RequestError(
            f"Endpoint {endpoint.endpoint_name!r} writes no outputs to S3, so there is no bucket to put inputs into."
            f" {_HOW_TO_CHOOSE} Nothing was sent."
        )
    return S3Location(endpoint.s3_output_path.bucket, _DEFAULT_PREFIX)


async def _open(
    session: Session, meter: Meter, batch: Batch, layout: JobLayout, endpoint: Endpoint, *, asked: Asked, wishes: Wishes
) -> tuple[Continuation, Lease]:
    """A new job, or the one of that name that is there already; only who has its lease may write either."""
    async with open_storage(session, terms=wishes.settings.storage_terms, storage=wishes.storage) as opened:
        storage = MeteredStorage(opened, meter)
        await _check_output_paths(storage, endpoint)
        if wishes.name and not wishes.restart and (document := await read_document(storage, layout)) is not None:
            refuse_changes(document, asked)  # before the lease is taken from whoever has it
        lease = Lease(storage, layout, now=time.time)
        try:
            await lease.acquire()
        except StorageAccessError as error:
            raise StorageAccessError(f"{error} {_HOW_TO_CHOOSE} Nothing was sent.") from error.__cause__
        try:
            document = await read_document(storage, layout) if wishes.name else None
            if document is None:
                found = await _created(storage, batch, layout, asked, wishes)
            else:
                found = await continue_job(
                    storage,
                    document,
                    batch,
                    layout,
                    asked=asked,
                    settings=wishes.settings,
                    tags=wishes.tags,
                    note=wishes.note,
                    retry_failed=wishes.retry_failed,
                    restart=wishes.restart,
                )
            if not found.has_more_to_do:
                await lease.release(told_of(first_snapshot(found.opened.ledger)))
        except BaseException:
            await lease.let_go()
            raise
        return found, lease


async def _created(storage: Storage, batch: Batch, layout: JobLayout, asked: Asked, wishes: Wishes) -> Continuation:
    found = await create_job(
        storage,
        batch,
        layout,
        asked=asked,
        settings=wishes.settings,
        tags=wishes.tags,
        note=wishes.note,
        now=time.time(),
    )
    return Continuation(found, np.empty(0, dtype=np.int64))


async def _check_output_paths(storage: Storage, endpoint: Endpoint) -> None:
    """One LIST for each path: without it a finished job could not be told from a running one."""
    for path in filter(None, (endpoint.s3_output_path, endpoint.s3_failure_path)):
        try:
            async for _ in storage.list(path.child("sm-async-nb-permission-check/")):
                break
        except StorageAccessError as error:
            raise StorageAccessError(
                f"The outputs of endpoint {endpoint.endpoint_name!r} cannot be followed. {error} Nothing was sent."
            ) from error.__cause__
