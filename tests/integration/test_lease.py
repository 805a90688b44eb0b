"""One writer at a time: whatever clocks, networks and laptops do, and somebody in the end."""

from __future__ import annotations

import asyncio
import json
import math
import os
import random
import re
import subprocess
import sys
from dataclasses import dataclass, replace
from itertools import cycle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sm_async_nb.core.locations import JobLayout, S3Location
from sm_async_nb.errors import JobInUseError, ServiceTroubleError
from sm_async_nb.job.holder import Holder
from sm_async_nb.job.lease import DURATION, GUARD, HEARTBEAT, Lease, LeaseState, read_lease
from sm_async_nb.testing import ManualClock, MemoryStorage

NOON = 1_767_268_800.0
LAYOUT = JobLayout(S3Location("bucket", "in"), "job-1")
ALICE = Holder(user="alice", host="laptop", machine="boot-1 pid:[1]", pid=4711, started=1)
BOB = Holder(user="bob", host="desk", machine="boot-2 pid:[2]", pid=12, started=2)


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def storage(clock):
    """S3, which tells whole seconds."""
    return MemoryStorage(lambda: math.floor(clock.now()))


def lease_of(holder, storage, clock, *, ahead=0.0):
    return Lease(storage, LAYOUT, now=lambda: clock.now() + ahead, holder=holder)


@pytest.fixture
def alice(storage, clock):
    return lease_of(ALICE, storage, clock)


@pytest.fixture
def bob(storage, clock):
    """His clock is three hours ahead of hers."""
    return lease_of(BOB, storage, clock, ahead=10_800.0)


def record(storage, epoch):
    return json.loads(storage.objects[LAYOUT.lease(epoch)][0])


def names(storage):
    return [location.key.rpartition("/")[2] for location in sorted(storage.objects)]


def calls_of(storage, clock, work):
    storage.calls.clear()
    clock.run(work)
    return dict(storage.calls)


class Trouble:
    """An S3 that does not answer, from the call that is named on, or loses the answer to a write."""

    def __init__(self, storage, verb, *, times=1, arrives=False):
        self.storage, self.verb, self.left, self.arrives = storage, verb, times, arrives
        self.real = storage.put
        storage.intercept = self.refuse
        if arrives:
            storage.put, storage.intercept = self.lose, lambda verb, location: None

    def refuse(self, verb, location):
        if verb == self.verb and self.left:
            self.left -= 1
            raise ServiceTroubleError("S3 did not answer")

    async def lose(self, *arguments, **options):
        await self.real(*arguments, **options)
        self.refuse("put", None)


# The owner


def test_nobody_may_send_before_the_lease_is_acquired(alice):
    """An engine that is started too early does nothing."""
    assert (0, -math.inf, -math.inf, False) == (alice.epoch, alice.valid_until, alice.send_until, alice.may_send())


def test_the_first_epoch_of_a_job_is_created(storage, clock, alice):
    """One object, which says who and since when."""
    clock.run(alice.acquire({"state": "running"}))
    token = record(storage, 1).pop("token")

    assert (1, NOON + 60, NOON + 50, True) == (alice.epoch, alice.valid_until, alice.send_until, alice.may_send())
    assert {
        "format": 1,
        "epoch": 1,
        "token": token,
        "holder": ALICE.to_json(),
        "acquired_at": "2026-01-01T12:00:00+00:00",
        "renewed_at": "2026-01-01T12:00:00+00:00",
        "released": False,
        "told": {"state": "running"},
    } == record(storage, 1)


def test_a_new_job_costs_one_list_and_one_put(storage, clock, alice):
    """The clock of S3 is only asked where there is somebody to outlive."""
    assert {"list": 1, "put": 1} == calls_of(storage, clock, alice.acquire())


