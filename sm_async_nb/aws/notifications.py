"""What the service publishes about each request, from SNS by way of an SQS queue: a second source of the same facts.

A notification may come twice, late or never, and in any order; S3 has the last word. Several jobs may share a queue:
each deletes only the messages that it knows as its own, and the others come again for those whom they are meant for.

Source: the developer guide, "Check Prediction Results", and the queue's own rules in ReceiveMessage.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Protocol
from urllib.parse import urlsplit

import orjson
from aiobotocore.config import AioConfig
from botocore.exceptions import BotoCoreError, ClientError

from sm_async_nb.aws.credentials import THROTTLED, credentials_error
from sm_async_nb.aws.session import Session, aio_session
from sm_async_nb.errors import RequestError, ServiceTroubleError

_CONFIG = AioConfig(retries={"mode": "standard", "total_max_attempts": 3})
_AT_A_TIME = 10
_LONGEST_WAIT = 20
_STATUSES = {"Completed": True, "Failed": False}

_ACCESS_DENIED = {"AccessDenied", "AccessDeniedException", "KmsAccessDenied", "KMS.AccessDeniedException",
                  "InvalidSecurity", "MissingAuthenticationToken"}  # fmt: skip
_NO_SUCH_QUEUE = {"AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist", "InvalidAddress"}

_AWS_HOST = re.compile(
    r"(?:sqs(?:-fips)?\.)?(?P<region>[a-z]{2}(?:-[a-z]+)+-\d)(?:\.queue)?\.(?:amazonaws\.com(?:\.cn)?|api\.aws)"
    r"|(?P<oldest>queue\.amazonaws\.com)"
)
_OLDEST_REGION = "us-east-1"


@dataclass(frozen=True, kw_only=True)
class Notification:
    """What one message says of one request.

    ``at`` is when it ended, in seconds since the epoch. ``body`` is the answer itself, or the model's words about a
    failure, where the endpoint includes them (IncludeInferenceResponseIn). ``receipt`` is what deletes the message.
    """

    succeeded: bool
    inference_id: str
    at: float
    output_location: str = ""
    failure_location: str = ""
    failure_reason: str = ""
    body: bytes | None = field(default=None, repr=False)  # the service marks it as sensitive
    content_type: str | None = None
    receipt: str = field(default="", repr=False)


class Notifications(Protocol):
    """A queue that an endpoint's topics are subscribed to."""

    async def receive(self, wait_seconds: int = 20) -> list[Notification]:
        """Up to ten notifications; waits for the first as long as is said, 20 seconds at most."""

    async def done(self, notifications: Sequence[Notification]) -> None:
        """Delete the messages of these; what is not deleted comes again."""


def read_notification(message_body: str) -> Notification | None:
    """What a message says, in SNS's envelope or delivered raw.

    None for whatever else lies in a queue: a test notification, a message of somebody else's, a broken one.
    """
    message, sent_at = _unwrapped(_mapping(message_body))
    inference_id = _text(message.get("inferenceId"))
    succeeded = _STATUSES.get(_text(message.get("invocationStatus")))
    at = _first_time(message.get("eventTime"), message.get("receivedTime"), sent_at)
    if message.get("eventSource") != "aws:sagemaker" or not inference_id or succeeded is None or at is None:
        return None
    answer = _mapping(message.get("responseParameters"))
    return Notification(
        succeeded=succeeded,
        inference_id=inference_id,
        at=at,
        output_location=_text(answer.get("outputLocation")),
        failure_location=_text(answer.get("failureLocation")),
        failure_reason=_text(message.get("failureReason")),
        body=_body(_mapping(message.get("responseBody")), succeeded=succeeded),
        content_type=_text(answer.get("contentType")) or None,
    )


def _unwrapped(message: dict[str, Any]) -> tuple[dict[str, Any], Any]:
    """The message inside SNS's envelope, and when SNS sent it."""
    if message.get("Type") == "Notification":
        return _mapping(message.get("Message")), message.get("Timestamp")
    return message, None


