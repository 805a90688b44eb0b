"""InvokeEndpointAsync over the wire, behind a seam of one method."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import Executor
from contextlib import asynccontextmanager
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError
from botocore.parsers import ResponseParserError

from sm_async_nb.aws.credentials import THROTTLED, credentials_error
from sm_async_nb.aws.learning import CannotLearnError, tell_once
from sm_async_nb.aws.session import Session, known_fields
from sm_async_nb.aws.threads import DaemonThreads
from sm_async_nb.errors import (
    EndpointNotFoundError,
    EndpointNotInServiceError,
    InvocationRefusedError,
    RequestError,
    ServiceTroubleError,
)

if TYPE_CHECKING:
    from sm_async_nb.aws.lean_runtime import Learnt

_ACCESS = {"AccessDenied", "AccessDeniedException", "InvalidSignatureException", "MissingAuthenticationToken",
           "OptInRequired"}  # fmt: skip

# A machine that slept sends what it signed before: the next signature is good again.
_SIGNED_AT_ANOTHER_TIME = re.compile(r"Signature (expired|not yet current)")

# UNVERIFIED: the words of the service. It has been seen to say "not found" of an endpoint that is being created.
_NOT_IN_SERVICE = re.compile(
    r"\bnot (currently )?in ?service\b|\bis in (the )?\S+ (status|state)\b|\bin status\b", re.IGNORECASE
)


# A tuple, since it is made in a quarter of a dataclass's time and of these there is one for each request.
class Accepted(NamedTuple):
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
            If nothing is known about it: throttling, 5xx, the network.
        CredentialsError
            If the credentials are missing or have expired, and the session cannot refresh them.
        EndpointNotFoundError, EndpointNotInServiceError
            If the endpoint is gone, or takes no requests at the moment.
        RequestError
            If no request would be taken: wrong permissions.
        """


@asynccontextmanager
async def open_runtime(session: Session, *, concurrency: int = 64) -> AsyncIterator[Runtime]:
    """The runtime with little CPU, or over boto3 in threads where this session asks for what only boto3 can do.

    Which of the two makes no difference but in speed. The reason for boto3 is logged at INFO, once for each reason.
    """
    # It needs what is defined here.
    from sm_async_nb.aws.lean_runtime import open_lean_runtime

    async with open_boto_runtime(session, concurrency=concurrency) as over_boto3:
        learnt = await over_boto3.learn(session)
        if learnt is None:
            yield over_boto3
            return
        async with open_lean_runtime(session, learnt, concurrency=concurrency) as lean:
            yield lean


@asynccontextmanager
async def open_boto_runtime(session: Session, *, concurrency: int = 64) -> AsyncIterator[BotoRuntime]:
    """The runtime over boto3, in ``concurrency`` threads that end with the block."""
    config = Config(max_pool_connections=concurrency, retries={"mode": "standard", "total_max_attempts": 1})
    client = await _client(session, config)
    members = {name: field.member for name, field in known_fields(session).items()}
    threads = DaemonThreads(concurrency, name="sm-async-invoke")
    try:
        yield BotoRuntime(client, members, threads)
    finally:
        threads.shutdown(wait=True, cancel_futures=True)
        client.close()


async def _client(session: Session, config: Config) -> Any:
    # Some credentials are fetched here already, those of a credential_process for one.
    try:
        return await asyncio.to_thread(partial(session.client, "sagemaker-runtime", config=config))
    except BotoCoreError as error:
        raise credentials_error(error) or error from error


class BotoRuntime:
    """:class:`Runtime` over a boto3 client. botocore does not retry here: the engine does, and counts it."""

    def __init__(self, client: Any, members: Mapping[str, str], threads: Executor) -> None:
        self._client = client
        self._members = members
        self._threads = threads

    async def learn(self, session: Session) -> Learnt | None:
        """What the client would send, or None if it takes the client itself to send it."""
        from sm_async_nb.aws.lean_runtime import learn

        try:
            # In one of the threads, since the user agent also tells what was called in the context of a call.
            return await asyncio.get_running_loop().run_in_executor(self._threads, learn, self._client, session)
        except CannotLearnError as reason:
            tell_once(f"InvokeEndpointAsync is called over boto3, which takes more CPU: {reason}.")
            return None

    async def invoke(self, fields: Mapping[str, Any]) -> Accepted:
        arguments = {self._members[name]: value for name, value in fields.items()}
        loop = asyncio.get_running_loop()
        try:
            answer = await loop.run_in_executor(self._threads, partial(self._client.invoke_endpoint_async, **arguments))
        except (BotoCoreError, ClientError, ResponseParserError) as error:
            raise explain(error, str(fields["endpoint_name"])) from error
        except RuntimeError as error:  # botocore's, for one, when a refresh brought credentials that have expired
            about_credentials = credentials_error(error)
            if about_credentials is None:
                raise
            raise about_credentials from error
        return accepted(answer)


def accepted(answer: Mapping[str, Any]) -> Accepted:
    """What botocore parsed, unless the service did not say it."""
    if "InferenceId" not in answer:  # the page of a proxy, for one
        raise ServiceTroubleError("InvokeEndpointAsync was answered by something else: there is no InferenceId.")
    metadata = answer["ResponseMetadata"]
    return Accepted(
        inference_id=answer["InferenceId"],
        output_location=answer.get("OutputLocation", ""),
        failure_location=answer.get("FailureLocation", ""),
        request_id=metadata.get("RequestId", ""),
        http_status=metadata["HTTPStatusCode"],
    )


def explain(error: Exception, endpoint_name: str) -> Exception:
    """The error of this package's own tree for whatever botocore raised."""
    about_credentials = credentials_error(error)
    if about_credentials is not None:
        return about_credentials
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
    about = f"{error.operation_name} answered {status} {code}: {said} (AWS request id {request_id or 'unknown'})"
    if code in THROTTLED or status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
        return ServiceTroubleError(about, throttled=True)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or _SIGNED_AT_ANOTHER_TIME.match(said):
        return ServiceTroubleError(about)
    if code in _ACCESS or status == HTTPStatus.FORBIDDEN:
        return RequestError(f"{about}. These credentials need sagemaker:InvokeEndpointAsync on {endpoint_name}.")
    if said.startswith("Endpoint "):
        if said.rstrip(".").endswith("not found"):
            return EndpointNotFoundError(about)
        if _NOT_IN_SERVICE.search(said):
            return EndpointNotInServiceError(about)
    return InvocationRefusedError(about, code=code, status=status, request_id=request_id)
