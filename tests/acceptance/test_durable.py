"""A job lies in S3 and not in a kernel: others attach to it, watch it, retry it and clean up behind it."""

import getpass
import re
import socket
import warnings

import pandas as pd
import pytest
from reliability.kernels import Kernel, KernelError
from reliability.scene import Wire, doubled, numbers, until

import sm_async_nb
from sm_async_nb import errors
from sm_async_nb.core import plan
from sm_async_nb.errors import JobInUseError, SmAsyncWarning
from sm_async_nb.job import registry, watching
from sm_async_nb.local import Faults, LocalEndpoint, Times

BUCKET = "durable"
PREFIX = f"s3://{BUCKET}/jobs"

TIME = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC"


@pytest.fixture(scope="module")
def local(model):
    with LocalEndpoint(
        model, endpoint_name="durable", bucket=BUCKET, max_concurrent_invocations_per_instance=16
    ) as running:
        yield running


@pytest.fixture(scope="module")
def kernel(local):
    """Another kernel on this machine."""
    with Kernel(local.environment) as kernel:
        yield kernel


@pytest.fixture
def session(job_session):
    return job_session


def submit(session, frame, **options):
    return frame.sm_async.submit("durable", session=session, **{"input_prefix": PREFIX, **options})


@pytest.fixture(scope="module")
def failed(one_session, model):
    """A job of two rows, of which the second has failed."""
    model.reset()
    model.failing = {1: 500}
    return submit(one_session, numbers(2)).wait()


# In another kernel, whose job is then called ``job``.
SUBMIT = "job = frame.sm_async.submit('durable', input_prefix=prefix, **options); job.uri"


FRAMES = {
    "two levels": pd.DataFrame(
        {"x": [1, 2, 3]}, index=pd.MultiIndex.from_tuples([("a", 1), ("a", 2), ("b", 1)], names=["letter", None])
    ),
    "dates with a zone": pd.DataFrame({"x": [1, 2, 3]}, index=pd.date_range("2026-03-29", periods=3, tz="Europe/Rome")),
    "categories that repeat": pd.DataFrame(
        {
            "x": [1, 2, 3],
            "when": pd.to_datetime(["2026-01-01", None, "2026-01-03"]),
            "kind": pd.Categorical(["a", None, "b"]),
        },
        index=pd.CategoricalIndex(["same", "same", "other"], ordered=True),
    ),
}


def assert_same(expected, actual):
    """To the last bit."""
    pd.testing.assert_frame_equal(expected, actual, check_exact=True)


