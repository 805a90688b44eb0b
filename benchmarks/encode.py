"""How long it takes to validate and encode a frame of ten mixed columns: ``python benchmarks/encode.py --rows 100000``.

Validation and encoding are one pass: what cannot be written is found by writing it. The block size is the one that a
job uses, since a job never holds more than a block of payloads.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import pandas as pd
from botocore.loaders import create_loader

from sm_async_nb.core.build import RequestArguments, build_batch
from sm_async_nb.core.payload import Options, codec_for
from sm_async_nb.core.request import read_fields

BLOCK = 512


def mixed_frame(rows: int) -> pd.DataFrame:
    """Ten columns of the kinds that real frames have, with something missing in most of them."""
    random = np.random.default_rng(0)
    number = np.arange(rows)
    floats = random.normal(size=rows)
    floats[::10] = np.nan
    return pd.DataFrame(
        {
            "customer": number,
            "age": random.integers(18, 90, rows).astype(np.int16),
            "balance": floats,
            "score": random.random(rows).astype(np.float32),
            "name": [f"customer {one}" for one in number],
            "comment": [None if one % 7 == 0 else f"was “fine”, visit {one}" for one in number],
            "plan": pd.Categorical.from_codes(random.integers(-1, 3, rows), ["gold", "silver", "basic"]),
            "seen": pd.date_range("2026-01-01", periods=rows, freq="7s", tz="Europe/Paris"),
            "churned": pd.array(random.choice([True, False, None], rows), dtype="boolean"),
            "visits": pd.Series(random.integers(0, 50, (rows, 3)).tolist(), dtype=object),
        }
    )


def as_submit_does(frame: pd.DataFrame) -> int:
    """All that a submit checks before it sends anything, which includes encoding every row once."""
    fields = read_fields(create_loader().load_service_model("sagemaker-runtime", "service-2"))
    batch = build_batch(frame, RequestArguments(endpoint_name="benchmark"), fields)
    batch.check()
    return int(batch.payload_bytes.sum())


def in_blocks(frame: pd.DataFrame) -> int:
    """One request a row, a block at a time, as a job does it."""
    codec = codec_for("application/json")
    total = 0
    for start in range(0, len(frame), BLOCK):
        block = frame.iloc[start : start + BLOCK]
        total += sum(map(len, codec.encode(block, range(len(block) + 1))))
    return total


def at_once(frame: pd.DataFrame) -> int:
    """One request a row, the whole frame together."""
    return sum(map(len, codec_for("application/json").encode(frame, range(len(frame) + 1))))


def packed(frame: pd.DataFrame) -> int:
    """A hundred rows a request."""
    bounds = [*range(0, len(frame), 100), len(frame)]
    return sum(map(len, codec_for("application/json", Options(packed=True)).encode(frame, bounds)))


def best_of(repeats: int, encode: Callable[[pd.DataFrame], int], frame: pd.DataFrame) -> tuple[float, int]:
    """The shortest time in seconds, and the bytes."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        size = encode(frame)
        times.append(time.perf_counter() - start)
    return min(times), size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=100_000, help="how many rows (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=3, help="the best of so many (default: %(default)s)")
    arguments = parser.parse_args()
    frame = mixed_frame(arguments.rows)
    print(f"{len(frame):,} rows x {frame.shape[1]} columns to JSON, best of {arguments.repeats}, one core\n")
    print(f"{'':<24}{'seconds':>9}{'MB':>9}{'MB/s':>9}{'rows/s':>12}")
    ways = (
        ("as a submit checks it", as_submit_does),
        (f"in blocks of {BLOCK}", in_blocks),
        ("at once", at_once),
        ("100 rows a request", packed),
    )
    for name, encode in ways:
        seconds, size = best_of(arguments.repeats, encode, frame)
        megabytes = size / 1e6
        print(f"{name:<24}{seconds:>9.2f}{megabytes:>9.1f}{megabytes / seconds:>9.1f}{len(frame) / seconds:>12,.0f}")


if __name__ == "__main__":
    main()
