"""Two processes that want one job at the same moment, again and again."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import Any

import pandas as pd
from reliability.figures import Figures, ended_otherwise
from reliability.kernels import Kernel, KernelError
from reliability.scene import Model, doubled, numbers

from sm_async_nb.local import Faults, LocalEndpoint

_NAME, _BUCKET = "raced", "racing"
_PREFIX = f"s3://{_BUCKET}/jobs"
_ROWS = 6
_INVOKE = "sagemaker-runtime InvokeEndpointAsync"

# What each kernel does at the same moment, and tells: how many requests it has sent, its table and its results.
_BOTH = """
    import time
    time.sleep(max(at - time.time(), 0))
    job = sm_async_nb.attach(uri) if uri else frame.sm_async.submit(endpoint_name, input_prefix=prefix, name=name)
    job.wait()
    job.stats().calls.get("InvokeEndpointAsync", 0), job.table(), job.results()
"""

# Of a job that somebody has begun, no request got through.
_BEGIN = """
    import time
    job = frame.sm_async.submit(endpoint_name, input_prefix=prefix, name=name)
    while job.snapshot.trouble is None: time.sleep(0.01)
    job.uri
"""

# What the kernels race for, in turn.
_KINDS = ("new", "left", "new", "left", "orphaned")

# Both kernels are told beforehand when to begin. Seconds.
_AHEAD = 0.1


@dataclass(frozen=True, kw_only=True)
class Round:
    """One race: how many requests each of those who got the job has sent, and what the losers were told."""

    sent: list[int]
    received: int
    refused: list[str]
    lost: int
    wrong: int

    @property
    def sent_by_both(self) -> int:
        """How many requests came in more than once."""
        return self.received - _ROWS

    @property
    def is_orderly(self) -> bool:
        """Whether one sent everything, and the other was refused or found nothing left to do."""
        told = len(self.sent) + len(self.refused) == 2 and set(self.refused) <= {"JobInUseError"}
        return told and sorted(self.sent) in ([_ROWS], [0, _ROWS]) and not self.sent_by_both


@dataclass(frozen=True, kw_only=True)
class Raced:
    """All rounds: for a new job, for one that was left unfinished, and for one whose kernel was killed."""

    figures: Figures
    rounds: list[Round]


def race(*, rounds: int) -> Raced:
    """Let two kernels race for one job after the other."""
    began = time.monotonic()
    model = Model()
    with (
        LocalEndpoint(model, endpoint_name=_NAME, bucket=_BUCKET, max_concurrent_invocations_per_instance=16) as local,
        Kernel(local.environment) as one,
        Kernel(local.environment) as other,
    ):
        for kernel in (one, other):
            kernel.run("None")  # it is up, so that neither has a start
        ran = [_round(local, number, one, other) for number in range(rounds)]
    refusals = sum(len(one.refused) for one in ran)
    figures = Figures(
        trial="two kernels race for a job",
        faults=Counter({"races": rounds, "kernels refused": refusals}),
        rows=rounds * _ROWS,
        requests=sum(one.received for one in ran),
        sent_twice=sum(one.sent_by_both for one in ran),
        lost=sum(one.lost for one in ran),
        wrong=sum(one.wrong for one in ran),
        seconds=time.monotonic() - began,
    )
    return Raced(figures=figures, rounds=ran)


def _round(local: LocalEndpoint, number: int, *kernels: Kernel) -> Round:
    names = {"frame": numbers(_ROWS), "prefix": _PREFIX, "name": f"race-{number}", "endpoint_name": _NAME, "uri": None}
    kind = _KINDS[number % len(_KINDS)]
    if kind != "new":
        local.faults = Faults(unavailable=1)
        names["uri"] = _left(kernels[number % 2], names) if kind == "left" else _orphaned(local, names)
        local.faults = Faults()
    local.reset_calls()
    at = time.time() + _AHEAD
    for kernel in kernels:
        kernel.start(_BOTH, at=at, **names)
    told = [_told(kernel) for kernel in kernels]
    local.drained(10)
    finished = [one for one in told if not isinstance(one, str)]
    ended = [_ended_otherwise(table, results) for _, table, results in finished]
    return Round(
        sent=[sent for sent, _, _ in finished],
        received=local.calls[_INVOKE],
        refused=[one for one in told if isinstance(one, str)],
        lost=max((lost for lost, _ in ended), default=_ROWS),
        wrong=max((wrong for _, wrong in ended), default=0),
    )


def _left(kernel: Kernel, names: dict[str, Any]) -> str:
    """A job that one of the two has begun and let go."""
    uri = kernel.run(_BEGIN, **names)
    kernel.run("job.leave()")
    return uri


def _orphaned(local: LocalEndpoint, names: dict[str, Any]) -> str:
    """A job whose kernel was killed; both see that it is gone."""
    with Kernel(local.environment) as doomed:
        uri = doomed.run(_BEGIN, **names)
        doomed.kill()
    return uri


def _told(kernel: Kernel) -> tuple[int, pd.DataFrame, pd.DataFrame] | str:
    """What it says of the job, or the name of the error."""
    try:
        sent, table, results = kernel.answer()
    except KernelError as error:
        return error.kind
    return sent, table, results


_ended_otherwise = partial(ended_otherwise, expected=doubled(numbers(_ROWS))["y"])
