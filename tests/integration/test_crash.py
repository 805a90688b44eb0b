"""A client may be killed before or after any call it makes; the next one goes on, and no row is lost."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from integration.lives import LAYOUT, Client, Death, Killed, World, answers, wait_for_the_lease
from integration.scene import assert_same

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


def calls_of_a_whole_life(**settings):
    world = World(model)
    client = world.client()
    world.run(client.live(world.batch(frame()), **settings))
    return client.death.calls


CALLS = calls_of_a_whole_life(concurrency=3)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("call", range(1, CALLS + 1))
def test_a_client_is_killed_at_any_call(call, after):
    """Every row ends as it should, the journal says what is, and only what was in flight is sent twice."""
    world = World(model)
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


async def begin_or_attach(world: World, client: Client, **settings):
    """What a user does: attach, and where there is no job yet, submit again."""
    try:
        await client.attach()
    except JobNotFoundError:
        await client.begin(world.batch(frame()), **settings)


async def unrecorded(world: World) -> int:
    """How many requests reached the endpoint of which the journal does not know."""
    ledger = (await reopen(world.storage, LAYOUT, ROWS)).ledger
    return len(set(world.sent)) - int((~np.isnan(ledger.accepted_at)).sum())


def folded(world: World) -> Ledger:
    async def fold():
        return (await reopen(world.storage, LAYOUT, ROWS, allowance=21_600 + 900 + GRACE)).ledger

    return world.clock.run(fold())


def statuses(ledger: Ledger) -> list[Status]:
    return [Status(status) for status in ledger.status.tolist()]