class TestAttaching:
    """Another kernel, without the frame."""

    @pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES)
    def test_a_new_process_has_the_same_job_by_its_uri(self, session, model, kernel, frame):
        """Table, results beside the rows, failures: on the same index, in the same order, of the same types."""
        model.failing = {2: 500}
        job = submit(session, frame, columns=["x"]).wait()
        attached = kernel.run(
            """
            job = sm_async_nb.attach(uri)
            len(job), job.results(join=True), job.failures(), job.table(), repr(job)
            """,
            uri=job.uri,
        )
        mine = len(job), job.results(join=True), job.failures(), job.table(), repr(job)

        assert (mine[0], mine[4]) == (attached[0], attached[4])
        for expected, actual in zip(mine[1:4], attached[1:4], strict=True):
            assert_same(expected, actual)

    def test_a_job_is_found_by_its_id_below_the_prefix_of_the_environment(self, session, monkeypatch):
        """Or below the one that is passed."""
        job = submit(session, numbers(2), name="found").wait()
        monkeypatch.setattr(registry, "_prefixes", {})  # as in a new kernel

        assert job.uri == sm_async_nb.attach("found", session=session, input_prefix=PREFIX).uri
        with pytest.raises(sm_async_nb.RequestError) as caught:
            sm_async_nb.attach("found", session=session)
        assert str(caught.value) == (
            "Nothing says where the job 'found' lies. Pass its URI, or input_prefix='s3://bucket/prefix', or set"
            " SM_ASYNC_INPUT_PREFIX."
        )
        monkeypatch.setenv("SM_ASYNC_INPUT_PREFIX", PREFIX)
        assert job.uri == sm_async_nb.attach("found", session=session).uri

    def test_what_was_submitted_here_is_found_by_its_name_alone(self, session, monkeypatch):
        """Submit has found where a job lies, so nobody has to say it; unless there are two such places."""
        monkeypatch.setattr(registry, "_prefixes", {})
        job = submit(session, numbers(2), name="by-name").wait()

        assert job.uri == sm_async_nb.attach("by-name", session=session).uri
        assert job.uri == sm_async_nb.jobs(session=session).loc["by-name", "uri"]
        submit(session, numbers(2), name="elsewhere", input_prefix=f"{PREFIX}/elsewhere").wait()
        with pytest.raises(sm_async_nb.RequestError) as caught:
            sm_async_nb.attach("by-name", session=session)
        assert f"Jobs of this session lie below {PREFIX} and {PREFIX}/elsewhere." in str(caught.value)

    def test_a_uri_without_its_beginning_is_told(self, session):
        """An id has no slash in it."""
        with pytest.raises(sm_async_nb.RequestError) as caught:
            sm_async_nb.attach("my-bucket/jobs/monday/", session=session)
        assert str(caught.value) == (
            "A job's URI begins with s3://, got 'my-bucket/jobs/monday/'. Did you mean 's3://my-bucket/jobs/monday/'?"
        )

    def test_something_else_that_lies_there_is_no_matter(self, session):
        """Such as the folder that a browser of S3 makes."""
        job = submit(session, numbers(2)).wait()
        folder = f"jobs/{job.id}/revisions/"
        session.client("s3").put_object(Bucket=BUCKET, Key=folder, Body=b"")

        pd.testing.assert_frame_equal(doubled(numbers(2)), sm_async_nb.attach(job.uri, session=session).results())

    def test_no_job_is_said_where_there_is_none(self, session):
        """With the place that was looked at."""
        with pytest.raises(errors.JobNotFoundError) as caught:
            sm_async_nb.attach(f"{PREFIX}/nobody/", session=session)

        assert str(caught.value) == f"There is no job at {PREFIX}/nobody/: it has no manifest.json."

    def test_in_the_kernel_that_follows_it_a_job_is_the_same_object(self, session, model):
        """Two that send would be one too many."""
        model.door.clear()
        job = submit(session, numbers(3), name="mine")

        assert job is sm_async_nb.attach(job.uri, session=session)
        assert job is sm_async_nb.attach("mine", session=session, input_prefix=PREFIX)
        model.door.set()
        job.wait()

    def test_what_was_not_sent_when_a_kernel_was_killed_is_sent_by_the_next(self, session, local, model):
        """At once, since on the same machine its end is seen; what was sent is not sent again."""
        model.door.clear()
        with Kernel(local.environment) as doomed:
            uri = doomed.run(SUBMIT, frame=numbers(20), prefix=PREFIX, options={"max_in_flight": 10})
            doomed.run("import time\nwhile job.snapshot.counts[2] < 10: time.sleep(0.01)")
            doomed.kill()
        model.door.set()
        job = sm_async_nb.attach(uri, session=session).wait()

        pd.testing.assert_frame_equal(doubled(numbers(20)), job.results())
        assert (20, 0) == (len(model.asked), model.asked_twice)

    def test_a_job_that_is_over_is_opened_in_two_kernels_at_once(self, session, local, kernel):
        """Reading writes nothing, and needs no lease."""
        job = submit(session, numbers(3)).wait()
        local.reset_calls()
        here = sm_async_nb.attach(job.uri, session=session)
        there = kernel.run("job = sm_async_nb.attach(uri); job.results()", uri=job.uri)

        pd.testing.assert_frame_equal(here.results(), there)
        assert 0 == local.calls["s3 PutObject"]


