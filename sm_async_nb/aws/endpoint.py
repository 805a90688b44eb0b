"""Looking an endpoint up: whether it is asynchronous and in service, how much waits, and which others there are."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from sm_async_nb.aws.credentials import THROTTLED, credentials_error
from sm_async_nb.aws.described import Endpoint, warning_without_failure_path
from sm_async_nb.aws.session import Session
from sm_async_nb.core.locations import S3Location, parse_s3_uri
from sm_async_nb.errors import (
    CredentialsError,
    EndpointNotAsynchronousError,
    EndpointNotFoundError,
    EndpointNotInServiceError,
    RequestError,
    ServiceTroubleError,
)

__all__ = [
    "Endpoint",
    "ListedEndpoint",
    "describe_endpoint",
    "list_endpoints",
    "look_at_endpoint",
    "warning_without_failure_path",
]

_ACCESS_DENIED = {"AccessDeniedException", "AccessDenied", "InvalidSignatureException"}

_NEAREST_AMONG = 100
_NAMES_A_PAGE = 100

# CloudWatch keeps a datapoint a minute. It is asked as a courtesy, so nobody waits long where it cannot be reached.
_BACKLOG_WINDOW = timedelta(minutes=5)
_BACKLOG_PERIOD = 60
_BRIEFLY = Config(connect_timeout=3, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 1})


@dataclass(frozen=True, kw_only=True)
class ListedEndpoint:
    """A name and a status, as ListEndpoints tells them; times are in seconds since the epoch."""

    endpoint_name: str
    endpoint_status: str
    created_at: float
    changed_at: float


def describe_endpoint(session: Session, endpoint_name: str, *, now: float | None = None) -> Endpoint:
    """Look an endpoint up and make sure that it takes asynchronous requests.

    Raises
    ------
    EndpointNotFoundError
        With the nearest name there is.
    EndpointNotAsynchronousError
        If it has no AsyncInferenceConfig.
    EndpointNotInServiceError
        If its status is one in which it takes no requests.
    CredentialsError
        If there are no credentials, or they have expired.
    RequestError
        If these credentials may not look.
    """
    with _control_plane(session, endpoint_name) as client:
        endpoint = _describe(client, endpoint_name, now)
    if not endpoint.is_in_service:
        reason = f" ({endpoint.failure_reason})" if endpoint.failure_reason else ""
        raise EndpointNotInServiceError(
            f"Endpoint {endpoint_name!r} is {endpoint.endpoint_status}{reason} and takes no requests. Nothing was sent;"
            " submit again when it is InService."
        )
    return endpoint


def look_at_endpoint(session: Session, endpoint_name: str, *, now: float) -> Endpoint:
    """Look an endpoint up, with its backlog, whatever its status; errors are those of :func:`describe_endpoint`.

    The backlog needs cloudwatch:GetMetricStatistics; without, it is None.
    """
    with _control_plane(session, endpoint_name) as client:
        endpoint = _describe(client, endpoint_name, now)
    return replace(endpoint, backlog=_backlog(session, endpoint_name, now))


def list_endpoints(session: Session, *, limit: int = 100) -> list[ListedEndpoint]:
    """The endpoints of this account and region, newest first, ``limit`` at most.

    Asynchronous or not: ListEndpoints does not tell, and DescribeEndpoint would have to be asked about each.
    """
    if limit < 1:
        return []
    with _control_plane(session) as client:
        pages = client.get_paginator("list_endpoints").paginate(
            PaginationConfig={"MaxItems": limit, "PageSize": min(limit, _NAMES_A_PAGE)},
            SortBy="CreationTime",
            SortOrder="Descending",
        )
        return [_listed(item) for page in pages for item in page["Endpoints"]]


@contextmanager
def _control_plane(session: Session, endpoint_name: str = "") -> Iterator[Any]:
    """A client of SageMaker, whose errors are explained."""
    client = None
    try:
        client = session.client("sagemaker")
        yield client
    except ClientError as error:
        raise _explain(error, client, endpoint_name) from error
    except (BotoCoreError, ResponseParserError, RuntimeError) as error:
        raise _without_answer(error) from error
    finally:
        if client is not None:
            client.close()


def _describe(client: Any, endpoint_name: str, now: float | None) -> Endpoint:
    described = client.describe_endpoint(EndpointName=endpoint_name)
    config = described.get("AsyncInferenceConfig") or _configured(client, described["EndpointConfigName"])
    if config is None:
        raise EndpointNotAsynchronousError(
            f"Endpoint {endpoint_name!r} is not asynchronous: its configuration {described['EndpointConfigName']!r}"
            " has no AsyncInferenceConfig, so it takes InvokeEndpoint only. Nothing was sent."
        )
    return replace(
        _endpoint(described, config),
        region_name=client.meta.region_name,
        described_at=now,
        service_url=client.meta.endpoint_url,
    )


def _configured(client: Any, name: str) -> Any:
    # Old services and emulators tell of it only here.
    try:
        return client.describe_endpoint_config(EndpointConfigName=name).get("AsyncInferenceConfig")
    except ClientError as error:
        response: Any = error.response
        if response.get("Error", {}).get("Code") == "ValidationException":
            return None  # a configuration may be deleted while its endpoint lives
        raise


def _endpoint(described: dict[str, Any], config: dict[str, Any]) -> Endpoint:
    output = config.get("OutputConfig", {})
    topics = output.get("NotificationConfig", {})
    return Endpoint(
        endpoint_name=described["EndpointName"],
        endpoint_status=described["EndpointStatus"],
        endpoint_arn=described.get("EndpointArn", ""),
        failure_reason=described.get("FailureReason"),
        s3_output_path=_location(output.get("S3OutputPath")),
        s3_failure_path=_location(output.get("S3FailurePath")),
        kms_key_id=output.get("KmsKeyId"),
        instances=_sum_of(described, "CurrentInstanceCount"),
        desired_instances=_sum_of(described, "DesiredInstanceCount"),
        max_concurrent_invocations_per_instance=config.get("ClientConfig", {}).get(
            "MaxConcurrentInvocationsPerInstance"
        ),
        success_topic=topics.get("SuccessTopic"),
        error_topic=topics.get("ErrorTopic"),
    )


def _sum_of(described: dict[str, Any], member: str) -> int | None:
    counts = [variant[member] for variant in described.get("ProductionVariants", ()) if member in variant]
    return sum(counts) if counts else None


def _location(path: str | None) -> S3Location | None:
    return parse_s3_uri(path) if path and path.startswith("s3://") else None


def _listed(item: dict[str, Any]) -> ListedEndpoint:
    return ListedEndpoint(
        endpoint_name=item["EndpointName"],
        endpoint_status=item["EndpointStatus"],
        created_at=item["CreationTime"].timestamp(),
        changed_at=item["LastModifiedTime"].timestamp(),
    )


def _backlog(session: Session, endpoint_name: str, now: float) -> int | None:
    """The newest datapoint of the last minutes; None where there is none, or it may not be seen."""
    until = datetime.fromtimestamp(now, UTC)
    client = None
    try:
        client = session.client("cloudwatch", config=_BRIEFLY)
        points = client.get_metric_statistics(
            Namespace="AWS/SageMaker",
            MetricName="ApproximateBacklogSize",
            Dimensions=[{"Name": "EndpointName", "Value": endpoint_name}],
            StartTime=until - _BACKLOG_WINDOW,
            EndTime=until + timedelta(seconds=1),  # the end itself is left out
            Period=_BACKLOG_PERIOD,
            Statistics=["Maximum"],
        ).get("Datapoints", ())
    except Exception:  # noqa: BLE001 - a courtesy, for which nothing may go wrong
        return None
    finally:
        if client is not None:
            client.close()
    newest = max(points, key=lambda point: point["Timestamp"], default=None)
    return None if newest is None else int(newest["Maximum"])


def _without_answer(error: Exception) -> Exception:
    about_credentials = credentials_error(error)
    if about_credentials is not None:
        return CredentialsError(f"{about_credentials} Nothing was sent.")
    return ServiceTroubleError(
        f"SageMaker gave no answer: {error}. Check the region and the network. Nothing was sent."
    )


def _explain(error: ClientError, client: Any, endpoint_name: str) -> Exception:
    about_credentials = credentials_error(error)
    if about_credentials is not None:
        return CredentialsError(f"{about_credentials} Nothing was sent.")
    response: Any = error.response
    code, said = response.get("Error", {}).get("Code", ""), response.get("Error", {}).get("Message", "")
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code in THROTTLED or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return ServiceTroubleError(
            f"{error.operation_name} answered {status} {code}: {said} Nothing was sent.", throttled=code in THROTTLED
        )
    if code in _ACCESS_DENIED or not endpoint_name:
        return RequestError(_denied(error.operation_name, endpoint_name, said))
    region = client.meta.region_name
    return EndpointNotFoundError(
        f"There is no endpoint {endpoint_name!r} in {region} for these credentials.{_nearest(client, endpoint_name)}"
        " Nothing was sent."
    )


def _denied(operation: str, endpoint_name: str, said: str) -> str:
    if not endpoint_name:
        return f"SageMaker refused to list endpoints: {said} These credentials need sagemaker:{operation}."
    return (
        f"SageMaker refused to describe endpoint {endpoint_name!r}: {said} These credentials need"
        " sagemaker:DescribeEndpoint and sagemaker:DescribeEndpointConfig. Nothing was sent."
    )


def _nearest(client: Any, endpoint_name: str) -> str:
    try:
        names = [one["EndpointName"] for one in client.list_endpoints(MaxResults=_NEAREST_AMONG)["Endpoints"]]
    except (BotoCoreError, ClientError):
        return ""  # a courtesy, for which no further permission is asked
    close = difflib.get_close_matches(endpoint_name, names, n=1)
    return f" Did you mean {close[0]!r}?" if close else ""
