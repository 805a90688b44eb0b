"""A real browser before a real Jupyter server, with kernels whose AWS is the local endpoint of this process."""

import os
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

# The folder is called as playwright's own module might be, so its modules are imported by their own names.
sys.path.append(str(Path(__file__).parent))
pytest.register_assert_rewrite("browser_scene")

from browser_scene import GATE, PATIENCE_SECONDS, PICTURES, Notebook, Server, model  # noqa: E402

from sm_async_nb.local import LocalEndpoint  # noqa: E402

CHROMIUM = shutil.which("chromium")
HERE = Path(__file__).parent
NEEDED = ("axe_playwright_python", "jupyterlab", "playwright", "pytest_playwright")
MISSING = [name for name in NEEDED if find_spec(name) is None]
collect_ignore_glob = ["test_*.py"] if MISSING else []


def pytest_terminal_summary(terminalreporter):
    if MISSING:
        terminalreporter.write_line(f"The panel was not tried in a browser; not installed: {', '.join(MISSING)}.")


def pytest_collection_modifyitems(items):
    """Last of all: playwright leaves a running loop on the main thread, where other tests run theirs."""
    items.sort(key=lambda item: HERE in item.path.parents)


@pytest.fixture(scope="session", autouse=True)
def _browser_is_there():
    if CHROMIUM is None:
        pytest.skip("The panel was not tried in a browser: there is no chromium here (apt-get install chromium).")


@pytest.fixture(scope="session")
def base_url():
    """Not that of pytest-base-url, whose fixture is made in a way that pytest warns of."""


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args, _browser_is_there):
    quiet = ["--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
    return {
        **browser_type_launch_args,
        "executable_path": CHROMIUM,
        "args": ["--no-sandbox", "--disable-gpu", "--disable-quic", *quiet],
    }


@pytest.fixture(scope="session")
def browser_context_args(browser_context_args):
    return {**browser_context_args, "viewport": {"width": 1200, "height": 1400}}


@pytest.fixture(scope="session")
def local():
    with LocalEndpoint(
        {"double": model, "echo": lambda body, *_: body}, max_concurrent_invocations_per_instance=64
    ) as running:
        yield running


@pytest.fixture(scope="session")
def server(local, tmp_path_factory):
    from playwright.sync_api import expect

    expect.set_options(timeout=PATIENCE_SECONDS * 1_000 / 4)
    PICTURES[:] = [Path(os.environ.get("SCREENSHOTS") or tmp_path_factory.mktemp("pictures"))]
    with Server(tmp_path_factory.mktemp("jupyter"), local.environment) as running:
        yield running


@pytest.fixture
def gate():
    """Closed: the model answers rows below 20 at once, the others when the gate is opened."""
    GATE.clear()
    yield GATE
    GATE.set()


@pytest.fixture(scope="session")
def opened(browser, browser_context_args, server):
    """A notebook in JupyterLab and one in Notebook 7, which all tests share: opening one takes seconds."""
    notebooks = {}

    def open_in(face):
        if face not in notebooks:
            page = browser.new_page(**browser_context_args)
            notebooks[face] = Notebook(page, server, face).__enter__()
        notebooks[face].clear()
        return notebooks[face]

    yield open_in
    for notebook in notebooks.values():
        notebook.__exit__()


@pytest.fixture(params=["lab", "notebook"])
def notebook(request, opened):
    """An empty notebook open in JupyterLab, and in Notebook 7."""
    return opened(request.param)


@pytest.fixture
def lab(opened):
    """An empty notebook open in JupyterLab."""
    return opened("lab")


@pytest.fixture(scope="module")
def empty(browser, browser_context_args):
    """A page with nothing in it, and no notebook behind it."""
    page = browser.new_page(**browser_context_args)
    yield page
    page.close()