class TestInUse:
    """One kernel writes; the others may watch."""

    def test_who_has_the_job_and_since_when_is_said_and_it_may_be_watched(self, session, model, kernel, monkeypatch):
        """Then its results are here as they are there; acting on it is refused in words."""
        monkeypatch.setattr(watching, "_SHORTEST", 0.2)
        model.door.clear()
        uri = kernel.run(SUBMIT, frame=numbers(4), prefix=PREFIX, options={"name": "held"})
        with pytest.raises(JobInUseError) as caught:
            sm_async_nb.attach(uri, session=session)
        watched = sm_async_nb.attach(uri, session=session, read_only=True)

        who = f"{getpass.getuser()}@{socket.gethostname()} (process {kernel.pid})"
        assert re.fullmatch(
            re.escape(f"Job 'held' is in use: {who} has written to it since ")
            + rf"{TIME}; its last heartbeat was \d+ seconds? ago\. If that kernel has ended, its lease lapses at"
            rf" {TIME}, in \d+ seconds: wait until then and attach again\."
            + re.escape(" To watch the job meanwhile, use attach(..., read_only=True)."),
            str(caught.value),
        )
        assert watched.is_read_only
        for act in (watched.retry, watched.cancel, watched.cleanup, watched.resume):
            with pytest.raises(JobInUseError) as refused:
                act()
            assert str(refused.value) == (
                "Job held is only watched here. Attach to it without read_only=True to act on it."
            )
        model.door.set()
        pd.testing.assert_frame_equal(doubled(numbers(4)), watched.wait().results())
        assert_same(kernel.run("job.wait().table()"), watched.table())

    def test_who_watches_may_take_over_when_the_other_kernel_is_gone(self, session, local, model):
        """The watching job was given out again once, and told to attach without read_only=True."""
        model.door.clear()
        with Kernel(local.environment) as doomed:
            uri = doomed.run(SUBMIT, frame=numbers(6), prefix=PREFIX, options={"max_in_flight": 2})
            doomed.run("import time\nwhile job.snapshot.counts[2] < 2: time.sleep(0.01)")
            watched = sm_async_nb.attach(uri, session=session, read_only=True)
            again = sm_async_nb.attach(uri, session=session, read_only=True)
            doomed.kill()
        job = sm_async_nb.attach(uri, session=session)
        model.door.set()

        assert again is watched
        assert (True, False) == (watched.is_read_only, job.is_read_only)
        pd.testing.assert_frame_equal(doubled(numbers(6)), job.wait().results())
        watched.leave()

    def test_who_watches_is_not_disturbed_when_the_job_grows(self, session, model, kernel, monkeypatch):
        """It shows the rows that there were."""
        monkeypatch.setattr(watching, "_SHORTEST", 0.2)
        model.door.clear()
        uri = kernel.run(SUBMIT, frame=numbers(2), prefix=PREFIX, options={"name": "growing"})
        watched = sm_async_nb.attach(uri, session=session, read_only=True)
        kernel.run(SUBMIT, frame=numbers(5), prefix=PREFIX, options={"name": "growing"})
        model.door.set()
        kernel.run("job.wait()\nNone")

        pd.testing.assert_frame_equal(doubled(numbers(2)), watched.wait().results())

    def test_submitting_under_the_name_of_a_job_that_is_in_use_is_refused(self, session, local, model, kernel):
        """Before anything is sent."""
        model.door.clear()
        kernel.run(SUBMIT, frame=numbers(2), prefix=PREFIX, options={"name": "taken"})
        kernel.run("import time\nwhile job.snapshot.counts[2] < 2: time.sleep(0.01)")
        local.reset_calls()
        with pytest.raises(JobInUseError, match=r"^Job 'taken' is in use: "):
            submit(session, numbers(3), name="taken")

        assert 0 == local.calls["sagemaker-runtime InvokeEndpointAsync"]
        model.door.set()
        kernel.run("job.wait()\nNone")

    def test_a_kernel_that_leaves_lets_the_next_one_in_at_once(self, session, model, kernel):
        """Nobody waits for a lease that was given back."""
        model.door.clear()
        uri = kernel.run(SUBMIT, frame=numbers(4), prefix=PREFIX, options={})
        kernel.run("job.leave()")
        job = sm_async_nb.attach(uri, session=session)
        model.door.set()

        pd.testing.assert_frame_equal(doubled(numbers(4)), job.wait().results())
        with pytest.raises(KernelError, match=r"^JobInUseError: Job .* is not followed here any more; attach to s3://"):
            kernel.run("job.wait()")


