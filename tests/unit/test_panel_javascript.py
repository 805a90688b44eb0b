"""The browser's side of the table, as far as it is known without a browser."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from sm_async_nb.notebook.panel.table import HERE

SCRIPT = HERE / "table.js"
TESTS = Path(__file__).parents[1] / "browser" / "table.test.mjs"


def test_the_script_is_small_and_needs_nobody():
    """It crosses the wire with each display, and some front ends cannot reach a network."""
    told = SCRIPT.read_text()

    assert SCRIPT.stat().st_size <= 12_000
    assert re.search(r"^\s*import\b|\bimport\(|\brequire\(|https?://", told, re.MULTILINE) is None


def test_the_script_never_makes_html_of_a_text():
    """Payloads, errors and names are hostile."""
    told = SCRIPT.read_text()

    assert re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function", told) == []


def test_the_pure_functions_do_what_they_say(tmp_path):
    """Run by Node, which knows a module by its suffix."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("The pure functions of table.js were not tried: there is no node here (apt-get install nodejs).")
    copy = tmp_path / "table.mjs"
    copy.write_text(SCRIPT.read_text())
    done = subprocess.run(
        [node, "--test", str(TESTS)],
        env={**os.environ, "TABLE": copy.as_uri()},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout
