"""What the control plane and CloudWatch say of an endpoint, over the wire."""

import json
import time

import pytest
from acceptance.aws_answers import answering, session_at, session_of

from sm_async_nb.aws.endpoint import describe_endpoint, list_endpoints, look_at_endpoint
from sm_async_nb.core.locations import S3Location
from sm_async_nb.errors import (
    EndpointNotAsynchronousError,
    EndpointNotFoundError,
    EndpointNotInServiceError,
    RequestError,
    ServiceTroubleError,
)

DESCRIBED = {
    "EndpointName": "churn",
    "EndpointArn": "arn:aws:sagemaker:us-east-1:123456789012:endpoint/churn",
    "EndpointConfigName": "churn-2",
    "EndpointStatus": "InService",
    "CreationTime": 1_700_000_000,
    "LastModifiedTime": 1_700_000_000,
    "ProductionVariants": [
        {"VariantName": "a", "CurrentInstanceCount": 0, "DesiredInstanceCount": 2},
        {"VariantName": "b", "CurrentInstanceCount": 0, "DesiredInstanceCount": 1},
    ],
    "AsyncInferenceConfig": {
        "ClientConfig": {"MaxConcurrentInvocationsPerInstance": 4},
        "OutputConfig": {
            "KmsKeyId": "alias/outputs",
            "S3OutputPath": "s3://bucket/out",
            "S3FailurePath": "s3://bucket/failures",
            "NotificationConfig": {
                "SuccessTopic": "arn:aws:sns:us-east-1:123456789012:ok",
                "ErrorTopic": "arn:aws:sns:us-east-1:123456789012:no",
            },
        },
    },
}


def said(answer):
    return json.dumps(answer).encode()


def put_backlog(session, endpoint_name, value, at, dimension="EndpointName"):
    data = {
        "MetricName": "ApproximateBacklogSize",
        "Dimensions": [{"Name": dimension, "Value": endpoint_name}],
        "Value": value,
        "Timestamp": at,
    }
    session.client("cloudwatch").put_metric_data(Namespace="AWS/SageMaker", MetricData=[data])


def test_all_that_is_described_is_told(tmp_path):
    """By DescribeEndpoint alone: instances over all variants, paths, topics, key."""
    with answering(200, said(DESCRIBED)) as sagemaker:
        endpoint = describe_endpoint(session_at(tmp_path, sagemaker.url), "churn", now=12.5)

    assert 1 == len(sagemaker.calls)
    assert (0, 3, 4) == (
        endpoint.instances,
        endpoint.desired_instances,
        endpoint.max_concurrent_invocations_per_instance,
    )
    assert (S3Location("bucket", "out"), S3Location("bucket", "failures"), "alias/outputs") == (
        endpoint.s3_output_path,
        endpoint.s3_failure_path,
        endpoint.kms_key_id,
    )
    assert ("arn:aws:sns:us-east-1:123456789012:ok", "arn:aws:sns:us-east-1:123456789012:no") == (
        endpoint.success_topic,
        endpoint.error_topic,
    )
    assert (DESCRIBED["EndpointArn"], "us-east-1", 12.5, None) == (
        endpoint.endpoint_arn,
        endpoint.region_name,
        endpoint.described_at,
        endpoint.backlog,
    )
    assert (True, True) == (endpoint.is_in_service, endpoint.is_asleep)


def test_a_failed_endpoint_is_refused_and_yet_can_be_looked_at(tmp_path):
    """With its reason both times; a look sends nothing, so it refuses nothing."""
    failed = {**DESCRIBED, "EndpointStatus": "Failed", "FailureReason": "No ping."}
    del failed["ProductionVariants"]
    with answering(200, said(failed)) as sagemaker:
        session = session_at(tmp_path, sagemaker.url)
        with pytest.raises(EndpointNotInServiceError) as caught:
            describe_endpoint(session, "churn")
        endpoint = look_at_endpoint(session, "churn", now=1_700_000_000.0)

    assert str(caught.value) == (
        "Endpoint 'churn' is Failed (No ping.) and takes no requests. Nothing was sent; submit again when it is"
        " InService."
    )
    assert ("Failed", "No ping.", None) == (endpoint.endpoint_status, endpoint.failure_reason, endpoint.instances)
    assert repr(endpoint).startswith("Endpoint churn takes no requests, it is Failed: No ping. An instance")


def test_a_look_sees_the_newest_backlog_of_the_endpoint(tmp_path, session):
    """Not an older one, not another endpoint's, and not one that is long gone."""
    now = time.time()
    put_backlog(session, "other", 99, now)
    put_backlog(session, "churn", 7, now - 130)
    put_backlog(session, "churn", 1_234, now - 61)
    put_backlog(session, "churn", 5, now, dimension="VariantName")

    with answering(200, said(DESCRIBED)) as sagemaker:
        session = _session(tmp_path, sagemaker.url, session.client("cloudwatch").meta.endpoint_url)
        endpoint = look_at_endpoint(session, "churn", now=now)
        later = look_at_endpoint(session, "churn", now=now + 3_600)

    assert (1_234, now, None) == (endpoint.backlog, endpoint.described_at, later.backlog)
    assert "Backlog: 1,234 requests in CloudWatch's last minute." in repr(endpoint)


