import json

import pytest
from reliability.scene import Model

from sm_async_nb.job.course import leave_all
from sm_async_nb.local import Faults, LocalEndpoint
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


# For jobs that meet trouble: a module's own `local` has this model.


@pytest.fixture(scope="module")
def model():
    return Model()


@pytest.fixture(scope="module")
def one_session(local):
    """To read the SDK's models once is enough."""
    return local.session()


@pytest.fixture
def job_session(one_session, local, model):
    """Nothing is left of the test before: no faults, no counts, no shut door; and no job of this one runs on."""
    model.reset()
    local.faults = Faults()
    local.reset_calls()
    yield one_session
    local.faults = Faults()
    model.door.set()
    leave_all()
