"""What both servers share: the address they listen on, and how they hang up on a client."""

from __future__ import annotations

import ipaddress
import socket
import struct

from sm_async_nb.errors import RequestError

LOOPBACK = "127.0.0.1"

# No time to linger: close() resets the connection instead of ending it in order.
_NO_LINGER = struct.pack("ii", 1, 0)


def reset_on_close(connection: socket.socket) -> None:
    """Make the client see a reset, not an end, once the connection is closed."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)


def resets_on_close(connection: socket.socket) -> bool:
    """Whether :func:`reset_on_close` was called."""
    return connection.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, len(_NO_LINGER)) == _NO_LINGER


def check_host(host: str, *, beyond_loopback: bool) -> None:
    """Refuse to listen where others could reach a server that runs a model for whoever asks.

    Raises
    ------
    RequestError
        If ``host`` is not loopback and ``beyond_loopback`` is false.
    """
    if not beyond_loopback and not _is_loopback(host):
        raise RequestError(
            f"{host!r} is not loopback: others could use the model. If that is wanted, say beyond_loopback=True."
        )


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
