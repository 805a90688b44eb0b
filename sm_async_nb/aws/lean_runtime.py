"""InvokeEndpointAsync with little CPU: botocore's signer over one keep-alive aiohttp session.

boto3 builds, signs, sends and parses a call in about a millisecond of CPU, most of it in layers that this one call
does not need. What the call looks like is learnt from a boto3 client when the runtime is opened, and compared with
what is built here: where the two differ, or where the session is set up in a way that is not understood, boto3 is
used instead. Errors are parsed by botocore and explained by :func:`~sm_async_nb.aws.runtime.explain`.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any

import aiohttp
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    ReadTimeoutError,
    SSLError,
)
from botocore.httpsession import create_urllib3_context, get_cert_path
from botocore.parsers import ResponseParserError, create_parser
from yarl import URL

from sm_async_nb.aws.credentials import credentials_error
from sm_async_nb.aws.learning import (
    CannotLearnError,
    Wire,
    check_handlers,
    learn_request,
    learn_signing,
    learn_wire,
)
from sm_async_nb.aws.runtime import Accepted, accepted, explain
from sm_async_nb.aws.session import Session, botocore_session, known_fields
from sm_async_nb.aws.signing import Pattern, Signer, is_same, read_pattern
from sm_async_nb.core.request import OPERATION, Field

_SERVICE = "sagemaker-runtime"
_NAME = "a-name"
_KEPT_ALIVE = 15.0

# The one whose Authorization header is known to be the same.
_SIGNATURE_VERSION = "v4"


@dataclass(frozen=True, kw_only=True)
class Learnt:
    """All that is needed to call as a boto3 client does."""

    pattern: Pattern
    signing_name: str
    region_name: str
    wire: Wire
    parse: Callable[[dict[str, Any]], dict[str, Any]]


def learn(client: Any, session: Session) -> Learnt:
    """What ``client`` would do, checked against what would be done here. Nothing is sent, and no keys are needed.

    Raises
    ------
    CannotLearnError
        If it would do something else, or something that is not known here.
    """
    check_handlers(client.meta.events, _SERVICE, OPERATION)
    fields = known_fields(session)
    least = {name: value for name, value in _every_field(fields).items() if fields[name].required}
    signing = learn_signing(client, OPERATION, _call(client, fields, least))
    if signing.signature_version != _SIGNATURE_VERSION:
        raise CannotLearnError(f"requests are signed with {signing.signature_version}")
    model = client.meta.service_model.operation_model(OPERATION)
    parser = create_parser(client.meta.service_model.metadata["protocol"])
    return Learnt(
        pattern=_pattern(client, fields, least),
        signing_name=signing.signing_name,
        region_name=signing.region_name,
        wire=learn_wire(client, signing.request.url),
        parse=lambda answer: parser.parse(answer, model.output_shape),
    )


def _pattern(client: Any, fields: Mapping[str, Field], least: Mapping[str, Any]) -> Pattern:
    prepared = learn_request(client, OPERATION, _call(client, fields, least))
    try:
        pattern = read_pattern(prepared, fields, _NAME)
    except ValueError as error:
        raise CannotLearnError(str(error)) from error
    every = _every_field(fields)
    whole = learn_request(client, OPERATION, _call(client, fields, every))
    if not (_is_built(pattern, least, prepared) and _is_built(pattern, every, whole)):
        raise CannotLearnError("the SDK builds its requests in another way")
    return pattern


def _is_built(pattern: Pattern, values: Mapping[str, Any], prepared: Any) -> bool:
    return is_same(pattern.complete(pattern.request(values)), prepared)


def _call(client: Any, fields: Mapping[str, Field], values: Mapping[str, Any]) -> Callable[[], Any]:
    return partial(client.invoke_endpoint_async, **{fields[name].member: value for name, value in values.items()})


def _every_field(fields: Mapping[str, Field]) -> dict[str, Any]:
    """A value for each field, not all of which a service would take together."""
    kinds: dict[str, Any] = {"integer": 3_600, "blob": b"\x00 a"}
    return {name: _NAME if one.location == "uri" else kinds.get(one.type, "a, +b") for name, one in fields.items()}


@asynccontextmanager
async def open_lean_runtime(session: Session, learnt: Learnt, *, concurrency: int) -> AsyncIterator[LeanRuntime]:
    """The runtime over one aiohttp session, on the running loop."""
    wire = learnt.wire
    source = botocore_session(session)
    try:
        signer = await Signer.of(source, learnt.signing_name, learnt.region_name)
    except (BotoCoreError, ClientError) as error:
        raise credentials_error(error) or error from error
    tls = _tls(wire, learnt.pattern.before_name)
    connector = aiohttp.TCPConnector(limit=concurrency, ssl=tls, keepalive_timeout=_KEPT_ALIVE)
    http = aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=wire.connect_timeout, sock_read=wire.read_timeout),
        # What aiohttp would send by itself, and botocore does not.
        headers={"Accept-Encoding": "identity"},
        skip_auto_headers=("Accept", "Content-Type", "User-Agent"),
    )
    async with http:
        yield LeanRuntime(learnt, signer, http)


def _tls(wire: Wire, url: str) -> Any:
    if url.startswith("http://"):
        return True  # nobody shows a certificate, and to read those of the authorities takes longer than many calls
    context = create_urllib3_context()
    if wire.verify:
        context.load_verify_locations(cafile=get_cert_path(wire.verify))
        context.check_hostname = True
    else:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


class LeanRuntime:
    """:class:`~sm_async_nb.aws.runtime.Runtime` without a client of the SDK. Nothing is retried here either."""

    def __init__(self, learnt: Learnt, signer: Signer, http: aiohttp.ClientSession) -> None:
        self._learnt = learnt
        self._signer = signer
        self._http = http

    async def invoke(self, fields: Mapping[str, Any]) -> Accepted:
        try:
            return accepted(await self._answer(fields))
        except (BotoCoreError, ClientError, ResponseParserError) as error:
            raise explain(error, str(fields["endpoint_name"])) from error
        except RuntimeError as error:  # botocore's, for one, when a refresh brought credentials that have expired
            about_credentials = credentials_error(error)
            if about_credentials is None:
                raise
            raise about_credentials from error

    async def _answer(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        pattern = self._learnt.pattern
        request = pattern.request(fields)
        await self._signer.sign(request)
        status, headers, body = await self._sent(pattern.complete(request))
        answer = self._learnt.parse({"status_code": status, "headers": headers, "body": body})
        if status >= HTTPStatus.MULTIPLE_CHOICES:
            raise ClientError(answer, OPERATION)
        return answer

    async def _sent(self, request: Any) -> tuple[int, Any, bytes]:
        url = request.url
        try:
            async with self._http.request(
                request.method,
                URL(url, encoded=True),
                headers=request.headers,
                data=request.body,
                proxy=self._learnt.wire.proxy,
                allow_redirects=False,
            ) as response:
                return response.status, response.headers, await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _as_botocore_says(error, url) from error


def _as_botocore_says(error: Exception, url: str) -> BotoCoreError:
    # In the order of aiohttp's own classes, the narrow ones first.
    if isinstance(error, aiohttp.ServerTimeoutError):
        timed_out = ConnectTimeoutError if str(error).startswith("Connection timeout") else ReadTimeoutError
        return timed_out(endpoint_url=url, error=error)
    if isinstance(error, aiohttp.ClientSSLError):
        return SSLError(endpoint_url=url, error=error)
    if isinstance(error, aiohttp.ClientConnectorError):
        return EndpointConnectionError(endpoint_url=url, error=error)
    return ConnectionClosedError(endpoint_url=url, error=error)
