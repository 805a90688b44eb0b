"""The life of a request, on a dictionary for S3 and a clock that jumps to the next timer."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import selectors
from contextlib import suppress
from dataclasses import replace

import pytest

from sm_async_nb.local import Answer, Faults, ModelError, NamingRule
from sm_async_nb.local.endpoint import AsyncEndpoint, EndpointConfig
from sm_async_nb.local.faults import Injector
from sm_async_nb.local.handler import NoAnswer
from sm_async_nb.local.scaling import ScalingRule

NOON = 1_700_000_000.0
CONFIG = EndpointConfig(endpoint_name="churn", s3_output_path="s3://bkt/out", s3_failure_path="s3://bkt/failures")


class JumpingLoop(asyncio.SelectorEventLoop):
    """An event loop that waits for nothing: where it would sleep, its clock jumps."""

    def __init__(self):
        super().__init__(JumpingSelector(self))
        self.seconds = 0.0

    def time(self):
        return self.seconds


class JumpingSelector(selectors.SelectSelector):
    def __init__(self, loop):
        super().__init__()
        self._loop = loop

    def select(self, timeout=None):
        if timeout is None:
            raise RuntimeError("Everything waits for something that will never come.")
        self._loop.seconds += timeout
        return super().select(0)


class Objects(dict):
    """S3 as a dictionary of URI to (body, content type); ``refused`` cannot be written."""

    def __init__(self, objects, refused):
        super().__init__(objects)
        self.refused = refused

    async def get(self, location):
        return self[str(location)]

    async def put(self, location, body, content_type):
        if str(location) in self.refused:
            raise PermissionError(str(location))
        self[str(location)] = body, content_type


def upper(body, content_type, accept):
    return body.upper()


def story(tell, handler=upper, *, config=CONFIG, objects=(), refused=(), **options):
    """Run ``tell(endpoint)`` beside the endpoint; returns the endpoint and its objects."""
    objects = Objects(objects, refused)

    async def play():
        clock = asyncio.get_running_loop()
        numbers = itertools.count()
        endpoint = AsyncEndpoint(
            config,
            handler,
            objects,
            now=lambda: NOON + clock.time(),
            new_uuid=lambda: f"uuid-{next(numbers)}",
            in_thread=False,
            **options,
        )
        running = asyncio.create_task(endpoint.run())
        await tell(endpoint)
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        return endpoint

    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        return runner.run(play()), objects


def one_request(**fields):
    async def tell(endpoint):
        endpoint.accept(fields)
        await endpoint.drained()

    return tell


def sleeping(seconds):
    async def handler(body, content_type, accept):
        await asyncio.sleep(seconds)
        return body

    return handler


def test_an_answer_becomes_the_output_object_byte_for_byte():
    """With the answer's content type."""
    _, objects = story(one_request(body=b"\xffin"), lambda *_: Answer(b"\x00out", "application/x-npy"))

    assert {"s3://bkt/out/uuid-1.out": (b"\x00out", "application/x-npy")} == objects


def test_the_202_says_where_both_objects_would_be_and_the_name_is_not_the_id():
    """The service names objects by a uuid of its own."""
    accepted = []

    async def tell(endpoint):
        accepted.append(endpoint.accept({"body": b"x", "inference_id": "row-7"}))

    story(tell)

    assert "row-7" == accepted[0].inference_id
    assert "s3://bkt/out/uuid-0.out" == str(accepted[0].output_location)
    assert "s3://bkt/failures/uuid-0-error.out" == str(accepted[0].failure_location)


