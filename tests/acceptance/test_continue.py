"""The same name again is the same job: what was answered is not sent again."""

import numpy as np
import pandas as pd
import pytest
from reliability.kernels import Kernel
from reliability.scene import Wire, doubled, numbers, until

import sm_async_nb
from sm_async_nb import Status
from sm_async_nb.errors import JobChangedError
from sm_async_nb.job import tracker
from sm_async_nb.local import LocalEndpoint
from sm_async_nb.local.wire import installed_fields

needs_filename = pytest.mark.skipif(
    "filename" not in installed_fields(), reason="the installed SDK does not know Filename"
)

BUCKET = "continued"
PREFIX = f"s3://{BUCKET}/jobs"


@pytest.fixture(scope="module")
def local(model):
    with LocalEndpoint(
        model, endpoint_name="continued", bucket=BUCKET, max_concurrent_invocations_per_instance=16
    ) as running:
        running.create_endpoint("another")
        yield running


@pytest.fixture
def session(job_session):
    return job_session


@pytest.fixture
def submit(session, request):
    """Submit under a name that is the test's own, once and again."""
    name = request.node.name.replace("[", "-").replace("]", "").replace(" ", "-")[-90:].lstrip("-_.")

    def submit(frame, **options):
        return frame.sm_async.submit(
            **{"endpoint_name": "continued", "session": session, "input_prefix": PREFIX, "name": name, **options}
        )

    return submit


@pytest.fixture
def wire(session):
    return Wire.of(session)


def sent(wire):
    """How many inputs were uploaded and how many requests sent since the last time this was asked."""
    counts = wire.count("PutObject", "/inputs/"), wire.count("InvokeEndpointAsync")
    wire.calls.clear()
    return counts


class TestRows:
    """Rows are told apart by what they send, not by where they stand."""

    def test_a_job_that_is_finished_sends_nothing(self, submit, wire):
        """No input, no request; the results are those of before."""
        first = submit(numbers(5)).wait()
        assert (5, 5) == sent(wire)
        again = submit(numbers(5)).wait()

        assert (0, 0) == sent(wire)
        pd.testing.assert_frame_equal(first.table(), again.table())
        pd.testing.assert_frame_equal(doubled(numbers(5)), again.results())

    def test_new_and_changed_rows_are_sent_and_dropped_ones_are_not_shown(self, submit, wire):
        """In whatever order the rows come now."""
        frame = numbers(6)
        submit(frame).wait()
        sent(wire)
        edited = pd.concat([frame.iloc[[4, 1, 0]], numbers(2, first=6)])
        edited.loc["row 1", "x"] = 100
        job = submit(edited).wait()

        assert (3, 3) == sent(wire)
        pd.testing.assert_frame_equal(doubled(edited), job.results())
        assert 5 == len(job) == job.snapshot.requests

    def test_a_row_that_was_dropped_and_comes_back_has_its_answer_still(self, submit, wire):
        """What was paid for once is kept."""
        submit(numbers(4)).wait()
        submit(numbers(2)).wait()
        sent(wire)
        job = submit(numbers(4)).wait()

        assert (0, 0) == sent(wire)
        pd.testing.assert_frame_equal(doubled(numbers(4)), job.results())

    def test_rows_that_were_only_put_in_another_order_or_renamed_are_not_sent(self, submit, wire):
        """Labels are not sent, so they may change."""
        frame = numbers(5)
        submit(frame).wait()
        sent(wire)
        turned = frame.iloc[::-1].set_axis([f"number {x}" for x in frame["x"]])
        job = submit(turned).wait()

        assert (0, 0) == sent(wire)
        pd.testing.assert_frame_equal(doubled(turned), job.results())

    def test_rows_that_are_the_same_are_counted(self, submit, wire):
        """Two that are equal are two requests; a third is one more, and deduplicate= makes them one."""
        frame = pd.DataFrame({"x": [1, 1, 2]})
        submit(frame).wait()
        assert (3, 3) == sent(wire)
        more = pd.DataFrame({"x": [1, 2, 1, 1, 2]})
        job = submit(more).wait()

        assert (2, 2) == sent(wire)
        pd.testing.assert_frame_equal(doubled(more), job.results())

    def test_a_job_without_duplicates_sends_a_row_that_repeats_only_once(self, submit, wire):
        """With ``deduplicate=True``, now and later."""
        submit(pd.DataFrame({"x": [1, 1, 2]}), deduplicate=True).wait()
        assert (2, 2) == sent(wire)
        more = pd.DataFrame({"x": [3, 1, 2, 3, 1]})
        job = submit(more, deduplicate=True).wait()

        assert (1, 1) == sent(wire)
        pd.testing.assert_frame_equal(doubled(more), job.results())

    def test_rows_that_share_a_request_keep_what_is_answered(self, session, submit, wire):
        """A request that is answered answers those of its rows that are left; new rows make requests of their own."""
        submit(numbers(7), rows_per_request=3).wait()
        assert (3, 3) == sent(wire)
        edited = pd.concat([numbers(9).iloc[8:], numbers(6).iloc[1:]])
        job = submit(edited, rows_per_request=3).wait()

        assert (1, 1) == sent(wire)
        pd.testing.assert_frame_equal(doubled(edited), job.results())
        attached = sm_async_nb.attach(job.uri, session=session)
        pd.testing.assert_frame_equal(doubled(edited), attached.results())
        pd.testing.assert_frame_equal(job.table(), attached.table())


