"""The table where the browser does not have ours: the same window as HTML, with core widgets to page and filter it."""

from __future__ import annotations

from collections.abc import Callable

import ipywidgets as widgets

from sm_async_nb.core.columns import IntArray
from sm_async_nb.core.ledger import Snapshot, Status
from sm_async_nb.notebook.panel import window
from sm_async_nb.notebook.panel.html import window_of
from sm_async_nb.notebook.panel.rows import JobRows
from sm_async_nb.notebook.panel.table import HERE, Table

_PAGE = 20


class PlainTable:
    """Twenty rows of a table, and buttons to see others.

    Parameters
    ----------
    soon
        Draws it again, on the thread that draws.
    """

    def __init__(self, rows: JobRows, table: Table, soon: Callable[[], None]) -> None:
        self._rows, self._table, self._soon = rows, table, soon
        self._start = 0
        self._html = widgets.HTML()
        self._html.add_class("sma-html")
        self._status = widgets.Dropdown(
            options=[("all", -1), *((str(status), int(status)) for status in Status)], value=-1, description="Status"
        )
        self._text = widgets.Text(description="Search", continuous_update=False)
        back, on = widgets.Button(description="Previous rows"), widgets.Button(description="Next rows")
        back.on_click(lambda _: self._go(-_PAGE))
        on.on_click(lambda _: self._go(_PAGE))
        for asked in (self._status, self._text):
            asked.observe(lambda _: self._ask(), names="value")
        style = widgets.HTML(f"<style>{(HERE / 'table.css').read_text(encoding='utf-8')}</style>")
        tools = widgets.HBox([self._status, self._text, back, on], layout={"flex_flow": "row wrap"})
        self.widget = widgets.VBox([style, tools, self._html])

    def refresh(self, seen: Snapshot) -> None:
        """Show what has changed."""
        last = max(self._table.cut(0, 0)[1] - 1, 0) // _PAGE * _PAGE
        self._start = min(self._start, last)
        rows, total = self._table.cut(self._start, _PAGE)
        told = window_of(self._rows, seen, self._rows.lines(rows), self._start, total)
        if self._html.value != told:
            self._html.value = told

    def in_sight(self) -> IntArray:
        """The rows that are looked at now."""
        return self._table.cut(self._start, _PAGE)[0]

    def _go(self, by: int) -> None:
        self._start = max(self._start + by, 0)
        self._soon()

    def _ask(self) -> None:
        wanted = frozenset() if self._status.value < 0 else frozenset({self._status.value})
        self._start = 0
        self._table.ask(window.Asked(statuses=wanted, text=self._text.value))
        self._soon()
