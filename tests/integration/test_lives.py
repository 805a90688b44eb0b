"""One engine over pauses, leases, stops and retries: what it does, and what it leaves behind."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from integration.lives import LAYOUT, World, answers, wait_for_the_lease
from integration.scene import NEW_SDK, assert_same, double

from sm_async_nb.core.asked import asked_of
from sm_async_nb.core.build import RequestArguments
from sm_async_nb.core.ledger import Status
from sm_async_nb.core.request import Field
from sm_async_nb.errors import (
    CredentialsError,
    EndpointNotFoundError,
    JobChangedError,
    JobInUseError,
    PayloadLostError,
    RequestError,
    ServiceTroubleError,
    StorageAccessError,
)
from sm_async_nb.job import recording
from sm_async_nb.job.checkpoint import reopen
from sm_async_nb.job.document import write_document
from sm_async_nb.job.lease import DURATION, GUARD, Lease
from sm_async_nb.job.opening import open_job
from sm_async_nb.job.papers import GRACE
from sm_async_nb.local.endpoint import EndpointConfig
from sm_async_nb.local.handler import ModelError
from sm_async_nb.testing import MemoryNotifications

ALLOWANCE = 21_600 + 900 + GRACE


def frame(rows):
    return pd.DataFrame({"x": range(rows)})


def statuses(client):
    return [str(Status(status)) for status in client.opened.ledger.status.tolist()]


async def slow(body, content_type, accept):
    await asyncio.sleep(2)
    return double(body, content_type, accept)


def play(world, batch, during=None, **settings):
    """A job from its beginning to its end, with something done meanwhile."""
    client = world.client()

    async def played():
        await client.begin(batch, **settings)
        meanwhile = asyncio.get_running_loop().create_task(during(client)) if during else None
        await client.follow()
        if meanwhile is not None:
            await meanwhile

    world.run(played())
    return client


def folded(world, rows):
    async def fold():
        return (await reopen(world.storage, LAYOUT, rows, allowance=ALLOWANCE)).ledger

    return world.clock.run(fold())


# The lease


def test_nothing_is_sent_while_the_lease_cannot_be_renewed():
    """S3 refuses heartbeats for ten minutes: whoever might have taken over sends, and we do not."""
    world = World(slow)
    began = world.clock.now()
    sent_at = []
    world.intercept = lambda _: sent_at.append(world.clock.now() - began)

    def no_heartbeats(verb, location):
        in_between = 1 < world.clock.now() - began < 600
        if verb == "put" and "/lease/" in location.key and in_between:
            raise ServiceTroubleError("no S3")

    world.storage.intercept = no_heartbeats
    client = play(world, world.batch(frame(400)), concurrency=4, max_in_flight=4)

    assert ["completed"] * 400 == statuses(client)
    assert not [at for at in sent_at if DURATION - GUARD < at < 600]
    assert [at for at in sent_at if at < DURATION - GUARD]
    assert max(sent_at) > 600


def test_a_kernel_that_slept_does_not_send_when_another_has_the_job():
    """A laptop is opened again after an hour: the other kernel has gone on, and this one says so."""
    world = World(slow)
    first, second = world.client(), world.client()

    async def played():
        await first.begin(world.batch(frame(40)), concurrency=2, max_in_flight=2)
        following = asyncio.get_running_loop().create_task(first.follow())
        await asyncio.sleep(3)
        first.death.has_come = True  # asleep
        await wait_for_the_lease()
        sent_before = len(world.sent)
        await second.attach()
        first.death.has_come = False
        with pytest.raises(Exception) as stopped:
            await following
        await second.follow()
        return sent_before, stopped.value

    world.run(played())

    assert ["completed"] * 40 == statuses(second)
    assert len(world.sent) - 40 <= 2


def test_a_lease_that_was_taken_over_ends_the_engine():
    """It says who has the job now, and sends nothing more."""
    world = World(slow)
    first = world.client()

    async def taken_over():
        await first.begin(world.batch(frame(400)), concurrency=2, max_in_flight=2)
        following = asyncio.get_running_loop().create_task(first.follow())
        await asyncio.sleep(1)
        other = Lease(world.storage, LAYOUT, now=world.clock.now)
        world.storage.intercept = _without_heartbeats
        await asyncio.sleep(DURATION + 5)
        world.storage.intercept = lambda *_: None
        await other.acquire()
        sent = len(world.sent)
        with pytest.raises(JobInUseError):
            await following
        return len(world.sent) - sent

    assert 0 == world.run(taken_over())


def _without_heartbeats(verb, location):
    if verb == "put" and "/lease/" in location.key:
        raise ServiceTroubleError("no S3")


def test_a_job_that_is_over_gives_its_lease_back():
    """The next kernel need not wait."""
    world = World()
    client = play(world, world.batch(frame(3)))
    second = world.client()

    async def acquired():
        await second.lease.acquire()

    world.run(acquired())

    assert (1, 2) == (client.lease.epoch, second.lease.epoch)


# Stopping


def test_cancelling_stops_sending_and_follows_what_was_sent():
    """What the service holds it will answer, and the rest is cancelled."""
    world = World(slow)
    told = []

    async def during(client):
        await asyncio.sleep(3)
        told.append((client.engine.stop("cancelled"), len(world.sent)))

    client = play(world, world.batch(frame(100)), during, concurrency=4, max_in_flight=8)
    (not_sent, sent) = told[0]

    assert sent + not_sent <= 100
    assert len(world.sent) <= sent + 4
    assert {"completed": len(world.sent), "cancelled": 100 - len(world.sent)} == _counted(client)
    assert "cancelled" == client.snapshots[-1].stopped
    assert_same(client.opened.ledger, folded(world, 100))


@pytest.mark.parametrize(("max_failures", "at_most"), [(3, 12), (0.25, 40)])
def test_a_job_that_goes_wrong_stops_itself(max_failures, at_most):
    """More failures than allowed, by number or by share, and nothing more is sent."""
    world = World(_refuses)
    client = play(world, world.batch(frame(400)), concurrency=2, max_in_flight=2, max_failures=max_failures)

    assert client.snapshots[-1].stopped.endswith(f"more than max_failures={max_failures}")
    assert len(world.sent) <= at_most
    assert {"failed": len(world.sent), "cancelled": 400 - len(world.sent)} == _counted(client)


def test_a_few_failures_are_no_reason_to_stop():
    """As many as are allowed."""
    world = World(_refuses_the_first_three)
    client = play(world, world.batch(frame(50)), max_failures=3)

    assert {"failed": 3, "completed": 47} == _counted(client)
    assert client.snapshots[-1].stopped is None


def _refuses(body, content_type, accept):
    raise ModelError("no", status=500)


def _refuses_the_first_three(body, content_type, accept):
    if json.loads(body)["x"] < 3:
        raise ModelError("no")
    return double(body, content_type, accept)


def _counted(client):
    return {str(status): count for status, count in zip(Status, client.opened.ledger.counts, strict=True) if count}


# Trying again


class Fails:
    """A model that fails so often on each row, with this status, before it answers."""

    def __init__(self, times, status):
        self.left = {}
        self._times = times
        self._status = status

    def __call__(self, body, content_type, accept):
        x = json.loads(body)["x"]
        self.left[x] = self.left.get(x, self._times) - 1
        if self.left[x] >= 0:
            raise ModelError("not now", status=self._status)
        return double(body, content_type, accept)


@pytest.mark.parametrize(
    ("status", "retries", "expected", "attempts"),
    [
        (500, 2, "completed", 2),
        (503, 1, "failed", 1),
        (500, 0, "failed", 0),
        (400, 5, "failed", 0),
        (429, 5, "failed", 0),
    ],
)
def test_what_may_pass_is_sent_again_and_what_was_refused_is_not(status, retries, expected, attempts):
    """5xx as often as allowed, 4xx never; each attempt has an output name of its own."""
    world = World(Fails(2, status))
    client = play(world, world.batch(frame(5)), retries=retries)

    assert [expected] * 5 == statuses(client)
    assert [attempts] * 5 == client.opened.ledger.attempt.tolist()
    assert 5 * (attempts + 1) == len(world.sent) == len(set(world.sent))
    assert 5 == world.storage.calls["put"] - sum("/inputs/" not in key for key in _puts(world))
    assert_same(client.opened.ledger, folded(world, 5))


def _puts(world):
    return [
        location.key
        for location in world.storage.objects
        if location.key.startswith("in/") and "lease/" not in location.key
    ] + ["in/lease"] * (world.storage.calls["put"] - _written_once(world))


def _written_once(world):
    return sum(key.key.startswith("in/") and "lease/" not in key.key for key in world.storage.objects)


def test_a_failure_that_does_not_say_what_it_is_is_not_sent_again():
    """It may be a refusal."""

    def fails(body, content_type, accept):
        raise ModelError("", status=500, body="CUDA is angry")

    world = World(fails)
    client = play(world, world.batch(frame(2)), retries=3)

    assert (["failed"] * 2, 2) == (statuses(client), len(world.sent))
    assert {0: "CUDA is angry", 1: "CUDA is angry"} == client.opened.ledger.messages


def test_a_model_that_fell_over_is_given_a_rest():
    """Five seconds, then ten: not at once, when it cannot have recovered."""
    world = World(Fails(2, 500))
    times = []
    world.intercept = lambda _: times.append(world.clock.elapsed)
    play(world, world.batch(frame(1)), retries=2)

    assert times[1] - times[0] >= 4
    assert times[2] - times[1] >= 9


def test_an_expired_request_is_sent_again_if_retries_allow():
    """Silence may pass, too."""
    calls = []

    async def silent_once(body, content_type, accept):
        calls.append(body)
        if len(calls) == 1:
            await asyncio.sleep(float("inf"))
        return double(body, content_type, accept)

    world = World(silent_once)
    client = play(world, world.batch(frame(1)), retries=1)

    assert (["completed"], [1]) == (statuses(client), client.opened.ledger.attempt.tolist())


def test_a_late_answer_to_an_attempt_that_was_given_up_answers_nothing():
    """It was taken for the answer to the next attempt once, whose output was not there."""
    calls, locations = [], []

    async def slower_and_slower(body, content_type, accept):
        calls.append(body)
        if len(calls) == 1:
            await asyncio.sleep(float("inf"))
        _write(world, locations[0], b'{"y": "of yesterday"}')
        await asyncio.sleep(300)
        return double(body, content_type, accept)

    async def note_where(client):
        await asyncio.sleep(60)
        locations.append(client.opened.ledger.texts["output_location"][0])

    world = World(slower_and_slower)
    client = play(world, world.batch(frame(1)), during=note_where, retries=1)

    assert (["completed"], [1]) == (statuses(client), client.opened.ledger.attempt.tolist())
    assert [{"y": 0}] == answers(world, client.opened)


def test_what_is_asked_for_twice_is_done_once():
    """Two clicks on a button, or a retry of what was answered meanwhile, ended the job once."""
    failed = []

    async def failing_once(body, content_type, accept):
        if json.loads(body)["x"]:
            await asyncio.sleep(60)
        elif not failed:
            failed.append(body)
            raise ModelError("not now")
        return double(body, content_type, accept)

    world = World(failing_once)

    async def twice(client):
        await asyncio.sleep(30)
        everything = np.arange(2)
        counted.append([client.engine.retry(everything).tolist() for _ in range(2)])

    counted = []
    client = play(world, world.batch(frame(2)), during=twice)

    assert [[[0], []]] == counted
    assert (["completed"] * 2, [1, 0]) == (statuses(client), client.opened.ledger.attempt.tolist())


def test_a_late_answer_is_found_when_the_job_is_opened_again():
    """What was taken for expired is looked for once more."""
    world = World(_never, config=EndpointConfig(endpoint_name="memory", s3_output_path="s3://bucket/out"))
    first = play(world, world.batch(frame(1)))
    assert ["expired"] == statuses(first)
    location = first.opened.ledger.texts["output_location"][0]
    _write(world, location, b'{"y": 0}')
    second = world.client()

    async def opened_again():
        opened = await second.attach()
        assert opened.has_more_to_do
        await second.follow()

    world.run(opened_again())

    assert ["completed"] == statuses(second)


def test_a_manifest_whose_answer_was_lost_is_our_own():
    """The SDK asks again by itself, and is told that it is there; another one is not ours."""
    world = World()
    client = play(world, world.batch(frame(1)))
    document = client.opened.document
    world.run(write_document(world.storage, LAYOUT.manifest, document))

    with pytest.raises(FileExistsError):
        world.run(write_document(world.storage, LAYOUT.manifest, replace(document, note="another")))


async def _never(body, content_type, accept):
    await asyncio.sleep(float("inf"))


def _write(world, location, body):
    from sm_async_nb.core.locations import parse_s3_uri

    world.storage.objects[parse_s3_uri(location)] = (body, "application/json", world.clock.now())


# Pausing


@pytest.mark.parametrize(
    "error",
    [
        CredentialsError("expired"),
        EndpointNotFoundError("gone"),
        RequestError("403"),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("at", [1, 17, 50])
def test_what_stops_the_endpoint_is_raised_and_the_engine_goes_on_afterwards(error, at):
    """Nothing that was known is lost, and nothing is sent twice."""
    world = World(slow)
    client = world.client()

    def refuses(fields):
        if len(world.sent) == at and not resumed:
            raise error
        world.sent.append(fields["inference_id"])

    resumed = []
    world.intercept = refuses

    async def played():
        await client.begin(world.batch(frame(60)), concurrency=8)
        with pytest.raises(type(error)):
            await client.follow()
        resumed.append(True)
        await client.lease.acquire()
        await client.engine.run(_connections(client))

    world.run(played())

    assert ["completed"] * 60 == statuses(client)
    assert 60 == len(world.sent) == len(set(world.sent))
    assert_same(client.opened.ledger, folded(world, 60))


@pytest.mark.parametrize("at", range(1, 40, 3))
def test_credentials_for_s3_that_end_anywhere_lose_nothing(at):
    """What was found and could not be written is written first when there is a connection again."""
    world = World(slow)
    client = world.client()
    calls = []

    def refuses(verb, location):
        calls.append(verb)
        if resumed or len(calls) < at or not calls_may_fail:
            return
        raise CredentialsError("ExpiredToken")

    resumed, calls_may_fail = [], []

    async def played():
        await client.begin(world.batch(frame(20)), concurrency=4)
        calls.clear()
        calls_may_fail.append(True)
        world.storage.intercept = refuses
        with pytest.raises(CredentialsError):
            await client.follow()
        await asyncio.sleep(20)
        resumed.append(True)
        await client.engine.run(_connections(client))

    world.run(played())

    assert ["completed"] * 20 == statuses(client)
    assert 20 == len(set(world.sent))
    assert len(world.sent) <= 24
    assert_same(client.opened.ledger, folded(world, 20))


def _connections(client):
    from sm_async_nb.job.engine import Connections

    return Connections(storage=client.storage, runtime=client.runtime)


def test_a_bucket_that_may_not_be_listed_any_more_is_no_failure():
    """A look that is refused says nothing about a row; it is told, and raised for somebody to mend."""
    world = World(slow)
    client = world.client()

    def refuses(verb, location):
        if verb == "list" and location.key.startswith("out/") and not mended:
            raise StorageAccessError("S3 refused s3:ListBucket")

    mended = []
    world.storage.intercept = refuses

    async def played():
        await client.begin(world.batch(frame(5)))
        with pytest.raises(StorageAccessError):
            await client.follow()
        assert 0 == sum(client.opened.ledger.counts[Status.COMPLETED :])
        mended.append(True)
        await client.engine.run(_connections(client))

    world.run(played())

    assert ["completed"] * 5 == statuses(client)


# Payloads that cannot be made again


def test_rows_whose_payload_is_lost_are_said_and_the_others_go_on():
    """A function is not kept with a job: what it has not made is told, when all the rest is done."""
    world = World(slow)
    first, second = world.client(), world.client()
    payload = {"payload": lambda row: json.dumps({"x": row["x"]})}
    batch = world.batch(frame(30), **payload)

    async def played():
        await first.lease.acquire()
        from sm_async_nb.job.creating import create_job
        from sm_async_nb.job.document import Settings

        asked = asked_of(RequestArguments(endpoint_name="memory", **payload), batch)
        first.opened = await create_job(
            first.storage, batch, LAYOUT, asked=asked, settings=Settings(concurrency=2, max_in_flight=4), tags={},
            note="", now=0.0,
        )  # fmt: skip
        following = asyncio.get_running_loop().create_task(first.follow())
        await asyncio.sleep(3)
        first.death.has_come = True
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await wait_for_the_lease()
        await second.attach()
        with pytest.raises(PayloadLostError, match=r"requests were not sent\. ") as lost:
            await second.follow()
        return str(lost.value)

    said = world.run(played())
    counts = _counted(second)

    assert 0 == second.opened.ledger.counts[Status.ACCEPTED]
    assert counts["completed"] >= 4
    assert said.startswith(f"{30 - counts['completed']:,} requests were not sent.")


# Notifications


def notification(client, request, *, succeeded=True, **more):
    ledger = client.opened.ledger
    return {
        "eventName": "InferenceResult",
        "eventSource": "aws:sagemaker",
        "eventTime": "2026-01-01T12:00:05.000Z",
        "invocationStatus": "Completed" if succeeded else "Failed",
        "inferenceId": ledger.texts["inference_id"][request],
        "responseParameters": {"outputLocation": ledger.texts["output_location"][request]},
        **more,
    }


def notified(world, during, rows=4, **settings):
    client = world.client()
    queue = MemoryNotifications(world.clock.now)

    async def played():
        await client.begin(world.batch(frame(rows)), **settings)
        meanwhile = asyncio.get_running_loop().create_task(during(client, queue))
        await client.follow(notifications=queue)
        await meanwhile

    world.run(played())
    return client, queue


def test_notifications_are_facts():
    """A success and a failure are believed without a look into S3, and their messages are deleted."""
    world = World(_never)

    async def during(client, queue):
        await asyncio.sleep(2)
        for request in range(3):
            queue.send(notification(client, request))
        queue.send(
            notification(
                client,
                3,
                succeeded=False,
                failureReason="ClientError: Received client error (400) from model. See the SageMaker Endpoint logs.",
            )
        )

    client, queue = notified(world, during)

    assert ["completed"] * 3 + ["failed"] == statuses(client)
    assert 400 == client.opened.ledger.http_status[3]
    assert {} == client.opened.ledger.messages  # the model's own words lie in S3
    assert {} == queue.messages
    assert world.storage.calls["list"] <= 6


def test_what_is_not_ours_stays_in_the_queue():
    """Test notifications, other jobs' messages and rubbish; a message told twice is deleted twice and believed once."""
    world = World(_never)
    others = [
        {"eventVersion": "1.0", "eventSource": "aws:sagemaker", "eventName": "TestNotification"},
        "rubbish",
        {"eventName": "InferenceResult", "invocationStatus": "Completed", "inferenceId": "somebody-elses"},
    ]

    async def during(client, queue):
        await asyncio.sleep(2)
        for other in others:
            queue.send(other)
        for request in (0, 0, 1, 2, 3, 3):
            queue.send(notification(client, request))

    client, queue = notified(world, during)

    assert ["completed"] * 4 == statuses(client)
    assert others == [json.loads(text) if text.startswith("{") else text for text in queue.messages.values()][:3]


