"""The form against the local endpoint: what it finds, what it submits, and its code run in a real shell."""

from __future__ import annotations

import json
import time
import warnings

import boto3
import pandas as pd
import pytest
from botocore.awsrequest import AWSResponse

from sm_async_nb.errors import CredentialsError, JobChangedError, ServiceTroubleError, SmAsyncWarning
from sm_async_nb.local import LocalEndpoint
from sm_async_nb.notebook.form import cells as form_cells
from sm_async_nb.notebook.form.code import Filled
from sm_async_nb.notebook.form.endpoints import LOOKING, look_for_endpoints
from sm_async_nb.notebook.form.form import Form
from sm_async_nb.notebook.form.submit import heard, next_step, submitted

PATIENCE_SECONDS = 30


def until(is_so, told=lambda: ""):
    give_up = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert time.monotonic() < give_up, told()
        time.sleep(0.01)


# Pasted code


def manifest(job):
    """What the job is, without what is of this job alone."""
    bucket, _, key = job.uri.removeprefix("s3://").partition("/")
    body = boto3.client("s3").get_object(Bucket=bucket, Key=f"{key}manifest.json")["Body"].read()
    return {name: value for name, value in json.loads(body).items() if name not in ("job_id", "created_at", "name")}


def sent(job):
    """The payload of each row, which the endpoint has given back."""
    found = job.wait().results()
    return [found.index.tolist(), found.astype(str).to_numpy().tolist()]


