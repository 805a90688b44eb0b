"""The SageMaker runtime on loopback: an HTTP server on an event loop and a thread of its own."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from concurrent.futures import Future
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from aiohttp import web

from sm_async_nb.local.clients import Clients
from sm_async_nb.local.control_plane import ControlPlane
from sm_async_nb.local.endpoint import AsyncEndpoint
from sm_async_nb.local.faults import Injector
from sm_async_nb.local.fleet import Fleet
from sm_async_nb.local.invocation import EndpointConfig, ObjectStore, Topics
from sm_async_nb.local.loopback import LOOPBACK, family_of, in_url
from sm_async_nb.local.objects import S3Objects
from sm_async_nb.local.routes import application
from sm_async_nb.local.sdk_config import Addresses
from sm_async_nb.local.topics import SnsTopics
from sm_async_nb.local.wire import ACCOUNT_ID

_LARGEST_HEADER_BYTES = 64 * 1024

# Nobody who asks the control plane or CloudWatch waits longer than this for what has to be done first.
_PATIENCE_SECONDS = 10.0

_log = logging.getLogger(__name__)

NewEndpoint = Callable[[EndpointConfig, ObjectStore, Topics], AsyncEndpoint]


class RuntimeServer:
    """Serves InvokeEndpointAsync between :meth:`start` and :meth:`close`; the port is taken at once.

    Parameters
    ----------
    new_endpoint
        Makes the endpoint for a configuration that was not seen before.
    record, injector
        Told of every call, and asked what goes wrong with it.
    store
        Where the endpoints read and write; an S3 client's by default.
    secrets
        The keys that signatures are verified with; None verifies none.
    account_id
        Whose endpoints they are, which a refusal names.
    host, port
        Where to listen; port 0 is any that is free.
    """

    def __init__(
        self,
        *,
        new_endpoint: NewEndpoint,
        record: Callable[[str], None],
        injector: Injector,
        store: ObjectStore | None = None,
        secrets: Mapping[str, str] | None = None,
        account_id: str = ACCOUNT_ID,
        host: str = LOOPBACK,
        port: int = 0,
    ) -> None:
        self._new_endpoint = new_endpoint
        self._store = store
        self._account_id = account_id
        self._new_application = partial(
            application, record=record, injector=injector, secrets=secrets, account_id=account_id
        )
        self._socket = socket.create_server((host, port), family=family_of(host))
        self._host = host
        self._port: int = self._socket.getsockname()[1]
        self._ready: Future[Fleet] = Future()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopped = asyncio.Event()
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """``http://127.0.0.1:<port>``."""
        return f"http://{in_url(self._host)}:{self._port}"

    @property
    def endpoints(self) -> list[AsyncEndpoint]:
        """The endpoints there are; look, do not call: they belong to another thread."""
        return self._ready.result().endpoints if self._ready.done() else []

    def start(self, config_file: Path, addresses: Addresses) -> None:
        """Serve. Credentials and region are in ``config_file``."""
        work = self._serve(Clients(config_file, addresses))
        self._thread = threading.Thread(target=asyncio.run, args=(work,), name="sm-async-local-runtime", daemon=True)
        self._thread.start()
        self._ready.result()

    def endpoint_changed(self, endpoint_name: str) -> None:
        """It was created, updated or deleted; returns when its test messages are published."""
        self._try(lambda fleet: fleet.changed(endpoint_name), f"the change of endpoint {endpoint_name}")

    def instances(self, endpoint_name: str) -> tuple[int, int] | None:
        """How many instances it has at this moment, and is to have; None if there is no such endpoint."""
        by_name = {endpoint.config.endpoint_name: endpoint for endpoint in self.endpoints}
        return by_name[endpoint_name].instances if endpoint_name in by_name else None

    def publish_metrics(self) -> None:
        """Give CloudWatch what it has not seen yet."""
        self._try(lambda fleet: fleet.publish_metrics(), "the metrics")

    def drained(self, timeout: float | None) -> None:
        """Block until every accepted request has come to its end.

        Raises
        ------
        TimeoutError
            If that takes longer than ``timeout`` seconds.
        """
        self._run(self._ready.result().drained(), timeout)

    def close(self) -> None:
        """Stop serving and drop what is queued; no thread and no socket is left."""
        if self._thread is not None:
            self._stop()
            self._thread.join()
        self._socket.close()

    def _try(self, work: Callable[[Fleet], Coroutine[Any, Any, None]], about: str) -> None:
        # Asked for by a call to the control plane or to CloudWatch, which has been or will be answered by moto: that
        # answer must not depend on this.
        if self._loop is not None:
            try:
                self._run(work(self._ready.result()), _PATIENCE_SECONDS)
            except Exception as error:  # noqa: BLE001 - too slow, closed meanwhile, or moto said no
                _log.warning("The local endpoint could not follow %s: %r", about, error)

    def _run(self, work: Coroutine[Any, Any, None], timeout: float | None) -> None:
        assert self._loop is not None
        try:
            running = asyncio.run_coroutine_threadsafe(work, self._loop)
        except RuntimeError:  # the loop is closed
            work.close()
            raise
        try:
            running.result(timeout)
        finally:
            running.cancel()

    def _stop(self) -> None:
        # A loop that is closed, or never came to be, has nothing to stop.
        with suppress(RuntimeError):
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._stopped.set)

    async def _serve(self, clients: Clients) -> None:
        try:
            async with clients, self._fleet(clients) as fleet, self._http_server(fleet):
                self._loop = asyncio.get_running_loop()
                self._ready.set_result(fleet)
                await self._stopped.wait()
        except BaseException as error:
            if self._ready.done():
                raise
            self._ready.set_exception(error)

    @asynccontextmanager
    async def _fleet(self, clients: Clients) -> AsyncIterator[Fleet]:
        store, topics = self._store or S3Objects(clients), SnsTopics(clients)
        control_plane = ControlPlane(await clients.get("sagemaker"), account_id=self._account_id)
        async with asyncio.TaskGroup() as tasks:
            fleet = Fleet(control_plane, lambda config: self._new_endpoint(config, store, topics), tasks, clients)
            try:
                yield fleet
            finally:
                fleet.close()

    @asynccontextmanager
    async def _http_server(self, fleet: Fleet) -> AsyncIterator[None]:
        runner = web.AppRunner(
            self._new_application(fleet),
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
