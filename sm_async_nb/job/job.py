"""The thing a submit returns: one job, whatever thread it runs on and however often it is looked at."""

from __future__ import annotations

import asyncio
import threading
import time
import warnings
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, overload

import numpy as np
import pandas as pd

from sm_async_nb.aws.endpoint import Endpoint, look_at_endpoint
from sm_async_nb.aws.metering import Meter, MeteredStorage
from sm_async_nb.aws.session import Session
from sm_async_nb.aws.storage import Storage, StorageChoice, open_storage
from sm_async_nb.core.asked import Asked, differences
from sm_async_nb.core.batch import Batch
from sm_async_nb.core.columns import BoolArray, IntArray
from sm_async_nb.core.flags import check_flags
from sm_async_nb.core.ledger import Ledger, Snapshot, Status
from sm_async_nb.errors import JobInUseError, RequestError, SmAsyncError, TooManyFailuresError, WaitTimeoutError
from sm_async_nb.job import background
from sm_async_nb.job.choice import chosen
from sm_async_nb.job.cleanup import Cleanup, Doomed, doomed
from sm_async_nb.job.continuing import refuse_changes
from sm_async_nb.job.course import Course
from sm_async_nb.job.document import Document, Settings
from sm_async_nb.job.faces import Faces
from sm_async_nb.job.following import Both, Newest, first_snapshot
from sm_async_nb.job.interrupts import explain
from sm_async_nb.job.lease import Lease
from sm_async_nb.job.opening import Opened
from sm_async_nb.job.papers import Papers
from sm_async_nb.job.reports import Reports
from sm_async_nb.job.shape import Pick, Shape
from sm_async_nb.job.stats import Stats
from sm_async_nb.job.watching import Watcher

ShowProgress = Callable[[Snapshot], None]
Item = TypeVar("Item")

_CANCELLED = "cancelled"


@dataclass(frozen=True)
class Cancelled:
    """What cancelling came to: requests that will not be sent, and those that the service still holds.

    ``is_kept`` says whether another kernel will know of it, which it does not while the job is paused.
    """

    not_sent: int
    held: int
    is_kept: bool = True

    def __str__(self) -> str:
        held = f"The service holds {self.held:,} more, which nobody can take back: their answers are still followed."
        told = f"{self.not_sent:,} requests will not be sent. {held if self.held else 'The service holds none.'}"
        return told if self.is_kept else f"{told} The job is paused: only this kernel knows, until job.resume()."

    __repr__ = __str__


