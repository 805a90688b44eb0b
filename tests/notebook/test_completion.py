"""Tab behind the magics: options, frames, columns, endpoints and jobs, and no word to AWS."""

from __future__ import annotations

import threading
import time

import pandas as pd
import pytest

from sm_async_nb.notebook.completion import Names


@pytest.fixture
def tab(shell):
    """What is offered at ``‸``, with some frames and the names of endpoints there already."""
    shell.variables["reviews"] = pd.DataFrame({"text": ["a"], "age": [1], "two words": [2]})
    shell.variables["odd"] = pd.DataFrame([[1, 2, 3]], columns=[0, "in", 'a"b c'])
    offers = matcher_of(shell).offers
    offers.endpoints.known()
    offers.endpoints.settle(10)
    return shell.words


def matcher_of(shell):
    found = [one for one in shell.ip.Completer.custom_matchers if one.__name__ == "sm_async_matcher"]
    assert 1 == len(found)
    return found[0]


def test_the_endpoints_name_comes_first(tab):
    """From what was fetched before."""
    assert {"double", "echo", "slow"} == set(tab("%%sm_async ‸"))
    assert ["double"] == tab("%%sm_async do‸")
    assert ["echo"] == tab("%sm_async endpoint e‸")
    assert ["slow"] == tab("%sm_async plan s‸")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("%%sm_async echo --da‸", ["--data"]),
        ("%%sm_async echo --data df --rows‸", ["--rows-per-request"]),
        ("%%sm_async echo --data df --inf‸", ["--inference-id"]),
        ("%%sm_async echo --data df --inp‸", ["--input-location", "--input-prefix"]),
        ("%%sm_async echo --data rev‸", ["reviews"]),
        ("%%sm_async echo -d rev‸\n{}", ["reviews"]),
        ("%%sm_async echo --data=rev‸", ["reviews"]),
        ("%%sm_async echo --data reviews --columns ‸", ["text", "age", '"two words"']),
        ("%%sm_async echo --data reviews --columns tw‸", ['"two words"']),
        ('%%sm_async echo --data reviews --columns "tw‸', ["two words"]),
        ("%%sm_async echo --data odd --columns ‸", ["0", "in", "'a\"b c'"]),
        ("%%sm_async echo --data reviews --columns text,a‸", ["age"]),
        ("%%sm_async echo --data reviews --request-ttl-seconds a‸", ["age"]),
        ("%%sm_async echo --data reviews --inference-id {{ te‸", ["text"]),
        ('%%sm_async echo --data reviews\n{"inputs": {{ te‸ }}}', ["text"]),
        ('%%sm_async echo --data reviews\n{"inputs": {{ ‸', ["text", "age", 'row["two words"]']),
        ("%%sm_async echo --data reviews --inference-id {{ tw‸", ['row["two words"]']),
        ('%%sm_async echo --data reviews\n{"inputs": {{ row["tw‸', ["two words"]),
        ("%%sm_async echo --data odd\n{{ ‸", ['row["in"]', r'row["a\"b c"]']),
        ('%%sm_async echo --data reviews\n{\n "a": {{ text }},\n "b": {{ a‸', ["age"]),
        ("%%sm_async echo --data df --nan ‸", ["null", "error", "omit"]),
        ("%%sm_async echo --data df --inline ‸", ["never", "auto", "always"]),
        ("%%sm_async echo --data df --content-type text/c‸", ["text/csv"]),
        ("%sm_async st‸", ["status"]),
        ("%sm_async re‸", ["results", "retry", "resume"]),
        ("x = %sm_async resul‸", ["results"]),
        ("%sm_async results --ex‸", ["--explode"]),
        ("%sm_async help dry‸", []),
        ("%sm_async help doc‸", ["doctor"]),
        ("%sm_async help pl‸", ["plan"]),
    ],
)  # fmt: skip
def test_what_is_offered_where(tab, text, expected):
    """Options, frames behind --data, columns inside {{ }}, the words that an option takes."""
    assert set(expected) == set(tab(text))


def test_a_template_outside_of_braces_is_the_users_own(tab):
    """Nothing of ours is offered in the middle of JSON."""
    assert "reviews" not in tab('%%sm_async echo --data reviews\n{"rev‸')


def test_other_code_is_left_alone(tab):
    """What is offered elsewhere is as it was."""
    assert "reviews" in tab("rev‸")
    assert "--data" not in tab("%%time --da‸")


def test_jobs_are_offered_by_their_names(shell):
    """Variables first."""
    shell.run("%%sm_async echo --data df --out scored")
    shell.run("%%sm_async echo --data df --name tuesday")

    assert {"scored", "tuesday"} == set(shell.words("%sm_async status ‸"))
    assert ["scored"] == shell.words("%sm_async results sc‸")


def test_ids_are_offered_to_attach_to(shell, monkeypatch):
    """Of the jobs in S3, as they were listed before."""
    monkeypatch.setenv("SM_ASYNC_INPUT_PREFIX", "s3://sm-async-local/completed")
    shell.run("%%sm_async echo --data df --name thursday")
    ids = matcher_of(shell).offers.ids
    ids.known()
    ids.settle(10)

    assert ["thursday"] == shell.words("%sm_async attach th‸")


# Names that take a while


class Slow:
    """Something that is asked for names."""

    def __init__(self):
        self.asked = 0
        self.go_on = threading.Event()
        self.error = None

    def __call__(self):
        self.asked += 1
        self.go_on.wait(10)
        if self.error:
            raise self.error
        return [f"endpoint-{self.asked}"]


@pytest.fixture
def slow():
    one = Slow()
    yield one
    one.go_on.set()


def test_a_tab_never_waits_for_names(slow):
    """They are there for the next one."""
    names = Names(slow)
    started = time.monotonic()
    first, again = names.known(), names.known()
    seconds = time.monotonic() - started
    slow.go_on.set()
    names.settle(10)

    assert ([], [], 1) == (first, again, slow.asked)
    assert seconds < 0.2
    assert ["endpoint-1"] == names.known()


def test_names_are_fetched_again_when_they_are_old(slow):
    """And the old ones are given until then."""
    now = [0.0]
    slow.go_on.set()
    names = Names(slow, monotonic=lambda: now[0])
    names.known()
    names.settle(10)
    now[0] = 60
    fresh = names.known()
    now[0] = 61
    old = names.known()
    names.settle(10)

    assert (["endpoint-1"], ["endpoint-1"]) == (fresh, old)
    assert ["endpoint-2"] == names.known()


def test_names_that_cannot_be_had_are_none(slow):
    """No credentials, no permission and no network are no reason for a traceback on a Tab; nor to ask each time."""
    slow.error = RuntimeError("no network")
    slow.go_on.set()
    names = Names(slow)
    names.known()
    names.settle(10)

    assert ([], 1) == (names.known(), slow.asked)
