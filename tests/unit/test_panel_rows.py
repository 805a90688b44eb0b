"""What a job shows of itself, few lines at a time: against a real job, whose endpoint is the local one."""

from __future__ import annotations

import json
import re
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import ipywidgets as widgets
import numpy as np
import pandas as pd
import pytest

from sm_async_nb.aws.described import Endpoint
from sm_async_nb.core.ledger import Snapshot, Status, Trouble
from sm_async_nb.errors import CredentialsError
from sm_async_nb.job import peek
from sm_async_nb.local import LocalEndpoint
from sm_async_nb.notebook.panel import html as panel_html
from sm_async_nb.notebook.panel import job_view, window
from sm_async_nb.notebook.panel import rows as panel_rows
from sm_async_nb.notebook.panel.detail import CUT, detail, needs_fetching
from sm_async_nb.notebook.panel.events import Events
from sm_async_nb.notebook.panel.job_view import JobView, static_bundle
from sm_async_nb.notebook.panel.plain import PlainTable
from sm_async_nb.notebook.panel.rows import JobRows, duration, seconds, short
from sm_async_nb.notebook.panel.screen import Screen
from sm_async_nb.notebook.panel.table import Table

HOSTILE = "<img src=x onerror=alert(1)>"


def double(body, content_type, accept):
    """Twice `x`; rows below zero are refused."""
    record = json.loads(body)
    if record["x"] < 0:
        raise ValueError(f"x is {record['x']}: {HOSTILE}")
    return json.dumps({"y": record["x"] * 2})


@pytest.fixture(scope="module")
def local():
    with LocalEndpoint(double) as running:
        yield running


@pytest.fixture(scope="module")
def job(local):
    """Five rows, two of them refused, over; nothing of their answers was read yet."""
    frame = pd.DataFrame({"x": [1, -2, 3, -4, 5], "text": ["a", "b", "c", "d", HOSTILE]}, index=list("pqrst"))
    return frame.sm_async.submit("local-endpoint", session=local.session(), custom_attributes="secret").wait()


def test_lines_are_what_the_table_tells_and_ask_nobody(job, local):
    """Label, status, attempt and payload; no call is made for them."""
    local.reset_calls()
    lines = JobRows(job).lines(np.array([0, 1]))

    assert [["'p'", Status.COMPLETED, "1"], ["'q'", Status.FAILED, "1"]] == [line[1:4] for line in lines]
    assert ['{"x":1,"text":"a"}', '{"x":-2,"text":"b"}'] == [line[6] for line in lines]
    assert {} == dict(local.calls)


def test_an_answer_that_nobody_has_fetched_does_not_look_like_none(local):
    """The cell was blank once. While answers are fetched it is on its way, but not in a page without a kernel."""
    own = pd.DataFrame({"x": [1, -2]}).sm_async.submit("local-endpoint", session=local.session()).wait()
    rows, answers, htmls = JobRows(own), [], []
    for is_fetching in (False, True):
        rows.is_fetching = lambda is_fetching=is_fetching: is_fetching
        answers.append([line[7:] for line in rows.lines(np.arange(2))])
        htmls.append(panel_html.table(rows.lines(np.arange(2))))
    saved = [line[7:] for line in Table(rows, None).saved()["rows"]]
    static = static_bundle(own)["text/html"]
    peek.load(own, np.array([0]))

    assert [[["not fetched", "unread"], ["", ""]], [["…", "unread"], ["", ""]]] == answers
    assert [1, 0, 1] == [one.count('<span style="opacity: 0.7">not fetched</span>') for one in (*htmls, static)]
    assert ["not fetched", "unread"] == saved[0]
    assert ['{"y": 2}', ""] == rows.lines(np.arange(1))[0][7:]
    assert "not fetched" not in static_bundle(own)["text/html"]


def test_a_row_is_found_by_its_label_its_text_and_its_id(job):
    """Whatever somebody remembers of it."""
    rows = JobRows(job)
    inference_id = job.table()["inference_id"]["r"]

    assert [False, True, False, False, False] == rows.matches("Q").tolist()
    assert [False, False, False, False, True] == rows.matches("onerror").tolist()
    assert [False, False, True, False, False] == rows.matches(inference_id).tolist()


