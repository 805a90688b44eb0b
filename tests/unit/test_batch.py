"""The requests of a frame: their payloads and fields, and what is refused before anything is sent."""

from __future__ import annotations

import json
import re

import numpy as np
import pandas as pd
import pytest

from sm_async_nb.core import check as check_module
from sm_async_nb.core.batch import check_columns
from sm_async_nb.core.build import RequestArguments, build_batch
from sm_async_nb.core.locations import JobLayout, S3Location
from sm_async_nb.core.request import Field
from sm_async_nb.errors import ColumnNotFoundError, RequestError

INPUT = {"input_location", "body"}
LAYOUT = JobLayout(S3Location("bkt", "in"), "job-1")


def text(member, name, maximum=1024):
    return Field(name=name, member=member, type="string", location="header", maximum=maximum)


def number(member, name, minimum, maximum):
    return Field(name=name, member=member, type="integer", location="header", minimum=minimum, maximum=maximum)


OLD_FIELDS = {
    "endpoint_name": text("EndpointName", "endpoint_name", 63),
    "input_location": text("InputLocation", "input_location"),
    "content_type": text("ContentType", "content_type"),
    "accept": text("Accept", "accept"),
    "custom_attributes": text("CustomAttributes", "custom_attributes"),
    "inference_id": text("InferenceId", "inference_id", 64),
    "request_ttl_seconds": number("RequestTTLSeconds", "request_ttl_seconds", 60, 21_600),
    "invocation_timeout_seconds": number("InvocationTimeoutSeconds", "invocation_timeout_seconds", 1, 3_600),
}
NEW_FIELDS = {
    **OLD_FIELDS,
    "s3_output_path_extension": text("S3OutputPathExtension", "s3_output_path_extension", 512),
    "filename": text("Filename", "filename", 32),
}


def batch_of(frame, columns=None, *, known_fields=NEW_FIELDS, **arguments):
    given = RequestArguments(endpoint_name="churn", columns=columns, **arguments)
    return build_batch(frame, given, known_fields)


def fields_of(batch, request, attempt=0):
    """All that is sent with a request, its input apart."""
    return {name: value for name, value in batch.prepare(request, attempt, LAYOUT).fields.items() if name not in INPUT}


# Payloads


def test_a_request_is_a_row_by_its_position():
    """Labels of an index may repeat; positions do not."""
    frame = pd.DataFrame({"x": [1, 2, 3]}, index=["b", "a", "a"])
    batch = batch_of(frame)

    assert [b'{"x":1}', b'{"x":2}', b'{"x":3}'] == [batch.payload(request) for request in range(len(batch))]


@pytest.mark.parametrize(("rows_per_request", "together"), [(None, 512), (100, 5_000), (6_000, 6_000)])
def test_no_more_rows_are_encoded_at_a_time_than_a_loop_can_wait_for(rows_per_request, together):
    """Requests of many rows are made a few at a time; one of very many cannot be cut."""
    encoded = []
    frame = pd.DataFrame({"x": range(12_000)})
    batch = batch_of(frame, payload=lambda row: encoded.append(row) or row, rows_per_request=rows_per_request)
    batch.check()
    encoded.clear()
    batch.payload(0)

    assert together == len(encoded)


@pytest.mark.parametrize("order", ["forwards", "backwards", "to and fro"])
def test_payloads_are_the_same_in_whatever_order_they_are_asked_for(order):
    """They are made a block of 512 at a time, which nobody can see."""
    frame = pd.DataFrame({"x": range(1_100)})
    asked = {"forwards": range(1_100), "backwards": range(1_099, -1, -1), "to and fro": [0, 1_099, 511, 512, 0, 1_024]}
    batch = batch_of(frame)

    for request in asked[order]:
        assert json.loads(batch.payload(request)) == {"x": request}


def test_chosen_columns_make_the_payload_in_the_order_given():
    """For CSV the order is the meaning."""
    frame = pd.DataFrame({"a": [1], "b": [2], "c": [3]})

    assert batch_of(frame, ["c", "a"], content_type="text/csv").payload(0) == b"3,1\n"


def test_all_columns_make_the_payload_when_none_is_chosen():
    """In the frame's order."""
    assert batch_of(pd.DataFrame({"b": [1], "a": [2]})).payload(0) == b'{"b":1,"a":2}'


def test_columns_with_two_header_lines_are_named_by_tuples():
    """As pandas names them."""
    frame = pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples([("a", "x"), ("a", "y")]))

    assert batch_of(frame, [("a", "y")], content_type="text/csv").payload(0) == b"2\n"


def test_an_empty_frame_is_a_batch_without_requests():
    """Nothing to send, and nothing wrong with it."""
    batch = batch_of(pd.DataFrame({"x": []}))
    batch.check()

    assert (0, "<Batch of 0 requests for 0 rows to churn>") == (len(batch), repr(batch))


