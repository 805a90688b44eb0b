"""Cost against rows, as a picture for light pages and one for dark ones. matplotlib draws them, and nothing else."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

from plan import FAR, TITLES
from tables import Run, cost, fee, median, of, rate

MISSING = "The plot needs matplotlib: pip install matplotlib"
INK = {"light": "#1f2328", "dark": "#e6edf3"}
GRID = {"light": "#d1d9e0", "dark": "#3d444d"}

# Colour, line and marker: what others made is warm, ours is cool, and what is packed is dashed.
LOOKS: dict[str, tuple[str, Any, str]] = {
    "sdk": ("#b0602a", (0, (1, 3)), ""),
    "boto3": ("#d9822b", "-", "s"),
    "aiobotocore": ("#c2a01e", "-", "D"),
    "s3fs": ("#c4524a", "-", "v"),
    "default": ("#3b82d6", "-", "o"),
    "fast": ("#12a594", "-", "o"),
    "inline": ("#4fae4f", "-", "^"),
    "packed-10": ("#3b82d6", "--", "d"),
    "packed-10-fast": ("#12a594", "--", "d"),
    "packed": ("#3b82d6", ":", "P"),
    "packed-fast": ("#12a594", ":", "P"),
}

PICTURE = """\
<picture>
  <source media="(prefers-color-scheme: dark)" srcset="images/performance-dark.svg">
  <img alt="Client CPU, time and S3's fee of a row against the number of rows" src="images/performance-light.svg">
</picture>
"""


def check() -> None:
    """Leave, with the way out, if there is nothing to draw with."""
    if importlib.util.find_spec("matplotlib") is None:
        sys.exit(MISSING)


def draw(runs: list[Run], folder: Path) -> None:
    """``performance-light.svg`` and ``performance-dark.svg``, of the runs from afar."""
    afar = of(runs, latency=FAR, s3="own")
    folder.mkdir(parents=True, exist_ok=True)
    for theme in INK:
        _draw(afar, theme, folder / f"performance-{theme}.svg")


def _draw(runs: list[Run], theme: str, file: Path) -> None:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    ink = dict.fromkeys(("text.color", "axes.labelcolor", "xtick.color", "ytick.color"), INK[theme])
    # The salt makes the ids in the file the same each time.
    steady = {"svg.hashsalt": "performance", "svg.fonttype": "none", "font.family": "sans-serif"}
    with mpl.rc_context({**ink, **steady, "font.size": 10}):
        figure = Figure(figsize=(9.6, 4.6), layout="constrained")
        parts = figure.subplots(1, 3)
        _lines(parts[0], runs, cost, "client CPU, ms a row", theme)
        _lines(parts[1], runs, lambda run: 1e3 / rate(run), "by the clock, ms a row", theme)
        _lines(parts[2], runs, fee, "S3 fee, $ a million rows", theme)
        handles, labels = parts[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
        figure.savefig(file, transparent=True, metadata={"Date": None})


def _lines(axes: Any, runs: list[Run], figure: Any, title: str, theme: str) -> None:
    for name, (colour, line, marker) in LOOKS.items():
        these = of(runs, contender=name)
        sizes = sorted({run["rows"] for run in these})
        heights = [median(of(these, rows=size), figure) for size in sizes]
        label = TITLES[name].removesuffix(" ¹")
        if sizes and name == "sdk":  # the same for any number of rows
            axes.axhline(heights[0], linestyle=line, color=colour, label=label)
        elif sizes:
            axes.plot(sizes, heights, linestyle=line, marker=marker, color=colour, markersize=5, label=label)
    axes.set(xscale="log", yscale="log", xlabel="rows")
    axes.minorticks_off()
    axes.set_title(title, loc="left", fontsize=11)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}".replace(",000,000", "M").replace(",000", "k"))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.grid(which="major", color=GRID[theme], linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(GRID[theme])
