"""What somebody has to mend pauses a job, which goes on where it was once that is done."""

import threading
from datetime import UTC, datetime, timedelta

import boto3
import pandas as pd
import pytest
from botocore.credentials import RefreshableCredentials
from reliability.kernels import Kernel
from reliability.scene import Wire, doubled, numbers, until

import sm_async_nb
from sm_async_nb import Status
from sm_async_nb.aws import lean_runtime
from sm_async_nb.errors import CredentialsError, EndpointNotFoundError, EndpointNotInServiceError, JobInUseError
from sm_async_nb.local import Faults, LocalEndpoint

BUCKET = "paused"
PREFIX = f"s3://{BUCKET}/jobs"


@pytest.fixture(scope="module")
def local(model):
    with LocalEndpoint(
        model, endpoint_name="pausing", bucket=BUCKET, max_concurrent_invocations_per_instance=16
    ) as running:
        yield running


@pytest.fixture
def session(job_session):
    return job_session


def submit(session, frame, **options):
    return frame.sm_async.submit("pausing", session=session, input_prefix=PREFIX, **options)


def half_sent(session, model, **options):
    """A job of eight rows, of which the service has four and gets no more before the door opens."""
    model.door.clear()
    job = submit(session, numbers(8), max_in_flight=4, **options)
    until(lambda: job.snapshot[Status.ACCEPTED] == 4)
    return job


class TestCredentials:
    """Nothing gets through without them."""

    def test_keys_that_expire_pause_the_job_until_it_is_given_others(self, session, local, model):
        """``wait()`` says so; afterwards nothing is lost, and nothing was sent twice."""
        job = half_sent(session, model)
        local.faults = Faults(expired_credentials=1)
        model.door.set()
        with pytest.raises(CredentialsError) as caught:
            job.wait()

        assert str(caught.value).startswith("The AWS credentials have expired: ")
        assert str(caught.value).endswith("a job that waits goes on with job.resume(session=boto3.Session(...)).")
        assert str(caught.value) == job.snapshot.paused.message
        assert "paused: The AWS credentials have expired" in repr(job)
        assert job.is_at_work
        with pytest.raises(CredentialsError):
            job.wait()
        local.faults = Faults()
        job.resume(session=local.session())
        pd.testing.assert_frame_equal(doubled(numbers(8)), job.wait().results())
        assert (8, 0) == (len(model.asked), model.asked_twice)
        assert job.snapshot.paused is None

    def test_a_paused_job_is_listed_as_paused(self, session, local, model):
        """For whoever looks from elsewhere; the lease was given back with that word."""
        job = half_sent(session, model, name="waits")
        local.faults = Faults(s3_without_list_bucket=1)
        with pytest.raises(sm_async_nb.RequestError, match="s3:ListBucket"):
            job.wait()
        local.faults = Faults()

        def listed():
            line = sm_async_nb.jobs(session=session, input_prefix=PREFIX).loc["waits"]
            return tuple(line[["state", "held_by", "accepted"]])

        until(lambda: listed() == ("paused", "", 4))
        model.door.set()
        job.resume().wait()

    def test_credentials_that_can_be_refreshed_are_and_the_job_goes_on_by_itself(self, local, model):
        """For the calls that boto3 makes and for those that s3fs makes, and without a pause."""
        model.reset()
        clock = [datetime.now(UTC)]
        refreshed = []

        def refresh():
            refreshed.append(clock[0])
            expires = clock[0] + timedelta(hours=1)
            return {
                "access_key": f"KEY{len(refreshed)}",
                "secret_key": "secret",
                "token": "token",
                "expiry_time": expires.isoformat(),
            }

        session = local.session()
        session._session._credentials = refreshable(refresh, lambda: clock[0])
        wire = Wire.of(session)
        job = half_sent(session, model)
        clock[0] += timedelta(hours=2)
        model.door.set()
        job.wait()

        assert 2 == len(refreshed)
        for runtime in (True, False):
            keys = [key for key, is_runtime in signed_with(wire) if is_runtime == runtime]
            assert ["KEY1", "KEY2"] == list(dict.fromkeys(keys))
        pd.testing.assert_frame_equal(doubled(numbers(8)), job.results())
        assert (8, 0) == (len(model.asked), model.asked_twice)


def refreshable(refresh, now):
    """Credentials of a role, with a clock of our own."""
    first = refresh()
    return RefreshableCredentials(
        first["access_key"],
        first["secret_key"],
        first["token"],
        datetime.fromisoformat(first["expiry_time"]),
        refresh,
        "assume-role",
        time_fetcher=now,
    )


def signed_with(wire):
    """The access key of each call, and whether it was one of the runtime, in order."""
    return [
        (headers["authorization"].partition("Credential=")[2].partition("/")[0], operation == "InvokeEndpointAsync")
        for operation, _, headers in wire.calls
    ]


