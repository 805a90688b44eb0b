"""Model servers, signatures, ports and an S3 of one's own behind the local endpoint."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from contextlib import closing, contextmanager
from urllib.parse import urlsplit

import boto3
import pytest
from aiohttp import web
from botocore.exceptions import ClientError

from sm_async_nb.errors import EndpointNotInServiceError, RequestError
from sm_async_nb.local import Container, LocalEndpoint
from sm_async_nb.local.cli import local_endpoint, parser

BUCKET = "modelled"


@contextmanager
def server(invocations, *, ping=200):
    """A model server on loopback; its address, and how often it was pinged."""
    pings = []

    async def answer_ping(_request):
        pings.append(1)
        if callable(ping):
            return web.Response(status=await ping(len(pings)))
        return web.Response(status=ping if isinstance(ping, int) else ping[min(len(pings), len(ping)) - 1])

    app = web.Application()
    app.add_routes([web.get("/ping", answer_ping), web.post("/invocations", invocations)])
    listening, ready, stopped = socket.create_server(("127.0.0.1", 0)), threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def serve():
        runner = web.AppRunner(app, handle_signals=False, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.SockSite(runner, listening).start()
        ready.set()
        await stopped.wait()
        await runner.cleanup()

    thread = threading.Thread(target=lambda: asyncio.Runner(loop_factory=lambda: loop).run(serve()))
    thread.start()
    ready.wait(10)
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}", pings
    finally:
        loop.call_soon_threadsafe(stopped.set)
        thread.join()
        asyncio.set_event_loop(None)
        loop.close()


async def echo(request):
    """What arrived, as text; the body decides what goes wrong."""
    body = await request.read()
    if body == b"chunked":
        response = web.StreamResponse(headers={"Content-Type": "text/plain"})
        await response.prepare(request)
        await response.write(b"no length")
        return response
    if body == b"headers":
        return web.Response(headers={"X-Long": "x" * 4096})
    if body == b"refuse":
        return web.json_response({"message": "no plan"}, status=400)
    if body == b"hang up":
        request.transport.abort()
    names = ("Content-Type", "Accept", "X-Amzn-SageMaker-Custom-Attributes", "X-Amzn-SageMaker-Inference-Id")
    told = [request.headers.get(name) for name in names]
    others = sorted(set(request.headers) - set(names))
    return web.Response(text=f"{body!r} {told} {others}", content_type="text/html", charset="utf-8")


@pytest.fixture(scope="module")
def running():
    with (
        server(echo) as (url, _),
        LocalEndpoint(Container(url), endpoint_name="contained", bucket=BUCKET) as local,
    ):
        yield local


@pytest.fixture
def local(running, monkeypatch):
    for name, value in running.environment.items():
        monkeypatch.setenv(name, value)
    return running


def client(service):
    return closing(boto3.client(service))


def invoke(local, body, **fields):
    """The response, the output and the failure: bytes and content type, or None."""
    with client("s3") as s3, client("sagemaker-runtime") as runtime:
        s3.put_object(Bucket=BUCKET, Key="in", Body=body, ContentType="text/csv")
        response = runtime.invoke_endpoint_async(EndpointName="contained", InputLocation=f"s3://{BUCKET}/in", **fields)
        local.drained(timeout=10)
        return read(s3, response["OutputLocation"]), read(s3, response["FailureLocation"])


def read(s3, uri):
    address = urlsplit(uri)
    try:
        found = s3.get_object(Bucket=address.netloc, Key=address.path[1:])
    except s3.exceptions.NoSuchKey:
        return None
    return found["Body"].read(), found["ContentType"]


def test_a_container_gets_the_headers_of_the_contract_and_no_others(local):
    """Its answer is the output, its Content-Type the object's."""
    output, failure = invoke(local, b"hi", Accept="a/b", CustomAttributes="t=1", InferenceId="row-1")

    assert (
        b"b'hi' ['text/csv', 'a/b', 't=1', 'row-1'] ['Content-Length', 'Host']",
        "text/html; charset=utf-8",
    ) == output
    assert failure is None


