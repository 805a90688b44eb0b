"""The two servers of the local endpoint: where they listen, whom they answer and with what, and how they are found."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import boto3
import pandas as pd
import pytest
from botocore.exceptions import ClientError

from sm_async_nb.core.locations import parse_s3_uri
from sm_async_nb.errors import RequestError
from sm_async_nb.local import LocalEndpoint, creation, routes
from sm_async_nb.local.cli import main
from sm_async_nb.local.notifications import ERROR_NOTIFICATION_TOPIC, SUCCESS_NOTIFICATION_TOPIC
from sm_async_nb.local.objects import MotoObjects
from sm_async_nb.local.wire import installed_fields

BUCKET = "served"
SIGNED = {
    "Authorization": "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/sagemaker/aws4_request, SignedHeaders=host, "
    "Signature=0",
    "X-Amz-Date": "20260101T000000Z",
}
# What the proxy of a test would be: nobody listens there.
NOBODY = "http://127.0.0.1:9"


def upper(body, content_type, accept):
    return body.upper()


@pytest.fixture(scope="module")
def local():
    with LocalEndpoint(upper, endpoint_name="served", bucket=BUCKET) as running:
        yield running


@pytest.fixture
def bound(monkeypatch):
    """Host and port of every socket that was bound since."""
    found, bind = [], socket.socket.bind

    def noting(self, address):
        bind(self, address)
        if self.family in {socket.AF_INET, socket.AF_INET6}:
            found.append(self.getsockname()[:2])

    monkeypatch.setattr(socket.socket, "bind", noting)
    return found


def ask(url, method="GET", body=None, **headers):
    """Status, headers and body of the answer."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(urllib.request.Request(url, data=body, method=method, headers=headers)) as reply:
            return reply.status, reply.headers, reply.read()
    except urllib.error.HTTPError as refused:
        with refused as reply:
            return reply.status, reply.headers, reply.read()


def addresses(local):
    told = local.environment
    return [urlsplit(told[name]) for name in ("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", "AWS_ENDPOINT_URL")]


def answer_of(local, session):
    """What the model makes of hello, by clients of this session."""
    with closing(session.client("s3")) as s3, closing(session.client("sagemaker-runtime")) as runtime:
        s3.put_object(Bucket=BUCKET, Key="in", Body=b"hello")
        told = runtime.invoke_endpoint_async(EndpointName="served", InputLocation=f"s3://{BUCKET}/in")
        local.drained(timeout=10)
        output = parse_s3_uri(told["OutputLocation"])
        return s3.get_object(Bucket=output.bucket, Key=output.key)["Body"].read()


def has_ipv6():
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


def test_both_servers_are_bound_to_loopback(bound):
    """The sockets themselves, whatever the addresses say that are told."""
    with LocalEndpoint(upper, endpoint_name=None, bucket=BUCKET) as local:
        told = [("127.0.0.1", address.port) for address in addresses(local)]

    assert sorted(told) == sorted(bound)


def test_beyond_loopback_listens_everywhere_if_that_is_allowed(bound, monkeypatch):
    """And is reached by loopback from here, on every system."""
    # No test may look up what is not loopback; that this is an address and no name is found out without, too.
    look_up = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *how: look_up("" if host == "0.0.0.0" else host, *how))
    with LocalEndpoint(upper, endpoint_name="served", bucket=BUCKET, host="0.0.0.0", beyond_loopback=True) as local:
        ports = [address.port for address in addresses(local)]

        assert sorted(("0.0.0.0", port) for port in ports) == sorted(bound)
        assert ["127.0.0.1"] * 2 == [address.hostname for address in addresses(local)]
        assert b"HELLO" == answer_of(local, local.session())


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
def test_it_listens_on_the_other_loopback_too(bound):
    """::1, in brackets where an address is told."""
    with LocalEndpoint(upper, endpoint_name="served", bucket=BUCKET, host="::1", verify_signatures=True) as local:
        ports = [address.port for address in addresses(local)]

        assert sorted(("::1", port) for port in ports) == sorted(bound)
        assert f"http://[::1]:{ports[0]}" == local.environment["AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME"]
        assert b"HELLO" == answer_of(local, local.session())


def test_a_port_that_is_taken_is_an_error_and_not_the_end_of_the_process():
    """A notebook that says port= twice goes on."""
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        LocalEndpoint(upper, port=taken.getsockname()[1] - 1).start()


