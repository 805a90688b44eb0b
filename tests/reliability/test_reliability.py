"""The ring that takes minutes, reduced: ``make faults`` runs the same in full."""

from reliability.figures import Figures, as_table
from reliability.killing import kill_again_and_again
from reliability.network import endure
from reliability.racing import race

from sm_async_nb.core.plan import Limits


def test_a_job_outlives_any_number_of_kernels_that_are_killed():
    """``kill -9`` at moments that a seed decides: every row ends as it should, and only what was in flight comes twice.

    The journal alone tells the same of each row as the last client.
    """
    killed = kill_again_and_again(rows=400, kills=8)

    assert (0, 0) == (killed.figures.lost, killed.figures.wrong)
    assert 0 == killed.unlike_the_journal
    assert sum(killed.sent_twice_by_a_kill) == killed.figures.sent_twice
    assert max(killed.sent_twice_by_a_kill) <= Limits().max_unrecorded


def test_of_two_kernels_that_race_for_a_job_never_both_send():
    """A new one, one that somebody left, or one whose kernel was killed; the second is told, or finds nothing to do."""
    raced = race(rounds=5)

    assert [True] * 5 == [one.is_orderly for one in raced.rounds]
    assert [0] * 5 == [one.sent_by_both for one in raced.rounds]
    assert (0, 0) == (raced.figures.lost, raced.figures.wrong)


def test_a_faulty_network_loses_no_row_and_makes_none_wrong():
    """The model is asked twice only where the service delivered twice, or its acceptance did not get through."""
    endured = endure(rows=500)
    faults = endured.figures.faults

    assert (0, 0) == (endured.figures.lost, endured.figures.wrong)
    assert 500 + faults["duplicate"] + faults["reset_after_enqueue"] == endured.processed
    assert {"throttle", "unavailable", "slow", "reorder", "s3_slow_down", "s3_reset_after"} <= faults.keys()


def test_figures_are_written_as_a_table():
    """As they stand in docs/reliability.md."""
    figures = Figures(
        trial="a trial", faults={"b": 1_000, "a": 2, "c": 0}, rows=2_000, requests=2_003, sent_twice=3, lost=0, wrong=0,
        seconds=12.4,
    )  # fmt: skip

    assert as_table([figures]) == (
        "| trial | faults | rows | requests | sent twice | lost | wrong | seconds |\n"
        "| --- | --- | --: | --: | --: | --: | --: | --: |\n"
        "| a trial | 2 a, 1,000 b | 2,000 | 2,003 | 3 | 0 | 0 | 12 |"
    )
