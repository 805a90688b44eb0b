"""How fast the live table is in a real browser, by rows and by changes a second; writes docs/panel.md.

``python benchmarks/panel.py`` needs chromium and the dev dependencies, and a quiet machine: the load is written beside
the figures. The job is made up, since no model answers ten thousand requests a second, but its ledger, its rows, the
view, the kernel, the server and the browser are real.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

ROOT = Path(__file__).parents[1]
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
SECONDS = 8.0
_PUBLISHED_EVERY_SECONDS = 0.1
CASES = [(rows, changes) for rows in (1_000, 100_000, 1_000_000) for changes in (1_000, 10_000)]
LIMITS = {
    "first paint, s": 0.5,
    "frames/s": 55.0,
    "long tasks": 0.0,
    "kB an update": 6.0,
    "messages an update": 4.0,
    "button, s": 0.15,
    "kernel, %": 5.0,
}


# In the kernel


class MadeUpJob:
    """A job whose rows change at a rate, for as long as somebody measures."""

    id, endpoint_name, uri = "made-up", "nobody", "s3://bucket/made-up/"
    is_read_only = True

    def __init__(self, rows: int, changes: int) -> None:
        from sm_async_nb.core.build import RequestArguments, build_batch
        from sm_async_nb.core.columns import TextColumn
        from sm_async_nb.core.ledger import Ledger
        from sm_async_nb.core.packing import one_row_each
        from sm_async_nb.job.faces import Faces
        from sm_async_nb.job.reports import Reports

        frame = pd.DataFrame({"x": np.arange(rows), "plan": "basic"})
        arguments = RequestArguments(endpoint_name="nobody")
        batch = build_batch(frame, arguments, _known_fields())
        batch.packing, batch.payload_bytes = one_row_each(rows), np.full(rows, 26)
        self._ledger = Ledger(rows, allowance=60.0)
        ids = [f"made-up/{number:08d}" for number in range(rows)]
        self._ledger.texts["inference_id"] = TextColumn(rows)
        self._ledger.texts["inference_id"].put(np.arange(rows), ids)
        self._lock = threading.Lock()
        asked = SimpleNamespace(arguments=arguments, payload_is_lost=False)
        self._papers: Any = SimpleNamespace(batch=batch, layout=None, asked=asked)
        self._reports = Reports(self._papers, self._ledger, self._lock, None)  # type: ignore[arg-type]
        self.faces = Faces()
        self._changes, self._started_at = changes, time.time()
        self.busy = 0.0
        self.is_over = False
        self.snapshot = self._seen()
        threading.Thread(target=self._live, daemon=True).start()

    def __len__(self) -> int:
        return len(self._ledger)

    def _seen(self) -> Any:
        from sm_async_nb.core.ledger import Snapshot

        revision, counts = self._ledger.revision, tuple(np.bincount(self._ledger.status, minlength=8).tolist())
        return Snapshot(
            revision=revision, at=time.time(), started_at=self._started_at, counts=counts, is_over=self.is_over
        )

    @property
    def endpoint(self) -> Any:
        from sm_async_nb.errors import EndpointError

        raise EndpointError("There is none.")

    def stats(self) -> Any:
        return SimpleNamespace(calls={"PutObject": 1}, s3_fee=0.0)

    def _live(self) -> None:
        rng, every = np.random.default_rng(1), 0.05
        while not self.is_over:
            time.sleep(every)
            rows = np.unique(rng.integers(0, len(self), int(self._changes * every)))
            with self._lock:
                self._ledger.status[rows] = (self._ledger.status[rows] + 1) % 8
                self._ledger.accepted_at[rows] = time.time()
                self._ledger.finished_at[rows] = self._ledger.accepted_at[rows] + rng.random(len(rows))
                self._ledger.revision += 1
            if time.time() - self.snapshot.at > _PUBLISHED_EVERY_SECONDS:
                self.snapshot = self._seen()
            self.busy = time.thread_time()
        self.snapshot = self._seen()


def _known_fields() -> Any:
    from sm_async_nb.aws.session import Session, known_fields

    return known_fields(Session(region_name="us-east-1"))


# Before the browser


@dataclass
class Wire:
    """What crosses the websocket."""

    messages: int = 0
    received: int = 0

    def listen(self, socket: Any) -> None:
        socket.on("framereceived", self.take)

    def take(self, frame: Any) -> None:
        self.messages += 1
        self.received += len(frame)


WATCH = """() => {
  const start = { frames: 0, long: 0, scripts: 0, worst: 0, since: performance.now() };
  if (window.seen) return Object.assign(window.seen, start);
  window.seen = start;
  new PerformanceObserver((list) => { window.seen.long += list.getEntries().length; })
    .observe({ entryTypes: ["longtask"] });
  new PerformanceObserver((list) => {
    for (const frame of list.getEntries()) for (const script of frame.scripts) window.seen.scripts += script.duration;
  }).observe({ type: "long-animation-frame" });
  let last = performance.now();
  const frame = (now) => {
    window.seen.frames += 1;
    window.seen.worst = Math.max(window.seen.worst, now - last);
    last = now;
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
}"""


def measured(notebook: Any, wire: Wire, rows: int, changes: int) -> dict[str, float]:
    """One case: display the job, watch it for a while, and press a button now and then."""
    page = notebook.page
    notebook.clear()
    notebook.run(f"import os\njob = panel.MadeUpJob({rows}, {changes})\nview = None")
    started = time.perf_counter()
    output = notebook.run("view = job_view.show(job)", wait=False)
    output.locator(".sma-space .sma-row .c0:visible, .sma-html td:visible", has_text="0").first.wait_for()
    first_paint = time.perf_counter() - started
    output.locator(".sma-space .sma-row .c0", has_text="0").first.wait_for()
    page.wait_for_timeout(1_500)
    notebook.run("at = (os.times(), job.busy, time.time(), sum(v.seq for v in view.table._views.values()))")
    page.wait_for_timeout(500)  # until the notebook has drawn that cell
    page.evaluate(WATCH)
    wire.messages = wire.received = 0
    page.wait_for_timeout(SECONDS * 1_000)
    seen, messages, received = (
        page.evaluate("() => ({...window.seen, until: performance.now()})"),
        wire.messages,
        wire.received,
    )
    told = notebook.text_of(
        "now = (os.times(), job.busy, time.time(), sum(v.seq for v in view.table._views.values()))\n"
        "taken = sum(now[0][:2]) - sum(at[0][:2]) - (now[1] - at[1])\n"
        "print(taken / (now[2] - at[2]), (now[3] - at[3]) / (now[2] - at[2]))"
    )
    share, updates = map(float, told.split()[-2:])
    button = sorted(pressed(page) for _ in range(7))[3]
    notebook.run("job.is_over = True")
    seconds = (seen["until"] - seen["since"]) / 1_000
    return {
        "first paint, s": first_paint,
        "frames/s": seen["frames"] / seconds,
        "worst frame, ms": seen["worst"],
        "long tasks": seen["long"],
        "scripts in slow frames, ms": seen["scripts"],
        "updates/s": updates,
        "kB an update": received / 1_000 / (updates * SECONDS),
        "messages an update": messages / (updates * SECONDS),
        "button, s": button,
        "kernel, %": 100 * share,
    }


def pressed(page: Any) -> float:
    """Seconds from pressing a filter until the rows that it leaves are told."""
    return page.evaluate(
        """() => new Promise((done) => {
            const root = document.querySelector(".sma");
            const grid = root.querySelector('.sma-grid'), chip = root.querySelector('.sma-chip:not([hidden])');
            const before = grid.getAttribute('aria-rowcount'), started = performance.now();
            const watch = new MutationObserver(() => {
                if (grid.getAttribute('aria-rowcount') === before) return;
                watch.disconnect();
                done((performance.now() - started) / 1000);
            });
            watch.observe(grid, { attributes: true });
            chip.click();
        })"""
    )


def introduction(load: str) -> str:
    """Where and when it was measured."""
    where = f"JupyterLab, headless Chromium, {os.cpu_count()} shared cores, Python {platform.python_version()}"
    return (
        f"Written by `benchmarks/panel.py` on {time.strftime('%Y-%m-%d')}: {where}. One run of {SECONDS:g} s a case."
        f" {load} The view shows the submitted order."
    )


def report(found: list[tuple[int, int, dict[str, float]]], load: str) -> str:
    """The part of the documentation that is measured."""
    names = list(found[0][2])
    lines = [
        introduction(load),
        "",
        "| rows | changes/s | " + " | ".join(names) + " |",
        "|---|---|" + "---|" * len(names),
    ]
    for rows, changes, told in found:
        cells = [f"{value:.2f}" if value < 10 else f"{value:,.0f}" for value in told.values()]  # noqa: PLR2004
        lines.append(f"| {rows:,} | {changes:,} | {' | '.join(cells)} |")
    limits = ", ".join(f"{name} {'≥' if name == 'frames/s' else '≤'} {limit:g}" for name, limit in LIMITS.items())
    lines += ["", f"The limits: {limits}.", "", *_misses(found)]
    return "\n".join(lines)


def write(text: str) -> None:
    """Put it into the page between its marks."""
    page = ROOT / "docs" / "panel.md"
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    page.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.partition(END)[2]}", encoding="utf-8")


def _misses(found: list[tuple[int, int, dict[str, float]]]) -> list[str]:
    missed = [
        f"- {name} at {rows:,} rows and {changes:,} changes/s: {told[name]:.2f}"
        for rows, changes, told in found
        for name, limit in LIMITS.items()
        if (told[name] < limit if name == "frames/s" else told[name] > limit)
    ]
    return ["Beyond them:", "", *missed] if missed else ["Nothing is beyond them."]


def main() -> None:
    """Measure all cases and write the page."""
    sys.path += [str(ROOT / "tests" / "browser")]
    from browser_scene import Notebook, Server
    from playwright.sync_api import sync_playwright

    before = os.getloadavg()[0]
    wire, found = Wire(), []
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-quic"]
    with tempfile.TemporaryDirectory() as folder, Server(Path(folder), {}) as server, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=arguments)
        page = browser.new_page(viewport={"width": 1200, "height": 1400})
        page.on("websocket", wire.listen)
        with Notebook(page, server, "lab") as notebook:
            notebook.run(f"import sys\nsys.path.append({str(ROOT / 'benchmarks')!r})\nimport panel")
            # There is no S3 behind the job, so no answers to fetch for the rows in sight.
            notebook.run("%config SmAsync.fetch_answers = False")
            for rows, changes in CASES:
                found.append((rows, changes, measured(notebook, wire, rows, changes)))
                print(*found[-1], flush=True)
    load = f"The load of the machine was {before:.1f} before and {os.getloadavg()[0]:.1f} at the end."
    write(report(found, load))


if __name__ == "__main__":
    main()
