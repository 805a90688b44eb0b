"""Checkpoints: what a journal comes to, read instead of it, and never more true than it."""

from __future__ import annotations

import asyncio
import io
import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from integration.scene import assert_same

from sm_async_nb.core.ledger import NEXT, Fact, Learned, Ledger, Status
from sm_async_nb.core.locations import JobLayout, S3Location
from sm_async_nb.errors import CredentialsError, IllegalFactError, RequestError, ServiceTroubleError
from sm_async_nb.job import checkpoint
from sm_async_nb.job.checkpoint import (
    copy_columns,
    decode_checkpoint,
    encode_checkpoint,
    reopen,
    restore,
    write_checkpoint,
)
from sm_async_nb.job.journal import Journal, encode_segment
from sm_async_nb.testing import ManualClock, MemoryStorage

NOON = 1_767_268_800.0
LAYOUT = JobLayout(S3Location("bucket", "in"), "job-1")
REQUESTS = 6
TEXTS = ("output_location", "failure_location", "inference_id", "request_id")


def run(work):
    return ManualClock().run(work)


def new_storage():
    return MemoryStorage(ManualClock().now)


def learned(fact, *requests, at=NOON, **details):
    return Learned(fact=fact, requests=np.array(requests, dtype=np.int64), at=at, details=details)


def accepted(*requests, at=NOON):
    return learned(
        Fact.ACCEPTED,
        *requests,
        at=at,
        output_location=[f"s3://bucket/out/{request // 2}/{request}-{at}.out" for request in requests],
        inference_id=[f"id-{request}" for request in requests],
        request_id=[None if request % 3 == 0 else f"r-{request}" for request in requests],
        http_status=["202"] * len(requests),
    )


def refused(*requests):
    return learned(
        Fact.REFUSED,
        *requests,
        message=[f"no, ü {request}" for request in requests],
        http_status=["400"] * len(requests),
    )


SEGMENTS = [
    [learned(Fact.INPUT_UPLOADED, 0, 1, 2), accepted(0, 1)],
    [refused(2, 3)],
    [learned(Fact.OUTPUT_FOUND, 0), learned(Fact.FAILURE_FOUND, 1), accepted(4)],
    [learned(Fact.RETRIED, 1, 2)],
    [accepted(1, at=NOON + 9), learned(Fact.DEADLINE_PASSED, 4)],
]


def folded(segments):
    ledger = Ledger(REQUESTS, allowance=0.0)
    for segment in segments:
        for one in segment:
            ledger.apply(one)
    return ledger


def journal_of(segments, storage=None):
    storage = storage or new_storage()
    for number, segment in enumerate(segments):
        storage.objects[LAYOUT.journal_segment(number)] = (encode_segment(segment), None, NOON)
    return storage


def checkpoint_at(storage, number, segments=SEGMENTS, **options):
    columns = copy_columns(folded(segments[:number]))
    run(write_checkpoint(storage, LAYOUT, columns, next_segment=number, **options))


def reopened(storage, length=REQUESTS):
    return run(reopen(storage, LAYOUT, length))


def gets(storage):
    """The names of the objects that were read from now on, as they are read."""
    names = []
    storage.intercept = lambda verb, location: (
        names.append(location.key.rpartition("job-1/")[2]) if verb == "get" else None
    )
    return names


# Any journal


@st.composite
def journals(draw):
    """Segments of facts that can follow from one another."""
    ledger = Ledger(REQUESTS, allowance=0.0)
    segments = []
    for _ in range(draw(st.integers(0, 8))):
        segment = []
        for _ in range(draw(st.integers(1, 3))):
            fact = draw(st.sampled_from(Fact))
            can = np.flatnonzero(NEXT[ledger.status, fact] != 255).tolist()
            requests = draw(st.lists(st.sampled_from(can), unique=True)) if can else []
            told = [draw(st.none() | st.text(max_size=9).filter(lambda text: "\0" not in text)) for _ in requests]
            names = draw(st.sets(st.sampled_from([*TEXTS, "message"])))
            at = draw(st.integers(0, 4_000_000_000_000_000)) / 1_000_000
            one = learned(fact, *requests, at=at, **dict.fromkeys(names, told))
            ledger.apply(one)
            segment.append(one)
        segments.append(segment)
    return segments


