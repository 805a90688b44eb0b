"""A job over several lives of its client: each may be killed at any call, and another goes on from what lies in S3."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import threading

import pandas as pd
from integration.scene import NEW_SDK, double

from sm_async_nb.core.asked import asked_of
from sm_async_nb.core.batch import Batch
from sm_async_nb.core.build import RequestArguments, build_batch
from sm_async_nb.core.ledger import Status
from sm_async_nb.core.locations import JobLayout, S3Location, parse_s3_uri
from sm_async_nb.job.continuing import continue_job
from sm_async_nb.job.creating import create_job
from sm_async_nb.job.document import Settings, read_document
from sm_async_nb.job.engine import Connections, Engine
from sm_async_nb.job.lease import Lease
from sm_async_nb.job.opening import Opened, open_job
from sm_async_nb.testing import ManualClock, MemoryEndpoint, MemoryStorage

LAYOUT = JobLayout(S3Location("bucket", "in"), "job-1")
AFTER_THE_LEASE = 90.0


class Killed(Exception):  # noqa: N818 - it is what happened
    """The client is dead: no call of it does anything any more."""


class Death:
    """Comes before or after the n-th call of a client, or never."""

    def __init__(self, at: int = 0, *, after: bool = False) -> None:
        self.at = at
        self.after = after
        self.calls = 0
        self.has_come = False

    @contextlib.contextmanager
    def around_a_call(self):
        self._check()
        self.calls += 1
        is_the_last = self.calls == self.at
        if is_the_last and not self.after:
            self.has_come = True
        self._check()
        yield
        if is_the_last:
            self.has_come = True
        self._check()

    def _check(self):
        if self.has_come:
            raise Killed


class MortalStorage:
    """S3 as a client sees it that may be killed at any call."""

    def __init__(self, storage: MemoryStorage, death: Death) -> None:
        self._storage = storage
        self._death = death

    async def put(self, *arguments, **options):
        with self._death.around_a_call():
            await self._storage.put(*arguments, **options)

    async def get(self, location):
        with self._death.around_a_call():
            return await self._storage.get(location)

    async def list(self, prefix, *, start_after=""):
        with self._death.around_a_call():
            pages = [page async for page in self._storage.list(prefix, start_after=start_after)]
        for page in pages:
            yield page

    async def head(self, location):
        with self._death.around_a_call():
            return await self._storage.head(location)


class MortalRuntime:
    """The same of the endpoint."""

    def __init__(self, world: World, death: Death) -> None:
        self._world = world
        self._death = death

    async def invoke(self, fields):
        with self._death.around_a_call():
            return await self._world.endpoint.invoke(fields)


class World:
    """What outlives every client: S3, the endpoint, the time, and what each request was sent how often."""

    def __init__(self, handler=double, *, sdk=NEW_SDK, config=None):
        self.clock = ManualClock()
        self.storage = MemoryStorage(self.clock.now)
        self.sdk = sdk
        self.sent: list[str] = []
        self.intercept = lambda fields: self.sent.append(fields["inference_id"])
        self._new_endpoint = lambda: MemoryEndpoint(handler, self.storage, self.clock, config=config)
        self.endpoint = self._new_endpoint()

    def run(self, play):
        """Run a coroutine with the endpoint at work; on a loop of its own, to which the endpoint belongs."""
        self.endpoint = self._new_endpoint()
        self.endpoint.intercept = self._intercepted

        async def played():
            async with self.endpoint:
                return await play

        return self.clock.run(played())

    def _intercepted(self, fields):
        self.intercept(fields)  # as it is by then

    def batch(self, frame: pd.DataFrame, **fields) -> Batch:
        batch = build_batch(frame, RequestArguments(endpoint_name="memory", **fields), self.sdk)
        batch.check()
        return batch

    def client(self, death: Death | None = None) -> Client:
        return Client(self, death or Death())


class Client:
    """One life: it begins a job, or attaches to it, and runs until the end or its death."""

    def __init__(self, world: World, death: Death) -> None:
        self.world = world
        self.death = death
        self.storage = MortalStorage(world.storage, death)
        self.runtime = MortalRuntime(world, death)
        self.lease = Lease(self.storage, LAYOUT, now=world.clock.now)
        self.engine: Engine | None = None
        self.opened: Opened | None = None
        self.snapshots = []

    async def begin(self, batch: Batch, **settings) -> Opened:
        """What `submit` does of a new job."""
        await self.lease.acquire()
        asked = asked_of(RequestArguments(endpoint_name="memory"), batch)
        self.opened = await create_job(
            self.storage, batch, LAYOUT, asked=asked, settings=Settings(**settings), tags={}, note="", now=0.0
        )
        return self.opened

    async def go_on(self, batch: Batch, *, retry_failed=False, restart=False, asked=None, **settings):
        """What `submit` does under a name that is there already."""
        await self.lease.acquire()
        document = await read_document(self.storage, LAYOUT)
        found = await continue_job(
            self.storage,
            document,
            batch,
            LAYOUT,
            asked=asked or asked_of(RequestArguments(endpoint_name="memory"), batch),
            settings=Settings(**settings),
            tags={},
            note="",
            retry_failed=retry_failed,
            restart=restart,
        )
        self.opened = found.opened
        return found

    async def attach(self) -> Opened:
        """What `attach` does."""
        reading = await open_job(self.storage, LAYOUT, self.world.sdk)
        await self.lease.acquire()
        await reading.read_on(self.storage)
        self.opened = reading.opened
        return self.opened

    async def follow(self, again=None, notifications=None):
        """Run the engine to the end, with these sent once more."""
        await self.follow_with(
            lambda engine: engine.retry(again) if again is not None and again.size else None, notifications
        )

    async def follow_with(self, tell, notifications=None):
        """The same, with something told to the engine first."""
        opened = self.opened
        self.engine = Engine(
            batch=opened.papers.batch,
            layout=LAYOUT,
            ledger=opened.ledger,
            lock=threading.Lock(),
            limits=opened.papers.limits,
            now=self.world.clock.now,
            publish=self.snapshots.append,
            lease=self.lease,
            beginning=opened.beginning,
            jitter=random.Random(0),
        )
        tell(self.engine)
        await self.engine.run(Connections(storage=self.storage, runtime=self.runtime, notifications=notifications))
        await self.lease.release()

    async def live(self, batch: Batch | None = None, **settings):
        """Begin or attach, and follow; a death ends it quietly."""
        with contextlib.suppress(Killed):
            if batch is None:
                await self.attach()
            else:
                await self.begin(batch, **settings)
            await self.follow()


async def wait_for_the_lease():
    """Until a dead client's lease has lapsed; in no time at all, on a clock of our own."""
    await asyncio.sleep(AFTER_THE_LEASE)


def answers(world: World, opened: Opened) -> list:
    """What each row was answered, None where it was not."""
    ledger, packing = opened.ledger, opened.papers.batch.packing
    found = []
    for request in packing.request_of(range(len(opened.papers.batch.frame))).tolist():
        if ledger.status[request] == Status.COMPLETED:
            body = world.storage.objects[parse_s3_uri(ledger.texts["output_location"][request])][0]
            found.append(json.loads(body))
        else:
            found.append(None)
    return found
