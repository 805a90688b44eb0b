"""The extension: what ``%load_ext sm_async_nb`` puts into a session, and what unloading takes out again."""

from __future__ import annotations

import re
from functools import partial
from typing import Any

from IPython.core.magic import Magics, line_cell_magic, magics_class, needs_local_scope, no_var_expand

from sm_async_nb.notebook import cell as cells
from sm_async_nb.notebook import completion, formatter
from sm_async_nb.notebook.commands import Here, own_options, run_command
from sm_async_nb.notebook.config import SmAsync, value_of
from sm_async_nb.notebook.known import KnownJobs
from sm_async_nb.notebook.magic_options import parse
from sm_async_nb.notebook.outside import for_show
from sm_async_nb.notebook.told import plainly

_PACKAGE = "sm_async_nb"
_OURS = re.compile(r"\s*%%sm_async(\s|$)")


@magics_class
class SmAsyncMagics(Magics):
    """``%%sm_async`` and ``%sm_async``."""

    def __init__(self, shell: Any) -> None:
        super().__init__(shell)
        self.jobs = KnownJobs(shell.user_ns)

    @no_var_expand
    @needs_local_scope
    @line_cell_magic
    def sm_async(self, line: str, cell: str | None = None, local_ns: dict[str, Any] | None = None) -> Any:
        variables = self.jobs.variables
        here = Here(namespace={**variables, **(local_ns or {})}, variables=variables, jobs=self.jobs)
        if cell is not None:
            return _run_cell(here, line, cell)
        words = line.split(maxsplit=1)
        if words[:1] == ["plan"]:
            return _run_cell(here, f"{' '.join(words[1:])} --dry-run", "")
        # Whatever a setting says: help, config and doctor are what a bad one is found with.
        with plainly(verbose=for_show("verbose_errors"), respell=partial(_as_typed, line)):
            return run_command(here, line)

    sm_async.__doc__ = cells.cell_help()


def _as_typed(line: str, message: str) -> str:
    return cells.in_words_of(None, own=own_options(line))(message)


def _run_cell(here: Here, line: str, body: str) -> Any:
    if "help" in parse(line, cells.cell_options(), help_at=cells.HELP_AT).given:
        print(cells.cell_help())  # noqa: T201 - help is for reading
        return None
    understood = cells.understand(here, line, body)
    with plainly(verbose=value_of("verbose_errors"), respell=cells.in_words_of(understood)):
        return cells.plan(understood, here) if understood.dry_run else cells.submit(understood, here)


def load(shell: Any) -> None:
    """Register the magics, their settings and completions, and the display of a job. A second time changes nothing."""
    unload(shell)
    settings = SmAsync(parent=shell)
    settings.start()
    shell.configurables.append(settings)
    magics = SmAsyncMagics(shell)
    shell.register_magics(magics)
    shell.Completer.custom_matchers.append(completion.matcher(shell.user_ns, magics.jobs))
    shell.input_transformers_cleanup.append(give_a_body)
    formatter.register(shell)


def unload(shell: Any) -> None:
    """Take all of it out again; jobs run on. What a reloaded module has forgotten is found by its name."""
    for kind in ("line", "cell"):
        if _is_ours(getattr(shell.magics_manager.magics[kind].get("sm_async"), "__self__", None)):
            del shell.magics_manager.magics[kind]["sm_async"]
    shell.magics_manager.registry.pop("SmAsyncMagics", None)
    for one in [one for one in shell.configurables if _is_ours(one)]:
        if hasattr(one, "stop"):
            one.stop()
        shell.configurables.remove(one)
    for places in (shell.Completer.custom_matchers, shell.input_transformers_cleanup):
        places[:] = [one for one in places if not getattr(one, "__module__", "").startswith(f"{_PACKAGE}.")]
    formatter.unregister(shell)


def give_a_body(lines: list[str]) -> list[str]:
    """Give a cell that is nothing but its first line an empty body, which IPython would refuse otherwise."""
    if lines and _OURS.match(lines[0]) and not any(line.strip() for line in lines[1:]):
        return [lines[0] if lines[0].endswith("\n") else f"{lines[0]}\n", "\n"]
    return lines


# A terminal asks whether a cell is complete with these transformations, and would not wait for a body then.
give_a_body.has_side_effects = True  # type: ignore[attr-defined]


def _is_ours(one: Any) -> bool:
    return type(one).__module__.startswith(f"{_PACKAGE}.")