def test_an_input_that_is_uploaded_after_the_202_is_still_read():
    """The input is read when the request is processed, not when it is accepted."""

    async def tell(endpoint):
        endpoint.accept({"input_location": "s3://bkt/in/1"})
        await endpoint._store.put("s3://bkt/in/1", b"late", "text/csv")
        await endpoint.drained()

    _, objects = story(tell)

    assert b"LATE" == objects["s3://bkt/out/uuid-1.out"][0]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [({}, "text/csv"), ({"content_type": "application/json"}, "application/json")],
)
def test_the_model_is_told_the_content_type_of_the_request_or_else_of_the_object(fields, expected):
    """An uploader that sets the type on the object need not say it twice."""
    objects = {"s3://bkt/in/1": (b"1,2", "text/csv")}
    _, objects = story(
        one_request(input_location="s3://bkt/in/1", **fields),
        lambda body, content_type, accept: content_type,
        objects=objects,
    )

    assert expected == objects["s3://bkt/out/uuid-1.out"][0].decode()


def test_a_model_error_becomes_the_failure_object_as_the_model_worded_it():
    """The raw body, no envelope, and no output beside it."""

    def handler(*_):
        raise ModelError("no plan", status=400, body=b'{"message":"no plan"}')

    endpoint, objects = story(one_request(body=b"x"), handler)

    assert {"s3://bkt/failures/uuid-1-error.out": (b'{"message":"no plan"}', "application/json")} == objects
    assert {"InvocationsProcessed": 1, "Invocation4XXErrors": 1, "InvocationFailures": 1} == endpoint.metrics


def test_a_model_error_is_not_tried_again():
    """The service simply returns the response of the container."""
    asked = []

    def handler(*_):
        asked.append(1)
        raise ValueError

    story(one_request(body=b"x"), handler)

    assert [1] == asked


def test_an_answer_that_is_neither_success_nor_error_is_the_servers_error():
    """A redirect, for instance: it is not followed."""
    endpoint, _ = story(one_request(body=b"x"), lambda *_: Answer(b"", status=302))

    assert {"InvocationsProcessed": 1, "Invocation5XXErrors": 1, "InvocationFailures": 1} == endpoint.metrics


def test_without_a_failure_path_a_failure_leaves_no_object():
    """Only the metrics know."""

    def handler(*_):
        raise ValueError

    config = EndpointConfig(endpoint_name="churn", s3_output_path="s3://bkt/out")
    endpoint, objects = story(one_request(body=b"x"), handler, config=config)

    assert {} == objects
    assert 1 == endpoint.metrics["Invocation5XXErrors"]


@pytest.mark.parametrize("input_location", ["s3://bkt/in/none", "https://bkt.s3.amazonaws.com/in/none"])
def test_a_missing_input_is_counted_and_leaves_no_object(input_location):
    """Nobody is told by the call; whether the service writes anything is not known."""
    endpoint, objects = story(one_request(input_location=input_location))

    assert {} == objects
    assert {"RequestDownloadFailures": 1, "InvocationFailures": 1} == endpoint.metrics


def test_a_request_that_waits_too_long_expires_and_never_reaches_the_model():
    """RequestTTLSeconds."""
    asked = []

    async def handler(body, content_type, accept):
        asked.append(body)
        await asyncio.sleep(100)
        return body

    async def tell(endpoint):
        endpoint.accept({"body": b"first"})
        endpoint.accept({"body": b"second", "request_ttl_seconds": 60})
        await endpoint.drained()

    config = EndpointConfig(
        endpoint_name="churn", s3_output_path="s3://bkt/out", max_concurrent_invocations_per_instance=1
    )
    endpoint, objects = story(tell, handler, config=config)

    assert [b"first"] == asked
    assert ["s3://bkt/out/uuid-1.out"] == list(objects)
    assert 1 == endpoint.metrics["ExpiredRequests"]


def test_a_model_that_takes_too_long_is_not_waited_for():
    """InvocationTimeoutSeconds; the answer that would have come leaves no object."""

    async def tell(endpoint):
        endpoint.accept({"body": b"x", "invocation_timeout_seconds": 10})
        await endpoint.drained()
        assert 10 == pytest.approx(asyncio.get_running_loop().time(), abs=0.1)
        await asyncio.sleep(100)

    endpoint, objects = story(tell, sleeping(20))

    assert {} == objects
    assert {"InvocationFailures": 1} == endpoint.metrics


