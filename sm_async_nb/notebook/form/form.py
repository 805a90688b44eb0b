"""``df.sm_async.panel()``: a form that builds a submit, with its plan and the code that does the same.

Nothing is asked of AWS by a callback: what is typed is planned on a thread, endpoints are found on another, and nothing
is sent before the button is pressed.
"""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable
from typing import Any

import ipywidgets as widgets
import pandas as pd

from sm_async_nb.notebook.config import is_said, value_of
from sm_async_nb.notebook.form import html as form_html
from sm_async_nb.notebook.form.cells import follow_cells
from sm_async_nb.notebook.form.code import Filled, form_options
from sm_async_nb.notebook.form.codes import Codes
from sm_async_nb.notebook.form.endpoint_menu import EndpointMenu
from sm_async_nb.notebook.form.field import FIRST, FormField, groups, label_of
from sm_async_nb.notebook.form.frame_menu import FrameMenu
from sm_async_nb.notebook.form.layout import box, button, close, row
from sm_async_nb.notebook.form.names import bound_to, free_name, wrong_name
from sm_async_nb.notebook.form.plan import Asked, Planned, Planner
from sm_async_nb.notebook.form.submit import Outcome, submitted
from sm_async_nb.notebook.panel.actions import user_variables
from sm_async_nb.notebook.panel.job_view import JobView
from sm_async_nb.notebook.panel.screen import SCREEN, errand
from sm_async_nb.notebook.panel.sure import Sure
from sm_async_nb.notebook.panel.window import sayable

