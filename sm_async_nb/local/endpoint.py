"""One asynchronous endpoint: the life of a request between its 202 and its object in S3.

Knows neither HTTP nor AWS: S3 is an :class:`ObjectStore`, the model is a handler, and time is ``now`` and the event
loop's own, so that the whole runs on a dictionary and a virtual clock as well.

::

    accept() ──> queue ──> read the input ──> ask the model ──> 2xx: output object
                                                            └─> 4xx, 5xx: failure object, no retry
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol, cast

from sm_async_nb.core.locations import S3Location, parse_s3_uri
from sm_async_nb.local.handler import Answer, Handler, answer_of
from sm_async_nb.local.naming import NamingRule, failure_location, output_location
from sm_async_nb.local.queue import (
    DEFAULT_INVOCATION_TIMEOUT_SECONDS,
    DEFAULT_REQUEST_TTL_SECONDS,
    Action,
    Expire,
    InvocationQueue,
    Start,
)

# Keeps the loop from spinning when a timer fires a rounding error before its deadline.
_SHORTEST_NAP_SECONDS = 0.001

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class EndpointConfig:
    """What CreateEndpointConfig says of an asynchronous endpoint, as far as the life of a request depends on it."""

    endpoint_name: str
    s3_output_path: str
    s3_failure_path: str | None = None
    instances: int = 1
    max_concurrent_invocations_per_instance: int = 4

    @property
    def slots(self) -> int:
        """How many requests the model is given at the same time."""
        return self.instances * self.max_concurrent_invocations_per_instance


class ObjectStore(Protocol):
    """The two S3 verbs the service itself uses. Any exception means that the object could not be had or written."""

    async def get(self, location: S3Location) -> tuple[bytes, str | None]:
        """The object's bytes and its content type."""
        ...

    async def put(self, location: S3Location, body: bytes, content_type: str) -> None:
        """Write the object."""
        ...


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """What the 202 says."""

    inference_id: str
    output_location: S3Location
    failure_location: S3Location | None


@dataclass(frozen=True, kw_only=True, eq=False)
class Invocation:
    """One accepted request. Two are never equal: the service does not look for duplicates."""

    accepted: Accepted
    body: bytes | None
    input_location: str | None
    content_type: str | None
    accept: str | None


