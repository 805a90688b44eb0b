"""Progress as text: the line itself, and the faces that show it."""

from __future__ import annotations

import io
import logging
import re
import subprocess
import sys
from types import SimpleNamespace

import pytest

from sm_async_nb.core.ledger import Snapshot, Status, Trouble
from sm_async_nb.notebook import outside, text
from sm_async_nb.notebook.text import line, progress_line

NOON = 1_767_268_800.0


def seen(elapsed=0.0, *, trouble=None, paused=None, is_over=False, **counts):
    by_status = tuple(counts.get(str(status), 0) for status in Status)
    told = {"trouble": trouble, "paused": paused, "is_over": is_over}
    return Snapshot(revision=1, at=NOON + elapsed, started_at=NOON, counts=by_status, **told)


@pytest.fixture
def monotonic(monkeypatch):
    """The clock by which faces redraw; set ``.now``."""
    clock = SimpleNamespace(now=1_000.0)
    monkeypatch.setattr(text, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


@pytest.fixture
def terminal(monkeypatch):
    stream = io.StringIO()
    stream.isatty = lambda: True
    monkeypatch.setattr(text, "sys", SimpleNamespace(stderr=stream, modules={}))
    return stream


@pytest.fixture
def log(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(text, "sys", SimpleNamespace(stderr=stream, modules={}))
    return stream


# The line


@pytest.mark.parametrize(
    ("snapshot", "expected"),
    [
        (seen(planned=569), "  0%|                    | 0/569 [00:00<?, 0.0 request/s]"),
        (
            seen(10, planned=100, uploaded=4, accepted=64, completed=401),
            " 70%|██████████████      | 401/569 [00:10<00:04, 40.1 request/s] 64 in flight",
        ),
        (seen(20, completed=569, is_over=True), "100%|████████████████████| 569/569 [00:20<00:00, 28.4 request/s]"),
        (
            seen(60, accepted=1, completed=1, failed=2, expired=3, rejected=4, cancelled=5),
            (
                " 94%|██████████████████▊ | 15/16 [01:00<00:04, 0.2 request/s]"
                " 1 in flight, 2 failed, 3 expired, 4 rejected, 5 cancelled"
            ),
        ),
        (
            seen(30, planned=5, trouble=Trouble(message="429 ThrottlingException", since=NOON + 25, calls=7)),
            "  0%|                    | 0/5 [00:30<?, 0.0 request/s] · trouble for 00:05: 429 ThrottlingException",
        ),
        (
            seen(30, accepted=5, paused=Trouble(message="the credentials have expired", since=NOON, calls=1)),
            (
                "  0%|                    | 0/5 [00:30<?, 0.0 request/s] 5 in flight"
                " · paused: the credentials have expired"
            ),
        ),
        (
            seen(30, completed=5, is_over=True, trouble=Trouble(message="gone", since=NOON, calls=1)),
            "100%|████████████████████| 5/5 [00:30<00:00, 0.2 request/s]",
        ),
        (
            seen(3_661, accepted=99, completed=1),
            "  1%|▏                   | 1/100 [1:01:01<100:40:39, 0.0 request/s] 99 in flight",
        ),
        (seen(is_over=True), "100%|████████████████████| 0/0 [00:00<?, 0.0 request/s]"),
        (seen(-5, planned=2, completed=2), " 50%|██████████          | 2/4 [00:00<?, 0.0 request/s]"),
    ],
    ids=[
        "begun",
        "running",
        "over",
        "ends",
        "trouble",
        "paused",
        "trouble is past",
        "hours",
        "no rows",
        "clock set back",
    ],
)
def test_a_snapshot_is_one_line(snapshot, expected):
    """Share, bar, counts, time gone and left, rate; then what is in flight, what went wrong, and the trouble."""
    assert expected == line(snapshot)


@pytest.mark.parametrize("ended", range(161))
def test_the_bar_has_the_same_width_at_every_share(ended):
    """The numbers behind it stand still."""
    bar = line(seen(1, planned=160 - ended, completed=ended)).split("|")[1]

    assert len(bar) == 20
    assert ended // 8 == bar.count("█")


# Faces


def test_a_terminal_shows_one_line_that_is_rewritten(terminal, monotonic):
    """A carriage return before each, spaces over what was longer, and an end when it is over."""
    long, short = seen(10, accepted=64, completed=36), seen(20, completed=100, is_over=True)
    with progress_line(after=0) as show:
        show(long)
        show(short)

    assert f"\r{line(long)}\r{line(short).ljust(len(line(long)))}\n" == terminal.getvalue()
    assert len(line(short)) < len(line(long))


def test_a_third_line_clears_no_more_than_the_second_left(terminal, monotonic):
    """What was cleared once is clear."""
    shown = [seen(1, accepted=64, planned=36), seen(2, completed=100), seen(3, completed=100, is_over=True)]
    with progress_line(after=0) as show:
        for snapshot in shown:
            monotonic.now += 1
            show(snapshot)

    assert terminal.getvalue().endswith(f"\r{line(shown[2])}\n")


def test_a_terminal_is_redrawn_ten_times_a_second_at_most(terminal, monotonic):
    """But the last line is always shown."""
    with progress_line(after=0) as show:
        for completed in range(5):
            show(seen(1, planned=5 - completed, completed=completed))
        monotonic.now += 0.1
        show(seen(1, completed=5))
        show(seen(2, completed=5, is_over=True))

    assert re.findall(r"\| (./.) ", terminal.getvalue()) == ["0/5", "5/5", "5/5"]


@pytest.mark.parametrize(("columns", "expected"), [(40, 39), (200, 75), (0, 75)])
def test_a_narrow_terminal_gets_a_shorter_line(terminal, monotonic, monkeypatch, columns, expected):
    """One that is wrapped cannot be rewritten; a terminal that does not know its width says 0."""
    terminal.fileno = lambda: 2
    monkeypatch.setattr(text.os, "get_terminal_size", lambda _: SimpleNamespace(columns=columns))
    with progress_line(after=0) as show:
        show(seen(10, accepted=64, completed=36))

    assert expected == len(terminal.getvalue().strip("\r\n"))


def test_a_log_gets_a_line_now_and_then_and_one_at_the_end(log, monotonic):
    """Output that is kept is not filled with carriage returns."""
    with progress_line(after=0) as show:
        show(seen(0, planned=9))
        monotonic.now += 9
        show(seen(9, planned=9))
        monotonic.now += 2
        show(seen(11, planned=8, completed=1))
        monotonic.now += 2
        show(seen(13, completed=9, is_over=True))

    expected = [line(seen(11, planned=8, completed=1)), line(seen(13, completed=9, is_over=True))]
    assert expected == log.getvalue().splitlines()
    assert "\r" not in log.getvalue()


def test_an_interrupted_wait_leaves_the_cursor_on_a_line_of_its_own(terminal, monotonic):
    """The traceback of a Ctrl-C begins where it should."""

    def interrupted():
        with progress_line(after=0) as show:
            show(seen(1, planned=9))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()

    assert terminal.getvalue().endswith("\n")


def broken(error, *, at=""):
    """A terminal on which nothing more can be written, or not this."""

    def write(told):
        if told.endswith(at):
            raise error

    stream = io.StringIO()
    stream.isatty, stream.write = lambda: True, write
    return stream


def closed():
    stream = io.StringIO()
    stream.close()
    return stream


@pytest.mark.parametrize(
    "stream",
    [None, closed(), broken(BrokenPipeError()), broken(OSError(), at="\n")],
    ids=["no stream", "closed", "nobody reads it", "not even a line's end"],
)
def test_progress_that_cannot_be_shown_does_not_end_the_wait(stream, monotonic, monkeypatch, caplog):
    """`script 2>&1 | head` is no reason for a script to leave its job."""
    monkeypatch.setattr(text, "sys", SimpleNamespace(stderr=stream, modules={}))
    with caplog.at_level(logging.DEBUG, logger=text.__name__), progress_line(after=0) as show:
        show(seen(1, planned=2))
        monotonic.now += 1
        show(seen(2, completed=2, is_over=True))

    assert [logging.DEBUG] == [record.levelno for record in caplog.records]


def test_an_interrupt_while_progress_is_shown_gets_through(monotonic, monkeypatch):
    """Whoever presses Ctrl-C does not ask what is done just then."""
    stream = broken(KeyboardInterrupt(), at="]")
    monkeypatch.setattr(text, "sys", SimpleNamespace(stderr=stream, modules={}))

    with pytest.raises(KeyboardInterrupt), progress_line(after=0) as show:
        show(seen(1, completed=2))


def test_a_notebook_shows_one_output_that_is_replaced(monkeypatch, monotonic):
    """The first snapshot makes the output, the others update it; nothing is written to a stream."""
    calls = []
    handle = SimpleNamespace(update=lambda bundle, **options: calls.append(("update", bundle, options)))
    stream = io.StringIO()

    def display(bundle, **options):
        calls.append(("display", bundle, options))
        return handle

    monkeypatch.setattr(text, "sys", SimpleNamespace(stderr=stream))
    monkeypatch.setattr(text, "_notebook_display", lambda: display)
    first, skipped, last = seen(0, planned=2), seen(0, planned=1, completed=1), seen(1, completed=2, is_over=True)
    with progress_line(after=0) as show:
        show(first)
        show(skipped)
        show(last)

    expected = [
        ("display", {"text/plain": line(first)}, {"raw": True, "display_id": True}),
        ("update", {"text/plain": line(last)}, {"raw": True}),
    ]
    assert (expected, "") == (calls, stream.getvalue())


def test_a_job_that_is_quick_shows_no_progress(terminal, monotonic):
    """Who waited for it gets the job, and needs no bar that is full at once."""
    with progress_line(after=2) as show:
        show(seen(0, planned=2))
        show(seen(1.9, completed=2, is_over=True))

    assert "" == terminal.getvalue()


def test_a_job_that_takes_longer_shows_its_progress_from_then_on(terminal, monotonic):
    """The time counts from the job's start, so that a wait that begins late shows something at once."""
    late, over = seen(2, planned=1, completed=1), seen(3, completed=2, is_over=True)
    with progress_line(after=2) as show:
        show(seen(1, planned=2))
        show(late)
        show(over)

    assert f"\r{line(late)}\r{line(over)}\n" == terminal.getvalue().replace(" \n", "\n")


@pytest.mark.parametrize(("said", "expected"), [("0.5", 0.5), ("soon", 2.0), ("-1", 2.0), (None, 2.0)])
def test_after_how_long_progress_is_shown_can_be_said_outside(said, expected, monkeypatch, tmp_path):
    """In the environment; what is no number of seconds is refused where jobs are made, and not in the middle of one."""
    monkeypatch.chdir(tmp_path)
    if said is not None:
        monkeypatch.setenv("SM_ASYNC_PROGRESS_AFTER", said)

    assert expected == outside.for_show("progress_after")


@pytest.mark.parametrize(
    ("ipython", "expected"),
    [
        (None, False),
        (SimpleNamespace(get_ipython=lambda: None), False),
        (SimpleNamespace(get_ipython=SimpleNamespace), False),
    ],
    ids=["not imported", "imported by somebody", "in a terminal"],
)
def test_only_a_kernel_is_a_notebook(ipython, expected, monkeypatch):
    """IPython in a terminal can rewrite a line itself."""
    if ipython is None:
        monkeypatch.delitem(sys.modules, "IPython", raising=False)
    else:
        monkeypatch.setitem(sys.modules, "IPython", ipython)

    assert expected == (text._notebook_display() is not None)


def test_showing_progress_does_not_import_ipython():
    """Scripts and logs have no use for it, and it takes a while."""
    code = (
        "import sys\n"
        "from sm_async_nb.core.ledger import Snapshot\n"
        "from sm_async_nb.notebook.text import progress_line\n"
        "with progress_line(after=0) as show:\n"
        "    show(Snapshot(revision=0, at=0.0, started_at=0.0, counts=(0,) * 8, is_over=True))\n"
        "assert not {'IPython', 'ipywidgets', 'tqdm'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert (0, "100%|████████████████████| 0/0 [00:00<?, 0.0 request/s]\n") == (done.returncode, done.stderr)
