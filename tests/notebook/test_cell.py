"""``%%sm_async`` in a real shell: what a user types, and what comes of it, word for word."""

from __future__ import annotations

import _thread
import inspect
import json
import re
import signal
import threading

import pandas as pd
import pytest
from botocore.exceptions import ClientError

from sm_async_nb.errors import (
    CredentialsError,
    EndpointNotInServiceError,
    JobInUseError,
    ServiceTroubleError,
    StorageAccessError,
    TooManyFailuresError,
)
from sm_async_nb.local import Faults
from sm_async_nb.notebook.accessor import SmAsyncAccessor
from sm_async_nb.notebook.cell import cell_help, submit_options
from sm_async_nb.notebook.told import plainly

# What it takes


def test_one_cell_scores_a_frame(shell):
    """The issue's own example, in its form."""
    shell.variables["reviews"] = shell.variables["df"]
    ran = shell.run("""%%sm_async echo --data reviews --out scored --rows-per-request 20 --wrap array
{"inputs": {{ text }}, "parameters": {"truncation": true}}""")

    assert ran.value is shell.variables["scored"]
    assert ["a", "b", "c"] == list(shell.run("scored.results()").value["inputs"])


def test_a_template_in_the_cell_makes_the_payload(shell):
    """JSON needs no escaping, and nothing but {{ }} is expanded."""
    shell.variables["text"] = "not this one"
    ran = shell.run('%%sm_async echo --data df --dry-run\n{"inputs": {{ text }}, "dollar": "$text", "brace": "{text}"}')

    assert '{"inputs": "a", "dollar": "$text", "brace": "{text}"}' == ran.value.samples[0]


@pytest.mark.parametrize("body", ["", "\n", "\n\n  \n"], ids=["no line", "an empty line", "blanks"])
def test_without_a_body_the_payload_is_the_record_of_the_row(shell, body):
    """IPython itself would refuse a cell that is nothing but its first line."""
    ran = shell.run(f"%%sm_async echo --data df --dry-run{body}")

    assert ('{"x":1,"text":"a"}', '{"x":2,"text":"b"}', '{"x":3,"text":"c"}') == ran.value.samples


def test_the_job_is_bound_and_is_the_value_of_the_cell(shell):
    """Under its name, and as _ and Out."""
    ran = shell.run("%%sm_async double --data df --out scored")

    assert ran.value is shell.variables["scored"]
    assert shell.variables["_"] is ran.value
    assert [2, 4, 6] == list(shell.run("scored.results()").value["y"])


def test_the_value_is_told_as_the_job_tells_itself(shell):
    """In a terminal the cell waits, and a quick job shows nothing but its end."""
    ran = shell.run("%%sm_async double --data df --name monday")

    assert "]: <Job monday to double, over: 3 completed>\n" == ran.stdout[len("Out[0") :]
    assert "" == ran.stderr


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("df", ("1", "2", "3")),
        ("df[df.x > 1]", ("2", "3")),
        ('df[df["text"] == "c"]', ("3",)),
        ("'df.head( 1 )'", ("1",)),
        ("df.assign(x=df.x * 10)", ("10", "20", "30")),
        ("pd.DataFrame({'x': [7]})", ("7",)),
    ],
)
def test_data_is_a_variable_or_an_expression(shell, data, expected):
    """What is inside brackets needs no quotes."""
    shell.variables["pd"] = pd
    ran = shell.run(f"%%sm_async double --data {data} --columns x --bare --dry-run")

    assert expected == ran.value.samples


def test_a_template_works_in_the_options_too(shell):
    """With its blanks, with and without quotes."""
    ran = shell.run("%%sm_async echo -d df --inference-id row-{{ text }} --custom-attributes 'trace={{ text }}, v=1'")

    assert ["row-a", "row-b", "row-c"] == list(ran.value.table()["inference_id"])


def test_columns_are_named_as_they_are_typed(shell):
    """Also those whose names are no texts."""
    shell.variables["numbered"] = pd.DataFrame([[1, 2, 3]], columns=[0, 1, "two words"])
    ran = shell.run('%%sm_async echo --data numbered --dry-run --columns ["1", "two words"]')
    one = shell.run("%%sm_async echo --data numbered --dry-run --columns 0")

    assert ('{"1":2,"two words":3}',) == ran.value.samples
    assert ('{"0":1}',) == one.value.samples


