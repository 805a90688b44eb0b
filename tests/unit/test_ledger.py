"""The ledger: facts to statuses, for many requests at once."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sm_async_nb.core import ledger as ledger_module
from sm_async_nb.core.ledger import NEXT, Fact, Learned, Ledger, Snapshot, Status
from sm_async_nb.errors import IllegalFactError

NOON = 1_767_268_800.0
ALLOWANCE = 22_560.0
REFUSED_CELL = 255

# A way to each status, in facts; the ledger's own table says whether it is one.
PATHS = {
    Status.PLANNED: [],
    Status.UPLOADED: [Fact.INPUT_UPLOADED],
    Status.ACCEPTED: [Fact.INPUT_UPLOADED, Fact.ACCEPTED],
    Status.COMPLETED: [Fact.ACCEPTED, Fact.OUTPUT_FOUND],
    Status.FAILED: [Fact.ACCEPTED, Fact.FAILURE_FOUND],
    Status.EXPIRED: [Fact.ACCEPTED, Fact.DEADLINE_PASSED],
    Status.REJECTED: [Fact.REFUSED],
    Status.CANCELLED: [Fact.CANCELLED],
}


def learned(fact, *requests, at=NOON, **details):
    return Learned(fact=fact, requests=np.array(requests, dtype=np.int64), at=at, details=details)


def ledger_at(status, *, length=1):
    """A ledger whose requests all have this status."""
    ledger = Ledger(length, allowance=ALLOWANCE)
    for second, fact in enumerate(PATHS[status]):
        ledger.apply(learned(fact, *range(length), at=NOON + second))
    return ledger


def documented_table():
    """The transition table of the module's docstring, by its rulers."""
    lines = ledger_module.__doc__.splitlines()
    rulers = [number for number, line in enumerate(lines) if re.fullmatch(r"=+( +=+)+", line)]
    spans = [match.span() for match in re.finditer(r"=+", lines[rulers[0]])]
    head, *body = ([line[start:stop].strip() for start, stop in spans] for line in lines[rulers[0] + 1 : rulers[2]])
    return {
        (row[0], fact): cell
        for row in body
        if not row[0].startswith("=")
        for fact, cell in zip(head[1:], row[1:], strict=True)
    }


TABLE = documented_table()


# The table


def test_documented_table_has_every_status_and_every_fact():
    """Nothing can be added to the code and forgotten in the documentation."""
    assert {(str(status), fact.name) for status in Status for fact in Fact} == set(TABLE)


@pytest.mark.parametrize(("status", "fact"), [(s, f) for s in Status for f in Fact], ids=lambda one: one.name)
def test_every_cell_of_the_documented_table_is_the_one_that_is_looked_up(status, fact):
    """The documentation is the table: a word is a new status, a dot no change, an empty place a refusal."""
    cell = TABLE[str(status), fact.name]
    expected = {"": REFUSED_CELL, ".": status}.get(cell)
    if expected is None:
        expected = Status[cell.upper()]

    assert expected == NEXT[status, fact]


@pytest.mark.parametrize(("status", "fact"), [(s, f) for s in Status for f in Fact], ids=lambda one: one.name)
def test_a_ledger_does_what_its_table_says(status, fact):
    """A fact moves a request as the table has it, or is refused and moves nothing."""
    ledger = ledger_at(status)
    if NEXT[status, fact] == REFUSED_CELL:
        with pytest.raises(IllegalFactError):
            ledger.apply(learned(fact, 0))
        expected = status
    else:
        ledger.apply(learned(fact, 0))
        expected = NEXT[status, fact]

    assert expected == ledger.status[0]


def test_the_table_cannot_be_changed():
    """It is looked up by every job of the process."""
    with pytest.raises(ValueError, match="read-only"):
        NEXT[0, 0] = 0


def test_statuses_are_shown_as_their_words():
    """What tables and progress lines show is the word itself."""
    expected = ["planned", "uploaded", "accepted", "completed", "failed", "expired", "rejected", "cancelled"]

    assert expected == [str(status) for status in Status]


