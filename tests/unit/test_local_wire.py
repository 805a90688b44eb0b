"""The wire protocol of InvokeEndpointAsync: fields, constraints and the service's words."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from sm_async_nb.core.locations import S3Location
from sm_async_nb.local.invocation import Accepted
from sm_async_nb.local.wire import (
    Refusal,
    accepted_reply,
    body_too_large,
    endpoint_not_found,
    installed_fields,
    read_request,
    refusal_reply,
)

INPUT = {"X-Amzn-SageMaker-InputLocation": "s3://bkt/in/1.json"}
NEWER = {"body", "filename", "s3_output_path_extension"}


def old_fields():
    """The fields of an SDK from before February 2026."""
    fields = {name: field for name, field in installed_fields().items() if name not in NEWER}
    return fields | {"input_location": replace(fields["input_location"], required=True)}


def read(headers=INPUT, body=b"", endpoint_name="churn", known=None):
    return read_request(known or installed_fields(), endpoint_name=endpoint_name, headers=headers, body=body)


def refusal(*arguments, **keywords):
    with pytest.raises(Refusal) as refused:
        read(*arguments, **keywords)
    return str(refused.value)


def header(name, value):
    return INPUT | {f"X-Amzn-SageMaker-{name}": value}


def test_fields_have_the_names_and_types_of_the_model():
    """Only what was sent is there, numbers as numbers."""
    fields = read(header("RequestTTLSeconds", "60"))

    assert {"endpoint_name": "churn", "input_location": "s3://bkt/in/1.json", "request_ttl_seconds": 60} == fields


def test_header_names_know_no_case():
    """HTTP's rule."""
    assert "s3://b/k" == read({"x-amzn-sagemaker-inputlocation": "s3://b/k"})["input_location"]


def test_a_header_that_the_model_does_not_know_is_ignored():
    """An old service took no notice of Filename."""
    assert "filename" not in read(header("Filename", "42.json"), known=old_fields())


@pytest.mark.parametrize(
    ("name", "value", "at", "constraint"),
    [
        ("RequestTTLSeconds", "21601", "requestTTLSeconds", "Member must have value less than or equal to 21600"),
        ("RequestTTLSeconds", "59", "requestTTLSeconds", "Member must have value greater than or equal to 60"),
        ("RequestTTLSeconds", "1_000", "requestTTLSeconds", "Member must be an integer"),
        ("InvocationTimeoutSeconds", "soon", "invocationTimeoutSeconds", "Member must be an integer"),
        ("Inference-Id", "i" * 65, "inferenceId", "Member must have length less than or equal to 64"),
        (
            "Inference-Id",
            "né",
            "inferenceId",
            r"Member must satisfy regular expression pattern: \A\S[\p{Print}]*\z",
        ),
        (
            "InputLocation",
            "http://bkt/1",
            "inputLocation",
            "Member must satisfy regular expression pattern: ^(https|s3)://([^/]+)/?(.*)$",
        ),
    ],
)
def test_a_violated_constraint_is_told_in_the_services_words(name, value, at, constraint):
    """The value, the member as the service spells it, the constraint."""
    expected = f"1 validation error detected: Value '{value}' at '{at}' failed to satisfy constraint: {constraint}"

    assert expected == refusal(header(name, value))


def test_a_sensitive_value_is_not_shown():
    """The service model marks CustomAttributes and Body."""
    expected = (
        "1 validation error detected: Value at 'customAttributes' failed to satisfy constraint: "
        "Member must have length less than or equal to 1024"
    )

    assert expected == refusal(header("Custom-Attributes", "c" * 1025))


def test_every_violation_is_told_at_once():
    """Two make a plural."""
    told = refusal(header("RequestTTLSeconds", "1") | header("InvocationTimeoutSeconds", "3601"))

    assert (
        "2 validation errors detected: Value '1' at 'requestTTLSeconds' failed to satisfy constraint: "
        "Member must have value greater than or equal to 60; Value '3601' at 'invocationTimeoutSeconds' failed to "
        "satisfy constraint: Member must have value less than or equal to 3600"
    ) == told


