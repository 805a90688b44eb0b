"""Finding jobs again: those that are followed here, one by its address, and all below a prefix."""

from __future__ import annotations

import asyncio
import time
import warnings
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import fields
from typing import Any, NamedTuple

import pandas as pd

from sm_async_nb.aws.endpoint import Endpoint, ListedEndpoint, list_endpoints, look_at_endpoint
from sm_async_nb.aws.metering import Meter, MeteredStorage
from sm_async_nb.aws.session import Session, checked_session, known_fields
from sm_async_nb.aws.storage import StorageChoice, StorageTerms, check_choice, open_storage
from sm_async_nb.core.flags import check_flags
from sm_async_nb.core.ledger import Status
from sm_async_nb.core.locations import JobLayout, S3Location, check_job_id, parse_s3_uri
from sm_async_nb.errors import (
    CredentialsError,
    JobInUseError,
    JobNotFoundError,
    RequestError,
    SmAsyncWarning,
    StorageAccessError,
)
from sm_async_nb.job import background
from sm_async_nb.job.document import Document, find_document
from sm_async_nb.job.job import Job, ShowProgress
from sm_async_nb.job.lease import Lease, LeaseState, read_lease
from sm_async_nb.job.opening import Opened, open_job
from sm_async_nb.job.prefix import given_prefix, meant
from sm_async_nb.job.table import utc

Progress = Callable[[], AbstractContextManager[ShowProgress]]

_READERS = 16

# Jobs at work in this process, by where they lie.
_followed: dict[S3Location, Job] = {}

# The input prefixes of this process's jobs, which those who say no other mean.
_prefixes: dict[S3Location, None] = {}


def followed_here(layout: JobLayout, *, read_only: bool = False) -> Job | None:
    """The job of this process that is at work, or paused, at that place; for who only watches, one that does too."""
    for home in [home for home, job in _followed.items() if not job.is_at_work]:
        del _followed[home]
    here = _followed.get(layout.home)
    return None if here is None or (here.is_read_only and not read_only) else here


def followed(job: Job, layout: JobLayout) -> Job:
    """Set a job going, and remember it while it is at work."""
    job.start()
    _followed[layout.home] = job
    _prefixes[layout.root] = None
    return job


def attach(
    uri_or_id: str,
    *,
    session: Session | None = None,
    input_prefix: str | None = None,
    read_only: bool = False,
    storage: StorageChoice = "auto",
    progress: Progress,
) -> Job:
    """The job that lies there; see :func:`sm_async_nb.attach`."""
    check_choice(storage)
    check_flags(read_only=read_only)
    given_session, session = session, checked_session(session)
    layout = _layout_of(uri_or_id, input_prefix)
    here = followed_here(layout, read_only=read_only)
    if here is not None:
        return here if read_only else here.go_on(given_session)
    meter = Meter()
    found = background.run(_attach(session, meter, layout, read_only=read_only, choice=storage))
    job = Job(
        found.opened,
        session=session,
        lease=found.lease,
        meter=meter,
        progress=progress,
        stopped=found.stopped,
        storage=storage,
    )
    return followed(job, layout) if found.is_to_be_followed else job


def jobs(*, session: Session | None = None, input_prefix: str | None = None) -> pd.DataFrame:
    """All jobs below a prefix; see :func:`sm_async_nb.jobs`."""
    session = checked_session(session)
    prefix = _prefix(input_prefix)
    if prefix is None:
        raise RequestError(
            f"Nothing says where the jobs lie.{_told_prefixes()} Pass input_prefix='s3://bucket/prefix', or set"
            " SM_ASYNC_INPUT_PREFIX."
        )
    found, unreadable = background.run(_jobs(session, prefix))
    if unreadable:
        told = f"{len(unreadable):,} of the jobs below {prefix} cannot be read and are left out: {unreadable[0]}"
        warnings.warn(told, SmAsyncWarning, stacklevel=3)
    return _listed(found)


def endpoint(endpoint_name: str, *, session: Session | None = None) -> Endpoint:
    """What an endpoint is and how it stands; see :func:`sm_async_nb.endpoint`."""
    return look_at_endpoint(checked_session(session), endpoint_name, now=time.time())


def endpoints(*, session: Session | None = None) -> pd.DataFrame:
    """The endpoints of the account; see :func:`sm_async_nb.endpoints`."""
    found = list_endpoints(checked_session(session))
    frame = pd.DataFrame(found, columns=[field.name for field in fields(ListedEndpoint)])
    times = {name: utc(frame[name].to_numpy(dtype=float), unit="s") for name in ("created_at", "changed_at")}
    return frame.assign(**times)


# Attaching


def _layout_of(uri_or_id: str, input_prefix: str | None) -> JobLayout:
    if not isinstance(uri_or_id, str):
        raise RequestError(f"attach() takes a job's URI or its id, got {type(uri_or_id).__name__}.")
    if uri_or_id.startswith("s3://"):
        if input_prefix is not None:
            raise RequestError("A job's URI says where it lies; leave input_prefix= out.")
        return _layout_at(parse_s3_uri(uri_or_id))
    if "/" in uri_or_id:
        raise RequestError(f"A job's URI begins with s3://, got {uri_or_id!r}.{meant(uri_or_id)}")
    prefix = _prefix(input_prefix)
    if prefix is None:
        raise RequestError(
            f"Nothing says where the job {uri_or_id!r} lies.{_told_prefixes()} Pass its URI, or"
            " input_prefix='s3://bucket/prefix', or set SM_ASYNC_INPUT_PREFIX."
        )
    return _checked(JobLayout(prefix, uri_or_id))


