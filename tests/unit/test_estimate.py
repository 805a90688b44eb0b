"""What a plan tells before anything is sent."""

import dataclasses

import pandas as pd
import pytest

from sm_async_nb.core.build import RequestArguments, build_batch
from sm_async_nb.core.estimate import estimate
from sm_async_nb.core.request import Field

FIELDS = {
    name: Field(name=name, member=name, type="string", location="header", maximum=1_024)
    for name in ("endpoint_name", "content_type", "accept", "custom_attributes", "inference_id", "input_location")
}
FIELDS["custom_attributes"] = dataclasses.replace(FIELDS["custom_attributes"], sensitive=True)
FIELDS["body"] = Field(name="body", member="Body", type="blob", location="body", maximum=128_000)


def plan_of(frame, *, options=None, **arguments):
    batch = build_batch(frame, RequestArguments(endpoint_name="churn", **arguments), FIELDS)
    return estimate(batch, **(options or {}))


def test_a_plan_counts_requests_and_shows_the_first_payloads():
    """As they would be sent."""
    plan = plan_of(pd.DataFrame({"x": range(10)}))

    assert (10, 10, 0) == (plan.rows, plan.requests, plan.inline_requests)
    assert ('{"x":0}', '{"x":1}', '{"x":2}') == plan.samples
    assert 70 == plan.payload_bytes
    assert plan.is_good


def test_a_plan_counts_calls_by_operation():
    """One upload, one invocation and one download a request; the journal and the LISTs besides."""
    plan = plan_of(pd.DataFrame({"x": range(1_000)}))

    assert 1_000 == plan.calls["sagemaker-runtime InvokeEndpointAsync"] == plan.calls["s3 GetObject"]
    assert 1_000 < plan.calls["s3 PutObject"] < 1_050
    assert plan.calls["s3 ListObjectsV2"] <= 0.03 * 1_000


def test_the_fee_is_that_of_the_calls():
    """At the prices of S3 Standard in us-east-1."""
    plan = plan_of(pd.DataFrame({"x": range(1_000)}))
    calls = plan.calls

    dear = calls["s3 PutObject"] + calls["s3 ListObjectsV2"]
    assert plan.s3_fee == pytest.approx(dear * 0.005 / 1_000 + 1_000 * 0.0004 / 1_000)


@pytest.mark.parametrize(
    ("arguments", "requests", "inline"),
    [
        ({"rows_per_request": 3}, 4, 0),
        ({"inline": "auto"}, 10, 10),
        ({"deduplicate": True, "columns": ["same"]}, 1, 0),
    ],
)
def test_packing_transport_and_deduplication_show_in_the_plan(arguments, requests, inline):
    """They are decided by the same code that sends."""
    frame = pd.DataFrame({"x": range(10), "same": [1] * 10})
    plan = plan_of(frame, **arguments)

    assert (requests, inline) == (plan.requests, plan.inline_requests)
    assert requests == plan.calls["sagemaker-runtime InvokeEndpointAsync"]


def test_instance_hours_come_from_what_is_known_of_the_model():
    """Ten requests of 36 seconds, two at a time, are a twentieth of an hour."""
    frame = pd.DataFrame({"x": range(10)})
    options = {"seconds_per_request": 36, "price_per_hour": 4.0, "slots": 2}
    plan = plan_of(frame, options=options)

    assert (0.05, 0.2) == (plan.instance_hours, plan.instance_fee)
    assert (None, None) == (plan_of(frame).instance_hours, plan_of(frame).instance_fee)


def test_problems_are_told_and_not_raised():
    """The plan is where somebody looks for them."""
    plan = plan_of(pd.DataFrame({"x": [1, {2}]}, index=["a", "b"]))

    assert not plan.is_good
    assert 1 == plan.rows_with_problems
    assert ("row 'b': column 'x': a value of type set cannot be written as JSON.",) == plan.problems
    assert () == plan.samples


def test_the_histogram_holds_every_payload():
    """From the smallest to the largest."""
    plan = plan_of(pd.DataFrame({"t": ["x" * n for n in range(100)]}))

    assert 100 == sum(count for *_, count in plan.histogram)
    assert (8, 107) == (plan.histogram[0][0], plan.histogram[-1][1])


def test_the_text_form_says_all_of_it():
    """Word for word."""
    plan = plan_of(pd.DataFrame({"x": [1, 22]}), inline="auto", custom_attributes="secret")

    assert str(plan) == (
        "2 rows to churn in 2 requests, 2 of them inline\n"
        "  custom_attributes: <6 characters, not shown>\n"
        "  content_type: application/json\n"
        "the first payloads:\n"
        '  {"x":1}\n'
        '  {"x":22}\n'
        "payloads, 15 bytes in all:\n"
        "            7 to           7  ████████████████████████ 1\n"
        "            8 to           8  ████████████████████████ 1\n"
        "calls:\n"
        "          4  s3 PutObject\n"
        "          2  sagemaker-runtime InvokeEndpointAsync\n"
        "          5  s3 ListObjectsV2\n"
        "          2  s3 GetObject\n"
        "S3 requests: about $0.000046\n"
        "nothing was asked of AWS: neither the endpoint nor its buckets were looked at"
    )


def test_the_html_form_escapes_what_the_frame_holds():
    """A payload is anybody's text."""
    html = plan_of(pd.DataFrame({"t": ["<img src=x onerror=alert(1)>"]}))._repr_html_()

    assert "<img" not in html
    assert "&lt;img" in html


def test_inputs_that_lie_in_s3_are_shown_by_their_place():
    """There is no payload to show."""
    plan = plan_of(pd.DataFrame({"uri": ["s3://b/k"]}), input_location="uri")

    assert ("s3://b/k",) == plan.samples
    assert plan.calls["s3 PutObject"] == 4
