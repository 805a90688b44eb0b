"""An endpoint in words: what a user reads who asks why nothing comes back."""

from dataclasses import replace

import pytest

from sm_async_nb.aws.endpoint import Endpoint, warning_without_failure_path
from sm_async_nb.core.locations import S3Location

ENDPOINT = Endpoint(
    endpoint_name="churn",
    endpoint_status="InService",
    s3_output_path=S3Location("bucket", "out"),
    s3_failure_path=S3Location("bucket", "failures"),
    instances=2,
    desired_instances=2,
    max_concurrent_invocations_per_instance=4,
    success_topic="arn:aws:sns:eu-west-1:123456789012:success",
    error_topic="arn:aws:sns:eu-west-1:123456789012:error",
    kms_key_id="alias/outputs",
    endpoint_arn="arn:aws:sagemaker:eu-west-1:123456789012:endpoint/churn",
    region_name="eu-west-1",
    backlog=1_234,
    described_at=1767268805.0,
)
BARE = Endpoint(endpoint_name="bare", endpoint_status="InService", s3_output_path=None)


def test_an_endpoint_reads_like_a_paragraph():
    """All that is known, in the order in which it is asked."""
    assert repr(ENDPOINT) == (
        "Endpoint churn is in service, awake: 2 instances. An instance works on 4 requests at a time. Backlog: 1,234"
        " requests in CloudWatch's last minute. Outputs: s3://bucket/out. Failures: s3://bucket/failures. Encrypted"
        " with alias/outputs. Topics:"
        " success arn:aws:sns:eu-west-1:123456789012:success, error arn:aws:sns:eu-west-1:123456789012:error. Seen at"
        " 2026-01-01 12:00:05 UTC."
    )


def test_what_is_missing_is_said_where_it_will_be_missed():
    """And what is not known is left out."""
    assert repr(BARE) == (
        "Endpoint bare is in service. Outputs: not written to S3. Failures: not written to S3. No topics."
    )


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({"instances": 0}, "is in service, asleep: 0 of 2 instances, first answers in minutes."),
        ({"instances": 0, "desired_instances": 0}, "is in service, asleep: 0 instances, first answers in minutes."),
        ({"instances": 0, "desired_instances": None}, "is in service, asleep: 0 instances, first answers in minutes."),
        ({"instances": 0, "desired_instances": 1}, "is in service, asleep: 0 of 1 instance, first answers in minutes."),
        ({"instances": 1}, "is in service, awake: 1 of 2 instances."),
        ({"instances": 1, "desired_instances": 1}, "is in service, awake: 1 instance."),
        ({"endpoint_status": "Updating"}, "is in service (Updating), awake: 2 instances."),
        ({"endpoint_status": "Creating", "instances": None}, "takes no requests, it is Creating."),
        (
            {
                "endpoint_status": "Failed",
                "failure_reason": "The primary container did not pass the ping health check.",
            },
            "takes no requests, it is Failed: The primary container did not pass the ping health check.",
        ),
    ],
)
def test_the_first_sentence_says_whether_it_answers(changes, state):
    """In service, asleep, or neither and why."""
    assert repr(replace(ENDPOINT, **changes)).startswith(f"Endpoint churn {state} ")


@pytest.mark.parametrize(("backlog", "said"), [(0, "Backlog: 0 requests in"), (1, "Backlog: 1 request in")])
def test_a_backlog_is_counted(backlog, said):
    """None at all is worth knowing too."""
    assert said in repr(replace(ENDPOINT, backlog=backlog))


def test_its_page_form_links_to_the_console_and_escapes_the_rest():
    """Names and reasons are whatever somebody wrote."""
    odd = replace(ENDPOINT, endpoint_status="Failed", failure_reason="<script>alert(1)</script>", kms_key_id="<b>")
    html = odd._repr_html_()

    assert html.startswith(
        '<p>Endpoint <a href="https://eu-west-1.console.aws.amazon.com/sagemaker/home?region=eu-west-1#/endpoints/churn"'
        ' target="_blank">churn</a> takes no requests, it is Failed: &lt;script&gt;alert(1)&lt;/script&gt;. An instance'
    )
    assert "<script>" not in html
    assert "<b>" not in html


def test_an_endpoint_that_is_not_in_aws_has_no_page_in_its_console():
    """The link led to nothing."""
    local = replace(ENDPOINT, service_url="http://127.0.0.1:4566")
    in_aws = replace(ENDPOINT, service_url="https://api.sagemaker.eu-west-1.amazonaws.com")

    assert ["", ENDPOINT.console_url] == [local.console_url, in_aws.console_url]
    assert local._repr_html_().startswith("<p>Endpoint churn is in service, ")


@pytest.mark.parametrize(
    ("region_name", "host"),
    [
        ("us-east-1", "us-east-1.console.aws.amazon.com"),
        ("cn-northwest-1", "cn-northwest-1.console.amazonaws.cn"),
        ("us-gov-west-1", "us-gov-west-1.console.amazonaws-us-gov.com"),
    ],
)
def test_each_partition_has_its_own_console(region_name, host):
    """A link into another one leads to a sign-in that knows nobody."""
    expected = f"https://{host}/sagemaker/home?region={region_name}#/endpoints/churn"

    assert expected == replace(ENDPOINT, region_name=region_name).console_url


@pytest.mark.parametrize(
    ("status", "instances", "expected"),
    [
        ("InService", 0, (True, True)),
        ("InService", None, (True, False)),
        ("Updating", 1, (True, False)),
        ("Failed", 1, (False, False)),
    ],
)
def test_in_service_and_asleep_are_two_things(status, instances, expected):
    """One that sleeps takes requests, and answers when it has woken."""
    endpoint = replace(BARE, endpoint_status=status, instances=instances)

    assert expected == (endpoint.is_in_service, endpoint.is_asleep)


def test_the_warning_without_a_failure_path_says_what_it_means():
    """In minutes, with every way out."""
    assert warning_without_failure_path(BARE, 21_600 + 900 + 120) == (
        "Endpoint 'bare' has no S3FailurePath: a request on which the model fails leaves no object in S3. It stays"
        " accepted for 377 minutes and then counts as expired, without the model's words. Give the endpoint's"
        " configuration an S3FailurePath; or give it an error topic and pass tracker='sqs:<queue url>'; or make"
        " request_ttl_seconds and invocation_timeout_seconds shorter."
    )


def test_the_warning_names_the_error_topic_where_there_is_one():
    """The quickest way out."""
    message = warning_without_failure_path(replace(ENDPOINT, s3_failure_path=None), 60)

    assert "It stays accepted for 1 minute and" in message
    assert (
        "or subscribe an SQS queue to its error topic arn:aws:sns:eu-west-1:123456789012:error and pass"
        " tracker='sqs:<queue url>'; or"
    ) in message
