"""What was asked for, kept with the job: read again in another kernel, and compared with what is asked now."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import uuid

import numpy as np
import orjson
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sm_async_nb.core.asked import Asked, asked_of, differences
from sm_async_nb.core.build import RequestArguments, build_batch
from sm_async_nb.core.locations import JobLayout, S3Location
from sm_async_nb.core.request import Field
from sm_async_nb.errors import PayloadLostError, RequestError

FIELDS = {
    name: Field(name=name, member=name, type="string", location="header", sensitive=name == "custom_attributes")
    for name in ("endpoint_name", "content_type", "accept", "custom_attributes", "inference_id", "input_location")
}
LAYOUT = JobLayout(S3Location("bkt", "in"), "job-1")
FRAME = pd.DataFrame({"age": [41, 42], "plan": ["gold", "silver"]})


def made_of_row(row):
    return f"{row['age']}"


class Serializer:
    CONTENT_TYPE = "text/csv"

    def serialize(self, data):
        return ",".join(map(str, data))


def asked(frame=FRAME, **arguments):
    given = RequestArguments(**{"endpoint_name": "churn", **arguments})
    return asked_of(given, build_batch(frame, given, FIELDS))


def read_again(kept):
    """Through the bytes of the manifest."""
    return Asked.from_json(orjson.loads(orjson.dumps(kept.to_json())))


# Kept and read again


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"columns": ["plan", "age"], "content_type": "text/csv", "rows_per_request": np.int64(10)},
        {"columns": "age", "bare": True, "nan": "error"},
        {"template": '{"inputs": {{ plan }}}\n', "accept": "{{ plan }}", "custom_attributes": "tenant=7;token"},
        {"columns": np.array(["age"]), "wrap": "instances", "max_payload_bytes": 1_000, "deduplicate": True},
    ],
    ids=["nothing", "packed", "bare", "template", "array"],
)
def test_what_was_asked_for_is_read_again_as_it_was(arguments):
    """Another kernel builds the same requests from it."""
    kept = asked(**arguments)
    again = read_again(kept)

    assert [] == differences(kept, again)
    assert kept.to_json() == again.to_json()
    batches = [build_batch(FRAME, one.arguments, FIELDS) for one in (kept, again)]
    first, second = ([batch.prepare(n, 0, LAYOUT) for n in range(len(batch))] for batch in batches)
    assert first == second


def test_what_the_caller_adds_is_kept_too():
    """A count and a fraction stay what they are."""
    given = RequestArguments(endpoint_name="churn")
    batch = build_batch(FRAME, given, FIELDS)
    kept = [asked_of(given, batch, retries=2, max_failures=most) for most in (1, 1.0, None)]

    assert [(2, 1), (2, 1.0), (2, None)] == [(one.retries, one.max_failures) for one in map(read_again, kept)]
    assert [int, float, type(None)] == [type(read_again(one).max_failures) for one in kept]


LABELS = [
    "plan",
    7,
    2**70,
    True,
    2.5,
    None,
    ("a", 1, ("b", None)),
    pd.Timestamp("2026-03-29 01:30", tz="Europe/Paris"),
    pd.Timestamp("2026-01-01 00:00:00.123456789"),
    pd.Timedelta("1 days 02:00:03"),
    pd.Period("2026-01", freq="M"),
    pd.Interval(0, 1.5, closed="left"),
    dt.date(2026, 1, 1),
    dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC),
    dt.time(12, 30),
    decimal.Decimal("1.50"),
    uuid.UUID(int=7),
    b"\x00raw",
]


@pytest.mark.parametrize("label", LABELS, ids=repr)
def test_labels_of_columns_that_are_no_texts_survive(label):
    """JSON has only texts, and 7 and "7" are two columns."""
    kept = Asked(RequestArguments(endpoint_name="churn", columns=[label, "7"]))
    found = read_again(kept).arguments.columns

    assert [label, "7"] == found
    assert type(label) is type(found[0])


@pytest.mark.parametrize("label", [float("nan"), pd.NaT, pd.NA], ids=repr)
def test_a_label_that_is_missing_stays_missing(label):
    """A pivot makes such columns."""
    found = read_again(Asked(RequestArguments(endpoint_name="churn", columns=[label]))).arguments.columns

    assert (type(label), True) == (type(found[0]), pd.isna(found[0]))


def test_a_zone_of_a_label_keeps_its_name():
    """An offset alone is another zone in summer."""
    label = pd.Timestamp("2026-01-01", tz="Europe/Paris")
    found = read_again(Asked(RequestArguments(endpoint_name="churn", columns=[label]))).arguments.columns[0]

    assert str(label.tz) == str(found.tz)


def test_a_label_of_a_strange_type_is_refused():
    """Before anything is sent: the column could not be found again."""
    with pytest.raises(RequestError, match="has a label of type frozenset, which cannot be kept"):
        Asked(RequestArguments(endpoint_name="churn", columns=[frozenset()])).to_json()


def test_something_that_a_newer_version_has_kept_is_refused():
    """To ignore it could be to send something else."""
    kept = {**asked().to_json(), "priority": "high", "made_by": "sm-async-nb 9.0"}

    with pytest.raises(RequestError) as refusal:
        Asked.from_json(kept)

    assert str(refusal.value).startswith("The job was asked for with priority, which sm-async-nb ")
    assert "does not know; sm-async-nb 9.0 has written it. Update sm-async-nb. Nothing was sent." in str(refusal.value)


def test_a_kind_of_label_that_a_newer_version_knows_is_refused():
    """As any other unknown thing."""
    kept = {**asked().to_json(), "columns": [{"kind": "colour", "value": "red"}]}

    with pytest.raises(RequestError, match="a column label of kind 'colour'"):
        Asked.from_json(kept)


def test_a_job_without_an_endpoint_is_damaged():
    """Told as what it is."""
    with pytest.raises(RequestError, match="What the job was asked for is damaged: it names no endpoint"):
        Asked.from_json({"columns": ["age"]})


def test_custom_attributes_are_kept_and_not_shown():
    """The manifest lies in the user's own bucket; a repr lies in a log."""
    kept = asked(custom_attributes="hidden")

    assert "hidden" == kept.to_json()["custom_attributes"]
    assert "hidden" not in repr(kept)


