"""``%config SmAsync``, the environment and pyproject.toml: where defaults come from, and what is refused."""

from __future__ import annotations

import pytest

from sm_async_nb.notebook.outside import SETTINGS, current, nearest_pyproject, outside, strangers


def pyproject(folder, text):
    (folder / "pyproject.toml").write_text(f"[tool.sm_async]\n{text}\n", encoding="utf-8")


def test_config_lists_every_setting_with_its_help(shell):
    """As IPython lists its own."""
    told = shell.run("%config SmAsync").stdout

    assert told.startswith("SmAsync(Configurable) options\n")
    for name, setting in SETTINGS.items():
        assert f"SmAsync.{name}=" in told
        assert setting.help.split(".")[0].split(",")[0].split("%")[0][:30] in " ".join(told.split())
    assert "Environment: SM_ASYNC_CONCURRENCY." in " ".join(told.split())
    assert "    Current: 64\n" in told


def test_the_session_comes_before_the_environment_and_that_before_pyproject(shell, tmp_path, monkeypatch):
    """As everywhere: what is nearer has the say."""
    told = [current("concurrency")]
    pyproject(tmp_path, "concurrency = 9")
    told.append(current("concurrency"))
    monkeypatch.setenv("SM_ASYNC_CONCURRENCY", "8")
    told.append(current("concurrency"))
    shell.run("%config SmAsync.concurrency = 7")
    told.append(current("concurrency"))

    assert told == [
        (64, "default"),
        (9, f"[tool.sm_async] in {tmp_path / 'pyproject.toml'}"),
        ("8", "SM_ASYNC_CONCURRENCY"),
        (7, "%config SmAsync.concurrency"),
    ]


def test_a_variable_that_is_set_later_counts(shell, monkeypatch):
    """Nothing is remembered from the time of loading."""
    monkeypatch.setenv("SM_ASYNC_CONCURRENCY", "5")

    assert "    Current: '5'\n" in shell.run("%config SmAsync").stdout
    assert ("5", "SM_ASYNC_CONCURRENCY") == current("concurrency")


def test_the_nearest_pyproject_is_in_the_folder_or_above(tmp_path, monkeypatch):
    """As ruff and pytest look for theirs."""
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    pyproject(tmp_path, "wait = true")
    monkeypatch.chdir(below)

    assert tmp_path / "pyproject.toml" == nearest_pyproject(below)
    assert True is outside("wait")[0]
    pyproject(below, "wait = false")
    assert False is outside("wait")[0]


def test_a_pyproject_that_cannot_be_read_is_somebody_elses_affair(tmp_path, monkeypatch):
    """The tools it is for say so."""
    (tmp_path / "pyproject.toml").write_text("[tool.sm_async", encoding="utf-8")
    monkeypatch.chdir(tmp_path)

    assert (64, "default") == outside("concurrency")


@pytest.mark.parametrize(
    "written",
    [
        b"# caf\xe9\n[tool.sm_async]\nconcurrency = 9\n",
        b"tool = 1\n",
        b"[tool]\nsm_async = 3\n",
        b"\xff\xfe[\x00",
    ],
    ids=["Latin-1", "tool is a number", "sm_async is a number", "UTF-16"],
)
def test_a_pyproject_that_is_none_says_nothing(tmp_path, monkeypatch, written):
    """It was a traceback from every cell."""
    (tmp_path / "pyproject.toml").write_bytes(written)
    monkeypatch.chdir(tmp_path)

    assert (64, "default") == outside("concurrency")
    assert {} == strangers()


def test_a_pyproject_may_begin_with_a_mark_of_its_encoding(tmp_path, monkeypatch):
    """Some editors write one; the file was as if it were not there."""
    (tmp_path / "pyproject.toml").write_bytes(b"\xef\xbb\xbf[tool.sm_async]\r\nconcurrency = 9\r\n")
    monkeypatch.chdir(tmp_path)

    assert 9 == outside("concurrency")[0]


def test_a_working_directory_that_is_gone_says_nothing(tmp_path, monkeypatch):
    """Somebody has cleaned up behind a kernel that runs on."""
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()

    assert (64, "default") == outside("concurrency")
    assert {} == strangers()


def test_settings_reach_the_job(shell, monkeypatch):
    """Where the line does not say."""
    shell.run("%config SmAsync.input_prefix = 's3://sm-async-local/from-config'")
    ran = shell.run("%%sm_async echo --data df")
    said = shell.run("%%sm_async echo --data df --input-prefix s3://sm-async-local/from-line")

    assert ran.value.uri.startswith("s3://sm-async-local/from-config/")
    assert said.value.uri.startswith("s3://sm-async-local/from-line/")


