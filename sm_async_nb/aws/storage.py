"""The five S3 verbs this package uses, over s3fs: put, get, list, head, delete.

One call on the wire for each object put or got. s3fs would add a HEAD to a read and a cached listing would hide new
objects, so both are avoided. Errors come in five kinds: the object is not there (FileNotFoundError), it is there
already (FileExistsError), the bucket or the permission is missing (StorageAccessError), the credentials are missing or
have expired (CredentialsError), or the call did not get through (ServiceTroubleError), which says nothing about the
object.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, NamedTuple, Protocol, get_args

import s3fs

from sm_async_nb.aws.credentials import THROTTLED, credentials_error
from sm_async_nb.aws.session import Session, aio_session
from sm_async_nb.core.locations import S3Location
from sm_async_nb.errors import RequestError, ServiceTroubleError, StorageAccessError

_DELETE_AT_MOST = 1_000
_DENIED = {"AccessDenied", "403", "AllAccessDisabled", "SignatureDoesNotMatch", "AccountProblem"}

# What KMS says no to by itself; the others of its codes pass.
_KMS_REFUSED = {"KMS.DisabledException", "KMS.InvalidKeyUsageException", "KMS.InvalidStateException",
                "KMS.KMSInvalidStateException", "KMS.NotFoundException"}  # fmt: skip
_NAMED_PERMISSION = re.compile(r"not authorized to perform: (?P<permission>[a-z0-9-]+:\w+)")
_ACCOUNT_ID = re.compile(r"[0-9]{12}")

# In a class that has a verb of that name, list[str] would be the verb.
Names = list[str]

StorageChoice = Literal["auto", "obstore", "s3fs"]


@dataclass(frozen=True, kw_only=True)
class StorageTerms:
    """What a user asks of every S3 call that takes it.

    ``sse_kms_key_id`` is the id, ARN or alias of the KMS key that objects are encrypted with, and
    ``expected_bucket_owner`` the account that a bucket must belong to, or S3 refuses the call.

    Source: PutObject, SSEKMSKeyId and ExpectedBucketOwner.
    """

    sse_kms_key_id: str | None = None
    expected_bucket_owner: str | None = None

    def __post_init__(self) -> None:
        key, owner = self.sse_kms_key_id, self.expected_bucket_owner
        if key is not None and not (isinstance(key, str) and key.strip()):
            raise RequestError(
                f"sse_kms_key_id= takes the id, the ARN or the alias of a KMS key, got {key!r}. Nothing was sent."
            )
        if owner is not None and not (isinstance(owner, str) and _ACCOUNT_ID.fullmatch(owner)):
            raise RequestError(
                "expected_bucket_owner= takes the id of an AWS account, 12 digits in a string, got"
                f" {owner!r}. Nothing was sent."
            )

    @property
    def for_every_call(self) -> dict[str, str]:
        return {"ExpectedBucketOwner": self.expected_bucket_owner} if self.expected_bucket_owner else {}

    @property
    def for_writing(self) -> dict[str, str]:
        key = self.sse_kms_key_id
        return {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key} if key else {}


# A tuple, since it is made in a quarter of a dataclass's time and a listing has thousands.
class StoredObject(NamedTuple):
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

    async def directories(self, prefix: S3Location) -> Names:
        """The names directly below a prefix that have something below them, in key order, without a slash."""

    async def head(self, location: S3Location) -> StoredObject | None:
        """An object's size and time, None if there is none."""

    async def delete(self, locations: Sequence[S3Location]) -> None:
        """Delete objects; those that do not exist are no matter."""


@asynccontextmanager
async def open_storage(
    session: Session,
    *,
    concurrency: int = 64,
    terms: StorageTerms | None = None,
    storage: StorageChoice = "s3fs",
) -> AsyncIterator[Storage]:
    """S3 as this session sees it, for use on the running event loop.

    Parameters
    ----------
    storage
        ``"s3fs"``, the reference; ``"obstore"`` for PUT, GET and LIST with less CPU, as ``sm-async-nb[fast]``
        installs it; or ``"auto"`` for obstore where it is installed.

    Raises
    ------
    CredentialsError
        If the session has none, or cannot get them.
    RequestError
        If obstore is asked for and not installed.
    """
    # It needs what is defined here.
    from sm_async_nb.aws.obstore_storage import is_installed, open_obstore_storage

    check_choice(storage)
    reference = partial(_open_s3fs_storage, session, concurrency, terms)
    if storage == "s3fs" or not is_installed():
        async with reference() as opened:
            yield opened
        return
    async with open_obstore_storage(reference, session, concurrency=concurrency, terms=terms or StorageTerms()) as fast:
        yield fast


