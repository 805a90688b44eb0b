"""The local endpoint: a real asynchronous endpoint on loopback, for trying, testing and demonstrating.

``LocalEndpoint(handler)`` speaks InvokeEndpointAsync on the wire and does what the service does with it: it answers
202 before it has read the input, works a queue with a fixed number of slots, and writes outputs and failures to S3.
S3 and the control plane are moto's server, on loopback too. ``Faults`` makes it misbehave on demand. In a terminal:
``python -m sm_async_nb.local --handler inference.py``. Needs ``pip install 'sm-async-nb[local]'``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sm_async_nb.local.container import Container
    from sm_async_nb.local.faults import Faults, Times
    from sm_async_nb.local.handler import Answer, ModelError
    from sm_async_nb.local.naming import NamingRule
    from sm_async_nb.local.script import load_handler
    from sm_async_nb.local.server import LocalEndpoint

__all__ = ["Answer", "Container", "Faults", "LocalEndpoint", "ModelError", "NamingRule", "Times", "load_handler"]

_HOMES = {
    "Answer": "sm_async_nb.local.handler",
    "Container": "sm_async_nb.local.container",
    "Faults": "sm_async_nb.local.faults",
    "LocalEndpoint": "sm_async_nb.local.server",
    "ModelError": "sm_async_nb.local.handler",
    "NamingRule": "sm_async_nb.local.naming",
    "Times": "sm_async_nb.local.faults",
    "load_handler": "sm_async_nb.local.script",
}


def __getattr__(name: str) -> Any:
    # Loaded on first use: moto, werkzeug and aiohttp take a second that most who import this package do not owe.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
