"""Several local endpoints open in one process: each is an AWS account of its own, and S3 is one for all."""

from __future__ import annotations

import json
import time
from contextlib import ExitStack, closing

import pandas as pd
import pytest
from botocore.exceptions import ClientError

from sm_async_nb.errors import EndpointNotFoundError
from sm_async_nb.local import LocalEndpoint

BUCKET = "shared-by-all"
FRAME = pd.DataFrame({"x": [1, 2]})


def answering(word):
    """A model whose answers say who gave them."""
    return lambda body, content_type, accept: json.dumps({"answered_by": word})


def opened(name, word, **options):
    return LocalEndpoint(answering(word), endpoint_name=name, bucket=BUCKET, **options)


@pytest.fixture(scope="module")
def both():
    """`a` and then `b`, each with an endpoint named after it, and with one that is called the same."""
    with opened("model-a", "a", notifications=True) as a, opened("model-b", "b", notifications=True) as b:
        for local in (a, b):
            local.create_endpoint("same")
        yield a, b


@pytest.fixture
def a(both):
    both[0].drained(timeout=10)
    return both[0]


@pytest.fixture
def b(both):
    both[1].drained(timeout=10)
    return both[1]


@pytest.fixture
def client():
    """Clients of a local endpoint, closed when the test ends."""
    with ExitStack() as clients:
        yield lambda local, service: clients.enter_context(closing(local.session().client(service)))


def point_at(monkeypatch, local):
    for name, value in local.environment.items():
        monkeypatch.setenv(name, value)


def names(sagemaker):
    return sorted(one["EndpointName"] for one in sagemaker.list_endpoints()["Endpoints"])


def answered_by(job):
    return list(job.wait().results()["answered_by"])


def test_a_frame_is_never_scored_by_the_model_of_another(a, b, monkeypatch):
    """As in a notebook where both were started, and os.environ was updated from each in turn."""
    point_at(monkeypatch, a)
    point_at(monkeypatch, b)

    with pytest.raises(EndpointNotFoundError, match="model-a"):
        FRAME.sm_async.submit("model-a", wait=True)
    assert ["b", "b"] == answered_by(FRAME.sm_async.submit("model-b"))
    point_at(monkeypatch, a)
    assert ["a", "a"] == answered_by(FRAME.sm_async.submit("model-a"))
    with pytest.raises(EndpointNotFoundError, match="model-b"):
        FRAME.sm_async.submit("model-b")


def test_endpoints_of_the_same_name_answer_their_own_clients(a, b, client):
    """Jobs of both at the same time, and single calls."""
    jobs = [FRAME.sm_async.submit("same", session=local.session()) for local in (a, b)]

    assert [["a", "a"], ["b", "b"]] == [answered_by(job) for job in jobs]
    for local, expected in ((a, b'{"answered_by": "a"}'), (b, b'{"answered_by": "b"}')):
        client(local, "s3").put_object(Bucket=BUCKET, Key="in", Body=b"{}")
        response = client(local, "sagemaker-runtime").invoke_endpoint_async(
            EndpointName="same", InputLocation=f"s3://{BUCKET}/in"
        )
        local.drained(timeout=10)
        key = response["OutputLocation"].removeprefix(f"s3://{BUCKET}/")
        assert expected == client(local, "s3").get_object(Bucket=BUCKET, Key=key)["Body"].read()


def test_the_runtime_refuses_an_endpoint_of_another_as_one_that_is_not_there(a, b, client):
    """In the service's words, with the account that was asked."""
    for local, name in ((a, "model-b"), (b, "model-a")):
        account = client(local, "sts").get_caller_identity()["Account"]
        runtime = client(local, "sagemaker-runtime")
        with pytest.raises(runtime.exceptions.ValidationError) as refused:
            runtime.invoke_endpoint_async(EndpointName=name, InputLocation=f"s3://{BUCKET}/in")

        assert f"Endpoint {name} of account {account} not found." == refused.value.response["Error"]["Message"]


def test_the_control_plane_shows_what_is_its_own(a, b, client):
    """Endpoints, models and configurations; each in an account that the other is not."""
    accounts = [client(local, "sts").get_caller_identity()["Account"] for local in (a, b)]
    assert accounts[0] != accounts[1]
    for local, account, own, other in ((a, accounts[0], "model-a", "model-b"), (b, accounts[1], "model-b", "model-a")):
        sagemaker = client(local, "sagemaker")
        models = [one["ModelName"] for one in sagemaker.list_models()["Models"]]

        assert [own, "same"] == names(sagemaker)
        assert [own, "same"] == sorted(models)
        assert (
            f"arn:aws:sagemaker:us-east-1:{account}:endpoint/{own}"
            == (sagemaker.describe_endpoint(EndpointName=own)["EndpointArn"])
        )
        assert own == sagemaker.describe_endpoint_config(EndpointConfigName=own)["EndpointConfigName"]
        with pytest.raises(ClientError, match="ValidationException"):
            sagemaker.describe_endpoint(EndpointName=other)
        with pytest.raises(ClientError, match="Could not find"):
            sagemaker.describe_endpoint_config(EndpointConfigName=other)