def _mapping(value: Any) -> dict[str, Any]:
    if isinstance(value, str):
        try:
            value = orjson.loads(value)
        except orjson.JSONDecodeError:
            return {}
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _first_time(*times: Any) -> float | None:
    """The first of these that is a time, in seconds since the epoch."""
    for time in times:
        try:
            read = datetime.fromisoformat(time)
        except (TypeError, ValueError):
            continue
        return (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()
    return None


def _body(response: dict[str, Any], *, succeeded: bool) -> bytes | None:
    """Base64 in a success, plain text in a failure; nothing where it cannot be read, since S3 has it too."""
    content = _text(response.get("content"))
    if not content:
        return None
    if not succeeded:
        return content.encode()
    try:
        return base64.b64decode(content, validate=True)
    except (binascii.Error, ValueError):
        return None


@asynccontextmanager
async def open_notifications(session: Session, queue_url: str) -> AsyncIterator[SqsNotifications]:
    """The queue at this URL, which may be another account's or region's, or an emulator's.

    Raises
    ------
    RequestError
        If that is no URL of a queue.
    CredentialsError
        If the session has none, or cannot get them.
    """
    place = queue_place(queue_url)
    async with AsyncExitStack() as resources:
        yield SqsNotifications(await _client(resources, session, place), queue_url)


async def _client(resources: AsyncExitStack, session: Session, place: dict[str, str]) -> Any:
    # Some credentials are fetched here already, those of a credential_process for one.
    try:
        return await resources.enter_async_context(aio_session(session).create_client("sqs", config=_CONFIG, **place))
    except BotoCoreError as error:
        raise credentials_error(error) or error from error


def queue_place(queue_url: str) -> dict[str, str]:
    """Where a client must go to reach a queue: its region, or its own endpoint where the host is not AWS's.

    Raises
    ------
    RequestError
        If it is no URL of a queue.
    """
    try:
        parts = urlsplit(queue_url)
    except (AttributeError, TypeError, ValueError):
        parts = urlsplit("")
    if parts.scheme not in {"http", "https"} or not parts.hostname or not parts.path.strip("/"):
        raise RequestError(
            "The URL of a queue looks like https://sqs.eu-west-1.amazonaws.com/123456789012/name, got"
            f" {queue_url!r}. Nothing was sent."
        )
    host = _AWS_HOST.fullmatch(parts.hostname)
    if host is None:
        return {"endpoint_url": f"{parts.scheme}://{parts.netloc}"}
    return {"region_name": host["region"] or _OLDEST_REGION}


class SqsNotifications:
    """:class:`Notifications` over an aiobotocore client of SQS."""

    def __init__(self, client: Any, queue_url: str) -> None:
        self._client = client
        self._queue_url = queue_url

    async def receive(self, wait_seconds: int = 20) -> list[Notification]:
        answer = await self._call(
            "sqs:ReceiveMessage",
            self._client.receive_message,
            MaxNumberOfMessages=_AT_A_TIME,
            WaitTimeSeconds=max(min(wait_seconds, _LONGEST_WAIT), 0),
        )
        read = ((one["ReceiptHandle"], read_notification(one["Body"])) for one in answer.get("Messages", ()))
        return [replace(notification, receipt=receipt) for receipt, notification in read if notification]

    async def done(self, notifications: Sequence[Notification]) -> None:
        """Delete the messages of these. One that SQS could not delete comes again, as a duplicate."""
        for start in range(0, len(notifications), _AT_A_TIME):
            batch = notifications[start : start + _AT_A_TIME]
            entries = [{"Id": str(number), "ReceiptHandle": one.receipt} for number, one in enumerate(batch)]
            await self._call("sqs:DeleteMessage", self._client.delete_message_batch, Entries=entries)

    async def _call(self, permission: str, call: Any, **arguments: Any) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = await call(QueueUrl=self._queue_url, **arguments)
        except Exception as error:
            raise explain(error, permission, self._queue_url) from error
        return answer


def explain(error: Exception, permission: str, queue_url: str) -> Exception:
    """The error of this package's own tree for whatever botocore or the network raised."""
    about_credentials = credentials_error(error)
    if about_credentials is not None:
        return about_credentials
    if not isinstance(error, ClientError):
        return ServiceTroubleError(f"SQS did not answer for {queue_url}: {type(error).__name__}: {error}")
    response: Any = error.response
    code, said = str(response.get("Error", {}).get("Code", "")), response.get("Error", {}).get("Message") or ""
    if code in _NO_SUCH_QUEUE:
        return RequestError(f"There is no queue at {queue_url} ({code}). Check its name, its account and its region.")
    if code in _ACCESS_DENIED:
        return RequestError(
            f"SQS refused {permission} on {queue_url}: {said} These credentials need sqs:ReceiveMessage and"
            " sqs:DeleteMessage there, and kms:Decrypt if the queue is encrypted."
        )
    return ServiceTroubleError(f"SQS did not answer for {queue_url}: {code}: {said}", throttled=code in THROTTLED)
