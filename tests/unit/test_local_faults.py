"""The dice of the local endpoint, and what they do to a request's life."""

from __future__ import annotations

import threading

import pytest

from sm_async_nb.errors import RequestError
from sm_async_nb.local import Faults, Times
from sm_async_nb.local.faults import REQUEST_SWITCHES, SWITCHES, Injector


def throws(injector, switch, count=200, request=None):
    return [injector.strikes(switch, request) for _ in range(count)]


def asking(custom_attributes, **fields):
    return {"custom_attributes": custom_attributes, **fields}


def test_without_faults_nothing_happens():
    """An endpoint is well-behaved unless told."""
    injector = Injector()

    assert not any(any(throws(injector, switch, 3)) for switch in SWITCHES)
    assert {} == injector.injected


def test_the_same_seed_gives_the_same_faults():
    """A failing test can be run again."""
    first, second = (throws(Injector(Faults(throttle=0.3, seed=7)), "throttle") for _ in range(2))
    other = throws(Injector(Faults(throttle=0.3, seed=8)), "throttle")

    assert first == second
    assert first != other
    assert 40 <= sum(first) <= 80


def test_a_switch_is_not_disturbed_by_another():
    """Each has dice of its own, so adding a fault leaves the others where they were."""
    alone = throws(Injector(Faults(throttle=0.3)), "throttle")
    both = Injector(Faults(throttle=0.3, slow=0.5))
    mixed = [(both.strikes("slow"), both.strikes("throttle"))[1] for _ in range(200)]

    assert alone == mixed


def test_a_rate_of_one_is_always():
    """Not nearly always."""
    assert all(throws(Injector(Faults(slow=1)), "slow"))


def test_times_is_the_first_so_many():
    """Two throttlings and then peace."""
    assert [True, True, False, False] == throws(Injector(Faults(throttle=Times(2))), "throttle", 4)


def test_setting_faults_begins_anew_and_keeps_the_count():
    """What was injected, was."""
    injector = Injector(Faults(throttle=Times(1)))
    throws(injector, "throttle", 2)
    injector.faults = Faults(throttle=Times(1))
    throws(injector, "throttle", 2)
    injector.faults = Faults()
    throws(injector, "throttle", 2)

    assert {"throttle": 2} == injector.injected


@pytest.mark.parametrize("wrong", [-0.1, 1.1, 2, True, "often", None])
def test_a_rate_is_from_nought_to_one(wrong):
    """Refused when it is written down, not when it strikes."""
    with pytest.raises(RequestError, match="throttle is a rate from 0 to 1, or Times"):
        Faults(throttle=wrong)


def test_times_are_not_negative():
    """Nothing unhappens."""
    with pytest.raises(RequestError, match=r"0 or more times, got Times\(-1\)"):
        Times(-1)


def test_a_request_may_ask_for_a_fault_if_that_was_allowed():
    """By CustomAttributes; the request beside it is left alone."""
    injector = Injector(Faults(by_request=True))

    assert injector.strikes("throttle", asking("trace=7,fault=throttle"))
    assert not injector.strikes("slow", asking("trace=7,fault=throttle"))
    assert not injector.strikes("throttle", asking("trace=7"))
    assert not injector.strikes("throttle", {})


def test_a_request_that_was_not_allowed_to_ask_gets_nothing():
    """CustomAttributes are the user's own."""
    assert not Injector().strikes("throttle", asking("fault=throttle"))
    Injector().check(asking("fault=nonsense"))


def test_a_request_may_ask_for_its_first_attempts():
    """Each InferenceId has attempts of its own."""
    injector = Injector(Faults(by_request=True))

    assert [True, True, False] == throws(injector, "throttle", 3, asking("fault=throttle*2", inference_id="a"))
    assert [True, True, False] == throws(injector, "throttle", 3, asking("fault=throttle*2", inference_id="b"))


@pytest.mark.parametrize("asked", ["fault=s3_denied", "fault=nonsense", "fault=seed"])
def test_a_fault_that_there_is_not_cannot_be_asked_for(asked):
    """S3's belong to no request."""
    with pytest.raises(RequestError, match=r"CustomAttributes asks for fault=.*; there are throttle"):
        Injector(Faults(by_request=True)).check(asking(asked))


def test_many_threads_share_the_dice():
    """Times are not exceeded, whoever asks."""
    injector = Injector(Faults(s3_slow_down=Times(100)))
    threads = [threading.Thread(target=throws, args=(injector, "s3_slow_down")) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert {"s3_slow_down": 100} == injector.injected


def test_every_switch_is_explained():
    """In the docstring, which the documentation repeats."""
    assert [] == [switch for switch in SWITCHES if f"``{switch}``  " not in Faults.__doc__]
    assert set(REQUEST_SWITCHES) < set(SWITCHES)
