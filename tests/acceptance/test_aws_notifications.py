"""Notifications through SNS and SQS as they are on the wire, from the local endpoint's own publishing."""

import asyncio
import json

import pytest
from acceptance.aws_answers import answering, session_at

from sm_async_nb.aws.notifications import open_notifications
from sm_async_nb.aws.runtime import open_runtime
from sm_async_nb.core.locations import S3Location
from sm_async_nb.errors import CredentialsError, RequestError, ServiceTroubleError
from sm_async_nb.local import LocalEndpoint

MESSAGE = {
    "eventTime": "2026-01-01T12:00:00.5Z",
    "invocationStatus": "Completed",
    "responseParameters": {"outputLocation": "s3://bucket/x.out"},
    "inferenceId": "mine",
    "eventSource": "aws:sagemaker",
    "eventName": "InferenceResult",
}


def listen(session, queue_url, work):
    async def inside():
        async with open_notifications(session, queue_url) as notifications:
            return await work(notifications)

    return asyncio.run(inside())


@pytest.fixture
def queue(session):
    """A queue of the test's own, whose messages come again at once."""
    sqs = session.client("sqs")
    url = sqs.create_queue(QueueName="ours", Attributes={"VisibilityTimeout": "0"})["QueueUrl"]
    yield url
    sqs.delete_queue(QueueUrl=url)


def left_in(session, url):
    answer = session.client("sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=0)
    return sorted(message["Body"] for message in answer.get("Messages", ()))


@pytest.mark.parametrize("raw", ["true", "false"])
def test_what_sns_delivers_is_read_in_both_forms(session, queue, raw):
    """In its envelope, and raw."""
    sns = session.client("sns")
    topic = sns.create_topic(Name=f"topic-{raw}")["TopicArn"]
    arn = session.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
    arn = arn["Attributes"]["QueueArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": raw})
    sns.publish(TopicArn=topic, Message=json.dumps(MESSAGE))

    [notification] = listen(session, queue, lambda notifications: notifications.receive(0))

    assert (True, "mine", 1767268800.5, "s3://bucket/x.out") == (
        notification.succeeded,
        notification.inference_id,
        notification.at,
        notification.output_location,
    )


def test_only_what_is_done_is_deleted(session, queue):
    """The messages of others, and those that are none, stay for whom they are meant."""
    sqs = session.client("sqs")
    theirs = json.dumps({**MESSAGE, "inferenceId": "theirs"})
    for body in (json.dumps(MESSAGE), theirs, "hello"):
        sqs.send_message(QueueUrl=queue, MessageBody=body)

    async def story(notifications):
        received = await notifications.receive(0)
        await notifications.done([one for one in received if one.inference_id == "mine"])
        return sorted(one.inference_id for one in received)

    assert ["mine", "theirs"] == listen(session, queue, story)
    assert ["hello", theirs] == left_in(session, queue)


def test_any_number_can_be_done_at_a_time(session, queue):
    """SQS takes ten a call."""
    sqs = session.client("sqs")
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"VisibilityTimeout": "60"})
    for number in range(25):
        sqs.send_message(QueueUrl=queue, MessageBody=json.dumps({**MESSAGE, "inferenceId": f"{number}"}))

    async def story(notifications):
        received = []
        while more := await notifications.receive(0):
            received += more
        await notifications.done(received)
        await notifications.done([])
        return len(received)

    assert 25 == listen(session, queue, story)
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"VisibilityTimeout": "0"})
    assert [] == left_in(session, queue)


def test_what_is_done_twice_is_no_matter(session, queue):
    """A duplicate's receipt is old by then."""
    session.client("sqs").send_message(QueueUrl=queue, MessageBody=json.dumps(MESSAGE))

    async def story(notifications):
        received = await notifications.receive(0)
        await notifications.done(received)
        await notifications.done(received)

    listen(session, queue, story)
    assert [] == left_in(session, queue)


def test_a_queue_of_another_region_is_found_by_its_url(session):
    """The region is in its name; an emulator's queue is at the emulator."""
    url = session.client("sqs", region_name="eu-central-1").create_queue(QueueName="far")["QueueUrl"]
    seen = []

    async def story(notifications):
        seen.append((notifications._client.meta.region_name, notifications._client.meta.endpoint_url))

    listen(session, "https://sqs.eu-central-1.amazonaws.com/123456789012/far", story)
    listen(session, url, story)

    at = session.client("sqs").meta.endpoint_url
    assert [("eu-central-1", at), ("us-east-1", at)] == seen


