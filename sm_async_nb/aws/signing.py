"""Requests of one operation, built and signed as the SDK of the session builds and signs them, with less work.

Where each field travels comes from the installed service model, what else is sent comes from the SDK's own request,
and the signature is botocore's public :class:`~botocore.auth.SigV4Auth`, which here does once what is the same for
every request: the key of the day, the path and the host.
"""

from __future__ import annotations

import asyncio
import hmac
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import quote

from botocore.auth import SIGNED_HEADERS_BLACKLIST, SigV4Auth
from botocore.credentials import ReadOnlyCredentials, RefreshableCredentials

from sm_async_nb.core.request import Field

_METHOD = "POST"
_INVOCATION_ID = "amz-sdk-invocation-id"

# Sent and not signed. Whatever else the SDK may come to send besides the fields is not known here, and refused.
_CONSTANT = {"user-agent", "amz-sdk-request"}
_OF_THE_REQUEST = {_INVOCATION_ID, "content-length"}


@dataclass(kw_only=True)
class Request:
    """An HTTP request as botocore's signer takes it."""

    url: str
    headers: dict[str, str]
    body: bytes
    method: str = _METHOD
    params: None = None
    context: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Pattern:
    """How a request of InvokeEndpointAsync looks but for its fields, as :func:`read_pattern` found it."""

    before_name: str
    after_name: str
    constant: Mapping[str, str]
    fields: Mapping[str, Field]

    def request(self, values: Mapping[str, Any]) -> Request:
        """The request that carries these fields, without a signature and what is not signed."""
        headers, body, name = {}, b"", ""
        for key, value in values.items():
            known = self.fields[key]
            if known.location == "header":
                headers[str(known.header)] = str(value)
            elif known.location == "uri":
                name = quote(value, safe="-._~")
            else:
                body = value.encode() if isinstance(value, str) else value
        return Request(url=f"{self.before_name}{name}{self.after_name}", headers=headers, body=body)

    def complete(self, request: Request) -> Request:
        """Add what is sent and not signed."""
        request.headers.update(self.constant)
        request.headers[_INVOCATION_ID] = str(uuid.uuid4())
        return request


def read_pattern(prepared: Any, fields: Mapping[str, Field], name: str) -> Pattern:
    """The pattern of requests, from one that the SDK prepared for an endpoint of this name.

    Raises
    ------
    ValueError
        If that has something in it that is not understood here.
    """
    before, found, after = prepared.url.rpartition(name)
    sent = {key.lower(): _text(value) for key, value in prepared.headers.items()}
    of_fields = {str(known.header).lower() for known in fields.values() if known.location == "header"}
    unknown = sorted(sent.keys() - of_fields - _CONSTANT - _OF_THE_REQUEST)
    if unknown or not found or prepared.method != _METHOD:
        raise ValueError(f"the SDK sends {prepared.method} with {', '.join(unknown) or 'what is expected'}")
    constant = {key: _text(value) for key, value in prepared.headers.items() if key.lower() in _CONSTANT}
    return Pattern(before_name=before, after_name=after, constant=constant, fields=fields)


def is_same(request: Request, prepared: Any) -> bool:
    """Whether a complete request is the one that the SDK prepared, but for the id of the invocation and its length."""
    ours = {key.lower(): value for key, value in request.headers.items()}
    theirs = {key.lower(): _text(value) for key, value in prepared.headers.items()}
    for of_each in _OF_THE_REQUEST:
        ours.pop(of_each, None)
        theirs.pop(of_each, None)
    return (request.method, request.url, request.body, ours) == (
        prepared.method,
        prepared.url,
        prepared.body or b"",
        theirs,
    )


