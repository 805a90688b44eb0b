"""The same frame through an asynchronous endpoint, as each contender's users would write it; one process for each.

``python contenders.py NAME ROWS S3_URL URL`` prints what it cost as JSON. Every contender is warmed up on a few rows,
so that imports, the SDK's models and the first connections are left out.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import io
import json
import os
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
import numpy as np
import pandas as pd
from botocore.config import Config

WARM_UP = 64
WARM_UP_OF_THE_LOOP = 4
AT_A_TIME = 64


def frame_of(rows: int) -> pd.DataFrame:
    """Ten columns of plain kinds, 150 bytes a row as JSON."""
    numbers = np.random.default_rng(0).normal(size=(rows, 6)).round(4)
    frame = pd.DataFrame(numbers, columns=[f"f{n}" for n in range(6)], index=[f"r-{n}" for n in range(rows)])
    return frame.assign(age=np.arange(rows) % 80, plan="gold", name="customer", seen=True)


def over_the_sdks_loop(frame: pd.DataFrame) -> pd.DataFrame:
    """AsyncPredictor.predict_async, then AsyncInferenceResponse.get_result(WaiterConfig()), row by row.

    Written down from the SageMaker SDK (predictor_async.py of its version 2): an upload, the call, the waiter for the
    output object, which asks at once and then every 15 seconds, and a GET.
    """
    s3, runtime = boto3.client("s3"), boto3.client("sagemaker-runtime")
    answers = []
    for number, record in enumerate(frame.to_dict("records")):
        key = f"in/sdk-{number}-{time.time():.3f}/{uuid.uuid4()}"
        s3.put_object(Body=json.dumps(record), Bucket="bench", Key=key, ContentType="application/json")
        answer = runtime.invoke_endpoint_async(
            EndpointName="bench", InputLocation=f"s3://bench/{key}", ContentType="application/json"
        )
        bucket, _, output = answer["OutputLocation"].removeprefix("s3://").partition("/")
        s3.get_waiter("object_exists").wait(Bucket=bucket, Key=output, WaiterConfig={"Delay": 15, "MaxAttempts": 60})
        answers.append(json.loads(s3.get_object(Bucket=bucket, Key=output)["Body"].read()))
    return pd.DataFrame(answers, index=frame.index)


def over_boto3_threads(frame: pd.DataFrame) -> pd.DataFrame:
    """What a good engineer writes in an afternoon: a pool of threads, one LIST a second, one GET an output."""
    config = Config(max_pool_connections=AT_A_TIME)
    s3, runtime = boto3.client("s3", config=config), boto3.client("sagemaker-runtime", config=config)
    job = uuid.uuid4().hex

    def send(number: int, record: dict[str, Any]) -> str:
        key = f"in/{job}/{number:08d}.json"
        s3.put_object(Bucket="bench", Key=key, Body=json.dumps(record).encode(), ContentType="application/json")
        answer = runtime.invoke_endpoint_async(
            EndpointName="bench", InputLocation=f"s3://bench/{key}", ContentType="application/json"
        )
        return str(answer["OutputLocation"]).removeprefix("s3://bench/")

    def fetch(key: str) -> Any:
        return json.loads(s3.get_object(Bucket="bench", Key=key)["Body"].read())

    with ThreadPoolExecutor(AT_A_TIME) as pool:
        keys = list(pool.map(send, range(len(frame)), frame.to_dict("records")))
        missing = set(keys)
        while missing:
            for page in s3.get_paginator("list_objects_v2").paginate(Bucket="bench", Prefix="out/"):
                missing.difference_update(item["Key"] for item in page.get("Contents", ()))
            if missing:
                time.sleep(1)
        return pd.DataFrame(list(pool.map(fetch, keys)), index=frame.index)


def over_aiobotocore(frame: pd.DataFrame) -> pd.DataFrame:
    """The same without threads: one event loop, and a semaphore."""
    from aiobotocore.config import AioConfig
    from aiobotocore.session import get_session

    async def score() -> list[Any]:
        config, session, job = AioConfig(max_pool_connections=AT_A_TIME), get_session(), uuid.uuid4().hex
        free = asyncio.Semaphore(AT_A_TIME)
        async with (
            session.create_client("s3", config=config) as s3,
            session.create_client("sagemaker-runtime", config=config) as runtime,
        ):

            async def send(number: int, record: dict[str, Any]) -> str:
                key = f"in/{job}/{number:08d}.json"
                async with free:
                    body = json.dumps(record).encode()
                    await s3.put_object(Bucket="bench", Key=key, Body=body, ContentType="application/json")
                    answer = await runtime.invoke_endpoint_async(
                        EndpointName="bench", InputLocation=f"s3://bench/{key}", ContentType="application/json"
                    )
                return str(answer["OutputLocation"]).removeprefix("s3://bench/")

            async def fetch(key: str) -> Any:
                async with free:
                    answer = await s3.get_object(Bucket="bench", Key=key)
                    async with answer["Body"] as body:
                        return json.loads(await body.read())

            keys = await asyncio.gather(*map(send, range(len(frame)), frame.to_dict("records")))
            missing = set(keys)
            while missing:
                async for page in s3.get_paginator("list_objects_v2").paginate(Bucket="bench", Prefix="out/"):
                    missing.difference_update(item["Key"] for item in page.get("Contents", ()))
                if missing:
                    await asyncio.sleep(1)
            return await asyncio.gather(*map(fetch, keys))

    return pd.DataFrame(asyncio.run(score()), index=frame.index)


def over_s3fs(frame: pd.DataFrame) -> pd.DataFrame:
    """Files by s3fs, many at once, as its documentation shows; the call by boto3, since s3fs has none."""
    import s3fs

    files = s3fs.S3FileSystem(use_listings_cache=False, skip_instance_cache=True)
    runtime = boto3.client("sagemaker-runtime", config=Config(max_pool_connections=AT_A_TIME))
    job = uuid.uuid4().hex

    def call(path: str) -> str:
        answer = runtime.invoke_endpoint_async(
            EndpointName="bench", InputLocation=f"s3://{path}", ContentType="application/json"
        )
        return str(answer["OutputLocation"]).removeprefix("s3://")

    records = enumerate(frame.to_dict("records"))
    inputs = {f"bench/in/{job}/{number:08d}.json": json.dumps(record).encode() for number, record in records}
    files.pipe(inputs)
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        paths = list(pool.map(call, inputs))
    while not set(paths).issubset(files.find("bench/out")):
        time.sleep(1)
    outputs = files.cat(paths)
    return pd.DataFrame([json.loads(outputs[path]) for path in paths], index=frame.index)


def over_ours(frame: pd.DataFrame, *, storage: str = "s3fs", **options: Any) -> pd.DataFrame:
    """``df.sm_async.submit(...)``, waited for and loaded."""
    import sm_async_nb  # noqa: F401  (registers df.sm_async)

    with _silence():
        return frame.sm_async.submit("bench", wait=True, storage=storage, **options).results()


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Without a display of progress, which is somebody else's CPU."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield


CONTENDERS: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "sdk": over_the_sdks_loop,
    "boto3": over_boto3_threads,
    "aiobotocore": over_aiobotocore,
    "s3fs": over_s3fs,
    "default": over_ours,
    "fast": functools.partial(over_ours, storage="obstore"),
    "inline": functools.partial(over_ours, storage="obstore", inline="auto"),
    "packed-10": functools.partial(over_ours, rows_per_request=10),
    "packed-10-fast": functools.partial(over_ours, storage="obstore", rows_per_request=10),
    "packed": functools.partial(over_ours, rows_per_request=100),
    "packed-fast": functools.partial(over_ours, storage="obstore", rows_per_request=100),
}


def measure(name: str, rows: int, s3_url: str, url: str) -> dict[str, Any]:
    """One run of one contender, and what it used."""
    from usage import measured

    os.environ.update(
        AWS_ENDPOINT_URL=s3_url,
        AWS_ENDPOINT_URL_SAGEMAKER=url,
        AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME=url,
        AWS_ACCESS_KEY_ID="bench",
        AWS_SECRET_ACCESS_KEY="bench",  # noqa: S106 - of a service on this machine
        AWS_DEFAULT_REGION="us-east-1",
        AWS_EC2_METADATA_DISABLED="true",
        AWS_CONFIG_FILE="/nonexistent",
        AWS_SHARED_CREDENTIALS_FILE="/nonexistent",
    )
    contender = CONTENDERS[name]
    contender(frame_of(min(rows, WARM_UP_OF_THE_LOOP if name == "sdk" else WARM_UP)))
    frame = frame_of(rows)
    with measured(url) as used:
        answers = contender(frame)
    if not np.allclose(frame["f0"], answers["f0"].astype(float)):
        raise AssertionError(f"{name} lost or mixed up answers")
    return {"contender": name, "rows": rows, **used}


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], int(sys.argv[2]), *sys.argv[3:])))
