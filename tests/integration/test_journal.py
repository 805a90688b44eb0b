"""The journal: what is written is what is read, in its order, and written once."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from integration.scene import SlowStorage

from sm_async_nb.core.ledger import Fact, Learned, Ledger, Status
from sm_async_nb.core.locations import JobLayout, S3Location
from sm_async_nb.errors import JobInUseError, RequestError, ServiceTroubleError
from sm_async_nb.job.journal import Journal, decode_segment, encode_segment
from sm_async_nb.testing import ManualClock, MemoryStorage

NOON = 1_767_268_800.0
LAYOUT = JobLayout(S3Location("bucket", "in"), "job-1")
DETAILS = ("output_location", "failure_location", "inference_id", "request_id", "message")


def learned(fact, *requests, at=NOON, **details):
    return Learned(fact=fact, requests=np.array(requests, dtype=np.int64), at=at, details=details)


def lines(batches):
    """Facts as plain lines, one for each request that one is about."""
    return [
        (
            one.fact,
            request,
            round(float(at) * 1_000_000),
            *((one.details[name][place] or None) if name in one.details else None for name in DETAILS),
        )
        for one in batches
        for place, (request, at) in enumerate(
            zip(one.requests.tolist(), np.broadcast_to(one.at, one.requests.shape), strict=True)
        )
    ]


@pytest.fixture
def storage():
    return MemoryStorage(ManualClock().now)


def run(work):
    return ManualClock().run(work)


async def everything(journal, start=0):
    return [batch async for batch in journal.read(start)]


def written(count, storage=None):
    """S3 with a journal whose segment ``n`` is about request ``n``."""
    storage = storage or MemoryStorage(ManualClock().now)
    for number in range(count):
        storage.objects[LAYOUT.journal_segment(number)] = (segment_about(number), None, NOON)
    return storage


@cache
def segment_about(number):
    return encode_segment([learned(Fact.INPUT_UPLOADED, number)])


def firsts(batches):
    """The request that each batch is about."""
    return [batch[0].requests[0] for batch in batches]


@st.composite
def batches(draw):
    length = draw(st.integers(0, 5))
    requests = draw(st.lists(st.integers(0, 2**32 - 1), min_size=length, max_size=length, unique=True))
    # Whole microseconds, which is what a segment keeps.
    times = st.integers(0, 4_000_000_000_000_000).map(lambda microseconds: microseconds / 1_000_000)
    each = draw(st.booleans())
    at = np.array(draw(st.lists(times, min_size=length, max_size=length))) if each else draw(times)
    texts = st.none() | st.text(min_size=1, max_size=20)
    names = draw(st.sets(st.sampled_from(DETAILS)))
    details = {name: draw(st.lists(texts, min_size=length, max_size=length)) for name in names}
    requests = np.array(requests, dtype=np.int64)
    return Learned(fact=draw(st.sampled_from(Fact)), requests=requests, at=at, details=details)


@given(st.lists(batches(), max_size=5))
def test_a_segment_says_what_was_learned(written):
    """Every fact, request, time and word, in the order in which they were given."""
    assert lines(written) == lines(decode_segment(encode_segment(written)))


@pytest.mark.parametrize("nothing", [[], [learned(Fact.ACCEPTED)]], ids=["no facts", "a fact about nobody"])
def test_a_segment_that_says_nothing_can_be_read(nothing):
    """The engine writes none, since each is paid for; but one that is there must not stop a job from being opened."""
    assert lines(decode_segment(encode_segment(nothing))) == []


@given(st.lists(batches(), max_size=3))
def test_the_same_facts_are_the_same_bytes(written):
    """So a segment of our own is told from somebody else's."""
    assert encode_segment(written) == encode_segment(written)


def test_a_run_of_one_fact_is_read_as_one():
    """Folding a segment costs a few array operations, however many requests it is about."""
    segment = encode_segment([learned(Fact.INPUT_UPLOADED, *range(1_000)), learned(Fact.ACCEPTED, *range(1_000))])

    assert [(Fact.INPUT_UPLOADED, 1_000), (Fact.ACCEPTED, 1_000)] == [
        (one.fact, len(one.requests)) for one in decode_segment(segment)
    ]


