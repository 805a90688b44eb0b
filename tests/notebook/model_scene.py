"""What stands behind the endpoints of these tests."""

from __future__ import annotations

import json
import threading


class Gate:
    """A model that answers when it is let, and at once from then on."""

    def __init__(self):
        self._open = threading.Event()

    def open(self):
        self._open.set()

    def close(self):
        self._open.clear()

    def __call__(self, body, content_type, accept):
        self._open.wait(60)
        return body


def double(body, content_type, accept):
    """Twice `x`, or an error for an `x` below zero."""
    record = json.loads(body)
    if record["x"] < 0:
        raise ValueError(f"x is {record['x']}, which is below zero")
    return json.dumps({"y": record["x"] * 2})