@pytest.mark.parametrize("status", [403, 500])
def test_a_backlog_that_may_not_be_seen_is_not_known(tmp_path, session, status):
    """It is a courtesy: no permission and no trouble of CloudWatch stands in the way of the rest."""
    with answering(status, b'{"__type": "AccessDenied", "message": "no"}') as cloudwatch:
        session = _with_cloudwatch_at(tmp_path, session, cloudwatch.url)
        endpoint = look_at_endpoint(session, "local-endpoint", now=time.time())

    assert ("InService", None) == (endpoint.endpoint_status, endpoint.backlog)
    assert 1 == len(cloudwatch.calls)


def test_a_cloudwatch_that_cannot_be_reached_is_no_error(tmp_path, session):
    """As in a network without a way to it."""
    session = _with_cloudwatch_at(tmp_path, session, "http://127.0.0.1:9")

    assert look_at_endpoint(session, "local-endpoint", now=time.time()).backlog is None


def _with_cloudwatch_at(tmp_path, session, url):
    return _session(tmp_path, session.client("sagemaker").meta.endpoint_url, url)


def _session(tmp_path, sagemaker, cloudwatch):
    config = "[default]\naws_access_key_id = k\naws_secret_access_key = s\nservices = here\n[services here]\n"
    return session_of(
        tmp_path, f"{config}sagemaker =\n  endpoint_url = {sagemaker}\ncloudwatch =\n  endpoint_url = {cloudwatch}\n"
    )


def test_endpoints_are_listed_with_their_status(local, session):
    """Page by page, as many as are asked for, newest first."""
    for number in range(3):
        local.create_endpoint(f"listed-{number}", asynchronous=number != 1)

    listed = list_endpoints(session)

    assert {"local-endpoint", "listed-0", "listed-1", "listed-2"} <= {one.endpoint_name for one in listed}
    assert {"InService"} == {one.endpoint_status for one in listed}
    assert 2 == len(list_endpoints(session, limit=2))
    assert all(one.created_at <= one.changed_at <= time.time() + 1 for one in listed)


def test_every_page_of_endpoints_is_asked_for(tmp_path):
    """Until there are as many as were asked for, or no more."""
    named = {"EndpointStatus": "InService", "EndpointArn": "arn", "CreationTime": 1, "LastModifiedTime": 2}
    page = {"Endpoints": [{**named, "EndpointName": "e"}] * 100}
    with answering() as sagemaker:
        sagemaker.answer = lambda call: (200, said({**page, "NextToken": f"after-{call}"}), {})
        session = session_at(tmp_path, sagemaker.url)
        listed = list_endpoints(session, limit=250)
        calls = len(sagemaker.calls)
        assert [] == list_endpoints(session, limit=0)

    assert (250, 3, 3) == (len(listed), calls, len(sagemaker.calls))
    assert (1.0, 2.0) == (listed[0].created_at, listed[0].changed_at)


def test_an_endpoint_that_lost_its_configuration_is_told_as_synchronous(tmp_path, session):
    """A configuration may be deleted while its endpoint lives; that endpoint is there all the same."""
    session.client("sagemaker").create_endpoint_config(
        EndpointConfigName="short-lived",
        ProductionVariants=[{"VariantName": "a", "ModelName": "local-endpoint", "InstanceType": "ml.m5.large",
                             "InitialInstanceCount": 1}],
    )  # fmt: skip
    session.client("sagemaker").create_endpoint(EndpointName="orphan", EndpointConfigName="short-lived")
    session.client("sagemaker").delete_endpoint_config(EndpointConfigName="short-lived")

    with pytest.raises(EndpointNotAsynchronousError, match=r"^Endpoint 'orphan' is not asynchronous: "):
        describe_endpoint(session, "orphan")


def test_a_name_that_is_not_there_comes_with_the_nearest_that_is(session):
    """As a typo deserves."""
    with pytest.raises(EndpointNotFoundError) as caught:
        look_at_endpoint(session, "local-endpiont", now=0.0)

    assert str(caught.value) == (
        "There is no endpoint 'local-endpiont' in us-east-1 for these credentials. Did you mean 'local-endpoint'?"
        " Nothing was sent."
    )


@pytest.mark.parametrize(
    ("status", "answer", "kind", "message"),
    [
        (
            400,
            {"__type": "AccessDeniedException", "message": "User: u is not authorized."},
            RequestError,
            "SageMaker refused to describe endpoint 'churn': User: u is not authorized. These credentials need"
            " sagemaker:DescribeEndpoint and sagemaker:DescribeEndpointConfig. Nothing was sent.",
        ),
        (
            500,
            {"__type": "InternalFailure", "message": "Oh."},
            ServiceTroubleError,
            "DescribeEndpoint answered 500 InternalFailure: Oh. Nothing was sent.",
        ),
    ],
)
def test_a_control_plane_that_says_no_is_explained(tmp_path, status, answer, kind, message):
    """A permission by its name, trouble as trouble."""
    with answering(status, said(answer)) as sagemaker, pytest.raises(kind) as caught:
        describe_endpoint(session_at(tmp_path, sagemaker.url), "churn")

    assert message == str(caught.value)


def test_a_list_that_is_not_allowed_names_the_permission(tmp_path):
    """Another one than that of a look."""
    body = said({"__type": "AccessDeniedException", "message": "User: u is not authorized."})
    with answering(400, body) as sagemaker, pytest.raises(RequestError) as caught:
        list_endpoints(session_at(tmp_path, sagemaker.url))

    assert str(caught.value) == (
        "SageMaker refused to list endpoints: User: u is not authorized. These credentials need"
        " sagemaker:ListEndpoints."
    )
