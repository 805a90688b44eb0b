"""What S3's errors become, what a user may ask of every call, and the directories of S3 in memory."""

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError

from sm_async_nb.aws.storage import StorageTerms, as_directory, delete_batches, explain
from sm_async_nb.core.locations import S3Location
from sm_async_nb.errors import CredentialsError, RequestError, ServiceTroubleError, StorageAccessError
from sm_async_nb.testing import ManualClock, MemoryStorage

THERE = S3Location("bucket", "a/b.json")


def answered(code, message="", status=400):
    """What s3fs raises for an answer of S3: its own kind, from botocore's."""
    response = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
    error = OSError(5, message)
    error.__cause__ = ClientError(response, "PutObject")
    return error


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (answered("NoSuchKey"), FileNotFoundError, "There is no object at s3://bucket/a/b.json."),
        (answered("404"), FileNotFoundError, "There is no object at s3://bucket/a/b.json."),
        (answered("PreconditionFailed"), FileExistsError, "There is an object at s3://bucket/a/b.json already."),
        (
            answered("ConditionalRequestConflict", "The conditional request cannot succeed.", 409),
            ServiceTroubleError,
            "S3 did not answer for s3://bucket/a/b.json: ConditionalRequestConflict: The conditional request cannot"
            " succeed.",
        ),
        (
            answered("NoSuchBucket"),
            StorageAccessError,
            "There is no bucket 'bucket'. Check the name, the account and the region.",
        ),
        (
            answered("AccessDenied", "Access Denied", 403),
            StorageAccessError,
            "S3 refused s3:PutObject on s3://bucket/a/b.json (AccessDenied). These credentials need s3:PutObject.",
        ),
        (
            answered(
                "AccessDenied",
                "User: arn:aws:iam::123456789012:user/u is not authorized to perform: kms:GenerateDataKey on resource:"
                " arn:aws:kms:eu-west-1:123456789012:key/k because no identity-based policy allows it",
                403,
            ),
            StorageAccessError,
            "S3 refused s3:PutObject on s3://bucket/a/b.json (AccessDenied). These credentials need"
            " kms:GenerateDataKey.",
        ),
        (
            answered("KMS.NotFoundException", "Key 'k' does not exist"),
            StorageAccessError,
            "S3 refused s3:PutObject on s3://bucket/a/b.json for its KMS key (KMS.NotFoundException: Key 'k' does not"
            " exist).",
        ),
        (
            answered("InternalError", "We encountered an internal error.", 500),
            ServiceTroubleError,
            "S3 did not answer for s3://bucket/a/b.json: InternalError: We encountered an internal error.",
        ),
        (
            EndpointConnectionError(endpoint_url="https://s3"),
            ServiceTroubleError,
            "S3 did not answer for s3://bucket/a/b.json: EndpointConnectionError: Could not connect to the endpoint"
            ' URL: "https://s3"',
        ),
        (
            NoCredentialsError(),
            CredentialsError,
            "No AWS credentials were found: Unable to locate credentials. Configure a profile or sign in, or pass"
            " session=boto3.Session(profile_name=...).",
        ),
        (
            answered("ExpiredToken", "The provided token has expired."),
            CredentialsError,
            "The AWS credentials have expired: PutObject answered ExpiredToken: The provided token has expired. Sign in"
            " again or get new keys; a job that waits goes on with job.resume(session=boto3.Session(...)).",
        ),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else None,
)
def test_an_answer_of_s3_becomes_an_error_of_this_package(error, kind, message):
    """What is there, what is allowed, who one is, and everything else, which passes."""
    explained = explain(error, "s3:PutObject", THERE)

    assert (kind, message) == (type(explained), str(explained))


@pytest.mark.parametrize(
    ("code", "throttled"), [("SlowDown", True), ("503", True), ("RequestLimitExceeded", True), ("InternalError", False)]
)
def test_a_throttle_is_told_from_other_trouble(code, throttled):
    """One asks for fewer calls, the other for patience."""
    assert throttled == explain(answered(code), "s3:PutObject", THERE).throttled


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        (
            {"expected_bucket_owner": "12345678901"},
            "expected_bucket_owner= takes the id of an AWS account, 12 digits in a string, got '12345678901'. Nothing"
            " was sent.",
        ),
        (
            {"expected_bucket_owner": 123456789012},
            "expected_bucket_owner= takes the id of an AWS account, 12 digits in a string, got 123456789012. Nothing"
            " was sent.",
        ),
        (
            {"expected_bucket_owner": "\uff11" * 12},  # digits, but not those of an account
            "expected_bucket_owner= takes the id of an AWS account, 12 digits in a string, got '"
            f"{chr(0xFF11) * 12}'. Nothing was sent.",
        ),
        (
            {"sse_kms_key_id": " "},
            "sse_kms_key_id= takes the id, the ARN or the alias of a KMS key, got ' '. Nothing was sent.",
        ),
        (
            {"sse_kms_key_id": True},
            "sse_kms_key_id= takes the id, the ARN or the alias of a KMS key, got True. Nothing was sent.",
        ),
    ],
)
def test_terms_that_no_call_could_keep_are_refused(terms, message):
    """Before anything is sent, and not by S3 in its own words."""
    with pytest.raises(RequestError) as caught:
        StorageTerms(**terms)

    assert message == str(caught.value)


def test_terms_say_nothing_unless_asked():
    """A bucket's own encryption stays in force."""
    assert ({}, {}) == (StorageTerms().for_every_call, StorageTerms().for_writing)


def test_locations_are_deleted_a_thousand_at_a_time_and_by_bucket():
    """As DeleteObjects takes them."""
    keys = [S3Location("b", f"{n}") for n in range(1_001)] + [S3Location("a", "x")]

    assert [("a", 1), ("b", 1_000), ("b", 1)] == [(batch[0].bucket, len(batch)) for batch in delete_batches(keys)]


@pytest.mark.parametrize(("key", "expected"), [("", ""), ("a", "a/"), ("a/", "a/")])
def test_a_prefix_is_read_as_a_directory(key, expected):
    """Or jobs of scoring-2 would be found below scoring."""
    assert expected == as_directory(S3Location("bucket", key)).key


def test_the_directories_of_memory_are_those_of_s3():
    """The names right below, once each, in S3's order; objects are none."""
    clock = ManualClock()
    storage = MemoryStorage(clock.now)

    async def story():
        for key in ("jobs/b-1/manifest.json", "jobs/b/manifest.json", "jobs/b/x/y", "jobs/notes.txt", "jobs-2/c/d"):
            await storage.put(S3Location("bucket", key), b"")
        return [await storage.directories(S3Location("bucket", key)) for key in ("jobs", "jobs/", "", "none")]

    assert [["b-1", "b"], ["b-1", "b"], ["jobs-2", "jobs"], []] == clock.run(story())
    assert 4 == storage.calls["list"]