def test_a_heartbeat_is_one_put_on_the_same_object(storage, clock, alice):
    """Four a minute, whatever the job is."""
    clock.run(alice.acquire({"state": "running"}))
    clock.advance(15)

    assert {"put": 1} == calls_of(storage, clock, alice.renew({"state": "running", "completed": np.int64(7)}))
    assert ["00000001.json"] == names(storage)
    assert (1, NOON + 75) == (alice.epoch, alice.valid_until)
    told = record(storage, 1)
    assert ("2026-01-01T12:00:00+00:00", "2026-01-01T12:00:15+00:00") == (told["acquired_at"], told["renewed_at"])
    assert {"state": "running", "completed": 7} == told["told"]


def test_what_was_told_stays_until_something_else_is_told(storage, clock, alice):
    """A heartbeat in passing does not empty a list of jobs."""
    clock.run(alice.acquire({"state": "running"}))
    clock.run(alice.renew())

    assert {"state": "running"} == record(storage, 1)["told"]


def test_an_owner_stops_sending_some_time_before_its_epoch_is_over(clock, alice):
    """What it sent last has to arrive while it is still the owner."""
    clock.run(alice.acquire())
    clock.advance(DURATION - GUARD - 0.001)
    before = alice.may_send()
    clock.advance(0.001)

    assert (True, False) == (before, alice.may_send())


def test_three_heartbeats_may_fail():
    """Before the job stops sending."""
    assert 3 * HEARTBEAT < DURATION - GUARD


def test_an_epoch_is_counted_from_the_start_of_the_write(storage, clock, alice):
    """S3 may have written it at any time since."""

    async def slow(*arguments, **options):
        await asyncio.sleep(5)
        await real(*arguments, **options)
        await asyncio.sleep(7)

    real, storage.put = storage.put, slow
    clock.run(alice.acquire())
    acquired = alice.valid_until
    clock.run(alice.renew())

    assert (NOON + 60, NOON + 12 + 60) == (acquired, alice.valid_until)


def test_a_heartbeat_that_fails_leaves_what_there_is(storage, clock, alice):
    """The engine tries again; it is S3's trouble, not the lease's."""
    clock.run(alice.acquire())
    clock.advance(15)
    Trouble(storage, "put")

    with pytest.raises(ServiceTroubleError, match="S3 did not answer"):
        clock.run(alice.renew())

    assert (1, NOON + 60) == (alice.epoch, alice.valid_until)
    clock.run(alice.renew())
    assert (1, NOON + 75) == (alice.epoch, alice.valid_until)


def test_acquiring_what_one_has_is_nothing(storage, clock, alice):
    """A job that goes on after a short pause."""
    clock.run(alice.acquire())

    assert {} == calls_of(storage, clock, alice.acquire())


def test_a_lease_that_is_not_held_is_not_renewed(storage, clock, alice):
    """A heartbeat that comes after the end does not begin it again."""
    clock.run(alice.renew())
    before = names(storage)
    clock.run(alice.acquire())
    clock.run(alice.release())
    clock.run(alice.renew())

    assert [] == before
    assert ["00000001.json"] == names(storage)
    assert record(storage, 1)["released"]
    assert not alice.may_send()


# The owner's epoch is over


def test_an_owner_that_slept_does_not_make_its_epoch_longer(storage, clock, alice):
    """Somebody may have looked already; the next epoch tells whether anybody was quicker."""
    clock.run(alice.acquire())
    clock.advance(3_600)
    overslept = alice.may_send()
    clock.run(alice.renew())

    assert ["00000001.json", "00000002.json"] == names(storage)
    assert "2026-01-01T12:00:00+00:00" == record(storage, 1)["renewed_at"]
    assert (False, True) == (overslept, alice.may_send())
    assert (2, NOON + 3_660) == (alice.epoch, alice.valid_until)