@settings(max_examples=60)
@given(journals(), st.data())
def test_a_job_is_the_same_with_and_without_checkpoints(segments, data):
    """Wherever they lie, however many there are, and whichever of them can be read."""
    storage = journal_of(segments)
    for number in data.draw(st.sets(st.integers(0, len(segments)))):
        checkpoint_at(storage, number, segments)
        if data.draw(st.booleans()):
            location = LAYOUT.checkpoint(number)
            body = storage.objects[location][0]
            storage.objects[location] = (body[: data.draw(st.integers(0, len(body) - 1))], None, NOON)
    found = reopened(storage)

    assert_same(folded(segments), found.ledger)
    assert len(segments) == found.next_segment


@settings(max_examples=60)
@given(journals(), st.data())
def test_a_view_over_its_base_is_the_whole_job(segments, data):
    """After the base is written only requests of the view are told of, in the order in which the view has them."""
    cut = data.draw(st.integers(0, len(segments)))
    numbers = np.array(data.draw(st.permutations(range(REQUESTS))))[: data.draw(st.integers(0, REQUESTS))]
    segments = segments[:cut] + [[only(one, numbers) for one in segment] for segment in segments[cut:]]
    end = data.draw(st.integers(cut, len(segments)))
    storage = journal_of(segments)
    checkpoint_at(storage, cut, segments)
    view = folded(segments[:end]).view(numbers, allowance=0.0)
    run(write_checkpoint(storage, LAYOUT, copy_columns(view), next_segment=end, numbers=numbers, base=cut))

    found = reopened(storage)

    assert_same(folded(segments), found.ledger)
    assert (len(segments), end) == (found.next_segment, found.newest_checkpoint)


def only(one, numbers):
    """What a fact says about some requests."""
    kept = np.isin(one.requests, numbers)
    details = {
        name: [text for text, keep in zip(texts, kept, strict=True) if keep] for name, texts in one.details.items()
    }
    return Learned(fact=one.fact, requests=one.requests[kept], at=one.at, details=details)


@settings(max_examples=60)
@given(journals())
def test_what_is_restored_is_what_was_copied(segments):
    """Into a ledger that knew other things, which it forgets."""
    ledger = folded(segments)
    other = folded(SEGMENTS)
    restore(other, copy_columns(ledger))

    assert_same(ledger, other)
    assert repr(ledger) == repr(other)


@settings(max_examples=200)
@given(st.data())
def test_damage_is_seen_wherever_it_is(data):
    """Every byte is covered: a checkpoint is read as it was written, or not at all."""
    written = bytearray(encode_checkpoint(copy_columns(folded(SEGMENTS))))
    place = data.draw(st.integers(0, len(written) - 1))
    written[place] ^= 1 << data.draw(st.integers(0, 7))
    storage = journal_of(SEGMENTS)
    storage.objects[LAYOUT.checkpoint(len(SEGMENTS))] = (bytes(written), None, NOON)

    assert_same(folded(SEGMENTS), reopened(storage).ledger)


# Reading


def test_a_job_without_checkpoints_is_its_journal():
    """As every job is at first."""
    found = reopened(journal_of(SEGMENTS))

    assert_same(folded(SEGMENTS), found.ledger)
    assert (5, None) == (found.next_segment, found.newest_checkpoint)


def test_a_job_that_nothing_was_learned_about_can_be_opened():
    """Its kernel died before anything was sent."""
    found = reopened(new_storage())

    assert (0, None, (REQUESTS, 0, 0, 0, 0, 0, 0, 0)) == (
        found.next_segment,
        found.newest_checkpoint,
        found.ledger.counts,
    )


def test_segments_before_the_newest_checkpoint_are_not_read():
    """That is what it is for."""
    storage = journal_of(SEGMENTS)
    checkpoint_at(storage, 2)
    checkpoint_at(storage, 4)
    names = gets(storage)
    found = reopened(storage)

    assert ["shards/00000/checkpoints/00000004.parquet", "shards/00000/journal/00000004.parquet"] == names
    assert (5, 4) == (found.next_segment, found.newest_checkpoint)


