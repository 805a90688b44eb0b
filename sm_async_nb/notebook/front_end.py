"""Where this runs: a notebook that somebody looks at, one that a program runs, a terminal, or a script."""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from typing import Any


class FrontEnd(StrEnum):
    """Who looks at what is shown."""

    NOTEBOOK = "notebook"
    BATCH = "batch"
    TERMINAL = "terminal"
    SCRIPT = "script"

    @property
    def waits(self) -> bool:
        """Whether a cell should wait for its job, since nobody works on meanwhile."""
        return self is not FrontEnd.NOTEBOOK

    @property
    def has_outputs(self) -> bool:
        """Whether what is shown is an output of a cell, which can be a table and can be replaced."""
        return self in (FrontEnd.NOTEBOOK, FrontEnd.BATCH)


VARIABLE = "SM_ASYNC_NONINTERACTIVE"


def front_end(shell: Any = None) -> FrontEnd:
    """Where this runs, as far as it can be known from here."""
    shell = current_shell() if shell is None else shell
    if shell is None:
        return FrontEnd.SCRIPT
    if not hasattr(shell, "kernel"):
        return FrontEnd.TERMINAL
    if os.environ.get(VARIABLE, "0") != "0" or not _may_ask(shell.kernel):
        return FrontEnd.BATCH
    return FrontEnd.NOTEBOOK


def current_shell() -> Any:
    """IPython's shell, if there is one; IPython is not imported for it."""
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython else None


def _may_ask(kernel: Any) -> bool:
    """Whether somebody is there to answer ``input()``: nbclient and papermill say no with each cell they send."""
    try:
        request = kernel.get_parent("shell")
        return bool(request["content"]["allow_stdin"])
    except Exception:  # noqa: BLE001 - kernels differ, and a wrong guess only means that a cell returns at once
        return True