def test_final_are_the_statuses_behind_accepted():
    """A request that is final needs nothing more from anybody."""
    expected = {Status.COMPLETED, Status.FAILED, Status.EXPIRED, Status.REJECTED, Status.CANCELLED}

    assert expected == {status for status in Status if status.is_final}


# Laws


def legal_batch(draw, ledger):
    """One fact about some of the requests it can be about, or None if there is no such fact."""
    fact = draw(st.sampled_from(Fact))
    possible = np.flatnonzero(NEXT[ledger.status, fact] != REFUSED_CELL).tolist()
    if not possible:
        return None
    chosen = draw(st.lists(st.sampled_from(possible), unique=True, min_size=1))
    seconds = draw(st.lists(st.integers(0, 10**6), min_size=len(chosen), max_size=len(chosen)))
    details = {}
    if fact is Fact.ACCEPTED:
        details = {
            "output_location": [f"s3://b/out/{r}-{ledger.attempt[r]}" for r in chosen],
            "inference_id": [None if r % 2 else f"id-{r}" for r in chosen],
        }
    elif fact in {Fact.REFUSED, Fact.FAILURE_FOUND}:
        details = {"message": [f"because of {r}" for r in chosen]}
    at = NOON + np.array(seconds, dtype=np.float64)
    return Learned(fact=fact, requests=np.array(chosen, dtype=np.int64), at=at, details=details)


@st.composite
def histories(draw):
    """How long a ledger is, and legal facts about it in the order in which they are learned."""
    length = draw(st.integers(1, 8))
    ledger, story = Ledger(length, allowance=ALLOWANCE), []
    for _ in range(draw(st.integers(0, 12))):
        batch = legal_batch(draw, ledger)
        if batch is not None:
            ledger.apply(batch)
            story.append(batch)
    return length, story


def columns_of(ledger):
    return {
        "status": ledger.status.tolist(),
        "attempt": ledger.attempt.tolist(),
        "input_uploaded": ledger.input_uploaded.tolist(),
        "accepted_at": np.nan_to_num(ledger.accepted_at, nan=-1).tolist(),
        "finished_at": np.nan_to_num(ledger.finished_at, nan=-1).tolist(),
        "messages": ledger.messages,
        **{name: column.take(np.arange(len(ledger))) for name, column in ledger.texts.items()},
    }


@given(histories())
def test_counts_are_always_those_of_the_statuses(history):
    """They are kept by adding and taking away, so every step is compared with counting anew."""
    length, story = history
    ledger = Ledger(length, allowance=ALLOWANCE)
    for batch in story:
        ledger.apply(batch)

        assert tuple(np.bincount(ledger.status, minlength=len(Status))) == ledger.counts


@given(histories())
def test_the_same_facts_make_the_same_ledger(history):
    """Re-opening a job is applying what was written down, so applying must depend on nothing else."""
    length, story = history
    one, other = Ledger(length, allowance=ALLOWANCE), Ledger(length, allowance=ALLOWANCE)
    for batch in story:
        one.apply(batch)
    for batch in story:
        other.apply(batch)

    assert columns_of(one) == columns_of(other)
    assert one.revision == len(story) == other.revision


@given(histories())
def test_times_and_locations_are_there_exactly_when_their_fact_was_learned(history):
    """No attempt shows what belonged to another."""
    length, story = history
    ledger = Ledger(length, allowance=ALLOWANCE)
    for batch in story:
        ledger.apply(batch)
    was_accepted = ~np.isnan(ledger.accepted_at)
    located = np.array([location != "" for location in ledger.texts["output_location"].take(np.arange(length))])

    assert np.array_equal(located, was_accepted)
    assert not was_accepted[ledger.status < Status.ACCEPTED].any()
    assert np.array_equal(ledger.status > Status.ACCEPTED, ~np.isnan(ledger.finished_at))


