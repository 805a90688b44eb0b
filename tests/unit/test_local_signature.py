"""Signature Version 4, checked against what botocore signs."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from sm_async_nb.local.signature import SignedRequest, read_signature, signature_of, verify
from sm_async_nb.local.wire import Refusal

SECRETS = {"AKID": "secret"}


def signed(secret="secret", service="sagemaker", path="/endpoints/churn/async-invocations", body=b"x", **headers):
    """A request as botocore signs it, as it would arrive."""
    url = f"http://127.0.0.1:1{path}"
    request = AWSRequest("POST", url, data=body, headers={"X-Amzn-SageMaker-Accept": "text/csv", **headers})
    SigV4Auth(Credentials("AKID", secret), service, "us-east-1").add_auth(request)
    arrived = {name.lower(): str(value) for name, value in request.headers.items()}
    parts = urlsplit(url)
    return SignedRequest(
        method="POST", path=parts.path, query=parts.query, headers={"host": parts.netloc, **arrived}, body=body
    )


def now_of(request):
    return datetime.strptime(request.headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()


def check(request, secrets=None, later=0):
    verify(request, read_signature(request), secrets or SECRETS, now_of(request) + later)


def refusal(request, secrets=None, later=0):
    with pytest.raises(Refusal) as refused:
        check(request, secrets, later)
    return refused.value.status, refused.value.code, str(refused.value)


def changed(request, **headers):
    kept = {name: value for name, value in {**request.headers, **headers}.items() if value is not None}
    return SignedRequest(method="POST", path=request.path, query=request.query, headers=kept, body=request.body)


@pytest.mark.parametrize(
    "request_",
    [
        signed(),
        signed(body=b""),
        signed(path="/endpoints/a%20b/async-invocations"),
        signed(path="/endpoints/churn/async-invocations?b=2&a=x%20y&c="),
        signed(**{"X-Amzn-SageMaker-Custom-Attributes": "two  spaces"}),
    ],
)
def test_what_botocore_signs_is_right(request_):
    """Paths are quoted twice, spaces are folded, queries are sorted."""
    given = read_signature(request_)
    verify(request_, given, SECRETS, now_of(request_))

    assert given.signature == signature_of(request_, given, "secret")


def test_no_signature_at_all():
    """curl without --aws-sigv4."""
    expected = (403, "MissingAuthenticationTokenException", "Missing Authentication Token")

    assert expected == refusal(changed(signed(), authorization=None))


@pytest.mark.parametrize(
    ("authorization", "told"),
    [
        ("Basic dXNlcg==", "Authorization header requires 'Credential' parameter."),
        ("AWS4-HMAC-SHA256 Credential=a/b/c/d/aws4_request", "Authorization header requires 'Signature' parameter."),
        (
            "AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature=0",
            "Credential must have exactly 5 slash-delimited elements, got 'a/b'.",
        ),
    ],
)
def test_a_signature_that_is_not_well_formed(authorization, told):
    """Each thing that is missing is named."""
    status, code, message = refusal(changed(signed(), authorization=authorization))

    assert (403, "IncompleteSignatureException") == (status, code)
    assert told in message


def test_a_signature_needs_a_date():
    """It is part of what was signed."""
    request = signed()
    with pytest.raises(Refusal, match="either a 'X-Amz-Date' or a 'Date' header"):
        read_signature(changed(request, **{"x-amz-date": None}))


@pytest.mark.parametrize(
    ("request_", "code", "told"),
    [
        (signed(secret="other"), "InvalidSignatureException", "does not match the signature you provided"),
        (signed(service="s3"), "InvalidSignatureException", "scoped to correct service: 'sagemaker'"),
        (changed(signed(), **{"x-amzn-sagemaker-accept": "a/b"}), "InvalidSignatureException", "does not match"),
    ],
)
def test_a_wrong_signature_is_refused(request_, code, told):
    """The secret, the service, or a header that was changed on the way."""
    status, found, message = refusal(request_)

    assert (403, code) == (status, found)
    assert told in message


def test_a_key_that_nobody_knows():
    """Credentials of another account."""
    expected = (403, "UnrecognizedClientException", "The security token included in the request is invalid.")

    assert expected == refusal(signed(), secrets={"OTHER": "secret"})


@pytest.mark.parametrize("later", [301, -301])
def test_a_clock_that_is_off(later):
    """Five minutes either way."""
    assert "Signature expired" in refusal(signed(), later=later)[2]


def test_date_alone_is_the_time_of_a_signature():
    """A client need not send X-Amz-Date; botocore does not where it is given a Date."""
    request = signed(Date="any")
    given = read_signature(request)
    signed_at = parsedate_to_datetime(request.headers["date"]).timestamp()

    assert "x-amz-date" not in request.headers
    verify(request, given, SECRETS, signed_at + 300)
    with pytest.raises(Refusal, match="Signature expired"):
        verify(request, given, SECRETS, signed_at + 301)


@pytest.mark.parametrize("date", ["yesterday", ""])
def test_a_date_that_is_none_is_refused(date):
    """As one that is too old."""
    request = changed(signed(), **{"x-amz-date": None, "date": date})
    with pytest.raises(Refusal, match="Signature expired"):
        verify(request, read_signature(request), SECRETS, 0)
