"""A pytest plugin: the fixture ``sm_async_endpoint``.

::

    def test_scoring(sm_async_endpoint):
        local = sm_async_endpoint(lambda body, content_type, accept: body.upper(), endpoint_name="churn")
        ...  # boto3, s3fs and this package reach it with no argument
        local.drained(timeout=10)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from sm_async_nb.local import LocalEndpoint


@pytest.fixture
def sm_async_endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., LocalEndpoint]]:
    """Start local endpoints, with the arguments of ``LocalEndpoint``; they are closed when the test ends.

    The AWS variables of the environment point at the one that was started last.
    """
    # Loaded with the first test that wants it, since a plugin is loaded with every run of pytest.
    from sm_async_nb.local import LocalEndpoint

    with ExitStack() as running:

        def start(*arguments: Any, **options: Any) -> LocalEndpoint:
            local = running.enter_context(LocalEndpoint(*arguments, **options))
            for name, value in local.environment.items():
                monkeypatch.setenv(name, value)
            return local

        yield start