# Every option of submit, with a value that is taken and what it does to the arguments of submit.
TAKEN = {
    "columns": ("--columns x,text", ["x", "text"]),
    "template": ("--template {{ x }}", "{{ x }}"),
    "payload": ("--payload str", str),
    "input_location": ("--input-location text", "text"),
    "content_type": ("--content-type text/csv", "text/csv"),
    "accept": ("--accept text/csv", "text/csv"),
    "custom_attributes": ("--custom-attributes 'a b'", "a b"),
    "inference_id": ("--inference-id {{ text }}", "{{ text }}"),
    "request_ttl_seconds": ("--request-ttl-seconds 600", 600),
    "invocation_timeout_seconds": ("--invocation-timeout-seconds=x", "x"),
    "s3_output_path_extension": ("--s3-output-path-extension a/b", "a/b"),
    "filename": ("--filename {{ text }}.json", "{{ text }}.json"),
    "nan": ("--nan omit", "omit"),
    "bare": ("--bare", True),
    "wrap": ("--wrap instances", "instances"),
    "rows_per_request": ("--rows_per_request 20", 20),
    "max_payload_bytes": ("--max-payload-bytes 1000", 1000),
    "inline": ("--inline auto", "auto"),
    "deduplicate": ("--no-deduplicate", False),
    "name": ("--name monday", "monday"),
    "session": ("--session None", None),
    "input_prefix": ("--input-prefix s3://b/p", "s3://b/p"),
    "concurrency": ("--concurrency 8", 8),
    "max_in_flight": ("--max-in-flight 100", 100),
    "retries": ("--retries 2", 2),
    "max_failures": ("--max-failures 0.05", 0.05),
    "tracker": ("--tracker sqs:https://queue", "sqs:https://queue"),
    "retry_failed": ("--retry-failed", True),
    "restart": ("--restart", True),
    "tags": ("--tags team=risk,stage=dev", {"team": "risk", "stage": "dev"}),
    "note": ("--note 'a second try'", "a second try"),
    "sse_kms_key_id": ("--sse-kms-key-id alias/k", "alias/k"),
    "expected_bucket_owner": ("--expected-bucket-owner 012345678901", "012345678901"),
    "storage": ("--storage s3fs", "s3fs"),
}
HERE = set(inspect.signature(SmAsyncAccessor.submit).parameters) - {"self", "endpoint_name"}


def test_every_parameter_of_submit_is_an_option():
    """A new one is an option by itself; the table above only has to say what is tried of it."""
    assert set(submit_options()) == HERE
    assert set() == HERE - {"wait"} - set(TAKEN)


def test_every_option_is_explained_in_the_words_of_submit():
    """Each has its line, and its help."""
    told = cell_help()

    assert [] == [option.flag for option in submit_options().values() if not option.help or option.flag not in told]


@pytest.mark.parametrize("name", sorted(set(TAKEN) & HERE))
def test_an_option_reaches_submit_as_its_parameter(shell, monkeypatch, name):
    """Numbers as numbers, names as lists, expressions as what they are."""
    typed, expected = TAKEN[name]
    given = {}

    def submit(accessor, endpoint_name, **arguments):
        given.update(arguments)
        return Over()

    monkeypatch.setattr(SmAsyncAccessor, "submit", submit)
    ran = shell.run(f"%%sm_async echo --data df {typed}")

    assert ran.error is None
    assert {name: expected} == given


class Over:
    """A job that is over, as far as a cell that waits wants to know."""

    id = "over"

    def wait(self):
        return self


@pytest.mark.parametrize("tags", ['{"team": "risk", "cost": 1}', '\'{"team": "risk", "cost": 1}\''])
def test_a_mapping_may_be_json(shell, monkeypatch, tags):
    """With quotes around it or not."""
    given = {}
    monkeypatch.setattr(
        SmAsyncAccessor, "submit", lambda accessor, endpoint, **options: given.update(options) or Over()
    )
    if "tags" not in HERE:
        pytest.skip("submit takes no tags yet")
    shell.run(f"%%sm_async echo --data df --tags {tags}")

    assert {"tags": {"team": "risk", "cost": 1}} == given


# What it shows without sending


def test_a_dry_run_shows_the_plan_and_sends_nothing(shell, local):
    """The value is the plan, and AWS is not even asked."""
    ran = shell.run('%%sm_async echo --data df --out plan --dry-run --seconds-per-request 3600\n{"n": {{ x }}}')
    shown = ran.stdout.splitlines()

    assert "3 rows to echo in 3 requests" in shown[1]
    assert '  {"n": 1}' in shown
    assert "instances: 3.00 hours" in shown
    assert shell.variables["plan"] is ran.value
    assert ran.value.is_good
    assert {} == dict(local.calls)


