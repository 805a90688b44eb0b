"""One writer at a time: a lease is a row of numbered epochs in S3, and each belongs to whoever created it.

An epoch is an object that is created once (``If-None-Match: *``), so of two kernels that want the same one exactly one
gets it. Only its owner overwrites it: a heartbeat. The next epoch may be created when this one is

- **released**: its owner said so;
- **lapsed**: its owner was not heard of for longer than an epoch is good for, by S3's own clock;
- held by a process that is **seen to be gone** (:mod:`sm_async_nb.job.holder`).

The owner goes by its own clock alone: an epoch is good for DURATION from the *start* of its last heartbeat, and a
heartbeat that is answered when the epoch is over does not count. A taker goes by S3's clock alone. As a heartbeat is
written after it is started, the owner stops before anybody takes over, and no two clocks are ever compared.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any

import orjson

from sm_async_nb.aws.storage import Storage
from sm_async_nb.core.locations import JobLayout
from sm_async_nb.errors import JobInUseError, SmAsyncError
from sm_async_nb.job.holder import Holder

# How long an epoch is good for, counted from the start of its last heartbeat. Seconds.
DURATION = 60.0
# How often its owner should call ``renew``: three may fail before anything is lost. Seconds.
HEARTBEAT = 15.0
# How long before its end an owner stops sending: what was sent last has to arrive while it is still the owner. Seconds.
GUARD = 10.0
# S3 tells whole seconds, and two objects may be stamped by two of its clocks. Seconds.
_LEEWAY = 2.0

_EPOCH = re.compile(r"\d{8,}\.json")
_NOTHING: Mapping[str, Any] = {}
_WATCH = "attach(..., read_only=True)"


@dataclass(frozen=True, kw_only=True)
class LeaseState:
    """An epoch as S3 has it. Times are seconds since the epoch, NaN where unknown.

    ``modified_at`` is S3's; ``acquired_at`` and ``renewed_at`` are the holder's own clock, and for reading only.
    ``told`` is what the job told of itself with its last heartbeat.
    """

    epoch: int
    modified_at: float
    holder: Holder
    acquired_at: float
    renewed_at: float
    released: bool
    told: Mapping[str, Any]
    token: str = field(repr=False)

    def is_lapsed_at(self, clock: float) -> bool:
        """Whether its owner has stopped, at a time that S3 gave to another object."""
        return clock - self.modified_at > DURATION + _LEEWAY


class Lease:
    """The right to write to one shard of a job, and to send its requests.

    It stands for what this kernel knows of the job: once another kernel was in between, that is out of date, and the
    lease is lost for good.

    Parameters
    ----------
    storage, layout
        Where the job lies.
    now
        Seconds since the epoch. Its offset does not matter. It has to go on while the machine sleeps, and must not be
        set back: an owner whose clock was would believe in its epoch for longer than others do.
    holder
        Who is named in the lease; this process by default.
    """

    def __init__(
        self, storage: Storage, layout: JobLayout, *, now: Callable[[], float], holder: Holder | None = None
    ) -> None:
        self.epoch = 0
        self._storage = storage
        self._layout = layout
        self._now = now
        self._holder = holder or Holder.here()
        self._told = _NOTHING
        self._token = ""
        self._tokens: set[str] = set()  # also those of epochs that we may have created without being told
        self._acquired_at = math.nan
        self._ends = -math.inf
        self._is_held = False
        self._lost = ""
        self._turn = asyncio.Lock()

    def __repr__(self) -> str:
        return f"<Lease {self._layout.job_id} epoch {self.epoch}, ends at {_at(self._ends)}>"

    @property
    def valid_until(self) -> float:
        """When the epoch ends by our own clock, -inf before it is acquired and once it is released."""
        return self._ends if self._is_held else -math.inf

    @property
    def send_until(self) -> float:
        """From then on nothing may be sent, unless the lease is renewed before."""
        return self.valid_until - GUARD

    def may_send(self) -> bool:
        return self._now() < self.send_until

    def connect(self, storage: Storage) -> None:
        """Go on with another connection, and on another event loop if need be; nothing may be under way."""
        self._storage = storage
        self._turn = asyncio.Lock()

    async def acquire(self, told: Mapping[str, Any] = _NOTHING) -> None:
        """Become the owner. Nothing is done if this is the owner already.

        Raises
        ------
        JobInUseError
            Saying who writes to the job and when it may be free; then the same may be tried again. For good if this
            lease was held before and another kernel was in between.
        """
        async with self._turn:
            self._hear(told)
            await self._create_next()

    async def renew(self, told: Mapping[str, Any] = _NOTHING) -> None:
        """Say that the owner lives. A lease that was never acquired, or was released, is left alone.

        An epoch that is over is never made longer: the next one is created, if nobody was quicker.

        Raises
        ------
        JobInUseError
            If another kernel has taken over; for good.
        """
        async with self._turn:
            self._hear(told)
            if self._is_valid():
                started = self._now()
                await self._write(self.epoch, self._token, self._acquired_at, started)
                if self._is_valid():  # otherwise somebody may have looked before it arrived
                    self._ends = started + DURATION
            if self._is_held:
                await self._create_next()

    async def release(self, told: Mapping[str, Any] = _NOTHING) -> None:
        """Stop, and let the next one in at once. To be called again if the word did not get through to S3."""
        async with self._turn:
            self._told = told or self._told
            self._is_held = False
            now = self._now()
            if now < self._ends:
                await self._write(self.epoch, self._token, self._acquired_at, now, released=True)
                self._ends = now

    async def let_go(self, told: Mapping[str, Any] = _NOTHING, *, seconds: float = 5.0) -> None:
        """Release it if that is possible in this time. Otherwise it lapses by itself."""
        with contextlib.suppress(SmAsyncError, TimeoutError):
            async with asyncio.timeout(seconds):
                await self.release(told)

    def _hear(self, told: Mapping[str, Any]) -> None:
        if self._lost:
            raise JobInUseError(self._lost)
        self._told = told or self._told

    def _is_valid(self) -> bool:
        return self._now() < self.valid_until

    async def _create_next(self) -> None:
        # In a loop, since an attempt may come to nothing: then one looks again.
        while not self._is_valid():
            newest = await read_lease(self._storage, self._layout)
            if self.epoch and (newest is None or newest.token not in self._tokens):
                self._lost = _taken_over(self._layout, newest, self._ends) if newest else _gone(self._layout)
                raise JobInUseError(self._lost)
            if newest is None or self._is_free(newest) or await self._has_lapsed(newest):
                await self._create(newest.epoch + 1 if newest else 1)

    def _is_free(self, newest: LeaseState) -> bool:
        return newest.released or newest.token in self._tokens or newest.holder.is_known_dead()

    async def _has_lapsed(self, newest: LeaseState) -> bool:
        """Whether an epoch is over by S3's clock; False too if epochs came or went meanwhile: then one looks again."""
        await self._storage.put(self._layout.lease_clock, b"")
        # From just before the epoch, so that both times come from one page: with an early look at the epoch and a
        # late one at the clock, a heartbeat in between would be missed.
        before = self._layout.lease(newest.epoch - 1).key
        epochs, clock = await _listed(self._storage, self._layout, start_after=before)
        if list(epochs) != [newest.epoch] or clock is None:
            return False
        newest = replace(newest, modified_at=epochs[newest.epoch])
        if not newest.is_lapsed_at(clock):
            raise JobInUseError(_in_use(self._layout, newest, clock, self._holder))
        return True

    async def _create(self, epoch: int) -> None:
        """Create an epoch. Nothing changes where another kernel was quicker, or the answer came too late."""
        # A token for each attempt: one that arrives long after it was given up is ours, but not this one.
        token = secrets.token_hex(16)
        self._tokens.add(token)
        started = self._now()
        try:
            await self._write(epoch, token, started, started, create_only=True)
        except FileExistsError:
            # Our own write may have arrived although its answer did not.
            found = await _read(self._storage, self._layout, epoch, math.nan)
            if found is None or found.token != token:
                return
        if self._now() < started + DURATION:
            self.epoch, self._token, self._acquired_at = epoch, token, started
            self._ends, self._is_held = started + DURATION, True

    async def _write(
        self,
        epoch: int,
        token: str,
        acquired_at: float,
        renewed_at: float,
        *,
        released: bool = False,
        create_only: bool = False,
    ) -> None:
        record = {
            "format": 1,
            "epoch": epoch,
            "token": token,
            "holder": self._holder.to_json(),
            "acquired_at": datetime.fromtimestamp(acquired_at, UTC),
            "renewed_at": datetime.fromtimestamp(renewed_at, UTC),
            "released": released,
            "told": self._told,
        }
        body = orjson.dumps(record, option=orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY)
        await self._storage.put(self._layout.lease(epoch), body, "application/json", create_only=create_only)


