"""A job as an output: HTML and text, escaped, by where it is shown, and renewed by one thread."""

from __future__ import annotations

import logging
import threading
import time
from types import SimpleNamespace

import pandas as pd
import pytest

from sm_async_nb.core.ledger import Snapshot, Status, Trouble
from sm_async_nb.notebook import display
from sm_async_nb.notebook.front_end import FrontEnd, front_end

HOSTILE = "<script>alert(1)</script>"


class Shown:
    """What a display asks of a job."""

    def __init__(self, rows=2, **counts):
        by_status = tuple(counts.get(str(status), 0) for status in Status)
        self.id = f"job-{HOSTILE}"
        self.endpoint_name = HOSTILE
        self.uri = f"s3://bucket/{HOSTILE}/"
        self.rows = rows
        self.snapshot = Snapshot(revision=1, at=10.0, started_at=0.0, counts=by_status)

    def __len__(self):
        return self.rows

    def __repr__(self):
        return f"<Job {self.id}>"

    def over(self):
        self.snapshot = Snapshot(revision=2, at=20.0, started_at=0.0, counts=self.snapshot.counts, is_over=True)

    def table(self):
        status = ["completed"] * (self.rows - 1) + ["failed"]
        errors = [None] * (self.rows - 1) + [HOSTILE * 20]
        return pd.DataFrame(
            {"status": status, "attempt": 1, "latency": 0.5, "error": errors}, index=[HOSTILE] * self.rows
        )


# The forms


@pytest.mark.parametrize("is_over", [False, True])
def test_whatever_a_frame_and_a_model_say_is_escaped(is_over):
    """In the head, in the table, and in the line on how to come back."""
    job = Shown(completed=1, failed=1)
    if is_over:
        job.over()
    told = display.bundle(job)["text/html"]

    assert "<script" not in told
    assert "&lt;script&gt;" in told


def test_a_job_that_is_over_shows_what_ended_badly_first():
    """Ten rows at most, each error at a readable length."""
    job = Shown(rows=30, completed=29, failed=1)
    job.over()
    told = display.html(job)

    assert "over, 29 completed, 1 failed" in told
    assert ["failed", *["completed"] * 9] == [
        cell for cell in told.replace("<", ">").split(">") if cell in ("completed", "failed")
    ]
    assert "20 more rows: job.table(). job.failures() has the model's own words." in told
    assert 1 == told.count("…")


def test_a_job_that_runs_shows_its_line():
    """As in a terminal, but not in its first moments."""
    job = Shown(accepted=1, completed=1)
    young = Shown(accepted=1, completed=1)
    young.snapshot = Snapshot(revision=1, at=1.0, started_at=0.0, counts=young.snapshot.counts)

    assert "1/2 [00:10&lt;00:10, 0.1 request/s] 1 in flight" in display.html(job)
    assert "request/s" not in display.html(young)


def test_trouble_and_pauses_are_told():
    """With what is being waited for."""
    counts = Shown(accepted=1).snapshot.counts
    trouble = Trouble(message="429 & more", since=1.0, calls=2)
    troubled = Shown()
    troubled.snapshot = Snapshot(revision=1, at=10.0, started_at=0.0, counts=counts, trouble=trouble)
    paused = Shown()
    paused.snapshot = Snapshot(revision=1, at=10.0, started_at=0.0, counts=counts, paused=trouble)

    assert "running, 1 accepted; trouble: 429 &amp; more" in display.html(troubled)
    assert "paused, 1 accepted; 429 &amp; more" in display.html(paused)


def test_a_front_end_may_ask_for_text_alone(monkeypatch):
    """As some terminals with a kernel behind them want it."""
    monkeypatch.setenv("SM_ASYNC_FRONT_END", "text")

    assert {"text/plain"} == set(display.bundle(Shown(completed=2)))


# Renewing


def test_one_thread_renews_all_outputs_and_ends_with_the_last():
    """However many jobs and outputs there are."""
    following = display._Following()
    jobs = [Shown(completed=2), Shown(accepted=2)]
    seen = {0: [], 1: [], 2: []}
    for number, job in enumerate([jobs[0], jobs[0], jobs[1]]):
        following.add(job, lambda told, raw, number=number: seen[number].append(told["text/html"]))
    threads = [thread for thread in threading.enumerate() if thread.name == "sm-async-display"]
    for job in jobs:
        job.over()
    give_up = time.monotonic() + 10
    while following._thread is not None and time.monotonic() < give_up:
        time.sleep(0.05)

    assert 1 == len(threads)
    assert following._thread is None
    assert all("over" in told[-1] for told in seen.values())


def test_an_output_that_fails_is_left_alone_and_the_others_go_on(caplog):
    """Without a word on anybody's screen."""
    job, other = Shown(completed=2), Shown(completed=2)

    def broken(*_, **__):
        raise RuntimeError("the front end is gone")

    seen = []
    with caplog.at_level(logging.DEBUG, logger=display.__name__):
        kept = [
            display._renewed(display._Output(job, broken, SimpleNamespace(run=broken))),
            display._renewed(display._Output(other, lambda told, raw: seen.append(told), SimpleNamespace())),
        ]

    assert [False, True] == kept
    assert 1 == len(seen)
    assert [logging.DEBUG] == [record.levelno for record in caplog.records]


def test_ipykernel_7_0_is_asked_in_the_context_of_its_cell():
    """Elsewhere it raises LookupError, and nothing would be renewed."""
    seen = []

    def update(told, raw):
        if not seen:
            seen.append("refused")
            raise LookupError("shell_parent")
        seen.append("shown")

    output = display._Output(Shown(completed=2), update, SimpleNamespace(run=lambda call, *a, **k: call(*a, **k)))

    assert display._renewed(output)
    assert ["refused", "shown"] == seen


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