def test_an_error_of_a_container_is_the_failure_object_as_it_is(local):
    """The raw body."""
    assert (None, (b'{"message": "no plan"}', "application/json; charset=utf-8")) == invoke(local, b"refuse")


@pytest.mark.parametrize("body", [b"chunked", b"headers", b"hang up"])
def test_an_answer_that_the_service_does_not_take_leaves_no_object(local, body):
    """No Content-Length, more than 4,096 bytes of headers, or no answer at all."""
    before = local.metrics["InvocationFailures"]

    assert (None, None) == invoke(local, body)
    assert before + 1 == local.metrics["InvocationFailures"]
    assert invoke(local, b"and on")[0] is not None


@pytest.mark.parametrize("body", [b"chunked", b"headers"])
@pytest.mark.parametrize(
    "made",
    [
        lambda url: LocalEndpoint(Container(url, response_limits=False), endpoint_name="contained", bucket=BUCKET),
        lambda url: local_endpoint(
            parser().parse_args(
                f"--container {url} --no-response-limits --endpoint-name contained --bucket {BUCKET}".split()
            )
        ),
    ],
)
def test_any_answer_is_taken_without_the_limits_of_the_service(monkeypatch, made, body):
    """For a server that is not yet ready for it."""
    with server(echo) as (url, _), made(url) as local:
        for name, value in local.environment.items():
            monkeypatch.setenv(name, value)

        assert invoke(local, body)[0] is not None


def test_requests_wait_until_a_container_is_healthy(monkeypatch):
    """GET /ping until it is 200."""
    with (
        server(echo, ping=[503, 503, 200]) as (url, pings),
        LocalEndpoint(Container(url), endpoint_name="contained", bucket=BUCKET) as local,
    ):
        for name, value in local.environment.items():
            monkeypatch.setenv(name, value)

        assert invoke(local, b"hi")[0] is not None
        assert invoke(local, b"hi")[0] is not None
        assert 3 == len(pings)


def of_python(url, *, replaces):
    """An endpoint in front of the container."""
    container = Container(url, ping_every=0.01, replaces_unhealthy=replaces)
    return LocalEndpoint(container, endpoint_name="contained", bucket=BUCKET)


def of_command_line(url, *, replaces):
    """The same."""
    told = f"--container {url} --ping-every 10ms --endpoint-name contained --bucket {BUCKET}".split()
    return local_endpoint(parser().parse_args([*told, *["--replace-unhealthy"] * replaces]))


@pytest.mark.parametrize("replaces", [False, True])
@pytest.mark.parametrize("made", [of_python, of_command_line])
def test_a_container_that_misses_pings_while_it_works_is_told_of_or_its_request_fails(
    monkeypatch, caplog, made, replaces
):
    """As a server with one thread does. It is told of once, and the service replaces it."""
    missed = asyncio.Event()

    async def work(request):
        if await request.read() == b"long":
            await asyncio.wait_for(missed.wait(), 10)
        return web.Response(text="done")

    async def ping(count):
        if count >= 4:
            missed.set()
        return 503 if count in (2, 3) else 200

    with (
        server(work, ping=ping) as (url, _),
        made(url, replaces=replaces) as local,
        caplog.at_level(logging.WARNING, logger="sm_async_nb.local"),
    ):
        for name, value in local.environment.items():
            monkeypatch.setenv(name, value)
        output, failure = invoke(local, b"long")
        told = [record.getMessage() for record in caplog.records]

        assert invoke(local, b"short")[0] is not None
    assert failure is None
    if replaces:
        assert (None, []) == (output, told)
    else:
        assert b"done" == output[0]
        assert [
            f"{url} did not answer GET /ping with 200 within 2 seconds while it worked on a request. SageMaker "
            "replaces such a container as unhealthy: let it answer pings on another thread."
        ] == told