# The three ways in which a request ends without an answer of the model: what it asks, and what is said of it.
ASLEEP = ScalingRule(cold_start=300)
EXPIRED = ({"body": b"x", "request_ttl_seconds": 60}, "the request expired in the queue")
TIMED_OUT = ({"body": b"x", "invocation_timeout_seconds": 10}, "InvocationTimeoutSeconds")
UNREADABLE = ({"input_location": "s3://bkt/none"}, "the input could not be read")


def unanswered(fields, config=CONFIG, **options):
    """A request to a slow model, at an endpoint that sleeps if the request is one that expires."""
    if "request_ttl_seconds" in fields:
        config = replace(config, instances=0)
        options["scaling"] = ASLEEP
    return story(one_request(**fields), sleeping(20), config=config, **options)


@pytest.mark.parametrize(("fields", "words"), [EXPIRED, TIMED_OUT, UNREADABLE])
def test_a_failure_without_an_answer_may_leave_an_object_if_so_chosen(fields, words):
    """What the service does is unverified, hence a switch."""
    _, nothing = unanswered(fields)
    _, objects = unanswered(fields, failure_object_without_model_answer=True)
    body, content_type = objects["s3://bkt/failures/uuid-1-error.out"]

    assert {} == nothing
    assert words in json.loads(body)["message"]
    assert "application/json" == content_type


def test_a_failure_object_is_json_whatever_the_reason_says():
    """An HTTP client's message has quotes and line breaks in it."""

    async def handler(*_):
        raise NoAnswer('Bad status line "HTTP"\n  ^')

    _, objects = story(one_request(body=b"x"), handler, failure_object_without_model_answer=True)
    ((body, _),) = objects.values()

    assert {"message": 'Bad status line "HTTP"\n  ^'} == json.loads(body)


class Broken(dict):
    """Fields that fail where nobody expects it: after the 202, in the endpoint's own code."""

    def get(self, name, default=None):
        if name == "accept":
            raise KeyError(name)
        return super().get(name, default)


@pytest.mark.parametrize("told", [False, True])
def test_an_error_in_the_endpoint_itself_ends_one_request_and_no_other(caplog, told):
    """It is logged and counted, its slot is free, and the next is served."""
    topics = Published()
    config = replace(TOLD if told else CONFIG, max_concurrent_invocations_per_instance=1)

    async def tell(endpoint):
        endpoint.accept(Broken(body=b"broken"))
        endpoint.accept({"body": b"whole"})
        await endpoint.drained()

    endpoint, objects = story(tell, config=config, topics=topics)

    assert {"s3://bkt/out/uuid-3.out": (b"WHOLE", "application/json")} == objects
    assert (1, 1) == (endpoint.metrics["InvocationFailures"], endpoint.metrics["InvocationsProcessed"])
    assert ["Failed", "Completed"] * told == [message["invocationStatus"] for _, message in topics]
    assert ["[uuid-0] The local endpoint itself failed at this request"] == [
        record.getMessage() for record in caplog.records if record.levelno == logging.ERROR
    ]


class Cancelling(Objects):
    """A store whose connection was given up by somebody else."""

    async def get(self, location):
        raise asyncio.CancelledError


def test_a_cancellation_that_nobody_asked_for_frees_the_slot():
    """It came out of a library, and is none of this request."""

    async def tell(endpoint):
        endpoint._store = Cancelling({}, [])
        endpoint.accept({"input_location": "s3://bkt/in", "invocation_timeout_seconds": 10})
        await endpoint.drained()
        assert 0 == endpoint.running
        await asyncio.sleep(20)
        endpoint.accept({"body": b"next"})
        await endpoint.drained()

    endpoint, objects = story(tell)

    assert [b"NEXT"] == [body for body, _ in objects.values()]
    assert 1 == endpoint.metrics["InvocationFailures"]


