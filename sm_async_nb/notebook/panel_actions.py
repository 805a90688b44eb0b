"""What can be done about a job with a button, each beside the Python that does the same.

A click takes note and returns; the work is an errand. Cancelling takes two clicks, since it cannot be taken back.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import ipywidgets as widgets

from sm_async_nb.core.ledger import Snapshot, Status
from sm_async_nb.errors import SmAsyncError
from sm_async_nb.job.job import Job
from sm_async_nb.notebook.panel_html import code
from sm_async_nb.notebook.panel_screen import errand

_SURE_SECONDS = 5.0

Tell = Callable[[str], None]


def user_variables() -> dict[str, Any]:
    """The user's variables; a dict of nobody where there is no shell."""
    from IPython import get_ipython

    shell: Any = get_ipython()
    return {} if shell is None else shell.user_ns


def name_of(job: Job) -> str:
    """The variable that the job is bound to, or how it is got where there is none."""
    bound = (name for name, value in list(user_variables().items()) if value is job and not name.startswith("_"))
    return next(bound, f"sm_async_nb.attach({job.uri!r})")


class Actions:
    """The buttons of a job.

    Parameters
    ----------
    tell
        Takes what has come of a click, from any thread.
    acted
        Called after the job was set going again.
    """

    def __init__(self, job: Job, *, tell: Tell, acted: Callable[[], None]) -> None:
        self._job, self._tell, self._acted = job, tell, acted
        self._sure_until = 0.0
        self.retry = _button("Retry failed", self._retry, "Send those again that ended badly")
        self.cancel = _button("Cancel", self._cancel, "Send nothing more; asks for a second click", style="warning")
        self.load = _button("Load results", self._load, "Bind the answers to the variable named beside it")
        self.save = _button("Save as", self._save, "Write the answers as Parquet files into this folder")
        self.name = widgets.Text(value="results", description="Variable", layout={"width": "210px"})
        self.path = widgets.Text(value=f"{job.id}-results", description="Folder", layout={"width": "290px"})
        called = name_of(job)
        self._codes = {
            "retry": f"{called}.retry()",
            "cancel": f"{called}.cancel()",
            "load": f"results = {called}.results()",
            "save": f'{called}.results(into="{job.id}-results")',
        }
        self._lines = {name: widgets.HTML(code(text)) for name, text in self._codes.items()}
        self.widget = widgets.HBox(
            [
                widgets.VBox([self.retry, self._lines["retry"]]),
                widgets.VBox([self.cancel, self._lines["cancel"]]),
                widgets.VBox([widgets.HBox([self.load, self.name]), self._lines["load"]]),
                widgets.VBox([widgets.HBox([self.save, self.path]), self._lines["save"]]),
            ],
            layout={"flex_flow": "row wrap", "grid_gap": "4px 16px"},
        )

    def show(self, seen: Snapshot, now: float) -> None:
        """Let only those be clicked that have something to do; a trait that stays is not sent."""
        bad = seen[Status.FAILED] + seen[Status.EXPIRED] + seen[Status.REJECTED]
        self.retry.disabled = self._job.is_read_only or not bad
        self.retry.description = f"Retry failed ({bad:,})" if bad else "Retry failed"
        self.cancel.disabled = self._job.is_read_only or seen.is_over
        self.load.disabled = self.save.disabled = not seen[Status.COMPLETED]
        if now > self._sure_until:
            self.cancel.description = "Cancel"
        called = name_of(self._job)
        self._say("retry", f"{called}.retry()")
        self._say("cancel", f"{called}.cancel()")
        self._say("load", f"{self.name.value} = {called}.results()")
        self._say("save", f"{called}.results(into={self.path.value!r})")

    def _say(self, name: str, text: str) -> None:
        if self._codes[name] != text:
            self._codes[name] = text
            self._lines[name].value = code(text)

    def _retry(self) -> None:
        self._run(self.retry, lambda: f"{_many(self._job.retry(), 'request')} sent again.")

    def _cancel(self) -> None:
        if time.time() > self._sure_until:
            self._sure_until = time.time() + _SURE_SECONDS
            self.cancel.description = "Really cancel?"
            return
        self._sure_until = 0.0
        self._run(self.cancel, lambda: str(self._job.cancel()))

    def _load(self) -> None:
        name = self.name.value.strip()
        if not name.isidentifier():
            self._tell(f"{name!r} cannot be the name of a variable.")
            return

        def load() -> str:
            found = user_variables()[name] = self._job.results()
            return f"{name} has {_many(len(found), 'row')} and {_many(len(found.columns), 'column')}."

        self._run(self.load, load)

    def _save(self) -> None:
        path = self.path.value.strip()
        self._run(self.save, lambda: f"Written: {', '.join(self._job.results(into=path)[:3]) or 'nothing'}.")

    def _run(self, button: Any, work: Callable[[], str]) -> None:
        """Do it where nobody waits, and say what came of it."""
        button.disabled = True

        def run() -> None:
            try:
                self._tell(work())
            except (SmAsyncError, OSError, ValueError) as error:
                self._tell(f"{error}")
            finally:
                button.disabled = False
                self._acted()

        errand(run)


def _many(count: int, of: str) -> str:
    return f"{count:,} {of}{'' if count == 1 else 's'}"


def _button(description: str, act: Callable[[], None], tooltip: str, *, style: str = "") -> Any:
    button = widgets.Button(
        description=description, tooltip=tooltip, button_style=style, layout={"width": "auto", "min_width": "110px"}
    )
    button.on_click(lambda _button: act())
    return button