def test_what_the_local_endpoint_publishes_is_understood():
    """A success, a failure with the model's words inside, and test notifications, which are passed over."""

    def model(body, *_):
        if body == b"bad":
            raise ValueError("bad")
        return body.upper()

    topics = ("SUCCESS_NOTIFICATION_TOPIC", "ERROR_NOTIFICATION_TOPIC")
    with LocalEndpoint(model, endpoint_name="loud", notifications=True, include_inference_response_in=topics) as local:
        session = local.session()
        s3 = session.client("s3")
        for name in ("good", "bad"):
            s3.put_object(Bucket=local.bucket, Key=f"in/{name}", Body=name.encode(), ContentType="text/plain")
        accepted, heard = asyncio.run(_invoke_and_listen(session, local.queue_url, local.bucket))

    good, bad = (heard[accepted[name].inference_id] for name in ("good", "bad"))
    assert (True, accepted["good"].output_location, b"GOOD") == (good.succeeded, good.output_location, good.body)
    assert (False, accepted["bad"].failure_location) == (bad.succeeded, bad.failure_location)
    assert {"code": 500, "type": "ValueError", "message": "bad"} == json.loads(bad.body)
    assert bad.failure_reason.startswith("ClientError: Received server error (500) from model.")


async def _invoke_and_listen(session, queue_url, bucket):
    heard = {}
    async with open_runtime(session) as runtime, open_notifications(session, queue_url) as notifications:
        accepted = {
            name: await runtime.invoke(
                {
                    "endpoint_name": "loud",
                    "input_location": str(S3Location(bucket, f"in/{name}")),
                    "inference_id": f"job-{name}",
                }
            )
            for name in ("good", "bad")
        }
        async with asyncio.timeout(20):
            while len(heard) < 2:
                received = await notifications.receive(1)
                heard.update({one.inference_id: one for one in received})
                await notifications.done(received)
    return accepted, heard


# What SQS says no to


def test_a_queue_that_is_not_there_is_refused(session):
    """With its URL."""
    url = f"{session.client('sqs').meta.endpoint_url}/123456789012/none"

    with pytest.raises(RequestError) as caught:
        listen(session, url, lambda notifications: notifications.receive(0))

    assert str(caught.value) == (
        f"There is no queue at {url} (AWS.SimpleQueueService.NonExistentQueue). Check its name, its account and its"
        " region."
    )


@pytest.mark.parametrize(
    ("permission", "work"),
    [
        ("sqs:ReceiveMessage", lambda notifications: notifications.receive(0)),
        ("sqs:DeleteMessage", lambda notifications: notifications.done([SOME])),
    ],
)
def test_a_missing_permission_is_named(tmp_path, permission, work):
    """In SQS's own error format."""
    body = b'{"__type": "com.amazonaws.sqs#AccessDenied", "message": "Access to the resource is denied."}'
    with answering(403, body, Content_Type="application/x-amz-json-1.0") as sqs, pytest.raises(RequestError) as caught:
        listen(session_at(tmp_path, sqs.url), f"{sqs.url}/1/q", work)

    assert str(caught.value) == (
        f"SQS refused {permission} on {sqs.url}/1/q: Access to the resource is denied. These credentials need"
        " sqs:ReceiveMessage and sqs:DeleteMessage there, and kms:Decrypt if the queue is encrypted."
    )


class SOME:
    receipt = "r"


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (403, "ExpiredToken", CredentialsError),
        (400, "RequestThrottled", ServiceTroubleError),
        (503, "ServiceUnavailable", ServiceTroubleError),
    ],
)
def test_the_rest_passes_or_pauses(tmp_path, status, code, kind):
    """Credentials pause a job, trouble does not; S3 is looked at meanwhile."""
    body = json.dumps({"__type": f"com.amazonaws.sqs#{code}", "message": "no"}).encode()
    with answering(status, body, Content_Type="application/x-amz-json-1.0") as sqs, pytest.raises(kind):
        listen(session_at(tmp_path, sqs.url), f"{sqs.url}/1/q", lambda notifications: notifications.receive(0))


def test_a_queue_that_cannot_be_reached_is_trouble(tmp_path):
    """Nothing was heard, and nothing is known to be wrong."""
    url = "http://127.0.0.1:9/1/q"

    with pytest.raises(ServiceTroubleError, match=f"^SQS did not answer for {url}: EndpointConnectionError: "):
        listen(session_at(tmp_path, "http://127.0.0.1:9"), url, lambda notifications: notifications.receive(0))