class Job:
    """Rows of a frame on their way through an asynchronous endpoint.

    Made by ``df.sm_async.submit(...)`` or :func:`sm_async_nb.attach`. The job runs on a thread of its own; every method
    here may be called at any time, from any thread, and looks at what is known by then. What is known lies in S3, so
    that another kernel can go on when this one has gone.
    """

    def __init__(
        self,
        opened: Opened,
        *,
        session: Session,
        lease: Lease | None,
        meter: Meter,
        progress: Callable[[], AbstractContextManager[ShowProgress]],
        stopped: str | None = None,
        storage: StorageChoice = "auto",
    ) -> None:
        self._papers: Papers = opened.papers
        self._document: Document = opened.document
        self._session = session
        self._storage: StorageChoice = storage
        self._progress = progress
        self._ledger: Ledger = opened.ledger
        self._lock = threading.Lock()
        self._meter = meter
        self._reports = Reports(opened.papers, opened.ledger, self._lock, self._open_storage)
        self._newest = Newest(first_snapshot(opened.ledger, stopped))
        self._endpoint: Endpoint | None = None
        self._watched: Future[None] | None = None
        self._next_segment = opened.beginning.next_segment
        # The displays that follow it add themselves.
        self.faces: Faces = Faces()
        self._course: Course | None = None
        if lease is not None:
            self._course = Course(
                opened.papers,
                opened.ledger,
                self._lock,
                session=session,
                meter=meter,
                lease=lease,
                newest=self._newest,
                beginning=opened.beginning,
                heard=self._reports.hear,
                take_body=self._reports.take_body,
                storage=storage,
            )

    def start(self) -> None:
        """Set the engine going, or begin to watch. ``submit`` and ``attach`` do it."""
        if self._course is not None:
            self._course.start()
        else:
            self._newest.begin()
            self._watched = background.start(self._watch())
            self._watched.add_done_callback(lambda _: self._newest.end())

    def send_again(self, requests: IntArray) -> None:
        """Before the start: these are to be sent once more, if any; what failed before is forgiven."""
        if self._course is not None:
            self._course.engine.retry(requests)

    def leave(self) -> None:
        """Stop following the job in this kernel, so that another can at once. The service goes on with what it has."""
        if self._course is not None:
            self._course.leave()
        elif self._watched is not None:
            self._watched.cancel()

    # What it is and how it stands

    @property
    def id(self) -> str:
        """The job's name, unique below its input prefix."""
        return self._papers.layout.job_id

    @property
    def uri(self) -> str:
        """Where the job lies in S3."""
        return f"{self._papers.layout.home}/"

    @property
    def endpoint_name(self) -> str:
        """Whom the requests go to."""
        return self._papers.endpoint_name

    @property
    def endpoint(self) -> Endpoint:
        """The endpoint as it is now: in service or not, asleep or not, its backlog, its paths and topics.

        Asks SageMaker and CloudWatch each time; where they cannot be asked, it is what was known before.

        Raises
        ------
        SmAsyncError
            If it was never known, and cannot be asked now.
        """
        try:
            self._endpoint = look_at_endpoint(self._session, self.endpoint_name, now=time.time())
        except SmAsyncError:
            if self._endpoint is None:
                raise
        return self._endpoint

    @property
    def tags(self) -> dict[str, str]:
        """What was given as ``tags=``."""
        return dict(self._document.tags)

    @property
    def note(self) -> str:
        """What was given as ``note=``."""
        return self._document.note

    @property
    def is_read_only(self) -> bool:
        """Whether this kernel only watches what another one does."""
        return self._course is None

    @property
    def _has_left(self) -> bool:
        return self._course is not None and self._course.has_left

    @property
    def is_at_work(self) -> bool:
        """Whether the job is followed, or watched, by this kernel and not over."""
        return not self.snapshot.is_over

    def does(self, asked: Asked, batch: Batch, settings: Settings) -> bool:
        """Whether this is what the job does already."""
        mine = self._papers.batch
        return (
            not self.is_read_only
            and not differences(self._document.asked, asked)
            and self._document.settings == settings
            and len(mine.frame) == len(batch.frame)
            and mine.frame.index.equals(batch.frame.index)
            and bool((mine.fingerprints == batch.fingerprints).all())
        )

    def refuse_changes(self, asked: Asked) -> None:
        """Raise JobChangedError, with the difference, if the job was asked for otherwise."""
        refuse_changes(self._document, asked)

    @property
    def snapshot(self) -> Snapshot:
        """How many requests stand where, as last published."""
        return self._newest.snapshot

    def __len__(self) -> int:
        """How many rows were submitted."""
        return len(self._papers.batch.frame)

    def __repr__(self) -> str:
        seen = self.snapshot
        stands = ", ".join(f"{seen[status]} {status}" for status in Status if seen[status]) or "no rows"
        packed = f"{len(self)} rows in {seen.requests} requests, " if seen.requests != len(self) else ""
        state = "not followed here any more" if self._has_left else _state(seen)
        return f"<Job {self.id} to {self.endpoint_name}, {state}: {packed}{stands}{_remark(seen)}>"

    def stats(self) -> Stats:
        """What this kernel's calls to AWS came to: how many of each, bytes, S3's fee, and throttles."""
        return Stats.of(self._meter)

    # Following it

    def wait(self, timeout: float | None = None) -> Job:
        """Wait until every request has come to an end, and show how it goes.

        An interrupt (Ctrl-C) ends the waiting, never the job, and says how to come back.

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
        RequestError, EndpointError
            If the job is paused, since somebody has to do something first; then :meth:`resume`.
        TooManyFailuresError
            If it stopped itself, as ``max_failures`` asks.
        """
        give_up = None if timeout is None else time.monotonic() + timeout
        with self._explained_interrupts(), self._progress() as show:
            for snapshot in self._newest.follow(give_up, every=1.0):
                show(snapshot)
                if snapshot.paused is not None:
                    break
        self._raise_what_stopped_it()
        if not self.snapshot.is_over:
            raise WaitTimeoutError(f"After {timeout:g} s {self!r} is not over. It runs on; call job.wait() again.")
        return self

    def changes(self) -> Both[Snapshot]:
        """Snapshots as they come, for ``for`` and ``async for``; always the newest, the last when the job is over.

        An interrupt while it waits for the next is as that of :meth:`wait`.
        """
        return Both(
            lambda: self._explained(self._newest.follow()), lambda: self._explained_async(self._newest.follow_async())
        )

    def as_completed(self) -> Both[pd.DataFrame]:
        """Frames of the rows whose outputs have come, as they come, for ``for`` and ``async for``.

        Every completed row is in one of the frames, on its own index label. An interrupt while it waits for the next
        is as that of :meth:`wait`.
        """
        return Both(lambda: self._explained(self._completed()), lambda: self._explained_async(self._completed_async()))

    def __await__(self) -> Generator[Any, None, Job]:
        return self._wait_async().__await__()

    # Acting on it

    def retry(self, *, status: Any = None, error_class: Any = None, rows: Any = None) -> int:
        """Send requests again that ended badly, a new attempt each; the job runs again if it was over.

        Parameters
        ----------
        status
            Only those with this status, or one of these: ``failed``, ``expired``, ``rejected``, ``cancelled``. All but
            the cancelled by default.
        error_class
            Only those with this class of error, or one of these: ``rejected``, ``model_4xx``, ``model_5xx``,
            ``model_error``, ``expired``; see the column of :meth:`table`.
        rows
            Only those that answer these rows: index labels, a frame such as a part of :meth:`failures`, or a boolean
            for each row.

        Returns
        -------
        int
            How many requests are sent again.

        Raises
        ------
        RequestError
            If a row is unknown, or did not end badly.
        JobInUseError
            If this kernel only watches, or another one has the job.
        """
        course = self._writer()
        requests = chosen(self._papers, self._ledger, self._reports, status=status, error_class=error_class, rows=rows)
        return int(course.tell(lambda engine: engine.retry(requests)).size) if requests.size else 0

    def cancel(self) -> Cancelled:
        """Send nothing more, at once. What the service holds it will answer; there is no way to take it back.

        Returns
        -------
        Cancelled
            How many requests will not be sent, and how many the service still holds.
        """
        course = self._writer()
        if not course.is_running:
            return Cancelled(0, 0)
        not_sent = course.tell(lambda engine: engine.stop(_CANCELLED))
        with self._lock:
            counts = self._ledger.counts
        unsent = counts[Status.PLANNED] + counts[Status.UPLOADED]
        is_paused = self.snapshot.paused is not None
        return Cancelled(not_sent, counts[Status.ACCEPTED] + unsent - not_sent, is_kept=not is_paused)

    def resume(self, session: Session | None = None) -> Job:
        """Go on after a pause: with new credentials, or when the endpoint is there again.

        Parameters
        ----------
        session
            A boto3 session to go on with; by default the same, whose credentials are looked up anew.
        """
        course = self._writer()
        self._session = session or self._session
        course.resume(session)
        return self

    def go_on(self, session: Session | None) -> Job:
        """Resume it if it is paused: whoever asks for a job again wants it to run."""
        return self.resume(session) if self.snapshot.paused is not None else self

    def cleanup(self, *, inputs: bool = True, outputs: bool = False, dry_run: bool = True) -> Cleanup:
        """Delete what the job has left in S3, or say what would be deleted.

        Parameters
        ----------
        inputs
            The inputs that were uploaded for requests which have ended. They are uploaded again for a retry.
        outputs
            The outputs and failures. What was not fetched before is gone then. Those of earlier attempts, and of rows
            that the job had before it went on with others, stay.
        dry_run
            Only count. Nothing is deleted before this is False.

        Returns
        -------
        Cleanup
            How many objects, and bytes of inputs.
        """
        check_flags("Nothing was deleted.", inputs=inputs, outputs=outputs, dry_run=dry_run)
        course = self._writer()
        if inputs and self._papers.asked.payload_is_lost and not dry_run:
            raise RequestError(
                "The payloads of this job were made by a function that is not here, so inputs that are deleted could"
                " not be made again. Nothing was deleted."
            )
        found: Doomed = background.run(self._doomed(inputs=inputs, outputs=outputs))
        if not dry_run:
            if found.requests.size:
                # Recorded before it is done: a retry must not count on an input that is gone.
                found = found.of(course.tell(lambda engine: engine.note_deleted_inputs(found.requests)))
                course.wait_until_recorded()
            background.run(self._delete(found))
        return Cleanup(
            inputs=len(found.inputs), input_bytes=sum(found.sizes), outputs=len(found.outputs), is_done=not dry_run
        )

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
        good, has missing values; see :meth:`failures`. While some are on their way a warning says how many. Outputs
        are fetched once, and only when they are asked for.

        Parameters
        ----------
        join
            Put the submitted columns before the outputs, row by row, which works for an index with duplicates too.
            An output column whose name is taken gets ``_output`` behind it.
        output
            Which part of a row's answer is wanted: a JMESPath (``"predictions[0].score"``), a function of the decoded
            answer, or ``"raw"`` for the bytes of the request's answer. Where rows share a request, its answer has
            been split by then, and this sees the row's own part. A path has to be in the answers, where it may be
            null; what may be missing stands in ``not_null(score, `null`)``.
        dtype
            The columns' types, as for ``DataFrame.astype``; a column that no answer has is refused.
        explode
            Make as many rows of an answer as it has items, each with the row's index label.
        errors
            ``"coerce"`` leaves rows without an answer missing, ``"ignore"`` leaves them out, and ``"raise"`` raises
            for the first row that has failed, or whose answer the path does not fit.
        into
            A folder or an S3 URI: write Parquet files there, a part after the other in row order, without holding the
            answers in memory, and return where they lie. Parts that are there already are never overwritten. Whether
            ``output`` and ``dtype`` fit any answer is decided by the first part that has one.

        Warns
        -----
        SmAsyncWarning
            If the path is in some answers and not in others, or if an output cannot be read.

        Raises
        ------
        RequestError
            If the path, or a column of ``dtype``, is in none of the answers; with the nearest that is there.
        InferenceFailedError, InvocationExpiredError, RequestError
            With ``errors="raise"``, for the first row that has failed, with its label and the model's own words.
        """
        check_flags(join=join)
        shape = Shape(output=output, dtype=dtype, explode=explode, errors=errors)
        if into is None:
            _warn_of_what_is_on_its_way(self.snapshot)
            return self._reports.results(shape, join=join)
        if join or shape.errors == "raise":
            raise RequestError("into= writes the outputs of all rows; join=True and errors='raise' are not for it.")
        return self._reports.write_results(into, shape)

    def table(self) -> pd.DataFrame:
        """One line for each row: how it stands, its times, its latency in seconds, its error, and its locations.

        ``error_class`` sorts bad endings by what helps: ``rejected`` by InvokeEndpointAsync, ``model_4xx``,
        ``model_5xx``, ``model_error`` (which does not say), ``expired``, ``unreadable``. What a model said about a
        failure, and so its class, is read by :meth:`failures`; until then it is missing.

        ``accepted_at`` is the time of the kernel that sent the row, and ``finished_at`` S3's date of the answer, which
        is of the whole second: it may lie up to a second before ``accepted_at``, and the latency is 0 then.
        """
        return self._reports.table()

    def failures(self) -> pd.DataFrame:
        """The lines of :meth:`table` that ended badly, with the model's own words in ``error``.

        A completed row whose output cannot be read, or not be split among the rows of its request, is among them once
        :meth:`results` has fetched it.
        """
        return self._reports.failures()

    def freeze(self) -> None:
        """Leave HTML and text alone in every output that shows this job, as it stands now.

        They need no kernel and no extension: what a notebook is to keep when it is saved, sent on or committed. The
        job runs on; ``job`` shows it live again.

        Examples
        --------
        >>> job.wait().freeze()  # doctest: +SKIP
        """
        for face in list(self.faces):
            face.freeze()
            self.faces.discard(face)

    # The other side of it

    def _writer(self) -> Course:
        if self._course is None:
            raise JobInUseError(
                f"Job {self.id} is only watched here. Attach to it without read_only=True to act on it."
            )
        if self._course.has_left:
            raise JobInUseError(f"Job {self.id} is not followed here any more; attach to {self.uri} again.")
        return self._course

    @asynccontextmanager
    async def _open_storage(self) -> AsyncIterator[Storage]:
        terms = self._papers.storage_terms
        async with open_storage(self._session, terms=terms, storage=self._storage) as storage:
            yield MeteredStorage(storage, self._meter)

    async def _watch(self) -> None:
        watcher = Watcher(
            self._papers,
            self._ledger,
            self._lock,
            next_segment=self._next_segment,
            publish=self._newest.publish,
            heard=self._reports.hear,
        )
        async with self._open_storage() as storage:
            await watcher.run(storage)

    async def _doomed(self, *, inputs: bool, outputs: bool) -> Doomed:
        async with self._open_storage() as storage:
            return await doomed(storage, self._papers, self._ledger, inputs=inputs, outputs=outputs)

    async def _delete(self, found: Doomed) -> None:
        async with self._open_storage() as storage:
            await storage.delete([*found.inputs, *found.outputs])

    # Waiting

    def _raise_what_stopped_it(self) -> None:
        if self.snapshot.is_over:
            background.settle()
        error = self._what_stopped_it()
        if error is not None:
            raise error
        seen = self.snapshot
        if seen.is_over and seen.stopped not in (None, _CANCELLED):
            raise TooManyFailuresError(
                f"Job {self.id} went wrong: {seen.stopped}. {_what_was_not_sent(seen)}What has come is in job.results()"
                " and job.failures()."
            )

    def _what_stopped_it(self) -> BaseException | None:
        if self._course is not None:
            self._writer()
            return self._course.what_stopped_it()
        watched = self._watched
        return watched.exception() if watched is not None and watched.done() and not watched.cancelled() else None

    async def _wait_async(self) -> Job:
        with self._explained_interrupts():
            async for snapshot in self._newest.follow_async():
                if snapshot.paused is not None:
                    break
        self._raise_what_stopped_it()
        return self

    @contextmanager
    def _explained_interrupts(self) -> Iterator[None]:
        try:
            yield
        except (KeyboardInterrupt, asyncio.CancelledError) as interrupt:
            explain(interrupt, self.snapshot, job_id=self.id, uri=self.uri)
            raise

    def _explained(self, items: Iterator[Item]) -> Iterator[Item]:
        with self._explained_interrupts():
            yield from items

    async def _explained_async(self, items: AsyncIterator[Item]) -> AsyncIterator[Item]:
        with self._explained_interrupts():
            async for item in items:
                yield item

    def _completed(self) -> Iterator[pd.DataFrame]:
        given = self._none_given()
        for snapshot in self._newest.follow():
            fresh = self._reports.completed(given)
            if fresh.size:
                self._reports.load_outputs(fresh)
                yield self._given(fresh, given)
            if snapshot.paused is not None:
                self._raise_what_stopped_it()

    async def _completed_async(self) -> AsyncIterator[pd.DataFrame]:
        given = self._none_given()
        async for snapshot in self._newest.follow_async():
            fresh = self._reports.completed(given)
            if fresh.size:
                await asyncio.wrap_future(background.start(self._reports.fetch_outputs(fresh)))
                yield self._given(fresh, given)
            if snapshot.paused is not None:
                self._raise_what_stopped_it()

    def _none_given(self) -> BoolArray:
        return np.zeros(len(self._papers.batch), dtype=np.bool_)

    def _given(self, fresh: IntArray, given: BoolArray) -> pd.DataFrame:
        given[fresh] = True
        return self._reports.frame_of(fresh)


def _warn_of_what_is_on_its_way(seen: Snapshot) -> None:
    if seen.ended < seen.requests:
        warnings.warn(
            f"{seen.requests - seen.ended:,} of {seen.requests:,} requests are still on their way; their rows have no"
            " answers yet. job.wait() waits for them.",
            stacklevel=3,
        )


def _what_was_not_sent(seen: Snapshot) -> str:
    left = seen[Status.CANCELLED]
    return f"{left:,} requests were not sent; job.retry(status='cancelled') sends them. " if left else ""


def _state(seen: Snapshot) -> str:
    if seen.is_over:
        return "over"
    return "paused" if seen.paused else f"running for {time.time() - seen.started_at:.0f} s"


def _remark(seen: Snapshot) -> str:
    if seen.paused is not None:
        return f"; paused: {seen.paused.message}"
    if seen.stopped is not None:
        return f"; stopped: {seen.stopped}"
    return f"; trouble: {seen.trouble.message}" if seen.trouble and not seen.is_over else ""
