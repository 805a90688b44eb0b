"""The engine with its neighbours: whole jobs, their troubles and their ends, on a clock of our own."""

from __future__ import annotations

import asyncio
import json
from collections import Counter

import numpy as np
import pytest
from integration.scene import (
    GRACE,
    LAYOUT,
    OLD_SDK,
    Hasty,
    Scene,
    SlowRuntime,
    SlowStorage,
    agree,
    assert_idle,
    assert_same,
    complete,
    double,
    row_of,
)

from sm_async_nb.aws.runtime import Accepted
from sm_async_nb.core.ledger import Fact, Learned, Status
from sm_async_nb.core.locations import S3Location, parse_s3_uri
from sm_async_nb.core.plan import Limits
from sm_async_nb.errors import (
    EndpointNotFoundError,
    IllegalFactError,
    InvocationRefusedError,
    JobInUseError,
    ServiceTroubleError,
    StorageAccessError,
)
from sm_async_nb.job import looking
from sm_async_nb.job.desk import Desk
from sm_async_nb.job.journal import encode_segment
from sm_async_nb.local.endpoint import EndpointConfig
from sm_async_nb.local.handler import ModelError
from sm_async_nb.local.naming import NamingRule

THROTTLED = ServiceTroubleError("InvokeEndpointAsync answered 429 ThrottlingException", throttled=True)
NO_S3 = ServiceTroubleError("S3 did not answer: 503 SlowDown", throttled=True)
ALLOWANCE = 21_600 + 900 + GRACE


def until(scene, seconds, error, about=lambda *_: True):
    """An intercept that raises ``error`` for the first ``seconds`` of the job."""

    def intercept(*call):
        if scene.clock.elapsed < seconds and about(*call):
            raise error

    return intercept


def is_journal(verb, location):
    return verb == "put" and location.key.startswith(LAYOUT.journal_prefix.key)


def is_input(verb, location):
    return verb == "put" and "/inputs/" in location.key


async def never(body, content_type, accept):
    await asyncio.sleep(float("inf"))


# When all goes well


@pytest.mark.parametrize("rows", [1, 2, 63, 64, 65, 300, 1_001])
def test_every_row_completes_with_its_own_output(rows):
    """Whatever is on the way at the same time, no answer goes to another's row."""
    scene = Scene(rows)
    scene.run()

    complete(scene)


def test_an_empty_batch_is_over_at_once():
    """Without a call to anybody, and without time passing."""
    scene = Scene(0)
    scene.run()
    agree(scene)

    assert ({}, 0, 0.0) == (dict(scene.storage.calls), scene.endpoint.calls, scene.clock.elapsed)


def test_a_request_costs_one_put_and_one_invocation():
    """LISTs and journal segments grow with the job's time and size, not with its rows; there is no HEAD at all."""
    scene = Scene(500)
    scene.run()
    segments = len(scene.segments())
    complete(scene)

    assert scene.storage.calls["put"] - segments == scene.endpoint.calls == 500
    assert segments <= 16
    assert scene.storage.calls["list"] <= 20
    assert set(scene.storage.calls) == {"put", "list"}


def test_inputs_have_the_content_type_of_the_job():
    """What the service hands to the model when the request says nothing."""
    scene = Scene(1)
    scene.run()
    body, content_type, _ = scene.storage.objects[LAYOUT.input_location(0, ".json")]

    assert (b'{"x":0}', "application/json") == (body, content_type)


def test_what_is_sent_are_the_fields_of_the_batch_and_the_input():
    """By the service's own names."""
    scene, sent = Scene(2, fields={"request_ttl_seconds": 600}), []
    scene.endpoint.intercept = lambda fields: sent.append(dict(fields))
    scene.run()
    expected = [
        {**scene.batch.prepare(row, 0, LAYOUT).fields, "input_location": str(LAYOUT.input_location(row, ".json"))}
        for row in range(2)
    ]

    assert expected == sorted(sent, key=row_of)


