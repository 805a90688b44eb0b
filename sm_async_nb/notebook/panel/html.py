"""The HTML of a job: for pages without a kernel, for front ends without the table, and for what stands around it.

Every text goes through :func:`esc`, and every link through :func:`link`; nothing here is HTML that somebody else wrote.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from html import escape

import numpy as np

from sm_async_nb.aws.described import Endpoint
from sm_async_nb.core.columns import FloatArray
from sm_async_nb.core.ledger import Snapshot, Status
from sm_async_nb.core.verdict import verdict_of
from sm_async_nb.job import peek
from sm_async_nb.job.job import Job
from sm_async_nb.notebook.panel import window
from sm_async_nb.notebook.panel.rows import COLUMNS, ICONS, UNREAD, WORDS, JobRows, Line, clock, said, state

_STATIC_ROWS = 25
_GROUPS = 10
_BINS = 12
_SAFE = ("https://", "s3://")


def esc(text: object) -> str:
    """Any text, so that it is a text in HTML too, between tags and inside attributes."""
    return escape(str(text), quote=True)


def link(url: str, text: str) -> str:
    """A link, if it leads where links of ours may lead; the text alone otherwise."""
    if not url.lower().startswith(_SAFE):
        return esc(text)
    return f'<a href="{esc(url)}" target="_blank" rel="noopener noreferrer">{esc(text)}</a>'


def head(job: Job, endpoint: Endpoint | None) -> str:
    """Which job, to which endpoint, how both stand, and what the trouble is."""
    seen = job.snapshot
    name = esc(job.endpoint_name) if endpoint is None else link(endpoint.console_url, job.endpoint_name)
    lines = [
        f"<b>{esc(job.id)}</b> to {name}: <b>{esc(state(seen))}</b>{'' if seen.is_over else _endpoint(endpoint)}",
        *_remarks(seen),
    ]
    return "".join(f"<div>{line}</div>" for line in lines)


def _endpoint(endpoint: Endpoint | None) -> str:
    if endpoint is None:
        return ""
    desired = endpoint.desired_instances
    of = f" of {desired}" if desired not in (None, endpoint.instances) else ""
    instances = "instance" if (desired or endpoint.instances) == 1 else "instances"
    told = [] if endpoint.instances is None else [f"{endpoint.instances}{of} {instances}"]
    if endpoint.is_asleep:
        told = [f"asleep: 0{of} instances, first answers in minutes"]
    if not endpoint.is_in_service:
        told = [f"the endpoint is {endpoint.endpoint_status}"]
    if endpoint.backlog is not None:
        # It is measured each minute and asked each minute; the newest figure may be five minutes old.
        told.append(f"backlog {endpoint.backlog:,} (CloudWatch's last minute)")
    return esc(f" · {', '.join(told)}") if told else ""


def _remarks(seen: Snapshot) -> list[str]:
    found = []
    if seen.paused is not None:
        found.append(f"‖ Paused since {clock(seen.paused.since)} UTC: {seen.paused.message}")
    elif seen.trouble is not None and not seen.is_over:
        found.append(f"⚠ Trouble since {clock(seen.trouble.since)} UTC: {seen.trouble.message}")
    if seen.stopped is not None:
        found.append(f"■ Sending has stopped: {seen.stopped}")
    return [esc(one) for one in found]


def bar(counts: Sequence[int]) -> str:
    """The counts as one segmented bar, and in words."""
    parts = "".join(
        f'<i class="s{int(status)}" style="flex-grow:{counts[status]}"></i>' for status in Status if counts[status]
    )
    told = esc(in_words(counts))
    return f'<div class="sma-bar" role="img" aria-label="{told}">{parts}</div><div>{told}</div>'


def in_words(counts: Sequence[int]) -> str:
    """How many rows stand where, with their icons."""
    return (
        " · ".join(f"{ICONS[status]} {counts[status]:,} {status}" for status in Status if counts[status]) or "no rows"
    )


def table(lines: Iterable[Line]) -> str:
    """Lines as a table."""
    titles = "".join(f'<th scope="col">{esc(title)}</th>' for _, title in COLUMNS)
    rows = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in _cells(line))}</tr>" for line in lines)
    return f"<table><thead><tr>{titles}</tr></thead><tbody>{rows}</tbody></table>"


def _cells(line: Line) -> list[str]:
    _, name, status, *others, answer, mark = line
    cells = [esc(cell) for cell in (name, f"{ICONS[status]} {WORDS[status]}", *others, answer)]
    if mark == UNREAD:
        cells[-1] = f'<span style="opacity: 0.7">{cells[-1]}</span>'
    return cells


def window_of(rows: JobRows, seen: Snapshot, lines: Sequence[Line], start: int, total: int) -> str:
    """What is shown where the table of the browser is not there."""
    place = f"rows {start + 1:,} to {start + len(lines):,} of {total:,}" if lines else "no rows to show"
    return f"{bar(rows.counts())}<div>{esc(rows.figures(seen))}</div>{table(lines)}<div>{esc(place)}</div>"


def static(job: Job, endpoint: Endpoint | None = None) -> str:
    """The whole job for a page without a kernel: what ended badly first, then the first rows."""
    rows, seen = JobRows(job), job.snapshot
    status = rows.status()
    is_good = np.isin(status, (Status.PLANNED, Status.UPLOADED, Status.ACCEPTED, Status.COMPLETED))
    order = window.order_of(None, is_good.astype(np.uint8))
    lines = rows.lines(window.cut(len(rows), order, 0, _STATIC_ROWS))
    parts = [head(job, endpoint), f"<div>{esc(in_words(rows.counts()))}</div>", f"<div>{esc(rows.figures(seen))}</div>"]
    parts += [table(lines)] if lines else []
    more = len(rows) - len(lines)
    parts += [f"<div>{more:,} more rows: <code>job.table()</code></div>"] if more else []
    parts += [failures(rows)] if peek.messages(job) else []
    parts.append(f"<div><code>sm_async_nb.attach({esc(repr(job.uri))})</code> opens it in another kernel.</div>")
    return f'<div class="sm-async-job">{"".join(parts)}</div>'


def histogram(latency: FloatArray) -> str:
    """How long answers took: three percentiles, and a bar for each stretch of time."""
    known = latency[~np.isnan(latency)]
    if not len(known):
        return "<div>No answer has come yet.</div>"
    p50, p95, p99 = np.percentile(known, [50, 95, 99])
    found, edges = np.histogram(known, bins=_BINS, range=(0, float(known.max()) or 1))
    most = int(found.max())
    rows = "".join(
        f"<tr><td>{edges[at]:.2f} to {edges[at + 1]:.2f} s</td><td>{'█' * round(24 * int(count) / most)}</td>"
        f"<td>{int(count):,}</td></tr>"
        for at, count in enumerate(found)
    )
    told = f"p50 {p50:.2f} s · p95 {p95:.2f} s · p99 {p99:.2f} s · {len(known):,} answers"
    told += "; where S3 dates them, to the second"
    return f"<div>{esc(told)}</div><table><tbody>{rows}</tbody></table>"


def failures(rows: JobRows) -> str:
    """What went wrong, the same words together, the most frequent first, each with a row to look at."""
    messages = peek.messages(rows.job)
    groups: Counter[str] = Counter()
    examples: dict[str, tuple[int, str]] = {}
    for request, message in sorted(messages.items()):
        group = alike(message)
        groups[group] += 1
        examples.setdefault(group, (request, message))
    items = "".join(
        f"<tr><td>{count:,} time{'' if count == 1 else 's'}</td><td><code>{esc(said(examples[group][1]))}</code></td>"
        f"<td>{esc(rows.label_of(examples[group][0]))}{'' if count == 1 else ', for one'}</td></tr>"
        for group, count in groups.most_common(_GROUPS)
    )
    seen = rows.job.snapshot
    bad = seen[Status.FAILED] + seen[Status.EXPIRED] + seen[Status.REJECTED]
    unread = max(bad - len(messages), 0)
    more = f"<div>{unread:,} more that nobody has read: <code>job.failures()</code></div>" if unread else ""
    return f"<table><tbody>{items}</tbody></table>{more}" if items else more or "<div>Nothing went wrong.</div>"


def alike(message: str) -> str:
    """What messages have in common that differ in numbers, ids and the like."""
    return re.sub(r"0x[0-9a-f]+|\d+", "#", verdict_of(message).message[:400].lower())


def events(told: Sequence[tuple[str, str]]) -> str:
    """What has happened, the newest first."""
    rows = "".join(f"<tr><td>{esc(at)}</td><td>{esc(text)}</td></tr>" for at, text in reversed(told))
    return f"<table><tbody>{rows}</tbody></table>" if rows else "<div>Nothing has happened yet.</div>"


def code(text: str) -> str:
    """A line of Python."""
    return f"<code>{esc(text)}</code>"