class TestRetrying:
    """What ended badly is sent again, as far as that is wanted."""

    def test_by_status_by_class_of_error_and_by_rows(self, session, local, model):
        """Each says how many it sends; an attempt is counted with each."""
        frame = numbers(9).assign(ask="")
        frame.loc["row 8", "ask"] = "fault=nonsense"
        local.faults = Faults(by_request=True)
        model.failing = {1: 400, 2: 500, 3: 503, 4: 500, 5: 500, 6: 500, 7: 500}
        job = submit(session, frame, columns=["x"], custom_attributes="{{ ask }}").wait()
        classes = job.failures()["error_class"]
        local.faults = Faults()
        model.failing = {}

        assert ["model_4xx", *["model_5xx"] * 6, "rejected"] == classes.tolist()
        assert 1 == job.retry(status="rejected")
        assert 1 == job.retry(error_class="model_4xx")
        assert 1 == job.retry(rows="row 2")
        assert 2 == job.retry(rows=["row 3", "row 4"])
        assert 1 == job.retry(rows=job.wait().failures().loc[["row 5"]])
        assert 1 == job.retry(rows=frame["x"] == 6)
        assert 1 == job.wait().retry()
        job.wait()
        assert [1, *[2] * 8] == job.table()["attempt"].tolist()
        pd.testing.assert_frame_equal(doubled(frame), job.results())
        assert (0, 0) == (job.retry(), job.retry(status=["failed", "cancelled"]))

    @pytest.mark.parametrize(
        ("wrong", "expected"),
        [
            (
                {"status": "faild"},
                (
                    "status= must be one of failed, expired, rejected, cancelled, got 'faild'. Did you mean 'failed'?"
                    " Nothing was sent."
                ),
            ),
            (
                {"error_class": "5xx"},
                (
                    "error_class= must be one of rejected, model_4xx, model_5xx, model_error, expired, got"
                    " '5xx'. Nothing was sent."
                ),
            ),
            ({"rows": "row 9"}, "The job has no row 'row 9'. Nothing was sent."),
            (
                {"rows": ["row 1", "row 0"]},
                (
                    "Row 'row 0' is completed; only rows that have failed, expired, or were rejected or cancelled can"
                    " be sent again. Nothing was sent."
                ),
            ),
            (
                {"rows": "row 1", "status": "failed"},
                "rows= names the requests itself; leave status= and error_class= out.",
            ),
        ],
    )
    def test_what_cannot_be_meant_is_refused_in_words(self, failed, local, wrong, expected):
        """And nothing is sent again."""
        before = local.calls["sagemaker-runtime InvokeEndpointAsync"]
        with pytest.raises(sm_async_nb.RequestError) as caught:
            failed.retry(**wrong)

        assert expected == str(caught.value)
        assert before == local.calls["sagemaker-runtime InvokeEndpointAsync"]

    def test_server_errors_are_sent_again_by_themselves_and_client_errors_never(self, session, model, monkeypatch):
        """``retries=1``: what a model has refused it would refuse again. Its rest is short here."""
        monkeypatch.setattr(plan, "_FIRST_REST", 0.1)
        model.failing_once = {1: 500, 2: 400}
        table = submit(session, numbers(3), retries=1).wait().table()

        assert ["completed", "completed", "failed"] == table["status"].tolist()
        assert [1, 2, 1] == table["attempt"].tolist()


class TestStopping:
    """Sending may be stopped; what the service has it will answer."""

    def test_cancelling_counts_what_is_not_sent_and_what_the_service_holds(self, session, model):
        """Held requests are still answered, and the others can be sent later."""
        model.door.clear()
        job = submit(session, numbers(10), max_in_flight=3)
        until(lambda: job.snapshot.counts[sm_async_nb.Status.ACCEPTED] == 3)
        cancelled = job.cancel()
        model.door.set()

        assert (7, 3) == (cancelled.not_sent, cancelled.held)
        assert str(cancelled) == (
            "7 requests will not be sent. The service holds 3 more, which nobody can take back: their answers are still"
            " followed."
        )
        assert ["completed"] * 3 + ["cancelled"] * 7 == job.wait().table()["status"].tolist()
        assert 3 == len(model.asked)
        assert 7 == job.retry(status="cancelled")
        pd.testing.assert_frame_equal(doubled(numbers(10)), job.wait().results())

    @pytest.mark.parametrize(
        ("max_failures", "why"),
        [
            (2, r"\d+ requests ended badly, more than max_failures=2"),
            (0.25, r"\d+ of 2\d requests ended badly, more than max_failures=0\.25"),
        ],
    )
    def test_a_job_that_goes_wrong_stops_itself(self, session, model, max_failures, why):
        """What has come is kept, and the rest can be sent once the model is mended."""
        frame = numbers(60)
        model.failing = dict.fromkeys(range(1, 60, 2), 500)
        job = submit(session, frame, max_failures=max_failures, max_in_flight=10)
        with pytest.raises(errors.TooManyFailuresError) as caught:
            job.wait()
        table = job.table()
        not_sent = int((table["status"] == "cancelled").sum())

        assert re.fullmatch(
            rf"Job {job.id} went wrong: {why}\. {not_sent} requests were not sent;"
            r" job\.retry\(status='cancelled'\) sends them\."
            r" What has come is in job\.results\(\) and job\.failures\(\)\.",
            str(caught.value),
        )
        assert 0 < not_sent < 60
        assert job.snapshot.stopped == sm_async_nb.attach(job.uri, session=session).snapshot.stopped
        completed = table["status"] == "completed"
        assert (2 * frame["x"])[completed].tolist() == job.results()["y"].dropna().tolist()

        model.failing = {}
        assert not_sent == job.retry(status="cancelled")
        assert {"completed", "failed"} == set(job.wait().table()["status"])
        assert int((table["status"] == "failed").sum()) == job.retry()
        pd.testing.assert_frame_equal(doubled(frame), job.wait().results())


