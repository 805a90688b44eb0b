"""Which AWS operation an HTTP request is, and how often each was called."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qs

_CREDENTIAL_SCOPE = re.compile(r"Credential=[^/]*/[^/]*/[^/]*/(?P<service>[^/]+)/aws4_request")

# (what the path names, method, a query parameter or header that must be there or "") -> operation.
# Of several that fit, the first is meant.
_S3_OPERATIONS = {
    ("service", "GET", ""): "ListBuckets",
    ("bucket", "PUT", ""): "CreateBucket",
    ("bucket", "HEAD", ""): "HeadBucket",
    ("bucket", "DELETE", ""): "DeleteBucket",
    ("bucket", "GET", "list-type"): "ListObjectsV2",
    ("bucket", "GET", "location"): "GetBucketLocation",
    ("bucket", "GET", ""): "ListObjects",
    ("bucket", "POST", "delete"): "DeleteObjects",
    ("key", "PUT", "partNumber"): "UploadPart",
    ("key", "PUT", "x-amz-copy-source"): "CopyObject",
    ("key", "PUT", ""): "PutObject",
    ("key", "GET", ""): "GetObject",
    ("key", "HEAD", ""): "HeadObject",
    ("key", "DELETE", "uploadId"): "AbortMultipartUpload",
    ("key", "DELETE", ""): "DeleteObject",
    ("key", "POST", "uploads"): "CreateMultipartUpload",
    ("key", "POST", "uploadId"): "CompleteMultipartUpload",
}

# Query parameters that choose another operation than the method alone does, and are not told apart here.
_SUBRESOURCES = {"acl", "cors", "encryption", "lifecycle", "policy", "tagging", "versioning", "versions", "attributes"}


class Calls:
    """Counts calls by operation; any thread may record and read."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()

    def record(self, operation: str) -> None:
        with self._lock:
            self._counts[operation] += 1

    def counts(self) -> Counter[str]:
        """A copy of the counts so far."""
        with self._lock:
            return self._counts.copy()

    def reset(self) -> None:
        with self._lock:
            self._counts.clear()


def operation_of(environ: Mapping[str, Any]) -> str:
    """``"s3 PutObject"``, ``"sagemaker DescribeEndpoint"``; where it cannot be told, ``"<service> <METHOD>"``."""
    service = service_of(environ)
    target = environ.get("HTTP_X_AMZ_TARGET", "")
    if target:
        return f"{service} {target.rpartition('.')[2]}"
    method = environ["REQUEST_METHOD"]
    return f"{service} {_s3_operation(environ, method) if service == 's3' else method}"


def service_of(environ: Mapping[str, Any]) -> str:
    """Whose request it is, as it was signed: ``"s3"``, ``"sagemaker"``."""
    # An unsigned request is S3's: nothing else here may be asked anonymously, and presigned addresses are S3's too.
    scope = _CREDENTIAL_SCOPE.search(environ.get("HTTP_AUTHORIZATION", ""))
    return scope["service"] if scope else "s3"


def _s3_operation(environ: Mapping[str, Any], method: str) -> str:
    bucket, _, key = environ["PATH_INFO"].lstrip("/").partition("/")
    named = "key" if key else "bucket" if bucket else "service"
    given = {*parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True), ""}
    if given & _SUBRESOURCES:
        return method
    if "HTTP_X_AMZ_COPY_SOURCE" in environ:
        given.add("x-amz-copy-source")
    return next(_fitting(named, method, given), method)


def _fitting(named: str, method: str, given: set[str]) -> Iterator[str]:
    return (
        operation
        for (name, verb, marker), operation in _S3_OPERATIONS.items()
        if (name, verb) == (named, method) and marker in given
    )
