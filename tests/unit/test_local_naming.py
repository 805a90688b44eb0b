"""The local endpoint's names for output and failure objects."""

from __future__ import annotations

import pytest

from sm_async_nb.local.naming import NamingRule, failure_location, output_location

NAME = "557808d6-f91b-4b83-959f-041cf827c2e0"


@pytest.mark.parametrize(
    ("extension", "filename", "expected"),
    [
        ("", "", f"s3://bkt/out/{NAME}.out"),
        ("job-1/00000", "", f"s3://bkt/out/job-1/00000/{NAME}.out"),
        ("", "42.json", "s3://bkt/out/42.json"),
        ("job-1", "42", "s3://bkt/out/job-1/42"),
        ("/job-1/", "42", "s3://bkt/out/job-1/42"),
    ],
)
def test_an_output_is_named_by_the_service_unless_the_request_names_it(extension, filename, expected):
    """``<S3OutputPath>[/<S3OutputPathExtension>]/<uuid>.out``; Filename is taken as given."""
    location = output_location("s3://bkt/out", name=NAME, extension=extension, filename=filename)

    assert expected == str(location)


@pytest.mark.parametrize(
    ("filename", "expected"),
    [
        ("42.json", "s3://bkt/out/job-1/42.json.out"),
        ("42", "s3://bkt/out/job-1/42.out"),
        ("", f"s3://bkt/out/job-1/{NAME}.out"),
    ],
)
def test_an_output_that_the_request_names_may_end_with_out(filename, expected):
    """What the service does is unverified, hence a switch."""
    rule = NamingRule(out_after_filename=True)
    location = output_location("s3://bkt/out", name=NAME, extension="job-1", filename=filename, rule=rule)

    assert expected == str(location)


@pytest.mark.parametrize(
    ("rule", "extension", "filename", "expected"),
    [
        (NamingRule(), "", "", f"s3://bkt/failures/{NAME}-error.out"),
        (NamingRule(), "job-1", "", f"s3://bkt/failures/{NAME}-error.out"),
        (NamingRule(), "job-1", "42.json", "s3://bkt/failures/42-error.out"),
        (NamingRule(), "", "42", "s3://bkt/failures/42-error.out"),
        (NamingRule(extension_on_failures=True), "job-1", "42", "s3://bkt/failures/job-1/42-error.out"),
        (NamingRule(filename_on_failures=False), "", "42.json", f"s3://bkt/failures/{NAME}-error.out"),
    ],
)
def test_a_failure_is_named_like_its_output(rule, extension, filename, expected):
    """``<S3FailurePath>/<stem>-error.out``; what is not verified is a switch."""
    location = failure_location("s3://bkt/failures", name=NAME, extension=extension, filename=filename, rule=rule)

    assert expected == str(location)


@pytest.mark.parametrize("path", ["s3://bkt", "s3://bkt/"])
def test_a_path_that_is_a_bucket_alone_gives_keys_without_a_leading_slash(path):
    """A key that begins with a slash would be a folder without a name."""
    assert f"s3://bkt/{NAME}.out" == str(output_location(path, name=NAME))
