"""``sm_async_nb.doctor()``: a line for everything a job needs, and what to do about each that is bad."""

from __future__ import annotations

import copy
import re

import boto3
import pytest
from botocore.exceptions import ConnectTimeoutError, EndpointConnectionError

import sm_async_nb
from sm_async_nb.aws.described import Endpoint
from sm_async_nb.aws.session import botocore_session
from sm_async_nb.core.locations import S3Location
from sm_async_nb.local import Faults, LocalEndpoint
from sm_async_nb.notebook import doctor as module
from sm_async_nb.notebook import doctor_aws


@pytest.fixture(autouse=True)
def _empty_folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def session(local):
    return local.session()


def states(report):
    """The lines of a report that are not good, by what they are about."""
    bad = report.table[report.table["state"] != "ok"]
    return {check: line.tolist() for check, line in bad.iterrows()}


@pytest.fixture
def refusing(local):
    """Sets what S3 refuses."""

    def refuse(pattern):
        local.faults = Faults(s3_denied=1.0, s3_only=pattern)

    yield refuse
    local.faults = Faults()


def test_everything_is_good_where_all_is_there(session):
    """Versions, front end, identity, abilities, endpoint and each permission by its name."""
    report = sm_async_nb.doctor("echo", session=session)
    checks = set(report.table.index)

    assert report.is_good
    assert {"python", "sm-async-nb", "botocore", "s3fs", "ipykernel", "front end", "region", "credentials"} <= checks
    assert {"SDK: body", "SDK: filename", "SDK: s3_output_path_extension", "sagemaker:DescribeEndpoint"} <= checks
    for place in ("", "outputs ", "failures "):
        assert [check for check in checks if check.startswith(f"s3:GetObject {place}s3://")]
        assert [check for check in checks if check.startswith(f"s3:ListBucket {place}s3://")]
    assert "s3:PutObject s3://sm-async-local/sm-async-nb" in checks


def test_it_says_who_you_are_and_never_a_secret(monkeypatch, local):
    """The ARN, and where the keys came from."""
    for name, value in {**local.environment, "AWS_SECRET_ACCESS_KEY": "very-secret"}.items():
        monkeypatch.setenv(name, value)
    told = str(sm_async_nb.doctor())

    assert re.search(r"arn:aws:sts::\d{12}:user/moto \(from env\)", told)
    assert "very-secret" not in told


def test_it_sends_nothing_to_the_model_and_leaves_one_small_object(session, local):
    """What it cost is what it says."""
    local.reset_calls()
    report = sm_async_nb.doctor("echo", session=session, input_prefix="s3://sm-async-local/doctor")
    calls = local.calls

    found = session.client("s3").list_objects_v2(Bucket="sm-async-local", Prefix="doctor/")["Contents"]
    assert ["doctor/sm-async-doctor.txt"] == [item["Key"] for item in found]
    assert 0 == calls["sagemaker-runtime InvokeEndpointAsync"]
    assert 1 == calls["s3 PutObject"]
    assert "not tried" == report.table.loc["sagemaker:InvokeEndpointAsync", "state"]


def test_no_region():
    """The first thing that can be missing; nothing behind it is tried."""
    found = states(sm_async_nb.doctor())
    found.pop("obstore", None)  # where it is not installed

    assert {
        "session": [
            "BAD",
            "No AWS region is configured.",
            "Set AWS_DEFAULT_REGION, or pass session=boto3.Session(region_name=...).",
        ]
    } == found


def test_no_credentials(monkeypatch):
    """Nor can anything be reached without."""
    session = boto3.Session(region_name="eu-west-1")
    found = states(sm_async_nb.doctor("echo", session=session))

    assert ["BAD", "none were found", "Configure a profile or sign in, or pass session=."] == found["credentials"]
    assert ["not tried", "without credentials nothing can be reached", ""] == found["endpoint and buckets"]


def test_an_endpoint_that_is_not_there(session):
    """With the nearest name."""
    found = states(sm_async_nb.doctor("eco", session=session))

    assert found["sagemaker:DescribeEndpoint"] == [
        "BAD",
        "There is no endpoint 'eco' in us-east-1 for these credentials.",
        "Did you mean 'echo'? sm_async_nb.endpoints() lists those there are.",
    ]


def test_no_endpoint_is_named(session):
    """Then it says how."""
    found = states(sm_async_nb.doctor(session=session))

    assert ["not tried", "name an endpoint: sm_async_nb.doctor('my-endpoint')", ""] == found["endpoint and buckets"]


