"""Manners in a real kernel: a cell returns at once, an interrupt ends a wait and no more, and nothing is lost.

``.ci/kernels`` runs these with every ipykernel that behaves in a way of its own: 6.31, 7.1, 7.3 and 7.4.
"""

from __future__ import annotations

import asyncio
import time

import pytest
from kernel_scene import kernel

import sm_async_nb
from sm_async_nb.aws.storage import open_storage
from sm_async_nb.core.locations import JobLayout, S3Location
from sm_async_nb.job.lease import read_lease

# Whether a kernel's sockets are encrypted, and how it is waited for, is Jupyter's affair.
pytestmark = pytest.mark.filterwarnings("ignore")

SETUP = """
import pandas as pd
import sm_async_nb
%load_ext sm_async_nb
df = pd.DataFrame({"x": range(12)}, index=[f"r{n}" for n in range(12)])
"""
LEFT = """\
import threading, time
ours = lambda: [thread.name for thread in threading.enumerate() if thread.name.startswith("sm-async")]
give_up = time.monotonic() + 10
while ours() and time.monotonic() < give_up: time.sleep(0.05)
ours()"""
VIEW = "application/vnd.jupyter.widget-view+json"
SUBMIT = "%%sm_async slow --data df --out job"
IN_FLIGHT = "import time\nwhile job.snapshot[sm_async_nb.Status.ACCEPTED] < 12: time.sleep(0.05)"


@pytest.fixture(scope="module")
def running(local, clean_environment, tmp_path_factory):
    with kernel(tmp_path_factory.mktemp("kernel"), {**clean_environment, **local.environment}) as one:
        assert "ok" == one.run(SETUP).status
        yield one


def is_over(data):
    return "over: " in data["text/plain"]


def test_a_cell_returns_at_once_and_the_next_computes_while_the_job_runs(running, gate):
    """That is what asynchronous means to somebody who works in a notebook."""
    submitted = running.run(SUBMIT)
    computed = running.run("sum(range(10)), job.snapshot.is_over")
    gate.open()
    became = running.updates(is_over)

    assert ("ok", "ok") == (submitted.status, computed.status)
    assert "(45, False)" == computed.text
    assert computed.seconds < 2
    shown = submitted.outputs[-1]
    assert "running" in shown["data"]["text/plain"]
    assert {"text/plain", "text/html", VIEW} == set(shown["data"])
    final = became[shown["transient"]["display_id"]]
    assert final["text/plain"].endswith("over: 12 completed>")
    assert 12 == final["text/html"].count("<td>✓ completed</td>")


def test_an_interrupt_of_a_wait_leaves_the_job_running(running, gate):
    """It is over within half a second, says how to come back, and the next cell is as any other."""
    running.run(SUBMIT)
    waiting = running.start("job.wait()")
    running.is_running(waiting)
    time.sleep(1)
    running.interrupt()
    interrupted = running.end_of(waiting)
    following = running.run("job.snapshot.is_over")
    gate.open()
    over = running.run("job.wait()")

    assert interrupted.seconds < 0.5
    assert ("error", "KeyboardInterrupt") == (interrupted.status, interrupted.error["ename"])
    assert "Traceback" not in interrupted.traceback
    assert "runs on (12 of 12 requests to go)" in interrupted.traceback
    assert "Its wait() waits again, its cancel() stops sending; from another kernel: sm_async_nb.attach" in (
        interrupted.traceback
    )
    assert ("ok", "False") == (following.status, following.text)
    assert over.text.endswith("over: 12 completed>")


def test_an_interrupt_of_an_await_leaves_the_job_running_and_the_next_cell_alone(running, gate):
    """A bare await of one long future would see the interrupt with the next message only, and take that cell along."""
    running.run(SUBMIT)
    waiting = running.start("await job")
    running.is_running(waiting)
    time.sleep(1)
    running.interrupt()
    interrupted = running.end_of(waiting)
    following = running.run("job.snapshot.is_over")
    gate.open()
    over = running.run("await job")

    assert interrupted.seconds < 0.5
    assert "error" == interrupted.status
    assert "runs on (12 of 12 requests to go)" in interrupted.traceback
    assert ("ok", "False") == (following.status, following.text)
    assert over.text.endswith("over: 12 completed>")


