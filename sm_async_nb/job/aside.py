"""Work that would hold up the event loop, done in a thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")

# What is smaller than this is done sooner than a thread is found for it.
FEW_LINES = 10_000
FEW_BYTES = 300_000


async def aside(work: Callable[[], Result], *, is_small: bool) -> Result:
    """In a thread if it takes long, so that heartbeats and other jobs on this loop go on."""
    return work() if is_small else await asyncio.to_thread(work)
