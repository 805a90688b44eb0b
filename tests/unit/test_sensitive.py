"""Payloads and custom attributes are marked sensitive by the service: no repr tells them."""

import pandas as pd

from sm_async_nb.core.build import RequestArguments, build_batch
from sm_async_nb.core.locations import JobLayout, S3Location
from sm_async_nb.core.request import Field

FIELDS = {
    name: Field(name=name, member=name, type="string", location="header", sensitive=name == "custom_attributes")
    for name in ("endpoint_name", "content_type", "custom_attributes", "inference_id", "input_location")
}


def test_no_repr_tells_a_payload_or_custom_attributes():
    """Reprs end up in logs and tracebacks."""
    frame = pd.DataFrame({"x": ["hidden payload"]})
    arguments = RequestArguments(endpoint_name="churn", custom_attributes="hidden attributes")
    batch = build_batch(frame, arguments, FIELDS)
    prepared = batch.prepare(0, 0, JobLayout(S3Location("bkt", "in"), "job"))
    shown = [repr(thing) for thing in (arguments, batch, prepared, *batch.sources.values())]

    assert [] == [text for text in shown if "hidden" in text]
    assert "hidden attributes" == prepared.fields["custom_attributes"]
    assert b"hidden payload" in prepared.payload
    assert "<17 characters, not shown>" == batch.described_sources()["custom_attributes"]
