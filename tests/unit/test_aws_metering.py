"""The meter sees each call on the wire, and what it costs."""

import pytest

from sm_async_nb.aws.metering import Meter, MeteredRuntime, MeteredStorage
from sm_async_nb.core.locations import S3Location
from sm_async_nb.errors import ServiceTroubleError
from sm_async_nb.testing import ManualClock, MemoryEndpoint, MemoryStorage

HERE = S3Location("bucket", "jobs/a/1")


@pytest.fixture
def scene():
    clock = ManualClock()
    memory, meter = MemoryStorage(clock.now), Meter()
    return clock, memory, meter, MeteredStorage(memory, meter)


def test_each_verb_is_counted_by_its_operation(scene):
    """With the bytes of bodies, also where the answer is a no."""
    clock, _, meter, storage = scene

    async def story():
        await storage.put(HERE, b"12345")
        with pytest.raises(FileExistsError):
            await storage.put(HERE, b"1", create_only=True)
        assert (b"12345", None) == await storage.get(HERE)
        with pytest.raises(FileNotFoundError):
            await storage.get(HERE.child("none"))
        assert await storage.head(HERE.child("none")) is None
        assert ["a"] == await storage.directories(S3Location("bucket", "jobs"))

    clock.run(story())
    expected = {"PutObject": 2, "GetObject": 2, "HeadObject": 1, "ListObjectsV2": 1}
    assert (expected, 6, 5) == (meter.calls, meter.bytes_sent, meter.bytes_received)
    assert 0.005 / 1_000 * 3 + 0.0004 / 1_000 * 3 == pytest.approx(meter.s3_fee)


@pytest.mark.parametrize(("objects", "pages"), [(0, 1), (1_000, 1), (1_001, 2), (2_500, 3)])
def test_each_page_of_a_listing_is_a_call(scene, objects, pages):
    """And the end of the last one is none."""
    clock, memory, meter, storage = scene
    for number in range(objects):
        memory.objects[S3Location("bucket", f"x/{number:05d}")] = (b"", None, 0.0)

    async def story():
        return [len(page) async for page in storage.list(S3Location("bucket", "x/"))]

    sizes = clock.run(story())

    assert (objects, pages, pages) == (sum(sizes), meter.calls["ListObjectsV2"], memory.calls["list"])


def test_deletes_are_counted_as_they_are_sent(scene):
    """A thousand at a time; they cost nothing."""
    clock, memory, meter, storage = scene

    clock.run(storage.delete([S3Location("bucket", str(number)) for number in range(2_001)]))

    assert ({"DeleteObjects": 3}, 0.0, 2_001) == (meter.calls, meter.s3_fee, memory.calls["delete"])


def test_trouble_is_counted_and_passed_on(scene):
    """Throttles among it; a call that did not get through is a call."""
    clock, memory, meter, storage = scene

    def trouble(verb, _location):
        raise ServiceTroubleError(verb, throttled=verb == "get")

    async def pages():
        return [page async for page in storage.list(HERE)]

    memory.intercept = trouble
    for work in (storage.put(HERE, b"1"), storage.get(HERE), storage.head(HERE), pages()):
        with pytest.raises(ServiceTroubleError):
            clock.run(work)

    expected = {"PutObject": 1, "GetObject": 1, "HeadObject": 1, "ListObjectsV2": 1}
    assert (expected, 4, 1) == (meter.calls, meter.troubled, meter.throttled)


def test_invocations_are_counted_with_what_they_carry_inline():
    """They cost no S3 request."""
    clock = ManualClock()
    storage, meter = MemoryStorage(clock.now), Meter()

    async def story():
        async with MemoryEndpoint(lambda body, *_: body, storage, clock) as endpoint:
            runtime = MeteredRuntime(endpoint, meter)
            await runtime.invoke({"endpoint_name": "memory", "input_location": "s3://bucket/in", "inference_id": "a"})
            endpoint.intercept = _throttled
            with pytest.raises(ServiceTroubleError):
                await runtime.invoke({"endpoint_name": "memory", "body": b"123", "inference_id": "b"})

    clock.run(story())

    assert {"InvokeEndpointAsync": 2} == meter.calls
    assert (3, 1, 1, 0.0) == (meter.bytes_sent, meter.troubled, meter.throttled, meter.s3_fee)


def _throttled(_fields):
    raise ServiceTroubleError("429", throttled=True)
