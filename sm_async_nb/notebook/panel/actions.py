"""What can be done about a job with a button, each beside the Python that does the same.

A click takes note and returns; the work is an errand, and its button says so meanwhile. What cannot be taken back
takes two clicks: cancelling, and binding results to a variable that has another value.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import ipywidgets as widgets

from sm_async_nb.core.ledger import Snapshot, Status
from sm_async_nb.errors import SmAsyncError
from sm_async_nb.job.job import Job
from sm_async_nb.notebook.form.names import bound_to, free_name, wrong_name
from sm_async_nb.notebook.panel.html import code
from sm_async_nb.notebook.panel.screen import errand
from sm_async_nb.notebook.panel.sure import Sure

_SURE_SECONDS = 5.0
_WRAPPED = {"flex_flow": "row wrap"}
# A button is no wider than it would be alone.
_NATURAL = {"align_items": "flex-start"}

Tell = Callable[[str], None]


def user_variables() -> dict[str, Any]:
    """The user's variables; a dict of nobody where there is no shell."""
    from IPython import get_ipython

    shell: Any = get_ipython()
    return {} if shell is None else shell.user_ns


def variable_of(job: Job) -> str | None:
    """The variable that the job is bound to, if there is one."""
    return bound_to(job, user_variables()) or None


def name_of(job: Job) -> str:
    """The variable that the job is bound to, or how it is got where there is none."""
    return variable_of(job) or attaching(job)


def attaching(job: Job) -> str:
    """How a job is got where no variable is bound to it."""
    return f"sm_async_nb.attach({job.uri!r})"


