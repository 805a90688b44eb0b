"""What a job's calls to AWS came to, for those who pay for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from sm_async_nb.aws.metering import Meter


@dataclass(frozen=True, kw_only=True)
class Stats:
    """The calls that this kernel has made for a job.

    ``calls`` are by operation, as in ``PutObject``; bytes are of bodies; ``troubled`` calls did not get through, and
    were made again, ``throttled`` ones among them; ``s3_fee`` is in US dollars, at the list prices of S3 Standard in
    us-east-1.
    """

    calls: Mapping[str, int]
    bytes_sent: int
    bytes_received: int
    throttled: int
    troubled: int
    s3_fee: float

    @classmethod
    def of(cls, meter: Meter) -> Self:
        """What a meter shows now."""
        return cls(
            calls=dict(sorted(meter.calls.items())),
            bytes_sent=meter.bytes_sent,
            bytes_received=meter.bytes_received,
            throttled=meter.throttled,
            troubled=meter.troubled,
            s3_fee=meter.s3_fee,
        )

    def __str__(self) -> str:
        calls = ", ".join(f"{number:,} {operation}" for operation, number in self.calls.items()) or "none"
        return (
            f"Calls: {calls}. {self.bytes_sent:,} bytes sent, {self.bytes_received:,} received."
            f" {self.troubled:,} calls did not get through and were made again, {self.throttled:,} of them throttled."
            f" S3's fee: ${self.s3_fee:.4f}."
        )

    __repr__ = __str__