def test_a_request_is_invoked_as_soon_as_its_own_input_is_up():
    """There is no barrier between uploading and invoking: one slow upload holds up one request."""
    scene = Scene(5)
    scene.storage = SlowStorage(scene.clock.now, lambda verb, location: 60 * (location == slow))
    slow = LAYOUT.input_location(0, ".json")
    scene.endpoint = type(scene.endpoint)(double, scene.storage, scene.clock)
    scene.runtime = scene.endpoint
    scene.run()
    complete(scene)
    after = scene.ledger.accepted_at - scene.ledger.accepted_at.min()

    assert [60, 0, 0, 0, 0] == np.round(after).tolist()


def test_a_job_takes_as_long_as_its_model_and_a_look():
    """Thirty seconds of a model that is given eight requests, four at a time, and not much more."""

    async def slow(body, content_type, accept):
        await asyncio.sleep(15)
        return double(body, content_type, accept)

    scene = Scene(8, slow)
    scene.run()
    complete(scene)

    assert 30 <= scene.clock.elapsed <= 45


def test_the_end_of_a_request_is_when_its_object_was_written():
    """S3's own date, not the moment at which it was seen."""

    async def slow(body, content_type, accept):
        await asyncio.sleep(7)
        return double(body, content_type, accept)

    scene = Scene(1, slow)
    scene.run()

    assert pytest.approx(7, abs=0.01) == scene.ledger.finished_at[0] - scene.ledger.accepted_at[0]


def test_snapshots_tell_the_story_from_planned_to_over():
    """The first shows a job that has not begun, the last one that is over; counts always add up."""
    scene = Scene(20)
    scene.run()
    first, last = scene.snapshots[0], scene.snapshots[-1]

    assert (20, 0, False) == (first[Status.PLANNED], first.revision, first.is_over)
    assert (20, True, None) == (last[Status.COMPLETED], last.is_over, last.trouble)
    assert {20} == {seen.requests for seen in scene.snapshots}


# When a request goes wrong


def test_a_model_error_is_a_failure_and_its_object_is_left_as_it_is():
    """The other rows complete."""

    def picky(body, content_type, accept):
        if json.loads(body)["x"] % 3 == 1:
            raise ModelError("no", body=b"missing column plan")
        return double(body, content_type, accept)

    scene = Scene(9, picky)
    scene.run()
    agree(scene)
    failed = [1, 4, 7]

    assert failed == scene.ledger.where(Status.FAILED).tolist()
    assert scene.ledger.counts[Status.COMPLETED] == 6
    assert {b"missing column plan"} == {scene.failure(row) for row in failed}
    assert_idle(scene)


@pytest.mark.parametrize("extension_on_failures", [False, True])
@pytest.mark.parametrize("filename_on_failures", [False, True])
@pytest.mark.parametrize("sdk", [OLD_SDK, None], ids=["old", "new"])
def test_failures_are_found_wherever_the_service_puts_them(extension_on_failures, filename_on_failures, sdk):
    """How the service names failures is not documented, so no rule is relied on."""

    def picky(body, content_type, accept):
        if json.loads(body)["x"] == 2:
            raise ModelError("no")
        return double(body, content_type, accept)

    naming = NamingRule(extension_on_failures=extension_on_failures, filename_on_failures=filename_on_failures)
    scene = Scene(5, picky, naming=naming, **({"sdk": sdk} if sdk else {}))
    scene.run()
    agree(scene)

    assert [2] == scene.ledger.where(Status.FAILED).tolist()
    assert scene.ledger.counts[Status.COMPLETED] == 4
    assert scene.clock.elapsed < 60


def test_a_failure_that_cannot_be_listed_is_looked_for_only_after_a_while():
    """A HEAD for each request and look would be what LIST is there to avoid."""

    def picky(body, content_type, accept):
        if json.loads(body)["x"] == 2:
            raise ModelError("no")
        return double(body, content_type, accept)

    scene = Scene(100, picky, naming=NamingRule(filename_on_failures=False))
    scene.run()
    agree(scene)

    assert 30 <= scene.clock.elapsed < 60
    assert scene.storage.calls["head"] == 1


def test_an_endpoint_without_a_failure_path_leaves_failures_to_expire():
    """There is nowhere to look."""

    def picky(body, content_type, accept):
        if json.loads(body)["x"] == 1:
            raise ModelError("no")
        return double(body, content_type, accept)

    config = EndpointConfig(endpoint_name="memory", s3_output_path="s3://bucket/out")
    scene = Scene(3, picky, config=config)
    scene.run()
    agree(scene)

    assert [Status.COMPLETED, Status.EXPIRED, Status.COMPLETED] == scene.statuses()


