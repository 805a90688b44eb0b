"""What nobody can go below: ``python floor.py KIND ROWS [URL]`` prints the microseconds of CPU of one row as JSON.

``wire`` moves the bytes of a PUT, a call and a GET over one bare socket, with nothing made and nothing read of them;
``signer`` signs these three with botocore; ``encoder`` makes the payloads, one row and a hundred rows a request.
"""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import pandas as pd
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials
from contenders import frame_of
from usage import cpu

from sm_async_nb.core.payload import Options, codec_for

BLOCK = 500


def requests_of(row: int, body: bytes) -> Iterator[AWSRequest]:
    """An upload, the call and a download, as they are before they are signed."""
    place, name = f"in/floor/{row:08d}.json", f"{row:08d}.out"
    host = {"Host": "127.0.0.1"}
    yield AWSRequest("PUT", f"http://127.0.0.1/bench/{place}", data=body, headers=host)
    told = {"X-Amzn-SageMaker-InputLocation": f"s3://bench/{place}", "X-Amzn-SageMaker-Filename": name}
    yield AWSRequest("POST", "http://127.0.0.1/endpoints/bench/async-invocations", data=b"", headers={**host, **told})
    yield AWSRequest("GET", f"http://127.0.0.1/bench/out/{name}", headers=host)


def wire(rows: int, url: str) -> dict[str, float]:
    """Bytes on loopback, one request after the other."""
    sent = [_as_bytes(request) for row in range(rows) for request in requests_of(row, _body())]
    with socket.create_connection((urlsplit(url).hostname or "", urlsplit(url).port or 0)) as connection:
        began = cpu()
        for one in sent:
            connection.sendall(one)
            _receive(connection)
        return {"wire": (cpu() - began) / rows * 1e6}


def _as_bytes(request: AWSRequest) -> bytes:
    body = request.data or b""
    head = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
    path = urlsplit(request.url).path
    return f"{request.method} {path} HTTP/1.1\r\n{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def _receive(connection: socket.socket) -> None:
    answer = connection.recv(1 << 16)
    head, _, body = answer.partition(b"\r\n\r\n")
    # Each answer of the service is one piece, and begins with its length.
    if int(head.partition(b"Content-Length: ")[2].partition(b"\r\n")[0]) != len(body) or b" 20" not in head[:12]:
        raise RuntimeError(f"The service answered {answer!r}.")


def _body() -> bytes:
    return json.dumps(frame_of(1).to_dict("records")[0]).encode()


def signer(rows: int) -> dict[str, float]:
    """One call, and a call with its upload and its download."""
    keys = ReadOnlyCredentials("bench", "bench", None)
    s3, runtime = S3SigV4Auth(keys, "s3", "us-east-1"), SigV4Auth(keys, "sagemaker", "us-east-1")
    every = [tuple(requests_of(row, _body())) for row in range(rows)]
    began = cpu()
    for _, call, _ in every:
        runtime.add_auth(call)
    between = cpu()
    for put, _, get in every:
        s3.add_auth(put)
        s3.add_auth(get)
    return {"signer_call": (between - began) / rows * 1e6, "signer": (cpu() - began) / rows * 1e6}


def encoder(rows: int) -> dict[str, float]:
    """Rows to JSON, a block at a time as a job does it."""
    frame = frame_of(rows)
    alone, packed = codec_for("application/json"), codec_for("application/json", Options(packed=True))
    return {
        "encoder": _of_blocks(frame, lambda block: list(alone.encode(block, range(len(block) + 1)))),
        "encoder_packed": _of_blocks(frame, lambda block: list(packed.encode(block, range(0, len(block) + 1, 100)))),
    }


def _of_blocks(frame: pd.DataFrame, encode: Callable[[pd.DataFrame], object]) -> float:
    began = cpu()
    for start in range(0, len(frame), BLOCK):
        encode(frame.iloc[start : start + BLOCK])
    return (cpu() - began) / len(frame) * 1e6


KINDS: dict[str, Callable[..., dict[str, float]]] = {"wire": wire, "signer": signer, "encoder": encoder}

if __name__ == "__main__":
    print(json.dumps(KINDS[sys.argv[1]](int(sys.argv[2]), *sys.argv[3:])))