def test_a_checkpoint_that_cannot_be_read_is_passed_over():
    """For the one before it, and then for none; the segments are the truth."""
    storage = journal_of(SEGMENTS)
    for number in (2, 4, 5):
        checkpoint_at(storage, number)
    newest = []
    for number in (5, 4, 2):
        newest.append(reopened(storage).newest_checkpoint)
        storage.objects[LAYOUT.checkpoint(number)] = (b"nonsense", None, NOON)
    found = reopened(storage)

    assert [5, 4, 2] == newest
    assert found.newest_checkpoint is None
    assert_same(folded(SEGMENTS), found.ledger)


def test_a_checkpoint_whose_base_cannot_be_read_is_passed_over():
    """It knows a part only."""
    storage = journal_of(SEGMENTS)
    checkpoint_at(storage, 2)
    checkpoint_at(storage, 3)
    checkpoint_at(storage, 5, base=3)
    del storage.objects[LAYOUT.checkpoint(3)]

    assert 2 == reopened(storage).newest_checkpoint


@pytest.mark.parametrize("base", [5, 6], ids=["itself", "a later one"])
def test_a_checkpoint_that_lies_over_itself_is_passed_over(base):
    """It would be read for ever."""
    storage = journal_of(SEGMENTS)
    body = encode_checkpoint(copy_columns(folded(SEGMENTS)), base=base)
    storage.objects[LAYOUT.checkpoint(5)] = storage.objects[LAYOUT.checkpoint(6)] = (body, None, NOON)

    assert reopened(storage).newest_checkpoint is None


def test_a_checkpoint_of_a_newer_version_is_passed_over(monkeypatch):
    """An older version reads the segments, as it always could."""
    storage = journal_of(SEGMENTS)
    with monkeypatch.context() as newer:
        newer.setattr(checkpoint, "FORMAT", checkpoint.FORMAT + 1)
        checkpoint_at(storage, 5)

    assert reopened(storage).newest_checkpoint is None


def test_a_checkpoint_of_another_job_is_passed_over():
    """It tells of requests that this one does not have."""
    storage = journal_of([[accepted(0)]])
    checkpoint_at(storage, 5)
    found = reopened(storage, 1)

    assert (1, None) == (found.next_segment, found.newest_checkpoint)


def test_a_checkpoint_is_read_though_the_job_has_grown():
    """The new requests of a later revision were never sent when it was written."""
    storage = journal_of(SEGMENTS)
    checkpoint_at(storage, 5)
    found = reopened(storage, REQUESTS + 2)

    assert 5 == found.newest_checkpoint
    assert [Status.PLANNED] * 2 == found.ledger.status[REQUESTS:].tolist()


@pytest.mark.parametrize("trouble", [ServiceTroubleError("S3 did not answer"), CredentialsError("expired")])
def test_trouble_is_not_taken_for_damage(trouble):
    """Whoever waits and asks again gets the job in seconds; nothing is known about the checkpoint."""
    storage = journal_of(SEGMENTS)
    checkpoint_at(storage, 5)

    def intercept(verb, location):
        if verb == "get":
            raise trouble

    storage.intercept = intercept
    with pytest.raises(type(trouble)) as raised:
        reopened(storage)

    assert trouble is raised.value


def test_what_else_lies_beside_checkpoints_is_none():
    """The S3 console makes an empty object for a folder."""
    storage = journal_of(SEGMENTS)
    storage.objects[LAYOUT.checkpoints] = storage.objects[LAYOUT.checkpoints.child("00000009.txt")] = (b"", None, NOON)

    assert reopened(storage).newest_checkpoint is None


def test_a_journal_of_more_requests_than_the_job_has_is_refused():
    """A request that no revision knows of is nobody's."""
    with pytest.raises(RequestError) as refusal:
        reopened(journal_of([[accepted(0, 3)]]), 3)

    assert str(refusal.value) == (
        "The journal of job job-1 tells of request 3, but the job has 3 requests: its journal and its revisions do not"
        " belong together. Nothing was changed."
    )


def test_a_journal_that_cannot_be_is_refused():
    """With the story of the request."""
    with pytest.raises(IllegalFactError, match="OUTPUT_FOUND cannot be: request 0"):
        reopened(journal_of([[learned(Fact.OUTPUT_FOUND, 0)]]))


