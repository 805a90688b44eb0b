"""The one thread that draws: it renews all views of a kernel, five times a second, and is there only while needed.

What a front end says arrives on any thread, at any time, or never; it is put in a queue here and done in order. What
asks AWS is an errand, done on a thread of its own, so that the drawing goes on meanwhile.
"""

from __future__ import annotations

import contextvars
import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from functools import partial
from typing import Protocol

# Updates a second, and how long a thread without anything to do waits for more. Seconds.
EVERY_SECONDS = 0.2
_LINGER_SECONDS = 1.0

# How often in a row a view may fail before it is given up.
_FAILURES = 10

_log = logging.getLogger(__name__)

Act = Callable[[], object]


class Live(Protocol):
    """What is renewed: something that changes by itself."""

    def refresh(self, now: float) -> bool:
        """Draw what has changed; false when nothing more will change by itself."""


class Screen:
    """A queue of acts, the views that change by themselves, and the thread that serves both while there are any."""

    def __init__(self, *, every: float = EVERY_SECONDS) -> None:
        self._every = every
        self._changed = threading.Condition()
        self._acts: deque[Act] = deque()
        self._lives: list[Live] = []
        # Those that were added since the drawing began: what one of them says of its end may be out of date.
        self._added: list[Live] = []
        self._failures: Counter[Live] = Counter()
        self._thread: threading.Thread | None = None

    def call(self, act: Act) -> None:
        """Do this soon, on the thread that draws. Returns at once."""
        with self._changed:
            self._acts.append(act)
            self._awake()

    def add(self, live: Live) -> None:
        """Renew this from now on, until it says that nothing more will change."""
        with self._changed:
            for views in (self._lives, self._added):
                if live not in views:
                    views.append(live)
            self._awake()

    @property
    def is_idle(self) -> bool:
        """Whether there is no thread, since nothing is left to do."""
        return self._thread is None

    def _awake(self) -> None:
        self._changed.notify_all()
        if self._thread is None:
            # ipykernel 7.0 can send from the context of a cell only.
            context = contextvars.copy_context()
            self._thread = threading.Thread(target=context.run, args=(self._run,), name="sm-async-ui", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        drawn_at = lingers_until = time.monotonic()
        while True:
            with self._changed:
                if not self._acts:
                    self._changed.wait(
                        max(drawn_at + self._every - time.monotonic(), 0) if self._lives else self._every
                    )
                acts, lives = [*self._acts], [*self._lives]
                self._acts.clear()
                self._added.clear()
                if acts or lives:
                    lingers_until = time.monotonic() + _LINGER_SECONDS
                elif time.monotonic() >= lingers_until:
                    self._thread = None
                    return
            for act in acts:
                guarded(act)
            if time.monotonic() - drawn_at >= self._every:
                drawn_at = time.monotonic()
                self._drop([live for live in lives if not self._goes_on(live)])

    def _goes_on(self, live: Live) -> bool:
        """Renew it. One that fails is tried again some times: what it could not show may be gone by then."""
        told = guarded(partial(live.refresh, time.time()))
        self._failures[live] = self._failures[live] + 1 if told is None else 0
        return bool(told) or 0 < self._failures[live] < _FAILURES

    def _drop(self, over: list[Live]) -> None:
        for live in over:
            del self._failures[live]
        with self._changed:
            self._lives = [live for live in self._lives if live not in over or live in self._added]


def guarded(act: Act) -> object:
    """Do something whose failure must never stop a job or another view; it is logged, and None comes back."""
    try:
        return act()
    except Exception:  # noqa: BLE001 - whatever the front end has against it, the job goes on
        # Not a warning: without a handler that is printed, and a thread's print ends up in anybody's cell.
        _log.debug("A view cannot be renewed.", exc_info=True)
        return None


def errand(act: Act) -> None:
    """Do something that may wait for AWS, on a thread of its own."""
    threading.Thread(target=guarded, args=(act,), name="sm-async-errand", daemon=True).start()


SCREEN = Screen()
