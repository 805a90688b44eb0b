"""For tests, yours too: a clock that you own, S3 in memory, and an asynchronous endpoint without a network.

With :class:`ManualClock` a job that takes six hours is over in milliseconds, the same way each time::

    clock = ManualClock()
    storage = MemoryStorage(clock.now)
    endpoint = MemoryEndpoint(handler, storage, clock)
    clock.run(something_asynchronous(storage, endpoint))
"""

from __future__ import annotations

import asyncio
import json
import selectors
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from typing import Any, Self, TypeVar

from sm_async_nb.aws.notifications import Notification, read_notification
from sm_async_nb.aws.runtime import Accepted
from sm_async_nb.aws.storage import Names, StoredObject, as_directory
from sm_async_nb.core.locations import S3Location
from sm_async_nb.local.endpoint import AsyncEndpoint, EndpointConfig
from sm_async_nb.local.handler import Handler
from sm_async_nb.local.naming import NamingRule

Result = TypeVar("Result")

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
_PAGE = 1_000
_RECEIVED_AT_MOST = 10


class ManualClock:
    """Time that passes only when nothing else is left to do, or when told to.

    A coroutine run by :meth:`run` sleeps as usual, with ``asyncio.sleep`` or a timeout; where a loop would wait, this
    one leaps to the next timer.

    Examples
    --------
    >>> clock = ManualClock()
    >>> clock.run(asyncio.sleep(6 * 60 * 60))
    >>> clock.elapsed
    21600.0
    """

    def __init__(self, start: datetime = NOON) -> None:
        self._start = start.timestamp()
        self.elapsed = 0.0

    def __repr__(self) -> str:
        return f"<ManualClock {datetime.fromtimestamp(self.now(), UTC).isoformat()}>"

    def now(self) -> float:
        """Seconds since the epoch."""
        return self._start + self.elapsed

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.elapsed += seconds

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Run ``work`` to its end on this clock.

        Raises
        ------
        RuntimeError
            If everything waits and no timer is set, so that a real loop would hang.
        """
        with asyncio.Runner(loop_factory=lambda: _LeapingLoop(self)) as runner:
            return runner.run(work)


class _LeapingSelector(selectors.DefaultSelector):
    """Instead of waiting until a timer is due, moves the clock there."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if not ready and timeout is None:
            raise RuntimeError("Everything waits and no timer is set: this would hang.")
        if not ready and timeout:
            self._clock.advance(timeout)
        return ready


class _LeapingLoop(asyncio.SelectorEventLoop):
    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock
        super().__init__(_LeapingSelector(clock))

    def time(self) -> float:
        return self._clock.elapsed

    def run_in_executor(self, _executor: Any, func: Any, *args: Any) -> Any:  # type: ignore[override]
        """Work in a thread takes no time on this clock, so it is done at once."""
        done = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - it is for whoever waits
            done.set_exception(error)
        return done


