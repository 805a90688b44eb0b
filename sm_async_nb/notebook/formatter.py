"""That a job which is the value of a cell is shown: IPython is told so when the package is imported in a kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sm_async_nb.notebook.front_end import current_shell

if TYPE_CHECKING:
    from sm_async_nb.job.job import Job

_JOB = ("sm_async_nb.job.job", "Job")


def register(shell: Any = None) -> None:
    """Show jobs from now on; a second time changes nothing. A terminal prints what they say of themselves."""
    shell = current_shell() if shell is None else shell
    if shell is not None and hasattr(shell, "kernel"):
        unregister(shell)
        shell.display_formatter.ipython_display_formatter.for_type_by_name(*_JOB, _show)


def unregister(shell: Any) -> None:
    """Show them no more. What a reloaded module has forgotten is found by its name."""
    formatter = shell.display_formatter.ipython_display_formatter
    formatter.deferred_printers.pop(_JOB, None)
    for kind in [kind for kind in formatter.type_printers if (kind.__module__, kind.__name__) == _JOB]:
        formatter.type_printers.pop(kind)


def _show(job: Job) -> None:
    from sm_async_nb.notebook import display

    display.show(job)
