"""What to do next: tables of a ledger, a time and what is under way, and the plan that follows."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sm_async_nb.core.ledger import Fact, Learned, Ledger
from sm_async_nb.core.plan import (
    MAX_IN_FLIGHT,
    Cancel,
    DeclareExpired,
    Finish,
    GiveUp,
    Limits,
    LookForAnswers,
    Record,
    Retry,
    Send,
    Sleep,
    Stop,
    Underway,
    first_look,
    next_actions,
    next_look,
)
from sm_async_nb.errors import RequestError

NOON = 1_767_268_800.0
ALLOWANCE = 100.0
LIMITS = Limits(concurrency=4, max_unrecorded=8, max_in_flight=20)


def ledger_of(length=10, **facts):
    """A ledger with requests 0, 1, 2 ... taken in turn by each of the facts: ``ACCEPTED=3`` is the first three."""
    ledger, first = Ledger(length, allowance=ALLOWANCE), 0
    for name, count in facts.items():
        requests = np.arange(first, first + count)
        path = [Fact.ACCEPTED, Fact[name]] if name in {"OUTPUT_FOUND", "DEADLINE_PASSED"} else [Fact[name]]
        for fact in path:
            ledger.apply(Learned(fact=fact, requests=requests, at=NOON))
        first += count
    return ledger


def underway(length=10, *, busy=(), **state):
    marked = np.zeros(length, dtype=np.bool_)
    marked[list(busy)] = True
    return Underway(busy=marked, **state)


def plan(ledger, now=NOON, limits=LIMITS, **state):
    """The plan as plain values: the kind of each action and what it is about."""
    actions = next_actions(ledger, now, limits, underway(len(ledger), **state))
    return [(type(action), *(_plain(value) for value in vars(action).values())) for action in actions]


def _plain(value):
    return value.tolist() if isinstance(value, np.ndarray) else value


def kinds(actions):
    return [action[0] for action in actions]


# Sending


@pytest.mark.parametrize(
    ("ledger", "state", "expected"),
    [
        (ledger_of(10), {}, [0, 1, 2, 3]),
        (ledger_of(3), {}, [0, 1, 2]),
        (ledger_of(10), {"busy": [0, 1], "sending": 2, "unrecorded": 2}, [2, 3]),
        (ledger_of(10), {"busy": [0, 1, 2, 3], "sending": 4, "unrecorded": 4}, None),
        (ledger_of(10), {"busy": [0, 1, 2, 3, 4, 5, 6], "sending": 0, "unrecorded": 7}, [7]),
        (ledger_of(10), {"busy": [0, 1, 2, 3, 4, 5, 6, 7], "sending": 0, "unrecorded": 8}, None),
        (ledger_of(30, ACCEPTED=18), {}, [18, 19]),
        (ledger_of(30, ACCEPTED=18), {"busy": [18], "sending": 1, "unrecorded": 1}, [19]),
        (ledger_of(30, ACCEPTED=20), {}, None),
        (ledger_of(30, OUTPUT_FOUND=20), {}, [20, 21, 22, 23]),
        (ledger_of(10, INPUT_UPLOADED=2), {}, [0, 1, 2, 3]),
        (ledger_of(4, ACCEPTED=4), {}, None),
        (ledger_of(10), {"hold_until": NOON + 1}, None),
        (ledger_of(10), {"hold_until": NOON}, [0, 1, 2, 3]),
    ],
    ids=[
        "up to the concurrency",
        "as many as there are",
        "beside those under way",
        "concurrency used up",
        "room for one unrecorded",
        "too much unrecorded",
        "room for two in flight",
        "what is under way is in flight too",
        "too many in flight",
        "what ended takes no room",
        "uploaded ones are still to be invoked",
        "all sent",
        "held back",
        "held back no longer",
    ],
)
def test_requests_are_sent_as_far_as_the_limits_allow(ledger, state, expected):
    """Concurrency, what is not in the journal yet, and what waits for an answer each set a bound."""
    sent = [action[1] for action in plan(ledger, **state) if action[0] is Send]

    assert ([] if expected is None else [expected]) == sent


@given(
    st.builds(
        Limits,
        concurrency=st.integers(1, 10),
        max_unrecorded=st.integers(1, 10),
        max_in_flight=st.integers(1, 10),
    ),
    st.integers(0, 30),
    st.data(),
)
def test_no_limit_is_ever_exceeded(limits, accepted, data):
    """Whatever is under way, what is sent fits into all three limits at once."""
    ledger = ledger_of(40, ACCEPTED=accepted)
    sending = data.draw(st.integers(0, min(10, 40 - accepted)))
    unrecorded = data.draw(st.integers(sending, min(10, 40 - accepted)))
    busy = range(accepted, accepted + unrecorded)
    actions = plan(ledger, limits=limits, busy=busy, sending=sending, unrecorded=unrecorded)
    sent = [request for action in actions if action[0] is Send for request in action[1]]

    assert not sent or len(sent) + sending <= limits.concurrency
    assert not sent or len(sent) + unrecorded <= limits.max_unrecorded
    assert not sent or len(sent) + unrecorded + accepted <= limits.max_in_flight
    assert not set(sent) & {*busy, *range(accepted)}


@pytest.mark.parametrize("wrong", [0, -1, 2.5])
@pytest.mark.parametrize("limit", ["concurrency", "max_unrecorded", "max_in_flight"])
def test_limits_under_which_nothing_could_ever_be_sent_are_refused(limit, wrong):
    """A job that cannot begin should not seem to run."""
    with pytest.raises(RequestError, match=f"{limit} must be a whole number of at least 1, got {wrong!r}"):
        Limits(**{limit: wrong})


# Recording


@pytest.mark.parametrize(
    ("state", "now", "expected"),
    [
        ({"findings": 0}, NOON, False),
        ({"findings": 1, "found_at": NOON}, NOON, True),
        ({"findings": 1, "found_at": NOON, "sending": 1}, NOON + 0.499, False),
        ({"findings": 1, "found_at": NOON, "sending": 1}, NOON + 0.5, True),
        ({"findings": 3, "found_at": NOON, "sending": 1}, NOON, False),
        ({"findings": 4, "found_at": NOON, "sending": 1}, NOON, True),
        ({"findings": 9, "found_at": NOON, "recording": True}, NOON + 9, False),
    ],
    ids=[
        "nothing found",
        "nothing else comes",
        "more may come",
        "waited long enough",
        "not many yet",
        "half of what may be unrecorded",
        "one segment at a time",
    ],
)
def test_facts_wait_for_company_but_not_for_long(state, now, expected):
    """A segment is a PUT, so it should carry many facts; but what is not recorded may be lost."""
    assert expected == (Record in kinds(plan(ledger_of(10), now, **state)))


# Looking


@pytest.mark.parametrize(
    ("ledger", "state", "expected"),
    [
        (ledger_of(10), {}, False),
        (ledger_of(10, ACCEPTED=1), {}, True),
        (ledger_of(10, ACCEPTED=1), {"look_at": NOON}, True),
        (ledger_of(10, ACCEPTED=1), {"look_at": NOON + 1}, False),
        (ledger_of(10, ACCEPTED=1), {"looking": True}, False),
        (ledger_of(10, ACCEPTED=1), {"hold_until": NOON + 9}, True),
        (ledger_of(10, OUTPUT_FOUND=5), {}, False),
    ],
    ids=["nothing accepted", "accepted", "due now", "not yet", "one look at a time", "held back", "all answered"],
)
def test_answers_are_looked_for_while_some_are_missing(ledger, state, expected):
    """At the appointed time, one look after another, trouble with sending or not."""
    assert expected == (LookForAnswers in kinds(plan(ledger, **state)))


# Expiring


@pytest.mark.parametrize(
    ("seconds", "looked_at", "busy", "expected"),
    [
        (99.0, 99.0, [], []),
        (100.0, 99.0, [], []),
        (100.0, 100.0, [], [[0, 1]]),
        (100.0, 100.0, [0], [[1]]),
        (100.0, 100.0, [0, 1], []),
        (30_000.0, 50.0, [], []),
        (30_000.0, -math.inf, [], []),
    ],
    ids=[
        "in time",
        "nobody has looked since",
        "looked for at the deadline",
        "one is being written already",
        "all are",
        "a laptop that slept",
        "nobody ever looked",
    ],
)
def test_silence_is_what_a_look_after_the_deadline_has_not_found(seconds, looked_at, busy, expected):
    """Once for each request: while it is being written down, it is not declared again."""
    actions = plan(ledger_of(10, ACCEPTED=2), NOON + seconds, looked_at=NOON + looked_at, busy=busy)

    assert expected == [action[1] for action in actions if action[0] is DeclareExpired]


@pytest.mark.parametrize(
    ("seconds", "state", "expected"),
    [
        (99.9, {}, False),
        (100.0, {}, True),
        (100.0, {"looked_at": NOON + 99.9}, True),
        (100.0, {"looked_at": NOON + 100}, False),
        (100.0, {"looking": True}, False),
        (100.0, {"look_not_before": NOON + 101}, False),
        (101.0, {"look_not_before": NOON + 101}, True),
    ],
    ids=["in time", "at the deadline", "looked too early", "looked already", "under way", "held back", "no longer"],
)
def test_a_passed_deadline_is_a_reason_to_look(seconds, state, expected):
    """Before the appointed time if need be, but not while S3 is in trouble."""
    actions = plan(ledger_of(10, ACCEPTED=2), NOON + seconds, look_at=NOON + 1_000, **state)

    assert expected == (LookForAnswers in kinds(actions))


def test_a_request_that_expired_is_not_declared_again():
    """An expired request waits for nothing but a late object."""
    assert DeclareExpired not in kinds(plan(ledger_of(10, DEADLINE_PASSED=2), NOON + 1_000))


# Sleeping


@pytest.mark.parametrize(
    ("ledger", "state", "expected"),
    [
        (ledger_of(10), {}, math.inf),
        (ledger_of(10), {"hold_until": NOON + 3}, NOON + 3),
        (ledger_of(10), {"findings": 1, "found_at": NOON - 0.25, "sending": 1}, NOON + 0.25),
        (ledger_of(10), {"findings": 1, "found_at": NOON - 0.25, "sending": 1, "recording": True}, math.inf),
        (ledger_of(10, ACCEPTED=1), {"look_at": NOON + 5}, NOON + 5),
        (ledger_of(10, ACCEPTED=1), {"look_at": NOON + 5, "looking": True}, math.inf),
        (ledger_of(10, ACCEPTED=1), {"look_at": NOON + 500}, NOON + ALLOWANCE),
        (ledger_of(10, ACCEPTED=1), {"look_at": NOON + 5, "hold_until": NOON + 2}, NOON + 2),
        (ledger_of(10, ACCEPTED=1), {"look_at": NOON - 5, "hold_until": NOON - 2}, math.inf),
        (ledger_of(10, ACCEPTED=1), {"look_at": NOON - 5, "look_not_before": NOON + 7}, NOON + 7),
        (ledger_of(10, OUTPUT_FOUND=1), {"look_at": NOON + 5}, math.inf),
    ],
    ids=[
        "only news can help",
        "the hold ends",
        "the findings have waited",
        "they are being written",
        "the next look",
        "a look is under way",
        "the deadline comes first",
        "the earliest of several",
        "what is past does not wake",
        "S3 is left alone for a while",
        "nothing to look for",
    ],
)
def test_the_plan_ends_with_how_long_to_sleep(ledger, state, expected):
    """Until the earliest time at which there is something new to do, and never into the past."""
    last = plan(ledger, **state)[-1]

    assert (Sleep, expected) == last


@given(
    st.integers(0, 5),
    st.floats(-50, 150),
    st.fixed_dictionaries(
        {
            "findings": st.integers(0, 9),
            "found_at": st.floats(NOON - 2, NOON),
            "recording": st.booleans(),
            "looking": st.booleans(),
            "hold_until": st.floats(NOON - 5, NOON + 40),
            "look_at": st.floats(NOON - 5, NOON + 20),
            "look_not_before": st.floats(NOON - 5, NOON + 20),
            "looked_at": st.floats(NOON - 5, NOON + 150),
            "sending": st.integers(0, 4),
        }
    ),
)
def test_sleep_comes_last_and_ends_in_the_future(accepted, seconds, state):
    """Or the engine would spin."""
    now = NOON + seconds
    actions = plan(ledger_of(10, ACCEPTED=accepted), now, unrecorded=state["sending"], **state)

    assert Sleep == kinds(actions)[-1]
    assert [Sleep] == [kind for kind in kinds(actions) if kind is Sleep]
    assert actions[-1][1] > now


@given(
    st.integers(0, 10),
    st.floats(0, 150),
    st.fixed_dictionaries(
        {
            "hold_until": st.floats(NOON, NOON + 40),
            "look_at": st.floats(NOON, NOON + 200),
            "look_not_before": st.floats(NOON, NOON + 200),
            "looked_at": st.floats(NOON - 5, NOON + 150) | st.just(-math.inf),
        }
    ),
)
def test_nothing_sleeps_for_ever_while_a_request_has_not_ended(accepted, seconds, state):
    """When nothing is under way that could bring news, there is something to do, or a time to wake at."""
    actions = plan(ledger_of(10, ACCEPTED=accepted), NOON + seconds, **state)

    assert len(actions) > 1 or actions[0][1] < math.inf


# Finishing


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ({}, True),
        ({"looking": True}, True),
        ({"unrecorded": 1}, False),
        ({"findings": 1}, False),
        ({"recording": True}, False),
    ],
    ids=["all done", "a look is under way", "something is being sent", "something was found", "it is being written"],
)
def test_the_job_is_over_when_all_ended_and_all_is_written(state, expected):
    """Then and only then; a look for late objects does not keep it."""
    assert expected == (plan(ledger_of(3, REFUSED=3), **state) == [(Finish,)])


def test_a_job_without_requests_is_over_at_once():
    """An empty frame is no reason to wait."""
    assert plan(ledger_of(0)) == [(Finish,)]


def test_a_plan_changes_nothing():
    """Asking twice gives the same answer."""
    ledger, state = ledger_of(10, ACCEPTED=3), {"findings": 1, "found_at": NOON, "sending": 1, "unrecorded": 1}

    assert plan(ledger, NOON + 100, **state) == plan(ledger, NOON + 100, **state)


# How often to look

pauses = st.floats(0, 10_000)
prices = st.fixed_dictionaries({"lists": st.integers(0, 2_000), "heads": st.integers(0, 128)})
one_list = {"lists": 1, "heads": 0}


def pause_after(pause, **look):
    return next_look(NOON, pause, **look) - NOON


def test_the_first_look_comes_a_quarter_of_a_second_after_the_first_acceptance():
    """A model that answers in milliseconds is not waited for longer than that."""
    assert NOON + 0.25 == first_look(NOON)


@given(pauses, st.integers(0, 10**6), prices)
def test_pauses_are_bounded(pause, found, price):
    """A quarter of a second to a quarter of a minute, unless so many calls are needed that they set the pace."""
    longest = max(15.0, price["lists"] / 20 + price["heads"] / 250)

    assert 0.25 - 1e-6 <= pause_after(pause, found=found, **price) <= longest + 1e-6


@given(pauses, st.integers(0, 10**6), prices)
def test_looking_never_costs_more_than_twenty_lists_a_second(pause, found, price):
    """S3 answers more, but every call is paid for; a HEAD costs two twenty-fifths of a LIST."""
    paid = price["lists"] + 0.08 * price["heads"]

    assert paid / pause_after(pause, found=found, **price) <= 20 + 1e-3


@given(pauses, pauses, st.integers(0, 200), prices)
def test_a_longer_pause_is_never_followed_by_a_shorter_one_than_a_shorter_pause_is(pause, other, found, price):
    """Monotone in how long was waited."""
    short, long = sorted([pause, other])

    assert pause_after(short, found=found, **price) <= pause_after(long, found=found, **price) + 1e-6


@given(pauses, st.integers(0, 10**5), st.integers(0, 10**5), prices)
def test_the_more_is_found_the_sooner_is_looked_again(pause, found, other, price):
    """Monotone in what was found."""
    few, many = sorted([found, other])

    assert pause_after(pause, found=many, **price) <= pause_after(pause, found=few, **price) + 1e-6


@given(st.floats(0.25, 10), st.sampled_from([one_list, {"lists": 0, "heads": 32}, {"lists": 0, "heads": 0}]))
def test_looking_in_vain_makes_the_next_pause_longer(pause, price):
    """By half, up to a quarter of a minute; also where there was nothing yet to look at."""
    expected = min(pause * 1.5, 15.0)

    assert expected == pytest.approx(pause_after(pause, found=0, **price))


@given(st.floats(0.25, 10), st.integers(1, 49))
def test_finding_a_few_answers_keeps_the_pause_near_two_seconds(pause, found):
    """Slow growth, and none beyond two seconds: somebody watches the counts."""
    expected = min(pause * 1.1, max(pause, 2.0))

    assert expected == pytest.approx(pause_after(pause, found=found, **one_list))


@pytest.mark.parametrize(
    ("found", "price"),
    [(50, one_list), (100, {"lists": 2, "heads": 0}), (13, {"lists": 0, "heads": 32}), (63, {"lists": 1, "heads": 32})],
    ids=["a list", "two lists", "heads", "both"],
)
def test_finding_many_answers_for_their_price_makes_the_next_pause_shorter(found, price):
    """One answer less, and it does not."""
    assert 3.0 / 1.5 == pytest.approx(pause_after(3.0, found=found, **price))
    assert pause_after(3.0, found=found - 1, **price) >= 3.0 - 1e-6


def test_from_the_shortest_to_the_longest_pause_it_takes_a_dozen_looks():
    """An endpoint that sleeps for minutes costs four LISTs a minute and not four a second."""
    pause, looks = 0.25, 0
    while pause < 15:
        pause, looks = pause_after(pause, found=0, **one_list), looks + 1

    assert looks == 11


# Trying again, stopping, and giving up


def failed(statuses, length=30):
    """A ledger whose first requests failed with these statuses of the model's; the others wait for their answers."""
    ledger = Ledger(length, allowance=ALLOWANCE)
    everything, first = np.arange(length), np.arange(len(statuses))
    ledger.apply(Learned(fact=Fact.ACCEPTED, requests=everything, at=NOON))
    told = {"http_status": [str(status) if status else None for status in statuses]}
    ledger.apply(Learned(fact=Fact.FAILURE_FOUND, requests=first, at=NOON, details=told))
    return ledger