def test_plan_on_a_line_is_a_dry_run_too(shell, local):
    """``%sm_async plan`` takes what the cell takes."""
    ran = shell.run("plan = %sm_async plan echo --data df --columns x")

    assert ('{"x":1}', '{"x":2}', '{"x":3}') == shell.variables["plan"].samples
    assert ran.error is None
    assert {} == dict(local.calls)


def test_help_tells_everything_and_sends_nothing(shell, local):
    """With the options, the commands, and where defaults are set; in the same words behind a question mark."""
    told = shell.run("%%sm_async --help").stdout

    assert told.startswith("%%sm_async ENDPOINT --data NAME [--out NAME] [OPTION ...]\n")
    assert "  --rows-per-request NUMBER\n" in told
    assert "  %sm_async status [JOB]" in told
    assert "Defaults: %config SmAsync\n" in told
    assert told == shell.run("%sm_async help").stdout == shell.run("%sm_async --help").stdout
    assert "--rows-per-request" in shell.ip.object_inspect("%%sm_async")["docstring"]
    assert {} == dict(local.calls)


# What it refuses, in one line with the nearest word and the way out

MISUSES = {
    "": "Say which endpoint: %%sm_async ENDPOINT --data NAME. %%sm_async --help shows all.",
    "--data df": "Say which endpoint: %%sm_async ENDPOINT --data NAME. %%sm_async --help shows all.",
    "echo": "Say which frame to send: --data NAME. Frames here: df.",
    "echo df": (
        "One endpoint's name is expected before the options, got echo df. A value with blanks in it is put in quotes."
    ),
    "echo --data": "--data needs a value: -d, --data NAME.",
    "echo --data --out job": "--data needs a value: -d, --data NAME.",
    "echo --data fd": "There is no variable fd. Frames here: df.",
    "echo --data nothing[0]": "--data nothing[0]: NameError: name 'nothing' is not defined.",
    "echo --data df[": "The bracket [ before '' is never closed.",
    "echo --data 'df": "The quote ' before 'df' is never closed.",
    "echo --data df.x": "--data df.x is a Series, not a DataFrame. df.x.to_frame() may make one.",
    "echo --data [1]": "--data [1] is a list, not a DataFrame. pd.DataFrame([1]) may make one.",
    "echo --data df --dta df": "--dta is no option. Did you mean --data? %%sm_async --help lists them.",
    "echo --data df --zzz": "--zzz is no option. %%sm_async --help lists them.",
    "echo --data df --data df": "--data is given twice.",
    "echo --data df -d df": "--data is given twice.",
    "echo --data dff": "There is no variable dff. Did you mean df? Frames here: df.",
    "echo --data df --out": "--out needs a value: -o, --out NAME.",
    "echo --data df --out 2nd": "--out 2nd: a variable's name has letters, digits and _ only, and no digit first.",
    "echo --data df --out class": "--out class: a variable's name has letters, digits and _ only, and no digit first.",
    "echo --data df --out df": "--out df would replace the frame of that name; take another.",
    "echo --data df --rows-per-request ten": "--rows-per-request needs a number, got 'ten'.",
    "echo --data df --rows-per-request 0": (
        "--rows-per-request must be a whole number of at least 1, got 0. Nothing was sent."
    ),
    "echo --data df --nan nul": "--nan is one of null, error, omit; got 'nul'. Did you mean null?",
    "echo --data df --bare=1": "--bare takes no value; --no-bare is its opposite.",
    "echo --data df --columns xx": "The frame has no column 'xx'. Did you mean 'x'? Nothing was sent.",
    "echo --data df --columns [x": "The bracket [ before 'x' is never closed.",
    "echo --data df --columns [x]": "--columns is no JSON: Expecting value: line 1 column 2 (char 1).",
    "echo --data df --session sesion": "--session sesion: NameError: name 'sesion' is not defined.",
    "echo --data df --session df": "--session takes a boto3.Session, got DataFrame. Nothing was sent.",
    "echo --data df --request-ttl-seconds 10": (
        "--request-ttl-seconds must be 60 to 21600 seconds, got 10. Nothing was sent."
    ),
    "echo --data df --request-ttl-seconds soon": (
        "--request-ttl-seconds must be a whole number, got 'soon'. The frame has no column of that name either."
        " Nothing was sent."
    ),
    "echo --data df --custom-attributes {{ y }}": (
        "Line 1 of the template in --custom-attributes uses 'y', which the frame has no column of. Nothing was sent."
    ),
    "echo --data df --name a/b": (
        "A job's name is 1 to 100 letters, digits, '-', '_' or '.', beginning with a letter or a digit; got 'a/b'."
        " Nothing was sent."
    ),
    "echo --data df --input-prefix bucket": (
        "The input prefix is wrong. An S3 URI looks like s3://bucket/key, got 'bucket'. Did you mean 's3://bucket'?"
        " Nothing was sent."
    ),
    "eco --data df": (
        "There is no endpoint 'eco' in us-east-1 for these credentials. Did you mean 'echo'? Nothing was sent."
    ),
    "echo --data df --seconds-per-request 1": "--seconds-per-request is for --dry-run.",
    "echo --data df --dry-run --columns xx": "The frame has no column 'xx'. Did you mean 'x'?",
    "echo --data df --columns x\n{{ x }}": "The payload is given twice: by the template in the cell, and by --columns.",
    "echo --data df --template {{ x }}\n{{ x }}": "The template is given twice: in the cell, and by --template.",
    'echo --data df\n\n{"a": {{ y }}}': (
        "Line 3 of the cell uses 'y', which the frame has no column of. Nothing was sent."
    ),
    'echo --data df\n{"a": {{ tex }}}': (
        "Line 2 of the cell uses 'tex', which the frame has no column of. Did you mean 'text'? Nothing was sent."
    ),
    "echo --data df\n{{ x ": (
        "Line 2 of the cell: unexpected end of template, expected 'end of print statement'. Nothing was sent."
    ),
}


