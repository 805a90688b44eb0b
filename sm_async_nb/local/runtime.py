"""The SageMaker runtime on loopback: an HTTP server on an event loop and a thread of its own."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import Future
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from aiohttp import web

from sm_async_nb.local.control_plane import ControlPlane
from sm_async_nb.local.endpoint import AsyncEndpoint, EndpointConfig, ObjectStore
from sm_async_nb.local.fleet import Fleet
from sm_async_nb.local.objects import S3Objects
from sm_async_nb.local.sdk_config import OWN_USER_AGENT, point_at
from sm_async_nb.local.wire import (
    Refusal,
    Reply,
    accepted_reply,
    endpoint_is_asynchronous,
    installed_fields,
    internal_failure,
    read_request,
    refusal_reply,
    unknown_operation,
)

LOOPBACK = "127.0.0.1"
INVOKE_ENDPOINT_ASYNC = "sagemaker-runtime InvokeEndpointAsync"

# What is too large is refused by the fields' own limits, in the service's words; these only bound memory.
_LARGEST_BODY_BYTES = 64 * 1024 * 1024
_LARGEST_HEADER_BYTES = 64 * 1024

# No proxy that the environment names may come between two loopback ports.
_CLIENT_CONFIG = {"user_agent_extra": OWN_USER_AGENT, "max_pool_connections": 32, "proxies": {}}

NewEndpoint = Callable[[EndpointConfig, ObjectStore], AsyncEndpoint]


class RuntimeServer:
    """Serves InvokeEndpointAsync between :meth:`start` and :meth:`close`; the port is taken at once."""

    def __init__(self, *, new_endpoint: NewEndpoint, record: Callable[[str], None]) -> None:
        self._new_endpoint = new_endpoint
        self._record = record
        self._socket = socket.create_server((LOOPBACK, 0))
        self._port: int = self._socket.getsockname()[1]
        self._ready: Future[Fleet] = Future()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopped = asyncio.Event()
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """``http://127.0.0.1:<port>``."""
        return f"http://{LOOPBACK}:{self._port}"

    @property
    def endpoints(self) -> list[AsyncEndpoint]:
        """The endpoints that were invoked; look, do not call: they belong to another thread."""
        return self._ready.result().endpoints if self._ready.done() else []

    def start(self, config_file: Path, *, endpoint_url: str) -> None:
        """Serve. S3 and the control plane are at ``endpoint_url``, credentials and region in ``config_file``."""
        work = self._serve(config_file, endpoint_url)
        self._thread = threading.Thread(target=asyncio.run, args=(work,), name="sm-async-local-runtime", daemon=True)
        self._thread.start()
        self._ready.result()

    def drained(self, timeout: float | None) -> None:
        """Block until every accepted request has come to its end.

        Raises
        ------
        TimeoutError
            If that takes longer than ``timeout`` seconds.
        """
        assert self._loop is not None
        waiting = asyncio.run_coroutine_threadsafe(self._ready.result().drained(), self._loop)
        try:
            waiting.result(timeout)
        finally:
            waiting.cancel()

    def close(self) -> None:
        """Stop serving and drop what is queued; no thread and no socket is left."""
        if self._thread is not None:
            self._stop()
            self._thread.join()
        self._socket.close()

    def _stop(self) -> None:
        # A loop that is closed, or never came to be, has nothing to stop.
        with suppress(RuntimeError):
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._stopped.set)

    async def _serve(self, config_file: Path, endpoint_url: str) -> None:
        try:
            async with self._fleet(config_file, endpoint_url) as fleet, self._http_server(fleet):
                self._loop = asyncio.get_running_loop()
                self._ready.set_result(fleet)
                await self._stopped.wait()
        except BaseException as error:
            if self._ready.done():
                raise
            self._ready.set_exception(error)

    @asynccontextmanager
    async def _fleet(self, config_file: Path, endpoint_url: str) -> AsyncIterator[Fleet]:
        session = get_session()
        point_at(session, config_file)
        # The address is said: a variable that is left over from an earlier local endpoint would win otherwise.
        how = {"endpoint_url": endpoint_url, "config": AioConfig(**_CLIENT_CONFIG)}
        async with (
            session.create_client("s3", **how) as s3,
            session.create_client("sagemaker", **how) as sagemaker,
            asyncio.TaskGroup() as tasks,
        ):
            store = S3Objects(s3)
            fleet = Fleet(ControlPlane(sagemaker), lambda config: self._new_endpoint(config, store), tasks)
            try:
                yield fleet
            finally:
                fleet.close()

    @asynccontextmanager
    async def _http_server(self, fleet: Fleet) -> AsyncIterator[None]:
        runner = web.AppRunner(
            application(fleet, self._record),
            access_log=None,
            handle_signals=False,
            shutdown_timeout=1.0,
            max_field_size=_LARGEST_HEADER_BYTES,
        )
        await runner.setup()
        try:
            await web.SockSite(runner, self._socket).start()
            yield
        finally:
            await runner.cleanup()


def application(fleet: Fleet, record: Callable[[str], None]) -> web.Application:
    """The runtime's operations as an aiohttp application."""

    async def invoke_endpoint_async(request: web.Request) -> Reply:
        record(INVOKE_ENDPOINT_ASYNC)
        endpoint_name = request.match_info["endpoint_name"]
        body = await request.read()
        fields = read_request(installed_fields(), endpoint_name=endpoint_name, headers=request.headers, body=body)
        return accepted_reply(await fleet.accept(endpoint_name, fields))

    async def invoke_endpoint(request: web.Request) -> Reply:
        raise endpoint_is_asynchronous(request.match_info["endpoint_name"])

    async def anything_else(request: web.Request) -> Reply:
        raise unknown_operation(request.method, request.path)

    app = web.Application(client_max_size=_LARGEST_BODY_BYTES)
    app.router.add_post("/endpoints/{endpoint_name}/async-invocations", _answering(invoke_endpoint_async))
    app.router.add_post("/endpoints/{endpoint_name}/invocations", _answering(invoke_endpoint))
    app.router.add_route("*", "/{path:.*}", _answering(anything_else))
    return app


def _answering(
    operation: Callable[[web.Request], Awaitable[Reply]],
) -> Callable[[web.Request], Awaitable[web.Response]]:
    """Turn an operation into a request handler: whatever it raises is an answer too."""

    async def answer(request: web.Request) -> web.Response:
        reply = await _reply(operation(request))
        return web.Response(status=reply.status, headers=reply.headers, body=reply.body)

    return answer


async def _reply(coming: Awaitable[Reply]) -> Reply:
    try:
        return await coming
    except Refusal as refusal:
        return refusal_reply(refusal)
    except Exception as error:  # noqa: BLE001 - the caller is told InternalFailure, as the service would
        return refusal_reply(internal_failure(error))
