"""How an SDK is pointed at the local endpoint: by environment variables, or by a session of its own."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit
from urllib.request import getproxies_environment

import boto3
import botocore.session
from botocore.loaders import create_loader

from sm_async_nb.local.loopback import LOOPBACK, is_loopback

# In the User-Agent of the local endpoint's own calls, so that they are told apart from the user's.
OWN_USER_AGENT: Final = "sm-async-local"

# The runtime has a name of old days, which the SDK still knows.
_RUNTIME = ("sagemaker-runtime", "runtime.sagemaker")


@dataclass(frozen=True, kw_only=True)
class Keys:
    """Credentials. moto takes any; the default ones say in a log where they belong, and open nothing."""

    access_key_id: str = "local-endpoint"
    secret_access_key: str = "local-endpoint"  # noqa: S105 - opens nothing
    session_token: str | None = None

    def __repr__(self) -> str:
        return f"<Keys {self.access_key_id}>"


@dataclass(frozen=True, kw_only=True)
class Addresses:
    """Where everything is: the control plane, the runtime, S3, and the region they are all in."""

    endpoint_url: str
    runtime_url: str
    s3_url: str
    region_name: str

    def of(self, service_name: str) -> str:
        """Where a client of this service is to go."""
        return {**dict.fromkeys(_RUNTIME, self.runtime_url), "s3": self.s3_url}.get(service_name, self.endpoint_url)


def found_keys() -> Keys:
    """The credentials of whoever starts the local endpoint, for an S3 of their own; ours if there are none."""
    credentials = botocore.session.Session().get_credentials()
    if credentials is None:
        return Keys()
    frozen = credentials.get_frozen_credentials()
    return Keys(
        access_key_id=frozen.access_key, secret_access_key=frozen.secret_key, session_token=frozen.token or None
    )


def environment(addresses: Addresses, keys: Keys) -> dict[str, str]:
    """The variables that every AWS SDK of today reads."""
    return {
        "AWS_ENDPOINT_URL": addresses.endpoint_url,
        "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": addresses.runtime_url,
        # Said even where it is the same: one that is left over, of another S3, would win otherwise.
        "AWS_ENDPOINT_URL_S3": addresses.s3_url,
        "AWS_ACCESS_KEY_ID": keys.access_key_id,
        "AWS_SECRET_ACCESS_KEY": keys.secret_access_key,
        **({"AWS_SESSION_TOKEN": keys.session_token} if keys.session_token else {}),
        "AWS_DEFAULT_REGION": addresses.region_name,
        "AWS_REGION": addresses.region_name,
        **_past_the_proxy(addresses),
    }


def _past_the_proxy(addresses: Addresses) -> dict[str, str]:
    """NO_PROXY, where the environment names a proxy: what is there already, and this machine."""
    proxies = getproxies_environment()
    spared = proxies.pop("no", "")
    if not proxies or spared.strip() == "*":
        return {}
    here = urlsplit(addresses.endpoint_url)
    hosts = [*spared.split(","), LOOPBACK, "localhost", here.hostname or "", here.netloc.rpartition(":")[0]]
    told = ",".join(dict.fromkeys(host.strip() for host in hosts if host.strip()))
    return {"NO_PROXY": told, "no_proxy": told}


def write_config_file(path: Path, addresses: Addresses, keys: Keys) -> None:
    """The same, as an AWS configuration file that nobody else may read."""
    lines = [
        "[default]",
        f"aws_access_key_id = {keys.access_key_id}",
        f"aws_secret_access_key = {keys.secret_access_key}",
        *([f"aws_session_token = {keys.session_token}"] if keys.session_token else []),
        f"region = {addresses.region_name}",
        f"endpoint_url = {addresses.endpoint_url}",
        "services = local",
        "",
        "[services local]",
        "sagemaker_runtime =",
        f"  endpoint_url = {addresses.runtime_url}",
        "s3 =",
        f"  endpoint_url = {addresses.s3_url}",
    ]
    path.touch(mode=0o600)
    path.write_text("\n".join([*lines, ""]), encoding="utf-8")


def point_at(session: Any, config_file: Path) -> None:
    """Make a fresh botocore (or aiobotocore) session read this configuration file and no other.

    The profile is named so that neither AWS_PROFILE nor credentials in the environment have a say. An
    AWS_ENDPOINT_URL* variable does, unless a client is told where to go: botocore asks the environment before any file.
    """
    session.register_component("data_loader", _loader())
    for variable in ("config_file", "credentials_file"):
        session.set_config_variable(variable, str(config_file))
    session.set_config_variable("profile", "default")


@cache
def _loader() -> Any:
    # Shared by all sessions of all local endpoints: to read the service models again is most of what a start takes.
    return create_loader()


def boto3_session(config_file: Path, addresses: Addresses) -> boto3.Session:
    """A boto3 session that reaches the local endpoint, whatever the environment says.

    No proxy of the environment comes in between, also for the aiobotocore clients that the package makes of the
    session; but with an S3 that is elsewhere the environment decides, for all of them.
    """
    from aiobotocore.config import AioConfig

    session = _Session(addresses)
    point_at(session, config_file)
    if not _has_s3_elsewhere(addresses):
        # Of aiobotocore's own class: one of botocore's could not be merged with what s3fs says.
        session.set_default_client_config(AioConfig(proxies={}))
    return boto3.Session(botocore_session=session, region_name=addresses.region_name)


class _Session(botocore.session.Session):  # type: ignore[misc]
    """A botocore session that tells each client where to go, which an AWS_ENDPOINT_URL* variable cannot change."""

    def __init__(self, addresses: Addresses) -> None:
        super().__init__()
        self._addresses = addresses

    def endpoint_url(self, service_name: str) -> str:
        """Where the clients of a service go. The package's own aiobotocore clients are made with it too."""
        return self._addresses.of(service_name)

    def create_client(self, service_name: str, *arguments: Any, endpoint_url: str | None = None, **options: Any) -> Any:
        """As botocore's; an ``endpoint_url`` that is said is obeyed."""
        url = endpoint_url or self.endpoint_url(service_name)
        return super().create_client(service_name, *arguments, endpoint_url=url, **options)


def _has_s3_elsewhere(addresses: Addresses) -> bool:
    return addresses.s3_url != addresses.endpoint_url and not is_loopback(urlsplit(addresses.s3_url).hostname or "")
