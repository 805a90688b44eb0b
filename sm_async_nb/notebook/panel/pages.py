"""What there is to know besides the table: one page of several at a time, or none, by buttons that keys reach."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import ipywidgets as widgets

_SHUT, _OPEN = "▸", "▾"


class Pages:
    """Buttons that open a page each, and the page that is open.

    Parameters
    ----------
    pages
        What makes the HTML of each page, by its title; called while the page is open only.
    soon
        Draws it again, on the thread that draws.
    """

    def __init__(self, pages: Mapping[str, Callable[[], str]], soon: Callable[[], None]) -> None:
        self._pages, self._soon = pages, soon
        self._open: str | None = None
        self._html = widgets.HTML().add_class("sma-html")
        self._buttons = {title: self._button(title) for title in pages}
        self.widget = widgets.VBox([widgets.HBox(list(self._buttons.values())), self._html])
        # What changes while one looks.
        self.changing = (self._html, *self._buttons.values())

    def refresh(self) -> None:
        """Show what has changed, if a page is open."""
        told = self._pages[self._open]() if self._open else ""
        if self._html.value != told:
            self._html.value = told

    def _button(self, title: str) -> Any:
        button = widgets.Button(description=f"{_SHUT} {title}", tooltip=f"Show or hide: {title}")
        button.on_click(lambda _button: self._toggle(title))
        return button

    def _toggle(self, title: str) -> None:
        self._open = None if self._open == title else title
        for one, button in self._buttons.items():
            button.description = f"{_OPEN if one == self._open else _SHUT} {one}"
        self._soon()
