"""How many requests a second the local endpoint accepts, and what a hundred thousand of them weigh in its queue.

    python tests/local/bench_accept.py [requests]

The client is a process of its own, so two cores are in use: a null handler, inline bodies of 1,000 bytes, 64
connections. Twice: with an endpoint that answers and writes its outputs meanwhile, and with one that has no instance
yet, so that everything stays in its queue. Not a test: a number on a busy machine says nothing.
"""

from __future__ import annotations

import asyncio
import resource
import subprocess
import sys
import time

import aiohttp

from sm_async_nb.local import LocalEndpoint

CONNECTIONS = 64
BODY = b"x" * 1000

# Present and well formed, which is all that is asked for unless verify_signatures is on; the client owes no hashing.
HEADERS = {
    "Authorization": "AWS4-HMAC-SHA256 Credential=local-endpoint/20260101/us-east-1/sagemaker/aws4_request, "
    "SignedHeaders=host;x-amz-date, Signature=0",
    "X-Amz-Date": "20260101T000000Z",
    "X-Amzn-SageMaker-Content-Type": "application/json",
}


async def send(url: str, count: int) -> None:
    left = iter(range(count))

    async def some(session: aiohttp.ClientSession) -> None:
        for _ in left:
            async with session.post(url, data=BODY, headers=HEADERS) as response:
                assert response.status == 202, await response.text()
                await response.read()

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=CONNECTIONS)) as session:
        await asyncio.gather(*(some(session) for _ in range(CONNECTIONS)))


def measure(what: str, count: int, **options: int) -> None:
    with LocalEndpoint(lambda body, content_type, accept: body, **options) as local:
        url = local.environment["AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME"]
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        began = time.perf_counter()
        command = [sys.executable, __file__, "send", f"{url}/endpoints/local-endpoint/async-invocations", str(count)]
        subprocess.run(command, check=True)
        seconds = time.perf_counter() - began
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        print(f"{what}: {count / seconds:,.0f} accepted a second, {grown / 1024:,.0f} MB more memory, {local.status}")  # noqa: T201


def main(arguments: list[str]) -> None:
    if arguments[:1] == ["send"]:
        asyncio.run(send(arguments[1], int(arguments[2])))
        return
    count = int(arguments[0]) if arguments else 100_000
    measure("without an instance", count, instances=0)
    measure("answering meanwhile", count // 2, max_concurrent_invocations_per_instance=16)


if __name__ == "__main__":
    main(sys.argv[1:])
