"""What becomes of a request: its object in S3, its notification, and its count in the metrics."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass

from sm_async_nb.core.locations import S3Location
from sm_async_nb.local.faults import Injector
from sm_async_nb.local.handler import Answer
from sm_async_nb.local.invocation import EndpointConfig, Invocation, ObjectStore, Topics
from sm_async_nb.local.metrics import Metrics
from sm_async_nb.local.notifications import (
    ERROR_NOTIFICATION_TOPIC,
    SUCCESS_NOTIFICATION_TOPIC,
    TEST_NOTIFICATION,
    Told,
    completed_message,
    failed_message,
    is_client_error,
    model_failure_reason,
)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Unanswered:
    """A request that ended without an answer of the model.

    ``reason`` is what its failure object says, ``failure_reason`` what its notification says, ``notified`` whether the
    service is known to publish one; ``detail`` is for the log.
    """

    reason: str
    failure_reason: str
    metric: str | None = None
    notified: bool = False
    detail: str = ""

    @property
    def message(self) -> str:
        return f"{self.reason}: {self.detail}" if self.detail else self.reason


def expired() -> Unanswered:
    reason = "the request expired in the queue"
    return Unanswered(reason=reason, failure_reason=f"ClientError: {reason}.", metric="ExpiredRequests")


def unreadable_input(detail: str) -> Unanswered:
    reason = "the input could not be read"
    failure_reason = f"ClientError: {reason}."
    return Unanswered(reason=reason, failure_reason=failure_reason, metric="RequestDownloadFailures", detail=detail)


def timed_out() -> Unanswered:
    return no_answer("the model did not answer within InvocationTimeoutSeconds")


def no_answer(reason: str) -> Unanswered:
    """The model did not answer in time, or not in a way that the service takes."""
    return Unanswered(reason=reason, failure_reason=model_failure_reason(0), notified=True)


class Delivery:
    """Tells the world what came of a request. ``metrics`` are those of the service's names.

    Parameters
    ----------
    failure_object_without_model_answer, notification_without_model_answer
        Whether a request that ended without an answer of the model leaves a failure object and a notification.
        UNVERIFIED, but for the notification of a time-out, which was seen and is always published. Whether an output
        that cannot be written is notified, as a failure, goes with the latter.
    """

    def __init__(
        self,
        config: EndpointConfig,
        store: ObjectStore,
        topics: Topics | None,
        *,
        now: Callable[[], float],
        metrics: Metrics,
        injector: Injector,
        failure_object_without_model_answer: bool = False,
        notification_without_model_answer: bool = False,
    ) -> None:
        self.config = config
        self._store = store
        self._topics = NoTopics() if topics is None else topics
        self._now = now
        self._metrics = metrics
        self._injector = injector
        self._failure_object_without_model_answer = failure_object_without_model_answer
        self._notification_without_model_answer = notification_without_model_answer

    async def answered(self, invocation: Invocation, answer: Answer) -> None:
        """The model answered, with a success or an error."""
        self._count("InvocationsProcessed")
        if answer.succeeded:
            await self._completed(invocation, answer)
        else:
            await self._failed(invocation, answer)
        self._metrics.measure("TotalProcessingTime", 1e3 * (self._now() - invocation.received_at), self._now())

    async def unanswered(self, invocation: Invocation, ending: Unanswered) -> None:
        """The request ended without an answer of the model."""
        if ending.metric is not None:
            self._count(ending.metric)
        self._count("InvocationFailures")
        self._log(invocation, "Failed: %s", ending.message)
        written = None
        if self._failure_object_without_model_answer:
            told = Answer(json.dumps({"message": ending.reason}, separators=(",", ":")).encode(), status=500)
            written = await self._write(invocation, invocation.accepted.failure_location, told)
        if ending.notified or self._notification_without_model_answer:
            await self._tell_failure(invocation, ending.failure_reason, written)

    async def test(self) -> None:
        """Publish the test message to every topic: the endpoint was created or updated."""
        for topic in self.config.topics:
            await self._publish(topic, TEST_NOTIFICATION, "TestNotification")

    async def _completed(self, invocation: Invocation, answer: Answer) -> None:
        location = invocation.accepted.output_location
        if location is None:
            self._log(invocation, "Completed: %s", "in the notification")
        elif self._injector.strikes("lose_output", invocation.fields):
            self._log(invocation, "Completed, and lost by a fault: %s", location)
        elif await self._write(invocation, location, answer) is None:
            await self._not_written(invocation)
            return
        else:
            self._log(invocation, "Completed: %s", location)
        if self.config.success_topic is not None:
            with_response = SUCCESS_NOTIFICATION_TOPIC in self.config.include_inference_response_in
            message = completed_message(self._told(invocation), location, answer, with_response=with_response)
            await self._notify(invocation, self.config.success_topic, message)

    async def _not_written(self, invocation: Invocation) -> None:
        # Nothing can reach S3. What the service tells of it is UNVERIFIED, so nothing is told unless that was chosen.
        if self._notification_without_model_answer:
            await self._tell_failure(invocation, "ClientError: the output could not be written.", None)

    async def _failed(self, invocation: Invocation, answer: Answer) -> None:
        self._count("Invocation4XXErrors" if is_client_error(answer.status) else "Invocation5XXErrors")
        self._count("InvocationFailures")
        self._log(invocation, "Failed: the model answered %s", answer.status)
        location = invocation.accepted.failure_location
        if location is not None and not self._injector.strikes("lose_failure", invocation.fields):
            location = await self._write(invocation, location, answer)
        await self._tell_failure(invocation, model_failure_reason(answer.status), location, answer)

    async def _tell_failure(
        self, invocation: Invocation, reason: str, location: S3Location | None, answer: Answer | None = None
    ) -> None:
        if self.config.error_topic is not None:
            with_response = ERROR_NOTIFICATION_TOPIC in self.config.include_inference_response_in
            message = failed_message(self._told(invocation), reason, location, answer, with_response=with_response)
            await self._notify(invocation, self.config.error_topic, message)

    async def _write(self, invocation: Invocation, location: S3Location | None, answer: Answer) -> S3Location | None:
        """Where the object lies now; None if it could not be written, or is not to be."""
        if location is None:
            return None
        began = self._now()
        try:
            await self._store.put(location, answer.body, answer.content_type)
        except Exception as error:  # noqa: BLE001 - nothing can reach S3 then; the service counts it, and so do we
            self._count("ResponseUploadFailures")
            self._log(invocation, "ResponseUploadFailures: %s", f"{location}: {error}")
            return None
        self._metrics.measure("ResponseUploadLatency", 1e6 * (self._now() - began), self._now())
        return location

    async def _notify(self, invocation: Invocation, topic: str, message: str) -> None:
        if not self._injector.strikes("lose_notification", invocation.fields):
            await self._publish(topic, message, invocation.accepted.inference_id)

    async def _publish(self, topic: str, message: str, about: str) -> None:
        try:
            await self._topics.publish(topic, message)
        except Exception as error:  # noqa: BLE001 - a topic that is gone stops nothing; the service counts it
            self._count("NotificationFailures")
            _log.info("[%s] NotificationFailures: %s: %s", about, topic, error)

    def _told(self, invocation: Invocation) -> Told:
        return Told(
            region_name=self.config.region_name,
            endpoint_name=self.config.endpoint_name,
            inference_id=invocation.accepted.inference_id,
            fields=invocation.fields,
            received_at=invocation.received_at,
            ended_at=self._now(),
        )

    def _count(self, metric: str) -> None:
        self._metrics.count(metric, self._now())

    def _log(self, invocation: Invocation, what: str, detail: object) -> None:
        _log.info(f"[%s] {what}", invocation.accepted.inference_id, detail)


class NoTopics:
    """For an endpoint that was made without a way to publish: a notification that is due fails, and is counted."""

    async def publish(self, topic_arn: str, message: str) -> None:  # noqa: ARG002 - as Topics has it
        raise ConnectionError("This endpoint was made without a way to publish.")
