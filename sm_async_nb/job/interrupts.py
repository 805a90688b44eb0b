"""An interrupt ends a wait and never a job, and says so instead of showing where the wait was."""

from __future__ import annotations

from sm_async_nb.core.ledger import Snapshot


def explain(interrupt: BaseException, seen: Snapshot, *, job_id: str, uri: str, called: str = "") -> None:
    """Put into an interrupt what runs on, and how to come back.

    IPython shows these words and no traceback; Python shows them behind its own.

    Parameters
    ----------
    interrupt
        A KeyboardInterrupt, or the CancelledError that it becomes where a cell awaits.
    called
        The user's variable that has the job, where it is known.
    """
    wait, cancel = (f"{called}.wait()", f"{called}.cancel()") if called else ("Its wait()", "its cancel()")
    told = (
        f"Interrupted: the waiting has ended, job {job_id} runs on ({seen.requests - seen.ended:,} of"
        f" {seen.requests:,} requests to go).\n"
        f"{wait} waits again, {cancel} stops sending; from another kernel: sm_async_nb.attach({uri!r})"
    )
    interrupt.args = (told,)
    interrupt._render_traceback_ = told.splitlines  # type: ignore[attr-defined]  # IPython's own protocol
