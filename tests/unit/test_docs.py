"""The documentation names tests as its witnesses; each of them is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMED = re.compile(r"\b(tests/[\w/]+\.py)::(\w+)")
DOCUMENTS = sorted((ROOT / "docs").glob("**/*.md"))


def functions_of(path):
    """The functions of a test file, those of its classes too."""
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_every_test_that_a_document_names_exists(document):
    """A renamed test leaves no dead reference behind."""
    named = NAMED.findall(document.read_text(encoding="utf-8"))
    known = {file: functions_of(ROOT / file) for file, _ in named if (ROOT / file).is_file()}

    assert [] == [f"{file}::{name}" for file, name in named if name not in known.get(file, set())]


def test_the_documentation_of_requests_names_its_tests():
    """So that the test above cannot pass by finding nothing."""
    assert len(NAMED.findall((ROOT / "docs" / "requests.md").read_text(encoding="utf-8"))) > 40
