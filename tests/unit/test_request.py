"""The request's fields: as the service model has them, never as somebody remembers them."""

from __future__ import annotations

import pytest
from botocore import xform_name
from botocore.loaders import Loader

from sm_async_nb.core.request import python_pattern, read_fields, snake_case

MODEL = Loader().load_service_model("sagemaker-runtime", "service-2")
INPUT = MODEL["shapes"][MODEL["operations"]["InvokeEndpointAsync"]["input"]["shape"]]
FIELDS = read_fields(MODEL)

# The model of 2026-06, the part of it that the values below are about; the loaded SDK may be older or newer.
RECENT = {
    "operations": {"InvokeEndpointAsync": {"input": {"shape": "Request"}}},
    "shapes": {
        "Request": {
            "type": "structure",
            "required": ["EndpointName"],
            "members": {
                "EndpointName": {"shape": "Name", "location": "uri", "locationName": "EndpointName"},
                "Body": {"shape": "Body"},
                "ContentType": {"shape": "Header", "location": "header", "locationName": "X-Content-Type"},
                "CustomAttributes": {"shape": "Attributes", "location": "header", "locationName": "X-Attributes"},
                "InferenceId": {"shape": "Id", "location": "header", "locationName": "X-Inference-Id"},
                "InputLocation": {"shape": "Uri", "location": "header", "locationName": "X-InputLocation"},
                "RequestTTLSeconds": {"shape": "TTL", "location": "header", "locationName": "X-TTL"},
                "S3OutputPathExtension": {"shape": "Extension", "location": "header", "locationName": "X-Extension"},
                "Filename": {"shape": "Filename", "location": "header", "locationName": "X-Filename"},
            },
        },
        "Name": {"type": "string", "max": 63, "pattern": "^[a-zA-Z0-9](-*[a-zA-Z0-9])*"},
        "Body": {"type": "blob", "max": 128_000, "sensitive": True},
        "Header": {"type": "string", "max": 1024, "pattern": r"\p{ASCII}*"},
        "Attributes": {"type": "string", "max": 1024, "pattern": r"\p{ASCII}*", "sensitive": True},
        "Id": {"type": "string", "min": 1, "max": 64, "pattern": r"\A\S[\p{Print}]*\z"},
        "Uri": {"type": "string", "min": 1, "max": 1024, "pattern": "^(https|s3)://([^/]+)/?(.*)$"},
        "TTL": {"type": "integer", "min": 60, "max": 21_600},
        "Extension": {
            "type": "string",
            "min": 1,
            "max": 512,
            "pattern": r"^(?!s3:|https:)[a-zA-Z0-9!_.*'()/-]+$",
        },
        "Filename": {"type": "string", "min": 1, "max": 32, "pattern": r"^(?!.*\..*\.)[a-zA-Z0-9][a-zA-Z0-9-_\.]*$"},
    },
}
KNOWN = read_fields(RECENT)


@pytest.mark.parametrize("member", INPUT["members"])
def test_a_field_is_what_the_installed_sdk_says(member):
    """Name, place on the wire, limits, pattern and marks, compared with botocore's own model and its own naming."""
    trait = INPUT["members"][member]
    shape = MODEL["shapes"][trait["shape"]]
    field = FIELDS[xform_name(member)]
    told = (field.member, field.type, field.location, field.header, field.minimum, field.maximum, field.pattern)
    expected = (
        member,
        shape["type"],
        trait.get("location", "body"),
        trait.get("locationName"),
        shape.get("min"),
        shape.get("max"),
        shape.get("pattern"),
    )

    assert expected == told
    assert (member in INPUT["required"], shape.get("sensitive", False)) == (field.required, field.sensitive)


def test_there_are_as_many_fields_as_the_installed_sdk_has_members():
    """In the model's order, none left out and none made up."""
    assert [xform_name(member) for member in INPUT["members"]] == list(FIELDS)