@pytest.mark.parametrize("again", [(2,), (2, 3, 1), (4, 2)])
def test_a_request_that_is_told_of_twice_is_read_as_two_facts(again):
    """A notification may come twice within a segment's half a second; such a job must be opened again all the same."""
    segment = encode_segment([learned(Fact.OUTPUT_FOUND, 3, 1, 2), learned(Fact.OUTPUT_FOUND, *again)])
    ledger = Ledger(5, allowance=0.0)
    ledger.apply(learned(Fact.ACCEPTED, *range(5)))
    for one in decode_segment(segment):
        ledger.apply(one)

    assert sorted({1, 2, 3, *again}) == np.flatnonzero(ledger.status == Status.COMPLETED).tolist()
    assert [3, 1, 2, *again] == [number for one in decode_segment(segment) for number in one.requests.tolist()]


def test_details_that_nobody_has_are_not_read():
    """A ledger asks only for what is there."""
    (one,) = decode_segment(encode_segment([learned(Fact.ACCEPTED, 1, 2, request_id=["r", None])]))

    assert {"request_id": ["r", None]} == {name: list(texts) for name, texts in one.details.items()}


def test_a_line_costs_few_bytes():
    """A million rows make a journal of tens of megabytes, not of gigabytes."""
    count = 10_000
    home = "s3://bucket/out/churn-20260101-120000-7f3a/00000/00000"
    segment = encode_segment(
        [
            learned(
                Fact.ACCEPTED,
                *range(count),
                at=NOON + np.arange(count) / 1_000,
                output_location=[f"{home}/k3jx7ab2qd-{number:08d}-0.out" for number in range(count)],
                inference_id=[f"k3jx7ab2qd-{number:08d}-0" for number in range(count)],
            )
        ]
    )

    assert len(segment) / count < 60


def test_segments_are_numbered_and_read_in_order(storage):
    """Past the tenth too, where texts and numbers sort differently."""

    async def story():
        journal = Journal(storage, LAYOUT)
        for number in range(12):
            await journal.append([learned(Fact.INPUT_UPLOADED, number)])
        return await everything(Journal(storage, LAYOUT))

    read = run(story())

    assert list(range(12)) == [batch[0].requests[0] for batch in read]
    assert [LAYOUT.journal_segment(number) for number in range(12)] == sorted(storage.objects)


def test_a_journal_of_more_than_a_page_is_read_whole(storage):
    """A LIST gives a thousand keys."""

    async def story():
        journal = Journal(storage, LAYOUT)
        for number in range(1_003):
            await journal.append([learned(Fact.INPUT_UPLOADED, number)])
        return await everything(Journal(storage, LAYOUT))

    assert list(range(1_003)) == [batch[0].requests[0] for batch in run(story())]


def test_appending_goes_on_behind_what_was_read(storage):
    """A job that is opened again continues its journal."""

    async def story():
        first = Journal(storage, LAYOUT)
        await first.append([learned(Fact.INPUT_UPLOADED, 0)])
        await first.append([learned(Fact.ACCEPTED, 0)])
        second = Journal(storage, LAYOUT)
        before = await everything(second)
        await second.append([learned(Fact.OUTPUT_FOUND, 0)])
        return before, await everything(Journal(storage, LAYOUT))

    before, after = run(story())
    facts = [Fact.INPUT_UPLOADED, Fact.ACCEPTED, Fact.OUTPUT_FOUND]

    assert facts[:2] == [batch[0].fact for batch in before]
    assert facts == [batch[0].fact for batch in after]


def test_a_journal_may_be_read_twice(storage):
    """Reading changes nothing in S3, so it should not change where the next segment goes."""

    async def story():
        journal = Journal(storage, LAYOUT)
        await journal.append([learned(Fact.INPUT_UPLOADED, 0)])
        reader = Journal(storage, LAYOUT)
        await everything(reader)
        await everything(reader)
        await reader.append([learned(Fact.ACCEPTED, 0)])

    run(story())

    assert [LAYOUT.journal_segment(0), LAYOUT.journal_segment(1)] == sorted(storage.objects)


def test_an_empty_journal_is_no_facts(storage):
    """A job that was created and whose kernel died before anything was learned."""
    assert run(everything(Journal(storage, LAYOUT))) == []


def test_a_segment_of_somebody_else_is_never_replaced(storage):
    """Both may read it; the one that came second learns that it is second."""
    theirs = encode_segment([learned(Fact.INPUT_UPLOADED, 9)])
    storage.objects[LAYOUT.journal_segment(0)] = (theirs, None, NOON)

    with pytest.raises(JobInUseError, match="Somebody else writes to job job-1"):
        run(Journal(storage, LAYOUT).append([learned(Fact.INPUT_UPLOADED, 0)]))

    assert theirs == storage.objects[LAYOUT.journal_segment(0)][0]


