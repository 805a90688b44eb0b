"""What a boto3 client would send, learnt from the client itself by its public events; nothing leaves the machine.

Region, endpoint URL, user agent, signing name and version, handlers that somebody registered: all of it is resolved by
the SDK, in its own order, and read off a request that is stopped right before it is signed, or sent.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from types import FunctionType
from typing import Any

import botocore
from botocore.client import BaseClient

# What the SDK emits around a call. A handler of somebody else's for any of these may change the call, or watch it.
_EVENTS = (
    "provide-client-params", "before-parameter-build", "before-endpoint-resolution", "before-call", "request-created",
    "choose-signer", "before-sign", "before-send", "response-received", "before-parse", "needs-retry", "after-call",
    "after-call-error",
)  # fmt: skip
_OWN = ("botocore.", "aiobotocore.", "boto3.")

_log = logging.getLogger(__name__)
_told: set[str] = set()


class CannotLearnError(Exception):
    """The SDK is set up, or made, in a way that is not understood here; the message says which."""


@dataclass(frozen=True, kw_only=True)
class Signing:
    """How a call is signed. ``request`` is the SDK's, with all but the signature."""

    request: Any
    region_name: str
    signing_name: str
    signature_version: Any


@dataclass(frozen=True, kw_only=True)
class Wire:
    """How a client gets to the service: whom it trusts, over which proxy, and how long it waits, in seconds."""

    verify: bool | str
    proxy: str | None
    connect_timeout: float | None
    read_timeout: float | None


class _Stopped(Exception):  # noqa: N818 - nothing is wrong, it carries what was seen
    def __init__(self, seen: dict[str, Any]) -> None:
        super().__init__("seen")
        self.seen = seen


def learn_signing(client: Any, operation: str, call: Callable[[], Any]) -> Signing:
    """How ``call`` would be signed; credentials are neither needed nor fetched.

    Raises
    ------
    CannotLearnError
        If it would not be signed at all.
    """
    with _handling(client, operation, {"before-sign": _stop}):
        seen = _stopped(call)
    return Signing(
        request=seen["request"],
        region_name=seen["region_name"],
        signing_name=seen["signing_name"],
        signature_version=seen["signature_version"],
    )


def learn_request(client: Any, operation: str, call: Callable[[], Any]) -> Any:
    """The prepared request that ``call`` would send, but for its signature."""
    with _handling(client, operation, {"choose-signer": lambda **_: botocore.UNSIGNED, "before-send": _stop}):
        return _stopped(call)["request"]


def learn_wire(client: Any, url: str) -> Wire:
    """How this client would reach ``url``.

    Raises
    ------
    CannotLearnError
        If that takes client certificates, settings of a proxy, or an HTTP session that is not botocore's.
    """
    # There is no public way to ask a client for these, and what it was made with decides.
    try:
        http = client._endpoint.http_session  # noqa: SLF001
        verify, proxies, certificate = http._verify, http._proxy_config, http._cert_file  # noqa: SLF001
        proxy, settings = proxies.proxy_url_for(url), proxies.settings
    except AttributeError as error:
        raise CannotLearnError(f"this botocore keeps its HTTP settings elsewhere ({error})") from error
    if certificate:
        raise CannotLearnError("a client certificate is configured")
    if settings:
        raise CannotLearnError("settings of a proxy are configured")
    if proxy is not None and (not proxy.startswith("http://") or "@" in proxy):
        raise CannotLearnError("the proxy is not a plain http:// one without a password")
    config = client.meta.config
    return Wire(
        verify=verify, proxy=proxy, connect_timeout=config.connect_timeout, read_timeout=config.read_timeout
    )  # fmt: skip


def check_handlers(emitter: Any, service: str, operation: str) -> None:
    """Whether the calls of this operation are the SDK's alone.

    Raises
    ------
    CannotLearnError
        If somebody registered a handler, or put something in the place of the SDK's own functions, as tracers and
        mocks do.
    """
    if type(BaseClient._make_api_call) is not FunctionType or BaseClient._make_api_call.__module__ != "botocore.client":  # noqa: SLF001
        raise CannotLearnError("botocore's calls are wrapped by somebody else")
    try:
        handlers = emitter._emitter._handlers  # noqa: SLF001
        found = [handler for event in _EVENTS for handler in handlers.prefix_search(f"{event}.{service}.{operation}")]
    except AttributeError as error:
        raise CannotLearnError(f"this botocore keeps its event handlers elsewhere ({error})") from error
    for handler in found:
        home = getattr(handler, "__module__", None) or type(handler).__module__
        if not f"{home}.".startswith(_OWN) and not _is_idle(handler, home):
            name = getattr(handler, "__qualname__", type(handler).__qualname__)
            raise CannotLearnError(f"the event handler {home}.{name} is registered on the session")


def _is_idle(handler: Any, home: str) -> bool:
    # moto registers its own with every session as soon as it is imported, for a mock_aws that may never come.
    return home == "moto.core.botocore_stubber" and getattr(handler, "enabled", True) is False


def _stop(**seen: Any) -> None:
    raise _Stopped(seen)


def _stopped(call: Callable[[], Any]) -> dict[str, Any]:
    try:
        call()
    except _Stopped as stopped:
        return stopped.seen
    raise CannotLearnError("the SDK did not emit the events that it documents")


class _handling:  # noqa: N801 - reads as a verb after `with`
    """Handlers by event, for one operation of one client, in the block."""

    def __init__(self, client: Any, operation: str, handlers: dict[str, Callable[..., Any]]) -> None:
        self._events = client.meta.events
        service = client.meta.service_model.service_id.hyphenize()
        self._handlers = {f"{event}.{service}.{operation}": handler for event, handler in handlers.items()}

    def __enter__(self) -> None:
        for event, handler in self._handlers.items():
            register = self._events.register_first if event.startswith("choose") else self._events.register_last
            register(event, handler)

    def __exit__(self, *_: object) -> None:
        for event, handler in self._handlers.items():
            self._events.unregister(event, handler)


def tell_once(what: str) -> None:
    """Log at INFO, and not again in this process."""
    if what not in _told:
        _told.add(what)
        _log.info(what)
