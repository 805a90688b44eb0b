"""InvokeEndpointAsync over the wire, behind a seam of one method."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any, Protocol

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, ParamValidationError

from sm_async_nb.aws.session import Session, known_fields
from sm_async_nb.errors import EndpointNotFoundError, InvocationRefusedError, RequestError, ServiceTroubleError

_THROTTLED = {"ThrottlingException", "Throttling", "TooManyRequestsException", "RequestLimitExceeded", "SlowDown"}
_ACCESS = {"AccessDenied", "AccessDeniedException", "UnrecognizedClientException", "InvalidSignatureException",
           "MissingAuthenticationToken", "OptInRequired"}  # fmt: skip
_CREDENTIALS_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired"}


@dataclass(frozen=True)
class Accepted:
    """What the service answers to a request that it queued (HTTP 202)."""

    inference_id: str
    output_location: str
    failure_location: str
    request_id: str
    http_status: int = HTTPStatus.ACCEPTED


class Runtime(Protocol):
    """The one call of the SageMaker runtime that this package makes."""

    async def invoke(self, fields: Mapping[str, Any]) -> Accepted:
        """Queue one request.

        Raises
        ------
        InvocationRefusedError
            If the service says no to this very request.
        ServiceTroubleError
            If nothing is known about it: throttling, 5xx, expired credentials, the network.
        RequestError
            If no request would be taken: wrong permissions, no such endpoint.
        """


@asynccontextmanager
async def open_runtime(session: Session, *, concurrency: int = 64) -> AsyncIterator[BotoRuntime]:
    """The runtime over boto3, in ``concurrency`` threads that end with the block."""
    config = Config(max_pool_connections=concurrency, retries={"mode": "standard", "total_max_attempts": 1})
    client = await asyncio.to_thread(partial(session.client, "sagemaker-runtime", config=config))
    members = {name: field.member for name, field in known_fields(session).items()}
    threads = ThreadPoolExecutor(concurrency, thread_name_prefix="sm-async-invoke")
    try:
        yield BotoRuntime(client, members, threads)
    finally:
        threads.shutdown(wait=True, cancel_futures=True)
        client.close()


class BotoRuntime:
    """:class:`Runtime` over a boto3 client. botocore does not retry here: the engine does, and counts it."""

    def __init__(self, client: Any, members: Mapping[str, str], threads: ThreadPoolExecutor) -> None:
        self._client = client
        self._members = members
        self._threads = threads

    async def invoke(self, fields: Mapping[str, Any]) -> Accepted:
        arguments = {self._members[name]: value for name, value in fields.items()}
        loop = asyncio.get_running_loop()
        try:
            answer = await loop.run_in_executor(self._threads, partial(self._client.invoke_endpoint_async, **arguments))
        except (BotoCoreError, ClientError) as error:
            raise explain(error, str(fields["endpoint_name"])) from error
        return Accepted(
            inference_id=answer["InferenceId"],
            output_location=answer.get("OutputLocation", ""),
            failure_location=answer.get("FailureLocation", ""),
            request_id=answer["ResponseMetadata"].get("RequestId", ""),
            http_status=answer["ResponseMetadata"]["HTTPStatusCode"],
        )


def explain(error: Exception, endpoint_name: str) -> Exception:
    """The error of this package's own tree for whatever botocore raised."""
    if isinstance(error, NoCredentialsError):
        return RequestError(f"No AWS credentials were found: {error}.")
    if isinstance(error, ParamValidationError):
        return InvocationRefusedError(str(error), code="ParamValidationError", status=0)
    if not isinstance(error, ClientError):
        return ServiceTroubleError(f"InvokeEndpointAsync got no answer: {error}")
    return _explain_answer(error, endpoint_name)


def _explain_answer(error: ClientError, endpoint_name: str) -> Exception:
    response: Any = error.response
    code, said = response.get("Error", {}).get("Code", ""), response.get("Error", {}).get("Message", "")
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    request_id = response.get("ResponseMetadata", {}).get("RequestId", "")
    about = f"InvokeEndpointAsync answered {status} {code}: {said} (AWS request id {request_id or 'unknown'})"
    if code in _THROTTLED or status == HTTPStatus.TOO_MANY_REQUESTS:
        return ServiceTroubleError(about, throttled=True)
    if code in _CREDENTIALS_EXPIRED or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return ServiceTroubleError(about)
    if code in _ACCESS or status == HTTPStatus.FORBIDDEN:
        return RequestError(f"{about}. These credentials need sagemaker:InvokeEndpointAsync on {endpoint_name}.")
    if said.startswith("Endpoint ") and said.rstrip(".").endswith("not found"):
        return EndpointNotFoundError(about)
    return InvocationRefusedError(about, code=code, status=status, request_id=request_id)
