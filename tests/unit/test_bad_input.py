"""What cannot be sent is refused before anything is, with a message that is a fact, a place and a way out.

One table: a frame, the arguments, and the message word for word.
"""

from __future__ import annotations

import datetime as dt
import decimal
import functools
import uuid

import numpy as np
import pandas as pd
import pytest

from sm_async_nb.core import check as check_module
from sm_async_nb.core.build import RequestArguments, build_batch
from sm_async_nb.core.plan import Limits
from sm_async_nb.core.request import Field
from sm_async_nb.errors import RequestError
from sm_async_nb.job.prefix import given_prefix
from sm_async_nb.job.shape import Shape
from sm_async_nb.job.submit import Wishes

# Stands for what the service marks as sensitive: payloads and custom attributes.
SECRET = "hunter2"

_ASCII = r"\p{ASCII}*"


def text(member, name, minimum, maximum, pattern, *, location="header", sensitive=False):
    return Field(
        name=name,
        member=member,
        type="string",
        location=location,
        minimum=minimum,
        maximum=maximum,
        pattern=pattern,
        sensitive=sensitive,
    )


def number(member, name, minimum, maximum):
    return Field(name=name, member=member, type="integer", location="header", minimum=minimum, maximum=maximum)


# The fields as the SDK of 2026-06 has them, and those of the years before.
NEW = {
    field.name: field
    for field in (
        text("EndpointName", "endpoint_name", None, 63, "^[a-zA-Z0-9](-*[a-zA-Z0-9])*", location="uri"),
        text("ContentType", "content_type", None, 1024, _ASCII),
        text("Accept", "accept", None, 1024, _ASCII),
        text("CustomAttributes", "custom_attributes", None, 1024, _ASCII, sensitive=True),
        text("InferenceId", "inference_id", 1, 64, r"\A\S[\p{Print}]*\z"),
        text("InputLocation", "input_location", 1, 1024, "^(https|s3)://([^/]+)/?(.*)$"),
        text("S3OutputPathExtension", "s3_output_path_extension", 1, 512, "^(?!s3:|https:)[a-zA-Z0-9!_.*'()/-]+$"),
        text("Filename", "filename", 1, 32, r"^(?!.*\..*\.)[a-zA-Z0-9][a-zA-Z0-9-_\.]*$"),
        number("RequestTTLSeconds", "request_ttl_seconds", 60, 21_600),
        number("InvocationTimeoutSeconds", "invocation_timeout_seconds", 1, 3_600),
        Field(name="body", member="Body", type="blob", location="body", maximum=128_000, sensitive=True),
    )
}
OLD = {name: field for name, field in NEW.items() if name not in {"body", "filename", "s3_output_path_extension"}}


class Serializer:
    CONTENT_TYPE = "text/csv"

    def serialize(self, data):
        raise RuntimeError("no form for it")


class ListSerializer(Serializer):
    def serialize(self, data):
        return [1]


class NoTypeSerializer(Serializer):
    CONTENT_TYPE = None


def broken(row):
    raise KeyError("amount")


def endless(row):
    raise RecursionError("deep")


def one(cell, **other):
    """A row with the cell as it is, and more columns."""
    return rows_of([cell]).assign(**other)


def rows_of(cells):
    return pd.DataFrame({"x": pd.Series(cells, dtype=object)})


def sets(index):
    """Rows that cannot be sent, with these labels."""
    cells = pd.Series([{1}] * len(index), dtype=object)
    return pd.DataFrame({"x": cells.to_numpy()}, index=index)


ONE = pd.DataFrame({"x": [1]})
AGES = pd.DataFrame({"age": [1, 2], "plan": ["a", "b"]})
THREE = pd.DataFrame({"x": [1, 2, 3], "id": ["a", "b", "a"]}, index=["p", "q", "r"])

