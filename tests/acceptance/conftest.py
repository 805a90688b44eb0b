import json

import pytest

from sm_async_nb.local import LocalEndpoint
from sm_async_nb.local.wire import installed_fields


def double(body, content_type, accept):
    """A model: twice `x`, or an error for an `x` below zero."""
    record = json.loads(body)
    if record["x"] < 0:
        raise ValueError(f"x is {record['x']}, which is below zero")
    return json.dumps({"y": record["x"] * 2})


@pytest.fixture(scope="session")
def has_own_output_path():
    """Whether the installed SDK knows S3OutputPathExtension and Filename."""
    return {"s3_output_path_extension", "filename"} <= installed_fields().keys()


@pytest.fixture(scope="module")
def local():
    """A local asynchronous endpoint named local-endpoint, with the model `double`."""
    with LocalEndpoint(double) as running:
        yield running


@pytest.fixture
def session(local):
    local.reset_calls()
    return local.session()