_COLUMNS, _TEMPLATE = "columns of the frame", "a template"
_MORE, _FEWER = "More fields", "Fewer fields"
# What a setting may say where a field is left empty; the code says it, so that it means the same elsewhere.
_FROM_SETTINGS = ("input_prefix", "concurrency", "sse_kms_key_id", "expected_bucket_owner")
_MOST_OFFERED, _MOST_ROWS = 200, 8
_WIDGET = "application/vnd.jupyter.widget-view+json"


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
    clock
        Tells the time in seconds.
    """

    def __init__(
        self,
        frame: pd.DataFrame | None = None,
        *,
        variables: dict[str, Any] | None = None,
        session: Any = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._variables = user_variables() if variables is None else variables
        self._session = session
        self._planner = Planner(self._planned, session=session)
        self._last: Planned | None = None
        self._update: Callable[..., object] | None = None
        self._is_submitting = False
        self._sure = Sure(clock)
        # The job that was submitted last, and its view.
        self._mine: Callable[[], object] = lambda: None
        self._view: JobView | None = None
        self.data = FrameMenu(frame, self._variables, changed=self._choose_frame)
        self.endpoint = EndpointMenu(session, changed=self._typed)
        self.way = widgets.RadioButtons(options=[_COLUMNS, _TEMPLATE], description="Payload of")
        self.columns = widgets.SelectMultiple(
            description="Columns", rows=5, tooltip="With Ctrl or Shift several; they are sent in the frame's order"
        )
        self.template = widgets.Textarea(description="Template", placeholder='{"inputs": {{ text }}}', rows=4)
        self.fields = {
            name: FormField(option, value=_from_settings(name), is_brief=name in FIRST)
            for name, option in form_options().items()
        }
        self.out = widgets.Text(description="Job variable", value=free_name("job", self._variables), placeholder="job")
        self.plan, self.said, self.line, self.why = (widgets.HTML() for _ in range(4))
        self.submit = widgets.Button(description="Submit", button_style="primary", disabled=True)
        self.codes = Codes(filled=lambda: self.filled, named=self._name_frame)
        self.more = button(_MORE)
        self.job_place = widgets.VBox()
        self.widget = self._laid_out()
        self._listen()
        self._choose_frame()
        self.endpoint.look()

    def _ipython_display_(self) -> None:
        from IPython.display import display

        follow_cells(self)
        handle: Any = display(self._bundle(), raw=True, display_id=True)  # type: ignore[no-untyped-call]
        self._update = None if handle is None else handle.update

    @property
    def frame(self) -> pd.DataFrame | None:
        """The frame that is chosen."""
        return self.data.frame

    @property
    def filled(self) -> Filled:
        """The form as it is filled in."""
        is_template = self.way.value == _TEMPLATE
        places = tuple(self.columns.value)
        columns = [] if self.frame is None else list(self.frame.columns)
        return Filled(
            data=self.data.name,
            out=self.out.value.strip(),
            endpoint_name=self.endpoint.name,
            columns=None
            if is_template or len(places) == len(columns)
            else tuple(columns[place] for place in places if place < len(columns)),
            places=places,
            known=tuple(columns),
            template=self.template.value if is_template else None,
            texts={name: field.value for name, field in self.fields.items()},
            session=None if self._session is None else bound_to(self._session, self._variables),
        )

    def close(self) -> None:
        """Show it no more, and let the frame go; a job that was submitted runs on."""
        self._planner.drop()
        self._leave_view()
        close(self.widget)
        self.data.forget()

    def look_again(self) -> None:
        """Follow the variables: frames that came or went, and rows that could not be sent and perhaps can be now."""
        if not self.data.look_again() and self._last is not None and not self._last.is_good:
            self._typed()

    # How it looks

    def _laid_out(self) -> Any:
        every, none = (button(word, small=True) for word in ("All columns", "No column"))
        every.on_click(lambda _: setattr(self.columns, "index", tuple(range(len(self.columns.options)))))
        none.on_click(lambda _: setattr(self.columns, "index", ()))
        self._of_columns = box("sma-field", [self.columns, row("sma-beside", [every, none])])
        self._of_template = box("sma-field", [self.template])
        self._hidden = box("sma-more", [])
        for title, names in groups(self.fields).items():
            heading = widgets.HTML(f'<div class="sma-group" role="heading" aria-level="4">{title}</div>')
            self._hidden.children += (heading, *(self.fields[name].widget for name in names))
        self._hidden.layout.display = "none"
        self.plan.add_class("sma-plan")
        self._page = box(
            "sma-page",
            [
                self.data.widget,
                self.endpoint.widget,
                box("sma-field", [self.way]),
                self._of_columns,
                self._of_template,
                *(self.fields[name].widget for name in FIRST),
                row("sma-beside", [self.more]),
                self._hidden,
                box("sma-field", [self.out, self.line]),
                self.plan,
                row("sma-buttons", [self.submit, self.codes.button, self.why]),
                self.codes.widget,
            ],
        )
        self.line.add_class("sma-hint")
        self.why.add_class("sma-why")
        self.again = button("Show the form again", small=True)
        self._back = row("sma-buttons", [self.again])
        self._back.layout.display = "none"
        everything = box("sma-form", [widgets.HTML(form_html.style()), self._page, self._back, self.said])
        return widgets.VBox([everything, self.job_place], layout={"width": "100%"})

    def _bundle(self) -> dict[str, Any]:
        text = "The form of df.sm_async.panel(); it needs a running notebook."
        return {**self.widget._repr_mimebundle_(), "text/plain": text, "text/html": f"<p>{text}</p>"}

    # What is typed

    def _listen(self) -> None:
        self.way.observe(lambda _: self._show_way(), names="value")
        controls = [self.columns, self.template, self.out, *(field.control for field in self.fields.values())]
        for control in controls:
            control.observe(lambda _: self._typed(), names="value")
        self.submit.on_click(lambda _: self._submit())
        self.more.on_click(lambda _: self._show_more())
        self.again.on_click(lambda _: self._show_page())

    def _choose_frame(self) -> None:
        frame = self.frame
        names = [] if frame is None else list(frame.columns)
        kinds = [] if frame is None else [str(kind) for kind in frame.dtypes]
        with self.columns.hold_sync():
            told = zip(names, kinds, strict=True)
            self.columns.options = [(f"{sayable(name)}   ({kind})", place) for place, (name, kind) in enumerate(told)]
            self.columns.index = tuple(range(len(names)))
            self.columns.rows = min(max(len(names), 2), _MOST_ROWS)
        offered = [name for name in names if isinstance(name, str) and name == sayable(name)][:_MOST_OFFERED]
        for field in self.fields.values():
            field.offer(offered)
        self._show_way()

    def _show_way(self) -> None:
        is_template = self.way.value == _TEMPLATE
        self._of_columns.layout.display = "none" if is_template else ""
        self._of_template.layout.display = "" if is_template else "none"
        self._typed()

    def _show_more(self) -> None:
        is_hidden = self._hidden.layout.display == "none"
        self._hidden.layout.display = "" if is_hidden else "none"
        self.more.description = _FEWER if is_hidden else _MORE

    def _typed(self) -> None:
        frame, filled = self.frame, self.filled
        self._ask_nothing()
        self.line.value = form_html.problem(told) if (told := wrong_name(filled.out, taken=filled.data)) else ""
        if frame is None:
            self._planner.drop()
            self._planned(Planned(rows=0, of_rows=0, error="There is no DataFrame in this session yet; define one."))
        else:
            self._planner.ask(Asked(frame=frame, filled=filled))

    # What was found

    def _planned(self, found: Planned) -> None:
        SCREEN.call(lambda: self._show_plan(found))

    def _show_plan(self, found: Planned) -> None:
        self._last = found
        filled = self.filled
        labels = {name: label_of(field.option) for name, field in self.fields.items()}
        for name, field in self.fields.items():
            field.complain(found.wrong.get(name, ""))
        self.plan.value = form_html.plan(found, endpoint_name=filled.endpoint_name, labels=labels)
        missing = self._missing(found, filled)
        self.why.value = form_html.hint(missing)
        self.submit.disabled = self._is_submitting or bool(missing)
        self.codes.renew()

    def _missing(self, found: Planned, filled: Filled) -> str:
        """What is to be done before this can be submitted, or nothing."""
        if not found.is_good:
            return "Put right what the plan complains about."
        if not filled.endpoint_name:
            return "Choose an endpoint."
        return "Give the job's variable another name." if wrong_name(filled.out, taken=filled.data) else ""

    def _name_frame(self) -> str:
        """Bind a frame that has no variable, so that code can name it; what there is to say about that."""
        if self.data.has_name or self.frame is None:
            return ""
        name = free_name("frame", self._variables)
        self._variables[name] = self.frame
        self.data.call_it(name)
        return f"The frame had no variable; it is bound to {name} now, so that the code can name it."

    # Submitting

    def _submit(self) -> None:
        frame, filled = self.frame, self.filled
        if frame is None or self._is_submitting or not self._may_bind(filled.out):
            return
        self._ask_nothing()
        self._is_submitting = self.submit.disabled = True
        self.said.value = form_html.notice(f"Submitting {len(frame):,} rows to {filled.endpoint_name}…")
        errand(lambda: self._submitted(filled, submitted(frame, filled, self._session)))

    def _may_bind(self, name: str) -> bool:
        """Whether the variable is free, or the form's own, or the user has said twice that it may be another's."""
        before = self._variables.get(name)
        if name not in self._variables or (before is not None and before is self._mine()):
            return True
        if not self._sure.asks(f"Replace {name}?"):
            return True
        self.submit.description, self.submit.button_style = f"Replace {name}?", "danger"
        self.said.value = form_html.notice(f"{name} has a value already; press again to bind the job to it instead.")
        return False

    def _ask_nothing(self) -> None:
        if self._sure.is_asking:
            self._sure.forget()
            self.said.value = ""
        self.submit.description, self.submit.button_style = "Submit", "primary"

    def _submitted(self, filled: Filled, outcome: Outcome) -> None:
        if outcome.job is not None:
            self._variables[filled.out] = outcome.job
            self._mine = weakref.ref(outcome.job)
        SCREEN.call(lambda: self._show_outcome(filled, outcome))

    def _show_outcome(self, filled: Filled, outcome: Outcome) -> None:
        self._is_submitting = False
        told = [form_html.notice(one, kind="warning") for one in outcome.warnings]
        if outcome.job is None:
            self.said.value = "".join([*told, form_html.notice(outcome.error, kind="error", step=outcome.step)])
            self.submit.disabled = False
            return
        self.said.value = "".join([form_html.notice(f"The job is bound to {filled.out}."), *told])
        self._hand_over(JobView(outcome.job))

    def _hand_over(self, view: JobView) -> None:
        """Show the job where the form was; a saved notebook has the job too."""
        self._page.layout.display, self._back.layout.display = "none", ""
        self.job_place.children = [view.widget]
        self._leave_view()
        self._view = view
        view.follow(None if self._update is None else self._renew)

    def _leave_view(self) -> None:
        """The job that was shown before is followed no more, nor put into the saved output."""
        if self._view is not None:
            self._view.close()
            self._view = None

    def _renew(self, told: dict[str, Any], **how: Any) -> None:
        """A page without a kernel shows the job; one with a kernel the form, which the job is in."""
        own = self.widget._repr_mimebundle_() if _WIDGET in told else {}
        if self._update is not None:
            self._update({**told, **own}, **how)

    def _show_page(self) -> None:
        self._page.layout.display, self._back.layout.display = "", "none"
        self.said.value = ""
        self.out.value = free_name("job", self._variables)
        self._typed()


def panel(frame: pd.DataFrame | None = None, *, session: Any = None) -> Form:
    """The form for a frame, or for one that is chosen in it."""
    return Form(frame, session=session)


def _from_settings(name: str) -> str:
    return str(value_of(name)) if name in _FROM_SETTINGS and is_said(name) else ""