def test_a_lost_notification_is_made_up_for_by_a_look():
    """Once a minute."""
    world = World()

    async def during(client, queue):
        await asyncio.sleep(0)

    client, _ = notified(world, during)

    assert ["completed"] * 4 == statuses(client)
    assert world.clock.elapsed <= 130


# Checkpoints


def test_a_long_job_leaves_checkpoints_and_is_opened_from_the_newest(monkeypatch):
    """Opening it reads the newest and the few segments behind it."""
    monkeypatch.setattr(recording, "SEGMENTS_A_CHECKPOINT", 5)
    world = World(slow)
    client = play(world, world.batch(frame(200)), concurrency=4, max_in_flight=8)
    checkpoints = [key for key in world.storage.objects if key.key.startswith(LAYOUT.checkpoints.key)]
    world.storage.calls.clear()

    async def opened_again():
        return (await open_job(world.storage, LAYOUT, NEW_SDK)).opened

    opened = world.run(opened_again())

    assert len(checkpoints) >= 3
    assert world.storage.calls["get"] <= 3 + 1 + 5 + 2
    assert_same(client.opened.ledger, opened.ledger)


# Going on under the same name


def test_the_same_again_sends_nothing():
    """A cell that is run twice costs no call to the endpoint."""
    world = World()
    play(world, world.batch(frame(5)))
    second = world.client()

    async def again():
        found = await second.go_on(world.batch(frame(5)))
        await second.follow(found.again)

    world.run(again())

    assert (5, ["completed"] * 5) == (len(world.sent), statuses(second))
    assert 0 == second.opened.document.revision


