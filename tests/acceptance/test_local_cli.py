"""``python -m sm_async_nb.local``, and the pytest plugin."""

from __future__ import annotations

import argparse
import inspect
import queue
import signal
import subprocess
import sys
import threading
from contextlib import closing
from importlib.metadata import entry_points

import boto3
import pytest

from sm_async_nb.local import Faults, LocalEndpoint, Times
from sm_async_nb.local.cli import duration, exports, fault, local_endpoint, main, parser

SCRIPT = """
def model_fn(model_dir):
    return 2

def predict_fn(data, model):
    return data * model
"""


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "inference.py"
    path.write_text(SCRIPT)
    return path


@pytest.fixture
def started(script, tmp_path):
    """The command, running; its lines come as they are written."""
    env_file = tmp_path / "local.env"
    command = [sys.executable, "-m", "sm_async_nb.local", "--handler", str(script), "--env-file", str(env_file)]
    lines = queue.Queue()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        reader = threading.Thread(target=lambda: [lines.put(line.rstrip("\n")) for line in process.stdout])
        reader.start()
        try:
            yield process, lines, env_file
        finally:
            process.kill()
            reader.join()


def until(lines, text):
    """The lines up to the one that has the text."""
    found = [lines.get(timeout=30)]
    while text not in found[-1]:
        found.append(lines.get(timeout=30))
    return found


def test_it_prints_what_to_export_serves_and_stops_on_a_signal(started, monkeypatch):
    """One line for each request with its inference id; exit status 0."""
    process, lines, env_file = started
    told = until(lines, "is in service")
    variables = dict(line.removeprefix("export ").split("=", 1) for line in told if line.startswith("export "))
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with closing(boto3.client("s3")) as s3, closing(boto3.client("sagemaker-runtime")) as runtime:
        s3.put_object(Bucket="sm-async-local", Key="in", Body=b"[21]", ContentType="application/json")
        response = runtime.invoke_endpoint_async(
            EndpointName="local-endpoint", InputLocation="s3://sm-async-local/in", InferenceId="row-7"
        )
        until(lines, f"[row-7] Completed: {response['OutputLocation']}")
    process.send_signal(signal.SIGTERM)
    until(lines, "Stopped.")

    assert 0 == process.wait(30)
    assert dict(line.split("=", 1) for line in env_file.read_text().splitlines()) == variables
    assert 0o600 == env_file.stat().st_mode & 0o777


@pytest.mark.parametrize(("text", "seconds"), [("30s", 30), ("2m", 120), ("500ms", 0.5), ("1h", 3600), ("1.5", 1.5)])
def test_a_duration_has_a_unit(text, seconds):
    """Seconds without one."""
    assert seconds == duration(text)


def test_a_duration_that_is_none_is_refused():
    """In words."""
    with pytest.raises(argparse.ArgumentTypeError, match="looks like 30s or 2m, got 'soon'"):
        duration("soon")


@pytest.mark.parametrize(
    ("text", "expected"), [("throttle=0.05", ("throttle", 0.05)), ("lose_output=2x", ("lose_output", Times(2)))]
)
def test_a_fault_is_a_rate_or_a_count(text, expected):
    """2x is the first two times."""
    assert expected == fault(text)


@pytest.mark.parametrize(
    ("text", "told"), [("rain=1", "there is no fault 'rain'; there are throttle"), ("slow=often", "got 'often'")]
)
def test_a_fault_that_is_none_is_refused(text, told):
    """With the names of those that there are."""
    with pytest.raises(argparse.ArgumentTypeError, match=told):
        fault(text)


def test_the_options_make_the_local_endpoint(script):
    """Each parameter is an option."""
    options = parser().parse_args(
        f"--handler {script} --cold-start 30s --instances 0 --fault throttle=0.1 --fault slow=1x --fault-seed 7 "
        "--slow-seconds 2s --endpoint-name churn".split()
    )
    local = local_endpoint(options)
    every = {
        name for name in inspect.signature(LocalEndpoint).parameters if name not in {"handler", "faults", "naming"}
    }

    assert every <= set(vars(options))
    assert Faults(throttle=0.1, slow=Times(1), seed=7, slow_seconds=2) == local.faults
    assert "<LocalEndpoint churn: not started>" == repr(local)


def test_what_cannot_be_started_is_told_in_one_line(capfd):
    """And no traceback."""
    assert 1 == main(["--handler", "nowhere.py"])
    assert "There is no file nowhere.py.\n" == capfd.readouterr().err


def test_exports_can_be_pasted():
    """Quoted for a shell where that is needed."""
    assert "export A=b\nexport C='d e'\n" == exports({"A": "b", "C": "d e"})


def test_the_pytest_plugin_gives_a_fixture(tmp_path):
    """sm_async_endpoint(handler), closed when the test ends."""
    tmp_path.joinpath("test_it.py").write_text(
        """
import boto3

def test_it(sm_async_endpoint):
    local = sm_async_endpoint(lambda body, content_type, accept: body, endpoint_name="churn")
    runtime = boto3.client("sagemaker-runtime")
    answer = runtime.invoke_endpoint_async(EndpointName="churn", InputLocation="s3://sm-async-local/in")
    runtime.close()
    assert answer["OutputLocation"]
    local.drained(timeout=10)
"""
    )
    plugin = "sm_async_nb.local.pytest_plugin"
    installed = plugin in {entry.value for entry in entry_points(group="pytest11")}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *([] if installed else ["-p", plugin])]
    done = subprocess.run([*command, "test_it.py"], check=False, capture_output=True, text=True, cwd=tmp_path)

    assert "1 passed" in done.stdout, done.stdout
