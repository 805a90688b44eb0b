"""The code that a form gives: the call, and the cell, mean the same."""

from __future__ import annotations

import pandas as pd
import pytest

from sm_async_nb.notebook.cell import understand
from sm_async_nb.notebook.commands import Here
from sm_async_nb.notebook.form import Form
from sm_async_nb.notebook.form_code import Filled, more_options
from sm_async_nb.notebook.known import KnownJobs

FILLED = {
    "all columns": {},
    "some columns": {"columns": ("age", "plan b")},
    "a template": {"template": '{"inputs": {{ age }},\n "n": "it\'s"}'},
    "numbers and ticks": {"columns": ("age",), "texts": {"rows_per_request": "8", "deduplicate": True, "retries": "2"}},
    "texts with blanks": {"texts": {"note": "it's a try", "accept": "text/csv", "custom_attributes": 'a="b"'}},
    "a template as a field": {"texts": {"inference_id": "{{ age }}-x", "tags": "team=risk, kind=try"}},
}


def evaluated(code, frame):
    """What the call of the code would submit."""
    seen = {}

    class Accessor:
        def submit(self, endpoint_name, **keywords):
            seen.update(keywords, endpoint_name=endpoint_name)

    class Frame:
        sm_async = Accessor()

    exec(code, {"df": Frame()})
    return seen


@pytest.mark.parametrize("filled", FILLED.values(), ids=FILLED)
def test_the_cell_and_the_call_submit_the_same(filled):
    """Pasting either does what the form would do."""
    frame = pd.DataFrame({"age": [1], "plan b": [2]})
    form = Filled(data="df", endpoint_name="churn", **filled)
    first, _, body = form.cell().partition("\n")
    variables = {"df": frame}
    here = Here(namespace=variables, variables=variables, jobs=KnownJobs(variables))
    cell = understand(here, first.removeprefix("%%sm_async "), body)

    expected = {"endpoint_name": "churn", **form.keywords()}
    assert expected == evaluated(form.python(), frame)
    assert expected == {"endpoint_name": cell.endpoint_name, **cell.arguments}
    assert "job" == cell.out


def test_every_option_of_submit_can_be_filled_in():
    """A new one is in the form by being there; the payload has its own place, a session cannot be typed."""
    assert {"retries", "rows_per_request", "inline", "name", "request_ttl_seconds", "tags"} <= more_options().keys()
    assert {"payload", "session", "template", "columns"}.isdisjoint(more_options())


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ({"rows_per_request": "many"}, "--rows-per-request needs a number, got 'many'."),
        ({"note": "both ' and \""}, "both kinds of quotes"),
        ({"note": "one\ntwo"}, "more than one line"),
        ({"inline": "maybe"}, "--inline is one of"),
    ],
    ids=["no number", "quotes", "two lines", "no such word"],
)
def test_what_cannot_be_meant_is_said_in_words(texts, message):
    """The form shows it instead of a plan."""
    with pytest.raises(ValueError, match=r"\.") as refused:
        Filled(data="df", endpoint_name="churn", texts=texts).keywords()

    assert message in str(refused.value)


@pytest.mark.filterwarnings("ignore:Deprecated in traitlets 4.1:DeprecationWarning")
def test_the_form_is_about_the_frame_it_was_called_on(monkeypatch):
    """Under its own name if it has one, whatever else is called df."""
    monkeypatch.setattr("sm_async_nb.notebook.form.errand", lambda act: None)
    named, other = pd.DataFrame({"age": [1]}), pd.DataFrame({"x": [1]})
    variables = {"customers": named, "df": other}
    of_variable, of_nobody, of_any = (Form(frame, variables=variables) for frame in (named, named.head(1), None))

    assert ("customers", named) == (of_variable.filled.data, of_variable.frame)
    assert ["age"] == list(of_nobody.frame.columns)
    assert ("customers", named) == (of_any.filled.data, of_any.frame)
    of_any.data.value = "df"
    assert ("df", (("x", "x"),)) == (of_any.filled.data, of_any.columns.options)
