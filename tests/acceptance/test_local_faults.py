"""Faults of the local endpoint, as unmodified boto3 meets them."""

from __future__ import annotations

import time
from contextlib import closing
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError

from sm_async_nb.local import Faults, LocalEndpoint, ModelError, Times

BUCKET = "faulty"
# One attempt: what is to be seen is the fault, not botocore's answer to it.
ONCE = Config(retries={"total_max_attempts": 1})


def model(body, content_type, accept):
    if body == b"refuse":
        raise ModelError("no plan")
    return body.upper()


@pytest.fixture(scope="module")
def shared():
    asked = []

    def noted(body, content_type, accept):
        asked.append(body)
        return model(body, content_type, accept)

    with LocalEndpoint(
        noted, endpoint_name="faulty", bucket=BUCKET, max_concurrent_invocations_per_instance=1
    ) as local:
        local.asked = asked
        yield local


@pytest.fixture
def local(shared, monkeypatch):
    for name, value in shared.environment.items():
        monkeypatch.setenv(name, value)
    shared.faults = Faults()
    shared.drained(timeout=10)
    shared.asked.clear()
    with client("s3") as s3:
        s3.put_object(Bucket=BUCKET, Key="in", Body=b"hello")
    yield shared
    shared.faults = Faults()


def client(service, **options):
    return closing(boto3.client(service, config=ONCE.merge(Config(**options))))


def invoke(**fields):
    with client("sagemaker-runtime") as runtime:
        return runtime.invoke_endpoint_async(EndpointName="faulty", **{"InputLocation": f"s3://{BUCKET}/in", **fields})


def refused(**fields):
    with pytest.raises(ClientError) as error:
        invoke(**fields)
    told = error.value.response
    return told["ResponseMetadata"]["HTTPStatusCode"], told["Error"]["Code"]


def there(uri):
    address = urlsplit(uri)
    with client("s3") as s3:
        found = s3.list_objects_v2(Bucket=address.netloc, Prefix=address.path[1:])
        return bool(found["KeyCount"])


@pytest.mark.parametrize(
    ("faults", "status", "code", "processed"),
    [
        (Faults(throttle=1), 429, "ThrottlingException", 0),
        (Faults(unavailable=1), 503, "ServiceUnavailable", 0),
        (Faults(fail_before_enqueue=1), 500, "InternalFailure", 0),
        (Faults(fail_after_enqueue=1), 500, "InternalFailure", 1),
        (Faults(expired_credentials=1), 403, "ExpiredTokenException", 0),
    ],
)
def test_an_error_in_place_of_a_202(local, faults, status, code, processed):
    """After enqueueing it is only said: the request is processed, and a retry makes it two."""
    local.faults = faults

    assert (status, code) == refused()
    local.faults = Faults()
    local.drained(timeout=10)
    assert processed == len(local.asked)


@pytest.mark.parametrize(
    ("faults", "processed"), [(Faults(reset_before_enqueue=1), 0), (Faults(reset_after_enqueue=1), 1)]
)
def test_a_reset_connection_says_nothing_about_the_request(local, faults, processed):
    """Either may have happened."""
    local.faults = faults
    with pytest.raises(ConnectionClosedError):
        invoke()
    local.drained(timeout=10)

    assert processed == len(local.asked)


def test_boto3_gets_through_two_throttlings_by_itself(local):
    """Which is what its retries are for."""
    local.faults = Faults(throttle=Times(1), unavailable=Times(1))
    before = local.faults_injected
    with closing(
        boto3.client("sagemaker-runtime", config=Config(retries={"mode": "standard", "total_max_attempts": 3}))
    ) as runtime:
        runtime.invoke_endpoint_async(EndpointName="faulty", InputLocation=f"s3://{BUCKET}/in")

    assert {"throttle": 1, "unavailable": 1} == local.faults_injected - before


def test_a_slow_answer_comes_late_and_the_request_is_in_the_queue_meanwhile(local):
    """A client that loses patience has enqueued it all the same."""
    local.faults = Faults(slow=1, slow_seconds=0.3)
    began = time.monotonic()
    invoke()

    assert 0.3 <= time.monotonic() - began
    assert [b"hello"] == local.asked


def test_a_duplicate_is_processed_twice_into_the_same_object(local):
    """Delivery is at least once."""
    local.faults = Faults(duplicate=1)
    response = invoke()
    local.drained(timeout=10)

    assert [b"hello", b"hello"] == local.asked
    assert there(response["OutputLocation"])


def test_a_reordered_request_overtakes_those_that_wait(local):
    """First in, first out is a best effort."""
    local.create_endpoint("asleep", instances=0)
    fields = {"EndpointName": "asleep"}
    with client("sagemaker-runtime") as runtime, client("s3") as s3, client("sagemaker") as sagemaker:
        for name in ("a", "b", "c"):
            s3.put_object(Bucket=BUCKET, Key=name, Body=name.encode())
            local.faults = Faults(reorder=1) if name == "c" else Faults()
            runtime.invoke_endpoint_async(InputLocation=f"s3://{BUCKET}/{name}", **fields)
        sagemaker.update_endpoint_weights_and_capacities(
            DesiredWeightsAndCapacities=[{"VariantName": "AllTraffic", "DesiredInstanceCount": 1}], **fields
        )
    local.drained(timeout=10)

    assert [b"c", b"a", b"b"] == local.asked


