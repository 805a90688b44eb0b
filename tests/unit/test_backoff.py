"""How long a kind of call is left alone when it does not get through."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from sm_async_nb.core.ledger import Trouble
from sm_async_nb.errors import ServiceTroubleError
from sm_async_nb.job.backoff import Backoff, oldest

NOON = 1_767_268_800.0
SLOW_DOWN = ServiceTroubleError("503 SlowDown")


class Even(random.Random):
    """Chance without any."""

    def uniform(self, a, b):
        return (a + b) / 2


def pauses(count, backoff):
    """How long each of so many failures in a row is waited for."""
    now, waited = NOON, []
    for _ in range(count):
        backoff.meet(SLOW_DOWN, now)
        waited.append(backoff.hold_until - now)
        now = backoff.hold_until
    return waited


def test_pauses_double_from_half_a_second_to_half_a_minute():
    """A service that is out of order for an hour is asked twice a minute."""
    assert pauses(9, Backoff(Even())) == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]


@given(st.integers(0, 2**32))
def test_chance_makes_a_pause_half_to_one_and_a_half_of_itself(seed):
    """So that a thousand notebooks do not come back at the same instant."""
    waited = pauses(9, Backoff(random.Random(seed)))

    assert all(even / 2 <= one <= even * 1.5 for one, even in zip(waited, pauses(9, Backoff(Even())), strict=True))


def test_calls_that_fail_together_make_one_pause_and_are_counted():
    """Sixty-four at a time are one trouble and not sixty-four."""
    backoff = Backoff(Even())
    for call in range(64):
        backoff.meet(SLOW_DOWN, NOON + call / 1_000)

    assert backoff.hold_until - NOON == 0.5
    assert Trouble(message="503 SlowDown", since=NOON, calls=64) == backoff.trouble


def test_trouble_says_the_newest_words_and_the_oldest_time():
    """What is the matter now, and since when anything is."""
    backoff = Backoff(Even())
    backoff.meet(SLOW_DOWN, NOON)
    backoff.meet(ServiceTroubleError("the network is gone"), NOON + 60)

    assert Trouble(message="the network is gone", since=NOON, calls=2) == backoff.trouble


def test_a_call_that_gets_through_ends_the_trouble():
    """The next one begins anew, with a short pause."""
    backoff = Backoff(Even())
    pauses(5, backoff)
    backoff.get_on()
    after = (backoff.trouble, backoff.hold_until)

    assert ((None, 0.0), [0.5]) == (after, pauses(1, backoff))


def test_of_several_troubles_the_oldest_is_shown():
    """And none where there is none."""
    fresh, young, old = Backoff(Even()), Backoff(Even()), Backoff(Even())
    young.meet(SLOW_DOWN, NOON + 1)
    old.meet(ServiceTroubleError("429"), NOON)

    assert Trouble(message="429", since=NOON, calls=1) == oldest(fresh, young, old)
    assert oldest(fresh) is None
