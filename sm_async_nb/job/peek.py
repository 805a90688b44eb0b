"""What a face may look at while a job runs: a few lines of it, copied under its lock, and never anything that waits.

A view draws some dozens of a million rows, several times a second, so it asks for these alone; :meth:`Job.table` makes
all of them. What is fetched from S3 stands at the end and is for threads that may wait.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from sm_async_nb.core.build import DEFAULT_CONTENT_TYPE
from sm_async_nb.core.columns import FloatArray, IntArray, Parts
from sm_async_nb.core.ledger import Status
from sm_async_nb.core.payload import is_raw
from sm_async_nb.errors import PayloadLostError
from sm_async_nb.job.job import Job
from sm_async_nb.job.looking import MESSAGE_CHARACTERS
from sm_async_nb.job.reports import _run_alone

# These functions are the Job's own, in a file of their own: they read what it keeps to itself.
# ruff: noqa: SLF001


@dataclass(frozen=True, kw_only=True)
class Lines:
    """How some requests stand, in the order in which they were asked for."""

    status: npt.NDArray[np.uint8]
    attempt: npt.NDArray[np.int64]
    accepted_at: FloatArray
    finished_at: FloatArray
    messages: list[str | None]
    answers: list[bytes | None]


def frame(job: Job) -> pd.DataFrame:
    """The submitted rows. Nobody may change them."""
    return job._papers.batch.frame


def request_of(job: Job, rows: IntArray) -> IntArray:
    """The request that answers each of these rows."""
    return job._papers.batch.packing.request_of(rows)


def is_one_row_each(job: Job) -> bool:
    """Whether row ``n`` is what request ``n`` sends."""
    packing = job._papers.batch.packing
    return len(packing) == len(packing.slot_of_row)


def revision(job: Job) -> tuple[int, int, int]:
    """Numbers that change whenever anything is learned, or fetched."""
    answers = job._reports._answers
    return job._ledger.revision, len(answers.messages), int(np.count_nonzero(answers._fetched))


def column(job: Job, name: str) -> npt.NDArray[Any]:
    """One of the ledger's columns of numbers, of all requests."""
    with job._lock:
        return np.array(getattr(job._ledger, name))


def span(job: Job) -> tuple[float, float]:
    """When the first request was accepted, and when the last one ended; infinite where none was."""
    with job._lock:
        accepted_at, finished_at = job._ledger.accepted_at, job._ledger.finished_at
        return float(np.fmin.reduce(accepted_at, initial=np.inf)), float(np.fmax.reduce(finished_at, initial=-np.inf))


def payload_sizes(job: Job) -> IntArray:
    """The bytes of each request's payload."""
    return job._papers.batch.payload_bytes


def parts(job: Job, name: str) -> Parts:
    """One of the ledger's columns of texts, of all requests, to search in."""
    with job._lock:
        return job._ledger.texts[name].copy().searchable


def is_cut(message: str) -> bool:
    """Whether a message is so long that only its beginning is kept."""
    return len(message) >= MESSAGE_CHARACTERS


def messages(job: Job) -> dict[int, str]:
    """What was said about bad endings, by request, as far as it was read."""
    with job._lock:
        told = dict(job._ledger.messages)
    return {**told, **dict(job._reports._answers.messages)}


def lines(job: Job, requests: IntArray) -> Lines:
    """How these requests stand, with what is known of their answers without asking S3."""
    ledger, answers = job._ledger, job._reports._answers
    with job._lock:
        said = [ledger.messages.get(request) for request in requests.tolist()]
        found = Lines(
            status=ledger.status[requests],
            attempt=ledger.attempt[requests].astype(np.int64) + 1,
            accepted_at=ledger.accepted_at[requests],
            finished_at=ledger.finished_at[requests],
            messages=said,
            answers=[],
        )
    for place, request in enumerate(requests.tolist()):
        found.messages[place] = answers.messages.get(request) or found.messages[place]
        found.answers.append(answers._bodies[request])
    return found


