"""The frames of the session, for a menu that follows them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ipywidgets as widgets
import pandas as pd

from sm_async_nb.notebook.form.layout import box
from sm_async_nb.notebook.namespace import frames_in

# A frame that no variable is bound to; no variable can be called so.
_GIVEN = ""


class FrameMenu:
    """The frames of the session with their shapes.

    Parameters
    ----------
    given
        The frame that the form was called on.
    changed
        Called when another frame is chosen, or the one that is has other columns or rows.
    """

    def __init__(self, given: pd.DataFrame | None, variables: dict[str, Any], *, changed: Callable[[], None]) -> None:
        self._variables, self._changed = variables, changed
        self._given = given
        first = next((name for name in frames_in(variables) if variables[name] is given), None)
        self._has_given = given is not None and first is None
        self._is_filling = False
        self.control = widgets.Dropdown(description="Frame", tooltip="The frame whose rows are sent")
        self.widget = box("sma-field", [self.control])
        self._fill(first)
        self._seen = self._look()
        self.control.observe(lambda _: self._choose(), names="value")

    @property
    def frame(self) -> pd.DataFrame | None:
        """The frame that is chosen."""
        if self.control.value == _GIVEN:
            return self._given
        found = self._variables.get(self.control.value) if self.control.value else None
        return found if isinstance(found, pd.DataFrame) else None

    @property
    def has_name(self) -> bool:
        """Whether a variable is bound to it."""
        return bool(self.control.value)

    @property
    def name(self) -> str:
        """What code calls it."""
        return self.control.value or "df"

    def call_it(self, name: str) -> None:
        """The frame that was given is bound to this variable now."""
        self._has_given = False
        self._fill(name)

    def forget(self) -> None:
        """Hold the frame that was given no longer."""
        self._given = None

    def look_again(self) -> bool:
        """Offer the frames that there are now; whether the one that is chosen is another one than before."""
        self._fill(self.control.value)
        seen = self._look()
        if seen == self._seen:
            return False
        self._choose()
        return True

    def _choose(self) -> None:
        if not self._is_filling:
            self._seen = self._look()
            self._changed()

    def _fill(self, chosen: str | None) -> None:
        names = frames_in(self._variables)
        options = [(f"{name}   {_shape(self._variables[name])}", name) for name in names]
        if self._has_given and self._given is not None:
            options.insert(0, (f"the frame it was called on   {_shape(self._given)}", _GIVEN))
        if options == list(self.control.options):
            return
        values = [value for _, value in options]
        self._is_filling = True
        try:
            with self.control.hold_sync():
                self.control.options = options
                self.control.value = chosen if chosen in values else next(iter(values), None)
        finally:
            self._is_filling = False

    def _look(self) -> object:
        """What would be another frame for the form; cells that were changed are not seen."""
        frame = self.frame
        if frame is None:
            return None
        return id(frame), frame.shape, [*map(repr, frame.columns)], [*map(str, frame.dtypes)]


def _shape(frame: pd.DataFrame) -> str:
    rows, columns = frame.shape
    return f"({rows:,} row{'' if rows == 1 else 's'}, {columns:,} column{'' if columns == 1 else 's'})"