class TestWhatWentWrong:
    """What failed stays so, unless it is asked for again."""

    def test_failed_rows_are_sent_again_only_if_that_is_said(self, submit, wire, model):
        """``retry_failed=True``; their inputs are there already."""
        model.failing = {1: 500, 3: 400}
        submit(numbers(4)).wait()
        sent(wire)
        unchanged = submit(numbers(4)).wait()
        assert ["row 1", "row 3"] == unchanged.failures().index.tolist()
        assert (0, 0) == sent(wire)
        model.failing = {}
        job = submit(numbers(4), retry_failed=True).wait()

        assert (0, 2) == sent(wire)
        assert [1, 2, 1, 2] == job.table()["attempt"].tolist()
        pd.testing.assert_frame_equal(doubled(numbers(4)), job.results())

    def test_cancelled_rows_are_sent(self, submit, wire, model):
        """Whoever submits again wants them."""
        model.door.clear()
        job = submit(numbers(5), max_in_flight=2)
        until(lambda: job.snapshot[Status.ACCEPTED] == 2)
        job.cancel()
        model.door.set()
        job.wait()
        sent(wire)
        job = submit(numbers(5)).wait()

        assert 3 == sent(wire)[1]
        pd.testing.assert_frame_equal(doubled(numbers(5)), job.results())


class TestAskedOtherwise:
    """Answers to another question would not fit."""

    @pytest.mark.parametrize(
        ("first", "changes"),
        [
            (
                {"columns": ["x"]},
                {
                    "  endpoint_name: 'continued' -> 'another'": {"endpoint_name": "another"},
                    "  content_type: 'application/json' -> 'text/csv'": {"content_type": "text/csv"},
                    "  columns: ['x'] -> ['x', 'z']\n  accept: not given -> 'text/csv'": {
                        "columns": ["x", "z"],
                        "accept": "text/csv",
                    },
                },
            ),
            (
                {"template": '{"x": {{ x }}}'},
                {
                    '  template:\n  @@ -1 +1 @@\n  -{"x": {{ x }}}\n  +{"x": {{ x + 1 }}}': {
                        "template": '{"x": {{ x + 1 }}}'
                    }
                },
            ),
        ],
        ids=["columns", "template"],
    )
    def test_it_is_refused_with_what_differs(self, submit, wire, first, changes):
        """Word for word; nothing is sent, and the job of before is as it was."""
        frame = numbers(2).assign(z="z")
        job = submit(frame, **first).wait()
        sent(wire)
        for told, then in changes.items():
            with pytest.raises(JobChangedError) as caught:
                submit(frame, **first | then)

            assert str(caught.value) == (
                f"Job {job.id!r} was asked for otherwise before, so its answers would not fit:\n{told}\n"
                "Choose another name, or pass restart=True to send every row again. Nothing was sent."
            )
        pd.testing.assert_frame_equal(doubled(frame), submit(frame, **first).wait().results())
        assert (0, 0) == sent(wire)

    def test_a_refusal_leaves_the_job_of_before_able_to_act(self, submit, model):
        """Nothing was changed, so nobody was in between."""
        model.failing = {1: 500}
        job = submit(numbers(2)).wait()
        with pytest.raises(JobChangedError):
            submit(numbers(2), content_type="text/csv")
        model.failing = {}

        assert 1 == job.retry()
        pd.testing.assert_frame_equal(doubled(numbers(2)), job.wait().results())

    def test_restart_sends_every_row_again(self, submit, wire):
        """To the other endpoint; then that is what the job asks for."""
        submit(numbers(3)).wait()
        sent(wire)
        job = submit(numbers(3), endpoint_name="another", restart=True).wait()

        assert (3, 3) == sent(wire)
        assert "another" == job.endpoint_name
        pd.testing.assert_frame_equal(doubled(numbers(3)), job.results())
        submit(numbers(3), endpoint_name="another").wait()
        assert (0, 0) == sent(wire)


