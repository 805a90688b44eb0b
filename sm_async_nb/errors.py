"""Every exception this package raises, sorted by who can act on it.

::

    SmAsyncError
    ├── RequestError                  you: the call, the frame or the permissions; also a ValueError
    │   ├── ColumnNotFoundError         a column that the frame does not have
    │   ├── EndpointNotFoundError       no endpoint of that name in this account and region
    │   ├── EndpointNotAsynchronousError  the endpoint exists, but answers InvokeEndpoint only
    │   ├── InvocationRefusedError      InvokeEndpointAsync said no to one request (4xx about the request)
    │   ├── StorageAccessError          a bucket that is missing, or that these credentials may not use
    │   ├── CredentialsError            credentials that are missing, or expired and cannot be refreshed
    │   ├── JobNotFoundError            no job lies at that place
    │   ├── PayloadLostError            a payload that cannot be made again here
    │   ├── JobChangedError             the job of that name was asked for something else
    │   └── JobInUseError               another kernel writes to the job
    ├── EndpointError                 the endpoint's owner: what runs behind the name
    │   ├── EndpointNotInServiceError   created, updating, failed or deleting
    │   ├── TooManyFailuresError        a job stopped itself, as max_failures asked
    │   └── InferenceFailedError        the model, or its container, answered with an error
    ├── NotYetError                   nobody yet: waiting, or asking again, may mend it
    │   ├── ServiceTroubleError         throttling, 5xx, credentials or network; nothing is known about a row
    │   ├── InvocationExpiredError      no output and no failure in the time the service allows
    │   └── WaitTimeoutError            a wait ended before the job did; also a TimeoutError
    └── IllegalFactError              a defect in this package: a fact that cannot follow from what was known

A message says the fact, where it was found, and the way out. It never carries a payload or custom attributes in
full, since the service marks both as sensitive.
"""

from __future__ import annotations


class SmAsyncError(Exception):
    """The base of all errors of this package."""


class RequestError(SmAsyncError, ValueError):
    """Something in the call or the frame is wrong; it was refused before it was sent."""


class ColumnNotFoundError(RequestError):
    """A column was named that the frame does not have."""


class EndpointNotFoundError(RequestError):
    """There is no endpoint of that name in this account and region."""


class EndpointNotAsynchronousError(RequestError):
    """The endpoint has no AsyncInferenceConfig, so it cannot take InvokeEndpointAsync."""


class InvocationRefusedError(RequestError):
    """InvokeEndpointAsync refused one request with a 4xx about the request itself.

    ``code`` and ``status`` are the service's own; ``request_id`` is the AWS request id, for a support case.
    """

    def __init__(self, message: str, *, code: str, status: int, request_id: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.status = status
        self.request_id = request_id


class StorageAccessError(RequestError):
    """A bucket does not exist, or the credentials do not allow what is needed there."""


class CredentialsError(RequestError):
    """There are no AWS credentials, or they have expired and the session cannot refresh them."""


class JobNotFoundError(RequestError):
    """There is no job at the place that was named."""


class PayloadLostError(RequestError):
    """A payload that cannot be made again here: its function, a file or the columns it was made of are not the same."""


class JobChangedError(RequestError):
    """A job of that name exists, and was asked for with another endpoint, content type, template or the like."""


class JobInUseError(RequestError):
    """Another kernel writes to the job; one at a time may."""


class EndpointError(SmAsyncError):
    """What runs behind the endpoint's name is at fault; its owner can act."""


class EndpointNotInServiceError(EndpointError):
    """The endpoint exists, but takes no requests in its present state."""


class TooManyFailuresError(EndpointError):
    """More requests failed than ``max_failures`` allows, so the job stopped sending; what has come stays."""


class InferenceFailedError(EndpointError):
    """The model or its container answered with an error."""


class NotYetError(SmAsyncError):
    """Nobody has to act yet; time, or another attempt, may mend it."""


class ServiceTroubleError(NotYetError):
    """A call could not be made or was not answered; it says nothing about the row it was made for.

    ``throttled`` tells a service that asks for fewer calls from one that is out of order.
    """

    def __init__(self, message: str, *, throttled: bool = False) -> None:
        super().__init__(message)
        self.throttled = throttled


class InvocationExpiredError(NotYetError):
    """Neither an output nor a failure came in the time the service allows; a late output still counts."""


class WaitTimeoutError(NotYetError, TimeoutError):
    """A wait ended before the job did; the job runs on."""


class IllegalFactError(SmAsyncError):
    """A fact arrived that cannot follow from what was known: a defect, told with the request's story."""


class SmAsyncWarning(UserWarning):
    """Something that works, and may surprise later."""
