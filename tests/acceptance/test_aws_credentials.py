"""Credentials that are fetched, refreshed and lost while a session lives, over boto3 and over s3fs alike."""

import asyncio
import os
from datetime import UTC, datetime, timedelta

import boto3
import pytest
from acceptance.aws_answers import answering, session_of

from sm_async_nb.aws.endpoint import describe_endpoint, list_endpoints
from sm_async_nb.aws.notifications import open_notifications
from sm_async_nb.aws.runtime import open_runtime
from sm_async_nb.aws.session import aio_session, forget_credentials
from sm_async_nb.aws.storage import open_storage
from sm_async_nb.core.locations import S3Location
from sm_async_nb.errors import CredentialsError, ServiceTroubleError

HERE = S3Location("sm-async-local", "a")
FIELDS = {"endpoint_name": "local-endpoint", "input_location": "s3://sm-async-local/a"}


async def put(session):
    async with open_storage(session) as storage:
        await storage.put(HERE, b"1")


async def invoke(session):
    async with open_runtime(session) as runtime:
        await runtime.invoke(FIELDS)


async def receive(session):
    async with open_notifications(session, "http://127.0.0.1:9/1/q") as notifications:
        await notifications.receive(0)


async def describe(session):
    describe_endpoint(session, "local-endpoint")


async def list_them(session):
    list_endpoints(session)


EVERYTHING = [put, invoke, receive, describe, list_them]

ROLE = """[default]
role_arn = arn:aws:iam::123456789012:role/scoring
source_profile = base
services = here
endpoint_url = http://127.0.0.1:9
sts_regional_endpoints = regional
retry_mode = standard
max_attempts = 1

[profile base]
aws_access_key_id = k
aws_secret_access_key = s

[services here]
sts =
  endpoint_url = {sts}
"""


def _role(expires_in):
    expiration = datetime.now(UTC) + timedelta(seconds=expires_in)
    return f"""<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>AKIA{expires_in}</AccessKeyId>
<SecretAccessKey>secret</SecretAccessKey><SessionToken>token</SessionToken>
<Expiration>{expiration:%Y-%m-%dT%H:%M:%SZ}</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>""".encode()


def _no(code, message):
    return f"<ErrorResponse><Error><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>".encode()


def test_a_role_is_assumed_again_before_it_ends(tmp_path):
    """By the session's own chain, once for boto3 and s3fs together, however many calls are signed meanwhile."""
    with answering(200, _role(300)) as sts:
        session = session_of(tmp_path, ROLE.format(sts=sts.url))
        first = asyncio.run(_frozen(session))
        sts.answer = (200, _role(3_600), {})
        later = [asyncio.run(_frozen(session)), session.get_credentials().access_key, asyncio.run(_frozen(session))]

    assert ("AKIA300", ["AKIA3600"] * 3) == (first, later)
    assert 2 == len(sts.calls)


@pytest.mark.parametrize("work", EVERYTHING)
def test_a_role_that_is_refused_is_told_as_lost_credentials(tmp_path, work):
    """Whoever signs first: S3, the runtime, the queue, the control plane."""
    with answering(403, _no("AccessDenied", "User: u is not authorized to perform: sts:AssumeRole")) as sts:
        session = session_of(tmp_path, ROLE.format(sts=sts.url))
        with pytest.raises(CredentialsError) as caught:
            asyncio.run(work(session))

    assert str(caught.value).removesuffix(" Nothing was sent.") == (
        "The AWS credentials cannot be refreshed: AssumeRole answered AccessDenied: User: u is not authorized to"
        " perform: sts:AssumeRole. Sign in again, or mend the role; a job that waits goes on with job.resume()."
    )


@pytest.mark.parametrize("work", EVERYTHING)
@pytest.mark.parametrize(("status", "code"), [(503, "ServiceUnavailable"), (400, "Throttling")])
def test_a_refresh_that_was_throttled_or_met_a_5xx_is_trouble(tmp_path, work, status, code):
    """The next one may succeed, and nobody has to come for it."""
    with answering(status, _no(code, "later")) as sts:
        session = session_of(tmp_path, ROLE.format(sts=sts.url))
        with pytest.raises(ServiceTroubleError):
            asyncio.run(work(session))