class TestTidyingUp:
    """What a job has left in S3, and nothing else."""

    def test_inputs_and_outputs_are_counted_first_and_deleted_only_when_that_is_said(self, session, model):
        """Other people's objects stay, wherever they lie; a retry uploads its input again."""
        model.failing = {2: 500}
        job = submit(session, numbers(3), name="untidy").wait()
        s3 = session.client("s3")
        foreign = ["jobs/untidy/shards/00000/inputs/notes.txt", "jobs/untidy-too/keep", "async-output/keep"]
        for key in foreign:
            s3.put_object(Bucket=BUCKET, Key=key, Body=b"mine")
        before = keys(s3)
        counted = job.cleanup(inputs=True, outputs=True)

        assert before == keys(s3)
        assert str(counted) == (
            "3 inputs of 21 bytes and 3 outputs would be deleted. Call it again with dry_run=False to do it; it cannot"
            " be undone."
        )
        wire = Wire.of(session)
        assert "3 inputs of 21 bytes and 0 outputs were deleted." == str(job.cleanup(dry_run=False))
        gone = before - keys(s3)
        assert {f"jobs/untidy/shards/00000/inputs/0000000{number}.json" for number in range(3)} == gone
        pd.testing.assert_series_equal(pd.Series([0, 2], index=["row 0", "row 1"], name="y"), done(job))

        model.failing = {}
        assert 1 == job.retry()
        pd.testing.assert_frame_equal(doubled(numbers(3)), job.wait().results())
        assert 1 == wire.count("PutObject", "/inputs/")
        assert 3 == job.cleanup(outputs=True, dry_run=False).outputs
        assert set(foreign) <= keys(s3)

    def test_inputs_that_are_still_to_be_read_stay(self, session, model):
        """Only what has ended is tidied up."""
        model.door.clear()
        job = submit(session, numbers(3))
        until(lambda: job.snapshot.counts[sm_async_nb.Status.ACCEPTED] == 3)
        counted = job.cleanup()
        model.door.set()

        assert 0 == counted.inputs
        job.wait()

    @pytest.mark.parametrize(
        ("call", "expected"),
        [
            (lambda job: job.cleanup(outputs="no"), "outputs must be True or False, got 'no'. Nothing was deleted."),
            (lambda job: job.cleanup(dry_run=0), "dry_run must be True or False, got 0. Nothing was deleted."),
            (lambda job: job.results(join="no"), "join must be True or False, got 'no'."),
            (
                lambda job: sm_async_nb.attach(job.uri, read_only="no"),
                "read_only must be True or False, got 'no'.",
            ),
            (
                lambda job: numbers(1).sm_async.submit("durable", name="other", wait="no"),
                "wait must be True or False, got 'no'. Nothing was sent.",
            ),
        ],
    )
    def test_what_is_neither_true_nor_false_does_nothing(self, session, model, call, expected):
        """To Python the text "no" is true: it would have deleted the outputs."""
        job = submit(session, numbers(1)).wait()
        before = keys(session.client("s3"))
        with pytest.raises(errors.RequestError) as caught:
            call(job)

        assert expected == str(caught.value)
        assert before == keys(session.client("s3"))