CASES = [
    # endpoint
    pytest.param(
        ONE,
        {"endpoint_name": ""},
        "EndpointName must match ^[a-zA-Z0-9](-*[a-zA-Z0-9])*, got ''. Nothing was sent.",
        id="endpoint empty",
    ),
    pytest.param(
        ONE,
        {"endpoint_name": "my_endpoint"},
        "EndpointName must match ^[a-zA-Z0-9](-*[a-zA-Z0-9])*, got 'my_endpoint'. Nothing was sent.",
        id="endpoint pattern",
    ),
    pytest.param(
        ONE, {"endpoint_name": None}, "EndpointName must be text, got None. Nothing was sent.", id="endpoint none"
    ),
    # fields constants
    pytest.param(
        ONE,
        {"request_ttl_seconds": 59},
        "RequestTTLSeconds must be 60 to 21600 seconds, got 59. Nothing was sent.",
        id="ttl low",
    ),
    pytest.param(
        ONE,
        {"request_ttl_seconds": 21_601},
        "RequestTTLSeconds must be 60 to 21600 seconds, got 21601. Nothing was sent.",
        id="ttl high",
    ),
    pytest.param(
        ONE,
        {"request_ttl_seconds": "1h"},
        (
            "RequestTTLSeconds must be a whole number, got '1h'. The frame has no column of that name either."
            " Nothing was sent."
        ),
        id="ttl text",
    ),
    pytest.param(
        ONE,
        {"request_ttl_seconds": 60.5},
        "RequestTTLSeconds must be a whole number, got 60.5. Nothing was sent.",
        id="ttl float",
    ),
    pytest.param(
        ONE,
        {"request_ttl_seconds": 60.0},
        "RequestTTLSeconds must be a whole number, got 60.0. Nothing was sent.",
        id="ttl wholefloat",
    ),
    pytest.param(
        ONE,
        {"request_ttl_seconds": True},
        "RequestTTLSeconds must be a whole number, got True. Nothing was sent.",
        id="ttl bool",
    ),
    pytest.param(
        ONE,
        {"request_ttl_seconds": np.int64(5)},
        "RequestTTLSeconds must be 60 to 21600 seconds, got 5. Nothing was sent.",
        id="ttl numpy int",
    ),
    pytest.param(
        ONE,
        {"request_ttl_seconds": dt.timedelta(hours=1)},
        "RequestTTLSeconds must be a whole number, got a value of type timedelta. Nothing was sent.",
        id="ttl timedelta",
    ),
    pytest.param(
        ONE,
        {"request_ttl_seconds": [60]},
        "RequestTTLSeconds must be a whole number, got a value of type list. Nothing was sent.",
        id="ttl list",
    ),
    pytest.param(
        ONE,
        {"request_ttl_seconds": pd.Series([60])},
        "RequestTTLSeconds must be a whole number, got a value of type Series. Nothing was sent.",
        id="ttl series",
    ),
    pytest.param(
        ONE,
        {"invocation_timeout_seconds": 0},
        "InvocationTimeoutSeconds must be 1 to 3600 seconds, got 0. Nothing was sent.",
        id="timeout low",
    ),
    pytest.param(
        ONE,
        {"invocation_timeout_seconds": 3_601},
        "InvocationTimeoutSeconds must be 1 to 3600 seconds, got 3601. Nothing was sent.",
        id="timeout high",
    ),
    pytest.param(
        ONE,
        {"accept": "x" * 1025},
        "Accept must be at most 1024 characters long, got 1025. Nothing was sent.",
        id="accept long",
    ),
    pytest.param(ONE, {"accept": 7}, "Accept must be text, got 7. Nothing was sent.", id="accept type"),
    pytest.param(
        ONE,
        {"accept": "text/ü"},
        r"Accept must match \p{ASCII}*, got 'text/ü'. Nothing was sent.",
        id="accept nonascii",
    ),
    pytest.param(
        ONE,
        {"accept": "text/csv\nX-Evil: 1"},
        (
            r"Accept must not have line breaks or other control characters, got 'text/csv\nX-Evil: 1'. Nothing"
            " was sent."
        ),
        id="accept newline",
    ),
    pytest.param(
        ONE,
        {"custom_attributes": SECRET * 200},
        "CustomAttributes must be at most 1024 characters long, got 1400. Nothing was sent.",
        id="custom attributes long",
    ),
    pytest.param(
        ONE,
        {"custom_attributes": SECRET + "ü"},
        r"CustomAttributes must match \p{ASCII}*, got <8 characters, not shown>. Nothing was sent.",
        id="custom attributes nonascii",
    ),
    pytest.param(
        ONE,
        {"custom_attributes": SECRET + "\n"},
        ("CustomAttributes must be visible US-ASCII characters, got <8 characters, not shown>. Nothing was sent."),
        id="custom attributes newline",
    ),
    pytest.param(
        ONE,
        {"custom_attributes": {"token": SECRET}},
        "CustomAttributes must be text, got a value of type dict. Nothing was sent.",
        id="custom attributes dict",
    ),
    pytest.param(
        ONE,
        {"custom_attributes": SECRET.encode()},
        "CustomAttributes must be text, got <7 bytes, not shown>. Nothing was sent.",
        id="custom attributes bytes",
    ),
    pytest.param(
        AGES,
        {"inference_id": "same"},
        (
            "inference_id= must differ from row to row: give a column's name or a template, got 'same'. Nothing"
            " was sent."
        ),
        id="inference id constant",
    ),
    pytest.param(
        ONE,
        {"inference_id": "x" * 65},
        "InferenceId must be 1 to 64 characters long, got 65. Nothing was sent.",
        id="inference id constant one long",
    ),
    pytest.param(
        ONE,
        {"inference_id": ""},
        "InferenceId must be 1 to 64 characters long, got 0. Nothing was sent.",
        id="inference id empty",
    ),
    pytest.param(
        ONE,
        {"inference_id": " x"},
        r"InferenceId must match \A\S[\p{Print}]*\z, got ' x'. Nothing was sent.",
        id="inference id space",
    ),
    pytest.param(
        AGES,
        {"filename": "same.out"},
        (
            "filename= must differ from row to row: give a column's name or a template, got 'same.out'. Nothing"
            " was sent."
        ),
        id="file constant",
    ),
    pytest.param(
        ONE,
        {"filename": "a.b.c"},
        r"Filename must match ^(?!.*\..*\.)[a-zA-Z0-9][a-zA-Z0-9-_\.]*$, got 'a.b.c'. Nothing was sent.",
        id="file dots",
    ),
    pytest.param(
        ONE,
        {"filename": "x" * 33},
        "Filename must be 1 to 32 characters long, got 33. Nothing was sent.",
        id="file long",
    ),
    pytest.param(
        ONE,
        {"s3_output_path_extension": "s3://b/c"},
        ("S3OutputPathExtension must match ^(?!s3:|https:)[a-zA-Z0-9!_.*'()/-]+$, got 's3://b/c'. Nothing was sent."),
        id="path extension s3",
    ),
    pytest.param(
        ONE,
        {"s3_output_path_extension": "x" * 513},
        "S3OutputPathExtension must be 1 to 512 characters long, got 513. Nothing was sent.",
        id="path extension long",
    ),
    pytest.param(
        ONE,
        {"content_type": "text/ü"},
        r"ContentType must match \p{ASCII}*, got 'text/ü'. Nothing was sent.",
        id="content type nonascii",
    ),
    pytest.param(
        ONE,
        {"content_type": "application/pdf"},
        (
            "Rows cannot be written as content_type 'application/pdf'; the types known are application/json,"
            " application/jsonlines, text/csv, text/libsvm, text/x-libsvm, application/x-npy,"
            " application/x-parquet, application/octet-stream, text/*, image/*, audio/*, video/*. Nothing was"
            " sent."
        ),
        id="content type unknown",
    ),
    pytest.param(
        ONE, {"content_type": 7}, "ContentType must be text, got 7. Nothing was sent.", id="content type type"
    ),
    pytest.param(
        ONE,
        {"content_type": ""},
        (
            "Rows cannot be written as content_type ''; the types known are application/json,"
            " application/jsonlines, text/csv, text/libsvm, text/x-libsvm, application/x-npy,"
            " application/x-parquet, application/octet-stream, text/*, image/*, audio/*, video/*. Nothing was"
            " sent."
        ),
        id="content type empty",
    ),
    pytest.param(
        ONE.assign(kind="text/csv"),
        {"content_type": "kind"},
        (
            "content_type decides how rows are written, so it is one for all of them; it may differ from row to"
            " row with payload= a function, or with input_location=. Nothing was sent."
        ),
        id="content type column",
    ),
    pytest.param(
        ONE,
        {"content_type": "text/{{ x }}"},
        (
            "content_type decides how rows are written, so it is one for all of them; it may differ from row to"
            " row with payload= a function, or with input_location=. Nothing was sent."
        ),
        id="content type template",
    ),
    pytest.param(
        AGES,
        {"input_location": "s3://b/k"},
        (
            "input_location= must differ from row to row: give a column's name or a template, got 's3://b/k'."
            " Nothing was sent."
        ),
        id="input location constant many",
    ),
    pytest.param(
        ONE,
        {"input_location": "/data/k"},
        (
            "InputLocation must match ^(https|s3)://([^/]+)/?(.*)$, got '/data/k'. The frame has no column of"
            " that name either. Nothing was sent."
        ),
        id="input location wrong",
    ),
    pytest.param(
        one("s3://b/k"),
        {"input_location": "uri"},
        (
            "InputLocation must match ^(https|s3)://([^/]+)/?(.*)$, got 'uri'. The frame has no column of that"
            " name either. Nothing was sent."
        ),
        id="input location column missing",
    ),
    pytest.param(
        ONE,
        {"request_ttl_seconds": 10, "invocation_timeout_seconds": 4_000},
        (
            "RequestTTLSeconds must be 60 to 21600 seconds, got 10. InvocationTimeoutSeconds must be 1 to 3600"
            " seconds, got 4000. Nothing was sent."
        ),
        id="two wrong",
    ),
    # fields as column
    pytest.param(
        pd.DataFrame({"x": [1, 2], "ttl": [59, 60]}),
        {"request_ttl_seconds": "ttl"},
        ("1 row cannot be sent:\n  row 0: RequestTTLSeconds must be 60 to 21600 seconds, got 59.\nNothing was sent."),
        id="ttl column low",
    ),
    pytest.param(
        pd.DataFrame({"x": [1, 2], "ttl": [60.5, 61]}),
        {"request_ttl_seconds": "ttl"},
        ("1 row cannot be sent:\n  row 0: RequestTTLSeconds must be a whole number, got 60.5.\nNothing was sent."),
        id="ttl column fraction",
    ),
    pytest.param(
        pd.DataFrame({"x": [1], "ttl": ["1h"]}),
        {"request_ttl_seconds": "ttl"},
        ("1 row cannot be sent:\n  row 0: RequestTTLSeconds must be a whole number, got '1h'.\nNothing was sent."),
        id="ttl column text",
    ),
    pytest.param(
        pd.DataFrame({"x": [1], "ttl": [True]}),
        {"request_ttl_seconds": "ttl"},
        ("1 row cannot be sent:\n  row 0: RequestTTLSeconds must be a whole number, got True.\nNothing was sent."),
        id="ttl column bool",
    ),
    pytest.param(
        pd.DataFrame({"x": [1], "ttl": [pd.Timedelta(hours=1)]}),
        {"request_ttl_seconds": "ttl"},
        (
            "1 row cannot be sent:\n"
            "  row 0: RequestTTLSeconds must be a whole number, got 'P0DT1H0M0S'.\n"
            "Nothing was sent."
        ),
        id="ttl column time",
    ),
    pytest.param(
        pd.DataFrame({"x": [1], "ttl": [np.inf]}),
        {"request_ttl_seconds": "ttl", "columns": "x"},
        ("1 row cannot be sent:\n  row 0: RequestTTLSeconds must be a whole number, got inf.\nNothing was sent."),
        id="ttl column inf",
    ),
    pytest.param(
        ONE.assign(ttl=[{1}]),
        {"request_ttl_seconds": "ttl", "columns": "x"},
        (
            "1 row cannot be sent:\n"
            "  row 0: RequestTTLSeconds: a value of type set cannot be written as text.\n"
            "Nothing was sent."
        ),
        id="ttl column set",
    ),
    pytest.param(
        ONE.assign(ttl=[decimal.Decimal(600)]),
        {"request_ttl_seconds": "ttl", "columns": "x"},
        ("1 row cannot be sent:\n  row 0: RequestTTLSeconds must be a whole number, got '600'.\nNothing was sent."),
        id="ttl column decimal",
    ),
    pytest.param(
        ONE.assign(kind=[7]),
        {"accept": "kind"},
        ("1 row cannot be sent:\n  row 0: Accept must be text, got 7.\nNothing was sent."),
        id="accept column number",
    ),
    pytest.param(
        pd.DataFrame({"x": [1, 2], "note": ["a", SECRET * 200]}),
        {"custom_attributes": "note"},
        (
            "1 row cannot be sent:\n"
            "  row 1: CustomAttributes must be at most 1024 characters long, got 1400.\n"
            "Nothing was sent."
        ),
        id="custom attributes column long",
    ),
    pytest.param(
        pd.DataFrame({"x": [1, 2], "note": ["a", SECRET + "ü"]}),
        {"custom_attributes": "note"},
        (
            "1 row cannot be sent:\n"
            "  row 1: CustomAttributes must match \\p{ASCII}*, got <8 characters, not shown>.\n"
            "Nothing was sent."
        ),
        id="custom attributes column nonascii",
    ),
    pytest.param(
        pd.DataFrame({"x": [1, 2], "note": ["a", SECRET + "\n"]}),
        {"custom_attributes": "note"},
        (
            "1 row cannot be sent:\n"
            "  row 1: CustomAttributes must be visible US-ASCII characters, got <8 characters, not shown>.\n"
            "Nothing was sent."
        ),
        id="custom attributes column newline",
    ),
    pytest.param(
        one(1, note=[{"token": SECRET}]),
        {"custom_attributes": "note"},
        ("1 row cannot be sent:\n  row 0: CustomAttributes must be text, got a value of type dict.\nNothing was sent."),
        id="custom attributes column dict",
    ),
    pytest.param(
        one(1, note=[{SECRET}]),
        {"custom_attributes": "note", "columns": "x"},
        (
            "1 row cannot be sent:\n"
            "  row 0: CustomAttributes: a value of type set cannot be written as text.\n"
            "Nothing was sent."
        ),
        id="custom attributes column set",
    ),
    pytest.param(
        THREE,
        {"inference_id": "id"},
        (
            "1 row cannot be sent:\n"
            "  row 'r': InferenceId 'a' is that of row 'p' too; it must be unique.\n"
            "Nothing was sent."
        ),
        id="inference id column duplicate",
    ),
    pytest.param(
        ONE.assign(id=[7]),
        {"inference_id": "id"},
        ("1 row cannot be sent:\n  row 0: InferenceId must be text, got 7.\nNothing was sent."),
        id="inference id column number",
    ),
    pytest.param(
        ONE.assign(id="y" * 65),
        {"inference_id": "id"},
        ("1 row cannot be sent:\n  row 0: InferenceId must be 1 to 64 characters long, got 65.\nNothing was sent."),
        id="inference id column long",
    ),
    pytest.param(
        pd.DataFrame({"x": [1, 2], "id": [["a"], ["a"]]}),
        {"inference_id": "id"},
        (
            "2 of 2 rows cannot be sent:\n"
            "  row 0: InferenceId must be text, got a value of type list.\n"
            "  row 1: InferenceId must be text, got a value of type list.\n"
            "Nothing was sent."
        ),
        id="inference id column list",
    ),
    pytest.param(
        THREE,
        {"filename": "id"},
        (
            "1 row cannot be sent:\n"
            "  row 'r': Filename 'a' is that of row 'p' too; it must be unique.\n"
            "Nothing was sent."
        ),
        id="file column duplicate",
    ),
    pytest.param(
        ONE.assign(name="a/b"),
        {"filename": "name"},
        (
            "1 row cannot be sent:\n"
            "  row 0: Filename must match ^(?!.*\\..*\\.)[a-zA-Z0-9][a-zA-Z0-9-_\\.]*$, got 'a/b'.\n"
            "Nothing was sent."
        ),
        id="file column slash",
    ),
    pytest.param(
        ONE.assign(day="day=1"),
        {"s3_output_path_extension": "day"},
        (
            "1 row cannot be sent:\n"
            "  row 0: S3OutputPathExtension must match ^(?!s3:|https:)[a-zA-Z0-9!_.*'()/-]+$, got 'day=1'.\n"
            "Nothing was sent."
        ),
        id="path extension column hive",
    ),
    pytest.param(
        rows_of(["s3://b/k", None]),
        {"input_location": "x"},
        ("1 row cannot be sent:\n  row 1: it has no input location.\nNothing was sent."),
        id="input location column missing cell",
    ),
    pytest.param(
        rows_of(["s3://b/k", "/data/k"]),
        {"input_location": "x"},
        (
            "1 row cannot be sent:\n"
            "  row 1: InputLocation must match ^(https|s3)://([^/]+)/?(.*)$, got '/data/k'.\n"
            "Nothing was sent."
        ),
        id="input location column local",
    ),
    # fields as template
    pytest.param(
        ONE,
        {"request_ttl_seconds": "{{ x }}"},
        ("1 row cannot be sent:\n  row 0: RequestTTLSeconds must be 60 to 21600 seconds, got 1.\nNothing was sent."),
        id="ttl template low",
    ),
    pytest.param(
        ONE,
        {"request_ttl_seconds": "{{ x }}0"},
        ("1 row cannot be sent:\n  row 0: RequestTTLSeconds must be a whole number, got '10'.\nNothing was sent."),
        id="ttl template text",
    ),
    pytest.param(
        ONE,
        {"request_ttl_seconds": "{{ y }}"},
        (
            "Line 1 of the template in request_ttl_seconds= uses 'y', which the frame has no column of. Nothing"
            " was sent."
        ),
        id="ttl template column",
    ),
    pytest.param(
        ONE,
        {"request_ttl_seconds": "{{ x "},
        (
            "Line 1 of the template in request_ttl_seconds=: unexpected end of template, expected 'end of print"
            " statement'. Nothing was sent."
        ),
        id="ttl template syntax",
    ),
    pytest.param(
        one(SECRET * 200),
        {"custom_attributes": "t={{ x }}"},
        (
            "1 row cannot be sent:\n"
            "  row 0: CustomAttributes must be at most 1024 characters long, got 1402.\n"
            "Nothing was sent."
        ),
        id="custom attributes template long",
    ),
    pytest.param(
        one(SECRET),
        {"custom_attributes": "{{ x }}\n"},
        (
            "1 row cannot be sent:\n"
            "  row 0: CustomAttributes must be visible US-ASCII characters, got <8 characters, not shown>.\n"
            "Nothing was sent."
        ),
        id="custom attributes template newline",
    ),
    pytest.param(
        pd.DataFrame({"x": [1, 1]}),
        {"inference_id": "r-{{ x }}"},
        (
            "1 row cannot be sent:\n"
            "  row 1: InferenceId 'r-1' is that of row 0 too; it must be unique.\n"
            "Nothing was sent."
        ),
        id="inference id template constant",
    ),
    pytest.param(
        ONE,
        {"filename": "{{ x }}.a.b"},
        (
            "1 row cannot be sent:\n"
            "  row 0: Filename must match ^(?!.*\\..*\\.)[a-zA-Z0-9][a-zA-Z0-9-_\\.]*$, got '1.a.b'.\n"
            "Nothing was sent."
        ),
        id="file template dots",
    ),
    pytest.param(
        one("a b"),
        {"s3_output_path_extension": "{{ x }}"},
        (
            "1 row cannot be sent:\n"
            "  row 0: S3OutputPathExtension must match ^(?!s3:|https:)[a-zA-Z0-9!_.*'()/-]+$, got 'a b'.\n"
            "Nothing was sent."
        ),
        id="path extension template",
    ),
    pytest.param(
        rows_of([0, 1]),
        {"request_ttl_seconds": "{{ 600 // x }}"},
        (
            "1 row cannot be sent:\n"
            "  row 0: RequestTTLSeconds: the template fails: integer division or modulo by zero.\n"
            "Nothing was sent."
        ),
        id="template div",
    ),
    pytest.param(
        AGES,
        {"inference_id": "{{ 'a' }}"},
        ("1 row cannot be sent:\n  row 1: InferenceId 'a' is that of row 0 too; it must be unique.\nNothing was sent."),
        id="template int constant",
    ),
    pytest.param(
        rows_of(["k", "b/c"]),
        {"input_location": "ftp://{{ x }}"},
        (
            "2 of 2 rows cannot be sent:\n"
            "  row 0: InputLocation must match ^(https|s3)://([^/]+)/?(.*)$, got 'ftp://k'.\n"
            "  row 1: InputLocation must match ^(https|s3)://([^/]+)/?(.*)$, got 'ftp://b/c'.\n"
            "Nothing was sent."
        ),
        id="input location template",
    ),
    # columns
    pytest.param(
        AGES,
        {"columns": ["aeg"]},
        "The frame has no column 'aeg'. Did you mean 'age'? Nothing was sent.",
        id="column near",
    ),
    pytest.param(
        AGES,
        {"columns": ["zzz"]},
        "The frame has no column 'zzz'. It has 'age', 'plan'. Nothing was sent.",
        id="column far",
    ),
    pytest.param(
        AGES,
        {"columns": "agee"},
        "The frame has no column 'agee'. Did you mean 'age'? Nothing was sent.",
        id="column str",
    ),
    pytest.param(
        AGES,
        {"columns": []},
        "There is no column, so there is nothing to make a payload of. Nothing was sent.",
        id="column empty",
    ),
    pytest.param(
        AGES,
        {"columns": ("age", "plan")},
        (
            "The frame has no column ('age', 'plan'). A tuple is one name; give several names as a list. Nothing"
            " was sent."
        ),
        id="column tuple",
    ),
    pytest.param(
        AGES,
        {"columns": {"age": 1}},
        "columns= takes a column's name or a list of names, got a value of type dict. Nothing was sent.",
        id="column dict",
    ),
    pytest.param(
        AGES,
        {"columns": {"age"}},
        "columns= takes a column's name or a list of names, got a value of type set. Nothing was sent.",
        id="column set",
    ),
    pytest.param(
        AGES,
        {"columns": (c for c in ["age"])},
        "columns= takes a column's name or a list of names, got a value of type generator. Nothing was sent.",
        id="column gen",
    ),
    pytest.param(
        AGES,
        {"columns": [True, False]},
        "The frame has no column True. It has 'age', 'plan'. Nothing was sent.",
        id="column mask",
    ),
    pytest.param(
        AGES,
        {"columns": ["age", "age"]},
        "The columns 'age' and 'age' would have one name in a payload. Nothing was sent.",
        id="column twice",
    ),
    pytest.param(
        AGES,
        {"columns": [["age"]]},
        "columns= takes a column's name or a list of names, got a value of type list. Nothing was sent.",
        id="column nested",
    ),
    pytest.param(
        pd.DataFrame(index=[0]),
        {},
        "There is no column, so there is nothing to make a payload of. Nothing was sent.",
        id="column none",
    ),
    pytest.param(
        pd.DataFrame([[1, 2]], columns=["a", "a"]),
        {},
        "The frame has two columns named 'a'; rename one. Nothing was sent.",
        id="column dupframe",
    ),
    pytest.param(
        pd.DataFrame([[1, 2]], columns=["a", "a"]),
        {"template": "{{ a }}"},
        "The frame has two columns named 'a'; rename one. Nothing was sent.",
        id="column dupframe template",
    ),
    pytest.param(
        pd.DataFrame([[1, 2]], columns=[1, "1"]),
        {},
        "The columns 1 and '1' would have one name in a payload. Nothing was sent.",
        id="column 1 1",
    ),
    pytest.param(
        AGES,
        {"columns": [3]},
        "The frame has no column 3. It has 'age', 'plan'. Nothing was sent.",
        id="column int missing",
    ),
    # two ways
    pytest.param(
        AGES,
        {"columns": ["age"], "template": "{{ age }}"},
        "columns= and template= each say what a payload is made of; give one of them. Nothing was sent.",
        id="two content type",
    ),
    pytest.param(
        AGES,
        {"template": "{{ age }}", "payload": str},
        "template= and payload= each say what a payload is made of; give one of them. Nothing was sent.",
        id="two tp",
    ),
    pytest.param(
        AGES,
        {"columns": ["age"], "template": "{{ age }}", "payload": str, "input_location": "plan"},
        (
            "columns=, template=, payload= and input_location= each say what a payload is made of; give one of"
            " them. Nothing was sent."
        ),
        id="three",
    ),
    pytest.param(
        AGES,
        {"template": "{{ age }}", "payload": Serializer()},
        "template= and payload= each say what a payload is made of; give one of them. Nothing was sent.",
        id="serializer template",
    ),
    pytest.param(
        AGES,
        {"template": "{{ age }}", "bare": True},
        "nan= and bare= say how columns are written, and have no meaning with template=. Nothing was sent.",
        id="bare template",
    ),
    # templates
    pytest.param(
        AGES,
        {"template": '{"a": {{ agee }}}'},
        ("Line 1 of the template uses 'agee', which the frame has no column of. Did you mean 'age'? Nothing was sent."),
        id="template near",
    ),
    pytest.param(
        AGES,
        {"template": '{"a": 1,\n"b": {{ zzz }}}'},
        "Line 2 of the template uses 'zzz', which the frame has no column of. Nothing was sent.",
        id="template far",
    ),
    pytest.param(
        AGES,
        {"template": '{"a": {{ age }'},
        "Line 1 of the template: unexpected '}'. Nothing was sent.",
        id="template syntax",
    ),
    pytest.param(
        AGES,
        {"template": "{% if age %}1"},
        (
            "Line 1 of the template: Unexpected end of template. Jinja was looking for the following tags:"
            " 'elif' or 'else' or 'endif'. The innermost block that needs to be closed is 'if'. Nothing was sent."
        ),
        id="template syntax2",
    ),
    pytest.param(
        AGES,
        {"template": "{% foo %}"},
        "Line 1 of the template: Encountered unknown tag 'foo'. Nothing was sent.",
        id="template unknown tag",
    ),
    pytest.param(
        AGES,
        {"template": "{{ age | nofilter }}"},
        "Line 1 of the template: No filter named 'nofilter'. Nothing was sent.",
        id="template filter",
    ),
    pytest.param(
        AGES,
        {"template": "{% include 'a' %}"},
        "Line 1 of the template: there is no other template to include, import or extend. Nothing was sent.",
        id="template include",
    ),
    pytest.param(
        AGES,
        {"template": "{% import 'a' as b %}{{ age }}"},
        "Line 1 of the template: there is no other template to include, import or extend. Nothing was sent.",
        id="template import",
    ),
    pytest.param(AGES, {"template": 7}, "template= takes a text, got int. Nothing was sent.", id="template notext"),
    pytest.param(
        AGES,
        {"template": ""},
        "template= is empty, so there is nothing to send. Nothing was sent.",
        id="template empty",
    ),
    pytest.param(
        AGES,
        {"template": '{"a": {{ age }}'},
        (
            "2 of 2 rows cannot be sent:\n"
            "  row 0: the template gives no JSON, line 1 column 8: unexpected end of data. Values bring their"
            " own quotes; inside quotes write {{ column | text }}.\n"
            "  row 1: the template gives no JSON, line 1 column 8: unexpected end of data. Values bring their"
            " own quotes; inside quotes write {{ column | text }}.\n"
            "Nothing was sent."
        ),
        id="template json",
    ),
    pytest.param(
        one({"a": 1}),
        {"template": "{{ x.b }}"},
        ("1 row cannot be sent:\n  row 0: in the template, 'dict object' has no attribute 'b'.\nNothing was sent."),
        id="template undefined",
    ),
    pytest.param(
        AGES,
        {"template": "{{ row['zzz'] }}"},
        (
            "2 of 2 rows cannot be sent:\n"
            "  row 0: in the template, 'dict object' has no attribute 'zzz'.\n"
            "  row 1: in the template, 'dict object' has no attribute 'zzz'.\n"
            "Nothing was sent."
        ),
        id="template undefined row",
    ),
    pytest.param(
        one(SECRET),
        {"template": "{{ x.__class__ }}"},
        (
            "1 row cannot be sent:\n"
            "  row 0: the template may not do that: access to attribute '__class__' of 'str' object is unsafe.\n"
            "Nothing was sent."
        ),
        id="template sandbox",
    ),
    pytest.param(
        one([1]),
        {"template": "{{ x.append(1) }}"},
        (
            "1 row cannot be sent:\n"
            "  row 0: the template may not do that: access to attribute 'append' of 'list' object is unsafe.\n"
            "Nothing was sent."
        ),
        id="template sandbox2",
    ),
    pytest.param(
        rows_of([0, 1]),
        {"template": "{{ 1 / x }}"},
        ("1 row cannot be sent:\n  row 0: the template fails: division by zero.\nNothing was sent."),
        id="template div 2",
    ),
    pytest.param(
        one(SECRET),
        {"template": "{{ x + 1 }}"},
        (
            "1 row cannot be sent:\n"
            '  row 0: the template fails: can only concatenate str (not "int") to str.\n'
            "Nothing was sent."
        ),
        id="template type",
    ),
    pytest.param(
        one({SECRET: 1}),
        {"template": "{{ x['nope'] }}"},
        ("1 row cannot be sent:\n  row 0: in the template, 'dict object' has no attribute 'nope'.\nNothing was sent."),
        id="template keyed",
    ),
    pytest.param(
        one(b"raw"),
        {"template": "{{ x }}"},
        (
            "1 row cannot be sent:\n"
            "  row 0: column 'x': a value of type bytes cannot be written as JSON; make it a text, with base64"
            " for example, or send it alone as application/octet-stream.\n"
            "Nothing was sent."
        ),
        id="template bytes",
    ),
    pytest.param(
        ONE.assign(y=np.inf),
        {"template": "{{ y }}"},
        (
            "1 row cannot be sent:\n"
            "  row 0: column 'y': an infinite number cannot be written as JSON; replace it, or send text/csv.\n"
            "Nothing was sent."
        ),
        id="template inf",
    ),
    pytest.param(
        one("\ud800"),
        {"template": "{{ x }}"},
        (
            "1 row cannot be sent:\n"
            "  row 0: column 'x': a text with a lone surrogate cannot be written as JSON; text.encode('utf-8',"
            " 'replace').decode() repairs it.\n"
            "Nothing was sent."
        ),
        id="template surrogate",
    ),
    pytest.param(
        one("\ud800"),
        {"template": "{{ x }}", "content_type": "text/plain"},
        (
            "1 row cannot be sent:\n"
            "  row 0: column 'x': a text with a lone surrogate cannot be written as text; text.encode('utf-8',"
            " 'replace').decode() repairs it.\n"
            "Nothing was sent."
        ),
        id="template surrogate text",
    ),
    pytest.param(
        ONE,
        {"template": "\ud800{{ x }}", "content_type": "text/plain"},
        (
            "The template cannot be compiled: a text with a lone surrogate cannot be written as text;"
            " text.encode('utf-8', 'replace').decode() repairs it. Nothing was sent."
        ),
        id="template surrogate src",
    ),
    pytest.param(
        ONE,
        {"template": "{% for i in range(9) %}{{ x }}{% endfor %}"},
        "Line 1 of the template uses 'range', which the frame has no column of. Nothing was sent.",
        id="template loop",
    ),
    pytest.param(
        one("{0.__class__}"),
        {"template": "{{ x.format(1) }}"},
        (
            "1 row cannot be sent:\n"
            "  row 0: the template may not do that: access to attribute '__class__' of 'int' object is unsafe.\n"
            "Nothing was sent."
        ),
        id="template format",
    ),
    pytest.param(
        one("abc"),
        {"template": "{{ x.upper }}"},
        (
            "1 row cannot be sent:\n"
            "  row 0: the template fails: a value of type builtin_function_or_method cannot be written as JSON.\n"
            "Nothing was sent."
        ),
        id="template method",
    ),
    pytest.param(
        ONE,
        {"template": "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}"},
        ("1 row cannot be sent:\n  row 0: the template fails: it calls itself without end.\nNothing was sent."),
        id="template recursion",
    ),
    pytest.param(
        AGES,
        {"template": "{{ age }}", "content_type": "application/x-parquet"},
        (
            "A template writes text, which application/x-parquet is not; leave template= out and choose"
            " columns=. Nothing was sent."
        ),
        id="template parquet",
    ),
    pytest.param(
        AGES,
        {"template": "{{ age }}", "content_type": "application/x-npy", "rows_per_request": 2},
        (
            "A template writes text, which application/x-npy is not; leave template= out and choose columns=."
            " Nothing was sent."
        ),
        id="template packed npy",
    ),
    pytest.param(
        one("abc"),
        {"template": "{{ x.index('z') }}"},
        ("1 row cannot be sent:\n  row 0: the template fails: substring not found.\nNothing was sent."),
        id="template value error",
    ),
    pytest.param(
        rows_of(["a\nb", "c"]),
        {"template": "{{ x }}", "content_type": "text/csv", "rows_per_request": 2},
        (
            "1 row cannot be sent:\n"
            "  row 0: a row with a line break cannot share a request with others; send one row a request.\n"
            "Nothing was sent."
        ),
        id="template csv newline packed",
    ),
    # payload
    pytest.param(
        ONE,
        {"payload": 7},
        "payload= takes a function of the row or a serializer, got int. Nothing was sent.",
        id="payload notcallable",
    ),
    pytest.param(
        ONE,
        {"payload": "x"},
        "payload= takes a function of the row or a serializer, got str. Nothing was sent.",
        id="payload str",
    ),
    pytest.param(
        ONE,
        {"payload": lambda: 1},
        "payload= takes a function of one argument, the row: too many positional arguments. Nothing was sent.",
        id="payload arity0",
    ),
    pytest.param(
        ONE,
        {"payload": lambda row, other: 1},
        ("payload= takes a function of one argument, the row: missing a required argument: 'other'. Nothing was sent."),
        id="payload arity2",
    ),
    pytest.param(
        ONE,
        {"payload": lambda *, row: 1},
        "payload= takes a function of one argument, the row: too many positional arguments. Nothing was sent.",
        id="payload kwonly",
    ),
    pytest.param(
        ONE,
        {"payload": broken},
        ("1 row cannot be sent:\n  row 0: payload= raised KeyError: 'amount'.\nNothing was sent."),
        id="payload raises",
    ),
    pytest.param(
        ONE,
        {"payload": lambda row: {1}},
        ("1 row cannot be sent:\n  row 0: a value of type set cannot be written as JSON.\nNothing was sent."),
        id="payload type json",
    ),
    pytest.param(
        ONE,
        {"payload": lambda row: 7, "content_type": "text/csv"},
        ("1 row cannot be sent:\n  row 0: payload= gave a value of type int; return bytes or text.\nNothing was sent."),
        id="payload type csv",
    ),
    pytest.param(
        ONE,
        {"payload": lambda row: None},
        (
            "1 row cannot be sent:\n"
            "  row 0: payload= gave None; return the payload, or b'null' if that is meant.\n"
            "Nothing was sent."
        ),
        id="payload none",
    ),
    pytest.param(
        ONE,
        {"payload": lambda row: None, "content_type": "text/csv"},
        (
            "1 row cannot be sent:\n"
            "  row 0: payload= gave None; return the payload, or b'null' if that is meant.\n"
            "Nothing was sent."
        ),
        id="payload none csv",
    ),
    pytest.param(
        ONE,
        {"payload": lambda row: "\ud800"},
        (
            "1 row cannot be sent:\n"
            "  row 0: a text with a lone surrogate cannot be written as text; text.encode('utf-8',"
            " 'replace').decode() repairs it.\n"
            "Nothing was sent."
        ),
        id="payload surrogate",
    ),
    pytest.param(
        ONE,
        {"payload": lambda row: object()},
        ("1 row cannot be sent:\n  row 0: a value of type object cannot be written as JSON.\nNothing was sent."),
        id="payload coroutine",
    ),
    pytest.param(
        ONE,
        {"payload": Serializer},
        "payload= takes a serializer itself, got the class; write Serializer(). Nothing was sent.",
        id="payload cls",
    ),
    pytest.param(
        ONE,
        {"payload": Serializer()},
        ("1 row cannot be sent:\n  row 0: payload= raised RuntimeError: no form for it.\nNothing was sent."),
        id="payload serializer raises",
    ),
    pytest.param(
        ONE,
        {"payload": ListSerializer()},
        (
            "1 row cannot be sent:\n"
            "  row 0: payload= gave a value of type list; return bytes or text.\n"
            "Nothing was sent."
        ),
        id="payload serializer type",
    ),
    pytest.param(
        ONE,
        {"payload": NoTypeSerializer()},
        "ContentType must be text, got None. Nothing was sent.",
        id="payload serializer notype",
    ),
    pytest.param(
        ONE,
        {"payload": lambda row: {"1": 1, 1: 2}},
        (
            "1 row cannot be sent:\n"
            "  row 0: a dict with two keys of one name cannot be written as JSON.\n"
            "Nothing was sent."
        ),
        id="payload duplicate dict",
    ),
    pytest.param(
        AGES,
        {"payload": lambda row: b"", "content_type": "image/png", "rows_per_request": 2},
        (
            "Several rows of image/png cannot be put into one request, since nothing says how; leave"
            " rows_per_request at 1. Nothing was sent."
        ),
        id="payload packed octet",
    ),
    pytest.param(
        ONE,
        {"payload": endless},
        ("1 row cannot be sent:\n  row 0: payload= raised RecursionError: deep.\nNothing was sent."),
        id="payload memoryerr",
    ),
    # codecs
    pytest.param(
        pd.DataFrame({"x": [1.5, np.nan]}),
        {"nan": "error"},
        (
            "1 row cannot be sent:\n"
            "  row 1: column 'x': a value is missing; fill it, or choose nan='null'.\n"
            "Nothing was sent."
        ),
        id="json nan error",
    ),
    pytest.param(
        one({1}),
        {},
        (
            "1 row cannot be sent:\n"
            "  row 0: column 'x': a value of type set cannot be written as JSON.\n"
            "Nothing was sent."
        ),
        id="json set",
    ),
    pytest.param(
        one(SECRET.encode()),
        {},
        (
            "1 row cannot be sent:\n"
            "  row 0: column 'x': a value of type bytes cannot be written as JSON; make it a text, with base64"
            " for example, or send it alone as application/octet-stream.\n"
            "Nothing was sent."
        ),
        id="json bytes",
    ),
    pytest.param(
        one(1j),
        {},
        (
            "1 row cannot be sent:\n"
            "  row 0: column 'x': a value of type complex cannot be written as JSON.\n"
            "Nothing was sent."
        ),
        id="json complex",
    ),
    pytest.param(
        pd.DataFrame({"x": [1.5, np.inf]}),
        {},
        (
            "1 row cannot be sent:\n"
            "  row 1: column 'x': an infinite number cannot be written as JSON; replace it, or send text/csv.\n"
            "Nothing was sent."
        ),
        id="json inf",
    ),
    pytest.param(
        one("\ud800"),
        {},
        (
            "1 row cannot be sent:\n"
            "  row 0: column 'x': a text with a lone surrogate cannot be written as JSON; text.encode('utf-8',"
            " 'replace').decode() repairs it.\n"
            "Nothing was sent."
        ),
        id="json surrogate",
    ),
    pytest.param(
        one(functools.reduce(lambda a, _: [a], range(300), 1)),
        {},
        (
            "1 row cannot be sent:\n"
            "  row 0: column 'x': a value nested more than 200 deep cannot be written as JSON.\n"
            "Nothing was sent."
        ),
        id="json deep",
    ),
    pytest.param(
        one(pd.Interval(0, 1)),
        {},
        (
            "1 row cannot be sent:\n"
            "  row 0: column 'x': a value of type Interval cannot be written as JSON.\n"
            "Nothing was sent."
        ),
        id="json interval",
    ),
    pytest.param(
        one(10**5000),
        {},
        (
            "1 row cannot be sent:\n"
            "  row 0: column 'x': a number of 16,610 bits cannot be written as JSON.\n"
            "Nothing was sent."
        ),
        id="json bigint",
    ),
    pytest.param(
        one({(1, 2): 3}),
        {},
        (
            "1 row cannot be sent:\n"
            "  row 0: column 'x': a dict with a key of type tuple cannot be written as JSON.\n"
            "Nothing was sent."
        ),
        id="json tuplekey",
    ),
    pytest.param(
        one(pd.Series([1])),
        {},
        (
            "1 row cannot be sent:\n"
            "  row 0: column 'x': a value of type Series cannot be written as JSON.\n"
            "Nothing was sent."
        ),
        id="json series",
    ),
    pytest.param(
        AGES,
        {"bare": True},
        ("A bare value is made of exactly one column, got 2; choose it with columns=. Nothing was sent."),
        id="json bare two",
    ),
    pytest.param(
        ONE,
        {"bare": True, "nan": "omit"},
        ("nan='omit' leaves a key out, and a bare value has none; use nan='null' or nan='error'. Nothing was sent."),
        id="json bare omit",
    ),
    pytest.param(
        one([1]),
        {"content_type": "text/csv"},
        (
            "1 row cannot be sent:\n"
            "  row 0: column 'x': a list cannot be written as CSV; send application/json.\n"
            "Nothing was sent."
        ),
        id="csv list",
    ),
    pytest.param(
        one({"a": 1}),
        {"content_type": "text/csv"},
        (
            "1 row cannot be sent:\n"
            "  row 0: column 'x': a dict cannot be written as CSV; send application/json.\n"
            "Nothing was sent."
        ),
        id="csv dict",
    ),
    pytest.param(
        one(None),
        {"content_type": "text/csv", "nan": "error"},
        (
            "1 row cannot be sent:\n"
            "  row 0: column 'x': a value is missing; fill it, or choose nan='null'.\n"
            "Nothing was sent."
        ),
        id="csv nan",
    ),
    pytest.param(
        ONE,
        {"content_type": "text/csv", "nan": "omit"},
        "nan='omit' leaves a key out, and text/csv has none; use nan='null' or nan='error'. Nothing was sent.",
        id="csv omit",
    ),
    pytest.param(
        one("\ud800"),
        {"content_type": "text/csv"},
        (
            "1 row cannot be sent:\n"
            "  row 0: column 'x': a text with a lone surrogate cannot be written as CSV; text.encode('utf-8',"
            " 'replace').decode() repairs it.\n"
            "Nothing was sent."
        ),
        id="csv surrogate",
    ),
    pytest.param(
        one(b"a"),
        {"content_type": "text/csv"},
        (
            "1 row cannot be sent:\n"
            "  row 0: column 'x': a value of type bytes cannot be written as CSV; make it a text, with base64"
            " for example, or send it alone as application/octet-stream.\n"
            "Nothing was sent."
        ),
        id="csv bytes",
    ),
    pytest.param(
        one("a"),
        {"content_type": "text/libsvm"},
        (
            "1 row cannot be sent:\n"
            "  row 0: column 'x': a value of type str cannot be written as libsvm, which has numbers only.\n"
            "Nothing was sent."
        ),
        id="libsvm text",
    ),
    pytest.param(
        pd.DataFrame({"x": [np.inf]}),
        {"content_type": "text/libsvm"},
        (
            "1 row cannot be sent:\n"
            "  row 0: column 'x': an infinite number cannot be written as libsvm; replace it, or send text/csv.\n"
            "Nothing was sent."
        ),
        id="libsvm inf",
    ),
    pytest.param(
        one(pd.Timestamp("2026-01-01")),
        {"content_type": "text/libsvm"},
        (
            "1 row cannot be sent:\n"
            "  row 0: column 'x': a value of type str cannot be written as libsvm, which has numbers only.\n"
            "Nothing was sent."
        ),
        id="libsvm time",
    ),
    pytest.param(
        AGES,
        {"content_type": "text/plain"},
        ("A payload of text/plain is made of exactly one column, got 2; choose it with columns=. Nothing was sent."),
        id="text two",
    ),
    pytest.param(
        one([1]),
        {"content_type": "text/plain"},
        (
            "1 row cannot be sent:\n"
            "  row 0: column 'x': a list cannot be written as text; send application/json.\n"
            "Nothing was sent."
        ),
        id="text list",
    ),
    pytest.param(
        one(None),
        {"content_type": "text/plain", "nan": "error"},
        (
            "1 row cannot be sent:\n"
            "  row 0: column 'x': a value is missing; fill it, or choose nan='null'.\n"
            "Nothing was sent."
        ),
        id="text nan",
    ),
    pytest.param(
        rows_of(["a\nb", "c"]),
        {"content_type": "text/plain", "rows_per_request": 2},
        (
            "1 row cannot be sent:\n"
            "  row 0: column 'x': a text with a line break cannot share a request with others; send one row a"
            " request, or application/json.\n"
            "Nothing was sent."
        ),
        id="text break",
    ),
    pytest.param(
        one("a"),
        {"content_type": "application/x-npy"},
        (
            "1 row cannot be sent:\n"
            "  row 0: column 'x': a value of type str cannot be written as NPY; give the column a numeric dtype,"
            " or arrays of one shape.\n"
            "Nothing was sent."
        ),
        id="npy object",
    ),
    pytest.param(
        pd.DataFrame({"a": [1], "b": pd.Series(["x"], dtype=object)}),
        {"content_type": "application/x-npy"},
        (
            "1 row cannot be sent:\n"
            "  row 0: column 'b': values of dtype object cannot be written as NPY beside others; it has numbers"
            " only.\n"
            "Nothing was sent."
        ),
        id="npy objects2",
    ),
    pytest.param(
        one([[1], [1, 2]]),
        {"content_type": "application/x-npy"},
        (
            "1 row cannot be sent:\n"
            "  row 0: column 'x': a list whose parts differ in length cannot be written as NPY.\n"
            "Nothing was sent."
        ),
        id="npy ragged",
    ),
    pytest.param(
        one(["a"]),
        {"content_type": "application/x-npy"},
        (
            "1 row cannot be sent:\n"
            "  row 0: column 'x': an array of dtype <U1 cannot be written as NPY; it has numbers only.\n"
            "Nothing was sent."
        ),
        id="npy arraytext",
    ),
    pytest.param(
        rows_of([[1], [1, 2]]),
        {"content_type": "application/x-npy", "rows_per_request": 2},
        (
            "1 row cannot be sent:\n"
            "  row 0: column 'x': arrays of shapes (1,) and (2,) cannot share a request.\n"
            "Nothing was sent."
        ),
        id="npy shapes",
    ),
    pytest.param(
        pd.DataFrame({"a": [2**53 + 1], "b": [0.5]}),
        {"content_type": "application/x-npy"},
        (
            "1 row cannot be sent:\n"
            "  row 0: column 'a': a whole number does not fit float64 exactly; send it as a text, or"
            " application/json.\n"
            "Nothing was sent."
        ),
        id="npy exact",
    ),
    pytest.param(
        pd.DataFrame({"a": [np.nan]}),
        {"content_type": "application/x-npy", "nan": "error"},
        (
            "1 row cannot be sent:\n"
            "  row 0: column 'a': a value is missing; fill it, or choose nan='null'.\n"
            "Nothing was sent."
        ),
        id="npy nan",
    ),
    pytest.param(
        one(None),
        {"content_type": "application/x-npy"},
        (
            "1 row cannot be sent:\n"
            "  row 0: column 'x': a value of type NoneType cannot be written as NPY; give the column a numeric"
            " dtype, or arrays of one shape.\n"
            "Nothing was sent."
        ),
        id="npy none",
    ),
    pytest.param(
        one([2**70]),
        {"content_type": "application/x-npy"},
        (
            "1 row cannot be sent:\n"
            "  row 0: column 'x': an array of dtype object cannot be written as NPY; it has numbers only.\n"
            "Nothing was sent."
        ),
        id="npy huge",
    ),
    pytest.param(
        rows_of([1, "a"]),
        {"content_type": "application/x-parquet", "rows_per_request": 2},
        (
            "1 row cannot be sent:\n"
            "  row 0: column 'x': values of these types cannot be one Parquet column: int, str.\n"
            "Nothing was sent."
        ),
        id="parquet mixed",
    ),
    pytest.param(
        rows_of([1, "a"]),
        {"content_type": "application/x-parquet"},
        (
            "1 row cannot be sent:\n"
            "  row 0: column 'x': values of these types cannot be one Parquet column: int, str.\n"
            "Nothing was sent."
        ),
        id="parquet mixed 1",
    ),
    pytest.param(
        one(object()),
        {"content_type": "application/x-parquet"},
        (
            "1 row cannot be sent:\n"
            "  row 0: column 'x': values of these types cannot be one Parquet column: object.\n"
            "Nothing was sent."
        ),
        id="parquet obj",
    ),
    pytest.param(
        one(None),
        {"content_type": "application/x-parquet", "nan": "error"},
        (
            "1 row cannot be sent:\n"
            "  row 0: column 'x': a value is missing; fill it, or choose nan='null'.\n"
            "Nothing was sent."
        ),
        id="parquet nan",
    ),
    pytest.param(
        pd.DataFrame({"x": [1j]}),
        {"content_type": "application/x-parquet"},
        (
            "1 row cannot be sent:\n"
            "  row 0: column 'x': values of these types cannot be one Parquet column: complex.\n"
            "Nothing was sent."
        ),
        id="parquet complex",
    ),
    pytest.param(
        AGES,
        {"content_type": "image/png"},
        ("A payload of image/png is made of exactly one column, got 2; choose it with columns=. Nothing was sent."),
        id="raw two",
    ),
    pytest.param(
        one("/no/such/file.png"),
        {"content_type": "image/png"},
        (
            "1 row cannot be sent:\n"
            "  row 0: column 'x': the file '/no/such/file.png' cannot be read: No such file or directory.\n"
            "Nothing was sent."
        ),
        id="raw missingfile",
    ),
    pytest.param(
        one(None),
        {"content_type": "image/png"},
        (
            "1 row cannot be sent:\n"
            "  row 0: column 'x': a value is missing, which raw bytes cannot say; drop the row.\n"
            "Nothing was sent."
        ),
        id="raw missing",
    ),
    pytest.param(
        rows_of(["s3://b/k", b"raw"]),
        {"content_type": "image/png"},
        (
            "1 row cannot be sent:\n"
            "  row 0: column 'x': 's3://b/k' is no local path; download it, or name the column as"
            " input_location=.\n"
            "Nothing was sent."
        ),
        id="raw mixed",
    ),
    pytest.param(
        rows_of(["s3://b/k", None]),
        {"content_type": "image/png"},
        (
            "2 of 2 rows cannot be sent:\n"
            "  row 0: column 'x': 's3://b/k' is no local path; download it, or name the column as"
            " input_location=.\n"
            "  row 1: column 'x': a value is missing, which raw bytes cannot say; drop the row.\n"
            "Nothing was sent."
        ),
        id="raw s3 missing",
    ),
    pytest.param(
        one("https://h/k.png"),
        {"content_type": "image/png"},
        (
            "1 row cannot be sent:\n"
            "  row 0: column 'x': 'https://h/k.png' is no local path; download it, or name the column as"
            " input_location=.\n"
            "Nothing was sent."
        ),
        id="raw http",
    ),
    pytest.param(
        one(7),
        {"content_type": "image/png"},
        (
            "1 row cannot be sent:\n"
            "  row 0: column 'x': a value of type int is neither bytes nor the path of a local file.\n"
            "Nothing was sent."
        ),
        id="raw number",
    ),
    pytest.param(
        one([1, 2]),
        {"content_type": "image/png"},
        (
            "1 row cannot be sent:\n"
            "  row 0: column 'x': a value of type list is neither bytes nor the path of a local file.\n"
            "Nothing was sent."
        ),
        id="raw list",
    ),
    pytest.param(
        one("a\0b"),
        {"content_type": "image/png"},
        (
            "1 row cannot be sent:\n"
            "  row 0: column 'x': 'a\\x00b' is neither bytes nor the path of a local file.\n"
            "Nothing was sent."
        ),
        id="raw null",
    ),
    pytest.param(
        one("s3://"),
        {"content_type": "image/png"},
        (
            "1 row cannot be sent:\n"
            "  row 0: InputLocation must match ^(https|s3)://([^/]+)/?(.*)$, got 's3://'.\n"
            "Nothing was sent."
        ),
        id="raw s3 bad",
    ),
    pytest.param(
        one(np.array([1, 2])),
        {"content_type": "image/png"},
        (
            "1 row cannot be sent:\n"
            "  row 0: column 'x': a value of type ndarray is neither bytes nor the path of a local file.\n"
            "Nothing was sent."
        ),
        id="raw array",
    ),
    pytest.param(
        rows_of([b"a", b"b"]),
        {"content_type": "image/png", "rows_per_request": 2},
        "Several rows cannot share a request of image/png; leave rows_per_request at 1. Nothing was sent.",
        id="raw packed",
    ),
    pytest.param(
        rows_of(["s3://b/k", "s3://b/l"]),
        {"content_type": "image/png", "rows_per_request": 2},
        (
            "The inputs of column 'x' are in S3 already, one for each row; rows_per_request, max_payload_bytes"
            " and inline='always' have no meaning then. Nothing was sent."
        ),
        id="raw s3 packed",
    ),
    pytest.param(
        rows_of(["s3://b/k", "s3://b/l"]),
        {"content_type": "image/png", "inline": "always"},
        (
            "The inputs of column 'x' are in S3 already, one for each row; rows_per_request, max_payload_bytes"
            " and inline='always' have no meaning then. Nothing was sent."
        ),
        id="raw s3 inline",
    ),
    pytest.param(
        rows_of([b"a", b"b"]),
        {"content_type": "image/png", "max_payload_bytes": 10},
        "Several rows cannot share a request of image/png; leave rows_per_request at 1. Nothing was sent.",
        id="raw maxbytes",
    ),
    pytest.param(
        one(b"a"),
        {"content_type": "image/png", "nan": "omit"},
        ("nan='omit' leaves a key out, and image/png has none; use nan='null' or nan='error'. Nothing was sent."),
        id="raw omit",
    ),
    # terms
    pytest.param(
        ONE,
        {"rows_per_request": 0},
        "rows_per_request must be a whole number of at least 1, got 0. Nothing was sent.",
        id="rows per request 0",
    ),
    pytest.param(
        ONE,
        {"rows_per_request": -1},
        "rows_per_request must be a whole number of at least 1, got -1. Nothing was sent.",
        id="rows per request neg",
    ),
    pytest.param(
        ONE,
        {"rows_per_request": 1.5},
        "rows_per_request must be a whole number of at least 1, got 1.5. Nothing was sent.",
        id="rows per request float",
    ),
    pytest.param(
        ONE,
        {"rows_per_request": True},
        "rows_per_request must be a whole number of at least 1, got True. Nothing was sent.",
        id="rows per request bool",
    ),
    pytest.param(
        ONE,
        {"rows_per_request": "many"},
        "rows_per_request must be a whole number of at least 1, got 'many'. Nothing was sent.",
        id="rows per request text",
    ),
    pytest.param(
        ONE,
        {"rows_per_request": np.int64(0)},
        "rows_per_request must be a whole number of at least 1, got 0. Nothing was sent.",
        id="rows per request numpy",
    ),
    pytest.param(
        ONE,
        {"max_payload_bytes": 0},
        "max_payload_bytes must be a whole number of at least 1, got 0. Nothing was sent.",
        id="max payload bytes 0",
    ),
    pytest.param(
        ONE,
        {"max_payload_bytes": "1MB"},
        "max_payload_bytes must be a whole number of at least 1, got '1MB'. Nothing was sent.",
        id="max payload bytes text",
    ),
    pytest.param(
        ONE,
        {"max_payload_bytes": 100, "content_type": "application/x-npy"},
        (
            "max_payload_bytes needs a type whose rows add up: JSON, JSON Lines, CSV, libsvm or text. Use"
            " rows_per_request instead. Nothing was sent."
        ),
        id="max payload bytes npy",
    ),
    pytest.param(
        one("y" * 100),
        {"max_payload_bytes": 50},
        (
            "1 row cannot be sent:\n"
            "  row 0: its payload has 110 bytes, and max_payload_bytes allows 50 at most.\n"
            "Nothing was sent."
        ),
        id="max payload bytes row",
    ),
    pytest.param(
        ONE,
        {"inline": "yes"},
        "inline must be one of 'never', 'auto', 'always', got 'yes'. Nothing was sent.",
        id="inline wrong",
    ),
    pytest.param(
        ONE,
        {"inline": True},
        "inline must be one of 'never', 'auto', 'always', got True. Nothing was sent.",
        id="inline bool",
    ),
    pytest.param(
        ONE,
        {"inline": ["auto"]},
        "inline must be one of 'never', 'auto', 'always', got ['auto']. Nothing was sent.",
        id="inline list",
    ),
    pytest.param(
        rows_of(["small", "y" * 130_000]),
        {"inline": "always"},
        (
            "1 row cannot be sent:\n"
            "  row 1: its payload has 130,008 bytes, and a request carries 128,000 at most.\n"
            "Nothing was sent."
        ),
        id="inline large",
    ),
    pytest.param(
        ONE,
        {"deduplicate": "yes"},
        "deduplicate must be True or False, got 'yes'. Nothing was sent.",
        id="deduplicate text",
    ),
    pytest.param(ONE, {"bare": "x"}, "bare must be True or False, got 'x'. Nothing was sent.", id="bare text"),
    pytest.param(
        ONE,
        {"nan": "drop"},
        "nan must be one of 'null', 'error', 'omit', got 'drop'. Nothing was sent.",
        id="nan wrong",
    ),
    pytest.param(
        ONE, {"nan": np.nan}, "nan must be one of 'null', 'error', 'omit', got nan. Nothing was sent.", id="nan npnan"
    ),
    pytest.param(
        ONE, {"nan": None}, "nan must be one of 'null', 'error', 'omit', got None. Nothing was sent.", id="nan none"
    ),
    pytest.param(
        ONE,
        {"wrap": "rows"},
        "wrap must be one of 'array', 'instances', got 'rows'. Nothing was sent.",
        id="wrap wrong",
    ),
    pytest.param(
        ONE,
        {"wrap": ["array"]},
        "wrap must be one of 'array', 'instances', got ['array']. Nothing was sent.",
        id="wrap list",
    ),
    pytest.param(
        ONE,
        {"nan": ["null"]},
        "nan must be one of 'null', 'error', 'omit', got ['null']. Nothing was sent.",
        id="nan list",
    ),
    pytest.param(
        ONE,
        {"wrap": "rows", "template": "{{ x }}"},
        "wrap must be one of 'array', 'instances', got 'rows'. Nothing was sent.",
        id="wrap template",
    ),
    pytest.param(
        one("s3://b/k"),
        {"input_location": "x", "rows_per_request": 2},
        (
            "With input_location= the inputs are in S3 already, one for each row; rows_per_request,"
            " max_payload_bytes and inline='always' have no meaning then. Nothing was sent."
        ),
        id="input location packed",
    ),
    pytest.param(
        one("s3://b/k"),
        {"input_location": "x", "max_payload_bytes": 5},
        (
            "With input_location= the inputs are in S3 already, one for each row; rows_per_request,"
            " max_payload_bytes and inline='always' have no meaning then. Nothing was sent."
        ),
        id="input location max",
    ),
    pytest.param(
        one("s3://b/k"),
        {"input_location": "x", "inline": "always"},
        (
            "With input_location= the inputs are in S3 already, one for each row; rows_per_request,"
            " max_payload_bytes and inline='always' have no meaning then. Nothing was sent."
        ),
        id="input location inline",
    ),
    pytest.param(
        pd.DataFrame({"x": [1, 2], "ttl": [60, 61]}),
        {"rows_per_request": 2, "request_ttl_seconds": "ttl"},
        (
            "1 row cannot be sent:\n"
            "  row 0: RequestTTLSeconds differs among the rows of its request; sort the frame so that rows with"
            " the same are together, or send one row a request.\n"
            "Nothing was sent."
        ),
        id="pack differ",
    ),
    pytest.param(
        pd.DataFrame({"x": [1, 2], "id": ["a", "b"]}),
        {"rows_per_request": 2, "inference_id": "id"},
        (
            "1 row cannot be sent:\n"
            "  row 0: InferenceId differs among the rows of its request; sort the frame so that rows with the"
            " same are together, or send one row a request.\n"
            "Nothing was sent."
        ),
        id="pack ids",
    ),
    pytest.param(
        AGES,
        {"rows_per_request": 2, "inference_id": "job"},
        ("inference_id= must differ from row to row: give a column's name or a template, got 'job'. Nothing was sent."),
        id="pack constant inference id",
    ),
    pytest.param(
        pd.DataFrame({"x": [1, 2], "note": [SECRET, "b"]}),
        {"rows_per_request": 2, "custom_attributes": "note"},
        (
            "1 row cannot be sent:\n"
            "  row 0: CustomAttributes differs among the rows of its request; sort the frame so that rows with"
            " the same are together, or send one row a request.\n"
            "Nothing was sent."
        ),
        id="pack differ custom attributes",
    ),
    pytest.param(
        AGES,
        {"deduplicate": True, "inference_id": "a"},
        ("inference_id= must differ from row to row: give a column's name or a template, got 'a'. Nothing was sent."),
        id="deduplicate inference id constant",
    ),
    # labels
    pytest.param(
        sets(range(6)),
        {},
        (
            "6 of 6 rows cannot be sent:\n"
            "  row 0: column 'x': a value of type set cannot be written as JSON.\n"
            "  row 1: column 'x': a value of type set cannot be written as JSON.\n"
            "  row 2: column 'x': a value of type set cannot be written as JSON.\n"
            "  row 3: column 'x': a value of type set cannot be written as JSON.\n"
            "  row 4: column 'x': a value of type set cannot be written as JSON.\n"
            "  and 1 more\n"
            "Nothing was sent."
        ),
        id="six",
    ),
    pytest.param(
        sets(pd.Index([5, 6])),
        {},
        (
            "2 of 2 rows cannot be sent:\n"
            "  row 5: column 'x': a value of type set cannot be written as JSON.\n"
            "  row 6: column 'x': a value of type set cannot be written as JSON.\n"
            "Nothing was sent."
        ),
        id="label int64",
    ),
    pytest.param(
        sets(pd.DatetimeIndex(["2026-01-01", "2026-01-02"])),
        {},
        (
            "2 of 2 rows cannot be sent:\n"
            "  row Timestamp('2026-01-01 00:00:00'): column 'x': a value of type set cannot be written as JSON.\n"
            "  row Timestamp('2026-01-02 00:00:00'): column 'x': a value of type set cannot be written as JSON.\n"
            "Nothing was sent."
        ),
        id="label timestamp",
    ),
    pytest.param(
        sets(pd.DatetimeIndex(["2026-01-01"], tz="UTC")),
        {},
        (
            "1 row cannot be sent:\n"
            "  row Timestamp('2026-01-01 00:00:00+0000', tz='UTC'): column 'x': a value of type set cannot be"
            " written as JSON.\n"
            "Nothing was sent."
        ),
        id="label timestamp with zone",
    ),
    pytest.param(
        sets(pd.MultiIndex.from_tuples([("a", 1), ("b", 2)])),
        {},
        (
            "2 of 2 rows cannot be sent:\n"
            "  row ('a', 1): column 'x': a value of type set cannot be written as JSON.\n"
            "  row ('b', 2): column 'x': a value of type set cannot be written as JSON.\n"
            "Nothing was sent."
        ),
        id="label multi",
    ),
    pytest.param(
        sets(pd.MultiIndex.from_product([["a"], pd.DatetimeIndex(["2026-01-01"])])),
        {},
        (
            "1 row cannot be sent:\n"
            "  row ('a', Timestamp('2026-01-01 00:00:00')): column 'x': a value of type set cannot be written as"
            " JSON.\n"
            "Nothing was sent."
        ),
        id="label multi timestamp",
    ),
    pytest.param(
        sets(["a", "a"]),
        {},
        (
            "2 of 2 rows cannot be sent:\n"
            "  row 'a': column 'x': a value of type set cannot be written as JSON.\n"
            "  row 'a': column 'x': a value of type set cannot be written as JSON.\n"
            "Nothing was sent."
        ),
        id="label duplicate",
    ),
    pytest.param(
        sets(pd.Index([0.5, np.nan])),
        {},
        (
            "2 of 2 rows cannot be sent:\n"
            "  row 0.5: column 'x': a value of type set cannot be written as JSON.\n"
            "  row nan: column 'x': a value of type set cannot be written as JSON.\n"
            "Nothing was sent."
        ),
        id="label float",
    ),
    pytest.param(
        sets(pd.PeriodIndex(["2026-01"], freq="M")),
        {},
        (
            "1 row cannot be sent:\n"
            "  row Period('2026-01', 'M'): column 'x': a value of type set cannot be written as JSON.\n"
            "Nothing was sent."
        ),
        id="label period",
    ),
    pytest.param(
        sets(pd.interval_range(0, 1)),
        {},
        (
            "1 row cannot be sent:\n"
            "  row Interval(0, 1, closed='right'): column 'x': a value of type set cannot be written as JSON.\n"
            "Nothing was sent."
        ),
        id="label interval",
    ),
    pytest.param(
        sets(pd.CategoricalIndex(["a"])),
        {},
        (
            "1 row cannot be sent:\n"
            "  row 'a': column 'x': a value of type set cannot be written as JSON.\n"
            "Nothing was sent."
        ),
        id="label category",
    ),
    pytest.param(
        sets(pd.TimedeltaIndex(["1h"])),
        {},
        (
            "1 row cannot be sent:\n"
            "  row Timedelta('0 days 01:00:00'): column 'x': a value of type set cannot be written as JSON.\n"
            "Nothing was sent."
        ),
        id="label timedelta",
    ),
    pytest.param(
        sets(pd.Index([(np.int64(5), np.int64(6)), "b"], dtype=object, tupleize_cols=False)),
        {},
        (
            "2 of 2 rows cannot be sent:\n"
            "  row (5, 6): column 'x': a value of type set cannot be written as JSON.\n"
            "  row 'b': column 'x': a value of type set cannot be written as JSON.\n"
            "Nothing was sent."
        ),
        id="label npobj",
    ),
    pytest.param(
        sets(pd.Index(["a"], dtype="string[pyarrow]")),
        {},
        (
            "1 row cannot be sent:\n"
            "  row 'a': column 'x': a value of type set cannot be written as JSON.\n"
            "Nothing was sent."
        ),
        id="label arrow",
    ),
    pytest.param(
        sets(pd.Index([uuid.UUID(int=1)])),
        {},
        (
            "1 row cannot be sent:\n"
            "  row UUID('00000000-0000-0000-0000-000000000001'): column 'x': a value of type set cannot be"
            " written as JSON.\n"
            "Nothing was sent."
        ),
        id="label uuid",
    ),
    # old
    pytest.param(
        ONE,
        {"filename": "a.out", "_old": True},
        "filename= needs a newer SDK: botocore knows it since 1.42.54. Update boto3. Nothing was sent.",
        id="old file",
    ),
    pytest.param(
        ONE,
        {"s3_output_path_extension": "a", "_old": True},
        (
            "s3_output_path_extension= needs a newer SDK: botocore knows it since 1.42.54. Update boto3. Nothing"
            " was sent."
        ),
        id="old path extension",
    ),
    pytest.param(
        ONE,
        {"s3_output_path_extension": "a", "filename": "b", "request_ttl_seconds": 5, "_old": True},
        (
            "RequestTTLSeconds must be 60 to 21600 seconds, got 5. s3_output_path_extension= needs a newer SDK:"
            " botocore knows it since 1.42.54. Update boto3. filename= needs a newer SDK: botocore knows it"
            " since 1.42.54. Update boto3. Nothing was sent."
        ),
        id="old both",
    ),
    pytest.param(
        ONE,
        {"inline": "always", "_old": True},
        (
            "inline='always' needs an SDK that knows Body, which botocore does since 1.43.29. Update boto3, or"
            " use inline='auto'. Nothing was sent."
        ),
        id="old inline",
    ),
    pytest.param(
        pd.DataFrame([[1, 2]], columns=[1, 2]),
        {"columns": np.array([3])},
        "The frame has no column 3. It has 1, 2. Nothing was sent.",
        id="column numpy name",
    ),
    pytest.param(
        pd.DataFrame([[{1}]], columns=pd.DatetimeIndex(["2026-01-01"])),
        {},
        (
            "1 row cannot be sent:\n"
            "  row 0: column Timestamp('2026-01-01 00:00:00'): a value of type set cannot be written as JSON.\n"
            "Nothing was sent."
        ),
        id="column timestamp name",
    ),
    pytest.param(
        one({SECRET}),
        {"custom_attributes": "{{ x.nope }}"},
        (
            "1 row cannot be sent:\n"
            "  row 0: CustomAttributes: column 'x': a value of type set cannot be written as text.\n"
            "Nothing was sent."
        ),
        id="custom attributes template set",
    ),
    pytest.param(
        AGES,
        {"template": "{{ age }}", "nan": "error"},
        "nan= and bare= say how columns are written, and have no meaning with template=. Nothing was sent.",
        id="nan template",
    ),
    pytest.param(
        pd.DataFrame([[1]], columns=pd.Index(["a\ud800"], dtype=object)),
        {},
        "The column 'a\\ud800' has a lone surrogate in its name, which no payload can carry; rename it."
        " Nothing was sent.",
        id="column surrogate name",
    ),
    pytest.param(
        one([SECRET, {SECRET}]),
        {},
        (
            "1 row cannot be sent:\n"
            "  row 0: column 'x': a value of type set cannot be written as JSON.\n"
            "Nothing was sent."
        ),
        id="json secret nested",
    ),
    pytest.param(
        one("y" * 100),
        {"inline": "always", "max_payload_bytes": 50},
        (
            "1 row cannot be sent:\n"
            "  row 0: its payload has 110 bytes, and max_payload_bytes allows 50 at most.\n"
            "Nothing was sent."
        ),
        id="inline max",
    ),
]