def test_as_many_run_at_a_time_as_there_are_slots():
    """Two instances of three: seven requests of ten seconds take twenty."""
    config = EndpointConfig(
        endpoint_name="churn",
        s3_output_path="s3://bkt/out",
        instances=2,
        max_concurrent_invocations_per_instance=3,
    )

    async def tell(endpoint):
        for _ in range(7):
            endpoint.accept({"body": b"x"})
        await asyncio.sleep(1)
        assert (6, 1) == (endpoint.running, endpoint.backlog)
        await endpoint.drained()
        assert 20 == pytest.approx(asyncio.get_running_loop().time(), abs=0.1)

    _, objects = story(tell, sleeping(10), config=config)

    assert 7 == len(objects)


def test_an_endpoint_with_no_instance_keeps_its_requests_until_it_has_one():
    """Scaled to zero, everything waits."""
    none = EndpointConfig(endpoint_name="churn", s3_output_path="s3://bkt/out", instances=0)

    async def tell(endpoint):
        endpoint.accept({"body": b"x"})
        await asyncio.sleep(1000)
        assert (0, 1) == (endpoint.running, endpoint.backlog)
        endpoint.reconfigure(CONFIG)
        await endpoint.drained()

    _, objects = story(tell, config=none)

    assert 1 == len(objects)


def test_an_output_that_cannot_be_written_is_counted_and_stops_nothing():
    """ResponseUploadFailures; the next request is served."""

    async def tell(endpoint):
        endpoint.accept({"body": b"a"})
        endpoint.accept({"body": b"b"})
        await endpoint.drained()

    endpoint, objects = story(tell, refused=["s3://bkt/out/uuid-1.out"])

    assert {"s3://bkt/out/uuid-3.out": (b"B", "application/json")} == objects
    assert 1 == endpoint.metrics["ResponseUploadFailures"]


@pytest.mark.parametrize("told", [False, True])
def test_an_output_that_cannot_be_written_is_notified_as_a_failure_if_so_chosen(told):
    """What the service does is unverified, hence a switch."""
    topics = Published()
    story(
        one_request(body=b"x"),
        config=TOLD,
        topics=topics,
        refused=["s3://bkt/out/uuid-1.out"],
        notification_without_model_answer=told,
    )

    assert [("bad", "ClientError: the output could not be written.")] * told == [
        (topic, message["failureReason"]) for topic, message in topics
    ]


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({}, "[uuid-0] Completed: s3://bkt/out/uuid-1.out"),
        (
            {"injector": Injector(Faults(lose_output=1))},
            "[uuid-0] Completed, and lost by a fault: s3://bkt/out/uuid-1.out",
        ),
        (
            {"refused": ["s3://bkt/out/uuid-1.out"]},
            "[uuid-0] ResponseUploadFailures: s3://bkt/out/uuid-1.out: s3://bkt/out/uuid-1.out",
        ),
    ],
)
def test_the_log_has_one_line_for_a_request_and_says_what_became_of_its_output(caplog, options, line):
    """It is not completed before its object is there."""
    with caplog.at_level(logging.INFO, logger="sm_async_nb.local"):
        story(one_request(body=b"x"), **options)

    assert [line] == [record.getMessage() for record in caplog.records if record.name.startswith("sm_async_nb.local")]


def test_the_request_names_its_objects_as_the_rule_says():
    """S3OutputPathExtension and Filename, on both paths if the rule has it so."""
    accepted = []

    async def tell(endpoint):
        fields = {"body": b"x", "s3_output_path_extension": "job-1", "filename": "42.json"}
        accepted.append(endpoint.accept(fields))

    story(tell, naming=NamingRule(extension_on_failures=True))
    story(tell, naming=NamingRule(out_after_filename=True))

    assert "s3://bkt/out/job-1/42.json" == str(accepted[0].output_location)
    assert "s3://bkt/failures/job-1/42-error.out" == str(accepted[0].failure_location)
    assert "s3://bkt/out/job-1/42.json.out" == str(accepted[1].output_location)


