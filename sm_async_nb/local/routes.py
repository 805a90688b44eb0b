"""The runtime's operations as an aiohttp application: HTTP in, an answer or a fault out."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from sm_async_nb.local.faults import ConnectionReset, Injector
from sm_async_nb.local.fleet import Fleet
from sm_async_nb.local.invocation_faults import after_enqueue, before_enqueue
from sm_async_nb.local.loopback import reset_on_close
from sm_async_nb.local.signature import SignedRequest, read_signature, verify
from sm_async_nb.local.wire import (
    ACCOUNT_ID,
    Refusal,
    Reply,
    accepted_reply,
    body_too_large,
    endpoint_is_asynchronous,
    installed_fields,
    internal_failure,
    read_request,
    refusal_reply,
    unknown_operation,
)

INVOKE_ENDPOINT_ASYNC = "sagemaker-runtime InvokeEndpointAsync"

# What is too large is refused by the fields' own limits, in the service's words; this only bounds memory.
_LARGEST_BODY_BYTES = 64 * 1024 * 1024


def application(
    fleet: Fleet,
    record: Callable[[str], None],
    injector: Injector,
    secrets: Mapping[str, str] | None = None,
    account_id: str = ACCOUNT_ID,
) -> web.Application:
    """The application.

    Parameters
    ----------
    record
        Told of every InvokeEndpointAsync.
    secrets
        Secret access keys by access key id, to verify signatures with; None only asks that there is a signature.
    account_id
        Whose endpoints they are, which a refusal names.
    """

    async def invoke_endpoint_async(request: web.Request) -> Reply:
        record(INVOKE_ENDPOINT_ASYNC)
        endpoint_name = request.match_info["endpoint_name"]
        body = await _body(request)
        _check_signature(request, body, secrets)
        fields = read_request(installed_fields(), endpoint_name=endpoint_name, headers=request.headers, body=body)
        before_enqueue(injector, fields)
        accepted = await fleet.accept(endpoint_name, fields)
        await after_enqueue(injector, fields)
        return accepted_reply(accepted)

    async def invoke_endpoint(request: web.Request) -> Reply:
        _check_signature(request, await _body(request), secrets)
        raise endpoint_is_asynchronous(request.match_info["endpoint_name"], account_id)

    async def anything_else(request: web.Request) -> Reply:
        raise unknown_operation(request.method, request.path)

    app = web.Application(client_max_size=_LARGEST_BODY_BYTES)
    app.router.add_post("/endpoints/{endpoint_name}/async-invocations", _answering(invoke_endpoint_async))
    app.router.add_post("/endpoints/{endpoint_name}/invocations", _answering(invoke_endpoint))
    app.router.add_route("*", "/{path:.*}", _answering(anything_else))
    return app


async def _body(request: web.Request) -> bytes:
    try:
        return await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise body_too_large(installed_fields()) from None


def _check_signature(request: web.Request, body: bytes, secrets: Mapping[str, str] | None) -> None:
    signed = SignedRequest(
        method=request.method,
        path=request.rel_url.raw_path,
        query=request.rel_url.raw_query_string,
        headers={name.lower(): value for name, value in request.headers.items()},
        body=body,
    )
    signature = read_signature(signed)
    if secrets is not None:
        verify(signed, signature, secrets, time.time())


def _answering(
    operation: Callable[[web.Request], Awaitable[Reply]],
) -> Callable[[web.Request], Awaitable[web.Response]]:
    """Turn an operation into a request handler: whatever it raises is an answer too."""

    async def answer(request: web.Request) -> web.Response:
        try:
            reply = await _reply(operation(request))
        except ConnectionReset:
            _hang_up(request)
            return web.Response(status=500)
        return web.Response(status=reply.status, headers=reply.headers, body=reply.body)

    return answer


async def _reply(coming: Awaitable[Reply]) -> Reply:
    try:
        return await coming
    except Refusal as refusal:
        return refusal_reply(refusal)
    except ConnectionReset:
        raise
    except Exception as error:  # noqa: BLE001 - the caller is told InternalFailure, as the service would
        return refusal_reply(internal_failure(error))


def _hang_up(request: web.Request) -> None:
    # What aiohttp writes afterwards goes nowhere.
    if request.transport is not None:
        reset_on_close(request.transport.get_extra_info("socket"))
        request.transport.abort()
