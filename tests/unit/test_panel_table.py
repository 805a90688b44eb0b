"""The kernel's side of the table: what each view is told, and when; without a browser and without a job."""

from __future__ import annotations

import json

import numpy as np
import pytest

from sm_async_nb.core.ledger import Status
from sm_async_nb.notebook.panel.table import CopyButton, Grid, Table, from_json, to_json
from sm_async_nb.notebook.panel.window import Asked


class SomeRows:
    """Rows whose status can be set; ``looked`` counts the lines that were made."""

    def __init__(self, length):
        self.length = length
        self.statuses = np.zeros(length, dtype=np.uint8)
        self.revision = 0
        self.looked = 0

    def __len__(self):
        return self.length

    def put(self, rows, status):
        self.statuses[rows] = status
        self.revision += 1

    def status(self):
        return self.statuses

    def key(self, column):
        return {"": None, "status": self.statuses, "index": -np.arange(self.length)}[column]

    def matches(self, text):
        return np.array([text in str(row) for row in range(self.length)])

    def lines(self, rows):
        self.looked += len(rows)
        return [[row, str(row), int(self.statuses[row])] for row in rows.tolist()]

    def head(self):
        return {"counts": np.bincount(self.statuses, minlength=8).tolist(), "over": False}


class Scene:
    """A table of rows, and what was sent."""

    def __init__(self, length=1000):
        self.rows = SomeRows(length)
        self.sent = []
        self.table = Table(self.rows, self.sent.append)

    def look(self, view="a", start=0, count=10):
        self.table.hear({"type": "window", "view": view, "start": start, "count": count})

    def refresh(self):
        self.sent.clear()
        self.table.refresh()
        return self.sent


@pytest.fixture
def scene():
    return Scene()


def places(message):
    return [at for at, _ in message["rows"]]


def test_a_view_is_told_its_window_at_once(scene):
    """And how many rows there are."""
    scene.look(start=5, count=3)

    assert [5, 6, 7] == places(scene.sent[-1])
    assert 1000 == scene.sent[-1]["head"]["total"]


def test_only_changed_rows_of_the_window_are_told(scene):
    """Ten thousand others may change meanwhile."""
    scene.look(count=10)
    scene.rows.put([2, 7, 500], Status.COMPLETED)

    assert [[2, 7]] == [places(message) for message in scene.refresh()]


def test_nothing_is_told_when_nothing_has_changed(scene):
    """Not even looked at."""
    scene.look()
    scene.refresh()
    scene.rows.looked = 0

    assert [] == scene.refresh()
    assert 0 == scene.rows.looked


def test_counts_are_told_although_no_visible_row_has_changed(scene):
    """The bar goes on while one looks at other rows."""
    scene.look()
    scene.rows.put([900], Status.FAILED)
    (message,) = scene.refresh()

    assert [] == message["rows"]
    assert 1 == message["head"]["counts"][Status.FAILED]


def test_scrolling_brings_only_rows_that_were_not_there(scene):
    """What both windows have is known already."""
    scene.look(start=0, count=10)
    scene.look(start=5, count=10)

    assert [10, 11, 12, 13, 14] == places(scene.sent[-1])


def test_two_views_have_a_window_each(scene):
    """They would fight over the scroll bar otherwise."""
    scene.look("a", 0, 5)
    scene.look("b", 100, 5)
    scene.rows.put([1, 101], Status.ACCEPTED)

    assert {"a": [1], "b": [101]} == {message["view"]: places(message) for message in scene.refresh()}


def test_a_view_that_hears_nothing_is_left_alone_until_it_does(scene):
    """A hidden tab; afterwards it is told all of its window."""
    scene.look(count=3)
    for turn in range(200):
        scene.rows.put([0], turn % 8)
        scene.table.refresh()
    told = len(scene.sent)
    scene.table.hear({"type": "ack", "view": "a"})

    assert 51 == told
    assert [[0, 1, 2]] == [places(message) for message in scene.refresh()]


def test_messages_are_numbered_in_order(scene):
    """So that an acknowledgement says how far a view has come."""
    scene.look()
    for turn in range(5):
        scene.rows.put([0], turn + 1)
        scene.table.refresh()

    assert [1, 2, 3, 4, 5, 6] == [message["seq"] for message in scene.sent]


def test_what_is_asked_for_is_shown_from_the_top(scene):
    """The rows are told anew, since their places have changed."""
    scene.rows.put([30, 40], Status.FAILED)
    scene.look(count=10)
    scene.table.ask(Asked(statuses=frozenset({Status.FAILED}), column="index"))
    (message,) = scene.refresh()

    assert [40, 30] == [line[0] for _, line in message["rows"]]
    assert (True, 2) == (message["all"], message["head"]["total"])


def test_a_poll_is_answered_at_once(scene):
    """Where nothing is shown that another thread sends."""
    scene.look()
    scene.rows.put([1], Status.COMPLETED)
    scene.sent.clear()
    scene.table.hear({"type": "poll", "view": "a", "seq": 1})

    assert [[1]] == [places(message) for message in scene.sent]


