"""The buttons of a job: what they do, what they say, and which ask twice."""

from __future__ import annotations

import threading
import time

import pandas as pd
import pytest

from sm_async_nb.core.ledger import Snapshot, Status, Trouble
from sm_async_nb.errors import JobInUseError
from sm_async_nb.notebook.panel import actions as panel_actions
from sm_async_nb.notebook.panel.actions import Actions


class Asked:
    """A job that notes what it is asked to do."""

    id, uri, is_read_only = "job-1", "s3://bucket/job-1/", False

    def __init__(self):
        self.done = []

    def retry(self, status=None):
        self.done.append(("retry", status) if status else "retry")
        return 3

    def resume(self):
        self.done.append("resume")

    def cancel(self):
        self.done.append("cancel")
        return "2 requests will not be sent."

    def results(self, into=None):
        self.done.append(("results", into))
        return [f"{into}/part-0.parquet"] if into else pd.DataFrame({"y": [1, 2]})


@pytest.fixture
def now():
    """The time, which a test sets."""
    return [1_000.0]


@pytest.fixture
def scene(monkeypatch, now):
    """Buttons of a job that the user calls ``scored``, and what was told."""
    job, told, variables = Asked(), [], {}
    variables["scored"] = job
    monkeypatch.setattr(panel_actions, "user_variables", lambda: variables)
    actions = Actions(job, tell=told.append, acted=lambda: None, clock=lambda: now[0])
    return job, actions, told, variables


def until(told):
    give_up = time.monotonic() + 10
    while not told:
        assert time.monotonic() < give_up, "nothing was told"
        time.sleep(0.005)
    return told[-1]


def until_enabled(button):
    give_up = time.monotonic() + 10
    while button.disabled:
        assert time.monotonic() < give_up
        time.sleep(0.005)


def seen(*, is_over=False, paused=None, **told):
    counts = tuple(told.get(str(status), 0) for status in Status)
    return Snapshot(revision=0, at=1.0, started_at=0.0, counts=counts, is_over=is_over, paused=paused)


def test_cancelling_takes_two_clicks(scene, now):
    """It cannot be taken back."""
    job, actions, told, _ = scene
    actions.cancel.click()
    asked, before = actions.cancel.description, list(job.done)
    now[0] += 1
    actions.show(seen(accepted=1), now[0])
    actions.cancel.click()

    assert ("Really cancel?", []) == (asked, before)
    assert "2 requests will not be sent." == until(told)
    assert ["cancel"] == job.done


def test_a_double_click_is_one_click(scene, now):
    """It cancelled a job once, as did two clicks that waited for a busy kernel: nobody had read anything."""
    job, actions, _, _ = scene
    for _ in range(3):
        actions.cancel.click()
        now[0] += 0.2
    told = actions.cancel.description, actions.is_asking

    assert ("Really cancel?", True) == told
    assert [] == job.done


def test_a_button_says_that_its_work_goes_on_and_takes_no_other_click(scene, monkeypatch):
    """It was to be pressed again after a second, and a second download waited for the first."""
    job, actions, told, _ = scene
    release, calls = threading.Event(), []

    def results():
        calls.append(release.wait(10))
        return pd.DataFrame({"y": [1]})

    monkeypatch.setattr(job, "results", results)
    actions.load.click()
    actions.show(seen(completed=1), 1_001.0)
    during = actions.load.description, actions.load.disabled
    actions.load.click()
    release.set()
    until(told)
    until_enabled(actions.load)
    actions.show(seen(completed=1), 1_002.0)

    assert (("Loading …", True), [True]) == (during, calls)
    assert ("Load results", False) == (actions.load.description, actions.load.disabled)


def test_a_job_that_is_only_watched_can_be_loaded_and_not_be_told_anything(scene, monkeypatch):
    """Another kernel has it."""
    job, actions, _, _ = scene
    every, enabled = ("resume", "retry", "rest", "cancel", "load", "save"), []
    for is_read_only in (True, False):
        monkeypatch.setattr(job, "is_read_only", is_read_only)
        actions.show(seen(accepted=1, completed=1, failed=1, cancelled=1), 0.0)
        enabled.append([name for name in every if not getattr(actions, name).disabled])

    assert [["load", "save"], [*every]] == enabled


def test_a_second_click_that_comes_late_is_a_first_one(scene):
    """Somebody has thought better of it meanwhile."""
    job, actions, _, _ = scene
    actions.cancel.click()
    was_asking = actions.is_asking
    actions.show(seen(accepted=1), time.time() + 60)
    is_asking, description = actions.is_asking, actions.cancel.description
    actions.cancel.click()

    assert (True, False, "Cancel") == (was_asking, is_asking, description)
    assert [] == job.done


