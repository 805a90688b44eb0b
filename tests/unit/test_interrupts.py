"""What an interrupt of a wait says: that the job runs on, and how to come back."""

import pytest

from sm_async_nb.core.ledger import Snapshot, Status
from sm_async_nb.job.interrupts import explain

COUNTS = {Status.COMPLETED: 3, Status.ACCEPTED: 9}
SEEN = Snapshot(revision=1, at=0.0, started_at=0.0, counts=tuple(COUNTS.get(status, 0) for status in Status))


@pytest.mark.parametrize(
    ("called", "how"),
    [
        ("", "Its wait() waits again, its cancel() stops sending"),
        ("big", "big.wait() waits again, big.cancel() stops sending"),
    ],
)
def test_a_variable_is_named_only_where_it_is_known(called, how):
    """``job`` may be another job of the user's."""
    interrupt = KeyboardInterrupt()

    explain(interrupt, SEEN, job_id="monday", uri="s3://b/monday/", called=called)

    assert str(interrupt) == (
        "Interrupted: the waiting has ended, job monday runs on (9 of 12 requests to go).\n"
        f"{how}; from another kernel: sm_async_nb.attach('s3://b/monday/')"
    )
    assert str(interrupt).splitlines() == interrupt._render_traceback_()
