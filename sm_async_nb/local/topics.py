"""The topics of the local endpoint: SNS through aiobotocore, with the one verb the service itself uses."""

from __future__ import annotations

from sm_async_nb.local.clients import Clients


class SnsTopics:
    """The :class:`~sm_async_nb.local.invocation.Topics` of the local endpoint."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients

    async def publish(self, topic_arn: str, message: str) -> None:
        """Publish the message; botocore's ClientError if there is no such topic."""
        client = await self._clients.get("sns")
        await client.publish(TopicArn=topic_arn, Message=message)
