"""The runs of the bench as Markdown. Nothing is measured here."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from plan import SDK_ROWS, TITLES

from sm_async_nb.core.estimate import S3_GET, S3_LIST, S3_PUT

Run = dict[str, Any]

SHORT = {"PutObject": "PUT", "InvokeEndpointAsync": "invoke", "GetObject": "GET", "ListObjectsV2": "LIST",
         "HeadObject": "HEAD", "other": "other"}  # fmt: skip
FEES = {"PutObject": S3_PUT, "ListObjectsV2": S3_LIST, "GetObject": S3_GET, "HeadObject": S3_GET}

# Of all cores together. Above it, a faster client would have had to wait for a core.
FULL = 0.9

# Cores that neither the contender nor the service used; a machine's own work is less.
OTHERS = 0.15


def rate(run: Run) -> float:
    """Rows a second."""
    return float(run["rows"] / run["seconds"])


def cost(run: Run) -> float:
    """Milliseconds of the client's CPU for a row."""
    return float(run["cpu"] / run["rows"] * 1e3)


def fee(run: Run) -> float:
    """US dollars for the S3 calls of a million rows, in us-east-1."""
    return float(sum(run["calls"].get(name, 0) * price for name, price in FEES.items()) / run["rows"] * 1e6)


def median(runs: Iterable[Run], figure: Callable[[Run], float]) -> float:
    return statistics.median(map(figure, runs))


def per_request(runs: Sequence[Run], operation: str) -> float:
    """How many calls of a kind came with each InvokeEndpointAsync."""
    return median(runs, lambda run: run["calls"].get(operation, 0) / max(run["calls"]["InvokeEndpointAsync"], 1))


def of(runs: Iterable[Run], **wanted: Any) -> list[Run]:
    """Those that are like this."""
    return [run for run in runs if all(run[name] == value for name, value in wanted.items())]


def against(runs: list[Run], these: list[Run], other: str) -> tuple[float, bool] | None:
    """How many times the rows a second of another contender, at the same distance, and whether on as many rows.

    Where the other had fewer rows at most, those are taken: its rows a second are the same for any number.
    """
    first = these[0]
    beside = of(runs, contender=other, latency=first["latency"], s3=first["s3"])
    sizes = sorted({run["rows"] for run in beside})
    if not sizes:
        return None
    size = first["rows"] if first["rows"] in sizes else sizes[-1]
    return median(these, rate) / median(of(beside, rows=size), rate), size == first["rows"]


def sections(runs: list[Run]) -> list[str]:
    """A table for each service, distance and number of rows."""
    lines: list[str] = []
    sizes = {(run["s3"] != "own", -run["latency"], run["rows"], run["s3"]) for run in runs if run["contender"] != "sdk"}
    for _, away, rows, s3 in sorted(sizes):
        beside = of(runs, latency=-away, s3=s3)
        these = [run for run in beside if run["rows"] == rows or run["contender"] == "sdk"]
        service = "" if s3 == "own" else f", S3 of {s3}"
        lines += ["", f"### {rows:,} rows, {-away * 1e3:.0f} ms added to every request{service}", ""]
        lines += [*table(these, beside), "", _of_the_service(these)]
    return lines


