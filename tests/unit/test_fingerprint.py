"""What a row sends, in sixteen bytes: the same for the same, wherever the row is, and another for anything else."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sm_async_nb.core.build import RequestArguments, build_batch
from sm_async_nb.core.continuation import OldSlots, continue_with
from sm_async_nb.core.fingerprint import fingerprints_of, grouped, no_fingerprints, same_as, told_of
from sm_async_nb.core.ledger import Status
from sm_async_nb.core.locations import JobLayout, S3Location
from sm_async_nb.core.packing import one_row_each
from sm_async_nb.core.payload import decode
from sm_async_nb.core.request import Field
from sm_async_nb.errors import PayloadLostError, RequestError

LAYOUT = JobLayout(S3Location("bkt", "in"), "job-1")
FIELDS = {
    name: Field(name=name, member=name, type="blob" if name == "body" else "string", location="header", maximum=1024)
    for name in (
        "endpoint_name", "content_type", "accept", "custom_attributes", "inference_id", "input_location", "filename",
        "s3_output_path_extension", "body",
    )
}  # fmt: skip
MIXED = pd.DataFrame(
    {
        "number": pd.array([1, 2, None, 4], dtype="Int64"),
        "share": [0.5, np.nan, 2.0, 3.0],
        "whole": pd.Series([1, 2.5, None, 4], dtype=object),
        "plan": pd.Categorical(["gold", None, "silver", "gold"]),
        "seen": pd.date_range("2026-01-01", periods=4, tz="Europe/Paris"),
    }
)
NUMBERS = MIXED[["number", "share"]]


def batch_of(frame, **arguments):
    return build_batch(frame, RequestArguments(**{"endpoint_name": "churn", **arguments}), FIELDS)


def checked(frame, **arguments):
    batch = batch_of(frame, **arguments)
    batch.check()
    return batch


def fingerprints(frame, **arguments):
    return [fingerprint.tobytes() for fingerprint in checked(frame, **arguments).fingerprints]


# The same for the same


WAYS = [
    (MIXED, {}),
    (MIXED, {"content_type": "text/csv"}),
    (NUMBERS, {"content_type": "application/x-npy"}),
    (MIXED.astype({"whole": "Float64"}), {"content_type": "application/x-parquet"}),
    (MIXED, {"content_type": "application/x-parquet", "columns": ["number", "whole"]}),
    (MIXED, {"template": '{"inputs": {{ plan }}}', "custom_attributes": "tenant={{ 7 }}"}),
    (MIXED, {"payload": lambda row: {"share": row["share"]}}),
]
IDS = ["json", "csv", "npy", "parquet", "parquet of objects", "template", "function"]
PACKED = [{}, {"rows_per_request": 3}, {"deduplicate": True}, {"max_payload_bytes": 100}]


@pytest.mark.parametrize(("frame", "arguments"), WAYS, ids=IDS)
@pytest.mark.parametrize("packed", PACKED[:3], ids=["single", "packed", "deduplicated"])
def test_a_row_has_one_fingerprint_wherever_it_is(frame, arguments, packed):
    """Beside other rows, in another order, alone, in another block, under another label."""
    whole = fingerprints(frame, **arguments, **packed)
    far = pd.concat([frame.iloc[[0] * 600], frame], ignore_index=True)

    assert whole[::-1] == fingerprints(frame.iloc[::-1], **arguments, **packed)
    assert whole == [fingerprints(frame.iloc[[row]], **arguments, **packed)[0] for row in range(4)]
    assert whole == fingerprints(far, **arguments, **packed)[600:]
    assert whole == fingerprints(frame.set_axis(list("wxyz")), **arguments, **packed)


@pytest.mark.parametrize("packed", PACKED, ids=["single", "packed", "deduplicated", "by size"])
def test_different_rows_have_different_fingerprints(packed):
    """Packed or not."""
    assert 4 == len(set(fingerprints(MIXED, **packed)))


def test_what_is_not_sent_does_not_count():
    """The index, columns that are not chosen, and the job's own names for a request."""
    frame = pd.DataFrame({"x": [1, 1], "note": ["a", "b"]}, index=["p", "q"])
    first, second = fingerprints(frame, columns=["x"])

    assert first == second


@pytest.mark.parametrize("name", ["accept", "custom_attributes", "inference_id", "filename"])
def test_fields_that_differ_from_row_to_row_count(name):
    """The same payload for another tenant is another request."""
    frame = pd.DataFrame({"x": [1, 1], "tenant": ["a", "b"]})
    first, second = fingerprints(frame, columns=["x"], **{name: "tenant"})

    assert first != second


def test_a_field_that_is_not_sent_for_a_row_leaves_no_trace():
    """Missing, None and no such cell are one."""
    rows = told_of({"accept": ["text/csv", None], "custom_attributes": [None, None]})

    assert [b"[('accept', 'text/csv')]", b"[]"] == rows
    assert told_of({}) is None


