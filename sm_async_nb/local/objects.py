"""The object store of the local endpoint: S3 through aiobotocore, with the two verbs the service itself uses."""

from __future__ import annotations

from typing import Any

from sm_async_nb.core.locations import S3Location


class S3Objects:
    """An :class:`~sm_async_nb.local.endpoint.ObjectStore` over one shared aiobotocore client."""

    def __init__(self, client: Any) -> None:
        self._client = client

    async def get(self, location: S3Location) -> tuple[bytes, str | None]:
        """The object's bytes and content type; botocore's ClientError if it is not there."""
        response = await self._client.get_object(Bucket=location.bucket, Key=location.key)
        async with response["Body"] as stream:
            return await stream.read(), response.get("ContentType")

    async def put(self, location: S3Location, body: bytes, content_type: str) -> None:
        """Write the object in one request."""
        await self._client.put_object(Bucket=location.bucket, Key=location.key, Body=body, ContentType=content_type)
