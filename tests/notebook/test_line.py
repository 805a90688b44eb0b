"""``%sm_async`` in a real shell: every command, about the last job or a named one."""

from __future__ import annotations

import time

import pandas as pd
import pytest

import sm_async_nb
from sm_async_nb.notebook.cell import cell_help
from sm_async_nb.notebook.commands import COMMANDS
from sm_async_nb.notebook.form.form import Form

PREFIX = "s3://sm-async-local/lines"


@pytest.fixture(scope="module")
def made(local):
    """Two jobs that are over: `good`, and `bad`, which is the later one and has a row that failed."""
    session = local.session()
    good = pd.DataFrame({"x": [1, 2, 3], "text": ["a", "b", "c"]}, index=["p", "q", "r"])
    bad = pd.DataFrame({"x": [5, -5]}, index=["p", "q"])
    return {
        name: frame.sm_async.submit("double", name=f"{name}-job", session=session, input_prefix=PREFIX, wait=True)
        for name, frame in {"good": good, "bad": bad}.items()
    }


@pytest.fixture
def jobs(shell, made, monkeypatch):
    """The shell with the two jobs bound to variables, and their place for a default."""
    monkeypatch.setenv("SM_ASYNC_INPUT_PREFIX", PREFIX)
    shell.variables.update(made)
    return shell


def test_without_a_name_it_is_the_last_job(jobs):
    """Which is also the one that was asked about last."""
    assert jobs.run("%sm_async status").value is jobs.variables["bad"]
    assert jobs.run("%sm_async status good").value is jobs.variables["good"]
    assert jobs.run("%sm_async status").value is jobs.variables["good"]


def test_a_job_has_the_name_of_its_variable_its_id_and_its_address(jobs):
    """All three are its own."""
    good = jobs.variables["good"]

    assert [good] * 3 == [jobs.run(f"%sm_async status {name}").value for name in ("good", "good-job", good.uri)]


def test_a_job_that_was_not_made_by_a_magic_is_known_too(shell):
    """Whatever a variable is bound to."""
    shell.run("other = df.sm_async.submit('echo').wait()")

    assert shell.run("%sm_async status").value is shell.variables["other"]


def test_results_are_the_frame_of_the_answers(jobs):
    """Bound where --out says so; with the options of job.results."""
    plain = jobs.run("%sm_async results good --out scored")
    joined = jobs.run("%sm_async results good --join --output y --dtype float").value

    assert [2, 4, 6] == list(plain.value["y"])
    assert jobs.variables["scored"] is plain.value
    assert {"x": 1, "text": "a", "output": 2.0} == joined.iloc[0].to_dict()


def test_results_before_the_end_say_what_is_still_on_its_way(shell, gate):
    """A frame with holes is told from a frame that is done."""
    shell.run("%%sm_async slow --data df --out job --no-wait")
    early = shell.run("%sm_async results")
    gate.open()
    shell.run("job.wait()")
    late = shell.run("%sm_async results")

    assert early.stdout.startswith(
        "3 of 3 requests are still on their way; their rows are empty. %sm_async wait waits.\n"
    )
    assert "on their way" not in late.stdout


def test_results_of_a_job_that_was_left_say_that_rows_are_missing(shell, gate):
    """It is over for this kernel, and its rows are not."""
    shell.run("%%sm_async slow --data df --out job --no-wait")
    shell.run("job.leave()")
    give_up = time.monotonic() + 10
    while not shell.variables["job"].snapshot.is_over and time.monotonic() < give_up:
        time.sleep(0.01)
    with pytest.warns(UserWarning, match="3 of 3 requests are still on their way; their rows have no answers yet"):
        ran = shell.run("%sm_async results")

    assert ran.error is None
    assert 3 == ran.value.isna().all(axis=1).sum()


def test_failures_have_the_models_own_words(jobs):
    """For the last job, or another."""
    failures = jobs.run("%sm_async failures -o failed").value

    assert ["q"] == list(failures.index)
    assert "x is -5, which is below zero" in failures.loc["q", "error"]
    assert jobs.variables["failed"] is failures
    assert 0 == len(jobs.run("%sm_async failures good").value)


def test_retry_sends_again_what_failed(shell):
    """And says how many."""
    shell.run("df.loc['q', 'x'] = -1")
    shell.run("%%sm_async double --data df --out job")
    ran = shell.run("%sm_async retry")
    waited = shell.run("%sm_async wait").value

    assert ran.stdout.startswith(f"1 request of {waited.id} will be sent again.\n")
    assert ran.value is shell.variables["job"]
    assert [1, 2, 1] == list(waited.table()["attempt"])