def test_the_command_line_is_told_which_of_its_options_allows_a_host(tmp_path, capfd):
    """Not a parameter of Python alone."""
    script = tmp_path / "inference.py"
    script.write_text("def model_fn(model_dir):\n    return 2\n\ndef predict_fn(data, model):\n    return data\n")

    assert 1 == main(["--handler", str(script), "--host", "0.0.0.0"])
    assert "'0.0.0.0' is not loopback" in capfd.readouterr().err
    with pytest.raises(RequestError, match="--beyond-loopback on the command line"):
        LocalEndpoint(upper, host="192.0.2.1")


def test_what_is_not_needed_is_not_served(local):
    """moto's Lambda would run what it is sent; nobody but the local endpoint empties moto."""
    session = local.session()
    with closing(session.client("lambda")) as functions, pytest.raises(ClientError) as refused:
        functions.list_functions()
    reset, _, told = ask(f"{local.environment['AWS_ENDPOINT_URL']}/moto-api/reset", "POST", b"")

    assert 501 == refused.value.response["ResponseMetadata"]["HTTPStatusCode"]
    assert "has S3, SNS, SQS, STS, CloudWatch and SageMaker's control plane here, and not" in str(refused.value)
    assert 501 == reset, told
    assert b"HELLO" == answer_of(local, session)


def test_the_runtimes_operation_at_the_other_port_is_told_where_to_go(local):
    """An SDK that knows AWS_ENDPOINT_URL only gets no answer that moto made up."""
    url = f"{local.environment['AWS_ENDPOINT_URL']}/endpoints/served/async-invocations"
    status, _, told = ask(url, "POST", b"x", **SIGNED)

    assert 501 == status
    assert "The runtime is at AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME." in json.loads(told)["message"]


@pytest.mark.parametrize("origin", ["https://elsewhere.example", "null", "http://[", "http://127.0.0.1.example"])
def test_a_web_page_of_elsewhere_is_refused(local, origin):
    """A browser asks any port of this machine for it, and shows it the answer where that is allowed."""
    status, headers, _ = ask(local.environment["AWS_ENDPOINT_URL"], Origin=origin)

    assert 403 == status
    assert headers["Access-Control-Allow-Origin"] is None


@pytest.mark.parametrize("headers", [{}, {"Origin": "http://localhost:3000"}, {"Origin": "http://127.0.0.1:8888"}])
def test_whoever_is_here_is_answered(local, headers):
    """Programs, and pages that this machine serves."""
    assert 200 == ask(local.environment["AWS_ENDPOINT_URL"], **headers)[0]


def test_a_body_of_any_size_that_is_too_large_is_refused_in_the_services_words(monkeypatch):
    """Also where it is so large that it is not read to its end: a 500 would be tried again, body and all."""
    monkeypatch.setattr(routes, "_LARGEST_BODY_BYTES", 200_000)
    with LocalEndpoint(upper, endpoint_name="served", bucket=BUCKET) as local:
        url = f"{local.environment['AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME']}/endpoints/served/async-invocations"
        told = [ask(url, "POST", bytes(size), **SIGNED) for size in (128_001, 300_000)]
    most = installed_fields()["body"].maximum if "body" in installed_fields() else 0

    assert [(400, "ValidationError")] * 2 == [(status, headers["x-amzn-ErrorType"]) for status, headers, _ in told]
    for _, _, body in told:
        assert json.loads(body)["Message"].endswith(
            f"'body' failed to satisfy constraint: Member must have length less than or equal to {most}"
        )


def test_an_s3_that_the_environment_has_from_before_is_replaced(local, monkeypatch):
    """Of another local endpoint, or of a shell where a MinIO is known; clients would write to the one, and models
    read from the other.
    """
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", NOBODY)
    for name, value in local.environment.items():
        monkeypatch.setenv(name, value)

    assert b"HELLO" == answer_of(local, boto3.Session())


def test_a_proxy_of_the_environment_does_not_come_between(monkeypatch):
    """As in a company's network: http_proxy is set, and nobody thought of loopback."""
    monkeypatch.setenv("http_proxy", NOBODY)
    monkeypatch.setenv("no_proxy", "intranet.example")
    with LocalEndpoint(upper, endpoint_name="served", bucket=BUCKET) as local:
        assert b"HELLO" == answer_of(local, local.session())
        for name, value in local.environment.items():
            monkeypatch.setenv(name, value)

        assert b"HELLO" == answer_of(local, boto3.Session())
        assert "intranet.example,127.0.0.1,localhost" == os.environ["no_proxy"] == os.environ["NO_PROXY"]


