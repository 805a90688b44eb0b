"""A running model server as the model: anything with ``GET /ping`` and ``POST /invocations``, in a container or not.

Source: "Use your own inference code with hosting services" in the developer guide, and what was seen of asynchronous
endpoints: an answer without a Content-Length, or with more than 4,096 bytes of headers, fails the request.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from sm_async_nb.errors import EndpointNotInServiceError, RequestError
from sm_async_nb.local.handler import Answer, Headers, NoAnswer

# "must respond to ping requests with 200 within 2 seconds"
PING_SECONDS = 2.0

# The older default of the start-up window; ContainerStartupHealthCheckTimeoutInSeconds may ask for 60 to 3600.
STARTUP_SECONDS = 240.0

LARGEST_RESPONSE_HEADERS_BYTES = 4096

# How long to wait before the next ping, where the last one was answered, but not with 200.
_BETWEEN_PINGS_SECONDS = 0.25

# While it works on a request. How often the service does is not documented.
PING_EVERY_SECONDS = 5.0

# Larger than the limit above, so that aiohttp reads what is to be refused.
_READABLE_HEADER_BYTES = 64 * 1024

_log = logging.getLogger(__name__)


class Container:
    """A handler that asks a model server.

    It is pinged before it gets its first request, and again after a request that could not be sent; requests wait
    meanwhile. It is pinged while it works on a request too: the service replaces a container that does not answer
    then, which a server with one thread does not. Redirects are not followed, bodies are passed on byte for byte.

    Parameters
    ----------
    url
        Such as ``http://127.0.0.1:8080``.
    startup_seconds
        How long it may take until the server answers pings, as ContainerStartupHealthCheckTimeoutInSeconds.
    response_limits
        Whether an answer without a Content-Length, or with too many bytes of headers, fails the request.
    ping_every
        Seconds between two pings while it works on a request; None for no pings then.
    replaces_unhealthy
        Whether a request fails, without an answer, when a ping does while it is worked on. If not, the first such
        ping is told of on the logger ``sm_async_nb.local``, as a warning.

    Raises
    ------
    RequestError
        If the URL is not http, or ``ping_every`` is not more than zero.

    Examples
    --------
    >>> from sm_async_nb.local import Container, LocalEndpoint
    >>> local = LocalEndpoint(Container("http://127.0.0.1:8080"))
    """

    def __init__(
        self,
        url: str,
        *,
        startup_seconds: float = STARTUP_SECONDS,
        response_limits: bool = True,
        ping_every: float | None = PING_EVERY_SECONDS,
        replaces_unhealthy: bool = False,
    ) -> None:
        if urlsplit(url).scheme not in {"http", "https"} or not urlsplit(url).netloc:
            raise RequestError(f"A container is reached at http://host:port, got {url!r}.")
        if ping_every is not None and ping_every <= 0:
            raise RequestError(f"ping_every= is more than zero seconds, or None, got {ping_every!r}.")
        self._url = url.rstrip("/")
        self._startup_seconds = startup_seconds
        self._response_limits = response_limits
        self._ping_every = ping_every
        self._replaces_unhealthy = replaces_unhealthy
        self._healthy = self._is_told = False

    def __repr__(self) -> str:
        return f"<Container {self._url}>"

    async def __call__(self, body: bytes, content_type: str | None, accept: str | None, headers: Headers) -> Answer:  # noqa: ARG002 - both are among the headers
        # A session for each request: nobody here knows when it is the last one, and next to a model it costs little.
        async with self._session() as session:
            if not self._healthy:
                await self._become_healthy(session)
            if self._ping_every is None:
                return await self._invoke(session, body, headers)
            return await self._invoke_pinging(session, body, headers, self._ping_every)

    def wait_until_healthy(self) -> None:
        """Block until the server answers pings; in a notebook too.

        Raises
        ------
        EndpointNotInServiceError
            If it does not within the start-up window.
        """

        async def wait() -> None:
            async with self._session() as session:
                await self._become_healthy(session)

        try:
            _run_on_a_thread(wait)
        except NoAnswer as error:
            raise EndpointNotInServiceError(str(error)) from error

    async def _become_healthy(self, session: aiohttp.ClientSession) -> None:
        gives_up_at = time.monotonic() + self._startup_seconds
        while not await self._is_healthy(session):
            if time.monotonic() >= gives_up_at:
                raise NoAnswer(
                    f"{self._url} did not pass the ping health check within {self._startup_seconds:g} seconds"
                )
            await asyncio.sleep(_BETWEEN_PINGS_SECONDS)
        self._healthy = True

    async def _is_healthy(self, session: aiohttp.ClientSession) -> bool:
        patience = aiohttp.ClientTimeout(total=PING_SECONDS)
        try:
            async with session.get(f"{self._url}/ping", timeout=patience, allow_redirects=False) as response:
                return response.status == HTTPStatus.OK
        except (aiohttp.ClientError, TimeoutError):
            return False

    async def _invoke_pinging(
        self, session: aiohttp.ClientSession, body: bytes, headers: Headers, every: float
    ) -> Answer:
        asking = asyncio.create_task(self._invoke(session, body, headers))
        pinging = asyncio.create_task(self._until_replaced(session, every))
        try:
            await asyncio.wait((asking, pinging), return_when=asyncio.FIRST_COMPLETED)
            if not asking.done():
                self._healthy = False
                raise NoAnswer(f"{self._url} did not answer a ping while it worked on the request, and is replaced")
            return await asking
        finally:
            asking.cancel()
            pinging.cancel()
            await asyncio.wait((asking, pinging))

    async def _until_replaced(self, session: aiohttp.ClientSession, every: float) -> None:
        while True:
            await asyncio.sleep(every)
            if await self._is_healthy(session):
                continue
            if self._replaces_unhealthy:
                return
            self._tell_of_missed_ping()

    def _tell_of_missed_ping(self) -> None:
        if self._is_told:
            return
        self._is_told = True
        _log.warning(
            "%s did not answer GET /ping with 200 within %g seconds while it worked on a request. SageMaker replaces "
            "such a container as unhealthy: let it answer pings on another thread.",
            self._url,
            PING_SECONDS,
        )

    async def _invoke(self, session: aiohttp.ClientSession, body: bytes, headers: Headers) -> Answer:
        try:
            async with session.post(
                f"{self._url}/invocations", data=body, headers=headers, allow_redirects=False
            ) as response:
                self._check(response)
                content_type = response.headers.get("Content-Type", "application/octet-stream")
                return Answer(await response.read(), content_type, status=response.status)
        except aiohttp.ClientError as error:
            self._healthy = False
            raise NoAnswer(f"{self._url} gave no answer: {error}") from error

    def _check(self, response: aiohttp.ClientResponse) -> None:
        if not self._response_limits:
            return
        if "Content-Length" not in response.headers:
            raise NoAnswer("The response from container primary did not specify the required Content-Length header")
        # Name, colon, space, value and the end of the line.
        size = sum(len(name) + len(value) + 4 for name, value in response.raw_headers)
        if size > LARGEST_RESPONSE_HEADERS_BYTES:
            raise NoAnswer(
                "Response received from the primary container has headers with length greater than "
                f"{LARGEST_RESPONSE_HEADERS_BYTES} bytes. Reduce the length of your container's response headers and "
                "update your endpoint."
            )

    def _session(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            # The service has its own limit, InvocationTimeoutSeconds, and cancels what takes longer.
            timeout=aiohttp.ClientTimeout(total=None),
            auto_decompress=False,
            skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
            max_field_size=_READABLE_HEADER_BYTES,
            trust_env=False,
        )


def _run_on_a_thread(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """``asyncio.run``, but also where a loop is running already, as in a notebook, and interrupted at any moment."""
    done: Future[None] = Future()

    def run() -> None:
        try:
            asyncio.run(work())
        except BaseException as error:  # noqa: BLE001 - it is for whoever waits
            done.set_exception(error)
        else:
            done.set_result(None)

    # A daemon, unlike those of an executor: whoever interrupts the wait need not wait for its end.
    threading.Thread(target=run, name="sm-async-local-container", daemon=True).start()
    done.result()