# Functions


def test_of_a_function_only_the_name_is_kept():
    """And of what it made nothing can be made again; its requests are there all the same."""
    again = read_again(asked(payload=made_of_row))
    batch = build_batch(FRAME, again.arguments, FIELDS)

    assert (True, False) == (again.payload_is_lost, asked(payload=made_of_row).payload_is_lost)
    assert "test_asked.made_of_row" in repr(again.arguments.payload)
    assert 2 == len(batch)
    with pytest.raises(ValueError, match="a function is not kept with a job"):
        batch.payload(0)


@pytest.mark.parametrize("payload", [made_of_row, Serializer()], ids=["function", "serializer"])
def test_a_request_whose_function_is_lost_says_how_to_go_on(payload):
    """What is up already is sent all the same; only what would have to be made is not."""
    kept = asked(payload=payload)
    batch = build_batch(FRAME, kept.arguments, FIELDS)
    batch.check()
    restored = build_batch(FRAME, read_again(kept).arguments, FIELDS)
    restored.restore(batch.packing, batch.payload_bytes, batch.fingerprints)

    assert batch.prepare(1, 0, LAYOUT, is_up=True) == restored.prepare(1, 0, LAYOUT, is_up=True)
    with pytest.raises(PayloadLostError) as refusal:
        restored.prepare(1, 0, LAYOUT)
    name = made_of_row.__module__ + (".made_of_row" if payload is made_of_row else ".Serializer")
    expected = (
        f"Row 1: its payload is made by payload={name}, and a function is not kept with a job. It was not sent."
        " Run submit again under the job's name, with what it is made of."
    )
    assert expected == str(refusal.value)


def test_of_a_serializer_the_content_type_is_kept_too():
    """It decides what the model is told."""
    again = read_again(asked(payload=Serializer(), columns=["age"]))
    batch = build_batch(FRAME, again.arguments, FIELDS)

    assert (True, "text/csv") == (again.payload_is_lost, batch.fields_of(0)["content_type"])
    with pytest.raises(PayloadLostError):
        again.arguments.payload.serialize([1])


def test_what_is_lost_is_kept_as_lost():
    """A job that is continued twice without its function."""
    again = read_again(asked(payload=Serializer()))

    assert again.to_json() == read_again(again).to_json()


