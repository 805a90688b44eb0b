"""Outputs and failure objects: fetched once, decoded, and put beside their rows."""

from __future__ import annotations

import asyncio
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from integration.scene import SlowStorage

from sm_async_nb.core.locations import parse_s3_uri
from sm_async_nb.core.packing import one_row_each
from sm_async_nb.errors import ServiceTroubleError, StorageAccessError
from sm_async_nb.job.answers import Answers
from sm_async_nb.testing import ManualClock, MemoryStorage

TROUBLE = ServiceTroubleError("S3 did not answer: 503 SlowDown", throttled=True)


def place(request):
    return f"s3://bucket/out/{request}.out"


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def storage(clock):
    return MemoryStorage(clock.now)


def holding(storage, *answers):
    """Write answers to the places of requests 0, 1, 2 ...: bytes, or bytes and a content type."""
    for request, answer in enumerate(answers):
        body, content_type = answer if isinstance(answer, tuple) else (answer, "application/json")
        storage.objects[parse_s3_uri(place(request))] = (body, content_type, 0.0)


def fetch(clock, storage, answers, *requests, failures=False):
    get = answers.fetch_failures if failures else answers.fetch_outputs
    clock.run(get(storage, list(requests), [place(request) for request in requests]))


def values(answers, length):
    return answers.frame(np.arange(length), pd.RangeIndex(length))["output"].tolist()


@pytest.mark.parametrize(
    ("content_type", "accept", "expected"),
    [
        ("application/json", None, 0.5),
        ("application/json", "text/csv", 0.5),
        ("text/csv", "application/json", 0.5),
        ("text/plain", "application/json", "0.5"),
        (None, "application/json", 0.5),
        ("", "text/csv; charset=utf-8", 0.5),
        ("binary/octet-stream", "application/json", 0.5),
        ("binary/octet-stream", None, b"0.5"),
        (None, None, b"0.5"),
        ("application/pdf", "application/json", b"0.5"),
    ],
)
def test_an_output_is_decoded_by_its_own_content_type_and_else_by_what_was_asked_for(
    content_type, accept, expected, clock, storage
):
    """What S3 calls an object that was given no type is no type."""
    holding(storage, (b"0.5", content_type))
    answers = Answers(one_row_each(1), accept)
    fetch(clock, storage, answers, 0)

    assert [expected] == values(answers, 1)


def test_every_output_is_fetched_once(clock, storage):
    """One GET a request, and no HEAD; those that were asked for and no others."""
    holding(storage, *[b"1"] * 200)
    answers = Answers(one_row_each(200), None)
    fetch(clock, storage, answers, *range(0, 200, 2))

    assert dict(storage.calls) == {"get": 100}
    assert answers.missing(np.arange(200)).tolist() == list(range(1, 200, 2))


def test_outputs_are_fetched_many_at_a_time_and_not_all_at_once(clock):
    """A million rows are not a million tasks."""
    storage = SlowStorage(clock.now, lambda verb, location: 1)
    holding(storage, *[b"1"] * 640)
    answers = Answers(one_row_each(640), None)
    fetch(clock, storage, answers, *range(640))

    assert (64, 10) == (storage.gauge.most, round(clock.elapsed))


def test_fetching_nothing_is_no_call(clock, storage):
    """A job none of whose rows has completed."""
    fetch(clock, storage, Answers(one_row_each(3), None))

    assert dict(storage.calls) == {}


def test_an_output_that_does_not_decode_is_a_message_about_its_row(clock, storage):
    """The others are read; the message says where it lies and how it begins."""
    holding(storage, b"1", b"<html>oops</html>" + b"x" * 1_000, b"3")
    answers = Answers(one_row_each(3), None)
    fetch(clock, storage, answers, 0, 1, 2)
    (request, message), *others = answers.messages.items()

    assert ([], []) == (answers.missing(np.arange(3)).tolist(), others)
    assert request == 1
    assert message.startswith("Its output at s3://bucket/out/1.out is not application/json: ")
    assert message.endswith(f"It begins with {(b'<html>oops</html>' + b'x' * 63)!r}.")


def test_an_output_that_is_gone_is_a_message_about_its_row(clock, storage):
    """A lifecycle rule may have come first."""
    holding(storage, b"1")
    answers = Answers(one_row_each(2), None)
    fetch(clock, storage, answers, 0, 1)

    assert answers.messages == {1: "Its output is gone: there is no object at s3://bucket/out/1.out."}
    assert [True, False] == answers.has_value.tolist()


def test_an_output_that_can_be_read_at_last_loses_its_message(clock, storage):
    """Somebody has put it back."""
    answers = Answers(one_row_each(1), None)
    fetch(clock, storage, answers, 0)
    holding(storage, b"1")
    fetch(clock, storage, answers, 0)

    assert ({}, [1]) == (answers.messages, values(answers, 1))


def test_failure_objects_are_the_words_of_the_model(clock, storage):
    """Never decoded as an answer, and of a log no more than its beginning."""
    holding(storage, b'{"code":500,"message":"missing column plan"}', b"\xffraw", b"x" * 10_000)
    answers = Answers(one_row_each(4), None)
    fetch(clock, storage, answers, 0, 1, 2, 3, failures=True)
    expected = {
        0: '{"code":500,"message":"missing column plan"}',
        1: "\ufffdraw",
        2: "x" * 4_096,
        3: "Its failure object is gone: there is no object at s3://bucket/out/3.out.",
    }

    assert expected == answers.messages
    assert not answers.has_value.any()


