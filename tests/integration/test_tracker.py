"""Finding answers in S3: one LIST for a thousand requests, and nothing of other people's."""

from __future__ import annotations

from collections import Counter

import pytest
from integration.scene import SlowStorage

from sm_async_nb.core.ledger import Fact
from sm_async_nb.core.locations import JobLayout, S3Location, parse_s3_uri
from sm_async_nb.errors import ServiceTroubleError, StorageAccessError
from sm_async_nb.job.tracker import Answer, Tracker
from sm_async_nb.testing import ManualClock, MemoryStorage

NOON = 1_767_268_800.0
LAYOUT = JobLayout(S3Location("bucket", "in"), "job-1")


def own_output(request, attempt=0):
    return f"s3://bucket/out/{LAYOUT.s3_output_path_extension(request)}/{LAYOUT.filename(request, attempt)}"


def own_failure(request, attempt=0):
    return f"s3://bucket/failures/{LAYOUT.inference_id(request, attempt)}-error.out"


def shared_output(request):
    return f"s3://bucket/out/uuid-{request:08d}.out"


def shared_failure(request):
    return f"s3://bucket/failures/uuid-{request:08d}-error.out"


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def storage(clock):
    return MemoryStorage(clock.now)


@pytest.fixture
def tracker(storage):
    return Tracker(storage, LAYOUT)


def written(storage, *uris, at=NOON + 5):
    for uri in uris:
        storage.objects[parse_s3_uri(uri)] = (b"", None, at)


def found(clock, tracker, now=NOON):
    look = clock.run(tracker.look(now))
    return sorted((answer.fact, answer.request) for answer in look.answers), (look.lists, look.heads)


def test_nothing_to_follow_is_nothing_to_look_at(clock, tracker, storage):
    """No call at all."""
    assert ([], (0, 0)) == found(clock, tracker)
    assert (0, {}) == (len(tracker), dict(storage.calls))


def test_an_output_is_found_with_the_time_at_which_it_was_written(clock, tracker, storage):
    """S3's own date."""
    tracker.follow(3, own_output(3), own_failure(3), NOON)
    written(storage, own_output(3))

    assert [Answer(Fact.OUTPUT_FOUND, 3, NOON + 5)] == clock.run(tracker.look(NOON)).answers


def test_outputs_and_failures_of_a_thousand_requests_take_one_list_each(clock, tracker, storage):
    """Whatever else lies in the bucket."""
    for request in range(1_000):
        tracker.follow(request, own_output(request), own_failure(request), NOON)
    written(storage, *(own_output(request) for request in range(0, 1_000, 2)))
    written(storage, own_failure(1), own_failure(999))
    written(storage, *(shared_output(request) for request in range(3_000)))
    answers, calls = found(clock, tracker)

    assert [request for fact, request in answers if fact is Fact.OUTPUT_FOUND] == list(range(0, 1_000, 2))
    assert [request for fact, request in answers if fact is Fact.FAILURE_FOUND] == [1, 999]
    assert ((2, 0), {"list": 2}) == (calls, dict(storage.calls))


def test_a_straggler_costs_one_list_and_not_the_whole_job(clock, tracker, storage):
    """What lies before the oldest that is waited for is passed over."""
    for request in range(5_000):
        written(storage, own_output(request))
        tracker.follow(request, own_output(request), "", NOON)
        if request != 4_321:
            tracker.leave(request, own_output(request), "")

    assert ([(Fact.OUTPUT_FOUND, 4_321)], (1, 0)) == found(clock, tracker)


def test_listing_stops_behind_the_newest_that_is_waited_for(clock, tracker, storage):
    """A million later failures under the same prefix are not paged through."""
    written(storage, *(own_failure(request) for request in range(3_500)))
    tracker.follow(1_200, own_output(1_200), own_failure(1_200), NOON)
    answers, _ = found(clock, tracker)

    assert [(Fact.FAILURE_FOUND, 1_200)] == answers
    assert storage.calls["list"] == 2


def test_the_object_of_an_earlier_attempt_is_not_an_answer_to_this_one(clock, tracker, storage):
    """The next attempt has a name of its own."""
    written(storage, own_output(3, attempt=0), own_failure(3, attempt=0))
    tracker.follow(3, own_output(3, attempt=1), own_failure(3, attempt=1), NOON)

    assert [] == found(clock, tracker)[0]


def test_what_was_left_is_not_looked_for(clock, tracker, storage):
    """And costs nothing any more."""
    tracker.follow(3, own_output(3), shared_failure(3), NOON)
    tracker.leave(3, own_output(3), shared_failure(3))
    written(storage, own_output(3))

    assert ([], (0, 0)) == found(clock, tracker, NOON + 1_000)
    assert len(tracker) == 0


def test_leaving_what_was_never_followed_is_no_matter(tracker):
    """Two looks may both have found it."""
    tracker.leave(3, own_output(3), shared_failure(3))

    assert len(tracker) == 0


def test_both_an_output_and_a_failure_are_told(clock, tracker, storage):
    """What follows from both is for the ledger to say."""
    tracker.follow(0, own_output(0), own_failure(0), NOON)
    written(storage, own_output(0), own_failure(0))

    assert [(Fact.OUTPUT_FOUND, 0), (Fact.FAILURE_FOUND, 0)] == found(clock, tracker)[0]


