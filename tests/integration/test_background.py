"""The one loop on its one thread: there while it is needed and gone afterwards.

The only file of this ring with a thread in it, since the thread is what it is about.
"""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future

import pytest

from sm_async_nb.job import background


def threads():
    return [thread for thread in threading.enumerate() if thread.name == "sm-async"]


async def where():
    return threading.current_thread().name, id(asyncio.get_running_loop())


@pytest.fixture(autouse=True)
def _nothing_is_left():
    yield
    background.settle()

    assert threads() == []


def test_work_runs_on_the_thread_and_its_result_comes_back():
    """Whatever loop the caller has of its own."""
    name, _ = background.run(where())

    assert (name, []) == ("sm-async", threads())


def test_work_may_be_run_from_inside_a_running_loop():
    """A notebook's cell runs in one."""

    async def cell():
        return background.run(where())[0]

    assert asyncio.run(cell()) == "sm-async"


def test_what_goes_wrong_comes_back_as_it_is():
    """And ends the thread all the same."""

    async def wrong():
        raise LookupError("inside")

    with pytest.raises(LookupError, match="inside"):
        background.run(wrong())


def test_all_work_of_the_process_shares_one_loop():
    """Ten jobs are ten coroutines, not ten threads."""
    gate = Future()

    async def waiting():
        await asyncio.wrap_future(gate)
        return await where()

    futures = [background.start(waiting()) for _ in range(10)]
    running = len(threads())
    gate.set_result(None)

    assert 1 == running == len({background.wait(future) for future in futures})


def test_a_wait_that_takes_too_long_leaves_the_work_alone():
    """The work goes on, and can be waited for again."""
    gate = Future()

    async def waiting():
        await asyncio.wrap_future(gate)
        return "done"

    future = background.start(waiting())
    with pytest.raises(TimeoutError):
        background.wait(future, timeout=0)
    gate.set_result(None)

    assert background.wait(future) == "done"


def test_work_after_the_end_starts_a_new_thread():
    """The next job of the day."""
    background.run(where())

    assert background.run(where())[0] == "sm-async"


def test_settling_when_nothing_ever_ran_is_no_matter():
    """It may be called at any time."""
    assert background.settle() is None