def test_a_refused_request_is_rejected_with_the_words_of_the_service_and_the_others_go_on():
    """A 4xx about one request says nothing about the next."""
    scene = Scene(6)

    def intercept(fields):
        if row_of(fields) == 3:
            raise InvocationRefusedError(
                "InvokeEndpointAsync answered 400", code="ValidationError", status=400, request_id="r-77"
            )

    scene.endpoint.intercept = intercept
    scene.run()
    agree(scene)

    assert [3] == scene.ledger.where(Status.REJECTED).tolist()
    assert scene.ledger.messages == {3: "InvokeEndpointAsync answered 400"}
    assert scene.ledger.texts["request_id"][3] == "r-77"
    assert scene.ledger.counts[Status.COMPLETED] == 5
    assert scene.endpoint.calls == 6
    assert_idle(scene)


def test_a_job_of_which_every_request_is_refused_is_over_soon():
    """Nothing is in flight, so nothing is waited for."""
    scene = Scene(100)

    def intercept(fields):
        raise InvocationRefusedError("no", code="ValidationError", status=400)

    scene.endpoint.intercept = intercept
    scene.run()
    agree(scene)

    assert scene.ledger.counts[Status.REJECTED] == 100
    assert scene.storage.calls["list"] == 0
    assert scene.clock.elapsed < 2


# Silence


def test_six_hours_of_silence_end_in_expiry_at_the_deadline():
    """TTL, timeout and grace after acceptance; the service itself tells nobody."""
    scene = Scene(2, never)
    scene.run()
    agree(scene)

    assert [Status.EXPIRED] * 2 == scene.statuses()
    assert pytest.approx([ALLOWANCE] * 2, abs=0.01) == scene.ledger.finished_at - scene.ledger.accepted_at
    assert scene.storage.calls["list"] <= 2 * (ALLOWANCE / 15 + 20)
    assert_idle(scene)


def test_limits_of_the_request_decide_how_long_silence_is_waited_for():
    """A job that asked for a minute in the queue and a second in the model is not waited for six hours."""
    scene = Scene(1, never, fields={"request_ttl_seconds": 60, "invocation_timeout_seconds": 1})
    scene.run()
    agree(scene)

    assert [Status.EXPIRED] == scene.statuses()
    assert pytest.approx(60 + 1 + GRACE, abs=0.01) == scene.ledger.finished_at[0] - scene.ledger.accepted_at[0]


def test_an_input_that_is_gone_before_the_service_reads_it_ends_in_expiry():
    """The 202 came before the input was read, so only silence tells."""
    scene = Scene(3)

    def lose_the_input(fields):
        if row_of(fields) == 1:
            del scene.storage.objects[parse_s3_uri(fields["input_location"])]

    scene.endpoint.intercept = lose_the_input
    scene.run()
    agree(scene)

    assert [Status.COMPLETED, Status.EXPIRED, Status.COMPLETED] == scene.statuses()


def test_late_output_turns_expired_into_completed_while_the_job_runs():
    """A presumption gives way to the output itself."""
    scene = Scene(2, never, limits=Limits(max_in_flight=1))

    async def story():
        playing = asyncio.create_task(scene.play())
        await asyncio.sleep(ALLOWANCE + 100)
        presumed = scene.statuses()[0]
        late = parse_s3_uri(scene.ledger.texts["output_location"][0])
        scene.storage.objects[late] = (b'{"y": 0}', "application/json", scene.clock.now())
        await playing
        return presumed

    presumed = scene.clock.run(story())
    agree(scene)

    assert Status.EXPIRED == presumed
    assert [Status.COMPLETED, Status.EXPIRED] == scene.statuses()
    assert pytest.approx(ALLOWANCE + 100, abs=1) == scene.ledger.finished_at[0] - scene.ledger.accepted_at[0]


async def through_the_night(scene):
    """The lid is closed while the model works, and opened in the morning; the outputs came in time."""
    playing = asyncio.create_task(scene.play())
    await asyncio.sleep(30)
    for row in range(len(scene.batch)):
        location = parse_s3_uri(scene.ledger.texts["output_location"][row])
        scene.storage.objects[location] = (json.dumps({"y": 2 * row}).encode(), None, scene.clock.now() + 60)
    scene.clock.advance(8 * 60 * 60)
    await playing


