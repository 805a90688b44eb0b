"""Kernels that can be told what to run, and killed: Python processes of their own, as a notebook's kernels are.

The file is also what such a process runs, so it imports nothing of the tests.
"""

from __future__ import annotations

import ast
import base64
import contextlib
import os
import pickle
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any, Self

import orjson

_ASKED_TO_END = 10


class KernelError(Exception):
    """What a cell raised; ``kind`` is the name of its class."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(f"{kind}: {message}")
        self.kind = kind
        self.message = message


class KernelDiedError(Exception):
    """The process ended before it answered."""


class Kernel:
    """A process that has imported the package and runs one cell at a time, all in one namespace.

    Parameters
    ----------
    environment
        The variables that lead to AWS, such as those of ``LocalEndpoint.environment``.
    """

    def __init__(self, environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            env={**os.environ, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    def run(self, cell: str, **names: Any) -> Any:
        """Run a cell to its end; returns the value of its last expression. ``names`` are set before."""
        self.start(cell, **names)
        return self.answer()

    def start(self, cell: str, **names: Any) -> None:
        """Begin a cell, whose answer is to be asked for."""
        told = {"cell": textwrap.dedent(cell), "names": _packed(names)}
        self._process.stdin.write(orjson.dumps(told) + b"\n")
        self._process.stdin.flush()

    def answer(self) -> Any:
        """The value of the cell that was started.

        Raises
        ------
        KernelError
            If the cell raised.
        KernelDiedError
            If the kernel was killed meanwhile.
        """
        line = self._process.stdout.readline()
        if not line:
            raise KernelDiedError(f"process {self.pid} has ended")
        told = orjson.loads(line)
        if "kind" in told:
            raise KernelError(told["kind"], told["message"])
        return pickle.loads(base64.b64decode(told["value"]))

    def kill(self) -> None:
        """``kill -9``: not a word more, and nothing is tidied up."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        self._close_pipes()

    def close(self) -> None:
        """Let it end as a kernel that is shut down does."""
        if self._process.poll() is None:
            self._process.stdin.close()
            try:
                self._process.wait(_ASKED_TO_END)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._close_pipes()

    def _close_pipes(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


def _packed(value: Any) -> str:
    return base64.b64encode(pickle.dumps(value)).decode()


def _serve() -> None:
    """Run cells as they come, until nobody sends any more."""
    answers, sys.stdout = sys.stdout.buffer, sys.stderr
    import pandas as pd

    import sm_async_nb

    names: dict[str, Any] = {"pd": pd, "sm_async_nb": sm_async_nb}
    for line in sys.stdin.buffer:
        told = orjson.loads(line)
        names.update(pickle.loads(base64.b64decode(told["names"])))
        try:
            answer = {"value": _packed(_run(told["cell"], names))}
        except Exception as error:  # noqa: BLE001 - a cell may raise anything, and its kernel lives on
            answer = {"kind": type(error).__name__, "message": str(error)}
        answers.write(orjson.dumps(answer) + b"\n")
        answers.flush()


def _run(cell: str, names: dict[str, Any]) -> Any:
    body = ast.parse(cell).body
    last = body.pop() if body and isinstance(body[-1], ast.Expr) else None
    exec(compile(ast.Module(body, []), "<cell>", "exec"), names)
    return eval(compile(ast.Expression(last.value), "<cell>", "eval"), names) if last is not None else None


if __name__ == "__main__":
    # The folder of this file must not hide any module of the interpreter's.
    sys.path.remove(str(Path(__file__).parent))
    _serve()