def test_a_chain_of_edits_sends_each_row_once():
    """Rows come, go, come back, and change places; what was answered once is not asked again."""
    world = World()
    edits = [[0, 1, 2], [0, 1, 2, 3], [3, 2], [5, 3, 1], [0, 1, 2, 3, 4, 5], [5, 5, 5, 0]]
    play(world, world.batch(pd.DataFrame({"x": edits[0]})))

    for xs in edits[1:]:
        client = world.client()

        async def again(client=client, xs=xs):
            found = await client.go_on(world.batch(pd.DataFrame({"x": xs})))
            await client.follow(found.again)

        world.run(again())
        assert [{"y": 2 * x} for x in xs] == answers(world, client.opened)

    assert 6 + 2 == len(world.sent) == len(set(world.sent))  # two more for the rows that are there three times
    reopened = world.client()

    async def attach():
        return await reopened.attach()

    assert [{"y": 2 * x} for x in edits[-1]] == answers(world, world.run(attach()))


def test_failed_rows_are_sent_again_when_that_is_asked_for():
    """And only then."""
    world = World(Fails(1, 400))
    play(world, world.batch(frame(3)))
    found = {}

    for retry_failed in (False, True):
        client = world.client()

        async def again(client=client, retry_failed=retry_failed):
            more = await client.go_on(world.batch(frame(3)), retry_failed=retry_failed)
            await client.follow(more.again)

        world.run(again())
        found[retry_failed] = statuses(client)

    assert {False: ["failed"] * 3, True: ["completed"] * 3} == found
    assert 6 == len(world.sent)


