"""The asynchronous endpoints that were invoked so far: one :class:`AsyncEndpoint` per name, as long as it exists."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from sm_async_nb.local.clients import Clients
from sm_async_nb.local.control_plane import ControlPlane
from sm_async_nb.local.endpoint import AsyncEndpoint
from sm_async_nb.local.invocation import Accepted, EndpointConfig
from sm_async_nb.local.metrics import datum
from sm_async_nb.local.wire import Refusal

NAMESPACE = "AWS/SageMaker"

# PutMetricData takes no more at once.
_LARGEST_PUT = 1000


class Fleet:
    """Gives each request to the endpoint it names, which is looked up in the control plane first.

    Parameters
    ----------
    new_endpoint
        Makes the endpoint for a configuration that was not seen before.
    tasks
        Where the endpoints work; they end with it, or when their name is gone.
    clients
        For CloudWatch.
    """

    def __init__(
        self,
        control_plane: ControlPlane,
        new_endpoint: Callable[[EndpointConfig], AsyncEndpoint],
        tasks: asyncio.TaskGroup,
        clients: Clients,
    ) -> None:
        self._control_plane = control_plane
        self._new_endpoint = new_endpoint
        self._tasks = tasks
        self._clients = clients
        self._endpoints: dict[str, tuple[AsyncEndpoint, asyncio.Task[None]]] = {}

    @property
    def endpoints(self) -> list[AsyncEndpoint]:
        """Those that were invoked and still exist, as far as is known."""
        return [endpoint for endpoint, _ in list(self._endpoints.values())]  # a copy: other threads look too

    async def accept(self, endpoint_name: str, fields: Mapping[str, object]) -> Accepted:
        """Enqueue a valid request.

        Raises
        ------
        Refusal
            If there is no such endpoint, or it is not asynchronous.
        """
        try:
            config = await self._control_plane.endpoint_config(endpoint_name)
        except Refusal:
            self._retire(endpoint_name)
            raise
        return self._endpoint(config).accept(fields)

    async def changed(self, endpoint_name: str) -> None:
        """The endpoint was created, updated or deleted: look again, and publish its test message."""
        self._control_plane.forget(endpoint_name)
        try:
            config = await self._control_plane.endpoint_config(endpoint_name)
        except Refusal:
            self._retire(endpoint_name)
        else:
            await self._endpoint(config).announce()

    async def publish_metrics(self) -> None:
        """Put the data points that CloudWatch has not seen yet; an endpoint that was deleted leaves none."""
        data = [
            datum(point, endpoint.config.endpoint_name, endpoint.config.variant_name)
            for endpoint in self.endpoints
            for point in endpoint.take_points()
        ]
        if data:
            cloudwatch = await self._clients.get("cloudwatch")
            for start in range(0, len(data), _LARGEST_PUT):
                await cloudwatch.put_metric_data(Namespace=NAMESPACE, MetricData=data[start : start + _LARGEST_PUT])

    async def drained(self) -> None:
        """Return when every accepted request has come to its end."""
        for endpoint in self.endpoints:
            await endpoint.drained()

    def close(self) -> None:
        """Stop all endpoints, whatever they are doing."""
        for endpoint_name in list(self._endpoints):
            self._retire(endpoint_name)

    def _endpoint(self, config: EndpointConfig) -> AsyncEndpoint:
        if config.endpoint_name not in self._endpoints:
            started = self._new_endpoint(config)
            self._endpoints[config.endpoint_name] = started, self._tasks.create_task(started.run())
        endpoint, _ = self._endpoints[config.endpoint_name]
        if endpoint.config != config:
            endpoint.reconfigure(config)
        return endpoint

    def _retire(self, endpoint_name: str) -> None:
        # A deleted endpoint takes its queue with it.
        _, task = self._endpoints.pop(endpoint_name, (None, None))
        if task is not None:
            task.cancel()