class TestEndpoint:
    """It may go, and come back."""

    def test_an_endpoint_that_is_deleted_pauses_the_job_until_it_is_there_again(self, local, model):
        """What was answered before is kept; the rest is sent to the new one of that name."""
        model.reset()
        local.create_endpoint("fleeting")
        session = local.session()
        model.door.clear()
        job = numbers(8).sm_async.submit("fleeting", session=session, input_prefix=PREFIX, max_in_flight=4)
        until(lambda: job.snapshot[Status.ACCEPTED] == 4)
        local.faults = Faults(unavailable=1)
        model.door.set()
        until(lambda: job.snapshot[Status.COMPLETED] == 4)
        sagemaker = boto3.Session.client(session, "sagemaker")
        sagemaker.delete_endpoint(EndpointName="fleeting")
        local.faults = Faults()
        with pytest.raises(EndpointNotFoundError, match=r"Endpoint fleeting of account \d{12} not found"):
            job.wait()

        assert ["completed"] * 4 == job.table()["status"].tolist()[:4]
        sagemaker.delete_endpoint_config(EndpointConfigName="fleeting")
        sagemaker.delete_model(ModelName="fleeting")
        local.create_endpoint("fleeting")
        pd.testing.assert_frame_equal(doubled(numbers(8)), job.resume().wait().results())
        assert 8 == len(model.asked)

    def test_an_endpoint_that_is_not_in_service_pauses_it_too(self, session, local, model, monkeypatch):
        """As while it is updated, or has failed."""
        job = half_sent(session, model)
        stopped = threading.Event()
        invoke = lean_runtime.LeanRuntime.invoke

        async def refused(runtime, fields):
            if not stopped.is_set():
                raise EndpointNotInServiceError("Endpoint pausing of account 123456789012 is not in service")
            return await invoke(runtime, fields)

        monkeypatch.setattr(lean_runtime.LeanRuntime, "invoke", refused)
        model.door.set()
        with pytest.raises(EndpointNotInServiceError, match="is not in service"):
            job.wait()

        assert job.snapshot.paused is not None
        stopped.set()
        pd.testing.assert_frame_equal(doubled(numbers(8)), job.resume().wait().results())

    def test_cancelling_while_it_is_paused_says_that_only_this_kernel_knows(self, session, local, model):
        """Another one would go on sending."""
        job = half_sent(session, model)
        local.faults = Faults(expired_credentials=1)
        model.door.set()
        until(lambda: job.snapshot.paused is not None)
        told = str(job.cancel())
        local.faults = Faults()

        assert told.endswith(" The job is paused: only this kernel knows, until job.resume().")
        job.resume().wait()
        assert 4 == job.snapshot[Status.CANCELLED]
        assert "only this kernel" not in str(job.cancel())


class TestComingBack:
    """Attaching to a job that is paused here goes on with it."""

    def test_it_goes_on_with_the_session_it_had(self, session, local, model, monkeypatch):
        """It was given a new one once, whatever the job was submitted with."""
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        job = half_sent(session, model)
        local.faults = Faults(expired_credentials=1)
        model.door.set()
        until(lambda: job.snapshot.paused is not None)
        local.faults = Faults()

        assert job is sm_async_nb.attach(job.uri)
        pd.testing.assert_frame_equal(doubled(numbers(8)), job.wait().results())


class TestConnecting:
    """Trouble before there is a connection is trouble like any other."""

    def test_a_job_that_is_resumed_before_the_network_is_up_tries_again(self, session, local, model):
        """It ended once, and nobody tried again."""
        job = half_sent(session, model)
        local.faults = Faults(expired_credentials=1)
        model.door.set()
        until(lambda: job.snapshot.paused is not None)
        local.faults = Faults(s3_fail=1, s3_only="* */lease/*")
        job.resume()
        until(lambda: job.snapshot.trouble is not None)
        local.faults = Faults()

        pd.testing.assert_frame_equal(doubled(numbers(8)), job.wait().results())


class TestTakingOver:
    """A pause gives the lease back."""

    def test_a_paused_job_may_be_taken_over_and_then_cannot_be_resumed_here(self, session, local, model):
        """The other kernel has other credentials; ``resume()`` and ``wait()`` here say who has it."""
        job = half_sent(session, model)
        local.faults = Faults(s3_without_list_bucket=1)
        with pytest.raises(sm_async_nb.RequestError, match="s3:ListBucket"):
            job.wait()
        local.faults = Faults()
        with Kernel(local.environment) as other:
            other.run("job = sm_async_nb.attach(uri)\nNone", uri=job.uri)
            with pytest.raises(JobInUseError, match=rf"\(process {other.pid}\)"):
                job.resume().wait()
            model.door.set()
            results = other.run("job.wait().results()")

        pd.testing.assert_frame_equal(doubled(numbers(8)), results)
        assert 0 == model.asked_twice
        with pytest.raises(JobInUseError, match=rf"was taken over by .* \(process {other.pid}\)"):
            job.resume().wait()
        assert sm_async_nb.attach(job.uri, session=session).results().equals(results)
