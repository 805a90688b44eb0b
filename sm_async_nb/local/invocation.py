"""What the parts of an endpoint hand to each other: a configuration, an accepted request, and the world outside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from sm_async_nb.core.locations import S3Location


@dataclass(frozen=True, kw_only=True)
class EndpointConfig:
    """What CreateEndpointConfig says of an asynchronous endpoint, as far as the life of a request depends on it.

    ``s3_output_path`` may be empty where there is a ``success_topic``: the result is in the notification only.
    ``include_inference_response_in`` holds SUCCESS_NOTIFICATION_TOPIC, ERROR_NOTIFICATION_TOPIC, both or neither.
    """

    endpoint_name: str
    s3_output_path: str
    s3_failure_path: str | None = None
    instances: int = 1
    max_concurrent_invocations_per_instance: int = 4
    success_topic: str | None = None
    error_topic: str | None = None
    include_inference_response_in: frozenset[str] = frozenset()
    region_name: str = "us-east-1"
    variant_name: str = "AllTraffic"

    @property
    def slots(self) -> int:
        """How many requests the model is given at the same time."""
        return self.instances * self.max_concurrent_invocations_per_instance

    @property
    def topics(self) -> list[str]:
        """The success topic and the error topic, as far as there are any; one that is both, once."""
        return list(dict.fromkeys(topic for topic in (self.success_topic, self.error_topic) if topic))


class ObjectStore(Protocol):
    """The two S3 verbs the service itself uses. Any exception means that the object could not be had or written."""

    async def get(self, location: S3Location) -> tuple[bytes, str | None]:
        """The object's bytes and its content type."""
        ...

    async def put(self, location: S3Location, body: bytes, content_type: str) -> None:
        """Write the object."""
        ...


class Topics(Protocol):
    """SNS, as far as the service uses it. Any exception means that the message could not be published."""

    async def publish(self, topic_arn: str, message: str) -> None:
        """Publish the message."""
        ...


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """What the 202 says."""

    inference_id: str
    output_location: S3Location | None
    failure_location: S3Location | None


@dataclass(frozen=True, kw_only=True, eq=False)
class Invocation:
    """One accepted request. Two are never equal: the service does not look for duplicates."""

    accepted: Accepted
    fields: Mapping[str, Any]
    received_at: float
