"""The aiobotocore clients of the local endpoint's own calls, each made when it is first needed."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session

from sm_async_nb.local.sdk_config import OWN_USER_AGENT, Addresses, point_at

_CLIENT_CONFIG = {
    "user_agent_extra": OWN_USER_AGENT,
    "max_pool_connections": 32,
    # No proxy that the environment names may come between two loopback ports.
    "proxies": {},
    # A large PutMetricData is compressed otherwise, which older moto does not understand.
    "disable_request_compression": True,
}


class Clients:
    """Makes clients between ``async with`` and its end, where they are all closed."""

    def __init__(self, config_file: Path, addresses: Addresses) -> None:
        self._session = get_session()
        point_at(self._session, config_file)
        self._addresses = addresses
        self._open = AsyncExitStack()
        self._clients: dict[str, Any] = {}
        self._making = asyncio.Lock()

    async def __aenter__(self) -> Self:
        await self._open.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._open.__aexit__(kind, error, trace)

    async def get(self, service: str) -> Any:
        """The client of a service; always the same one."""
        async with self._making:
            if service not in self._clients:
                self._clients[service] = await self._open.enter_async_context(self._new_client(service))
        return self._clients[service]

    def _new_client(self, service: str) -> Any:
        # The address is said: a variable that is left over from an earlier local endpoint would win otherwise.
        url = self._addresses.of(service)
        return self._session.create_client(service, endpoint_url=url, config=AioConfig(**_CLIENT_CONFIG))