def test_a_container_is_not_pinged_while_it_works_if_so_chosen(monkeypatch):
    """And never every zero seconds."""
    with (
        server(echo) as (url, pings),
        LocalEndpoint(Container(url, ping_every=None), endpoint_name="contained", bucket=BUCKET) as local,
    ):
        for name, value in local.environment.items():
            monkeypatch.setenv(name, value)

        assert invoke(local, b"hi")[0] is not None
        assert 1 == len(pings)
    with pytest.raises(RequestError, match="ping_every= is more than zero seconds, or None, got 0"):
        Container(url, ping_every=0)


def test_a_container_that_never_gets_healthy_is_told():
    """Within its start-up window."""
    with server(echo, ping=500) as (url, pings):
        with pytest.raises(EndpointNotInServiceError, match=r"did not pass the ping health check within 0.1 seconds"):
            Container(url, startup_seconds=0.1).wait_until_healthy()

        assert pings


def test_a_notebook_can_wait_for_a_container():
    """A loop is running there already."""

    async def cell(url):
        Container(url).wait_until_healthy()
        with pytest.raises(EndpointNotInServiceError, match="did not pass the ping health check"):
            Container(f"{url}/nowhere", startup_seconds=0).wait_until_healthy()

    with server(echo) as (url, pings):
        asyncio.run(cell(url))

        assert 1 == len(pings)


def test_a_container_is_reached_by_http():
    """And by nothing else."""
    with pytest.raises(RequestError, match="A container is reached at http://host:port, got 'localhost:8080'"):
        Container("localhost:8080")


def test_signatures_are_verified_if_so_chosen(monkeypatch):
    """With the keys of the environment it hands out."""
    with LocalEndpoint(lambda body, *_: body, endpoint_name="signed", bucket=BUCKET, verify_signatures=True) as local:
        for name, value in local.environment.items():
            monkeypatch.setenv(name, value)
        asked = {"EndpointName": "signed", "InputLocation": f"s3://{BUCKET}/in", "CustomAttributes": "two  spaces"}
        with client("sagemaker-runtime") as right:
            assert right.invoke_endpoint_async(**asked)["OutputLocation"]
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "other")
        session = boto3.Session()  # the default one has the credentials from before
        with closing(session.client("sagemaker-runtime")) as wrong, pytest.raises(ClientError) as error:
            wrong.invoke_endpoint_async(**asked)

    assert (403, "InvalidSignatureException") == (
        error.value.response["ResponseMetadata"]["HTTPStatusCode"],
        error.value.response["Error"]["Code"],
    )


def test_it_listens_where_it_is_told_and_on_loopback_only(monkeypatch):
    """The runtime at the port, everything else at the next."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1] + 10
    with LocalEndpoint(lambda body, *_: body, endpoint_name=None, bucket=BUCKET, port=port) as local:
        told = local.environment

    assert f"http://127.0.0.1:{port}" == told["AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME"]
    assert f"http://127.0.0.1:{port + 1}" == told["AWS_ENDPOINT_URL"]
    with pytest.raises(RequestError, match=r"'0.0.0.0' is not loopback"):
        LocalEndpoint(lambda body, *_: body, host="0.0.0.0")


def test_an_s3_of_ones_own_is_used_with_ones_own_credentials(monkeypatch):
    """Here another local endpoint's; the service reads and writes there too."""
    with LocalEndpoint(lambda body, *_: body, endpoint_name=None, bucket="own-s3") as other:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "mine")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "my secret")
        url = other.environment["AWS_ENDPOINT_URL"]
        with LocalEndpoint(
            lambda body, *_: body.upper(), endpoint_name="contained", bucket=BUCKET, s3_endpoint_url=url
        ) as local:
            for name, value in local.environment.items():
                monkeypatch.setenv(name, value)
            output, _ = invoke(local, b"hello")

            assert (url, "mine") == (local.environment["AWS_ENDPOINT_URL_S3"], local.environment["AWS_ACCESS_KEY_ID"])
            assert b"HELLO" == output[0]
            assert "s3 PutObject" not in local.calls
            assert 1 == other.calls["s3 PutObject"]
