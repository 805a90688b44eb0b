"""Frames of every kind through a real endpoint: real threads, boto3 and s3fs over HTTP."""

import _thread
import asyncio
import datetime as dt
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import boto3
import numpy as np
import pandas as pd
import pytest

import sm_async_nb
from sm_async_nb.local import LocalEndpoint

INDEXES = {
    "shuffled strings": pd.Index(["r3", "r1", "r2"], name="row"),
    "duplicates": pd.Index([7, 7, 7]),
    "dates with a zone": pd.date_range("2026-03-29", periods=3, tz="Europe/Rome"),
    "two levels": pd.MultiIndex.from_tuples([("a", 1), ("a", 2), ("b", 1)], names=["letter", None]),
    "mixed": pd.Index([1, "a", None], dtype=object),
    "unnamed range": pd.RangeIndex(3),
    "floats with a gap": pd.Index([0.5, np.nan, 2.0]),
}


@pytest.mark.parametrize("index", INDEXES.values(), ids=INDEXES)
def test_results_come_back_on_the_index_they_left_with(session, index):
    """Whatever the index is, the results have it, in the submitted order."""
    frame = pd.DataFrame({"x": [10, 20, 30]}, index=index)

    results = frame.sm_async.submit("local-endpoint", session=session).wait().results()

    pd.testing.assert_frame_equal(pd.DataFrame({"y": [20, 40, 60]}, index=index), results)


def test_results_joined_to_a_frame_with_duplicate_labels_stay_row_by_row(session):
    """join=True goes by position, where DataFrame.join would make a product of duplicates."""
    frame = pd.DataFrame({"x": [1, 2], "y": ["taken", "too"]}, index=["same", "same"])

    joined = frame.sm_async.submit("local-endpoint", session=session).wait().results(join=True)

    expected = frame.assign(y_output=[2, 4])
    pd.testing.assert_frame_equal(expected, joined)


@pytest.mark.parametrize("index", [pd.RangeIndex(0), pd.DatetimeIndex([]), pd.MultiIndex.from_arrays([[], []])])
def test_an_empty_frame_is_a_job_that_is_done(session, index):
    """No rows are no error; the results are empty, on the empty index."""
    frame = pd.DataFrame({"x": pd.Series([], dtype=int)}).set_axis(index)

    job = frame.sm_async.submit("local-endpoint", session=session).wait()

    assert 0 == len(job)
    assert job.results().index.equals(index)
    assert 0 == len(job.table())


def test_edits_after_submit_change_nothing(local):
    """The frame is copied at submit, with the lists in its cells."""
    frame = pd.DataFrame({"x": range(200), "tags": [[n] for n in range(200)]})
    seen = []

    def remember(body, content_type, accept):
        seen.append(json.loads(body))
        return body

    with LocalEndpoint(remember, endpoint_name="remember") as endpoint:
        job = frame.sm_async.submit("remember", session=endpoint.session(), concurrency=1)
        frame["x"] = -1
        for tags in frame["tags"]:
            tags.append("edited")
        job.wait()

    assert [{"x": n, "tags": [n]} for n in range(200)] == sorted(seen, key=lambda record: record["x"])


def test_rows_that_the_model_refuses_are_failures_with_its_own_words(session):
    """A model error is shown verbatim, on its row; the other rows have their results."""
    frame = pd.DataFrame({"x": [1, -5, 3]}, index=["a", "b", "c"])

    job = frame.sm_async.submit("local-endpoint", session=session).wait()

    failures = job.failures()
    assert ["b"] == list(failures.index)
    assert "failed" == failures.loc["b", "status"]
    told = {"code": 500, "type": "ValueError", "message": "x is -5, which is below zero"}
    assert told == json.loads(failures.loc["b", "error"])
    assert [2.0, None, 6.0] == [None if pd.isna(y) else y for y in job.results()["y"]]
    assert "1 failed" in repr(job)


