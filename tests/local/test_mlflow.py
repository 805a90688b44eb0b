"""A scikit-learn model in ``mlflow models serve``, behind the local endpoint, scored through this package."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import sm_async_nb  # noqa: F401 - registers df.sm_async
from sm_async_nb.local import Container, LocalEndpoint

pytestmark = pytest.mark.mlflow

FRAME = pd.DataFrame({"age": [20.0, 40.0, 60.0], "visits": [1.0, 2.0, 3.0]}, index=["ann", "bob", "cy"])


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory):
    """A linear model: twice the age plus the visits."""
    mlflow = pytest.importorskip("mlflow", reason="mlflow is not installed (pip install mlflow scikit-learn)")
    linear_model = pytest.importorskip("sklearn.linear_model", reason="scikit-learn is not installed")
    folder = tmp_path_factory.mktemp("mlflow") / "model"
    model = linear_model.LinearRegression().fit(FRAME, 2 * FRAME["age"] + FRAME["visits"])
    mlflow.sklearn.save_model(model, str(folder))
    return folder


@pytest.fixture(scope="module")
def server(model_folder):
    """Its address, once it answers pings."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", str(model_folder), "-p", str(port)]
    log = Path(model_folder).with_name("serve.log")
    # mlflow starts its server by name, and a virtual environment need not be active.
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    with (
        log.open("wb") as output,
        subprocess.Popen(
            [*command, "--env-manager", "local"],
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        ) as process,
    ):
        try:
            container = Container(f"http://127.0.0.1:{port}", startup_seconds=120)
            container.wait_until_healthy()
            yield container
        finally:
            # mlflow's own server is a process of the same group.
            os.killpg(process.pid, signal.SIGTERM)


def test_a_frame_is_scored_through_mlflow(server):
    """CSV with a header in, JSON with predictions out, on the frame's own index."""
    with LocalEndpoint(server, endpoint_name="mlflow", bucket="mlflow") as local:
        job = FRAME.sm_async.submit(
            "mlflow",
            session=local.session(),
            input_prefix="s3://mlflow/inputs",
            template='{"dataframe_records": [{"age": {{ age }}, "visits": {{ visits }}}]}',
            content_type="application/json",
        )
        job.wait(timeout=60)
        results = job.results()

    assert ["ann", "bob", "cy"] == list(results.index)
    assert [41, 82, 123] == [round(row["predictions"][0]) for row in results.to_dict("records")]
