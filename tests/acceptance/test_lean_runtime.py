"""The lean InvokeEndpointAsync says what boto3 says, byte for byte, or leaves it to boto3."""

import asyncio
import contextvars
import json
import random
import re
import ssl
import string
import time
from datetime import UTC, datetime, timedelta

import boto3
import botocore.session
import pytest
from acceptance.aws_answers import answering
from acceptance.recording import recording, session_at, session_of
from botocore.credentials import RefreshableCredentials

from sm_async_nb.aws import learning
from sm_async_nb.aws.lean_runtime import LeanRuntime
from sm_async_nb.aws.runtime import BotoRuntime, open_boto_runtime, open_runtime
from sm_async_nb.aws.session import botocore_session, known_fields
from sm_async_nb.errors import CredentialsError, ServiceTroubleError
from sm_async_nb.local import LocalEndpoint
from sm_async_nb.local.signature import SignedRequest, read_signature, signature_of, verify

FIELDS = {"endpoint_name": "churn", "input_location": "s3://bucket/a"}

# They say when and which, and so do the signatures over them.
_OF_EACH_CALL = {"x-amz-date", "authorization", "amz-sdk-invocation-id"}


async def each(open_one, session, requests):
    """What the runtime answers to each of the requests, one after the other."""
    async with open_one(session) as runtime:
        return [await runtime.invoke(fields) for fields in requests]


async def kind_of(session):
    async with open_runtime(session) as runtime:
        return type(runtime)


def some_requests(session, number):
    """Requests with any of the fields that the SDK knows, and with what is awkward in each of them."""
    known = known_fields(session)
    dice = random.Random(8)
    text = string.ascii_letters + string.digits + " ,+;=/:@!?*'\"()[]{}<>%&#~^|\\`$_-."
    for _ in range(number):
        yield {
            name: _some_value(dice, field, text)
            for name, field in known.items()
            if field.required or name == "endpoint_name" or dice.random() < 0.5
        }


def _some_value(dice, field, text):
    if field.type == "integer":
        return dice.randint(field.minimum, field.maximum)
    if field.type == "blob":
        return dice.randbytes(dice.choice([0, 1, 50, 5_000]))
    if field.location == "uri":
        return "".join(dice.choices(string.ascii_letters + string.digits + "-", k=dice.choice([1, 8, 63])))
    return "".join(dice.choices(text, k=dice.choice([1, 3, 40, 600])))


def comparable(recorded):
    headers = [(name, _in_order(name, value)) for name, value in recorded.headers if name not in _OF_EACH_CALL]
    signed = dict(recorded.headers)["authorization"].partition("SignedHeaders=")[2].partition(",")[0]
    return recorded.method, recorded.target, headers, recorded.body, signed


def _in_order(name, value):
    """The user agent tells what was used as m/A,b,C, in the order of a set."""
    return re.sub(r"(?<= m/)\S+", lambda used: "".join(sorted(used[0])), value) if name == "user-agent" else value


def known_session(tmp_path, url):
    """A session that knows its keys already: whoever makes it look them up says so in the user agent."""
    session = session_at(tmp_path, url)
    contextvars.Context().run(session.get_credentials)
    return session


def as_signed(recorded):
    return SignedRequest(
        method=recorded.method, path=recorded.target, query="", headers=dict(recorded.headers), body=recorded.body
    )


def test_a_thousand_requests_are_those_of_boto3(tmp_path):
    """Method, path, every header and the body; and each signature is the right one for what was sent."""
    with recording() as (url, came):
        session = known_session(tmp_path, url)
        requests = list(some_requests(session, 1_000))

        theirs = asyncio.run(each(open_boto_runtime, session, requests))
        ours = asyncio.run(each(open_runtime, session, requests))
        assert LeanRuntime is asyncio.run(kind_of(session))

    assert theirs == ours
    assert 2_000 == len(came)
    for theirs, ours in zip(came[:1_000], came[1_000:], strict=True):
        assert comparable(theirs) == comparable(ours)
    for recorded in came:
        verify(as_signed(recorded), read_signature(as_signed(recorded)), {"k": "s"}, time.time())


def test_each_call_has_an_id_of_its_own(tmp_path):
    """By which AWS tells a call from its repetition."""
    with recording() as (url, came):
        asyncio.run(each(open_runtime, session_at(tmp_path, url), [FIELDS] * 3))

    assert 3 == len({dict(recorded.headers)["amz-sdk-invocation-id"] for recorded in came})