# Columns


@pytest.mark.parametrize(
    ("columns", "wanted", "expected"),
    [
        (["plan", "age"], "plam", "The frame has no column 'plam'. Did you mean 'plan'? Nothing was sent."),
        (["plan", "age"], "zzz", "The frame has no column 'zzz'. It has 'plan', 'age'. Nothing was sent."),
        ([], "zzz", "The frame has no column 'zzz'. It has no columns. Nothing was sent."),
        ([1, 2], "1", "The frame has no column '1'. Did you mean 1? Nothing was sent."),
        (
            list("abcdefghi"),
            "zzz",
            "The frame has no column 'zzz'. It has 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', …. Nothing was sent.",
        ),
    ],
    ids=["near", "far", "none", "a text for a number", "many"],
)
def test_a_column_that_is_not_there_is_refused_with_the_nearest_one(columns, wanted, expected):
    """Or with those there are, when none is near."""
    with pytest.raises(ColumnNotFoundError) as refusal:
        batch_of(pd.DataFrame(columns=columns), [wanted])

    assert expected == str(refusal.value)


def test_columns_that_are_there_are_given_back_as_a_list():
    """Any sequence will do, an Index too."""
    frame = pd.DataFrame(columns=["a", "b"])

    assert check_columns(frame, frame.columns) == ["a", "b"]


@pytest.mark.parametrize(("frame", "columns"), [({"a": [1]}, []), ({}, None)], ids=["none chosen", "none there"])
def test_a_batch_without_columns_is_refused(frame, columns):
    """A request without a payload would only come back as the model's confusion."""
    with pytest.raises(RequestError, match="There is no column, so there is nothing to make a payload of"):
        batch_of(pd.DataFrame(frame), columns)


@pytest.mark.parametrize(
    ("columns", "chosen", "told"),
    [
        (["age", "plan"], ["age", "plan", "age"], "The columns 'age' and 'age' would have one name in a payload."),
        ([1, "1"], None, "The columns 1 and '1' would have one name in a payload."),
    ],
    ids=["chosen twice", "a number and its text"],
)
def test_columns_that_would_have_one_name_are_refused(columns, chosen, told):
    """JSON would keep the last of them, and nobody would know."""
    frame = pd.DataFrame([[7, 8]], columns=pd.Index(columns, dtype=object))

    with pytest.raises(RequestError, match=re.escape(f"{told} Nothing was sent.")):
        batch_of(frame, chosen)


# Checks


def test_rows_that_cannot_be_sent_are_listed_by_their_labels():
    """With the reason, and the promise that nothing was sent."""
    frame = pd.DataFrame({"x": [1, {1}, b"raw"]}, index=["c-1", "c-2", "c-3"])

    with pytest.raises(RequestError) as refusal:
        batch_of(frame).check()

    expected = (
        "2 of 3 rows cannot be sent:\n"
        "  row 'c-2': column 'x': a value of type set cannot be written as JSON.\n"
        "  row 'c-3': column 'x': a value of type bytes cannot be written as JSON;"
        " make it a text, with base64 for example, or send it alone as application/octet-stream.\n"
        "Nothing was sent."
    )
    assert expected == str(refusal.value)


def test_one_row_that_cannot_be_sent_is_one_row():
    """The sentence is a sentence."""
    with pytest.raises(RequestError, match=r"\A1 row cannot be sent:\n  row 1: .*\nNothing was sent\.\Z"):
        batch_of(pd.DataFrame({"x": [1, {1}]})).check()


def test_the_first_five_problems_are_shown_and_the_others_counted():
    """Across blocks: a message stays a message when a million rows are wrong."""
    frame = pd.DataFrame({"x": [{1}] * 1_030})

    with pytest.raises(RequestError) as refusal:
        batch_of(frame).check()

    lines = str(refusal.value).splitlines()
    assert lines[0] == "1030 of 1030 rows cannot be sent:"
    assert [line.split(":")[0] for line in lines[1:6]] == [f"  row {number}" for number in range(5)]
    assert lines[6:] == ["  and 1025 more", "Nothing was sent."]


def test_good_rows_pass_the_check():
    """Every one of them is encoded once for it."""
    assert batch_of(pd.DataFrame({"x": range(1_030)})).check() is None


def test_a_payload_that_is_larger_than_the_service_takes_is_refused(monkeypatch):
    """The size and the limit, in full."""
    monkeypatch.setattr(check_module, "MAX_INPUT_BYTES", 1_000)

    with pytest.raises(
        RequestError, match=r"row 'big': its payload has 2,008 bytes, and the service takes 1,000 at most\."
    ):
        batch_of(pd.DataFrame({"x": ["a", "b" * 2_000]}, index=["small", "big"])).check()