def test_table_has_a_line_for_each_row(session, has_own_output_path):
    """Status, times and locations by index label; locations are those the service gave."""
    frame = pd.DataFrame({"x": [1, 2]}, index=["a", "b"])

    table = frame.sm_async.submit("local-endpoint", session=session, name="table-test").wait().table()

    assert ["completed", "completed"] == list(table["status"])
    assert [1, 1] == list(table["attempt"])
    assert dt.UTC == table["accepted_at"].dt.tz
    assert (table["latency"] >= 0).all()
    assert table["error"].isna().all()
    assert table["input_location"]["b"].endswith("/table-test/shards/00000/inputs/00000001.json")
    own = "table-test/00000/00000/" if has_own_output_path else ""
    assert table["output_location"]["b"].startswith(f"s3://sm-async-local/async-output/{own}")
    assert table["failure_location"]["b"].startswith("s3://sm-async-local/async-failures/")
    assert table["inference_id"].is_unique
    assert table["request_id"].is_unique


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        ("application/json", [b'{"x":1,"s":"a,\\"b"}', b'{"x":2,"s":null}']),
        ("application/jsonlines", [b'{"x":1,"s":"a,\\"b"}\n', b'{"x":2,"s":null}\n']),
        ("text/csv", [b'1,"a,""b"\n', b"2,\n"]),
    ],
)
def test_content_type_decides_the_payload_and_goes_on_call_and_object(content_type, expected):
    """The model gets the bytes of that type and is told so, and the object in S3 says so too."""
    seen = []

    def remember(body, content_type, accept):
        seen.append((body, content_type))
        return b'"ok"'

    frame = pd.DataFrame({"x": [1, 2], "s": ['a,"b', None]})
    with LocalEndpoint(remember, endpoint_name="remember") as endpoint:
        session = endpoint.session()
        job = frame.sm_async.submit("remember", session=session, content_type=content_type).wait()
        bucket, _, key = job.table()["input_location"][0].removeprefix("s3://").partition("/")
        stored = session.client("s3").head_object(Bucket=bucket, Key=key)

    assert sorted((payload, content_type) for payload in expected) == sorted(seen)
    assert content_type == stored["ContentType"]


def test_columns_choose_what_is_sent_and_in_which_order():
    """One name alone is a column too."""
    frame = pd.DataFrame({"a": [1], "b": [2], "c": [3]})
    with LocalEndpoint(lambda body, *_: body, endpoint_name="echo") as endpoint:
        job = frame.sm_async.submit("echo", columns=["c", "a"], session=endpoint.session()).wait()
        one = frame.sm_async.submit("echo", columns="b", session=endpoint.session()).wait()

        assert [{"c": 3, "a": 1}] == job.results().to_dict("records")
        assert [{"b": 2}] == one.results().to_dict("records")


def test_unmodified_environment_variables_are_enough(local, monkeypatch):
    """Without session=, boto3's own resolution decides, and AWS_ENDPOINT_URL* lead to the local endpoint."""
    for name, value in local.environment.items():
        monkeypatch.setenv(name, value)

    job = pd.DataFrame({"x": [21]}).sm_async.submit("local-endpoint")

    assert [42] == list(job.wait().results()["y"])


def test_calls_on_the_wire_are_as_few_as_they_can_be(session, local, has_own_output_path):
    """One PUT, one invocation and one GET a row; no HEAD, unless the SDK is too old for a private output path."""
    frame = pd.DataFrame({"x": range(300)})

    job = frame.sm_async.submit("local-endpoint", session=session).wait()
    job.results()
    job.results()

    calls = local.calls
    assert 300 == calls["sagemaker-runtime InvokeEndpointAsync"]
    assert 300 == calls["s3 GetObject"]
    assert 0 == calls["s3 HeadObject"] or not has_own_output_path
    assert calls["s3 HeadObject"] <= 3 * 300
    journal_and_manifest = calls["s3 PutObject"] - 300
    assert 0 < journal_and_manifest < 100
    assert calls["s3 ListObjectsV2"] < 100
    assert {"s3", "sagemaker", "sagemaker-runtime"} == {operation.split()[0] for operation in calls}


def test_nothing_is_left_when_a_job_is_done(session):
    """No thread and no timer outlives the wait, and loading results leaves none either."""
    before = set(threading.enumerate())
    job = pd.DataFrame({"x": range(20)}).sm_async.submit("local-endpoint", session=session)
    assert "sm-async" in {thread.name for thread in threading.enumerate()}

    job.wait()
    after_wait = {thread.name for thread in set(threading.enumerate()) - before if thread.name.startswith("sm-async")}
    job.results()
    job.failures()
    after_results = {thread.name for thread in set(threading.enumerate()) - before}

    # The local endpoint's own threads are not the client's.
    ours = {"sm-async", *(f"sm-async-invoke_{number}" for number in range(64))}
    assert set() == ours & after_wait
    assert set() == ours & after_results


def test_jobs_run_side_by_side_on_one_thread(session):
    """Two jobs at once share the background thread and do not share rows."""
    jobs = [pd.DataFrame({"x": [n, n + 1]}).sm_async.submit("local-endpoint", session=session) for n in (1, 5)]
    threads = [thread for thread in threading.enumerate() if thread.name == "sm-async"]

    assert [[2, 4], [10, 12]] == [list(job.wait().results()["y"]) for job in jobs]
    assert 1 == len(threads)