def test_an_endpoint_name_is_checked_like_any_field():
    """It travels in the path."""
    assert "Value '-x' at 'endpointName'" in refusal(endpoint_name="-x")


@pytest.mark.skipif("body" not in installed_fields(), reason="the installed SDK is from before inline payloads")
class TestInlinePayload:
    def test_a_body_of_the_largest_size_is_taken(self):
        """128,000 bytes."""
        assert b"x" * 128_000 == read({}, body=b"x" * 128_000)["body"]

    def test_a_larger_body_is_refused_and_not_shown(self):
        """A payload is sensitive."""
        expected = (
            "1 validation error detected: Value at 'body' failed to satisfy constraint: "
            "Member must have length less than or equal to 128000"
        )

        assert expected == refusal({}, body=b"x" * 128_001)

    @pytest.mark.parametrize(("headers", "body", "got"), [(INPUT, b"x", "both"), ({}, b"", "neither")])
    def test_exactly_one_of_body_and_input_location_is_taken(self, headers, body, got):
        """The service says so at once, before anything is queued."""
        assert f"Provide exactly one of Body and InputLocation, got {got}." == refusal(headers, body)

    def test_filename_has_one_dot_at_most(self):
        """The newest fields are checked like the oldest."""
        assert "at 'filename'" in refusal(header("Filename", "a.b.c"))


def test_an_old_model_refuses_a_body_as_the_service_did():
    """aws/aws-sdk-js#4203, word for word."""
    expected = (
        "1 validation error detected: Value at 'body' failed to satisfy constraint: "
        "Member must have length less than or equal to 0"
    )

    assert expected == refusal(body=b"x", known=old_fields())


def test_an_old_model_requires_an_input_location():
    """It was the only payload there was."""
    expected = (
        "1 validation error detected: Value null at 'inputLocation' failed to satisfy constraint: "
        "Member must not be null"
    )

    assert expected == refusal({}, known=old_fields())


def test_the_202_has_the_id_in_its_body_and_the_locations_in_headers():
    """54 bytes of compact JSON for a 36-character id, as seen on the real service."""
    accepted = Accepted(
        inference_id="7bd5003a-f714-4511-a494-425d6cb4142a",
        output_location=S3Location("bkt", "out/1.out"),
        failure_location=S3Location("bkt", "failures/1-error.out"),
    )
    reply = accepted_reply(accepted)

    assert 202 == reply.status
    assert b'{"InferenceId":"7bd5003a-f714-4511-a494-425d6cb4142a"}' == reply.body
    assert 54 == len(reply.body)
    assert "s3://bkt/out/1.out" == reply.headers["X-Amzn-SageMaker-OutputLocation"]
    assert "s3://bkt/failures/1-error.out" == reply.headers["X-Amzn-SageMaker-FailureLocation"]


def test_the_202_has_no_failure_location_where_there_is_no_failure_path():
    """The header is absent, not empty."""
    accepted = Accepted(inference_id="i", output_location=S3Location("bkt", "1.out"), failure_location=None)

    assert "X-Amzn-SageMaker-FailureLocation" not in accepted_reply(accepted).headers


def test_a_refusal_has_its_code_in_a_header_and_its_message_in_the_body():
    """rest-json's way."""
    reply = refusal_reply(endpoint_not_found("churn"))

    assert (400, "ValidationError") == (reply.status, reply.headers["x-amzn-ErrorType"])
    assert {"Message": "Endpoint churn of account 123456789012 not found."} == json.loads(reply.body)


@pytest.mark.parametrize("known", [installed_fields(), old_fields()])
def test_a_body_that_is_not_even_read_is_refused_in_the_same_words(known):
    """As one that is a byte too large."""
    most = known["body"].maximum if "body" in known else 0
    headers = {} if "body" in known else INPUT

    assert refusal(headers, body=bytes(most + 1), known=known) == str(body_too_large(known))