def test_calls_share_their_connections(tmp_path):
    """As many as run at a time, and no more: a connection costs three journeys."""
    with answering(202, b'{"InferenceId":"i"}') as service:

        async def story():
            async with open_runtime(session_at(tmp_path, service.url), concurrency=4) as runtime:
                for _ in range(3):
                    await asyncio.gather(*(runtime.invoke(FIELDS) for _ in range(10)))
                return len(runtime._http.connector._conns), sum(map(len, runtime._http.connector._conns.values()))

        hosts, connections = asyncio.run(story())

    assert 1 == hosts
    assert 1 <= connections <= 4


# What the session says


def test_a_session_token_is_sent_and_signed(tmp_path):
    """Of credentials that last for hours, as roles have them."""
    with recording() as (url, came):
        session = session_of(
            tmp_path,
            "[default]\naws_access_key_id = k\naws_secret_access_key = s\naws_session_token = t\n"
            f"services = here\n[services here]\nsagemaker_runtime =\n  endpoint_url = {url}\n",
        )
        asyncio.run(each(open_runtime, session, [FIELDS]))

    given = read_signature(as_signed(came[0]))
    assert "t" == dict(came[0].headers)["x-amz-security-token"]
    assert "x-amz-security-token" in given.signed_headers
    assert signature_of(as_signed(came[0]), given, "s") == given.signature


def test_credentials_are_refreshed_by_the_session(tmp_path):
    """As soon as they are about to expire, between two calls of one runtime."""
    keys = iter(["first", "second"])

    def refresh(seconds):
        expiry = (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()
        return {"access_key": next(keys), "secret_key": "s", "token": "t", "expiry_time": expiry}

    with recording() as (url, came):
        session = session_at(tmp_path, url)
        source = botocore_session(session)
        source._credentials = RefreshableCredentials.create_from_metadata(
            refresh(60), refresh_using=lambda: refresh(36_000), method="test"
        )
        asyncio.run(each(open_runtime, session, [FIELDS] * 2))

    assert ["second", "second"] == [read_signature(as_signed(one)).access_key_id for one in came]


def test_without_credentials_a_call_is_refused_before_it_is_made(tmp_path):
    """In the words of any other call."""
    with recording() as (url, came), pytest.raises(CredentialsError, match="No AWS credentials were found"):
        asyncio.run(each(open_runtime, session_of(tmp_path, f"[default]\nendpoint_url = {url}\n"), [FIELDS]))

    assert [] == came


def test_credentials_that_cannot_be_refreshed_are_told(tmp_path):
    """A credential_process that fails when it is asked again."""

    def refuse():
        raise RuntimeError("Credentials were refreshed, but the refreshed credentials are still expired.")

    with recording() as (url, came):
        session = session_at(tmp_path, url)
        botocore_session(session)._credentials = RefreshableCredentials(
            "k", "s", "t", datetime.now(UTC) - timedelta(hours=1), refuse, "test"
        )
        with pytest.raises(CredentialsError, match="cannot be refreshed"):
            asyncio.run(each(open_runtime, session, [FIELDS]))

    assert [] == came


@pytest.mark.parametrize("region_name", ["eu-west-1", "cn-north-1", "us-gov-west-1"])
@pytest.mark.parametrize("variant", ["", "use_fips_endpoint = true\n", "use_dualstack_endpoint = true\n"])
def test_the_url_is_the_one_the_sdk_resolves(tmp_path, region_name, variant):
    """For every partition and kind of endpoint, without a table here."""
    keys = "aws_access_key_id = k\naws_secret_access_key = s\n"
    session = session_of(tmp_path, f"[default]\n{keys}{variant}", region_name=region_name)

    async def learnt():
        async with open_boto_runtime(session) as over_boto3:
            return over_boto3._client.meta.endpoint_url, await over_boto3.learn(session)

    url, found = asyncio.run(learnt())

    assert f"{url}/endpoints/churn/async-invocations" == found.pattern.request(FIELDS).url
    assert (region_name, "sagemaker") == (found.region_name, found.signing_name)


def test_a_proxy_carries_the_call(tmp_path, monkeypatch):
    """The whole URL goes to it, as boto3 sends it."""
    with recording() as (proxy, came):
        monkeypatch.setenv("http_proxy", proxy)
        session = known_session(tmp_path, "http://runtime.invalid")
        for open_one in (open_boto_runtime, open_runtime):
            asyncio.run(each(open_one, session, [FIELDS]))
        assert LeanRuntime is asyncio.run(kind_of(session))

    theirs, ours = came
    assert "http://runtime.invalid/endpoints/churn/async-invocations" == ours.target
    assert comparable(theirs) == comparable(ours)


def test_a_bundle_of_certificates_decides_whom_to_trust(tmp_path, certificate):
    """AWS_CA_BUNDLE and ca_bundle: as a company has it that looks into what is sent."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    keys = "aws_access_key_id = k\naws_secret_access_key = s\nmax_attempts = 1\n"
    with recording(context) as (url, came):
        trusting = f"[default]\n{keys}endpoint_url = {url}\nca_bundle = {certificate}\n"
        asyncio.run(each(open_runtime, session_of(tmp_path, trusting), [FIELDS]))
        with pytest.raises(ServiceTroubleError, match=r"^InvokeEndpointAsync got no answer: SSL validation failed"):
            asyncio.run(each(open_runtime, session_of(tmp_path, f"[default]\n{keys}endpoint_url = {url}\n"), [FIELDS]))

    assert 1 == len(came)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate of 127.0.0.1 by itself, and its key, in one file."""
    x509 = pytest.importorskip("cryptography.x509")
    from ipaddress import ip_address

    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + private)
    return str(path)