@given(histories(), st.data())
def test_a_refused_fact_changes_nothing(history, data):
    """Not even for those requests in the batch that it could have been about."""
    length, story = history
    ledger = Ledger(length, allowance=ALLOWANCE)
    for batch in story:
        ledger.apply(batch)
    before, counts, revision = columns_of(ledger), ledger.counts, ledger.revision
    fact = data.draw(st.sampled_from(Fact))
    if not (NEXT[ledger.status, fact] == REFUSED_CELL).any():
        return

    with pytest.raises(IllegalFactError, match="Nothing was changed"):
        ledger.apply(learned(fact, *range(length), at=NOON + 1))

    assert (before, counts, revision) == (columns_of(ledger), ledger.counts, ledger.revision)


# Refusals, word for word


def test_an_illegal_fact_is_refused_with_the_story_of_the_request():
    """A defect is reported with all that was known about the request."""
    ledger = Ledger(4, allowance=ALLOWANCE)
    ledger.apply(
        learned(
            Fact.ACCEPTED,
            3,
            at=NOON + 0.25,
            output_location=["s3://bkt/out/3.out"],
            failure_location=["s3://bkt/fail/3-error.out"],
            inference_id=["abc-3"],
            request_id=["r-3"],
        )
    )
    ledger.apply(learned(Fact.OUTPUT_FOUND, 3, at=NOON + 60))

    with pytest.raises(IllegalFactError) as refusal:
        ledger.apply(learned(Fact.ACCEPTED, 3, at=NOON + 61))

    expected = (
        "ACCEPTED cannot be: request 3, attempt 1, is completed,"
        " accepted 2026-01-01T12:00:00.250+00:00, ended 2026-01-01T12:01:00.000+00:00,"
        " output_location s3://bkt/out/3.out, failure_location s3://bkt/fail/3-error.out,"
        " inference_id abc-3, request_id r-3. Nothing was changed."
    )
    assert expected == str(refusal.value)


def test_a_refusal_counts_the_others_that_are_like_it():
    """One story is enough to see what is wrong; the number says how wrong."""
    ledger = Ledger(3, allowance=ALLOWANCE)

    with pytest.raises(IllegalFactError) as refusal:
        ledger.apply(learned(Fact.OUTPUT_FOUND, 0, 1, 2))

    expected = "OUTPUT_FOUND cannot be: request 0, attempt 1, is planned (2 more like it). Nothing was changed."
    assert expected == str(refusal.value)


@pytest.mark.parametrize("requests", [(1, 1), (2, 0, 2)], ids=["neighbours", "apart"])
def test_a_request_named_twice_in_a_batch_is_refused(requests):
    """NumPy would quietly count it twice and store the last of its times."""
    ledger = Ledger(3, allowance=ALLOWANCE)

    with pytest.raises(IllegalFactError) as refusal:
        ledger.apply(learned(Fact.INPUT_UPLOADED, *requests))

    assert str(refusal.value) == "INPUT_UPLOADED names a request twice in one batch. Nothing was changed."
    assert ledger.counts == (3, 0, 0, 0, 0, 0, 0, 0)


def test_the_order_of_a_batch_does_not_matter():
    """Findings come as they come; times and texts go where they belong."""
    ledger = Ledger(3, allowance=ALLOWANCE)
    ledger.apply(learned(Fact.ACCEPTED, 2, 0, at=np.array([NOON + 2, NOON]), inference_id=["two", "zero"]))

    assert [NOON, NOON + 2] == ledger.accepted_at[[0, 2]].tolist()
    assert ledger.texts["inference_id"].take(np.arange(3)) == ["zero", "", "two"]


def test_an_empty_batch_changes_no_request():
    """A sweep that found nothing is no event."""
    ledger = Ledger(2, allowance=ALLOWANCE)
    ledger.apply(learned(Fact.ACCEPTED))

    assert ledger.counts == (2, 0, 0, 0, 0, 0, 0, 0)


# What follows from facts


def test_late_output_turns_expired_into_completed():
    """A presumption of expiry gives way to the output itself."""
    ledger = ledger_at(Status.EXPIRED)
    ledger.apply(learned(Fact.OUTPUT_FOUND, 0, at=NOON + 100))

    assert (Status.COMPLETED, NOON + 100) == (ledger.status[0], ledger.finished_at[0])


