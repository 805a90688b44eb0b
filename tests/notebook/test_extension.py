"""The extension: loaded, loaded twice, unloaded, reloaded, and side by side with autoreload."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

from sm_async_nb.notebook import magic
from sm_async_nb.notebook.magic import give_a_body


def ours(ip):
    """Everything of ours that is in a shell, counted."""
    return {
        "magics": sum("sm_async" in ip.magics_manager.magics[kind] for kind in ("line", "cell")),
        "settings": sum(type(one).__name__ == "SmAsync" for one in ip.configurables),
        "matchers": sum(one.__module__.startswith("sm_async_nb") for one in ip.Completer.custom_matchers),
        "transforms": sum(one.__module__.startswith("sm_async_nb") for one in ip.input_transformers_cleanup),
    }


ONCE = {"magics": 2, "settings": 1, "matchers": 1, "transforms": 1}
NOT_AT_ALL = dict.fromkeys(ONCE, 0)


def test_loading_twice_changes_nothing(shell):
    """By the magic, and by whoever calls the function."""
    again = shell.run("%load_ext sm_async_nb")
    magic.load(shell.ip)

    assert "already loaded" in again.stdout
    assert ONCE == ours(shell.ip)


def test_unloading_takes_all_of_it_out(shell):
    """And loading puts it back."""
    shell.run("%unload_ext sm_async_nb")
    gone = ours(shell.ip)
    told = shell.told("%%sm_async echo --data df\n")
    shell.run("%load_ext sm_async_nb")

    assert NOT_AT_ALL == gone
    assert told.startswith("Cell magic `%%sm_async` not found")
    assert ONCE == ours(shell.ip)


def test_jobs_run_on_over_an_unloading(shell, gate):
    """The magics are a face, and no more."""
    shell.run("%%sm_async slow --data df --out job --no-wait")
    shell.run("%unload_ext sm_async_nb")
    gate.open()
    ran = shell.run("job.wait()")
    shell.run("%load_ext sm_async_nb")

    assert "over: 3 completed" in ran.stdout
    assert shell.run("%sm_async status").value is shell.variables["job"]


def test_reloading_works_with_what_was_there(shell):
    """With the extension's own command."""
    ran = shell.run("%reload_ext sm_async_nb")

    assert (None, "") == (ran.error, ran.stderr)
    assert ONCE == ours(shell.ip)
    assert shell.run("%sm_async plan echo --data df").value.is_good


def test_a_module_that_was_reloaded_still_finds_what_it_put_there(shell):
    """autoreload executes a changed module anew, which forgets what it knew."""
    importlib.reload(magic)
    shell.run("%reload_ext sm_async_nb")

    assert ONCE == ours(shell.ip)
    assert shell.run("%sm_async plan echo --data df").value.is_good


def test_autoreload_leaves_it_alone(shell):
    """Cells go on as before."""
    shell.run("%load_ext autoreload\n%autoreload 2")
    first = shell.run("%sm_async plan echo --data df")
    again = shell.run("%sm_async plan echo --data df")
    shell.run("%autoreload 0\n%unload_ext autoreload")

    assert [True, True] == [first.value.is_good, again.value.is_good]
    assert ("", "") == (first.stderr, again.stderr)


def test_the_accessor_can_be_reloaded_without_a_warning():
    """pandas would say that it replaces an attribute, which is its own; of somebody else's it still does."""
    code = (
        "import importlib, warnings\n"
        "import pandas as pd\n"
        "from sm_async_nb.notebook import accessor\n"
        "warnings.simplefilter('error')\n"
        "importlib.reload(accessor)\n"
        "print(pd.DataFrame({'x': [1]}).sm_async.plan('double').requests)\n"
        "pd.DataFrame.sm_async = 'theirs'\n"
        "importlib.reload(accessor)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert "1\n" == done.stdout
    assert "UserWarning" in done.stderr
    assert "overriding a preexisting attribute" in done.stderr


def test_loading_asks_nothing_of_aws(shell, local):
    """Nor does importing."""
    local.reset_calls()
    shell.run("%reload_ext sm_async_nb")

    assert {} == dict(local.calls)


def test_importing_the_package_does_not_import_ipython():
    """Whoever uses the library in a script has no use for it."""
    code = (
        "import sys, sm_async_nb\n"
        "from sm_async_nb.notebook import text, outside, front_end\n"
        "assert not {'IPython', 'traitlets', 'ipywidgets', 'boto3'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert (0, "") == (done.returncode, done.stderr)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["%%sm_async a --data b\n"], ["%%sm_async a --data b\n", "\n"]),
        (["%%sm_async a --data b"], ["%%sm_async a --data b\n", "\n"]),
        (["%%sm_async a\n", "\n", "\n"], ["%%sm_async a\n", "\n"]),
        (["%%sm_async a\n", "{{ x }}\n"], ["%%sm_async a\n", "{{ x }}\n"]),
        (["%%sm_async\n"], ["%%sm_async\n", "\n"]),
        (["%%sm_async_too a\n"], ["%%sm_async_too a\n"]),
        (["%%sm_async?\n"], ["%%sm_async?\n"]),
        (["%%time\n"], ["%%time\n"]),
        ([], []),
    ],
)
def test_a_cell_of_one_line_gets_an_empty_body(lines, expected):
    """IPython itself refuses a cell magic without a body."""
    assert expected == give_a_body(lines)


def test_a_terminal_still_waits_for_the_body_of_a_cell(shell):
    """The first line of a cell is not the whole of it."""
    check = shell.ip.input_transformer_manager.check_complete

    assert "incomplete" == check("%%sm_async echo --data df")[0]
    assert "complete" == check("%%sm_async echo --data df\n{{ x }}\n\n")[0]
