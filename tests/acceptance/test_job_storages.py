"""A whole job is the same over s3fs and over obstore, from its submit to its words for what went wrong."""

import threading
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from functools import partial

import pandas as pd
import pytest
from botocore.credentials import RefreshableCredentials
from reliability.scene import doubled, numbers, until

from sm_async_nb import Status
from sm_async_nb.aws import obstore_storage, storage
from sm_async_nb.aws.session import botocore_session, known_fields
from sm_async_nb.core.build import RequestArguments
from sm_async_nb.errors import CredentialsError, RequestError, StorageAccessError
from sm_async_nb.job import registry
from sm_async_nb.job import submit as submitting
from sm_async_nb.job.document import Settings
from sm_async_nb.local import Faults, LocalEndpoint

BUCKET = "both"
PREFIX = f"s3://{BUCKET}/jobs"
KINDS = ["s3fs", "obstore"]

pytest.importorskip("obstore")


@pytest.fixture(scope="module")
def local(model):
    with LocalEndpoint(
        model, endpoint_name="both", bucket=BUCKET, max_concurrent_invocations_per_instance=16
    ) as running:
        yield running


@pytest.fixture
def session(job_session):
    return job_session


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


def quiet():
    return nullcontext(lambda _: None)


def submit(session, frame, kind, *, name=None, **settings):
    wishes = submitting.Wishes(name=name, input_prefix=PREFIX, settings=Settings(**settings), storage=kind)
    arguments = RequestArguments(endpoint_name="both")
    return submitting.submit(frame, arguments, wishes, session=session, progress=quiet)


def attach(uri, session, kind):
    return registry.attach(uri, session=session, storage=kind, progress=quiet)


@pytest.fixture
def opened(monkeypatch):
    """Which storages were opened, by their names."""
    kinds = []

    class Told(obstore_storage.ObstoreStorage):
        def __init__(self, *arguments):
            kinds.append("obstore")
            super().__init__(*arguments)

    class ToldToo(storage.S3fsStorage):
        def __init__(self, *arguments):
            kinds.append("s3fs")
            super().__init__(*arguments)

    monkeypatch.setattr(obstore_storage, "ObstoreStorage", Told)
    monkeypatch.setattr(storage, "S3fsStorage", ToldToo)
    return kinds


def test_a_job_is_done_over_what_was_asked_for(session, local, model, kind, tmp_path):
    """Results, failures and files, and no HEAD where the SDK knows Filename, so that a job has a prefix of its own."""
    model.failing = {1: 422}
    job = submit(session, numbers(6), kind).wait()
    results = job.results()
    (part,) = job.results(into=tmp_path)

    expected = doubled(numbers(6)).astype(float)
    expected.loc[numbers(6)["x"] == 1] = None
    pd.testing.assert_frame_equal(expected, results, check_dtype=False)
    pd.testing.assert_frame_equal(expected, pd.read_parquet(part), check_dtype=False)
    assert [True] == job.failures()["error"].str.contains("1 is not my number").tolist()
    assert "filename" not in known_fields(session) or 0 == local.calls["s3 HeadObject"]


def test_what_obstore_does_not_do_is_done_over_s3fs(session, kind, opened):
    """To list failures beside those of other jobs, or to delete."""
    job = submit(session, numbers(3), kind).wait()
    job.results()

    assert 3 == job.cleanup(dry_run=False).inputs
    assert {kind, "s3fs"} == set(opened)


def test_a_connection_of_s3fs_is_not_made_before_it_is_needed(session, opened):
    """It costs as much as a hundred calls of obstore."""
    job = submit(session, numbers(3), "obstore").wait()
    opened.clear()
    job.results()

    assert ["obstore"] == opened


def test_another_kernel_goes_on_over_either(session, local, model, kind):
    """It is about a process, so a job does not say what it was begun over."""
    model.door.clear()
    begun = submit(session, numbers(8), kind, max_in_flight=4)
    until(lambda: begun.snapshot[Status.ACCEPTED] == 4)
    begun.leave()
    model.door.set()
    (other,) = set(KINDS) - {kind}
    job = attach(begun.uri, local.session(), other)

    pd.testing.assert_frame_equal(doubled(numbers(8)), job.wait().results())
    assert (8, 0) == (len(model.asked), model.asked_twice)


def test_a_job_is_continued_over_either(session, model, kind):
    """Rows that were answered are not sent again."""
    (other,) = set(KINDS) - {kind}
    submit(session, numbers(3), kind, name=f"grows-{kind}").wait()
    job = submit(session, numbers(5), other, name=f"grows-{kind}").wait()

    pd.testing.assert_frame_equal(doubled(numbers(5)), job.results())
    assert (5, 0) == (len(model.asked), model.asked_twice)


def test_faults_of_s3_are_got_over(session, local, model, kind):
    """Throttles, errors and connections that break off, before and after S3 has done what it was asked for."""
    job = submit(session, numbers(12), kind)
    local.faults = Faults(s3_slow_down=0.1, s3_fail=0.1, s3_reset_before=0.05, s3_reset_after=0.05, seed=3)
    job.wait(60)
    local.faults = Faults()

    pd.testing.assert_frame_equal(doubled(numbers(12)), job.results())
    assert 12 == len(model.asked)


