"""The plan that is renewed while somebody types: the first rows at once, all of them in the end, never for nobody."""

from __future__ import annotations

import threading

import pandas as pd
import pytest
from boto3 import Session

from sm_async_nb.notebook.accessor import SmAsyncAccessor
from sm_async_nb.notebook.form.code import Filled
from sm_async_nb.notebook.form.plan import Asked, NotWantedError, Planner, planned

SESSION = Session(region_name="eu-west-1", aws_access_key_id="id", aws_secret_access_key="secret")
PATIENCE = 30


def asked(rows, **filled):
    return Asked(frame=pd.DataFrame({"x": range(rows)}), filled=Filled(data="df", endpoint_name="churn", **filled))


@pytest.fixture
def scene():
    """A planner that does not pause, and what it has shown."""
    shown = []
    return Planner(shown.append, session=SESSION, pause_seconds=0), shown


def test_the_first_rows_are_planned_at_once_and_then_all(scene):
    """And both plans are told apart."""
    planner, shown = scene
    planner.ask(asked(5_000, texts={"rows_per_request": "8"}))
    planner.settle(PATIENCE)

    assert [(1_000, False, 125), (5_000, True, 625)] == [
        (one.of_rows, one.is_whole, one.plan.requests) for one in shown
    ]


def test_a_small_frame_is_planned_once(scene):
    """Its first rows are all of them."""
    planner, shown = scene
    planner.ask(asked(3))
    planner.settle(PATIENCE)

    assert [(3, True)] == [(one.of_rows, one.is_whole) for one in shown]


def test_a_problem_behind_the_first_rows_is_found(scene):
    """The form says at first that it has seen the first rows only."""
    planner, shown = scene
    wanted = asked(3_000, texts={"nan": "error"})
    wanted.frame["x"] = wanted.frame["x"].astype(object)
    wanted.frame.loc[2_500, "x"] = None
    planner.ask(wanted)
    planner.settle(PATIENCE)

    assert [True, False] == [one.is_good for one in shown]
    assert ("row 2500:", 1) == (shown[-1].plan.problems[0][:9], shown[-1].plan.rows_with_problems)


def test_what_is_newer_ends_what_is_being_done():
    """Between two batches of rows: a million of them are not checked to the end for nobody."""
    shown, first_is_shown, newer = [], threading.Event(), asked(2)

    def show(found):
        shown.append(found)
        first_is_shown.set()

    planner = Planner(show, session=SESSION, pause_seconds=0)
    planner.ask(asked(400_000, template='{"x": {{ x }}}'))
    assert first_is_shown.wait(PATIENCE)
    planner.ask(newer)
    planner.settle(PATIENCE)

    assert [(400_000, False), (2, True)] == [(one.rows, one.is_whole) for one in shown]


def test_the_whole_frame_waits_until_nobody_types():
    """Each key would begin it anew; within the pause only first rows are planned."""
    shown, enough = [], threading.Semaphore(0)

    def show(found):
        shown.append(found)
        enough.release()

    planner = Planner(show, session=SESSION, pause_seconds=PATIENCE)
    for text in ("1", "10", "100"):
        planner.ask(asked(5_000, texts={"rows_per_request": text}))
        assert enough.acquire(timeout=PATIENCE)
    planner.drop()
    planner.settle(PATIENCE)

    assert [1_000, 100, 10] == [one.plan.requests for one in shown]
    assert {1_000} == {one.of_rows for one in shown}


@pytest.mark.parametrize(
    "filled",
    [
        {},
        {"template": '{"x": {{ x }}}'},
        {"texts": {"inference_id": "{{ x }}"}},
        {"texts": {"max_payload_bytes": "100"}},
        {"texts": {"deduplicate": True}},
    ],
    ids=["columns", "template", "a field", "sizes", "fingerprints"],
)
def test_a_check_is_made_before_each_batch_of_rows(filled):
    """Whatever the rows are gone through for."""
    calls = []

    def check():
        calls.append(1)
        if len(calls) == 3:
            raise NotWantedError

    with pytest.raises(NotWantedError):
        planned(asked(5_000, **filled), SESSION, 5_000, check)

    assert 3 == len(calls)


@pytest.mark.parametrize("texts", [{}, {"rows_per_request": "7"}, {"inference_id": "{{ x }}", "inline": "auto"}])
def test_the_plan_is_that_of_the_call(texts):
    """The form shows what ``df.sm_async.plan`` says."""
    wanted = asked(50, texts=texts)
    found = planned(wanted, SESSION, 50).plan

    assert SmAsyncAccessor(wanted.frame).plan("churn", session=SESSION, **wanted.filled.keywords()) == found


def test_a_frame_that_another_cell_changes_meanwhile_does_no_harm(scene):
    """The form says what happened, and plans again."""
    planner, shown = scene

    class Changing(pd.DataFrame):
        @property
        def iloc(self):
            raise IndexError("it is being changed")

    planner.ask(Asked(frame=Changing({"x": [1]}), filled=Filled(data="df", endpoint_name="churn")))
    planner.settle(PATIENCE)
    planner.ask(asked(1))
    planner.settle(PATIENCE)

    assert [False, True][-len(shown) :] == [one.is_good for one in shown]


def test_nothing_of_submit_alone_is_in_the_way_of_a_plan():
    """Where a job lies and how it runs is no matter of what is sent."""
    texts = {"name": "scores", "retries": "2", "tags": "team=risk", "input_prefix": "s3://bucket/jobs", "restart": True}

    assert planned(asked(2, texts=texts), SESSION, 2).is_good
