"""Progress as a line of text, where there is no widget: in a terminal, a log, or a plain notebook.

The line is tqdm's, which everybody can read: share done, a bar, counts, time gone < time left, rate.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from sm_async_nb.core.ledger import Snapshot, Status
from sm_async_nb.notebook import outside

_BAR = 20
_REDRAW_SECONDS = 0.1
_LOG_SECONDS = 10.0
_EIGHTHS = " ▏▎▍▌▋▊▉█"
_WORTH_A_WORD = (Status.FAILED, Status.EXPIRED, Status.REJECTED, Status.CANCELLED)

_log = logging.getLogger(__name__)


def line(seen: Snapshot) -> str:
    """One snapshot as a line, without its end."""
    total, ended = seen.requests, seen.ended
    elapsed = max(seen.at - seen.started_at, 0.0)
    rate = ended / elapsed if elapsed else 0.0
    left = _clock((total - ended) / rate) if rate else "?"
    counts = [f"{seen[Status.ACCEPTED]} in flight"] if seen[Status.ACCEPTED] else []
    counts += [f"{seen[status]} {status}" for status in _WORTH_A_WORD if seen[status]]
    share = ended / total if total else 1.0
    told = f"{share:4.0%}|{_bar(share)}| {ended}/{total} [{_clock(elapsed)}<{left}, {rate:.1f} request/s]"
    return " ".join([told, *_joined(counts), *_trouble(seen)])


@contextmanager
def progress_line(after: float | None = None) -> Iterator[Callable[[Snapshot], None]]:
    """Show snapshots where the user looks: one rewritten line in a terminal or notebook, now and then one in a log.

    Nothing is shown of a job that is over within ``after`` seconds, by default those of the setting
    ``progress_after``: whoever waited has the job itself, which says how it ended. Where it cannot be shown, on a
    stream that is closed or a display that fails, the waiting goes on without it.
    """
    after = outside.for_show("progress_after") if after is None else after
    faces: list[_TerminalFace | _LogFace | _NotebookFace] = []
    shows = False
    _tried(lambda: faces.append(_face(sys.stderr)))

    def show(seen: Snapshot) -> None:
        nonlocal shows
        shows = shows or seen.at - seen.started_at >= after
        if shows and faces and not _tried(lambda: faces[0].show(seen)):
            faces.clear()

    try:
        yield show
    finally:
        if shows and faces:
            _tried(faces[0].close)


def _tried(act: Callable[[], None]) -> bool:
    """Whether it went well; what fails at showing must never end the wait for a job."""
    try:
        act()
    except Exception:  # noqa: BLE001 - a pipe nobody reads, no stderr at all, a front end that is gone
        _log.debug("Progress cannot be shown.", exc_info=True)
        return False
    return True


class _TerminalFace:
    """One line that is rewritten in place."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._shown_at = -_REDRAW_SECONDS
        self._width = 0

    def show(self, seen: Snapshot) -> None:
        if time.monotonic() - self._shown_at < _REDRAW_SECONDS and not seen.is_over:
            return
        self._shown_at = time.monotonic()
        text = line(seen)[: _columns_of(self._stream)]
        self._stream.write(f"\r{text.ljust(self._width)}")
        self._stream.flush()
        self._width = len(text)

    def close(self) -> None:
        self._stream.write("\n")
        self._stream.flush()


def _columns_of(stream: TextIO) -> int | None:
    """How long a line may be that is to be rewritten: one that is wrapped would leave its first part behind."""
    try:
        return max(os.get_terminal_size(stream.fileno()).columns - 1, 0) or None
    except (OSError, ValueError):
        return None


class _LogFace:
    """A line every ten seconds and at the end, for output that is kept."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._shown_at = time.monotonic()

    def show(self, seen: Snapshot) -> None:
        if seen.is_over or time.monotonic() - self._shown_at > _LOG_SECONDS:
            self._shown_at = time.monotonic()
            self._stream.write(f"{line(seen)}\n")
            self._stream.flush()

    def close(self) -> None:
        """Nothing is left to do."""


class _NotebookFace:
    """One output of a cell that is replaced in place."""

    def __init__(self, display: Callable[..., Any]) -> None:
        self._display = display
        self._handle: Any = None
        self._shown_at = -_REDRAW_SECONDS

    def show(self, seen: Snapshot) -> None:
        if time.monotonic() - self._shown_at < _REDRAW_SECONDS and not seen.is_over:
            return
        self._shown_at = time.monotonic()
        bundle = {"text/plain": line(seen)}
        if self._handle is None:
            self._handle = self._display(bundle, raw=True, display_id=True)
        else:
            self._handle.update(bundle, raw=True)

    def close(self) -> None:
        """The last line stays."""


def _face(stream: TextIO) -> _TerminalFace | _LogFace | _NotebookFace:
    display = _notebook_display()
    if display is not None:
        return _NotebookFace(display)
    return _TerminalFace(stream) if stream.isatty() else _LogFace(stream)


def _notebook_display() -> Callable[..., Any] | None:
    """IPython's display if this is a kernel, and None elsewhere; IPython is not imported for it."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    if shell is None or not hasattr(shell, "kernel"):
        return None
    from IPython.display import display

    return display


def _bar(share: float) -> str:
    eighths = int(share * _BAR * 8)
    full, rest = divmod(eighths, 8)
    return ("█" * full + (_EIGHTHS[rest] if rest else "")).ljust(_BAR)


def _clock(seconds: float) -> str:
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute:02d}:{second:02d}"


def _joined(counts: list[str]) -> list[str]:
    return [", ".join(counts)] if counts else []


def _trouble(seen: Snapshot) -> list[str]:
    if seen.paused is not None:
        return [f"· paused: {seen.paused.message}"]
    if seen.trouble is None or seen.is_over:
        return []
    return [f"· trouble for {_clock(seen.at - seen.trouble.since)}: {seen.trouble.message}"]
