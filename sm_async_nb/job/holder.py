"""Who holds a lease: a process on a machine, named so well that its end can be seen from beside it.

A kernel that was restarted need not wait for its own old lease, if it can see that the process that held it is gone.
Seen means seen: on the same machine, since the same boot, among the same processes (a container has its own). Whatever
cannot be seen is taken to be alive, since two that write to one job are worse than a minute of waiting.
"""

from __future__ import annotations

import getpass
import os
import socket
import sys
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

_PROC = Path("/proc")
_BIGGEST_PID = 2**31 - 1
# Where /proc/<pid>/stat has what, counted from the state, which is field 3 in proc(5).
_STATE, _THREADS, _STARTED = 0, 17, 19


@dataclass(frozen=True, kw_only=True)
class Holder:
    """A process, and whose it is; what is not known is empty.

    ``machine`` tells apart what a host name does not: the boot and the process namespace, or on macOS the hardware.
    ``started`` is when the process began, in clock ticks since the boot, since a process number is used again.
    """

    user: str = ""
    host: str = ""
    machine: str = ""
    pid: int = 0
    started: int | None = None

    def __str__(self) -> str:
        place = "@".join(filter(None, (self.user, self.host))) or "somebody"
        return f"{place} (process {self.pid})" if self.pid else place

    @classmethod
    def here(cls) -> Self:
        """The process that asks."""
        pid = os.getpid()
        return cls(user=_user(), host=socket.gethostname(), machine=_machine(), pid=pid, started=_started(pid))

    def is_known_dead(self) -> bool:
        """Whether the process is seen to be gone; False where nothing can be seen."""
        if not self.machine or not 0 < self.pid <= _BIGGEST_PID:
            return False
        if (self.host, self.machine) != (socket.gethostname(), _machine()):
            return False
        return not _exists(self.pid) or _has_ended(self.pid) or self._gave_its_number_away()

    def _gave_its_number_away(self) -> bool:
        started = _started(self.pid)
        return None not in {started, self.started} and started != self.started

    def to_json(self) -> dict[str, Any]:
        """As it stands in the lease."""
        return asdict(self)

    @classmethod
    def from_json(cls, told: Any) -> Self:
        """From whatever stands in a lease, which another version of this package may have written."""
        if not isinstance(told, Mapping):
            return cls()
        texts = {name: told[name] for name in ("user", "host", "machine") if isinstance(told.get(name), str)}
        numbers = {name: told[name] for name in ("pid", "started") if type(told.get(name)) is int}
        return cls(**texts, **numbers)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""  # a container may run as a number that has no name


def _machine() -> str:
    """What two processes share that can see each other end; empty where that is not known."""
    if os.name != "posix":
        return ""  # on Windows os.kill(pid, 0) does not ask, it interrupts
    if sys.platform == "darwin":
        return f"{uuid.getnode():012x}"  # two laptops may well have one name
    try:
        if str((_PROC / "self").readlink()) != str(os.getpid()):
            return ""  # a /proc of other processes than ours
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {(_PROC / 'self/ns/pid').readlink()}"
    except OSError:
        return ""


def _exists(pid: int) -> bool:
    # Not by looking for /proc/<pid>, which may be hidden from other users (hidepid).
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # somebody else's
    return True


def _has_ended(pid: int) -> bool:
    """Whether the process has ended and only its parent has not asked about it yet: a zombie.

    One with more threads than one lives on, although its first thread has ended.
    """
    stat = _stat(pid)
    return stat is not None and stat[_STATE] in {"Z", "X"} and int(stat[_THREADS]) <= 1


def _started(pid: int) -> int | None:
    stat = _stat(pid)
    return int(stat[_STARTED]) if stat else None


def _stat(pid: int) -> list[str] | None:
    try:
        text = (_PROC / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return None
    # The second field is the command's name in brackets, and may itself have blanks and brackets in it.
    fields = text.rpartition(")")[2].split()
    return fields if len(fields) > _STARTED else None
