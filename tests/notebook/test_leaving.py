"""Leaving in the middle of a job: a script ends at once, whatever the network does."""

from __future__ import annotations

import socket
import subprocess
import sys
import textwrap
import time

import pytest

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
