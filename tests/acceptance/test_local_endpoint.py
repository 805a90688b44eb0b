"""The local endpoint, as unmodified boto3, s3fs and aiobotocore see it."""

from __future__ import annotations

import asyncio
import gc
import json
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from contextlib import closing
from urllib.parse import urlsplit

import boto3
import fsspec.asyn
import pytest
import s3fs
from aiobotocore.session import get_session
from botocore.exceptions import ClientError

from sm_async_nb.errors import RequestError
from sm_async_nb.local import LocalEndpoint, ModelError
from sm_async_nb.local.wire import installed_fields

INPUT = "s3://sm-async-local/in/1.csv"


def model(body, content_type, accept):
    """Upper case; refuses what it does not like, breaks on what it cannot read."""
    if body == b"refuse":
        raise ModelError("no plan", body=b'{"message":"no plan"}')
    return body.decode().upper()


@pytest.fixture(scope="module")
def shared():
    """One local endpoint for the tests that do not mind the others."""
    with LocalEndpoint(model) as local:
        yield local


@pytest.fixture
def local(shared, monkeypatch):
    """The shared local endpoint, with the environment pointing at it."""
    for name, value in shared.environment.items():
        monkeypatch.setenv(name, value)
    shared.reset_calls()
    return shared


def client(service):
    return closing(boto3.client(service))


def invoke(body=b"hello", endpoint_name="local-endpoint", **fields):
    with client("s3") as s3, client("sagemaker-runtime") as runtime:
        s3.put_object(Bucket="sm-async-local", Key="in/1.csv", Body=body, ContentType="text/csv")
        return runtime.invoke_endpoint_async(EndpointName=endpoint_name, **{"InputLocation": INPUT, **fields})


def read(uri):
    address = urlsplit(uri)
    with client("s3") as s3:
        found = s3.get_object(Bucket=address.netloc, Key=address.path[1:])
        return found["Body"].read(), found["ContentType"]


def refusal(**fields):
    with client("sagemaker-runtime") as runtime, pytest.raises(runtime.exceptions.ValidationError) as refused:
        runtime.invoke_endpoint_async(**{"EndpointName": "local-endpoint", "InputLocation": INPUT, **fields})
    return refused.value.response["Error"]["Message"]


def own_threads():
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("sm-async-local")]


def test_boto3_gets_a_202_and_later_the_output(local):
    """The whole way: PUT, InvokeEndpointAsync, GET."""
    response = invoke(Accept="text/plain", InferenceId="row-7")
    local.drained(timeout=10)

    assert 202 == response["ResponseMetadata"]["HTTPStatusCode"]
    assert "row-7" == response["InferenceId"]
    assert response["OutputLocation"].startswith("s3://sm-async-local/async-output/")
    assert (b"HELLO", "text/plain") == read(response["OutputLocation"])
    assert local.status.startswith("instances 1, running 0, waiting 0, processed ")


def test_a_model_error_lies_at_the_failure_location(local):
    """The model's own words, and nothing at the output location."""
    response = invoke(b"refuse")
    local.drained(timeout=10)

    assert (b'{"message":"no plan"}', "application/json") == read(response["FailureLocation"])
    with pytest.raises(ClientError, match="NoSuchKey"):
        read(response["OutputLocation"])


def test_a_missing_input_is_accepted_and_leaves_nothing(local):
    """The call knows nothing of it."""
    response = invoke(InputLocation="s3://sm-async-local/in/none.csv")
    local.drained(timeout=10)

    for location in (response["OutputLocation"], response["FailureLocation"]):
        with pytest.raises(ClientError, match="NoSuchKey"):
            read(location)
    assert local.metrics["RequestDownloadFailures"]


def test_an_unknown_endpoint_is_refused_in_the_services_words(local):
    """With the account's number."""
    with client("sts") as sts:
        account = sts.get_caller_identity()["Account"]

    assert f"Endpoint nobody of account {account} not found." == refusal(EndpointName="nobody")


