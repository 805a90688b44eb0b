"""A notebook that a program runs: every cell waits, and what is saved shows the finished table without any widget."""

from __future__ import annotations

import re

import nbformat
import pytest
from nbclient import NotebookClient
from nbconvert import HTMLExporter

pytestmark = pytest.mark.filterwarnings("ignore")

SETUP = """\
import pandas as pd
import sm_async_nb
df = pd.DataFrame({"x": [1, -5, 3]}, index=["a", "<b>", "c"])
%load_ext sm_async_nb"""

# Until what was shown has been renewed for the last time.
SHOWN = """\
import time
from sm_async_nb.notebook.panel.screen import SCREEN
while not SCREEN.is_idle: time.sleep(0.05)"""


def notebook_of(*cells):
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])


def executed(notebook, folder):
    NotebookClient(notebook, timeout=60, resources={"metadata": {"path": str(folder)}}).execute()
    return notebook


@pytest.fixture(scope="module")
def saved(local, clean_environment, tmp_path_factory):
    """A notebook that was run from end to end, with a job that was waited for and one that was only shown."""
    cells = [
        SETUP,
        "%%sm_async double --data df --out job --name saved",
        "%%sm_async echo --data df --out other --no-wait",
        "other.wait()",
        SHOWN,
    ]
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**clean_environment, **local.environment}.items():
            patch.setenv(name, value)
        return executed(notebook_of(*cells), tmp_path_factory.mktemp("notebook"))


def test_the_saved_output_shows_the_finished_table(saved):
    """What ended badly comes first; labels and errors are escaped; no widget has a part in it."""
    shown = saved.cells[1].outputs[-1]["data"]

    assert {"text/plain", "text/html"} == set(shown)
    assert "<Job saved to double, over: 2 completed, 1 failed>" == shown["text/plain"]
    assert ["failed", "completed", "completed"] == re.findall(r"<td>. (completed|failed)</td>", shown["text/html"])
    assert "<td>&#x27;&lt;b&gt;&#x27;</td>" in shown["text/html"]
    assert "application/vnd.jupyter.widget-view+json" not in str(saved)
    assert [] == [output for cell in saved.cells for output in cell.outputs if output.get("name") == "stderr"]


def test_the_page_that_nbconvert_makes_shows_it_too(saved):
    """As GitHub's viewer does, and whoever gets the notebook by mail."""
    page, _ = HTMLExporter().from_notebook_node(saved)

    assert "failed</td>" in page
    assert "<td>'&lt;b&gt;'</td>" in page


def test_a_job_that_was_shown_while_it_ran_is_shown_as_it_ended(saved):
    """The output of the earlier cell is renewed too."""
    assert saved.cells[2].outputs[-1]["data"]["text/plain"].endswith("over: 3 completed>")