@pytest.mark.parametrize(("frame", "arguments", "expected"), CASES)
def test_what_cannot_be_sent_is_refused_word_for_word(frame, arguments, expected):
    """The fact, where, and the way out; then that nothing was sent; and nothing sensitive in full."""
    message = refusal(frame, **arguments)

    assert expected == message
    assert message.endswith("Nothing was sent.")
    assert SECRET not in message
    assert "np." not in message


def refusal(frame, *, _old=False, **arguments):
    given = RequestArguments(**{"endpoint_name": "churn", **arguments})
    with pytest.raises(RequestError) as caught:
        build_batch(frame, given, OLD if _old else NEW).check()
    return str(caught.value)


def test_the_table_is_long():
    """At least seventy ways to be wrong."""
    assert len(CASES) >= 70


@pytest.mark.parametrize(
    ("frame", "arguments", "expected"),
    [
        (one("abc"), {"payload": lambda row: int(row["x"] * 1_000)}, "row 0: payload= raised ValueError: "),
        (one({}), {"content_type": "application/x-parquet"}, "row 0: Parquet has no form for a column: "),
        (ONE, {"template": "hello"}, "row 0: the template gives no JSON, line 1 column 1: "),
        (one("a"), {"template": '{"a": "{{ x }}"}'}, "inside quotes write {{ column | text }}."),
        (ONE, {"template": "{{ 10 ** 5000 }}"}, "The template cannot be compiled: "),
        (one(1e300), {"template": "{{ x ** 10 }}"}, "row 0: the template fails: "),
    ],
    ids=["a function", "Parquet", "JSON", "quotes in JSON", "Jinja2", "Python"],
)
def test_words_of_others_are_told_within_ours(frame, arguments, expected):
    """Libraries change their words from version to version; they are short, and end in one full stop."""
    message = refusal(frame, **arguments)

    assert expected in message
    assert message.endswith("Nothing was sent.")
    assert (len(message) < 400, ".." in message) == (True, False)