def test_a_request_that_was_promised_no_location_is_not_looked_for(clock, tracker):
    """An endpoint that writes to nowhere."""
    tracker.follow(0, "", "", NOON)

    assert ([], (0, 0)) == found(clock, tracker)
    assert len(tracker) == 1


# Among other people's objects


def test_shared_locations_are_asked_for_one_by_one(clock, tracker, storage):
    """Listing them would cost more with every object ever written there; the output first, and mostly only that."""
    for request in range(4):
        tracker.follow(request, shared_output(request), shared_failure(request), NOON)
    written(storage, shared_output(1), shared_failure(2))

    assert ([(Fact.OUTPUT_FOUND, 1), (Fact.FAILURE_FOUND, 2)], (0, 7)) == found(clock, tracker)
    assert dict(storage.calls) == {"head": 7}


def test_the_oldest_are_asked_for_and_some_of_the_others(clock, tracker, storage):
    """A few calls a look, however many requests there are; each is asked for once in a look."""
    for request in range(1_000):
        tracker.follow(request, shared_output(request), shared_failure(request), NOON + request)
    written(storage, *(shared_output(request) for request in range(1_000)))
    answers, calls = found(clock, tracker)

    assert ((0, 64), [(Fact.OUTPUT_FOUND, request) for request in range(64)]) == (calls, answers)


@pytest.mark.parametrize("requests", [33, 64, 65, 100, 1_000])
def test_everybody_has_a_turn(requests, clock, tracker, storage):
    """Those that hang at the head of the line must not keep the others from being seen."""
    for request in range(requests):
        tracker.follow(request, shared_output(request), shared_failure(request), NOON)
    asked = set()
    storage.intercept = lambda verb, location: asked.add(location)
    for _ in range(-(-requests // 32)):
        found(clock, tracker)

    assert {parse_s3_uri(shared_output(request)) for request in range(requests)} <= asked


def test_turns_are_taken_evenly(clock, tracker, storage):
    """After one round comes the next: nobody is asked for three times before another is asked for twice."""
    for request in range(32 + 33):
        tracker.follow(request, shared_output(request), "", NOON)
    asked = Counter()
    storage.intercept = lambda verb, location: asked.update([location])
    for _ in range(12):
        found(clock, tracker)
    turns = [asked[parse_s3_uri(shared_output(request))] for request in range(32, 32 + 33)]

    assert max(turns) - min(turns) <= 1


@pytest.mark.parametrize(("waited", "heads"), [(30.0, 0), (30.1, 1)])
def test_a_failure_that_cannot_be_listed_is_asked_for_after_half_a_minute(waited, heads, clock, tracker, storage):
    """While outputs come, a failure is rare; a long wait is the first sign of one."""
    tracker.follow(0, own_output(0), shared_failure(0), NOON)
    written(storage, shared_failure(0))
    answers, _ = found(clock, tracker, NOON + waited)

    assert ([(Fact.FAILURE_FOUND, 0)] * heads, heads) == (answers, storage.calls["head"])


# Trouble


def test_trouble_with_one_place_is_told_beside_what_was_found_elsewhere(clock, tracker, storage):
    """Half a look is better than none, and does not pass for a whole one."""
    tracker.follow(0, own_output(0), own_failure(0), NOON)
    tracker.follow(1, shared_output(1), "", NOON)
    written(storage, own_output(0), shared_output(1))
    trouble = ServiceTroubleError("S3 did not answer")

    def intercept(verb, location):
        if "failures" in location.key:
            raise trouble

    storage.intercept = intercept
    look = clock.run(tracker.look(NOON))

    assert trouble is look.trouble
    assert {0, 1} == {answer.request for answer in look.answers}
    storage.intercept = lambda *_: None

    assert clock.run(tracker.look(NOON)).trouble is None


def test_a_place_that_may_not_be_looked_at_is_an_error_after_all_others_have_been(clock):
    """No call is left behind."""
    storage = SlowStorage(clock.now, lambda verb, location: 0 if "failures" in location.key else 60)
    tracker = Tracker(storage, LAYOUT)
    tracker.follow(0, own_output(0), own_failure(0), NOON)

    def intercept(verb, location):
        if "failures" in location.key:
            raise StorageAccessError("S3 refused s3:ListBucket")

    storage.intercept = intercept
    with pytest.raises(StorageAccessError):
        clock.run(tracker.look(NOON))

    assert (60, 0) == (clock.elapsed, storage.gauge.inside)


def test_no_more_than_sixteen_places_are_listed_at_a_time(clock):
    """A job of a million rows has a thousand directories."""
    storage = SlowStorage(clock.now, lambda verb, location: 1)
    tracker = Tracker(storage, LAYOUT)
    for request in range(0, 50_000, 1_000):
        tracker.follow(request, own_output(request), "", NOON)

    assert ([], (50, 0)) == found(clock, tracker)
    assert (16, 4) == (storage.gauge.most, round(clock.elapsed))


def test_requests_that_are_followed_during_a_look_do_not_disturb_it(clock, tracker, storage):
    """Acceptances come in while S3 is being asked."""
    tracker.follow(0, own_output(0), "", NOON)
    written(storage, own_output(0))

    def intercept(verb, location):
        tracker.follow(1, own_output(1), "", NOON)
        tracker.follow(2_000, own_output(2_000), "", NOON)
        tracker.leave(0, own_output(0), "")

    storage.intercept = intercept

    assert [(Fact.OUTPUT_FOUND, 0)] == found(clock, tracker)[0]
