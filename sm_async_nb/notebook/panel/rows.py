"""The rows of a job as a table shows them: few at a time as texts, all of them as columns to sort and filter by."""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from sm_async_nb.core.columns import BoolArray, FloatArray, IntArray
from sm_async_nb.core.ledger import Snapshot, Status
from sm_async_nb.core.problems import label
from sm_async_nb.core.verdict import verdict_of
from sm_async_nb.job import peek
from sm_async_nb.job.job import Job
from sm_async_nb.notebook.panel import window

# The columns of the table: their names, which are sorted by, and their titles.
COLUMNS = (
    ("index", "Index"),
    ("status", "Status"),
    ("attempt", "Attempt"),
    ("submitted", "Submitted"),
    ("latency", "Latency"),
    ("payload", "Payload"),
    ("answer", "Answer or error"),
)
# A status is told by its word, by an icon, and only then by a colour.
ICONS = ("○", "△", "◔", "✓", "✗", "⧖", "⊘", "□")
WORDS = tuple(str(status) for status in Status)

_HEAD_CHARACTERS = 60
_REMEMBERED = 4_000
_RATE_SECONDS = 15.0

# What stands where an answer is that nobody has fetched: it is on its way, or nobody has asked for it.
ON_ITS_WAY, NOT_FETCHED = "…", "not fetched"
# The mark of such a line, so that nobody takes the words for the answer.
UNREAD = "unread"

# What has an answer of the model's, be it an error. That a deadline has passed has a time too, which is no latency.
_ANSWERED = (Status.COMPLETED, Status.FAILED)

# A line of the table: the row's place, its label, status, attempt, time, latency, payload and answer, and its mark.
Line = list[Any]


