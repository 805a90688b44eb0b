"""One boto3 session, the same credentials and settings for every client this package makes of it."""

from __future__ import annotations

import asyncio
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any, Self
from weakref import WeakKeyDictionary

from aiobotocore.credentials import AioCredentials
from aiobotocore.session import AioSession
from boto3 import Session
from botocore.credentials import ReadOnlyCredentials, RefreshableCredentials
from botocore.exceptions import BotoCoreError
from botocore.loaders import create_loader
from botocore.utils import parse_timestamp

from sm_async_nb.core.request import Field, read_fields
from sm_async_nb.errors import RequestError

# The rest of the package takes the type from here and never imports boto3 itself.
__all__ = ["Session", "aio_session", "botocore_session", "checked_session", "forget_credentials", "known_fields"]


def known_fields(session: Session) -> dict[str, Field]:
    """The fields of InvokeEndpointAsync as the SDK of this session knows them."""
    loader = botocore_session(session).get_component("data_loader")
    return read_fields(loader.load_service_model("sagemaker-runtime", "service-2"))


def checked_session(session: Session | None) -> Session:
    """The session given, or a default one, which must know its region.

    Raises
    ------
    RequestError
        If it does not; botocore would say so in its own words and in the middle of things.
    """
    session = _session(session)
    if session.region_name is None:
        raise RequestError(
            "No AWS region is configured. Set AWS_DEFAULT_REGION, or pass session=boto3.Session(region_name=...)."
            " Nothing was sent."
        )
    return session


def _session(session: Session | None) -> Session:
    if session is not None and not isinstance(session, Session):
        raise RequestError(f"session= takes a boto3.Session, got {type(session).__name__}. Nothing was sent.")
    try:
        return session or _new_session()
    except BotoCoreError as error:  # a profile that is not there, for one
        raise RequestError(f"No AWS session can be made: {error}. Nothing was sent.") from error


def _new_session() -> Session:
    """A session of our own, which shares the models that it reads with the others: they are megabytes of JSON."""
    session = Session()
    source = botocore_session(session)
    source.register_component("data_loader", _models(source.get_config_variable("data_path")))
    return session


@lru_cache(maxsize=2)
def _models(data_path: str | None) -> Any:
    return create_loader(data_path)


_aio_sessions: WeakKeyDictionary[Session, AioSession] = WeakKeyDictionary()


def aio_session(session: Session) -> AioSession:
    """The aiobotocore session of a boto3 session, made once: reading the SDK's models is most of a client's cost."""
    if session not in _aio_sessions:
        _aio_sessions[session] = _new_aio_session(session)
    return _aio_sessions[session]


def _new_aio_session(session: Session) -> AioSession:
    """An aiobotocore session that is configured as ``session`` is and borrows its credentials.

    Region, profile, endpoint URLs, CA bundle and whatever else was set on the session are looked up as botocore does
    it. Credentials are asked of the boto3 session each time, so that assumed roles and SSO are refreshed there, once.
    """
    source = botocore_session(session)
    aio = _AioSession(source)
    for name, value in source.instance_variables().items():
        aio.set_config_variable(name, value)
    if source.get_default_client_config() is not None:
        aio.set_default_client_config(source.get_default_client_config())
    aio.register_component("credential_provider", _BorrowedCredentials(source))
    # It keeps the models that it has read, which are megabytes of JSON.
    aio.register_component("data_loader", source.get_component("data_loader"))
    aio.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=_timestamp)
    return aio


def _timestamp(value: Any) -> datetime:
    """As the SDK reads it, in a tenth of the time for the two forms that S3 writes."""
    if isinstance(value, str) and value.endswith(("Z", "GMT")):
        try:
            return datetime.fromisoformat(value) if value.endswith("Z") else parsedate_to_datetime(value)
        except ValueError:
            pass
    return parse_timestamp(value)  # type: ignore[no-any-return]


def forget_credentials(session: Session) -> None:
    """Have the session ask its chain anew, since a user may have signed in again, or written new keys to a file.

    Credentials are only replaced by others of the same kind, so that keys or a role that were handed to the session
    itself do not give way to those of whoever the environment names.
    """
    source = botocore_session(session)
    known = source._credentials  # noqa: SLF001  (there is no public way, and get_credentials() would look them up)
    if known is None:
        return
    try:
        found = source.get_component("credential_provider").load_credentials()
    except BotoCoreError:  # whoever needs them next is told
        return
    if found is not None and found.method == known.method:
        source._credentials = found  # noqa: SLF001


def botocore_session(session: Session) -> Any:
    """The botocore session inside a boto3 one, which boto3 offers no public way to."""
    return session._session  # noqa: SLF001


class _AioSession(AioSession):  # type: ignore[misc]
    """Its clients go where those of the botocore session ``source`` go, if that one tells: a local endpoint's does.

    Anything else that decides on an address, such as an AWS_ENDPOINT_URL* variable, aiobotocore finds by itself.
    """

    def __init__(self, source: Any) -> None:
        super().__init__(profile=source.profile)
        self._told = getattr(source, "endpoint_url", None)

    def create_client(self, service_name: str, *arguments: Any, endpoint_url: str | None = None, **options: Any) -> Any:
        if endpoint_url is None and self._told is not None:
            endpoint_url = self._told(service_name)
        return super().create_client(service_name, *arguments, endpoint_url=endpoint_url, **options)


class _BorrowedCredentials(AioCredentials):  # type: ignore[misc]
    """The credentials of a botocore session in aiobotocore's shape: provider and credentials in one.

    Requests are signed with what :meth:`get_frozen_credentials` gives; the keys of the base class stay empty.
    """

    def __init__(self, source: Any) -> None:
        super().__init__("", "", method="borrowed")
        self._source = source

    async def load_credentials(self) -> Self | None:
        return self if await asyncio.to_thread(self._source.get_credentials) else None

    async def get_frozen_credentials(self) -> ReadOnlyCredentials:
        credentials: Any = self._source.get_credentials()
        if isinstance(credentials, RefreshableCredentials) and credentials.refresh_needed():
            return await asyncio.to_thread(credentials.get_frozen_credentials)
        return credentials.get_frozen_credentials()
