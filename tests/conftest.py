"""What holds for every test: no AWS configuration, and no way off this machine."""

import os
import socket

import pytest

_LOOPBACK = {"127.0.0.1", "::1", "localhost", ""}
_connect = socket.socket.connect
_getaddrinfo = socket.getaddrinfo


def _connect_to_loopback(self, address):
    if self.family in {socket.AF_INET, socket.AF_INET6} and address[0] not in _LOOPBACK:
        raise AssertionError(f"A test tried to reach {address}.")
    return _connect(self, address)


def _look_up_loopback(host, *arguments, **options):
    if (host.decode() if isinstance(host, bytes) else host) not in {*_LOOPBACK, None}:
        raise AssertionError(f"A test tried to look up {host!r}.")
    return _getaddrinfo(host, *arguments, **options)


@pytest.fixture(autouse=True, scope="session")
def _no_way_off_this_machine():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", _connect_to_loopback)
        patch.setattr(socket, "getaddrinfo", _look_up_loopback)
        yield


@pytest.fixture(autouse=True)
def _no_aws_configuration(monkeypatch, tmp_path):
    """No credentials, region or endpoint of whoever runs the tests; none of a machine in AWS either."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "SM_ASYNC_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