def test_as_completed_gives_every_completed_row_once(session):
    """Frames come as rows finish; together they are the results."""
    frame = pd.DataFrame({"x": range(50)}, index=[f"r{n}" for n in range(50)])
    frame.iloc[7, 0] = -1

    job = frame.sm_async.submit("local-endpoint", session=session)
    together = pd.concat(list(job.as_completed()))

    assert together.index.is_unique
    pd.testing.assert_frame_equal(
        job.results().dropna(), together.sort_index(key=lambda i: i.str[1:].astype(int)), check_dtype=False
    )


def test_async_for_and_await_work_on_any_loop(session):
    """A job can be awaited, and gone through with async for, on a loop that is not its own."""

    async def follow():
        job = pd.DataFrame({"x": range(5)}).sm_async.submit("local-endpoint", session=session)
        last = None
        async for snapshot in job.changes():
            last = snapshot
        frames = [done async for done in job.as_completed()]
        return job, await job, last, pd.concat(frames)

    job, awaited, last, done = asyncio.run(follow())

    assert job is awaited
    assert last.is_over
    assert 5 == last[sm_async_nb.Status.COMPLETED]
    assert {0, 2, 4, 6, 8} == set(done["y"])


def test_wait_with_a_timeout_leaves_the_job_running():
    """WaitTimeoutError says that the job runs on, and it does."""
    go_on = threading.Event()

    def slow(body, content_type, accept):
        go_on.wait(30)
        return body

    with LocalEndpoint(slow, endpoint_name="slow") as endpoint:
        job = pd.DataFrame({"x": [1]}).sm_async.submit("slow", session=endpoint.session())
        with pytest.raises(sm_async_nb.NotYetError, match=r"^After 0\.3 s <Job slow-.* It runs on; call job\.wait\(\)"):
            job.wait(timeout=0.3)
        go_on.set()

        assert [{"x": 1}] == job.wait().results().to_dict("records")


@pytest.mark.parametrize(
    "wait",
    [lambda job: job.wait(), lambda job: list(job.as_completed()), lambda job: list(job.changes())],
    ids=["wait", "as_completed", "changes"],
)
def test_an_interrupt_ends_the_waiting_and_not_the_job(wait):
    """Ctrl-C gets through within half a second and says how to come back; the job runs on and can be waited for."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell that runs the tests in the background ignores it
    go_on = threading.Event()

    def slow(body, content_type, accept):
        go_on.wait(30)
        return body

    with LocalEndpoint(slow, endpoint_name="slow") as endpoint:
        job = pd.DataFrame({"x": [1]}).sm_async.submit("slow", session=endpoint.session())
        pressed = []
        timer = threading.Timer(0.5, lambda: (pressed.append(time.monotonic()), _thread.interrupt_main()))
        timer.start()
        with pytest.raises(KeyboardInterrupt) as interrupted:
            wait(job)
        seconds = time.monotonic() - pressed[0]
        timer.join()
        go_on.set()

        assert seconds < 0.5
        assert str(interrupted.value) == runs_on(job)
        assert [{"x": 1}] == job.wait().results().to_dict("records")


def runs_on(job):
    return (
        f"Interrupted: the waiting has ended, job {job.id} runs on (1 of 1 requests to go).\n"
        f"Its wait() waits again, its cancel() stops sending; from another kernel: sm_async_nb.attach({job.uri!r})"
    )


@pytest.mark.parametrize("way", ["as_completed", "changes"])
def test_a_loop_that_is_cancelled_says_that_the_job_runs_on(way):
    """What an interrupt becomes in a cell that has ``async for``."""
    go_on = threading.Event()

    async def follow(job):
        async for _ in getattr(job, way)():
            pass

    async def story(job):
        following = asyncio.ensure_future(follow(job))
        await asyncio.sleep(0.1)
        following.cancel()
        with pytest.raises(asyncio.CancelledError) as cancelled:
            await following
        return cancelled.value._render_traceback_()

    with LocalEndpoint(lambda *_: go_on.wait(30) and b"1", endpoint_name="slow") as endpoint:
        job = pd.DataFrame({"x": [1]}).sm_async.submit("slow", session=endpoint.session())
        told = asyncio.run(story(job))
        go_on.set()
        job.wait()

    assert runs_on(job).splitlines() == told


def test_results_before_the_end_have_missing_values_for_what_is_not_there(session):
    """Results may be asked for at any time."""
    frame = pd.DataFrame({"x": range(100)})
    job = frame.sm_async.submit("local-endpoint", session=session)

    with pytest.warns(UserWarning, match=r"^\d+ of 100 requests are still on their way; "):
        early = job.results()
    job.wait()

    assert len(frame) == len(early)
    assert list(range(0, 200, 2)) == list(job.results()["y"])


def test_a_job_is_told_apart_by_its_name(session):
    """The name becomes the job's id and its directory; asked for again, it is the same job."""
    frame = pd.DataFrame({"x": [1]})
    job = frame.sm_async.submit("local-endpoint", session=session, name="monday.scores").wait()

    assert "monday.scores" == job.id
    assert "s3://sm-async-local/sm-async-nb/monday.scores/" == job.uri
    again = frame.sm_async.submit("local-endpoint", session=session, name="monday.scores").wait()
    pd.testing.assert_frame_equal(job.table(), again.table())