def test_a_heartbeat_that_comes_through_too_late_does_not_count(storage, clock, alice):
    """It was on its way when the epoch ended, and somebody may have looked before it arrived."""

    async def late(location, *arguments, **options):
        if location == LAYOUT.lease(1):
            await asyncio.sleep(50)
        await real(location, *arguments, **options)

    clock.run(alice.acquire())
    clock.advance(30)
    real, storage.put = storage.put, late
    clock.run(alice.renew())

    assert ["00000001.json", "00000002.json"] == names(storage)
    assert (2, NOON + 80 + 60) == (alice.epoch, alice.valid_until)


def test_an_epoch_that_is_over_before_its_owner_hears_of_it_is_passed_over(storage, clock, alice):
    """A laptop that was shut while it acquired: the next epoch is created at once, since this one is its own."""
    delays = iter([61, 0])

    async def late(*arguments, **options):
        await real(*arguments, **options)
        await asyncio.sleep(next(delays))

    real, storage.put = storage.put, late
    clock.run(alice.acquire())

    assert (2, NOON + 61 + 60) == (alice.epoch, alice.valid_until)


def test_an_owner_that_slept_while_another_took_over_has_lost_for_good(storage, clock, alice, bob):
    """What it knows of the job is out of date."""
    clock.run(alice.acquire())
    clock.advance(64)
    clock.run(bob.acquire())
    clock.advance(1)

    with pytest.raises(JobInUseError) as caught:
        clock.run(alice.renew())

    assert (
        "Job 'job-1' was taken over by bob@desk (process 12) at 2026-01-01 15:01:04 UTC; this kernel's lease had ended"
        " at 2026-01-01 12:01:00 UTC. This kernel stops following the job; nothing that was recorded is lost. To watch"
        " it, use attach(..., read_only=True); to go on with it here, attach again when the other kernel is done."
    ) == str(caught.value)
    clock.run(bob.release())
    for again in (alice.renew, alice.acquire):
        with pytest.raises(JobInUseError, match=re.escape(str(caught.value))):
            clock.run(again())
    assert not alice.may_send()
    assert ["00000001.json", "00000002.json", "clock"] == names(storage)


def test_a_lease_that_is_gone_is_not_made_again(storage, clock, alice):
    """Another kernel may have begun with the first epoch, and nothing would keep the two apart."""
    clock.run(alice.acquire())
    clock.advance(60)
    storage.objects.clear()

    with pytest.raises(JobInUseError) as caught:
        clock.run(alice.renew())

    assert (
        "The lease of job 'job-1' is gone from s3://bucket/in/job-1/shards/00000/lease/, so somebody has deleted the"
        " job. This kernel stops following it."
    ) == str(caught.value)
    assert [] == names(storage)


# A second kernel


def test_a_second_kernel_is_told_who_writes_and_what_to_do(storage, clock, alice, bob):
    """Word for word, by the clock of S3."""
    clock.run(alice.acquire())
    clock.advance(30)
    clock.run(alice.renew())
    clock.advance(12.7)

    with pytest.raises(JobInUseError) as caught:
        clock.run(bob.acquire())

    assert (
        "Job 'job-1' is in use: alice@laptop (process 4711) has written to it since 2026-01-01 12:00:00 UTC; its last"
        " heartbeat was 12 seconds ago. If that kernel has ended, its lease lapses at 2026-01-01 12:01:33 UTC, in 51"
        " seconds: wait until then and attach again. To watch the job meanwhile, use attach(..., read_only=True)."
    ) == str(caught.value)
    assert (0, -math.inf) == (bob.epoch, bob.valid_until)


def test_a_second_job_object_of_one_kernel_is_told_so(storage, clock, alice):
    """Waiting would not help: it is the reader's own."""
    clock.run(alice.acquire())
    clock.advance(1)

    with pytest.raises(JobInUseError) as caught:
        clock.run(lease_of(ALICE, storage, clock).acquire())

    assert (
        "Job 'job-1' is in use: alice@laptop (process 4711), which is this very kernel, has written to it since"
        " 2026-01-01 12:00:00 UTC; its last heartbeat was 1 second ago. If that kernel has ended, its lease lapses at"
        " 2026-01-01 12:01:03 UTC, in 62 seconds: wait until then and attach again. To watch the job meanwhile, use"
        " attach(..., read_only=True)."
    ) == str(caught.value)


