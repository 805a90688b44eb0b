import os
import sys
from pathlib import Path

import pandas as pd
import pytest

# The folder is called as a package of Jupyter's is, so its modules are imported by their own names.
sys.path.append(str(Path(__file__).parent))
pytest.register_assert_rewrite("kernel_scene", "model_scene", "shell_scene")

from model_scene import Gate, double  # noqa: E402
from shell_scene import new_ipython  # noqa: E402
from shell_scene import shell as open_shell  # noqa: E402

from sm_async_nb.local import LocalEndpoint  # noqa: E402

GATE = Gate()


@pytest.fixture(scope="session")
def local():
    """Endpoints `double`, `echo` and `slow`; the last answers when the gate is open."""
    handlers = {"double": double, "echo": lambda body, *_: body, "slow": GATE}
    with LocalEndpoint(handlers, max_concurrent_invocations_per_instance=16) as running:
        yield running


@pytest.fixture
def gate():
    """The gate before the endpoint `slow`, closed until the test opens it."""
    GATE.close()
    yield GATE
    GATE.open()


@pytest.fixture(scope="session")
def clean_environment():
    """What kernels and terminals are started with: nothing of whoever runs the tests."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "SM_ASYNC_"))}
    return {**ours, "AWS_EC2_METADATA_DISABLED": "true"}


@pytest.fixture(scope="session")
def ipython():
    with new_ipython() as one:
        yield one


@pytest.fixture
def shell(ipython, local, monkeypatch, tmp_path, capsys):
    """A shell in an empty folder, with the local endpoint in its environment and a frame `df`."""
    for name, value in local.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    local.reset_calls()
    with open_shell(ipython, capsys) as one:
        one.variables["df"] = pd.DataFrame({"x": [1, 2, 3], "text": ["a", "b", "c"]}, index=["p", "q", "r"])
        yield one