def test_a_bucket_that_is_not_there(session):
    """Each permission on it is told by its name."""
    found = states(sm_async_nb.doctor("echo", session=session, input_prefix="s3://no-such-bucket/in"))

    expected = ["BAD", "There is no bucket 'no-such-bucket'.", "Check the name, the account and the region."]
    assert {f"s3:{action} s3://no-such-bucket/in": expected for action in ("PutObject", "GetObject", "ListBucket")} == {
        check: told for check, told in found.items() if told[0] == "BAD"
    }


@pytest.mark.parametrize("operation", ["PutObject", "GetObject", "ListObjectsV2"])
def test_a_permission_that_is_missing_is_named(session, refusing, operation):
    """S3 says 403, and every line that needs it is bad; the others are not."""
    permission = {"ListObjectsV2": "s3:ListBucket"}.get(operation, f"s3:{operation}")
    refusing(f"{operation} *")
    found = states(sm_async_nb.doctor("echo", session=session))

    bad = {check: told for check, told in found.items() if told[0] == "BAD"}
    assert {permission} == {check.split()[0] for check in bad}
    for _, fact, way in bad.values():
        assert fact.startswith(f"S3 refused {permission} on s3://sm-async-local/")
        assert f"These credentials need {permission}." == way


def test_permissions_are_tried_with_the_key_of_the_settings(monkeypatch, session):
    """A missing kms:GenerateDataKey was told as allowed, and a bucket that asks for a key as bad."""
    monkeypatch.setenv("SM_ASYNC_SSE_KMS_KEY_ID", "alias/doctors")
    report = sm_async_nb.doctor("echo", session=session, input_prefix="s3://sm-async-local/with-key")
    written = session.client("s3").head_object(Bucket="sm-async-local", Key="with-key/sm-async-doctor.txt")

    assert report.is_good
    assert "alias/doctors" in written["SSEKMSKeyId"]


@pytest.mark.parametrize(
    ("name", "value", "fact"),
    [
        ("expected_bucket_owner", "12", "expected_bucket_owner= takes the id of an AWS account, 12 digits in a string"),
        ("sse_kms_key_id", " ", "sse_kms_key_id= takes the id, the ARN or the alias of a KMS key"),
    ],
)
def test_terms_that_a_job_is_refused_with_are_bad_here_too(monkeypatch, session, name, value, fact):
    """They go with every call to S3."""
    monkeypatch.setenv(f"SM_ASYNC_{name.upper()}", value)
    found = states(sm_async_nb.doctor("echo", session=session))

    bad = {check: told for check, told in found.items() if check.startswith("s3:")}
    assert 7 == len(bad)
    assert {("BAD", True)} == {(told[0], told[1].startswith(fact)) for told in bad.values()}


class Unreachable:
    """STS where no way leads to it."""

    def __init__(self, error):
        self._error = error

    def get_caller_identity(self):
        raise self._error