def actions(kind, ledger, now=NOON, *, limits, **state):
    found = next_actions(ledger, now, limits, underway(len(ledger), **state))
    return [action for action in found if isinstance(action, kind)]


@pytest.mark.parametrize(("after", "expected"), [(4.9, []), (5.0, [0, 2]), (1_000.0, [0, 2])])
def test_what_may_pass_is_sent_again_after_a_rest(after, expected):
    """5xx and nothing else, five seconds after the first time."""
    found = actions(Retry, failed([500, 400, 503, None]), NOON + after, limits=Limits(retries=1))

    assert expected == [request for action in found for request in action.requests.tolist()]


def test_the_plan_wakes_up_for_a_retry():
    """Nothing else may happen until then."""
    limits = Limits(retries=1)
    sleeps = actions(Sleep, failed([500], 1), NOON, limits=limits, looked_at=NOON)

    assert [NOON + 5] == [sleep.until for sleep in sleeps]


def test_nothing_is_retried_that_was_tried_often_enough_or_is_being_retried():
    """Attempts are counted, and a fact that is being written is not noted twice."""
    ledger = failed([500, 500])
    ledger.attempt[0] = 2

    assert [] == actions(Retry, ledger, NOON + 900, limits=Limits(retries=2), busy=[1])


@pytest.mark.parametrize(
    ("max_failures", "statuses", "expected"),
    [
        (2, [400] * 2, []),
        (2, [400] * 3, ["3 requests ended badly, more than max_failures=2"]),
        (0, [400], ["1 requests ended badly, more than max_failures=0"]),
        (0.5, [400] * 19, []),
        (0.5, [400] * 20, ["20 of 20 requests ended badly, more than max_failures=0.5"]),
        (None, [400] * 30, []),
    ],
)
def test_more_failures_than_allowed_stop_the_job(max_failures, statuses, expected):
    """A share of them says something only when twenty have ended."""
    found = actions(Stop, failed(statuses), limits=Limits(max_failures=max_failures))

    assert expected == [action.reason for action in found]