@pytest.mark.parametrize("work", EVERYTHING)
def test_a_refresh_without_network_is_trouble(tmp_path, work):
    """Nor is anybody's sign-in at fault."""
    session = session_of(tmp_path, ROLE.format(sts="http://127.0.0.1:9"))

    with pytest.raises(ServiceTroubleError):
        asyncio.run(work(session))


@pytest.mark.parametrize("work", EVERYTHING)
def test_a_role_that_ends_at_once_is_told_as_lost_credentials(tmp_path, work):
    """botocore gives up on it with a RuntimeError."""
    with answering(200, _role(-60)) as sts:
        session = session_of(tmp_path, ROLE.format(sts=sts.url))
        with pytest.raises(CredentialsError, match="refreshed credentials are still expired"):
            asyncio.run(work(session))


PROCESS = "[default]\ncredential_process = {command}\nendpoint_url = http://127.0.0.1:9\nmax_attempts = 1\n"


@pytest.mark.parametrize("work", EVERYTHING)
@pytest.mark.skipif(os.name == "nt", reason="the command is a shell's")
def test_a_command_that_gives_no_credentials_is_told(tmp_path, work):
    """With its own words."""
    session = session_of(tmp_path, PROCESS.format(command="sh -c 'echo sign in first >&2; exit 1'"))

    with pytest.raises(CredentialsError, match=r"^The AWS credentials cannot be refreshed: .*sign in first"):
        asyncio.run(work(session))


SSO = """[default]
sso_session = mine
sso_account_id = 123456789012
sso_role_name = scoring
endpoint_url = http://127.0.0.1:9
max_attempts = 1

[sso-session mine]
sso_start_url = https://example.awsapps.com/start
sso_region = eu-west-1
"""


@pytest.mark.parametrize("work", EVERYTHING)
def test_a_sign_in_that_has_expired_says_how_to_sign_in(tmp_path, work):
    """Nobody is signed in here."""
    session = session_of(tmp_path, SSO)

    with pytest.raises(CredentialsError) as caught:
        asyncio.run(work(session))

    assert str(caught.value).startswith("The AWS credentials cannot be refreshed: Error ")
    assert "Sign in again (aws sso login, or what your profile asks for)" in str(caught.value)


@pytest.mark.parametrize("work", EVERYTHING)
def test_no_credentials_at_all_are_told(tmp_path, work, monkeypatch):
    """No profile, no variable, no machine that has a role."""
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    session = session_of(tmp_path, "[default]\nendpoint_url = http://127.0.0.1:9\nmax_attempts = 1\n")

    with pytest.raises(CredentialsError, match=r"^No AWS credentials were found: Unable to locate credentials"):
        asyncio.run(work(session))


# Signing in again


KEYS = "[default]\naws_access_key_id = {key}\naws_secret_access_key = s\n"


def test_new_keys_in_the_file_are_found_when_the_old_ones_are_forgotten(tmp_path):
    """For boto3 and for s3fs, whose session borrows them."""
    session = session_of(tmp_path, KEYS.format(key="old"))
    before = session.get_credentials().access_key
    (tmp_path / "aws-config").write_text(KEYS.format(key="new"))

    forget_credentials(session)

    borrowed = asyncio.run(_frozen(session))
    assert ("old", "new", "new") == (before, session.get_credentials().access_key, borrowed)


async def _frozen(session):
    return (await (await aio_session(session).get_credentials()).get_frozen_credentials()).access_key


def test_keys_that_were_handed_to_a_session_are_kept(monkeypatch):
    """They are whom the user wants to be, whoever the environment names."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody-else")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    session = boto3.Session(aws_access_key_id="mine", aws_secret_access_key="s", region_name="us-east-1")

    forget_credentials(session)

    assert "mine" == session.get_credentials().access_key


@pytest.mark.skipif(os.name == "nt", reason="the command is a shell's")
def test_forgetting_what_cannot_be_had_again_is_no_error(tmp_path):
    """Whoever needs credentials next is told."""
    answer = '{"Version": 1, "AccessKeyId": "once", "SecretAccessKey": "s"}'
    (tmp_path / "answer").write_text(answer)
    session = session_of(tmp_path, PROCESS.format(command=f"cat {tmp_path / 'answer'}"))
    before = session.get_credentials().access_key
    (tmp_path / "answer").unlink()

    forget_credentials(session)

    assert ("once", "once") == (before, session.get_credentials().access_key)
