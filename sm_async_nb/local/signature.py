"""AWS Signature Version 4, as the service checks it: present and well formed, and on request the right one. Pure.

Source: "Create a signed AWS API request" in the IAM user guide. Only the Authorization header is known here; the SDKs
sign nothing of the runtime in the query.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import parse_qsl, quote

from sm_async_nb.local.wire import Refusal

ALGORITHM = "AWS4-HMAC-SHA256"
SERVICE = "sagemaker"

# How far the clock of the caller may be away.
TOLERATED_SECONDS = 5 * 60

_PARAMETER = re.compile(r"(Credential|SignedHeaders|Signature)=([^,\s]*)")
_TIME = "%Y%m%dT%H%M%SZ"
_SCOPE_PARTS = 5


@dataclass(frozen=True, kw_only=True)
class SignedRequest:
    """An HTTP request as it came: the path still quoted, header names in lower case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, kw_only=True)
class Signature:
    """What the Authorization header says. ``scope`` is date/region/service/aws4_request."""

    access_key_id: str
    scope: str
    signed_headers: tuple[str, ...]
    signature: str


def read_signature(request: SignedRequest) -> Signature:
    """The request's signature, which need not be right.

    Raises
    ------
    Refusal
        If there is none, or it is not well formed: 403, in the service's words.
    """
    authorization = request.headers.get("authorization")
    if authorization is None:
        raise Refusal("Missing Authentication Token", code="MissingAuthenticationTokenException", status=403)
    given = dict(_PARAMETER.findall(authorization)) if authorization.startswith(f"{ALGORITHM} ") else {}
    missing = [name for name in ("Credential", "Signature", "SignedHeaders") if not given.get(name)]
    problems = [f"Authorization header requires '{name}' parameter." for name in missing]
    if not ({"x-amz-date", "date"} & set(request.headers)):
        problems.append("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
    access_key_id, _, scope = given.get("Credential", "").partition("/")
    if not missing and (scope.count("/") + 2 != _SCOPE_PARTS or not scope.endswith("/aws4_request")):
        problems.append(f"Credential must have exactly 5 slash-delimited elements, got '{given['Credential']}'.")
    if problems:
        raise Refusal(" ".join(problems), code="IncompleteSignatureException", status=403)
    return Signature(
        access_key_id=access_key_id,
        scope=scope,
        signed_headers=tuple(given["SignedHeaders"].split(";")),
        signature=given["Signature"],
    )


def verify(request: SignedRequest, given: Signature, secrets: Mapping[str, str], now: float) -> None:
    """Check a signature against the keys that may sign.

    Parameters
    ----------
    secrets
        Secret access keys by access key id.
    now
        Seconds since the epoch.

    Raises
    ------
    Refusal
        If the key is unknown, the time is off, or the signature is not the right one.
    """
    if given.access_key_id not in secrets:
        raise Refusal(
            "The security token included in the request is invalid.", code="UnrecognizedClientException", status=403
        )
    if given.scope.split("/")[2] != SERVICE:
        raise _invalid(f"Credential should be scoped to correct service: '{SERVICE}'.")
    signed_at = _signed_at(request)
    if signed_at is None or abs(now - signed_at.timestamp()) > TOLERATED_SECONDS:
        raise _invalid("Signature expired: the request was signed at another time than it was received.")
    if not hmac.compare_digest(signature_of(request, given, secrets[given.access_key_id]), given.signature):
        raise _invalid(
            "The request signature we calculated does not match the signature you provided. Check your AWS Secret "
            "Access Key and signing method. Consult the service documentation for details."
        )


def signature_of(request: SignedRequest, given: Signature, secret_access_key: str) -> str:
    """The signature that the request should have, in hexadecimal digits."""
    key = f"AWS4{secret_access_key}".encode()
    for part in given.scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    canonical = hashlib.sha256(_canonical_request(request, given).encode("utf-8", "surrogateescape")).hexdigest()
    signed_at = _signed_at(request)
    to_sign = "\n".join([ALGORITHM, signed_at.strftime(_TIME) if signed_at else "", given.scope, canonical])
    return hmac.digest(key, to_sign.encode(), "sha256").hex()


def _canonical_request(request: SignedRequest, given: Signature) -> str:
    query = sorted((quote(name, safe="~"), quote(value, safe="~")) for name, value in _query(request.query))
    headers = [f"{name}:{' '.join(request.headers.get(name, '').split())}" for name in given.signed_headers]
    body_hash = request.headers.get("x-amz-content-sha256") or hashlib.sha256(request.body).hexdigest()
    return "\n".join(
        [
            request.method,
            quote(request.path, safe="/~"),  # quoted a second time, as every service but S3 has it
            "&".join(f"{name}={value}" for name, value in query),
            *headers,
            "",
            ";".join(given.signed_headers),
            body_hash,
        ]
    )


def _query(query: str) -> list[tuple[str, str]]:
    return parse_qsl(query, keep_blank_values=True)


def _signed_at(request: SignedRequest) -> datetime | None:
    """The time of X-Amz-Date, or of Date where that is all there is; None if it is no time."""
    try:
        if "x-amz-date" in request.headers:
            return datetime.strptime(request.headers["x-amz-date"], _TIME).replace(tzinfo=UTC)
        date = parsedate_to_datetime(request.headers.get("date", ""))
    except ValueError:
        return None
    return date.astimezone(UTC) if date.tzinfo else date.replace(tzinfo=UTC)


def _invalid(message: str) -> Refusal:
    return Refusal(message, code="InvalidSignatureException", status=403)