@pytest.mark.parametrize(
    ("frame", "arguments"),
    [
        (ONE, {"request_ttl_seconds": np.int64(60)}),
        (AGES, {"rows_per_request": np.int64(2)}),
        (AGES, {"columns": np.array(["age"], dtype=object)}),
        (pd.DataFrame({"x": [1, 2], "id": ["a", "a"]}), {"rows_per_request": 2, "inference_id": "id"}),
        (pd.DataFrame({"x": [1, 1], "id": ["a", "a"]}), {"deduplicate": True, "inference_id": "id"}),
        (pd.DataFrame({"x": [1, 2], "id": ["a", None]}), {"inference_id": "id"}),
        (one("a"), {"template": '{"a":\n{{ x }}}', "content_type": "application/jsonlines", "rows_per_request": 2}),
        (one(np.inf), {"template": "{{ x }}", "content_type": "text/csv"}),
    ],
    ids=[
        "a number of NumPy",
        "rows as a number of NumPy",
        "columns as an array",
        "an id for the rows of a request",
        "an id for rows that are sent once",
        "an id for some rows",
        "a JSON line written on two",
        "infinity as text",
    ],
)
def test_what_looks_odd_and_can_be_sent_is_sent(frame, arguments):
    """A refusal that is not needed is a wrong one."""
    given = RequestArguments(endpoint_name="churn", **arguments)

    assert build_batch(frame, given, NEW).check() is None


