"""An asynchronous endpoint as it was described, and what a user reads about it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape

from sm_async_nb.core.locations import S3Location

# Requests are taken, and queued, in these states; the others take none.
_TAKES_REQUESTS = {"InService", "Updating", "SystemUpdating", "RollingBack", "UpdateRollbackFailed"}

_CONSOLES = {
    "cn-": "https://{region}.console.amazonaws.cn",
    "us-gov-": "https://{region}.console.amazonaws-us-gov.com",
    "": "https://{region}.console.aws.amazon.com",
}


@dataclass(frozen=True, kw_only=True, repr=False)
class Endpoint:
    """An asynchronous endpoint, as DescribeEndpoint and DescribeEndpointConfig tell of it.

    ``instances`` is 0 while an endpoint that scales to zero is asleep, and None where it is not told;
    ``desired_instances`` is how many there are to be. ``max_concurrent_invocations_per_instance`` is None where the
    service chooses it. ``backlog`` counts the requests that wait or are being worked on, by CloudWatch's
    ApproximateBacklogSize; None where it is not known. ``described_at`` is in seconds since the epoch;
    ``service_url`` is who told all this.
    """

    endpoint_name: str
    endpoint_status: str
    s3_output_path: S3Location | None
    s3_failure_path: S3Location | None = None
    instances: int | None = None
    desired_instances: int | None = None
    max_concurrent_invocations_per_instance: int | None = None
    success_topic: str | None = None
    error_topic: str | None = None
    kms_key_id: str | None = None
    failure_reason: str | None = None
    endpoint_arn: str = ""
    region_name: str = ""
    backlog: int | None = None
    described_at: float | None = None
    service_url: str = ""

    @property
    def is_in_service(self) -> bool:
        """Whether it takes requests, which it also does while it is updated."""
        return self.endpoint_status in _TAKES_REQUESTS

    @property
    def is_asleep(self) -> bool:
        """Whether it has no instance, so that a first request has to wait for one."""
        return self.instances == 0

    @property
    def console_url(self) -> str:
        """Its page in the AWS console; empty for an endpoint that is not in AWS, as a local one."""
        # Nobody talks to AWS itself without TLS, and to a local endpoint nobody with it.
        if self.service_url.startswith("http://"):
            return ""
        console = next(address for prefix, address in _CONSOLES.items() if self.region_name.startswith(prefix))
        region = self.region_name
        return f"{console.format(region=region)}/sagemaker/home?region={region}#/endpoints/{self.endpoint_name}"

    def __str__(self) -> str:
        return " ".join([f"Endpoint {self.endpoint_name} {_state(self)}.", *_told(self)])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        name, url = escape(self.endpoint_name), escape(self.console_url)
        name = f'<a href="{url}" target="_blank">{name}</a>' if url else name
        return f"<p>Endpoint {name} {escape(' '.join([f'{_state(self)}.', *_told(self)]))}</p>"


def warning_without_failure_path(endpoint: Endpoint, seconds: float) -> str:
    """What it means that an endpoint has no S3FailurePath.

    ``seconds`` is how long a request is waited for: its TTL, its time-out and a grace.
    """
    topic = endpoint.error_topic
    follow = (
        f"subscribe an SQS queue to its error topic {topic} and pass tracker='sqs:<queue url>'"
        if topic
        else "give it an error topic and pass tracker='sqs:<queue url>'"
    )
    return (
        f"Endpoint {endpoint.endpoint_name!r} has no S3FailurePath: a request on which the model fails leaves no object"
        f" in S3. It stays accepted for {_minutes(seconds)} and then counts as expired, without the model's words."
        f" Give the endpoint's configuration an S3FailurePath; or {follow}; or make request_ttl_seconds and"
        " invocation_timeout_seconds shorter."
    )


def _state(endpoint: Endpoint) -> str:
    if not endpoint.is_in_service:
        reason = f": {endpoint.failure_reason.rstrip('.')}" if endpoint.failure_reason else ""
        return f"takes no requests, it is {endpoint.endpoint_status}{reason}"
    status = "in service" if endpoint.endpoint_status == "InService" else f"in service ({endpoint.endpoint_status})"
    return f"is {status}{_awake(endpoint)}"


def _awake(endpoint: Endpoint) -> str:
    if endpoint.instances is None:
        return ""
    of = _of_desired(endpoint)
    if endpoint.is_asleep:
        return f", asleep: 0{of or ' instances'}, first answers in minutes"
    return f", awake: {endpoint.instances}{of or _instances(endpoint.instances)}"


def _of_desired(endpoint: Endpoint) -> str:
    desired = endpoint.desired_instances
    return "" if desired in {None, endpoint.instances} else f" of {desired}{_instances(desired)}"


def _instances(number: int | None) -> str:
    return " instance" if number == 1 else " instances"


def _told(endpoint: Endpoint) -> Iterator[str]:
    """One sentence for each thing that is known, and for each that is missing and will be missed."""
    if endpoint.max_concurrent_invocations_per_instance is not None:
        yield f"An instance works on {endpoint.max_concurrent_invocations_per_instance} requests at a time."
    if endpoint.backlog is not None:
        requests = "request" if endpoint.backlog == 1 else "requests"
        yield f"Backlog: {endpoint.backlog:,} {requests} in CloudWatch's last minute."
    yield f"Outputs: {endpoint.s3_output_path or 'not written to S3'}."
    yield f"Failures: {endpoint.s3_failure_path or 'not written to S3'}."
    if endpoint.kms_key_id:
        yield f"Encrypted with {endpoint.kms_key_id}."
    topics = {"success": endpoint.success_topic, "error": endpoint.error_topic}
    told = [f"{name} {topic}" for name, topic in topics.items() if topic]
    yield f"Topics: {', '.join(told)}." if told else "No topics."
    if endpoint.described_at is not None:
        yield f"Seen at {datetime.fromtimestamp(endpoint.described_at, UTC):%Y-%m-%d %H:%M:%S} UTC."


def _minutes(seconds: float) -> str:
    minutes = round(seconds / 60)
    return "1 minute" if minutes == 1 else f"{minutes:,} minutes"
