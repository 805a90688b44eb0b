"""What a handler may return and raise, and what becomes of it."""

from __future__ import annotations

import asyncio
import json
import sys
import threading

import pytest

from sm_async_nb.errors import RequestError
from sm_async_nb.local import Answer, LocalEndpoint, ModelError
from sm_async_nb.local.handler import NoAnswer, answer_of, takes_headers


def ask(handler, *, accept=None, in_thread=False):
    return asyncio.run(answer_of(handler, b"in", "text/csv", accept, in_thread=in_thread))


def raising(error):
    def handler(body, content_type, accept):
        raise error

    return handler


@pytest.mark.parametrize(
    ("returned", "accept", "expected"),
    [
        (b"\x00\xff", None, Answer(b"\x00\xff", "application/json")),
        ("é", "text/plain", Answer("é".encode(), "text/plain")),
        (b"1", "*/*", Answer(b"1", "application/json")),
        (b"1", "text/csv, application/json", Answer(b"1", "application/json")),
        (Answer(b"1", "text/csv", status=201), "text/plain", Answer(b"1", "text/csv", status=201)),
    ],
)
def test_an_answer_is_what_was_returned_in_the_type_that_was_accepted(returned, accept, expected):
    """Bare bytes and text take the accept as their content type, if it names one."""
    assert expected == ask(lambda *_: returned, accept=accept)


def test_an_exception_is_a_500_as_model_servers_tell_it():
    """The failure object of a model that raises has code, type and message."""
    answer = ask(raising(KeyError("plan")))

    assert (500, "application/json") == (answer.status, answer.content_type)
    assert {"code": 500, "type": "KeyError", "message": "'plan'"} == json.loads(answer.body)


@pytest.mark.parametrize(
    ("error", "status", "body"),
    [
        (ModelError("no plan"), 400, b'{"code":400,"type":"ModelError","message":"no plan"}'),
        (ModelError("later", status=503), 503, b'{"code":503,"type":"ModelError","message":"later"}'),
        (ModelError("x", body="plain words"), 400, b"plain words"),
    ],
)
def test_a_handler_chooses_its_error(error, status, body):
    """ModelError carries the status, and the body if the shape matters."""
    answer = ask(raising(error))

    assert (status, body) == (answer.status, answer.body)


def test_an_error_with_a_status_of_success_is_refused():
    """It would be written as an output."""
    with pytest.raises(ValueError, match="400 to 599"):
        ModelError("fine", status=200)


def test_a_handler_that_exits_is_a_model_that_failed():
    """exit() in an inference script ends the container, not the endpoint."""
    assert 500 == ask(lambda *_: sys.exit(3), in_thread=True).status


def test_a_handler_that_returns_something_else_is_told_what_may_be_returned():
    """The failure object says it; there is no other place where the author would see it."""
    answer = ask(lambda *_: {"score": 1})

    assert "A handler returns bytes, str or Answer, got dict." == json.loads(answer.body)["message"]


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (lambda: Answer(b"1", status="400"), "The status of an Answer is int, got str."),
        (lambda: Answer("text"), "The body of an Answer is bytes, got str."),
    ],
)
def test_an_answer_of_the_wrong_kind_is_refused_in_the_handler(made, told):
    """Its author reads why in the failure object, and the endpoint goes on."""
    answer = ask(lambda *_: made())

    assert (500, told) == (answer.status, json.loads(answer.body)["message"])


async def cancels_what_it_awaits(body, content_type, accept):
    """As a client library does that gives up on a connection."""
    inner = asyncio.get_running_loop().create_future()
    inner.cancel()
    await inner


@pytest.mark.parametrize(
    ("handler", "in_thread"),
    [
        (cancels_what_it_awaits, False),
        (raising(asyncio.CancelledError()), False),
        (raising(asyncio.CancelledError()), True),
    ],
)
def test_a_handler_that_is_cancelled_inside_is_a_model_that_failed(handler, in_thread):
    """Nobody cancelled the request."""
    answer = ask(handler, in_thread=in_thread)

    assert (500, "CancelledError") == (answer.status, json.loads(answer.body)["type"])


