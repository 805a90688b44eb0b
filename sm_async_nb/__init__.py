"""Score a pandas DataFrame on an Amazon SageMaker asynchronous endpoint, from a notebook.

Importing this package registers ``df.sm_async``; see :class:`~sm_async_nb.notebook.accessor.SmAsyncAccessor`. In a
kernel it has jobs shown live where they are the value of a cell.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from sm_async_nb.errors import EndpointError, NotYetError, RequestError, SmAsyncError
from sm_async_nb.notebook import accessor as _accessor  # noqa: F401  (registers df.sm_async)
from sm_async_nb.notebook import formatter as _formatter

if TYPE_CHECKING:
    from sm_async_nb.core.ledger import Snapshot, Status
    from sm_async_nb.job.job import Job
    from sm_async_nb.local import LocalEndpoint
    from sm_async_nb.notebook.doctor import doctor
    from sm_async_nb.notebook.jobs import attach, endpoint, endpoints, jobs

    __version__: str

__all__ = [
    "EndpointError",
    "Job",
    "LocalEndpoint",
    "NotYetError",
    "RequestError",
    "SmAsyncError",
    "Snapshot",
    "Status",
    "__version__",
    "attach",
    "doctor",
    "endpoint",
    "endpoints",
    "jobs",
]

_HOMES = {
    "Job": "sm_async_nb.job.job",
    "LocalEndpoint": "sm_async_nb.local",
    "Snapshot": "sm_async_nb.core.ledger",
    "Status": "sm_async_nb.core.ledger",
    "attach": "sm_async_nb.notebook.jobs",
    "doctor": "sm_async_nb.notebook.doctor",
    "endpoint": "sm_async_nb.notebook.jobs",
    "endpoints": "sm_async_nb.notebook.jobs",
    "jobs": "sm_async_nb.notebook.jobs",
}


_formatter.register()


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("sm-async-nb")
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def load_ipython_extension(shell: Any) -> None:
    """``%load_ext sm_async_nb``: register ``%%sm_async`` and ``%sm_async``, and show jobs as they run."""
    from sm_async_nb.notebook.magic import load

    load(shell)


def unload_ipython_extension(shell: Any) -> None:
    """``%unload_ext sm_async_nb``: take them out again; jobs run on."""
    from sm_async_nb.notebook.magic import unload

    unload(shell)
