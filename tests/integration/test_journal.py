"""The journal: what is written is what is read, in its order, and written once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sm_async_nb.core.ledger import Fact, Learned
from sm_async_nb.core.locations import JobLayout, S3Location
from sm_async_nb.errors import JobInUseError, ServiceTroubleError
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


async def everything(journal):
    return [batch async for batch in journal.read()]


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


def test_details_that_nobody_has_are_not_read():
    """A ledger asks only for what is there."""
    (one,) = decode_segment(encode_segment([learned(Fact.ACCEPTED, 1, 2, request_id=["r", None])]))

    assert one.details == {"request_id": ["r", None]}


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
