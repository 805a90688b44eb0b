"""Rows through an asynchronous endpoint, ours beside what a user would write otherwise: ``python benchmarks/bench.py``.

All in one run on one machine: every contender in a process of its own, against a service in a third one that adds
``--latency`` to each request, so that the CPU that is counted is the client's. Runs are interleaved, and the median
and the range of ``--repeats`` are told. ``--write`` puts the tables into ``docs/performance.md``; ``--short`` only sees
that everything works.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "performance.md"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
KINDS = {"PutObject": "PUT", "InvokeEndpointAsync": "invoke", "GetObject": "GET", "ListObjectsV2": "LIST",
         "HeadObject": "HEAD"}  # fmt: skip
TITLES = {
    "sdk": "the SageMaker SDK's loop ¹",
    "boto3": "boto3, 64 threads",
    "default": "ours, default",
    "fast": "ours, [fast]",
    "inline": "ours, [fast], inline",
    "packed": "ours, packed x 100",
    "packed-fast": "ours, [fast], packed x 100",
}

# One row after the other, at four calls a row, takes minutes, and longer does not tell more.
SDK_ROWS = 50

Run = dict[str, Any]


def run(script: str, *arguments: object) -> Run:
    """What a script of this folder prints, from a process of its own."""
    command = [sys.executable, str(HERE / script), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own script
    if done.returncode:
        raise RuntimeError(f"{script} {arguments} ended with {done.returncode}:\n{done.stderr}")
    result: Run = json.loads(done.stdout.splitlines()[-1])
    return result


@contextmanager
def service(latency: float) -> Iterator[str]:
    """The URL of a new service, empty and with nothing counted."""
    command = [sys.executable, str(HERE / "service.py"), "--latency", str(latency)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own script
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


def compete(names: list[str], rows: int, repeats: int, latency: float) -> dict[str, list[Run]]:
    """Every contender ``repeats`` times, one after the other and all over again."""
    runs: dict[str, list[Run]] = {name: [] for name in names}
    for _ in range(repeats):
        for name in names:
            with service(latency) as url:
                runs[name].append(run("contenders.py", name, min(rows, SDK_ROWS) if name == "sdk" else rows, url))
            print(".", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return runs


def table(runs: dict[str, list[Run]]) -> list[str]:
    """Contenders below each other, against boto3 in threads and against the SDK's loop."""
    speeds = {name: statistics.median(one["rows"] / one["seconds"] for one in these) for name, these in runs.items()}
    lines = [
        "| | rows | rows/s (range) | x boto3 threads | x SDK's loop | client CPU, ms/row (range) | calls per request |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, these in runs.items():
        rates = [one["rows"] / one["seconds"] for one in these]
        costs = [one["cpu"] / one["rows"] * 1_000 for one in these]
        lines.append(
            f"| {TITLES[name]} | {these[0]['rows']:,} | {_spread(rates, 0)} | {_times(speeds, name, 'boto3')}"
            f" | {_times(speeds, name, 'sdk')} | {_spread(costs, 3)} | {_calls(these[0])} |"
        )
    return lines


def _spread(values: list[float], digits: int) -> str:
    low, high = min(values), max(values)
    return f"**{statistics.median(values):,.{digits}f}** ({low:,.{digits}f} to {high:,.{digits}f})"


def _times(speeds: dict[str, float], name: str, other: str) -> str:
    return f"{speeds[name] / speeds[other]:.1f}" if other in speeds else "-"


def _calls(one: Run) -> str:
    requests = max(one["calls"].get("InvokeEndpointAsync", 0), 1)
    counted = [(short, one["calls"].get(name, 0) / requests) for name, short in KINDS.items()]
    return ", ".join(f"{number:.3g} {short}" for short, number in counted if number)


def circumstances(latency: float, load: tuple[float, float, float]) -> list[str]:
    """Where and when it was measured."""
    names = ("boto3", "aiobotocore", "aiohttp", "s3fs", "obstore", "pandas")
    versions = ", ".join(f"{name} {_version(name)}" for name in names)
    return [
        (
            f"Measured {datetime.now(UTC):%Y-%m-%d %H:%M} UTC on {os.cpu_count()} cores ({platform.machine()}), Python"
            f" {platform.python_version()}, {versions}; {latency * 1_000:.0f} ms added to every request. Load of the"
            f" machine when it began: {load[0]:.1f} (1 minute), {load[1]:.1f} (5 minutes)."
        ),
    ]


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def report(arguments: argparse.Namespace) -> str:
    """All tables, as Markdown."""
    load = os.getloadavg()
    lines = circumstances(arguments.latency, load)
    if max(load[:2]) > 1:
        lines += ["", "**The machine was busy with other work: take these as a sketch.**"]
    for rows in arguments.rows:
        runs = compete(arguments.contenders, rows, arguments.repeats, arguments.latency)
        lines += ["", f"### {rows:,} rows, one process each, {arguments.repeats} runs", "", *table(runs)]
    own = run("own_share.py", "engine", arguments.engine_rows)
    packed = run("own_share.py", "packed", arguments.engine_rows)
    memory = run("own_share.py", "memory", arguments.memory_rows)
    lines += [
        "",
        "### The engine alone",
        "",
        "| | |",
        "|---|---|",
        (
            f"| CPU per row, a stub in place of AWS, one row a request ({own['rows']:,} rows) | {own['micros']:.0f} µs,"
            f" of which encoding {own['encoding']:.0f} µs |"
        ),
        (
            f"| the same, a hundred rows a request | {packed['micros']:.1f} µs, of which encoding"
            f" {packed['encoding']:.1f} µs |"
        ),
        (
            f"| memory over the frame, {memory['rows']:,} rows tracked | {memory['bytes']:.0f} bytes per row,"
            f" {memory['peak']:.0f} at its peak |"
        ),
    ]
    return "\n".join(lines)


def write(text: str) -> None:
    """Into the page, between its markers."""
    page = PAGE.read_text()
    before, _, rest = page.partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        raise ValueError(f"{PAGE} has no place between {BEGIN} and {END}.")
    PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000, 10_000])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--latency", type=float, default=0.02, help="seconds added to every request")
    parser.add_argument("--contenders", nargs="+", choices=TITLES, default=list(TITLES))
    parser.add_argument("--engine-rows", type=int, default=50_000)
    parser.add_argument("--memory-rows", type=int, default=1_000_000)
    parser.add_argument("--write", action="store_true", help="put the tables into docs/performance.md")
    parser.add_argument("--short", action="store_true", help="see that it works, and measure nothing")
    arguments = parser.parse_args()
    if arguments.short:
        arguments.rows, arguments.repeats, arguments.latency = [100], 1, 0.0
        arguments.engine_rows = arguments.memory_rows = 500
    text = report(arguments)
    print(text)
    if arguments.write:
        write(text)


if __name__ == "__main__":
    main()
