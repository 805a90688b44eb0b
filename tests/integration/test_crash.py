"""A client may be killed before or after any call it makes; the next one goes on, and no row is lost."""

from __future__ import annotations

import contextlib

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from integration.lives import LAYOUT, Client, Death, Killed, World, answers, wait_for_the_lease
from integration.scene import NEW_SDK, OLD_SDK, assert_same

from sm_async_nb.core.ledger import Ledger, Status
from sm_async_nb.errors import JobNotFoundError
from sm_async_nb.job.checkpoint import reopen
from sm_async_nb.job.papers import GRACE
from sm_async_nb.local.handler import ModelError

ROWS = 9


def model(body, content_type, accept):
    """Twice x; the row of 4 is one that the model fails on."""
    import json

    x = json.loads(body)["x"]
    if x == 4:
        raise ModelError("four is not my number")
    return json.dumps({"y": 2 * x})


def frame(rows=ROWS):
    return pd.DataFrame({"x": range(rows)}, index=[f"row {row}" for row in range(rows)])


def calls_of_a_whole_life(sdk):
    world = World(model, sdk=sdk)
    client = world.client()
    world.run(client.live(world.batch(frame()), concurrency=3))
    return client.death.calls


# With an SDK that knows no output path, answers are looked for one by one.
DEATHS = [
    pytest.param(sdk, call, after, id=f"{name}-{'after' if after else 'before'}-{call}")
    for name, sdk in {"new": NEW_SDK, "old": OLD_SDK}.items()
    for call in range(1, calls_of_a_whole_life(sdk) + 1)
    for after in (False, True)
]


@pytest.mark.parametrize(("sdk", "call", "after"), DEATHS)
def test_a_client_is_killed_at_any_call(sdk, call, after):
    """Every row ends as it should, the journal says what is, and only what was in flight is sent twice."""
    world = World(model, sdk=sdk)
    first, second = world.client(Death(call, after=after)), world.client()
    in_flight = []

    async def play():
        await first.live(world.batch(frame()), concurrency=3)
        in_flight.append(await unrecorded(world))
        await wait_for_the_lease()
        await begin_or_attach(world, second)
        await second.follow()

    world.run(play())
    ledger = second.opened.ledger

    assert [Status.COMPLETED] * 4 + [Status.FAILED] + [Status.COMPLETED] * 4 == statuses(ledger)
    assert [{"y": 2 * x} if x != 4 else None for x in range(ROWS)] == answers(world, second.opened)
    assert_same(ledger, folded(world))
    assert len(world.sent) - ROWS <= in_flight[0] <= 3


MORE_ROWS = 12


async def go_on(world: World, client: Client) -> None:
    """What `submit` does under the job's name, with more rows, and with what failed before."""
    found = await client.go_on(world.batch(frame(MORE_ROWS)), retry_failed=True, concurrency=3)
    await client.follow(found.again)


def calls_of_going_on():
    world = World(model)
    first, second = world.client(), world.client()

    async def play():
        await first.live(world.batch(frame()), concurrency=3)
        await go_on(world, second)

    world.run(play())
    return second.death.calls


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("call", range(1, calls_of_going_on() + 1))
def test_a_client_that_goes_on_with_more_rows_is_killed_at_any_call(call, after):
    """The same cell is run once more, and the job has all rows, each sent as often as was asked for."""
    world = World(model)
    lives = [world.client(), world.client(Death(call, after=after)), world.client()]

    async def play():
        await lives[0].live(world.batch(frame()), concurrency=3)
        with contextlib.suppress(Killed):
            await go_on(world, lives[1])
        in_flight.append(await unrecorded(world, MORE_ROWS))
        await wait_for_the_lease()
        await go_on(world, lives[2])

    in_flight = []
    world.run(play())
    last = lives[2].opened

    assert [{"y": 2 * x} if x != 4 else None for x in range(MORE_ROWS)] == answers(world, last)
    assert_same(last.ledger, folded(world, MORE_ROWS))
    assert len(world.sent) - len(set(world.sent)) <= in_flight[0] <= 3


@given(
    concurrency=st.integers(1, 8),
    rows=st.integers(1, 30),
    deaths=st.lists(st.tuples(st.integers(1, 60), st.booleans()), min_size=1, max_size=4),
    retries=st.integers(0, 1),
)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_no_row_is_lost_whatever_happens(concurrency, rows, deaths, retries):
    """Random jobs, killed at random calls, one client after the other."""
    world = World(model)
    lives = [world.client(Death(call, after=after)) for call, after in deaths] + [world.client()]
    in_flight = []

    async def play():
        for life in lives:
            try:
                await begin_or_attach(world, life, rows, concurrency=concurrency, retries=retries)
                await life.follow()
            except Killed:
                in_flight.append(await unrecorded(world, rows))
                await wait_for_the_lease()
            else:
                return life
        raise AssertionError("the last life is never killed")

    last = world.run(play())

    assert [{"y": 2 * x} if x != 4 else None for x in range(rows)] == answers(world, last.opened)
    assert_same(last.opened.ledger, folded(world, rows))
    assert len(world.sent) - len(set(world.sent)) <= sum(in_flight)


def test_a_job_survives_any_number_of_deaths():
    """Each life ends soon after it has attached, for as long as it takes."""
    world = World(model)
    lives = [world.client(Death(16 + life, after=bool(life % 2))) for life in range(60)]

    async def play():
        for life in lives:
            try:
                await begin_or_attach(world, life, concurrency=2)
                await life.follow()
            except Killed:
                await wait_for_the_lease()
            else:
                assert lives.index(life) >= 3
                return life
        raise AssertionError("it never ended")

    last = world.run(play())

    assert [{"y": 2 * x} if x != 4 else None for x in range(ROWS)] == answers(world, last.opened)
    assert_same(last.opened.ledger, folded(world))


def test_a_job_that_is_over_is_opened_as_it_ended():
    """Not a call to the endpoint, and nothing is written."""
    world = World(model)
    first, second = world.client(), world.client()

    async def play():
        await first.live(world.batch(frame()))
        objects = dict(world.storage.objects)
        opened = await second.attach()
        assert not opened.has_more_to_do
        return objects

    world.run(play())

    assert_same(first.opened.ledger, second.opened.ledger)
    assert ROWS == len(world.sent)
    pd.testing.assert_frame_equal(frame(), second.opened.papers.batch.frame)


async def begin_or_attach(world: World, client: Client, rows=ROWS, **settings):
    """What a user does: attach, and where there is no job yet, submit again."""
    try:
        await client.attach()
    except JobNotFoundError:
        await client.begin(world.batch(frame(rows)), **settings)


async def unrecorded(world: World, rows=ROWS) -> int:
    """How many requests reached the endpoint of which the journal does not know."""
    ledger = (await reopen(world.storage, LAYOUT, rows)).ledger
    return len(set(world.sent)) - int((ledger.attempt + ~np.isnan(ledger.accepted_at)).sum())


def folded(world: World, rows=ROWS) -> Ledger:
    async def fold():
        return (await reopen(world.storage, LAYOUT, rows, allowance=21_600 + 900 + GRACE)).ledger

    return world.clock.run(fold())


def statuses(ledger: Ledger) -> list[Status]:
    return [Status(status) for status in ledger.status.tolist()]