@given(before=st.floats(0, 62), fraction=st.floats(0, 1))
def test_who_waits_as_long_as_the_message_says_gets_the_job(before, fraction):
    """And is not told to come back in a second."""
    clock = ManualClock()
    clock.advance(fraction)
    storage = MemoryStorage(lambda: math.floor(clock.now()))
    bob = lease_of(BOB, storage, clock, ahead=-86_400.0)
    clock.run(lease_of(ALICE, storage, clock).acquire())
    clock.advance(before)
    with pytest.raises(JobInUseError) as caught:
        clock.run(bob.acquire())
    clock.advance(int(re.search(r"in (\d+) second", str(caught.value))[1]))

    clock.run(bob.acquire())

    assert bob.may_send()


@pytest.mark.parametrize("ahead", [-7_200.0, 0.0, 7_200.0])
def test_a_lapsed_epoch_is_judged_by_the_clock_of_s3_alone(storage, clock, alice, ahead):
    """The taker's own may be hours wrong."""
    bob = lease_of(BOB, storage, clock, ahead=ahead)
    clock.run(alice.acquire())
    clock.advance(62)
    with pytest.raises(JobInUseError):
        clock.run(bob.acquire())
    clock.advance(1)
    clock.run(bob.acquire())

    assert (2, NOON + 63 + ahead + 60) == (bob.epoch, bob.valid_until)
    assert ["00000001.json", "00000002.json", "clock"] == names(storage)


def test_taking_over_costs_five_calls(storage, clock, alice, bob):
    """Once in the life of a kernel."""
    clock.run(alice.acquire())
    clock.advance(63)

    assert {"list": 2, "get": 1, "put": 2} == calls_of(storage, clock, bob.acquire())


def test_a_released_job_is_free_at_once(storage, clock, alice, bob):
    """Whoever ends a kernel properly keeps nobody waiting."""
    clock.run(alice.acquire())
    clock.run(alice.release())

    assert {"list": 1, "get": 1, "put": 1} == calls_of(storage, clock, bob.acquire())
    assert (2, True, False) == (bob.epoch, bob.may_send(), alice.may_send())


def test_two_that_want_the_same_epoch_are_one_owner_and_one_error(storage, clock, alice, bob):
    """Both found the job free."""

    async def race():
        return await asyncio.gather(alice.acquire(), bob.acquire(), return_exceptions=True)

    told = clock.run(race())

    assert [True, False] == [alice.may_send(), bob.may_send()]
    assert [type(None), JobInUseError] == [type(one) for one in told]
    assert "is in use: alice@laptop (process 4711) has" in str(told[1])


def test_an_epoch_that_appears_while_another_is_judged_is_judged_too(storage, clock, alice, bob):
    """The error names who writes now, not who did."""
    carol = lease_of(Holder(user="carol", host="lab"), storage, clock)
    clock.run(alice.acquire())

    async def quicker(location, *arguments, **options):
        await real(location, *arguments, **options)
        if location == LAYOUT.lease_clock and not carol.epoch:
            await alice.release()
            await carol.acquire()

    real, storage.put = storage.put, quicker

    with pytest.raises(JobInUseError, match="is in use: carol@lab has written"):
        clock.run(bob.acquire())