def keys(s3):
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
    return {item["Key"] for page in pages for item in page.get("Contents", ()) if "/lease/" not in item["Key"]}


def done(job):
    return job.results()["y"].dropna().astype("int64")


class TestTelling:
    """Jobs and endpoints, for those who look at them from outside."""

    def test_what_a_job_says_it_called_is_what_the_servers_counted(self, session, local):
        """Each call to S3 and the runtime."""
        job = submit(session, numbers(5)).wait()
        job.results()
        stats = job.stats()
        counted = {name.partition(" ")[2]: calls for name, calls in local.calls.items() if name.startswith("s3 ")}
        counted["InvokeEndpointAsync"] = local.calls["sagemaker-runtime InvokeEndpointAsync"]

        assert counted == stats.calls
        assert 5 == stats.calls["InvokeEndpointAsync"]
        assert (0, 0) == (stats.throttled, stats.troubled)

    def test_throttles_are_in_the_statistics(self, session, local):
        """With every call that was made again."""
        local.faults = Faults(throttle=Times(2), unavailable=Times(1))
        stats = submit(session, numbers(3)).wait().stats()

        assert (6, 3, 3) == (stats.calls["InvokeEndpointAsync"], stats.throttled, stats.troubled)

    def test_jobs_are_listed_with_how_they_stand(self, session, model, kernel):
        """The newest first; who has one, and whether anybody does."""
        place = f"s3://{BUCKET}/listed"
        submitted = {"session": session, "input_prefix": place}
        model.failing = {1: 500}
        over = numbers(3).sm_async.submit("durable", **submitted, name="a", tags={"team": "red"}, note="weekly").wait()
        model.door.clear()
        kernel.run(SUBMIT, frame=numbers(2), prefix=place, options={"name": "b"})
        left = numbers(1).sm_async.submit("durable", **submitted, name="c")
        left.leave()
        listed = sm_async_nb.jobs(session=session, input_prefix=place)
        model.door.set()
        kernel.run("job.wait()\nNone")

        here = f"{getpass.getuser()}@{socket.gethostname()}"
        assert ["c", "b", "a"] == listed.index.tolist()
        assert ["interrupted", "running", "over"] == listed["state"].tolist()
        assert ["", here, ""] == listed["held_by"].tolist()
        assert [1, 2, 3] == listed["requests"].tolist()
        line = listed.loc["a"]
        assert (3, 2, 1, 0) == tuple(line[["rows", "completed", "failed", "planned"]])
        assert ("durable", {"team": "red"}, "weekly", over.uri) == tuple(line[["endpoint_name", "tags", "note", "uri"]])
        assert pd.Timedelta(0) <= line["age"] < pd.Timedelta(minutes=1)

    def test_jobs_that_may_not_be_read_are_not_passed_over_in_silence(self, session, local):
        """A list without them looks like no jobs."""
        prefix = f"s3://{BUCKET}/hidden"
        for name in ("mine", "theirs"):
            submit(session, numbers(1), name=name, input_prefix=prefix).wait()
        try:
            local.faults = Faults(s3_denied=1, s3_only="GetObject */theirs/manifest.json")
            with pytest.warns(SmAsyncWarning, match="1 of the jobs below .* cannot be read and are left out: "):
                assert ["mine"] == sm_async_nb.jobs(session=session, input_prefix=prefix).index.tolist()
            local.faults = Faults(s3_denied=1, s3_only="GetObject */manifest.json")
            with pytest.raises(errors.StorageAccessError, match="s3:GetObject"):
                sm_async_nb.jobs(session=session, input_prefix=prefix)
        finally:
            local.faults = Faults()

    def test_an_endpoint_tells_of_itself_through_the_job_and_without_one(self, session):
        """In service, awake, its paths; and which there are."""
        job = submit(session, numbers(1)).wait()
        endpoint = sm_async_nb.endpoint("durable", session=session)

        assert endpoint.is_in_service
        assert (1, 16, None) == (
            endpoint.instances,
            endpoint.max_concurrent_invocations_per_instance,
            endpoint.success_topic,
        )
        assert f"s3://{BUCKET}/async-failures" == str(endpoint.s3_failure_path)
        assert endpoint.endpoint_arn == job.endpoint.endpoint_arn
        assert "durable" in sm_async_nb.endpoints(session=session)["endpoint_name"].tolist()

    def test_an_endpoint_without_a_failure_path_is_warned_about_in_minutes(self, session, local):
        """Since a failure there looks like silence until then."""
        local.create_endpoint("mute", s3_failure_path=None)
        with pytest.warns(SmAsyncWarning) as caught:
            job = numbers(1).sm_async.submit(
                "mute", session=session, request_ttl_seconds=60, invocation_timeout_seconds=60
            )
        job.wait()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            sm_async_nb.attach(job.uri, session=session)

        assert str(caught[0].message) == (
            "Endpoint 'mute' has no S3FailurePath: a request on which the model fails leaves no object in S3. It stays"
            " accepted for 3 minutes and then counts as expired, without the model's words. Give the endpoint's"
            " configuration an S3FailurePath; or give it an error topic and pass tracker='sqs:<queue url>'; or make"
            " request_ttl_seconds and invocation_timeout_seconds shorter."
        )
        assert __file__ == caught[0].filename


