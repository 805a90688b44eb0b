"""The code that a form gives, what it says of a wrong field, and what its menus offer."""

from __future__ import annotations

import time

import ipywidgets as widgets
import pandas as pd
import pytest
from boto3 import Session

from sm_async_nb.aws.session import known_fields
from sm_async_nb.notebook.cell import understand
from sm_async_nb.notebook.commands import Here
from sm_async_nb.notebook.form import form as forms
from sm_async_nb.notebook.form import html as form_html
from sm_async_nb.notebook.form.check import problems_of
from sm_async_nb.notebook.form.code import Filled, form_options
from sm_async_nb.notebook.form.endpoint_menu import EndpointMenu
from sm_async_nb.notebook.form.endpoints import LOOKING, Seen
from sm_async_nb.notebook.form.field import FIRST, GROUPS, FormField, groups, label_of
from sm_async_nb.notebook.form.form import Form
from sm_async_nb.notebook.form.names import free_name, wrong_name
from sm_async_nb.notebook.form.plan import Asked, Planned, planned
from sm_async_nb.notebook.form.submit import Outcome
from sm_async_nb.notebook.known import KnownJobs

SESSION = Session(region_name="eu-west-1", aws_access_key_id="id", aws_secret_access_key="secret")
FRAME = pd.DataFrame({"age": [1, 2], "plan b": ["x", "y"]})

# Code

FILLED = {
    "all columns": {},
    "some columns": {"columns": ("age", "plan b")},
    "a template": {"template": '{"inputs": {{ age }},\n "n": "it\'s"}'},
    "a template in blanks": {"template": '\n\n  {{ age }}\n "x" \n\n'},
    "numbers and ticks": {"columns": ("age",), "texts": {"rows_per_request": "8", "deduplicate": True, "retries": "2"}},
    "texts with blanks": {"texts": {"note": "it's a try", "accept": "text/csv", "custom_attributes": 'a="b"'}},
    "a template as a field": {"texts": {"inference_id": "{{ age }}-x", "tags": "team=risk, kind=try"}},
    "both kinds of quotes": {"texts": {"note": """it's "so"' """, "tags": '{"a": "it\'s"}'}},
    "what looks like an option": {"texts": {"note": "-x", "filename": "--data", "s3_output_path_extension": "-"}},
    "brackets that stay open": {"texts": {"note": "([{", "custom_attributes": "}])"}},
}


def evaluated(code, frame):
    """What the call of the code would submit."""
    seen = {}

    class Accessor:
        def submit(self, endpoint_name, **keywords):
            seen.update(keywords, endpoint_name=endpoint_name)

    class Frame:
        sm_async = Accessor()
        columns = frame.columns

    exec(code, {"df": Frame()})
    return {name: list(value) if isinstance(value, pd.Index) else value for name, value in seen.items()}


def understood(code, frame):
    """What the cell of the code would submit, and what it would call the job."""
    first, _, body = code.partition("\n")
    variables = {"df": frame}
    here = Here(namespace=variables, variables=variables, jobs=KnownJobs(variables))
    cell = understand(here, first.removeprefix("%%sm_async "), body)
    return {"endpoint_name": cell.endpoint_name, **cell.arguments}, cell.out


@pytest.mark.parametrize("filled", FILLED.values(), ids=FILLED)
def test_the_cell_and_the_call_submit_the_same(filled):
    """Pasting either does what the form would do."""
    form = Filled(data="df", endpoint_name="churn", out="scored", **filled)
    expected = {"endpoint_name": "churn", **form.keywords()}

    assert expected == evaluated(form.python(), FRAME)
    assert (expected, "scored") == understood(form.cell(), FRAME)


