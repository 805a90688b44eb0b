"""The thread that draws: in order, guarded, and gone when nothing is left to do."""

from __future__ import annotations

import threading
import time

from sm_async_nb.notebook.panel.screen import Screen


def until(condition, seconds=10):
    give_up = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up, "it did not happen"
        time.sleep(0.005)


class Counter:
    def __init__(self, turns):
        self.turns, self.seen = turns, []

    def refresh(self, now):
        self.seen.append(now)
        return len(self.seen) < self.turns


def test_acts_are_done_in_order_on_one_thread():
    """Whatever threads they came from."""
    screen, done = Screen(every=0.01), []
    for number in range(50):
        screen.call(lambda number=number: done.append((number, threading.current_thread().name)))
    until(lambda: len(done) == 50)

    assert list(range(50)) == [number for number, _ in done]
    assert {"sm-async-ui"} == {name for _, name in done}


def test_what_changes_is_drawn_until_it_is_over():
    """And not once more."""
    screen, counter = Screen(every=0.01), Counter(3)
    screen.add(counter)
    screen.add(counter)
    until(lambda: len(counter.seen) == 3)
    screen.call(lambda: None)
    until(lambda: screen.is_idle)

    assert 3 == len(counter.seen)


def test_a_view_that_is_added_again_while_it_is_drawn_is_drawn_again():
    """A job that is retried just as it ends went on without its view."""
    screen = Screen(every=0.01)

    class Retried(Counter):
        def refresh(self, now):
            goes_on = super().refresh(now)
            if len(self.seen) == 1:
                screen.add(self)  # as another thread does, before what is said here is heard
            return goes_on

    retried = Retried(1)
    screen.add(retried)
    until(lambda: len(retried.seen) == 2)
    until(lambda: screen.is_idle)

    assert 2 == len(retried.seen)


def test_a_view_that_fails_does_not_take_the_others_with_it():
    """Nor the job."""
    screen, counter = Screen(every=0.01), Counter(3)

    class Broken:
        def refresh(self, now):
            raise RuntimeError("the front end is gone")

    screen.add(Broken())
    screen.add(counter)
    screen.call(lambda: 1 / 0)
    until(lambda: len(counter.seen) == 3)


def test_no_thread_is_left_when_nothing_is_left_to_do():
    """And there is one again when there is."""
    screen, done = Screen(every=0.01), []
    screen.call(lambda: done.append(1))
    until(lambda: screen.is_idle)
    screen.call(lambda: done.append(2))
    until(lambda: done == [1, 2])
    until(lambda: screen.is_idle)


def test_a_view_that_fails_now_and_then_goes_on_and_one_that_always_fails_is_given_up():
    """One answer that could not be shown ended the drawing of all others once."""
    screen, seen = Screen(every=0.001), []

    class Shaky(Counter):
        def refresh(self, now):
            goes_on = super().refresh(now)
            if len(self.seen) < 4:
                raise ValueError("what is this?")
            return goes_on

    class Broken:
        def refresh(self, now):
            seen.append(now)
            raise RuntimeError("the front end is gone")

    shaky = Shaky(6)
    screen.add(shaky)
    screen.add(Broken())
    until(lambda: screen.is_idle)

    assert (6, 10) == (len(shaky.seen), len(seen))