def test_a_reopened_ledger_goes_on():
    """What is to be sent, and what is overdue, follows from what was read."""
    storage = journal_of(SEGMENTS)
    checkpoint_at(storage, 5)
    ledger = reopened(storage).ledger

    assert [2, 5] == ledger.unsent(np.zeros(REQUESTS, dtype=np.bool_), 9).tolist()
    assert [1] == ledger.overdue(NOON + 10).tolist()
    ledger.apply(learned(Fact.OUTPUT_FOUND, 1))

    assert Status.COMPLETED == ledger.status[1]


# Writing


def test_a_copy_does_not_change_with_its_ledger():
    """It is written while the job goes on."""
    ledger = folded(SEGMENTS)
    columns = copy_columns(ledger)
    ledger.apply(learned(Fact.OUTPUT_FOUND, 1))
    ledger.apply(accepted(5))
    restore(ledger, columns)

    assert_same(folded(SEGMENTS), ledger)


def test_a_checkpoint_that_is_there_is_left_alone():
    """Two kernels that read the same segments would write the same."""
    storage = journal_of(SEGMENTS)
    checkpoint_at(storage, 5)
    before = storage.objects[LAYOUT.checkpoint(5)]
    checkpoint_at(storage, 5)

    assert before is storage.objects[LAYOUT.checkpoint(5)]


def test_no_checkpoint_is_written_when_no_segment_was():
    """Its base says it all, and would be lost under it."""
    storage = journal_of(SEGMENTS)
    checkpoint_at(storage, 5)
    checkpoint_at(storage, 5, base=5)

    assert 5 == reopened(storage).newest_checkpoint
    assert {"put": 1, "list": 2, "get": 1} == dict(storage.calls)


def test_anybody_can_read_a_checkpoint():
    """It is plain Parquet: a number, a status, times, texts, and a message where there is one."""
    body = encode_checkpoint(copy_columns(folded(SEGMENTS)), base=3)
    table = pq.read_table(io.BytesIO(body))

    assert [0, 1, 2, 3, 4, 5] == table.column("number").to_pylist()
    assert [3, 2, 0, 6, 5, 0] == table.column("status").to_pylist()
    assert [None, None, None, "no, ü 3", None, None] == table.column("message").to_pylist()
    assert ["s3://bucket/out/0/", "s3://bucket/out/0/", ""] == table.column("output_location head").to_pylist()[:3]
    told = json.loads(table.schema.metadata[b"sm_async_nb"])

    assert (1, 3) == (told["format"], told["base"])


@pytest.mark.parametrize("body", [b"", b"nonsense"])
def test_what_is_no_checkpoint_is_a_value_error(body):
    """Whatever Arrow thinks of it."""
    with pytest.raises(ValueError):
        decode_checkpoint(body)


def test_any_other_parquet_file_is_no_checkpoint():
    """A segment, say."""
    with pytest.raises(ValueError, match="KeyError"):
        decode_checkpoint(encode_segment([accepted(0)]))


def test_a_checkpoint_of_many_requests_is_written_and_read_aside():
    """In a thread, so that the loop goes on meanwhile; and it costs few bytes a request."""
    count = 20_000
    storage = new_storage()
    ledger = Ledger(count, allowance=0.0)
    ledger.apply(accepted(*range(count)))

    async def story():
        await write_checkpoint(storage, LAYOUT, copy_columns(ledger), next_segment=7)
        journal = Journal(storage, LAYOUT, next_segment=7)
        await journal.append([learned(Fact.OUTPUT_FOUND, 11)])
        return await reopen(storage, LAYOUT, count)

    found = asyncio.run(story())
    ledger.apply(learned(Fact.OUTPUT_FOUND, 11))

    assert_same(ledger, found.ledger)
    assert (8, 7) == (found.next_segment, found.newest_checkpoint)
    assert len(storage.objects[LAYOUT.checkpoint(7)][0]) / count < 20


def test_a_checkpoint_of_no_requests_can_be_read():
    """A job for an empty frame."""
    storage = new_storage()
    run(write_checkpoint(storage, LAYOUT, copy_columns(Ledger(0, allowance=0.0)), next_segment=1))

    assert 0 == len(decode_checkpoint(storage.objects[LAYOUT.checkpoint(1)][0]).numbers)
