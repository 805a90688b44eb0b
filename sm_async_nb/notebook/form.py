"""``df.sm_async.panel()``: a form that builds a submit, with its plan and the code that does the same.

Typing is answered on threads of their own: the newest plan wins, and nothing is sent before the button is pressed.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import ipywidgets as widgets
import pandas as pd

from sm_async_nb.aws.described import Endpoint
from sm_async_nb.errors import SmAsyncError
from sm_async_nb.job import registry
from sm_async_nb.notebook.accessor import SmAsyncAccessor
from sm_async_nb.notebook.form_code import Filled, more_options
from sm_async_nb.notebook.job_view import JobView
from sm_async_nb.notebook.magic_options import Kind, Option
from sm_async_nb.notebook.namespace import frames_in
from sm_async_nb.notebook.panel_actions import user_variables
from sm_async_nb.notebook.panel_html import esc
from sm_async_nb.notebook.panel_screen import SCREEN, errand

_MOST_ENDPOINTS = 50
# A frame that no variable is bound to.
_GIVEN = ""
_LABELS = {"description_width": "170px"}
_WIDE = {"width": "min(100%, 620px)"}
_COLUMNS, _TEMPLATE = "Columns", "Template"


class Form:
    """The form.

    Parameters
    ----------
    frame
        The frame whose rows are sent; otherwise it is chosen among the variables.
    variables
        The user's variables, where frames are found and the job is bound; those of the session if not said.
    session
        The boto3 session to look at endpoints with, and to submit with.
    """

    def __init__(
        self, frame: pd.DataFrame | None = None, *, variables: dict[str, Any] | None = None, session: Any = None
    ) -> None:
        self._variables = user_variables() if variables is None else variables
        self._given, self._session = frame, session
        self._endpoints: dict[str, Endpoint] = {}
        self._asked = 0
        self._planning = threading.Lock()
        names = frames_in(self._variables)
        first = next((name for name in names if self._variables[name] is frame), None)
        self.data = widgets.Dropdown(
            options=names
            if first or frame is None
            else [("the frame it was called on", _GIVEN), *zip(names, names, strict=True)],
            value=first or (_GIVEN if frame is not None else next(iter(names), None)),
            description="Frame",
            style=_LABELS,
            layout=_WIDE,
        )
        self.endpoint = widgets.Combobox(
            description="Endpoint", placeholder="an asynchronous endpoint", style=_LABELS, layout=_WIDE
        )
        self.state = widgets.Label(layout={"margin": "0 0 0 178px"})
        self.way = widgets.ToggleButtons(options=[_COLUMNS, _TEMPLATE], description="Payload of", style=_LABELS)
        self.columns = widgets.SelectMultiple(description="Columns", rows=5, style=_LABELS, layout=_WIDE)
        self.template = widgets.Textarea(
            description="Template", placeholder='{"inputs": {{ text }}}', rows=4, style=_LABELS, layout=_WIDE
        )
        self.fields = {name: _field(option) for name, option in more_options().items()}
        self.plan = widgets.HTML()
        self.submit = widgets.Button(description="Submit", button_style="primary", disabled=True)
        self.copy = widgets.ToggleButton(description="Copy as code")
        self.python = widgets.Textarea(description="Python", rows=3, style=_LABELS, layout=_WIDE)
        self.cell = widgets.Textarea(description="Cell", rows=4, style=_LABELS, layout=_WIDE)
        self._code = widgets.VBox([self.python, self.cell], layout={"display": "none"})
        more = widgets.Accordion([widgets.VBox(list(self.fields.values()))], titles=("More",))
        self.job_place = widgets.VBox()
        parts = [self.data, self.endpoint, self.state, self.way, self.columns, self.template, more, self.plan]
        buttons = widgets.HBox([self.submit, self.copy])
        self.widget = widgets.VBox([*parts, buttons, self._code, self.job_place], layout={"width": "100%"})
        self._listen()
        self._choose_frame()
        errand(self._find_endpoints)

    def _ipython_display_(self) -> None:
        from IPython.display import display

        told = self.widget._repr_mimebundle_()
        text = "The form of df.sm_async.panel(); it needs a running notebook."
        display({**told, "text/plain": text, "text/html": f"<p>{text}</p>"}, raw=True)  # type: ignore[no-untyped-call]

    @property
    def frame(self) -> pd.DataFrame | None:
        """The frame that is chosen."""
        if self.data.value == _GIVEN:
            return self._given
        found = self._variables.get(self.data.value) if self.data.value else None
        return found if isinstance(found, pd.DataFrame) else None

    @property
    def filled(self) -> Filled:
        """The form as it is filled in."""
        is_template = self.way.value == _TEMPLATE
        chosen = tuple(self.columns.value)
        columns = None if is_template or len(chosen) == len(self.columns.options) else chosen
        return Filled(
            data=self.data.value if self.data.value not in (None, _GIVEN) else "df",
            endpoint_name=self.endpoint.value.strip(),
            columns=columns,
            template=self.template.value if is_template else None,
            texts={name: widget.value for name, widget in self.fields.items()},
        )

    # What is typed

    def _listen(self) -> None:
        self.data.observe(lambda _: self._choose_frame(), names="value")
        self.way.observe(lambda _: self._show_way(), names="value")
        self.copy.observe(lambda _: self._show_code(), names="value")
        for widget in (self.endpoint, self.columns, self.template, *self.fields.values()):
            widget.observe(lambda _: self._typed(), names="value")
        self.submit.on_click(lambda _: self._submit())

    def _choose_frame(self) -> None:
        frame = self.frame
        names = [] if frame is None else list(frame.columns)
        self.columns.options = [(str(name), name) for name in names]
        self.columns.value = names
        self._show_way()

    def _show_way(self) -> None:
        is_template = self.way.value == _TEMPLATE
        self.columns.layout.display = "none" if is_template else ""
        self.template.layout.display = "" if is_template else "none"
        self._typed()

    def _show_code(self) -> None:
        self._code.layout.display = "" if self.copy.value else "none"

    def _typed(self) -> None:
        self._asked += 1
        errand(self._renew_plan)

    # What may take its time

    def _renew_plan(self) -> None:
        """Plan what is asked for now. Whoever finds that something newer is asked leaves it to the next."""
        with self._planning:
            number = self._asked
            told, is_good = self._planned()
            if number == self._asked:
                SCREEN.call(lambda: self._show_plan(told, is_good=is_good))

    def _planned(self) -> tuple[str, bool]:
        frame, filled = self.frame, self.filled
        if frame is None:
            return "There is no DataFrame in this session yet.", False
        try:
            keywords = filled.keywords()
            plan = SmAsyncAccessor(frame).plan(filled.endpoint_name or "endpoint", **keywords)
        except (SmAsyncError, TypeError, ValueError) as error:
            return f"{error}", False
        if not filled.endpoint_name:
            return f"Choose an endpoint. This would be sent:\n\n{plan}", False
        return str(plan), plan.is_good

    def _show_plan(self, told: str, *, is_good: bool) -> None:
        # Payloads, labels and column names are whatever the frame holds.
        self.plan.value = f'<pre style="white-space: pre-wrap">{esc(told)}</pre>'
        self.submit.disabled = not is_good
        try:
            filled = self.filled
            self.python.value, self.cell.value = filled.python(), filled.cell()
        except ValueError as error:
            self.python.value = self.cell.value = str(error)
        self._show_state()

    def _show_state(self) -> None:
        found = self._endpoints.get(self.endpoint.value.strip())
        self.state.value = "" if found is None else str(found)

    def _find_endpoints(self) -> None:
        """The asynchronous endpoints of the account; each has to be asked whether it is one."""
        try:
            listed = registry.endpoints(session=self._session)
        except SmAsyncError as error:
            told = f"Endpoints cannot be listed; type a name. {error}"
            SCREEN.call(lambda: setattr(self.state, "value", told))
            return
        for name in list(listed["endpoint_name"] if len(listed) else [])[:_MOST_ENDPOINTS]:
            try:
                self._endpoints[name] = registry.endpoint(name, session=self._session)
            except SmAsyncError:
                continue  # it is not asynchronous, or went away meanwhile
        SCREEN.call(self._show_endpoints)

    def _show_endpoints(self) -> None:
        self.endpoint.options = tuple(self._endpoints)
        if not self.endpoint.value and len(self._endpoints) == 1:
            self.endpoint.value = next(iter(self._endpoints))
        self._show_state()

    def _submit(self) -> None:
        frame, filled = self.frame, self.filled
        if frame is None:
            return
        self.submit.disabled = True

        def send() -> None:
            try:
                session = {} if self._session is None else {"session": self._session}
                job = SmAsyncAccessor(frame).submit(filled.endpoint_name, **session, **filled.keywords())
            except (SmAsyncError, ValueError) as error:
                told = str(error)
                SCREEN.call(lambda: self._show_plan(told, is_good=True))
                return
            self._variables["job"] = job
            SCREEN.call(lambda: self._hand_over(JobView(job)))

        errand(send)

    def _hand_over(self, view: JobView) -> None:
        self.job_place.children = [view.widget]
        view.follow(None)
        self.submit.disabled = False


def _field(option: Option) -> Any:
    """A field for an option, with what it means as its tooltip."""
    kept: Mapping[str, Any] = {
        "description": option.parameter,
        "tooltip": option.help,
        "style": _LABELS,
        "layout": _WIDE,
    }
    if option.kind is Kind.FLAG:
        return widgets.Checkbox(value=False, indent=True, **kept)
    default = "" if option.default in (None, "") else f"{option.default}"
    return widgets.Text(placeholder=default, **kept)


def panel(frame: pd.DataFrame | None = None, *, session: Any = None) -> Form:
    """The form for a frame, or for one that is chosen in it."""
    return Form(frame, session=session)