def check_choice(storage: StorageChoice) -> None:
    """Refuse a storage that there is not, before anything is done.

    Raises
    ------
    RequestError
        With those that there are, or with how to install it.
    """
    from sm_async_nb.aws.obstore_storage import is_installed

    if storage not in get_args(StorageChoice):
        known = ", ".join(map(repr, get_args(StorageChoice)))
        raise RequestError(f"storage= is one of {known}; got {storage!r}. Nothing was sent.")
    if storage == "obstore" and not is_installed():
        raise RequestError("storage='obstore' needs obstore: pip install 'sm-async-nb[fast]'. Nothing was sent.")


@asynccontextmanager
async def _open_s3fs_storage(
    session: Session, concurrency: int, terms: StorageTerms | None
) -> AsyncIterator[S3fsStorage]:
    filesystem = s3fs.S3FileSystem(
        asynchronous=True,
        session=aio_session(session),
        use_listings_cache=False,
        skip_instance_cache=True,
        config_kwargs={"max_pool_connections": concurrency, "retries": {"mode": "standard", "total_max_attempts": 3}},
    )
    filesystem.retries = 1  # botocore has tried three times, and the engine tries again for as long as the job lives
    client = await _client(filesystem)
    try:
        yield S3fsStorage(filesystem, terms)
    finally:
        await client.close()


async def _client(filesystem: s3fs.S3FileSystem) -> Any:
    # Some credentials are fetched here already, those of a credential_process for one.
    try:
        return await filesystem.set_session()
    except Exception as error:
        about_credentials = credentials_error(error)
        if about_credentials is None:
            raise
        raise about_credentials from error


class S3fsStorage:
    """:class:`Storage` over an asynchronous s3fs file system."""

    def __init__(self, filesystem: s3fs.S3FileSystem, terms: StorageTerms | None = None) -> None:
        self._filesystem = filesystem
        self.terms = terms or StorageTerms()

    async def put(
        self, location: S3Location, body: bytes, content_type: str | None = None, *, create_only: bool = False
    ) -> None:
        options = dict(self.terms.for_writing)
        if content_type:
            options["ContentType"] = content_type
        if create_only:
            options["IfNoneMatch"] = "*"
        await self._call("s3:PutObject", location, "put_object", Key=location.key, Body=body, **options)

    async def get(self, location: S3Location) -> tuple[bytes, str | None]:
        # s3fs's cat_file(max_concurrency=1) makes this same call, but drops the content type that decoding needs.
        async def read(**arguments: Any) -> tuple[bytes, str | None]:
            answer = await self._filesystem._call_s3("get_object", **arguments)  # noqa: SLF001
            async with answer["Body"] as body:
                return await body.read(), answer.get("ContentType")

        arguments = {"Bucket": location.bucket, "Key": location.key, **self.terms.for_every_call}
        result: tuple[bytes, str | None] = await self._translated("s3:GetObject", location, read, **arguments)
        return result

    async def list(self, prefix: S3Location, *, start_after: str = "") -> AsyncIterator[Sequence[StoredObject]]:
        more = {"StartAfter": start_after} if start_after else {}
        async for page in self._pages(prefix, **more):
            yield [_stored_object(prefix.bucket, item) for item in page.get("Contents", ())]

    async def directories(self, prefix: S3Location) -> Names:
        home = as_directory(prefix)
        return [
            common["Prefix"][len(home.key) : -1]
            async for page in self._pages(home, Delimiter="/")
            for common in page.get("CommonPrefixes", ())
        ]

    async def head(self, location: S3Location) -> StoredObject | None:
        try:
            found = await self._call("s3:GetObject", location, "head_object", Key=location.key)
        except FileNotFoundError:
            return None
        except StorageAccessError as error:
            raise StorageAccessError(
                f"S3 answered 403 for {location}, which it also does where there is no object and s3:ListBucket is"
                f" missing. These credentials need s3:ListBucket on the bucket {location.bucket!r}, most likely, and"
                f" s3:GetObject.{self._owner_told()}"
            ) from error.__cause__
        return StoredObject(location, found["ContentLength"], found["LastModified"].timestamp())

    async def delete(self, locations: Sequence[S3Location]) -> None:
        for batch in delete_batches(locations):
            doomed = {"Objects": [{"Key": location.key} for location in batch], "Quiet": True}
            await self._call("s3:DeleteObject", S3Location(batch[0].bucket, ""), "delete_objects", Delete=doomed)

    async def _pages(self, prefix: S3Location, **more: str) -> AsyncIterator[dict[str, Any]]:
        while True:
            page = await self._call("s3:ListBucket", prefix, "list_objects_v2", Prefix=prefix.key, **more)
            yield page
            if not page.get("IsTruncated"):
                return
            more = {**more, "ContinuationToken": page["NextContinuationToken"]}

    async def _call(self, permission: str, location: S3Location, method: str, **arguments: Any) -> dict[str, Any]:
        call = self._filesystem._call_s3  # noqa: SLF001  (documented as call_s3, whose asynchronous form this is)
        arguments = {"Bucket": location.bucket, **self.terms.for_every_call, **arguments}
        answer: dict[str, Any] = await self._translated(permission, location, call, method, **arguments)
        return answer

    async def _translated(
        self,
        permission: str,
        location: S3Location,
        call: Callable[..., Awaitable[Any]],
        *arguments: Any,
        **options: Any,
    ) -> Any:
        try:
            return await call(*arguments, **options)
        except Exception as error:
            explained = explain(error, permission, location)
            if isinstance(explained, StorageAccessError):
                explained = StorageAccessError(f"{explained}{self._owner_told()}")
            raise explained from error

    def _owner_told(self) -> str:
        owner = self.terms.expected_bucket_owner
        return f" And the bucket must belong to the account {owner}, as expected_bucket_owner= says." if owner else ""