def test_the_model_is_told_the_headers_that_a_container_gets():
    """Only those that were sent; an id that the service made up is not forwarded."""

    def handler(body, content_type, accept, headers):
        return json.dumps(headers)

    sent = {"body": b"x", "content_type": "text/csv", "accept": "a/b", "custom_attributes": "t=1", "inference_id": "i"}
    _, objects = story(one_request(**sent), handler)
    _, bare = story(one_request(body=b"x"), handler)

    assert {
        "Content-Type": "text/csv",
        "Accept": "a/b",
        "X-Amzn-SageMaker-Custom-Attributes": "t=1",
        "X-Amzn-SageMaker-Inference-Id": "i",
    } == json.loads(objects["s3://bkt/out/uuid-0.out"][0])
    assert {} == json.loads(bare["s3://bkt/out/uuid-1.out"][0])


def test_a_generated_inference_id_is_forwarded_if_so_chosen():
    """What the service does is unverified, hence a switch."""
    _, objects = story(
        one_request(body=b"x"),
        lambda body, content_type, accept, headers: json.dumps(headers),
        forward_generated_inference_id=True,
    )

    assert {"X-Amzn-SageMaker-Inference-Id": "uuid-0"} == json.loads(objects["s3://bkt/out/uuid-1.out"][0])


class Published(list):
    """Topics that remember; ``broken`` ones cannot be published to."""

    broken = ()

    async def publish(self, topic_arn, message):
        if topic_arn in self.broken:
            raise ConnectionError(topic_arn)
        self.append((topic_arn, json.loads(message)))


TOLD = EndpointConfig(
    endpoint_name="churn",
    s3_output_path="s3://bkt/out",
    s3_failure_path="s3://bkt/failures",
    success_topic="good",
    error_topic="bad",
)


def test_each_request_is_notified_once_to_one_topic():
    """SUCCESS or ERROR, with the times of arrival and end."""
    topics = Published()

    async def tell(endpoint):
        endpoint.accept({"body": b"1", "inference_id": "one"})
        endpoint.accept({"body": b"x", "inference_id": "two"})
        await endpoint.drained()

    story(tell, lambda body, *_: str(int(body)), config=TOLD, topics=topics)
    found = {(topic, message["inferenceId"], message["invocationStatus"]) for topic, message in topics}

    assert {("good", "one", "Completed"), ("bad", "two", "Failed")} == found
    assert {"2023-11-14T22:13:20Z"} == {message["receivedTime"] for _, message in topics}


def test_a_time_out_is_notified_as_a_model_that_gave_no_answer():
    """Seen in a public test: server error (0)."""
    topics = Published()
    story(one_request(body=b"x", invocation_timeout_seconds=10), sleeping(20), config=TOLD, topics=topics)
    ((topic, message),) = topics

    assert "bad" == topic
    assert message["failureReason"].startswith("ClientError: Received server error (0) from model.")
    assert "responseParameters" not in message


@pytest.mark.parametrize("told", [False, True])
@pytest.mark.parametrize(("ending", "always"), [(EXPIRED, False), (TIMED_OUT, True), (UNREADABLE, False)])
def test_an_expired_or_unreadable_request_is_notified_only_if_so_chosen(ending, always, told):
    """What the service does is unverified, hence a switch; a time-out always is, once."""
    topics, (fields, _) = Published(), ending
    unanswered(fields, config=TOLD, topics=topics, notification_without_model_answer=told)

    assert ["Failed"] * (told or always) == [message["invocationStatus"] for _, message in topics]


