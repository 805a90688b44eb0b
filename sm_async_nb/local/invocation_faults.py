"""The faults of InvokeEndpointAsync: what the caller sees in place of a 202."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from sm_async_nb.errors import RequestError
from sm_async_nb.local.faults import ConnectionReset, Injector
from sm_async_nb.local.wire import Refusal

# switch -> (message, code, status). Of several that strike, the first is told.
_BEFORE = {
    "expired_credentials": ("The security token included in the request is expired", "ExpiredTokenException", 403),
    "throttle": ("Rate exceeded", "ThrottlingException", 429),
    "unavailable": ("The service is unavailable.", "ServiceUnavailable", 503),
    "fail_before_enqueue": ("The request processing has failed because of an unknown error.", "InternalFailure", 500),
}
_AFTER = {
    "fail_after_enqueue": ("The request processing has failed because of an unknown error.", "InternalFailure", 500),
}


def before_enqueue(injector: Injector, request: Mapping[str, object]) -> None:
    """Let a valid request go wrong before it is enqueued.

    Raises
    ------
    Refusal, ConnectionReset
        What the caller is to see.
    """
    try:
        injector.check(request)
    except RequestError as error:
        raise Refusal(str(error)) from error
    _refuse(injector, request, _BEFORE)
    if injector.strikes("reset_before_enqueue", request):
        raise ConnectionReset


async def after_enqueue(injector: Injector, request: Mapping[str, object]) -> None:
    """Let the answer to a request that is enqueued come late, or go wrong; raises as :func:`before_enqueue` does."""
    if injector.strikes("slow", request):
        await asyncio.sleep(injector.faults.slow_seconds)
    _refuse(injector, request, _AFTER)
    if injector.strikes("reset_after_enqueue", request):
        raise ConnectionReset


def _refuse(injector: Injector, request: Mapping[str, object], errors: Mapping[str, tuple[str, str, int]]) -> None:
    for switch, (message, code, status) in errors.items():
        if injector.strikes(switch, request):
            raise Refusal(message, code=code, status=status)