def test_the_local_endpoint_verifies_what_is_signed():
    """A service that computes each signature by itself takes the calls."""
    with LocalEndpoint(lambda body, *_: body, endpoint_name="churn", verify_signatures=True) as local:
        session = local.session()
        answers = asyncio.run(each(open_runtime, session, [{**FIELDS, "custom_attributes": "a  b, c"}]))
        assert LeanRuntime is asyncio.run(kind_of(session))

    assert [202] == [answer.http_status for answer in answers]


# Errors


@pytest.mark.parametrize(
    ("status", "body", "headers"),
    [
        (
            400,
            {"Message": "Endpoint churn of account 123456789012 not found."},
            {"x_amzn_ErrorType": "ValidationError"},
        ),
        (400, {"Message": "no"}, {"x_amzn_ErrorType": "ValidationError:http://internal.amazon.com/"}),
        (403, {"message": "denied"}, {"x_amzn_ErrorType": "AccessDeniedException", "x_amzn_RequestId": "r-9"}),
        (403, {"__type": "com.amazon#ExpiredTokenException", "message": "old"}, {}),
        (429, {"__type": "ThrottlingException"}, {}),
        (500, {"Message": "oops"}, {"x_amzn_ErrorType": "InternalFailure"}),
        (503, "<html>gone</html>", {"Content_Type": "text/html"}),
        (307, "", {"Location": "https://elsewhere.invalid/"}),
        (200, "<html>Sign in to the hotel</html>", {"Content_Type": "text/html"}),
        (202, "", {}),
        (202, "[1]", {}),
    ],
)
def test_every_answer_is_told_as_over_boto3(tmp_path, status, body, headers):
    """One explanation for both, of the same code, words, status and request id."""
    told = []
    text = body if isinstance(body, str) else json.dumps(body)
    with answering(status, text.encode(), **headers) as service:
        session = session_at(tmp_path, service.url)
        for open_one in (open_boto_runtime, open_runtime):
            with pytest.raises(Exception) as caught:
                asyncio.run(each(open_one, session, [FIELDS]))
            told.append((type(caught.value), str(caught.value), getattr(caught.value, "throttled", None)))

    theirs, ours = told
    assert theirs == ours


def test_nobody_there_is_told_as_over_boto3(tmp_path):
    """A connection that is refused."""
    told, session = [], session_at(tmp_path, "http://127.0.0.1:9")
    for open_one in (open_boto_runtime, open_runtime):
        with pytest.raises(ServiceTroubleError) as caught:
            asyncio.run(each(open_one, session, [FIELDS]))
        told.append(str(caught.value))

    assert told[0] == told[1]


# Where boto3 is used instead


def _handler_of_mine(**_):
    pass