class TestTerms:
    """What is asked of every call to S3 is on every call to S3."""

    def test_the_key_and_the_owner_of_the_bucket_are_on_every_call(self, session, local):
        """Those that write have the key, all have the owner; also where another kernel goes on."""
        terms = {"sse_kms_key_id": "alias/scoring", "expected_bucket_owner": "123456789012"}
        wire = Wire.of(session)
        job = submit(session, numbers(3), name="locked", **terms).wait()
        job.results()
        job.failures()
        job.cleanup(outputs=True, dry_run=False)
        other = local.session()
        attached = Wire.of(other)
        sm_async_nb.attach(job.uri, session=other).retry()
        sm_async_nb.attach(job.uri, session=other).cleanup(dry_run=False)

        assert {"PutObject", "ListObjectsV2", "GetObject", "DeleteObjects"} <= operations(wire)
        assert [] == without_terms(wire)
        # The settings themselves have to be found before they can be applied.
        assert ["ListObjectsV2", "GetObject"] == without_terms(attached)[:2]
        assert [] == without_terms(attached)[4:]


def operations(wire):
    return {operation for operation, _, _ in wire.calls if operation != "InvokeEndpointAsync"}


def without_terms(wire):
    """The calls to S3 that lack what was asked for."""
    owner, key = {"x-amz-expected-bucket-owner": "123456789012"}, {}
    key["x-amz-server-side-encryption-aws-kms-key-id"] = "alias/scoring"
    wanted = {"PutObject": owner | key, "InvokeEndpointAsync": {}}
    return [
        operation for operation, _, headers in wire.calls if not wanted.get(operation, owner).items() <= headers.items()
    ]


class TestPermissions:
    """403 where 404 would be says nothing about a row."""

    def test_a_missing_permission_to_list_is_named_before_anything_is_sent(self, session, local):
        """At submit."""
        local.faults = Faults(s3_without_list_bucket=1)
        with pytest.raises(errors.StorageAccessError) as caught:
            submit(session, numbers(2))

        assert str(caught.value).startswith(
            "The outputs of endpoint 'durable' cannot be followed. S3 refused s3:ListBucket on"
        )
        assert 0 == local.calls["sagemaker-runtime InvokeEndpointAsync"]

    @pytest.mark.parametrize(
        "where", [{}, {"s3_output_path_extension": "shared", "filename": "{{ x }}.out"}], ids=["listed", "looked at"]
    )
    def test_a_permission_to_list_that_is_lost_pauses_the_job_and_ends_no_row(
        self, session, local, model, where, has_own_output_path
    ):
        """Whether answers are listed or looked at one by one."""
        if where and not has_own_output_path:
            pytest.skip("this SDK has no S3OutputPathExtension")
        model.door.clear()
        job = submit(session, numbers(3), **where)
        until(lambda: job.snapshot.counts[sm_async_nb.Status.ACCEPTED] == 3)
        local.faults = Faults(s3_without_list_bucket=1)
        with pytest.raises(errors.StorageAccessError, match="s3:ListBucket"):
            job.wait()
        assert ["accepted"] * 3 == job.table()["status"].tolist()
        local.faults = Faults()
        model.door.set()

        pd.testing.assert_frame_equal(doubled(numbers(3)), job.resume().wait().results())
        assert 0 == model.asked_twice