def test_a_job_that_went_wrong_says_so_although_all_has_ended():
    """It may be over before anybody has counted."""
    ledger = failed([400] * 30)

    assert [Stop, Sleep] == [
        type(action) for action in next_actions(ledger, NOON, Limits(max_failures=3), underway(30))
    ]
    assert [Finish()] == next_actions(ledger, NOON, Limits(max_failures=3), underway(30, is_stopped=True))


def test_failures_that_will_be_retried_do_not_count_yet():
    """They may pass."""
    assert [] == actions(Stop, failed([500] * 5), limits=Limits(max_failures=3, retries=1))


def test_a_job_that_is_stopped_cancels_what_nobody_is_sending():
    """And sends nothing."""
    ledger = Ledger(5, allowance=ALLOWANCE)

    assert [[0, 2, 3, 4]] == [
        action.requests.tolist() for action in actions(Cancel, ledger, limits=LIMITS, busy=[1], is_stopped=True)
    ]
    assert [] == actions(Send, ledger, limits=LIMITS, is_stopped=True)


@pytest.mark.parametrize(("send_until", "sends"), [(NOON - 1, 0), (NOON, 0), (NOON + 1, 1)])
def test_nothing_is_sent_without_a_lease(send_until, sends):
    """Somebody else may be sending."""
    assert sends == len(actions(Send, Ledger(5, allowance=ALLOWANCE), limits=LIMITS, send_until=send_until))