def as_directory(prefix: S3Location) -> S3Location:
    """The prefix with a slash at its end, unless it is the whole bucket."""
    return prefix if not prefix.key or prefix.key.endswith("/") else S3Location(prefix.bucket, f"{prefix.key}/")


def delete_batches(locations: Sequence[S3Location]) -> Iterator[list[S3Location]]:
    """Locations as DeleteObjects takes them: at most 1,000, and all in one bucket."""
    for bucket in sorted({location.bucket for location in locations}):
        there = [location for location in locations if location.bucket == bucket]
        for start in range(0, len(there), _DELETE_AT_MOST):
            yield there[start : start + _DELETE_AT_MOST]


def explain(error: Exception, permission: str, location: S3Location) -> Exception:
    """The error of this package's own tree for whatever s3fs, botocore or the network raised."""
    about_credentials = credentials_error(error)
    if about_credentials is not None:
        return about_credentials
    response = getattr(error, "response", None) or getattr(error.__cause__, "response", None) or {}
    code, said = str(response.get("Error", {}).get("Code", "")), str(response.get("Error", {}).get("Message") or "")
    if code in {"NoSuchKey", "404"}:
        return FileNotFoundError(f"There is no object at {location}.")
    if code in {"PreconditionFailed", "412"}:
        return FileExistsError(f"There is an object at {location} already.")
    return _refused(code, said, permission, location) or ServiceTroubleError(
        f"S3 did not answer for {location}: {code or type(error).__name__}: {said or error}",
        throttled=code in THROTTLED,
    )


def _refused(code: str, said: str, permission: str, location: S3Location) -> StorageAccessError | None:
    if code == "NoSuchBucket":
        return StorageAccessError(
            f"There is no bucket {location.bucket!r}. Check the name, the account and the region."
        )
    if code in _KMS_REFUSED:
        return StorageAccessError(f"S3 refused {permission} on {location} for its KMS key ({code}: {said}).")
    if code in _DENIED:
        # Often S3 names what is missing itself, kms:GenerateDataKey for one.
        named = _NAMED_PERMISSION.search(said)
        needed = named["permission"] if named else permission
        return StorageAccessError(f"S3 refused {permission} on {location} ({code}). These credentials need {needed}.")
    return None


def _stored_object(bucket: str, item: dict[str, Any]) -> StoredObject:
    return StoredObject(S3Location(bucket, item["Key"]), item["Size"], item["LastModified"].timestamp())
