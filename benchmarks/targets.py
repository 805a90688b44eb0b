"""What was promised, and whether the figures of these runs keep it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from plan import FAR, TITLES
from tables import Run, against, cost, median, of, per_request

COLUMNS = ("default", "fast", "packed", "packed-fast")


@dataclass(frozen=True, kw_only=True)
class Target:
    """A bound for each column, None where nothing was promised. Compared as it is printed."""

    title: str
    bounds: tuple[float | None, float | None, float | None, float | None]
    figure: Callable[[str], float | None]
    digits: int = 2
    at_least: bool = False

    def cell(self, column: str) -> str:
        """The figure, and whether it is good enough."""
        bound, value = self.bounds[COLUMNS.index(column)], self.figure(column)
        if bound is None or value is None:
            return "-"
        told = round(value, self.digits)
        met = told >= bound if self.at_least else told <= bound
        sign = "≥" if self.at_least else "≤"
        return f"{told:,.{self.digits}f} (goal {sign} {bound:g}): {'met' if met else '**missed**'}"


def rows_of(runs: list[Run], own: dict[str, Any]) -> list[Target]:
    """All targets, about the most rows that each contender had from afar and with the bench's own S3."""
    afar = of(runs, latency=FAR, s3="own")

    def most(column: str) -> list[Run]:
        these = of(afar, contender=column)
        return of(these, rows=max((run["rows"] for run in these), default=0))

    def ratio(other: str) -> Callable[[str], float | None]:
        def figure(column: str) -> float | None:
            found = against(afar, these, other) if (these := most(column)) else None
            return found[0] if found else None

        return figure

    def calls(operation: str) -> Callable[[str], float | None]:
        return lambda column: per_request(these, operation) if (these := most(column)) else None

    def one_for_all(kind: str, name: str) -> Callable[[str], float | None]:
        return lambda _: float(own[kind][name])

    return [
        Target(
            title="client CPU per row, ms",
            bounds=(2.8, 0.9, 0.04, 0.04),
            figure=lambda column: median(these, cost) if (these := most(column)) else None,
            digits=3,
        ),
        Target(title="x boto3 threads", bounds=(1.5, 3, 40, 40), figure=ratio("boto3"), digits=1, at_least=True),
        Target(title="x SDK's loop", bounds=(50, 100, None, None), figure=ratio("sdk"), digits=0, at_least=True),
        Target(title="PUT per request", bounds=(1, 1, 1, 1), figure=calls("PutObject")),
        Target(title="invoke per request", bounds=(1, 1, 1, 1), figure=calls("InvokeEndpointAsync")),
        Target(title="GET per request", bounds=(1, 1, 1, 1), figure=calls("GetObject")),
        Target(title="LIST per request", bounds=(0.03, 0.03, 0.03, 0.03), figure=calls("ListObjectsV2"), digits=3),
        Target(title="HEAD per request", bounds=(0, 0, 0, 0), figure=calls("HeadObject")),
        Target(
            title="memory over the frame, bytes per row tracked",
            bounds=(200, 200, 200, 200),
            figure=one_for_all("memory", "bytes"),
            digits=0,
        ),
        Target(
            title="engine's own CPU per row, µs, one row a request",
            bounds=(60, 60, None, None),
            figure=one_for_all("engine", "micros"),
            digits=0,
        ),
        Target(
            title="engine's own CPU per row, µs, packed",
            bounds=(None, None, 3, 3),
            figure=one_for_all("packed", "micros"),
            digits=1,
        ),
    ]


def table(runs: list[Run], own: dict[str, Any]) -> list[str]:
    """Targets below each other."""
    afar = of(runs, latency=FAR, s3="own")
    sizes = {one: max((run["rows"] for run in of(afar, contender=one)), default=0) for one in COLUMNS}
    measured = [one for one, rows in sizes.items() if rows]
    if not measured:
        return []
    heads = [f"{TITLES[one].removeprefix('ours, ')}, {sizes[one]:,} rows" for one in measured]
    lines = ["", f"### Targets ({FAR * 1e3:.0f} ms added to every request)", ""]
    lines += [f"| | {' | '.join(heads)} |", "|---" * (len(measured) + 1) + "|"]
    for target in rows_of(runs, own):
        lines.append(f"| {target.title} | {' | '.join(map(target.cell, measured))} |")
    return [
        *lines,
        "",
        (
            "One row per request unless packed, S3 inputs, results loaded. Each figure is compared as printed; rows a"
            " second with those of as many rows, or of the most that the other had."
        ),
    ]
