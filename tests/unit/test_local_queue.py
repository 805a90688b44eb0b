"""The local endpoint's queue: order, slots, and the two deadlines."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from sm_async_nb.local.queue import Expire, InvocationQueue, Start, TimeOut

NOON = 1_700_000_000.0


def queue_of(*invocations, slots, **limits):
    queue = InvocationQueue(slots=slots)
    for invocation in invocations:
        queue.enqueue(invocation, now=NOON, **limits)
    return queue


def test_invocations_start_in_the_order_they_came():
    """First in, first out; the service keeps that as well as it can, this queue exactly."""
    queue = queue_of("a", "b", "c", slots=3)

    assert [Start("a"), Start("b"), Start("c")] == queue.next_actions(NOON)


def test_no_more_start_than_there_are_slots():
    """A slot is one of instances times MaxConcurrentInvocationsPerInstance."""
    queue = queue_of("a", "b", "c", slots=2)

    assert [Start("a"), Start("b")] == queue.next_actions(NOON)
    assert (2, 1) == (queue.running, queue.backlog)


def test_an_answer_frees_its_slot_for_the_next():
    """One in, one out."""
    queue = queue_of("a", "b", slots=1)
    queue.next_actions(NOON)

    assert queue.finished("a")
    assert [Start("b")] == queue.next_actions(NOON)


def test_every_action_is_told_once():
    """Asking again at the same instant gives nothing new."""
    queue = queue_of("a", slots=1)
    queue.next_actions(NOON)

    assert [] == queue.next_actions(NOON)


@pytest.mark.parametrize(
    ("later", "expected"),
    [(59.9, [Start("a")]), (60, [Expire("a")]), (3600, [Expire("a")])],
)
def test_a_request_expires_in_the_queue_when_its_ttl_has_passed(later, expected):
    """RequestTTLSeconds is the age in the queue; at that very age the request has expired."""
    queue = queue_of("a", slots=0, request_ttl_seconds=60)
    queue.slots = 1

    assert expected == queue.next_actions(NOON + later)


@pytest.mark.parametrize(("later", "expected"), [(0.9, []), (1, [TimeOut("a")])])
def test_a_request_times_out_when_it_ran_too_long(later, expected):
    """InvocationTimeoutSeconds counts from the start, however long the request waited before."""
    queue = queue_of("a", slots=0, invocation_timeout_seconds=1)
    queue.slots = 1
    queue.next_actions(NOON + 50)

    assert expected == queue.next_actions(NOON + 50 + later)


def test_a_running_request_does_not_expire():
    """The TTL ends with the waiting."""
    queue = queue_of("a", slots=1, request_ttl_seconds=60)
    queue.next_actions(NOON)

    assert [] == queue.next_actions(NOON + 61)


def test_a_timed_out_request_frees_its_slot_and_its_late_answer_is_void():
    """The next one starts at the same instant."""
    queue = queue_of("a", "b", slots=1, invocation_timeout_seconds=10)
    queue.next_actions(NOON)

    assert [TimeOut("a"), Start("b")] == queue.next_actions(NOON + 10)
    assert not queue.finished("a")


def test_deadlines_that_passed_together_are_told_by_their_time():
    """A queue that nobody looked at for a while still tells what came first, first."""
    queue = InvocationQueue(slots=0)
    queue.enqueue("patient", now=NOON, request_ttl_seconds=120)
    queue.enqueue("hasty", now=NOON, request_ttl_seconds=60)

    assert [Expire("hasty"), Expire("patient")] == queue.next_actions(NOON + 1000)


def test_the_service_waits_six_hours_and_runs_fifteen_minutes_unless_told():
    """The defaults in the service model's documentation."""
    queue = queue_of("a", slots=1)

    assert NOON + 21600 == queue.wakes_at()
    queue.next_actions(NOON)
    assert NOON + 900 == queue.wakes_at()


def test_an_idle_queue_never_wakes():
    """Deadlines of requests that are gone do not count."""
    queue = queue_of("a", slots=1)
    queue.next_actions(NOON)
    queue.finished("a")

    assert queue.wakes_at() is None


def test_the_same_request_is_not_in_the_queue_twice():
    """An invocation is its own key."""
    queue = queue_of("a", slots=1)

    with pytest.raises(ValueError, match="in the queue already"):
        queue.enqueue("a", now=NOON)


def test_a_lower_number_of_slots_interrupts_nothing():
    """What runs, runs on; nothing starts until enough have finished."""
    queue = queue_of("a", "b", "c", slots=2)
    queue.next_actions(NOON)
    queue.slots = 1
    queue.finished("a")

    assert [] == queue.next_actions(NOON)


