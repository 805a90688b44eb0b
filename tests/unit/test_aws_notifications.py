"""What a message in a queue says: the service's own messages word for word, and whatever else may lie there."""

import base64
import json

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError
from hypothesis import given
from hypothesis import strategies as st

from sm_async_nb.aws.notifications import Notification, explain, queue_place, read_notification
from sm_async_nb.errors import CredentialsError, RequestError, ServiceTroubleError
from sm_async_nb.testing import ManualClock, MemoryNotifications

SUCCESS = {
    "awsRegion": "us-east-1",
    "eventTime": "2022-01-25T22:46:00.608Z",
    "receivedTime": "2022-01-25T22:46:00.455Z",
    "invocationStatus": "Completed",
    "requestParameters": {
        "contentType": "text/csv",
        "endpointName": "ep",
        "inputLocation": "s3://bucket/dir/input-data.csv",
    },
    "responseParameters": {
        "contentType": "text/csv; charset=utf-8",
        "outputLocation": "s3://bucket/dir/prediction.out",
    },
    "inferenceId": "11111111-2222-3333-4444-555555555555",
    "eventVersion": "1.0",
    "eventSource": "aws:sagemaker",
    "eventName": "InferenceResult",
}
FAILURE = {
    "awsRegion": "eu-central-1",
    "eventTime": "2023-01-29T15:52:28.71Z",
    "receivedTime": "2023-01-29T12:11:05.618Z",
    "invocationStatus": "Failed",
    "failureReason": "ClientError: Received client error (400) from model. See the SageMaker Endpoint logs in your"
    " account for more information.",
    "requestParameters": {"endpointName": "ep", "inputLocation": "s3://bucket/input.json"},
    "inferenceId": "43591795-1ef7-417a-9402-ae901b57dc55",
    "eventVersion": "1.0",
    "eventSource": "aws:sagemaker",
    "eventName": "InferenceResult",
}
TEST = {"eventVersion": "1.0", "eventSource": "aws:sagemaker", "eventName": "TestNotification"}


def enveloped(message):
    """As SNS delivers to SQS, unless told to deliver raw."""
    return json.dumps(
        {
            "Type": "Notification",
            "MessageId": "b1f6b5d2-8a55-5f6a-9d4f-e0c5d1f1a9a7",
            "TopicArn": "arn:aws:sns:us-east-1:123456789012:success",
            "Subject": None,
            "Message": message if isinstance(message, str) else json.dumps(message, separators=(",", ":")),
            "Timestamp": "2022-01-25T22:46:01.000Z",
            "SignatureVersion": "1",
            "MessageAttributes": {},
        }
    )


@pytest.mark.parametrize("wrapped", [json.dumps, enveloped], ids=["raw", "in SNS's envelope"])
def test_a_success_is_an_output_and_its_time(wrapped):
    """The message of the developer guide."""
    assert read_notification(wrapped(SUCCESS)) == Notification(
        succeeded=True,
        inference_id="11111111-2222-3333-4444-555555555555",
        at=1643150760.608,
        output_location="s3://bucket/dir/prediction.out",
        content_type="text/csv; charset=utf-8",
    )


@pytest.mark.parametrize("wrapped", [json.dumps, enveloped], ids=["raw", "in SNS's envelope"])
def test_a_failure_carries_its_reason(wrapped):
    """A message of a real endpoint without S3FailurePath, whose time has two decimals."""
    assert read_notification(wrapped(FAILURE)) == Notification(
        succeeded=False,
        inference_id="43591795-1ef7-417a-9402-ae901b57dc55",
        at=1675007548.71,
        failure_reason=FAILURE["failureReason"],
    )


def test_a_failure_says_where_its_object_lies():
    """Where the endpoint has an S3FailurePath."""
    message = {**FAILURE, "responseParameters": {"failureLocation": "s3://bucket/failures/x-error.out"}}

    assert "s3://bucket/failures/x-error.out" == read_notification(json.dumps(message)).failure_location


@pytest.mark.parametrize(
    ("message", "content", "expected"),
    [
        (SUCCESS, base64.b64encode(b'{"y": 1}\xff').decode(), b'{"y": 1}\xff'),
        (SUCCESS, "no base64!", None),
        (SUCCESS, "", None),
        (SUCCESS, None, None),
        (FAILURE, '{"code":400,"message":"für x"}', '{"code":400,"message":"für x"}'.encode()),
        (FAILURE, "", None),
    ],
)
def test_an_answer_may_be_inside_the_message(message, content, expected):
    """Base64 in a success and plain text in a failure; what cannot be read is fetched from S3 as ever."""
    more = {"message": "Check S3 path location(if configured)", "content": content, "encoding": "BASE64"}

    assert expected == read_notification(enveloped({**message, "responseBody": more})).body