@pytest.mark.parametrize(
    ("member", "name"),
    [
        ("RequestTTLSeconds", "request_ttl_seconds"),
        ("InvocationTimeoutSeconds", "invocation_timeout_seconds"),
        ("S3OutputPathExtension", "s3_output_path_extension"),
        ("InferenceId", "inference_id"),
        ("Body", "body"),
    ],
)
def test_names_are_botocores_own(member, name):
    """What pandas users type is what boto3 users know from its generated methods."""
    assert name == snake_case(member) == xform_name(member)


def test_patterns_of_the_installed_sdk_can_be_checked():
    """A new character class in a new SDK shows here, before it shows in somebody's job."""
    for field in FIELDS.values():
        if field.type == "string":
            field.problem("x")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("endpoint_name", "churn-xgb-2"),
        ("endpoint_name", "x" * 63),
        ("body", b""),
        ("body", b"\xff" * 128_000),
        ("content_type", ""),
        ("content_type", "text/csv; charset=utf-8"),
        ("custom_attributes", "a=1; b=~ 2"),
        ("inference_id", "x"),
        ("inference_id", "one two~"),
        ("inference_id", "x" * 64),
        ("input_location", "s3://bkt/a b/ü"),
        ("input_location", "https://bkt"),
        ("request_ttl_seconds", 60),
        ("request_ttl_seconds", 21_600),
        ("s3_output_path_extension", "job/00000/it's(1)!*.-_"),
        ("s3_output_path_extension", "x" * 512),
        ("filename", "k3jx7ab2qd-00000042-0.out"),
        ("filename", "no_dot-at-all"),
        ("filename", "x" * 32),
    ],
)
def test_what_the_service_takes_is_no_problem(name, value):
    """Each limit at its very edge."""
    assert KNOWN[name].problem(value) is None


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("request_ttl_seconds", 59, "RequestTTLSeconds must be 60 to 21600 seconds, got 59."),
        ("request_ttl_seconds", 21_601, "RequestTTLSeconds must be 60 to 21600 seconds, got 21601."),
        ("request_ttl_seconds", 60.0, "RequestTTLSeconds must be a whole number, got 60.0."),
        ("request_ttl_seconds", "60", "RequestTTLSeconds must be a whole number, got '60'."),
        ("request_ttl_seconds", True, "RequestTTLSeconds must be a whole number, got True."),
        ("inference_id", "", "InferenceId must be 1 to 64 characters long, got 0."),
        ("inference_id", "x" * 65, "InferenceId must be 1 to 64 characters long, got 65."),
        ("inference_id", " x", r"InferenceId must match \A\S[\p{Print}]*\z, got ' x'."),
        ("inference_id", "xü", r"InferenceId must match \A\S[\p{Print}]*\z, got 'xü'."),
        ("inference_id", "x\n", r"InferenceId must match \A\S[\p{Print}]*\z, got 'x\n'."),
        ("inference_id", 7, "InferenceId must be text, got 7."),
        ("content_type", "x" * 1025, "ContentType must be at most 1024 characters long, got 1025."),
        ("content_type", "text/ü", r"ContentType must match \p{ASCII}*, got 'text/ü'."),
        ("endpoint_name", "-x", "EndpointName must match ^[a-zA-Z0-9](-*[a-zA-Z0-9])*, got '-x'."),
        ("endpoint_name", "x-", "EndpointName must match ^[a-zA-Z0-9](-*[a-zA-Z0-9])*, got 'x-'."),
        ("endpoint_name", "x" * 64, "EndpointName must be at most 63 characters long, got 64."),
        ("input_location", "ftp://b/k", "InputLocation must match ^(https|s3)://([^/]+)/?(.*)$, got 'ftp://b/k'."),
        ("filename", "a.b.c", r"Filename must match ^(?!.*\..*\.)[a-zA-Z0-9][a-zA-Z0-9-_\.]*$, got 'a.b.c'."),
        ("filename", "a/b", r"Filename must match ^(?!.*\..*\.)[a-zA-Z0-9][a-zA-Z0-9-_\.]*$, got 'a/b'."),
        ("filename", "a\n", r"Filename must match ^(?!.*\..*\.)[a-zA-Z0-9][a-zA-Z0-9-_\.]*$, got 'a\n'."),
        ("filename", "x" * 33, "Filename must be 1 to 32 characters long, got 33."),
        ("body", "text", "Body must be bytes, got str."),
        ("body", b"x" * 128_001, "Body must be at most 128000 bytes long, got 128001."),
    ],
)
def test_what_the_service_would_refuse_is_said_word_for_word(name, value, expected):
    """The member as the AWS page names it, the rule, and the value."""
    assert expected == KNOWN[name].problem(value)


