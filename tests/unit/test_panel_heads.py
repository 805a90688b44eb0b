"""The answers of rows in sight: which are fetched unasked, and when none are, against a real job."""

from __future__ import annotations

import json
import time

import numpy as np
import pandas as pd
import pytest

from sm_async_nb.errors import CredentialsError
from sm_async_nb.job import peek
from sm_async_nb.local import LocalEndpoint
from sm_async_nb.notebook.panel import heads as panel_heads
from sm_async_nb.notebook.panel.heads import Heads
from sm_async_nb.notebook.panel.rows import JobRows


def echo(body, content_type, accept):
    """What was sent; rows below zero are refused, and a hundred is answered at length."""
    record = json.loads(body)
    if isinstance(record, list):
        return body
    if record["x"] < 0:
        raise ValueError(f"x is {record['x']}")
    return json.dumps({"y": record["x"], "long": "z" * (80_000 if record["x"] == 100 else 0)})


@pytest.fixture(scope="module")
def local():
    with LocalEndpoint(echo) as running:
        yield running


class Scene:
    """A job that is over, what is in sight of it, and what was told."""

    def __init__(self, local, values):
        frame = pd.DataFrame({"x": values})
        self.local, self.told, self.fetched, self.now = local, [], [], 0.0
        self.job = frame.sm_async.submit("local-endpoint", session=local.session()).wait()
        self.local.reset_calls()
        self.rows = np.arange(len(values))
        self.heads = Heads(
            self.job,
            lambda: self.rows,
            fetched=lambda: self.fetched.append(1),
            tell=self.told.append,
        )

    def look(self, times=1):
        for _ in range(times):
            self.now += 1
            self.heads.refresh(self.now)
            give_up = time.monotonic() + 10
            while self.heads._is_busy:
                assert time.monotonic() < give_up
                time.sleep(0.002)

    @property
    def gets(self):
        return self.local.calls["s3 GetObject"]


def test_rows_that_stay_in_sight_are_fetched_once(local):
    """Completed and failed ones alike; what is known costs nothing more, here and in results()."""
    scene = Scene(local, [1, -2, 3])
    scene.look(5)
    gets = scene.gets
    scene.job.results()

    assert (3, 3) == (gets, scene.gets)
    assert scene.heads.is_settled
    assert ['{"y": 1, "long": ""}', "x is -2"] == [line[7] for line in JobRows(scene.job).lines(np.arange(2))]


def test_what_is_scrolled_past_is_not_fetched(local):
    """Nobody sees it."""
    scene = Scene(local, list(range(40)))
    for start in range(0, 40, 10):
        scene.rows = np.arange(start, start + 10)
        scene.look()

    assert 0 == scene.gets


def test_nothing_is_fetched_where_that_is_switched_off(local):
    """Each GET costs."""
    scene = Scene(local, [1, 2])
    scene.heads.is_on = False
    scene.look(3)

    assert 0 == scene.gets
    assert scene.heads.is_settled


def test_large_answers_are_not_fetched_for_their_first_letters(local):
    """One to find out; then it says so, and stops."""
    scene = Scene(local, [100, 100, 100, 100])
    scene.look(4)

    assert 1 == scene.gets
    assert "no others are fetched" in scene.told[0]


def test_no_more_than_so_many_are_fetched_in_all(local, monkeypatch):
    """However long somebody scrolls."""
    monkeypatch.setattr(panel_heads, "_MOST", 3)
    monkeypatch.setattr(panel_heads, "_AT_ONCE", 2)
    scene = Scene(local, list(range(10)))
    before = scene.heads.goes_on
    scene.look(8)

    assert (True, False) == (before, scene.heads.goes_on)
    assert 3 <= scene.gets <= 4


def test_without_credentials_it_says_so_and_stops(local, monkeypatch):
    """The table goes on without answers."""
    scene = Scene(local, [1, 2])

    def refuse(job, requests):
        raise CredentialsError("The credentials have expired.")

    monkeypatch.setattr(peek, "load", refuse)
    scene.look(3)

    assert ["Answers are not fetched for the table any more: The credentials have expired."] == scene.told


def test_a_row_that_shares_a_request_shows_its_own_part_of_the_answer(local):
    """And not that of its neighbours."""
    frame = pd.DataFrame({"x": [1, 2, 3]})
    job = frame.sm_async.submit("local-endpoint", session=local.session(), rows_per_request=2).wait()
    job.results()

    assert ['{"x": 1}', '{"x": 2}', '{"x": 3}'] == [line[7] for line in JobRows(job).lines(np.arange(3))]
