"""The control plane and CloudWatch of the local endpoint, as unmodified boto3 sees them."""

from __future__ import annotations

import time
from contextlib import closing

import boto3
import pytest
from botocore.exceptions import ClientError

from sm_async_nb.local import LocalEndpoint

BUCKET = "controlled"


@pytest.fixture(scope="module")
def shared():
    handler = {"warm": lambda body, *_: body, "cold": lambda body, *_: body}
    with LocalEndpoint(handler, bucket=BUCKET, cold_start=0.2) as local:
        yield local


@pytest.fixture
def local(shared, monkeypatch):
    for name, value in shared.environment.items():
        monkeypatch.setenv(name, value)
    with client("s3") as s3:
        s3.put_object(Bucket=BUCKET, Key="in", Body=b"hello")
    return shared


def client(service):
    return closing(boto3.client(service))


def invoke(endpoint_name, **fields):
    with client("sagemaker-runtime") as runtime:
        return runtime.invoke_endpoint_async(
            EndpointName=endpoint_name, **{"InputLocation": f"s3://{BUCKET}/in", **fields}
        )


def scale(endpoint_name, count):
    with client("sagemaker") as sagemaker:
        sagemaker.update_endpoint_weights_and_capacities(
            EndpointName=endpoint_name,
            DesiredWeightsAndCapacities=[{"VariantName": "AllTraffic", "DesiredInstanceCount": count}],
        )


def described(endpoint_name):
    with client("sagemaker") as sagemaker:
        return sagemaker.describe_endpoint(EndpointName=endpoint_name)


def instances(endpoint_name):
    (variant,) = described(endpoint_name)["ProductionVariants"]
    return variant["CurrentInstanceCount"], variant["DesiredInstanceCount"]


def statistics(metric, endpoint_name, **dimensions):
    with client("cloudwatch") as cloudwatch:
        return cloudwatch.get_metric_statistics(
            Namespace="AWS/SageMaker",
            MetricName=metric,
            Dimensions=[{"Name": n, "Value": v} for n, v in {"EndpointName": endpoint_name, **dimensions}.items()],
            StartTime=time.time() - 3600,
            EndTime=time.time() + 60,
            Period=3600,
            Statistics=["Sum", "Maximum"],
        )["Datapoints"]


def test_describe_endpoint_shows_the_async_inference_config(local):
    """moto leaves it out; a client that asks whether an endpoint is asynchronous needs it."""
    expected = {
        "ClientConfig": {"MaxConcurrentInvocationsPerInstance": 4},
        "OutputConfig": {
            "S3OutputPath": f"s3://{BUCKET}/async-output",
            "S3FailurePath": f"s3://{BUCKET}/async-failures",
        },
    }

    assert expected == described("warm")["AsyncInferenceConfig"]
    assert "InService" == described("warm")["EndpointStatus"]


def test_describe_endpoint_of_an_unknown_endpoint_is_a_validation_exception(local):
    """As moto has it, and the service."""
    with pytest.raises(ClientError, match="ValidationException"):
        described("nobody")


def test_a_cold_endpoint_wakes_for_its_first_request(local):
    """Current follows desired after the cold start."""
    scale("cold", 0)
    assert (0, 0) == instances("cold")

    response = invoke("cold")
    assert (0, 1) == instances("cold")
    local.drained(timeout=10)
    assert (1, 1) == instances("cold")
    assert response["OutputLocation"]


def test_update_endpoint_changes_the_configuration_for_the_next_request(local):
    """moto has no UpdateEndpoint."""
    with client("sagemaker") as sagemaker:
        sagemaker.create_endpoint_config(
            EndpointConfigName="elsewhere",
            ProductionVariants=[
                {
                    "VariantName": "AllTraffic",
                    "ModelName": "warm",
                    "InstanceType": "ml.m5.large",
                    "InitialInstanceCount": 2,
                }
            ],
            AsyncInferenceConfig={"OutputConfig": {"S3OutputPath": f"s3://{BUCKET}/elsewhere"}},
        )
        sagemaker.update_endpoint(EndpointName="warm", EndpointConfigName="elsewhere")

        assert invoke("warm")["OutputLocation"].startswith(f"s3://{BUCKET}/elsewhere/")
        assert "elsewhere" == described("warm")["EndpointConfigName"]
        with pytest.raises(ClientError, match="ValidationException"):
            sagemaker.update_endpoint(EndpointName="warm", EndpointConfigName="nothing")
        sagemaker.update_endpoint(EndpointName="warm", EndpointConfigName="warm")
    local.drained(timeout=10)


