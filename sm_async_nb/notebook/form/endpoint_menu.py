"""The asynchronous endpoints of the account, for a menu that shows how each stands, and takes a name besides."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import ipywidgets as widgets

from sm_async_nb.errors import SmAsyncError
from sm_async_nb.job import registry
from sm_async_nb.notebook.form import html as form_html
from sm_async_nb.notebook.form.check import plain
from sm_async_nb.notebook.form.endpoints import Seen, look_for_endpoints
from sm_async_nb.notebook.form.layout import box, button, row
from sm_async_nb.notebook.panel.screen import SCREEN, errand, guarded

_NO_ENDPOINT, _TYPED = "", "another, by name"
# A name is looked up when nothing was typed for so long, in seconds.
_PAUSE_SECONDS = 0.6


class EndpointMenu:
    """The asynchronous endpoints with their states, and a place for a name that is not among them.

    Parameters
    ----------
    changed
        Called when another one is chosen or typed.
    """

    def __init__(self, session: Any, *, changed: Callable[[], None]) -> None:
        self._session, self._changed = session, changed
        self._states: dict[str, str] = {}
        self._said, self._looked = "", dict[str, str]()
        self._is_filling = self._is_looking = False
        self._timer: threading.Timer | None = None
        self.control = widgets.Dropdown(description="Endpoint", tooltip="The endpoint that the rows are sent to")
        self.typed = widgets.Text(description="Endpoint's name", placeholder="as in the SageMaker console")
        self.line = widgets.HTML()
        self.line.add_class("sma-hint")
        self.again = button("Look again", small=True)
        self.widget = box("sma-field", [self.control, self.typed, row("sma-beside", [self.line, self.again])])
        self._fill(_NO_ENDPOINT)
        self._show()
        self.control.observe(lambda _: self._choose(), names="value")
        self.typed.observe(lambda _: self._choose(), names="value")
        self.again.on_click(lambda _: self.look())

    @property
    def name(self) -> str:
        """The endpoint that is chosen or typed; empty if none is."""
        chosen: str = self.typed.value.strip() if self.control.value == _TYPED else self.control.value or ""
        return chosen

    def look(self) -> None:
        """Look for endpoints on a thread, and show each as it is found."""
        if self._is_looking:
            return
        self._is_looking = True
        self._looked.clear()
        self.again.disabled = True
        errand(self._look)

    def _look(self) -> None:
        try:
            for seen in look_for_endpoints(self._session):
                SCREEN.call(partial(self._found, seen))
        finally:
            self._is_looking = False
            SCREEN.call(lambda: setattr(self.again, "disabled", False))
        self._look_at_chosen()

    def _found(self, seen: Seen) -> None:
        # While it is looked for again, what was there is still to be chosen; what went away goes at the end.
        self._states = seen.states if seen.is_over else {**self._states, **seen.states}
        self._said = seen.said
        chosen = self.control.value
        if seen.is_over and chosen == _NO_ENDPOINT and len(self._states) <= 1:
            chosen = next(iter(self._states), _TYPED)
        is_other = chosen != self.control.value
        self._fill(chosen)
        self._show()
        if is_other:
            self._choose()

    def _fill(self, chosen: str) -> None:
        options = [("Choose an endpoint", _NO_ENDPOINT)]
        options += [(f"{name}   ({state})", name) for name, state in self._states.items()]
        options.append(("Another, by its name", _TYPED))
        if chosen not in (value for _, value in options):
            self.typed.value, chosen = chosen, _TYPED  # it went away, or cannot be listed any more
        if options == list(self.control.options) and chosen == self.control.value:
            return
        self._is_filling = True
        try:
            with self.control.hold_sync():
                self.control.options = options
                self.control.value = chosen
        finally:
            self._is_filling = False

    def _choose(self) -> None:
        if self._is_filling:
            return
        self._show()
        self._changed()
        if self._timer is not None:
            self._timer.cancel()
        pause = _PAUSE_SECONDS if self.control.value == _TYPED else 0
        self._timer = threading.Timer(pause, lambda: guarded(self._look_at_chosen))
        self._timer.daemon = True
        self._timer.start()

    def _look_at_chosen(self) -> None:
        """What there is to know about the endpoint that is chosen, its backlog too. Not on a callback's thread."""
        name = self.name
        if not name or name in self._looked:
            return
        try:
            self._looked[name] = form_html.hint(str(registry.endpoint(name, session=self._session)))
        except SmAsyncError as error:
            self._looked[name] = form_html.problem(plain(str(error)))
        SCREEN.call(self._show)

    def _show(self) -> None:
        is_typed = self.control.value == _TYPED
        self.typed.layout.display = "" if is_typed else "none"
        told = [form_html.hint(self._said), self._looked.get(self.name, "")]
        self.line.value = "<br>".join(filter(None, told))