def test_what_one_deletes_the_other_still_has(a, b, client):
    """And what one scales, the other does not."""
    for local in (a, b):
        local.create_endpoint("brief")
    client(b, "sagemaker").update_endpoint_weights_and_capacities(
        EndpointName="brief", DesiredWeightsAndCapacities=[{"VariantName": "AllTraffic", "DesiredInstanceCount": 3}]
    )
    (variant,) = client(a, "sagemaker").describe_endpoint(EndpointName="brief")["ProductionVariants"]
    assert 1 == variant["DesiredInstanceCount"]
    client(b, "sagemaker").delete_endpoint(EndpointName="brief")

    assert "brief" in names(client(a, "sagemaker"))
    assert "brief" not in names(client(b, "sagemaker"))
    client(a, "sagemaker").delete_endpoint(EndpointName="brief")


def test_notifications_and_metrics_are_told_apart(a, b, client):
    """Though the topics, the queues and the endpoints have the same names."""
    for local in (a, b):
        received(client(local, "sqs"), local)
    before = [processed(client(local, "cloudwatch")) for local in (a, b)]
    client(a, "s3").put_object(Bucket=BUCKET, Key="in", Body=b"{}")
    client(a, "sagemaker-runtime").invoke_endpoint_async(
        EndpointName="same", InputLocation=f"s3://{BUCKET}/in", InferenceId="only-a"
    )
    a.drained(timeout=10)

    assert (["only-a"], []) == (received(client(a, "sqs"), a), received(client(b, "sqs"), b))
    assert [before[0] + 1, before[1]] == [processed(client(local, "cloudwatch")) for local in (a, b)]


def received(sqs, local):
    """The inference ids of all messages in the queue of the local endpoint; those of test messages are None."""
    found = []
    while batch := sqs.receive_message(QueueUrl=local.queue_url, MaxNumberOfMessages=10).get("Messages"):
        for message in batch:
            sqs.delete_message(QueueUrl=local.queue_url, ReceiptHandle=message["ReceiptHandle"])
            found.append(json.loads(json.loads(message["Body"])["Message"]).get("inferenceId"))
    return found


def processed(cloudwatch):
    statistics = cloudwatch.get_metric_statistics(
        Namespace="AWS/SageMaker",
        MetricName="InvocationsProcessed",
        Dimensions=[{"Name": "EndpointName", "Value": "same"}, {"Name": "VariantName", "Value": "AllTraffic"}],
        StartTime=time.time() - 3600,
        EndTime=time.time() + 60,
        Period=3600,
        Statistics=["Sum"],
    )
    return sum(point["Sum"] for point in statistics["Datapoints"])


def test_s3_is_one_for_all(a, b, client):
    """As the names of buckets are at AWS: a job's folder is found from either."""
    client(a, "s3").put_object(Bucket=BUCKET, Key="from-a", Body=b"hello")

    assert b"hello" == client(b, "s3").get_object(Bucket=BUCKET, Key="from-a")["Body"].read()


def test_one_that_starts_beside_another_starts_without_endpoints(a, client):
    """Nor has it those of one that is closed, whose name it has."""
    with opened("model-c", "c"):
        pass
    with opened(None, "c") as third:
        assert [] == names(client(third, "sagemaker"))


@pytest.mark.parametrize("service", ["s3", "sagemaker", "sagemaker-runtime", "runtime.sagemaker", "sqs"])
def test_a_session_reaches_its_own_whatever_the_environment_says(a, b, client, monkeypatch, service):
    """Addresses of one that is open, or was, in the environment of the process, in the general form and by service."""
    expected = client(a, service).meta.endpoint_url
    point_at(monkeypatch, b)
    monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_PROFILE", "nobody")

    assert expected == client(a, service).meta.endpoint_url


def test_an_address_that_is_said_is_obeyed(a, b):
    """A session's own addresses are what it takes where nothing else is said."""
    url = b.environment["AWS_ENDPOINT_URL"]
    with closing(a.session().client("sagemaker", endpoint_url=url)) as sagemaker:
        assert "model-b" in names(sagemaker)


def test_endpoints_of_the_same_name_answer_their_own_sessions_beside_another_environment(a, b, monkeypatch):
    """Where session= is passed, os.environ has no say in who answers."""
    point_at(monkeypatch, b)

    assert ["a", "a"] == answered_by(FRAME.sm_async.submit("same", session=a.session()))


@pytest.mark.parametrize("storage", ["s3fs", "auto"])
def test_a_job_of_a_session_is_done_though_the_environment_is_of_one_that_is_closed(monkeypatch, storage):
    """A notebook cell that is run again finds the addresses of the endpoint before in its environment."""
    with opened("before", "before") as before:
        point_at(monkeypatch, before)
    with opened("after", "after") as local:
        assert ["after", "after"] == answered_by(
            FRAME.sm_async.submit("after", session=local.session(), storage=storage)
        )