def test_a_job_in_s3_has_its_manifest_frame_and_journal(session, local):
    """What lies in S3 is enough to know the job without this kernel."""
    job = pd.DataFrame({"x": [1, 2]}).sm_async.submit("local-endpoint", session=session, name="kept").wait()

    s3 = session.client("s3")
    keys = [item["Key"] for item in s3.list_objects_v2(Bucket="sm-async-local", Prefix="sm-async-nb/kept/")["Contents"]]
    manifest = json.load(s3.get_object(Bucket="sm-async-local", Key="sm-async-nb/kept/manifest.json")["Body"])
    names = {key.removeprefix("sm-async-nb/kept/") for key in keys}
    shard = {
        "frame.parquet",
        "slots.parquet",
        "inputs/00000001.json",
        "journal/00000000.parquet",
        "lease/00000001.json",
    }
    assert {"manifest.json", *(f"shards/00000/{name}" for name in shard)} <= names
    assert "application/json" == manifest["asked"]["content_type"]
    assert 2 == manifest["requests"] == len(job)


def test_wait_true_waits(session):
    """submit(wait=True) returns a job that is over."""
    job = pd.DataFrame({"x": [1]}).sm_async.submit("local-endpoint", session=session, wait=True)

    assert job.snapshot.is_over


def test_a_process_that_ends_in_the_middle_of_a_job_ends_without_noise(local):
    """Leaving the interpreter does not hang and prints no traceback."""
    script = """
        import pandas as pd, sm_async_nb
        job = pd.DataFrame({"x": range(2000)}).sm_async.submit("local-endpoint")
        print("submitted")
    """
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        env={**os.environ, **local.environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert ("submitted\n", "") == (ended.stdout, ended.stderr)


class TestRefusals:
    """What is wrong is said before anything is uploaded."""

    frame = pd.DataFrame({"age": [1], "plan": ["a"]})

    @pytest.fixture(autouse=True)
    def _nothing_is_uploaded(self, session, local):
        yield
        assert 0 == local.calls["s3 PutObject"]
        assert 0 == local.calls["sagemaker-runtime InvokeEndpointAsync"]

    def refused(self, error, **options):
        with pytest.raises(error) as caught:
            self.frame.sm_async.submit(**{"endpoint_name": "local-endpoint", **options})
        return str(caught.value)

    def test_a_column_that_is_not_there(self, session):
        message = self.refused(sm_async_nb.errors.ColumnNotFoundError, session=session, columns=["aeg"])

        assert "The frame has no column 'aeg'. Did you mean 'age'? Nothing was sent." == message

    def test_an_endpoint_that_is_not_there(self, session):
        message = self.refused(sm_async_nb.errors.EndpointNotFoundError, session=session, endpoint_name="locl-endpoint")

        assert message == (
            "There is no endpoint 'locl-endpoint' in us-east-1 for these credentials. Did you mean 'local-endpoint'?"
            " Nothing was sent."
        )

    def test_a_synchronous_endpoint(self, session, local):
        local.create_endpoint("synchronous", asynchronous=False)
        message = self.refused(
            sm_async_nb.errors.EndpointNotAsynchronousError, session=session, endpoint_name="synchronous"
        )

        assert message.startswith("Endpoint 'synchronous' is not asynchronous: its configuration 'synchronous")
        assert message.endswith("has no AsyncInferenceConfig, so it takes InvokeEndpoint only. Nothing was sent.")

    def test_a_bucket_that_is_not_there(self, session, local):
        with pytest.raises(sm_async_nb.errors.StorageAccessError) as caught:
            self.frame.sm_async.submit("local-endpoint", session=session, input_prefix="s3://no-such-bucket/in")
        local.reset_calls()  # the one PUT that was tried is what found it out

        assert str(caught.value) == (
            "There is no bucket 'no-such-bucket'. Check the name, the account and the region."
            " Pass input_prefix='s3://bucket/prefix', or set SM_ASYNC_INPUT_PREFIX. Nothing was sent."
        )

    def test_an_input_prefix_that_is_not_in_s3(self, session):
        message = self.refused(sm_async_nb.RequestError, session=session, input_prefix="bucket/in")

        assert message == (
            "The input prefix is wrong. An S3 URI looks like s3://bucket/key, got 'bucket/in'. Did you mean"
            " 's3://bucket/in'? Nothing was sent."
        )

    @pytest.mark.parametrize(
        ("options", "expected"),
        [
            ({"request_ttl_seconds": 10}, "RequestTTLSeconds must be 60 to 21600 seconds, got 10. Nothing was sent."),
            (
                {"invocation_timeout_seconds": 4000},
                "InvocationTimeoutSeconds must be 1 to 3600 seconds, got 4000. Nothing was sent.",
            ),
            (
                {"request_ttl_seconds": "1h"},
                (
                    "RequestTTLSeconds must be a whole number, got '1h'. The frame has no column of that name either."
                    " Nothing was sent."
                ),
            ),
            (
                {"content_type": "application/xml"},
                (
                    "Rows cannot be written as content_type 'application/xml'; the types known are application/json,"
                    " application/jsonlines, text/csv, text/libsvm, text/x-libsvm, application/x-npy,"
                    " application/x-parquet, application/octet-stream, text/*, image/*, audio/*, video/*."
                    " Nothing was sent."
                ),
            ),
            (
                {"name": "with/slash"},
                (
                    "A job's name is 1 to 100 letters, digits, '-', '_' or '.', beginning with a letter or a digit;"
                    " got 'with/slash'. Nothing was sent."
                ),
            ),
            ({"concurrency": 0}, "concurrency must be a whole number of at least 1, got 0. Nothing was sent."),
            ({"columns": []}, "There is no column, so there is nothing to make a payload of. Nothing was sent."),
        ],
    )
    def test_an_argument_out_of_range(self, session, options, expected):
        assert expected == self.refused(sm_async_nb.RequestError, session=session, **options)

    def test_custom_attributes_are_never_shown(self, session):
        message = self.refused(sm_async_nb.RequestError, session=session, custom_attributes="secret" * 300)

        assert "CustomAttributes must be at most 1024 characters long, got 1800. Nothing was sent." == message

    def test_rows_that_no_payload_can_be_made_of(self, session):
        frame = pd.DataFrame({"x": [1, object(), {3}]}, index=["a", "b", "c"])
        with pytest.raises(sm_async_nb.RequestError) as caught:
            frame.sm_async.submit("local-endpoint", session=session)

        assert str(caught.value) == (
            "2 of 3 rows cannot be sent:\n"
            "  row 'b': column 'x': a value of type object cannot be written as JSON.\n"
            "  row 'c': column 'x': a value of type set cannot be written as JSON.\n"
            "Nothing was sent."
        )

    def test_a_session_that_is_none(self):
        message = self.refused(sm_async_nb.RequestError, session="default")

        assert "session= takes a boto3.Session, got str. Nothing was sent." == message

    def test_a_profile_that_is_not_there(self, monkeypatch):
        monkeypatch.setenv("AWS_PROFILE", "nobody")
        message = self.refused(sm_async_nb.RequestError)

        assert message == (
            "No AWS session can be made: The config profile (nobody) could not be found. Nothing was sent."
        )

    def test_an_argument_of_a_plan_that_is_not_there(self):
        with pytest.raises(TypeError) as caught:
            self.frame.sm_async.plan("local-endpoint", colums=["age"])

        assert "plan() got an unexpected keyword argument 'colums'. Did you mean 'columns'?" == str(caught.value)

    def test_no_region(self):
        message = self.refused(sm_async_nb.RequestError)

        assert message == (
            "No AWS region is configured. Set AWS_DEFAULT_REGION, or pass session=boto3.Session(region_name=...)."
            " Nothing was sent."
        )

    def test_no_credentials(self):
        message = self.refused(sm_async_nb.RequestError, session=boto3.Session(region_name="eu-west-1"))

        assert message.startswith("No AWS credentials were found: Unable to locate credentials")
        assert message.endswith("Nothing was sent.")
