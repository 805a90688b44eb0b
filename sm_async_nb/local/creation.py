"""Buckets and endpoints, created by ordinary SDK calls, as anyone may create them against the local endpoint."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from sm_async_nb.local.invocation import EndpointConfig
from sm_async_nb.local.sdk_config import OWN_USER_AGENT
from sm_async_nb.local.wire import ACCOUNT_ID

# Names that the control plane asks for, and that mean nothing here.
_ROLE_ARN = f"arn:aws:iam::{ACCOUNT_ID}:role/local-endpoint"
_IMAGE = f"{ACCOUNT_ID}.dkr.ecr.us-east-1.amazonaws.com/local-endpoint:latest"
_INSTANCE_TYPE = "ml.m5.large"

# No proxy that the environment names may come between two loopback ports.
_CLIENT_CONFIG = Config(user_agent_extra=OWN_USER_AGENT, proxies={})


@dataclass(frozen=True, kw_only=True)
class NotificationQueue:
    """Where the messages of an endpoint arrive, and the topics that they come from."""

    queue_url: str
    success_topic: str
    error_topic: str


def create_bucket(session: boto3.Session, bucket: str) -> None:
    """Create the bucket in the session's region; one that is there already is left as it is."""
    with closing(session.client("s3", config=_CLIENT_CONFIG)) as s3:
        if _is_there(s3, bucket):
            return
        # us-east-1 is the one region that must not be named as a constraint.
        elsewhere = {"LocationConstraint": session.region_name}
        s3.create_bucket(
            Bucket=bucket, **({} if session.region_name == "us-east-1" else {"CreateBucketConfiguration": elsewhere})
        )


def _is_there(s3: Any, bucket: str) -> bool:
    # Not ListBuckets: that takes a permission of its own, and shows no bucket of another account.
    try:
        s3.head_bucket(Bucket=bucket)
    except ClientError as error:
        if error.response["Error"]["Code"] != "404":
            raise
        return False
    return True


def create_endpoint(session: boto3.Session, config: EndpointConfig, *, asynchronous: bool = True) -> None:
    """CreateModel, CreateEndpointConfig and CreateEndpoint, all by the endpoint's name."""
    name = config.endpoint_name
    variant = {
        "VariantName": "AllTraffic",
        "ModelName": name,
        "InstanceType": _INSTANCE_TYPE,
        # No endpoint is created without an instance; it is scaled to none afterwards.
        "InitialInstanceCount": max(1, config.instances),
    }
    more = {"AsyncInferenceConfig": async_inference_config(config)} if asynchronous else {}
    with closing(session.client("sagemaker", config=_CLIENT_CONFIG)) as sagemaker:
        sagemaker.create_model(ModelName=name, ExecutionRoleArn=_ROLE_ARN, PrimaryContainer={"Image": _IMAGE})
        sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant], **more)
        sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
        if not config.instances:
            nothing = [{"VariantName": variant["VariantName"], "DesiredInstanceCount": 0}]
            sagemaker.update_endpoint_weights_and_capacities(EndpointName=name, DesiredWeightsAndCapacities=nothing)


def async_inference_config(config: EndpointConfig) -> dict[str, Any]:
    """The AsyncInferenceConfig of CreateEndpointConfig that says the same."""
    output: dict[str, Any] = {}
    if config.s3_output_path:
        output["S3OutputPath"] = config.s3_output_path
    if config.s3_failure_path is not None:
        output["S3FailurePath"] = config.s3_failure_path
    if config.topics:
        output["NotificationConfig"] = _notification_config(config)
    limit = config.max_concurrent_invocations_per_instance
    return {"OutputConfig": output, "ClientConfig": {"MaxConcurrentInvocationsPerInstance": limit}}


def create_notification_queue(session: boto3.Session, name: str) -> NotificationQueue:
    """Two topics, and a queue that is subscribed to both; what is there already by these names is used."""
    with (
        closing(session.client("sns", config=_CLIENT_CONFIG)) as sns,
        closing(session.client("sqs", config=_CLIENT_CONFIG)) as sqs,
    ):
        queue_url = sqs.create_queue(QueueName=f"{name}-notifications")["QueueUrl"]
        attributes = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["QueueArn"])["Attributes"]
        topics = [sns.create_topic(Name=f"{name}-{which}")["TopicArn"] for which in ("success", "error")]
        for topic in topics:
            sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=attributes["QueueArn"])
    return NotificationQueue(queue_url=queue_url, success_topic=topics[0], error_topic=topics[1])


def _notification_config(config: EndpointConfig) -> dict[str, Any]:
    topics = {"SuccessTopic": config.success_topic, "ErrorTopic": config.error_topic}
    included = sorted(config.include_inference_response_in)
    return {
        **{name: topic for name, topic in topics.items() if topic},
        **({"IncludeInferenceResponseIn": included} if included else {}),
    }