@pytest.mark.parametrize(
    ("message", "at"),
    [
        ({**SUCCESS, "eventTime": "soon"}, 1643150760.455),
        ({**SUCCESS, "eventTime": None, "receivedTime": None}, 1643150761.0),
        ({**SUCCESS, "eventTime": "2022-01-25T22:46:00"}, 1643150760.0),
        ({**SUCCESS, "eventTime": "1970-01-01T00:00:00Z"}, 0.0),
    ],
)
def test_the_time_is_the_best_there_is(message, at):
    """An odd time is no reason to lose what happened then."""
    assert at == read_notification(enveloped(message)).at


NOT_OURS = {
    "a test notification": json.dumps(TEST),
    "a test notification from SNS": enveloped(TEST),
    "a confirmation of a subscription": json.dumps({"Type": "SubscriptionConfirmation", "Message": "You have chosen"}),
    "an event of S3": json.dumps({"Records": [{"eventSource": "aws:s3", "eventName": "ObjectCreated:Put"}]}),
    "an alarm": enveloped({"AlarmName": "backlog", "NewStateValue": "ALARM"}),
    "another service": json.dumps({**SUCCESS, "eventSource": "aws:bedrock"}),
    "another status": json.dumps({**SUCCESS, "invocationStatus": "Queued"}),
    "no status": json.dumps({key: value for key, value in SUCCESS.items() if key != "invocationStatus"}),
    "no inference id": json.dumps({**SUCCESS, "inferenceId": ""}),
    "an inference id that is a number": json.dumps({**SUCCESS, "inferenceId": 7}),
    "no time at all": json.dumps({**SUCCESS, "eventTime": 7, "receivedTime": []}),
    "text": "hello",
    "nothing": "",
    "a list": "[1, 2]",
    "null": "null",
    "text in an envelope": enveloped("hello"),
    "an envelope in an envelope": enveloped(enveloped(SUCCESS)),
    "broken JSON": json.dumps(SUCCESS)[:-1],
    "half of a surrogate": '{"inferenceId": "\\ud800"}',
    "far too deep": "[" * 100_000,
}


@pytest.mark.parametrize("message", NOT_OURS.values(), ids=NOT_OURS)
def test_what_is_no_notification_is_passed_over(message):
    """A queue may be shared, and anybody may write to it."""
    assert read_notification(message) is None


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary().map(repr),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(message=st.fixed_dictionaries({}, optional={name: VALUES | st.just(SUCCESS[name]) for name in SUCCESS}
                                     | {"responseBody": VALUES | st.fixed_dictionaries({"content": VALUES})}),
       wrapped=st.sampled_from([json.dumps, enveloped]))  # fmt: skip
def test_no_message_is_an_exception(message, wrapped):
    """Whatever stands where the service writes texts; and what is read has the types that it should have."""
    read = read_notification(wrapped(message))

    assert read is None or [str, str, str, str] == [
        type(text) for text in (read.inference_id, read.output_location, read.failure_location, read.failure_reason)
    ]


@given(st.text())
def test_no_text_is_an_exception(text):
    """Not even inside the envelope."""
    assert (None, None) == (read_notification(text), read_notification(enveloped(text)))


def test_an_answer_and_a_receipt_are_not_shown():
    """The service marks answers as sensitive, and a receipt is of no use to a reader."""
    notification = Notification(succeeded=True, inference_id="i", at=0.0, body=b"secret", receipt="long")

    assert "secret" not in repr(notification)
    assert "long" not in repr(notification)


@pytest.mark.parametrize(
    ("queue_url", "place"),
    [
        ("https://sqs.eu-west-1.amazonaws.com/123456789012/q", {"region_name": "eu-west-1"}),
        ("https://sqs-fips.us-gov-west-1.amazonaws.com/1/q", {"region_name": "us-gov-west-1"}),
        ("https://sqs.cn-north-1.amazonaws.com.cn/1/q", {"region_name": "cn-north-1"}),
        ("https://sqs.ap-southeast-2.api.aws/1/q", {"region_name": "ap-southeast-2"}),
        ("https://eu-west-1.queue.amazonaws.com/1/q", {"region_name": "eu-west-1"}),
        ("https://queue.amazonaws.com/1/q", {"region_name": "us-east-1"}),
        ("http://127.0.0.1:5000/1/q", {"endpoint_url": "http://127.0.0.1:5000"}),
        (
            "http://sqs.us-east-1.localhost.localstack.cloud:4566/0/q",
            {"endpoint_url": "http://sqs.us-east-1.localhost.localstack.cloud:4566"},
        ),
        (
            "https://vpce-1.sqs.eu-west-1.vpce.amazonaws.com/1/q",
            {"endpoint_url": "https://vpce-1.sqs.eu-west-1.vpce.amazonaws.com"},
        ),
    ],
)
def test_a_url_says_where_its_queue_is(queue_url, place):
    """In which region of AWS, or at which endpoint of its own."""
    assert place == queue_place(queue_url)