def test_a_result_may_go_into_the_notification_only():
    """An endpoint without S3OutputPath: no location is promised, and no object is written."""
    topics, accepted = Published(), []
    config = EndpointConfig(
        endpoint_name="churn",
        s3_output_path="",
        success_topic="good",
        include_inference_response_in=frozenset({"SUCCESS_NOTIFICATION_TOPIC"}),
    )

    async def tell(endpoint):
        accepted.append(endpoint.accept({"body": b"x"}))
        await endpoint.drained()

    _, objects = story(tell, config=config, topics=topics)
    ((_, message),) = topics

    assert accepted[0].output_location is None
    assert {} == objects
    assert {"contentType": "application/json"} == message["responseParameters"]
    assert "WA==" == message["responseBody"]["content"]


def test_a_topic_that_cannot_be_published_to_is_counted():
    """The output is there all the same."""
    topics = Published()
    topics.broken = ("good",)
    endpoint, objects = story(one_request(body=b"x"), config=TOLD, topics=topics)

    assert 1 == endpoint.metrics["NotificationFailures"]
    assert 1 == len(objects)


def test_a_container_that_gives_no_answer_leaves_no_object_and_a_notification():
    """The answer has no Content-Length, for instance."""
    topics = Published()

    async def handler(*_):
        raise NoAnswer("no Content-Length")

    endpoint, objects = story(one_request(body=b"x"), handler, config=TOLD, topics=topics)

    assert {} == objects
    assert "server error (0)" in topics[0][1]["failureReason"]
    assert {"InvocationFailures": 1} == endpoint.metrics


def test_a_cold_endpoint_wakes_for_the_first_request():
    """It is served when the cold start is over."""
    none = EndpointConfig(endpoint_name="churn", s3_output_path="s3://bkt/out", instances=0)

    async def tell(endpoint):
        await asyncio.sleep(100)
        endpoint.accept({"body": b"x"})
        await asyncio.sleep(29)
        assert ((0, 1), 1) == (endpoint.instances, endpoint.backlog)
        await endpoint.drained()
        assert 130 == pytest.approx(asyncio.get_running_loop().time(), abs=0.1)
        assert (1, 1) == endpoint.instances

    _, objects = story(tell, config=none, scaling=ScalingRule(cold_start=30))

    assert 1 == len(objects)


def test_a_request_that_waits_longer_for_an_instance_than_it_may_expires():
    """The classic of scale to zero."""
    none = EndpointConfig(endpoint_name="churn", s3_output_path="s3://bkt/out", instances=0)
    endpoint, objects = story(
        one_request(body=b"x", request_ttl_seconds=60), config=none, scaling=ScalingRule(cold_start=300)
    )

    assert {} == objects
    assert 1 == endpoint.metrics["ExpiredRequests"]


def test_an_idle_endpoint_scales_to_zero():
    """And its requests wait again."""

    async def tell(endpoint):
        endpoint.accept({"body": b"x"})
        await endpoint.drained()
        await asyncio.sleep(301)
        assert (0, 0) == endpoint.instances

    story(tell, scaling=ScalingRule(cold_start=30, scale_to_zero_after=300))


@pytest.mark.parametrize("first", [0, 1])
def test_an_endpoint_that_scales_to_zero_wakes_at_once_if_there_is_no_cold_start(first):
    """It was put to sleep by itself, so nobody else would wake it."""
    config = EndpointConfig(endpoint_name="churn", s3_output_path="s3://bkt/out", instances=first)

    async def tell(endpoint):
        for _ in range(2):
            endpoint.accept({"body": b"x"})
            await endpoint.drained()
            await asyncio.sleep(301)
            assert (0, 0) == endpoint.instances

    _, objects = story(tell, config=config, scaling=ScalingRule(scale_to_zero_after=300))

    assert 2 == len(objects)


