"""The form that builds a submit, in a real browser: what people choose, type, read, copy and press."""

from __future__ import annotations

import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from browser_scene import HOSTILE, picture
from playwright.sync_api import expect

# The kernel is shared with other tests, whose job is called so.
FORM = "globals().pop('job', None)\ndf.sm_async.panel()"
ECHO = "echo   (in service, 1 instance)"

# About whole pages, of which the form is a part.
NOT_OURS = {"region", "page-has-heading-one", "landmark-one-main", "heading-order"}


@pytest.fixture
def clipboard(notebook):
    """Pages may read what was copied."""
    notebook.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    return lambda: notebook.page.evaluate("() => navigator.clipboard.readText()")


def choose(view, endpoint=ECHO):
    menu = view.get_by_label("Endpoint", exact=True)
    expect(menu.get_by_role("option", name=endpoint)).to_be_attached()
    menu.select_option(label=endpoint)


def use_template(view, text):
    view.get_by_role("radio", name="a template").check()
    view.get_by_label("Template", exact=True).fill(text)


def test_a_job_is_built_with_its_plan_in_view_and_handed_over(notebook, gate, clipboard):
    """From an empty form to the rows of a running job, and to the code that does the same."""
    gate.set()
    view = notebook.run(FORM)
    expect(view.get_by_text("Choose an endpoint.", exact=True)).to_be_visible()
    expect(view.get_by_role("button", name="Submit")).to_be_disabled()
    choose(view)
    expect(view.get_by_text("Endpoint echo is in service", exact=False)).to_be_visible()
    use_template(view, '{"inputs": {{ nonsense }}}')
    expect(view.get_by_text("uses 'nonsense', which the frame has no column of", exact=False)).to_be_visible()
    expect(view.get_by_role("button", name="Submit")).to_be_disabled()
    view.get_by_label("Template", exact=True).fill('{"inputs": {{ text }}}')
    expect(view.locator("pre").get_by_text('{"inputs": "text 0"}', exact=True)).to_be_visible()

    view.get_by_label("Rows per request").fill("many")
    expect(view.locator(".sma-wrong").get_by_text("It needs a number, got 'many'.")).to_be_visible()
    view.get_by_label("Rows per request").fill("8")
    expect(view.get_by_text("5 InvokeEndpointAsync", exact=False)).to_be_visible()
    view.get_by_role("button", name="More fields").press("Enter")
    ttl = view.get_by_label("Request TTL (seconds)")
    ttl.fill("10")
    expect(view.locator(".sma-wrong").get_by_text("must be 60 to 21600 seconds, got 10.", exact=False)).to_be_visible()
    ttl.fill("600")
    picture(notebook.page, f"form-more-{notebook.face}")
    view.get_by_role("button", name="Fewer fields").press("Enter")
    expect(ttl).to_be_hidden()

    view.get_by_role("button", name="Copy as code").click()
    python = view.get_by_label("Python", exact=True)
    told = (
        "df.sm_async.submit('echo', template='{\"inputs\": {{ text }}}', request_ttl_seconds=600, rows_per_request=8)"
    )
    expect(python).to_have_value(f"job = {told}\njob")
    view.get_by_role("button", name="Copy the Cell").click()
    cell = '%%sm_async echo --data df --out job --request-ttl-seconds 600 --rows-per-request 8\n{"inputs": {{ text }}}'
    assert cell == clipboard()
    picture(notebook.page, f"form-{notebook.face}")

    view.get_by_role("button", name="Submit").click()
    expect(view.get_by_role("grid")).to_have_attribute("aria-rowcount", "41")
    expect(view.get_by_text("The job is bound to job.")).to_be_visible()
    expect(view.get_by_label("Template", exact=True)).to_be_hidden()
    notebook.run(f"by_form = job\n{told.join(['job = ', ''])}\nby_call = job", wait=False)
    notebook.run(clipboard(), wait=False)
    same = "[list(one.wait().results()['inputs']) == list(df.text) for one in (by_form, by_call, job)]"
    assert "[True, True, True] 3" == notebook.text_of(f"print({same}, len({{by_form.id, by_call.id, job.id}}))")
    assert "40 completed" in html_of(notebook, "by_form.id")


def html_of(notebook, job_id):
    """What the saved notebook shows without a kernel where the form was, once it is about the job."""
    name = notebook.text_of(f"print({job_id})")
    for _ in range(50):
        output = notebook.save().cells[1].outputs[0]
        if name in output.data["text/html"]:
            return output.data["text/html"]
        notebook.page.wait_for_timeout(200)
    raise AssertionError(output.data)


