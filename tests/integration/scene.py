"""A job on its stage: an engine, S3 in memory, an endpoint without a network, and a clock that only we move."""

from __future__ import annotations

import asyncio
import json
import random
import threading

import numpy as np
import pandas as pd

from sm_async_nb.core.build import RequestArguments, build_batch
from sm_async_nb.core.ledger import Ledger, Status
from sm_async_nb.core.locations import JobLayout, S3Location, parse_s3_uri
from sm_async_nb.core.plan import Limits
from sm_async_nb.core.request import Field
from sm_async_nb.job.engine import Connections, Engine
from sm_async_nb.job.journal import Journal
from sm_async_nb.testing import ManualClock, MemoryEndpoint, MemoryStorage

GRACE = 60
LAYOUT = JobLayout(S3Location("bucket", "in"), "job-1")
OLD_SDK = {
    name: Field(name=name, member=name, type=kind, location="header")
    for name, kind in {
        "endpoint_name": "string",
        "content_type": "string",
        "input_location": "string",
        "inference_id": "string",
        "request_ttl_seconds": "integer",
        "invocation_timeout_seconds": "integer",
    }.items()
}
NEW_SDK = OLD_SDK | {
    name: Field(name=name, member=name, type="string", location="header")
    for name in ("s3_output_path_extension", "filename")
}


def double(body, content_type, accept):
    """A model that tells one row's answer from every other's."""
    return json.dumps({"y": 2 * json.loads(body)["x"]})


class Scene:
    """Everything a job needs; replace ``storage``, ``runtime`` or their ``intercept`` before :meth:`run`."""

    def __init__(self, rows, handler=double, *, sdk=NEW_SDK, limits=None, fields=None, naming=None, config=None):
        self.clock = ManualClock()
        self.storage = MemoryStorage(self.clock.now)
        self.endpoint = MemoryEndpoint(handler, self.storage, self.clock, naming=naming, config=config)
        self.runtime = self.endpoint
        self.limits = limits or Limits()
        arguments = RequestArguments(endpoint_name="memory", **(fields or {}))
        self.batch = build_batch(pd.DataFrame({"x": range(rows)}), arguments, sdk)
        self.ledger = self.new_ledger()
        self.snapshots = []
        self.left_over = None
        self.engine = None
        self.jitter = random.Random(0)

    def new_ledger(self):
        return Ledger(len(self.batch), allowance=self.batch.allowance + GRACE)

    def run(self):
        """The job from its beginning to its end, on this clock; returns the ledger."""
        self.clock.run(self.play())
        return self.ledger

    async def play(self):
        """The same, for those who do something meanwhile."""
        self.engine = Engine(
            batch=self.batch,
            layout=LAYOUT,
            ledger=self.ledger,
            lock=threading.Lock(),
            limits=self.limits,
            now=self.clock.now,
            publish=self.snapshots.append,
            jitter=self.jitter,
        )
        async with self.endpoint:
            before = asyncio.all_tasks()
            try:
                await self.engine.run(Connections(storage=self.storage, runtime=self.runtime))
            finally:
                self.left_over = {task for task in asyncio.all_tasks() - before if not _is_the_service(task)}

    # What came of it

    def folded(self, objects=None):
        """The ledger that the journal makes of nothing."""
        storage = MemoryStorage(self.clock.now)
        storage.objects = dict(self.storage.objects if objects is None else objects)
        ledger = self.new_ledger()

        async def fold():
            async for batch in Journal(storage, LAYOUT).read():
                for learned in batch:
                    ledger.apply(learned)

        ManualClock().run(fold())
        return ledger

    def segments(self):
        return [location for location in self.storage.objects if location.key.startswith(LAYOUT.journal_prefix.key)]

    def inputs(self):
        return [location for location in self.storage.objects if "/inputs/" in location.key]

    def output(self, request):
        """The object at a request's output location."""
        return self.storage.objects[parse_s3_uri(self.ledger.texts["output_location"][request])][0]

    def failure(self, request):
        return self.storage.objects[parse_s3_uri(self.ledger.texts["failure_location"][request])][0]

    def statuses(self):
        return [Status(status) for status in self.ledger.status.tolist()]

    def troubles(self):
        return [seen.trouble for seen in self.snapshots if seen.trouble is not None]


def _is_the_service(task):
    """Whether it is the endpoint that goes on, which is none of the client's business."""
    return task.get_coro().__qualname__.startswith("AsyncEndpoint.")


def agree(scene):
    """What every run has to leave behind, however it went."""
    assert_same(scene.ledger, scene.folded())

    assert scene.snapshots[-1].counts == scene.ledger.counts
    assert [seen.is_over for seen in scene.snapshots] == [False] * (len(scene.snapshots) - 1) + [True]
    assert [seen.revision for seen in scene.snapshots] == sorted(seen.revision for seen in scene.snapshots)
    assert scene.left_over == set()


def complete(scene):
    """Every request has the output of its own row, and nothing is under way any more."""
    rows = len(scene.batch)
    agree(scene)

    assert [Status.COMPLETED] * rows == scene.statuses()
    assert [{"y": 2 * row} for row in range(rows)] == [json.loads(scene.output(row)) for row in range(rows)]
    assert_idle(scene)


def assert_idle(scene):
    underway = scene.engine._desk.underway

    assert scene.engine._sender.uploaded == set()
    assert (0, 0, 0, False) == (underway.sending, underway.unrecorded, underway.findings, bool(underway.busy.any()))


def assert_same(live, folded):
    everything = np.arange(len(live))

    assert live.status.tolist() == folded.status.tolist()
    assert live.attempt.tolist() == folded.attempt.tolist()
    assert live.input_uploaded.tolist() == folded.input_uploaded.tolist()
    assert live.counts == folded.counts
    assert live.messages == folded.messages
    for name, column in live.texts.items():
        assert column.take(everything) == folded.texts[name].take(everything)
    # The journal keeps microseconds.
    np.testing.assert_allclose(live.accepted_at, folded.accepted_at, rtol=0, atol=1e-6)
    np.testing.assert_allclose(live.finished_at, folded.finished_at, rtol=0, atol=1e-6)


class Gauge:
    """How many are inside at once, and how many were at most."""

    def __init__(self):
        self.inside = self.most = 0

    def __enter__(self):
        self.inside += 1
        self.most = max(self.most, self.inside)

    def __exit__(self, *_):
        self.inside -= 1


class Hasty(random.Random):
    """Chance that always makes a pause as short as it may be."""

    def uniform(self, a, b):
        return a


class SlowRuntime:
    """An endpoint whose answer takes its time; ``seconds`` is a number or a function of the fields."""

    def __init__(self, endpoint, seconds):
        self.gauge = Gauge()
        self._endpoint = endpoint
        self._seconds = seconds if callable(seconds) else lambda fields: seconds

    async def invoke(self, fields):
        with self.gauge:
            await asyncio.sleep(self._seconds(fields))
            return await self._endpoint.invoke(fields)


class SlowStorage(MemoryStorage):
    """S3 whose calls take their time: ``seconds(verb, location)`` of it, before anything happens."""

    def __init__(self, now, seconds):
        super().__init__(now)
        self.gauge = Gauge()
        self._seconds = seconds

    async def _called(self, verb, location):
        with self.gauge:
            await asyncio.sleep(self._seconds(verb, location))
            await super()._called(verb, location)


def row_of(fields):
    """Which row a request is about, by the name of its input."""
    return int(fields["input_location"].rpartition("/")[2].partition(".")[0])
