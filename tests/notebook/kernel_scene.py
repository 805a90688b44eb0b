"""A real kernel, and what comes of the cells that are run in it.

The interpreter of the kernel is this one, or that of the environment variable KERNEL_PYTHON: ``.ci/kernels`` runs the
tests with one environment for each ipykernel.
"""

from __future__ import annotations

import json
import os
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from queue import Empty

from jupyter_client import KernelManager
from jupyter_client.kernelspec import KernelSpecManager

PYTHON = os.environ.get("KERNEL_PYTHON", sys.executable)
PATIENCE = 60


@dataclass
class Ran:
    """What came of one cell."""

    status: str
    seconds: float
    stdout: str = ""
    stderr: str = ""
    outputs: list = field(default_factory=list)
    error: dict = field(default_factory=dict)

    @property
    def text(self):
        """The text of the cell's value or of what it displayed last."""
        return self.outputs[-1]["data"]["text/plain"] if self.outputs else ""

    @property
    def traceback(self):
        return "\n".join(self.error.get("traceback", ()))


class Kernel:
    """A kernel that is up, and a client of it."""

    def __init__(self, manager, client):
        self.manager = manager
        self.client = client

    def run(self, code, *, allow_stdin=True, timeout=PATIENCE):
        """Run a cell to its end, as a notebook does; ``allow_stdin=False`` is how nbclient and papermill do it."""
        return self.end_of(self.start(code, allow_stdin=allow_stdin), timeout=timeout)

    def start(self, code, *, allow_stdin=True):
        self._started_at = time.monotonic()
        return self.client.execute(code, allow_stdin=allow_stdin)

    def end_of(self, cell, timeout=PATIENCE):
        """What came of a cell that was started."""
        ran = Ran(status="", seconds=0.0)
        give_up = time.monotonic() + timeout
        while True:
            message = self.client.get_iopub_msg(timeout=max(give_up - time.monotonic(), 0.1))
            kind, content = message["msg_type"], message["content"]
            if kind == "update_display_data":
                _update(ran.outputs, content)
            if message["parent_header"].get("msg_id") != cell:
                continue
            if kind == "stream":
                setattr(ran, content["name"], getattr(ran, content["name"]) + content["text"])
            elif kind in ("display_data", "execute_result"):
                ran.outputs.append(content)
            elif kind == "error":
                ran.error = content
            elif kind == "status" and content["execution_state"] == "idle":
                break
        ran.seconds = time.monotonic() - self._started_at
        ran.status = self._reply(cell, give_up)["content"]["status"]
        if ran.status == "error":
            # After any error a kernel drops what was queued behind it, for a moment that no hand is quick enough for.
            time.sleep(0.2)
        return ran

    def updates(self, until, timeout=PATIENCE):
        """What outputs of earlier cells were changed into, by their display id, until one of them fits."""
        give_up = time.monotonic() + timeout
        seen = {}
        while time.monotonic() < give_up:
            try:
                message = self.client.get_iopub_msg(timeout=0.2)
            except Empty:
                continue
            if message["msg_type"] == "update_display_data":
                content = message["content"]
                seen[content["transient"]["display_id"]] = content["data"]
                if until(content["data"]):
                    return seen
        raise AssertionError(f"No output became that within {timeout} s; they became {seen}.")

    def is_running(self, cell):
        """Return when the kernel is at work on a cell."""
        while True:
            message = self.client.get_iopub_msg(timeout=PATIENCE)
            if message["msg_type"] == "execute_input" and message["parent_header"].get("msg_id") == cell:
                return

    def interrupt(self):
        self._started_at = time.monotonic()
        self.manager.interrupt_kernel()

    def restart(self):
        self.manager.restart_kernel(now=True)
        self.client.wait_for_ready(timeout=PATIENCE)

    def shut_down(self):
        """Ask the kernel to end; the seconds until it has."""
        asked_at = time.monotonic()
        self.client.shutdown()
        while self.manager.is_alive():
            time.sleep(0.01)
        return time.monotonic() - asked_at

    def _reply(self, cell, give_up):
        while True:
            reply = self.client.get_shell_msg(timeout=max(give_up - time.monotonic(), 0.1))
            if reply["parent_header"].get("msg_id") == cell:
                return reply


def _update(outputs, content):
    for output in outputs:
        if output.get("transient", {}).get("display_id") == content["transient"]["display_id"]:
            output["data"] = content["data"]


@contextmanager
def kernel(folder, environment, *, stderr=None):
    """A kernel with this environment, whose files lie in this folder."""
    spec = folder / "kernels" / "under-test"
    spec.mkdir(parents=True, exist_ok=True)
    argv = [PYTHON, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (spec / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": "under test", "language": "python"}))
    specs = KernelSpecManager(kernel_dirs=[str(folder / "kernels")], ensure_native_kernel=False)
    manager = KernelManager(kernel_name="under-test", kernel_spec_manager=specs)
    own = {"IPYTHONDIR": str(folder / "ipython"), "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
    manager.start_kernel(env={**environment, **own}, cwd=str(folder), stderr=stderr)
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=PATIENCE)
        yield Kernel(manager, client)
    finally:
        client.stop_channels()
        if manager.is_alive():
            manager.shutdown_kernel(now=True)
        manager.cleanup_resources()