@pytest.mark.skipif(not Holder.here().machine, reason="nothing is known of processes here")
def test_a_restarted_kernel_need_not_wait_for_the_one_that_died(storage, clock):
    """It can see that the process is gone."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    dead = lease_of(replace(Holder.here(), pid=process.pid), storage, clock)
    clock.run(dead.acquire())
    after = Lease(storage, LAYOUT, now=clock.now)
    clock.run(after.acquire())

    assert (2, True) == (after.epoch, after.may_send())
    assert os.getpid() == record(storage, 2)["holder"]["pid"]
    assert "clock" not in names(storage)


@pytest.mark.skipif(not Holder.here().machine, reason="nothing is known of processes here")
def test_a_kernel_that_lives_is_not_replaced_however_near_it_is(storage, clock):
    """Two notebooks of one user."""
    clock.run(Lease(storage, LAYOUT, now=clock.now).acquire())

    with pytest.raises(JobInUseError, match="which is this very kernel"):
        clock.run(Lease(storage, LAYOUT, now=clock.now).acquire())


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"told": 1, "holder": [], "acquired_at": 5, "token": null}'])
def test_an_epoch_that_cannot_be_read_is_somebodys_all_the_same(storage, clock, bob, body):
    """It lapses as any other."""
    storage.objects[LAYOUT.lease(7)] = (body, None, NOON)
    with pytest.raises(JobInUseError, match="is in use: somebody has written to it since an unknown time"):
        clock.run(bob.acquire())
    clock.advance(63)
    clock.run(bob.acquire())

    assert 8 == bob.epoch


def test_a_lease_of_thousands_of_epochs_is_judged_from_one_page(storage, clock, bob):
    """The clock comes a page later than the first epochs, and a heartbeat may come between two pages."""
    for epoch in range(1, 2_001):
        storage.objects[LAYOUT.lease(epoch)] = (b"{}", None, NOON)
    storage.objects[LAYOUT.lease_clock] = (b"", None, NOON)
    clock.advance(63)

    # Three pages to find the newest, one to judge it.
    assert {"list": 4, "get": 1, "put": 2} == calls_of(storage, clock, bob.acquire())
    assert 2_001 == bob.epoch


# Answers that are lost


def test_a_lost_answer_to_our_own_create_is_recognised(storage, clock, alice):
    """S3's client tried again and was told that there is an epoch: its own."""

    async def twice(*arguments, **options):
        await real(*arguments, **options)
        await real(*arguments, **options)

    real, storage.put = storage.put, twice
    clock.run(alice.acquire())

    assert (1, NOON + 60, True) == (alice.epoch, alice.valid_until, alice.may_send())


def test_an_epoch_that_arrived_without_our_knowing_is_passed_over(storage, clock, alice):
    """Nobody else can have used it, but nobody knows since when it counts."""
    trouble = Trouble(storage, "put", arrives=True)
    with pytest.raises(ServiceTroubleError):
        clock.run(alice.acquire())
    before = alice.may_send()
    trouble.left = 0
    clock.advance(30)
    clock.run(alice.acquire())

    assert (False, True) == (before, alice.may_send())
    assert (2, NOON + 30 + 60) == (alice.epoch, alice.valid_until)


def test_an_owner_that_slept_may_lose_the_answer_too(storage, clock, alice):
    """The newest epoch is its own, although it never heard of it."""
    clock.run(alice.acquire())
    clock.advance(100)
    trouble = Trouble(storage, "put", arrives=True)
    with pytest.raises(ServiceTroubleError):
        clock.run(alice.renew())
    trouble.left = 0
    clock.run(alice.renew())

    assert (3, True) == (alice.epoch, alice.may_send())


# Letting go


def test_what_was_told_last_stays_with_a_released_lease(storage, clock, alice):
    """For lists of jobs, long after."""
    clock.run(alice.acquire({"state": "running"}))
    clock.run(alice.release({"state": "done", "completed": 7}))

    assert (True, {"state": "done", "completed": 7}) == (record(storage, 1)["released"], record(storage, 1)["told"])


def test_releasing_twice_is_one_write(storage, clock, alice):
    """A job's end and the interpreter's may both do it."""
    clock.run(alice.acquire())

    assert [{"put": 1}, {}] == [calls_of(storage, clock, alice.release()) for _ in range(2)]


def test_what_was_never_held_is_released_without_a_word(storage, clock, alice):
    """A submit that failed before it began."""
    assert {} == calls_of(storage, clock, alice.release())


