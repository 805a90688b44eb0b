"""Following the requests that were accepted until their answers are found, in S3 or in notifications."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Callable, Iterable

import numpy as np

from sm_async_nb.aws.notifications import Notification, Notifications
from sm_async_nb.aws.storage import Storage
from sm_async_nb.core.columns import IntArray
from sm_async_nb.core.ledger import Fact, Status
from sm_async_nb.core.locations import parse_s3_uri
from sm_async_nb.core.plan import first_look, next_look
from sm_async_nb.core.verdict import verdict_of
from sm_async_nb.errors import ServiceTroubleError
from sm_async_nb.job.backoff import Backoff
from sm_async_nb.job.desk import Desk
from sm_async_nb.job.tracker import Answer, Look, Tracker

# Where notifications tell of answers, S3 is looked at this seldom, for those that were lost. Seconds.
_BACKSTOP = 60.0

# A queue that is shared hands out what others wait for; they get so much time to take it. Seconds.
_OTHERS_TURN = 1.0

_READERS = 16

# Whoever comes back after hours finds them by the hundred thousand, and sending goes on meanwhile.
_ANSWERS_AT_A_TIME = 1_000

# More of a model's words than this belongs in a log viewer.
MESSAGE_CHARACTERS = 4_096

TakeBody = Callable[[int, bytes, str | None], None]


class Looker:
    """Looks for answers, and listens for them.

    Parameters
    ----------
    take_body
        Called with the output that came inside a notification.
    looks, listens
        How it goes with the two.
    """

    def __init__(self, desk: Desk, *, looks: Backoff, listens: Backoff, take_body: TakeBody) -> None:
        self._desk = desk
        self._looks = looks
        self._listens = listens
        self._take_body = take_body
        self._storage: Storage | None = None
        self._notifications: Notifications | None = None
        self._tracker: Tracker | None = None
        self._ended_at = -math.inf
        # Which request an inference id belongs to, and what was told of one before its acceptance was recorded.
        self._request_of: dict[str, int] = {}
        self._early: dict[str, Notification] = {}
        self._deleting: set[asyncio.Task[None]] = set()

    def connect(self, storage: Storage, notifications: Notifications | None) -> None:
        """Go on with these connections, following what is known to be accepted, or taken for expired."""
        self._storage = storage
        self._notifications = notifications
        self._tracker = Tracker(storage, self._desk.layout)
        self._desk.underway.looked_at_each = self._tracker.probed_at
        self._request_of.clear()
        self.follow(self._desk.ledger.where(Status.ACCEPTED, Status.EXPIRED))

    def follow(self, requests: IntArray) -> None:
        """Begin to watch where the service says it will put these answers."""
        tracker, ledger, underway = self._connected, self._desk.ledger, self._desk.underway
        if not len(tracker):
            self._ended_at = self._desk.now()
            underway.look_at = first_look(self._desk.now())
        columns = [ledger.texts[name].take(requests) for name in ("output_location", "failure_location")]
        for followed in zip(requests.tolist(), *columns, ledger.accepted_at[requests].tolist(), strict=True):
            tracker.follow(*followed)
        if self._notifications is not None:
            for inference_id, request in zip(
                ledger.texts["inference_id"].take(requests), requests.tolist(), strict=True
            ):
                self._request_of[inference_id] = request
                if inference_id in self._early:
                    self._believe(self._early.pop(inference_id), request)

    def leave(self, requests: Iterable[int]) -> None:
        """Watch these no longer."""
        left = list(requests)
        texts, tracker = self._desk.ledger.texts, self._connected
        columns = [texts[name].take(np.array(left, dtype=np.int64)) for name in ("output_location", "failure_location")]
        for one in zip(left, *columns, strict=True):
            tracker.leave(*one)

    def give_up(self, requests: IntArray) -> None:
        """Watch these no longer, and do not believe what is told of them: they are sent once more."""
        if self._tracker is None:
            return
        self.leave(requests.tolist())
        self._tracker.give_up(requests.tolist())
        for inference_id in self._desk.ledger.texts["inference_id"].take(requests):
            self._request_of.pop(inference_id, None)

    # Looking into S3

    async def look(self) -> None:
        """Look once at every place where an answer may have appeared."""
        desk = self._desk
        began = desk.now()
        try:
            look = await self._connected.look(began)
            judged = await self._take_answers(look)
        finally:
            desk.underway.looking = False
        await self._judge_all(judged)
        if look.trouble is None:
            self._looks.get_on()
            desk.underway.looked_at = began
        else:
            self._looks.meet(look.trouble, desk.now())
            desk.show()
        desk.underway.look_not_before = self._looks.hold_until
        pause = began - self._ended_at
        self._ended_at = desk.now()
        due = next_look(self._ended_at, pause, found=len(look.answers), lists=look.lists, heads=look.heads)
        desk.underway.look_at = due if self._notifications is None else max(due, self._ended_at + _BACKSTOP)

    async def _take_answers(self, look: Look) -> list[Answer]:
        """Learn of them; what is given back has to be judged first."""
        judged: list[Answer] = []
        for start in range(0, len(look.answers), _ANSWERS_AT_A_TIME):
            if start:
                await asyncio.sleep(0)
            found = look.answers[start : start + _ANSWERS_AT_A_TIME]
            taken = [answer for answer in found if answer.request not in look.given_up] if look.given_up else found
            for answer in taken:
                if answer.fact == Fact.FAILURE_FOUND and self._desk.limits.retries:
                    judged.append(answer)
                else:
                    self._desk.learn(answer.fact, answer.request, answer.at)
            self.leave(answer.request for answer in taken)
        return judged

    async def _judge_all(self, judged: list[Answer]) -> None:
        gate = asyncio.Semaphore(_READERS)
        await asyncio.gather(*(self._judge(answer, gate) for answer in judged))

    async def _judge(self, answer: Answer, gate: asyncio.Semaphore) -> None:
        """Read what the model said, since what is to be done about a failure depends on it."""
        async with gate:
            text = await self._words(answer.request)
        verdict = verdict_of(text)
        status = {"http_status": str(verdict.http_status)} if verdict.http_status else {}
        message = {"message": text[:MESSAGE_CHARACTERS]} if text else {}
        self._desk.learn(answer.fact, answer.request, answer.at, **message, **status)

    async def _words(self, request: int) -> str:
        assert self._storage is not None
        location = parse_s3_uri(self._desk.ledger.texts["failure_location"][request])
        while True:
            try:
                return (await self._storage.get(location))[0].decode(errors="replace")
            except FileNotFoundError:
                return ""
            except ServiceTroubleError as trouble:
                self._looks.meet(trouble, self._desk.now())
                self._desk.show()
                await self._desk.pause_until(self._looks.hold_until)

    # Listening to notifications

    async def listen(self) -> None:
        """Take in notifications for as long as the job lives."""
        assert self._notifications is not None
        try:
            async with asyncio.TaskGroup() as group:
                while True:
                    await self._listen_once(self._notifications, group)
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None  # callers know errors by their class

    async def _listen_once(self, notifications: Notifications, group: asyncio.TaskGroup) -> None:
        try:
            received = await notifications.receive()
        except ServiceTroubleError as trouble:
            self._listens.meet(trouble, self._desk.now())
            self._desk.show()
            await self._desk.pause_until(self._listens.hold_until)
            return
        self._listens.get_on()
        ours = [one for one in received if self._is_ours(one)]
        for notification in ours:
            self._hear(notification)
        if ours:
            self._desk.wake.set()
            deleting = group.create_task(self._delete(ours, notifications))
            self._deleting.add(deleting)
            deleting.add_done_callback(self._deleting.discard)
        elif received:
            await asyncio.sleep(_OTHERS_TURN)

    async def clear_away(self, seconds: float) -> None:
        """Give the messages that were believed last so long to be taken out of the queue."""
        if self._deleting:
            await asyncio.wait(self._deleting, timeout=seconds)

    async def _delete(self, believed: list[Notification], notifications: Notifications) -> None:
        """Take what is in the journal out of the queue. What cannot be taken out comes again, and does no harm."""
        if self._desk.findings:
            await self._desk.recorded()
        with contextlib.suppress(ServiceTroubleError):
            await notifications.done(believed)

    def _is_ours(self, notification: Notification) -> bool:
        inference_id = notification.inference_id
        return inference_id in self._request_of or inference_id.startswith(f"{self._desk.layout.token}-")

    def _hear(self, notification: Notification) -> None:
        request = self._request_of.get(notification.inference_id)
        if request is not None:
            self._believe(notification, request)
        else:
            # The answer was quicker than our own note that the request was accepted.
            self._early[notification.inference_id] = notification

    def _believe(self, notification: Notification, request: int) -> None:
        ledger = self._desk.ledger
        is_current = ledger.texts["inference_id"][request] == notification.inference_id
        if not is_current or ledger.status[request] not in (Status.ACCEPTED, Status.EXPIRED):
            return  # told twice, or of an earlier attempt
        self.leave([request])
        self._request_of.pop(notification.inference_id, None)
        if not notification.succeeded:
            self._believe_failure(notification, request)
            return
        if notification.body is not None:
            self._take_body(request, notification.body, notification.content_type)
        self._desk.learn(Fact.OUTPUT_FOUND, request, notification.at)

    def _believe_failure(self, notification: Notification, request: int) -> None:
        words = notification.body.decode(errors="replace") if notification.body else ""
        verdict = verdict_of(notification.failure_reason)
        http_status = verdict.http_status or verdict_of(words).http_status
        status = {"http_status": str(http_status)} if http_status else {}
        # The service's reason is no more than a number; the model's own words are better, if there are any.
        is_written = bool(self._desk.ledger.texts["failure_location"][request])
        message = words or ("" if is_written else notification.failure_reason)
        told = {"message": message[:MESSAGE_CHARACTERS]} if message else {}
        self._desk.learn(Fact.FAILURE_FOUND, request, notification.at, **told, **status)

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection to look through."""
        return self._tracker is not None

    @property
    def _connected(self) -> Tracker:
        assert self._tracker is not None
        return self._tracker
