"""Looking at the rows of a job: results, tables and failures, fetched once and only when they are asked for."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from sm_async_nb.aws.storage import Storage
from sm_async_nb.core.columns import BoolArray, IntArray
from sm_async_nb.core.ledger import Fact, Learned, Ledger, Status
from sm_async_nb.core.problems import label
from sm_async_nb.core.verdict import error_class_of
from sm_async_nb.errors import InferenceFailedError, InvocationExpiredError, RequestError, SmAsyncError, SmAsyncWarning
from sm_async_nb.job import background
from sm_async_nb.job.answers import Answers
from sm_async_nb.job.export import Target, parts, refuse_mistyped
from sm_async_nb.job.looking import MESSAGE_CHARACTERS
from sm_async_nb.job.papers import Papers
from sm_async_nb.job.shape import Shape, Shaping
from sm_async_nb.job.table import columns_of, errors_of, texts

OpenStorage = Callable[[], AbstractAsyncContextManager[Storage]]

_BAD_REQUEST = 400

# Outputs that came inside notifications are kept up to so many bytes; the others are fetched like any.
_KEPT_BYTES = 64_000_000


class Reports:
    """The rows of a job as frames.

    Parameters
    ----------
    ledger, lock
        What is known; the lock is held while it is read.
    open_storage
        A connection to S3, for use on the background loop.
    """

    def __init__(self, papers: Papers, ledger: Ledger, lock: threading.Lock, open_storage: OpenStorage) -> None:
        self._batch = papers.batch
        self._layout = papers.layout
        self._ledger = ledger
        self._lock = lock
        self._open_storage = open_storage
        self._answers = Answers(self._batch.packing, self._batch.accept_of, packed=self._batch.terms.packed)
        self._fetching = threading.Lock()
        self._kept_bytes = 0

    # What comes in by itself

    def hear(self, learned: Learned) -> None:
        """A request that is sent again has no answer any more."""
        if learned.fact == Fact.RETRIED:
            self._answers.forget(learned.requests)
            for request in learned.requests.tolist():
                self._answers.messages.pop(request, None)
                self._answers.failure_status.pop(request, None)

    def take_body(self, request: int, body: bytes, content_type: str | None) -> None:
        """Keep an output that came inside a notification."""
        if self._kept_bytes + len(body) <= _KEPT_BYTES:
            self._kept_bytes += len(body)
            self._answers.take_output(request, "its notification", body, content_type)

    # Frames

    def results(self, shape: Shape, *, join: bool) -> pd.DataFrame:
        """The decoded outputs of all rows, on the submitted index."""
        self._load_outputs(np.arange(len(self._batch)))
        if shape.errors == "raise":
            self._raise_first_failure()
        self._warn_of_what_cannot_be_read()
        rows, index = np.arange(len(self._batch.frame)), self._batch.frame.index
        shaping = Shaping(shape, index)
        outputs = self._answers.frame(rows, pd.RangeIndex(len(index)) if join else index, shaping)
        _warn_of_misfits(shaping)
        outputs = shaping.typed(outputs)
        if not join:
            return outputs
        return _joined(self._batch.frame, outputs).set_axis(index[outputs.index])

    def write_results(self, into: str | Path, shape: Shape) -> list[str]:
        """The same as Parquet files, a part at a time; returns where they lie."""
        refuse_mistyped(into)
        shaping = Shaping(shape, self._batch.frame.index)
        with self._fetching:
            written = background.run(self._write_parts(into, shaping))
        _warn_of_misfits(shaping)
        return written

    def table(self) -> pd.DataFrame:
        """One line for each row."""
        return self._table(np.arange(len(self._batch.frame)))

    def failures(self) -> pd.DataFrame:
        """The lines of the table that ended badly."""
        with self._lock:
            bad = self._ledger.where(Status.FAILED, Status.EXPIRED, Status.REJECTED)
        self.load_failures()
        return self._table(self.rows_of(np.union1d(bad, self._undecodable())))

    def completed(self, given: BoolArray) -> IntArray:
        """The completed requests that were not given yet."""
        with self._lock:
            completed = self._ledger.where(Status.COMPLETED)
        return np.asarray(completed[~given[completed]], dtype=np.int64)

    def frame_of(self, requests: IntArray) -> pd.DataFrame:
        """The outputs of these requests, which were fetched, on the index of their rows."""
        rows = self.rows_of(requests)
        return self._answers.frame(rows, self._batch.frame.index[rows])

    def rows_of(self, requests: IntArray) -> IntArray:
        """The rows that these requests answer, in the frame's order."""
        of = self._batch.packing.request_of(np.arange(len(self._batch.frame)))
        return np.flatnonzero(np.isin(of, requests))

    def error_classes(self, requests: IntArray) -> npt.NDArray[np.object_]:
        """What kind of bad ending each of these requests has come to; None where it has come to none, or to a failure
        whose words nobody has asked for yet.
        """
        with self._lock:
            statuses, http = self._ledger.status[requests], self._ledger.http_status[requests]
            ledger_says = dict(self._ledger.messages)
        classes = np.full(len(requests), None, dtype=object)
        told, messages = self._answers.failure_status, self._answers.messages
        said = {**ledger_says, **messages}
        is_told = np.isin(requests, np.fromiter(messages, dtype=np.int64, count=len(messages)))
        for place in np.flatnonzero((statuses > Status.COMPLETED) | is_told).tolist():
            request, status = int(requests[place]), Status(statuses[place])
            is_read = request in told or http[place] >= _BAD_REQUEST or request in said
            if status == Status.FAILED and not is_read:
                continue  # its words were not read yet
            http_status = told.get(request) or int(http[place]) or None
            is_unreadable = status == Status.COMPLETED and request in messages
            classes[place] = error_class_of(status, http_status, is_unreadable=is_unreadable)
        return classes

    # Fetching

    async def fetch_outputs(self, requests: IntArray) -> None:
        """Get the outputs of these completed requests that are not there yet."""
        missing = self._answers.missing(requests)
        async with self._open_storage() as storage:
            locations = self._locations("output_location", missing)
            await self._answers.fetch_outputs(storage, missing.tolist(), locations)

    def load_failures(self) -> None:
        """Get the words of all failures that are not there yet."""
        with self._lock:
            failed = self._ledger.where(Status.FAILED).tolist()
            told = {request for request, words in self._ledger.messages.items() if len(words) < MESSAGE_CHARACTERS}
        told |= self._answers.messages.keys()
        missing = [request for request in failed if request not in told]
        locations = self._locations("failure_location", np.array(missing, dtype=np.int64))
        wanted = [(request, place) for request, place in zip(missing, locations, strict=True) if place]
        if wanted:
            _run_alone(self._fetching, self._fetch_failures(wanted))

    def load_outputs(self, requests: IntArray) -> None:
        """Get the outputs of those of these requests that are completed."""
        self._load_outputs(requests)

    def _load_outputs(self, requests: IntArray) -> None:
        completed = self._completed_among(requests)
        if self._answers.missing(completed).size:
            _run_alone(self._fetching, self.fetch_outputs(completed))

    async def _fetch_failures(self, wanted: list[tuple[int, str]]) -> None:
        requests, locations = zip(*wanted, strict=True)
        async with self._open_storage() as storage:
            await self._answers.fetch_failures(storage, requests, locations)

    async def _write_parts(self, into: str | Path, shaping: Shaping) -> list[str]:
        written: list[str] = []
        async with self._open_storage() as storage:
            target = Target(into, storage)
            await target.check()
            known = self._answers.has_value.copy()  # what was there before stays
            for rows, requests, finished in parts(self._batch.packing, len(self._batch.frame)):
                missing = self._answers.missing(self._completed_among(requests))
                await self._answers.fetch_outputs(
                    storage, missing.tolist(), self._locations("output_location", missing)
                )
                frame = self._answers.frame(rows, self._batch.frame.index[rows], shaping)
                written.append(await target.write(len(written), shaping.typed(frame)))
                self._answers.forget(finished[~known[finished]])
        return written

    def _completed_among(self, requests: IntArray) -> IntArray:
        with self._lock:
            is_completed = self._ledger.status[requests] == Status.COMPLETED
        return np.asarray(requests[is_completed], dtype=np.int64)

    def _locations(self, name: str, requests: IntArray) -> list[str]:
        with self._lock:
            return self._ledger.texts[name].take(requests)

    # Lines

    def _table(self, rows: IntArray) -> pd.DataFrame:
        requests = self._batch.packing.request_of(rows)
        with self._lock:
            told = columns_of(self._ledger, requests)
            ledger_says = dict(self._ledger.messages)
        told["error"] = errors_of(self._ledger, requests, {**ledger_says, **self._answers.messages})
        told["http_status"] = self._http_statuses(requests, told["http_status"])
        told["error_class"] = self.error_classes(requests)
        places = [self._batch.input_location(request, self._layout) for request in requests.tolist()]
        told["input_location"] = texts(places)
        return pd.DataFrame(told, index=self._batch.frame.index[rows])

    def _http_statuses(self, requests: IntArray, of_service: npt.NDArray[np.uint16]) -> npt.NDArray[np.uint16]:
        """The service's answer to the invocation, or, of a failure that tells it, the model's."""
        statuses = of_service.copy()
        for place in np.flatnonzero(np.isin(requests, list(self._answers.failure_status))).tolist():
            statuses[place] = self._answers.failure_status[int(requests[place])]
        return statuses

    def _undecodable(self) -> IntArray:
        with self._lock:
            completed = self._ledger.where(Status.COMPLETED)
        told = np.array(sorted(self._answers.messages), dtype=np.int64)
        return np.intersect1d(completed, told)

    def _warn_of_what_cannot_be_read(self) -> None:
        """Those that completed and have no value all the same: their output is gone, or is not what it says it is."""
        unreadable = self._undecodable()
        if unreadable.size:
            first = self._answers.messages[int(unreadable[0])]
            warnings.warn(
                f"{unreadable.size:,} completed requests have no readable output. The first: {first}"
                " job.failures() has them all.",
                SmAsyncWarning,
                stacklevel=4,
            )

    def _raise_first_failure(self) -> None:
        failures = self.failures()
        if len(failures):
            first = failures.iloc[0]
            ending = "unreadable" if first["status"] == str(Status.COMPLETED) else first["status"]
            others = f" {len(failures) - 1} more did not end well." if len(failures) > 1 else ""
            raise _ERRORS.get(first["status"], InferenceFailedError)(
                f"Row {label(failures.index, 0)}, {ending}: {first['error']}{others} job.failures() has them all."
            )


_ERRORS: dict[str, type[SmAsyncError]] = {
    str(Status.FAILED): InferenceFailedError,
    str(Status.EXPIRED): InvocationExpiredError,
    str(Status.REJECTED): RequestError,
}


def _warn_of_misfits(shaping: Shaping) -> None:
    told = shaping.misfits()
    if told is not None:
        warnings.warn(told, SmAsyncWarning, stacklevel=4)


def _run_alone(lock: threading.Lock, work: Coroutine[Any, Any, None]) -> None:
    """Two threads that ask for the same outputs at once fetch them once."""
    with lock:
        background.run(work)


def _joined(submitted: pd.DataFrame, outputs: pd.DataFrame) -> pd.DataFrame:
    """The submitted rows beside their outputs, whose index is their place in the frame: labels may repeat."""
    taken = {name: f"{name}_output" for name in outputs.columns if name in submitted.columns}
    beside = submitted.iloc[outputs.index].set_axis(pd.RangeIndex(len(outputs)))
    return pd.concat([beside, outputs.rename(columns=taken).set_axis(beside.index)], axis="columns")
