"""A model that does what a test wants and counts who asked it, and a look at the calls on the wire."""

from __future__ import annotations

import json
import threading
from collections import Counter
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

import pandas as pd

from sm_async_nb.aws.session import aio_session
from sm_async_nb.local import ModelError

_INFERENCE_ID = "X-Amzn-SageMaker-Inference-Id"
_PATIENCE = 30


class Model:
    """Twice ``x``, alone or in an array; ``asked`` counts how often it was asked for each request, by inference id.

    ``failing`` has the status that it answers for some ``x``, ``failing_once`` for the first time only. While
    :attr:`door` is shut it answers nobody.
    """

    def __init__(self) -> None:
        self.door = threading.Event()
        self._lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        """Forget who asked, and answer everybody."""
        self.asked: Counter[str] = Counter()
        self.failing: dict[int, int] = {}
        self.failing_once: dict[int, int] = {}
        self.door.set()

    def __call__(self, body, content_type, accept, headers):
        with self._lock:
            self.asked[headers[_INFERENCE_ID]] += 1
        self.door.wait(_PATIENCE)
        record = json.loads(body)
        answer = [self._answer(one) for one in record] if isinstance(record, list) else self._answer(record)
        return json.dumps(answer)

    def _answer(self, record):
        status = self.failing_once.pop(record["x"], self.failing.get(record["x"]))
        if status is not None:
            raise ModelError(f"{record['x']} is not my number", status=status)
        return {"y": 2 * record["x"]}

    @property
    def asked_twice(self) -> int:
        """How many questions were asked again, beyond the first for each."""
        with self._lock:
            return sum(self.asked.values()) - len(self.asked)


@dataclass
class Wire:
    """What was called of S3 and the runtime by this process with one session: operation, address, headers."""

    calls: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    unanswered: Counter[str] = field(default_factory=Counter)

    @classmethod
    def of(cls, session) -> Wire:
        """Listen to all clients that are made of the session from now on."""
        wire = cls()
        aio_session(session).register("before-send.s3", wire._hear_s3)
        aio_session(session).register("after-call.s3", wire._hear_answer)
        session.events.register("before-send.sagemaker-runtime", wire._hear)
        return wire

    def count(self, operation, part="") -> int:
        """How often an operation was called, on whatever has this in its address."""
        return sum(name == operation and part in address for name, address, _ in self.calls)

    async def _hear_s3(self, request, event_name, **_):
        self._hear(request, event_name)
        self.unanswered[event_name.rpartition(".")[2]] += 1

    async def _hear_answer(self, event_name, **_):
        self.unanswered[event_name.rpartition(".")[2]] -= 1

    def _hear(self, request, event_name, **_):
        headers = {name.lower(): _text(value) for name, value in request.headers.items()}
        address = urlsplit(request.url)
        self.calls.append((event_name.rpartition(".")[2], unquote(f"{address.path}?{address.query}"), headers))


def _text(value) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def numbers(rows, *, first=0):
    """A frame of one column, with labels that are not places."""
    return pd.DataFrame({"x": range(first, first + rows)}, index=[f"row {x}" for x in range(first, first + rows)])


def doubled(frame) -> pd.DataFrame:
    """What the model makes of it."""
    return pd.DataFrame({"y": 2 * frame["x"]}, index=frame.index)


def until(condition, *, seconds=_PATIENCE):
    """Return when it is true, which takes as long as the endpoint and the job need."""
    for _ in range(seconds * 100):
        if condition():
            return
        threading.Event().wait(0.01)
    raise AssertionError(f"It was not so within {seconds} seconds.")