def test_a_request_that_is_cancelled_from_outside_is_no_failure_of_the_model():
    """It timed out, or the endpoint closes."""

    async def handler(body, content_type, accept):
        await asyncio.get_running_loop().create_future()

    async def cancelled():
        asking = asyncio.create_task(answer_of(handler, b"in", None, None))
        await asyncio.sleep(0)
        asking.cancel()
        await asyncio.wait([asking])
        return asking.cancelled()

    assert asyncio.run(cancelled())


def test_a_handler_whose_thread_dies_gave_no_answer():
    """Its slot is free at once, and not when the time is out."""

    class UnspeakableError(Exception):
        def __str__(self):
            raise GeneratorExit

    answer = ask(raising(UnspeakableError()), in_thread=True)

    assert isinstance(answer, NoAnswer)
    assert "the handler's thread ended with GeneratorExit" == str(answer)


def test_an_asynchronous_handler_runs_on_the_loop():
    """async functions, and objects whose call is one."""

    class Model:
        async def __call__(self, body, content_type, accept):
            return threading.current_thread().name

    assert b"MainThread" == ask(Model(), in_thread=True).body


def test_a_synchronous_handler_has_a_thread_of_its_own_that_ends_with_it():
    """It may block without stopping the others."""
    before = threading.active_count()
    answer = ask(lambda *_: threading.current_thread().name, in_thread=True)

    assert b"sm-async-local-handler" == answer.body
    assert before == threading.active_count()


@pytest.mark.parametrize(
    ("handler", "expected"),
    [
        (lambda body, content_type, accept: b"", False),
        (lambda *_: b"", False),
        (lambda body, content_type, accept, model=None: b"", False),
        (lambda body, content_type, accept, headers: b"", True),
        (lambda body, content_type, accept, anything: b"", True),
        (lambda body, content_type, accept, headers=None: b"", True),
        (lambda body, content_type, accept, **more: b"", False),
        (max, False),  # does not tell what it takes
    ],
)
def test_a_handler_may_want_the_headers(handler, expected):
    """A fourth argument, if it must be given or is called headers."""
    assert expected == takes_headers(handler)


@pytest.mark.parametrize(
    ("handler", "told"),
    [
        ("inference.py", r"A handler is a callable \(body, content_type, accept\), got str."),
        (None, "got NoneType"),
        (lambda body: body, r"A handler takes \(body, content_type, accept\), or .*<lambda>\(body\) does not."),
        (lambda a, b, c, d, e: a, r"<lambda>\(a, b, c, d, e\) does not"),
        (lambda body, content_type, accept, *, model: body, "does not"),
    ],
)
def test_what_is_no_handler_is_refused_at_once(handler, told):
    """When the endpoint is made, and not with the first request."""
    with pytest.raises(RequestError, match=told):
        LocalEndpoint(handler)
    with pytest.raises(RequestError, match=told):
        LocalEndpoint({"one": handler})


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"cold_start": "30s"}, r"cold_start= is a number of seconds, 0 or more, or None, got '30s'\."),
        ({"cold_start": float("nan")}, "got nan"),
        ({"scale_to_zero_after": "5m"}, r"scale_to_zero_after= is a number of seconds, 0 or more, or None, got '5m'\."),
        ({"scale_to_zero_after": -1}, "got -1"),
        ({"wakes_at_backlog": None}, r"wakes_at_backlog= is a number of requests, 0 or more, got None\."),
    ],
)
def test_a_time_that_is_no_number_is_refused_at_once(wrong, told):
    """And does not end all endpoints with the first request."""
    with pytest.raises(RequestError, match=told):
        LocalEndpoint(lambda *_: b"", instances=0, **wrong)


def test_no_answer_is_no_error_answer():
    """A container that did not answer has told nobody anything."""
    answer = ask(raising(NoAnswer("hung up")), in_thread=True)

    assert "hung up" == str(answer)
    assert isinstance(answer, NoAnswer)