def test_a_hundred_thousand_requests_leave_no_trace():
    """Deadlines of finished requests are swept, or a long life would fill the memory with them."""
    queue = queue_of(*range(100_000), slots=10)
    while queue.backlog:
        for action in queue.next_actions(NOON):
            queue.finished(action.invocation)

    assert (0, 0) == (queue.running, queue.backlog)
    assert len(queue._deadlines) < 2000


def test_an_invocation_may_overtake_all_that_wait():
    """The service keeps the order only as well as it can."""
    queue = queue_of("a", "b", slots=0)
    queue.enqueue("c", now=NOON, first=True)
    queue.slots = 3

    assert [Start("c"), Start("a"), Start("b")] == queue.next_actions(NOON)


def test_the_oldest_is_the_next_that_waits_or_the_first_that_runs():
    """For ApproximateAgeOfOldestRequest."""
    queue = queue_of("a", "b", slots=1)
    assert "a" == queue.oldest

    queue.next_actions(NOON)
    assert "b" == queue.oldest

    queue.slots = 2
    queue.next_actions(NOON)
    assert "a" == queue.oldest
    assert InvocationQueue(slots=1).oldest is None


def test_repr_tells_the_state():
    """A queue in a debugger says what it holds."""
    queue = queue_of("a", "b", slots=1)
    queue.next_actions(NOON)

    assert "<InvocationQueue 1 of 1 slots running, 1 waiting>" == repr(queue)


class QueueStory(RuleBasedStateMachine):
    """Any story of arrivals, answers and passing time: each request ends once, and in time."""

    def __init__(self):
        super().__init__()
        self.now = NOON
        self.slots = 2
        self.queue = InvocationQueue(slots=self.slots)
        self.deadlines = {}
        self.timeouts = {}
        self.running = {}
        self.ends = Counter()
        self.waiting = []

    @rule(ttl=st.integers(60, 120), timeout=st.integers(1, 90), first=st.booleans())
    def enqueue(self, ttl, timeout, first):
        invocation = len(self.deadlines)
        self.deadlines[invocation] = self.now + ttl
        self.timeouts[invocation] = timeout
        self.waiting.insert(0 if first else len(self.waiting), invocation)
        self.queue.enqueue(
            invocation, now=self.now, request_ttl_seconds=ttl, invocation_timeout_seconds=timeout, first=first
        )

    @rule(seconds=st.sampled_from([0, 0.5, 1, 30, 59, 60, 200]))
    def time_passes(self, seconds):
        self.now += seconds
        self.look()

    @rule()
    def time_passes_to_the_next_deadline(self):
        self.now = max(self.now, self.queue.wakes_at() or self.now)
        self.look()

    @rule()
    def look(self):
        for action in self.queue.next_actions(self.now):
            self.follow(action)
        assert self.queue.wakes_at() is None or self.queue.wakes_at() > self.now
        assert all(at > self.now for at in self.running.values())
        assert all(self.deadlines[invocation] > self.now for invocation in self.waiting)
        assert not self.waiting or len(self.running) >= self.slots

    @rule(slots=st.integers(0, 4))
    def scale(self, slots):
        self.slots = self.queue.slots = slots

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def finish(self, data):
        invocation = data.draw(st.sampled_from(sorted(self.running)))
        del self.running[invocation]
        self.ends[invocation] += 1

        assert self.queue.finished(invocation)

    @precondition(lambda self: self.ends)
    @rule(data=st.data())
    def answer_late(self, data):
        invocation = data.draw(st.sampled_from(sorted(self.ends)))

        assert not self.queue.finished(invocation)

    @invariant()
    def none_is_lost_and_none_ends_twice(self):
        assert {1} >= set(self.ends.values())
        assert len(self.deadlines) == self.queue.backlog + self.queue.running + len(self.ends)
        assert len(self.running) == self.queue.running

    def follow(self, action):
        invocation = action.invocation
        if isinstance(action, Start):
            assert self.now < self.deadlines[invocation]
            assert invocation == self.waiting.pop(0)
            self.running[invocation] = self.now + self.timeouts[invocation]
            # Only here: a lower number of slots interrupts nothing.
            assert len(self.running) <= self.slots
            return
        if isinstance(action, Expire):
            self.waiting.remove(invocation)
        deadline = self.running.pop(invocation) if isinstance(action, TimeOut) else self.deadlines[invocation]
        self.ends[invocation] += 1
        assert self.now >= deadline


TestQueueStory = QueueStory.TestCase
