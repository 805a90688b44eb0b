"""What the package itself costs: CPU with a stub in place of AWS, or memory. ``python own_share.py KIND ROWS``."""

from __future__ import annotations

import asyncio
import bisect
import gc
import json
import os
import random
import resource
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from botocore.loaders import create_loader
from contenders import frame_of

from sm_async_nb.aws.runtime import Accepted
from sm_async_nb.aws.storage import StorageTerms, StoredObject
from sm_async_nb.core.asked import asked_of
from sm_async_nb.core.batch import Batch
from sm_async_nb.core.build import RequestArguments, build_batch
from sm_async_nb.core.ledger import Fact, Learned, Ledger, Status
from sm_async_nb.core.locations import JobLayout, S3Location
from sm_async_nb.core.plan import Limits
from sm_async_nb.core.request import read_fields
from sm_async_nb.job.checkpoint import copy_columns, write_checkpoint
from sm_async_nb.job.creating import create_job
from sm_async_nb.job.document import Settings
from sm_async_nb.job.engine import Connections, Engine
from sm_async_nb.job.frame import snapshot
from sm_async_nb.job.journal import Journal
from sm_async_nb.job.opening import open_job
from sm_async_nb.job.papers import Papers
from sm_async_nb.job.recording import SEGMENTS_A_CHECKPOINT
from sm_async_nb.job.reports import Reports
from sm_async_nb.job.shape import Shape
from sm_async_nb.testing import ManualClock, MemoryStorage

LAYOUT = JobLayout(S3Location("bench", "in"), "job")
_PAGE = 1_000

# What a journal has behind its newest checkpoint, at most: so many segments, of as many facts as are ever unrecorded.
_SEGMENTS, _FACTS = SEGMENTS_A_CHECKPOINT - 1, 256


class Stub:
    """S3 and an endpoint that cost next to nothing: an output is there as soon as a request was made."""

    def __init__(self, now: Any) -> None:
        self._now = now
        self._keys: list[str] = []
        self._bodies: dict[str, bytes] = {}

    async def put(self, location: S3Location, body: bytes, *_: Any, **__: Any) -> None:
        self._bodies[location.key] = body

    async def get(self, location: S3Location) -> tuple[bytes, str | None]:
        return self._bodies[location.key], "application/json"

    async def head(self, location: S3Location) -> StoredObject | None:
        return StoredObject(location, 1, self._now()) if location.key in self._bodies else None

    async def delete(self, _locations: Sequence[S3Location]) -> None:
        pass

    async def directories(self, _prefix: S3Location) -> list[str]:
        return []

    async def list(self, prefix: S3Location, *, start_after: str = "") -> AsyncIterator[list[StoredObject]]:
        keys, now = self._keys, self._now()
        at = bisect.bisect_right(keys, max(start_after, prefix.key))
        while True:
            page = [key for key in keys[at : at + _PAGE] if key.startswith(prefix.key)]
            yield [StoredObject(S3Location("bench", key), 1, now) for key in page]
            if len(page) < _PAGE:
                return
            at += _PAGE

    async def invoke(self, fields: Mapping[str, Any]) -> Accepted:
        name = str(fields.get("filename") or f"{len(self._keys):08d}.out")
        key = "/".join(filter(None, ("out", str(fields.get("s3_output_path_extension", "")), name)))
        bisect.insort(self._keys, key)
        return Accepted(
            inference_id=str(fields.get("inference_id", name)),
            output_location=f"s3://bench/{key}",
            failure_location=f"s3://bench/fail/{name}",
            request_id="r",
        )


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _fields() -> Mapping[str, Any]:
    return read_fields(create_loader().load_service_model("sagemaker-runtime", "service-2"))


def _batch(frame: pd.DataFrame, **options: Any) -> Batch:
    batch = build_batch(frame, RequestArguments(endpoint_name="bench", **options), _fields())
    batch.check()  # which also packs rows into requests
    return batch


def engine(rows: int, **options: Any) -> dict[str, float]:
    """CPU from the first upload to the last output that was found, and what encoding alone takes of it."""
    batch, clock = _batch(frame_of(rows), **options), ManualClock()
    stub = Stub(clock.now)
    one = Engine(
        batch=batch,
        layout=LAYOUT,
        ledger=Ledger(len(batch), allowance=batch.allowance + 60),
        lock=threading.Lock(),
        limits=Limits(),
        now=clock.now,
        publish=lambda _: None,
        jitter=random.Random(0),  # noqa: S311 - no secret
    )
    began = _cpu()
    clock.run(one.run(Connections(storage=stub, runtime=stub)))
    used = _cpu() - began
    return {"rows": rows, "micros": used / rows * 1e6, "encoding": _encoding(rows, **options)}


def _encoding(rows: int, **options: Any) -> float:
    batch = _batch(frame_of(rows), **options)
    began = _cpu()
    for request in range(len(batch)):
        batch.payload(request)
    return (_cpu() - began) / rows * 1e6


