"""The notebooks tell the truth: they run from a clean kernel, and were committed with their outputs."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
# Whether a kernel's sockets are encrypted is the user's affair, not the notebook's.
@pytest.mark.filterwarnings("ignore")
def test_notebook_runs_from_a_clean_kernel(path):
    """Every cell runs, the assertions in it hold, and nothing is written to stderr but progress."""
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = []

    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(path.parent)}}).execute()

    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert outputs
    assert [] == [output for output in outputs if output.get("name") == "stderr"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_committed_with_its_outputs(path):
    """A reader on a web page sees what the cells gave, none of it an error."""
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]

    assert all(cell.execution_count for cell in cells)
    assert [] == [output for cell in cells for output in cell.outputs if output.output_type == "error"]
    assert len([cell for cell in cells if cell.outputs]) > len(cells) / 2