@pytest.mark.parametrize("extension", ["s3://b", "https:x", "year=2026", "a b", "a%20b", "a+b", "a:b"])
def test_a_path_extension_the_service_would_refuse_is_refused(extension):
    """No other place than below the endpoint's own path, and no Hive-style folder either."""
    assert KNOWN["s3_output_path_extension"].problem(extension).startswith("S3OutputPathExtension must match")


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        (
            "custom_attributes",
            "token=hünter2",
            r"CustomAttributes must match \p{ASCII}*, got <13 characters, not shown>.",
        ),
        ("custom_attributes", "hunter2" * 200, "CustomAttributes must be at most 1024 characters long, got 1400."),
        ("body", b"hunter2" * 20_000, "Body must be at most 128000 bytes long, got 140000."),
    ],
)
def test_sensitive_values_are_measured_and_never_shown(name, value, expected):
    """The service marks payload and custom attributes as sensitive; a message ends up in logs and tickets."""
    assert expected == KNOWN[name].problem(value)


def test_a_sensitive_payload_is_shown_as_its_size():
    """Bytes are counted as bytes."""
    assert KNOWN["body"].shown(b"hunter2") == "<7 bytes, not shown>"


@pytest.mark.parametrize(("low", "high", "told"), [(None, 5, "at most 5"), (2, None, "at least 2"), (2, 5, "2 to 5")])
def test_a_limit_may_have_one_end(low, high, told):
    """The sentence says the limits there are."""
    model = {
        "operations": {"InvokeEndpointAsync": {"input": {"shape": "Request"}}},
        "shapes": {
            "Request": {"members": {"Retries": {"shape": "Number"}}},
            "Number": {"type": "integer"} | ({"min": low} if low else {}) | ({"max": high} if high else {}),
        },
    }
    value = 1 if low else 6

    assert f"Retries must be {told}, got {value}." == read_fields(model)["retries"].problem(value)


def test_an_older_sdk_knows_fewer_fields():
    """Before 2026 there was no Body, Filename or S3OutputPathExtension, and none is made up."""
    members = dict(RECENT["shapes"]["Request"]["members"])
    for member in ("Body", "Filename", "S3OutputPathExtension"):
        del members[member]
    older = {**RECENT, "shapes": {**RECENT["shapes"], "Request": {"members": members}}}
    expected = ["endpoint_name", "content_type", "custom_attributes", "inference_id", "input_location"]

    assert [*expected, "request_ttl_seconds"] == list(read_fields(older))


def test_an_sdk_without_the_operation_is_a_key_error():
    """No SDK since August 2021 lacks it."""
    with pytest.raises(KeyError, match="InvokeEndpointAsync"):
        read_fields({"operations": {}, "shapes": {}})


def test_an_unknown_character_class_is_an_error_that_names_it():
    """Guessing would refuse good values or send bad ones."""
    with pytest.raises(ValueError, match=r"uses the character class \\p\{Greek\}, which is not known here"):
        python_pattern(r"[\p{Greek}]+")


@pytest.mark.parametrize(
    ("java", "python"),
    [
        (r"\p{ASCII}*", r"[\x00-\x7f]*"),
        (r"\A\S[\p{Print}]*\z", r"\A\S[\x20-\x7e]*\Z"),
        (r"[a\p{Print}]\p{ASCII}", r"[a\x20-\x7e][\x00-\x7f]"),
        (r"^[a-z]+$", r"^[a-z]+$"),
    ],
)
def test_java_patterns_become_python_ones(java, python):
    """Inside brackets a class is its characters, outside it brings its own."""
    assert python == python_pattern(java)