@pytest.fixture
def own(local):
    """Three rows of a test's own, whose ledger it may change: one answer, two failures."""
    frame = pd.DataFrame({"x": [1, -2, -3], "text": ["aa", "a", "aaa"]}, index=["b", "c", "a"])
    return frame.sm_async.submit("local-endpoint", session=local.session()).wait()


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ("index", [2, 0, 1]),
        ("status", [0, 1, 2]),
        ("attempt", [1, 2, 0]),
        ("submitted", [1, 2, 0]),
        ("latency", [0, 2, 1]),
        ("payload", [0, 1, 2]),
        ("answer", [2, 1, 0]),
    ],
)
def test_every_column_can_be_sorted_by(own, column, expected):
    """By its label, time, size or words; what has no error comes last."""
    own._ledger.attempt[:] = [2, 0, 1]
    own._ledger.accepted_at[:] = [30, 10, 20]
    own._ledger.finished_at[:] = [31, 15, 23]
    own._ledger.messages.update({1: "out of memory", 2: "no column plan"})

    assert expected == window.order_of(None, JobRows(own).key(column)).tolist()


def test_a_request_that_has_expired_has_no_latency(own):
    """When it was given up is no answer: twenty of them made the histogram one bar, of hours."""
    own._ledger.status[1] = Status.EXPIRED
    own._ledger.accepted_at[:] = 10
    own._ledger.finished_at[:] = [12.5, 5_000, 13]
    rows = JobRows(own)
    told = {name: value for name, value, _ in detail(own, 1, "own")["fields"]}

    assert [2.5, 3] == rows.latency()[[0, 2]].tolist()
    assert np.isnan(rows.latency()[1])
    assert ["2.50 s", "", "4 s"] == [line[5] for line in rows.lines(np.arange(3))]
    assert ("1970-01-01 01:23:20 UTC", False) == (told["Finished"], "Latency" in told)


def test_the_histogram_counts_answers_and_not_the_rows_that_share_them(local):
    """Two requests are two answers, however many rows they have."""
    frame = pd.DataFrame({"x": [1, 2, 3]})
    shared = frame.sm_async.submit("local-endpoint", session=local.session(), rows_per_request=2).wait()

    assert ((2,), (3,)) == (JobRows(shared).latency_of_requests().shape, JobRows(shared).latency().shape)


def test_times_are_told_from_the_jobs_own_beginning(own, monkeypatch):
    """A kernel that attached to a job of two hours said that three seconds had gone."""
    now = [9_000.0]
    monkeypatch.setattr(panel_rows, "time", SimpleNamespace(time=lambda: now[0]))
    own._ledger.accepted_at[:] = [1_800, np.nan, 1_900]
    own._ledger.finished_at[:] = [1_890, np.nan, np.nan]
    attached = replace(snapshot(accepted=100), started_at=8_997.0)
    rows = JobRows(own)
    told = [rows._times(attached)]
    now[0] += 1
    told.append(rows._times(replace(attached, counts=snapshot(accepted=90, completed=10).counts)))
    paused = replace(attached, paused=Trouble(message="credentials have expired", since=0.5, calls=1))
    told.append(rows._times(paused))
    told.append(rows._times(replace(snapshot(completed=100, is_over=True), started_at=8_997.0)))

    assert [
        ["2 h 00 min gone", "time left unknown until answers come"],
        ["10.0 requests/s", "2 h 00 min gone, about 9 s left"],
        ["2 h 00 min gone"],
        ["took 1 min 30 s"],
    ] == told


def test_a_rate_is_one_of_rows_too_where_they_share_requests(local, monkeypatch):
    """Rows are what somebody counts, and requests what the endpoint does."""
    frame = pd.DataFrame({"x": [1, 2, 3]})
    shared = frame.sm_async.submit("local-endpoint", session=local.session(), rows_per_request=2).wait()
    now, rows = [time.time()], JobRows(shared)
    monkeypatch.setattr(panel_rows, "time", SimpleNamespace(time=lambda: now[0]))
    rows._times(snapshot(accepted=2))
    now[0] += 1

    assert "1.0 requests/s (1.5 rows/s)" == rows._times(snapshot(accepted=1, completed=1))[0]


