"""PUT, GET and LIST over obstore, which takes a fifth of the CPU; everything else over s3fs.

``pip install sm-async-nb[fast]`` brings it. Where a bucket is, how requests are signed and whom to trust is learnt from
a boto3 client, credentials are asked of the session, and what obstore cannot do is done over s3fs: a whole session, a
bucket, or a single key. Errors are explained by :func:`~sm_async_nb.aws.storage.explain`.
"""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Self
from urllib.request import getproxies
from weakref import WeakKeyDictionary

from botocore.credentials import RefreshableCredentials
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

from sm_async_nb.aws.credentials import credentials_error
from sm_async_nb.aws.learning import CannotLearnError, Wire, check_handlers, learn_signing, learn_wire, tell_once
from sm_async_nb.aws.session import Session, aio_session, botocore_session
from sm_async_nb.aws.storage import Names, S3fsStorage, StorageTerms, StoredObject, explain
from sm_async_nb.core.locations import S3Location

_PAGE = 1_000
_OPERATIONS = {"s3:PutObject": "PutObject", "s3:GetObject": "GetObject", "s3:ListBucket": "ListObjectsV2"}
_SIGNATURE_VERSIONS = {"s3v4", "v4"}
_KEY = "a-key"

# obstore asks for keys anew when they last for less than five minutes, so it asks about once a minute.
_ASKED_AGAIN_AFTER = timedelta(minutes=6)

# obstore cites the answer of the service in its message, and nowhere else.
_STATUS = re.compile(r"status code: (?P<status>\d{3})")
_CODE = re.compile(r"<Code>(?P<code>[^<]*)</Code>")
_MESSAGE = re.compile(r"<Message>(?P<message>[^<]*)</Message>")

# Answers to a bucket that lies in another region, where botocore follows by itself.
_ELSEWHERE = {"AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "IncorrectEndpoint",
              "PermanentRedirect", "TemporaryRedirect"}  # fmt: skip

_REDIRECTED = "Received redirect without LOCATION"

# What Rust's object_store takes as it is. Others it would write, and list, differently: a//b, a/./b, a/.
_PLAIN_KEY = re.compile(r"(?!\.{1,2}(/|$))[^/\x00-\x1f\x7f]+(/(?!\.{1,2}(/|$))[^/\x00-\x1f\x7f]+)*")


# As botocore for s3fs: three attempts.
_RETRIES = {
    "max_retries": 2,
    "backoff": {"base": 2, "init_backoff": timedelta(milliseconds=200), "max_backoff": timedelta(seconds=5)},
}

# In a class that has a verb of that name, list[StoredObject] would be the verb.
Page = list[StoredObject]


@dataclass(frozen=True, kw_only=True)
class _Place:
    """Where a bucket is: the URL that its keys are below, and the region that requests are signed for."""

    url: str
    region_name: str
    wire: Wire


OpenReference = Callable[[], AbstractAsyncContextManager[S3fsStorage]]


@asynccontextmanager
async def open_obstore_storage(
    reference: OpenReference, session: Session, *, concurrency: int, terms: StorageTerms
) -> AsyncIterator[ObstoreStorage | S3fsStorage]:
    """Bulk transfer over obstore for a session, or the reference alone where obstore could not do the same.

    The reason is logged at INFO, once for each reason.
    """
    try:
        check_terms(terms)
        stores = await asyncio.to_thread(Stores.of, session, concurrency, terms)
    except CannotLearnError as reason:
        _tell(reason)
        async with reference() as alone:
            yield alone
        return
    async with _Reference(reference) as others:
        yield ObstoreStorage(others, stores)


class _Reference:
    """s3fs, opened when it is first needed: its client costs as much as a hundred calls, and most jobs need none."""

    def __init__(self, open_it: OpenReference) -> None:
        self._open_it = open_it
        self._stack = AsyncExitStack()
        self._opening = asyncio.Lock()
        self._opened: S3fsStorage | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *of_error: object) -> None:
        await self._stack.aclose()

    async def __call__(self) -> S3fsStorage:
        async with self._opening:
            if self._opened is None:
                self._opened = await self._stack.enter_async_context(self._open_it())
            return self._opened


def is_installed() -> bool:
    """Whether obstore can be imported."""
    try:
        import obstore  # noqa: F401
    except ImportError:
        return False
    return True


def check_terms(terms: StorageTerms) -> None:
    """Whether obstore can keep these terms.

    Raises
    ------
    CannotLearnError
        If not.
    """
    if terms.expected_bucket_owner:
        raise CannotLearnError("it cannot sign the account that a bucket is expected to belong to")


