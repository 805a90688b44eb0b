"""The five S3 verbs this package uses, over s3fs: put, get, list, head, delete.

One call on the wire for each object put or got. s3fs would add a HEAD to a read and a cached listing would hide new
objects, so both are avoided. Errors come in four kinds: the object is not there (FileNotFoundError), it is there
already (FileExistsError), the bucket or the permission is missing (StorageAccessError), or the call did not get
through (ServiceTroubleError), which says nothing about the object.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import s3fs
from botocore.exceptions import NoCredentialsError, PartialCredentialsError

from sm_async_nb.aws.session import Session, aio_session
from sm_async_nb.core.locations import S3Location
from sm_async_nb.errors import RequestError, ServiceTroubleError, StorageAccessError

_DELETE_AT_MOST = 1_000
_THROTTLED = {"SlowDown", "503", "Throttling", "ThrottlingException", "RequestLimitExceeded", "TooManyRequests"}
_DENIED = {"AccessDenied", "403", "AllAccessDisabled", "InvalidAccessKeyId", "SignatureDoesNotMatch", "AccountProblem"}


@dataclass(frozen=True)
class StoredObject:
    """What a listing tells of an object: its size in bytes and when it was written, seconds since the epoch."""

    location: S3Location
    size: int
    modified_at: float


class Storage(Protocol):
    """What the rest of the package asks of S3."""

    async def put(
        self, location: S3Location, body: bytes, content_type: str | None = None, *, create_only: bool = False
    ) -> None:
        """Write an object; with ``create_only`` raise FileExistsError where there is one."""

    async def get(self, location: S3Location) -> tuple[bytes, str | None]:
        """An object's bytes and its content type."""

    def list(self, prefix: S3Location, *, start_after: str = "") -> AsyncIterator[Sequence[StoredObject]]:
        """The objects below a prefix in key order, a page of up to 1,000 at a time."""

    async def head(self, location: S3Location) -> StoredObject | None:
        """An object's size and time, None if there is none."""

    async def delete(self, locations: Sequence[S3Location]) -> None:
        """Delete objects; those that do not exist are no matter."""


@asynccontextmanager
async def open_storage(session: Session, *, concurrency: int = 64) -> AsyncIterator[S3fsStorage]:
    """S3 as this session sees it, for use on the running event loop."""
    filesystem = s3fs.S3FileSystem(
        asynchronous=True,
        session=aio_session(session),
        use_listings_cache=False,
        skip_instance_cache=True,
        config_kwargs={"max_pool_connections": concurrency, "retries": {"mode": "standard", "total_max_attempts": 3}},
    )
    filesystem.retries = 1  # botocore has tried three times, and the engine tries again for as long as the job lives
    client = await filesystem.set_session()
    try:
        yield S3fsStorage(filesystem)
    finally:
        await client.close()


class S3fsStorage:
    """:class:`Storage` over an asynchronous s3fs file system."""

    def __init__(self, filesystem: s3fs.S3FileSystem) -> None:
        self._filesystem = filesystem

    async def put(
        self, location: S3Location, body: bytes, content_type: str | None = None, *, create_only: bool = False
    ) -> None:
        options = {"ContentType": content_type} if content_type else {}
        if create_only:
            options["IfNoneMatch"] = "*"
        await self._call("s3:PutObject", location, "put_object", Key=location.key, Body=body, **options)

    async def get(self, location: S3Location) -> tuple[bytes, str | None]:
        # s3fs's cat_file(max_concurrency=1) makes this same call, but drops the content type that decoding needs.
        async def read(**arguments: Any) -> tuple[bytes, str | None]:
            answer = await self._filesystem._call_s3("get_object", **arguments)  # noqa: SLF001
            async with answer["Body"] as body:
                return await body.read(), answer.get("ContentType")

        arguments = {"Bucket": location.bucket, "Key": location.key}
        result: tuple[bytes, str | None] = await _translated("s3:GetObject", location, read, **arguments)
        return result

    async def list(self, prefix: S3Location, *, start_after: str = "") -> AsyncIterator[Sequence[StoredObject]]:
        more = {"StartAfter": start_after} if start_after else {}
        while True:
            page = await self._call("s3:ListBucket", prefix, "list_objects_v2", Prefix=prefix.key, **more)
            yield [_stored_object(prefix.bucket, item) for item in page.get("Contents", ())]
            if not page.get("IsTruncated"):
                return
            more = {"ContinuationToken": page["NextContinuationToken"]}

    async def head(self, location: S3Location) -> StoredObject | None:
        try:
            found = await self._call("s3:GetObject", location, "head_object", Key=location.key)
        except FileNotFoundError:
            return None
        return StoredObject(location, found["ContentLength"], found["LastModified"].timestamp())

    async def delete(self, locations: Sequence[S3Location]) -> None:
        for bucket in sorted({location.bucket for location in locations}):
            keys = [{"Key": location.key} for location in locations if location.bucket == bucket]
            for start in range(0, len(keys), _DELETE_AT_MOST):
                doomed = {"Objects": keys[start : start + _DELETE_AT_MOST], "Quiet": True}
                await self._call("s3:DeleteObject", S3Location(bucket, ""), "delete_objects", Delete=doomed)

    async def _call(self, permission: str, location: S3Location, method: str, **arguments: Any) -> dict[str, Any]:
        call = self._filesystem._call_s3  # noqa: SLF001  (documented as call_s3, whose asynchronous form this is)
        answer: dict[str, Any] = await _translated(
            permission, location, call, method, Bucket=location.bucket, **arguments
        )
        return answer


async def _translated(
    permission: str, location: S3Location, call: Callable[..., Awaitable[Any]], *arguments: Any, **options: Any
) -> Any:
    try:
        return await call(*arguments, **options)
    except Exception as error:
        raise explain(error, permission, location) from error


def explain(error: Exception, permission: str, location: S3Location) -> Exception:
    """The error of this package's own tree for whatever s3fs, botocore or the network raised."""
    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        return RequestError(f"No AWS credentials were found for {location}: {error}.")
    response = getattr(error, "response", None) or getattr(error.__cause__, "response", None) or {}
    code = str(response.get("Error", {}).get("Code", ""))
    if code in {"NoSuchKey", "404"}:
        return FileNotFoundError(f"There is no object at {location}.")
    if code == "NoSuchBucket":
        return StorageAccessError(
            f"There is no bucket {location.bucket!r}. Check the name, the account and the region."
        )
    if code in {"PreconditionFailed", "412"}:
        return FileExistsError(f"There is an object at {location} already.")
    if code in _DENIED:
        return StorageAccessError(
            f"S3 refused {permission} on {location} ({code}). These credentials need {permission}."
        )
    said = response.get("Error", {}).get("Message") or error
    return ServiceTroubleError(
        f"S3 did not answer for {location}: {code or type(error).__name__}: {said}", throttled=code in _THROTTLED
    )


def _stored_object(bucket: str, item: dict[str, Any]) -> StoredObject:
    return StoredObject(S3Location(bucket, item["Key"]), item["Size"], item["LastModified"].timestamp())
