"""What the README prints is typed as it stands, in its own order: what makes frame and endpoint comes first."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```\w*\n(.*?)^```$", re.DOTALL | re.MULTILINE)

TYPED = """
import json, sys
from IPython.core.interactiveshell import InteractiveShell

shell = InteractiveShell.instance(colors="nocolor")
for block in json.load(sys.stdin):
    shell.run_cell(block, store_history=True).raise_error()
known = shell.user_ns
told = [known["scored"].wait().results(join=True).to_dict("list"), known["first"].to_dict("index")]
known["local"].close()
print("found:", json.dumps(told))
"""


def blocks_of(title):
    """The code under a heading."""
    section = re.search(rf"^## {title}\n(.*?)^## ", README, re.DOTALL | re.MULTILINE)
    return BLOCK.findall(section[1])


def test_a_newcomer_can_type_all_of_it(clean_environment, tmp_path):
    """Without an account, in one kernel: the call, then the cell."""
    (making,) = blocks_of("Without AWS")
    calling, loading, cell = blocks_of("Use it")[:3]
    blocks = [making, calling, "first = scored", loading, cell]
    ended = subprocess.run(
        [sys.executable, "-c", TYPED],
        input=json.dumps(blocks),
        env={**clean_environment, "IPYTHONDIR": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert 0 == ended.returncode, ended.stderr
    assert "Traceback" not in ended.stderr
    reviews, customers = json.loads(ended.stdout.rpartition("found:")[2])
    assert {"text": ["a good film", "two hours too long"], "positive": [True, False]} == reviews
    assert {
        "c-1": {"age": 32, "plan": "free", "score": 0.32},
        "c-2": {"age": 67, "plan": "gold", "score": 0.67},
    } == customers