def test_inputs_in_s3_are_told_by_their_locations():
    """Nothing is downloaded to look."""
    frame = pd.DataFrame({"uri": ["s3://bkt/a", "s3://bkt/b", "s3://bkt/a"]})
    first, second, third = fingerprints(frame, input_location="uri", content_type="image/png")

    assert first == third != second


def test_fingerprints_are_those_of_all_versions():
    """They lie in S3 beside a job, and are compared by whatever Python comes later."""
    frame = pd.DataFrame({"x": [1], "tenant": ["tötal"]})
    found = checked(frame, columns=["x"], accept="tenant", content_type="text/csv").fingerprints

    assert found[0].tobytes() == fingerprints_of([b"1\n"], [b"[('accept', 't\\xf6tal')]"])[0].tobytes()
    assert "634aff49" == found.tobytes().hex()[:8]


def test_each_row_is_encoded_once_when_it_is_alone_in_its_request(monkeypatch):
    """A check costs what it cost before there were fingerprints."""
    batch = batch_of(pd.DataFrame({"x": range(1_000)}))
    encoded, encode = [], batch.content.encode
    monkeypatch.setattr(batch.content, "encode", lambda rows, bounds: encoded.append(len(rows)) or encode(rows, bounds))
    batch.check()

    assert 1_000 == len(batch.fingerprints) == sum(encoded)


def test_a_row_that_cannot_be_sent_is_like_no_other():
    """So that it is counted for itself, and never merged with another."""
    frame = pd.DataFrame({"x": [{1}, {2}, 5, 5]})

    with pytest.raises(RequestError, match="2 of 4 rows cannot be sent"):
        batch_of(frame, deduplicate=True).check()


# Groups


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), max_size=30))
def test_groups_are_right_even_where_halves_agree(pairs):
    """A sort of the first eight bytes alone would be right for a very long time, and then not."""
    table = no_fingerprints(len(pairs))
    table.view(np.uint64).reshape(-1, 2)[:] = np.array(pairs, dtype=np.uint64).reshape(-1, 2)
    codes, first = grouped(table)

    different = list(dict.fromkeys(pairs))
    assert [different.index(pair) for pair in pairs] == codes.tolist()
    assert [pairs.index(pair) for pair in different] == first.tolist()
    assert [pairs.index(pair) for pair in pairs] == same_as(table).tolist()


# A batch that was there before


def again(batch, frame=None, **arguments):
    """The same batch in another kernel, which has what lies in S3."""
    restored = batch_of(batch.frame if frame is None else frame, **arguments)
    restored.restore(batch.packing, batch.payload_bytes, batch.fingerprints[batch.packing.slots])
    return restored


@pytest.mark.parametrize(("frame", "arguments"), WAYS, ids=IDS)
@pytest.mark.parametrize("packed", PACKED[:3], ids=["single", "packed", "deduplicated"])
def test_a_restored_batch_prepares_the_same_requests(frame, arguments, packed):
    """Nothing is encoded to restore it, and what is encoded later is compared."""
    if packed and arguments.get("content_type") == "application/x-parquet":
        packed = {"rows_per_request": 4}  # the rows of a pack decide its types
    batch = checked(frame, **arguments, **packed)
    restored = again(batch, **arguments, **packed)
    requests = range(len(batch))

    assert [batch.prepare(n, 0, LAYOUT) for n in requests] == [restored.prepare(n, 0, LAYOUT) for n in requests]
    assert batch.fingerprints.tobytes() == restored.fingerprints.tobytes()
    assert batch.payload_bytes.tolist() == restored.payload_bytes.tolist()


def test_a_restored_batch_is_not_encoded_before_it_must_be():
    """Attaching to a job of a million rows that is done encodes none."""
    batch = checked(pd.DataFrame({"x": range(10)}))
    restored = again(batch)
    restored.content.encode = lambda rows, bounds: pytest.fail("encoded")

    assert (
        "in/job-1/shards/00000/inputs/00000007.json"
        in restored.prepare(7, 0, LAYOUT, is_up=True).fields["input_location"]
    )


def test_an_input_that_is_up_is_not_made_again():
    """Its location and its fields are all that is needed, whether it would go inside today or not."""
    frame = pd.DataFrame({"x": [1], "tenant": ["a"]})
    for inline in ("never", "auto"):
        batch = checked(frame, columns=["x"], custom_attributes="tenant", inline=inline)
        prepared = batch.prepare(0, 2, LAYOUT, is_up=True)

        assert (None, b"") == (prepared.location, prepared.payload)
        assert str(LAYOUT.input_location(0, ".json")) == prepared.fields["input_location"]
        assert ("a", LAYOUT.inference_id(0, 2)) == (
            prepared.fields["custom_attributes"],
            prepared.fields["inference_id"],
        )
        assert "body" not in prepared.fields