def refused(session, kind, local, faults, where):
    local.faults = faults
    try:
        with pytest.raises(StorageAccessError) as caught:
            where(session, numbers(2), kind, name="refused")
    finally:
        local.faults = Faults()
    return str(caught.value)


@pytest.mark.parametrize("faults", [Faults(s3_denied=1), Faults(s3_without_list_bucket=1)], ids=["all", "list"])
def test_a_refusal_is_told_in_the_same_words(session, local, faults):
    """With the permission that is missing, and what was not done."""
    told = [refused(session, kind, local, faults, submit) for kind in KINDS]

    assert told[0] == told[1]
    assert told[0].startswith(
        "The outputs of endpoint 'both' cannot be followed. S3 refused s3:ListBucket on s3://both/"
    )


def test_a_permission_that_is_lost_pauses_the_job(session, local, model, kind):
    """And it goes on when it is there again."""
    model.door.clear()
    job = submit(session, numbers(3), kind)
    until(lambda: job.snapshot[Status.ACCEPTED] == 3)
    local.faults = Faults(s3_without_list_bucket=1)
    with pytest.raises(StorageAccessError, match="s3:ListBucket"):
        job.wait()
    local.faults = Faults()
    model.door.set()

    pd.testing.assert_frame_equal(doubled(numbers(3)), job.resume().wait().results())


def test_everything_is_encrypted_with_the_key_that_was_asked_for(session, kind):
    """The frame, the journal, the lease and the inputs."""
    job = submit(session, numbers(3), kind, sse_kms_key_id="alias/scoring").wait()

    s3 = session.client("s3")
    home = job.uri.removeprefix(f"s3://{BUCKET}/")
    keys = [item["Key"] for item in s3.list_objects_v2(Bucket=BUCKET, Prefix=home)["Contents"]]
    heads = [s3.head_object(Bucket=BUCKET, Key=key) for key in keys]
    assert 8 <= len(keys)
    assert {("aws:kms", "alias/scoring")} == {(head["ServerSideEncryption"], head["SSEKMSKeyId"]) for head in heads}


def with_keys_that_last(session, local, seconds):
    """A session whose keys are asked for anew, and how often they were."""
    session, asked = local.session(), []
    keys = session.get_credentials().get_frozen_credentials()

    def refresh():
        asked.append(threading.current_thread().name)
        expiry = (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()
        return {"access_key": keys.access_key, "secret_key": keys.secret_key, "token": "t", "expiry_time": expiry}

    botocore_session(session)._credentials = RefreshableCredentials.create_from_metadata(
        refresh(), refresh_using=refresh, method="test"
    )
    return session, asked


def test_keys_are_refreshed_in_the_middle_of_a_job(session, local, model, kind):
    """Those of a role last for an hour, and a job for a night; the loop never waits for the next ones."""
    session, asked = with_keys_that_last(session, local, 120)
    job = submit(session, numbers(4), kind).wait()

    pd.testing.assert_frame_equal(doubled(numbers(4)), job.results())
    assert 2 <= len(asked)
    assert "sm-async" not in asked


def test_keys_that_expire_pause_the_job_until_there_are_others(session, local, model, kind):
    """Nothing is lost, and nothing is sent twice."""
    model.door.clear()
    job = submit(session, numbers(8), kind, max_in_flight=4)
    until(lambda: job.snapshot[Status.ACCEPTED] == 4)
    local.faults = Faults(expired_credentials=1)
    model.door.set()
    with pytest.raises(CredentialsError, match="The AWS credentials have expired: "):
        job.wait()
    local.faults = Faults()
    job.resume(session=local.session())

    pd.testing.assert_frame_equal(doubled(numbers(8)), job.wait().results())
    assert (8, 0) == (len(model.asked), model.asked_twice)


# The choice


def test_by_itself_it_is_obstore_where_that_is_installed(session, monkeypatch, opened):
    """Without the extra it is s3fs, as ever."""
    submit(session, numbers(1), "auto").wait()
    before = set(opened)
    opened.clear()
    monkeypatch.setattr(obstore_storage, "is_installed", lambda: False)
    submit(session, numbers(1), "auto").wait()

    assert "obstore" in before
    assert {"s3fs"} == set(opened)


@pytest.mark.parametrize("act", [submit, partial(attach, "s3://both/jobs/nobody/")], ids=["submit", "attach"])
def test_a_storage_that_there_is_not_is_refused_before_anything_is_asked(session, local, monkeypatch, act):
    """With those that there are, or with how to install it."""
    rest = (session, numbers(1)) if act is submit else (session,)
    with pytest.raises(RequestError) as unknown:
        act(*rest, "disk")
    monkeypatch.setattr(obstore_storage, "is_installed", lambda: False)
    with pytest.raises(RequestError) as missing:
        act(*rest, "obstore")

    assert "storage= is one of 'auto', 'obstore', 's3fs'; got 'disk'. Nothing was sent." == str(unknown.value)
    assert "storage='obstore' needs obstore: pip install 'sm-async-nb[fast]'. Nothing was sent." == str(missing.value)
    assert {} == dict(local.calls)


def test_an_endpoint_of_s3_in_the_environment_is_the_sdks_to_read(monkeypatch, local, kind):
    """Rust's object_store reads it too, and would take it for a URL that has the bucket in it."""
    for name, value in local.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", local.environment["AWS_ENDPOINT_URL"])

    assert [0, 2, 4] == submit(None, numbers(3), kind).wait().results()["y"].tolist()
