"""S3, an asynchronous endpoint and its description in one process, as fast as Python allows: ``python service.py``.

Each request is counted and answered after ``--latency`` seconds. The endpoint answers at once with the payload itself,
so what is left to measure is the client. It prints the URLs of S3 and of the endpoint, and is no judge of correctness:
that is what the local endpoint of the package is for.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import resource
from collections import Counter
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple
from urllib.parse import parse_qs, unquote
from xml.sax.saxutils import escape

from objects import Objects

ENDPOINT = {
    "EndpointName": "bench",
    "EndpointArn": "arn:aws:sagemaker:us-east-1:123456789012:endpoint/bench",
    "EndpointConfigName": "bench",
    "EndpointStatus": "InService",
    "CreationTime": 1_700_000_000,
    "LastModifiedTime": 1_700_000_000,
    "AsyncInferenceConfig": {"OutputConfig": {"S3OutputPath": "s3://bench/out", "S3FailurePath": "s3://bench/fail"}},
}
VERBS = {"PUT": "PutObject", "GET": "GetObject", "HEAD": "HeadObject"}
_PAGE = 1_000
_LONG_AGO = "Thu, 01 Jan 2026 00:00:00 GMT"


class Request(NamedTuple):
    """A request as it came; the names of its headers are in small letters."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