@pytest.mark.parametrize(("lost", "kept"), [("lose_output", "lose_failure"), ("lose_failure", "lose_output")])
def test_an_object_may_be_lost(local, lost, kept):
    """The request was processed, and nothing lies where it should."""
    with client("s3") as s3:
        s3.put_object(Bucket=BUCKET, Key="bad", Body=b"refuse")
    local.faults = Faults(**{lost: 1})
    good, bad = invoke(), invoke(InputLocation=f"s3://{BUCKET}/bad")
    local.drained(timeout=10)
    found = {"lose_output": there(good["OutputLocation"]), "lose_failure": there(bad["FailureLocation"])}

    assert {lost: False, kept: True} == found


def test_a_request_may_ask_for_its_own_fault(local):
    """By CustomAttributes, which any client in any language can set."""
    local.faults = Faults(by_request=True)

    assert (429, "ThrottlingException") == refused(CustomAttributes="fault=throttle*1", InferenceId="row-1")
    assert "row-1" == invoke(CustomAttributes="fault=throttle*1", InferenceId="row-1")["InferenceId"]
    assert (400, "ValidationError") == refused(CustomAttributes="fault=nonsense")


@pytest.mark.parametrize(
    ("faults", "status", "code"),
    [
        (Faults(s3_slow_down=1), 503, "SlowDown"),
        (Faults(s3_fail=1), 500, "InternalError"),
        (Faults(s3_denied=1), 403, "AccessDenied"),
        (Faults(expired_credentials=1), 400, "ExpiredToken"),
    ],
)
def test_s3_answers_with_an_error(local, faults, status, code):
    """In S3's own XML, so that boto3 knows the code."""
    local.faults = faults
    with client("s3") as s3, pytest.raises(ClientError) as error:
        s3.get_object(Bucket=BUCKET, Key="in")
    told = error.value.response

    assert (status, code) == (told["ResponseMetadata"]["HTTPStatusCode"], told["Error"]["Code"])


def test_without_list_bucket_a_missing_key_is_forbidden(local):
    """HEAD and GET cannot tell missing from denied, and no LIST is answered; what is there can be read."""
    local.faults = Faults(s3_without_list_bucket=1)
    with client("s3") as s3:
        for ask in (s3.head_object, s3.get_object):
            with pytest.raises(ClientError) as error:
                ask(Bucket=BUCKET, Key="none")
            assert 403 == error.value.response["ResponseMetadata"]["HTTPStatusCode"]
        with pytest.raises(ClientError, match="AccessDenied"):
            s3.list_objects_v2(Bucket=BUCKET)

        assert b"hello" == s3.get_object(Bucket=BUCKET, Key="in")["Body"].read()


@pytest.mark.parametrize(("switch", "written"), [("s3_reset_before", False), ("s3_reset_after", True)])
def test_s3_resets_a_connection_before_or_after_the_call_is_done(local, switch, written):
    """A PUT of which nothing is known."""
    local.faults = Faults(**{switch: Times(1)})
    with client("s3") as s3, pytest.raises(ConnectionClosedError):
        s3.put_object(Bucket=BUCKET, Key=switch, Body=b"x")

    assert written == there(f"s3://{BUCKET}/{switch}")


def test_a_slow_s3_has_done_the_call_and_answers_late(local):
    """A client that loses patience has written the object all the same."""
    local.faults = Faults(s3_slow=1, slow_seconds=0.3)
    began = time.monotonic()
    with client("s3") as s3:
        s3.put_object(Bucket=BUCKET, Key="slow", Body=b"x")
    took = time.monotonic() - began
    local.faults = Faults()

    assert 0.3 <= took
    assert there(f"s3://{BUCKET}/slow")


def test_s3_faults_may_be_limited_to_an_operation_and_a_key(local):
    """Only the journal, for instance."""
    local.faults = Faults(s3_slow_down=1, s3_only="PutObject */journal/*")
    with client("s3") as s3:
        s3.put_object(Bucket=BUCKET, Key="job/inputs/1", Body=b"x")
        with pytest.raises(ClientError, match="SlowDown"):
            s3.put_object(Bucket=BUCKET, Key="job/journal/1", Body=b"x")


def test_the_services_own_access_to_s3_is_left_alone(local):
    """The client's network is bad, not the service's."""
    response = invoke()
    local.faults = Faults(s3_slow_down=1, s3_denied=1, expired_credentials=1)
    local.drained(timeout=10)
    local.faults = Faults()

    assert there(response["OutputLocation"])


def test_expired_credentials_reach_the_control_plane_too(local):
    """DescribeEndpoint."""
    local.faults = Faults(expired_credentials=1)
    with client("sagemaker") as sagemaker, pytest.raises(ClientError, match="ExpiredTokenException"):
        sagemaker.describe_endpoint(EndpointName="faulty")