def test_a_variable_of_the_users_is_replaced_after_a_second_click_only(scene, now):
    """What it held is gone then. Results that were loaded before may be loaded again."""
    _, actions, told, variables = scene
    variables["results"] = "a day's work"
    actions.load.click()
    before, question = variables["results"], actions.load.description
    now[0] += 1
    actions.load.click()
    until(told)
    until_enabled(actions.load)
    told.clear()
    actions.load.click()

    assert ("a day's work", "Replace results?") == (before, question)
    assert "results has 2 rows and 1 column." == until(told)


def test_a_paused_job_can_be_resumed_and_no_other(scene):
    """The button comes and goes with the pause."""
    job, actions, told, _ = scene
    displays = []
    for paused in (None, Trouble(message="credentials have expired", since=0.5, calls=1)):
        actions.show(seen(accepted=1, paused=paused), 0.0)
        displays.append(actions._resume_box.layout.display)
    actions.resume.click()

    assert ["none", ""] == displays
    assert ("Resumed.", ["resume"]) == (until(told), job.done)


def test_what_was_cancelled_can_be_sent_after_all(scene):
    """With the line that says so."""
    job, actions, told, _ = scene
    actions.show(seen(completed=1, cancelled=3, is_over=True), 0.0)
    actions.rest.click()

    assert ("", "Send the rest (3)") == (actions._rest_box.layout.display, actions.rest.description)
    assert ("3 requests sent.", [("retry", "cancelled")]) == (until(told), job.done)
    assert "scored.retry(status='cancelled')" == actions._codes["rest"]


def test_each_button_shows_the_line_of_python_that_does_the_same(scene):
    """With the user's own name for the job."""
    _, actions, _, _ = scene
    actions.show(seen(completed=1), 0.0)
    actions.name.value = "answers"
    lines = [actions._codes[name] for name in ("retry", "cancel", "load", "save")]

    assert ["scored.retry()", "scored.cancel()", "answers = scored.results()"] == lines[:3]
    assert "scored.results(into='job-1-results')" == lines[3]


def test_a_job_without_a_variable_is_attached_in_one_line_that_the_others_go_on_from(scene):
    """It was in each of them once, and made buttons as wide; a name of the user's is not taken for it."""
    _, actions, _, variables = scene
    first = actions._lines["attach"]
    told = []
    for variables_now in ({}, {"job": "a day's work"}, {"mine": actions._job}):
        variables.clear()
        variables.update(variables_now)
        actions.show(seen(completed=1), 0.0)
        told.append((first.layout.display, actions._codes["attach"], actions._codes["retry"]))

    assert [
        ("", "job = sm_async_nb.attach('s3://bucket/job-1/')", "job.retry()"),
        ("", "job_2 = sm_async_nb.attach('s3://bucket/job-1/')", "job_2.retry()"),
        ("none", "", "mine.retry()"),
    ] == told


def test_results_are_loaded_into_the_variable_that_is_named(scene):
    """And how large they are is told."""
    _, actions, told, variables = scene
    actions.name.value = "answers"
    actions.load.click()

    assert "answers has 2 rows and 1 column." == until(told)
    assert [1, 2] == list(variables["answers"]["y"])


@pytest.mark.parametrize("name", ["my results", "class"])
def test_what_cannot_be_a_variable_is_refused(scene, name):
    """Before anything is fetched."""
    job, actions, told, _ = scene
    actions.name.value = name
    actions.load.click()

    assert f"{name!r} cannot be the name of a variable." == until(told)
    assert [] == job.done


def test_results_are_saved_into_the_folder_that_is_named(scene):
    """As ``into=`` writes them."""
    job, actions, told, _ = scene
    actions.path.value = "here"
    actions.save.click()

    assert "Written: here/part-0.parquet." == until(told)
    assert [("results", "here")] == job.done


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (JobInUseError("Job job-1 is only watched here."), "Job job-1 is only watched here."),
        (MemoryError("no room for 8 GB"), "MemoryError: no room for 8 GB"),
    ],
)
def test_an_error_is_told_and_the_button_can_be_pressed_again(scene, monkeypatch, error, expected):
    """As when another kernel has the job, and when nobody has thought of it."""
    job, actions, told, _ = scene

    def refuse():
        raise error

    monkeypatch.setattr(job, "retry", refuse)
    actions.retry.click()

    assert expected == until(told)
    until_enabled(actions.retry)


def test_what_has_nothing_to_do_cannot_be_pressed(scene):
    """No failures, no retry; over, no cancel; no answers, no results."""
    _, actions, _, _ = scene
    states = []
    for one in (seen(accepted=1), seen(completed=1, failed=1, is_over=True)):
        actions.show(one, 0.0)
        states.append([button.disabled for button in (actions.retry, actions.cancel, actions.load)])

    assert [[True, False, True], [False, True, False]] == states
