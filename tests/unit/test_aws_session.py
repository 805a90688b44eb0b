"""Sessions that are made here, and what they share."""

import boto3
import pytest
from botocore.utils import parse_timestamp

from sm_async_nb.aws.session import _timestamp, aio_session, botocore_session, checked_session


@pytest.fixture(autouse=True)
def somewhere(monkeypatch):
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")


def models_of(session):
    return botocore_session(session).get_component("data_loader")


def test_sessions_of_our_own_read_the_models_of_the_sdk_once():
    """Each submit without session= makes one; to read the models takes longer than a small job."""
    assert models_of(checked_session(None)) is models_of(checked_session(None))


def test_a_session_that_was_passed_is_left_as_it_is():
    """It is not ours."""
    session = boto3.Session()
    before = models_of(session)

    assert session is checked_session(session)
    assert before is models_of(session)


def test_the_asynchronous_session_reads_no_model_twice():
    """What boto3 has read, s3fs need not."""
    session = boto3.Session()

    assert models_of(session) is aio_session(session).get_component("data_loader")


@pytest.mark.parametrize(
    "told",
    [
        "2026-03-29T01:30:00.000Z",
        "2026-03-29T01:30:00Z",
        "20260329T013000Z",
        "Sun, 29 Mar 2026 01:30:00 GMT",
        "Sunday, 29-Mar-26 01:30:00 GMT",
        "1774747800",
        1774747800,
        1774747800.25,
        "2026-03-29T03:30:00+02:00",
    ],
)
def test_times_are_those_that_the_sdk_reads(told):
    """However S3, or something that is like it, writes them."""
    assert parse_timestamp(told).timestamp() == _timestamp(told).timestamp()


def test_what_is_no_time_is_refused_as_the_sdk_refuses_it():
    """In its own words."""
    with pytest.raises(ValueError, match="Invalid timestamp"):
        _timestamp("neverZ")