@pytest.mark.parametrize("typed", MISUSES, ids=lambda typed: typed.replace("\n", "¶") or "nothing")
def test_a_misuse_is_told_in_one_line(shell, local, typed):
    """Of UsageError itself, since a subclass prints a traceback; and nothing is sent."""
    assert MISUSES[typed] == shell.told(f"%%sm_async {typed}")
    assert 0 == local.calls["s3 PutObject"]


def test_rows_that_cannot_be_sent_are_told_by_their_labels(shell):
    """As many lines as there are to tell, and no traceback."""
    shell.variables["bad"] = pd.DataFrame({"x": [1, {2}]}, index=["a", "b"])

    assert (
        "1 row cannot be sent:\n"
        "  row 'b': column 'x': a value of type set cannot be written as JSON.\n"
        "Nothing was sent."
    ) == shell.told("%%sm_async echo --data bad")


def test_there_may_be_no_frame_yet(shell):
    """The hint says so."""
    del shell.variables["df"]

    assert ("Say which frame to send: --data NAME. There is no DataFrame in this session yet.") == shell.told(
        "%%sm_async echo"
    )


# Errors that are not the user's


@pytest.mark.parametrize("storage", ["s3fs", "obstore"])
def test_an_error_of_the_service_is_short_and_says_what_next(shell, storage):
    """A bucket that is not there: the fact, AWS's id of it, the next step, and where all of it is to be had."""
    pytest.importorskip(storage)
    ran = shell.run(f"%%sm_async echo --data df --input-prefix s3://no-such-bucket/in --storage {storage}")

    assert "StorageAccessError" == type(ran.error).__name__
    told = (ran.stdout + ran.stderr).splitlines()
    assert re.fullmatch(r"AWS request id: \S+", told.pop(1))
    assert told == [
        "StorageAccessError: There is no bucket 'no-such-bucket'. Check the name, the account and the region."
        " Pass --input-prefix 's3://bucket/prefix', or set SM_ASYNC_INPUT_PREFIX. Nothing was sent.",
        "%sm_async doctor ENDPOINT names each permission that is missing.",
        "%tb shows all of it, %config SmAsync.verbose_errors = True always.",
    ]


def test_all_of_an_error_is_there_for_who_wants_it(shell):
    """With the frames of the library; of the last one, or of each."""
    shell.run("%%sm_async echo --data df --input-prefix s3://no-such-bucket/in")
    last = shell.run("%tb")
    shell.run("%config SmAsync.verbose_errors = True")
    ran = shell.run("%%sm_async echo --data df --input-prefix s3://no-such-bucket/in")

    for told in (last.stdout + last.stderr, ran.stdout + ran.stderr):
        assert "Traceback (most recent call last)" in told
        assert "submit.py" in told