class AsyncEndpoint:
    """Accepts requests, works them off in order, and writes what comes of them.

    Belongs to one event loop: call it there only.

    Parameters
    ----------
    now
        Seconds since the epoch.
    new_uuid
        Names for requests and objects; a deterministic test counts instead.
    in_thread
        Whether a synchronous handler runs on a thread of its own; false runs it inline.
    failure_object_without_model_answer
        Whether an expired or timed-out request, and one whose input cannot be read, leaves a failure object. What the
        service does is UNVERIFIED; its own words speak of the model's response only, hence the default.

    Attributes
    ----------
    metrics : collections.Counter
        Counts by the names of the service's CloudWatch metrics, such as ``ExpiredRequests``.
    """

    def __init__(
        self,
        config: EndpointConfig,
        handler: Handler,
        store: ObjectStore,
        *,
        now: Callable[[], float] = time.time,
        new_uuid: Callable[[], str] = lambda: str(uuid.uuid4()),
        naming: NamingRule | None = None,
        in_thread: bool = True,
        failure_object_without_model_answer: bool = False,
    ) -> None:
        self.config = config
        self.metrics: Counter[str] = Counter()
        self._handler = handler
        self._store = store
        self._now = now
        self._new_uuid = new_uuid
        self._naming = naming or NamingRule()
        self._in_thread = in_thread
        self._failure_object_without_model_answer = failure_object_without_model_answer
        self._queue: InvocationQueue[Invocation] = InvocationQueue(slots=config.slots)
        self._at_work: dict[Invocation, asyncio.Task[None]] = {}
        self._changed = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def __repr__(self) -> str:
        return f"<AsyncEndpoint {self.config.endpoint_name!r} {self.running} running, {self.backlog} waiting>"

    @property
    def backlog(self) -> int:
        """How many requests wait for a slot."""
        return self._queue.backlog

    @property
    def running(self) -> int:
        """How many requests hold a slot."""
        return self._queue.running

    def reconfigure(self, config: EndpointConfig) -> None:
        """Go on under another configuration; requests that were accepted keep the locations they were promised."""
        self.config = config
        self._queue.slots = config.slots
        self._changed.set()

    def accept(self, fields: Mapping[str, object]) -> Accepted:
        """Take a request whose fields are valid, named as :func:`sm_async_nb.core.request.read_fields` names them.

        Nothing is read from S3 yet: an input that is missing is found out later, and not by the caller.
        """
        invocation = self._invocation(cast(Mapping[str, Any], fields))
        self._queue.enqueue(
            invocation,
            now=self._now(),
            request_ttl_seconds=_seconds(fields, "request_ttl_seconds", DEFAULT_REQUEST_TTL_SECONDS),
            invocation_timeout_seconds=_seconds(
                fields, "invocation_timeout_seconds", DEFAULT_INVOCATION_TIMEOUT_SECONDS
            ),
        )
        self._idle.clear()
        self._changed.set()
        return invocation.accepted

    async def run(self) -> None:
        """Work the queue until cancelled; what is running then is dropped."""
        try:
            async with asyncio.TaskGroup() as tasks:
                while True:
                    self._changed.clear()
                    for action in self._queue.next_actions(self._now()):
                        self._perform(action, tasks)
                    self._note_idleness()
                    await self._next_change()
        finally:
            # Nothing more will come of what was dropped; nobody should wait for it.
            self._idle.set()

    async def drained(self) -> None:
        """Return when every accepted request has come to its end."""
        await self._idle.wait()

    def _invocation(self, fields: Mapping[str, Any]) -> Invocation:
        return Invocation(
            accepted=self._accepted(fields),
            body=fields.get("body"),
            input_location=fields.get("input_location"),
            content_type=fields.get("content_type"),
            accept=fields.get("accept"),
        )

    def _accepted(self, fields: Mapping[str, Any]) -> Accepted:
        inference_id = fields.get("inference_id") or self._new_uuid()
        name = self._new_uuid()
        extension, filename = fields.get("s3_output_path_extension", ""), fields.get("filename", "")
        output = output_location(self.config.s3_output_path, name=name, extension=extension, filename=filename)
        failure = self.config.s3_failure_path and failure_location(
            self.config.s3_failure_path, name=name, extension=extension, filename=filename, rule=self._naming
        )
        return Accepted(inference_id=inference_id, output_location=output, failure_location=failure or None)

    async def _next_change(self) -> None:
        wakes_at = self._queue.wakes_at()
        nap = None if wakes_at is None else max(_SHORTEST_NAP_SECONDS, wakes_at - self._now())
        with suppress(TimeoutError):
            async with asyncio.timeout(nap):
                await self._changed.wait()

    def _perform(self, action: Action[Invocation], tasks: asyncio.TaskGroup) -> None:
        invocation = action.invocation
        if isinstance(action, Start):
            self._begin(invocation, self._process(invocation), tasks)
        elif isinstance(action, Expire):
            self._begin(invocation, self._expire(invocation), tasks)
        else:
            self._at_work.pop(invocation).cancel()
            self._begin(invocation, self._time_out(invocation), tasks)

    def _begin(self, invocation: Invocation, work: Coroutine[Any, Any, None], tasks: asyncio.TaskGroup) -> None:
        task = tasks.create_task(work)
        self._at_work[invocation] = task
        task.add_done_callback(lambda done: self._end(invocation, done))

    def _end(self, invocation: Invocation, task: asyncio.Task[None]) -> None:
        # A timed-out invocation has another task at work by now, and ends with that one.
        if self._at_work.get(invocation) is task:
            del self._at_work[invocation]
            self._changed.set()

    def _note_idleness(self) -> None:
        if not (self._at_work or self._queue.backlog):
            self._idle.set()

    async def _process(self, invocation: Invocation) -> None:
        answer = await self._answer(invocation)
        # Asked before anything is written: an answer after the timeout must leave no object.
        if not self._queue.finished(invocation):
            return
        self._changed.set()
        if answer is None:
            await self._fail_without_answer(invocation, "the input could not be read")
        else:
            await self._deliver(invocation, answer)

    async def _answer(self, invocation: Invocation) -> Answer | None:
        try:
            body, content_type = await self._input(invocation)
        except Exception as error:  # noqa: BLE001 - the store says why in its own classes, and any means unreadable
            self._count(invocation, "RequestDownloadFailures", f"{invocation.input_location}: {error}")
            return None
        return await answer_of(self._handler, body, content_type, invocation.accept, in_thread=self._in_thread)

    async def _input(self, invocation: Invocation) -> tuple[bytes, str | None]:
        if invocation.body is not None:
            return invocation.body, invocation.content_type
        body, stored_type = await self._store.get(parse_s3_uri(invocation.input_location or ""))
        return body, invocation.content_type or stored_type

    async def _deliver(self, invocation: Invocation, answer: Answer) -> None:
        self.metrics["InvocationsProcessed"] += 1
        if answer.succeeded:
            await self._write(invocation, invocation.accepted.output_location, answer)
            return
        self._count(invocation, f"Invocation{answer.status // 100}XXErrors", f"the model answered {answer.status}")
        self.metrics["InvocationFailures"] += 1
        await self._write(invocation, invocation.accepted.failure_location, answer)

    async def _expire(self, invocation: Invocation) -> None:
        self._count(invocation, "ExpiredRequests", "RequestTTLSeconds passed in the queue")
        await self._fail_without_answer(invocation, "the request expired in the queue")

    async def _time_out(self, invocation: Invocation) -> None:
        await self._fail_without_answer(invocation, "the model did not answer within InvocationTimeoutSeconds")

    async def _fail_without_answer(self, invocation: Invocation, reason: str) -> None:
        self._count(invocation, "InvocationFailures", reason)
        if self._failure_object_without_model_answer:
            told = Answer(f'{{"message":"{reason}"}}'.encode(), status=500)
            await self._write(invocation, invocation.accepted.failure_location, told)

    async def _write(self, invocation: Invocation, location: S3Location | None, answer: Answer) -> None:
        if location is None:
            return
        try:
            await self._store.put(location, answer.body, answer.content_type)
        except Exception as error:  # noqa: BLE001 - nothing can reach S3 then; the service counts it, and so do we
            self._count(invocation, "ResponseUploadFailures", f"{location}: {error}")

    def _count(self, invocation: Invocation, metric: str, why: str) -> None:
        self.metrics[metric] += 1
        _log.info("[%s] %s: %s", invocation.accepted.inference_id, metric, why)


def _seconds(fields: Mapping[str, object], name: str, default: int) -> int:
    return cast(int, fields.get(name, default))