@pytest.mark.parametrize("rows", [3, 2_500])
def test_a_laptop_that_slept_past_the_deadline_still_finds_its_outputs(rows):
    """Only nobody looked. Silence is what a look after the deadline has not found."""
    scene = Scene(rows, never)
    scene.clock.run(through_the_night(scene))

    complete(scene)


def test_a_laptop_that_slept_past_the_deadline_finds_all_outputs_with_an_old_sdk_too():
    """A look is a look at some of the requests only, and says nothing about the silence of the others."""
    scene = Scene(200, never, sdk=OLD_SDK)
    scene.clock.run(through_the_night(scene))

    complete(scene)


def test_nothing_expires_while_nobody_can_look():
    """A list permission or a network that is gone for a night says nothing about the requests."""
    scene = Scene(3)
    scene.storage.intercept = until(scene, ALLOWANCE + 3_600, NO_S3, lambda verb, _: verb == "list")
    scene.run()
    complete(scene)


def test_whoever_finds_thousands_of_answers_at_once_takes_them_some_at_a_time(monkeypatch):
    """As after hours away: between them all else has its turn."""
    monkeypatch.setattr(looking, "_ANSWERS_AT_A_TIME", 100)
    taken, learn = [0], Desk.learn

    def counting(desk, fact, request, at, **details):
        if fact == Fact.OUTPUT_FOUND:
            if not taken[-1]:
                asyncio.get_running_loop().call_soon(taken.append, 0)
            taken[-1] += 1
        learn(desk, fact, request, at, **details)

    monkeypatch.setattr(Desk, "learn", counting)
    scene = Scene(250)
    scene.storage.intercept = until(scene, 3_600, NO_S3, lambda verb, _: verb == "list")
    scene.run()

    complete(scene)
    assert [100, 100, 50] == [answers for answers in taken if answers]


def test_silent_requests_do_not_hide_the_answers_of_others_from_an_old_sdk():
    """Without a path of its own a job asks for its oldest requests; those that hang must not use up every look."""

    async def hangs_at_first(body, content_type, accept):
        if json.loads(body)["x"] < 40:
            await asyncio.sleep(float("inf"))
        return double(body, content_type, accept)

    config = EndpointConfig(
        endpoint_name="memory",
        s3_output_path="s3://bucket/out",
        s3_failure_path="s3://bucket/failures",
        max_concurrent_invocations_per_instance=100,
    )
    scene = Scene(60, hangs_at_first, sdk=OLD_SDK, config=config)
    scene.run()
    agree(scene)

    assert [Status.EXPIRED] * 40 + [Status.COMPLETED] * 20 == scene.statuses()


# Trouble


def test_throttling_loses_nothing_and_is_told_with_since_and_count():
    """Nothing is recorded about a request that was not let in; the snapshot says what is the matter."""
    scene = Scene(100)
    scene.endpoint.intercept = until(scene, 60, THROTTLED)
    began = scene.clock.now()
    scene.run()
    complete(scene)
    troubles = scene.troubles()
    meanwhile = [seen for seen in scene.snapshots if seen.trouble]

    assert {str(THROTTLED)} == {trouble.message for trouble in troubles}
    assert {began} == {trouble.since for trouble in troubles}
    assert list(range(1, len(troubles))) == sorted({trouble.calls for trouble in troubles})[: len(troubles) - 1]
    assert {100} == {seen[Status.PLANNED] + seen[Status.UPLOADED] for seen in meanwhile}
    assert scene.snapshots[-1].trouble is None
    assert 60 <= scene.clock.elapsed < 60 + 45 + 10


def test_throttled_requests_are_uploaded_once():
    """Their input is in S3 already."""
    scene = Scene(100)
    scene.endpoint.intercept = until(scene, 60, THROTTLED)
    scene.run()

    assert scene.storage.calls["put"] - len(scene.segments()) == 100


def test_a_service_in_trouble_is_asked_less_and_less():
    """Ten minutes of trouble cost a handful of attempts for each of the few requests that are tried."""
    scene = Scene(100, limits=Limits(concurrency=4))
    scene.endpoint.intercept = until(scene, 600, THROTTLED)
    scene.run()
    complete(scene)

    assert scene.endpoint.calls - 100 <= 4 * 40


