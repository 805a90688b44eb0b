"""Where things lie: S3 addresses, the key layout of a job, inference ids and file names.

Everything that is ever written to S3 by this package gets its address here, and nowhere else::

    <input_prefix>/<job_id>/manifest.json
                            revisions/00001.json
                            shards/00000/frame.parquet     slots.parquet
                                         frame-00001.parquet  slots-00001.parquet
                                         inputs/00000042.json
                                         journal/00000007.parquet
                                         checkpoints/00000512.parquet
                                         lease/00000003.json  lease/clock
    <S3OutputPath>/<job_id>/00000/00000/<filename>

A job that is continued with other rows gets a **revision**: what is asked for from then on, the frame as it is now, and
which request answers which row of it. Revision 0 is the manifest. A request has one **number** for ever, which its
names are made of, whatever its place in the newest revision.

Output and failure locations are the exception: they are taken from the service's response, never derived.
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import NamedTuple

_S3_URI = re.compile(r"s3://(?P<bucket>[^/]+)(?:/(?P<key>.*))?", re.DOTALL)


class S3Location(NamedTuple):
    """A bucket and a key, or a key prefix."""

    bucket: str
    key: str

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"

    def child(self, *names: str) -> S3Location:
        """The location below this one; empty names and doubled slashes leave no trace, but a last slash stays."""
        parts = [part.strip("/") for part in (self.key, *names)]
        end = "/" if names and names[-1].endswith("/") else ""
        return S3Location(self.bucket, "/".join(part for part in parts if part) + end)


def parse_s3_uri(uri: str) -> S3Location:
    """Split ``s3://bucket/key``.

    Raises
    ------
    ValueError
        If it is not an S3 URI.
    """
    match = _S3_URI.fullmatch(uri) if isinstance(uri, str) else None
    if match is None:
        raise ValueError(f"An S3 URI looks like s3://bucket/key, got {uri!r}.")
    return S3Location(match["bucket"], match["key"] or "")


# What is meant as an S3 URI and is none: s3:/b, s3//b, s3a://b, S3://b, and what a Path makes of s3://b.
_NEARLY_S3 = re.compile(r"\s*s3[a-z]?(?::/*|/{2,})(?P<rest>.*)", re.DOTALL | re.IGNORECASE)


def after_nearly_s3(text: str) -> str | None:
    """What follows the scheme of an S3 URI, or of what is nearly one; None of anything else.

    Examples
    --------
    >>> after_nearly_s3("s3//my-bucket/in"), after_nearly_s3("my-bucket/in")
    ('my-bucket/in', None)
    """
    match = _NEARLY_S3.match(text)
    return match["rest"] if match else None


# One LIST page holds a thousand keys, so a thousand requests share a directory of outputs: the finished ones cost
# nothing to track, and one straggler costs one LIST a sweep.
REQUESTS_PER_DIRECTORY = 1_000

_JOB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
_UNSAFE_IN_JOB_ID = re.compile(r"[^A-Za-z0-9_.-]+")


@dataclass(frozen=True)
class JobLayout:
    """The addresses of one job. ``root`` is the input prefix; a job has one directory below it.

    Examples
    --------
    >>> layout = JobLayout(parse_s3_uri("s3://my-bucket/scoring"), "churn-20260101-120000-7f3a")
    >>> str(layout.input_location(42, ".json"))
    's3://my-bucket/scoring/churn-20260101-120000-7f3a/shards/00000/inputs/00000042.json'
    """

    root: S3Location
    job_id: str
    shard: int = 0

    @property
    def home(self) -> S3Location:
        return self.root.child(self.job_id)

    @property
    def manifest(self) -> S3Location:
        return self.home.child("manifest.json")

    @property
    def revisions(self) -> S3Location:
        return self.home.child("revisions/")

    def revision(self, number: int) -> S3Location:
        return self.manifest if number == 0 else self.revisions.child(f"{number:05d}.json")

    def frame(self, revision: int = 0) -> S3Location:
        return self._shard_home.child(f"frame{_of_revision(revision)}.parquet")

    def slots(self, revision: int = 0) -> S3Location:
        return self._shard_home.child(f"slots{_of_revision(revision)}.parquet")

    @cached_property
    def inputs(self) -> S3Location:
        return self._shard_home.child("inputs/")

    def input_location(self, request: int, suffix: str) -> S3Location:
        bucket, directory = self.inputs
        return S3Location(bucket, f"{directory}{request:08d}{suffix}")

    def journal_segment(self, number: int) -> S3Location:
        return self._shard_home.child("journal", f"{number:08d}.parquet")

    @property
    def journal_prefix(self) -> S3Location:
        return self._shard_home.child("journal/")

    @property
    def checkpoints(self) -> S3Location:
        return self._shard_home.child("checkpoints/")

    def checkpoint(self, next_segment: int) -> S3Location:
        """What all segments before ``next_segment`` come to."""
        return self.checkpoints.child(f"{next_segment:08d}.parquet")

    @property
    def leases(self) -> S3Location:
        return self._shard_home.child("lease/")

    def lease(self, epoch: int) -> S3Location:
        return self.leases.child(f"{epoch:08d}.json")

    @property
    def lease_clock(self) -> S3Location:
        """Overwritten to learn what time it is for S3."""
        return self.leases.child("clock")

    def s3_output_path_extension(self, request: int) -> str:
        """Where outputs go below the endpoint's S3OutputPath."""
        return f"{self.job_id}/{self.shard:05d}/{request // REQUESTS_PER_DIRECTORY:05d}"

    @cached_property
    def token(self) -> str:
        """Ten characters that no other job shares: file names are too short for the job's own name."""
        digest = hashlib.blake2b(f"{self.home}#{self.shard}".encode(), digest_size=16).digest()
        return base64.b32encode(digest).decode().lower()[:10]

    def inference_id(self, request: int, attempt: int) -> str:
        """The same for the same attempt at the same request, whenever it is made."""
        return f"{self.token}-{request:08d}-{attempt}"

    def filename(self, request: int, attempt: int) -> str:
        """At most 32 characters and one dot; the next attempt gets another, so that old objects cannot mislead."""
        return f"{self.inference_id(request, attempt)}.out"

    def watched_prefix(self, location: S3Location) -> S3Location | None:
        """The longest prefix of a returned location that only this job writes to, or None if it shares it.

        The location itself is the service's; this only recognises our own marks in it.
        """
        directory, _, name = location.key.rpartition("/")
        if self._own_directory.search(directory):
            return S3Location(location.bucket, f"{directory}/")
        if name.startswith(self.token):
            return S3Location(location.bucket, f"{directory}/{self.token}".lstrip("/"))
        return None

    @cached_property
    def _own_directory(self) -> re.Pattern[str]:
        return re.compile(rf"(^|/){re.escape(self.job_id)}/{self.shard:05d}/\d{{5,}}$")

    @property
    def _shard_home(self) -> S3Location:
        return self.home.child("shards", f"{self.shard:05d}")


def _of_revision(revision: int) -> str:
    return f"-{revision:05d}" if revision else ""


def new_job_id(endpoint_name: str, now: float) -> str:
    """A name for a job that was given none: its endpoint, its second, and four random characters."""
    stem = _UNSAFE_IN_JOB_ID.sub("-", endpoint_name).strip("-.") or "job"
    second = datetime.fromtimestamp(now, UTC).strftime("%Y%m%d-%H%M%S")
    return f"{stem}-{second}-{secrets.token_hex(2)}"


def check_job_id(name: str) -> None:
    """Refuse a job name that could not be part of an S3 key and of S3OutputPathExtension.

    Raises
    ------
    ValueError
        Saying what it may consist of.
    """
    if not isinstance(name, str) or _JOB_ID.fullmatch(name) is None:
        raise ValueError(
            "A job's name is 1 to 100 letters, digits, '-', '_' or '.', beginning with a letter or a digit;"
            f" got {name!r}."
        )