@pytest.mark.parametrize(("failures", "seconds"), [(1, 0.5), (2, 1.5), (4, 7.5)])
def test_trouble_is_waited_out(failures, seconds, clock, storage):
    """Five attempts, with pauses that double."""
    attempts = []

    def intercept(verb, location):
        attempts.append(verb)
        if len(attempts) <= failures:
            raise TROUBLE

    holding(storage, b"1")
    storage.intercept = intercept
    answers = Answers(one_row_each(1), None)
    fetch(clock, storage, answers, 0)

    assert ([1], failures + 1, seconds) == (values(answers, 1), len(attempts), clock.elapsed)


@pytest.mark.parametrize(
    ("error", "calls"), [(TROUBLE, 5), (StorageAccessError("S3 refused s3:GetObject"), 1)], ids=["trouble", "denied"]
)
def test_what_cannot_be_waited_out_is_raised_as_it_is(error, calls, clock, storage):
    """The tree of errors is what a caller catches."""

    def intercept(verb, location):
        raise error

    holding(storage, b"1")
    storage.intercept = intercept

    with pytest.raises(type(error)):
        fetch(clock, storage, Answers(one_row_each(1), None), 0)

    assert calls == storage.calls["get"]


def test_what_was_read_before_trouble_came_is_kept(clock, storage):
    """The next attempt asks for the rest only."""
    holding(storage, *[b"1"] * 100)
    answers, asked = Answers(one_row_each(100), None), Counter()

    def intercept(verb, location):
        asked[location] += 1
        if location == parse_s3_uri(place(99)) and clock.elapsed < 60:
            raise TROUBLE

    async def story():
        storage.intercept = intercept
        with pytest.raises(ServiceTroubleError):
            await answers.fetch_outputs(storage, list(range(100)), [place(request) for request in range(100)])
        await asyncio.sleep(60)
        missing = answers.missing(np.arange(100)).tolist()
        await answers.fetch_outputs(storage, missing, [place(request) for request in missing])
        return missing

    assert [99] == clock.run(story())
    assert answers.has_value.all()
    assert max(count for location, count in asked.items() if location != parse_s3_uri(place(99))) == 1


# Frames


def test_the_keys_of_an_answer_become_columns(clock, storage):
    """On the index that was given, in its order."""
    holding(storage, b'{"p":0.5,"label":"a"}', b'{"p":0.25,"label":"b"}')
    answers = Answers(one_row_each(2), None)
    fetch(clock, storage, answers, 0, 1)
    expected = pd.DataFrame({"p": [0.5, 0.25], "label": ["a", "b"]}, index=["x", "y"])

    pd.testing.assert_frame_equal(expected, answers.frame(np.arange(2), pd.Index(["x", "y"])))


def test_an_answer_that_is_no_object_is_the_column_output(clock, storage):
    """Lists stay lists."""
    holding(storage, b"[0.25,0.75]", b"[1]", b"null")
    answers = Answers(one_row_each(3), None)
    fetch(clock, storage, answers, 0, 1, 2)

    assert [[0.25, 0.75], [1], None] == values(answers, 3)


def test_rows_without_an_answer_have_missing_values(clock, storage):
    """Every submitted row has its line."""
    holding(storage, b'{"p":0.5}')
    answers = Answers(one_row_each(3), None)
    fetch(clock, storage, answers, 0)
    expected = pd.DataFrame({"p": [0.5, np.nan, np.nan]}, index=[7, 7, 8])

    pd.testing.assert_frame_equal(expected, answers.frame(np.arange(3), pd.Index([7, 7, 8])))


@pytest.mark.parametrize("length", [0, 3])
def test_a_frame_without_any_answer_has_the_index_and_no_columns(length):
    """Nothing has completed yet, or there was nothing to send."""
    index = pd.Index([f"row {number}" for number in range(length)], name="id", dtype=object)
    frame = Answers(one_row_each(length), None).frame(np.arange(length), index)

    pd.testing.assert_index_equal(index, frame.index)
    assert frame.shape == (length, 0)


def test_a_part_of_the_answers_may_be_asked_for(clock, storage):
    """Those that have just come, on their own labels."""
    holding(storage, b"10", b"11", b"12")
    answers = Answers(one_row_each(3), None)
    fetch(clock, storage, answers, 0, 1, 2)
    frame = answers.frame(np.array([2, 0]), pd.Index(["c", "a"]))

    assert {"c": 12, "a": 10} == frame["output"].to_dict()


def test_an_output_without_a_type_is_decoded_by_what_its_own_request_asked_for(clock, storage):
    """Accept may differ from row to row."""
    answers = Answers(one_row_each(2), {0: "application/json", 1: "text/plain"}.get)
    for request in range(2):
        storage.objects[parse_s3_uri(place(request))] = (b"1.5", None, 0.0)
    fetch(clock, storage, answers, *range(2))

    assert [1.5, "1.5"] == answers.frame(np.arange(2), pd.RangeIndex(2))["output"].tolist()