def test_appending_the_same_again_after_a_lost_answer_is_harmless(storage):
    """One segment, and the next one behind it."""

    async def story():
        journal = Journal(storage, LAYOUT)
        facts = [learned(Fact.INPUT_UPLOADED, 0)]
        storage.objects[LAYOUT.journal_segment(0)] = (encode_segment(facts), None, NOON)
        await journal.append(facts)
        await journal.append([learned(Fact.ACCEPTED, 0)])

    run(story())

    assert [LAYOUT.journal_segment(0), LAYOUT.journal_segment(1)] == sorted(storage.objects)


def test_a_segment_that_could_not_be_written_keeps_its_number(storage):
    """There are no gaps in a journal."""
    failures = iter([True, False])

    def intercept(verb, location):
        if next(failures):
            raise ServiceTroubleError("S3 did not answer")

    storage.intercept = intercept

    async def story():
        journal = Journal(storage, LAYOUT)
        with pytest.raises(ServiceTroubleError):
            await journal.append([learned(Fact.INPUT_UPLOADED, 0)])
        await journal.append([learned(Fact.INPUT_UPLOADED, 0)])

    run(story())

    assert [LAYOUT.journal_segment(0)] == list(storage.objects)


def test_a_segment_costs_one_put(storage):
    """Two calls only when there was an object already."""
    run(Journal(storage, LAYOUT).append([learned(Fact.INPUT_UPLOADED, 0)]))

    assert dict(storage.calls) == {"put": 1}


# Numbers


def test_a_view_of_a_job_writes_the_numbers_of_its_requests(storage):
    """Its requests 0 and 2 are the job's 7 and 4, whatever the next revision shows in their place."""

    async def story():
        journal = Journal(storage, LAYOUT, numbers=np.array([7, 9, 4]))
        await journal.append([learned(Fact.ACCEPTED, 0, 2, request_id=["a", "b"])])
        return await everything(Journal(storage, LAYOUT))

    ((one,),) = run(story())

    assert ([7, 4], ["a", "b"]) == (one.requests.tolist(), list(one.details["request_id"]))


def test_appending_does_not_change_what_it_was_given(storage):
    """The ledger of the view applies the same facts by its own places."""
    fact = learned(Fact.ACCEPTED, 0)
    run(Journal(storage, LAYOUT, numbers=np.array([7])).append([fact]))

    assert [0] == fact.requests.tolist()


def test_the_same_again_after_a_lost_answer_is_harmless_for_a_view_too(storage):
    """What lies there has numbers, and so has what is compared with it."""

    async def story():
        for _ in range(2):
            await Journal(storage, LAYOUT, numbers=np.array([7])).append([learned(Fact.ACCEPTED, 0)])

    run(story())

    assert [LAYOUT.journal_segment(0)] == list(storage.objects)


# Reading on


@pytest.mark.parametrize("start", [0, 1, 9, 10, 11, 12])
def test_reading_begins_where_it_is_told_to(start):
    """A checkpoint has what came before."""
    storage = written(12)

    assert list(range(start, 12)) == firsts(run(everything(Journal(storage, LAYOUT), start)))


def test_segments_before_the_start_are_not_even_listed():
    """A page of a thousand keys is enough for the few segments after a checkpoint."""
    storage = written(1_103)
    run(everything(Journal(storage, LAYOUT), 1_100))

    assert {"list": 1, "get": 3} == dict(storage.calls)


@pytest.mark.parametrize(("count", "start"), [(0, 0), (3, 0), (3, 2), (3, 3), (0, 5)])
def test_after_reading_the_next_segment_is_the_one_behind_the_last(count, start):
    """Where there was none, it is the one that was asked for first."""
    journal = Journal(written(count), LAYOUT)
    run(everything(journal, start))

    assert max(count, start) == journal.next_segment


def test_appending_says_which_segment_is_next(storage):
    """A checkpoint is named after it."""
    journal = Journal(storage, LAYOUT, next_segment=4)
    before = journal.next_segment
    run(journal.append([learned(Fact.ACCEPTED, 0)]))

    assert (4, 5) == (before, journal.next_segment)