def test_no_more_is_sent_at_a_time_than_the_service_bears():
    """The window is smaller than the concurrency after a throttle."""
    (send,) = actions(Send, Ledger(9, allowance=ALLOWANCE), limits=LIMITS, window=2)

    assert [0, 1] == send.requests.tolist()


def test_only_lost_payloads_are_left():
    """Then somebody has to be told."""
    ledger = ledger_of(3, ACCEPTED=1)
    ledger.apply(Learned(fact=Fact.OUTPUT_FOUND, requests=np.array([0]), at=NOON))

    assert [GiveUp()] == next_actions(ledger, NOON, LIMITS, underway(3, busy=[1, 2], lost=2))
    assert [] == actions(GiveUp, ledger, limits=LIMITS, busy=[1], lost=1)


def test_more_in_flight_than_the_service_holds_is_refused():
    """Its queue would refuse them."""
    with pytest.raises(RequestError, match="max_in_flight must be at most 120,000"):
        Limits(max_in_flight=MAX_IN_FLIGHT + 1)


@pytest.mark.parametrize("given", [-1, 1.5, "3", True, float("nan"), -0.1])
def test_a_number_of_failures_that_is_none_is_refused(given):
    """A whole number, or a share."""
    with pytest.raises(RequestError, match="max_failures must be a whole number of requests, or a share"):
        Limits(max_failures=given)


def test_a_job_that_is_opened_again_looks_once_for_late_answers():
    """What was taken for expired may have come meanwhile."""
    ledger = ledger_of(1, DEADLINE_PASSED=1)

    assert [LookForAnswers()] == actions(LookForAnswers, ledger, limits=LIMITS)
    assert [Finish()] == next_actions(ledger, NOON, LIMITS, underway(1, looked_at=NOON))