class Answer(NamedTuple):
    """What goes back."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = MappingProxyType({})

    def as_bytes(self, method: str) -> bytes:
        told = "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
        head = f"HTTP/1.1 {self.status} x\r\nContent-Length: {len(self.body)}\r\n{told}\r\n".encode()
        return head if method == "HEAD" else head + self.body


class Connection(asyncio.Protocol):
    """One client's connection. A request is handed over when the whole of it is there."""

    def __init__(self, handle: Callable[[Request, asyncio.Transport], None]) -> None:
        self._handle = handle
        self._buffer = bytearray()
        self._body_starts = 0
        self._head: tuple[str, str, dict[str, str]] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while self._has_head() and (request := self._whole()):
            self._handle(request, self._transport)

    def _has_head(self) -> bool:
        if self._head is None and (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            first, *lines = self._buffer[:end].decode("latin-1").split("\r\n")
            method, target, _ = first.split(" ")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            self._head, self._body_starts = (method, target, headers), end + 4
            if "expect" in headers:
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return self._head is not None

    def _whole(self) -> Request | None:
        assert self._head is not None
        end = self._body_starts + int(self._head[2].get("content-length", 0))
        if len(self._buffer) < end:
            return None
        request = Request(*self._head, bytes(self._buffer[self._body_starts : end]))
        del self._buffer[:end]
        self._head = None
        return request


class Counts:
    """What was called how often, and the CPU that answering took, since it was last asked for."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self._cpu = self.cpu()

    def cpu(self) -> float:
        """Seconds of this process so far."""
        used = resource.getrusage(resource.RUSAGE_SELF)
        return used.ru_utime + used.ru_stime

    def taken(self) -> Answer:
        """All of it as JSON; counting starts anew."""
        now = self.cpu()
        told = {"calls": self.calls, "cpu": now - self._cpu}
        self.calls, self._cpu = Counter(), now
        return Answer(200, json.dumps(told).encode())


class Service:
    """The endpoint, and S3 where ``objects`` are its own."""

    def __init__(self, latency: float, counts: Counts) -> None:
        self.latency = latency
        self.counts = counts
        self.objects = Objects()
        self._numbers = itertools.count()

    def handle(self, request: Request, transport: asyncio.Transport) -> None:
        """Answer, after the latency."""
        content = self.answer(request).as_bytes(request.method)
        if self.latency and request.target != "/calls":
            asyncio.get_running_loop().call_later(self.latency, send, transport, content)
        else:
            send(transport, content)

    def answer(self, request: Request) -> Answer:
        """By path and headers: the endpoint, its description, or S3."""
        path, _, query = request.target.partition("?")
        if path == "/calls":
            return self.counts.taken()
        if path.endswith("/async-invocations"):
            return self.invoke(request)
        if "x-amz-target" in request.headers:
            return Answer(200, json.dumps(ENDPOINT).encode(), {"Content-Type": "application/x-amz-json-1.1"})
        return self.s3(path, query, request)

    def s3(self, path: str, query: str, request: Request) -> Answer:
        """An object, the deletion of some, or a list."""
        bucket, _, key = unquote(path).removeprefix("/").partition("/")
        if bucket != "bench":
            return Answer(404, b"<Error><Code>NoSuchBucket</Code></Error>")
        if key or request.method not in {"GET", "POST"}:
            return self.object(key, request)
        if request.method == "POST":
            self.counts.calls["other"] += 1
            return Answer(200, b"<DeleteResult/>", {"Content-Type": "application/xml"})
        return self.listing(parse_qs(query, keep_blank_values=True))

    def invoke(self, request: Request) -> Answer:
        """InvokeEndpointAsync, whose output is the input and is there at once."""
        place = request.headers.get("x-amzn-sagemaker-inputlocation")
        body = self.objects.bodies[key_of(place)][0] if place else request.body
        key, told = self.accept(request)
        self.objects.put(key, body, request.headers.get("x-amzn-sagemaker-content-type", "application/json"))
        return told

    def accept(self, request: Request) -> tuple[str, Answer]:
        """The key of the output, and what the client is told."""
        self.counts.calls["InvokeEndpointAsync"] += 1
        number = next(self._numbers)
        folder = request.headers.get("x-amzn-sagemaker-s3outputpathextension", "")
        name = request.headers.get("x-amzn-sagemaker-filename") or f"{number:08d}.out"
        key = "/".join(filter(None, ("out", folder, name)))
        told = {
            "Content-Type": "application/json",
            "X-Amzn-SageMaker-OutputLocation": f"s3://bench/{key}",
            "X-Amzn-SageMaker-FailureLocation": f"s3://bench/fail/{name}-error.out",
        }
        return key, Answer(202, b'{"InferenceId":"%d"}' % number, told)

    def object(self, key: str, request: Request) -> Answer:
        """PUT, GET, HEAD and DELETE of one object."""
        self.counts.calls[VERBS.get(request.method, "other")] += 1
        bodies = self.objects.bodies
        if request.method == "PUT":
            if key in bodies and "if-none-match" in request.headers:
                return Answer(412, b"<Error><Code>PreconditionFailed</Code></Error>")
            self.objects.put(key, request.body, request.headers.get("content-type", "binary/octet-stream"))
            return Answer(200, b"", {"ETag": '"e"'})
        if key not in bodies:
            return Answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
        content, content_type = bodies[key]
        return Answer(200, content, {"Content-Type": content_type, "ETag": '"e"', "Last-Modified": _LONG_AGO})

    def listing(self, query: dict[str, list[str]]) -> Answer:
        """ListObjectsV2, a page of a thousand keys; with a delimiter, all at once."""
        self.counts.calls["ListObjectsV2"] += 1
        prefix = query.get("prefix", [""])[0]
        if query.get("delimiter", [""])[0]:
            keys, folders = self.objects.directly_below(prefix)
            told = "".join(f"<CommonPrefixes><Prefix>{escape(one)}</Prefix></CommonPrefixes>" for one in folders)
            return self._page(keys, told)
        after = max(query.get("start-after", [""])[0], query.get("continuation-token", [""])[0])
        keys = self.objects.below(prefix, after, _PAGE + 1)
        page = keys[:_PAGE]
        more = len(keys) > _PAGE
        return self._page(page, f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>" if more else "")

    def _page(self, keys: list[str], told: str) -> Answer:
        items = "".join(
            f"<Contents><Key>{escape(key)}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>e</ETag>"
            f"<Size>{len(self.objects.bodies[key][0])}</Size><StorageClass>STANDARD</StorageClass></Contents>"
            for key in keys
        )
        truncated = str("NextContinuationToken" in told).lower()
        text = (
            f'<?xml version="1.0"?><ListBucketResult><Name>bench</Name><IsTruncated>{truncated}</IsTruncated>'
            f"{told}{items}</ListBucketResult>"
        )
        return Answer(200, text.encode(), {"Content-Type": "application/xml"})


def key_of(location: str) -> str:
    """What follows the bucket."""
    return location.removeprefix("s3://bench/")


def send(transport: asyncio.Transport, content: bytes) -> None:
    """Write, if anybody is still there."""
    if not transport.is_closing():
        transport.write(content)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--latency", type=float, default=0.02)
    service = Service(parser.parse_args().latency, Counts())
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(service.handle), "127.0.0.1", 0, backlog=1_024)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    print(url, url, flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())
