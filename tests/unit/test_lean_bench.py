"""The bench works. How fast anything is, is nobody's business here."""

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from sm_async_nb.local.wire import installed_fields

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def script(name, *arguments):
    """What a script prints, in a process of its own."""
    command = [sys.executable, str(BENCHMARKS / name), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=dict(os.environ))
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_short_form_tells_of_every_part():
    """Every answer of every contender is compared with what was sent, or the bench fails."""
    if "filename" not in installed_fields():
        pytest.skip("an SDK that does not know Filename looks for answers with other calls")
    contenders = ["boto3", "fast" if find_spec("obstore") else "default"]

    told = script("bench.py", "--short", "--contenders", *contenders).splitlines()

    calls = {line.split(" | ")[0]: line.split(" | ")[-1] for line in told if line.endswith(" LIST |")}
    assert "1 PUT, 1 invoke, 1 GET, 0.01 LIST |" == calls.pop("| boto3, 64 threads")
    # What a job writes about itself comes on top, and weighs more the fewer rows there are.
    (ours,) = calls.values()
    assert re.fullmatch(r"1\.[0-3]\d* PUT, 1 invoke, 1 GET, 0\.\d+ LIST \|", ours)
    assert any(line.startswith("| memory over the frame, 500 rows tracked |") for line in told)
