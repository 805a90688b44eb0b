"""The quick signer signs as botocore's does; whoever verifies a signature cannot tell them apart."""

import pytest
from botocore.auth import SigV4Auth
from botocore.credentials import ReadOnlyCredentials
from hypothesis import given
from hypothesis import strategies as st

from sm_async_nb.aws.signing import QuickAuth, Request

KEYS = ReadOnlyCredentials("key", "secret", "token")
URL = "https://runtime.sagemaker.eu-west-1.amazonaws.com/endpoints/churn/async-invocations"
URLS = [
    URL,
    "http://127.0.0.1:8080/endpoints/a-b/async-invocations",
    "https://example.com:443/a//b/./c%20d/~x?b=2&a=1&a=0",
    "http://[::1]:9/x",
    "https://HOST.example.com/",
]
names = st.sampled_from(["X-Amzn-SageMaker-Filename", "content-type", "Accept", "User-Agent", "Expect", "x-z", "Host"])
values = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30)


def request_of(url=URL, headers=None, body=b"", timestamp="20260102T030405Z"):
    headers = {"X-Amz-Date": timestamp, **(headers or {})}
    return Request(url=url, headers=headers, body=body, context={"timestamp": timestamp})


def signed_by(auth, request):
    """All that goes into an Authorization header."""
    to_sign = auth.string_to_sign(request, auth.canonical_request(request))
    names = auth.signed_headers(auth.headers_to_sign(request))
    return to_sign, names, auth.scope(request), auth.signature(to_sign, request)


def both(request, keys=KEYS):
    classes = (SigV4Auth, QuickAuth)
    return [signed_by(kind(keys, "sagemaker", "eu-west-1"), request) for kind in classes]


@given(st.sampled_from(URLS), st.dictionaries(names, values), st.binary(max_size=40))
def test_any_request_is_signed_as_botocore_signs_it(url, headers, body):
    """Blanks inside a value, headers that are not signed, ports, queries and paths that are written oddly."""
    theirs, ours = both(request_of(url, headers, body))

    assert theirs == ours


def test_one_signer_signs_many_requests_to_many_places_on_many_days():
    """What it keeps is kept for the same place and the same day only."""
    auth = QuickAuth(KEYS, "sagemaker", "eu-west-1")
    requests = [
        request_of(url, {"x-n": str(number)}, timestamp=f"202601{day}T235959Z")
        for number, (url, day) in enumerate([(url, day) for day in ("02", "03", "02") for url in (*URLS, URL)])
    ]
    ours = [signed_by(auth, request) for request in requests]

    assert [both(request)[0] for request in requests] == ours


@pytest.mark.parametrize("token", ["token", None])
def test_a_request_that_is_signed_again_is_signed_anew(token):
    """Nothing of the first signature is left in the second; a token is signed where there is one."""
    auth, request = QuickAuth(KEYS._replace(token=token), "sagemaker", "eu-west-1"), request_of()
    auth.add_auth(request)
    first = dict(request.headers)
    request.headers["X-More"] = "1"
    auth.add_auth(request)

    assert ("x-amz-security-token" in first["Authorization"]) == (token is not None)
    assert "x-more" not in first["Authorization"]
    assert "x-more" in request.headers["Authorization"]