@pytest.mark.parametrize("packed", PACKED[:2], ids=["single", "packed"])
def test_a_payload_that_would_be_another_one_is_not_sent(packed):
    """A frame that was changed behind the job's back; the other requests of the block go on."""
    frame = pd.DataFrame({"x": range(6)}, index=list("abcdef"))
    batch = checked(frame, **packed)
    restored = again(batch, frame.assign(x=[0, 1, 2, 3, 4, 99]), **packed)
    last = len(batch) - 1

    assert batch.payload(0) == restored.payload(0)
    for _ in range(2):
        with pytest.raises(PayloadLostError) as refusal:
            restored.prepare(last, 0, LAYOUT)
        expected = (
            f"Row {'d' if packed else 'f'!r}{' and 2 more of its request' if packed else ''}: what would be sent now is"
            " not what was checked at first. It was not sent. Run submit again under the job's name, with what it is"
            " made of."
        )
        assert expected == str(refusal.value)


def test_a_payload_of_a_file_that_is_gone_is_not_sent(tmp_path):
    """The files of one machine are not those of another; those that are there are sent."""
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(name.encode())
    frame = pd.DataFrame({"image": [str(tmp_path / "a.png"), str(tmp_path / "b.png")]})
    restored = again(checked(frame, content_type="image/png"), content_type="image/png")
    (tmp_path / "b.png").unlink()

    assert b"a.png" == restored.payload(0)
    with pytest.raises(PayloadLostError, match=r"^Row 1: its payload cannot be made again: .*b\.png.* It was not sent"):
        restored.payload(1)


def test_rows_that_cannot_be_made_together_are_made_one_by_one():
    """In a continued job rows meet whose types do not go together in one table."""
    frame = pd.DataFrame({"x": pd.Series([*range(512), "a"], dtype=object)})
    batch = checked(frame, content_type="application/x-parquet")
    rows = np.array([0, 512])
    batch.frame = frame.iloc[rows]
    batch.continue_with(one_row_each(2), np.array([9, 9]), numbers=rows)

    assert [{"x": 0}, {"x": "a"}] == [decode(batch.payload(n), "application/x-parquet")[0] for n in range(2)]


def test_a_request_has_its_number_whatever_its_place():
    """What is new is numbered behind what was there before."""
    frame = pd.DataFrame({"x": [7, 8]})
    batch = checked(frame)
    batch.continue_with(one_row_each(2), np.array([-1, 7]), numbers=np.array([5, 0]))

    assert LAYOUT.inference_id(5, 0) == batch.prepare(0, 0, LAYOUT).fields["inference_id"]
    assert LAYOUT.filename(0, 1) == batch.prepare(1, 1, LAYOUT).fields["filename"]
    assert (str(LAYOUT.input_location(5, ".json")), [5, 0]) == (
        batch.input_location(0, LAYOUT),
        [batch.number_of(0), batch.number_of(1)],
    )
    assert [7, 7] == batch.payload_bytes.tolist()


@pytest.mark.parametrize("packed", PACKED, ids=["single", "packed", "deduplicated", "by size"])
def test_a_job_that_is_run_again_sends_what_is_new(packed):
    """From the check of the new frame to the requests, with sizes as if they had been checked alone."""
    old = checked(pd.DataFrame({"x": range(5)}), **packed)
    of_slots = np.repeat(np.arange(len(old)), np.diff(old.packing.bounds))
    before = OldSlots(
        numbers=of_slots,
        fingerprints=old.fingerprints[old.packing.slots],
        payload_bytes=old.payload_bytes[of_slots],
        in_view=len(of_slots),
        status=np.full(len(old), Status.COMPLETED, dtype=np.uint8),
    )
    frame = pd.DataFrame({"x": [0, 1, 2, 100, 3, 4, 1_000]})
    batch = checked(frame, **packed)
    continued = continue_with(before, batch.fingerprints, batch.terms, pack_new=batch.pack_new)
    batch.continue_with(continued.packing, continued.payload_bytes, numbers=continued.numbers)

    assert [100, 1_000] == frame["x"][
        np.repeat(continued.is_new, np.diff(continued.packing.bounds))[continued.packing.slot_of_row]
    ].tolist()
    assert [len(batch.payload(n)) for n in range(len(batch))] == batch.payload_bytes.tolist()


def test_new_rows_that_cannot_share_a_request_are_refused():
    """Packed among themselves they meet other rows than before."""
    frame = pd.DataFrame({"x": [1, 2, 3, 4], "kind": ["a", "a", "b", "b"]})
    batch = checked(frame, columns=["x"], accept="kind", rows_per_request=2)

    assert [0, 1] == batch.pack_new(np.array([0])).bounds.tolist()
    with pytest.raises(RequestError, match="differs among the rows of its request"):
        batch.pack_new(np.array([1, 2]))