def _boto3_because(session, monkeypatch, caplog):
    """Why, in the words of the log; and that it is said once."""
    monkeypatch.setattr(learning, "_told", set())
    with caplog.at_level("INFO", "sm_async_nb"):
        assert [BotoRuntime, BotoRuntime] == [asyncio.run(kind_of(session)) for _ in range(2)]
    (said,) = [record.getMessage() for record in caplog.records if record.name == "sm_async_nb.aws.learning"]
    return said.removeprefix("InvokeEndpointAsync is called over boto3, which takes more CPU: ")


@pytest.mark.parametrize("event", ["before-send", "before-call.sagemaker-runtime", "needs-retry.*.InvokeEndpointAsync"])
def test_a_handler_of_somebody_elses_is_honoured(tmp_path, monkeypatch, caplog, event):
    """Whoever changes calls, watches or stubs them, goes on doing so."""
    session = session_at(tmp_path, "http://127.0.0.1:9")
    session.events.register(event, _handler_of_mine)

    reason = _boto3_because(session, monkeypatch, caplog)

    assert reason.endswith("test_lean_runtime._handler_of_mine is registered on the session.")


def test_a_handler_for_something_else_is_no_matter(tmp_path):
    """Another service, or another operation."""
    session = session_at(tmp_path, "http://127.0.0.1:9")
    session.events.register("before-send.s3", _handler_of_mine)
    session.events.register("before-call.sagemaker-runtime.InvokeEndpoint", _handler_of_mine)

    assert LeanRuntime is asyncio.run(kind_of(session))


def test_calls_that_a_tracer_wraps_stay_with_it(tmp_path, monkeypatch, caplog):
    """X-Ray, OpenTelemetry and others put a function of theirs in the place of botocore's."""
    whole = botocore.client.BaseClient._make_api_call

    def traced(*arguments):
        return whole(*arguments)

    monkeypatch.setattr("botocore.client.BaseClient._make_api_call", traced)

    reason = _boto3_because(session_at(tmp_path, "http://127.0.0.1:9"), monkeypatch, caplog)

    assert "botocore's calls are wrapped by somebody else." == reason


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"signature_version": botocore.UNSIGNED}, "requests are signed with "),
        ({"signature_version": "v4a"}, "requests are signed with v4a."),
        ({"client_cert": "/some/file.pem"}, "a client certificate is configured."),
        (
            {"proxies": {"http": "http://me:secret@proxy:80"}},
            "the proxy is not a plain http:// one without a password.",
        ),
        ({"proxies": {"http": "https://proxy:443"}}, "the proxy is not a plain http:// one without a password."),
        ({"proxies_config": {"proxy_use_forwarding_for_https": True}}, "settings of a proxy are configured."),
    ],
)
def test_what_only_boto3_can_do_is_left_to_it(tmp_path, monkeypatch, caplog, config, reason):
    """Said once, and never with a secret in it."""
    session = session_at(tmp_path, "http://127.0.0.1:9")
    botocore_session(session).set_default_client_config(botocore.config.Config(**config))

    assert _boto3_because(session, monkeypatch, caplog).startswith(reason)


def test_a_header_that_the_sdk_comes_to_send_is_not_left_out(tmp_path, monkeypatch, caplog):
    """In Lambda it is the id of the trace; in a later SDK it may be anything."""
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "f")
    monkeypatch.setenv("_X_AMZN_TRACE_ID", "Root=1-2-3")

    reason = _boto3_because(session_at(tmp_path, "http://127.0.0.1:9"), monkeypatch, caplog)

    assert "the SDK sends POST with x-amzn-trace-id." == reason


def test_an_sdk_that_builds_its_requests_otherwise_is_left_to_itself(tmp_path, monkeypatch, caplog):
    """A field that travels in another way than the model says, for one."""
    monkeypatch.setattr(
        "botocore.serialize.RestJSONSerializer._convert_header_value", lambda *arguments: f"<{arguments[-1]}>"
    )

    reason = _boto3_because(session_at(tmp_path, "http://127.0.0.1:9"), monkeypatch, caplog)

    assert "the SDK builds its requests in another way." == reason


def test_a_boto3_session_made_by_hand_is_lean_too():
    """The most usual one."""
    session = boto3.Session("k", "s", region_name="eu-west-1", botocore_session=botocore.session.Session())

    assert LeanRuntime is asyncio.run(kind_of(session))
