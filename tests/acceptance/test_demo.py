"""The demo that the README begins with."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

DEMO = Path(__file__).parents[2] / "notebooks" / "demo.py"


def test_demo_agrees_with_the_model_on_every_row():
    """It exits with 0, having scored all 569 rows with one call of each kind a row."""
    environment = {**os.environ, "SM_ASYNC_PROGRESS_AFTER": "0"}  # a bar, however quick the job is
    ended = subprocess.run(
        [sys.executable, DEMO], env=environment, capture_output=True, text=True, timeout=300, check=False
    )

    assert 0 == ended.returncode, ended.stderr
    assert "over: 569 completed>" in ended.stdout
    assert "to the last digit: 569 of 569" in ended.stdout
    calls = {operation: int(count) for count, operation in re.findall(r"^ +(\d+)  (.+)$", ended.stdout, re.MULTILINE)}
    assert 569 == calls["s3 GetObject"] == calls["sagemaker-runtime InvokeEndpointAsync"]
    assert "569/569" in ended.stderr


@pytest.fixture
def demo():
    spec = importlib.util.spec_from_file_location("demo", DEMO)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# What an older scikit-learn asks of a newer SciPy is between the two.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_demo_fails_when_one_prediction_disagrees(demo, monkeypatch, capsys):
    """One digit in one row is enough for exit status 1, and the row is named."""

    def patients():
        features, benign = everybody()
        return features.iloc[:60], benign.iloc[:60]

    def nearly(model, features):
        honest = truthful(model, features)
        return [*honest[:-1], honest[-1] + 1e-15]

    everybody, truthful = demo.patients, demo.direct
    monkeypatch.setattr(demo, "patients", patients)
    monkeypatch.setattr(demo, "direct", nearly)
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME"):
        monkeypatch.setenv(name, "")  # so that the demo's own setting is undone

    assert 1 == demo.main()
    last = everybody()[0].index[59]
    assert f"These rows disagree: ['{last}']" in capsys.readouterr().err
