"""What both servers share: the address they listen on, and how they hang up on a client."""

from __future__ import annotations

import ipaddress
import socket
import struct
from urllib.parse import urlsplit

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
    if not beyond_loopback and not is_loopback(host):
        raise RequestError(
            f"{host!r} is not loopback: others could use the model. If that is wanted, say beyond_loopback=True,"
            " which is --beyond-loopback on the command line."
        )


def family_of(host: str) -> socket.AddressFamily:
    """The sort of socket that listens at ``host``."""
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def in_url(host: str) -> str:
    """``host`` as a URL has it: IPv6 in brackets. Who listens at every address is reached by loopback."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:  # a name
        return host or LOOPBACK
    if isinstance(address, ipaddress.IPv4Address):
        return LOOPBACK if address.is_unspecified else host
    return "[::1]" if address.is_unspecified else f"[{host}]"


def is_foreign(origin: str | None) -> bool:
    """Whether a request comes from a web page of elsewhere, as a browser says in its Origin header."""
    if origin is None:
        return False
    try:
        return not is_loopback(urlsplit(origin).hostname or "")
    except ValueError:  # no URL at all
        return True


def is_loopback(host: str) -> bool:
    """Whether nobody but this machine can be meant."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
