"""InvokeEndpointAsync on the wire, where the answer is not the service's or the endpoint is gone."""

import asyncio
import json

import pytest
from acceptance.aws_answers import answering, session_at

from sm_async_nb.aws.runtime import open_runtime
from sm_async_nb.errors import (
    CredentialsError,
    EndpointNotFoundError,
    EndpointNotInServiceError,
    InvocationRefusedError,
    ServiceTroubleError,
)
from sm_async_nb.local import Faults, LocalEndpoint

FIELDS = {"endpoint_name": "churn", "input_location": "s3://bucket/a"}


def invoke(session):
    async def inside():
        async with open_runtime(session) as runtime:
            return await runtime.invoke(FIELDS)

    return asyncio.run(inside())


@pytest.mark.parametrize(("status", "body"), [(200, b"<html>Sign in to the hotel</html>"), (502, b"<html>Bad</html>")])
def test_the_page_of_a_proxy_is_no_answer(tmp_path, status, body):
    """Nothing was queued, and nothing is known to be wrong with the request."""
    with answering(status, body, Content_Type="text/html") as proxy, pytest.raises(ServiceTroubleError):
        invoke(session_at(tmp_path, proxy.url))


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("Endpoint churn of account 123456789012 not found.", EndpointNotFoundError),
        ("Endpoint churn of account 123456789012 is not InService.", EndpointNotInServiceError),
        ("1 validation error detected: Value at 'inferenceId' failed", InvocationRefusedError),
    ],
)
def test_a_validation_error_is_read_by_its_words(tmp_path, said, kind):
    """One code, and three that can act on it."""
    with answering(400, json.dumps({"Message": said}).encode(), x_amzn_ErrorType="ValidationError") as runtime:
        with pytest.raises(kind) as caught:
            invoke(session_at(tmp_path, runtime.url))
        calls = len(runtime.calls)

    assert f"InvokeEndpointAsync answered 400 ValidationError: {said} (AWS request id unknown)" == str(caught.value)
    assert 1 == calls


def test_an_answer_is_passed_on_as_it_came(tmp_path):
    """A service that names its failures itself, and one call on the wire."""
    headers = {
        "X-Amzn-SageMaker-OutputLocation": "s3://bucket/x.out",
        "X-Amzn-SageMaker-FailureLocation": "s3://bucket/x-error.out",
        "x-amzn-RequestId": "r-1",
    }
    with answering(202, b'{"InferenceId":"i"}', **headers) as runtime:
        accepted = invoke(session_at(tmp_path, runtime.url))

    assert ("i", "s3://bucket/x.out", "s3://bucket/x-error.out", "r-1", 202) == (
        accepted.inference_id,
        accepted.output_location,
        accepted.failure_location,
        accepted.request_id,
        accepted.http_status,
    )


@pytest.mark.parametrize(
    ("faults", "kind"),
    [
        (Faults(expired_credentials=1.0), CredentialsError),
        (Faults(throttle=1.0), ServiceTroubleError),
        (Faults(unavailable=1.0), ServiceTroubleError),
        (Faults(reset_before_enqueue=1.0), ServiceTroubleError),
    ],
    ids=["expired", "throttled", "unavailable", "reset"],
)
def test_faults_of_the_local_endpoint_are_told_apart(faults, kind):
    """A job pauses for one of them, and goes on through the others."""
    local = LocalEndpoint(lambda body, *_: body, endpoint_name="churn", faults=faults)
    with local, pytest.raises(kind) as caught:
        invoke(local.session())

    assert (1.0 in {faults.throttle, faults.unavailable}) == getattr(caught.value, "throttled", False)


def test_an_endpoint_that_was_deleted_is_not_found():
    """In the service's words."""
    with LocalEndpoint(lambda body, *_: body, endpoint_name="churn") as local:
        session = local.session()
        session.client("sagemaker").delete_endpoint(EndpointName="churn")
        with pytest.raises(EndpointNotFoundError, match=r"Endpoint churn of account \d{12} not found\."):
            invoke(session)
