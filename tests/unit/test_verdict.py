"""What the words of a failure tell, and what they do not."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sm_async_nb.core.ledger import Status
from sm_async_nb.core.verdict import ErrorClass, Verdict, error_class_of, head, verdict_of

MISSING = {"loc": ["body", "age"], "msg": "Field required", "type": "missing"}

KNOWN = [
    ('{"code": 500, "type": "InternalServerException", "message": "Prediction failed"}', 500, "Prediction failed"),
    ('{"code": 400, "type": "InternalServerException", "message": "\'inputs\'"}', 400, "'inputs'"),
    ('{"error": {"message": "too long", "type": "BadRequestError", "param": null, "code": 400}}', 400, "too long"),
    ('{"object": "error", "message": "too long", "type": "BadRequestError", "code": 400}', 400, "too long"),
    (json.dumps({"detail": [MISSING]}), 422, "body.age: Field required"),
    ('{"error_code": "BAD_REQUEST", "message": "no column plan", "stack_trace": "Trace"}', 400, "no column plan"),
    ('{"error_code": "INVALID_PARAMETER_VALUE", "message": "no"}', 400, "no"),
    ('{"error_code": "INTERNAL_ERROR", "message": "oh"}', 500, "oh"),
    ('{"error": "Model is overloaded", "error_type": "overloaded"}', 429, "Model is overloaded"),
    ('{"error": "Incomplete generation", "error_type": "incomplete_generation"}', 500, "Incomplete generation"),
    ('{"error": "too many tokens", "error_type": "Validation"}', 413, "too many tokens"),
    ('{"error": "unhealthy", "error_type": "Unhealthy"}', 503, "unhealthy"),
    ('{"status": 503, "message": "warming up"}', 503, "warming up"),
    ('{"statusCode": 404, "message": "no such model"}', 404, "no such model"),
    ('{"status_code": 500, "detail": "oh"}', 500, "oh"),
    (
        "<!doctype html>\n<html lang=en>\n<title>500 Internal Server Error</title>\n<h1>Internal Server Error</h1>",
        500,
        "500 Internal Server Error",
    ),
    ("<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>", 502, "502 Bad Gateway"),
    (
        '<!DOCTYPE HTML PUBLIC "-//W3C//DTD HTML 3.2 Final//EN">\n<title>400 Bad Request</title>',
        400,
        "400 Bad Request",
    ),
    ("<html>\n  <head>\n    <title>Internal Server Error</title>\n  </head>", 500, "Internal Server Error"),
    ("Internal Server Error", 500, "Internal Server Error"),
    (
        "ClientError: Received server error (500) from model. See the SageMaker Endpoint logs.",
        500,
        "ClientError: Received server error (500) from model. See the SageMaker Endpoint logs.",
    ),
    ("Received client error (413) from primary", 413, "Received client error (413) from primary"),
]

UNKNOWN = [
    ("", ""),
    ("CUDA out of memory", "CUDA out of memory"),
    ('{"message": "Unknown task: initialization", "status": "error"}', "Unknown task: initialization"),
    ('{"detail": "Not authenticated"}', "Not authenticated"),
    ('{"detail": []}', '{"detail": []}'),
    ('{"error": "model 500 is broken"}', "model 500 is broken"),
    ('{"error": {"message": "no", "code": "invalid_api_key"}}', "no"),
    ('{"error": {"message": "no", "code": null}}', "no"),
    ('{"error_code": "SOMETHING_NEW", "message": "no"}', "no"),
    ('{"error_code": ["BAD_REQUEST"], "message": "no"}', "no"),
    ('{"error": "no", "error_type": "something_new"}', "no"),
    ('{"code": 500}', '{"code": 500}'),
    ('{"code": true, "message": "no"}', "no"),
    ('{"code": 40303, "message": "no"}', "no"),
    ('{"status": 200, "message": "no"}', "no"),
    ('{"status": "500", "message": "no"}', "no"),
    ('{"code": 400, "status": 500, "message": "which?"}', "which?"),
    ("[500]", "[500]"),
    ("500", "500"),
    ("<p>See <title>500 Internal Server Error</title></p>", "<p>See <title>500 Internal Server Error</title></p>"),
    ("<title>500 reasons to smile</title>", "<title>500 reasons to smile</title>"),
    ("It said: Received server error (500) from model", "It said: Received server error (500) from model"),
    ("Received server error (0) from model", "Received server error (0) from model"),
    ("Received client error (500) from model", "Received client error (500) from model"),
    ('{"code": 500, "message": "cut of', '{"code": 500, "message": "cut of'),
]


@pytest.mark.parametrize(("text", "http_status", "message"), KNOWN)
def test_servers_whose_words_are_known_tell_the_status(text, http_status, message):
    """Each writes it into the body in its own way; the status line itself is not kept by anybody."""
    assert Verdict(http_status, message) == verdict_of(text)


@pytest.mark.parametrize(("text", "message"), UNKNOWN)
def test_nothing_is_guessed(text, message):
    """A request that a model has refused for good must not be sent again because of a number somewhere."""
    assert Verdict(None, message) == verdict_of(text)


@given(
    st.one_of(st.text(), st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists).map(json.dumps))
)
def test_any_text_has_a_verdict(text):
    """Failures are the model's own words, and anything may be in them."""
    verdict = verdict_of(text)

    assert verdict.http_status is None or 400 <= verdict.http_status <= 599


