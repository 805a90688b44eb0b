"""From a call to a running job: everything that can be refused is refused here, before anything is uploaded."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from importlib.metadata import version

import orjson
import pandas as pd

from sm_async_nb.aws.endpoint import Endpoint, describe_endpoint
from sm_async_nb.aws.session import Session, checked_session, known_fields
from sm_async_nb.aws.storage import Storage, open_storage
from sm_async_nb.core.batch import Batch
from sm_async_nb.core.build import RequestArguments, build_batch
from sm_async_nb.core.estimate import Plan, estimate
from sm_async_nb.core.locations import JobLayout, S3Location, check_job_id, new_job_id, parse_s3_uri
from sm_async_nb.core.plan import Limits
from sm_async_nb.errors import JobInUseError, RequestError, StorageAccessError
from sm_async_nb.job import background
from sm_async_nb.job.frame import snapshot, to_parquet
from sm_async_nb.job.job import Job, ShowProgress

INPUT_PREFIX_VARIABLE = "SM_ASYNC_INPUT_PREFIX"
_DEFAULT_PREFIX = "sm-async-nb"
_HOW_TO_CHOOSE = f"Pass input_prefix='s3://bucket/prefix', or set {INPUT_PREFIX_VARIABLE}."


def submit(
    frame: pd.DataFrame,
    arguments: RequestArguments,
    *,
    name: str | None,
    session: Session | None,
    input_prefix: str | None,
    limits: Limits,
    progress: Callable[[], AbstractContextManager[ShowProgress]],
) -> Job:
    """Check everything, write the job's manifest and frame to S3, and set the job going.

    Raises
    ------
    RequestError
        For whatever is wrong with the call, the frame, the endpoint or the buckets; nothing was sent then.
    """
    _check_frame(frame)
    _check_name(name)
    session = checked_session(session)
    batch = build_batch(snapshot(frame), arguments, known_fields(session))
    batch.check()
    prefix = _given_prefix(input_prefix)
    endpoint = describe_endpoint(session, arguments.endpoint_name)
    layout = JobLayout(prefix or _default_prefix(endpoint), name or new_job_id(arguments.endpoint_name, time.time()))
    background.run(_create(session, batch, layout, endpoint))
    job = Job(batch=batch, layout=layout, endpoint=endpoint, session=session, limits=limits, progress=progress)
    job.start()
    return job


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


def _check_name(name: str | None) -> None:
    if name is not None:
        try:
            check_job_id(name)
        except ValueError as error:
            raise RequestError(f"{error} Nothing was sent.") from None


def _check_frame(frame: pd.DataFrame) -> None:
    if not frame.columns.is_unique:
        twice = frame.columns[frame.columns.duplicated()][0]
        raise RequestError(f"The frame has two columns named {twice!r}; rename one. Nothing was sent.")


def _given_prefix(input_prefix: str | None) -> S3Location | None:
    given = input_prefix or os.environ.get(INPUT_PREFIX_VARIABLE)
    if not given:
        return None
    try:
        return parse_s3_uri(given)
    except ValueError as error:
        raise RequestError(f"The input prefix is wrong. {error} Nothing was sent.") from None


def _default_prefix(endpoint: Endpoint) -> S3Location:
    """Beside the outputs, in the one bucket that is known to belong to the endpoint."""
    if endpoint.s3_output_path is None:
        raise RequestError(
            f"Endpoint {endpoint.endpoint_name!r} writes no outputs to S3, so there is no bucket to put inputs into."
            f" {_HOW_TO_CHOOSE} Nothing was sent."
        )
    return S3Location(endpoint.s3_output_path.bucket, _DEFAULT_PREFIX)


async def _create(session: Session, batch: Batch, layout: JobLayout, endpoint: Endpoint) -> None:
    frame = to_parquet(batch.frame)  # before anything is there, in case it cannot be written
    async with open_storage(session) as storage:
        await _check_output_paths(storage, endpoint)
        try:
            await storage.put(layout.manifest, _manifest(batch, layout, endpoint), create_only=True)
        except FileExistsError:
            raise JobInUseError(
                f"There is a job {layout.job_id!r} below {layout.root} already. Choose another name. Nothing was sent."
            ) from None
        except StorageAccessError as error:
            raise StorageAccessError(f"{error} {_HOW_TO_CHOOSE} Nothing was sent.") from None
        await storage.put(layout.frame, frame, create_only=True)


async def _check_output_paths(storage: Storage, endpoint: Endpoint) -> None:
    """One LIST for each path: without it a finished job could not be told from a running one."""
    for path in filter(None, (endpoint.s3_output_path, endpoint.s3_failure_path)):
        try:
            async for _ in storage.list(path.child("sm-async-nb-permission-check/")):
                break
        except StorageAccessError as error:
            raise StorageAccessError(
                f"The outputs of endpoint {endpoint.endpoint_name!r} cannot be followed. {error} Nothing was sent."
            ) from None


def _manifest(batch: Batch, layout: JobLayout, endpoint: Endpoint) -> bytes:
    return orjson.dumps(
        {
            "format": 1,
            "job_id": layout.job_id,
            "created_at": datetime.now(UTC),
            "created_by": f"sm-async-nb {version('sm-async-nb')}",
            "rows": len(batch.frame),
            "requests": len(batch),
            "shards": 1,
            "endpoint_name": batch.endpoint_name,
            "columns": [str(column) for column in batch.content.columns] if batch.content else [],
            "fields": batch.described_sources(),
            "terms": vars(batch.terms),
            "s3_output_path": str(endpoint.s3_output_path) if endpoint.s3_output_path else None,
            "s3_failure_path": str(endpoint.s3_failure_path) if endpoint.s3_failure_path else None,
        },
        option=orjson.OPT_INDENT_2,
    )
