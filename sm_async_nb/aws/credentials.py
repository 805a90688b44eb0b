"""Whether an error means that the credentials are at fault: missing, expired, or not to be refreshed.

Nothing that is sent with such credentials gets through, and asking again does not help: a job pauses. A refresh that
met a throttle, a 5xx or the network is another matter, since the next one may succeed.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any

from botocore.exceptions import (
    ClientError,
    CredentialRetrievalError,
    NoAuthTokenError,
    NoCredentialsError,
    PartialCredentialsError,
    RefreshWithMFAUnsupportedError,
    SSOError,
    TokenRetrievalError,
)

from sm_async_nb.errors import CredentialsError

THROTTLED = {"SlowDown", "503", "ServiceUnavailable", "Throttling", "ThrottlingException", "RequestLimitExceeded",
             "RequestThrottled", "TooManyRequests", "TooManyRequestsException"}  # fmt: skip

_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"}
_UNKNOWN = {"InvalidAccessKeyId", "InvalidClientTokenId", "InvalidToken", "UnrecognizedClientException"}
_CANNOT_REFRESH = (
    CredentialRetrievalError, NoAuthTokenError, RefreshWithMFAUnsupportedError, SSOError, TokenRetrievalError
)  # fmt: skip
_SIGN_IN = "LoginError"  # by its name, since an older botocore has no such class

# What a refresh calls, none of which this package calls itself.
_REFRESHING = {"AssumeRole", "AssumeRoleWithSAML", "AssumeRoleWithWebIdentity", "CreateOAuth2Token", "CreateToken",
               "GetCredentialsForIdentity", "GetFederationToken", "GetRoleCredentials", "GetSessionToken"}  # fmt: skip

# botocore tells whoever keeps the keys of a machine or a container by these names, and not whether it was the
# network. Patience mends most of that, and there is nothing for a user to sign in to.
_KEPT_BY_THE_MACHINE = {"iam-role", "container-role"}
_REFUSED_BY_THE_MACHINE = re.compile(r"Received non 200 response 4(?!08|29)")

_GO_ON = "a job that waits goes on with job.resume()."
_GO_ON_WITH_OTHERS = "a job that waits goes on with job.resume(session=boto3.Session(...))."


def credentials_error(error: BaseException) -> CredentialsError | None:
    """The error to raise if this one, or what it came from, is about credentials; None if it is not.

    Source: botocore, credentials.py, tokens.py and exceptions.py; S3's and STS's lists of error codes.
    """
    causes = (error, error.__cause__)
    return next(filter(None, map(_of_one, causes)), None)


def _of_one(error: BaseException | None) -> CredentialsError | None:
    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        return CredentialsError(
            f"No AWS credentials were found: {_sentence(error)} Configure a profile or sign in, or pass"
            " session=boto3.Session(profile_name=...)."
        )
    if isinstance(error, ClientError):
        return _of_answer(error)
    if _is_a_failed_refresh(error):
        return CredentialsError(
            f"The AWS credentials cannot be refreshed: {_sentence(error)} Sign in again (aws sso login, or what your"
            f" profile asks for); {_GO_ON}"
        )
    return None


def _of_answer(error: ClientError) -> CredentialsError | None:
    response: Any = error.response
    code, said = str(response.get("Error", {}).get("Code", "")), response.get("Error", {}).get("Message") or ""
    if code in _EXPIRED:
        return CredentialsError(
            f"The AWS credentials have expired: {error.operation_name} answered {code}: {_ended(said)} Sign in again"
            f" or get new keys; {_GO_ON_WITH_OTHERS}"
        )
    if code in _UNKNOWN:
        return CredentialsError(
            f"AWS does not know these credentials: {error.operation_name} answered {code}: {_ended(said)} Sign in again"
            f" or get new keys; {_GO_ON_WITH_OTHERS}"
        )
    if error.operation_name in _REFRESHING and not _is_passing(response, code):
        return CredentialsError(
            f"The AWS credentials cannot be refreshed: {error.operation_name} answered {code}: {_ended(said)} Sign in"
            f" again, or mend the role; {_GO_ON}"
        )
    return None


def _is_a_failed_refresh(error: BaseException | None) -> bool:
    if isinstance(error, RuntimeError):
        return "refreshed credentials are still expired" in str(error)
    if isinstance(error, CredentialRetrievalError) and error.kwargs.get("provider") in _KEPT_BY_THE_MACHINE:
        return _REFUSED_BY_THE_MACHINE.search(str(error)) is not None
    return isinstance(error, _CANNOT_REFRESH) or _SIGN_IN in {kind.__name__ for kind in type(error).__mro__}


def _is_passing(response: Any, code: str) -> bool:
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return code in THROTTLED or status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR


def _sentence(error: BaseException | None) -> str:
    return _ended(str(error))


def _ended(said: str) -> str:
    return f"{said.rstrip().rstrip('.')}."
