"""A job as an output: live, or HTML and text by where it is shown, renewed by one thread."""

from __future__ import annotations

import logging
import threading
import time
from types import SimpleNamespace

import pandas as pd
import pytest

from sm_async_nb.core.ledger import Snapshot, Status
from sm_async_nb.job.faces import Faces
from sm_async_nb.notebook import display
from sm_async_nb.notebook.front_end import FrontEnd, front_end
from sm_async_nb.notebook.panel import screen as panel_screen
from sm_async_nb.notebook.panel.screen import Screen, guarded

HOSTILE = "<script>alert(1)</script>"


class Shown:
    """What a display without HTML asks of a job."""

    def __init__(self, **counts):
        by_status = tuple(counts.get(str(status), 0) for status in Status)
        self.id = "reviews"
        self.faces = Faces()
        self.snapshot = Snapshot(revision=1, at=10.0, started_at=0.0, counts=by_status)

    def __repr__(self):
        return f"<Job {self.id}, {'over' if self.snapshot.is_over else 'running'}>"

    def over(self):
        self.snapshot = Snapshot(revision=2, at=20.0, started_at=0.0, counts=self.snapshot.counts, is_over=True)


def output(job, update, context=None):
    return display._Output(job, update, SimpleNamespace() if context is None else context)


# The forms


def test_whatever_a_frame_and_a_model_say_is_escaped(shell):
    """Labels, payloads and names, on a page that anybody may open."""
    frame = pd.DataFrame({"text": [HOSTILE, "fine"]}, index=[HOSTILE, "fine"])
    job = frame.sm_async.submit("echo").wait()
    told = display.bundle(job)["text/html"]

    assert "<script" not in told
    assert "&lt;script&gt;" in told
    assert ["✓ completed"] * 2 == [cell for cell in told.replace("<", ">").split(">") if "completed" in cell][-2:]


def test_a_front_end_may_ask_for_text_alone(monkeypatch, shell):
    """As some terminals with a kernel behind them want it."""
    job = shell.variables["df"].sm_async.submit("echo").wait()
    forms = set(display.bundle(job))
    monkeypatch.setenv("SM_ASYNC_FRONT_END", "text")

    assert {"text/plain", "text/html"} == forms
    assert {"text/plain"} == set(display.bundle(job))


def test_what_cannot_be_told_as_html_is_told_as_text():
    """A display that fails never stops a job, and a cell is never left without a word."""
    assert {"text/plain": "<Job reviews, running>"} == display.bundle(Shown(accepted=1))


# Renewing


def test_one_thread_renews_all_outputs_and_ends_with_the_last(monkeypatch):
    """However many jobs and outputs there are."""
    monkeypatch.setattr(panel_screen, "_LINGER_SECONDS", 0.0)
    before = set(threading.enumerate())
    screen = Screen(every=0.01)
    jobs = [Shown(completed=2), Shown(accepted=2)]
    seen = {0: [], 1: [], 2: []}
    for number, job in enumerate([jobs[0], jobs[0], jobs[1]]):
        screen.add(output(job, lambda told, raw, number=number: seen[number].append(told["text/plain"])))
    threads = [thread for thread in set(threading.enumerate()) - before if thread.name == "sm-async-ui"]
    for job in jobs:
        job.over()
    give_up = time.monotonic() + 10
    while not screen.is_idle and time.monotonic() < give_up:
        time.sleep(0.05)

    assert 1 == len(threads)
    assert screen.is_idle
    assert ["<Job reviews, over>"] * 3 == [told[-1] for told in seen.values()]


def test_an_output_is_renewed_twice_a_second_at_most():
    """And once more when the job is over, however soon that is."""
    job, seen = Shown(accepted=2), []
    one = output(job, lambda told, raw: seen.append(told["text/plain"]))
    goes_on = [one.refresh(now) for now in (100.0, 100.2, 100.4, 100.6)]
    job.over()

    assert [True] * 4 == goes_on
    assert not one.refresh(100.7)
    assert [*["<Job reviews, running>"] * 2, "<Job reviews, over>"] == seen


