"""Whether a process can be seen to be gone: only from beside it, and never by guessing."""

from __future__ import annotations

import getpass
import json
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sm_async_nb.job import holder
from sm_async_nb.job.holder import Holder

linux = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="there is no /proc here")
numbers = st.integers(-(2**63), 2**63)
holders = st.builds(
    Holder, user=st.text(), host=st.text(), machine=st.text(), pid=numbers, started=st.none() | st.integers(0)
)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@pytest.fixture
def child():
    """A process that waits to be told to end."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
    yield process
    process.stdin.close()
    process.wait()


@pytest.fixture
def ended():
    """The number of a process that is no more."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@pytest.fixture
def proc(tmp_path, monkeypatch):
    """A /proc of our own, with this process in it."""
    (tmp_path / "sys/kernel/random").mkdir(parents=True)
    (tmp_path / "sys/kernel/random/boot_id").write_text("boot-1\n")
    (tmp_path / str(os.getpid()) / "ns").mkdir(parents=True)
    (tmp_path / str(os.getpid()) / "ns/pid").symlink_to("pid:[1]")
    (tmp_path / "self").symlink_to(str(os.getpid()))
    monkeypatch.setattr(holder, "_PROC", tmp_path)
    return tmp_path


def stat(proc, pid, *, name="python", state="S", threads=1, started=500):
    """The file that proc(5) describes, whose fields have numbers from 1."""
    fields = {1: pid, 2: f"({name})", 3: state, 20: threads, 22: started}
    (proc / str(pid)).mkdir(exist_ok=True)
    (proc / str(pid) / "stat").write_text(" ".join(str(fields.get(number, 0)) for number in range(1, 53)) + "\n")


def started_at(process):
    """The holder that a process would be on this machine."""
    return replace(Holder.here(), pid=process.pid, started=holder._started(process.pid))


# What is seen


def test_this_process_is_not_dead():
    """A second Job object in one kernel must not take over from the first."""
    assert not Holder.here().is_known_dead()


@linux
def test_a_process_that_runs_is_not_dead(child):
    """Another kernel on the same machine, most often of the same user."""
    assert not started_at(child).is_known_dead()


@linux
def test_a_process_that_has_ended_is_dead(child):
    """A restarted kernel takes over at once."""
    one = started_at(child)
    child.stdin.close()
    child.wait()

    assert one.is_known_dead()


@linux
def test_a_process_that_has_ended_without_being_asked_about_is_dead(child):
    """In a container nobody may ever ask, and its number stays."""
    one = started_at(child)
    child.stdin.close()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)

    assert one.is_known_dead()


@linux
def test_a_number_that_another_process_has_now_belongs_to_a_dead_one():
    """Numbers are used again; when a process began tells them apart."""
    here = Holder.here()

    assert replace(here, started=here.started - 1).is_known_dead()


def test_a_command_may_have_blanks_and_brackets_in_its_name(proc):
    """The kernel writes it as it is."""
    stat(proc, os.getpid(), name="a) Z 1 (b", started=700)

    assert 700 == Holder.here().started
    assert not Holder.here().is_known_dead()


def test_a_process_whose_first_thread_has_ended_lives_on(proc):
    """Its other threads may send."""
    stat(proc, os.getpid(), state="Z", threads=2)

    assert not Holder.here().is_known_dead()


# What is not seen is not known


@linux
@pytest.mark.parametrize(
    "elsewhere",
    [{"host": "another"}, {"machine": "another boot"}, {"machine": ""}, {"pid": 0}, {"pid": -1}, {"pid": 2**80}],
    ids=str,
)
def test_what_was_elsewhere_is_not_known_to_be_dead(ended, elsewhere, monkeypatch):
    """Nor is any process here asked: the number means another one there."""
    one = replace(Holder.here(), pid=ended)
    assert one.is_known_dead()
    monkeypatch.setattr(os, "kill", lambda *_: pytest.fail("a process was asked"))

    assert not replace(one, **elsewhere).is_known_dead()


def test_a_container_sees_its_own_processes_only(proc, ended):
    """The machine is the same, the numbers are not."""
    one = replace(Holder.here(), pid=ended)
    assert one.is_known_dead()
    (proc / "self/ns/pid").unlink()
    (proc / "self/ns/pid").symlink_to("pid:[2]")

    assert not one.is_known_dead()


