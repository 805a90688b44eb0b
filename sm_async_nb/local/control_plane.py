"""What the control plane says of an endpoint: DescribeEndpoint, then DescribeEndpointConfig."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

from botocore.exceptions import ClientError

from sm_async_nb.core.locations import parse_s3_uri
from sm_async_nb.local.invocation import EndpointConfig
from sm_async_nb.local.wire import (
    ACCOUNT_ID,
    endpoint_beyond_s3,
    endpoint_not_asynchronous,
    endpoint_not_found,
    endpoint_without_output_path,
)

# The service chooses an optimal value where the configuration has none, and does not say which.
DEFAULT_MAX_CONCURRENT_INVOCATIONS = 4

# How old an answer may be, so that an endpoint that was deleted or updated is noticed without a call per request.
FRESH_SECONDS = 1.0


class ControlPlane:
    """Looks endpoints up by name, through an aiobotocore ``sagemaker`` client, at most about once a second each.

    ``account_id`` is whose endpoints they are, which a refusal names.
    """

    def __init__(
        self, client: Any, *, account_id: str = ACCOUNT_ID, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._client = client
        self._account_id = account_id
        self._monotonic = monotonic
        self._known: dict[str, tuple[float, EndpointConfig]] = {}
        self._described: dict[str, Mapping[str, Any]] = {}
        self._looking = asyncio.Lock()

    async def endpoint_config(self, endpoint_name: str) -> EndpointConfig:
        """How the endpoint is configured.

        Raises
        ------
        Refusal
            If there is no such endpoint, or it is not asynchronous; neither is remembered.
        """
        config = self._fresh(endpoint_name)
        if config is None:
            # One call for all that ask at the same time.
            async with self._looking:
                config = self._fresh(endpoint_name) or await self._look_up(endpoint_name)
        return config

    def forget(self, endpoint_name: str) -> None:
        """Look the endpoint up again when it is asked for next."""
        self._known.pop(endpoint_name, None)

    def _fresh(self, endpoint_name: str) -> EndpointConfig | None:
        looked_up_at, config = self._known.get(endpoint_name, (float("-inf"), None))
        return config if self._monotonic() - looked_up_at <= FRESH_SECONDS else None

    async def _look_up(self, endpoint_name: str) -> EndpointConfig:
        try:
            endpoint = await self._client.describe_endpoint(EndpointName=endpoint_name)
        except ClientError as error:
            if not _is_unknown(error):
                raise
            raise endpoint_not_found(endpoint_name, self._account_id) from error
        described = await self._describe(endpoint["EndpointConfigName"])
        config = read_config(endpoint_name, described, endpoint, account_id=self._account_id)
        self._known[endpoint_name] = (self._monotonic(), config)
        return config

    async def _describe(self, name: str) -> Mapping[str, Any]:
        try:
            self._described[name] = await self._client.describe_endpoint_config(EndpointConfigName=name)
        except ClientError as error:
            # An endpoint lives on when its configuration is deleted: it is as that said last.
            if name not in self._described or not _is_unknown(error):
                raise
        return self._described[name]


def read_config(
    endpoint_name: str,
    described: Mapping[str, Any],
    endpoint: Mapping[str, Any] | None = None,
    *,
    account_id: str = ACCOUNT_ID,
) -> EndpointConfig:
    """DescribeEndpointConfig's answer, and DescribeEndpoint's, as an :class:`EndpointConfig`.

    Raises
    ------
    Refusal
        If there is no AsyncInferenceConfig, or neither an S3OutputPath nor a SuccessTopic in it, or a path that is not
        in S3.
    """
    asynchronous = described.get("AsyncInferenceConfig")
    if not asynchronous:
        raise endpoint_not_asynchronous(endpoint_name, account_id)
    output = asynchronous["OutputConfig"]
    notified = output.get("NotificationConfig", {})
    if not (output.get("S3OutputPath") or notified.get("SuccessTopic")):
        raise endpoint_without_output_path(endpoint_name)
    for which in ("S3OutputPath", "S3FailurePath"):
        if not _is_writable(output.get(which)):
            raise endpoint_beyond_s3(endpoint_name, which, output[which])
    limit = asynchronous.get("ClientConfig", {}).get("MaxConcurrentInvocationsPerInstance")
    return EndpointConfig(
        endpoint_name=endpoint_name,
        s3_output_path=output.get("S3OutputPath", ""),
        s3_failure_path=output.get("S3FailurePath"),
        instances=_instances(described, endpoint or {}),
        max_concurrent_invocations_per_instance=limit or DEFAULT_MAX_CONCURRENT_INVOCATIONS,
        success_topic=notified.get("SuccessTopic"),
        error_topic=notified.get("ErrorTopic"),
        include_inference_response_in=frozenset(notified.get("IncludeInferenceResponseIn", ())),
        variant_name=described["ProductionVariants"][0]["VariantName"],
        **_region(endpoint or {}),
    )


def _is_unknown(error: ClientError) -> bool:
    return bool(error.response["Error"]["Code"] == "ValidationException")


def _is_writable(path: str | None) -> bool:
    try:
        return not path or bool(parse_s3_uri(path))
    except ValueError:
        return False


def _instances(described: Mapping[str, Any], endpoint: Mapping[str, Any]) -> int:
    # UpdateEndpointWeightsAndCapacities changes the endpoint, not its configuration.
    told = [variant.get("DesiredInstanceCount") for variant in endpoint.get("ProductionVariants", ())]
    desired = [count for count in told if count is not None]
    return sum(desired or [variant.get("InitialInstanceCount", 1) for variant in described["ProductionVariants"]])


def _region(endpoint: Mapping[str, Any]) -> dict[str, str]:
    arn = endpoint.get("EndpointArn")
    return {"region_name": arn.split(":")[3]} if arn else {}
