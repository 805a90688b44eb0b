"""IPython in a terminal: the cell waits, progress is one line that is rewritten, and Ctrl-C ends the waiting alone."""

from __future__ import annotations

import re
import signal
import sys
import time
from functools import partial

import pexpect
import pytest

# pexpect's own child after fork, where threads of the test are running.
pytestmark = pytest.mark.filterwarnings("ignore:.*use of forkpty.*:DeprecationWarning")

START = "import pandas as pd, sm_async_nb; df = pd.DataFrame({'x': range(12)})"
CODES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]")


class Terminal:
    """IPython as a user sees it."""

    def __init__(self, environment, folder):
        options = ["--simple-prompt", "--colors=nocolor", "--no-banner", "--no-confirm-exit"]
        self._child = pexpect.spawn(
            sys.executable,
            ["-m", "IPython", *options, "--HistoryManager.enabled=False"],
            env={**environment, "IPYTHONDIR": str(folder), "TERM": "xterm", "COLUMNS": "160"},
            cwd=str(folder),
            encoding="utf-8",
            timeout=60,
            dimensions=(40, 160),
            # A child of what was started in the background would be deaf to Ctrl-C.
            preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
        )
        self._child.str_last_chars = 4_000  # of which an error tells
        self._child.expect(r"In \[\d+\]: ")

    def start(self, *lines):
        """Type a cell; two empty lines end a cell of several, where the prompt is simple."""
        for line in lines:
            self._child.sendline(line)

    def run(self, *lines):
        """Type a cell, and read what there is to read until the next prompt."""
        self.start(*lines)
        return self.read()

    def read(self):
        self._child.expect(r"In \[\d+\]: $")
        return CODES.sub("", self._child.before).replace("\r\n", "\n")

    def expect(self, pattern):
        self._child.expect(pattern)
        return self._child.match.group(0)

    def press_ctrl_c(self):
        self._child.sendintr()

    def leave(self):
        """Leave IPython; the seconds until it has ended, and what it said then."""
        left_at = time.monotonic()
        self._child.sendline("exit")
        self._child.expect(pexpect.EOF)
        self._child.close()
        return time.monotonic() - left_at, CODES.sub("", self._child.before), self._child.exitstatus

    def close(self):
        self._child.close(force=True)


@pytest.fixture(scope="module")
def terminal(local, clean_environment, tmp_path_factory):
    """One for all tests, the last of which leaves it."""
    one = Terminal({**clean_environment, **local.environment}, tmp_path_factory.mktemp("terminal"))
    try:
        one.run(START)
        one.run("%load_ext sm_async_nb")
        yield one
    finally:
        one.close()


def test_a_cell_waits_with_a_line_that_is_rewritten_and_ends_with_the_job(terminal, gate):
    """Nothing is shown for the first half second here, and the line is tqdm's."""
    terminal.run("%config SmAsync.progress_after = 0.5")
    terminal.start("%%sm_async slow --data df --name in-a-terminal", "{{ x }}", "", "")
    terminal.expect(r"\r  0%\| {20}\| 0/12 \[00:0\d<\?, 0\.0 request/s\] 12 in flight")
    gate.open()
    told = terminal.read()

    terminal.run("%config SmAsync.progress_after = 2.0")
    assert "\r100%|████████████████████| 12/12 [00:0" in told
    assert re.search(r"Out\[\d+\]: <Job in-a-terminal to slow, over: 12 completed>\n", told)


def test_a_quick_job_shows_its_end_only(terminal):
    """No bar that is full at once."""
    told = terminal.run("%%sm_async echo --data df --name quick", "", "")

    assert "%|" not in told
    assert "<Job quick to echo, over: 12 completed>" in told


def test_ctrl_c_ends_the_waiting_and_leaves_the_job(terminal, gate):
    """Within half a second, with a word on how to come back; and the next cell is as any other."""
    terminal.start("%%sm_async slow --data df --out job --name interrupted", "", "")
    terminal.expect("12 in flight")
    pressed_at = time.monotonic()
    terminal.press_ctrl_c()
    told = terminal.read()
    seconds = time.monotonic() - pressed_at
    following = terminal.run("job.snapshot.is_over")
    gate.open()
    over = terminal.run("%sm_async wait")

    assert seconds < 0.5
    assert "Traceback" not in told
    assert (
        "Interrupted: the waiting has ended, job interrupted runs on (12 of 12 requests to go).\n"
        "job.wait() waits again, job.cancel() stops sending; from another kernel:"
        " sm_async_nb.attach('s3://sm-async-local/sm-async-nb/interrupted/')"
    ) in told
    assert re.search(r"Out\[\d+\]: False\n", following)
    assert "<Job interrupted to slow, over: 12 completed>" in over


def test_leaving_in_the_middle_of_a_job_takes_no_time_and_makes_no_noise(terminal, gate):
    """The job is left as it is, in S3. Python forgets boto3 in 0.4 s of CPU; a wait for the network takes a minute."""
    terminal.start("%%sm_async slow --data df", "", "")
    terminal.expect("12 in flight")
    terminal.press_ctrl_c()
    terminal.read()
    seconds, told, status = terminal.leave()

    assert seconds < 20
    assert "exit" == told.strip()
    assert 0 == status
