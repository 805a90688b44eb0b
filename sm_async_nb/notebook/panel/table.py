"""A table whose rows stay in the kernel: each view has its window, and hears of the lines in it that have changed.

:class:`Table` knows no widget: messages go in and come out as dicts, so it is tested without a browser. Its messages
have a sequence number, which views acknowledge now and then; a view that does not is left alone until it does.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, cast

import anywidget
import ipywidgets as widgets
import numpy as np
import numpy.typing as npt
import traitlets

from sm_async_nb.core.columns import BoolArray, IntArray
from sm_async_nb.notebook.panel import window
from sm_async_nb.notebook.panel.rows import COLUMNS, ICONS, WORDS, Line, at_rest
from sm_async_nb.notebook.panel.screen import guarded

HERE = Path(__file__).parent

# A window is a few screens; whoever asks for more gets so many rows.
_MOST_ROWS = 300
_MOST_IN_SIGHT = 60
_MOST_VIEWS = 32
_MOST_UNHEARD = 50
# Sorting a million rows takes a tenth of a second, so it may take this share of the time at most.
_SORTING_SHARE = 1 / 30
_SORT_EVERY_SECONDS = 1.0
_SAVED_ROWS = 100
# Labels of so many characters get more room.
_LABEL_CLASSES = {"sma-long-labels": 9, "sma-longer-labels": 17}

_GONE = (
    "The kernel has not answered for some seconds: it is busy with a cell, or gone, and what is shown here may be old."
    " In another kernel: sm_async_nb.attach({uri!r})."
)

Message = dict[str, Any]


class Rows(Protocol):
    """What a table is made of; see :class:`~sm_async_nb.notebook.panel.rows.JobRows`."""

    def __len__(self) -> int: ...

    @property
    def revision(self) -> Any: ...

    def status(self) -> npt.NDArray[np.uint8]: ...

    def key(self, column: str) -> npt.NDArray[Any] | None: ...

    def matches(self, text: str) -> BoolArray: ...

    def lines(self, rows: IntArray) -> list[Line]: ...

    def head(self) -> dict[str, Any]: ...


@dataclass
class _View:
    """One place where the table is seen: what it looks at, and what it was told."""

    start: int = 0
    count: int = 40
    # What is in sight; the window is a page more on each side.
    first: int = 0
    page: int = 0
    seq: int = 0
    heard: int = 0
    told: dict[int, Line] = field(default_factory=dict)
    told_head: dict[str, Any] = field(default_factory=dict)
    revision: Any = None
    order: int = -1

    @property
    def is_away(self) -> bool:
        return self.seq - self.heard > _MOST_UNHEARD


class Table:
    """The kernel's side of the table. Any thread may call it.

    Parameters
    ----------
    rows
        What is shown.
    send
        Takes a message for all views, or for the one it names.
    """

    def __init__(self, rows: Rows, send: Callable[[Message], object]) -> None:
        self.rows = rows
        self._send = send
        self._lock = threading.RLock()
        self._views: dict[str, _View] = {}
        self._asked = window.Asked()
        self._order: window.Order = None
        self._order_number = 0
        self._ordered: Any = None
        self._sort_again_at = 0.0

    @property
    def asked(self) -> window.Asked:
        """What is shown, and how it is sorted."""
        return self._asked

    @property
    def is_settled(self) -> bool:
        """Whether the order is that of the rows as they are, and not of a moment ago."""
        return self._asked.is_everything or self._ordered == (self._asked, self.rows.revision)

    def ask(self, asked: window.Asked) -> None:
        """Show something else."""
        with self._lock:
            self._asked, self._ordered = asked, None

    def hear(self, message: Message) -> None:
        """Take in what a view says, and answer it where it asks for something; what it has missed is told again."""
        view_id, kind = str(message.get("view", "")), message.get("type")
        with self._lock:
            if kind == "bye":
                self._views.pop(view_id, None)
                return
            view = self._view(view_id)
            has_missed = kind == "poll" and _number(message, "seq") < view.seq
            if view.is_away or has_missed:
                view.told.clear()
                view.order = -1
            view.heard = view.seq
            if kind == "window":
                view.start, view.count = _number(message, "start"), min(_number(message, "count"), _MOST_ROWS)
                view.first, view.page = _number(message, "first"), min(_number(message, "page"), _MOST_IN_SIGHT)
            if kind in ("window", "poll"):
                self.refresh(view_id)

    def in_sight(self) -> IntArray:
        """The rows that are looked at now."""
        with self._lock:
            views = [view for view in self._views.values() if not view.is_away]
            cuts = [window.cut(len(self.rows), self._order, view.first, view.page) for view in views]
        return np.unique(np.concatenate(cuts)) if cuts else np.empty(0, dtype=np.int64)

    def refresh(self, only: str | None = None) -> None:
        """Tell each view what has changed in its window; or one of them, which waits for an answer, also nothing."""
        with self._lock:
            self._sort()
            head: dict[str, Any] | None = None
            for view_id, view in self._views.items():
                if view.is_away or only not in (None, view_id):
                    continue
                head = head or {**self.rows.head(), "total": window.total(len(self.rows), self._order)}
                self._tell(view_id, view, head, waits=only is not None)

    def cut(self, start: int, count: int) -> tuple[IntArray, int]:
        """The rows at these places, and how many places there are."""
        with self._lock:
            self._sort()
            return window.cut(len(self.rows), self._order, start, count), window.total(len(self.rows), self._order)

    def saved(self) -> dict[str, Any]:
        """The first lines, for a page without a kernel."""
        with self._lock:
            self._sort()
            lines = self.rows.lines(window.cut(len(self.rows), self._order, 0, _SAVED_ROWS))
            return {"rows": [at_rest(line) for line in lines], "head": {**self.rows.head(), "total": len(lines)}}

    def _view(self, view_id: str) -> _View:
        if view_id not in self._views:
            while len(self._views) >= _MOST_VIEWS:
                self._views.pop(next(iter(self._views)))
            self._views[view_id] = _View()
        return self._views[view_id]

    def _tell(self, view_id: str, view: _View, head: dict[str, Any], *, waits: bool) -> None:
        is_new = view.order != self._order_number
        lines = self._changed(view, is_new=is_new)
        if not (lines or is_new or waits or head != view.told_head):
            return
        view.seq += 1
        view.order, view.told_head = self._order_number, head
        self._send({"type": "rows", "view": view_id, "seq": view.seq, "all": is_new, "head": head, "rows": lines})

    def _changed(self, view: _View, *, is_new: bool) -> list[tuple[int, Line]]:
        """The lines of a window that its view does not know yet, with their places."""
        if is_new:
            view.told.clear()
        stop = view.start + view.count
        revision = self.rows.revision
        if not is_new and revision == view.revision and all(at in view.told for at in range(view.start, stop)):
            return []
        view.revision = revision
        rows = window.cut(len(self.rows), self._order, view.start, view.count)
        found = dict(enumerate(self.rows.lines(rows), start=max(view.start, 0))) if len(rows) else {}
        changed = [(at, line) for at, line in found.items() if view.told.get(at) != line]
        view.told = found
        return changed

    def _sort(self) -> None:
        """Find the order anew if something else is asked, or, now and then, if what it goes by has changed."""
        revision = self.rows.revision
        if self._ordered == (self._asked, revision) or (self._ordered is not None and self._asked.is_everything):
            return
        if self._ordered is not None and time.monotonic() < self._sort_again_at:
            return
        started = time.monotonic()
        is_asked_anew = self._ordered is None
        # What cannot be searched or sorted, for whatever reason, is all shown, as it was submitted.
        before, self._order = self._order, cast("window.Order", guarded(self._found))
        self._ordered = (self._asked, revision)
        if is_asked_anew or not np.array_equal(_array(before), _array(self._order)):
            self._order_number += 1
        now = time.monotonic()
        self._sort_again_at = now + max(_SORT_EVERY_SECONDS, (now - started) / _SORTING_SHARE)

    def _found(self) -> window.Order:
        asked, shown = self._asked, None
        if asked.is_everything:
            return None
        if asked.statuses:
            shown = window.with_status(self.rows.status(), asked.statuses)
        if asked.text:
            has_text = self.rows.matches(asked.text)
            shown = has_text if shown is None else shown & has_text
        return window.order_of(shown, self.rows.key(asked.column), descending=asked.descending)


class Grid(anywidget.AnyWidget):
    """The browser's side of a :class:`Table`.

    Parameters
    ----------
    hear
        Called with each message of the front end, on whatever thread it comes; it must only take note.
    uri
        Where the job lies, for whoever has to go on in another kernel.
    """

    _esm = HERE / "table.js"
    _css = HERE / "table.css"
    kind = traitlets.Unicode("table").tag(sync=True)
    labels = traitlets.Dict().tag(sync=True)
    asked = traitlets.Dict().tag(sync=True)
    saved = traitlets.Dict().tag(sync=True)

    def __init__(self, hear: Callable[[Message], object], *, saved: dict[str, Any], uri: str = "") -> None:
        labels = {
            "columns": [list(column) for column in COLUMNS],
            "statuses": list(WORDS),
            "icons": list(ICONS),
            "gone": _GONE.format(uri=uri),
        }
        super().__init__(labels=labels, asked=to_json(window.Asked()), saved=saved)
        longest = max((len(line[1]) for line in saved["rows"]), default=0)
        for name, least in _LABEL_CLASSES.items():
            if longest >= least:
                self.add_class(name)
        self.on_msg(lambda _widget, content, _buffers: guarded(lambda: hear(content)))


class CopyButton(anywidget.AnyWidget):
    """A button that copies a text, and says "Copied" for two seconds; the same file in the browser as the table's.

    Put :attr:`box` into a panel, which shows nothing before the browser says that it has the button: where it has not,
    the text itself has to stand somewhere to be selected, in a ``widgets.Textarea`` for one.
    """

    _esm = HERE / "table.js"
    _css = HERE / "table.css"
    kind = traitlets.Unicode("copy").tag(sync=True)
    text = traitlets.Unicode().tag(sync=True)
    label = traitlets.Unicode("Copy").tag(sync=True)

    def __init__(self, text: str = "", label: str = "Copy") -> None:
        super().__init__(text=text, label=label)
        self.box = widgets.Box([self], layout={"display": "none"})
        self.on_msg(lambda *_: guarded(self._show))

    def _show(self) -> None:
        self.box.layout.display = ""


def to_json(asked: window.Asked) -> dict[str, Any]:
    """What is asked, as the front end keeps it."""
    return {
        "statuses": sorted(asked.statuses),
        "text": asked.text,
        "column": asked.column,
        "descending": asked.descending,
    }


def from_json(told: Any) -> window.Asked:
    """What a front end asks; whatever makes no sense is left out."""
    told = told if isinstance(told, dict) else {}
    statuses = [one for one in told.get("statuses", ()) if isinstance(one, int) and 0 <= one < len(WORDS)]
    column = told.get("column")
    return window.Asked(
        statuses=frozenset(statuses),
        text=str(told.get("text", ""))[:200],
        column=column if column in dict(COLUMNS) else "",
        descending=bool(told.get("descending")),
    )


def _number(message: Message, name: str) -> int:
    value = message.get(name, 0)
    return max(int(value), 0) if isinstance(value, int | float) and np.isfinite(value) else 0


def _array(order: window.Order) -> IntArray:
    return np.empty(0, dtype=np.int64) if order is None else order