def test_an_epoch_that_is_over_is_not_released(storage, clock, alice, bob):
    """It may be somebody else's turn, who would not be disturbed, but it is no longer ours to speak of."""
    clock.run(alice.acquire())
    clock.advance(64)
    clock.run(bob.acquire())
    clock.run(alice.release())

    assert (False, True) == (record(storage, 1)["released"], bob.may_send())


def test_a_release_that_did_not_get_through_can_be_repeated(storage, clock, alice):
    """Nothing is sent in the meantime."""
    clock.run(alice.acquire())
    Trouble(storage, "put")
    with pytest.raises(ServiceTroubleError):
        clock.run(alice.release())
    between = (record(storage, 1)["released"], alice.may_send())
    clock.run(alice.release())

    assert ((False, False), True) == (between, record(storage, 1)["released"])


def test_a_heartbeat_under_way_is_waited_for_before_the_lease_is_released(storage, clock, alice):
    """Or it would arrive last, and the next kernel would have to wait for nobody."""

    async def story():
        await alice.acquire()
        storage.put = slow
        await asyncio.gather(alice.renew(), alice.release())

    async def slow(*arguments, **options):
        await asyncio.sleep(next(delays))
        await real(*arguments, **options)

    real, delays = storage.put, iter([5, 0])
    clock.run(story())

    assert record(storage, 1)["released"]


# A job that paused


@pytest.mark.parametrize("seconds", [1, 1_000])
def test_a_lease_goes_on_with_another_connection(clock, storage, alice, seconds):
    """Credentials expired, the user brought new ones, and nobody was there in between."""

    async def contended():
        await asyncio.gather(alice.acquire(), alice.renew(), alice.renew())

    clock.run(contended())
    later = MemoryStorage(lambda: math.floor(clock.now()))
    later.objects = storage.objects
    storage.intercept = lambda verb, location: pytest.fail("the old connection is closed")
    clock.advance(seconds)
    alice.connect(later)
    clock.run(contended())

    assert alice.may_send()


@pytest.mark.parametrize("told", [True, False])
def test_a_job_that_paused_goes_on_if_nobody_was_there_in_between(storage, clock, alice, told):
    """Whether or not S3 was told that it let go."""
    clock.run(alice.acquire())
    if not told:
        Trouble(storage, "put")
        with pytest.raises(ServiceTroubleError):
            clock.run(alice.release())
    else:
        clock.run(alice.release())
    clock.advance(5)
    clock.run(alice.acquire())

    assert (2, NOON + 65) == (alice.epoch, alice.valid_until)


def test_a_job_that_paused_has_lost_if_somebody_was_there_in_between(storage, clock, alice, bob):
    """Even one who is gone again: what this kernel knows is out of date."""
    clock.run(alice.acquire())
    clock.advance(5)
    clock.run(alice.release())
    clock.run(bob.acquire())
    clock.run(bob.release())

    with pytest.raises(JobInUseError, match=r"taken over by bob@desk .* had ended at 2026-01-01 12:00:05 UTC"):
        clock.run(alice.acquire())


# Reading


def test_a_job_without_a_lease_has_none(storage, clock):
    """A job whose kernel died between the manifest and the lease."""
    assert clock.run(read_lease(storage, LAYOUT)) is None


def test_reading_shows_the_newest_epoch_and_writes_nothing(storage, clock, alice, bob):
    """For lists of jobs, and for those who only watch."""
    clock.run(alice.acquire())
    clock.run(alice.release())
    clock.run(bob.acquire({"state": "running"}))
    clock.advance(20)
    clock.run(bob.renew({"state": "running", "completed": 3}))
    clock.advance(5)
    storage.calls.clear()
    seen = clock.run(read_lease(storage, LAYOUT))

    assert {"list": 1, "get": 1} == dict(storage.calls)
    assert (
        LeaseState(
            epoch=2,
            modified_at=NOON + 20,
            holder=BOB,
            acquired_at=NOON + 10_800,
            renewed_at=NOON + 10_820,
            released=False,
            told={"state": "running", "completed": 3},
            token=record(storage, 2)["token"],
        )
        == seen
    )
    assert seen.token not in repr(seen)
    assert [False, True] == [seen.is_lapsed_at(NOON + 20 + seconds) for seconds in (62, 63)]