def test_late_failure_turns_expired_into_failed_with_its_message():
    """A late failure is better than none, since it says why."""
    ledger = ledger_at(Status.EXPIRED)
    ledger.apply(learned(Fact.FAILURE_FOUND, 0, at=NOON + 100, message=["out of memory"]))

    assert (Status.FAILED, {0: "out of memory"}) == (ledger.status[0], ledger.messages)


def test_what_comes_too_late_leaves_the_first_time_and_message():
    """A dot in the table changes nothing at all, neither the time nor the words."""
    ledger = Ledger(1, allowance=ALLOWANCE)
    ledger.apply(learned(Fact.ACCEPTED, 0))
    ledger.apply(learned(Fact.FAILURE_FOUND, 0, at=NOON + 5, message=["first"]))
    ledger.apply(learned(Fact.FAILURE_FOUND, 0, at=NOON + 9, message=["second"]))

    assert (NOON + 5, {0: "first"}) == (ledger.finished_at[0], ledger.messages)


def test_details_of_a_mixed_batch_go_to_the_requests_that_moved():
    """One request of the batch was known already; the words about it do not slip to its neighbour."""
    ledger = Ledger(2, allowance=ALLOWANCE)
    ledger.apply(learned(Fact.ACCEPTED, 0, 1))
    ledger.apply(learned(Fact.OUTPUT_FOUND, 0))
    ledger.apply(learned(Fact.FAILURE_FOUND, 0, 1, message=["about 0", "about 1"]))

    assert ledger.messages == {1: "about 1"}
    assert ledger.counts == (0, 0, 0, 1, 1, 0, 0, 0)


def test_retried_starts_a_new_attempt_and_forgets_the_old_one():
    """Its locations, times and words belonged to the attempt that failed; its input in S3 still serves."""
    ledger = Ledger(2, allowance=ALLOWANCE)
    ledger.apply(learned(Fact.INPUT_UPLOADED, 0, 1))
    ledger.apply(learned(Fact.ACCEPTED, 0, 1, output_location=["s3://b/0", "s3://b/1"], request_id=["r0", "r1"]))
    ledger.apply(learned(Fact.FAILURE_FOUND, 0, 1, message=["no", "no"]))
    ledger.apply(learned(Fact.RETRIED, 0))

    assert [1, 0] == ledger.attempt.tolist()
    assert [Status.PLANNED, Status.FAILED] == ledger.status.tolist()
    assert [True, True] == np.isnan([ledger.accepted_at[0], ledger.finished_at[0]]).tolist()
    assert ledger.texts["output_location"].take(np.arange(2)) == ["", "s3://b/1"]
    assert ledger.texts["request_id"].take(np.arange(2)) == ["", "r1"]
    assert ledger.messages == {1: "no"}
    assert ledger.input_uploaded[0]


def test_story_counts_attempts_from_one():
    """A reader's first attempt is attempt 1."""
    ledger = ledger_at(Status.REJECTED)
    ledger.apply(learned(Fact.RETRIED, 0))

    assert ledger.story(0) == "request 0, attempt 2, is planned"


@pytest.mark.parametrize("status", Status, ids=str)
def test_a_ledger_is_finished_when_no_request_can_get_further(status):
    """Planned, uploaded and accepted requests still have something coming."""
    assert status.is_final == ledger_at(status, length=3).is_finished


def test_a_ledger_without_requests_is_finished():
    """There is nothing to wait for in an empty frame."""
    assert Ledger(0, allowance=ALLOWANCE).is_finished


def test_where_gives_the_requests_in_order():
    """By any of several statuses."""
    ledger = Ledger(5, allowance=ALLOWANCE)
    ledger.apply(learned(Fact.REFUSED, 4, 0))
    ledger.apply(learned(Fact.ACCEPTED, 2))

    assert [0, 2, 4] == ledger.where(Status.REJECTED, Status.ACCEPTED).tolist()


def test_a_ledger_shows_how_its_requests_stand():
    """The repr names the statuses that there are, and no others."""
    ledger = Ledger(3, allowance=ALLOWANCE)
    ledger.apply(learned(Fact.INPUT_UPLOADED, 1))

    assert repr(ledger) == "<Ledger of 3 requests: 2 planned, 1 uploaded>"
    assert repr(Ledger(0, allowance=1)) == "<Ledger of 0 requests: none>"


