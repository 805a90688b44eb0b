"""``python -m sm_async_nb.local``, and the pytest plugin."""

from __future__ import annotations

import argparse
import inspect
import queue
import signal
import socket
import subprocess
import sys
import threading
from contextlib import closing, contextmanager
from importlib.metadata import entry_points

import boto3
import pytest

from sm_async_nb.local import Faults, LocalEndpoint, NamingRule, Times, cli
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
    with running("--handler", str(script), "--env-file", str(env_file)) as (process, lines):
        yield process, lines, env_file


@contextmanager
def running(*options):
    command = [sys.executable, "-m", "sm_async_nb.local", *options]
    lines = queue.Queue()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        reader = threading.Thread(target=lambda: [lines.put(line.rstrip("\n")) for line in process.stdout])
        reader.start()
        try:
            yield process, lines
        finally:
            process.kill()
            reader.join()


def until(lines, text):
    """The lines up to the one that has the text."""
    found = [lines.get(timeout=30)]
    while text not in found[-1]:
        found.append(lines.get(timeout=30))
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_prints_what_to_export_serves_and_stops_on_a_signal(started, monkeypatch, number):
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
    process.send_signal(number)
    until(lines, "Stopped.")

    assert 0 == process.wait(30)
    assert dict(line.split("=", 1) for line in env_file.read_text().splitlines()) == variables
    assert 0o600 == env_file.stat().st_mode & 0o777


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_stops_on_a_signal_while_it_waits_for_a_container(number):
    """At once, and not when the start-up window of four minutes is over."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    with running("--container", url) as (process, lines):
        until(lines, f"Waiting for {url} to answer pings. Ctrl-C stops it.")
        process.send_signal(number)

        assert ["Stopped."] == until(lines, "Stopped.")
        assert 0 == process.wait(30)


@pytest.mark.parametrize(("quiet", "told"), [(False, "two\nthree\n"), (True, "")])
def test_the_status_line_is_written_when_it_has_changed(monkeypatch, capsys, quiet, told):
    """And not with --quiet."""
    monkeypatch.setattr(cli, "_STATUS_SECONDS", 0)
    stopped, states = threading.Event(), ["one", "one", "two", "two", "three"]

    class Changing:
        @property
        def status(self):
            if len(states) == 1:
                stopped.set()
            return states.pop(0)

    cli._watch(Changing(), stopped, quiet=quiet)

    assert told == capsys.readouterr().err


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
    assert 30 == local._behaviour["scaling"].cold_start


def test_the_options_name_the_objects(script):
    """Each part of the rule that is unverified is an option too."""
    options = ["--extension-on-failures", "--no-filename-on-failures", "--out-after-filename"]
    local = local_endpoint(parser().parse_args(["--handler", str(script), *options]))
    naming = NamingRule(extension_on_failures=True, filename_on_failures=False, out_after_filename=True)

    assert naming == local._behaviour["naming"]


@pytest.fixture
def signals():
    """The handlers of this process, which main() replaces."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, act in zip(numbers, before, strict=True):
        signal.signal(number, act)


@pytest.mark.usefixtures("signals")
def test_what_cannot_be_started_is_told_in_one_line(capfd):
    """And no traceback."""
    assert 1 == main(["--handler", "nowhere.py"])
    assert "There is no file nowhere.py.\n" == capfd.readouterr().err


@pytest.mark.usefixtures("signals")
def test_a_bucket_that_cannot_be_created_is_told_in_one_line(script, capfd):
    """In the words of S3."""
    assert 1 == main(["--handler", str(script), "--bucket", "no"])
    told = capfd.readouterr().err

    assert "bucket" in told
    assert 1 == told.count("\n")


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("--port 70000", "argument --port: a whole number, from 0 to 65534, got '70000'"),
        ("--instances -1", "argument --instances: a whole number, 0 or more, got '-1'"),
        ("--max-concurrent-invocations-per-instance 0", "a whole number, from 1 to 1000, got '0'"),
        ("--wakes-at-backlog some", "argument --wakes-at-backlog: a whole number, 1 or more, got 'some'"),
    ],
)
def test_a_number_that_cannot_be_is_refused(capsys, option, told):
    """Before anything is started."""
    with pytest.raises(SystemExit):
        parser().parse_args(["--handler", "inference.py", *option.split()])

    assert told in capsys.readouterr().err


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
