"""What the local endpoint asks the control plane, and how often."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from botocore.exceptions import ClientError

from sm_async_nb.local.control_plane import ControlPlane, read_config
from sm_async_nb.local.endpoint import EndpointConfig
from sm_async_nb.local.wire import Refusal

VARIANT = {"VariantName": "AllTraffic", "InitialInstanceCount": 2}
OUTPUT = {"S3OutputPath": "s3://bkt/out"}


class Client:
    """The two calls of the ``sagemaker`` client that are made, counted."""

    def __init__(self, config):
        self.config = config
        self.calls = Counter()

    async def describe_endpoint(self, EndpointName):  # noqa: N803
        self.calls["describe_endpoint"] += 1
        await asyncio.sleep(0)
        if self.config is None:
            raise ClientError({"Error": {"Code": "ValidationException"}}, "DescribeEndpoint")
        return {"EndpointConfigName": "config"}

    async def describe_endpoint_config(self, EndpointConfigName):  # noqa: N803
        self.calls["describe_endpoint_config"] += 1
        return self.config


def asynchronous(**config):
    return {"ProductionVariants": [VARIANT], "AsyncInferenceConfig": config}


@pytest.mark.parametrize(
    ("output", "client_config", "expected"),
    [
        (OUTPUT, {}, {}),
        (OUTPUT | {"S3FailurePath": "s3://bkt/bad"}, {}, {"s3_failure_path": "s3://bkt/bad"}),
        (OUTPUT, {"MaxConcurrentInvocationsPerInstance": 7}, {"max_concurrent_invocations_per_instance": 7}),
    ],
)
def test_the_configuration_is_what_create_endpoint_config_was_told(output, client_config, expected):
    """What was left out has a default; the service's own for the concurrency is not known."""
    described = asynchronous(OutputConfig=output, ClientConfig=client_config)
    plain = {"endpoint_name": "churn", "s3_output_path": "s3://bkt/out", "instances": 2}

    assert EndpointConfig(**(plain | expected)) == read_config("churn", described)


@pytest.mark.parametrize(
    ("described", "told"),
    [
        ({"ProductionVariants": [VARIANT]}, "no AsyncInferenceConfig"),
        (asynchronous(OutputConfig={}), "neither an S3OutputPath nor a SuccessTopic"),
    ],
)
def test_an_endpoint_that_cannot_be_invoked_here_says_why(described, told):
    """Without an S3OutputPath the service answers by notification, and without a topic nowhere."""
    with pytest.raises(Refusal, match=told):
        read_config("churn", described)


def test_many_requests_at_once_look_the_endpoint_up_once():
    """One call for all of them."""
    client = Client(asynchronous(OutputConfig=OUTPUT))

    async def ask():
        control_plane = ControlPlane(client)
        await asyncio.gather(*(control_plane.endpoint_config("churn") for _ in range(10)))

    asyncio.run(ask())

    assert {"describe_endpoint": 1, "describe_endpoint_config": 1} == client.calls


def test_an_endpoint_is_looked_up_again_after_a_second():
    """So that an update or a delete is noticed."""
    client = Client(asynchronous(OutputConfig=OUTPUT))

    async def ask():
        now = 0.0
        control_plane = ControlPlane(client, monotonic=lambda: now)
        for now in (0.0, 0.9, 1.5):  # noqa: B007 - the clock above reads it
            await control_plane.endpoint_config("churn")

    asyncio.run(ask())

    assert 2 == client.calls["describe_endpoint"]


def test_an_unknown_endpoint_is_refused():
    """DescribeEndpoint says ValidationException for a name that is not there."""
    with pytest.raises(Refusal, match="Endpoint churn of account 123456789012 not found"):
        asyncio.run(ControlPlane(Client(None)).endpoint_config("churn"))