def test_a_new_boot_is_another_machine(proc, ended):
    """What ran before it is gone, but so is what would tell two machines of one name apart."""
    one = replace(Holder.here(), pid=ended)
    (proc / "sys/kernel/random/boot_id").write_text("boot-2\n")

    assert not one.is_known_dead()


def test_a_proc_of_other_processes_says_nothing(proc, ended):
    """Such as the machine's own, shown inside a container."""
    (proc / "self").unlink()
    (proc / "self").symlink_to("1")

    assert "" == Holder.here().machine
    assert not replace(Holder.here(), pid=ended).is_known_dead()


def test_processes_of_others_that_are_hidden_are_not_dead(proc, monkeypatch):
    """Mounted with hidepid, /proc does not show them, and they may not be asked."""

    def refuse(pid, signal):
        raise PermissionError

    monkeypatch.setattr(os, "kill", refuse)

    assert not replace(Holder.here(), pid=1, started=1).is_known_dead()


def test_a_time_that_is_not_known_is_no_proof(proc):
    """On either side."""
    here = Holder.here()
    assert here.started is None

    assert not here.is_known_dead()
    assert not replace(here, started=5).is_known_dead()


def test_without_proc_nothing_is_known(tmp_path, ended, monkeypatch):
    """A minute of waiting is the price."""
    monkeypatch.setattr(holder, "_PROC", tmp_path)
    here = Holder.here()

    assert ("", None) == (here.machine, here.started)
    assert not replace(here, pid=ended).is_known_dead()


def test_on_windows_nobody_is_ever_asked(ended, monkeypatch):
    """What asks elsewhere interrupts there."""
    windows = SimpleNamespace(name="nt", getpid=os.getpid, kill=lambda *_: pytest.fail("a process was interrupted"))
    monkeypatch.setattr(holder, "os", windows)
    here = Holder.here()

    assert "" == here.machine
    assert not replace(here, pid=ended).is_known_dead()


@pytest.fixture
def macos(tmp_path, monkeypatch):
    monkeypatch.setattr(holder, "_PROC", tmp_path)
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(holder.uuid, "getnode", lambda: 0xA1B2C3D4E5F6)


def test_on_macos_a_process_that_is_gone_is_dead(macos, ended):
    """There is no /proc, but a process can be asked whether it is there."""
    here = Holder.here()

    assert "a1b2c3d4e5f6" == here.machine
    assert not here.is_known_dead()
    assert replace(here, pid=ended).is_known_dead()


def test_on_macos_two_laptops_of_one_name_are_two(macos, ended):
    """MacBook-Pro.local is what many are called."""
    assert not replace(Holder.here(), pid=ended, machine="ffffffffffff").is_known_dead()


# What is told


@pytest.mark.parametrize(
    ("expected", "one"),
    [
        ("alice@laptop (process 4711)", Holder(user="alice", host="laptop", pid=4711)),
        ("laptop (process 4711)", Holder(host="laptop", pid=4711)),
        ("alice", Holder(user="alice")),
        ("somebody", Holder()),
    ],
)
def test_a_holder_reads_as_who_and_where(expected, one):
    """In the error that a second kernel gets."""
    assert expected == str(one)


def test_this_process_is_named_in_full():
    """So that whoever it keeps waiting finds it."""
    here = Holder.here()

    assert (getpass.getuser(), socket.gethostname(), os.getpid()) == (here.user, here.host, here.pid)


def test_a_user_without_a_name_has_none(monkeypatch):
    """Containers run as numbers that no list of users has."""

    def fail():
        raise KeyError("getpwuid(): uid not found: 1001")

    monkeypatch.setattr(getpass, "getuser", fail)

    assert "" == Holder.here().user


@given(holders)
def test_what_is_written_is_what_is_read(one):
    """Through JSON, as it lies in S3."""
    assert one == Holder.from_json(json.loads(json.dumps(one.to_json())))


@given(anything | st.dictionaries(st.sampled_from(["user", "host", "machine", "pid", "started", "more"]), anything))
def test_what_another_version_wrote_can_be_read(told):
    """Unknown and missing keys, and values of other kinds, are somebody of whom less is known."""
    one = Holder.from_json(told)

    assert {str} == {type(one.user), type(one.host), type(one.machine)}
    assert int is type(one.pid)
    assert one.started is None or type(one.started) is int


def test_what_is_missing_is_not_known():
    """Each key by itself."""
    told = {"host": "laptop", "pid": True, "started": "yesterday", "colour": "red"}

    assert Holder(host="laptop") == Holder.from_json(told)
