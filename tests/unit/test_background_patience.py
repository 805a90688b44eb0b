"""How long an interrupt of the background loop takes, whatever hangs there."""

from __future__ import annotations

import _thread
import asyncio
import signal
import threading
import time

import pytest

from sm_async_nb.job import background


class Hanging:
    """A call on a thread that does not answer until it is let, which no cancelling ends: a name looked up, say."""

    def __init__(self):
        self.has_begun, self.may_end = threading.Event(), threading.Event()

    def __call__(self):
        self.has_begun.set()
        self.may_end.wait(5)


@pytest.fixture
def hanging():
    one = Hanging()
    yield one
    one.may_end.set()
    for thread in threads():
        thread.join(10)


def threads():
    return [thread for thread in threading.enumerate() if thread.name == "sm-async"]


def test_an_interrupt_does_not_wait_for_what_hangs(hanging):
    """A network that never answers kept a cell for as long as the SDK's own time limits."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell that runs the tests in the background ignores it
    pressed = []
    timer = threading.Timer(0.3, lambda: (pressed.append(time.monotonic()), _thread.interrupt_main()))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        background.run(asyncio.to_thread(hanging))
    seconds = time.monotonic() - pressed[0]
    timer.join()

    assert seconds < 1
    assert 1 == len(threads())


def test_a_thread_that_nobody_needs_is_waited_for_as_long_as_is_said(hanging):
    """And without a word until it has ended."""
    future = background.start(asyncio.to_thread(hanging))
    hanging.has_begun.wait(10)
    future.cancel()
    started = time.monotonic()
    background.settle(0.2)
    seconds = time.monotonic() - started
    were_left = len(threads())
    hanging.may_end.set()
    background.settle()

    assert 0.2 <= seconds < 1
    assert (1, []) == (were_left, threads())