def test_trouble_with_sending_lasts_although_looking_works():
    """S3 answers while SageMaker throttles: the pauses must grow, and the trouble is as old as it is."""

    async def slow(body, content_type, accept):
        await asyncio.sleep(700)
        return double(body, content_type, accept)

    def intercept(fields):
        if row_of(fields) > 0 and scene.clock.elapsed < 600:
            raise THROTTLED

    scene = Scene(20, slow, limits=Limits(concurrency=4))
    scene.endpoint.intercept = intercept
    began = scene.clock.now()
    scene.run()
    complete(scene)

    assert scene.endpoint.calls - 20 <= 4 * 40
    assert {began} == {trouble.since for trouble in scene.troubles()}


@pytest.mark.parametrize(
    "about",
    [is_input, is_journal, lambda verb, _: verb == "list", lambda *_: True],
    ids=["inputs", "journal", "list", "all"],
)
def test_s3_trouble_loses_nothing(about):
    """Whichever verb fails for a minute, the job goes on afterwards."""
    scene = Scene(30)
    scene.storage.intercept = until(scene, 60, NO_S3, about)
    scene.run()
    complete(scene)

    assert {str(NO_S3)} == {trouble.message for trouble in scene.troubles()}
    assert scene.clock.elapsed < 60 + 45 + 10


def test_inputs_that_cannot_be_uploaded_are_not_invoked():
    """The service would read an object that is not there."""
    scene = Scene(10)
    scene.storage.intercept = until(scene, 60, NO_S3, is_input)
    invoked_at = []
    scene.endpoint.intercept = lambda fields: invoked_at.append(scene.clock.elapsed)
    scene.run()

    assert len(invoked_at) == 10
    assert min(invoked_at) >= 60


def test_nothing_is_believed_before_it_is_written():
    """While the journal cannot be written the ledger stays where it was, and is right afterwards."""
    scene = Scene(30)
    scene.storage.intercept = until(scene, 60, NO_S3, is_journal)
    scene.run()
    complete(scene)
    meanwhile = [seen for seen in scene.snapshots if seen.at < scene.snapshots[0].at + 60]

    assert len(meanwhile) > 1
    assert {0} == {seen.revision for seen in meanwhile}
    assert {30} == {seen[Status.PLANNED] for seen in meanwhile}


@pytest.mark.parametrize("about", [is_input, lambda verb, _: verb == "list"], ids=["inputs", "list"])
def test_trouble_that_is_over_is_not_shown_any_more(about):
    """The next snapshot after a success is a clean one."""
    scene = Scene(30)
    scene.storage.intercept = until(scene, 60, NO_S3, about)
    scene.run()

    assert scene.snapshots[-1].trouble is None


def test_trouble_with_the_journal_that_is_over_is_not_shown_any_more():
    """Not even when nothing else is left to do that could show it to be over."""
    scene = Scene(1)

    def refuse(fields):
        raise InvocationRefusedError("no", code="ValidationError", status=400)

    scene.endpoint.intercept = refuse
    scene.storage.intercept = until(scene, 10, NO_S3, is_journal)
    scene.run()
    agree(scene)

    assert [Status.REJECTED] == scene.statuses()
    assert scene.snapshots[-1].trouble is None


def test_a_throttled_request_that_is_sent_again_before_its_upload_is_recorded():
    """One upload was noted and not yet written down when the request was let go; the job must not break on it."""
    scene = Scene(3)
    scene.runtime = SlowRuntime(scene.endpoint, lambda fields: 0.45 if row_of(fields) == 0 else 0)
    scene.jitter = Hasty()
    refusals = Counter()

    def intercept(fields):
        refusals[row_of(fields)] += 1
        if row_of(fields) == 1 and refusals[1] == 1:
            raise THROTTLED

    scene.endpoint.intercept = intercept
    scene.run()
    complete(scene)


def test_throttling_while_the_journal_cannot_be_written():
    """Two troubles at once are still only trouble."""
    scene = Scene(10)
    scene.storage.intercept = until(scene, 60, NO_S3, is_journal)
    scene.endpoint.intercept = until(scene, 30, THROTTLED)
    scene.run()
    complete(scene)


