"""A network and a service in which everything that may go wrong does, a few times in a hundred."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass

from reliability.figures import Figures, ended_otherwise
from reliability.kernels import Kernel
from reliability.scene import Model, doubled, numbers

from sm_async_nb.local import Faults, LocalEndpoint

_NAME, _BUCKET = "faulty", "network"

FAULTS = Faults(
    throttle=0.05,
    unavailable=0.05,
    reset_before_enqueue=0.01,
    reset_after_enqueue=0.01,
    slow=0.02,
    duplicate=0.01,
    reorder=0.05,
    s3_slow_down=0.02,
    s3_fail=0.01,
    s3_reset_before=0.01,
    s3_reset_after=0.01,
    s3_slow=0.01,
    slow_seconds=0.5,
)

_FOLLOW = """
    job = frame.sm_async.submit(endpoint_name, input_prefix=prefix, name="unlucky")
    job.wait()
    stats = job.stats()
    job.table(), job.results(), (stats.calls["InvokeEndpointAsync"], stats.throttled, stats.troubled)
"""


@dataclass(frozen=True, kw_only=True)
class Endured:
    """What came of it.

    ``processed`` is how many times the model was asked; more than once for a row only where the service delivered a
    request twice, or its acceptance was lost on the way to the client.
    """

    figures: Figures
    processed: int
    troubled: int


def endure(*, rows: int, seed: int = 0) -> Endured:
    """Run a job of ``rows`` rows through all of it."""
    began = time.monotonic()
    model = Model()
    with (
        LocalEndpoint(
            model,
            endpoint_name=_NAME,
            bucket=_BUCKET,
            max_concurrent_invocations_per_instance=16,
            faults=Faults(**{**vars(FAULTS), "seed": seed}),
        ) as local,
        Kernel(local.environment) as kernel,
    ):
        names = {"prefix": f"s3://{_BUCKET}/jobs", "endpoint_name": _NAME}
        table, results, (_, _, troubled) = kernel.run(_FOLLOW, frame=numbers(rows), **names)
        local.drained(30)
        injected = Counter(local.faults_injected)
    lost, wrong = ended_otherwise(table, results, doubled(numbers(rows))["y"])
    figures = Figures(
        trial="faulty network",
        faults=injected,
        rows=rows,
        requests=rows + injected["reset_after_enqueue"],
        sent_twice=sum(model.asked.values()) - rows - injected["duplicate"],
        lost=lost,
        wrong=wrong,
        seconds=time.monotonic() - began,
    )
    return Endured(figures=figures, processed=sum(model.asked.values()), troubled=troubled)
