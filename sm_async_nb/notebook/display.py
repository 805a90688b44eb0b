"""A job as an output of a cell: HTML and text that follow it, without any widget, and stay when it is over.

Many outputs may show the same job. One thread renews them all while there is something to renew; what cannot be
shown is left alone, since a display that fails must never stop a job.
"""

from __future__ import annotations

import contextlib
import contextvars
import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from sm_async_nb.core.ledger import Snapshot, Status
from sm_async_nb.notebook import outside, text

if TYPE_CHECKING:
    from sm_async_nb.job.job import Job

# A table of more rows is not worth the time while somebody waits for the cell.
_TABLE_ROWS, _SHOWN_ROWS, _SHOWN_CHARACTERS = 20_000, 10, 120
_COLUMNS = ["status", "attempt", "latency", "error"]
_EVERY_SECONDS = 0.5

_log = logging.getLogger(__name__)


def show(job: Job) -> None:
    """Show a job as an output that follows it until it is over."""
    from IPython.display import display

    try:
        handle: Any = display(bundle(job), raw=True, display_id=True)  # type: ignore[no-untyped-call]
    except Exception:  # noqa: BLE001 - whatever the front end has against it, the job goes on
        _log.debug("Job %s cannot be shown.", job.id, exc_info=True)
        print(repr(job))  # noqa: T201 - the cell's own thread, and better than nothing
        return
    if handle is not None and not job.snapshot.is_over:
        _following.add(job, handle.update)


def bundle(job: Job) -> dict[str, str]:
    """The forms of a job as it stands; a front end takes the richest that it can show."""
    told = {"text/plain": repr(job)}
    if outside.current("front_end")[0] != "text":
        with contextlib.suppress(Exception):  # the text is always there
            told["text/html"] = html(job)
    return told


def html(job: Job) -> str:
    """A job as static HTML. All of its texts are whatever the frame and the model say, so all of them are escaped."""
    seen = job.snapshot
    parts = [f"<p><b>{escape(job.id)}</b> to {escape(job.endpoint_name)}: {escape(_state(seen))}</p>"]
    if seen.is_over:
        parts.append(_table(job) if len(job) <= _TABLE_ROWS else f"<p>job.table() has all {len(job):,} rows.</p>")
    elif seen.at - seen.started_at >= outside.progress_after():
        parts.append(f"<pre>{escape(text.line(seen))}</pre>")
    parts.append(f"<p><small>sm_async_nb.attach({escape(repr(job.uri))}) opens it in another kernel.</small></p>")
    return f'<div class="sm-async-job">{"".join(parts)}</div>'


def _state(seen: Snapshot) -> str:
    counts = ", ".join(f"{seen[status]:,} {status}" for status in Status if seen[status]) or "no rows"
    if seen.is_over:
        return f"over, {counts}"
    if seen.paused is not None:
        return f"paused, {counts}; {seen.paused.message}"
    return f"running, {counts}{f'; trouble: {seen.trouble.message}' if seen.trouble else ''}"


def _table(job: Job) -> str:
    """The first rows with how they ended; those that ended badly before the others."""
    table = job.table()
    if not len(table):
        return ""
    good = table["status"] == str(Status.COMPLETED)
    told = table.loc[:, _COLUMNS].iloc[good.to_numpy().argsort(kind="stable")[:_SHOWN_ROWS]]
    told = told.assign(error=[_short(error) for error in told["error"]])
    html = told.to_html(border=0, na_rep="", float_format="{:.1f}".format, escape=True)
    return f"{html}<p><small>{' '.join(_elsewhere(len(table), len(told), failed=not good.all()))}</small></p>"


def _elsewhere(rows: int, shown: int, *, failed: bool) -> Iterator[str]:
    """Where the rest of it is to be had."""
    if rows > shown:
        yield f"{rows - shown:,} more rows: job.table()."
    if failed:
        yield "job.failures() has the model's own words."


def _short(error: Any) -> str:
    told = error if isinstance(error, str) else ""
    return f"{told[: _SHOWN_CHARACTERS - 1]}…" if len(told) > _SHOWN_CHARACTERS else told


@dataclass(eq=False)
class _Output:
    """One output of one cell."""

    job: Job
    update: Callable[..., None]
    context: contextvars.Context
    shown: Snapshot | None = None
    shown_at: float = 0.0

    def renew(self) -> bool:
        """Show the job as it stands; false when there is nothing more to show."""
        seen = self.job.snapshot
        if seen is self.shown and time.monotonic() - self.shown_at < 1:
            return True
        self.shown, self.shown_at = seen, time.monotonic()
        told = bundle(self.job)
        try:
            self.update(told, raw=True)
        except LookupError:
            # ipykernel 7.0 knows the cell only in the context it ran in.
            self.context.run(self.update, told, raw=True)
        return not seen.is_over


class _Following:
    """The outputs that show running jobs, and the thread that renews them, there only while there are any."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._outputs: list[_Output] = []
        self._thread: threading.Thread | None = None

    def add(self, job: Job, update: Callable[..., None]) -> None:
        with self._lock:
            self._outputs.append(_Output(job, update, contextvars.copy_context()))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="sm-async-display", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            with self._lock:
                outputs = list(self._outputs)
                if not outputs:
                    self._thread = None
                    return
            over = [output for output in outputs if not _renewed(output)]
            with self._lock:
                self._outputs = [output for output in self._outputs if output not in over]
            time.sleep(_EVERY_SECONDS)


def _renewed(output: _Output) -> bool:
    try:
        return output.renew()
    except Exception:  # noqa: BLE001 - whatever the front end has against it, the job goes on
        # Not a warning: without a handler that is printed, and a thread's print ends up in anybody's cell.
        _log.debug("An output that shows job %s cannot be renewed.", output.job.id, exc_info=True)
        return False


_following = _Following()