# Differences


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ({}, {"endpoint_name": "other"}, ["endpoint_name: 'churn' -> 'other'"]),
        ({}, {"content_type": "text/csv"}, ["content_type: 'application/json' -> 'text/csv'"]),
        ({}, {"columns": ["age"]}, ["columns: ['age', 'plan'] -> ['age']"]),
        ({}, {"columns": ["plan", "age"]}, ["columns: ['age', 'plan'] -> ['plan', 'age']"]),
        ({}, {"rows_per_request": 10}, ["rows_per_request: not given -> 10"]),
        ({}, {"accept": "text/csv"}, ["accept: not given -> 'text/csv'"]),
        ({"nan": "error"}, {}, ["nan: 'error' -> 'null'"]),
        (
            {"custom_attributes": "tenant=7"},
            {"custom_attributes": "tenant=77"},
            ["custom_attributes: <8 characters, not shown> -> <9 characters, not shown>"],
        ),
        (
            {"custom_attributes": "tenant=7"},
            {"custom_attributes": "tenant=8"},
            ["custom_attributes: <8 characters, not shown> -> another <8 characters, not shown>"],
        ),
        (
            {"template": '{\n "a": {{ age }},\n "b": 1,\n "c": 2\n}'},
            {"template": '{\n "a": {{ plan }},\n "b": 1,\n "c": 2\n}'},
            ['template:\n  @@ -1,3 +1,3 @@\n   {\n  - "a": {{ age }},\n  + "a": {{ plan }},\n    "b": 1,'],
        ),
        (
            {},
            {"payload": made_of_row},
            ["columns: ['age', 'plan'] -> not given", f"payload: not given -> {__name__}.made_of_row"],
        ),
    ],
)
def test_what_is_asked_for_otherwise_is_told(old, new, expected):
    """A line for each argument; a template with its lines."""
    assert expected == differences(read_again(asked(**old)), asked(**new))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({}, {}),
        ({}, {"content_type": "application/json"}),
        ({}, {"columns": ["age", "plan"]}),
        ({}, {"rows_per_request": 1}),
        ({}, {"inline": "auto"}),
        ({}, {"deduplicate": True}),
        ({"columns": "age"}, {"columns": pd.Index(["age"])}),
        ({"payload": made_of_row}, {"payload": made_of_row}),
        ({"payload": Serializer()}, {"payload": Serializer()}),
    ],
)
def test_the_same_in_other_words_is_no_difference(old, new):
    """Nor is how a payload travels."""
    assert [] == differences(read_again(asked(**old)), asked(**new))


def test_how_a_job_fares_is_no_difference():
    """Retries and failures may be thought over."""
    one = asked()

    assert [] == differences(one, dataclasses.replace(one, retries=5, max_failures=0.1))


def test_a_column_that_was_added_to_the_frame_is_a_difference():
    """With all columns sent by default, a column of results would send every row again."""
    assert ["columns: ['age', 'plan'] -> ['age', 'plan', 'score']"] == differences(
        asked(), asked(FRAME.assign(score=1))
    )


def test_a_column_that_is_not_sent_is_no_difference():
    """A template or a function says what it uses."""
    wider = FRAME.assign(score=1)

    assert [] == differences(asked(template="{{ age }}"), asked(wider, template="{{ age }}"))
    assert [] == differences(asked(payload=made_of_row), asked(wider, payload=made_of_row))


def test_of_many_columns_those_that_differ_are_told():
    """A thousand names are no line."""
    wide = pd.DataFrame([range(100)], columns=[f"column {n}" for n in range(100)])
    other = wide.drop(columns="column 7").assign(new=1)
    backwards = wide.iloc[:, ::-1]

    assert ["columns: 'new' added; 'column 7' left out"] == differences(asked(wide), asked(other))
    assert ["columns: in another order"] == differences(asked(wide), asked(backwards))


def test_a_long_difference_is_short():
    """Of a template that was written anew the first lines, of a text its beginning."""
    old, new = ("\n".join(f"{{# {n} {word} #}}" for n in range(30)) for word in ("old", "new"))
    [told] = differences(asked(template=old + "{{ age }}"), asked(template=new + "{{ age }}"))

    assert told.splitlines()[-1] == "  … 49 more lines"
    assert len(differences(asked(accept="x" * 900), asked())[0]) < 300


def test_inputs_in_s3_are_a_column_that_is_told():
    """Found out from its cells, and kept by its name."""
    frame = pd.DataFrame({"image": ["s3://bkt/1.png", "s3://bkt/2.png"]})

    assert ["image"] == asked(frame, content_type="image/png").arguments.columns


@given(st.text(max_size=20), st.text(max_size=20))
def test_any_template_can_be_kept_and_compared(before, after):
    """It is a text like any other."""
    old, new = (Asked(RequestArguments(endpoint_name="churn", template=text)) for text in (before, after))

    assert (before == after) == (differences(old, new) == [])
