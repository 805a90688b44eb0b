"""What the ledger knows, as columns of a table that people read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from sm_async_nb.core.columns import FloatArray, IntArray
from sm_async_nb.core.ledger import Ledger, Status


def columns_of(ledger: Ledger, requests: IntArray) -> dict[str, Any]:
    """Status, attempt, times, latency, error, ids and locations of some requests, in the order of a table.

    Times are UTC; the latency is in seconds, from acceptance to the answer's time in S3.
    """
    accepted_at, finished_at = ledger.accepted_at[requests], ledger.finished_at[requests]
    words = pd.Index([str(word) for word in Status])
    return {
        "status": pd.Categorical.from_codes(ledger.status[requests], categories=words),
        "attempt": ledger.attempt[requests] + 1,
        "accepted_at": utc(accepted_at),
        "finished_at": utc(finished_at),
        # S3 dates objects by the whole second, so a quick answer can seem to come before its question.
        "latency": np.maximum(finished_at - accepted_at, 0),
        "error": None,
        "http_status": ledger.http_status[requests],
        **{name: texts(column.take(requests)) for name, column in ledger.texts.items()},
    }


def texts(values: list[str]) -> Any:
    """Texts as a column; pandas would take an empty one for numbers."""
    return values or np.array([], dtype=object)


def errors_of(ledger: Ledger, requests: IntArray, others: Mapping[int, str]) -> npt.NDArray[np.object_]:
    """What went wrong with each request, None where nothing did."""
    messages = {**ledger.messages, **others}
    errors = np.array([messages.get(request) for request in requests.tolist()], dtype=object)
    for place in np.flatnonzero(ledger.status[requests] == Status.EXPIRED).tolist():
        deadline = utc(ledger.deadline(requests[place : place + 1]))[0]
        errors[place] = f"Neither an output nor a failure came by {deadline}."
    return errors


def utc(times: FloatArray, unit: Literal["s", "ms"] = "ms") -> pd.DatetimeIndex:
    """Seconds since 1970 as times in UTC, to the nearest second or millisecond; NaT where a time is NaN.

    Not ``pd.to_datetime``: beside a NaN that of pandas 2 rounds memory nobody wrote, which overflows now and then.
    """
    known = np.isfinite(times)
    counts = np.round(times[known] * {"s": 1, "ms": 1000}[unit])
    found = np.full(len(times), np.datetime64("NaT", "ns"))
    found[known] = counts.astype(np.int64).astype(f"datetime64[{unit}]")
    return pd.DatetimeIndex(found, tz="UTC")
