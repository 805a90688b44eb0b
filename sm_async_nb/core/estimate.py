"""What a job would do and cost, before it is sent: the same checks as a submit, and nothing on the wire."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape

import numpy as np

from sm_async_nb.core.batch import Batch

# S3 Standard in us-east-1, US dollars a request.
S3_PUT = S3_LIST = 0.005 / 1_000
S3_GET = 0.0004 / 1_000

_SAMPLES = 3
_SHOWN_BYTES = 300
_BINS = 8
_BAR = 24


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What :meth:`df.sm_async.plan` found. Its text and HTML forms say all of it.

    ``calls`` are by operation. ``s3_fee`` is in US dollars, at the prices of S3 Standard in us-east-1.
    ``instance_hours`` is None unless it was said how long a request takes, ``instance_fee`` unless also at what price.
    """

    endpoint_name: str
    rows: int
    requests: int
    inline_requests: int
    payload_bytes: int
    samples: tuple[str, ...]
    histogram: tuple[tuple[int, int, int], ...]
    calls: Mapping[str, int]
    fields: Mapping[str, str]
    s3_fee: float
    instance_hours: float | None = None
    instance_fee: float | None = None
    problems: tuple[str, ...] = field(default=())
    rows_with_problems: int = 0

    @property
    def is_good(self) -> bool:
        """Whether a submit with the same arguments would be taken."""
        return not self.problems

    def __str__(self) -> str:
        return "\n".join(_lines(self))

    __repr__ = __str__

    def _repr_html_(self) -> str:
        # Payloads and labels are whatever the frame holds, so all of it is escaped.
        return f"<pre>{escape(str(self))}</pre>"


def estimate(
    batch: Batch, *, seconds_per_request: float | None = None, price_per_hour: float | None = None, slots: int = 1
) -> Plan:
    """The plan of a batch.

    Parameters
    ----------
    seconds_per_request
        How long the model takes for one request.
    price_per_hour
        What an instance of the endpoint costs, in US dollars.
    slots
        How many requests an instance works on at the same time.
    """
    problems = batch.find_problems()
    sizes = batch.payload_bytes
    inline = batch.inline_requests
    calls = _calls(batch, inline)
    hours = None if seconds_per_request is None else len(batch) * seconds_per_request / slots / 3_600
    return Plan(
        endpoint_name=batch.endpoint_name,
        rows=len(batch.frame),
        requests=len(batch),
        inline_requests=inline,
        payload_bytes=int(sizes.sum(dtype=np.int64)),
        samples=() if problems else _samples(batch),
        histogram=_histogram(batch),
        calls=calls,
        fields={name: str(value) for name, value in batch.described_sources().items()},
        s3_fee=calls["s3 PutObject"] * S3_PUT + calls["s3 ListObjectsV2"] * S3_LIST + calls["s3 GetObject"] * S3_GET,
        instance_hours=hours,
        instance_fee=None if hours is None or price_per_hour is None else hours * price_per_hour,
        problems=tuple(problems.told),
        rows_with_problems=len(problems),
    )


def _calls(batch: Batch, inline: int) -> dict[str, int]:
    """Uploads, invocations and downloads are exact; the journal and the LISTs are what a job of this size needs."""
    requests = len(batch)
    uploads = requests - inline if batch.content is not None else 0
    batches = math.ceil(requests / 128)
    return {
        "s3 PutObject": uploads + 2 * batches + 2,
        "sagemaker-runtime InvokeEndpointAsync": requests,
        "s3 ListObjectsV2": 2 + 3 * batches,
        "s3 GetObject": requests,
    }


def _samples(batch: Batch) -> tuple[str, ...]:
    if batch.content is None:
        return tuple(str(batch.fields_of(request)["input_location"]) for request in range(min(_SAMPLES, len(batch))))
    return tuple(_shown(batch.payload(request)) for request in range(min(_SAMPLES, len(batch))))


def _shown(payload: bytes) -> str:
    try:
        text = payload[:_SHOWN_BYTES].decode(errors="strict" if len(payload) <= _SHOWN_BYTES else "ignore")
    except UnicodeDecodeError:
        text = repr(payload[:_SHOWN_BYTES])
    return f"{text}… ({len(payload):,} bytes)" if len(payload) > _SHOWN_BYTES else text


def _histogram(batch: Batch) -> tuple[tuple[int, int, int], ...]:
    """How many payloads have how many bytes: (from, to, count), both ends included."""
    sizes = batch.payload_bytes
    if batch.content is None or not len(sizes):
        return ()
    low, high = int(sizes.min()), int(sizes.max())
    step = math.ceil((high - low + 1) / _BINS)
    counts = np.bincount((sizes - low) // step).tolist()
    return tuple(
        (low + step * place, min(low + step * (place + 1) - 1, high), count) for place, count in enumerate(counts)
    )


def _lines(plan: Plan) -> list[str]:
    lines = [f"{plan.rows:,} rows to {plan.endpoint_name} in {plan.requests:,} requests"]
    if plan.inline_requests:
        lines[0] += f", {plan.inline_requests:,} of them inline"
    lines += [f"  {name}: {value}" for name, value in plan.fields.items()]
    if plan.problems:
        rows = "1 row" if plan.rows_with_problems == 1 else f"{plan.rows_with_problems:,} rows"
        lines += [f"{rows} cannot be sent:", *(f"  {problem}" for problem in plan.problems)]
        return lines
    lines += ["the first payloads:", *(f"  {sample}" for sample in plan.samples)]
    lines += _histogram_lines(plan)
    lines += ["calls:", *(f"  {count:9,d}  {operation}" for operation, count in plan.calls.items())]
    lines.append(f"S3 requests: about ${plan.s3_fee:,.{2 if plan.s3_fee >= 1 else 6}f}")
    if plan.instance_hours is not None:
        cost = "" if plan.instance_fee is None else f", ${plan.instance_fee:,.2f}"
        lines.append(f"instances: {plan.instance_hours:,.2f} hours{cost}")
    lines.append("nothing was asked of AWS: neither the endpoint nor its buckets were looked at")
    return lines


def _histogram_lines(plan: Plan) -> list[str]:
    if not plan.histogram:
        return []
    most = max(count for *_, count in plan.histogram)
    bars = [
        f"  {start:>11,d} to {stop:>11,d}  {'█' * math.ceil(count / most * _BAR):{_BAR}} {count:,}"
        for start, stop, count in plan.histogram
    ]
    return [f"payloads, {plan.payload_bytes:,} bytes in all:", *bars]