class Stores:
    """obstore's stores, one for each bucket, made when first needed."""

    def __init__(self, client: Any, credentials: Callable[[], Any], *, concurrency: int, terms: StorageTerms) -> None:
        self._client = client
        self.credentials = _Provider(credentials)
        self._concurrency = concurrency
        self._terms = terms
        self._stores: dict[str, Any] = {}
        self._making = asyncio.Lock()

    @classmethod
    def of(cls, session: Session, concurrency: int, terms: StorageTerms) -> Stores:
        """Stores for what this session sees. Takes a while, since a client is made.

        Raises
        ------
        CannotLearnError
            If somebody else takes part in the session's calls.
        """
        client = _client_of(session)
        for emitter in (client.meta.events, session.events, aio_session(session).get_component("event_emitter")):
            for operation in _OPERATIONS.values():
                check_handlers(emitter, "s3", operation)
        return cls(client, botocore_session(session).get_credentials, concurrency=concurrency, terms=terms)

    def forget(self, bucket: str, reason: str) -> None:
        """Leave a bucket to s3fs from now on."""
        _tell(f"{reason}, for the bucket {bucket!r}")
        self._stores[bucket] = None

    async def store(self, bucket: str) -> Any:
        """The store of a bucket, or None if it is left to s3fs."""
        if bucket not in self._stores:
            async with self._making:  # a job's first calls come together
                await self._make(bucket)
        return self._stores[bucket]

    async def _make(self, bucket: str) -> None:
        if bucket in self._stores:
            return
        try:
            self._stores[bucket] = await asyncio.to_thread(self._new, bucket)
        except CannotLearnError as reason:
            self.forget(bucket, str(reason))

    def _new(self, bucket: str) -> Any:
        from obstore.exceptions import BaseError
        from obstore.store import S3Store

        new: Any = S3Store
        place = _learn_place(self._client, bucket)
        key = self._terms.sse_kms_key_id
        encryption = {"server_side_encryption": "aws:kms", "sse_kms_key_id": key} if key else {}
        try:
            return new(
                # The URL has the bucket in it already, in its host or in its path.
                config={
                    "bucket": bucket,
                    "endpoint": place.url,
                    # Read from the environment otherwise, where it is without the bucket, and obeyed before the other.
                    "aws_endpoint_url_s3": place.url,
                    "virtual_hosted_style_request": True,
                    "region": place.region_name,
                    **encryption,
                },
                client_options=_client_options(place, self._client.meta.config, self._concurrency),
                retry_config=_RETRIES,
                credential_provider=self.credentials,
            )
        except (BaseError, ValueError) as error:  # an older one that does not know a setting, for one
            raise CannotLearnError(f"it says: {error}") from error


class _Provider:
    """The session's credentials as obstore asks for them. ``error`` is what went wrong the last time."""

    def __init__(self, source: Callable[[], Any]) -> None:
        self._source = source
        self.error: Exception | None = None

    async def __call__(self) -> dict[str, Any]:
        self.error = None
        try:
            return await asyncio.to_thread(self._asked)
        except (BotoCoreError, ClientError, RuntimeError) as error:
            self.error = error
            raise

    def _asked(self) -> dict[str, Any]:
        credentials = self._source()
        if credentials is None:
            raise NoCredentialsError
        frozen = credentials.get_frozen_credentials()
        lasts = isinstance(credentials, RefreshableCredentials)
        return {
            "access_key_id": frozen.access_key,
            "secret_access_key": frozen.secret_key,
            "token": frozen.token,
            "expires_at": datetime.now(UTC) + _ASKED_AGAIN_AFTER if lasts else None,
        }


class ObstoreStorage:
    """:class:`~sm_async_nb.aws.storage.Storage` over obstore, and over s3fs for whatever obstore does otherwise."""

    def __init__(self, reference: _Reference, stores: Stores) -> None:
        self._reference = reference
        self._stores = stores

    async def put(
        self, location: S3Location, body: bytes, content_type: str | None = None, *, create_only: bool = False
    ) -> None:
        import obstore

        put = partial(
            obstore.put_async,
            path=location.key,
            file=body,
            attributes={"Content-Type": content_type} if content_type else None,
            use_multipart=False,
            mode="create" if create_only else "overwrite",
        )
        if await self._done("s3:PutObject", location, put) is None:
            await (await self._reference()).put(location, body, content_type, create_only=create_only)

    async def get(self, location: S3Location) -> tuple[bytes, str | None]:
        import obstore

        async def read(store: Any) -> tuple[bytes, str | None]:
            answer = await obstore.get_async(store, location.key)
            return (await answer.bytes_async()).to_bytes(), answer.attributes.get("Content-Type")

        return await self._done("s3:GetObject", location, read) or await (await self._reference()).get(location)

    async def list(self, prefix: S3Location, *, start_after: str = "") -> AsyncIterator[Sequence[StoredObject]]:
        # object_store knows directories alone: below "a/b" it would not find "a/bc".
        store = await self._stores.store(prefix.bucket)
        if store is not None and (not prefix.key or _is_plain_directory(prefix.key)):
            async for found in self._pages(store, prefix, start_after):
                if found is None:
                    break
                start_after = found[-1].location.key if found else start_after
                yield found
            else:
                return
        async for page in (await self._reference()).list(prefix, start_after=start_after):
            yield page

    # What is not done in bulk

    async def directories(self, prefix: S3Location) -> Names:
        return await (await self._reference()).directories(prefix)

    async def head(self, location: S3Location) -> StoredObject | None:
        return await (await self._reference()).head(location)

    async def delete(self, locations: Sequence[S3Location]) -> None:
        await (await self._reference()).delete(locations)

    async def _pages(self, store: Any, prefix: S3Location, start_after: str) -> AsyncIterator[Page | None]:
        """The pages of a listing; None if the rest of it is for s3fs."""
        import obstore

        pages = obstore.list(store, prefix=prefix.key or None, offset=start_after or None, chunk_size=_PAGE)
        seen = False
        while True:
            try:
                page = await anext(pages, None)
            except Exception as error:
                if self._is_for_reference(error, prefix):
                    yield None
                    return
                raise self._explained(error, "s3:ListBucket", prefix) from error
            if page is None:
                if not seen:  # a listing of nothing is a call and a page too
                    yield []
                return
            seen = True
            yield [_stored_object(prefix.bucket, item) for item in page]

    async def _done(self, permission: str, location: S3Location, call: Callable[[Any], Any]) -> Any:
        """What the call gave, or None if it is for s3fs."""
        store = await self._stores.store(location.bucket)
        if store is None or not _PLAIN_KEY.fullmatch(location.key):
            return None
        try:
            return await call(store)
        except Exception as error:
            if self._is_for_reference(error, location):
                return None
            raise self._explained(error, permission, location) from error

    def _is_for_reference(self, error: Exception, location: S3Location) -> bool:
        from obstore.exceptions import InvalidPathError, NotSupportedError

        said = str(error)
        if _found(_CODE, said) in _ELSEWHERE or _REDIRECTED in said:
            self._stores.forget(location.bucket, "it does not follow to another region")
            return True
        return isinstance(error, (InvalidPathError, NotSupportedError, ValueError))

    def _explained(self, error: Exception, permission: str, location: S3Location) -> Exception:
        about_keys = self._stores.credentials.error
        if about_keys is not None:
            return credentials_error(about_keys) or explain(about_keys, permission, location)
        answer = _as_botocore_says(str(error), _OPERATIONS[permission])
        return explain(answer or error, permission, location)


