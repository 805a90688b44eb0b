"""Threads that block and never keep the interpreter from ending."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

import pytest

from sm_async_nb.aws.threads import DaemonThreads


def test_calls_give_what_they_give_and_raise_what_they_raise():
    """As any executor's do."""
    threads = DaemonThreads(2, name="t")
    good, bad = threads.submit(int, "7", base=8), threads.submit(int, "x")

    assert 7 == good.result(5)
    with pytest.raises(ValueError, match="invalid literal"):
        bad.result(5)
    threads.shutdown()


def test_there_are_never_more_threads_than_asked_for_and_one_that_is_idle_is_used_again():
    """Of a thousand calls one after the other, one thread does all."""
    threads = DaemonThreads(3, name="counted")
    seen = set()
    for _ in range(50):
        seen.add(threads.submit(lambda: threading.current_thread().name).result(5))
        time.sleep(0.001)  # until it is idle again
    gate = threading.Event()
    together = [threads.submit(gate.wait, 5) for _ in range(10)]
    named = {thread.name for thread in threading.enumerate() if thread.name.startswith("counted")}
    gate.set()

    assert len(seen) <= 3
    assert {"counted_0", "counted_1", "counted_2"} == named
    assert all(one.result(5) for one in together)
    threads.shutdown()
    assert [] == [thread for thread in threading.enumerate() if thread.name.startswith("counted")]


def test_a_shutdown_cancels_what_waits_and_takes_no_more():
    """What runs comes to its end."""
    threads = DaemonThreads(1, name="t")
    gate, begun = threading.Event(), threading.Event()
    running = threads.submit(lambda: begun.set() or gate.wait(5))
    waiting = threads.submit(int)
    begun.wait(5)
    threads.shutdown(wait=False, cancel_futures=True)
    gate.set()

    assert running.result(5)
    assert waiting.cancelled()
    with pytest.raises(RuntimeError, match="No call can be made"):
        threads.submit(int)


def test_a_call_that_blocks_does_not_keep_the_interpreter_from_ending():
    """Those of concurrent.futures would."""
    code = (
        "import time\n"
        "from sm_async_nb.aws.threads import DaemonThreads\n"
        "DaemonThreads(1, name='t').submit(time.sleep, 60)\n"
    )
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50, check=False)

    assert (0, "", "") == (done.returncode, done.stdout, done.stderr)
    assert time.monotonic() - started < 20