def test_a_segment_that_could_not_be_written_is_still_the_next(storage):
    """The same facts go there at the next attempt."""

    def intercept(verb, location):
        raise ServiceTroubleError("S3 did not answer")

    storage.intercept = intercept
    journal = Journal(storage, LAYOUT)
    with pytest.raises(ServiceTroubleError):
        run(journal.append([learned(Fact.ACCEPTED, 0)]))

    assert 0 == journal.next_segment


@pytest.mark.parametrize(("missing", "start"), [(0, 0), (7, 0), (7, 7)])
def test_a_journal_with_a_missing_segment_is_damaged(missing, start):
    """What follows from a gap would be wrong, and nobody would see it."""
    storage = written(12)
    del storage.objects[LAYOUT.journal_segment(missing)]
    with pytest.raises(RequestError) as refusal:
        run(everything(Journal(storage, LAYOUT), start))

    assert str(refusal.value) == (
        f"The journal of job job-1 is damaged: there is {LAYOUT.journal_segment(missing + 1)}, but not"
        f" {LAYOUT.journal_segment(missing)} before it. Restore that object, from an older version of it if the bucket"
        " keeps versions. Nothing was changed."
    )


@pytest.mark.parametrize("body", [b"", b"nonsense", encode_segment([learned(Fact.ACCEPTED, 0)])[:-9]])
def test_a_segment_that_cannot_be_read_is_named(body):
    """It is the truth, so the job cannot be opened without it."""
    storage = written(3)
    storage.objects[LAYOUT.journal_segment(1)] = (body, None, NOON)
    with pytest.raises(RequestError) as refusal:
        run(everything(Journal(storage, LAYOUT)))

    assert str(refusal.value).startswith(
        f"The journal of job job-1 cannot be read: {LAYOUT.journal_segment(1)} is damaged, or was written by a newer"
        " version of sm-async-nb ("
    )


@pytest.mark.parametrize("name", ["", "notes.txt", "00000001.parquet.bak"], ids=["folder", "notes", "copy"])
def test_what_else_lies_beside_the_segments_is_no_segment(name):
    """The S3 console makes an empty object for a folder."""
    storage = written(3)
    storage.objects[LAYOUT.journal_prefix.child(name) if name else LAYOUT.journal_prefix] = (b"", None, NOON)

    assert [0, 1, 2] == firsts(run(everything(Journal(storage, LAYOUT))))


def test_segments_are_fetched_together_and_read_in_order():
    """A hundred round trips of a second take four seconds, and the last that arrives keeps its place."""
    clock = ManualClock()
    storage = written(
        100, SlowStorage(clock.now, lambda verb, location: (sum(location.key.encode()) * 7 % 10) / 10 + 0.1)
    )

    read = clock.run(everything(Journal(storage, LAYOUT)))

    assert list(range(100)) == firsts(read)
    assert 32 == storage.gauge.most
    assert clock.elapsed < 5


def test_a_reader_that_takes_its_time_is_not_overrun():
    """No more than 32 segments wait in memory for one that applies them slowly."""
    storage = written(200)

    async def story():
        ahead = []
        async for batch in Journal(storage, LAYOUT).read():
            await asyncio.sleep(60)
            ahead.append(storage.calls["get"] - firsts([batch])[0])
        return max(ahead)

    assert run(story()) <= 32


def test_trouble_with_one_segment_ends_the_reading_there():
    """Those before it were read, and nothing is left on its way."""
    storage = written(50)

    def intercept(verb, location):
        if location == LAYOUT.journal_segment(40):
            raise ServiceTroubleError("S3 did not answer")

    storage.intercept = intercept
    read = []

    async def reading():
        async for (one,) in Journal(storage, LAYOUT).read():
            read.extend(one.requests.tolist())

    async def story():
        with pytest.raises(ServiceTroubleError):
            await reading()
        return len(asyncio.all_tasks())

    assert (1, list(range(40))) == (run(story()), read)


def test_a_reader_that_stops_early_leaves_nothing_behind():
    """Tasks that nobody waits for would be heard of when the loop closes."""
    clock = ManualClock()
    storage = written(100, SlowStorage(clock.now, lambda verb, location: 1))

    async def story():
        async with aclosing(Journal(storage, LAYOUT).read()) as reading:
            async for _ in reading:
                break
        return len(asyncio.all_tasks())

    assert 1 == clock.run(story())