async def read_lease(storage: Storage, layout: JobLayout) -> LeaseState | None:
    """The newest epoch, None if there is none; nothing is written. One LIST and one GET."""
    epochs, _ = await _listed(storage, layout)
    if not epochs:
        return None
    newest = max(epochs)
    return await _read(storage, layout, newest, epochs[newest])


async def _listed(storage: Storage, layout: JobLayout, start_after: str = "") -> tuple[dict[int, float], float | None]:
    """When S3 says that each epoch, and the clock, were written."""
    epochs, clock = {}, None
    async for page in storage.list(layout.leases, start_after=start_after):
        for stored in page:
            name = PurePosixPath(stored.location.key)
            if stored.location == layout.lease_clock:
                clock = stored.modified_at
            elif _EPOCH.fullmatch(name.name):
                epochs[int(name.stem)] = stored.modified_at
    return epochs, clock


async def _read(storage: Storage, layout: JobLayout, epoch: int, modified_at: float) -> LeaseState | None:
    try:
        body, _ = await storage.get(layout.lease(epoch))
    except FileNotFoundError:
        return None
    return _state(epoch, modified_at, body)


def _state(epoch: int, modified_at: float, body: bytes) -> LeaseState:
    """What a record says. One that cannot be read is somebody's all the same, and lapses as any other."""
    try:
        record = orjson.loads(body)
    except orjson.JSONDecodeError:
        record = {}
    record = record if isinstance(record, dict) else {}
    told = record.get("told")
    return LeaseState(
        epoch=epoch,
        modified_at=modified_at,
        holder=Holder.from_json(record.get("holder")),
        acquired_at=_seconds_of(record.get("acquired_at")),
        renewed_at=_seconds_of(record.get("renewed_at")),
        released=record.get("released") is True,
        told=told if isinstance(told, dict) else {},
        token=str(record.get("token", "")),
    )