def test_the_metrics_have_the_names_of_the_service():
    """Counts, times and the backlog; a request that was processed has them all."""
    endpoint, _ = story(one_request(input_location="s3://bkt/in"), objects={"s3://bkt/in": (b"x", None)})
    names = {point.name for point in endpoint.take_points()}

    assert {
        "ApproximateBacklogSize",
        "ApproximateBacklogSizePerInstance",
        "ApproximateAgeOfOldestRequest",
        "HasBacklogWithoutCapacity",
        "InvocationsProcessed",
        "TimeInBacklog",
        "TotalProcessingTime",
        "ModelLatency",
        "RequestDownloadLatency",
        "ResponseUploadLatency",
    } == names


def test_a_backlog_without_capacity_is_one():
    """The metric that a scaling policy wakes the endpoint by."""
    none = EndpointConfig(endpoint_name="churn", s3_output_path="s3://bkt/out", instances=0)

    async def tell(endpoint):
        for _ in range(3):
            endpoint.accept({"body": b"x"})
        await asyncio.sleep(10)

    endpoint, _ = story(tell, config=none)
    last = {point.name: point.maximum for point in endpoint.take_points()}

    assert (1, 3) == (last["HasBacklogWithoutCapacity"], last["ApproximateBacklogSize"])
    assert 10 == pytest.approx(last["ApproximateAgeOfOldestRequest"], abs=0.1)


@pytest.mark.parametrize(("seed", "runs"), [(seed, 2) for seed in range(3)])
def test_the_same_seed_gives_the_same_life(seed, runs):
    """Duplicates, losses and overtakings are where they were the last time."""
    faults = Faults(duplicate=0.2, reorder=0.2, lose_output=0.2, seed=seed)

    async def tell(endpoint):
        for number in range(50):
            endpoint.accept({"body": str(number).encode()})
        await endpoint.drained()

    def play():
        asked, injector = [], Injector(faults)

        async def handler(body, *_):
            asked.append(body)
            await asyncio.sleep(1)
            return body

        _, objects = story(tell, handler, injector=injector)
        return asked, sorted(objects), injector.injected

    first, second = (play() for _ in range(runs))

    assert first == second
    assert 50 + first[2]["duplicate"] == len(first[0])


def test_nobody_waits_for_what_was_dropped():
    """An endpoint that is deleted, or closed, takes its queue with it."""

    async def tell():
        endpoint = AsyncEndpoint(CONFIG, sleeping(1000), Objects({}, []))
        running = asyncio.create_task(endpoint.run())
        endpoint.accept({"body": b"x"})
        await asyncio.sleep(1)
        running.cancel()
        await endpoint.drained()
        return asyncio.get_running_loop().time()

    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        assert 1 == pytest.approx(runner.run(tell()))


def test_the_same_inference_id_twice_is_two_requests():
    """There is no client token, and nobody looks for duplicates."""
    asked = []

    async def tell(endpoint):
        for _ in range(2):
            endpoint.accept({"body": b"x", "inference_id": "row-7"})
        await endpoint.drained()

    _, objects = story(tell, lambda body, *_: asked.append(body) or body)

    assert [b"x", b"x"] == asked
    assert 2 == len(objects)


def test_the_same_filename_twice_is_one_object():
    """S3's own semantics: the later output replaces the earlier."""

    async def tell(endpoint):
        for body in (b"a", b"b"):
            endpoint.accept({"body": body, "filename": "1.out"})
            await endpoint.drained()

    _, objects = story(tell)

    assert {"s3://bkt/out/1.out": (b"B", "application/json")} == objects


def test_hundreds_of_requests_all_come_to_an_end():
    """Half of them fail; none is lost."""

    def handler(body, content_type, accept):
        if int(body) % 2:
            raise ModelError("odd")
        return body

    async def tell(endpoint):
        for number in range(300):
            endpoint.accept({"body": str(number).encode()})
        await endpoint.drained()

    endpoint, objects = story(tell, handler)

    assert 300 == len(objects)
    assert "<AsyncEndpoint 'churn' 0 running, 0 waiting>" == repr(endpoint)