def test_the_call_names_the_session_that_the_form_was_given():
    """Pasted without it, it went to another account; where no variable has it, a comment says what is missing."""
    told = [Filled(data="df", endpoint_name="churn", session=session).python() for session in (None, "", "eu")]

    assert "job = df.sm_async.submit('churn')\njob" == told[0]
    assert f"# session=...: as the form was given; no variable has it.\n{told[0]}" == told[1]
    assert "job = df.sm_async.submit('churn', session=eu)\njob" == told[2]


HOSTILE = [
    "", " ", "a b", "a,b", " a ", "it's", 'say "x"', """both ' and \"""", "[x]", "-x", "--data", "{{ x }}", "$x", "#x",
    "<img src=x onerror=alert(1)>", "a\nb", "a\u2028b", "tab\t", "ünïcode", "😀", "\\n", "%%time", "nan", "None",
    1, "1", -1, 2.5, ("a", "b"), ("a", 1), None, float("nan"), pd.Timestamp("2026-01-01"), pd.NA,
]  # fmt: skip
# A cell can only say what is also the name of another one: "None" and None, "nan" and nan.
UNCLEAR = [place for place, name in enumerate(HOSTILE) if repr(name) in ("None", "nan")]


@pytest.mark.parametrize("place", range(len(HOSTILE)), ids=[repr(name)[:20] for name in HOSTILE])
def test_a_column_of_any_name_is_chosen_by_the_code_and_no_other(place):
    """Among all the others, some of which look alike as text."""
    frame = pd.DataFrame([range(len(HOSTILE))])
    frame.columns = pd.Index(HOSTILE, dtype=object, tupleize_cols=False)
    form = Filled(
        data="df", endpoint_name="churn", columns=(HOSTILE[place],), places=(place,), known=tuple(frame.columns)
    )

    assert [repr(HOSTILE[place])] == [repr(name) for name in evaluated(form.python(), frame)["columns"]]
    if place in UNCLEAR:
        with pytest.raises(ValueError, match="take the Python"):
            form.cell()
    else:
        assert [repr(HOSTILE[place])] == [repr(name) for name in understood(form.cell(), frame)[0]["columns"]]


def test_every_option_of_submit_has_a_field():
    """A new one is in the form by being there; the payload has its own place, a session cannot be typed."""
    options = form_options()
    grouped = groups(options)
    shown = [*FIRST, *(name for names in grouped.values() for name in names)]

    assert sorted(options) == sorted(shown)
    assert {"payload", "session", "template", "columns"}.isdisjoint(options)
    assert [*GROUPS] == [*grouped]


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ({"rows_per_request": "many"}, "--rows-per-request needs a number, got 'many'."),
        ({"note": "one\ntwo"}, "more than one line"),
        ({"inline": "maybe"}, "--inline is one of"),
    ],
    ids=["no number", "two lines", "no such word"],
)
def test_what_cannot_be_meant_is_said_in_words(texts, message):
    """The form shows it instead of a plan."""
    with pytest.raises(ValueError, match=r"\.") as refused:
        Filled(data="df", endpoint_name="churn", texts=texts).keywords()

    assert message in str(refused.value)


# What is wrong with a field