def test_a_job_that_is_opened_later_has_begun_before():
    """The events said that it began when somebody looked."""
    seen = replace(snapshot(accepted=2), started_at=7_200.0)

    assert [("01:00:00", "begun, 2 requests"), ("02:00:00", "opened here")] == [*Events(seen, 3_600.0).told]
    assert ["begun, 2 requests"] == [text for _, text in Events(seen, 7_200.0).told]


def test_rows_that_share_a_request_share_its_status(local):
    """There is a line for each row, also where requests are fewer."""
    frame = pd.DataFrame({"x": [1, 2, 3]})
    job = frame.sm_async.submit("local-endpoint", session=local.session(), rows_per_request=2).wait()
    rows = JobRows(job)

    assert 3 == len(rows)
    assert [0, 0, 1] == [rows.request_of(row) for row in range(3)]
    assert 3 == len(rows.status())
    assert 3 == rows.head()["counts"][Status.FAILED]
    assert rows.head()["figures"].startswith("2 of 2 requests (100%), 3 rows")
    assert "over: 3 failed" == rows.head()["words"]
    assert "✗ 3 failed" in static_bundle(job)["text/html"]
    assert ['{"x":1}', '{"x":2}', '{"x":3}'] == [line[6][1:-1] for line in rows.lines(np.arange(3))]


def test_a_detail_has_the_models_own_words_once_they_were_fetched(job):
    """Verbatim, whatever they are; before, it says that they are on their way."""
    frame = pd.DataFrame({"x": [-7]})
    own = frame.sm_async.submit("local-endpoint", session=job._session).wait()
    before = {name: value for name, value, _ in detail(own, 0, "own")["fields"]}
    needed = needs_fetching(own, 0)
    peek.load(own, np.array([0]))
    after = {name: value for name, value, _ in detail(own, 0, "own")["fields"]}

    assert (True, False) == (needed, needs_fetching(own, 0))
    assert "is being fetched …" == before["Answer"]
    assert f"x is -7: {HOSTILE}" == json.loads(after["Error, verbatim"])["message"]
    assert '{"x":-7}' == after["Payload"]
    assert "own.table().iloc[0]" == after["In Python"]
    assert after["In CloudWatch"].startswith("/aws/sagemaker/Endpoints/local-endpoint: ")
    assert after["failure_location"].startswith("s3://")


def test_what_is_shown_in_part_says_so_and_has_no_button_that_copies_it(local):
    """A copy of it ended in the middle, with the words of ours."""
    long = pd.DataFrame({"x": [1, -2], "text": ["z" * 30_000] * 2})
    own = long.sm_async.submit("local-endpoint", session=local.session()).wait()
    own._ledger.messages[1] = "z" * 4_096
    fields = [{name: value for name, value, _ in detail(own, row, "own")["fields"]} for row in range(2)]
    css = Path(panel_rows.__file__).with_name("table.css").read_text(encoding="utf-8")

    assert fields[0]["Payload, its first 20,000 bytes"].endswith("zzz… (30,017 bytes)")
    assert "z" * 4_096 == fields[1]["Error, its first 4,096 characters"]
    assert f'button[title*="{CUT}"] {{ display: none; }}' in css


def test_the_answer_of_a_row_is_got_by_a_line_of_python(job):
    """The line of the table has its status, and not what the model said."""
    told = [dict(field[:2] for field in detail(job, row, "job")["fields"]) for row in (0, 1)]

    assert "job.results().iloc[0]" == told[0]["Its answer in Python"]
    assert "Its answer in Python" not in told[1]


def test_a_detail_does_not_show_what_is_sensitive(job):
    """Custom attributes are measured, as everywhere."""
    fields = {name: value for name, value, _ in detail(job, 0, "job")["fields"]}

    assert "<6 characters, not shown>" == fields["custom_attributes"]