@pytest.mark.parametrize("loop", ["for", "async for"])
@pytest.mark.parametrize("way", ["as_completed", "changes"])
def test_an_interrupt_of_a_loop_over_a_job_says_that_it_runs_on(running, gate, loop, way):
    """It was a traceback of the package's own lines."""
    running.run(SUBMIT)
    waiting = running.start(f"{loop} _ in job.{way}(): pass")
    running.is_running(waiting)
    time.sleep(1)
    running.interrupt()
    interrupted = running.end_of(waiting)
    following = running.run("job.snapshot.is_over")
    gate.open()
    running.run("job.wait()")

    assert interrupted.seconds < 0.5
    assert "Traceback" not in interrupted.traceback
    assert "runs on (12 of 12 requests to go).\nIts wait() waits again" in interrupted.traceback
    assert ("ok", "False") == (following.status, following.text)


def test_an_interrupt_of_a_cell_that_waits_leaves_the_job_bound(running, gate):
    """--wait is a wait as any other, and the job had its name before it began."""
    waiting = running.start(f"{SUBMIT} --wait")
    running.is_running(waiting)
    time.sleep(1.5)
    running.interrupt()
    interrupted = running.end_of(waiting)
    following = running.run("job.snapshot.is_over")
    gate.open()
    over = running.run("%sm_async wait")

    assert interrupted.seconds < 0.5
    assert "job.wait() waits again, job.cancel() stops sending" in interrupted.traceback
    assert "Traceback" not in interrupted.traceback
    assert ("ok", "False") == (following.status, following.text)
    assert over.text.endswith("over: 12 completed>")


def test_an_interrupt_of_a_cell_that_binds_no_variable_names_none(running, gate):
    """``job`` may be another one, and cancelling that would be a pity."""
    waiting = running.start("%%sm_async slow --data df --wait")
    running.is_running(waiting)
    time.sleep(1.5)
    running.interrupt()
    interrupted = running.end_of(waiting)
    gate.open()
    running.run("%sm_async wait")

    assert "Its wait() waits again, its cancel() stops sending" in interrupted.traceback
    assert "job.wait()" not in interrupted.traceback


def test_a_cell_waits_where_a_program_runs_the_notebook(running):
    """nbclient and papermill say with each cell that nobody can be asked anything."""
    ran = running.run("%%sm_async echo --data df", allow_stdin=False)

    assert "ok" == ran.status
    assert ran.text.endswith("over: 12 completed>")


def test_a_misuse_is_one_line_and_no_traceback(running):
    """The cell fails all the same, so that Run All stops there."""
    ran = running.run("%%sm_async echo --dta df")

    assert ("error", "UsageError") == (ran.status, ran.error.get("ename", "UsageError"))
    assert "UsageError: --dta is no option. Did you mean --data? %%sm_async --help lists them.\n" == ran.stderr
    assert "" == ran.traceback


def test_a_job_may_be_shown_many_times(running, gate):
    """Every output of it comes to its end."""
    first = running.run(SUBMIT)
    again = running.run("job")
    status = running.run("%sm_async status")
    gate.open()
    ids = {ran.outputs[-1]["transient"]["display_id"] for ran in (first, again, status)}
    became = {}
    while not ids <= {name for name, data in became.items() if is_over(data)}:
        became |= running.updates(is_over)

    assert 3 == len(ids)
    assert {"12 completed>"} == {became[name]["text/plain"].rpartition("over: ")[2] for name in ids}


