"""The clock of the tests: time passes only where a loop would wait."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from sm_async_nb.testing import NOON, ManualClock


def test_a_sleep_of_six_hours_takes_six_hours_of_the_clock():
    """And no time of ours."""
    clock = ManualClock()
    clock.run(asyncio.sleep(6 * 60 * 60))

    assert (21_600.0, NOON.timestamp() + 21_600) == (clock.elapsed, clock.now())


def test_work_that_does_not_wait_takes_no_time():
    """Giving way to others is no waiting."""
    clock = ManualClock()

    async def busy():
        for _ in range(1_000):
            await asyncio.sleep(0)
        return "done"

    assert ("done", 0.0) == (clock.run(busy()), clock.elapsed)


def test_timers_go_off_in_their_order_and_at_their_times():
    """Whatever order they were set in."""
    clock, rang = ManualClock(), []

    async def ring(seconds):
        await asyncio.sleep(seconds)
        rang.append((seconds, round(clock.elapsed, 6)))

    async def all_of_them():
        await asyncio.gather(ring(3), ring(1), ring(2), ring(1))

    clock.run(all_of_them())

    assert rang == [(1, 1), (1, 1), (2, 2), (3, 3)]


def test_a_timeout_goes_off_when_its_time_has_come():
    """A coroutine that waits for ever is ended by the clock, as by a real one."""
    clock = ManualClock()

    async def impatient():
        async with asyncio.timeout(90):
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        clock.run(impatient())

    assert pytest.approx(90) == clock.elapsed


def test_where_everything_waits_and_no_timer_is_set_the_hang_is_an_error():
    """A test that would hang fails instead."""
    with pytest.raises(RuntimeError, match="Everything waits and no timer is set: this would hang"):
        ManualClock().run(asyncio.Event().wait())


def test_advance_lets_time_pass_at_once():
    """A laptop whose lid was closed: timers that came due meanwhile go off together afterwards."""
    clock, rang = ManualClock(), []

    async def ring(seconds):
        await asyncio.sleep(seconds)
        rang.append(clock.elapsed)

    async def story():
        rings = [asyncio.create_task(ring(seconds)) for seconds in (1, 2)]
        await asyncio.sleep(0)
        clock.advance(3_600)
        await asyncio.gather(*rings)

    clock.run(story())

    assert rang == [3_600, 3_600]


def test_a_clock_may_be_run_again_and_goes_on_where_it_stopped():
    """Two acts of one story."""
    clock = ManualClock(datetime(2026, 3, 1, tzinfo=UTC))
    clock.run(asyncio.sleep(10))
    clock.run(asyncio.sleep(5))

    assert (15.0, "<ManualClock 2026-03-01T00:00:15+00:00>") == (clock.elapsed, repr(clock))


def test_what_goes_wrong_inside_comes_out():
    """As it is."""

    async def wrong():
        await asyncio.sleep(1)
        raise LookupError("inside")

    with pytest.raises(LookupError, match="inside"):
        ManualClock().run(wrong())