def test_a_function_of_the_users_is_called_for_the_row_that_is_opened_and_for_no_look(local):
    """It may be slow, or count its calls."""
    called = []

    def payload(row):
        called.append(row["x"])
        return {"x": row["x"]}

    frame = pd.DataFrame({"x": [1, 2, 3]})
    own = frame.sm_async.submit("local-endpoint", session=local.session(), payload=payload).wait()
    called.clear()
    heads = [line[6] for line in JobRows(own).lines(np.arange(3))]
    before = list(called)
    told = {name: value for name, value, _ in detail(own, 1, "own")["fields"]}

    assert (["1", "2", "3"], []) == (heads, before)
    assert ('{"x":2}', [2]) == (told["Payload"], called)


def test_failures_are_grouped_by_what_they_have_in_common():
    """Numbers and ids differ from row to row."""
    assert panel_html.alike("x is -2 at 0x7f1") == panel_html.alike("x is -41 at 0xabc")
    assert panel_html.alike("no column plan") != panel_html.alike("no column age")


def test_failures_name_a_row_by_its_label(local):
    """The number of a request says nothing to who has labels; of several rows that share one it is the first."""
    labels = ["customer-00007", HOSTILE, "customer-00009"]
    frame = pd.DataFrame({"x": [1, -2, -3]}, index=labels)
    alone = frame.iloc[:2].sm_async.submit("local-endpoint", session=local.session()).wait()
    shared = frame.sm_async.submit("local-endpoint", session=local.session(), rows_per_request=2).wait()
    told = []
    for own in (alone, shared):
        peek.load(own, np.arange(2))
        told.append(panel_html.failures(JobRows(own)))

    assert [f"<td>{panel_html.esc(repr(HOSTILE))}</td>" in told[0], "<img" in told[0]] == [True, False]
    assert "<td>&#x27;customer-00007&#x27;, for one</td>" in told[1]


# HTML


def test_no_text_becomes_html(job):
    """Labels, payloads and errors, in the form that is saved."""
    peek.load(job, np.arange(5))
    told = static_bundle(job)["text/html"]

    assert "onerror" in told
    assert "<img" not in told
    assert "2 times" in told


@pytest.mark.parametrize(
    ("url", "is_link"),
    [
        ("https://console.aws.amazon.com/x", True),
        ("s3://bucket/key", True),
        ("javascript:alert(1)", False),
        ("data:text/html,x", False),
        ("http://example.com", False),
        (" https://x", False),
        ("", False),
    ],
)
def test_links_lead_to_https_and_s3_only(url, is_link):
    """Anything else is a text."""
    assert is_link == ("href" in panel_html.link(url, "there"))


def test_a_link_cannot_be_left_by_a_quote():
    """Whatever an endpoint is called."""
    assert "&quot;" in panel_html.link('https://x/"onclick="y', "there")


def test_latencies_are_told_by_percentiles_and_bars():
    """And nothing where nothing is known."""
    told = panel_html.histogram(np.array([1.0] * 98 + [9.0, 10.0]))

    assert "p50 1.00 s · p95 1.00 s · p99 9.01 s · 100 answers" in told
    assert "No answer has come yet." in panel_html.histogram(np.array([np.nan]))
    assert "-0" not in panel_html.histogram(np.zeros(3))


def test_a_pause_is_told_with_its_reason_and_since_when():
    """And no time that is left, since that is up to somebody."""
    paused = Trouble(message=HOSTILE, since=3_600.0, calls=1)
    job = SimpleNamespace(id="job-1", endpoint_name="double", snapshot=snapshot(accepted=1, paused=paused))
    told = panel_html.head(job, None)

    assert "<b>paused</b>" in told
    assert f"‖ Paused since 01:00:00 UTC: {panel_html.esc(HOSTILE)}" in told


def test_an_endpoint_that_wakes_and_trouble_are_told_in_the_head():
    """Since when, and that answers take minutes."""
    trouble = Trouble(message="ThrottlingException", since=3_600.0, calls=3)
    job = SimpleNamespace(id="job-1", endpoint_name="double", snapshot=snapshot(accepted=1, trouble=trouble))
    endpoint = Endpoint(
        endpoint_name="double", endpoint_status="InService", s3_output_path=None, instances=0, desired_instances=2
    )
    told = panel_html.head(job, endpoint)

    assert "asleep: 0 of 2 instances, first answers in minutes" in told
    assert "⚠ Trouble since 01:00:00 UTC: ThrottlingException" in told