def test_something_else_under_the_same_name_is_refused_with_the_difference():
    """Unless that is meant; then everything is sent anew, and the old answers are nobody's."""
    world = World(sdk=NEW_SDK | {"accept": Field(name="accept", member="Accept", type="string", location="header")})
    play(world, world.batch(frame(3)))
    arguments = RequestArguments(endpoint_name="memory", accept="application/json")
    batch = world.batch(frame(3), accept="application/json")
    second, third = world.client(), world.client()

    async def again():
        with pytest.raises(JobChangedError, match="accept: not given -> 'application/json'"):
            await second.go_on(batch, asked=asked_of(arguments, batch))
        await second.lease.release()
        sent = len(world.sent)
        found = await third.go_on(batch, asked=asked_of(arguments, batch), restart=True)
        await third.follow(found.again)
        return sent

    assert 3 == world.run(again())
    assert 6 == len(world.sent) == len(set(world.sent))
    assert [{"y": 2 * x} for x in range(3)] == answers(world, third.opened)


def test_a_continued_job_is_killed_and_opened_again():
    """The numbers of its requests are not their places any more, in the journal and in the checkpoints too."""
    world = World(slow)
    play(world, world.batch(frame(6)))
    second, third = world.client(), world.client()
    xs = [40, 5, 41, 1, 42, 43, 44, 45]

    async def again():
        await second.go_on(world.batch(pd.DataFrame({"x": xs})), concurrency=2, max_in_flight=2)
        following = asyncio.get_running_loop().create_task(second.follow())
        await asyncio.sleep(2.5)
        second.death.has_come = True
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await wait_for_the_lease()
        await third.attach()
        await third.follow()

    world.run(again())

    assert [{"y": 2 * x} for x in xs] == answers(world, third.opened)
    assert len(world.sent) - (6 + 6) <= 2


def test_inputs_that_were_deleted_are_uploaded_again_for_a_retry():
    """The journal says that they are gone."""
    world = World(Fails(1, 400))
    client = play(world, world.batch(frame(3)))
    inputs = [key for key in world.storage.objects if "/inputs/" in key.key]
    second = world.client()

    async def again():
        await second.attach()
        second.world.storage.objects = {k: v for k, v in world.storage.objects.items() if k not in inputs}
        await second.follow_with(lambda engine: engine.note_deleted_inputs(np.arange(3)))
        assert not second.opened.ledger.input_uploaded.any()
        await second.lease.acquire()
        second.engine.retry(np.arange(3))
        await second.engine.run(_connections(second))

    world.run(again())

    assert ["failed"] * 3 == statuses(client)
    assert ["completed"] * 3 == statuses(second)
    assert inputs == [key for key in world.storage.objects if "/inputs/" in key.key]
