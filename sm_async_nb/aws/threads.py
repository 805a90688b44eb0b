"""Threads for calls that block, which never keep the interpreter from ending.

Python waits at its end for the threads of ``concurrent.futures``, and a call into a network that is gone takes a minute
to give up. A job needs no such end: what lies in S3 is the truth, and another kernel goes on from there.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

Result = TypeVar("Result")

_Work = tuple[Future[Any], Callable[[], Any]] | None


class DaemonThreads(Executor):
    """At most so many threads, each made when there is more to do than those that are there can begin at once."""

    def __init__(self, at_most: int, *, name: str) -> None:
        self._at_most = at_most
        self._name = name
        self._threads: list[threading.Thread] = []
        self._work: SimpleQueue[_Work] = SimpleQueue()
        self._idle = threading.Semaphore(0)
        self._lock = threading.Lock()
        self._is_shut = False

    def submit(self, function: Callable[..., Result], /, *arguments: Any, **keywords: Any) -> Future[Result]:
        """Call a function on one of the threads.

        Raises
        ------
        RuntimeError
            After a shutdown.
        """
        future: Future[Result] = Future()
        with self._lock:
            if self._is_shut:
                raise RuntimeError("No call can be made after the shutdown.")
            self._work.put((future, partial(function, *arguments, **keywords)))
            if not self._idle.acquire(blocking=False) and len(self._threads) < self._at_most:
                self._begin()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 - Executor's
        """Take no more calls, and wait for those that run."""
        with self._lock:
            self._is_shut = True
        if cancel_futures:
            self._cancel_what_waits()
        for _ in self._threads:
            self._work.put(None)
        if wait:
            for thread in self._threads:
                thread.join()

    def _begin(self) -> None:
        name = f"{self._name}_{len(self._threads)}"
        thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _run(self) -> None:
        while True:
            work = self._work.get()
            if work is None:
                return
            _do(*work)
            del work  # the answer belongs to whoever asked
            self._idle.release()

    def _cancel_what_waits(self) -> None:
        while True:
            try:
                work = self._work.get_nowait()
            except Empty:
                return
            if work is not None:
                work[0].cancel()


def _do(future: Future[Any], call: Callable[[], Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(call())
    except BaseException as error:  # noqa: BLE001 - raised where the future is asked
        future.set_exception(error)
