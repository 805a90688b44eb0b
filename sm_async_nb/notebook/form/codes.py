"""``Copy as code``: the call and the cell that do what the form would, each with a button that copies it."""

from __future__ import annotations

from collections.abc import Callable

import ipywidgets as widgets

from sm_async_nb.notebook.form import html as form_html
from sm_async_nb.notebook.form.code import Filled
from sm_async_nb.notebook.form.layout import box, button
from sm_async_nb.notebook.panel.table import CopyButton

_SHOW, _HIDE = "Copy as code", "Hide the code"
_NO_SESSION = "A cell takes no session: it goes to the account and region of the kernel, and not to those of the form."


class Codes:
    """The button, and the texts that it shows.

    Parameters
    ----------
    filled
        Gives the form as it is filled in.
    named
        Sees to it that code can name the frame, when the code is first wanted; gives what there is to say about that.
    """

    def __init__(self, *, filled: Callable[[], Filled], named: Callable[[], str]) -> None:
        self._filled, self._named = filled, named
        self.button = button(_SHOW)
        self.said = widgets.HTML()
        self._boxes = {name: widgets.HTML() for name in ("Python", "Cell")}
        self._copies = {name: CopyButton(text="", label=f"Copy the {name}") for name in self._boxes}
        self.beside = widgets.HTML()
        parts = [part for name, shown in self._boxes.items() for part in (shown, self._copies[name].box)]
        self.widget = box("sma-codes", [self.said, *parts, self.beside])
        self.widget.layout.display = "none"
        self.button.on_click(lambda _: self._toggle())

    @property
    def is_shown(self) -> bool:
        """Whether the code is to be seen."""
        return bool(self.widget.layout.display != "none")

    def renew(self) -> None:
        """Something else is filled in by now."""
        if self.is_shown:
            self._write()

    def _toggle(self) -> None:
        if self.is_shown:
            self.widget.layout.display = "none"
        else:
            told = self._named()
            self.said.value = form_html.aside(told)
            self.widget.layout.display = ""
            self._write()
        self.button.description = _HIDE if self.is_shown else _SHOW

    def _write(self) -> None:
        filled = self._filled()
        self.beside.value = "" if filled.session is None else form_html.aside(_NO_SESSION)
        told = {"Python": _or_why_not(filled.python), "Cell": _or_why_not(filled.cell)}
        for name, text in told.items():
            self._copies[name].text = text
            shown = form_html.code_box(name, text)
            if self._boxes[name].value != shown:
                self._boxes[name].value = shown


def _or_why_not(code: Callable[[], str]) -> str:
    try:
        return code()
    except ValueError as error:
        return f"# {error}"
