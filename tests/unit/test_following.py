"""Following a job: the newest snapshot each time, and never without the last."""

import asyncio

from sm_async_nb.core.ledger import Snapshot
from sm_async_nb.job.following import Newest


def snapshot(revision):
    return Snapshot(revision=revision, at=0.0, started_at=0.0, counts=(0,) * 8)


def test_a_slow_follower_misses_some_and_never_the_last():
    """What was published meanwhile is one snapshot, the newest."""
    newest = Newest(snapshot(0))
    following = newest.follow()
    first = next(following)
    for revision in (1, 2, 3):
        newest.publish(snapshot(revision))
    newest.end()

    assert [0, 3] == [first.revision, *(seen.revision for seen in following)]
    assert newest.snapshot.is_over


def test_only_the_end_ends_it():
    """A snapshot that says it is over comes before the connections are closed."""
    newest = Newest(snapshot(0))
    newest.publish(Snapshot(revision=1, at=0.0, started_at=0.0, counts=(0,) * 8, is_over=True))

    assert not newest.snapshot.is_over


def test_following_gives_up_when_it_is_told_to():
    """The moment is past already: what is there is shown, and nothing is waited for."""
    newest = Newest(snapshot(0))

    assert [0] == [seen.revision for seen in newest.follow(give_up=0.0)]


def test_the_clock_goes_on_while_nothing_changes():
    """With every= the last snapshot comes again, at the present time."""
    following = Newest(snapshot(0)).follow(every=0.0)
    first, again = next(following), next(following)

    assert first.revision == again.revision
    assert again.at > first.at


def test_an_asynchronous_follower_sees_the_same():
    """On a loop that is not the job's."""
    newest = Newest(snapshot(0))
    newest.end()

    async def follow():
        return [seen.is_over async for seen in newest.follow_async()]

    assert [True] == asyncio.run(follow())