def test_plain_rows_are_turned_page_by_page_and_not_past_their_end(local):
    """The page behind the last one was empty once, and stayed so."""
    own = pd.DataFrame({"x": range(40)}).sm_async.submit("local-endpoint", session=local.session()).wait()
    rows = JobRows(own)
    plain = PlainTable(rows, Table(rows, None), soon=lambda: plain.refresh(own.snapshot))
    back, on = [one for one in plain.widget.children[1].children if isinstance(one, widgets.Button)]
    told = []
    for button in (on, on, on, back, back):
        button.click()
        told.append(re.search(r"rows (\d+ to \d+ of \d+)", plain._html.value)[1])

    assert ["21 to 40 of 40"] * 3 + ["1 to 20 of 40"] * 2 == told


# The view


NOBODY = SimpleNamespace(call=lambda act: None, add=lambda live: None)


def all_of(widget):
    return [widget, *(one for child in getattr(widget, "children", ()) for one in all_of(child))]


def test_a_frozen_view_keeps_no_widget(own):
    """They were kept for ever, with the job and its frame."""
    view = JobView(own, screen=NOBODY)
    shown = all_of(view.widget)
    view.freeze()

    assert view.grid in shown
    assert [] == [one for one in shown if one.comm is not None]
    assert view not in list(own.faces)


def test_a_cell_that_is_run_again_follows_the_job_in_its_new_output_alone(own, monkeypatch, capsys):
    """Twenty runs of it were twenty views, drawn five times a second; two views of one run both stay."""
    place = ["cell-1", 1]
    monkeypatch.setattr(job_view, "place_of_cell", lambda: tuple(place))
    shown = [job_view.show(own), job_view.show(own)]
    place[1] = 2
    shown.append(job_view.show(own))
    is_closed = [view.grid.comm is None for view in shown]
    place[0] = ""
    shown.append(job_view.show(own))
    shown.append(job_view.show(own))

    assert [True, True, False] == is_closed
    assert [True, True, False, False, False] == [view.grid.comm is None for view in shown]
    for view in shown:
        view.close()


def until(is_so):
    give_up = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < give_up
        time.sleep(0.005)


def test_a_click_returns_before_s3_or_the_endpoint_has_answered(own, monkeypatch):
    """A callback that waits stops the whole kernel."""
    view, release, waited = JobView(own, screen=NOBODY), threading.Event(), []

    def wait(*_):
        waited.append(release.wait(5))
        return 0

    monkeypatch.setattr(peek, "load", wait)
    monkeypatch.setattr(view.actions, "_job", SimpleNamespace(retry=wait))
    view.hear({"type": "open", "view": "a", "row": 0})
    view.actions.retry.click()
    release.set()
    until(lambda: len(waited) == 2)

    assert [True, True] == waited


@pytest.fixture
def at_once(monkeypatch):
    """Errands are done at once."""
    monkeypatch.setattr(job_view, "errand", lambda act: act())


def test_the_row_that_is_open_is_told_anew_when_it_has_changed(own, at_once):
    """Under a filter it leaves the rows that the page hears of, and its detail stayed that of before."""
    view, sent = JobView(own, screen=NOBODY), []
    view.grid.send = sent.append
    view.hear({"type": "open", "view": "a", "row": 1})
    sent.clear()
    view._draw_slowly(own.snapshot, 1_000.0)
    before = list(sent)
    own._ledger.attempt[1] = 1
    view._draw_slowly(own.snapshot, 1_001.0)
    view._draw_slowly(own.snapshot, 1_002.0)

    assert [] == before
    assert ["Row 'c' · ✗ failed · attempt 2"] == [one["title"] for one in sent]