@pytest.mark.parametrize(
    "error",
    [
        TimeoutError(),
        EndpointConnectionError(endpoint_url="https://sts"),
        ConnectTimeoutError(endpoint_url="https://sts"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_all_the_rest_is_tried_where_sts_cannot_be_reached(monkeypatch, session, error):
    """A network of one's own has often no way there, and a job needs none."""
    client = session.client
    monkeypatch.setattr(
        session, "client", lambda name, **kw: Unreachable(error) if name == "sts" else client(name, **kw)
    )
    report = sm_async_nb.doctor("echo", session=session)
    told = report.table.loc["credentials"]

    assert report.is_good
    assert "note" == told["state"]
    assert re.match(r"found \(from [\w-]+\), but STS cannot be asked whose they are: ", told["found"])
    assert "ok" == report.table.loc["sagemaker:DescribeEndpoint", "state"]


class OldLoader:
    """What botocore read before it knew the newest fields."""

    def __init__(self, loader):
        self._loader = loader

    def __getattr__(self, name):
        return getattr(self._loader, name)

    def load_service_model(self, service, kind, **options):
        model = copy.deepcopy(self._loader.load_service_model(service, kind, **options))
        for name in ("Body", "Filename", "S3OutputPathExtension"):
            model["shapes"]["InvokeEndpointAsyncInput"]["members"].pop(name, None)
        return model


def test_what_an_old_botocore_cannot_do_is_named(session):
    """With what to do; what is loaded stays loaded until the kernel is restarted."""
    inside = botocore_session(session)
    inside.register_component("data_loader", OldLoader(inside.get_component("data_loader")))
    found = {finding.check: finding for finding in doctor_aws._sdk(session)}

    assert {"SDK: body", "SDK: filename", "SDK: s3_output_path_extension"} == set(found)
    assert {"note"} == {finding.state for finding in found.values()}
    assert "not known to this botocore: payloads inside the request (inline=)" == found["SDK: body"].found
    assert {"pip install --upgrade boto3 s3fs, and restart the kernel."} == {finding.do for finding in found.values()}


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        ({}, []),
        (
            {"endpoint_status": "Creating"},
            [("endpoint", "BAD", "it is Creating", "Wait until it is InService, or ask its owner.")],
        ),
        (
            {"instances": 0},
            [("endpoint", "note", "it has no instance now", "The first answers take minutes; jobs wait for them.")],
        ),
        (
            {"backlog": None},
            [
                (
                    "cloudwatch:GetMetricStatistics",
                    "note",
                    "no backlog is known: no permission, or nothing was sent lately",
                    "",
                )
            ],
        ),
    ],
    ids=["all is well", "not in service", "asleep", "no backlog"],
)
def test_how_an_endpoint_stands_is_told_in_lines_of_its_own(endpoint, expected):
    """Each with what it means for a job."""
    place = S3Location("bucket", "out")
    well = {"endpoint_status": "InService", "s3_failure_path": place, "instances": 1, "backlog": 0}
    findings = doctor_aws._service(Endpoint(endpoint_name="churn", s3_output_path=place, **{**well, **endpoint}))

    assert expected == [(finding.check, finding.state, finding.found, finding.do) for finding in findings]


def test_an_endpoint_without_a_failure_path():
    """It will be missed on the day of the first failure."""
    with LocalEndpoint(lambda body, *_: body, endpoint_name="pathless", failure_path=False) as local:
        found = states(sm_async_nb.doctor("pathless", session=local.session()))

    assert "BAD" == found["failure path"][0]


@pytest.mark.parametrize(("name", "value"), [("wait", "perhaps"), ("concurrency", "0"), ("progress_after", "soon")])
def test_a_bad_setting_is_found(monkeypatch, session, name, value):
    """With where it comes from, and what sets it right."""
    monkeypatch.setenv(f"SM_ASYNC_{name.upper()}", value)
    found = states(sm_async_nb.doctor(session=session))

    assert "BAD" == found[f"setting {name}"][0]
    assert f"got {value!r} from SM_ASYNC_{name.upper()}" in found[f"setting {name}"][1]
    assert found[f"setting {name}"][2].startswith(f"%config SmAsync.{name} = ")


def test_what_never_answers_is_given_up(monkeypatch, session):
    """A network that is gone does not keep anybody for minutes."""
    monkeypatch.setattr(doctor_aws, "PATIENCE_SECONDS", 0.2)
    monkeypatch.setattr(session, "get_credentials", lambda: __import__("time").sleep(2))
    found = states(sm_async_nb.doctor(session=session))

    assert ["BAD", "no answer within 0.2 seconds"] == found["credentials"][:2]


def test_a_report_is_a_text_a_table_and_html(session):
    """All of it in each, and escaped in the last."""
    report = sm_async_nb.doctor("<img src=x>", session=session)
    told, html = str(report), report._repr_html_()

    assert told.splitlines()[0] == f"1 of {len(report.findings)} lines is bad"
    assert repr(report) == told
    assert len(report.findings) == len(report.table) == html.count("<tr>") - 1
    assert "<img" not in html
    assert "&lt;img src=x&gt;" in html


@pytest.mark.parametrize(
    ("found", "state", "why"),
    [
        ("6.31.0", "ok", ""),
        ("7.0.1", "BAD", "7.0 cannot show what other threads do"),
        ("7.3.0", "note", "a cell may hang until the page is loaded again"),
        ("7.4.0", "ok", ""),
        ("7.10.0", "ok", ""),
    ],
)
def test_an_ipykernel_that_is_not_what_it_should_be_is_named(monkeypatch, found, state, why):
    monkeypatch.setattr(module, "version", lambda name: found)
    told = {finding.check: finding for finding in module._versions()}

    assert state == told["ipykernel"].state
    assert why in told["ipykernel"].do