def test_what_a_view_has_missed_is_told_again(scene):
    """As where what comes unasked is lost: the view says how far it has come, and hears all of its window."""
    scene.look(count=3)
    for turn in (1, 2):
        scene.rows.put([1], turn)
        scene.table.refresh()
    scene.sent.clear()
    scene.table.hear({"type": "poll", "view": "a", "seq": 1})

    assert [(True, [0, 1, 2])] == [(message["all"], places(message)) for message in scene.sent]


def test_who_asks_is_answered_although_nothing_is_new(scene):
    """No answer means that the kernel is gone."""
    scene.look()
    scene.look()

    assert [[], 2] == [scene.sent[-1]["rows"], len(scene.sent)]


def test_what_is_in_sight_is_less_than_what_is_told(scene):
    """A page more on each side is told, for scrolling; a view that is away sees nothing."""
    scene.table.hear({"type": "window", "view": "a", "start": 90, "count": 30, "first": 100, "page": 3})
    scene.table.hear({"type": "window", "view": "b", "start": 0, "count": 30, "first": 2, "page": 1_000})

    assert [2, 3] == scene.table.in_sight()[:2].tolist()
    assert [60, 61] == scene.table.in_sight()[58:60].tolist()
    assert [100, 101, 102] == scene.table.in_sight()[-3:].tolist()


def test_a_view_that_says_goodbye_hears_nothing_more(scene):
    """A closed page."""
    scene.look()
    scene.table.hear({"type": "bye", "view": "a"})
    scene.rows.put([1], Status.COMPLETED)

    assert [] == scene.refresh()


def test_a_filter_follows_what_changes_but_sorts_no_more_than_now_and_then(scene, monkeypatch):
    """A million rows take a tenth of a second."""
    now = [0.0]
    monkeypatch.setattr("sm_async_nb.notebook.panel.table.time.monotonic", lambda: now[0])
    scene.table.ask(Asked(statuses=frozenset({Status.FAILED})))
    scene.look()
    totals = []
    for second in (0.2, 0.4, 1.2):
        now[0] = second
        scene.rows.put([int(second * 10)], Status.FAILED)
        totals += [message["head"]["total"] for message in scene.refresh()][-1:]

    assert [0, 0, 3] == totals


@pytest.mark.parametrize(
    "message",
    [
        {"type": "window", "view": "a", "start": -5, "count": 10**9},
        {"type": "window", "view": "a", "start": "x", "count": None},
        {"type": "window", "view": "a", "start": float("inf"), "count": 1},
        {"type": "nonsense"},
        {},
    ],
)
def test_whatever_a_front_end_says_is_taken_calmly(scene, message):
    """It is a page, and anybody may write to it; no window is larger than a few screens."""
    scene.table.hear(message)
    scene.refresh()

    assert scene.rows.looked <= 300


def test_a_search_that_fails_shows_every_row(scene):
    """Whatever values a frame has; the view went on without its table once."""

    def fail(text):
        raise OverflowError(text)

    scene.rows.matches = fail
    scene.look(count=3)
    scene.table.ask(Asked(text="a"))
    (message,) = scene.refresh()

    assert ([0, 1, 2], 1000) == (places(message), message["head"]["total"])


def test_what_cannot_be_asked_is_left_out():
    """A status that is none, a column that is none."""
    told = {"statuses": [4, 99, "x"], "text": "a", "column": "nonsense", "descending": 1}

    assert Asked(statuses=frozenset({4}), text="a", descending=True) == from_json(told)
    assert Asked() == from_json("nonsense")
    assert from_json(to_json(from_json(told))) == from_json(told)


def test_a_million_rows_cost_what_their_window_costs():
    """No line is made that nobody looks at, and an update has few bytes."""
    scene = Scene(1_000_000)
    scene.look(start=500_000, count=45)
    scene.rows.put(np.arange(0, 1_000_000, 100), Status.COMPLETED)
    scene.rows.looked = 0
    (message,) = scene.refresh()

    assert 45 == scene.rows.looked
    assert len(json.dumps(message)) < 6_000


def test_a_page_without_a_kernel_has_the_first_rows(scene):
    """In the saved state of the widget."""
    grid = Grid(lambda _: None, saved=scene.table.saved())

    assert 100 == len(grid.saved["rows"])
    assert 100 == grid.saved["head"]["total"]


def test_long_labels_get_more_room():
    """Cut to the same eight letters they told nothing; numbers need no room."""
    heads = {"counts": [], "total": 1}
    classes = [
        Grid(lambda _: None, saved={"rows": [[0, label]], "head": heads})._dom_classes
        for label in ("17", "'review-00007'", "'patient-2026-00000007'")
    ]

    assert [(), ("sma-long-labels",), ("sma-long-labels", "sma-longer-labels")] == classes


def test_a_button_that_copies_is_hidden_until_the_browser_has_it():
    """Where it never comes there is no gap, and no error; the text stands beside it anyway."""
    button = CopyButton(text="job.retry()", label="Copy as Python")
    before = button.box.layout.display
    button._handle_custom_msg({"type": "hello"}, [])

    assert ("none", "") == (before, button.box.layout.display)
    assert ("copy", "job.retry()", "Copy as Python") == (button.kind, button.text, button.label)