def memory(rows: int) -> dict[str, float]:
    """Bytes per row over the frame, when all was accepted and every output found."""
    frame = frame_of(rows)
    gc.collect()
    before = _resident()
    batch = _batch(snapshot(frame))
    ledger = Ledger(len(batch), allowance=batch.allowance + 60)
    for start in range(0, rows, 50_000):
        requests = np.arange(start, min(start + 50_000, rows))
        ledger.apply(Learned(fact=Fact.INPUT_UPLOADED, requests=requests, at=1.0))
        ledger.apply(Learned(fact=Fact.ACCEPTED, requests=requests, at=2.0, details=_details(requests)))
        ledger.apply(Learned(fact=Fact.OUTPUT_FOUND, requests=requests, at=3.0))
    gc.collect()
    return {"rows": rows, "bytes": (_resident() - before) / rows, "peak": (_peak() - before) / rows}


def _details(requests: Any) -> dict[str, list[str]]:
    names = [LAYOUT.filename(number, 0) for number in requests]
    return {
        "output_location": [f"s3://bench/out/job/{name}" for name in names],
        "failure_location": [f"s3://bench/fail/{name}-error.out" for name in names],
        "inference_id": [LAYOUT.inference_id(number, 0) for number in requests],
        "request_id": [f"{number:08x}-aaaa-bbbb-cccc-123456789012" for number in requests],
        "http_status": ["202"] * len(requests),
    }


def _resident() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def into(rows: int) -> dict[str, float]:
    """Megabytes over what is there before, at their most, while all outputs are written to Parquet files."""
    batch = _batch(frame_of(rows))
    ledger = Ledger(rows, allowance=1)
    for start in range(0, rows, 50_000):
        requests = np.arange(start, min(start + 50_000, rows))
        ledger.apply(Learned(fact=Fact.ACCEPTED, requests=requests, at=2.0, details=_details(requests)))
        ledger.apply(Learned(fact=Fact.OUTPUT_FOUND, requests=requests, at=3.0))
    papers = Papers(asked=None, batch=batch, layout=LAYOUT, limits=Limits(), storage_terms=StorageTerms())  # type: ignore[arg-type]
    reports = Reports(papers, ledger, threading.Lock(), _answers)
    gc.collect()
    before, highest, stop = _resident(), [0.0], threading.Event()

    def watch() -> None:
        while not stop.wait(0.01):
            highest[0] = max(highest[0], _resident())

    watching = threading.Thread(target=watch)
    watching.start()
    with tempfile.TemporaryDirectory() as folder:
        reports.write_results(f"{folder}/out", Shape())
    stop.set()
    watching.join()
    return {"rows": rows, "megabytes": (highest[0] - before) / 1e6}


class _Answer:
    async def get(self, _location: S3Location) -> tuple[bytes, str | None]:
        return b'{"score":0.12345,"label":"gold"}', "application/json"


@asynccontextmanager
async def _answers() -> AsyncIterator[Any]:
    yield _Answer()


def attach(rows: int) -> dict[str, float]:
    """Seconds to open a job of which all was accepted, with as much of its journal as a checkpoint may lack."""
    return asyncio.run(_attach(rows))


async def _attach(rows: int) -> dict[str, float]:
    storage = MemoryStorage(time.time)
    await _lay_down(storage, rows)
    gc.collect()
    began = time.perf_counter()
    opened = (await open_job(storage, LAYOUT, _fields())).opened
    seconds = time.perf_counter() - began
    assert opened.ledger.counts[Status.COMPLETED] == min(_SEGMENTS * _FACTS, rows)
    return {"rows": rows, "seconds": seconds, "segments": _SEGMENTS}


async def _lay_down(storage: MemoryStorage, rows: int) -> None:
    batch = _batch(frame_of(rows))
    asked = asked_of(RequestArguments(endpoint_name="bench"), batch)
    job = await create_job(storage, batch, LAYOUT, asked=asked, settings=Settings(), tags={}, note="", now=0.0)
    for start in range(0, rows, 50_000):
        requests = np.arange(start, min(start + 50_000, rows))
        job.ledger.apply(Learned(fact=Fact.ACCEPTED, requests=requests, at=2.0, details=_details(requests)))
    await write_checkpoint(storage, LAYOUT, copy_columns(job.ledger), next_segment=0)
    journal = Journal(storage, LAYOUT)
    for segment in range(_SEGMENTS):
        requests = np.arange(segment * _FACTS, min((segment + 1) * _FACTS, rows))
        await journal.append([Learned(fact=Fact.OUTPUT_FOUND, requests=requests, at=3.0)] if requests.size else [])


KINDS = {
    "attach": attach,
    "engine": engine,
    "packed": lambda rows: engine(rows, rows_per_request=100),
    "memory": memory,
    "into": into,
}

if __name__ == "__main__":
    print(json.dumps(KINDS[sys.argv[1]](int(sys.argv[2]))))