def test_the_library_goes_by_the_settings_too(shell):
    """Where a call does not say; DESIGN.md has the order."""
    shell.run("%config SmAsync.input_prefix = 's3://sm-async-local/for-all'")
    job = shell.run("df.sm_async.submit('echo', name='by-config').wait()").value
    said = shell.run("df.sm_async.submit('echo', input_prefix='s3://sm-async-local/said').wait()").value
    shell.run("import sm_async_nb")
    attached = shell.run("sm_async_nb.attach('by-config')")

    assert "s3://sm-async-local/for-all/by-config/" == job.uri == attached.value.uri
    assert said.uri.startswith("s3://sm-async-local/said/")


@pytest.mark.parametrize(("said", "waits"), [("True", True), ("'auto'", True), ("False", False), ("'no'", False)])
def test_whether_a_cell_waits_can_be_set(shell, gate, said, waits):
    """auto waits in a terminal, which this shell is."""
    shell.run(f"%config SmAsync.wait = {said}")
    if waits:
        gate.open()
    ran = shell.run("%%sm_async slow --data df.head(1)")
    was_over = ran.value.snapshot.is_over
    gate.open()
    ran.value.wait()

    assert waits == was_over


BAD = {
    "concurrency": (
        "0",
        "concurrency must be a whole number of at least 1, got 0 from %config SmAsync.concurrency.",
        64,
    ),
    "wait": ("'maybe'", "wait must be 'auto', True or False, got 'maybe' from %config SmAsync.wait.", "auto"),
    "front_end": (
        "'vt100'",
        "front_end must be 'auto', 'html' or 'text', got 'vt100' from %config SmAsync.front_end.",
        "auto",
    ),
    "progress_after": (
        "-1",
        "progress_after must be a number of seconds, 0 or more, got -1 from %config SmAsync.progress_after.",
        2.0,
    ),
    "input_prefix": (
        "'bucket'",
        "input_prefix must look like s3://bucket/prefix, got 'bucket' from %config SmAsync.input_prefix.",
        None,
    ),
    "fetch_answers": (
        "3",
        "fetch_answers must be True or False, got 3 from %config SmAsync.fetch_answers.",
        True,
    ),
    "verbose_errors": (
        "3",
        "verbose_errors must be True or False, got 3 from %config SmAsync.verbose_errors.",
        False,
    ),
    "expected_bucket_owner": (
        "12",
        "expected_bucket_owner must be a text, got 12 from %config SmAsync.expected_bucket_owner.",
        None,
    ),
    "storage": (
        "'disk'",
        "storage must be 'auto', 's3fs' or 'obstore', got 'disk' from %config SmAsync.storage.",
        "auto",
    ),
    "sse_kms_key_id": ("1", "sse_kms_key_id must be a text, got 1 from %config SmAsync.sse_kms_key_id.", None),
}


def test_every_setting_has_a_bad_value_below():
    """A new one is tried too."""
    assert set(SETTINGS) == set(BAD)


@pytest.mark.parametrize("name", BAD)
def test_a_bad_value_is_refused_where_it_is_used(shell, local, name):
    """IPython would log it and go on with the value before."""
    value, told, default = BAD[name]
    set_ = shell.run(f"%config SmAsync.{name} = {value}")
    refused = shell.told("%%sm_async echo --data df")

    assert set_.error is None
    assert f"{told} Set it right: %config SmAsync.{name} = {default!r}" == refused
    assert {} == dict(local.calls)


def test_a_bad_variable_is_told_with_its_name(shell, monkeypatch):
    """It may have been set far away."""
    monkeypatch.setenv("SM_ASYNC_WAIT", "perhaps")

    assert (
        "wait must be 'auto', True or False, got 'perhaps' from SM_ASYNC_WAIT."
        " Set it right: %config SmAsync.wait = 'auto'"
    ) == shell.told("%%sm_async echo --data df")


def test_what_is_no_setting_is_refused_with_the_nearest(shell, tmp_path):
    """A misspelt line in pyproject.toml would never be noticed otherwise."""
    pyproject(tmp_path, "concurency = 3")

    assert (
        f"concurency in [tool.sm_async] of {tmp_path / 'pyproject.toml'} is no setting. Did you mean concurrency?"
        " Nothing was sent."
    ) == shell.told("%%sm_async echo --data df")


def test_the_settings_end_with_the_extension(shell):
    """Unloaded, it is the environment again."""
    shell.run("%config SmAsync.concurrency = 3")
    shell.run("%unload_ext sm_async_nb")
    value = current("concurrency")
    shell.run("%load_ext sm_async_nb")

    assert (64, "default") == value