def test_a_synchronous_endpoint_is_refused(local):
    """It has no AsyncInferenceConfig."""
    local.create_endpoint("synchronous", asynchronous=False)

    assert "is not an asynchronous endpoint" in refusal(EndpointName="synchronous")


def test_an_asynchronous_endpoint_refuses_invoke_endpoint(local):
    """Frameworks call InvokeEndpoint on it by mistake, and are told."""
    with client("sagemaker-runtime") as runtime, pytest.raises(runtime.exceptions.ValidationError) as refused:
        runtime.invoke_endpoint(EndpointName="local-endpoint", Body=b"x")

    assert "takes asynchronous invocations only" in str(refused.value)


def test_boto3_is_told_every_violated_constraint(local):
    """boto3 checks the minima only; the rest is the service's to say."""
    expected = (
        "2 validation errors detected: "
        f"Value '{'i' * 65}' at 'inferenceId' failed to satisfy constraint: "
        "Member must have length less than or equal to 64; "
        "Value '21601' at 'requestTTLSeconds' failed to satisfy constraint: "
        "Member must have value less than or equal to 21600"
    )

    assert expected == refusal(RequestTTLSeconds=21601, InferenceId="i" * 65)


@pytest.mark.skipif("filename" not in installed_fields(), reason="the installed SDK does not know Filename")
def test_the_request_may_name_its_output(local):
    """S3OutputPathExtension and Filename."""
    response = invoke(S3OutputPathExtension="job-1/00000", Filename="42.json")
    local.drained(timeout=10)

    assert "s3://sm-async-local/async-output/job-1/00000/42.json" == response["OutputLocation"]
    assert "s3://sm-async-local/async-failures/42-error.out" == response["FailureLocation"]
    assert b"HELLO" == read(response["OutputLocation"])[0]


def test_s3fs_writes_inputs_and_reads_outputs(local):
    """Through its own aiobotocore client, on the same variables."""
    files = s3fs.S3FileSystem(skip_instance_cache=True, use_listings_cache=False)
    try:
        files.pipe_file("sm-async-local/in/2.csv", b"from s3fs")
        response = invoke(InputLocation="s3://sm-async-local/in/2.csv")
        local.drained(timeout=10)

        assert b"FROM S3FS" == files.cat_file(response["OutputLocation"])
    finally:
        # Left to itself, s3fs gives its connections a tenth of a second to close when it is collected.
        fsspec.asyn.sync(files.loop, files.s3.__aexit__, None, None, None)


def test_aiobotocore_invokes_many_at_once(local):
    """Two hundred requests over one client, none lost."""

    async def many():
        async with get_session().create_client("sagemaker-runtime") as runtime:
            calls = (
                runtime.invoke_endpoint_async(EndpointName="local-endpoint", InputLocation=INPUT) for _ in range(200)
            )
            return await asyncio.gather(*calls)

    with client("s3") as s3:
        s3.put_object(Bucket="sm-async-local", Key="in/1.csv", Body=b"hello")
    responses = asyncio.run(many())
    local.drained(timeout=20)

    assert {b"HELLO"} == {read(response["OutputLocation"])[0] for response in responses[:5]}
    assert 200 == len({response["OutputLocation"] for response in responses})
    assert 200 == local.calls["sagemaker-runtime InvokeEndpointAsync"]


def test_calls_are_counted_by_operation_without_the_endpoints_own(local):
    """The endpoint reads the input and writes the output itself; those are the service's, not the user's."""
    response = invoke()
    local.drained(timeout=10)
    read(response["OutputLocation"])
    with client("s3") as s3, client("sagemaker") as sagemaker:
        s3.list_objects_v2(Bucket="sm-async-local")
        s3.head_object(Bucket="sm-async-local", Key="in/1.csv")
        s3.delete_objects(Bucket="sm-async-local", Delete={"Objects": [{"Key": "in/1.csv"}]})
        sagemaker.describe_endpoint(EndpointName="local-endpoint")
    expected = {
        "s3 PutObject": 1,
        "sagemaker-runtime InvokeEndpointAsync": 1,
        "s3 GetObject": 1,
        "s3 ListObjectsV2": 1,
        "s3 HeadObject": 1,
        "s3 DeleteObjects": 1,
        "sagemaker DescribeEndpoint": 1,
    }

    assert expected == local.calls


