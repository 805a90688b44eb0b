"""A job as an output of a cell: live where widgets may be shown, HTML and text that follow it elsewhere.

Many outputs may show the same job. One thread renews them all while there is something to renew; what cannot be
shown is left alone, since a display that fails must never stop a job.
"""

from __future__ import annotations

import contextlib
import contextvars
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sm_async_nb.notebook import outside
from sm_async_nb.notebook.front_end import FrontEnd, current_shell, front_end
from sm_async_nb.notebook.panel.screen import SCREEN, guarded

if TYPE_CHECKING:
    from sm_async_nb.job.job import Job

# Seconds between two forms of a job, and how much longer than making one it takes at least.
_EVERY_SECONDS, _SPARING = 0.5, 20

_log = logging.getLogger(__name__)


def show(job: Job) -> None:
    """Show a job as an output that follows it until it is over."""
    if not (_is_live() and _shown_live(job)):
        _show_static(job)


def _is_live() -> bool:
    """Whether somebody may be there who looks at widgets: a program that runs a notebook keeps what they were."""
    return outside.current("front_end")[0] == "auto" and front_end() is FrontEnd.NOTEBOOK


def _shown_live(job: Job) -> bool:
    try:
        from sm_async_nb.notebook.panel import job_view

        job_view.show(job)
    except Exception:  # noqa: BLE001 - without ipywidgets, without comms: there is the other form
        _log.debug("Job %s cannot be shown live.", job.id, exc_info=True)
        return False
    return True


def _show_static(job: Job) -> None:
    from IPython.display import display

    try:
        handle: Any = display(bundle(job), raw=True, display_id=True)  # type: ignore[no-untyped-call]
    except Exception:  # noqa: BLE001 - whatever the front end has against it, the job goes on
        _log.debug("Job %s cannot be shown.", job.id, exc_info=True)
        print(repr(job))  # noqa: T201 - the cell's own thread, and better than nothing
        return
    if handle is not None and not job.snapshot.is_over:
        output = _Output(job, handle.update, contextvars.copy_context())
        job.faces.add(output)
        SCREEN.add(output)


def bundle(job: Job) -> dict[str, str]:
    """The forms of a job as it stands; a front end takes the richest that it can show."""
    told = {"text/plain": repr(job)}
    if outside.current("front_end")[0] != "text":
        with contextlib.suppress(Exception):  # the text is always there
            from sm_async_nb.notebook.panel import html as panel_html

            told["text/html"] = panel_html.static(job)
    return told


def after_the_next_cell(act: Callable[[], object]) -> None:
    """Call it once, when the cell that runs now, or the next one, has run.

    A program that runs a notebook (nbclient, papermill) hears only of what comes while a cell runs; what was shown
    between two of them has to be shown again.
    """
    shell = current_shell()
    if shell is None:
        return

    def once(_ran: object = None) -> None:
        shell.events.unregister("post_run_cell", once)
        act()

    shell.events.register("post_run_cell", once)


@dataclass(eq=False)
class _Output:
    """One output of one cell, without a widget."""

    job: Job
    update: Callable[..., object]
    context: contextvars.Context
    due_at: float = 0.0
    is_frozen: bool = False
    renewing: threading.Lock = field(default_factory=threading.Lock)

    def refresh(self, now: float) -> bool:
        """Show the job as it stands; false when there is nothing more to show."""
        seen = self.job.snapshot
        if self.is_frozen:
            return False
        if now < self.due_at and not seen.is_over:
            return True
        started = time.monotonic()
        self._renew()
        self.due_at = now + max(_EVERY_SECONDS, _SPARING * (time.monotonic() - started))
        if seen.is_over:
            after_the_next_cell(lambda: guarded(self._renew))  # or IPython tells of it in somebody's cell
        return not seen.is_over

    def freeze(self) -> None:
        """Show it as it stands now, for good."""
        self._renew(for_good=True)

    def _renew(self, *, for_good: bool = False) -> None:
        with self.renewing:  # two threads do
            if self.is_frozen:
                return
            self.is_frozen = for_good
            told = bundle(self.job)
            try:
                # As part of the cell that runs now: nbclient hears of no other.
                contextvars.Context().run(self.update, told, raw=True)
            except LookupError:
                # ipykernel 7.0 knows a cell only in the context it ran in.
                self.context.run(self.update, told, raw=True)
