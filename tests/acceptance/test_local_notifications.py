"""The local endpoint's notifications, as they arrive in an SQS queue."""

from __future__ import annotations

import base64
import json
from contextlib import closing

import boto3
import pytest

from sm_async_nb.local import Faults, LocalEndpoint, ModelError
from sm_async_nb.local.notifications import ERROR_NOTIFICATION_TOPIC, SUCCESS_NOTIFICATION_TOPIC

BUCKET = "notified"
BOTH = (SUCCESS_NOTIFICATION_TOPIC, ERROR_NOTIFICATION_TOPIC)


def model(body, content_type, accept):
    if body == b"refuse":
        raise ModelError("no plan", body=b'{"message":"no plan"}')
    return body.upper()


@pytest.fixture(scope="module")
def shared():
    with LocalEndpoint(
        model, endpoint_name="notified", bucket=BUCKET, notifications=True, include_inference_response_in=BOTH
    ) as local:
        yield local


@pytest.fixture
def local(shared, monkeypatch):
    for name, value in shared.environment.items():
        monkeypatch.setenv(name, value)
    shared.drained(timeout=10)
    received(shared)
    shared.faults = Faults()
    return shared


def client(service):
    return closing(boto3.client(service))


def received(local):
    """All messages that lie in the queue, envelope and message."""
    found = []
    with client("sqs") as sqs:
        while batch := sqs.receive_message(QueueUrl=local.queue_url, MaxNumberOfMessages=10).get("Messages"):
            for message in batch:
                sqs.delete_message(QueueUrl=local.queue_url, ReceiptHandle=message["ReceiptHandle"])
                envelope = json.loads(message["Body"])
                found.append((envelope, json.loads(envelope["Message"])))
    return found


def invoke(local, body=b"hello", endpoint_name="notified", **fields):
    with client("s3") as s3, client("sagemaker-runtime") as runtime:
        s3.put_object(Bucket=BUCKET, Key="in", Body=body)
        response = runtime.invoke_endpoint_async(
            EndpointName=endpoint_name, InputLocation=f"s3://{BUCKET}/in", **fields
        )
    local.drained(timeout=10)
    return response


def test_a_success_arrives_in_the_envelope_of_sns(local):
    """With the response, since it was asked for."""
    response = invoke(local, InferenceId="row-7", Accept="text/plain", CustomAttributes="trace=1")
    ((envelope, message),) = received(local)

    assert "Notification" == envelope["Type"]
    assert envelope["TopicArn"].endswith(f":{BUCKET}-success")
    assert ("Completed", "row-7", "us-east-1") == (
        message["invocationStatus"],
        message["inferenceId"],
        message["awsRegion"],
    )
    assert {"contentType": "text/plain", "outputLocation": response["OutputLocation"]} == message["responseParameters"]
    assert {
        "accept": "text/plain",
        "customAttributes": "trace=1",
        "endpointName": "notified",
        "inputLocation": f"s3://{BUCKET}/in",
    } == message["requestParameters"]
    assert b"HELLO" == base64.b64decode(message["responseBody"]["content"])


def test_a_model_error_arrives_from_the_error_topic(local):
    """With the place of the failure object, and the model's words as text."""
    response = invoke(local, b"refuse")
    ((envelope, message),) = received(local)

    assert envelope["TopicArn"].endswith(f":{BUCKET}-error")
    assert "Failed" == message["invocationStatus"]
    assert message["failureReason"].startswith("ClientError: Received client error (400) from model.")
    assert {"failureLocation": response["FailureLocation"]} == message["responseParameters"]
    assert '{"message":"no plan"}' == message["responseBody"]["content"]


def test_a_test_message_comes_to_both_topics_when_an_endpoint_is_created_or_updated(local):
    """Created by anyone, through ordinary calls."""
    expected = {"eventVersion": "1.0", "eventSource": "aws:sagemaker", "eventName": "TestNotification"}
    local.create_endpoint("another")

    assert [expected, expected] == [message for _, message in received(local)]
    with client("sagemaker") as sagemaker:
        sagemaker.update_endpoint(EndpointName="another", EndpointConfigName="notified")
        assert 2 == len(received(local))
        sagemaker.update_endpoint_weights_and_capacities(
            EndpointName="another",
            DesiredWeightsAndCapacities=[{"VariantName": "AllTraffic", "DesiredInstanceCount": 2}],
        )
        assert 2 == len(received(local))


def test_an_endpoint_without_topics_tells_nobody(local):
    """NotificationConfig is optional."""
    local.create_endpoint("silent", success_topic=None, error_topic=None)
    invoke(local, endpoint_name="silent")

    assert [] == received(local)


def test_an_endpoint_without_an_output_path_answers_in_its_notification(local):
    """The 202 has no OutputLocation."""
    local.create_endpoint("pathless", s3_output_path="", s3_failure_path=None)
    received(local)
    response = invoke(local, endpoint_name="pathless")
    ((_, message),) = received(local)

    assert "OutputLocation" not in response
    assert b"HELLO" == base64.b64decode(message["responseBody"]["content"])


def test_a_notification_may_be_lost(local):
    """The object is there; only the message is not."""
    local.faults = Faults(lose_notification=1)
    invoke(local)

    assert [] == received(local)
    assert 1 == local.faults_injected["lose_notification"]


def test_a_lost_output_is_notified_all_the_same(local):
    """The message says that there is something, and there is not."""
    local.faults = Faults(lose_output=1)
    invoke(local)

    assert ["Completed"] == [message["invocationStatus"] for _, message in received(local)]


def test_a_topic_that_is_gone_is_counted_and_stops_nothing(local):
    """NotificationFailures."""
    topic = "arn:aws:sns:us-east-1:123456789012:nowhere"
    local.create_endpoint("misled", success_topic=topic, error_topic=None)
    response = invoke(local, endpoint_name="misled")

    assert response["OutputLocation"]
    assert 2 == local.metrics["NotificationFailures"]


def test_a_queue_is_there_only_if_it_was_asked_for():
    """And says so."""
    with (
        LocalEndpoint(model, endpoint_name=None, bucket=BUCKET) as plain,
        pytest.raises(RuntimeError, match="notifications=True"),
    ):
        plain.queue_url  # noqa: B018