def test_retry_by_status_and_class(jobs):
    """Words, not expressions."""
    ran = jobs.run("%sm_async retry bad --status expired,rejected")

    assert ran.stdout.startswith("0 requests of bad-job will be sent again.\n")


def test_cancel_says_what_the_service_still_holds(shell, gate):
    """In the job's own words."""
    shell.run("%%sm_async slow --data df --out job --no-wait --concurrency 1")
    ran = shell.run("%sm_async cancel")
    gate.open()

    assert ran.error is None
    assert ran.stdout.startswith(tuple("0123"))
    assert "requests will not be sent." in ran.stdout


def test_resume_of_a_job_that_does_not_pause_changes_nothing(jobs):
    """It is the job again."""
    assert jobs.run("%sm_async resume good").value is jobs.variables["good"]


def test_jobs_in_s3_are_listed_and_attached_to(jobs):
    """By id, below the prefix of the session."""
    listed = jobs.run("%sm_async jobs").value
    attached = jobs.run("%sm_async attach good-job --out again")

    assert {"good-job", "bad-job"} <= set(listed.index)
    assert "good-job" == attached.value.id
    assert jobs.variables["again"] is attached.value
    assert jobs.run("%sm_async status").value is attached.value


def test_an_address_says_itself_where_the_job_lies(jobs):
    """A setting that says where jobs lie is no contradiction to it."""
    ran = jobs.run(f"%sm_async attach {jobs.variables['good'].uri}")

    assert None is ran.error
    assert "good-job" == ran.value.id


def test_the_line_says_where_jobs_lie_before_the_setting_does(jobs):
    """As with every other setting."""
    listed = jobs.run("%sm_async jobs --input-prefix s3://sm-async-local/nobodys").value

    assert 0 == len(listed)


def test_jobs_are_looked_for_beside_the_last_one(shell, made):
    """Where nothing says where they lie."""
    shell.variables["bad"] = made["bad"]

    assert {"good-job", "bad-job"} <= set(shell.run("%sm_async jobs").value.index)
    assert "good-job" == shell.run("%sm_async attach good-job").value.id


def test_endpoints_and_one_of_them(shell):
    """In the words of the library."""
    listed = shell.run("%sm_async endpoints").value
    one = shell.run("%sm_async endpoint echo")

    assert {"double", "echo", "slow"} <= {*listed.index, *listed.iloc[:, 0]}
    assert str(one.value).startswith("Endpoint echo is in service")


def test_doctor_is_the_librarys(shell):
    """With the endpoint's name, or without."""
    report = shell.run("%sm_async doctor echo").value

    assert "sagemaker:DescribeEndpoint" in report.table.index
    assert report.is_good


def test_bad_settings_do_not_stop_who_looks_for_them(shell, monkeypatch):
    """They were refused by the very commands that tell of them."""
    monkeypatch.setenv("SM_ASYNC_INPUT_PREFIX", "bucket")
    monkeypatch.setenv("SM_ASYNC_VERBOSE_ERRORS", "maybe")
    report = shell.run("%sm_async doctor echo").value
    helped, listed = shell.run("%sm_async help doctor"), shell.run("%sm_async config")

    bad = set(report.table.index[report.table["state"] == "BAD"])
    assert {"setting input_prefix", "setting verbose_errors", "input prefix"} == bad
    assert (None, None) == (helped.error, listed.error)
    assert "maybe" == listed.value.loc["SmAsync.verbose_errors", "value"]
    assert shell.told("%sm_async jobs").startswith("input_prefix must look like s3://bucket/prefix, got 'bucket'")


def test_config_lists_the_settings_with_where_they_come_from(jobs):
    """Also what the environment says."""
    told = jobs.run("%sm_async config").value

    assert [64, "default"] == list(told.loc["SmAsync.concurrency"])
    assert "SM_ASYNC_INPUT_PREFIX" == told.loc["SmAsync.input_prefix", "from"]


def test_the_panel_is_a_form(shell):
    """For a frame that is chosen in it; the accessor's is for the frame itself."""
    frame = pd.DataFrame({"x": [1]})
    form, mine = shell.run("%sm_async panel").value, frame.sm_async.panel()

    assert (Form, Form) == (type(form), type(mine))
    pd.testing.assert_frame_equal(frame, mine.frame)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_its_help(shell, name):
    """By --help behind it, and by help before it."""
    told = shell.run(f"%sm_async {name} --help").stdout

    assert told.startswith(f"{COMMANDS[name].usage}\n\n  {COMMANDS[name].help}\n")
    assert told == shell.run(f"%sm_async help {name}").stdout