@pytest.mark.parametrize("queue_url", ["", "q", "arn:aws:sqs:eu-west-1:1:q", "https://", "https://host", "http://[", 7])
def test_what_is_no_url_of_a_queue_is_refused(queue_url):
    """With what one looks like."""
    with pytest.raises(RequestError) as caught:
        queue_place(queue_url)

    assert str(caught.value) == (
        "The URL of a queue looks like https://sqs.eu-west-1.amazonaws.com/123456789012/name, got"
        f" {queue_url!r}. Nothing was sent."
    )


def answered(code, message="no"):
    return ClientError({"Error": {"Code": code, "Message": message}}, "ReceiveMessage")


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (
            answered("AWS.SimpleQueueService.NonExistentQueue"),
            RequestError,
            "There is no queue at https://q (AWS.SimpleQueueService.NonExistentQueue). Check its name, its account and"
            " its region.",
        ),
        (
            answered("AccessDenied", "Access to the resource https://q is denied."),
            RequestError,
            "SQS refused sqs:ReceiveMessage on https://q: Access to the resource https://q is denied. These credentials"
            " need sqs:ReceiveMessage and sqs:DeleteMessage there, and kms:Decrypt if the queue is encrypted.",
        ),
        (
            answered("ExpiredToken", "The security token included in the request is expired"),
            CredentialsError,
            "The AWS credentials have expired: ReceiveMessage answered ExpiredToken: The security token included in the"
            " request is expired. Sign in again or get new keys; a job that waits goes on with"
            " job.resume(session=boto3.Session(...)).",
        ),
        (
            answered("RequestThrottled", "Slow down"),
            ServiceTroubleError,
            "SQS did not answer for https://q: RequestThrottled: Slow down",
        ),
        (
            ReadTimeoutError(endpoint_url="https://q"),
            ServiceTroubleError,
            'SQS did not answer for https://q: ReadTimeoutError: Read timeout on endpoint URL: "https://q"',
        ),
    ],
)
def test_an_answer_of_sqs_becomes_an_error_of_this_package(error, kind, message):
    """Who can act, and which permission is missing."""
    explained = explain(error, "sqs:ReceiveMessage", "https://q")

    assert (kind, message) == (type(explained), str(explained))


# The queue in memory


def test_a_queue_in_memory_waits_on_its_clock_and_wakes_for_a_message():
    """A long poll takes as long as SQS's, and no time at all."""
    clock = ManualClock()
    queue = MemoryNotifications(clock.now)

    async def story():
        import asyncio

        nothing = await queue.receive(20)
        waited = clock.elapsed
        asyncio.get_running_loop().call_later(5, queue.send, SUCCESS)
        return nothing, waited, [one.at for one in await queue.receive(20)], clock.elapsed

    assert ([], 20.0, [1643150760.608], 25.0) == clock.run(story())


def test_what_is_not_done_comes_again():
    """After the visibility timeout, as in SQS; what is done does not, and others' messages stay."""
    clock = ManualClock()
    queue = MemoryNotifications(clock.now, visibility_timeout=30)

    async def story():
        queue.send(SUCCESS)
        queue.send("somebody else's")
        first = await queue.receive(0)
        hidden = await queue.receive(20)
        again = await queue.receive(20)
        await queue.done(again)
        return first == again, hidden, await queue.receive(60), list(queue.messages.values())

    assert (True, [], [], ["somebody else's"]) == clock.run(story())


def test_a_queue_in_memory_can_be_in_trouble():
    """An intercept raises what SQS would."""
    clock = ManualClock()
    queue = MemoryNotifications(clock.now)

    def trouble(verb):
        raise ServiceTroubleError(verb)

    queue.intercept = trouble
    with pytest.raises(ServiceTroubleError, match="receive"):
        clock.run(queue.receive())
    with pytest.raises(ServiceTroubleError, match="done"):
        clock.run(queue.done([]))