def payload_heads(job: Job, rows: IntArray) -> list[str]:
    """How the payloads of these rows begin, each row's alone.

    A function of the user's is not called for a look, nor is a file opened: then it is the row's own values.
    """
    batch, asked = job._papers.batch, job._papers.asked.arguments
    some = batch.frame.iloc[rows]
    if batch.content is None:
        return [str(batch.fields_of(request).get("input_location", "")) for request in request_of(job, rows).tolist()]
    if (
        asked.payload is None
        and not job._papers.asked.payload_is_lost
        and not is_raw(asked.content_type or DEFAULT_CONTENT_TYPE)
    ):
        try:
            encoded = batch.content.encode(some, range(len(some) + 1))
        except (TypeError, ValueError):
            pass
        else:
            return [payload[:_HEAD_BYTES].decode(errors="replace") for payload in encoded]
    names = [name for name in batch.content.columns if name in some.columns] or list(some.columns)
    return [", ".join(str(value)[:_HEAD_BYTES] for value in row) for row in some[names].itertuples(index=False)]


def answer_heads(job: Job, rows: IntArray) -> list[str]:
    """How the answers of these rows begin, as far as they were fetched; where requests are shared, each row's part."""
    answers, packing = job._reports._answers, job._papers.batch.packing
    requests = packing.request_of(rows)
    if is_one_row_each(job):
        return [(body or b"")[:_HEAD_BYTES].decode(errors="replace") for body in answers._bodies[requests]]
    values = zip(answers.has_value[requests], answers._values[packing.slot_of_row[rows]], strict=True)
    return [_in_short(value) if is_there else "" for is_there, value in values]


def _in_short(value: Any) -> str:
    return (value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str))[:_HEAD_BYTES]


def payload(job: Job, request: int) -> bytes:
    """The whole payload of a request, or, in words, why it cannot be made again.

    Made alone, and not with its neighbours: a function of the user's is called for its rows only, and the block that
    the engine is sending stays.
    """
    (made,) = job._papers.batch._encoded(range(request, request + 1))
    return str(made).encode() if isinstance(made, PayloadLostError) else made


def fields(job: Job, request: int) -> dict[str, str]:
    """The fields that the caller gave for a request; what is sensitive is measured only."""
    batch = job._papers.batch
    given = {"endpoint_name": batch.endpoint_name, **batch.fields_of(request)}
    known = batch.known_fields
    return {
        name: known[name].shown(value) if name in known and known[name].sensitive else str(value)
        for name, value in given.items()
    }


def told(job: Job, request: int) -> dict[str, str]:
    """The texts that the service gave for a request, and where its input lies."""
    batch, layout = job._papers.batch, job._papers.layout
    with job._lock:
        texts = {name: texts[request] for name, texts in job._ledger.texts.items()}
        texts["http_status"] = str(int(job._ledger.http_status[request]) or "")
    status = job._reports._answers.failure_status.get(request)
    if status is not None:
        texts["http_status"] = str(status)
    return {"input_location": batch.input_location(request, layout), **texts}


def unread(job: Job, requests: IntArray) -> IntArray:
    """Those of these requests whose answer, or failure, lies in S3 and was not fetched in full."""
    answers = job._reports._answers
    with job._lock:
        status = job._ledger.status[requests]
        failed = requests[status == Status.FAILED].tolist()
        told = {request for request in failed if 0 < len(job._ledger.messages.get(request, "")) < MESSAGE_CHARACTERS}
    silent = [request for request in failed if request not in told and request not in answers.messages]
    return np.concatenate([answers.missing(requests[status == Status.COMPLETED]), np.array(silent, dtype=np.int64)])


# What asks S3


def load(job: Job, requests: IntArray) -> None:
    """Fetch the answers, and the words of failures, of these requests, a GET each, unless they are there already."""
    reports = job._reports
    with job._lock:
        failed = requests[job._ledger.status[requests] == Status.FAILED]
    reports.load_outputs(requests)
    unread = np.array([r for r in failed.tolist() if r not in reports._answers.messages], dtype=np.int64)
    wanted = [(r, at) for r, at in zip(unread.tolist(), reports._locations("failure_location", unread), strict=True)]
    wanted = [(request, at) for request, at in wanted if at]
    if wanted:
        _run_alone(reports._fetching, reports._fetch_failures(wanted))


_HEAD_BYTES = 480
