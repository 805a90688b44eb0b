"""A service on the loopback that keeps every request byte for byte and takes each of them."""

import asyncio
import threading
from concurrent.futures import Future
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass

from acceptance import aws_answers
from botocore.loaders import create_loader

from sm_async_nb.aws.session import botocore_session

# Reading the SDK's models takes longer than most of what is done with them.
_MODELS = create_loader()

ANSWER = (
    b"HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nx-amzn-RequestId: r-1\r\n"
    b"X-Amzn-SageMaker-OutputLocation: s3://bucket/x.out\r\nContent-Length: 19\r\n\r\n" + b'{"InferenceId":"i"}'
)


def session_of(tmp_path, config, **options):
    """As in aws_answers, with models that are read once."""
    return _with_models(aws_answers.session_of(tmp_path, config, **options))


def session_at(tmp_path, url):
    """As in aws_answers, with models that are read once."""
    return _with_models(aws_answers.session_at(tmp_path, url))


def _with_models(session):
    _MODELS.search_paths[:] = botocore_session(session).get_component("data_loader").search_paths
    botocore_session(session).register_component("data_loader", _MODELS)
    return session


@dataclass(frozen=True)
class Recorded:
    """One request; header names in lower case, in the order of the alphabet."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes


@contextmanager
def recording(tls=None):
    """The URL of a service, and the list of what came."""
    came, ready = [], Future()
    thread = threading.Thread(target=lambda: asyncio.run(_serving(came, ready, tls)))
    thread.start()
    port, stop = ready.result(10)
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{port}", came
    finally:
        stop()
        thread.join()


async def _serving(came, ready, tls):
    stopped, talks = asyncio.Event(), set()

    async def talk(reader, writer):
        talks.add(asyncio.current_task())
        with suppress(asyncio.IncompleteReadError, OSError), closing(writer):
            while True:
                came.append(await _read(await reader.readuntil(b"\r\n\r\n"), reader))
                writer.write(ANSWER)

    server = await asyncio.start_server(talk, "127.0.0.1", 0, ssl=tls, limit=1 << 20)
    loop = asyncio.get_running_loop()
    ready.set_result((server.sockets[0].getsockname()[1], lambda: loop.call_soon_threadsafe(stopped.set)))
    await stopped.wait()
    server.close()
    for one in talks:
        one.cancel()
    await asyncio.gather(*talks, return_exceptions=True)
    await asyncio.sleep(0)  # what was closed is gone after one more turn of the loop


async def _read(head, reader):
    first, *lines = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    method, target, _ = first.split(" ")
    headers = tuple(sorted((name.lower(), value.strip()) for name, _, value in (one.partition(":") for one in lines)))
    length = int(dict(headers).get("content-length", 0))
    return Recorded(method, target, headers, await reader.readexactly(length))
