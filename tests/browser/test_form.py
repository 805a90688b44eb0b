"""The form that builds a submit, in a real browser."""

from __future__ import annotations

from browser_scene import picture
from playwright.sync_api import expect

FORM = "from sm_async_nb.notebook import form\nform.panel(df)"


def test_a_job_is_built_with_its_plan_in_view_and_handed_over(notebook, gate):
    """From an empty form to the rows of a running job, and to the code that does the same."""
    gate.set()
    view = notebook.run(FORM)
    expect(view.get_by_text("Choose an endpoint.", exact=False)).to_be_visible()
    view.get_by_label("Endpoint").fill("echo")
    expect(view.get_by_text("Endpoint echo is in service", exact=False)).to_be_visible()
    view.get_by_role("button", name="Template").click()
    template = view.get_by_label("Template")
    template.fill('{"inputs": {{ nonsense }}}')
    expect(view.get_by_text("nonsense", exact=False).last).to_be_visible()
    expect(view.get_by_role("button", name="Submit")).to_be_disabled()
    template.fill('{"inputs": {{ text }}}')
    expect(view.get_by_text('{"inputs": "text 0"}', exact=False)).to_be_visible()
    view.get_by_text("More", exact=True).click()
    view.get_by_label("rows_per_request").fill("8")
    expect(view.get_by_text("40 rows to echo in 5 requests", exact=False)).to_be_visible()
    view.get_by_role("button", name="Copy as code").click()
    python = "job = df.sm_async.submit('echo', template='{\"inputs\": {{ text }}}', rows_per_request=8)\njob"
    expect(view.get_by_label("Python")).to_have_value(python)
    cell = '%%sm_async echo --data df --out job --rows-per-request 8\n{"inputs": {{ text }}}'
    expect(view.get_by_label("Cell", exact=True)).to_have_value(cell)
    picture(notebook.page, f"form-{notebook.face}")

    view.get_by_role("button", name="Submit").click()
    expect(view.get_by_role("button", name="5 completed")).to_be_visible()

    assert "40 text 39" == notebook.text_of("print(len(job.results()), job.results().iloc[-1, 0])")
