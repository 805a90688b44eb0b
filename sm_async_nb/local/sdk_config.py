"""How an SDK is pointed at the local endpoint: by environment variables, or by a configuration file of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import boto3
import botocore.session

# moto takes any; these say in a log where they belong.
ACCESS_KEY_ID: Final = "local-endpoint"
SECRET_ACCESS_KEY: Final = "local-endpoint"  # noqa: S105 - opens nothing

# In the User-Agent of the local endpoint's own calls, so that they are told apart from the user's.
OWN_USER_AGENT: Final = "sm-async-local"

_CONFIG_FILE = """\
[default]
aws_access_key_id = {access_key_id}
aws_secret_access_key = {secret_access_key}
region = {region_name}
endpoint_url = {endpoint_url}
services = local

[services local]
sagemaker_runtime =
  endpoint_url = {runtime_url}
"""


def environment(*, endpoint_url: str, runtime_url: str, region_name: str) -> dict[str, str]:
    """The variables that every AWS SDK of today reads."""
    return {
        "AWS_ENDPOINT_URL": endpoint_url,
        "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": runtime_url,
        "AWS_ACCESS_KEY_ID": ACCESS_KEY_ID,
        "AWS_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY,
        "AWS_DEFAULT_REGION": region_name,
        "AWS_REGION": region_name,
    }


def write_config_file(path: Path, *, endpoint_url: str, runtime_url: str, region_name: str) -> None:
    """The same, as an AWS configuration file."""
    path.write_text(
        _CONFIG_FILE.format(
            access_key_id=ACCESS_KEY_ID,
            secret_access_key=SECRET_ACCESS_KEY,
            region_name=region_name,
            endpoint_url=endpoint_url,
            runtime_url=runtime_url,
        ),
        encoding="utf-8",
    )


def point_at(session: Any, config_file: Path) -> None:
    """Make a fresh botocore (or aiobotocore) session read this configuration file and no other.

    The profile is named so that neither AWS_PROFILE nor credentials in the environment have a say. An
    AWS_ENDPOINT_URL* variable does: botocore asks the environment before any file.
    """
    for variable in ("config_file", "credentials_file"):
        session.set_config_variable(variable, str(config_file))
    session.set_config_variable("profile", "default")


def boto3_session(config_file: Path, region_name: str) -> boto3.Session:
    """A boto3 session that reaches the local endpoint with no environment variable at all."""
    session = botocore.session.Session()
    point_at(session, config_file)
    return boto3.Session(botocore_session=session, region_name=region_name)