def test_a_json_line_keeps_what_only_looks_like_a_line_break():
    """U+2028 is a character of a text, and no end of a line to JSON."""
    given = RequestArguments(
        endpoint_name="churn", template='{"a":\r\n{{ x }}}\n', content_type="application/jsonlines"
    )

    assert '{"a": "b\u2028c"} \n'.encode() == build_batch(one("b\u2028c"), given, NEW).payload(0)


def test_the_limit_of_the_service_holds_where_a_larger_one_is_asked_for(monkeypatch):
    """max_payload_bytes packs, and allows nothing that the service refuses."""
    monkeypatch.setattr(check_module, "MAX_INPUT_BYTES", 1_000)
    expected = (
        "1 row cannot be sent:\n"
        "  row 0: its payload has 2,010 bytes, and the service takes 1,000 at most.\n"
        "Nothing was sent."
    )

    assert expected == refusal(one("y" * 2_000), max_payload_bytes=5_000)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"errors": "warn"}, "errors must be one of 'raise', 'coerce', 'ignore', got 'warn'."),
        ({"errors": None}, "errors must be one of 'raise', 'coerce', 'ignore', got None."),
        ({"output": 7}, "output must be a JMESPath, a function or 'raw', got int."),
        ({"output": ["a"]}, "output must be a JMESPath, a function or 'raw', got list."),
        ({"explode": "no"}, "explode must be True or False, got 'no'."),
    ],
)
def test_a_shape_of_results_that_there_is_not_is_refused(options, expected):
    """Before an answer is fetched; everything was sent long ago, so nothing is said of it."""
    with pytest.raises(RequestError) as caught:
        Shape(**options)

    assert expected == str(caught.value)


