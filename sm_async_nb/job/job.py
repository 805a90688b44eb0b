"""The thing a submit returns: one job, whatever thread it runs on and however often it is looked at."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any, overload

import numpy as np
import pandas as pd

from sm_async_nb.aws.endpoint import Endpoint
from sm_async_nb.aws.runtime import open_runtime
from sm_async_nb.aws.session import Session
from sm_async_nb.aws.storage import open_storage
from sm_async_nb.core.batch import Batch
from sm_async_nb.core.columns import IntArray
from sm_async_nb.core.ledger import Ledger, Snapshot, Status
from sm_async_nb.core.locations import JobLayout
from sm_async_nb.core.plan import Limits
from sm_async_nb.core.problems import label
from sm_async_nb.errors import (
    InferenceFailedError,
    InvocationExpiredError,
    RequestError,
    SmAsyncError,
    WaitTimeoutError,
)
from sm_async_nb.job import background
from sm_async_nb.job.answers import Answers
from sm_async_nb.job.engine import Connections, Engine
from sm_async_nb.job.export import Target, parts
from sm_async_nb.job.following import Both, Newest
from sm_async_nb.job.shape import Pick, Shape
from sm_async_nb.job.table import columns_of, errors_of, texts

# How long after TTL and timeout an answer may still be on its way into S3 before silence counts. Seconds.
GRACE = 60

ShowProgress = Callable[[Snapshot], None]


class Job:
    """Rows of a frame on their way through an asynchronous endpoint.

    Made by ``df.sm_async.submit(...)``. The job runs on a thread of its own; every method here may be called at any
    time, from any thread, and looks at what is known by then.
    """

    def __init__(
        self,
        *,
        batch: Batch,
        layout: JobLayout,
        endpoint: Endpoint,
        session: Session,
        limits: Limits,
        progress: Callable[[], contextlib.AbstractContextManager[ShowProgress]],
    ) -> None:
        self.endpoint = endpoint
        self._batch = batch
        self._layout = layout
        self._session = session
        self._limits = limits
        self._progress = progress
        self._ledger = Ledger(len(batch), allowance=batch.allowance + GRACE)
        self._lock = threading.Lock()
        self._answers = Answers(batch.packing, batch.accept_of, packed=batch.terms.packed)
        self._fetching = threading.Lock()
        now = time.time()
        self._newest = Newest(Snapshot(revision=0, at=now, started_at=now, counts=self._ledger.counts))
        self._running: Future[None] | None = None

    def start(self) -> None:
        """Set the engine going. ``submit`` does it."""
        self._running = background.start(self._run())
        self._running.add_done_callback(lambda _: self._newest.end())

    # What it is and how it stands

    @property
    def id(self) -> str:
        """The job's name, unique below its input prefix."""
        return self._layout.job_id

    @property
    def uri(self) -> str:
        """Where the job lies in S3."""
        return f"{self._layout.home}/"

    @property
    def snapshot(self) -> Snapshot:
        """How many requests stand where, as last published."""
        return self._newest.snapshot

    def __len__(self) -> int:
        """How many rows were submitted."""
        return len(self._batch.frame)

    def __repr__(self) -> str:
        seen = self.snapshot
        stands = ", ".join(f"{seen[status]} {status}" for status in Status if seen[status]) or "no rows"
        state = "over" if seen.is_over else f"running for {time.time() - seen.started_at:.0f} s"
        trouble = f"; trouble: {seen.trouble.message}" if seen.trouble and not seen.is_over else ""
        packed = f"{len(self)} rows in {seen.requests} requests, " if seen.requests != len(self) else ""
        return f"<Job {self.id} to {self.endpoint.endpoint_name}, {state}: {packed}{stands}{trouble}>"

    # Following it

    def wait(self, timeout: float | None = None) -> Job:
        """Wait until every request has come to an end, and show how it goes.

        An interrupt (Ctrl-C) ends the waiting, never the job.

        Parameters
        ----------
        timeout
            Seconds to wait at most; None waits as long as it takes.

        Returns
        -------
        Job
            This job, so that ``job.wait().results()`` reads well.

        Raises
        ------
        WaitTimeoutError
            If it takes longer; the job runs on.
        """
        give_up = None if timeout is None else time.monotonic() + timeout
        with self._progress() as show:
            for snapshot in self._newest.follow(give_up, every=1.0):
                show(snapshot)
        if not self.snapshot.is_over:
            raise WaitTimeoutError(f"After {timeout:g} s {self!r} is not over. It runs on; call job.wait() again.")
        self._raise_what_stopped_it()
        return self

    def changes(self) -> Both[Snapshot]:
        """Snapshots as they come, for ``for`` and ``async for``; always the newest, the last when the job is over."""
        return Both(self._newest.follow, self._newest.follow_async)

    def as_completed(self) -> Both[pd.DataFrame]:
        """Frames of the rows whose outputs have come, as they come, for ``for`` and ``async for``.

        Every completed row is in one of the frames, on its own index label.
        """
        return Both(self._completed, self._completed_async)

    def __await__(self) -> Generator[Any, None, Job]:
        return self._wait_async().__await__()

    # Looking at rows

    @overload
    def results(
        self,
        *,
        join: bool = False,
        output: str | Pick | None = None,
        dtype: Any = None,
        explode: bool = False,
        errors: str = "coerce",
        into: None = None,
    ) -> pd.DataFrame: ...

    @overload
    def results(
        self,
        *,
        output: str | Pick | None = None,
        dtype: Any = None,
        explode: bool = False,
        errors: str = "coerce",
        into: str | Path,
    ) -> list[str]: ...

    def results(
        self,
        *,
        join: bool = False,
        output: str | Pick | None = None,
        dtype: Any = None,
        explode: bool = False,
        errors: str = "coerce",
        into: str | Path | None = None,
    ) -> pd.DataFrame | list[str]:
        """The decoded outputs, one row for each submitted row, on the submitted index and in its order.

        A dict's keys become columns, any other answer the column ``output``. A row without an answer, yet or for
        good, has missing values; see :meth:`failures`. Outputs are fetched once, and only when they are asked for.

        Parameters
        ----------
        join
            Put the submitted columns before the outputs, row by row, which works for an index with duplicates too.
            An output column whose name is taken gets ``_output`` behind it.
        output
            Which part of a row's answer is wanted: a JMESPath (``"predictions[0].score"``), a function of the decoded
            answer, or ``"raw"`` for the bytes of the request's answer. Where rows share a request, its answer has
            been split by then, and this sees the row's own part.
        dtype
            The columns' types, as for ``DataFrame.astype``.
        explode
            Make as many rows of an answer as it has items, each with the row's index label.
        errors
            ``"coerce"`` leaves rows without an answer missing, ``"ignore"`` leaves them out, and ``"raise"`` raises
            for the first row that has failed.

        into
            A folder or an S3 URI: write Parquet files there, a part after the other in row order, without holding the
            answers in memory, and return where they lie. Parts that are there already are never overwritten.

        Raises
        ------
        InferenceFailedError, InvocationExpiredError, RequestError
            With ``errors="raise"``, for the first row that has failed, with its label and the model's own words.
        """
        shape = Shape(output=output, dtype=dtype, explode=explode, errors=errors)
        if into is not None:
            return self._written(into, shape, join=join)
        self._load_outputs(np.arange(len(self._batch)))
        if errors == "raise":
            self._raise_first_failure()
        rows, index = np.arange(len(self)), self._batch.frame.index
        if not join:
            return self._answers.frame(rows, index, shape)
        outputs = self._answers.frame(rows, pd.RangeIndex(len(self)), shape)
        return _joined(self._batch.frame, outputs).set_axis(index[outputs.index])

    def _written(self, into: str | Path, shape: Shape, *, join: bool) -> list[str]:
        if join or shape.errors == "raise":
            raise RequestError("into= writes the outputs of all rows; join=True and errors='raise' are not for it.")
        with self._fetching:
            return background.run(self._write_parts(into, shape))

    async def _write_parts(self, into: str | Path, shape: Shape) -> list[str]:
        written: list[str] = []
        async with open_storage(self._session) as storage:
            target = Target(into, storage)
            await target.check()
            known = self._answers.has_value.copy()  # what was there before stays
            for rows, requests, finished in parts(self._batch.packing, len(self)):
                missing = self._answers.missing(self._completed_among(requests))
                await self._answers.fetch_outputs(
                    storage, missing.tolist(), self._locations("output_location", missing)
                )
                frame = self._answers.frame(rows, self._batch.frame.index[rows], shape)
                written.append(await target.write(len(written), frame))
                self._answers.forget(finished[~known[finished]])
        return written

    def table(self) -> pd.DataFrame:
        """One line for each row: how it stands, its times, its latency in seconds, its error, and its locations."""
        return self._table(np.arange(len(self)))

    def failures(self) -> pd.DataFrame:
        """The lines of :meth:`table` that ended badly, with the model's own words in ``error``.

        A completed row whose output cannot be read, or not be split among the rows of its request, is among them once
        :meth:`results` has fetched it.
        """
        with self._lock:
            failed = self._ledger.where(Status.FAILED)
            bad = self._ledger.where(Status.FAILED, Status.EXPIRED, Status.REJECTED)
        self._load_failures(failed)
        return self._table(self._rows_of(np.union1d(bad, self._undecodable())))

    def _rows_of(self, requests: IntArray) -> IntArray:
        """The rows that these requests answer, in the frame's order."""
        of = self._batch.packing.request_of(np.arange(len(self)))
        return np.flatnonzero(np.isin(of, requests))

    def _raise_first_failure(self) -> None:
        failures = self.failures()
        if len(failures):
            first = failures.iloc[0]
            ending = "unreadable" if first["status"] == str(Status.COMPLETED) else first["status"]
            others = f" {len(failures) - 1} more did not end well." if len(failures) > 1 else ""
            raise _ERRORS.get(first["status"], InferenceFailedError)(
                f"Row {label(failures.index, 0)}, {ending}: {first['error']}{others} job.failures() has them all."
            )

    # The engine

    async def _run(self) -> None:
        concurrency = self._limits.concurrency
        async with (
            open_storage(self._session, concurrency=concurrency) as storage,
            open_runtime(self._session, concurrency=concurrency) as runtime,
        ):
            engine = Engine(
                batch=self._batch,
                layout=self._layout,
                ledger=self._ledger,
                lock=self._lock,
                connections=Connections(storage=storage, runtime=runtime),
                limits=self._limits,
                now=time.time,
                publish=self._newest.publish,
            )
            await engine.run()

    def _raise_what_stopped_it(self) -> None:
        background.settle()
        if self._running is not None and not self._running.cancelled() and (error := self._running.exception()):
            raise error

    # Waiting

    async def _wait_async(self) -> Job:
        async for _ in self._newest.follow_async():
            pass
        self._raise_what_stopped_it()
        return self

    def _completed(self) -> Iterator[pd.DataFrame]:
        given = np.zeros(len(self._batch), dtype=np.bool_)
        for _ in self._newest.follow():
            fresh = self._fresh(given)
            if fresh.size:
                self._load_outputs(fresh)
                yield self._given(fresh, given)

    async def _completed_async(self) -> AsyncIterator[pd.DataFrame]:
        given = np.zeros(len(self._batch), dtype=np.bool_)
        async for _ in self._newest.follow_async():
            fresh = self._fresh(given)
            if fresh.size:
                await asyncio.wrap_future(background.start(self._fetch_outputs(fresh)))
                yield self._given(fresh, given)

    def _fresh(self, given: Any) -> IntArray:
        with self._lock:
            completed = self._ledger.where(Status.COMPLETED)
        return np.asarray(completed[~given[completed]], dtype=np.int64)

    def _given(self, fresh: IntArray, given: Any) -> pd.DataFrame:
        given[fresh] = True
        rows = self._rows_of(fresh)
        return self._answers.frame(rows, self._batch.frame.index[rows])

    # Fetching

    def _completed_among(self, requests: IntArray) -> IntArray:
        with self._lock:
            is_completed = self._ledger.status[requests] == Status.COMPLETED
        return np.asarray(requests[is_completed], dtype=np.int64)

    def _load_outputs(self, requests: IntArray) -> None:
        completed = self._completed_among(requests)
        if self._answers.missing(completed).size:
            _run_alone(self._fetching, self._fetch_outputs(completed))

    def _load_failures(self, failed: IntArray) -> None:
        if any(request not in self._answers.messages for request in failed.tolist()):
            _run_alone(self._fetching, self._fetch_failures(failed))

    async def _fetch_outputs(self, requests: IntArray) -> None:
        missing = self._answers.missing(requests)
        async with open_storage(self._session) as storage:
            locations = self._locations("output_location", missing)
            await self._answers.fetch_outputs(storage, missing.tolist(), locations)

    async def _fetch_failures(self, requests: IntArray) -> None:
        missing = [request for request in requests.tolist() if request not in self._answers.messages]
        async with open_storage(self._session) as storage:
            locations = self._locations("failure_location", np.array(missing, dtype=np.int64))
            await self._answers.fetch_failures(storage, missing, locations)

    def _locations(self, name: str, requests: IntArray) -> list[str]:
        with self._lock:
            return self._ledger.texts[name].take(requests)

    def _table(self, rows: IntArray) -> pd.DataFrame:
        requests = self._batch.packing.request_of(rows)
        with self._lock:
            told = columns_of(self._ledger, requests)
        told["error"] = errors_of(self._ledger, requests, self._answers.messages)
        places = [self._batch.input_location(request, self._layout) for request in requests.tolist()]
        told["input_location"] = texts(places)
        return pd.DataFrame(told, index=self._batch.frame.index[rows])

    def _undecodable(self) -> IntArray:
        with self._lock:
            completed = self._ledger.where(Status.COMPLETED)
        told = np.array(sorted(self._answers.messages), dtype=np.int64)
        return np.intersect1d(completed, told)


_ERRORS: dict[str, type[SmAsyncError]] = {
    str(Status.FAILED): InferenceFailedError,
    str(Status.EXPIRED): InvocationExpiredError,
    str(Status.REJECTED): RequestError,
}


def _run_alone(lock: threading.Lock, work: Coroutine[Any, Any, None]) -> None:
    """Two threads that ask for the same outputs at once fetch them once."""
    with lock:
        background.run(work)


def _joined(submitted: pd.DataFrame, outputs: pd.DataFrame) -> pd.DataFrame:
    """The submitted rows beside their outputs, whose index is their place in the frame: labels may repeat."""
    taken = {name: f"{name}_output" for name in outputs.columns if name in submitted.columns}
    beside = submitted.iloc[outputs.index].set_axis(pd.RangeIndex(len(outputs)))
    return pd.concat([beside, outputs.rename(columns=taken).set_axis(beside.index)], axis="columns")