WRONG = {
    "rows_per_request": ("0", "rows_per_request must be a whole number of at least 1, got 0."),
    "max_payload_bytes": ("some", "It needs a number, got 'some'."),
    "request_ttl_seconds": ("10", "RequestTTLSeconds must be 60 to 21600 seconds, got 10."),
    "invocation_timeout_seconds": (
        "agee",
        "InvocationTimeoutSeconds must be a whole number, got 'agee' or a column's name.",
    ),
    "content_type": ("application/none", "Rows cannot be written as content_type 'application/none'"),
    "custom_attributes": ("é", "CustomAttributes must match"),
    "name": ("no name", "A job's name is 1 to 100 letters"),
    "retry_failed": (True, "say which with name=."),
    "restart": (True, "say which with name=."),
    "input_prefix": ("bucket", "An S3 URI looks like s3://bucket/key, got 'bucket'."),
    "concurrency": ("0", "concurrency must be a whole number of at least 1, got 0."),
    "max_in_flight": ("200000", "max_in_flight must be at most 120,000"),
    "retries": ("-1", "retries must be a whole number of at least 0, got -1."),
    "max_failures": ("1.5", "max_failures must be a whole number of requests, or a share of them between 0 and 1"),
    "tracker": ("sqs", "tracker= must be 'list' or 'sqs:' and the queue's URL, got 'sqs'."),
    "tags": ("team", "It takes KEY=VALUE,KEY=VALUE or a JSON object, got 'team'."),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_value_is_told_of_its_own_field(name):
    """By the rules of submit, before anything is submitted, whether the plan looks at the field or not."""
    text, message = WRONG[name]
    filled = Filled(data="df", endpoint_name="churn", texts={"note": "fine", name: text})
    found = problems_of(filled, FRAME, known_fields(SESSION))

    assert [name] == [*found]
    assert message in found[name]
    assert "Nothing was sent" not in found[name]


def test_columns_and_templates_are_right_where_a_constant_would_be_wrong():
    """A field may differ from row to row."""
    texts = {"request_ttl_seconds": "age", "invocation_timeout_seconds": "{{ age }}", "custom_attributes": "plan b"}

    assert {} == problems_of(Filled(data="df", endpoint_name="churn", texts=texts), FRAME, known_fields(SESSION))


def test_a_field_complains_in_words_and_then_tells_again_what_it_means():
    """And the message cannot be HTML."""
    field = FormField(form_options()["retries"])
    before = field.line.value
    field.complain("got <img>.")
    told = field.line.value
    field.complain("")

    assert "✗</span> got &lt;img&gt;." in told
    assert 'aria-live="polite"' in told
    assert before == field.line.value


def test_labels_have_the_unit_and_fields_offer_what_fits():
    """Columns where a column may stand, the types of payloads, and the words where there are no others."""
    options = form_options()
    labels = [label_of(options[name]) for name in ("request_ttl_seconds", "max_payload_bytes", "sse_kms_key_id")]
    accept, types, missing = (FormField(options[name]) for name in ("accept", "content_type", "nan"))
    accept.offer(["age"])

    assert ["Request TTL (seconds)", "Max payload (bytes)", "SSE KMS key ID"] == labels
    assert ("age",) == accept.control.options
    assert "text/csv" in types.control.options
    assert [("null (the default)", ""), ("error", "error"), ("omit", "omit")] == [*missing.control.options]
    assert "" == missing.value


# The plan in words


def shown(filled, frame=FRAME, of_rows=1_000):
    found = planned(Asked(frame=frame, filled=filled), SESSION, of_rows)
    labels = {name: label_of(option) for name, option in form_options().items()}
    return form_html.plan(found, endpoint_name=filled.endpoint_name, labels=labels)


def test_the_plan_tells_requests_calls_size_fee_and_the_first_payload():
    """Of all the rows there are."""
    told = shown(Filled(data="df", endpoint_name="churn", texts={"rows_per_request": "2"}))

    for part in (
        "Plan for churn",
        "<dt>Requests</dt><dd>1</dd>",
        "1 InvokeEndpointAsync",
        "about $0.0000",
        "[{&quot;age&quot;:1,&quot;plan b&quot;:&quot;x&quot;}",
        "All 2 rows were checked.",
    ):
        assert part in told


def test_from_the_first_rows_the_whole_is_reckoned_and_said_to_be():
    """A million rows take seconds to check; these are told at once."""
    frame = pd.DataFrame({"x": range(5_000)})
    told = shown(Filled(data="df", endpoint_name="churn"), frame)

    assert "<dt>Rows</dt><dd>5,000</dd>" in told
    assert "<dt>Requests</dt><dd>about 5,000</dd>" in told
    assert "The first 1,000 of 5,000 rows were checked" in told


def test_rows_that_cannot_be_sent_are_told_by_their_labels():
    """With the count, and no more than a few of them."""
    frame = pd.DataFrame({"x": [1.0, None, 3.0]}, index=["a", "<b>", "c"])
    told = shown(Filled(data="df", endpoint_name="churn", texts={"nan": "error"}), frame)

    assert "1 row cannot be sent" in told
    assert "row &#x27;&lt;b&gt;&#x27;:" in told


def test_whatever_a_plan_is_of_it_is_text():
    """Column names, labels, payloads, endpoint names, templates and errors are anybody's."""
    bad = "<img src=x onerror=alert(1)>"
    frame = pd.DataFrame({bad: [bad, None]}, index=[bad, "b"])
    tries = [
        Filled(data="df", endpoint_name="churn"),
        Filled(data="df", endpoint_name=bad),
        Filled(data="df", endpoint_name="churn", template=f"{bad}{{{{ x }}}}"),
        Filled(data="df", endpoint_name="churn", template=bad),
        Filled(data="df", endpoint_name="churn", texts={"nan": "error"}),
        Filled(data="df", endpoint_name="churn", texts={"request_ttl_seconds": bad, "tags": bad}),
        Filled(data="df", endpoint_name="churn", texts={"custom_attributes": bad, "accept": bad}),
    ]
    told = [shown(filled, frame) for filled in tries]
    told += [form_html.notice(bad, step=bad), form_html.code_box(bad, f"</textarea>{bad}"), form_html.hint(bad)]

    assert [] == [one for one in told if "<img" in one or one.count("</textarea>") > 1]


# The form


@pytest.fixture
def quiet(monkeypatch):
    """Forms that look for no endpoints."""
    monkeypatch.setattr("sm_async_nb.notebook.form.endpoint_menu.errand", lambda act: None)


def until(form, is_so):
    give_up = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < give_up, (form.plan.value, form.why.value, form.said.value)
        time.sleep(0.005)


def test_the_form_is_about_the_frame_it_was_called_on(quiet):
    """Under its own name if it has one, whatever else is called df."""
    named, other = pd.DataFrame({"age": [1]}), pd.DataFrame({"x": [1]})
    variables = {"customers": named, "df": other}
    of_variable, of_nobody, of_any = (Form(frame, variables=variables) for frame in (named, named.head(1), None))

    assert ("customers", named) == (of_variable.filled.data, of_variable.frame)
    assert ["age"] == list(of_nobody.frame.columns)
    assert ("customers", named) == (of_any.filled.data, of_any.frame)
    of_any.data.control.value = "df"
    assert ("df", (("x   (int64)", 0),)) == (of_any.filled.data, of_any.columns.options)


def test_a_frame_without_a_variable_gets_one_before_code_names_it(quiet):
    """Otherwise the code would be about another frame, or none."""
    variables = {"df": pd.DataFrame({"x": [1]}), "frame": 1}
    form = Form(variables["df"].head(1), variables=variables, session=SESSION)
    form.endpoint.typed.value = "churn"
    form.endpoint.control.value = "another, by name"
    form.codes.button.click()

    assert variables["frame_2"] is form.frame
    assert "job = frame_2.sm_async.submit(&#x27;churn&#x27;)\njob" in form.codes._boxes["Python"].value
    assert "bound to frame_2" in form.codes.said.value
    # The buttons that copy come when the page says that it has them; the boxes are there without.
    assert {"none"} == {copy.box.layout.display for copy in form.codes._copies.values()}


def test_the_form_follows_the_frames_of_the_session(quiet):
    """One that is defined later is offered, one that has changed is shown as it is now, with its columns."""
    variables = {"df": pd.DataFrame({"x": [1]})}
    form = Form(variables=variables, session=SESSION)
    variables["later"] = pd.DataFrame({"y": [1, 2]})
    form.look_again()
    offered = [label for label, _ in form.data.control.options]
    variables["df"] = pd.DataFrame({"z": [1], "x": [2]})
    form.look_again()
    columns = [label for label, _ in form.columns.options]
    del variables["df"]
    form.look_again()

    assert ["df   (1 row, 1 column)", "later   (2 rows, 1 column)"] == offered
    assert ["z   (int64)", "x   (int64)"] == columns
    assert "later" == form.data.name


def test_a_row_that_was_put_right_in_another_cell_is_right_in_the_form(quiet):
    """The plan is renewed after each cell while it complains."""
    frame = pd.DataFrame({"x": [1.0, None]})
    form = Form(variables={"df": frame}, session=SESSION)
    form.fields["nan"].control.value = "error"
    until(form, lambda: "1 row cannot be sent" in form.plan.value)
    frame.loc[1, "x"] = 2.0
    form.look_again()
    until(form, lambda: "Choose an endpoint." in form.why.value)

    assert "All 2 rows were checked." in form.plan.value


def test_what_is_missing_is_said_beside_the_button(quiet):
    """A button that cannot be pressed says why."""
    form = Form(variables={"df": FRAME}, session=SESSION)
    form.endpoint.control.value = "another, by name"
    form.endpoint.typed.value = "churn"
    until(form, lambda: not form.submit.disabled)
    form.out.value = "not a name"
    until(form, lambda: form.submit.disabled)
    told = [form.why.value]
    form.out.value = "scored"
    form.way.value = "a template"
    until(form, lambda: "This cannot be sent" in form.plan.value)
    told.append(form.why.value)

    assert "Give the job&#x27;s variable another name." in told[0]
    assert "Put right what the plan complains about." in told[1]
    assert "The template is empty." in form.plan.value


def test_without_a_frame_the_form_says_what_to_do(quiet):
    """And takes one that is defined afterwards."""
    variables = {}
    form = Form(variables=variables, session=SESSION)
    until(form, lambda: "There is no DataFrame" in form.plan.value)
    variables["df"] = FRAME
    form.look_again()
    until(form, lambda: "All 2 rows were checked." in form.plan.value)

    assert "df" == form.data.name


def test_a_setting_stands_in_its_field_so_that_the_code_says_it(quiet, monkeypatch):
    """The call does not ask the session's settings for the concurrency, the cell does."""
    monkeypatch.setenv("SM_ASYNC_CONCURRENCY", "8")
    form = Form(variables={"df": FRAME}, session=SESSION)

    assert {"concurrency": 8} == form.filled.keywords()


def test_names_of_variables_are_free_ones_and_possible_ones():
    """A form never binds over what is there by itself."""
    assert ["job", "job_3"] == [free_name("job", {}), free_name("job", {"job": 1, "job_2": 2})]
    assert ["", "'a b' cannot be the name of a variable.", "'class' cannot be the name of a variable."] == [
        wrong_name(name) for name in ("job", "a b", "class")
    ]
    assert "df is the frame; take another name." == wrong_name("df", taken="df")


def test_a_column_whose_name_no_page_can_be_told_does_no_harm(quiet):
    """A lone surrogate: the plan says what is wrong with it."""
    frame = pd.DataFrame([[1]], columns=pd.Index(["a\ud800"], dtype=object))
    form = Form(frame, variables={"df": frame}, session=SESSION)
    until(form, lambda: "lone surrogate in its name" in form.plan.value)

    assert (("a\\ud800   (int64)", 0),) == form.columns.options
    assert form.plan.value.encode()


def test_code_of_a_form_with_a_session_says_what_a_cell_cannot(quiet):
    """Beside the cell, since a cell's line has no comments."""
    told = []
    for session in (SESSION, None):
        form = Form(variables={"df": FRAME, "eu": SESSION}, session=session)
        form.codes.button.click()
        told.append((form.filled.session, "A cell takes no session" in form.codes.beside.value))
        form.close()

    assert [("eu", True), (None, False)] == told


def test_only_what_submit_says_interrupts_who_listens():
    """Each letter that is typed may make another field wrong."""
    told = [form_html.problem("no"), form_html.aside("so"), form_html.notice("done")]

    assert [False, False, True] == ['role="alert"' in one for one in told]
    assert "" == form_html.aside("")


class SomeJob:
    """What a submit gives back."""


def test_a_variable_that_is_not_the_forms_own_is_bound_anew_after_a_second_click_only(quiet, monkeypatch):
    """The handle of a running job was lost once. What the form has bound itself it may bind again."""
    now, errands, own = [0.0], [], SomeJob()
    monkeypatch.setattr(forms, "errand", errands.append)
    monkeypatch.setattr(forms, "submitted", lambda *_: Outcome(job=own))
    variables = {"df": FRAME}
    form = Form(variables=variables, session=SESSION, clock=lambda: now[0])
    until(form, lambda: "Choose an endpoint." in form.why.value)
    variables["job"] = theirs = SomeJob()
    told = []
    for _ in range(2):
        form.submit.click()
        told.append((form.submit.description, len(errands)))
    asked = form.said.value
    now[0] += 1
    form.submit.click()
    told.append((form.submit.description, len(errands)))
    before = variables["job"]
    monkeypatch.setattr(forms.SCREEN, "call", lambda act: None)
    errands.pop()()
    form._is_submitting = False
    form.submit.click()

    assert [("Replace job?", 0), ("Replace job?", 0), ("Submit", 1)] == told
    assert "job has a value already" in asked
    assert (theirs, own) == (before, variables["job"])
    assert 1 == len(errands)


def test_a_question_goes_away_when_something_else_is_typed(quiet):
    """Another name needs none."""
    form = Form(variables={"df": FRAME}, session=SESSION)
    form._variables["job"] = 1
    form.submit.click()
    asked = form.submit.description
    form.out.value = "scored"

    assert ("Replace job?", "Submit", "") == (asked, form.submit.description, form.said.value)


class SomeView:
    """The view of a job."""

    def __init__(self):
        self.widget, self.closed = widgets.HTML(), 0

    def follow(self, update):
        pass

    def close(self):
        self.closed += 1


def test_a_job_that_was_shown_before_is_followed_no_more(quiet):
    """Of two the older one wrote itself into the saved output once, if it was over last."""
    form, first, second = Form(variables={"df": FRAME}, session=SESSION), SomeView(), SomeView()
    form._hand_over(first)
    form._hand_over(second)
    closed = [first.closed, second.closed]
    form.close()

    assert ([1, 0], [1, 1]) == (closed, [first.closed, second.closed])


def test_looking_again_for_endpoints_keeps_the_one_that_was_chosen(quiet):
    """It became a name that was typed once; one that is gone at the end still does."""
    menu = EndpointMenu(SESSION, changed=lambda: None)
    menu._looked = {"echo": "", "": ""}
    states = {"echo": "in service", "double": "in service"}
    menu._found(Seen(states, "", is_over=True))
    menu.control.value = "echo"
    told = []
    for seen in (
        Seen({}, LOOKING),
        Seen({"echo": "in service, asleep"}, LOOKING),
        Seen(states, "", is_over=True),
        Seen({}, "", is_over=True),
    ):
        menu._found(seen)
        told.append((menu.control.value, menu.name))

    assert [("echo", "echo")] * 3 + [("another, by name", "echo")] == told


def test_a_closed_form_holds_no_frame(quiet):
    """Its cell was run again, and a million rows are not kept for nobody."""
    form = forms.panel(FRAME.head(1), session=SESSION)
    form.close()

    assert form.frame is None
    assert form.plan.comm is None


def test_a_plan_that_is_not_there_yet_is_no_reason_to_send():
    """A form begins with nothing planned."""
    assert not Planned(rows=1, of_rows=1).is_good