@pytest.mark.parametrize("output", ["a[", "a b", "", "{a: }"])
def test_a_path_that_is_no_jmespath_is_refused(output):
    """JMESPath's own words follow."""
    with pytest.raises(RequestError) as caught:
        Shape(output=output)

    assert str(caught.value).startswith(f"output={output!r} is no JMESPath: ")


@pytest.mark.parametrize("limit", ["concurrency", "max_unrecorded", "max_in_flight"])
@pytest.mark.parametrize("value", [0, -1, 1.5, "8", True, None])
def test_a_limit_that_is_no_number_is_refused(limit, value):
    """True is 1 to Python, and not meant."""
    with pytest.raises(RequestError) as caught:
        Limits(**{limit: value})

    assert f"{limit} must be a whole number of at least 1, got {value!r}. Nothing was sent." == str(caught.value)


@pytest.mark.parametrize("name", ["", "a/b", "-a", "a b", "ü", "x" * 101, "a\n", 7])
def test_a_name_that_no_job_can_have_is_refused(name):
    """It is part of keys in S3."""
    with pytest.raises(RequestError) as caught:
        Wishes(name=name)

    expected = (
        "A job's name is 1 to 100 letters, digits, '-', '_' or '.', beginning with a letter or a digit;"
        f" got {name!r}. Nothing was sent."
    )
    assert expected == str(caught.value)


