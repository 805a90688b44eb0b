"""One event loop on one thread, for all jobs of the process, there only while somebody needs it.

A notebook's own loop is busy while a cell runs, so nothing of ours may live on it.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

Result = TypeVar("Result")

# A wait without a time limit cannot be interrupted on every platform, so waits are taken in pieces. Seconds.
TICK = 0.1

# How long what was interrupted may take to clean up behind it; it goes on without us then. Seconds.
_AFTER_AN_INTERRUPT = 0.4


class _Background:
    """The loop and how many need it; the thread starts with the first and ends with the last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def acquire(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            self._users += 1
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=_live, args=(self._loop,), name="sm-async", daemon=True)
                self._thread.start()
            return self._loop

    def release(self) -> None:
        with self._lock:
            self._users -= 1
            if not self._users and self._loop is not None:
                self._loop.call_soon_threadsafe(self._loop.stop)
                self._loop = None

    def call_soon(self, act: Callable[[], object]) -> None:
        with self._lock:
            if self._loop is not None:
                self._loop.call_soon_threadsafe(act)

    def settle(self, patience: float) -> None:
        """Wait until a thread that nobody needs any more has ended."""
        thread = self._thread
        if self._users or thread is None or thread is threading.current_thread():
            return
        give_up = time.monotonic() + patience
        while thread.is_alive() and time.monotonic() < give_up:
            thread.join(min(TICK, max(give_up - time.monotonic(), 0)))


_background = _Background()


def _live(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
        loop.run_until_complete(_cancel_what_is_left(loop))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        loop.close()


async def _cancel_what_is_left(loop: asyncio.AbstractEventLoop) -> None:
    left = asyncio.all_tasks(loop) - {asyncio.current_task()}
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)


def start(work: Coroutine[Any, Any, Result]) -> Future[Result]:
    """Run ``work`` on the background loop, which stays until it is done."""
    future = asyncio.run_coroutine_threadsafe(work, _background.acquire())
    future.add_done_callback(lambda _: _background.release())
    return future


def run(work: Coroutine[Any, Any, Result]) -> Result:
    """Run ``work`` on the background loop and wait for it; an interrupt cancels it, and soon returns."""
    future = start(work)
    patience = float("inf")
    try:
        return wait(future)
    except KeyboardInterrupt:
        future.cancel()
        patience = _AFTER_AN_INTERRUPT
        raise
    finally:
        settle(patience)


def wait(future: Future[Result], timeout: float = float("inf")) -> Result:
    """The future's result, waited for in pieces so that an interrupt gets through.

    Raises
    ------
    TimeoutError
        If it is not there after ``timeout`` seconds.
    """
    give_up = time.monotonic() + timeout
    while not future.done():
        if time.monotonic() >= give_up:
            raise TimeoutError
        concurrent.futures.wait([future], timeout=min(TICK, max(give_up - time.monotonic(), 0)))
    return future.result()


def call_soon(act: Callable[[], object]) -> None:
    """Have ``act`` called on the loop, if there is one."""
    _background.call_soon(act)


def settle(patience: float = float("inf")) -> None:
    """Return when the thread is gone, if nobody needs it any more, or after so many seconds."""
    _background.settle(patience)