def test_epochs_sort_by_number(storage, clock):
    """Also past what eight digits hold, and beside what does not belong there."""
    for name in ("00000009.json", "00000010.json", "100000000.json", "clock", "note.txt"):
        storage.objects[LAYOUT.leases.child(name)] = (b"{}", None, NOON)

    assert 100_000_000 == clock.run(read_lease(storage, LAYOUT)).epoch


def test_a_lease_that_is_deleted_while_it_is_read_is_none(storage, clock, alice):
    """A job is cleaned up elsewhere."""
    clock.run(alice.acquire())

    def delete(verb, location):
        if verb == "get":
            storage.objects.clear()

    storage.intercept = delete

    assert clock.run(read_lease(storage, LAYOUT)) is None


def test_a_lease_shows_where_it_stands(clock, alice):
    """In a debugger."""
    before = repr(alice)
    clock.run(alice.acquire())

    assert "<Lease job-1 epoch 0, ends at an unknown time>" == before
    assert "<Lease job-1 epoch 1, ends at 2026-01-01 12:01:00 UTC>" == repr(alice)


# Whatever happens


@dataclass(frozen=True, kw_only=True)
class Life:
    """What becomes of one kernel: it is quick or slow, sleeps, fails, and ends with a word, without one, or killed."""

    begins: float
    ahead: float
    delays: list[float]
    mishaps: list[str]
    asks_again_after: float
    pauses: list[float]
    heartbeats: int
    ends: str
    killed_after: float


def some_life(chance):
    """Slow ones beside quick ones that ask often: who is late has to meet somebody who is not."""
    is_slow, has_mishaps = chance.random() < 0.6, chance.random() < 0.3
    return Life(
        begins=chance.uniform(0, 60),
        ahead=chance.uniform(-100_000, 100_000),
        delays=[chance.uniform(0, 90) if is_slow and chance.random() < 0.3 else 0.0 for _ in range(13)],
        mishaps=chance.choices(["", "not sent", "given up", "sent twice"], [6, 1, 1, 1], k=11) if has_mishaps else [""],
        asks_again_after=chance.uniform(0.2, 2),
        pauses=[chance.uniform(0, 75) for _ in range(7)],
        heartbeats=chance.randint(0, 8),
        ends=chance.choice(["released", "forgotten"]),
        killed_after=chance.uniform(0, 400) if chance.random() < 0.3 else 5_000.0,
    )


class FarStorage(MemoryStorage):
    """S3 from where one kernel is: calls take their time, both ways, and some get lost.

    What is on its way arrives, whether or not anybody still waits for the answer.
    """

    def __init__(self, world, life):
        super().__init__(world.s3_now)
        self.objects = world.objects
        self.delays, self.mishaps = cycle(life.delays), cycle(life.mishaps)
        self.under_way = world.under_way

    async def put(self, location, body, content_type=None, *, create_only=False):
        mishap = next(self.mishaps)
        if mishap == "not sent":
            await self._travel()
            raise ServiceTroubleError("S3 was not reached")
        arriving = asyncio.create_task(self._arrive(location, body, create_only))
        self.under_way.append(arriving)
        if mishap == "given up":
            await self._travel()
            raise ServiceTroubleError("S3 did not answer in time")
        if mishap == "sent twice":
            await self._travel()
            arriving = asyncio.create_task(self._arrive(location, body, create_only))
            self.under_way.append(arriving)
        is_there = await asyncio.shield(arriving)
        await self._travel()
        if is_there:
            raise FileExistsError

    async def _arrive(self, location, body, create_only):
        await self._travel()
        try:
            await super().put(location, body, create_only=create_only)
        except FileExistsError:
            return True
        return False

    async def get(self, location):
        await self._travel()
        found = await super().get(location)
        await self._travel()
        return found

    async def list(self, prefix, *, start_after=""):
        await self._travel()
        async for page in super().list(prefix, start_after=start_after):
            await self._travel()
            yield page

    async def _travel(self):
        await asyncio.sleep(next(self.delays))