class MemoryStorage:
    """S3 in a dictionary. ``calls`` counts by verb; an ``intercept`` is called first and may raise.

    Parameters
    ----------
    now
        The time that new objects bear, in seconds since the epoch.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self.objects: dict[S3Location, tuple[bytes, str | None, float]] = {}
        self.calls: Counter[str] = Counter()
        self.intercept: Callable[[str, S3Location], None] = lambda _verb, _location: None
        self._now = now

    async def put(
        self, location: S3Location, body: bytes, content_type: str | None = None, *, create_only: bool = False
    ) -> None:
        await self._called("put", location)
        if create_only and location in self.objects:
            raise FileExistsError(f"There is an object at {location} already.")
        self.objects[location] = (body, content_type, self._now())

    async def get(self, location: S3Location) -> tuple[bytes, str | None]:
        await self._called("get", location)
        if location not in self.objects:
            raise FileNotFoundError(f"There is no object at {location}.")
        body, content_type, _ = self.objects[location]
        return body, content_type

    async def list(self, prefix: S3Location, *, start_after: str = "") -> AsyncIterator[Sequence[StoredObject]]:
        found = sorted(
            (location, len(body), at)
            for location, (body, _, at) in self.objects.items()
            if location.bucket == prefix.bucket and location.key.startswith(prefix.key) and location.key > start_after
        )
        for start in range(0, max(len(found), 1), _PAGE):
            await self._called("list", prefix)
            yield [StoredObject(*item) for item in found[start : start + _PAGE]]

    async def directories(self, prefix: S3Location) -> Names:
        home = as_directory(prefix)
        below = {
            location.key[len(home.key) :].partition("/")
            for location in self.objects
            if location.bucket == home.bucket and location.key.startswith(home.key)
        }
        names = sorted({f"{name}/" for name, slash, _ in below if slash})
        for _ in range(0, max(len(names), 1), _PAGE):
            await self._called("list", home)
        return [name[:-1] for name in names]

    async def head(self, location: S3Location) -> StoredObject | None:
        await self._called("head", location)
        if location not in self.objects:
            return None
        body, _, at = self.objects[location]
        return StoredObject(location, len(body), at)

    async def delete(self, locations: Sequence[S3Location]) -> None:
        for location in locations:
            await self._called("delete", location)
            self.objects.pop(location, None)

    async def _called(self, verb: str, location: S3Location) -> None:
        self.calls[verb] += 1
        await asyncio.sleep(0)  # a real call lets others run, and so must this one
        self.intercept(verb, location)


class MemoryNotifications:
    """A queue of notifications in memory, as SQS keeps one: what is received and not done comes again.

    ``calls`` counts by verb, ``messages`` are those that are not done; an ``intercept`` is called first and may raise.

    Parameters
    ----------
    now
        The time, in seconds since the epoch.
    visibility_timeout
        After how many seconds a message that was received, and not done, comes again.
    """

    def __init__(self, now: Callable[[], float], *, visibility_timeout: float = 30.0) -> None:
        self.calls: Counter[str] = Counter()
        self.messages: dict[str, str] = {}
        self.intercept: Callable[[str], None] = lambda _verb: None
        self._visible_at: dict[str, float] = {}
        self._visibility_timeout = visibility_timeout
        self._now = now
        self._receipts = count()
        self._waiting: list[asyncio.Event] = []

    def send(self, message: Mapping[str, Any] | str) -> None:
        """Put a message into the queue: the service's own, as a mapping, or any text."""
        receipt = f"receipt-{next(self._receipts)}"
        self.messages[receipt] = message if isinstance(message, str) else json.dumps(message)
        self._visible_at[receipt] = self._now()
        for sent in self._waiting:
            sent.set()

    async def receive(self, wait_seconds: int = 20) -> list[Notification]:
        """Up to ten notifications; waits for the first as long as is said."""
        self.calls["receive"] += 1
        await asyncio.sleep(0)
        self.intercept("receive")
        deadline = self._now() + wait_seconds
        while not (receipts := self._visible()) and self._now() < deadline:
            await self._wait(min([deadline, *self._visible_at.values()]) - self._now())
        for receipt in receipts:
            self._visible_at[receipt] = self._now() + self._visibility_timeout
        read = ((receipt, read_notification(self.messages[receipt])) for receipt in receipts)
        return [replace(notification, receipt=receipt) for receipt, notification in read if notification]

    async def done(self, notifications: Sequence[Notification]) -> None:
        """Delete them."""
        self.calls["done"] += 1
        await asyncio.sleep(0)
        self.intercept("done")
        for notification in notifications:
            self.messages.pop(notification.receipt, None)
            self._visible_at.pop(notification.receipt, None)

    async def _wait(self, seconds: float) -> None:
        sent = asyncio.Event()
        self._waiting.append(sent)
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await sent.wait()
        finally:
            self._waiting.remove(sent)

    def _visible(self) -> list[str]:
        return [receipt for receipt, at in self._visible_at.items() if at <= self._now()][:_RECEIVED_AT_MOST]


class MemoryEndpoint:
    """An asynchronous endpoint as a client sees it, on the real endpoint's own queue; use it with ``async with``.

    Parameters
    ----------
    handler
        ``(body, content_type, accept) -> bytes``, as for :class:`~sm_async_nb.local.LocalEndpoint`; called inline.
    storage, clock
        Where inputs and outputs lie, and the time.
    config
        Paths, instances and concurrency; outputs go to ``s3://bucket/out`` and failures to ``s3://bucket/failures``
        by default.
    naming
        How objects are named.
    """

    def __init__(
        self,
        handler: Handler,
        storage: MemoryStorage,
        clock: ManualClock,
        *,
        config: EndpointConfig | None = None,
        naming: NamingRule | None = None,
    ) -> None:
        numbers = count()
        self.calls = 0
        self.intercept: Callable[[Mapping[str, Any]], None] = lambda _fields: None
        self.endpoint = AsyncEndpoint(
            config or _DEFAULT_CONFIG,
            handler,
            _Quiet(storage),
            now=clock.now,
            new_uuid=lambda: f"uuid-{next(numbers):08d}",
            naming=naming,
            in_thread=False,
        )
        self._work: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._work = asyncio.get_running_loop().create_task(self.endpoint.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._work is not None
        self._work.cancel()
        await asyncio.gather(self._work, return_exceptions=True)

    async def invoke(self, fields: Mapping[str, Any]) -> Accepted:
        """InvokeEndpointAsync; ``intercept`` is called first and may raise."""
        self.calls += 1
        await asyncio.sleep(0)
        self.intercept(fields)
        accepted = self.endpoint.accept(fields)
        return Accepted(
            inference_id=accepted.inference_id,
            output_location=str(accepted.output_location or ""),
            failure_location=str(accepted.failure_location or ""),
            request_id=f"request-{self.calls}",
        )


_DEFAULT_CONFIG = EndpointConfig(
    endpoint_name="memory", s3_output_path="s3://bucket/out", s3_failure_path="s3://bucket/failures"
)


class _Quiet:
    """The service's own access to S3: the same objects, but none of the client's calls."""

    def __init__(self, storage: MemoryStorage) -> None:
        self._storage = storage

    async def get(self, location: S3Location) -> tuple[bytes, str | None]:
        body, content_type, _ = self._storage.objects[location]
        return body, content_type

    async def put(self, location: S3Location, body: bytes, content_type: str) -> None:
        self._storage.objects[location] = (body, content_type, self._storage._now())  # noqa: SLF001
