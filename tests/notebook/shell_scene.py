"""A real IPython shell in this process, and what its cells print, show and give."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from IPython.core.completer import provisionalcompleter
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config


@dataclass
class Ran:
    """What came of one cell."""

    value: Any
    error: BaseException | None
    stdout: str
    stderr: str


class Shell:
    """A shell with the extension loaded."""

    def __init__(self, shell, capsys):
        self.ip = shell
        self.variables = shell.user_ns
        self._capsys = capsys

    def run(self, code):
        """Run a cell; every one is a cell of its own, as in a notebook."""
        self._capsys.readouterr()
        result = self.ip.run_cell(code, store_history=False)
        printed = self._capsys.readouterr()
        return Ran(result.result, result.error_before_exec or result.error_in_exec, printed.out, printed.err)

    def told(self, code):
        """The one line that a misuse is told in."""
        ran = self.run(code)
        assert "UsageError" == type(ran.error).__name__, ran.stderr
        assert "" == ran.stdout
        return ran.stderr.removeprefix("UsageError: ").removesuffix("\n")

    def completions(self, text):
        """What Tab offers where the text has ``‸``, with the text that each would make of the line."""
        offset = text.index("‸")
        code = text.replace("‸", "")
        with provisionalcompleter():
            found = list(self.ip.Completer.completions(code, offset))
        return [code[: one.start] + one.text for one in found]

    def words(self, text):
        """Only what would be put at the cursor."""
        offset = text.index("‸")
        code = text.replace("‸", "")
        with provisionalcompleter():
            return [one.text for one in self.ip.Completer.completions(code, offset)]


@contextmanager
def new_ipython():
    """IPython's shell as a terminal would have it, without a history."""
    InteractiveShell.clear_instance()
    config = Config()
    config.HistoryManager.enabled = False
    config.InteractiveShell.colors = "nocolor"
    try:
        yield InteractiveShell.instance(config=config)
    finally:
        InteractiveShell.clear_instance()


@contextmanager
def shell(ip, capsys):
    """The shell with the extension loaded, and without any of it and of the variables afterwards."""
    before = set(ip.user_ns)
    ip.run_cell("%load_ext sm_async_nb")
    try:
        yield Shell(ip, capsys)
    finally:
        ip.run_cell("%unload_ext sm_async_nb")
        ip.config.pop("SmAsync", None)  # where %config keeps what a later load is to find
        for name in set(ip.user_ns) - before:
            del ip.user_ns[name]
