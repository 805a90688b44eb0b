"""One row in full: what was sent, what came back, and where everything lies. Made on a thread that may wait for S3."""

from __future__ import annotations

from typing import Any

import numpy as np

from sm_async_nb.core.ledger import Status
from sm_async_nb.core.problems import label
from sm_async_nb.job import peek
from sm_async_nb.job.job import Job
from sm_async_nb.notebook.panel.rows import ICONS, answered_at, moment, seconds

_SHOWN_BYTES = 20_000
# In the name of a field that is shown in part; the style sheet hides the button that would copy the part for the whole.
CUT = ", its first "

# A field of the detail: its name, its text, and how it is shown: "text" in a box, "copy" with a button, "" as it is.
Field = tuple[str, str, str]


def detail(job: Job, row: int, called: str, trouble: str = "") -> dict[str, Any]:
    """The row as it is known.

    Parameters
    ----------
    called
        What the job is called in the user's session, for the Python that gets the same.
    trouble
        Why the answer could not be fetched, if it could not.
    """
    request = int(peek.request_of(job, np.array([row]))[0])
    lines = peek.lines(job, np.array([request]))
    status = Status(lines.status[0])
    name = label(peek.frame(job).index, row)
    title = f"Row {name} · {ICONS[status]} {status} · attempt {lines.attempt[0]}"
    fields = [
        *_said(job, request, lines, trouble),
        *_times(lines),
        *_told(job, request),
        *_ways(job, request, row, called, status),
    ]
    return {"title": title, "fields": [list(field) for field in fields]}


def needs_fetching(job: Job, row: int) -> bool:
    """Whether the row has an answer, or a failure, that was not fetched yet."""
    return bool(peek.unread(job, peek.request_of(job, np.array([row]))).size)


def standing(job: Job, row: int) -> object:
    """What changes when something else is to be told of the row; nothing is encoded or fetched for it."""
    lines = peek.lines(job, peek.request_of(job, np.array([row])))
    return int(lines.status[0]), int(lines.attempt[0]), lines.messages[0], lines.answers[0] is None


def _said(job: Job, request: int, lines: peek.Lines, trouble: str) -> list[Field]:
    said, message = [_text("Payload", peek.payload(job, request))], lines.messages[0]
    if message:
        name = f"Error{CUT}{len(message):,} characters" if peek.is_cut(message) else "Error, verbatim"
        said.append((name, message, "text"))
    elif lines.answers[0] is not None:
        said.append(_text("Answer", lines.answers[0]))
    elif lines.status[0] in (Status.COMPLETED, Status.FAILED):
        said.append(("Answer", f"was not fetched: {trouble}" if trouble else "is being fetched …", ""))
    return said


def _times(lines: peek.Lines) -> list[Field]:
    accepted, finished = lines.accepted_at[0], lines.finished_at[0]
    told = [("Submitted", moment(accepted), ""), ("Finished", moment(finished), "")]
    told.append(("Latency", seconds(accepted, answered_at(lines.status, lines.finished_at)[0]), ""))
    return [field for field in told if field[1]]


def _told(job: Job, request: int) -> list[Field]:
    given = [(name, value, "") for name, value in peek.fields(job, request).items()]
    told = [(name, value, "copy") for name, value in peek.told(job, request).items() if value]
    known = {name for name, *_ in told}
    return [*(field for field in given if field[0] not in known), *told]


def _ways(job: Job, request: int, row: int, called: str, status: Status) -> list[Field]:
    inference_id = peek.told(job, request)["inference_id"]
    group = f"/aws/sagemaker/Endpoints/{job.endpoint_name}"
    log = [("In CloudWatch", f"{group}: {inference_id}", "copy")] if inference_id else []
    answer = [("Its answer in Python", f"{called}.results().iloc[{row}]", "copy")]
    line = ("In Python", f"{called}.table().iloc[{row}]", "copy")
    return [*log, line, *(answer if status == Status.COMPLETED else [])]


def _text(name: str, body: bytes) -> Field:
    text = body[:_SHOWN_BYTES].decode(errors="replace")
    if len(body) <= _SHOWN_BYTES:
        return name, text, "text"
    return f"{name}{CUT}{_SHOWN_BYTES:,} bytes", f"{text}… ({len(body):,} bytes)", "text"