DAYS = pd.DataFrame([[1, 2]], columns=pd.Index([pd.Timestamp("2026-01-01"), pd.Timestamp("2026-01-02")]))
FRAME = pd.DataFrame({"x": [1, 2, 3], 'it\'s "b", c': ["a", "<b>", "c\n'"], "ttl": [60, 70, 80]}, index=list("pqr"))
WANTED = {
    "all columns": (FRAME, {}),
    "a hostile column": (FRAME, {"columns": ("it's \"b\", c",)}),
    "a day for a column": (DAYS, {"columns": (DAYS.columns[1],), "places": (1,), "known": tuple(DAYS.columns)}),
    "a template": (FRAME, {"template": '\n{"n": {{ x }},\n  "t": {{ row["it\'s \\"b\\", c"] }}}\n'}),
    "fields": (
        FRAME,
        {
            "columns": ("x",),
            "texts": {
                "content_type": "application/json; a=b", "rows_per_request": "2", "inline": "auto", "nan": "error",
                "deduplicate": True, "retries": "1", "max_failures": "0.5", "concurrency": "3", "max_in_flight": "9",
                "tags": '{"team": "it\'s \\"us\\""}', "note": "-- it's a \"note\" --",
            },
        },
    ),
    "a column and a template for fields": (
        FRAME,
        {
            "columns": ("x",),
            "texts": {
                "request_ttl_seconds": "ttl", "invocation_timeout_seconds": "600", "accept": "application/json",
                "inference_id": "id-{{ x }}", "custom_attributes": "it's \"{{ x }}\"", "bare": True,
            },
        },
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WANTED)
def test_pasting_the_code_does_the_same(shell, name, monkeypatch):
    """The form's own submit, the call and the cell: the same manifest, the same payloads."""
    monkeypatch.setenv("SM_ASYNC_WAIT", "false")  # as in a notebook
    frame, filled = WANTED[name]
    shell.variables["données"] = frame
    form = Filled(data="données", endpoint_name="echo", out="scored", **filled)
    jobs = [submitted(frame, form, None).job]
    for code in (form.python(), form.cell()):
        ran = shell.run(code)
        assert ran.error is None, ran.stderr
        assert ran.value is shell.variables["scored"]
        jobs.append(ran.value)
    by_form, by_call, by_cell = ([manifest(job), sent(job)] for job in jobs)

    assert by_form == by_call
    assert by_form == by_cell


# Endpoints: local ones that other tests have open in this process are among them.

OURS = ("double", "echo", "slow")


def refusing(status, code, operation):
    """A session whose calls of an operation are answered so by the service."""
    session = boto3.Session()
    said = json.dumps({"__type": code, "message": "not for <you>"}).encode()

    class Raw:
        def stream(self, **_):
            yield said

    def answer(request, **_):
        return AWSResponse(request.url, status, {"content-type": "application/x-amz-json-1.1"}, Raw())

    session.events.register(f"before-send.sagemaker.{operation}", answer)
    return session


def test_asynchronous_endpoints_are_found_with_their_states(shell, local):
    """One after the other, and a name can be typed all the while."""
    seen = list(look_for_endpoints(None))

    assert ({}, LOOKING) == (seen[0].states, seen[0].said)
    assert dict.fromkeys(OURS, "in service, 1 instance") == seen[-1].states
    assert ("", True) == (seen[-1].said, seen[-1].is_over)


def test_what_is_not_asynchronous_or_not_in_service_is_told_apart(shell):
    """The first is not offered, the second with its state."""
    sagemaker = boto3.client("sagemaker")
    variant = {"VariantName": "a", "ModelName": "m", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    sagemaker.create_model(ModelName="m", ExecutionRoleArn="arn:aws:iam::123456789012:role/m")
    sagemaker.create_endpoint_config(EndpointConfigName="at-once", ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName="at-once", EndpointConfigName="at-once")
    try:
        found = list(look_for_endpoints(None))[-1].states
    finally:
        sagemaker.delete_endpoint(EndpointName="at-once")
        sagemaker.delete_endpoint_config(EndpointConfigName="at-once")
        sagemaker.delete_model(ModelName="m")

    assert {*OURS} == {*found}
    assert "at-once" not in found


def test_who_may_not_list_endpoints_is_told_and_can_type_a_name(shell):
    """Whatever the service has to say is text."""
    (first, last) = look_for_endpoints(refusing(400, "AccessDeniedException", "ListEndpoints"))

    assert not first.is_over
    assert last.is_over
    assert last.said.startswith("Endpoints cannot be listed; type a name. SageMaker refused to list endpoints:")


def test_who_may_list_but_not_describe_sees_the_names(shell):
    """Their states are not known then, and that is said."""
    last = list(look_for_endpoints(refusing(400, "AccessDeniedException", "DescribeEndpoint")))[-1]

    assert {*OURS} == {*last.states}
    assert {"state not known"} == {*last.states.values()}
    assert "Not all endpoints could be looked at." in last.said


def test_expired_credentials_are_asked_once(shell):
    """And not for each endpoint again."""
    session = refusing(400, "ExpiredTokenException", "DescribeEndpoint")
    asked = []
    session.events.register_first("before-send.sagemaker.DescribeEndpoint", lambda **_: asked.append(1))
    last = list(look_for_endpoints(session))[-1]

    assert 1 == len(asked)
    assert {*OURS} == {*last.states}


# Submitting


def filled_in(form, endpoint_name):
    until(lambda: form.endpoint.again.disabled is False)
    form.endpoint.control.value = endpoint_name
    until(lambda: not form.submit.disabled, lambda: form.plan.value)


def test_a_job_is_submitted_and_bound_to_its_variable(shell):
    """What was there before under that name stays."""
    shell.variables["job"] = "mine"
    form = Form(shell.variables["df"], variables=shell.variables)
    filled_in(form, "double")
    form.submit.click()
    until(lambda: "The job is bound to job_2." in form.said.value, lambda: form.said.value)
    answers = shell.run("job_2.wait().results()").value

    assert [2, 4, 6] == list(answers["y"])
    assert "mine" == shell.variables["job"]
    assert ("none", 1) == (form._page.layout.display, len(form.job_place.children))
    form.again.click()
    assert ("", "job_3") == (form._page.layout.display, form.out.value)


def test_a_refusal_is_told_in_the_form_with_the_next_step(shell):
    """And the form can be put right and submitted again."""
    form = Form(shell.variables["df"], variables=shell.variables)
    until(lambda: form.endpoint.again.disabled is False)
    form.endpoint.control.value = "another, by name"
    form.endpoint.typed.value = "doubel"
    until(lambda: not form.submit.disabled)
    form.submit.click()
    until(lambda: "Not submitted" in form.said.value, lambda: form.said.value)

    assert "Did you mean &#x27;double&#x27;?" in form.said.value
    assert "Choose another endpoint, or look again whether it is there." in form.said.value
    assert "Nothing was sent" not in form.said.value
    assert not form.submit.disabled
    assert "job" not in shell.variables


def test_a_warning_of_submit_is_told_in_the_form_each_time_and_nowhere_else(tmp_path, monkeypatch, capsys):
    """It went to the stderr of whatever cell was running, once."""
    with LocalEndpoint({"without-failures": lambda body, *_: body}, failure_path=False) as local:
        for name, value in local.environment.items():
            monkeypatch.setenv(name, value)
        with warnings.catch_warnings():
            warnings.simplefilter("default")
            form = Filled(data="df", endpoint_name="without-failures")
            told = [submitted(FRAME, form, None) for _ in range(2)]
        for one in told:
            one.job.wait()

    assert [1, 1] == [len(one.warnings) for one in told]
    assert "has no S3FailurePath" in told[0].warnings[0]
    assert "S3FailurePath" not in capsys.readouterr().err


def test_the_warnings_of_others_are_shown_as_they_were():
    """Those of other threads, of other packages, and those given when the form listens no more."""
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        with heard() as told:
            warnings.warn("ours", SmAsyncWarning, stacklevel=1)
            warnings.warn("theirs", UserWarning, stacklevel=1)
        warnings.warn("later", SmAsyncWarning, stacklevel=1)

    assert ["ours"] == told
    assert ["theirs", "later"] == [str(one.message) for one in shown]


def test_what_can_be_done_about_an_error_is_said_and_nothing_else():
    """A ValueError of the frame speaks for itself."""
    assert "tick Begin anew" in next_step(JobChangedError("changed"))
    assert "Sign in anew" in next_step(CredentialsError("expired"))
    assert "press Submit again" in next_step(ServiceTroubleError("503"))
    assert "" == next_step(ValueError("no"))


# Cells


class Shown:
    def __init__(self):
        self.looked, self.closed = 0, 0

    def look_again(self):
        self.looked += 1

    def close(self):
        self.closed += 1


def test_a_form_follows_the_cells_until_its_own_is_run_again(shell, monkeypatch):
    """Two forms of one run stay, those of the run before go."""
    monkeypatch.setattr(form_cells, "_shown", {})
    monkeypatch.setattr(form_cells, "_cell_of", lambda _shell: "cell-1")
    first, second, third = Shown(), Shown(), Shown()
    form_cells.follow_cells(first)
    form_cells.follow_cells(second)
    shell.run("1")
    monkeypatch.setattr(shell.ip, "execution_count", shell.ip.execution_count + 1)
    form_cells.follow_cells(third)
    shell.run("1")

    assert [(1, 1), (1, 1), (1, 0)] == [(one.looked, one.closed) for one in (first, second, third)]