def test_anyone_may_create_an_endpoint_by_ordinary_calls(local):
    """The endpoint is looked up in the control plane, whoever made it."""
    with client("sagemaker") as sagemaker:
        sagemaker.create_model(ModelName="mine", ExecutionRoleArn="arn:aws:iam::123456789012:role/mine")
        sagemaker.create_endpoint_config(
            EndpointConfigName="mine-config",
            ProductionVariants=[
                {
                    "VariantName": "AllTraffic",
                    "ModelName": "mine",
                    "InstanceType": "ml.m5.large",
                    "InitialInstanceCount": 2,
                }
            ],
            AsyncInferenceConfig={"OutputConfig": {"S3OutputPath": "s3://sm-async-local/elsewhere"}},
        )
        sagemaker.create_endpoint(EndpointName="mine", EndpointConfigName="mine-config")
    response = invoke(endpoint_name="mine")
    local.drained(timeout=10)

    assert response["OutputLocation"].startswith("s3://sm-async-local/elsewhere/")
    assert "FailureLocation" not in response
    assert b"HELLO" == read(response["OutputLocation"])[0]


def test_a_deleted_endpoint_is_noticed(local, monkeypatch):
    """An endpoint is looked up again after a second."""
    monkeypatch.setattr("sm_async_nb.local.control_plane.FRESH_SECONDS", -1.0)
    local.create_endpoint("short-lived")
    invoke(endpoint_name="short-lived")
    with client("sagemaker") as sagemaker:
        sagemaker.delete_endpoint(EndpointName="short-lived")

    assert "not found" in refusal(EndpointName="short-lived")


def test_its_session_needs_no_environment_variable(shared, monkeypatch):
    """boto3 reads a configuration file of the endpoint's own; profiles and credentials elsewhere have no say."""
    for name in shared.environment:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    session = shared.session()
    with closing(session.client("s3")) as s3, closing(session.client("sagemaker-runtime")) as runtime:
        s3.put_object(Bucket="sm-async-local", Key="in/1.csv", Body=b"hello")
        response = runtime.invoke_endpoint_async(EndpointName="local-endpoint", InputLocation=INPUT)
        shared.drained(timeout=10)
        address = urlsplit(response["OutputLocation"])

        assert b"HELLO" == s3.get_object(Bucket=address.netloc, Key=address.path[1:])["Body"].read()


def test_an_unknown_path_is_told_so_in_json(local):
    """What the runtime does not offer is a 404 with a message, not a page of HTML."""
    address = local.environment["AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME"]
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{address}/elsewhere")
    with refused.value as reply:
        assert {"Message": "GET /elsewhere is no operation here."} == json.load(reply)


def test_a_request_without_a_signature_is_forbidden(local):
    """SigV4 must be there and well formed, whatever the keys."""
    address = f"{local.environment['AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME']}/endpoints/local-endpoint/async-invocations"
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(urllib.request.Request(address, data=b"", method="POST"))
    with refused.value as reply:
        assert (403, "MissingAuthenticationTokenException") == (reply.status, reply.headers["x-amzn-ErrorType"])


def test_an_endpoint_without_an_output_path_needs_a_topic(local):
    """Its results would go nowhere."""
    local.create_endpoint("pathless", s3_output_path="")

    assert "has neither an S3OutputPath nor a SuccessTopic" in refusal(EndpointName="pathless")


def test_each_endpoint_of_a_mapping_has_its_own_handler():
    """And an endpoint that nobody handles is refused when it is made."""
    handlers = {"upper": lambda body, *_: body.upper(), "length": lambda body, *_: str(len(body))}
    with LocalEndpoint(handlers, bucket="two-endpoints") as local:
        session = local.session()
        with closing(session.client("s3")) as s3, closing(session.client("sagemaker-runtime")) as runtime:
            s3.put_object(Bucket="two-endpoints", Key="in", Body=b"hello")
            locations = [
                runtime.invoke_endpoint_async(EndpointName=name, InputLocation="s3://two-endpoints/in")[
                    "OutputLocation"
                ]
                for name in ("upper", "length")
            ]
            local.drained(timeout=10)
            keys = [urlsplit(location).path[1:] for location in locations]
            outputs = [s3.get_object(Bucket="two-endpoints", Key=key)["Body"].read() for key in keys]

        assert [b"HELLO", b"5"] == outputs
        with pytest.raises(RequestError, match="No handler is named 'third'"):
            local.create_endpoint("third")


