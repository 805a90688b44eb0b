"""Who runs through how many rows, how often, and in front of which service."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

TITLES = {
    "sdk": "the SageMaker SDK's loop ¹",
    "boto3": "boto3, 64 threads",
    "aiobotocore": "aiobotocore, 64 at a time",
    "s3fs": "s3fs, the call by boto3",
    "default": "ours, default",
    "fast": "ours, [fast]",
    "inline": "ours, [fast], inline",
    "packed-10": "ours, packed x 10",
    "packed-10-fast": "ours, [fast], packed x 10",
    "packed": "ours, packed x 100",
    "packed-fast": "ours, [fast], packed x 100",
}
EVERY = tuple(TITLES)
PACKED = ("packed-10", "packed-10-fast", "packed", "packed-fast")

# One row after the other, at four calls a row, takes minutes, and longer does not tell more.
SDK_ROWS = 50

NEAR, FAR = 0.0, 0.02


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One contender with one number of rows, ``latency`` seconds away from the service, ``repeats`` times.

    ``s3`` is ``"own"``, the bench's, or ``"rclone"``.
    """

    contender: str
    rows: int
    latency: float
    repeats: int
    s3: str = "own"


def _cells(contenders: Iterable[str], rows: int, latency: float, repeats: int, s3: str = "own") -> list[Cell]:
    return [
        Cell(contender=one, rows=SDK_ROWS if one == "sdk" else rows, latency=latency, repeats=repeats, s3=s3)
        for one in contenders
    ]


# A quarter of an hour on two quiet cores.
QUICK = [
    *_cells(EVERY, 1_000, FAR, 5),
    *_cells(("boto3", "default", "fast", "packed-fast"), 1_000, NEAR, 3),
    *_cells(("boto3", "default", "fast", "packed", "packed-fast"), 10_000, FAR, 3),
    *_cells(("packed", "packed-fast"), 100_000, FAR, 3),
]

# Some hours: what takes long is run once.
FULL = [
    *_cells(EVERY, 1_000, FAR, 5),
    *_cells(EVERY, 1_000, NEAR, 5),
    *_cells(("boto3", "s3fs", "default", "fast", "packed-fast"), 1_000, FAR, 3, "rclone"),
    *_cells(EVERY[1:], 10_000, FAR, 5),
    *_cells(EVERY[1:], 10_000, NEAR, 3),
    *_cells(PACKED, 100_000, FAR, 5),
    *_cells(("fast", "inline"), 100_000, FAR, 3),
    *_cells(("boto3", "aiobotocore", "s3fs", "default"), 100_000, FAR, 1),
    *_cells(("packed", "packed-fast"), 1_000_000, FAR, 3),
    *_cells(("packed-10-fast", "fast"), 1_000_000, FAR, 1),
]

SHORT_ROWS = 100


def short(contenders: Sequence[str]) -> list[Cell]:
    """Everything once, with next to nothing to do."""
    return [replace(one, rows=min(one.rows, 5)) if one.contender == "sdk" else one
            for one in _cells(contenders, SHORT_ROWS, NEAR, 1)]  # fmt: skip


def chosen(
    cells: list[Cell],
    *,
    rows: Sequence[int] = (),
    contenders: Sequence[str] = (),
    latency: float | None = None,
    repeats: int | None = None,
    s3: str | None = None,
) -> list[Cell]:
    """Those with these rows and of these contenders, and otherwise as asked.

    The SDK's loop goes with the smallest number of rows. A number that is not in the plan is for every contender, from
    afar, five times.
    """
    for number in rows:
        if all(one.rows != number for one in cells):
            cells = [*cells, *_cells(EVERY[1:], number, FAR, 5)]
    smallest = min((one.rows for one in cells if one.contender != "sdk"), default=0)
    wanted = {*rows, SDK_ROWS} if smallest in rows else set(rows)
    kept = [
        replace(
            one,
            latency=one.latency if latency is None else latency,
            repeats=repeats or one.repeats,
            s3=s3 or one.s3,
        )
        for one in cells
        if (not rows or one.rows in wanted) and (not contenders or one.contender in contenders)
    ]
    # With another latency or another S3, what differed in that alone is the same.
    alone = {(one.contender, one.rows, one.latency, one.s3): one for one in kept}
    return list(alone.values())


def interleaved(cells: list[Cell]) -> Iterable[Cell]:
    """Every cell once, all over again, and each as often as it says."""
    for turn in range(max((one.repeats for one in cells), default=0)):
        yield from (one for one in cells if one.repeats > turn)
