"""The messages that the service publishes, word for word."""

from __future__ import annotations

import json

import pytest

from sm_async_nb.core.locations import S3Location
from sm_async_nb.local import Answer
from sm_async_nb.local.notifications import (
    LARGEST_INCLUDED_RESPONSE_BYTES,
    LARGEST_MESSAGE_BYTES,
    TEST_NOTIFICATION,
    Told,
    completed_message,
    failed_message,
    model_failure_reason,
    timestamp,
)

RECEIVED_AT = 1643150760.455
ENDED_AT = 1643150760.608
OUTPUT = S3Location("bkt", "dir/prediction.out")
FAILURE = S3Location("bkt", "dir/prediction-error.out")


def told(**fields):
    return Told(
        region_name="us-east-1",
        endpoint_name="ep",
        inference_id="11111111-2222-3333-4444-555555555555",
        fields=fields,
        received_at=RECEIVED_AT,
        ended_at=ENDED_AT,
    )


def test_a_success_is_told_as_the_documentation_shows_it():
    """The developer guide's own example, to the byte."""
    message = completed_message(
        told(content_type="text/csv", input_location="s3://bkt/dir/input-data.csv"),
        OUTPUT,
        Answer(b"1", "text/csv; charset=utf-8"),
        with_response=False,
    )

    assert (
        '{"awsRegion":"us-east-1","eventTime":"2022-01-25T22:46:00.608Z","receivedTime":"2022-01-25T22:46:00.455Z",'
        '"invocationStatus":"Completed",'
        '"requestParameters":{"contentType":"text/csv","endpointName":"ep",'
        '"inputLocation":"s3://bkt/dir/input-data.csv"},'
        '"responseParameters":{"contentType":"text/csv; charset=utf-8","outputLocation":"s3://bkt/dir/prediction.out"},'
        '"inferenceId":"11111111-2222-3333-4444-555555555555","eventVersion":"1.0","eventSource":"aws:sagemaker",'
        '"eventName":"InferenceResult"}'
    ) == message


def test_a_failure_is_told_as_it_was_seen():
    """January 2023, before there was a failure path."""
    message = failed_message(told(input_location="s3://bkt/in"), model_failure_reason(400), with_response=False)

    assert (
        '{"awsRegion":"us-east-1","eventTime":"2022-01-25T22:46:00.608Z","receivedTime":"2022-01-25T22:46:00.455Z",'
        '"invocationStatus":"Failed",'
        '"failureReason":"ClientError: Received client error (400) from model. '
        'See the SageMaker Endpoint logs in your account for more information.",'
        '"requestParameters":{"endpointName":"ep","inputLocation":"s3://bkt/in"},'
        '"inferenceId":"11111111-2222-3333-4444-555555555555","eventVersion":"1.0","eventSource":"aws:sagemaker",'
        '"eventName":"InferenceResult"}'
    ) == message


@pytest.mark.parametrize(
    ("status", "expected"), [(400, "client error (400)"), (500, "server error (500)"), (0, "server error (0)")]
)
def test_a_failure_reason_tells_whose_error_it_was(status, expected):
    """0 is a model that gave no answer."""
    assert f"ClientError: Received {expected} from model. See" in model_failure_reason(status)


def test_request_parameters_are_what_the_caller_sent():
    """All five of them, and an inline Body is none."""
    sent = {
        "accept": "a",
        "content_type": "c",
        "custom_attributes": "t=1",
        "body": b"x",
        "endpoint_name": "ep",
        "filename": "f",
    }
    message = json.loads(completed_message(told(**sent), OUTPUT, Answer(b""), with_response=False))

    assert {"accept": "a", "contentType": "c", "customAttributes": "t=1", "endpointName": "ep"} == message[
        "requestParameters"
    ]


def test_a_success_carries_the_response_as_base64():
    """If it was asked for."""
    message = json.loads(completed_message(told(), OUTPUT, Answer(b"\xff1"), with_response=True))

    assert {
        "content": "/zE=",
        "message": "Check S3 path location(if configured) or Cloudwatch for additional details.",
        "encoding": "BASE64",
    } == message["responseBody"]


def test_a_failure_carries_the_response_as_text_and_its_location():
    """Unlike a success."""
    answer = Answer(b'{"message":"no plan"}', status=400)
    message = json.loads(failed_message(told(), "reason", FAILURE, answer, with_response=True))

    assert '{"message":"no plan"}' == message["responseBody"]["content"]
    assert {"failureLocation": "s3://bkt/dir/prediction-error.out"} == message["responseParameters"]


@pytest.mark.parametrize(("size", "there"), [(LARGEST_INCLUDED_RESPONSE_BYTES, True), (131_073, False)])
def test_a_response_is_carried_up_to_128_kb(size, there):
    """A larger one is in S3 only."""
    answer = Answer(b"x" * size)

    assert there == ("responseBody" in json.loads(completed_message(told(), OUTPUT, answer, with_response=True)))
    assert there == ("responseBody" in json.loads(failed_message(told(), "r", FAILURE, answer, with_response=True)))


def test_a_failure_in_any_alphabet_carries_up_to_128_kb():
    """A message is UTF-8, as SNS takes it, and not six characters of escapes for each letter."""
    words = "план" * 16_000
    message = failed_message(told(), "r", FAILURE, Answer(words.encode(), status=400), with_response=True)

    assert words == json.loads(message)["responseBody"]["content"]
    assert len(message.encode()) <= LARGEST_MESSAGE_BYTES


@pytest.mark.parametrize("byte", [b"\xff", b"\x00"])
def test_a_failure_that_would_be_too_long_for_sns_is_told_without_its_response(byte):
    """Bytes that are no text grow in it, and a message that is refused tells nothing at all."""
    answer = Answer(byte * LARGEST_INCLUDED_RESPONSE_BYTES, status=400)
    message = failed_message(told(), "r", FAILURE, answer, with_response=True)

    assert "responseBody" not in json.loads(message)
    assert {"failureLocation": "s3://bkt/dir/prediction-error.out"} == json.loads(message)["responseParameters"]
    assert len(message.encode()) <= LARGEST_MESSAGE_BYTES


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (RECEIVED_AT, "2022-01-25T22:46:00.455Z"),
        (1643150760.73, "2022-01-25T22:46:00.73Z"),
        (1643150760, "2022-01-25T22:46:00Z"),
    ],
)
def test_a_time_has_up_to_three_decimals(seconds, expected):
    """``...47.73Z`` was seen."""
    assert expected == timestamp(seconds)


def test_the_test_message_has_no_inference_id():
    """Whoever reads the queue has to skip it."""
    assert '{"eventVersion":"1.0","eventSource":"aws:sagemaker","eventName":"TestNotification"}' == TEST_NOTIFICATION