def _as_botocore_says(said: str, operation: str) -> ClientError | None:
    """The error that botocore would have made of the answer that obstore cites, if there was one."""
    status = _found(_STATUS, said)
    if not status:
        return None
    error = {"Code": _found(_CODE, said) or status, "Message": _found(_MESSAGE, said)}
    return ClientError({"Error": error, "ResponseMetadata": {"HTTPStatusCode": int(status)}}, operation)


def _found(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.search(text)
    return found[1] if found else ""


def _is_plain_directory(key: str) -> bool:
    return key.endswith("/") and _PLAIN_KEY.fullmatch(key[:-1]) is not None


def _stored_object(bucket: str, item: Any) -> StoredObject:
    return StoredObject(S3Location(bucket, item["path"]), item["size"], item["last_modified"].timestamp())


_clients: WeakKeyDictionary[Session, Any] = WeakKeyDictionary()
_one_at_a_time = threading.Lock()


def _client_of(session: Session) -> Any:
    """A boto3 client that makes no calls, made once: reading the SDK's models is most of what it costs."""
    if session not in _clients:
        _clients[session] = session.client("s3")
    return _clients[session]


def _learn_place(client: Any, bucket: str) -> _Place:
    try:
        with _one_at_a_time:  # the client is shared, and so are its events
            signing = learn_signing(client, "GetObject", partial(client.get_object, Bucket=bucket, Key=_KEY))
    except BotoCoreError as error:
        raise CannotLearnError(f"the SDK says: {error}") from error
    if signing.signature_version not in _SIGNATURE_VERSIONS:
        raise CannotLearnError(f"requests are signed with {signing.signature_version}")
    url = signing.request.url
    if not url.endswith(f"/{_KEY}"):
        raise CannotLearnError(f"the SDK asks for a key at {url}")
    return _Place(
        url=url.removesuffix(f"/{_KEY}"), region_name=signing.region_name, wire=learn_wire(client, url)
    )  # fmt: skip


def _client_options(place: _Place, config: Any, concurrency: int) -> dict[str, Any]:
    wire = place.wire
    options: dict[str, Any] = {
        "allow_http": place.url.startswith("http://"),
        "connect_timeout": timedelta(seconds=wire.connect_timeout or 60),
        "read_timeout": timedelta(seconds=wire.read_timeout or 60),
        # In all, body and retries included; obstore's own half a minute is too short for a large body.
        "timeout": timedelta(minutes=30),
        "pool_max_idle_per_host": str(concurrency),
        "user_agent": config.user_agent or "sm-async-nb",
    }
    if wire.verify is False:
        options["allow_invalid_certificates"] = True
    elif isinstance(wire.verify, str) and place.url.startswith("https://"):
        options["root_certificate"] = _bundle(wire.verify)
    if wire.proxy:
        options["proxy_url"] = wire.proxy
    elif getproxies().keys() - {"no"}:  # which obstore would use by itself, and botocore does not
        raise CannotLearnError("it would use a proxy of the environment where botocore does not")
    return options


def _bundle(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise CannotLearnError(f"the bundle of certificates cannot be read: {error}") from error


def _tell(reason: object) -> None:
    tell_once(f"S3 is used over s3fs and not over obstore, which takes more CPU: {reason}.")
