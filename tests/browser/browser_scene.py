"""A Jupyter server of its own, and a notebook that is open in a browser before it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from itertools import count

import nbformat
import zmq

PATIENCE_SECONDS = 60
PYTHON = os.environ.get("KERNEL_PYTHON", sys.executable)
GATE = threading.Event()
PICTURES = []

SETUP = """
import json, os, threading, time
import pandas as pd
import sm_async_nb
from sm_async_nb.notebook.panel import job_view
%load_ext sm_async_nb
df = pd.DataFrame({"x": range(40), "text": [f"text {n}" for n in range(40)]}, index=[f"row-{n}" for n in range(40)])
"""

# A kernel that has just started may lose the answer to what it is asked first, and the page would wait for it for ever.
READY = """
async () => {
    const panel = window.jupyterapp.shell.currentWidget;
    await panel.context.ready;
    await panel.sessionContext.ready;
    for (let tries = 0; tries < 12; tries++) {
        const { kernel } = panel.sessionContext.session;
        const done = kernel.requestExecute({ code: '1', store_history: false, silent: true }).done.then(() => true);
        if (await Promise.race([done, new Promise((late) => setTimeout(late, 5_000, false))])) return;
    }
    throw new Error('the kernel never answered');
}
"""


def model(body, content_type, accept):
    """Twice `x`, behind the gate from 20 on; what ends with 3 is refused until `mended` is set."""
    record = json.loads(body)
    if record["x"] >= 20:
        GATE.wait(PATIENCE_SECONDS)
    if record["x"] % 10 == 3 and not MENDED.is_set():
        raise ValueError(f"no model for {record['x']}: {HOSTILE}")
    return json.dumps({"y": record["x"] * 2})


MENDED = threading.Event()
HOSTILE = "<img src=x onerror=window.hacked=1>"


class Nudge:
    """New connections to every kernel, over and over, for ipykernel before 7.4.

    Those send their replies past the stream that reads requests from the same socket, and a request that comes at that
    moment lies there unread, until somebody connects (ipykernel's issue 1554, mended by its pull request 1529). People
    reload the page then; a test cannot.
    """

    def __init__(self, folder):
        self._folder = folder
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._go_on, name="nudge")

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join()

    def _go_on(self):
        with zmq.Context() as context:
            while True:
                connections = [self._connect(context, path) for path in self._folder.glob("kernel-*.json")]
                # Until the kernel has taken notice, which is when the wire is set up.
                over = self._over.wait(0.5)
                for connection in connections:
                    connection.close(linger=0)
                if over:
                    return

    def _connect(self, context, path):
        connection = context.socket(zmq.DEALER)
        with suppress(OSError, ValueError):  # gone or half written
            told = json.loads(path.read_text())
            connection.connect(f"{told['transport']}://{told['ip']}:{told['shell_port']}")
        return connection


def may_leave_requests_unread():
    """Whether the kernel's ipykernel is one that needs a :class:`Nudge`."""
    told = subprocess.check_output([PYTHON, "-c", "import ipykernel; print(*ipykernel.version_info[:2])"], text=True)
    return (7, 0) <= tuple(int(part) for part in told.split()) < (7, 4)


class Server:
    """A Jupyter server with Lab and Notebook, in an empty folder, with nothing of whoever runs the tests."""

    def __init__(self, folder, environment):
        self.folder = folder
        self.numbers = count()
        self._environment = environment
        self._process = None
        self._nudge = ExitStack()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.url = f"http://127.0.0.1:{free.getsockname()[1]}"

    def __enter__(self):
        self._configure()
        ours = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "SM_ASYNC_"))}
        folders = (
            "JUPYTER_CONFIG_DIR",
            "JUPYTER_DATA_DIR",
            "JUPYTER_RUNTIME_DIR",
            "IPYTHONDIR",
            "JUPYTERLAB_SETTINGS_DIR",
        )
        places = {name: str(self.folder / name.lower()) for name in folders}
        port = self.url.rpartition(":")[2]
        options = ["--no-browser", "--ip=127.0.0.1", f"--port={port}", "--ServerApp.port_retries=0", "--allow-root"]
        options += ["--IdentityProvider.token=", f"--ServerApp.root_dir={self.folder}", "--LabApp.news_url="]
        options += ["--ServerApp.disable_check_xsrf=True", "--LabApp.expose_app_in_browser=True"]
        options += ["--JupyterNotebookApp.expose_app_in_browser=True"]
        with (self.folder / "server.log").open("w") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "jupyterlab", *options],
                env={**ours, **places, **self._environment, "AWS_EC2_METADATA_DISABLED": "true"},
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self._wait()
        if may_leave_requests_unread():
            self._nudge.enter_context(Nudge(self.folder / "jupyter_runtime_dir"))
        return self

    def __exit__(self, *_):
        self._nudge.close()
        self.stop_kernels()
        self._process.terminate()
        self._process.wait(20)

    def _configure(self):
        settings = self.folder / "jupyterlab_settings_dir" / "@jupyterlab"
        for name, told in {
            "apputils-extension/notification": {
                "fetchNews": "false",
                "checkForUpdates": False,
                "doNotDisturbMode": True,
            },
            "apputils-extension/themes": {"theme": "JupyterLab Light"},
        }.items():
            path = settings / f"{name}.jupyterlab-settings"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(told))
        kernel = self.folder / "jupyter_data_dir" / "kernels" / "under-test"
        kernel.mkdir(parents=True)
        argv = [PYTHON, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        (kernel / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": "Test", "language": "python"}))

    def _wait(self):
        give_up = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                with urllib.request.urlopen(f"{self.url}/api/status", timeout=5):
                    return
            except OSError:
                if time.monotonic() > give_up or self._process.poll() is not None:
                    raise RuntimeError((self.folder / "server.log").read_text()[-3000:]) from None
                time.sleep(0.1)

    def get(self, path):
        with urllib.request.urlopen(f"{self.url}{path}", timeout=10) as answer:
            return json.load(answer)

    def stop_kernels(self):
        with ThreadPoolExecutor() as all_at_once:
            list(all_at_once.map(self._stop, self.get("/api/sessions")))

    def _stop(self, session):
        request = urllib.request.Request(f"{self.url}/api/sessions/{session['id']}", method="DELETE")
        urllib.request.urlopen(request, timeout=20).close()


class Notebook:
    """A notebook with a kernel, open in a page; cells are added and run one after the other."""

    def __init__(self, page, server, face):
        self.page, self.server, self.face = page, server, face
        self.name = f"test-{next(server.numbers)}.ipynb"
        page.set_default_timeout(PATIENCE_SECONDS * 1_000 / 4)

    def __enter__(self):
        notebook = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell(SETUP, id=uuid.uuid4().hex[:8])],
            metadata={"kernelspec": {"name": "under-test", "display_name": "Test", "language": "python"}},
        )
        nbformat.write(notebook, self.server.folder / self.name)
        self.open()
        self.run_all()
        return self

    def __exit__(self, *_):
        GATE.set()
        self.page.close()

    def clear(self):
        """Leave nothing but the first cell."""
        self.page.evaluate(
            """() => {
                const { content } = window.jupyterapp.shell.currentWidget;
                const cells = content.model.sharedModel;
                if (cells.cells.length > 1) cells.deleteCellRange(1, cells.cells.length);
            }"""
        )

    def open(self):
        place = "lab/tree" if self.face == "lab" else "notebooks"
        self.page.goto(f"{self.server.url}/{place}/{self.name}?reset")
        if self.face == "lab":
            self.page.wait_for_selector("#jupyterlab-splash", state="detached")
        self.page.wait_for_function("() => window.jupyterapp?.shell?.currentWidget?.content?.widgets?.length")
        self.page.evaluate(READY)

    def run_all(self):
        self.page.evaluate("() => window.jupyterapp.commands.execute('notebook:run-all-cells')")

    def run(self, code, *, wait=True):
        """Add a cell at the end and run it; returns its output area."""
        self.page.evaluate(
            """async ([code, wait]) => {
                const content = window.jupyterapp.shell.currentWidget.content;
                content.activeCellIndex = content.widgets.length - 1;
                await window.jupyterapp.commands.execute('notebook:insert-cell-below');
                content.activeCell.model.sharedModel.setSource(code);
                const done = window.jupyterapp.commands.execute('notebook:run-cell');
                const late = new Promise((_, no) => setTimeout(() => no(new Error(`no end of: ${code}`)), 60_000));
                if (wait) await Promise.race([done, late]);
            }""",
            [code, wait],
        )
        return self.page.locator(".jp-Cell.jp-CodeCell").last.locator(".jp-Cell-outputArea")

    def run_unseen(self, code):
        """Run some code in no cell."""
        self.page.evaluate(
            """async (code) => {
                const { kernel } = window.jupyterapp.shell.currentWidget.sessionContext.session;
                const { content } = await kernel.requestExecute({ code, store_history: false }).done;
                if (content.status !== 'ok') throw new Error(content.evalue);
            }""",
            code,
        )

    def restart_kernel(self):
        """A new kernel, which knows nothing; the page stays."""
        self.page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")

    def use_theme(self, name):
        self.page.evaluate(
            "(theme) => window.jupyterapp.commands.execute('apputils:change-theme', { theme })", f"JupyterLab {name}"
        )
        is_light = "true" if name == "Light" else "false"
        self.page.wait_for_selector(f"body[data-jp-theme-light='{is_light}']", state="attached")
        self.page.wait_for_timeout(300)  # until its style sheet is there

    def save(self):
        self.page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
        return nbformat.read(self.server.folder / self.name, as_version=4)

    def saved_with(self, text):
        """The notebook on disk, once its last output is HTML with this text."""
        give_up = time.monotonic() + PATIENCE_SECONDS
        while True:
            saved = self.save()
            if any(text in output.get("data", {}).get("text/html", "") for output in saved.cells[-1].outputs):
                return saved
            assert time.monotonic() < give_up, f"{text!r} was never in the output"
            self.page.wait_for_timeout(100)

    def text_of(self, code):
        """What a cell prints."""
        output = self.run(code)
        return output.locator(".jp-OutputArea-output").last.inner_text().strip()


def picture(page, name):
    """Keep what is to be seen, in the folder that SCREENSHOTS names, or in pytest's own."""
    page.locator(".jp-Cell.jp-CodeCell").last.screenshot(path=PICTURES[0] / f"{name}.png")
