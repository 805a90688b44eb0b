"""Facts on their way to the journal."""

from __future__ import annotations

from sm_async_nb.core.ledger import Fact
from sm_async_nb.job.findings import Findings


def test_findings_are_taken_as_columns_in_the_order_in_which_facts_can_happen():
    """An acceptance that was noted before its upload is still learned after it."""
    findings = Findings()
    findings.add(Fact.ACCEPTED, 7, 2.0, output_location="s3://b/7", request_id="r")
    findings.add(Fact.INPUT_UPLOADED, 7, 1.0)
    findings.add(Fact.ACCEPTED, 3, 4.0, output_location="s3://b/3")
    uploaded, accepted = findings.take()

    assert (Fact.INPUT_UPLOADED, [7], [1.0], {}) == (
        uploaded.fact,
        uploaded.requests.tolist(),
        uploaded.at.tolist(),
        uploaded.details,
    )
    assert (Fact.ACCEPTED, [7, 3], [2.0, 4.0]) == (accepted.fact, accepted.requests.tolist(), accepted.at.tolist())
    assert accepted.details == {"output_location": ["s3://b/7", "s3://b/3"], "request_id": ["r", None]}


def test_what_was_taken_is_forgotten():
    """Every finding is written once."""
    findings = Findings()
    findings.add(Fact.REFUSED, 0, 1.0, message="no")
    before = len(findings)
    findings.take()

    assert (1, 0, []) == (before, len(findings), findings.take())
