"""The life of a request, on a dictionary for S3 and a clock that jumps to the next timer."""

from __future__ import annotations

import asyncio
import itertools
import json
import selectors
from contextlib import suppress

import pytest

from sm_async_nb.local import Answer, ModelError, NamingRule
from sm_async_nb.local.endpoint import AsyncEndpoint, EndpointConfig

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


def test_a_failure_without_an_answer_may_leave_an_object_if_so_chosen():
    """What the service does is unverified, hence a switch."""
    _, objects = story(
        one_request(body=b"x", invocation_timeout_seconds=10),
        sleeping(20),
        failure_object_without_model_answer=True,
    )
    body, content_type = objects["s3://bkt/failures/uuid-1-error.out"]

    assert "InvocationTimeoutSeconds" in json.loads(body)["message"]
    assert "application/json" == content_type


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


def test_the_request_names_its_objects_as_the_rule_says():
    """S3OutputPathExtension and Filename, on both paths if the rule has it so."""
    accepted = []

    async def tell(endpoint):
        fields = {"body": b"x", "s3_output_path_extension": "job-1", "filename": "42.json"}
        accepted.append(endpoint.accept(fields))

    story(tell, naming=NamingRule(extension_on_failures=True))

    assert "s3://bkt/out/job-1/42.json" == str(accepted[0].output_location)
    assert "s3://bkt/failures/job-1/42-error.out" == str(accepted[0].failure_location)


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
