"""The in-memory endpoint tells what the real client would read from a response."""

from __future__ import annotations

from sm_async_nb.local.endpoint import EndpointConfig
from sm_async_nb.testing import ManualClock, MemoryEndpoint, MemoryStorage


def test_a_location_that_the_endpoint_does_not_have_is_empty():
    """As the header that is not there, and never the word None."""
    clock = ManualClock()
    config = EndpointConfig(endpoint_name="churn", s3_output_path="", success_topic="good")

    async def invoke():
        async with MemoryEndpoint(lambda *_: b"", MemoryStorage(clock.now), clock, config=config) as endpoint:
            return await endpoint.invoke({"body": b"x"})

    accepted = clock.run(invoke())

    assert ("", "") == (accepted.output_location, accepted.failure_location)