def test_a_deleted_endpoint_is_gone_at_once(local):
    """Not after the second for which a look-up is remembered."""
    with client("sagemaker") as sagemaker, client("sagemaker-runtime") as runtime:
        sagemaker.create_endpoint(EndpointName="brief", EndpointConfigName="warm")
        invoke("brief")
        sagemaker.delete_endpoint(EndpointName="brief")
        with pytest.raises(runtime.exceptions.ValidationError, match="not found"):
            runtime.invoke_endpoint_async(EndpointName="brief", InputLocation=f"s3://{BUCKET}/in")


def test_cloudwatch_has_the_metrics_of_the_service(local):
    """Under its names and dimensions; each data point is there as soon as somebody asks."""
    before = sum(point["Sum"] for point in statistics("InvocationsProcessed", "warm", VariantName="AllTraffic"))
    for _ in range(3):
        invoke("warm")
    local.drained(timeout=10)
    (processed,) = statistics("InvocationsProcessed", "warm", VariantName="AllTraffic")
    (backlog,) = statistics("ApproximateBacklogSize", "warm")

    assert before + 3 == processed["Sum"]
    assert 1 <= backlog["Maximum"]


def test_get_metric_data_reads_them_too(local):
    """The newer of the two calls."""
    invoke("warm", InputLocation=f"s3://{BUCKET}/none")
    local.drained(timeout=10)
    query = {
        "Id": "failures",
        "MetricStat": {
            "Metric": {
                "Namespace": "AWS/SageMaker",
                "MetricName": "RequestDownloadFailures",
                "Dimensions": [
                    {"Name": "EndpointName", "Value": "warm"},
                    {"Name": "VariantName", "Value": "AllTraffic"},
                ],
            },
            "Period": 60,
            "Stat": "Sum",
        },
    }
    with client("cloudwatch") as cloudwatch:
        found = cloudwatch.get_metric_data(
            MetricDataQueries=[query], StartTime=time.time() - 3600, EndTime=time.time() + 60
        )

    assert 1 == sum(found["MetricDataResults"][0]["Values"])


def test_what_moto_does_not_know_is_told_and_not_hung_up_on(local):
    """501, with the operation's name."""
    with client("sagemaker") as sagemaker, pytest.raises(ClientError) as error:
        sagemaker.list_stage_devices(EdgeDeploymentPlanName="a", StageName="b")

    assert 501 == error.value.response["ResponseMetadata"]["HTTPStatusCode"]
    assert "list_stage_devices" in str(error.value)


def configured(name, **output):
    """A configuration by that name, whose outputs go there."""
    variant = {"VariantName": "AllTraffic", "ModelName": "warm", "InstanceType": "ml.m5.large"}
    with client("sagemaker") as sagemaker:
        sagemaker.create_endpoint_config(
            EndpointConfigName=name,
            ProductionVariants=[{**variant, "InitialInstanceCount": 1}],
            AsyncInferenceConfig={"OutputConfig": output},
        )


def test_an_endpoint_lives_on_when_its_configuration_is_deleted(local):
    """A clean-up script does that; the service goes on, and shows what it goes by."""
    configured("doomed", S3OutputPath=f"s3://{BUCKET}/doomed")
    with client("sagemaker") as sagemaker:
        sagemaker.create_endpoint(EndpointName="bereft", EndpointConfigName="doomed")
        sagemaker.delete_endpoint_config(EndpointConfigName="doomed")
    scale("bereft", 2)  # so that the endpoint is looked up again
    response = invoke("bereft")
    local.drained(timeout=10)

    assert response["OutputLocation"].startswith(f"s3://{BUCKET}/doomed/")
    assert {"S3OutputPath": f"s3://{BUCKET}/doomed"} == described("bereft")["AsyncInferenceConfig"]["OutputConfig"]
    assert 2 == instances("bereft")[1]


@pytest.mark.parametrize(
    ("name", "output"),
    [
        ("S3OutputPath", {"S3OutputPath": "https://s3.us-east-1.amazonaws.com/b/out"}),
        ("S3FailurePath", {"S3OutputPath": f"s3://{BUCKET}/out", "S3FailurePath": "https://b.s3.amazonaws.com/bad"}),
    ],
)
def test_a_path_that_is_not_written_as_s3_is_refused_in_words(local, name, output):
    """Valid at the service; here every call would end in a 500, which an SDK tries again."""
    configured(f"https-{name}", **output)
    with client("sagemaker") as sagemaker, client("sagemaker-runtime") as runtime:
        sagemaker.create_endpoint(EndpointName=f"https-{name}", EndpointConfigName=f"https-{name}")
        with pytest.raises(runtime.exceptions.ValidationError) as refused:
            runtime.invoke_endpoint_async(EndpointName=f"https-{name}", InputLocation=f"s3://{BUCKET}/in")

    assert f"has the {name} '{output[name]}'; the local endpoint writes to s3:// locations only." in str(refused.value)
