"""Addresses: every object this package writes, and what is recognised in those that the service names."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sm_async_nb.core.locations import (
    JobLayout,
    S3Location,
    check_job_id,
    new_job_id,
    parse_s3_uri,
)

NOON = 1_767_268_800.0
LAYOUT = JobLayout(S3Location("bkt", "scoring"), "churn-1")
endpoint_names = st.from_regex(r"[a-zA-Z0-9](-?[a-zA-Z0-9]){0,30}", fullmatch=True)


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("s3://bkt/a/b.json", S3Location("bkt", "a/b.json")),
        ("s3://bkt/a/", S3Location("bkt", "a/")),
        ("s3://bkt/", S3Location("bkt", "")),
        ("s3://bkt", S3Location("bkt", "")),
        ("s3://bkt/a b/ü%20?x=1#y\n", S3Location("bkt", "a b/ü%20?x=1#y\n")),
    ],
)
def test_an_s3_uri_is_a_bucket_and_a_key(uri, expected):
    """Keys may hold anything, and nothing in them is decoded."""
    assert expected == parse_s3_uri(uri)


@pytest.mark.parametrize("wrong", ["", "bkt/key", "https://bkt/key", "s3:/bkt/key", "s3://", "s3:///key", "S3://b/k"])
def test_what_is_no_s3_uri_is_refused_with_what_one_looks_like(wrong):
    """The message shows the form and what was given."""
    with pytest.raises(ValueError, match=re.escape(f"An S3 URI looks like s3://bucket/key, got {wrong!r}.")):
        parse_s3_uri(wrong)


@given(st.from_regex(r"[a-z0-9.-]{3,63}", fullmatch=True), st.text(max_size=60))
def test_parsing_undoes_writing(bucket, key):
    """A location is its URI."""
    location = S3Location(bucket, key)

    assert location == parse_s3_uri(str(location))


@pytest.mark.parametrize(
    ("key", "names", "expected"),
    [
        ("a", ("b", "c.json"), "a/b/c.json"),
        ("a/", ("b",), "a/b"),
        ("", ("b",), "b"),
        ("a", ("", "b"), "a/b"),
        ("a", ("/b/", "/c"), "a/b/c"),
        ("a", ("b/",), "a/b/"),
        ("a/", (), "a"),
    ],
)
def test_a_child_has_one_slash_between_its_parts(key, names, expected):
    """Prefixes are given with and without a slash at the end; only the last one of a directory stays."""
    assert S3Location("bkt", expected) == S3Location("bkt", key).child(*names)


def test_a_job_has_one_directory_with_everything_in_it():
    """The layout that the design draws, address by address."""
    expected = [
        "s3://bkt/scoring/churn-1",
        "s3://bkt/scoring/churn-1/manifest.json",
        "s3://bkt/scoring/churn-1/manifest.json",
        "s3://bkt/scoring/churn-1/revisions/00002.json",
        "s3://bkt/scoring/churn-1/shards/00000/frame.parquet",
        "s3://bkt/scoring/churn-1/shards/00000/frame-00002.parquet",
        "s3://bkt/scoring/churn-1/shards/00000/slots.parquet",
        "s3://bkt/scoring/churn-1/shards/00000/slots-00002.parquet",
        "s3://bkt/scoring/churn-1/shards/00000/inputs/00000042.json",
        "s3://bkt/scoring/churn-1/shards/00000/journal/00000007.parquet",
        "s3://bkt/scoring/churn-1/shards/00000/journal/",
        "s3://bkt/scoring/churn-1/shards/00000/checkpoints/00000512.parquet",
        "s3://bkt/scoring/churn-1/shards/00000/lease/00000003.json",
        "s3://bkt/scoring/churn-1/shards/00000/lease/clock",
    ]
    given_addresses = [
        LAYOUT.home,
        LAYOUT.manifest,
        LAYOUT.revision(0),
        LAYOUT.revision(2),
        LAYOUT.frame(),
        LAYOUT.frame(2),
        LAYOUT.slots(),
        LAYOUT.slots(2),
        LAYOUT.input_location(42, ".json"),
        LAYOUT.journal_segment(7),
        LAYOUT.journal_prefix,
        LAYOUT.checkpoint(512),
        LAYOUT.lease(3),
        LAYOUT.lease_clock,
    ]

    assert expected == [str(address) for address in given_addresses]


@pytest.mark.parametrize(("request_number", "directory"), [(0, "00000"), (999, "00000"), (1_000, "00001")])
def test_a_thousand_requests_share_an_output_directory(request_number, directory):
    """As many as one LIST page holds."""
    assert f"churn-1/00000/{directory}" == LAYOUT.s3_output_path_extension(request_number)


@given(st.integers(0, 99_999_999), st.integers(0, 65_535), st.integers(0, 99_999))
def test_file_names_and_ids_keep_the_limits_of_the_service(request_number, attempt, shard):
    """32 characters and one dot for Filename, 64 for InferenceId, the modelled alphabet for the path extension."""
    layout = JobLayout(LAYOUT.root, "j" * 100, shard)
    name = layout.filename(request_number, attempt)

    assert len(name) <= 32
    assert re.fullmatch(r"(?!.*\..*\.)[a-zA-Z0-9][a-zA-Z0-9-_\.]*", name)
    assert len(layout.inference_id(request_number, attempt)) <= 64
    assert re.fullmatch(r"[a-zA-Z0-9!_.*'()/-]{1,512}", layout.s3_output_path_extension(request_number))


def test_an_attempt_has_the_same_names_each_time_and_the_next_has_others():
    """A request that is sent twice by accident lands on one object; a retry never reads the old one."""
    again = JobLayout(S3Location("bkt", "scoring"), "churn-1")
    twice = [LAYOUT.filename(3, 0), again.filename(3, 0)]
    others = [LAYOUT.filename(3, 1), LAYOUT.filename(4, 0), JobLayout(LAYOUT.root, "churn-2").filename(3, 0)]

    assert twice[0] == twice[1]
    assert len({twice[0], *others}) == 4


@given(st.lists(st.integers(0, 99_999_999), unique=True), st.integers(0, 3))
def test_names_sort_as_requests_do(requests, attempt):
    """A listing that stops at the newest key that is waited for relies on it."""
    assert [LAYOUT.filename(r, attempt) for r in sorted(requests)] == sorted(
        LAYOUT.filename(r, attempt) for r in requests
    )


def test_shards_of_a_job_share_no_names():
    """Each has its own writer, inputs and journal."""
    other = JobLayout(LAYOUT.root, LAYOUT.job_id, 1)

    assert other.token != LAYOUT.token
    assert other.input_location(0, ".json") != LAYOUT.input_location(0, ".json")


# What is recognised in a returned location


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (f"out/churn-1/00000/00000/{LAYOUT.filename(3, 0)}", "out/churn-1/00000/00000/"),
        ("churn-1/00000/00012/whatever.out", "churn-1/00000/00012/"),
        (f"fail/{LAYOUT.token}-00000003-0-error.out", f"fail/{LAYOUT.token}"),
        (f"{LAYOUT.token}-00000003-0-error.out", LAYOUT.token),
        ("out/0f5a-uuid.out", None),
        ("out/not-churn-1/x.out", None),
        ("out/churn-1", None),
        ("out/churn-1/x.out", None),
        ("out/churn-1/00001/00000/x.out", None),
        ("out/churn-1/00000/00000/more/x.out", None),
    ],
    ids=[
        "own directory",
        "at the root",
        "own name",
        "own name at the root",
        "shared",
        "similar",
        "no directory",
        "only the name",
        "another shard",
        "deeper",
    ],
)
def test_a_prefix_is_watched_only_where_it_bears_the_marks_of_the_job(key, expected):
    """Its directory, or else its token at the beginning of a name; listing any other would cost without end."""
    assert (expected and S3Location("bkt", expected)) == LAYOUT.watched_prefix(S3Location("bkt", key))


def test_a_shared_output_path_that_happens_to_bear_the_name_of_the_job_is_not_watched():
    """A job named 'out' and an endpoint that writes to s3://bkt/out share a word, not a directory."""
    layout = JobLayout(S3Location("bkt", "scoring"), "out")

    assert layout.watched_prefix(S3Location("bkt", "out/0f5a-uuid.out")) is None


# Names of jobs


@pytest.mark.parametrize("name", ["a", "churn-2026.01_x", "9", "a" * 100])
def test_good_names_of_jobs_pass(name):
    """Letters, digits, three marks, a hundred at most."""
    assert check_job_id(name) is None


@pytest.mark.parametrize("name", ["", "-a", ".a", "_a", "a/b", "a b", "ü", "a" * 101, "a\n"])
def test_bad_names_of_jobs_are_refused_with_what_they_may_consist_of(name):
    """The name becomes part of keys and of S3OutputPathExtension."""
    with pytest.raises(ValueError, match="1 to 100 letters, digits") as refusal:
        check_job_id(name)

    assert str(refusal.value).endswith(f"got {name!r}.")


@given(endpoint_names)
def test_a_job_that_was_given_no_name_gets_a_good_one(endpoint_name):
    """Made of its endpoint and its second, whatever the endpoint is called."""
    name = new_job_id(endpoint_name, NOON)
    check_job_id(name)

    assert re.fullmatch(rf"{re.escape(endpoint_name)}-20260101-120000-[0-9a-f]{{4}}", name)
