"""The object stores of the local endpoint: S3, with the two verbs the service itself uses."""

from __future__ import annotations

import uuid
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
        from moto.s3 import notifications
        from moto.s3.models import FakeKey, s3_backends
        from moto.utilities.utils import get_partition

        self._backend: Any = s3_backends[ACCOUNT_ID][get_partition(region_name)]
        self._notifications: Any = notifications
        self._new_key: Any = FakeKey

    async def get(self, location: S3Location) -> tuple[bytes, str | None]:
        """The object's bytes and content type; moto's error, or a LookupError, if it is not there."""
        found = self._backend.get_object(location.bucket, location.key)
        if found is None:
            raise LookupError(f"There is no object at {location}.")
        return found.value, found.metadata.get("content-type")

    async def put(self, location: S3Location, body: bytes, content_type: str) -> None:
        """Write the object.

        moto's put_object knows no content type: who read at that moment saw the object without it. So this is what
        that does, with everything said before the object is there.
        """
        backend = self._backend
        bucket = backend.get_bucket(location.bucket)
        key = self._new_key(
            name=location.key,
            value=body,
            account_id=backend.account_id,
            region_name=backend.region_name,
            bucket_name=location.bucket,
            is_versioned=bucket.is_versioned,
            version_id=str(uuid.uuid4()) if bucket.is_versioned else "null",
            **_default_encryption(bucket),
        )
        key.set_metadata({"Content-Type": content_type})
        older = bucket.keys.getlist(location.key, []) if bucket.is_versioned else []
        bucket.keys.setlist(location.key, [*older, key])
        created = self._notifications.S3NotificationEvent.OBJECT_CREATED_PUT_EVENT
        self._notifications.send_event(backend.account_id, created, bucket, key)


def _default_encryption(bucket: Any) -> dict[str, Any]:
    if not bucket.encryption:
        return {}
    rule = bucket.encryption["Rule"]
    default = rule["ApplyServerSideEncryptionByDefault"]
    return {
        "encryption": default["SSEAlgorithm"],
        "kms_key_id": default.get("KMSMasterKeyID"),
        "bucket_key_enabled": rule.get("BucketKeyEnabled", False),
    }
