"""What an endpoint is: asynchronous or not, in service or not, and where its outputs and failures go."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

from sm_async_nb.aws.session import Session
from sm_async_nb.core.locations import S3Location, parse_s3_uri
from sm_async_nb.errors import (
    EndpointNotAsynchronousError,
    EndpointNotFoundError,
    EndpointNotInServiceError,
    RequestError,
    ServiceTroubleError,
)

# Requests are taken, and queued, in these states; the others take none.
_TAKES_REQUESTS = {"InService", "Updating", "SystemUpdating", "RollingBack", "UpdateRollbackFailed"}
_ACCESS_DENIED = {"AccessDeniedException", "AccessDenied", "UnrecognizedClientException", "InvalidSignatureException"}


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """An asynchronous endpoint, as DescribeEndpoint and DescribeEndpointConfig tell of it.

    ``instances`` is 0 while an endpoint that scales to zero is asleep, and None where it is not told.
    ``max_concurrent_invocations_per_instance`` is None where the service chooses it.
    """

    endpoint_name: str
    endpoint_status: str
    s3_output_path: S3Location | None
    s3_failure_path: S3Location | None = None
    instances: int | None = None
    max_concurrent_invocations_per_instance: int | None = None
    success_topic: str | None = None
    error_topic: str | None = None


def describe_endpoint(session: Session, endpoint_name: str) -> Endpoint:
    """Look an endpoint up and make sure that it takes asynchronous requests.

    Raises
    ------
    EndpointNotFoundError
        With the nearest name there is.
    EndpointNotAsynchronousError
        If it has no AsyncInferenceConfig.
    EndpointNotInServiceError
        If its status is one in which it takes no requests.
    RequestError
        If these credentials may not look, or there are none.
    """
    client = session.client("sagemaker")
    try:
        return _describe(client, endpoint_name)
    except NoCredentialsError as error:
        raise RequestError(f"No AWS credentials were found: {error}. Nothing was sent.") from error
    except ClientError as error:
        raise _explain(error, client, endpoint_name) from error
    except BotoCoreError as error:
        raise ServiceTroubleError(
            f"DescribeEndpoint got no answer: {error}. Check the region and the network. Nothing was sent."
        ) from error
    finally:
        client.close()


def _describe(client: Any, endpoint_name: str) -> Endpoint:
    described = client.describe_endpoint(EndpointName=endpoint_name)
    config = described.get("AsyncInferenceConfig")
    if config is None:
        # Old services and emulators tell of it only here.
        config = client.describe_endpoint_config(EndpointConfigName=described["EndpointConfigName"]).get(
            "AsyncInferenceConfig"
        )
    if config is None:
        raise EndpointNotAsynchronousError(
            f"Endpoint {endpoint_name!r} is not asynchronous: its configuration {described['EndpointConfigName']!r}"
            " has no AsyncInferenceConfig, so it takes InvokeEndpoint only. Nothing was sent."
        )
    endpoint = _endpoint(described, config)
    if endpoint.endpoint_status not in _TAKES_REQUESTS:
        reason = f" ({described['FailureReason']})" if described.get("FailureReason") else ""
        raise EndpointNotInServiceError(
            f"Endpoint {endpoint_name!r} is {endpoint.endpoint_status}{reason} and takes no requests. Nothing was sent;"
            " submit again when it is InService."
        )
    return endpoint


def _endpoint(described: dict[str, Any], config: dict[str, Any]) -> Endpoint:
    output = config.get("OutputConfig", {})
    topics = output.get("NotificationConfig", {})
    counts = [v["CurrentInstanceCount"] for v in described.get("ProductionVariants", ()) if "CurrentInstanceCount" in v]
    return Endpoint(
        endpoint_name=described["EndpointName"],
        endpoint_status=described["EndpointStatus"],
        s3_output_path=_location(output.get("S3OutputPath")),
        s3_failure_path=_location(output.get("S3FailurePath")),
        instances=sum(counts) if counts else None,
        max_concurrent_invocations_per_instance=config.get("ClientConfig", {}).get(
            "MaxConcurrentInvocationsPerInstance"
        ),
        success_topic=topics.get("SuccessTopic"),
        error_topic=topics.get("ErrorTopic"),
    )


def _location(path: str | None) -> S3Location | None:
    return parse_s3_uri(path) if path and path.startswith("s3://") else None


def _explain(error: ClientError, client: Any, endpoint_name: str) -> Exception:
    response: Any = error.response
    code, said = response.get("Error", {}).get("Code", ""), response.get("Error", {}).get("Message", "")
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code in _ACCESS_DENIED:
        return RequestError(
            f"SageMaker refused to describe endpoint {endpoint_name!r}: {said} These credentials need"
            " sagemaker:DescribeEndpoint and sagemaker:DescribeEndpointConfig. Nothing was sent."
        )
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or "Throttl" in code:
        return ServiceTroubleError(f"DescribeEndpoint answered {status} {code}: {said} Nothing was sent.")
    region = client.meta.region_name
    return EndpointNotFoundError(
        f"There is no endpoint {endpoint_name!r} in {region} for these credentials.{_nearest(client, endpoint_name)}"
        " Nothing was sent."
    )


def _nearest(client: Any, endpoint_name: str) -> str:
    try:
        names = [endpoint["EndpointName"] for endpoint in client.list_endpoints(MaxResults=100)["Endpoints"]]
    except (BotoCoreError, ClientError):
        return ""  # a courtesy, for which no further permission is asked
    close = difflib.get_close_matches(endpoint_name, names, n=1)
    return f" Did you mean {close[0]!r}?" if close else ""
