"""The variables that point an SDK at the local endpoint."""

from __future__ import annotations

import os

import pytest

from sm_async_nb.local.sdk_config import Addresses, Keys, environment

HERE = Addresses(
    endpoint_url="http://127.0.0.1:2", runtime_url="http://127.0.0.1:1", s3_url="http://127.0.0.1:2", region_name="here"
)


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch):
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)


def no_proxy(addresses=HERE):
    told = environment(addresses, Keys())
    return [told[name] for name in ("no_proxy", "NO_PROXY") if name in told]


def test_every_address_is_told():
    """S3's too where it is that of the rest: botocore would go by one that is left over."""
    told = environment(HERE, Keys())

    assert "http://127.0.0.1:2" == told["AWS_ENDPOINT_URL"] == told["AWS_ENDPOINT_URL_S3"]
    assert "http://127.0.0.1:1" == told["AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME"]


def test_where_there_is_no_proxy_nothing_is_said_of_it():
    """It is the user's own variable."""
    assert [] == no_proxy()


@pytest.mark.parametrize(
    ("spared", "expected"),
    [
        (None, ["127.0.0.1,localhost"] * 2),
        ("intranet.example, 10.0.0.1", ["intranet.example,10.0.0.1,127.0.0.1,localhost"] * 2),
        ("localhost", ["localhost,127.0.0.1"] * 2),
        ("*", []),
    ],
)
def test_a_proxy_is_kept_away_from_this_machine(monkeypatch, spared, expected):
    """In both spellings, beside what is spared already; * spares everything."""
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.example:3128")
    if spared is not None:
        monkeypatch.setenv("NO_PROXY", spared)

    assert expected == no_proxy()


def test_the_other_loopback_is_spared_as_it_is_written_in_addresses_too(monkeypatch):
    """Programs differ in how they compare."""
    monkeypatch.setenv("http_proxy", "http://proxy.example:3128")
    there = Addresses(
        endpoint_url="http://[::1]:2", runtime_url="http://[::1]:1", s3_url="http://[::1]:2", region_name="here"
    )

    assert ["127.0.0.1,localhost,::1,[::1]"] * 2 == no_proxy(there)