def test_wrong_fields_are_refused_all_at_once():
    """Somebody who mends one finds the next one named too."""
    with pytest.raises(RequestError) as refusal:
        batch_of(pd.DataFrame({"x": [1]}), request_ttl_seconds=10, accept="x" * 1_025)

    expected = (
        "Accept must be at most 1024 characters long, got 1025."
        " RequestTTLSeconds must be 60 to 21600 seconds, got 10. Nothing was sent."
    )
    assert expected == str(refusal.value)


def test_a_content_type_without_a_codec_is_refused():
    """Before a single row is looked at."""
    with pytest.raises(RequestError, match="application/pdf"):
        batch_of(pd.DataFrame({"x": [1]}), content_type="application/pdf")


# Fields


def test_the_fields_of_a_request_are_what_was_given_and_its_own_names():
    """None is not sent at all."""
    batch = batch_of(pd.DataFrame({"x": [1, 2]}), accept="text/csv", request_ttl_seconds=600)
    expected = {
        "endpoint_name": "churn",
        "content_type": "application/json",
        "accept": "text/csv",
        "request_ttl_seconds": 600,
        "inference_id": LAYOUT.inference_id(1, 0),
        "s3_output_path_extension": "job-1/00000/00000",
        "filename": LAYOUT.filename(1, 0),
    }

    assert expected == fields_of(batch, 1)


def test_the_same_attempt_has_the_same_fields_whenever_it_is_made():
    """So that what is sent twice lands in one place; the next attempt lands elsewhere."""
    frame = pd.DataFrame({"x": [1, 2]})

    assert fields_of(batch_of(frame), 1) == fields_of(batch_of(frame), 1)
    assert fields_of(batch_of(frame), 1) != fields_of(batch_of(frame), 1, attempt=1)


def test_fields_of_one_request_cannot_change_those_of_another():
    """Each is a dict of its own."""
    batch = batch_of(pd.DataFrame({"x": [1, 2]}))
    batch.prepare(0, 0, LAYOUT).fields.clear()

    assert fields_of(batch, 1)["endpoint_name"] == "churn"


@pytest.mark.parametrize(
    ("known_fields", "expected"),
    [
        (NEW_FIELDS, True),
        (OLD_FIELDS, False),
        ({name: field for name, field in NEW_FIELDS.items() if name != "filename"}, False),
        ({name: field for name, field in NEW_FIELDS.items() if name != "s3_output_path_extension"}, False),
    ],
    ids=["new", "old", "without Filename", "without S3OutputPathExtension"],
)
def test_output_paths_are_chosen_only_with_an_sdk_that_can(known_fields, expected):
    """An older one would refuse the parameters, so they are not sent."""
    batch = batch_of(pd.DataFrame({"x": [1]}), known_fields=known_fields)
    sent = fields_of(batch, 0)

    assert expected == batch.has_own_output_path
    assert expected == ("filename" in sent) == ("s3_output_path_extension" in sent)
    assert "inference_id" in sent


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, 21_600 + 900),
        ({"request_ttl_seconds": 60}, 60 + 900),
        ({"invocation_timeout_seconds": 3_600}, 21_600 + 3_600),
        ({"request_ttl_seconds": 60, "invocation_timeout_seconds": 1}, 61),
    ],
    ids=["defaults", "ttl", "timeout", "both"],
)
def test_the_allowance_is_the_time_in_the_queue_and_the_time_in_the_model(fields, expected):
    """The service's own defaults where nothing was said."""
    assert expected == batch_of(pd.DataFrame({"x": [1]}), **fields).allowance


@pytest.mark.parametrize("content_type", ["application/json", "application/jsonlines", "text/csv"])
def test_a_block_is_encoded_once_for_its_neighbours(content_type, monkeypatch):
    """A frame's columns are taken apart for 512 rows together, not for each row."""
    batch = batch_of(pd.DataFrame({"x": np.arange(1_024)}), content_type=content_type)
    blocks, encode = [], batch.content.encode
    monkeypatch.setattr(batch.content, "encode", lambda rows, bounds: blocks.append(len(rows)) or encode(rows, bounds))
    for request in range(1_024):
        batch.payload(request)

    assert blocks == [512, 512]


def test_another_thread_that_asks_for_other_requests_cannot_change_what_is_sent():
    """A table that is looked at while a job sends reads the same cache; each gets the block of its own request."""
    batch = batch_of(pd.DataFrame({"x": range(1_024)}))
    blocks = [batch._block_of(0), batch._block_of(512)]

    class Contended(type(batch)):
        """Between any two reads of the cache, somebody else has put the other block there."""

        @property
        def _block(self):
            blocks.reverse()
            return blocks[0]

        @_block.setter
        def _block(self, block):
            """Replaced at once."""

    batch.__class__ = Contended

    assert [json.loads(batch.payload(request)) for request in (0, 512, 0, 512)] == [{"x": 0}, {"x": 512}] * 2
