"""How many calls are under way at once: found by trying, since the service does not say."""

from __future__ import annotations

import heapq
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sm_async_nb.core.pace import Pace

NOON = 1_767_268_800.0


def test_a_pace_begins_with_all_it_may():
    """Most services never throttle anybody, and nobody should wait for them."""
    pace = Pace(64)

    assert (64, 0) == (pace.room, pace.throttles)
    assert "<Pace of 64 of 64 calls at once, throttled 0 times>" == repr(pace)


def test_a_throttle_halves_the_window():
    """Down to one call at a time, and never to none."""
    pace, rooms = Pace(20), []
    for second in range(6):
        pace.throttled(sent_at=NOON + second, now=NOON + second + 0.1)
        rooms.append(pace.room)

    assert ([10, 5, 2, 1, 1, 1], 6) == (rooms, pace.throttles)


def test_calls_that_were_sent_before_a_cut_make_no_other():
    """Sixty-four that are throttled together are one message, not sixty-four."""
    pace = Pace(64)
    for call in range(64):
        pace.throttled(sent_at=NOON + call / 1_000, now=NOON + 1 + call / 1_000)

    assert (32, 64) == (pace.room, pace.throttles)


def test_a_window_of_successes_makes_room_for_one_more():
    """About: each adds its part."""
    pace = Pace(64)
    pace.throttled(sent_at=NOON, now=NOON + 1)
    for _ in range(33):
        pace.succeeded()

    assert 33 == pace.room


def test_a_small_window_grows_slowly():
    """Eight calls must get through before two are tried where one was."""
    pace = Pace(2)
    pace.throttled(sent_at=NOON, now=NOON + 1)
    rooms = [pace.succeeded() or pace.room for _ in range(8)]

    assert [1] * 7 + [2] == rooms


@given(st.integers(1, 100), st.lists(st.one_of(st.none(), st.floats(0, 10)), max_size=300))
def test_the_window_stays_between_one_and_the_most(most, story):
    """Whatever comes in whatever order."""
    pace = Pace(most)
    for sent_at in story:
        if sent_at is None:
            pace.succeeded()
        else:
            pace.throttled(sent_at, sent_at + 1)
        assert 1 <= pace.room <= most


def outcome(rate, most, latency, seconds=300, warm_up=60):
    """Calls that a service takes, as a share of what it would, and the share it throttles, once it has settled.

    The service fills a bucket with ``rate`` tokens a second, a second's worth at most, as AWS's APIs do. A call takes
    ``latency`` seconds, give or take a fifth, a throttled one as long.
    """
    chance, pace = random.Random(1), Pace(most)
    tokens, filled_at, taken, throttled, now = rate, 0.0, 0, 0, 0.0
    under_way: list[tuple[float, float, bool]] = []
    while now < seconds:
        while len(under_way) < pace.room:
            tokens, filled_at = min(tokens + (now - filled_at) * rate, rate), now
            is_taken = tokens >= 1
            tokens -= is_taken
            taken += is_taken and now > warm_up
            throttled += not is_taken and now > warm_up
            heapq.heappush(under_way, (now + latency * chance.uniform(0.8, 1.2), now, is_taken))
        now, sent_at, is_taken = heapq.heappop(under_way)
        if is_taken:
            pace.succeeded()
        else:
            pace.throttled(sent_at, now)
    return taken / (rate * (seconds - warm_up)), throttled / (taken + throttled)


@pytest.mark.parametrize(
    ("rate", "latency"),
    [(100, 0.02), (400, 0.02), (20, 0.1), (100, 0.1), (400, 0.1), (20, 0.5), (100, 0.5), (400, 0.5)],
)
def test_most_of_what_a_service_takes_is_used_and_little_of_it_is_throttled(rate, latency):
    """At least four fifths of its rate, and less than a tenth of the calls in vain."""
    used, in_vain = outcome(rate, 256, latency)

    assert used >= 0.8
    assert in_vain < 0.1