def test_a_job_of_a_session_takes_no_proxy_either(monkeypatch):
    """Its aiobotocore clients are made as the session is."""
    monkeypatch.setenv("http_proxy", NOBODY)
    monkeypatch.setenv("no_proxy", "")
    with LocalEndpoint(lambda body, *_: b'{"y": 1}', endpoint_name="served", bucket=BUCKET) as local:
        job = pd.DataFrame({"x": [1, 2]}).sm_async.submit(
            "served", session=local.session(), input_prefix=f"s3://{BUCKET}/jobs", storage="s3fs"
        )

        assert [1, 1] == list(job.wait(timeout=30).results()["y"])


@pytest.mark.parametrize("given", [SUCCESS_NOTIFICATION_TOPIC, [ERROR_NOTIFICATION_TOPIC, "SUCCESS"], [None]])
def test_whose_messages_carry_the_response_is_checked(given):
    """A text alone is its letters, and a name that nobody knows would leave the response out in silence."""
    with pytest.raises(RequestError, match="is a list of SUCCESS_NOTIFICATION_TOPIC and ERROR_NOTIFICATION_TOPIC"):
        LocalEndpoint(upper, include_inference_response_in=given)


def test_a_bucket_is_looked_for_by_its_name(local):
    """To list all of an account's takes a permission of its own, and another account's are not among them."""
    session, called = local.session(), []
    session.events.register("before-call.s3", lambda model, **_: called.append(model.name))
    for _ in range(2):
        creation.create_bucket(session, "looked-for")

    assert ["HeadBucket", "CreateBucket", "HeadBucket"] == called


@pytest.fixture
def published(local, monkeypatch):
    """What moto's bucket holds at the moment at which an object appears: content type and encryption, by its key."""
    from moto.s3.models import s3_backends

    bucket, found = s3_backends["123456789012"]["aws"].get_bucket(BUCKET), {}
    setlist = bucket.keys.setlist

    def noting(name, keys):
        found[name] = keys[-1].metadata["content-type"], keys[-1].encryption
        setlist(name, keys)

    monkeypatch.setattr(bucket.keys, "setlist", noting)
    return found


def test_an_object_appears_with_its_content_type(local, published):
    """Who reads at once would decode it by another."""
    asyncio.run(MotoObjects("us-east-1").put(parse_s3_uri(f"s3://{BUCKET}/typed"), b"{}", "application/json"))

    assert {"typed": ("application/json", None)} == published


def test_an_object_is_what_its_bucket_makes_of_it(local):
    """Versions and encryption, as of any other client's."""
    session = local.session()
    with closing(session.client("s3")) as s3:
        s3.create_bucket(Bucket="versioned")
        s3.put_bucket_versioning(Bucket="versioned", VersioningConfiguration={"Status": "Enabled"})
        rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
        s3.put_bucket_encryption(Bucket="versioned", ServerSideEncryptionConfiguration={"Rules": [rule]})
        for body in (b"1", b"2"):
            asyncio.run(MotoObjects("us-east-1").put(parse_s3_uri("s3://versioned/out"), body, "text/csv"))
        versions = s3.list_object_versions(Bucket="versioned")["Versions"]
        newest = s3.get_object(Bucket="versioned", Key="out")

        assert [True, False] == [version["IsLatest"] for version in versions]
        assert (b"2", "text/csv") == (newest["Body"].read(), newest["ContentType"])
        assert "AES256" == newest["ServerSideEncryption"]


NOT_INSTALLED = next((mark for mark in ("sagemaker_sdk", "mlflow") if find_spec(mark.split("_")[0]) is None), None)


@pytest.mark.skipif(NOT_INSTALLED is None, reason="all that is needed is installed")
@pytest.mark.parametrize(("variables", "status"), [({}, 0), ({"SKIPS_FAIL": "1"}, 1)])
def test_a_step_of_ci_fails_if_its_tests_are_skipped(variables, status):
    """The only proof with somebody else's package would be lost unseen."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", NOT_INSTALLED, "tests/local"]
    environment = {name: value for name, value in os.environ.items() if name != "SKIPS_FAIL"}
    done = subprocess.run(
        command,
        check=False,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        env=environment | variables,
    )

    assert (status, True) == (done.returncode, "is not installed" in done.stdout), done.stdout