def test_an_answer_of_the_endpoint_that_is_lost_leads_to_one_output():
    """At least once: the request is sent again, under the same name, and lands on the same object."""
    scene, lost = Scene(5), set()

    class LosesAnswers:
        async def invoke(self, fields):
            accepted = await scene.endpoint.invoke(fields)
            if row_of(fields) % 2 and row_of(fields) not in lost:
                lost.add(row_of(fields))
                raise ServiceTroubleError("InvokeEndpointAsync got no answer: read timeout")
            return accepted

    scene.runtime = LosesAnswers()
    scene.run()
    complete(scene)
    outputs = [location for location in scene.storage.objects if location.key.startswith("out/")]

    assert (7, 5) == (scene.endpoint.calls, len(outputs))


# Limits


@pytest.mark.parametrize("concurrency", [1, 3, 64])
def test_no_more_requests_are_being_sent_than_the_concurrency(concurrency):
    """Uploads and invocations together, and as many as that when there is enough to do."""
    scene = Scene(100, limits=Limits(concurrency=concurrency))
    storage = scene.storage = SlowStorage(scene.clock.now, lambda verb, _: 0.05 if verb == "put" else 0)
    scene.endpoint = type(scene.endpoint)(double, storage, scene.clock)
    scene.runtime = SlowRuntime(scene.endpoint, 0.05)
    busy = []
    scene.endpoint.intercept = lambda _: busy.append(scene.engine._desk.underway.sending)
    scene.run()
    complete(scene)

    assert scene.runtime.gauge.most <= concurrency
    assert storage.gauge.most <= concurrency + 1 + 16  # the journal and the LISTs are no requests
    assert max(busy) == concurrency


@pytest.mark.parametrize("max_in_flight", [1, 5, 40])
def test_no_more_requests_wait_for_an_answer_than_max_in_flight(max_in_flight):
    """Counted where it matters: at the endpoint."""

    async def slow(body, content_type, accept):
        await asyncio.sleep(3)
        return double(body, content_type, accept)

    scene, waiting = Scene(100, slow, limits=Limits(max_in_flight=max_in_flight)), []
    endpoint = scene.endpoint.endpoint
    scene.endpoint.intercept = lambda _: waiting.append(endpoint.backlog + endpoint.running + 1)
    scene.run()
    complete(scene)

    assert max(waiting) == max_in_flight


@pytest.mark.parametrize("max_unrecorded", [1, 10, 64])
def test_no_more_requests_are_unrecorded_than_the_limit(max_unrecorded):
    """After a crash only these may be sent again, so the bound holds while the journal is in trouble too."""
    scene = Scene(100, limits=Limits(max_unrecorded=max_unrecorded))
    scene.storage.intercept = until(scene, 60, NO_S3, is_journal)
    unrecorded = []
    scene.endpoint.intercept = lambda _: unrecorded.append(
        scene.endpoint.calls - scene.ledger.counts[Status.ACCEPTED] - scene.ledger.counts[Status.COMPLETED]
    )
    scene.run()
    complete(scene)

    assert max(unrecorded) == max_unrecorded


# The end of the engine


@pytest.mark.parametrize(
    ("place", "error"),
    [
        ("list", StorageAccessError("S3 refused s3:ListBucket")),
        ("input", StorageAccessError("S3 refused s3:PutObject")),
        ("journal", StorageAccessError("S3 refused s3:PutObject")),
        ("invoke", EndpointNotFoundError("Endpoint memory of account 1 not found.")),
    ],
)
@pytest.mark.parametrize("seconds", [0, 2])
def test_what_no_waiting_can_mend_stops_the_engine_and_keeps_the_journal(place, error, seconds):
    """Permissions taken away, an endpoint deleted: raised as it is, with what is known written down."""

    async def slow(body, content_type, accept):
        await asyncio.sleep(1)
        return double(body, content_type, accept)

    scene = Scene(30, slow, limits=Limits(max_in_flight=10))
    about = {"list": lambda verb, _: verb == "list", "input": is_input, "journal": is_journal}

    def intercept(*call):
        if scene.clock.elapsed >= seconds and (place == "invoke" or about[place](*call)):
            raise error

    if place == "invoke":
        scene.endpoint.intercept = intercept
    else:
        scene.storage.intercept = intercept

    with pytest.raises(type(error), match=str(error)):
        scene.run()

    agree(scene)
    assert not scene.ledger.is_finished