@given(
    st.dictionaries(
        st.sampled_from(["code", "error", "detail", "error_code", "error_type", "status", "message", "object"]),
        st.sampled_from(
            [
                *(None, True, 0, 404, 500, "500", "BAD_REQUEST", "generation", "error", [], [500], [{}], {}),
                *({"code": 500}, {"message": ["x"], "code": "x"}),
                *([{"loc": 1, "msg": 1, "type": 1}], [{"loc": [1], "msg": 1, "type": 1}]),
            ]
        ),
    )
)
def test_bodies_that_only_look_like_known_ones_have_a_verdict(body):
    """Keys with values of other kinds."""
    assert isinstance(verdict_of(json.dumps(body)), Verdict)


def test_a_long_message_is_shown_by_its_beginning():
    """The whole of it stays in S3."""
    assert head("x" * 5_000) == "x" * 4_095 + "…"
    assert head("short") == "short"
    assert len(verdict_of("y" * 10_000).message) == 4_096


@pytest.mark.parametrize(
    ("status", "http_status", "expected", "is_transient"),
    [
        (Status.FAILED, 500, ErrorClass.MODEL_5XX, True),
        (Status.FAILED, 503, ErrorClass.MODEL_5XX, True),
        (Status.FAILED, 400, ErrorClass.MODEL_4XX, False),
        (Status.FAILED, 429, ErrorClass.MODEL_4XX, False),
        (Status.FAILED, None, ErrorClass.MODEL_ERROR, False),
        (Status.FAILED, 202, ErrorClass.MODEL_ERROR, False),
        (Status.EXPIRED, None, ErrorClass.EXPIRED, True),
        (Status.EXPIRED, 500, ErrorClass.EXPIRED, True),
        (Status.REJECTED, 400, ErrorClass.REJECTED, False),
    ],
)
def test_only_what_may_pass_is_tried_again(status, http_status, expected, is_transient):
    """5xx and silence; never what the model has refused, nor what is not known."""
    found = error_class_of(status, http_status)

    assert (expected, is_transient) == (found, found.is_transient)


def test_an_answer_that_cannot_be_read_has_a_class_of_its_own():
    """It came, so sending again would bring the same."""
    found = error_class_of(Status.COMPLETED, None, is_unreadable=True)

    assert (ErrorClass.UNREADABLE, False) == (found, found.is_transient)


@pytest.mark.parametrize(
    "status", [Status.PLANNED, Status.UPLOADED, Status.ACCEPTED, Status.COMPLETED, Status.CANCELLED]
)
def test_what_has_not_gone_wrong_has_no_class(status):
    """Cancelled is what somebody wanted."""
    assert error_class_of(status, None) is None