def test_who_calls_the_library_keeps_the_traceback(shell):
    """Only what passes through a magic is shortened."""
    ran = shell.run("df.sm_async.submit('echo', input_prefix='s3://no-such-bucket/in')")

    assert "Traceback (most recent call last)" in ran.stdout + ran.stderr


def raised_plainly(error, *, cause=None, verbose=False):
    """What passes through a magic when this is raised in the library."""
    with pytest.raises(type(error)) as caught, plainly(verbose=verbose):
        raise error from cause
    return caught.value


REFUSED = ClientError(
    {"Error": {"Code": "AccessDenied"}, "ResponseMetadata": {"RequestId": "r-123", "HTTPStatusCode": 403}}, "PutObject"
)


def test_a_refusal_has_the_request_id_of_the_service():
    """It is what AWS asks for first; the step to take is behind it."""
    told = raised_plainly(StorageAccessError("S3 refused s3:PutObject."), cause=REFUSED)

    assert told._render_traceback_() == [
        "StorageAccessError: S3 refused s3:PutObject.",
        "AWS request id: r-123",
        "%sm_async doctor ENDPOINT names each permission that is missing.",
        "%tb shows all of it, %config SmAsync.verbose_errors = True always.",
    ]


@pytest.mark.parametrize(
    ("error", "step"),
    [
        (CredentialsError("Expired."), "%sm_async doctor says who you are and what you may do."),
        (EndpointNotInServiceError("Creating."), "%sm_async endpoint NAME shows how it stands."),
        (
            JobInUseError("Theirs."),
            "%sm_async attach ID takes it over when it is free; --read-only only looks on.",
        ),
        (ServiceTroubleError("503."), "It says nothing about your rows: run the cell again."),
        (TooManyFailuresError("9 failed."), "%sm_async failures has the model's own words."),
    ],
    ids=lambda case: type(case).__name__ if isinstance(case, Exception) else "",
)
def test_each_kind_of_error_has_its_next_step(error, step):
    """In one line behind the fact."""
    assert step == raised_plainly(error)._render_traceback_()[1]


def test_an_error_of_the_sdk_that_nobody_explained_is_short_too():
    """It has its request id all the same."""
    assert "AWS request id: r-123" in raised_plainly(REFUSED)._render_traceback_()


def test_an_interrupt_while_a_job_is_made_does_not_say_that_there_is_none(shell, local):
    """Nobody knows by then how far it came, and a second job is paid for twice."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell that runs the tests in the background ignores it
    local.faults = Faults(s3_slow=1, slow_seconds=2, s3_only="PutObject *")
    timer = threading.Timer(0.7, _thread.interrupt_main)
    timer.start()
    try:
        ran = shell.run("%%sm_async echo --data df --no-wait")
    finally:
        timer.join()
        local.faults = Faults()

    assert isinstance(ran.error, KeyboardInterrupt)
    assert "Interrupted while the job was being made; %sm_async jobs tells whether it was.\n" == ran.stdout + ran.stderr


def test_what_is_nobodys_but_pythons_is_left_alone():
    """A defect needs its traceback."""
    assert not hasattr(raised_plainly(ZeroDivisionError()), "_render_traceback_")


# Life with it


def test_a_cell_may_be_run_twice(shell):
    """Two jobs; the name has the second."""
    first = shell.run("%%sm_async double --data df --out job").value
    second = shell.run("%%sm_async double --data df --out job").value

    assert first.id != second.id
    assert shell.variables["job"] is second


def test_the_frame_may_be_changed_or_deleted_meanwhile(shell, gate):
    """The rows went as they were."""
    shell.run("%%sm_async slow --data df --out job --no-wait")
    shell.run("df['x'] = -1\ndel df")
    gate.open()

    assert [1, 2, 3] == list(shell.run("job.wait().results()").value["x"])


def test_several_jobs_run_at_once(shell, gate):
    """Each comes to its own end."""
    for name in "abc":
        shell.run(f"%%sm_async slow --data df.assign(of='{name}') --out {name} --no-wait")
    gate.open()

    told = {name: set(shell.variables[name].wait().results()["of"]) for name in "abc"}
    assert {"a": {"a"}, "b": {"b"}, "c": {"c"}} == told


def test_json_in_the_cell_may_span_lines(shell):
    """As people write it."""
    body = json.dumps({"inputs": "{{ text }}"}, indent=2).replace('"{{ text }}"', "{{ text }}")
    ran = shell.run(f"%%sm_async echo --data df --dry-run\n{body}\n")

    assert '{\n  "inputs": "a"\n}' == ran.value.samples[0]