class QuickAuth(SigV4Auth):  # type: ignore[misc]
    """botocore's signer for many requests to few URLs; it signs as botocore's does, in a third of the time.

    What is asked of it twice for each request is laid out once, and kept with the request.
    """

    _LAID_OUT = "headers to sign"

    def __init__(self, credentials: ReadOnlyCredentials | None, signing_name: str, region_name: str) -> None:
        super().__init__(credentials, signing_name, region_name)
        self._of = signing_name, region_name
        self._day, self._key = "", b""
        self._url, self._path, self._query, self._host = "", "", "", ""

    def headers_to_sign(self, request: Any) -> dict[str, str]:
        """Names in lower case and in order, with their values."""
        kept: dict[str, str] | None = request.context.get(self._LAID_OUT)
        if kept is None:
            self._read_url(request)
            found = {name.lower(): value for name, value in request.headers.items()}
            found.setdefault("host", self._host)
            kept = {name: found[name] for name in sorted(found) if name not in SIGNED_HEADERS_BLACKLIST}
            request.context[self._LAID_OUT] = kept
        return kept

    def canonical_headers(self, headers_to_sign: Mapping[str, str]) -> str:
        return "\n".join([f"{name}:{' '.join(value.split())}" for name, value in headers_to_sign.items()])

    def signed_headers(self, headers_to_sign: Mapping[str, str]) -> str:
        return ";".join(headers_to_sign)

    def canonical_request(self, request: Any) -> str:
        request.context.pop(self._LAID_OUT, None)
        headers = self.headers_to_sign(request)
        parts = (
            request.method,
            self._path,
            self._query,
            f"{self.canonical_headers(headers)}\n",
            self.signed_headers(headers),
            headers.get("x-amz-content-sha256") or self.payload(request),
        )
        return "\n".join(parts)

    def signature(self, string_to_sign: str, request: Any) -> str:
        day = request.context["timestamp"][:8]
        if day != self._day:
            self._day, self._key = day, self._key_of(day)
        return hmac.digest(self._key, string_to_sign.encode(), "sha256").hex()

    def _key_of(self, day: str) -> bytes:
        """Source: AWS, Create a signed request, "Calculate the signature"."""
        key = f"AWS4{self.credentials.secret_key}".encode()
        signing_name, region_name = self._of
        for part in (day, region_name, signing_name, "aws4_request"):
            key = hmac.digest(key, part.encode(), "sha256")
        return key

    def _read_url(self, request: Any) -> None:
        if request.url != self._url:
            theirs = SigV4Auth(self.credentials, *self._of)
            _, self._path, self._query, *_ = theirs.canonical_request(request).split("\n")
            self._url, self._host = request.url, theirs.headers_to_sign(request)["host"]


class Signer:
    """Signs with the credentials of a session, which are refreshed in a thread when they are about to expire."""

    def __init__(self, credentials: Any, signing_name: str, region_name: str) -> None:
        self._credentials = credentials
        self._signing_name = signing_name
        self._region_name = region_name
        self._auth = QuickAuth(None, signing_name, region_name)

    @classmethod
    async def of(cls, source: Any, signing_name: str, region_name: str) -> Self:
        """A signer with the credentials of a botocore session, looked up in a thread."""
        return cls(await asyncio.to_thread(source.get_credentials), signing_name, region_name)

    async def sign(self, request: Request) -> None:
        """Add the headers of the signature.

        Raises
        ------
        botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError, RuntimeError
            If there are no credentials, or they cannot be refreshed; see
            :func:`~sm_async_nb.aws.credentials.credentials_error`.
        """
        frozen = await self._frozen()
        if frozen != self._auth.credentials:
            self._auth = QuickAuth(frozen, self._signing_name, self._region_name)
        self._auth.add_auth(request)

    async def _frozen(self) -> ReadOnlyCredentials | None:
        credentials = self._credentials
        if credentials is None:
            return None  # the signer says so in the SDK's own words
        if isinstance(credentials, RefreshableCredentials) and credentials.refresh_needed():
            return await asyncio.to_thread(credentials.get_frozen_credentials)
        return credentials.get_frozen_credentials()


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