def test_the_frame_menu_follows_the_session_and_code_can_name_any_frame(lab, gate):
    """A frame that is defined after the form; one that has no variable at all; names that nobody expects."""
    view = lab.run("df.head(3).sm_async.panel()")
    expect(view.get_by_role("option", name="the frame it was called on   (3 rows, 2 columns)")).to_be_attached()
    view.get_by_role("button", name="Copy as code").click()
    expect(view.get_by_text("it is bound to frame now", exact=False)).to_be_visible()
    lab.run(f"späte = pd.DataFrame([['{HOSTILE}', 1]], columns=['{HOSTILE}', 'a \"b\\', c'], index=['{HOSTILE}'])")
    form = lab.page.locator(".jp-Cell.jp-CodeCell").nth(1)
    menu = form.get_by_label("Frame", exact=True)
    expect(menu.get_by_role("option", name="späte   (1 row, 2 columns)")).to_be_attached()
    menu.select_option(label="späte   (1 row, 2 columns)")
    form.get_by_label("Columns", exact=True).select_option(index=0)
    expect(form.locator("pre").get_by_text(HOSTILE, exact=False)).to_be_visible()
    code = re.compile(re.escape(f" = späte.sm_async.submit('', columns=['{HOSTILE}'])\njob"))
    expect(form.get_by_label("Python", exact=True)).to_have_value(code)
    box = form.get_by_label("Cell", exact=True)
    box.focus()

    assert 0 == box.evaluate("(box) => box.selectionStart")
    assert box.input_value() == box.evaluate("(box) => box.value.slice(box.selectionStart, box.selectionEnd)")
    assert lab.page.evaluate("() => window.hacked") is None
    assert 0 == form.locator("img").count()


SLOW = """
import boto3
from botocore.awsrequest import AWSResponse
class Refusal:
    def stream(self, **_):
        yield b'{"__type": "AccessDeniedException", "message": "not for <b>you</b>"}'
def refuse(request, **_):
    may_answer.wait()
    return AWSResponse(request.url, 400, {}, Refusal())
may_answer = threading.Event()
session = boto3.Session()
session.events.register("before-send.sagemaker.ListEndpoints", refuse)
big = pd.DataFrame({"x": range(1_000_000)})
big.sm_async.panel(session=session)
"""


def test_a_million_rows_and_a_slow_service_do_not_keep_anybody_from_typing(lab, gate):
    """The first rows are planned at once, and a name is taken while endpoints are looked for, and if none may be."""
    view = lab.run(SLOW)
    expect(view.get_by_text("Looking for asynchronous endpoints; a name can be typed meanwhile.")).to_be_visible()
    view.get_by_label("Endpoint", exact=True).select_option(label="Another, by its name")
    view.get_by_label("Endpoint's name").fill("echo")
    expect(view.get_by_text("Plan for echo")).to_be_visible()
    expect(view.get_by_text("about 1,000,000", exact=True)).to_be_visible()
    expect(view.get_by_text("The first 1,000 of 1,000,000 rows were checked", exact=False)).to_be_visible()
    rows = view.get_by_label("Rows per request")
    for text, requests in (("10", "about 100,000"), ("100", "about 10,000")):
        lab.page.wait_for_timeout(700)  # by now the whole frame is being gone through
        rows.fill(text)
        expect(view.get_by_text(requests, exact=True)).to_be_visible(timeout=2_000)
    lab.run("may_answer.set()", wait=False)
    form = lab.page.locator(".jp-Cell.jp-CodeCell").nth(1)
    expect(form.get_by_text("Endpoints cannot be listed; type a name.", exact=False)).to_contain_text("<b>you</b>")
    expect(form.get_by_role("button", name="Submit")).to_be_enabled()
    form.get_by_label("Frame", exact=True).select_option(label="df   (40 rows, 2 columns)")
    expect(form.get_by_text("All 40 rows were checked.")).to_be_visible(timeout=2_000)


def test_the_form_is_for_keys_for_narrow_pages_and_for_every_theme(lab, gate):
    """Each control can be reached and has a name; nothing is wider than the page; axe-core has no complaint."""
    view = lab.run(FORM)
    choose(view)
    view.get_by_role("button", name="More fields").press("Enter")
    view.get_by_label("Retries (times)").fill("-1")
    expect(view.locator(".sma-wrong").get_by_text("retries must be", exact=False)).to_be_visible()
    view.get_by_role("button", name="Copy as code").press("Enter")
    expect(view.get_by_role("button", name="Copy the Python")).to_be_visible()
    found = {}
    for theme in ("Light", "Dark"):
        lab.use_theme(theme)
        picture(lab.page, f"form-{theme.lower()}")
        rules = ["wcag2a", "wcag2aa", "wcag21aa", "best-practice"]
        told = Axe().run(lab.page, context=".sma-form", options={"runOnly": rules})
        ours = [one for one in told.response["violations"] if one["id"] not in NOT_OURS]
        found[theme] = [(one["id"], [node["html"][:160] for node in one["nodes"]]) for one in ours]
    lab.use_theme("Light")
    form = view.locator(".sma-form")
    form.evaluate("(form) => (form.style.width = '420px')")
    too_wide = form.evaluate("(form) => form.scrollWidth > form.clientWidth + 1")
    picture(lab.page, "form-narrow")

    view.get_by_label("Frame", exact=True).focus()
    reached = []
    for _ in range(60):
        reached.append(lab.page.evaluate(NAME_OF_FOCUS))
        lab.page.keyboard.press("Tab")
    expected = ["Frame", "Endpoint", "Look again", "Columns", "Content type", "Retries (times)", "Job variable"]

    assert {"Light": [], "Dark": []} == found
    assert not too_wide
    assert expected == [name for name in reached if name in expected]
    assert "Copy the Cell" in reached


NAME_OF_FOCUS = """() => {
    const one = document.activeElement;
    return ((one.labels && one.labels[0]) || one).textContent.trim();
}"""
