"""Leaving in the middle of a job: a script ends at once, whatever the network does."""

from __future__ import annotations

import socket
import subprocess
import sys
import textwrap
import time

import pytest

from sm_async_nb.local import Faults

pytest.importorskip(
    "sm_async_nb.aws.lean_runtime", reason="boto3 is called on threads that Python waits for at its end"
)

SCRIPT = """
    import time
    import pandas as pd, sm_async_nb
    job = pd.DataFrame({"x": range(20)}).sm_async.submit("echo")
    time.sleep(1)
    print(time.time(), flush=True)
"""


THREE = """
    import time
    import pandas as pd, sm_async_nb
    from sm_async_nb.job.course import leave_all
    jobs = [pd.DataFrame({"x": range(20)}).sm_async.submit("echo") for _ in range(3)]
    time.sleep(1)
    print("submitted", flush=True)
    input()
    before = time.monotonic()
    leave_all()
    print(time.monotonic() - before, flush=True)
"""


@pytest.fixture
def hole():
    """An address that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=200) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def test_a_script_ends_at_once_when_the_service_never_answers(local, clean_environment, hole):
    """Python would wait a minute for the calls that hang."""
    environment = {**clean_environment, **local.environment, "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": hole}
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SCRIPT)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    seconds = time.time() - float(ended.stdout)

    assert seconds < 20
    assert "" == ended.stderr


def test_three_jobs_are_left_in_the_time_of_one(local, clean_environment, hole):
    """Each was given its second, one after the other, on a network that does not answer."""
    script = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(THREE)],
        env={**clean_environment, **local.environment, "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": hole},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with script:
        submitted = script.stdout.readline()
        local.faults = Faults(s3_slow=1, slow_seconds=10)
        try:
            told, _ = script.communicate("now\n", timeout=100)
        finally:
            local.faults = Faults()

    assert "submitted\n" == submitted
    assert float(told) < 1.5
