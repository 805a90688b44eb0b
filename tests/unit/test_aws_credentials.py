"""Which errors mean that the credentials are at fault, so that a job pauses instead of asking again."""

import pytest
from botocore import exceptions
from botocore.exceptions import ClientError

from sm_async_nb.aws.credentials import credentials_error
from sm_async_nb.errors import CredentialsError


def answered(code, message="no", *, status=400, operation="PutObject"):
    """What botocore raises for an answer of a service."""
    response = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(response, operation)


# The oldest botocore has no such class.
LoginError = type("LoginError", (exceptions.BotoCoreError,), {"fmt": "Please reauthenticate using 'aws login'."})

MISSING = {
    "none": exceptions.NoCredentialsError(),
    "half": exceptions.PartialCredentialsError(provider="env", cred_var="AWS_SECRET_ACCESS_KEY"),
}
EXPIRED = {
    code: answered(code) for code in ("ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired")
}
UNKNOWN = {
    code: answered(code)
    for code in ("InvalidToken", "InvalidAccessKeyId", "InvalidClientTokenId", "UnrecognizedClientException")
}
NOT_REFRESHED = {
    "credential_process": exceptions.CredentialRetrievalError(provider="custom-process", error_msg="exit code 1"),
    "container role refused": exceptions.CredentialRetrievalError(
        provider="container-role",
        error_msg="Error retrieving metadata: Received non 200 response 403 from container metadata: no",
    ),
    "sso signed out": exceptions.UnauthorizedSSOTokenError(),
    "sso token gone": exceptions.SSOTokenLoadError(error_msg="Token for https://x does not exist"),
    "token": exceptions.TokenRetrievalError(provider="sso", error_msg="Token has expired and refresh failed"),
    "no token": exceptions.NoAuthTokenError(),
    "mfa": exceptions.RefreshWithMFAUnsupportedError(),
    "aws login": LoginError(),
    "still expired": RuntimeError("Credentials were refreshed, but the refreshed credentials are still expired."),
    "role refused": answered("AccessDenied", status=403, operation="AssumeRole"),
    "role of a token refused": answered("InvalidIdentityToken", operation="AssumeRoleWithWebIdentity"),
    "sso refused": answered("ForbiddenException", status=403, operation="GetRoleCredentials"),
}
SOMETHING_ELSE = {
    "a refresh was throttled": answered("Throttling", operation="AssumeRole"),
    "a refresh met a 503": answered("ServiceUnavailable", status=503, operation="AssumeRoleWithWebIdentity"),
    "a refresh met a 429": answered("TooManyRequests", status=429, operation="GetRoleCredentials"),
    "a refresh met the network": exceptions.EndpointConnectionError(endpoint_url="https://sts.amazonaws.com"),
    "a refresh waited too long": exceptions.ReadTimeoutError(endpoint_url="https://sts.amazonaws.com"),
    "the machine's keys, network": exceptions.CredentialRetrievalError(
        provider="container-role", error_msg="Error retrieving metadata: Received error when attempting to retrieve"
    ),
    "the machine's keys, 500": exceptions.CredentialRetrievalError(
        provider="container-role", error_msg="Error retrieving metadata: Received non 200 response 500"
    ),
    "the machine's keys, 429": exceptions.CredentialRetrievalError(
        provider="container-role", error_msg="Error retrieving metadata: Received non 200 response 429"
    ),
    "the machine's keys, silence": exceptions.CredentialRetrievalError(
        provider="iam-role", error_msg="Credential refresh failed, response did not contain: access_key"
    ),
    "a permission": answered("AccessDenied", status=403),
    "a signature": answered("SignatureDoesNotMatch", status=403),
    "another runtime error": RuntimeError("cannot schedule new futures after shutdown"),
    "the network": exceptions.ConnectionClosedError(endpoint_url="https://s3.amazonaws.com"),
    "anything": ValueError("x"),
}


@pytest.mark.parametrize("error", [*MISSING.values(), *EXPIRED.values(), *UNKNOWN.values(), *NOT_REFRESHED.values()],
                         ids=[*MISSING, *EXPIRED, *UNKNOWN, *NOT_REFRESHED])  # fmt: skip
def test_credentials_that_no_patience_mends_are_told_as_such(error):
    """Missing, expired, unknown, or not to be refreshed."""
    assert isinstance(credentials_error(error), CredentialsError)


@pytest.mark.parametrize("error", SOMETHING_ELSE.values(), ids=SOMETHING_ELSE)
def test_what_passes_is_no_matter_of_credentials(error):
    """A job that paused for a throttle, or for a moment without network, would wait for a user who is asleep."""
    assert credentials_error(error) is None


def test_the_error_under_another_counts():
    """s3fs raises its own kind, from botocore's."""
    translated = PermissionError("The provided token has expired.")
    translated.__cause__ = answered("ExpiredToken", "The provided token has expired.")

    assert isinstance(credentials_error(translated), CredentialsError)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            MISSING["none"],
            "No AWS credentials were found: Unable to locate credentials. Configure a profile or sign in, or pass"
            " session=boto3.Session(profile_name=...).",
        ),
        (
            answered("ExpiredToken", "The provided token has expired."),
            "The AWS credentials have expired: PutObject answered ExpiredToken: The provided token has expired. Sign in"
            " again or get new keys; a job that waits goes on with job.resume(session=boto3.Session(...)).",
        ),
        (
            answered(
                "UnrecognizedClientException",
                "The security token included in the request is invalid.",
                operation="InvokeEndpointAsync",
            ),
            "AWS does not know these credentials: InvokeEndpointAsync answered UnrecognizedClientException: The"
            " security token included in the request is invalid. Sign in again or get new keys; a job that waits"
            " goes on with job.resume(session=boto3.Session(...)).",
        ),
        (
            NOT_REFRESHED["sso token gone"],
            "The AWS credentials cannot be refreshed: Error loading SSO Token: Token for https://x does not exist. Sign"
            " in again (aws sso login, or what your profile asks for); a job that waits goes on with job.resume().",
        ),
        (
            answered("AccessDenied", "User: u is not authorized to perform: sts:AssumeRole", operation="AssumeRole"),
            "The AWS credentials cannot be refreshed: AssumeRole answered AccessDenied: User: u is not authorized to"
            " perform: sts:AssumeRole. Sign in again, or mend the role; a job that waits goes on with job.resume().",
        ),
    ],
    ids=["missing", "expired", "unknown", "sign-in", "role"],
)
def test_a_message_says_what_expired_and_what_to_do(error, message):
    """Word for word, since it is all that a paused job has to say."""
    assert message == str(credentials_error(error))
