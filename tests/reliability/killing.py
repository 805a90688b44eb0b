"""``kill -9`` of whoever follows a job, again and again, at moments that a seed decides."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from dataclasses import dataclass

import numpy as np
import pandas as pd
from reliability.figures import Figures, ended_otherwise
from reliability.kernels import Kernel
from reliability.scene import Model, numbers, until

from sm_async_nb.aws.storage import open_storage
from sm_async_nb.core.ledger import Ledger
from sm_async_nb.core.locations import JobLayout, parse_s3_uri
from sm_async_nb.job.journal import Journal
from sm_async_nb.job.table import columns_of
from sm_async_nb.local import LocalEndpoint

_NAME, _BUCKET = "mortal", "killing"
_PREFIX = f"s3://{_BUCKET}/jobs"
_LAYOUT = JobLayout(parse_s3_uri(_PREFIX), _NAME)
_INVOKE = "sagemaker-runtime InvokeEndpointAsync"

# The model fails on every so many-th row.
_FAILS_ON = 97

# Besides when enough rows were asked for, a kernel lives on for up to so long. Seconds.
_A_LITTLE_LONGER = 0.4

_FOLLOW = """
    try:
        job = sm_async_nb.attach(uri) if attaches else None
    except sm_async_nb.errors.JobNotFoundError:
        job = None
    job = job or frame.sm_async.submit(endpoint_name, input_prefix=prefix, name=name)
    job.wait()
    job.table(), job.results(), job.failures()
"""

# Said by the table of a job and by its journal alike.
_COLUMNS = ["status", "attempt", "accepted_at", "finished_at", "latency", "output_location", "failure_location",
            "inference_id", "request_id"]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Killed:
    """What came of it: ``sent_twice_by_a_kill`` has a number for each, ``unlike_the_journal`` counts rows."""

    figures: Figures
    sent_twice_by_a_kill: list[int]
    unlike_the_journal: int


def kill_again_and_again(*, rows: int, kills: int, seed: int = 0) -> Killed:
    """Run one job of ``rows`` rows through ``kills`` deaths of its kernel.

    The next one goes on at once: by turns it attaches, and submits the same again under the job's name.
    """
    began = time.monotonic()
    model = Model()
    model.failing = dict.fromkeys(range(0, rows, _FAILS_ON), 500)
    with LocalEndpoint(model, endpoint_name=_NAME, bucket=_BUCKET, max_concurrent_invocations_per_instance=16) as local:
        unrecorded = [0]
        kernel = Kernel(local.environment)
        for number, (asked, longer) in enumerate(_moments(rows, kills, random.Random(seed))):
            spare = Kernel(local.environment)  # it imports while the other one works
            _start(kernel, rows, attaches=number % 2 == 0)
            until(lambda asked=asked: len(model.asked) >= asked, seconds=120)
            time.sleep(longer)
            kernel.kill()
            unrecorded.append(_sent(local) - asyncio.run(_recorded(local, rows)))
            kernel = spare
        with kernel:
            _start(kernel, rows, attaches=True)
            table, results, _ = kernel.answer()
        requests = _sent(local)
        journal = asyncio.run(_folded(local, rows))
    lost, wrong = ended_otherwise(table, results, _expected(rows))
    return Killed(
        figures=Figures(
            trial="kill -9",
            faults=Counter({"kernels killed": kills}),
            rows=rows,
            requests=requests,
            sent_twice=requests - rows,
            lost=lost,
            wrong=wrong,
            seconds=time.monotonic() - began,
        ),
        sent_twice_by_a_kill=np.diff(unrecorded).tolist(),
        unlike_the_journal=_differences(table, journal),
    )


def _moments(rows: int, kills: int, dice: random.Random) -> list[tuple[int, float]]:
    """After how many rows, and how much later, each kernel is killed."""
    after = sorted(dice.sample(range(int(rows * 0.9)), kills))
    return [(asked, dice.uniform(0, _A_LITTLE_LONGER)) for asked in after]


def _start(kernel: Kernel, rows: int, *, attaches: bool) -> None:
    kernel.run("None")  # killed while it still imports it would have done nothing worth killing
    names = {"uri": str(_LAYOUT.home), "prefix": _PREFIX, "name": _NAME, "endpoint_name": _NAME}
    kernel.start(_FOLLOW, frame=numbers(rows), attaches=attaches, **names)


def _sent(local: LocalEndpoint) -> int:
    """How many requests have come in, when no more come from one who is dead."""
    count = -1
    while count != (count := local.calls[_INVOKE]):
        time.sleep(0.05)
    return count


async def _recorded(local: LocalEndpoint, rows: int) -> int:
    return int((~np.isnan((await _folded(local, rows)).accepted_at)).sum())


async def _folded(local: LocalEndpoint, rows: int) -> Ledger:
    """What the segments of the journal come to, and nothing else that lies there."""
    ledger = Ledger(rows, allowance=0.0)
    async with open_storage(local.session()) as storage:
        async for batch in Journal(storage, _LAYOUT).read():
            for learned in batch:
                ledger.apply(learned)
    return ledger


def _expected(rows: int) -> pd.Series:
    frame = numbers(rows)
    return (2 * frame["x"]).where(frame["x"] % _FAILS_ON != 0)


def _differences(table: pd.DataFrame, ledger: Ledger) -> int:
    told = pd.DataFrame(columns_of(ledger, np.arange(len(ledger))), index=table.index)
    same = [(table[name] == told[name]) | (table[name].isna() & told[name].isna()) for name in _COLUMNS]
    return int((~np.logical_and.reduce(same)).sum())
