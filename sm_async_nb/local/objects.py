"""The object stores of the local endpoint: S3, with the two verbs the service itself uses."""

from __future__ import annotations

from typing import Any

from sm_async_nb.core.locations import S3Location
from sm_async_nb.local.clients import Clients
from sm_async_nb.local.wire import ACCOUNT_ID


class S3Objects:
    """An :class:`~sm_async_nb.local.invocation.ObjectStore` over any S3, through aiobotocore."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients

    async def get(self, location: S3Location) -> tuple[bytes, str | None]:
        """The object's bytes and content type; botocore's ClientError if it is not there."""
        client = await self._clients.get("s3")
        response = await client.get_object(Bucket=location.bucket, Key=location.key)
        async with response["Body"] as stream:
            return await stream.read(), response.get("ContentType")

    async def put(self, location: S3Location, body: bytes, content_type: str) -> None:
        """Write the object in one request."""
        client = await self._clients.get("s3")
        await client.put_object(Bucket=location.bucket, Key=location.key, Body=body, ContentType=content_type)


class MotoObjects:
    """The same over moto's S3 in this process, without HTTP, which would be most of the work of a request.

    The client sees no difference: its own calls reach the same objects through moto's server.
    """

    def __init__(self, region_name: str) -> None:
        from moto.s3.models import s3_backends
        from moto.utilities.utils import get_partition

        self._backend: Any = s3_backends[ACCOUNT_ID][get_partition(region_name)]

    async def get(self, location: S3Location) -> tuple[bytes, str | None]:
        """The object's bytes and content type; moto's error, or a LookupError, if it is not there."""
        found = self._backend.get_object(location.bucket, location.key)
        if found is None:
            raise LookupError(f"There is no object at {location}.")
        return found.value, found.metadata.get("content-type")

    async def put(self, location: S3Location, body: bytes, content_type: str) -> None:
        """Write the object."""
        self._backend.put_object(location.bucket, location.key, body).set_metadata({"Content-Type": content_type})