def _seconds_of(text: Any) -> float:
    try:
        return datetime.fromisoformat(text).timestamp()
    except (TypeError, ValueError):
        return math.nan


def _in_use(layout: JobLayout, newest: LeaseState, clock: float, us: Holder) -> str:
    heard = _seconds(clock - newest.modified_at)
    # The first whole second of S3's at which the epoch is older than it may be.
    free_at = newest.modified_at + DURATION + _LEEWAY + 1
    ours = ", which is this very kernel," if newest.holder == us else ""
    return (
        f"Job {layout.job_id!r} is in use: {newest.holder}{ours} has written to it since {_at(newest.acquired_at)}; its"
        f" last heartbeat was {heard} ago. If that kernel has ended, its lease lapses at {_at(free_at)}, in"
        f" {_seconds(free_at - clock)}: wait until then and attach again. To watch the job meanwhile, use {_WATCH}."
    )


def _taken_over(layout: JobLayout, newest: LeaseState, ended_at: float) -> str:
    return (
        f"Job {layout.job_id!r} was taken over by {newest.holder} at {_at(newest.acquired_at)}; this kernel's lease had"
        f" ended at {_at(ended_at)}. This kernel stops following the job; nothing that was recorded is lost. To watch"
        f" it, use {_WATCH}; to go on with it here, attach again when the other kernel is done."
    )


def _gone(layout: JobLayout) -> str:
    return (
        f"The lease of job {layout.job_id!r} is gone from {layout.leases}, so somebody has deleted the job."
        " This kernel stops following it."
    )


def _seconds(count: float) -> str:
    whole = math.ceil(count)
    return f"{whole} second" if whole == 1 else f"{whole} seconds"


def _at(time: float) -> str:
    if not math.isfinite(time):
        return "an unknown time"
    return f"{datetime.fromtimestamp(time, UTC):%Y-%m-%d %H:%M:%S} UTC"
