"""A job that listens to its endpoint's notifications, and looks into S3 only now and then."""

import json
import secrets
from collections import Counter

import pandas as pd
import pytest
from reliability.scene import Wire, doubled, numbers, until

import sm_async_nb
from sm_async_nb import Status
from sm_async_nb.job import looking
from sm_async_nb.local import Faults, LocalEndpoint, Times
from sm_async_nb.local.notifications import ERROR_NOTIFICATION_TOPIC, SUCCESS_NOTIFICATION_TOPIC

BUCKET = "heard"
PREFIX = f"s3://{BUCKET}/jobs"


@pytest.fixture(scope="module")
def local(model):
    with LocalEndpoint(
        model,
        endpoint_name="talking",
        bucket=BUCKET,
        max_concurrent_invocations_per_instance=16,
        notifications=True,
        include_inference_response_in=(SUCCESS_NOTIFICATION_TOPIC, ERROR_NOTIFICATION_TOPIC),
    ) as running:
        yield running


@pytest.fixture
def queue(session):
    """A queue of the test's own, in which what a poll has taken that nobody waits for any more comes again soon."""
    sqs, sns = session.client("sqs"), session.client("sns")
    name, soon = f"own-{secrets.token_hex(4)}", {"VisibilityTimeout": "2"}
    queue_url = sqs.create_queue(QueueName=name, Attributes=soon)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    endpoint = sm_async_nb.endpoint("talking", session=session)
    for topic in (endpoint.success_topic, endpoint.error_topic):
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    yield Queue(sqs, queue_url)
    sqs.close()
    sns.close()


class Queue:
    """A queue as its owner sees it."""

    def __init__(self, sqs, queue_url):
        self._sqs = sqs
        self.queue_url = queue_url

    def put(self, body):
        self._sqs.send_message(QueueUrl=self.queue_url, MessageBody=body)

    def __len__(self):
        # Those that somebody has just looked at are there, too.
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        told = self._sqs.get_queue_attributes(QueueUrl=self.queue_url, AttributeNames=names)["Attributes"]
        return sum(int(told[name]) for name in names)


@pytest.fixture
def session(job_session):
    return job_session


@pytest.fixture
def submit(session, queue):
    def submit(frame, **options):
        return frame.sm_async.submit(
            "talking", session=session, input_prefix=PREFIX, tracker=f"sqs:{queue.queue_url}", **options
        )

    return submit


def until_looked_at(job, wire):
    """Until the service has every request, and S3 was looked at for the first time; then nothing was called."""
    until(lambda: job.snapshot[Status.ACCEPTED] == job.snapshot.requests)
    # With an SDK that cannot choose where outputs go they are looked at one by one.
    until(lambda: wire.count("ListObjectsV2", f"async-output/{job.id}/") or wire.count("HeadObject") >= len(job))
    until(lambda: not any(wire.unanswered.values()))
    wire.calls.clear()


def test_all_rows_complete_by_what_the_queue_says(submit, session, queue, model):
    """Of many answers that come one after the other a LIST would be needed again and again; here are few.

    The outputs came with the notifications, so no GET is made for them; and the messages are gone.
    """
    wire = Wire.of(session)
    model.door.clear()
    job = submit(numbers(60))
    until_looked_at(job, wire)
    model.door.set()
    results = job.wait().results()

    pd.testing.assert_frame_equal(doubled(numbers(60)), results)
    assert (0, 0) == (wire.count("ListObjectsV2"), wire.count("GetObject"))
    assert 0 == len(queue)


def test_a_notification_that_is_lost_is_found_in_s3(submit, local, model, monkeypatch):
    """S3 has the last word; it is asked once a minute, which a test need not wait for."""
    monkeypatch.setattr(looking, "_BACKSTOP", 1.0)
    local.faults = Faults(lose_notification=Times(2))
    model.door.clear()
    job = submit(numbers(5))
    until(lambda: job.snapshot[Status.ACCEPTED] == 5)
    model.door.set()

    pd.testing.assert_frame_equal(doubled(numbers(5)), job.wait().results())
    assert 2 == local.faults_injected["lose_notification"]