def _prefix(input_prefix: str | None) -> S3Location | None:
    """The input prefix that is given, or else the one of this process's jobs, if it is one."""
    given = given_prefix(input_prefix)
    return next(iter(_prefixes)) if given is None and len(_prefixes) == 1 else given


def _told_prefixes() -> str:
    return f" Jobs of this session lie below {' and '.join(map(str, _prefixes))}." if _prefixes else ""


def _layout_at(place: S3Location) -> JobLayout:
    root, _, job_id = place.key.removesuffix("manifest.json").rstrip("/").rpartition("/")
    return _checked(JobLayout(S3Location(place.bucket, root), job_id))


def _checked(layout: JobLayout) -> JobLayout:
    try:
        check_job_id(layout.job_id)
    except ValueError as error:
        raise JobNotFoundError(str(error)) from None
    return layout


class _Attached(NamedTuple):
    """The job, what allows to write to it, why it stopped itself, if it did, and whether anything is left to do."""

    opened: Opened
    lease: Lease | None
    stopped: str | None
    is_to_be_followed: bool


async def _attach(
    session: Session, meter: Meter, layout: JobLayout, *, read_only: bool, choice: StorageChoice
) -> _Attached:
    terms = await _terms_of(session, meter, layout, choice)
    async with open_storage(session, terms=terms, storage=choice) as opened:
        storage = MeteredStorage(opened, meter)
        reading = await open_job(storage, layout, known_fields(session))
        state = await read_lease(storage, layout)
        stopped = state.told.get("stopped") if state is not None else None
        if read_only:
            return _Attached(reading.opened, None, stopped, reading.opened.has_more_to_do)
        lease = Lease(storage, layout, now=time.time)
        is_ours = reading.opened.has_more_to_do and await _acquired(lease, reading.opened)
        if is_ours:
            try:
                await reading.read_on(storage)
            except BaseException:
                await lease.let_go()
                raise
        return _Attached(reading.opened, lease, stopped, is_ours)


async def _acquired(lease: Lease, found: Opened) -> bool:
    try:
        await lease.acquire()
    except JobInUseError:
        if found.ledger.is_finished:
            return False  # whoever has it looks for late answers; the rest can be read here all the same
        raise
    return True


async def _terms_of(session: Session, meter: Meter, layout: JobLayout, choice: StorageChoice) -> StorageTerms:
    async with open_storage(session, storage=choice) as storage:
        return (await find_document(MeteredStorage(storage, meter), layout)).settings.storage_terms


# Listing

_Found = tuple[Document, LeaseState | None, JobLayout]


async def _jobs(session: Session, prefix: S3Location) -> tuple[list[_Found], list[RequestError]]:
    """The jobs, and why others could not be read."""
    gate = asyncio.Semaphore(_READERS)
    async with open_storage(session) as storage:

        async def read(name: str) -> _Found | None:
            layout = JobLayout(prefix, name)
            async with gate:
                try:
                    return await find_document(storage, layout), await read_lease(storage, layout), layout
                except (StorageAccessError, CredentialsError) as error:
                    unreadable.append(error)
                except RequestError:
                    pass  # something else lies there, or a newer version's job
            return None

        unreadable: list[RequestError] = []
        found = await asyncio.gather(*(read(name) for name in await storage.directories(prefix)))
    there = [one for one in found if one is not None]
    if unreadable and not there:
        raise unreadable[0]
    return there, unreadable


def _listed(found: list[_Found]) -> pd.DataFrame:
    now = time.time()
    lines = [_line(*one, now) for one in sorted(found, key=lambda one: -one[0].created_at)]
    names = ["endpoint_name", "state", "rows", "requests", *map(str, Status), "created_at", "age", "tags", "note"]
    frame = pd.DataFrame(lines, columns=["job_id", *names, "held_by", "uri"]).set_index("job_id")
    return frame.astype({str(status): "Int64" for status in Status})


def _line(document: Document, lease: LeaseState | None, layout: JobLayout, now: float) -> dict[str, Any]:
    told = lease.told if lease is not None else {}
    counts = told.get("counts") or {}
    is_held = lease is not None and not lease.released and not _is_gone(lease, now)
    return {
        "job_id": document.job_id,
        "endpoint_name": document.asked.arguments.endpoint_name,
        "state": _state(told, is_held=is_held),
        "rows": document.rows,
        "requests": sum(counts.values()) or document.requests,
        **{str(status): counts.get(str(status), 0) if told else None for status in Status},
        "created_at": pd.Timestamp(document.created_at, unit="s", tz="UTC").round("s"),
        "age": pd.Timedelta(max(now - document.created_at, 0), unit="s").round("s"),
        "tags": dict(document.tags),
        "note": document.note,
        "held_by": f"{lease.holder.user}@{lease.holder.host}" if lease is not None and is_held else "",
        "uri": f"{layout.home}/",
    }


def _is_gone(lease: LeaseState, now: float) -> bool:
    # By this machine's clock: good enough to show, while taking a job over goes by S3's.
    return lease.is_lapsed_at(now) or lease.holder.is_known_dead()


def _state(told: Mapping[str, Any], *, is_held: bool) -> str:
    if told.get("is_over"):
        return "over"
    if told.get("paused"):
        return "paused"
    return "running" if is_held else "interrupted"