class World(ManualClock):
    """Kernels and S3, watched at every step of time."""

    def __init__(self, s3_ahead):
        super().__init__()
        self.s3_ahead = s3_ahead
        self.objects, self.under_way = {}, []
        self.leases, self.killed, self.clashes = {}, set(), []

    def s3_now(self):
        return math.floor(self.now() + self.s3_ahead)

    def advance(self, seconds):
        # Between two steps nobody becomes an owner, so it is enough to look before and after.
        self.look()
        super().advance(seconds)
        self.look()

    def look(self):
        owners = [pid for pid, lease in self.leases.items() if lease._now() < lease.valid_until]
        senders = [pid for pid, lease in self.leases.items() if lease.may_send()]
        if len(owners) > 1 or not set(senders) <= set(owners):
            self.clashes.append((self.elapsed, owners, senders))

    async def live(self, pid, life, *, is_seen):
        """A kernel's life; where it ``is_seen`` others see that it was killed, else they have to outlive its epoch."""
        await asyncio.sleep(life.begins)
        holder = Holder(host="host", machine="machine", pid=pid)
        lease = Lease(FarStorage(self, life), LAYOUT, now=lambda: self.now() + life.ahead, holder=holder)
        self.leases[pid] = lease
        try:
            async with asyncio.timeout(life.killed_after):
                await self._work(lease, life)
        except TimeoutError:
            if is_seen:
                del self.leases[pid]
                self.killed.add(pid)

    async def _work(self, lease, life):
        pauses = cycle(life.pauses)
        for _ in range(200):
            try:
                await lease.acquire()
                break
            except (JobInUseError, ServiceTroubleError):
                await asyncio.sleep(life.asks_again_after)
        try:
            for _ in range(life.heartbeats):
                await asyncio.sleep(next(pauses))
                try:
                    await lease.renew()
                except ServiceTroubleError:
                    continue
            if life.ends == "released":
                await lease.release()
        except (JobInUseError, ServiceTroubleError):
            pass

    async def outlive(self):
        """How long somebody whose S3 is near has to try until the job is theirs."""
        after = Lease(MemoryStorage(self.s3_now), LAYOUT, now=self.now, holder=Holder(pid=1))
        after._storage.objects = self.objects
        self.leases[1] = after
        began = self.elapsed
        while not after.may_send():
            try:
                await after.acquire()
            except JobInUseError:
                await asyncio.sleep(1)
        return self.elapsed - began


def story(world, lives, *, is_seen):
    async def told():
        await asyncio.gather(*(world.live(pid, life, is_seen=is_seen) for pid, life in enumerate(lives, 2)))
        await asyncio.gather(*world.under_way)
        return await world.outlive()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Holder, "is_known_dead", lambda holder: holder.pid in world.killed)
        return world.run(told())


@pytest.mark.parametrize("is_seen", [False, True], ids=["far apart", "on one machine"])
@settings(max_examples=150)
@given(seed=st.integers(0, 2**32))
def test_never_two_writers_and_always_somebody_in_the_end(is_seen, seed):
    """Whatever clocks say, however long calls take, whoever sleeps, and whatever gets lost.

    Asked of more than sending: no two ever believe in their epochs at once.
    """
    chance = random.Random(seed)
    world = World(s3_ahead=chance.uniform(-100_000, 100_000))
    waited = story(world, [some_life(chance) for _ in range(chance.randint(2, 4))], is_seen=is_seen)

    assert [] == world.clashes
    assert waited <= 64