def table(these: list[Run], beside: list[Run]) -> list[str]:
    """Contenders below each other, against boto3 in threads and against the SDK's loop."""
    lines = [
        (
            "| | runs | rows/s (range) | x boto3 threads | x SDK's loop | client CPU, ms/row (range) | memory, MB"
            " | calls per request | S3 fee, $ a million rows | cores: client + service |"
        ),
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, title in TITLES.items():
        runs = of(these, contender=name)
        if runs:
            lines.append(f"| {title} | {' | '.join(_figures(runs, beside))} |")
    return lines


def _figures(runs: list[Run], beside: list[Run]) -> list[str]:
    boto3, sdk = against(beside, runs, "boto3"), against(beside, runs, "sdk")
    return [
        f"{len(runs)}",
        _spread(runs, rate, 0) + (" ³" if is_full(runs) else ""),
        "-" if boto3 is None else f"{boto3[0]:.1f}{'' if boto3[1] or runs[0]['contender'] == 'sdk' else ' ²'}",
        "-" if sdk is None else f"{sdk[0]:.0f}",
        _spread(runs, cost, 3),
        f"{median(runs, lambda run: run['memory'] / 1e6):,.0f}",
        ", ".join(f"{each:.3g} {short}" for name, short in SHORT.items() if (each := per_request(runs, name))),
        f"{median(runs, fee):.2f}",
        " + ".join(f"{median(runs, used):.2f}" for used in (_cores("cpu"), _cores("server_cpu"))),
    ]


def _cores(whose: str) -> Callable[[Run], float]:
    return lambda run: float(run[whose] / run["seconds"])


def _spread(runs: list[Run], figure: Callable[[Run], float], digits: int) -> str:
    values = [figure(run) for run in runs]
    middle = f"**{statistics.median(values):,.{digits}f}**"
    return middle if len(values) == 1 else f"{middle} ({min(values):,.{digits}f} to {max(values):,.{digits}f})"


def is_full(runs: Sequence[Run]) -> bool:
    """Whether the machine had next to nothing left, half of the time or more."""
    return median(runs, lambda run: run["machine_cpu"] / run["seconds"] / run["cores"]) > FULL


def others(runs: Iterable[Run]) -> float:
    """Cores that something else on the machine used."""
    return median(runs, lambda run: (run["machine_cpu"] - run["cpu"] - run["server_cpu"]) / run["seconds"])


def _of_the_service(runs: list[Run]) -> str:
    each = [run["server_cpu"] / sum(run["calls"].values()) * 1e6 for run in runs]
    return f"The service took {min(each):.0f} to {max(each):.0f} µs of CPU for a request."


def warning(runs: list[Run]) -> list[str]:
    """That the machine was busy, if it was."""
    foreign = others(runs)
    if foreign <= OTHERS:
        return []
    return ["", f"**The machine was busy with other work, {foreign:.1f} cores of it: take these as a sketch.**"]


def marks() -> list[str]:
    """What the marks in the tables mean."""
    return [
        "",
        (
            f"¹ On {SDK_ROWS} rows, one after the other: more rows take that much longer. ² Against another number of"
            " rows of boto3, the most that it had in these runs. ³ The machine's cores were more than"
            f" {FULL:.0%} busy, the service included: a client with less to do would have been faster, one that waits"
            " less would not."
        ),
    ]


def medians(records: Iterable[Run]) -> dict[str, Run]:
    """Of what was measured without a contender, by its kind; ``micros`` also with their ``range``."""
    kinds: dict[str, list[Run]] = {}
    for record in records:
        if record["kind"] not in ("run", "circumstances"):
            kinds.setdefault(record["kind"], []).append(record)
    return {kind: _middle(these) for kind, these in kinds.items()}


def _middle(these: list[Run]) -> Run:
    middle: Run = {name: statistics.median(one[name] for one in these) for name in these[0] if name != "kind"}
    micros = [one["micros"] for one in these if "micros" in one]
    return {**middle, "times": len(these), "range": (min(micros), max(micros)) if micros else None}


def _micros(own: Run, digits: int) -> str:
    told = f"{own['micros']:.{digits}f} µs"
    if own["times"] == 1:
        return told
    low, high = own["range"]
    return f"{told} ({low:.{digits}f} to {high:.{digits}f}, {own['times']} times)"


def floor(figures: dict[str, float]) -> list[str]:
    """What nobody can go below."""
    return [
        "",
        "### The floor",
        "",
        "| client CPU, µs a row | |",
        "|---|---|",
        f"| bytes on loopback: a bare PUT, call and GET over one socket | {figures['wire']:.0f} |",
        f"| signer only: one call / with its PUT and GET | {figures['signer_call']:.0f} / {figures['signer']:.0f} |",
        (
            "| encoder only: one row a request / a hundred rows a request"
            f" | {figures['encoder']:.1f} / {figures['encoder_packed']:.1f} |"
        ),
    ]


def engine(figures: dict[str, Any]) -> list[str]:
    """What the package itself costs."""
    own, packed, memory = figures["engine"], figures["packed"], figures["memory"]
    return [
        "",
        "### The engine alone",
        "",
        "| | |",
        "|---|---|",
        (
            f"| CPU per row, a stub in place of AWS, one row a request ({own['rows']:,.0f} rows) | {_micros(own, 0)},"
            f" of which encoding {own['encoding']:.0f} µs |"
        ),
        (
            f"| the same, a hundred rows a request | {_micros(packed, 1)}, of which encoding"
            f" {packed['encoding']:.1f} µs |"
        ),
        (
            f"| memory over the frame, {memory['rows']:,.0f} rows tracked | {memory['bytes']:.0f} bytes per row,"
            f" {memory['peak']:.0f} at its peak |"
        ),
        *_opening(figures.get("attach")),
    ]


def _opening(own: Run | None) -> list[str]:
    if own is None:
        return []
    what = f"opening a job of {own['rows']:,.0f} rows: its papers, a checkpoint, and {own['segments']:.0f} segments"
    return [f"| {what} of its journal, from memory in place of S3 | {own['seconds']:.1f} s |"]