@pytest.mark.parametrize("wish", ["retry_failed", "restart"])
@pytest.mark.parametrize("value", ["no", 0, None])
def test_a_wish_that_is_neither_true_nor_false_is_refused(wish, value):
    """To Python a text is true, and everything would have been sent again."""
    with pytest.raises(RequestError) as caught:
        Wishes(name="a", **{wish: value})

    assert f"{wish} must be True or False, got {value!r}. Nothing was sent." == str(caught.value)
    assert Wishes(name="a", **{wish: np.True_})


@pytest.mark.parametrize("prefix", ["bucket/in", "s3://", "s3:///in", "https://bucket/in", 7])
def test_a_prefix_that_is_not_in_s3_is_refused(prefix):
    """With what one looks like."""
    with pytest.raises(RequestError) as caught:
        given_prefix(prefix)

    assert str(caught.value).startswith(
        f"The input prefix is wrong. An S3 URI looks like s3://bucket/key, got {prefix!r}."
    )
    assert str(caught.value).endswith(" Nothing was sent.")


@pytest.mark.parametrize(
    "prefix", ["my-bucket/in", "s3//my-bucket/in", "s3:/my-bucket/in", "s3a://my-bucket/in", "S3://my-bucket/in"]
)
def test_a_prefix_that_was_meant_to_be_in_s3_is_told(prefix):
    """What is missing is little."""
    with pytest.raises(RequestError) as caught:
        given_prefix(prefix)

    assert f"got {prefix!r}. Did you mean 's3://my-bucket/in'? Nothing was sent." in str(caught.value)
