"""Where things lie: S3 addresses, the key layout of a job, inference ids and file names.

Everything that is ever written to S3 by this package gets its address here, and nowhere else::

    <input_prefix>/<job_id>/manifest.json
                            shards/00000/frame.parquet
                                         inputs/00000042.json
                                         journal/00000007.parquet
    <S3OutputPath>/<job_id>/00000/0000/<filename>

Output and failure locations are the exception: they are taken from the service's response, never derived.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_S3_URI = re.compile(r"s3://(?P<bucket>[^/]+)(?:/(?P<key>.*))?", re.DOTALL)


class S3Location(NamedTuple):
    """A bucket and a key, or a key prefix."""

    bucket: str
    key: str

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"

    def child(self, *names: str) -> S3Location:
        """The location below this one; empty names and doubled slashes leave no trace."""
        parts = [part.strip("/") for part in (self.key, *names)]
        return S3Location(self.bucket, "/".join(part for part in parts if part))


def parse_s3_uri(uri: str) -> S3Location:
    """Split ``s3://bucket/key``.

    Raises
    ------
    ValueError
        If it is not an S3 URI.
    """
    match = _S3_URI.fullmatch(uri)
    if match is None:
        raise ValueError(f"An S3 URI looks like s3://bucket/key, got {uri!r}.")
    return S3Location(match["bucket"], match["key"] or "")