class TestNamesOfOnesOwn:
    """An output that lies where another's is looked for would be taken for it."""

    @needs_filename
    def test_a_retry_does_not_take_the_old_failure_for_its_answer(self, submit, model, monkeypatch):
        """The caller's filename is for the first attempt."""
        monkeypatch.setattr(tracker, "_PATIENCE", 0.2)  # failures under names of one's own are looked for later
        model.failing = {1: 500}
        job = submit(numbers(2), filename="row-{{ x }}.out").wait()
        model.failing = {}

        assert ["completed", "failed"] == job.table()["status"].tolist()
        assert 1 == job.retry()
        pd.testing.assert_frame_equal(doubled(numbers(2)), job.wait().results())
        names = [location.rpartition("/")[2] for location in job.table()["output_location"]]
        assert "row-0.out" == names[0]
        assert "row-1.out" != names[1]

    @needs_filename
    @pytest.mark.parametrize("options", [{}, {"restart": True}], ids=["changed", "restart"])
    def test_rows_that_have_changed_are_refused(self, submit, wire, options):
        """New ones are not, which have filenames of their own."""
        named = {"columns": ["x"], "filename": "{{ row_id }}.out"}
        frame = numbers(2).assign(row_id=["a", "b"])
        submit(frame, **named).wait()
        more = pd.concat([frame, pd.DataFrame({"x": [7], "row_id": ["c"]}, index=["row 7"])])
        submit(more, **named).wait()
        sent(wire)
        with pytest.raises(JobChangedError, match="new answers may get the names of theirs"):
            submit(more.assign(x=[0, 5, 7]), **named, **options)

        assert (0, 0) == sent(wire)

    def test_a_job_of_no_rows_does_not_keep_the_name(self, submit):
        """The lease was held for a minute once, by a job that never ran."""
        nothing = submit(numbers(0))

        assert (0, True) == (len(nothing), nothing.snapshot.is_over)
        pd.testing.assert_frame_equal(doubled(numbers(2)), submit(numbers(2)).wait().results())


class TestWhileItRuns:
    """A cell that is run again."""

    def test_the_same_cell_gives_the_same_job(self, submit, wire, model):
        """Nothing is begun a second time."""
        model.door.clear()
        job = submit(numbers(3))

        assert job is submit(numbers(3))
        model.door.set()
        job.wait()
        assert (3, 3) == sent(wire)

    def test_a_cell_with_another_frame_goes_on_with_that(self, submit, wire, model):
        """What is under way is not sent again, and the job of before is followed by the new one alone."""
        model.door.clear()
        before = submit(numbers(3))
        until(lambda: before.snapshot[Status.ACCEPTED] == 3)
        job = submit(numbers(5).iloc[1:])
        model.door.set()

        assert job is not before
        pd.testing.assert_frame_equal(doubled(numbers(5).iloc[1:]), job.wait().results())
        assert (5, 5) == sent(wire)
        assert 0 == model.asked_twice
        with pytest.raises(sm_async_nb.RequestError, match="is not followed here any more; attach to"):
            before.wait()

    def test_a_cell_that_is_refused_leaves_the_job_running(self, submit, model):
        """It was left before it was looked at once, and nothing more was sent."""
        model.door.clear()
        job = submit(numbers(3), max_in_flight=1)
        with pytest.raises(JobChangedError):
            submit(numbers(3), max_in_flight=1, content_type="text/csv")
        model.door.set()

        pd.testing.assert_frame_equal(doubled(numbers(3)), job.wait().results())

    def test_a_new_process_goes_on_as_well(self, submit, wire, model, local):
        """After the kernel was killed, with new rows, in the order they have now."""
        frame = numbers(6)
        model.door.clear()
        with Kernel(local.environment) as doomed:
            doomed.run(
                "job = frame.sm_async.submit('continued', input_prefix=prefix, name='moved'); import time\n"
                "while job.snapshot.counts[2] < 6: time.sleep(0.01)",
                frame=frame,
                prefix=PREFIX,
            )
            doomed.kill()
        model.door.set()
        edited = pd.concat([numbers(8).iloc[6:], frame.iloc[::-1]])
        job = submit(edited, name="moved").wait()

        assert (2, 2) == sent(wire)
        pd.testing.assert_frame_equal(doubled(edited), job.results())
        assert np.array_equal([1], np.unique(job.table()["attempt"]))
        assert 0 == model.asked_twice
