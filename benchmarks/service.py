"""S3, an asynchronous endpoint and its description in one process, as fast as Python allows: ``python service.py``.

Each request is counted and answered after ``--latency`` seconds. The endpoint answers at once with the payload itself,
so what is left to measure is the client. It prints its port, and is no judge of correctness: that is what the local
endpoint of the package is for.
"""

from __future__ import annotations

import argparse
import asyncio
import bisect
import contextlib
import json
from collections import Counter
from urllib.parse import parse_qs, unquote
from xml.sax.saxutils import escape

ENDPOINT = {
    "EndpointName": "bench",
    "EndpointArn": "arn:aws:sagemaker:us-east-1:123456789012:endpoint/bench",
    "EndpointConfigName": "bench",
    "EndpointStatus": "InService",
    "CreationTime": 1_700_000_000,
    "LastModifiedTime": 1_700_000_000,
    "AsyncInferenceConfig": {"OutputConfig": {"S3OutputPath": "s3://bench/out", "S3FailurePath": "s3://bench/fail"}},
}
_PAGE = 1_000

Answer = tuple[int, bytes, dict[str, str]]


class Service:
    """Objects, and what was called how often."""

    def __init__(self, latency: float) -> None:
        self.latency = latency
        self.objects: dict[str, tuple[bytes, str]] = {}
        self.keys: list[str] = []
        self.calls: Counter[str] = Counter()

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until it is closed."""
        with contextlib.suppress(asyncio.IncompleteReadError, OSError), contextlib.closing(writer):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                first, *lines = head[:-4].split("\r\n")
                method, target, _ = first.split(" ")
                headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
                if "expect" in headers:
                    writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                status, answer, more = self.answer(method, target, headers, body)
                if self.latency and target != "/calls":
                    await asyncio.sleep(self.latency)
                told = "".join(f"{name}: {value}\r\n" for name, value in more.items())
                sent = b"" if method == "HEAD" else answer
                length = len(answer)
                writer.write(f"HTTP/1.1 {status} x\r\nContent-Length: {length}\r\n{told}\r\n".encode() + sent)

    def answer(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Answer:
        """Status, body and headers."""
        path, _, query = target.partition("?")
        if path == "/calls":
            taken, self.calls = self.calls, Counter()
            return 200, json.dumps(taken).encode(), {}
        if path.endswith("/async-invocations"):
            return self.invoke(headers, body)
        if "x-amz-target" in headers:
            return 200, json.dumps(ENDPOINT).encode(), {"Content-Type": "application/x-amz-json-1.1"}
        key = unquote(path).removeprefix("/bench").removeprefix("/")
        if key or method not in {"GET", "POST"}:
            return self.object(method, key, headers, body)
        if method == "POST":
            self.calls["other"] += 1
            return 200, b"<DeleteResult/>", {"Content-Type": "application/xml"}
        return self.listing(parse_qs(query, keep_blank_values=True))

    def invoke(self, headers: dict[str, str], body: bytes) -> Answer:
        """InvokeEndpointAsync, whose output is the input and is there at once."""
        self.calls["InvokeEndpointAsync"] += 1
        place = headers.get("x-amzn-sagemaker-inputlocation")
        if place:
            body = self.objects[place.removeprefix("s3://bench/")][0]
        folder = headers.get("x-amzn-sagemaker-s3outputpathextension", "")
        number = self.calls["InvokeEndpointAsync"]
        name = headers.get("x-amzn-sagemaker-filename") or f"{number:08d}-{id(body)}.out"
        key = "/".join(filter(None, ("out", folder, name)))
        self.put(key, body, headers.get("x-amzn-sagemaker-content-type", "application/json"))
        told = {
            "Content-Type": "application/json",
            "X-Amzn-SageMaker-OutputLocation": f"s3://bench/{key}",
            "X-Amzn-SageMaker-FailureLocation": f"s3://bench/fail/{name}-error.out",
        }
        return 202, b'{"InferenceId":"%d"}' % number, told

    def object(self, method: str, key: str, headers: dict[str, str], body: bytes) -> Answer:
        """PUT, GET, HEAD and DELETE of one object."""
        name = {"PUT": "PutObject", "GET": "GetObject", "HEAD": "HeadObject"}.get(method, "other")
        self.calls[name] += 1
        if method == "PUT":
            if key in self.objects and "if-none-match" in headers:
                return 412, b"<Error><Code>PreconditionFailed</Code></Error>", {}
            self.put(key, body, headers.get("content-type", "binary/octet-stream"))
            return 200, b"", {"ETag": '"e"'}
        if key not in self.objects:
            return 404, b"<Error><Code>NoSuchKey</Code></Error>", {}
        content, content_type = self.objects[key]
        return 200, content, {"Content-Type": content_type, "ETag": '"e"', "Last-Modified": _LONG_AGO}

    def put(self, key: str, body: bytes, content_type: str) -> None:
        """Write an object."""
        if key not in self.objects:
            bisect.insort(self.keys, key)
        self.objects[key] = (body, content_type)

    def listing(self, query: dict[str, list[str]]) -> Answer:
        """ListObjectsV2 without a delimiter, and with one where it costs nothing to be slow."""
        self.calls["ListObjectsV2"] += 1
        prefix, after = query.get("prefix", [""])[0], query.get("start-after", [""])[0]
        after = max(after, query.get("continuation-token", [""])[0])
        at = bisect.bisect_right(self.keys, after) if after > prefix else bisect.bisect_left(self.keys, prefix)
        found = self.keys[at : at + _PAGE + 1] if "delimiter" not in query else self.keys[at:]
        if "delimiter" in query:
            names = {key[len(prefix) :].partition("/")[0] for key in found if key.startswith(prefix)}
            return _xml("".join(f"<CommonPrefixes><Prefix>{prefix}{name}/</Prefix></CommonPrefixes>" for name in names))
        page = found[:_PAGE]
        inside = [key for key in page if key.startswith(prefix)]
        more = len(inside) == _PAGE and len(found) > _PAGE
        token = f"<NextContinuationToken>{inside[-1]}</NextContinuationToken>" if more else ""
        items = "".join(
            f"<Contents><Key>{escape(key)}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>e</ETag>"
            f"<Size>{len(self.objects[key][0])}</Size><StorageClass>STANDARD</StorageClass></Contents>"
            for key in inside
        )
        return _xml(f"<IsTruncated>{str(more).lower()}</IsTruncated>{token}{items}")


_LONG_AGO = "Thu, 01 Jan 2026 00:00:00 GMT"


def _xml(inside: str) -> Answer:
    text = f'<?xml version="1.0"?><ListBucketResult><Name>bench</Name>{inside}</ListBucketResult>'
    return 200, text.encode(), {"Content-Type": "application/xml"}


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--latency", type=float, default=0.02)
    service = Service(parser.parse_args().latency)
    server = await asyncio.start_server(service.talk, "127.0.0.1", 0, limit=1 << 20, backlog=1_024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())