def test_the_end_is_shown_again_when_the_next_cell_has_run(shell):
    """A program that runs a notebook does not hear of what came between two cells; and it is enough to say it once."""
    job, seen = Shown(completed=2), []
    job.over()
    one = output(job, lambda told, raw: seen.append(told["text/plain"]))
    one.refresh(100.0)
    counts = [len(seen)]
    for cell in ("1 + 1", "2 + 2"):
        shell.run(cell)
        counts.append(len(seen))

    assert [1, 2, 2] == counts
    assert {"<Job reviews, over>"} == set(seen)


def test_an_end_that_cannot_be_shown_again_is_left_alone(shell):
    """IPython would tell of it in the cell that happens to have run."""
    job, calls = Shown(completed=2), []
    job.over()

    def update(told, raw):
        calls.append(told)
        if len(calls) > 1:
            raise RuntimeError("the front end is gone")

    output(job, update).refresh(100.0)
    ran = shell.run("1 + 1")

    assert 2 == len(calls)
    assert "gone" not in ran.stdout + ran.stderr


def test_an_output_that_fails_is_left_alone(caplog):
    """Without a word on anybody's screen."""

    def broken(*_, **__):
        raise RuntimeError("the front end is gone")

    one = output(Shown(completed=2), broken)
    with caplog.at_level(logging.DEBUG, logger=panel_screen.__name__):
        goes_on = guarded(lambda: one.refresh(100.0))

    assert not goes_on
    assert [logging.DEBUG] == [record.levelno for record in caplog.records]


def test_ipykernel_7_0_is_asked_in_the_context_of_its_cell():
    """Elsewhere it raises LookupError, and nothing would be renewed."""
    seen = []

    def update(told, raw):
        if not seen:
            seen.append("refused")
            raise LookupError("shell_parent")
        seen.append("shown")

    context = SimpleNamespace(run=lambda call, *a, **k: call(*a, **k))

    assert output(Shown(completed=2), update, context).refresh(100.0)
    assert ["refused", "shown"] == seen


def test_a_frozen_output_stays_as_it_is():
    """Though the job runs on."""
    job, seen = Shown(accepted=2), []
    one = output(job, lambda told, raw: seen.append(told["text/plain"]))
    one.freeze()
    job.over()

    assert not one.refresh(100.0)
    one._renew()  # as after the next cell
    assert ["<Job reviews, running>"] == seen


# Where it is shown


def kernel(**request):
    return SimpleNamespace(kernel=SimpleNamespace(get_parent=lambda channel: {"content": request}))


@pytest.mark.parametrize(
    ("shell", "variable", "expected"),
    [
        (SimpleNamespace(), None, FrontEnd.TERMINAL),
        (kernel(allow_stdin=True), None, FrontEnd.NOTEBOOK),
        (kernel(allow_stdin=False), None, FrontEnd.BATCH),
        (kernel(allow_stdin=True), "1", FrontEnd.BATCH),
        (kernel(allow_stdin=True), "0", FrontEnd.NOTEBOOK),
        (kernel(), None, FrontEnd.NOTEBOOK),
        (SimpleNamespace(kernel=None), None, FrontEnd.NOTEBOOK),
    ],
)
def test_who_looks_is_known_from_the_shell(monkeypatch, shell, variable, expected):
    """A program that runs a notebook says that nobody can be asked; an unknown kernel is taken for a notebook."""
    if variable is not None:
        monkeypatch.setenv("SM_ASYNC_NONINTERACTIVE", variable)

    assert expected is front_end(shell)


def test_only_where_somebody_works_on_a_cell_returns_at_once():
    """The others have nothing better to do than to wait."""
    assert [FrontEnd.NOTEBOOK] == [where for where in FrontEnd if not where.waits]