@pytest.mark.parametrize(
    ("error", "expected"),
    [(CredentialsError("They have expired."), "They have expired."), (OSError("no room"), "OSError: no room")],
)
def test_a_detail_says_why_an_answer_is_not_there(own, monkeypatch, at_once, error, expected):
    """It was being fetched for ever."""
    view, sent = JobView(own, screen=NOBODY), []
    view.grid.send = sent.append

    def fail(job, requests):
        raise error

    monkeypatch.setattr(peek, "load", fail)
    view.hear({"type": "open", "view": "a", "row": 0})
    answers = [dict(field[:2] for field in one["fields"])["Answer"] for one in sent]

    assert ["is being fetched …", f"was not fetched: {expected}"] == answers
    assert expected == view.said.value


def test_failures_are_read_once_and_again_after_trouble(own, monkeypatch):
    """A hiccup of S3 was counted as a hundred that were read, and those on their way were asked for each second."""
    view, errands, load = JobView(own, screen=NOBODY), [], peek.load
    monkeypatch.setattr(job_view, "errand", errands.append)

    def fail(job, requests):
        raise CredentialsError("They have expired.")

    monkeypatch.setattr(peek, "load", fail)
    told = [asked_of(view, errands), asked_of(view, errands)]
    with pytest.raises(CredentialsError):
        errands.pop()()
    told.append(asked_of(view, errands))
    view._read_again_at = 0.0
    monkeypatch.setattr(peek, "load", load)
    told.append(asked_of(view, errands))
    errands.pop()()
    told.append(asked_of(view, errands))

    assert [1, 1, 0, 1, 0] == told
    assert {1, 2} == set(peek.messages(own))


def asked_of(view, errands):
    view._read_failures()
    return len(errands)


def test_no_failure_is_read_where_fetching_is_switched_off(own, monkeypatch):
    """Each is a GET."""
    view, errands = JobView(own, screen=NOBODY), []
    monkeypatch.setattr(job_view, "errand", errands.append)
    monkeypatch.setattr(view, "_look_at_endpoint", lambda now: None)
    counts = []
    for is_on in (False, True):
        view.fetches.value = is_on
        view._draw_slowly(own.snapshot, 1_000.0)
        counts.append(len(errands))

    assert [0, 1] == counts


def test_a_view_draws_a_job_and_lets_go_when_it_is_over(job):
    """Whoever opens the page later has the first rows; the output is renewed once."""
    view, renewed = JobView(job, screen=Screen(every=0.01)), []
    view._update = lambda told, raw: renewed.append(told)

    assert not view.refresh(1_000.0)
    assert ["text/html", "text/plain"] == sorted(name for name in renewed[0] if name.startswith("text/"))
    assert "application/vnd.jupyter.widget-view+json" in renewed[0]
    assert 5 == len(view.grid.saved["rows"])
    assert 1 == len(renewed)


def test_an_output_is_not_renewed_under_somebodys_hands(job):
    """It is drawn anew then, and a key that is pressed meanwhile would be lost."""
    nobody = SimpleNamespace(call=lambda act: None, add=lambda live: None)
    view, renewed = JobView(job, screen=nobody), []
    view._update = lambda told, raw: renewed.append(told)
    view.hear({"type": "window", "view": "a", "start": 0, "count": 5})
    view._touched_at += 60  # a slow machine takes longer than hands are on it
    is_live, before = view.refresh(1_000.0), len(renewed)
    view._touched_at -= 120

    assert (True, 0) == (is_live, before)
    assert (False, 1) == (view.refresh(1_001.0), len(renewed))


def test_frozen_outputs_are_html_alone(job):
    """Nothing is left that needs a kernel."""
    view, renewed = JobView(job, screen=Screen(every=0.01)), []
    view._update = lambda told, raw: renewed.append(told)
    view.freeze()

    assert ["text/html", "text/plain"] == sorted(renewed[0])


def test_what_is_frozen_while_the_last_state_is_drawn_stays_frozen(job, monkeypatch):
    """The widget was put back into the output once, and the page told of no model when it was opened again."""
    nobody = SimpleNamespace(call=lambda act: None, add=lambda live: None)
    before, during = JobView(job, screen=nobody), JobView(job, screen=nobody)
    renewed, freezing = [], threading.Thread(target=during.freeze)
    monkeypatch.setattr(before.table, "saved", lambda: before.freeze() or {})
    before._update = lambda told, raw: renewed.append(sorted(told))

    def freeze_meanwhile(told, raw):
        if not freezing.ident:
            freezing.start()
            freezing.join(0.05)  # it has to wait for this
        renewed.append(sorted(told))

    during._update = freeze_meanwhile

    assert not before.refresh(1_000.0)
    assert [["text/html", "text/plain"]] == renewed
    assert not during.refresh(1_000.0)
    freezing.join()
    assert ["application/vnd.jupyter.widget-view+json", "text/html", "text/plain"] == renewed[1]
    assert ["text/html", "text/plain"] == renewed[2]