# Deadlines


def test_one_allowance_serves_all_requests():
    """The usual case: every request of a job has the same limits."""
    ledger = Ledger(2, allowance=100)
    ledger.apply(learned(Fact.ACCEPTED, 0, 1, at=np.array([NOON, NOON + 7])))

    assert [NOON + 100, NOON + 107] == ledger.deadline(np.array([0, 1])).tolist()


def test_each_request_may_have_an_allowance_of_its_own():
    """TTL and timeout are fields of the request, so they may differ by row."""
    ledger = Ledger(3, allowance=np.array([100.0, 5.0, 50.0]))
    ledger.apply(learned(Fact.ACCEPTED, 0, 1, 2))

    assert [NOON + 50, NOON + 5] == ledger.deadline(np.array([2, 1])).tolist()
    assert [1, 2] == ledger.overdue(NOON + 50).tolist()


def test_a_request_that_was_never_accepted_has_no_deadline():
    """Nothing runs out for what was not promised."""
    assert np.isnan(Ledger(1, allowance=100).deadline(np.array([0]))).all()


@pytest.mark.parametrize(("seconds", "expected"), [(99.999, []), (100.0, [0]), (100.001, [0])])
def test_overdue_from_the_very_second_of_the_deadline(seconds, expected):
    """Not a moment earlier, since a presumption should be a safe one."""
    ledger = Ledger(1, allowance=100)
    ledger.apply(learned(Fact.ACCEPTED, 0))

    assert expected == ledger.overdue(NOON + seconds).tolist()


def test_next_deadline_is_the_earliest_of_those_that_wait():
    """The engine sleeps until then, so it must be right after every fact."""
    ledger = Ledger(3, allowance=100)
    nothing_waits = ledger.next_deadline
    ledger.apply(learned(Fact.ACCEPTED, 1, at=NOON + 10))
    ledger.apply(learned(Fact.ACCEPTED, 0, at=NOON))
    both = ledger.next_deadline
    ledger.apply(learned(Fact.OUTPUT_FOUND, 0, at=NOON + 50))
    nobody_overdue = ledger.overdue(NOON + 100).tolist()

    assert (np.inf, NOON + 100, [], NOON + 110) == (nothing_waits, both, nobody_overdue, ledger.next_deadline)


def test_nothing_is_overdue_twice():
    """Once its expiry is recorded, a request is not accepted any more."""
    ledger = Ledger(2, allowance=100)
    ledger.apply(learned(Fact.ACCEPTED, 0, 1))
    overdue = ledger.overdue(NOON + 100)
    ledger.apply(Learned(fact=Fact.DEADLINE_PASSED, requests=overdue, at=NOON + 100))

    assert [] == ledger.overdue(NOON + 1_000).tolist()
    assert ledger.next_deadline == np.inf


# What is still to be sent


def unsent(ledger, limit, *busy):
    marked = np.zeros(len(ledger), dtype=np.bool_)
    marked[list(busy)] = True
    return ledger.unsent(marked, limit).tolist()


def test_requests_are_sent_in_the_order_of_the_rows():
    """Planned and uploaded ones alike, those that are under way left out, and no more than asked for."""
    ledger = Ledger(8, allowance=ALLOWANCE)
    ledger.apply(learned(Fact.INPUT_UPLOADED, 5))
    ledger.apply(learned(Fact.ACCEPTED, 1))
    ledger.apply(learned(Fact.REFUSED, 2))
    ledger.apply(learned(Fact.CANCELLED, 3))

    assert [0, 4, 5, 6, 7] == unsent(ledger, 100)
    assert [0, 5, 6] == unsent(ledger, 3, 4)
    assert [] == unsent(ledger, 0)


def test_unsent_looks_beyond_one_window_of_the_columns():
    """The 16,384 requests that are looked at in one go are no border."""
    length = 3 * 16_384
    ledger = Ledger(length, allowance=ALLOWANCE)
    left = [5, 16_383, 16_384, 32_768, length - 1]
    ledger.apply(learned(Fact.ACCEPTED, *np.setdiff1d(np.arange(length), left)))

    assert left == unsent(ledger, 10)
    assert [16_383, 32_768] == unsent(ledger, 2, 5, 16_384)
    assert left[:4] == unsent(ledger, 4)