def test_close_leaves_no_thread_and_no_open_port():
    """Even while clients keep their connections alive."""
    before = set(threading.enumerate())
    local = LocalEndpoint(model, endpoint_name="closing", bucket="closing").start()
    addresses = [
        urlsplit(local.environment[name]) for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME")
    ]
    session = local.session()
    with closing(session.client("s3")) as s3, closing(session.client("sagemaker-runtime")) as runtime:
        s3.list_buckets()
        runtime.invoke_endpoint_async(EndpointName="closing", InputLocation="s3://closing/in")
        local.close()
        local.close()

        assert set(threading.enumerate()) <= before
    for address in addresses:
        with pytest.raises(ConnectionRefusedError), socket.create_connection((address.hostname, address.port)):
            pass
    gc.collect()


def test_close_does_not_wait_for_a_handler_that_hangs():
    """A thread cannot be stopped; the endpoint is gone all the same, and the late answer goes nowhere."""
    asked, go_on = threading.Event(), threading.Event()

    def hanging(body, content_type, accept):
        asked.set()
        go_on.wait(10)
        return body

    with LocalEndpoint(hanging, endpoint_name="hanging", bucket="hanging") as local:
        session = local.session()
        with closing(session.client("s3")) as s3, closing(session.client("sagemaker-runtime")) as runtime:
            s3.put_object(Bucket="hanging", Key="in", Body=b"x")
            runtime.invoke_endpoint_async(EndpointName="hanging", InputLocation="s3://hanging/in")

            assert asked.wait(10)
            assert "1 running, 0 waiting" in repr(local)
            with pytest.raises(TimeoutError):
                local.drained(timeout=0.01)

    assert ["sm-async-local-handler"] == [name for name in own_threads() if name.endswith("handler")]
    go_on.set()


def test_it_can_be_started_again():
    """Each start is a fresh one, on other ports."""
    local = LocalEndpoint(model, endpoint_name="again", bucket="again")
    with local:
        first = local.environment
    with local:
        assert first != local.environment
        with pytest.raises(RuntimeError, match="started already"):
            local.start()
    with pytest.raises(RuntimeError, match="must be started first"):
        local.environment  # noqa: B018

    assert "<LocalEndpoint again: not started>" == repr(local)


def test_a_start_takes_no_notice_of_variables_left_from_an_earlier_one(monkeypatch):
    """A notebook cell that is run again finds the addresses of the endpoint before in its environment."""
    with LocalEndpoint(model, endpoint_name="before", bucket="before") as before:
        for name, value in before.environment.items():
            monkeypatch.setenv(name, value)
    with LocalEndpoint(model, endpoint_name="after", bucket="after") as local:
        for name, value in local.environment.items():
            monkeypatch.setenv(name, value)
        with client("sagemaker-runtime") as runtime:
            response = runtime.invoke_endpoint_async(EndpointName="after", InputLocation=INPUT)

    assert response["OutputLocation"].startswith("s3://after/async-output/")


def test_a_start_that_fails_leaves_nothing_behind():
    """A name that no bucket can have: the servers are closed again."""
    before = set(threading.enumerate())
    with pytest.raises(ClientError, match="InvalidBucketName"):
        LocalEndpoint(model, bucket="no").start()

    assert set(threading.enumerate()) <= before


def test_importing_the_package_loads_neither_moto_nor_aiohttp():
    """They take a second that most do not owe."""
    code = "import sys, sm_async_nb.local; print(sorted({'moto', 'aiohttp', 'werkzeug'} & set(sys.modules)))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "[]\n" == told.stdout
