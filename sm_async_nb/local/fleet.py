"""The asynchronous endpoints that were invoked so far: one :class:`AsyncEndpoint` per name, as long as it exists."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from sm_async_nb.local.control_plane import ControlPlane
from sm_async_nb.local.endpoint import Accepted, AsyncEndpoint, EndpointConfig
from sm_async_nb.local.wire import Refusal


class Fleet:
    """Gives each request to the endpoint it names, which is looked up in the control plane first.

    Parameters
    ----------
    new_endpoint
        Makes the endpoint for a configuration that was not seen before.
    tasks
        Where the endpoints work; they end with it, or when their name is gone.
    """

    def __init__(
        self,
        control_plane: ControlPlane,
        new_endpoint: Callable[[EndpointConfig], AsyncEndpoint],
        tasks: asyncio.TaskGroup,
    ) -> None:
        self._control_plane = control_plane
        self._new_endpoint = new_endpoint
        self._tasks = tasks
        self._endpoints: dict[str, tuple[AsyncEndpoint, asyncio.Task[None]]] = {}

    @property
    def endpoints(self) -> list[AsyncEndpoint]:
        """Those that were invoked and still exist, as far as is known."""
        return [endpoint for endpoint, _ in self._endpoints.values()]

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
