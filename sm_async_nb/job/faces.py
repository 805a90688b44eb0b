"""Where a job is shown."""

from __future__ import annotations

from typing import Protocol
from weakref import WeakSet


class Face(Protocol):
    """One display of a job, which follows it."""

    def freeze(self) -> None:
        """Leave what needs no kernel, as the job stands now, and follow it no more."""


Faces = WeakSet[Face]