def test_a_retried_request_is_sent_again_although_later_ones_were_sent():
    """The search remembers how far it came, and goes back for a retry."""
    length = 40_000
    ledger = Ledger(length, allowance=ALLOWANCE)
    ledger.apply(learned(Fact.REFUSED, 7))
    ledger.apply(learned(Fact.ACCEPTED, *np.setdiff1d(np.arange(length), [7])))
    none_left = unsent(ledger, 10)
    ledger.apply(learned(Fact.RETRIED, 7))

    assert ([], [7]) == (none_left, unsent(ledger, 10))


def test_unsent_of_an_empty_ledger_is_empty():
    """Nothing, in the right shape for an index."""
    found = Ledger(0, allowance=ALLOWANCE).unsent(np.zeros(0, dtype=np.bool_), 10)

    assert ([], np.int64) == (found.tolist(), found.dtype)


# Size


def test_a_million_requests_go_through_their_lives_in_three_facts():
    """The size that the columns are there for."""
    million = np.arange(1_000_000)
    ledger = Ledger(million.size, allowance=ALLOWANCE)
    for fact in (Fact.INPUT_UPLOADED, Fact.ACCEPTED, Fact.OUTPUT_FOUND):
        ledger.apply(Learned(fact=fact, requests=million, at=NOON))

    assert ledger.counts == (0, 0, 0, 1_000_000, 0, 0, 0, 0)


def test_a_request_costs_less_than_two_hundred_bytes():
    """With the locations and ids that the real service returns, and no object for any row."""
    length = 100_000
    ledger = Ledger(length, allowance=ALLOWANCE)
    ids = [f"k3jx7ab2qd-{request:08d}-0" for request in range(length)]
    home = "s3://sagemaker-eu-west-1-123456789012/async/out/churn-20260101-120000-7f3a/00000"
    ledger.apply(
        learned(
            Fact.ACCEPTED,
            *range(length),
            output_location=[f"{home}/{number // 1_000:05d}/{one}.out" for number, one in enumerate(ids)],
            failure_location=[f"s3://sagemaker-eu-west-1-123456789012/async/fail/{one}-error.out" for one in ids],
            inference_id=ids,
            request_id=[f"{number:08x}-1111-2222-3333-444444444444" for number in range(length)],
        )
    )
    columns = (ledger.status, ledger.attempt, ledger.input_uploaded, ledger.accepted_at, ledger.finished_at)
    size = sum(column.nbytes for column in (*columns, *ledger.texts.values()))

    assert size / length < 200
    assert ledger.texts["output_location"][12_345] == f"{home}/00012/k3jx7ab2qd-00012345-0.out"


# Snapshots


def test_a_snapshot_counts_all_requests_and_those_that_ended():
    """Good or bad: an end is an end."""
    seen = Snapshot(revision=1, at=NOON, started_at=NOON, counts=(1, 2, 3, 4, 5, 6, 7, 8))

    assert (36, 30, 3) == (seen.requests, seen.ended, seen[Status.ACCEPTED])


def test_facts_are_checked_one_after_the_other_and_nothing_is_changed():
    """An upload and an acceptance in one batch are fine; an output of what was never accepted is not."""
    ledger = Ledger(3, allowance=100.0)
    uploaded = Learned(fact=Fact.INPUT_UPLOADED, requests=np.array([0, 1]), at=0.0)
    accepted = Learned(fact=Fact.ACCEPTED, requests=np.array([1]), at=0.0)
    found = Learned(fact=Fact.OUTPUT_FOUND, requests=np.array([1, 2]), at=0.0)
    ledger.check([])
    ledger.check([uploaded, accepted])

    with pytest.raises(IllegalFactError, match="OUTPUT_FOUND cannot be: request 2, attempt 1, is planned"):
        ledger.check([uploaded, accepted, found])
    assert (3, 0, 0, 0, 0, 0, 0, 0) == ledger.counts
