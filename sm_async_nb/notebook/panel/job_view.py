"""A job as it is shown in a notebook: head, table, what can be done about it, and what there is to know besides.

The view reads snapshots and decides nothing. A front end's messages are put in a queue; what asks AWS is an errand.
What a page without a kernel shows is in the same output, and is renewed once, when the job is over.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any
from weakref import WeakSet

import ipywidgets as widgets
import numpy as np

from sm_async_nb.aws.described import Endpoint
from sm_async_nb.core.columns import IntArray
from sm_async_nb.core.ledger import Snapshot, Status
from sm_async_nb.errors import SmAsyncError
from sm_async_nb.job import peek
from sm_async_nb.job.job import Job
from sm_async_nb.notebook.form.cells import Place, place_of_cell
from sm_async_nb.notebook.form.layout import close
from sm_async_nb.notebook.outside import for_show
from sm_async_nb.notebook.panel import html as panel_html
from sm_async_nb.notebook.panel.actions import Actions, name_of
from sm_async_nb.notebook.panel.detail import detail, needs_fetching, standing
from sm_async_nb.notebook.panel.events import Events
from sm_async_nb.notebook.panel.heads import Heads
from sm_async_nb.notebook.panel.pages import Pages
from sm_async_nb.notebook.panel.plain import PlainTable
from sm_async_nb.notebook.panel.rows import JobRows
from sm_async_nb.notebook.panel.screen import SCREEN, Screen, errand, guarded
from sm_async_nb.notebook.panel.table import Grid, Message, Table, from_json, to_json

_SLOWLY_SECONDS = 1.0
# A renewed output is drawn anew, and a key that is pressed meanwhile is lost; so nobody's hands are on it then.
_HANDS_OFF_SECONDS = 1.5
_ENDPOINT_SECONDS, _ASLEEP_SECONDS = 60.0, 20.0
# So many failures are read for the list of them without being asked; a GET each. After trouble, again so much later.
_READ_FAILURES, _READ_AGAIN_SECONDS = 100, 10.0

_views: WeakSet[JobView] = WeakSet()


class JobView:
    """One display of a job. Several of the same job do not know of each other.

    Parameters
    ----------
    screen
        The thread that draws; the kernel's own if not said.
    """

    # Whether a front end of this kernel has shown our table before, so that it need not be waited for.
    has_table = False

    def __init__(self, job: Job, *, screen: Screen = SCREEN) -> None:
        self.job, self._screen = job, screen
        self.endpoint: Endpoint | None = None
        self._asked_at, self._drawn_at = 0.0, 0.0
        # The failures that were read, by request and attempt.
        self._failures_read: set[tuple[int, int]] = set()
        self._is_reading, self._read_again_at = False, 0.0
        self._update: Callable[..., object] | None = None
        # The thread that draws may be about to renew the output while somebody freezes it; what is frozen comes last.
        self._renewing = threading.Lock()
        self._is_saved = self._is_frozen = False
        # Whether what is sent from other threads than the kernel's own is missed, as in Colab.
        self._is_missed, self._resend_at = False, 0.0
        self._touched_at = -_HANDS_OFF_SECONDS
        self._details: dict[str, Message] = {}
        # The row that was opened last: in which view, which, and how it stood then.
        self._opened: tuple[str, int, object] | None = None
        self._fetching = threading.Lock()
        # Where it is shown, as far as that is known; see :func:`place_of_cell`.
        self.place: Place = ("", 0)
        self.rows = JobRows(job)
        self.table = Table(self.rows, self._send)
        self.events = Events(job.snapshot, self.rows.begun_at(job.snapshot))
        self.grid = Grid(self.hear, saved=self.table.saved(), uri=job.uri)
        self.plain = PlainTable(self.rows, self.table, lambda: screen.call(self._draw_plain))
        self.actions = Actions(job, tell=self.say, acted=lambda: screen.add(self))
        self.head = widgets.HTML(panel_html.head(job, None)).add_class("sma-html")
        self.said = widgets.Label(layout={"display": "none"}).add_class("sma-said")
        self.heads = Heads(job, self._in_sight, fetched=lambda: screen.call(self.table.refresh), tell=self.say)
        self.rows.is_fetching = lambda: self.heads.goes_on
        self.fetches = widgets.Checkbox(
            value=for_show("fetch_answers"), description="Fetch the answers in sight, a GET each", indent=False
        )
        self.fetches.observe(lambda _: screen.call(self._switch_heads), names="value")
        self._switch_heads()
        self.pages = Pages(
            {
                "Latency": lambda: panel_html.histogram(self.rows.latency_of_requests()),
                "Failures": lambda: panel_html.failures(self.rows),
                "Events": lambda: panel_html.events(tuple(self.events.told)),
            },
            soon=lambda: screen.call(self.pages.refresh),
        )
        self._grid_box = widgets.VBox([self.grid])
        self._show_table(has_table=JobView.has_table)
        self.widget = widgets.VBox(
            [
                self.head,
                self.plain.widget,
                self._grid_box,
                self.fetches,
                self.actions.widget,
                self.said,
                self.pages.widget,
            ],
            layout={"width": "100%"},
        ).add_class("sma-view")
        self._draw_plain()
        _views.add(self)
        job.faces.add(self)

    # What is shown

    def bundle(self) -> dict[str, Any]:
        """The forms of the output: the widget, and HTML and text for pages without a kernel."""
        told = self.widget._repr_mimebundle_()
        return {**told, **static_bundle(self.job, self.endpoint)}

    def refresh(self, now: float) -> bool:
        """Draw what has changed; false when the job is over."""
        if self._is_frozen:
            return False
        seen = self.job.snapshot
        self._is_saved &= seen.is_over
        self.events.see(seen)
        self.table.refresh()
        self.heads.refresh(now)
        if now - self._drawn_at >= _SLOWLY_SECONDS or seen.is_over:
            self._drawn_at = now
            self._draw_slowly(seen, now)
        is_settled = seen.is_over and self.table.is_settled and self.heads.is_settled
        is_in_use = self.actions.is_asking or time.monotonic() - self._touched_at < _HANDS_OFF_SECONDS
        if not is_settled or is_in_use:
            return True
        self._finish()
        return False

    def hear(self, message: Message) -> None:
        """Take in a message of the front end; any thread."""
        kind = message.get("type")
        if kind == "hello":
            # Here and now, as a poll, for where nothing is shown that another thread sends.
            JobView.has_table = True
            self._show_table(has_table=True)
        elif kind == "asked":
            self._soon(lambda: self._ask(message))
        elif kind == "open":
            errand(lambda: self._open(str(message.get("view")), message.get("row")))
        elif kind == "poll":
            self._answer_poll(message)
        else:
            self._soon(lambda: self.table.hear(message))
        if kind in ("asked", "open", "window"):
            self._touched_at = time.monotonic()
            self._screen.add(self)
        self._look_at_endpoint(time.time())

    def say(self, text: str) -> None:
        """Tell what has come of an action; any thread."""
        self.events.note(text, time.time())
        self.said.value = self.rows.said = text
        self.said.layout.display = ""

    def follow(self, update: Callable[..., object] | None) -> None:
        """Renew this view from now on, and, with ``update``, the saved output once when the job is over."""
        self._update = update
        self._screen.add(self)

    def freeze(self) -> None:
        """Leave HTML and text alone in the output, which need no kernel."""
        with self._renewing:
            self._is_frozen = True
            if self._update is not None:
                self._update(static_bundle(self.job, self.endpoint), raw=True)
        self.close()

    def close(self) -> None:
        """Follow the job no more, and let go of it; whatever stands in the output stays."""
        with self._renewing:
            self._is_frozen, self._update = True, None
        # Widgets that are not closed are kept for ever, with all that they call.
        close(self.widget)
        _views.discard(self)
        self.job.faces.discard(self)

    def _send(self, message: Message) -> None:
        self.grid.send(message)

    def _ask(self, message: Message) -> None:
        asked = from_json(message.get("asked"))
        self.table.ask(asked)
        self.grid.asked = to_json(asked)
        self.table.refresh()

    def _soon(self, act: Callable[[], object]) -> None:
        """On the thread that draws, unless nothing arrives that is sent from there."""
        if self._is_missed:
            guarded(act)
        else:
            self._screen.call(act)

    def _answer_poll(self, message: Message) -> None:
        """Here and now. A view that misses what is sent misses what is around the table as well, and details."""
        self.table.hear(message)
        self._is_missed = bool(message.get("lost"))
        if not self._is_missed or time.monotonic() < self._resend_at:
            return
        self._resend_at = time.monotonic() + _SLOWLY_SECONDS
        told = self._details.get(str(message.get("view")))
        if told is not None and told["row"] == message.get("open"):
            self._send(told)
        changing = (self.head, self.said, *self.pages.changing, *self.actions.changing)
        for widget in (*changing, self.said.layout, self._grid_box.layout, self.plain.widget.layout):
            widget.send_state()

    def _in_sight(self) -> IntArray:
        return self.table.in_sight() if JobView.has_table else self.plain.in_sight()

    def _switch_heads(self) -> None:
        self.heads.is_on = self.fetches.value
        self._screen.add(self)

    def _show_table(self, *, has_table: bool) -> None:
        self._grid_box.layout.display = "" if has_table else "none"
        self.plain.widget.layout.display = "none" if has_table else ""

    def _draw_slowly(self, seen: Snapshot, now: float) -> None:
        told = panel_html.head(self.job, self.endpoint)
        if self.head.value != told:
            self.head.value = told
        self.actions.show(seen, now)
        self._draw_plain()
        self.pages.refresh()
        self._renew_detail()
        if seen[Status.FAILED] and self.fetches.value:
            self._read_failures()
        if not seen.is_over:
            self._look_at_endpoint(now)

    def _draw_plain(self) -> None:
        if self.plain.widget.layout.display != "none":
            self.plain.refresh(self.job.snapshot)

    def _finish(self) -> None:
        """The last state, for who opens the page without a kernel."""
        self.grid.saved = self.table.saved()
        with self._renewing:
            if self._update is None or self._is_saved or self._is_frozen:
                return
            self._is_saved = True
            self._update(self.bundle(), raw=True)

    # What asks AWS: errands

    def _open(self, view: str, row: Any) -> None:
        if not isinstance(row, int) or not 0 <= row < len(self.job):
            return
        self._send_detail(view, row)
        if needs_fetching(self.job, row):
            self._send_detail(view, row, self._fetch(row))
            self._screen.call(self.table.refresh)

    def _fetch(self, row: int) -> str:
        """Why it could not be fetched, or nothing."""
        # A row that changes while it is open is opened by the page and by us, often at once.
        with self._fetching:
            if not needs_fetching(self.job, row):
                return ""
            try:
                peek.load(self.job, peek.request_of(self.job, np.array([row])))
            except Exception as error:  # noqa: BLE001 - otherwise the detail says for ever that it is on its way
                trouble = str(error) if isinstance(error, SmAsyncError) else f"{type(error).__name__}: {error}"
                self.say(trouble)
                return trouble
        return ""

    def _send_detail(self, view: str, row: int, trouble: str = "") -> None:
        self._opened = view, row, standing(self.job, row)
        told = {"type": "detail", "view": view, "row": row, **detail(self.job, row, name_of(self.job), trouble)}
        self._details = {view: told}
        self._send(told)

    def _renew_detail(self) -> None:
        """Open the row anew that is open, if it has changed; it may have left the rows that the page is told of."""
        if self._opened is not None:
            view, row, stood = self._opened
            if standing(self.job, row) != stood:
                self._opened = view, row, standing(self.job, row)
                errand(lambda: self._open(view, row))

    def _read_failures(self) -> None:
        """The words of the first failures, so that there is something to see and to group."""
        left = _READ_FAILURES - len(self._failures_read)
        if left <= 0 or self._is_reading or time.monotonic() < self._read_again_at:
            return
        known = peek.messages(self.job)
        failed = np.flatnonzero(peek.column(self.job, "status") == Status.FAILED)[:_READ_FAILURES]
        attempts = zip(failed.tolist(), peek.lines(self.job, failed).attempt.tolist(), strict=True)
        wanted = [one for one in attempts if one[0] not in known and one not in self._failures_read][:left]
        if not wanted:
            return
        self._is_reading = True
        errand(lambda: self._read(wanted))

    def _read(self, wanted: list[tuple[int, int]]) -> None:
        try:
            peek.load(self.job, np.array([request for request, _ in wanted], dtype=np.int64))
            self._failures_read.update(wanted)
        except Exception:
            # What did come is there; the others are asked for again.
            known = peek.messages(self.job)
            self._failures_read.update(one for one in wanted if one[0] in known)
            self._read_again_at = time.monotonic() + _READ_AGAIN_SECONDS
            raise
        finally:
            self._is_reading = False
            self._screen.call(self.pages.refresh)
            self._screen.call(self.table.refresh)

    def _look_at_endpoint(self, now: float) -> None:
        """Now and then; it is two calls, and what they tell changes slowly."""
        is_asleep = self.endpoint is None or self.endpoint.is_asleep
        every = _ASLEEP_SECONDS if is_asleep else _ENDPOINT_SECONDS
        if now - self._asked_at < every or (self.job.snapshot.is_over and self.endpoint is not None):
            return
        self._asked_at = now

        def look() -> None:
            self.endpoint = self.job.endpoint
            self._screen.call(self._draw_head)

        errand(look)

    def _draw_head(self) -> None:
        self.head.value = panel_html.head(self.job, self.endpoint)


def static_bundle(job: Job, endpoint: Endpoint | None = None) -> dict[str, str]:
    """A job as HTML and text."""
    told = {"text/plain": repr(job)}
    html = guarded(lambda: panel_html.static(job, endpoint))
    return {**told, "text/html": html} if isinstance(html, str) else told


def show(job: Job) -> JobView:
    """Show a job as an output of the cell, which follows it until the cell is run again."""
    from IPython.display import display

    _watch_cells()
    view = JobView(job)
    view.place = place_of_cell()
    for other in list(_views):
        if other.place[0] == view.place[0] != "" and other.place != view.place:
            other.close()
    handle: Any = display(view.bundle(), raw=True, display_id=True)  # type: ignore[no-untyped-call]
    view.follow(None if handle is None else handle.update)
    return view


def look_again(_ran: object = None) -> None:
    """Renew the views of jobs that run again since somebody has typed ``job.retry()``."""
    for view in list(_views):
        if not view.job.snapshot.is_over:
            SCREEN.add(view)


def _watch_cells() -> None:
    from IPython import get_ipython

    shell: Any = get_ipython()
    if shell is not None and look_again not in shell.events.callbacks["post_run_cell"]:
        shell.events.register("post_run_cell", look_again)
