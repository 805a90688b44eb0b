"""When instances of the local endpoint come and go."""

from __future__ import annotations

import pytest

from sm_async_nb.local.scaling import Scaling, ScalingRule

NOON = 1_700_000_000.0
COLD = ScalingRule(cold_start=30)


def counts(scaling):
    return scaling.current, scaling.desired


def test_without_a_cold_start_instances_come_at_once_and_stay():
    """And none come by themselves: an endpoint without a scaling policy stays at zero."""
    scaling = Scaling(0, ScalingRule())
    scaling.look(100, NOON, busy=True)

    assert (0, 0) == counts(scaling)
    scaling.configure(2, NOON)
    assert (2, 2) == counts(scaling)


@pytest.mark.parametrize(("later", "expected"), [(0, (0, 1)), (29.9, (0, 1)), (30, (1, 1))])
def test_the_first_request_wakes_an_endpoint_and_waits_for_it(later, expected):
    """Half a minute here, minutes on the real service."""
    scaling = Scaling(0, COLD)
    scaling.look(1, NOON, busy=True)
    scaling.look(1, NOON + later, busy=True)

    assert expected == counts(scaling)


def test_it_says_when_to_look_again():
    """At the end of the cold start, and not before."""
    scaling = Scaling(0, COLD)
    assert scaling.wakes_at() is None

    scaling.look(1, NOON, busy=True)
    assert NOON + 30 == scaling.wakes_at()


def test_a_small_backlog_may_not_be_enough():
    """Without a policy on HasBacklogWithoutCapacity the service waits for its target."""
    scaling = Scaling(0, ScalingRule(cold_start=0, wakes_at_backlog=5))
    scaling.look(4, NOON, busy=True)
    assert (0, 0) == counts(scaling)

    scaling.look(5, NOON, busy=True)
    assert (1, 1) == counts(scaling)


def test_an_idle_endpoint_falls_asleep_and_can_be_woken_again():
    """Scale to zero."""
    scaling = Scaling(2, ScalingRule(cold_start=30, scale_to_zero_after=300))
    scaling.look(0, NOON, busy=False)
    assert NOON + 300 == scaling.wakes_at()

    scaling.look(0, NOON + 300, busy=False)
    assert (0, 0) == counts(scaling)

    scaling.look(1, NOON + 400, busy=True)
    scaling.look(1, NOON + 430, busy=True)
    assert (2, 2) == counts(scaling)


def test_work_keeps_it_awake():
    """The idle time begins when the last request has ended."""
    scaling = Scaling(1, ScalingRule(scale_to_zero_after=300))
    scaling.look(0, NOON, busy=False)
    scaling.look(0, NOON + 200, busy=True)
    scaling.look(0, NOON + 400, busy=False)
    scaling.look(0, NOON + 600, busy=False)

    assert (1, 1) == counts(scaling)
    assert NOON + 700 == scaling.wakes_at()


def test_more_instances_take_a_cold_start_too_and_fewer_do_not():
    """UpdateEndpointWeightsAndCapacities."""
    scaling = Scaling(1, COLD)
    scaling.configure(3, NOON)
    assert (1, 3) == counts(scaling)

    scaling.look(0, NOON + 30, busy=False)
    assert (3, 3) == counts(scaling)

    scaling.configure(1, NOON + 40)
    assert (1, 1) == counts(scaling)
    assert "<Scaling 1 of 1 instances>" == repr(scaling)


def test_an_endpoint_that_is_given_instances_does_not_fall_asleep_at_once():
    """However long it was idle before: it was wanted at that moment."""
    scaling = Scaling(1, ScalingRule(cold_start=0, scale_to_zero_after=60))
    for later in (0, 60):
        scaling.look(0, NOON + later, busy=False)
    assert (0, 0) == counts(scaling)

    scaling.configure(2, NOON + 100)
    for later in (100, 159):
        scaling.look(0, NOON + later, busy=False)

    assert (2, 2) == counts(scaling)