def test_an_engine_that_stops_leaves_no_call_behind():
    """Whoever closes the connections afterwards must be the last to use them."""
    scene = Scene(1_001)
    second = LAYOUT.s3_output_path_extension(1_000)

    def seconds(verb, location):
        return 60 if verb == "list" and second in location.key else 0

    scene.storage = SlowStorage(scene.clock.now, seconds)
    scene.endpoint = type(scene.endpoint)(never, scene.storage, scene.clock)
    scene.runtime = scene.endpoint

    def intercept(verb, location):
        if verb == "list" and second not in location.key and scene.ledger.counts[Status.ACCEPTED] == 1_001:
            raise StorageAccessError("S3 refused s3:ListBucket")

    scene.storage.intercept = intercept
    with pytest.raises(StorageAccessError):
        scene.run()

    assert scene.left_over == set()


def test_a_second_writer_stops_the_engine():
    """Two kernels cannot follow one job: the one that comes second to a segment gives way."""
    scene = Scene(30)
    theirs = encode_segment([Learned(fact=Fact.INPUT_UPLOADED, requests=np.array([0]), at=1.0)])
    scene.storage.objects[LAYOUT.journal_segment(0)] = (theirs, None, scene.clock.now())

    with pytest.raises(JobInUseError) as refusal:
        scene.run()

    expected = (
        f"Somebody else writes to job job-1: {LAYOUT.journal_segment(0)} is not ours."
        " This kernel stops following it; nothing that was recorded is lost."
    )
    assert expected == str(refusal.value)
    assert (theirs, 0) == (scene.storage.objects[LAYOUT.journal_segment(0)][0], scene.ledger.revision)
    assert scene.snapshots[-1].is_over


def test_our_own_segment_whose_answer_was_lost_is_no_second_writer():
    """It is found where it was to be written, byte for byte."""

    class LosesAnswers(type(Scene(0).storage)):
        async def put(self, location, body, content_type=None, *, create_only=False):
            first = location not in self.objects
            await super().put(location, body, content_type, create_only=create_only)
            if create_only and first:
                raise NO_S3

    scene = Scene(30)
    scene.storage = LosesAnswers(scene.clock.now)
    scene.endpoint = type(scene.endpoint)(double, scene.storage, scene.clock)
    scene.runtime = scene.endpoint
    scene.run()

    complete(scene)


# An SDK without Filename and S3OutputPathExtension


def test_an_old_sdk_works_with_a_few_dear_calls_at_a_time():
    """Outputs lie among other people's, so the oldest few requests are asked for one by one."""
    scene, heads = Scene(200, sdk=OLD_SDK), Counter()
    for number in range(5_000):
        scene.storage.objects[S3Location("bucket", f"out/other-{number}.out")] = (b"", None, 0.0)

    def intercept(verb, location):
        heads[scene.clock.elapsed] += verb == "head"

    scene.storage.intercept = intercept
    scene.run()
    complete(scene)

    assert max(heads.values()) <= 2 * 64
    assert scene.storage.calls["list"] == 0
    assert scene.storage.calls["head"] <= 2 * 200 + 64


def test_an_old_sdk_is_not_asked_for_what_it_does_not_know():
    """botocore would refuse the parameters."""
    scene, sent = Scene(2, sdk=OLD_SDK), []
    scene.endpoint.intercept = sent.append
    scene.run()

    assert {"endpoint_name", "content_type", "inference_id", "input_location"} == {name for one in sent for name in one}


def test_locations_are_taken_from_the_response():
    """A service that ignores what was asked for is followed to where it says."""
    scene = Scene(3)

    class Elsewhere:
        async def invoke(self, fields):
            row = row_of(fields)
            output = S3Location("bucket", f"elsewhere/{row}.out")
            scene.storage.objects[output] = (json.dumps({"y": 2 * row}).encode(), None, scene.clock.now())
            return Accepted(
                inference_id=f"theirs-{row}", output_location=str(output), failure_location="", request_id=""
            )

    scene.runtime = Elsewhere()
    scene.run()
    complete(scene)

    assert [f"theirs-{row}" for row in range(3)] == scene.ledger.texts["inference_id"].take(np.arange(3))