def test_what_is_not_for_the_job_is_left_in_the_queue(submit, queue, model):
    """Somebody else's message, a broken one and a test notification are skipped; a duplicate changes nothing."""
    foreign = [
        "{not JSON",
        json.dumps({"Type": "Notification", "Message": "hello"}),
        json.dumps({"eventVersion": "1.0", "eventSource": "aws:sagemaker", "eventName": "TestNotification"}),
        message("somebody-elses-1", "s3://elsewhere/1.out"),
    ]
    for body in foreign:
        queue.put(body)
    model.door.clear()
    job = submit(numbers(4))
    until(lambda: job.snapshot[Status.ACCEPTED] == 4)
    first = job.table().iloc[0]
    for _ in range(2):
        queue.put(message(first["inference_id"], first["output_location"]))
    until(lambda: job.snapshot[Status.COMPLETED] == 1)
    model.door.set()
    job.wait()

    assert Counter(completed=4) == Counter(job.table()["status"])
    assert pd.Timestamp("2026-01-01T12:00:00Z") == job.table()["finished_at"].iloc[0]
    # What is told of a row twice is deleted as well, unless it comes when the job has ended.
    assert len(foreign) <= len(queue) <= len(foreign) + 1


def message(inference_id, output_location):
    """A success as the service tells it, in SNS's envelope."""
    told = {
        "awsRegion": "us-east-1",
        "eventTime": "2026-01-01T12:00:00.000Z",
        "receivedTime": "2026-01-01T12:00:00.000Z",
        "invocationStatus": "Completed",
        "requestParameters": {"endpointName": "talking"},
        "responseParameters": {"contentType": "application/json", "outputLocation": output_location},
        "inferenceId": inference_id,
        "eventVersion": "1.0",
        "eventSource": "aws:sagemaker",
        "eventName": "InferenceResult",
    }
    return json.dumps({"Type": "Notification", "Message": json.dumps(told)})


def test_a_failure_comes_with_its_reason(submit, session, model):
    """The model's words are in the message, so its object is not fetched; and 5xx is told from 4xx."""
    wire = Wire.of(session)
    model.failing = {1: 500, 2: 400}
    model.door.clear()
    job = submit(numbers(3))
    until_looked_at(job, wire)
    model.door.set()
    failures = job.wait().failures()

    assert ["row 1", "row 2"] == failures.index.tolist()
    assert ["model_5xx", "model_4xx"] == failures["error_class"].tolist()
    assert "1 is not my number" == json.loads(failures["error"].iloc[0])["message"]
    assert 0 == wire.count("GetObject", "async-failures/")


def test_a_queue_that_is_not_there_pauses_the_job_and_says_so(session, local):
    """Since nobody would tell of anything."""
    gone = local.queue_url.replace(BUCKET, "nowhere")
    job = numbers(2).sm_async.submit("talking", session=session, input_prefix=PREFIX, tracker=f"sqs:{gone}")
    with pytest.raises(sm_async_nb.RequestError) as caught:
        job.wait()

    assert str(caught.value).startswith(f"There is no queue at {gone} (")


def test_another_kernel_goes_on_listening(submit, session, model):
    """Where to listen is among what lies in S3."""
    model.door.clear()
    job = submit(numbers(3))
    until(lambda: job.snapshot[Status.ACCEPTED] == 3)
    job.leave()
    wire = Wire.of(session)
    attached = sm_async_nb.attach(job.uri, session=session)
    until_looked_at(attached, wire)
    model.door.set()

    pd.testing.assert_frame_equal(doubled(numbers(3)), attached.wait().results())
    assert 0 == wire.count("ListObjectsV2")
