"""One asynchronous endpoint: the life of a request between its 202 and its object in S3.

Knows neither HTTP nor AWS: S3 is an :class:`ObjectStore`, the model is a handler, and time is ``now`` and the event
loop's own, so that the whole runs on a dictionary and a virtual clock as well.

::

    accept() ──> queue ──> read the input ──> ask the model ──> 2xx: output object, success topic
                                                            └─> 4xx, 5xx: failure object, error topic, no retry
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from typing import Any, TypeAlias, cast

from sm_async_nb.core.locations import parse_s3_uri
from sm_async_nb.local.delivery import Delivery, Unanswered, expired, no_answer, timed_out, unreadable_input
from sm_async_nb.local.faults import Injector
from sm_async_nb.local.handler import Answer, Handler, NoAnswer, answer_of, asks_to_end, takes_headers
from sm_async_nb.local.invocation import Accepted, EndpointConfig, Invocation, ObjectStore, Topics
from sm_async_nb.local.metrics import Metrics, Point
from sm_async_nb.local.naming import NamingRule, failure_location, output_location
from sm_async_nb.local.queue import (
    DEFAULT_INVOCATION_TIMEOUT_SECONDS,
    DEFAULT_REQUEST_TTL_SECONDS,
    Action,
    Expire,
    InvocationQueue,
    Start,
)
from sm_async_nb.local.scaling import Scaling, ScalingRule

__all__ = ["AsyncEndpoint", "EndpointConfig"]

Work: TypeAlias = Callable[..., Coroutine[Any, Any, None]]

# Keeps the loop from spinning when a timer fires a rounding error before its deadline.
_SHORTEST_NAP_SECONDS = 0.001

_log = logging.getLogger(__name__)


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
    topics
        Where notifications go; without, one that should be published is counted in ``NotificationFailures``.
    failure_object_without_model_answer, notification_without_model_answer
        Whether an expired or timed-out request, and one whose input cannot be read, leaves a failure object and a
        notification. What the service does is UNVERIFIED; its own words speak of the model's response only, hence the
        default. A time-out is notified either way: such a notification was seen. The second is also about an output
        that cannot be written, which it tells of as a failure.
    forward_generated_inference_id
        Whether the model is told an InferenceId that the caller did not send. UNVERIFIED.
    scaling
        When instances come and go.
    injector
        What goes wrong in the life of a request: ``duplicate``, ``reorder`` and the ``lose_`` faults.

    Raises
    ------
    RequestError
        If the handler cannot be called as a handler.
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
        topics: Topics | None = None,
        failure_object_without_model_answer: bool = False,
        notification_without_model_answer: bool = False,
        forward_generated_inference_id: bool = False,
        scaling: ScalingRule | None = None,
        injector: Injector | None = None,
    ) -> None:
        self.config = config
        self._metrics = Metrics()
        self._handler = handler
        self._takes_headers = takes_headers(handler)
        self._store = store
        self._now = now
        self._new_uuid = new_uuid
        self._naming = naming or NamingRule()
        self._in_thread = in_thread
        self._forward_generated_inference_id = forward_generated_inference_id
        self._injector = injector or Injector()
        self._delivery = Delivery(
            config,
            store,
            topics,
            now=now,
            metrics=self._metrics,
            injector=self._injector,
            failure_object_without_model_answer=failure_object_without_model_answer,
            notification_without_model_answer=notification_without_model_answer,
        )
        self._scaling = Scaling(config.instances, scaling or ScalingRule())
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

    @property
    def instances(self) -> tuple[int, int]:
        """How many instances there are at this moment, and how many are wished for."""
        return self._scaling.current, self._scaling.desired

    @property
    def metrics(self) -> Counter[str]:
        """Counts by the names of the service's CloudWatch metrics, such as ``ExpiredRequests``."""
        return self._metrics.counts

    def take_points(self) -> list[Point]:
        """CloudWatch's data points since the last call."""
        self._observe(self._now())
        return self._metrics.take()

    def reconfigure(self, config: EndpointConfig) -> None:
        """Go on under another configuration; requests that were accepted keep the locations they were promised."""
        self.config = self._delivery.config = config
        self._scaling.configure(config.instances, self._now())
        self._changed.set()

    def accept(self, fields: Mapping[str, object]) -> Accepted:
        """Take a request whose fields are valid, named as :func:`sm_async_nb.core.request.read_fields` names them.

        Nothing is read from S3 yet: an input that is missing is found out later, and not by the caller.
        """
        fields = cast(Mapping[str, Any], fields)
        accepted = self._accepted(fields)
        self._enqueue(accepted, fields)
        if self._injector.strikes("duplicate", fields):
            self._enqueue(accepted, fields)
        return accepted

    async def run(self) -> None:
        """Work the queue until cancelled; what is running then is dropped."""
        try:
            async with asyncio.TaskGroup() as tasks:
                while True:
                    self._changed.clear()
                    now = self._now()
                    self._scale(now)
                    for action in self._queue.next_actions(now):
                        self._perform(action, tasks)
                    self._observe(now)
                    self._note_idleness()
                    await self._next_change()
        finally:
            # Nothing more will come of what was dropped; nobody should wait for it.
            self._idle.set()

    async def announce(self) -> None:
        """Publish the test message, as the service does when an endpoint is created or updated."""
        await self._delivery.test()

    async def drained(self) -> None:
        """Return when every accepted request has come to its end."""
        await self._idle.wait()

    def _enqueue(self, accepted: Accepted, fields: Mapping[str, Any]) -> None:
        now = self._now()
        self._queue.enqueue(
            Invocation(accepted=accepted, fields=fields, received_at=now),
            now=now,
            request_ttl_seconds=fields.get("request_ttl_seconds", DEFAULT_REQUEST_TTL_SECONDS),
            invocation_timeout_seconds=fields.get("invocation_timeout_seconds", DEFAULT_INVOCATION_TIMEOUT_SECONDS),
            first=self._injector.strikes("reorder", fields),
        )
        self._idle.clear()
        self._changed.set()

    def _accepted(self, fields: Mapping[str, Any]) -> Accepted:
        inference_id = fields.get("inference_id") or self._new_uuid()
        name = self._new_uuid()
        extension, filename = fields.get("s3_output_path_extension", ""), fields.get("filename", "")
        output = self.config.s3_output_path and output_location(
            self.config.s3_output_path, name=name, extension=extension, filename=filename, rule=self._naming
        )
        failure = self.config.s3_failure_path and failure_location(
            self.config.s3_failure_path, name=name, extension=extension, filename=filename, rule=self._naming
        )
        return Accepted(inference_id=inference_id, output_location=output or None, failure_location=failure or None)

    def _scale(self, now: float) -> None:
        self._scaling.look(self.backlog, now, busy=bool(self.backlog or self.running))
        self._queue.slots = self._scaling.current * self.config.max_concurrent_invocations_per_instance

    def _observe(self, now: float) -> None:
        # "currently being processed or yet to be processed": the developer guide, of the backlog.
        backlog, instances, oldest = self.backlog + self.running, self._scaling.current, self._queue.oldest
        self._metrics.measure("ApproximateBacklogSize", backlog, now)
        self._metrics.measure("ApproximateBacklogSizePerInstance", backlog / max(1, instances), now)
        self._metrics.measure("HasBacklogWithoutCapacity", int(backlog > 0 and not instances), now)
        self._metrics.measure("ApproximateAgeOfOldestRequest", now - oldest.received_at if oldest else 0, now)

    async def _next_change(self) -> None:
        times = [at for at in (self._queue.wakes_at(), self._scaling.wakes_at()) if at is not None]
        nap = max(_SHORTEST_NAP_SECONDS, min(times) - self._now()) if times else None
        with suppress(TimeoutError):
            async with asyncio.timeout(nap):
                await self._changed.wait()

    def _perform(self, action: Action[Invocation], tasks: asyncio.TaskGroup) -> None:
        invocation = action.invocation
        if isinstance(action, Start):
            self._begin(tasks, self._process, invocation)
        elif isinstance(action, Expire):
            self._begin(tasks, self._delivery.unanswered, invocation, expired())
        else:
            self._at_work.pop(invocation).cancel()
            self._begin(tasks, self._delivery.unanswered, invocation, timed_out())

    def _begin(self, tasks: asyncio.TaskGroup, work: Work, invocation: Invocation, *arguments: Any) -> None:
        task = tasks.create_task(self._contained(work, invocation, *arguments))
        self._at_work[invocation] = task
        task.add_done_callback(lambda done: self._end(invocation, done))

    async def _contained(self, work: Work, invocation: Invocation, *arguments: Any) -> None:
        """Do the work; what goes wrong in it unexpectedly ends this request alone.

        Out of its task, an exception would end this endpoint, and all others with it.
        """
        try:
            await work(invocation, *arguments)
        except BaseException as error:
            if asks_to_end(error):
                raise
            _log.exception("[%s] The local endpoint itself failed at this request", invocation.accepted.inference_id)
            if self._queue.finished(invocation):
                self._changed.set()
                broken = no_answer(f"the local endpoint failed with {type(error).__name__}")
                await self._contained(self._delivery.unanswered, invocation, broken)

    def _end(self, invocation: Invocation, task: asyncio.Task[None]) -> None:
        # A timed-out invocation has another task at work by now, and ends with that one.
        if self._at_work.get(invocation) is task:
            del self._at_work[invocation]
            self._changed.set()

    def _note_idleness(self) -> None:
        if not (self._at_work or self._queue.backlog):
            self._idle.set()

    async def _process(self, invocation: Invocation) -> None:
        ending = await self._ending(invocation)
        # Asked before anything is written: an answer after the timeout must leave no object.
        if not self._queue.finished(invocation):
            return
        self._changed.set()
        if isinstance(ending, Unanswered):
            await self._delivery.unanswered(invocation, ending)
        else:
            await self._delivery.answered(invocation, ending)

    async def _ending(self, invocation: Invocation) -> Answer | Unanswered:
        began = self._now()
        self._metrics.measure("TimeInBacklog", 1e3 * (began - invocation.received_at), began)
        try:
            body, content_type = await self._input(invocation)
        except Exception as error:  # noqa: BLE001 - the store says why in its own classes, and any means unreadable
            return unreadable_input(f"{invocation.fields.get('input_location')}: {error}")
        asked = self._now()
        self._metrics.measure("RequestDownloadLatency", 1e6 * (asked - began), asked)
        answer = await self._answer(invocation, body, content_type)
        self._metrics.measure("ModelLatency", 1e6 * (self._now() - asked), self._now())
        return no_answer(str(answer)) if isinstance(answer, NoAnswer) else answer

    async def _answer(self, invocation: Invocation, body: bytes, content_type: str | None) -> Answer | NoAnswer:
        headers = [self._headers(invocation, content_type)] if self._takes_headers else []
        accept = invocation.fields.get("accept")
        return await answer_of(self._handler, body, content_type, accept, *headers, in_thread=self._in_thread)

    def _headers(self, invocation: Invocation, content_type: str | None) -> dict[str, str]:
        """Those that the service forwards to a container; a caller's others are stripped."""
        fields = invocation.fields
        generated = invocation.accepted.inference_id if self._forward_generated_inference_id else None
        headers = {
            "Content-Type": content_type,
            "Accept": fields.get("accept"),
            "X-Amzn-SageMaker-Custom-Attributes": fields.get("custom_attributes"),
            "X-Amzn-SageMaker-Inference-Id": fields.get("inference_id") or generated,
        }
        return {name: value for name, value in headers.items() if value is not None}

    async def _input(self, invocation: Invocation) -> tuple[bytes, str | None]:
        fields = invocation.fields
        if fields.get("body") is not None:
            return fields["body"], fields.get("content_type")
        body, stored_type = await self._store.get(parse_s3_uri(fields.get("input_location") or ""))
        return body, fields.get("content_type") or stored_type