@pytest.mark.parametrize(
    ("front_end", "where", "name"),
    [
        ("auto", "sm_async_nb.notebook.panel.job_view", "static_bundle"),
        ("html", "sm_async_nb.notebook.display", "bundle"),
    ],
    ids=["live", "html"],
)
def test_a_display_that_fails_never_stops_a_job(running, gate, front_end, where, name):
    """What cannot be shown is left as it was, without a word in anybody's cell."""
    running.run(f"%config SmAsync.front_end = {front_end!r}")
    running.run(SUBMIT)
    broken = running.run(
        f"import {where} as shows\nasked = []\nkept = shows.{name}\n"
        f"shows.{name} = lambda *_: asked.append(1) or 1 / 0\njob"
    )
    gate.open()
    over = running.run("job.wait()\njob.snapshot.is_over")
    mended = running.run(f"shows.{name} = kept\nlen(asked) > 0")
    running.run("%config SmAsync.front_end = 'auto'")

    assert ("ok", "ok", "True") == (broken.status, over.status, over.text)
    assert ("True", "", "", "") == (mended.text, broken.stderr, over.stderr, mended.stderr)


def test_threads_print_nothing_and_none_is_left(running, gate):
    """When all jobs are over the kernel is as it was."""
    gate.open()
    running.run(SUBMIT)
    running.updates(is_over)
    left = running.run(LEFT)

    assert ("", "", "[]") == (left.stdout, left.stderr, left.text)


def test_a_shutdown_in_the_middle_of_a_job_takes_no_time_and_makes_no_noise(local, clean_environment, tmp_path, gate):
    """The job is left as it is, in S3. Python forgets boto3 in 0.4 s of CPU; a wait for the network takes a minute."""
    environment = {**clean_environment, **local.environment}
    with (tmp_path / "stderr").open("w+") as stderr:
        with kernel(tmp_path, environment, stderr=stderr) as one:
            one.run(SETUP)
            before = stderr.tell()
            one.run(f"{SUBMIT} --name shut-down")
            one.run(IN_FLIGHT)
            seconds = one.shut_down()
        stderr.seek(before)
        noise = stderr.read()
    left = asyncio.run(lease_of(local.session(), JobLayout(S3Location("sm-async-local", "sm-async-nb"), "shut-down")))
    job = sm_async_nb.attach("s3://sm-async-local/sm-async-nb/shut-down/", session=local.session())
    gate.open()

    assert seconds < 20
    assert "" == noise
    # Not only is its process seen to be gone, which from another machine it could not be.
    assert left.released
    assert list(range(12)) == list(job.wait().results()["x"])


async def lease_of(session, layout):
    async with open_storage(session) as storage:
        return await read_lease(storage, layout)


def test_a_job_is_attached_to_after_a_restart_of_the_kernel(local, clean_environment, tmp_path, gate):
    """The new kernel knows nothing but the address, and gets every row."""
    with kernel(tmp_path, {**clean_environment, **local.environment}) as one:
        one.run(SETUP)
        uri = one.run(f"{SUBMIT} --no-wait").outputs and one.run("print(job.uri)").stdout.strip()
        one.restart()
        one.run("import sm_async_nb\n%load_ext sm_async_nb")
        attached = one.run(f"%sm_async attach {uri} --out job")
        gate.open()
        over = one.run("job.wait()")
        results = one.run("print(list(job.results()['x']))")

    assert "ok" == attached.status, attached
    assert over.text.endswith("over: 12 completed>")
    assert f"{list(range(12))}\n" == results.stdout


def test_a_job_is_shown_live_without_the_extension_too(running, gate):
    """The package is imported where jobs are submitted; the magics are another matter."""
    running.run("%unload_ext sm_async_nb\nimport importlib; importlib.reload(sm_async_nb)")
    shown = running.run("job = df.sm_async.submit('slow'); job").outputs[-1]["data"]
    gate.open()
    running.run("job.wait()\n%load_ext sm_async_nb")

    assert VIEW in shown
    assert "<Job " in shown["text/plain"]


def test_a_frozen_job_needs_no_kernel(running):
    """What a notebook is to keep when it is sent on: HTML and text, at once and after the job is over."""
    first = running.run("%%sm_async echo --data df --out job")
    again = running.run("job.wait()")
    running.client.execute("job.freeze()")
    ids = {ran.outputs[-1]["transient"]["display_id"] for ran in (first, again)}
    became = {}
    while not ids <= {name for name, data in became.items() if VIEW not in data}:
        became |= running.updates(is_over)

    assert [{"text/plain", "text/html"}] * 2 == [set(became[name]) for name in ids]
    assert "0" == running.run("len(job.faces)").text
