"""What the answers of InvokeEndpointAsync become: whether one request is at fault, all of them, or nobody."""

import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError, ParamValidationError

from sm_async_nb.aws.runtime import explain
from sm_async_nb.errors import (
    CredentialsError,
    EndpointNotFoundError,
    EndpointNotInServiceError,
    InvocationRefusedError,
    RequestError,
    ServiceTroubleError,
)


def answered(status, code, message="no"):
    response = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status, "RequestId": "r-1"},
    }
    return ClientError(response, "InvokeEndpointAsync")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (answered(429, "ThrottlingException"), ServiceTroubleError),
        (answered(400, "ThrottlingException"), ServiceTroubleError),
        (answered(503, "ServiceUnavailable"), ServiceTroubleError),
        (answered(500, "InternalFailure"), ServiceTroubleError),
        (ConnectTimeoutError(endpoint_url="https://runtime"), ServiceTroubleError),
        (answered(403, "InvalidSignatureException", "Signature expired: 1 is now earlier than 2"), ServiceTroubleError),
        (answered(403, "ExpiredTokenException"), CredentialsError),
        (answered(403, "UnrecognizedClientException"), CredentialsError),
        (answered(403, "AccessDeniedException"), RequestError),
        (
            answered(403, "InvalidSignatureException", "The request signature we calculated does not match"),
            RequestError,
        ),
        (answered(400, "ValidationError", "Endpoint e of account 1 not found."), EndpointNotFoundError),
        (answered(400, "ValidationError", "Endpoint e of account 1 is not InService."), EndpointNotInServiceError),
        (answered(400, "ValidationError", "Endpoint e is not in service."), EndpointNotInServiceError),
        (answered(400, "ValidationError", "Endpoint e is in status Failed."), EndpointNotInServiceError),
        (answered(400, "ValidationError", "Endpoint e is in Creating state."), EndpointNotInServiceError),
        (
            answered(400, "ValidationError", "1 validation error detected: Value 'not in service'"),
            InvocationRefusedError,
        ),
        (answered(413, "ModelError", "too large"), InvocationRefusedError),
        (ParamValidationError(report="Invalid length"), InvocationRefusedError),
    ],
    ids=str,
)
def test_an_answer_tells_who_can_act(error, kind):
    """Nobody yet, you, the owner of the endpoint; or this one request is refused and the others go on."""
    assert kind is type(explain(error, "e"))


def test_what_throttles_asks_for_fewer_calls():
    """A 503 does too, whatever its code says."""
    throttles = [explain(answered(status, code), "e").throttled for status, code in THROTTLES]

    assert [True, True, True, True] == throttles


THROTTLES = [(429, "X"), (400, "ThrottlingException"), (400, "TooManyRequestsException"), (503, "ServiceUnavailable")]


def test_a_missing_permission_is_named():
    """With the service's own words and the request id."""
    explained = explain(answered(403, "AccessDeniedException", "User: u is not authorized"), "churn")

    assert str(explained) == (
        "InvokeEndpointAsync answered 403 AccessDeniedException: User: u is not authorized (AWS request id r-1). These"
        " credentials need sagemaker:InvokeEndpointAsync on churn."
    )


def test_an_endpoint_that_takes_no_requests_is_told_in_the_services_words():
    """Code, text and request id are what support asks for."""
    explained = explain(answered(400, "ValidationError", "Endpoint e of account 1 is not InService."), "e")

    assert str(explained) == (
        "InvokeEndpointAsync answered 400 ValidationError: Endpoint e of account 1 is not InService. (AWS request id"
        " r-1)"
    )