def test_names_of_jobs_and_endpoints_are_texts_too():
    """They come from a manifest that anybody may have written, and the console's page from an answer."""
    job = SimpleNamespace(id=HOSTILE, endpoint_name=HOSTILE, snapshot=snapshot(accepted=1))
    endpoint = SimpleNamespace(
        console_url="javascript:alert(1)", desired_instances=1, instances=1, is_asleep=False,
        is_in_service=False, endpoint_status=HOSTILE, backlog=0,
    )  # fmt: skip
    told = panel_html.head(job, None) + panel_html.head(job, endpoint)

    assert 5 == told.count("&lt;img")
    assert not {"<img", "href"} & set(re.findall(r"<img|href", told))


def test_a_backlog_is_not_told_as_if_it_were_of_now():
    """It stood beside the counts of now once, and they contradicted each other."""
    job = SimpleNamespace(id="job-1", endpoint_name="double", snapshot=snapshot(accepted=166))
    endpoint = Endpoint(
        endpoint_name="double", endpoint_status="InService", s3_output_path=None, instances=1, backlog=1_430
    )

    told = " · 1 instance, backlog 1,430 (CloudWatch's last minute)"

    assert panel_html.esc(told) in panel_html.head(job, endpoint)


# Words


def snapshot(at=10.0, **told):
    counts = tuple(told.pop(str(status), 0) for status in Status)
    return Snapshot(revision=0, at=at, started_at=0.0, counts=counts, **told)


def test_events_tell_what_two_snapshots_differ_in():
    """The first of each ending, trouble and its end, and the end of the job."""
    events = Events(snapshot(accepted=2))
    trouble = Trouble(message="429", since=1.0, calls=1)
    for seen in (
        snapshot(accepted=1, failed=1),
        snapshot(accepted=1, failed=1, trouble=trouble),
        snapshot(accepted=1, failed=1),
        snapshot(completed=1, failed=1, is_over=True),
        snapshot(completed=1, planned=1),
    ):
        events.see(seen)

    assert [
        "begun, 2 requests",
        "the first is failed",
        "trouble: 429",
        "the trouble is over",
        "the first is completed",
        "over: 1 completed, 1 failed",
        "runs again",
    ] == [text for _, text in events.told]


@pytest.mark.parametrize(
    ("accepted_at", "finished_at", "expected"),
    [
        (100.7, 100.0, "< 1 s"),
        (100.2, 100.0, "< 1 s"),
        (100.2, 101.0, "1 s"),
        (100.0, 107.0, "8 s"),
        (100.0, 100.25, "0.25 s"),
        (100.0, np.nan, ""),
    ],
)
def test_a_latency_is_told_no_finer_than_it_is_known(accepted_at, finished_at, expected):
    """S3 dates an answer by the second in which it came; a notification has the milliseconds."""
    assert expected == seconds(accepted_at, finished_at)


@pytest.mark.parametrize(
    ("seconds", "expected"), [(0, "0 s"), (59.4, "59 s"), (61, "1 min 01 s"), (3_600, "1 h 00 min")]
)
def test_times_are_told_as_people_do(seconds, expected):
    """No 3661.2 s."""
    assert expected == duration(seconds)


def test_the_head_of_a_text_is_one_short_line():
    """However long it is, and however many lines it has."""
    assert "a b" == short("a\n\t b")
    assert 61 == len(short("x" * 10**6))


def test_a_statuses_icon_is_its_own():
    """Never by colour alone."""
    from sm_async_nb.notebook.panel.rows import ICONS

    assert len(Status) == len(set(ICONS))
    assert window.Asked().is_everything
