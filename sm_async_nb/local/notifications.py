"""What the service publishes to SNS: the three messages, word for word as they were seen. Pure.

A message is a compact JSON text; SNS puts it into an envelope of its own. ``requestParameters`` holds only what the
caller sent.

UNVERIFIED: that an inline Body leaves ``inputLocation`` out; the place of ``responseBody``, and that a response that is
too large leaves it out, be it for its own limit or for that of SNS; that a failure's ``responseParameters`` holds the
location only; every ``failureReason`` but those about a model's answer.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sm_async_nb.core.locations import S3Location
from sm_async_nb.local.handler import Answer

# "included only if the response size is less than or equal to 128 KB": CreateEndpointConfig.
LARGEST_INCLUDED_RESPONSE_BYTES = 128 * 1024

# SNS refuses a message that is longer: Publish, "Message". Escapes make a text longer than its bytes, in a failure.
LARGEST_MESSAGE_BYTES = 256 * 1024

SUCCESS_NOTIFICATION_TOPIC = "SUCCESS_NOTIFICATION_TOPIC"
ERROR_NOTIFICATION_TOPIC = "ERROR_NOTIFICATION_TOPIC"

_EVENT = {"eventVersion": "1.0", "eventSource": "aws:sagemaker"}
# Published to both topics when an endpoint is created or updated; it has no inferenceId.
TEST_NOTIFICATION = json.dumps({**_EVENT, "eventName": "TestNotification"}, separators=(",", ":"))

_HINT = "Check S3 path location(if configured) or Cloudwatch for additional details."
_LOGS = "See the SageMaker Endpoint logs in your account for more information."
_SENT = {
    "accept": "accept",
    "contentType": "content_type",
    "customAttributes": "custom_attributes",
    "endpointName": "endpoint_name",
    "inputLocation": "input_location",
}
_CLIENT_ERRORS = range(400, 500)


@dataclass(frozen=True, kw_only=True)
class Told:
    """What every message says: whose request it was, where, when it came and when it ended, since the epoch."""

    region_name: str
    endpoint_name: str
    inference_id: str
    fields: Mapping[str, Any]
    received_at: float
    ended_at: float


def completed_message(told: Told, output_location: S3Location | None, answer: Answer, *, with_response: bool) -> str:
    """For the success topic. ``output_location`` is None where the endpoint has no S3OutputPath."""
    where = {} if output_location is None else {"outputLocation": str(output_location)}
    result: dict[str, Any] = {"responseParameters": {"contentType": answer.content_type, **where}}
    if with_response and len(answer.body) <= LARGEST_INCLUDED_RESPONSE_BYTES:
        content = base64.b64encode(answer.body).decode("ascii")
        result["responseBody"] = {"content": content, "message": _HINT, "encoding": "BASE64"}
    return _message(told, {"invocationStatus": "Completed"}, result)


def failed_message(
    told: Told,
    failure_reason: str,
    failure_location: S3Location | None = None,
    answer: Answer | None = None,
    *,
    with_response: bool,
) -> str:
    """For the error topic. ``failure_location`` is None where there is no failure object."""
    result: dict[str, Any] = {}
    if failure_location is not None:
        result["responseParameters"] = {"failureLocation": str(failure_location)}
    if with_response and answer is not None and len(answer.body) <= LARGEST_INCLUDED_RESPONSE_BYTES:
        # Plain text, unlike a success.
        result["responseBody"] = {"content": answer.body.decode("utf-8", "replace"), "message": _HINT}
    return _message(told, {"invocationStatus": "Failed", "failureReason": failure_reason}, result)


def model_failure_reason(status: int) -> str:
    """What a failure says of a model's answer; status 0 means that there was none."""
    whose = "client" if is_client_error(status) else "server"
    return f"ClientError: Received {whose} error ({status}) from model. {_LOGS}"


def is_client_error(status: int) -> bool:
    """Whether a model's answer that is no success is the caller's fault; every other one is the server's."""
    return status in _CLIENT_ERRORS


def timestamp(seconds: float) -> str:
    """``2022-01-25T22:46:00.608Z``, without the zeros at the end: ``...47.73Z`` was seen."""
    moment = datetime.fromtimestamp(seconds, UTC)
    decimals = f".{moment.microsecond // 1000:03d}".rstrip("0").rstrip(".")
    return f"{moment:%Y-%m-%dT%H:%M:%S}{decimals}Z"


def _message(told: Told, status: Mapping[str, str], result: Mapping[str, Any]) -> str:
    sent = {"endpoint_name": told.endpoint_name, **told.fields}
    message = {
        "awsRegion": told.region_name,
        "eventTime": timestamp(told.ended_at),
        "receivedTime": timestamp(told.received_at),
        **status,
        "requestParameters": {name: sent[field] for name, field in _SENT.items() if field in sent},
        **result,
        "inferenceId": told.inference_id,
        **_EVENT,
        "eventName": "InferenceResult",
    }
    text = _json(message)
    if len(text.encode(errors="replace")) <= LARGEST_MESSAGE_BYTES:
        return text
    return _json({name: value for name, value in message.items() if name != "responseBody"})


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