class JobRows:
    """A job as rows of texts and columns of numbers; nothing here asks AWS."""

    columns = COLUMNS

    def __init__(self, job: Job) -> None:
        self.job = job
        self._index = peek.frame(job).index
        self._requests = None if peek.is_one_row_each(job) else peek.request_of(job, np.arange(len(job)))
        self._rows_each = None if self._requests is None else np.bincount(self._requests)
        self._payloads: OrderedDict[int, str] = OrderedDict()
        self._labels: Any = None
        self._places: IntArray | None = None
        self._found: tuple[str, BoolArray] = ("", np.zeros(0, dtype=np.bool_))
        self._pace: deque[tuple[float, int]] = deque()
        self._counted: tuple[int, list[int]] = (-1, [])
        self._spanned: tuple[Any, tuple[float, float]] = (None, (np.inf, -np.inf))
        # Whether the answers in sight are fetched unasked.
        self.is_fetching: Callable[[], bool] = lambda: False
        # What has come of the last thing that somebody did, for who hears the state read.
        self.said = ""

    def __len__(self) -> int:
        return len(self._index)

    @property
    def revision(self) -> Any:
        """Changes whenever a line may have changed."""
        return peek.revision(self.job), self.job.snapshot, self.is_fetching()

    # Columns

    def status(self) -> npt.NDArray[np.uint8]:
        """The status of each row."""
        return self._of_rows(peek.column(self.job, "status"))

    def latency(self) -> FloatArray:
        """Seconds from acceptance to the answer, NaN where there is none; S3 dates by the whole second."""
        return self._of_rows(self.latency_of_requests())

    def latency_of_requests(self) -> FloatArray:
        """The same for each request, since an answer may be that of many rows."""
        status = peek.column(self.job, "status")
        taken = answered_at(status, peek.column(self.job, "finished_at")) - peek.column(self.job, "accepted_at")
        return np.asarray(np.maximum(taken, 0), dtype=np.float64)

    def key(self, column: str) -> npt.NDArray[Any] | None:
        """Numbers to sort by; None for the submitted order."""
        if column == "index":
            if self._places is None:
                self._places = window.places(self._index)
            return self._places
        if column == "submitted":
            return self._of_rows(peek.column(self.job, "accepted_at"))
        if column == "payload":
            return self._of_rows(peek.payload_sizes(self.job))
        if column == "answer":
            return self._of_rows(window.ranks_of(peek.messages(self.job), len(peek.column(self.job, "status"))))
        if column in ("status", "attempt"):
            return self._of_rows(peek.column(self.job, column))
        return self.latency() if column == "latency" else None

    def matches(self, text: str) -> BoolArray:
        """Which rows have this text: in their label, their texts, their ids, or what went wrong."""
        if self._found[0] != text:
            self._found = (text, self._with_text(text))
        by_request = window.has_id(peek.parts(self.job, "inference_id"), text)
        by_request |= window.has_id(peek.parts(self.job, "request_id"), text)
        for request, message in peek.messages(self.job).items():
            by_request[request] |= text.lower() in message.lower()
        return np.asarray(self._found[1] | self._of_rows(by_request), dtype=np.bool_)

    def _with_text(self, text: str) -> BoolArray:
        if self._labels is None:
            self._labels = window.as_texts(self._index)
        found = window.has_text(self._labels, text)
        frame = peek.frame(self.job)
        for place in window.text_columns(frame):
            found |= window.has_text(window.as_texts(frame.iloc[:, place]), text)
        return found

    def _of_rows(self, column: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return column if self._requests is None else column[self._requests]

    def request_of(self, row: int) -> int:
        """The request that answers a row."""
        return row if self._requests is None else int(self._requests[row])

    def label_of(self, request: int) -> str:
        """The label of the first row that a request answers."""
        row = request if self._requests is None else int(np.argmax(self._requests == request))
        return short(label(self._index, row))

    # Lines

    def lines(self, rows: IntArray) -> list[Line]:
        """Some rows as they are shown."""
        requests = rows if self._requests is None else self._requests[rows]
        known = peek.lines(self.job, requests)
        finished_at = answered_at(known.status, known.finished_at)
        payloads, answers = self._payload_heads(rows), peek.answer_heads(self.job, rows)
        is_unread = (known.status == Status.COMPLETED) & np.isin(requests, peek.unread(self.job, requests))
        instead = ON_ITS_WAY if self.is_fetching() else NOT_FETCHED
        return [
            [
                row,
                short(label(self._index, row)),
                int(known.status[at]),
                str(known.attempt[at]),
                clock(known.accepted_at[at]),
                seconds(known.accepted_at[at], finished_at[at]),
                payloads[at],
                instead if is_unread[at] else said(known.messages[at]) or short(answers[at]),
                UNREAD if is_unread[at] else "",
            ]
            for at, row in enumerate(rows.tolist())
        ]

    def _payload_heads(self, rows: IntArray) -> list[str]:
        """Payloads do not change, so each is encoded for the first look only."""
        new = [row for row in rows.tolist() if row not in self._payloads]
        heads = peek.payload_heads(self.job, np.array(new, dtype=np.int64)) if new else []
        self._payloads.update(zip(new, map(short, heads), strict=True))
        told = [self._payloads[row] for row in rows.tolist()]
        while len(self._payloads) > _REMEMBERED:
            self._payloads.popitem(last=False)
        return told

    # The head

    def head(self) -> dict[str, Any]:
        """The counts of rows, and the figures in words."""
        seen, counts = self.job.snapshot, self.counts()
        told = f"{self.said} {words(seen, counts)}".strip()
        return {"counts": counts, "figures": self.figures(seen), "words": told, "over": seen.is_over}

    def counts(self) -> list[int]:
        """How many rows have which status; where requests share rows this is not how many requests have."""
        seen = self.job.snapshot
        if self._requests is None:
            return list(seen.counts)
        if self._counted[0] != seen.revision:
            status = peek.column(self.job, "status")
            found = np.bincount(status, weights=self._rows_each, minlength=len(Status))
            self._counted = seen.revision, found.astype(int).tolist()
        return self._counted[1]

    def figures(self, seen: Snapshot) -> str:
        """Share done, rate, time gone and left, calls and fee."""
        stats = self.job.stats()
        share = seen.ended / seen.requests if seen.requests else 1.0
        calls = sum(stats.calls.values())
        rows = "" if self._requests is None else f", {len(self):,} rows"
        told = [f"{seen.ended:,} of {seen.requests:,} requests ({share:.0%}){rows}", *self._times(seen)]
        return " · ".join(
            [*told, f"{calls:,} {'call' if calls == 1 else 'calls'}", f"S3 fee so far ${stats.s3_fee:,.4f}"]
        )

    def begun_at(self, seen: Snapshot) -> float:
        """When the job began, as far as it is known: what attaches to it begins later than the first request."""
        return min(self._span(seen)[0], seen.started_at)

    def _span(self, seen: Snapshot) -> tuple[float, float]:
        """When the first request was taken and the last one ended; looked up once a second, since there may be many."""
        wanted = seen.revision if seen.is_over else int(time.time())
        if self._spanned[0] != (seen.is_over, wanted):
            self._spanned = (seen.is_over, wanted), peek.span(self.job)
        return self._spanned[1]

    def _gone(self, seen: Snapshot) -> float:
        """Seconds from the job's beginning until its end, or until now."""
        last = self._span(seen)[1] if seen.is_over else time.time()
        return max((last if np.isfinite(last) else seen.at) - self.begun_at(seen), 0)

    def _times(self, seen: Snapshot) -> list[str]:
        gone = self._gone(seen)
        if seen.is_over:
            return [f"took {duration(gone)}"] if gone >= 1 else []
        if seen.paused is not None:
            return [f"{duration(gone)} gone"]
        rate = self._rate(seen)
        if not rate:
            return [f"{duration(gone)} gone", "time left unknown until answers come"]
        rows = "" if self._requests is None else f" ({rate * len(self) / seen.requests:,.1f} rows/s)"
        return [
            f"{rate:,.1f} requests/s{rows}",
            f"{duration(gone)} gone, about {duration((seen.requests - seen.ended) / rate)} left",
        ]

    def _rate(self, seen: Snapshot) -> float:
        """Answers a second over the last while; zero while none comes, as when an endpoint wakes."""
        now = time.time()
        if not self._pace or seen.ended != self._pace[-1][1] or now - self._pace[-1][0] >= 1:
            self._pace.append((now, seen.ended))
        while len(self._pace) > 1 and now - self._pace[0][0] > _RATE_SECONDS:
            self._pace.popleft()
        (then, before), (_, after) = self._pace[0], self._pace[-1]
        return (after - before) / max(now - then, 1) if after > before else 0.0


def words(seen: Snapshot, counts: Sequence[int]) -> str:
    """How the rows of a job stand, in one sentence for who hears it read."""
    told = ", ".join(f"{counts[status]:,} {status}" for status in Status if counts[status]) or "no rows"
    return f"{state(seen)}: {told}"


def state(seen: Snapshot) -> str:
    """The state of a job in a word or two."""
    if seen.is_over:
        return "over"
    if seen.paused is not None:
        return "paused"
    return "sending stopped" if seen.stopped else "running"


def at_rest(line: Line) -> Line:
    """A line for a page without a kernel, where nothing is on its way any more."""
    return [*line[:-2], NOT_FETCHED, UNREAD] if line[-1] == UNREAD else line


def short(text: str) -> str:
    """The head of a text, on one line."""
    line = " ".join(text[: 4 * _HEAD_CHARACTERS].split())
    return (
        line if len(line) <= _HEAD_CHARACTERS and len(text) <= 4 * _HEAD_CHARACTERS else f"{line[:_HEAD_CHARACTERS]}…"
    )


def said(message: str | None) -> str:
    """What an error comes to, on one line: the model's message without what is around it."""
    return short(verdict_of(message).message) if message else ""


def answered_at(status: npt.NDArray[np.uint8], finished_at: FloatArray) -> FloatArray:
    """When each was answered; NaN for what was not, though it has ended."""
    return np.where(np.isin(status, _ANSWERED), finished_at, np.nan)


def clock(at: float) -> str:
    """A time of day, UTC; nothing for what has not happened."""
    return "" if np.isnan(at) else f"{datetime.fromtimestamp(at, UTC):%H:%M:%S}"


def moment(at: float) -> str:
    """A date and time, UTC."""
    return "" if np.isnan(at) else f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S} UTC"


def seconds(accepted_at: float, finished_at: float) -> str:
    """A latency, no finer than it is known: S3 dates an answer by the second in which it came."""
    taken = finished_at - accepted_at
    if np.isnan(taken):
        return ""
    if finished_at % 1:
        return f"{max(taken, 0):.2f} s"
    return f"{taken + 0.5:.0f} s" if taken >= 0.5 else "< 1 s"  # noqa: PLR2004 - the middle of that second


def duration(taken: float) -> str:
    """Some time, as people say it."""
    minutes, rest = divmod(round(taken), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