# Crashes


def small_job():
    return Scene(12, limits=Limits(concurrency=3, max_unrecorded=4))


def counting(scene, number, then):
    """Intercepts that do ``then`` at the ``number``-th call of the job, whatever it is."""
    seen = []

    def intercept(*_):
        seen.append(1)
        if len(seen) == number:
            then()

    scene.storage.intercept = scene.endpoint.intercept = intercept


def calls_of(job):
    """One, two, three ... and as many as the whole job makes."""
    job.run()
    return range(1, job.storage.calls.total() + job.endpoint.calls + 1)


def test_an_engine_that_is_cancelled_at_any_call_has_written_all_it_knows():
    """What was learned last gets a moment to reach the journal, and nothing is left running."""

    async def story(scene, number):
        playing = asyncio.create_task(scene.play())
        counting(scene, number, playing.cancel)
        with pytest.raises(asyncio.CancelledError):
            await playing

    for number in calls_of(small_job()):
        scene = small_job()
        scene.clock.run(story(scene, number))
        agree(scene)
        known = sum(scene.ledger.counts[Status.ACCEPTED :])

        assert scene.endpoint.calls - known <= 3
        assert scene.clock.elapsed < 5


def test_a_machine_that_dies_at_any_call_leaves_a_journal_that_folds():
    """What S3 held then is a true and nearly complete account: at most max_unrecorded requests are missing."""
    for number in calls_of(small_job()):
        scene, left = small_job(), {}

        def die(scene=scene, left=left):
            left.update(objects=dict(scene.storage.objects), sent=scene.endpoint.calls, counts=scene.ledger.counts)

        counting(scene, number, die)
        scene.run()
        folded = scene.folded(left["objects"])
        known = sum(folded.counts[Status.ACCEPTED :])

        assert left["sent"] - known <= 4
        assert known >= sum(left["counts"][Status.ACCEPTED :])


def test_an_engine_that_is_cancelled_writes_what_it_learned_last_and_waits_for_nobody():
    """Four acceptances were waiting for company; the fifth call, which takes an hour, is given up."""
    scene = Scene(5)
    scene.runtime = SlowRuntime(scene.endpoint, lambda fields: 3_600 if row_of(fields) == 0 else 0)

    async def story():
        playing = asyncio.create_task(scene.play())
        await asyncio.sleep(0.25)
        before = scene.ledger.counts
        playing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await playing
        return before

    before = scene.clock.run(story())
    agree(scene)

    assert (5, 4) == (before[Status.PLANNED], scene.ledger.counts[Status.ACCEPTED])
    assert scene.clock.elapsed < 0.5


def test_last_words_do_not_wait_long_for_an_s3_that_is_gone():
    """A second, and then the engine ends; what could not be written is not believed either."""
    scene = Scene(5)
    scene.storage.intercept = until(scene, 1e9, NO_S3, is_journal)

    async def story():
        playing = asyncio.create_task(scene.play())
        await asyncio.sleep(10)
        playing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await playing

    scene.clock.run(story())
    agree(scene)

    assert 10 <= scene.clock.elapsed <= 11.5
    assert scene.ledger.revision == 0


def test_the_same_job_runs_the_same_way_each_time():
    """No thread, no real clock and no unseeded chance takes part."""
    one, other = Scene(50), Scene(50)
    for scene in (one, other):
        scene.endpoint.intercept = until(scene, 20, THROTTLED)
        scene.run()

    assert_same(one.ledger, other.ledger)
    assert one.storage.calls == other.storage.calls
    assert one.storage.objects == other.storage.objects
    assert one.snapshots == other.snapshots


def test_a_fact_that_cannot_be_never_reaches_the_journal():
    """A defect stops the job; what lies in S3 can still be read."""
    scene = Scene(3)
    scene.endpoint.intercept = lambda fields: scene.engine._desk.learn(Fact.RETRIED, 0, scene.clock.now())

    with pytest.raises(IllegalFactError, match="RETRIED cannot be: request 0"):
        scene.run()
    assert scene.folded().counts == scene.ledger.counts == (3, 0, 0, 0, 0, 0, 0, 0)