def test_help_tells_of_plan_and_of_itself(shell):
    """A plan's options are the cell's, and so is its help."""
    told = shell.run("%sm_async help").stdout

    assert f"{cell_help()}\n" == told
    assert "  %sm_async plan ENDPOINT --data NAME  What a cell would send" in told
    assert "  %sm_async help [COMMAND] " in told
    assert [told] * 2 == [shell.run(f"%sm_async help {name}").stdout for name in ("plan", "help")]


NO_JOB = (
    "There is no job in this session yet. %%sm_async ENDPOINT --data NAME makes one; %sm_async jobs lists those in S3,"
    " %sm_async attach ID opens one."
)


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("statu", "There is no command 'statu'. Did you mean status? %sm_async help lists them."),
        ("nonsense", "There is no command 'nonsense'. %sm_async help lists them."),
        ("help statu", "There is no command 'statu'. Did you mean status? %sm_async help lists them."),
        ("plna echo", "There is no command 'plna'. Did you mean plan? %sm_async help lists them."),
        ("hlp", "There is no command 'hlp'. Did you mean help? %sm_async help lists them."),
        ("echo --data df", "To send a frame, begin the cell with two signs: %%sm_async echo --data df"),
        ("status", NO_JOB),
        ("results", NO_JOB),
        ("cancel", NO_JOB),
        (
            "status jb",
            "There is no job 'jb' in this session. %sm_async attach jb opens one that is in S3.",
        ),
        ("status df", "df is a DataFrame, not a job."),
        ("status a b", "It is %sm_async status [JOB]; got a b."),
        ("attach", "It is %sm_async attach ID; nothing is there."),
        ("endpoint", "It is %sm_async endpoint NAME; nothing is there."),
        ("status --all", "--all is no option. %sm_async status --help lists them."),
        ("results --jion", "--jion is no option. Did you mean --join? %sm_async results --help lists them."),
        ("results --out 1x", "--out 1x: a variable's name has letters, digits and _ only, and no digit first."),
        ("results --errors igonre", "--errors is one of coerce, ignore, raise; got 'igonre'. Did you mean ignore?"),
        ("plan", "Say which endpoint: %%sm_async ENDPOINT --data NAME. %%sm_async --help shows all."),
        ("plan echo", "Say which frame to send: --data NAME. Frames here: df."),
        (
            "endpoint eco",
            "There is no endpoint 'eco' in us-east-1 for these credentials. Did you mean 'echo'? Nothing was sent.",
        ),
    ],
)
def test_a_misuse_is_told_in_one_line(shell, typed, expected):
    """With the nearest word and the way out."""
    assert expected == shell.told(f"%sm_async {typed}")


def test_a_job_that_is_not_there_is_told_with_those_that_are(jobs):
    """By their variables."""
    assert (
        "There is no job 'god' in this session. Did you mean good? Jobs here: good, bad. %sm_async attach god opens one"
        " that is in S3."
    ) == jobs.told("%sm_async status god")


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        (
            "results good --join --into there",
            "--into writes the outputs of all rows; --join and --errors 'raise' are not for it.",
        ),
        (
            "retry bad --rows ['q'] --status failed",
            "--rows names the requests itself; leave --status and --error-class out.",
        ),
    ],
)
def test_what_the_library_says_of_an_option_is_put_as_it_is_typed(jobs, typed, expected):
    """A command has options that the cell has not."""
    assert expected == jobs.told(f"%sm_async {typed}")


def test_a_line_magic_has_a_value(jobs):
    """It can be assigned, as IPython's own can."""
    jobs.run("frame = %sm_async results good")

    assert [2, 4, 6] == list(jobs.variables["frame"]["y"])


def test_a_magic_in_a_function_sees_its_variables(shell):
    """As every magic of IPython does."""
    shell.run("def score(inner):\n    plan = %sm_async plan echo --data inner\n    return plan")
    ran = shell.run("score(df.head(2))")

    assert 2 == ran.value.rows


def test_what_is_asked_of_the_library_has_the_same_answer(shell):
    """The commands are no second implementation."""
    assert list(sm_async_nb.endpoints().columns) == list(shell.run("%sm_async endpoints").value.columns)