class Actions:
    """The buttons of a job.

    Parameters
    ----------
    tell
        Takes what has come of a click, from any thread.
    acted
        Called when there is something to draw again.
    clock
        Tells the time in seconds since the epoch.
    """

    def __init__(
        self, job: Job, *, tell: Tell, acted: Callable[[], None], clock: Callable[[], float] = time.time
    ) -> None:
        self._job, self._tell, self._acted = job, tell, acted
        self._sure = Sure(clock, patience_seconds=_SURE_SECONDS)
        # What the buttons say whose work goes on.
        self._busy: dict[Any, str] = {}
        self._mine: tuple[str, Any] = ("", None)
        self.resume = _button("Resume", self._resume, "Go on after the pause, with credentials looked up anew")
        self.retry = _button("Retry failed", self._retry, "Send those again that ended badly")
        self.rest = _button("Send the rest", self._send_rest, "Send what was cancelled before it was sent")
        self.cancel = _button("Cancel", self._cancel, "Send nothing more; asks for a second click")
        self.load = _button("Load results", self._load, "Bind the answers to the variable named beside it")
        self.save = _button("Save as", self._save, "Write the answers as Parquet files into this folder")
        self.name = _text("Variable", "results", "190px")
        self.path = _text("Folder", f"{job.id}-results", "300px")
        self._codes = self._said()
        self._lines = {name: widgets.HTML(code(text)) for name, text in self._codes.items()}
        # What the other lines need first, where no variable is bound to the job.
        self._first = self._lines["attach"].add_class("sma-html")
        boxes = {
            name: widgets.VBox([above, self._lines[name]], layout=_NATURAL)
            for name, above in {
                "resume": self.resume,
                "retry": self.retry,
                "rest": self.rest,
                "cancel": self.cancel,
                "load": widgets.HBox([self.load, self.name], layout=_WRAPPED),
                "save": widgets.HBox([self.save, self.path], layout=_WRAPPED),
            }.items()
        }
        self._resume_box, self._rest_box = boxes["resume"], boxes["rest"]
        row = widgets.HBox(list(boxes.values()), layout={**_WRAPPED, "grid_gap": "4px 16px", "padding": "4px 0"})
        self.widget = widgets.VBox([self._first, row])
        self._show_lines()
        for box in (self.name, self.path):
            box.observe(lambda _: self._show_lines(), names="value")
        # What changes while one looks.
        buttons = (self.resume, self.retry, self.rest, self.cancel, self.load, self.save)
        self._names = {button: button.description for button in buttons}
        layouts = (self._resume_box.layout, self._rest_box.layout, self._first.layout)
        self.changing = (*buttons, *self._lines.values(), *layouts)

    @property
    def is_asking(self) -> bool:
        """Whether a question stands on a button, which goes away by itself."""
        return self._sure.is_asking

    def show(self, seen: Snapshot, now: float) -> None:
        """Let only those be clicked that have something to do; a trait that stays is not sent."""
        bad, unsent = seen[Status.FAILED] + seen[Status.EXPIRED] + seen[Status.REJECTED], seen[Status.CANCELLED]
        is_ours = not self._job.is_read_only
        self._show_button(self.resume, "Resume", can=is_ours)
        self._resume_box.layout.display = "" if seen.paused is not None and not seen.is_over else "none"
        self._show_button(self.retry, f"Retry failed ({bad:,})" if bad else "Retry failed", can=is_ours and bad > 0)
        self._show_button(self.rest, f"Send the rest ({unsent:,})", can=is_ours)
        self._rest_box.layout.display = "" if unsent else "none"
        if self._sure.is_late(now):
            self._sure.forget()
        for button, told, can in (
            (self.cancel, "Cancel", is_ours and not seen.is_over),
            (self.load, "Load results", seen[Status.COMPLETED] > 0),
        ):
            is_asking = self._sure.is_asking and button.button_style == "danger"
            self._show_button(button, told, can=can, question=button.description if is_asking else "")
            button.button_style = "danger" if is_asking else ""
        self._show_button(self.save, "Save as", can=seen[Status.COMPLETED] > 0)
        self._show_lines()

    def _show_button(self, button: Any, told: str, *, can: bool, question: str = "") -> None:
        self._names[button] = told
        button.disabled = button in self._busy or not can
        button.description = self._busy.get(button, question or told)

    def _show_lines(self) -> None:
        said = self._said()
        self._first.layout.display = "" if said["attach"] else "none"
        for name, text in said.items():
            self._say(name, text)

    def _said(self) -> dict[str, str]:
        """The Python that does the same as each button, and what has to be run before, if anything."""
        bound = variable_of(self._job)
        called = bound or free_name("job", user_variables())
        return {
            "attach": "" if bound else f"{called} = {attaching(self._job)}",
            "resume": f"{called}.resume()",
            "retry": f"{called}.retry()",
            "rest": f"{called}.retry(status='cancelled')",
            "cancel": f"{called}.cancel()",
            "load": f"{self.name.value} = {called}.results()",
            "save": f"{called}.results(into={self.path.value!r})",
        }

    def _say(self, name: str, text: str) -> None:
        if self._codes[name] != text:
            self._codes[name] = text
            self._lines[name].value = code(text)

    def _resume(self) -> None:
        def resume() -> str:
            self._job.resume()
            return "Resumed."

        self._run(self.resume, "Resuming …", resume)

    def _retry(self) -> None:
        self._run(self.retry, "Sending …", lambda: f"{_many(self._job.retry(), 'request')} sent again.")

    def _send_rest(self) -> None:
        self._run(self.rest, "Sending …", lambda: f"{_many(self._job.retry(status='cancelled'), 'request')} sent.")

    def _cancel(self) -> None:
        if self._is_sure(self.cancel, "Really cancel?"):
            self._run(self.cancel, "Cancelling …", lambda: str(self._job.cancel()))

    def _is_sure(self, button: Any, question: str) -> bool:
        """Whether this is the second click on the same question, soon after the first, but not at once."""
        if not self._sure.asks(question):
            button.button_style = ""
            return True
        for other in (self.cancel, self.load):
            other.button_style = ""
        button.description, button.button_style = question, "danger"
        self._acted()
        return False

    def _load(self) -> None:
        name = self.name.value.strip()
        if wrong := wrong_name(name):
            self._tell(wrong)
            return
        variables = user_variables()
        is_mine = self._mine[0] == name and variables.get(name) is self._mine[1]
        if name in variables and not is_mine and not self._is_sure(self.load, f"Replace {name}?"):
            return

        def load() -> str:
            found = variables[name] = self._job.results()
            self._mine = name, found
            return f"{name} has {_many(len(found), 'row')} and {_many(len(found.columns), 'column')}."

        self._run(self.load, "Loading …", load)

    def _save(self) -> None:
        path = self.path.value.strip()
        self._run(
            self.save, "Writing …", lambda: f"Written: {', '.join(self._job.results(into=path)[:3]) or 'nothing'}."
        )

    def _run(self, button: Any, meanwhile: str, work: Callable[[], str]) -> None:
        """Do it where nobody waits, and say what came of it; once at a time, since each may take minutes."""
        if button in self._busy:
            return
        self._busy[button] = meanwhile
        button.disabled, button.description = True, meanwhile

        def run() -> None:
            try:
                self._tell(work())
            except (SmAsyncError, OSError, ValueError) as error:
                self._tell(f"{error}")
            except Exception as error:  # noqa: BLE001 - a button that does nothing and does not say why helps nobody
                self._tell(f"{type(error).__name__}: {error}")
            finally:
                del self._busy[button]
                button.disabled, button.description = False, self._names[button]
                self._acted()

        errand(run)


def _many(count: int, of: str) -> str:
    return f"{count:,} {of}{'' if count == 1 else 's'}"


def _text(description: str, value: str, width: str) -> Any:
    style = {"description_width": "initial"}
    return widgets.Text(value=value, description=description, style=style, layout={"width": width, "max_width": "100%"})


def _button(description: str, act: Callable[[], None], tooltip: str) -> Any:
    button = widgets.Button(description=description, tooltip=tooltip, layout={"width": "auto", "min_width": "110px"})
    button.on_click(lambda _button: act())
    return button
