"""Telling an AWS operation from its HTTP request."""

from __future__ import annotations

import pytest

from sm_async_nb.local.operations import Calls, operation_of


def environ(method, path="/", query="", service="s3", **headers):
    signed = f"AWS4-HMAC-SHA256 Credential=key/20260101/us-east-1/{service}/aws4_request, SignedHeaders=host"
    return {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "HTTP_AUTHORIZATION": signed,
        **headers,
    }


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (environ("GET"), "s3 ListBuckets"),
        (environ("PUT", "/bkt"), "s3 CreateBucket"),
        (environ("HEAD", "/bkt/"), "s3 HeadBucket"),
        (environ("GET", "/bkt", "list-type=2&prefix=a"), "s3 ListObjectsV2"),
        (environ("GET", "/bkt", "prefix=a"), "s3 ListObjects"),
        (environ("POST", "/bkt", "delete"), "s3 DeleteObjects"),
        (environ("GET", "/bkt", "tagging"), "s3 GET"),
        (environ("PUT", "/bkt/a/b"), "s3 PutObject"),
        (environ("PUT", "/bkt/a/b", HTTP_X_AMZ_COPY_SOURCE="/bkt/c"), "s3 CopyObject"),
        (environ("PUT", "/bkt/a/b", "partNumber=1&uploadId=2"), "s3 UploadPart"),
        (environ("GET", "/bkt/a/b"), "s3 GetObject"),
        (environ("HEAD", "/bkt/a/b"), "s3 HeadObject"),
        (environ("DELETE", "/bkt/a/b"), "s3 DeleteObject"),
        (environ("POST", "/bkt/a/b", "uploads"), "s3 CreateMultipartUpload"),
        (environ("POST", "/bkt/a/b", "uploadId=2"), "s3 CompleteMultipartUpload"),
        (
            environ("POST", service="sagemaker", HTTP_X_AMZ_TARGET="SageMaker.DescribeEndpoint"),
            "sagemaker DescribeEndpoint",
        ),
        (environ("POST", service="sns"), "sns POST"),
        ({"REQUEST_METHOD": "GET", "PATH_INFO": "/bkt/a"}, "s3 GetObject"),
    ],
)
def test_a_request_is_told_by_method_path_query_and_target(request_, expected):
    """An unsigned one is S3's, as a presigned address is."""
    assert expected == operation_of(request_)


def test_counts_are_a_copy():
    """What was read does not change afterwards."""
    calls = Calls()
    calls.record("s3 PutObject")
    counted = calls.counts()
    calls.reset()

    assert {"s3 PutObject": 1} == counted
    assert {} == calls.counts()
