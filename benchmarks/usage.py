"""What a process used: CPU, memory, and the calls that the service counted."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

_TICKS = os.sysconf("SC_CLK_TCK")


def cpu() -> float:
    """Seconds of this process so far, its threads and what is no Python included."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


@contextlib.contextmanager
def measured(url: str) -> Iterator[dict[str, Any]]:
    """Filled when the block is left.

    ``seconds`` of the clock, ``cpu`` seconds of this process, ``server_cpu`` those of the service, ``machine_cpu``
    those of all that ran on the machine, ``memory`` the most bytes that were held over what was held before, and
    ``calls`` by operation.
    """
    used: dict[str, Any] = {}
    counted(url)
    forget_peak()
    before, machine, began, mine = _memory("VmRSS"), _machine_cpu(), time.perf_counter(), cpu()
    yield used
    used.update(cpu=cpu() - mine, seconds=time.perf_counter() - began, machine_cpu=_machine_cpu() - machine)
    told = counted(url)
    used.update(memory=max(_memory("VmHWM") - before, 0), server_cpu=told["cpu"], calls=told["calls"])


def counted(url: str) -> dict[str, Any]:
    """What the service counted since it was last asked."""
    with urlopen(f"{url}/calls") as answer:  # noqa: S310 - the service beside us
        told: dict[str, Any] = json.load(answer)
    return told


def forget_peak() -> None:
    """Let the kernel take the memory of now for the peak so far."""
    Path("/proc/self/clear_refs").write_text("5")


def _memory(kind: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1_024 for line in lines if line.startswith(kind))


def _machine_cpu() -> float:
    user, nice, system, _idle, _waiting, irq, softirq, *_ = Path("/proc/stat").read_text().splitlines()[0].split()[1:]
    return sum(map(int, (user, nice, system, irq, softirq))) / _TICKS
