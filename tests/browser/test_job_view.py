"""The view of a job, in a real browser: what people see, click and type."""

from __future__ import annotations

import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from browser_scene import HOSTILE, MENDED, Notebook, picture
from playwright.sync_api import expect

SUBMIT = "job = df.sm_async.submit('double')\njob"

# About whole pages, of which the view is a part.
NOT_OURS = {"region", "page-has-heading-one", "landmark-one-main", "heading-order"}

RULES = ["wcag2a", "wcag2aa", "wcag21aa", "best-practice"]


@pytest.fixture(autouse=True)
def _not_mended():
    MENDED.clear()
    yield
    MENDED.clear()


def test_rows_finish_before_ones_eyes_and_a_failed_one_is_opened_retried_and_loaded(notebook, gate):
    """The whole story of a job, in JupyterLab and in Notebook 7."""
    view = notebook.run(SUBMIT)
    grid = view.get_by_role("grid")
    expect(grid.get_by_role("row").filter(has_text="'row-3'")).to_contain_text("failed")
    expect(view.get_by_role("button", name="18 completed")).to_be_visible()
    expect(grid).to_have_attribute("aria-rowcount", "41")
    picture(notebook.page, f"running-{notebook.face}")
    gate.set()
    expect(view.get_by_role("button", name="36 completed")).to_be_visible()

    view.get_by_role("button", name="4 failed").click()
    expect(grid).to_have_attribute("aria-rowcount", "5")
    grid.get_by_role("gridcell", name="'row-13'").click()
    detail = view.get_by_role("region", name="Detail of the row")
    expect(detail).to_contain_text(f"no model for 13: {HOSTILE}")
    expect(detail).to_contain_text('{"x":13,"text":"text 13"}')
    expect(detail).to_contain_text("job.table().iloc[13]")
    notebook.page.keyboard.press("Escape")
    expect(detail).to_be_hidden()

    MENDED.set()
    view.get_by_role("button", name="Retry failed").click()
    expect(view.get_by_text("4 requests sent again.")).to_be_visible()
    view.get_by_role("button", name="failed", exact=False).first.click()
    expect(view.get_by_role("button", name="40 completed")).to_be_visible()
    view.get_by_role("button", name="Load results").click()
    expect(view.get_by_text("results has 40 rows and 1 column.")).to_be_visible()

    assert "[0, 2, 78]" == notebook.text_of("print([int(results.y.iloc[n]) for n in (0, 1, 39)])")
    assert notebook.page.evaluate("() => window.hacked") is None


def labels_in_sight(view):
    """The labels of the rows in sight, in their order."""
    rows = view.locator(".sma-space .sma-row:visible").all()
    found = [(int(row.get_attribute("data-at")), row.locator(".c0").inner_text()) for row in rows]
    return [label for _, label in sorted(found)]


def test_it_is_sorted_searched_and_walked_through_by_keys_alone(lab, gate):
    """And the notebook does not take the keys for its own; a page for page tour of the keyboard."""
    gate.set()
    view = lab.run(SUBMIT)
    grid, keys = view.get_by_role("grid"), lab.page.keyboard
    expect(view.get_by_role("button", name="36 completed")).to_be_visible()
    cells = lab.page.locator(".jp-Cell").count()

    grid.focus()
    for key in ("End", "a", "b", "x"):
        keys.press(key)
    expect(grid.get_by_role("row", selected=True)).to_contain_text("'row-39'")
    keys.press("Home")
    keys.press("ArrowDown")
    keys.press("PageDown")
    keys.press("ArrowUp")
    keys.press("Enter")
    detail = view.get_by_role("region", name="Detail of the row")
    expect(detail).to_contain_text("Row 'row-1")
    keys.press("Escape")
    keys.press("Home")
    keys.press("Enter")
    expect(detail).to_contain_text('{"y": 0}')
    keys.press("Escape")
    expect(grid).to_be_focused()

    search = view.get_by_role("searchbox")
    search.fill("TEXT 3")
    expect(grid).to_have_attribute("aria-rowcount", "12")
    view.get_by_role("button", name="Index").press("Enter")
    view.get_by_role("button", name="Index").press("Enter")
    expect(view.get_by_role("columnheader", name="Index")).to_have_attribute("aria-sort", "descending")
    expect(view.locator(".sma-space .sma-row:visible").first).to_contain_text("'row-39'")

    assert ["'row-39'", "'row-38'"] == labels_in_sight(view)[:2]
    assert cells == lab.page.locator(".jp-Cell").count()


def test_two_views_of_one_job_do_not_disturb_each_other(lab, gate):
    """Each has its own rows, and both go on."""
    first = lab.run(SUBMIT)
    first_row = first.get_by_role("grid").get_by_role("row").filter(has_text="'row-0'")
    expect(first_row).to_contain_text("completed")
    lab.run("job")
    second = lab.page.locator(".jp-Cell.jp-CodeCell").last.locator(".jp-Cell-outputArea")
    second.get_by_role("button", name="2 failed").click()
    expect(second.get_by_role("grid")).to_have_attribute("aria-rowcount", "3")
    gate.set()
    views = lab.page.locator(".jp-Cell-outputArea")
    expect(second.get_by_role("grid")).to_have_attribute("aria-rowcount", "5")

    expect(views.nth(1).get_by_role("grid")).to_have_attribute("aria-rowcount", "41")
    expect(views.nth(1).get_by_role("button", name="36 completed")).to_be_visible()


def test_a_page_that_was_closed_is_there_again_and_the_saved_notebook_has_the_final_table(lab, gate):
    """The kernel has gone on meanwhile; without a kernel there is the HTML of the end."""
    view = lab.run(SUBMIT)
    expect(view.get_by_role("button", name="18 completed")).to_be_visible()
    lab.save()
    lab.page.goto("about:blank")
    gate.set()
    lab.open()
    view = lab.page.locator(".jp-Cell-outputArea").last
    expect(view.get_by_role("button", name="36 completed")).to_be_visible()
    lab.run("job.wait()\njob")
    again = lab.page.locator(".jp-Cell-outputArea").last
    expect(again.get_by_role("button", name="36 completed")).to_be_visible()
    saved = lab.save()
    (html,) = [output.data["text/html"] for output in saved.cells[-1].outputs if "text/html" in output.get("data", {})]

    assert "36 completed" in html
    assert "no model for 13" in html
    assert "<img" not in html


def test_without_our_table_the_rows_are_there_as_html(page, server, gate):
    """Where the front end has no anywidget, as in remote kernels: nothing has to be done about it."""
    gate.set()
    page.route("**/extensions/anywidget/**", lambda route: route.abort())
    with Notebook(page, server, "lab") as lab:
        view = lab.run(SUBMIT)
        expect(view.get_by_text("rows 1 to 20 of 40")).to_be_visible()
        expect(view.get_by_role("img", name="36 completed")).to_be_visible()
        view.get_by_label("Status").select_option("failed")
        expect(view.get_by_text("rows 1 to 4 of 4")).to_be_visible()

        assert view.get_by_role("grid").count() == 0


def test_it_goes_on_while_the_kernel_is_busy_with_the_users_own_cell(lab, gate):
    """The rows are followed on threads of their own."""
    view = lab.run(SUBMIT)
    expect(view.get_by_role("button", name="18 completed")).to_be_visible()
    lab.run("for _ in range(40): time.sleep(0.1)\nprint('the cell', 'is over')", wait=False)
    gate.set()
    views = lab.page.locator(".jp-Cell-outputArea")
    expect(views.nth(1).get_by_role("button", name="36 completed")).to_be_visible()
    assert 0 == lab.page.get_by_text("the cell is over", exact=True).count()

    expect(lab.page.get_by_text("the cell is over", exact=True)).to_be_visible(timeout=20_000)


CORPUS = """
hostile = [
    '<img src=x onerror=window.hacked=1>', '<script>window.hacked=2</script>', '"><svg onload=window.hacked=3>',
    "' onfocus=window.hacked=4 autofocus='", 'javascript:window.hacked=5', '{{ 7*7 }}', '&lt;b&gt;', '$e^x$ **b**',
    '</pre></code><iframe srcdoc="<script>parent.hacked=6</script>">',
]
bad = pd.DataFrame({'x': [3] * len(hostile), hostile[0]: hostile}, index=hostile)
"""


def test_hostile_texts_are_texts_wherever_they_appear(lab, gate):
    """Column names, labels, payloads, errors and notes: in each part of the view, in the form, in the saved HTML."""
    gate.set()
    lab.run(CORPUS)
    view = lab.run(f"job = bad.sm_async.submit('double', note={HOSTILE!r})\njob")
    grid, keys = view.get_by_role("grid"), lab.page.keyboard
    expect(view.get_by_role("button", name="9 failed")).to_be_visible()
    expect(grid.get_by_text("no model for 3", exact=False).first).to_be_visible()
    for _ in range(3):
        grid.focus()
        keys.press("Enter")
        expect(view.get_by_role("region", name="Detail of the row")).to_contain_text("onerror=window.hacked=1")
        keys.press("Escape")
        keys.press("ArrowDown")
    for title in ("Latency", "Failures", "Events"):
        view.locator(".jupyter-widget-Collapse-header").get_by_text(title, exact=True).click()
    view.locator(".jupyter-widget-Collapse-header").get_by_text("Failures", exact=True).click()
    expect(view.get_by_text("9 times")).to_be_visible()
    view.get_by_role("searchbox").fill("<svg onload")
    expect(grid).to_have_attribute("aria-rowcount", "2")
    lab.run("from IPython.display import HTML, display\ndisplay(HTML(job_view.static_bundle(job)['text/html']))")
    lab.run("from sm_async_nb.notebook import form\nform.panel(bad)")
    expect(lab.page.get_by_text("Choose an endpoint.", exact=False)).to_be_visible()
    made = lab.page.locator(".jp-Cell-outputArea :is(img, svg[onload], iframe, script, [onerror], [onfocus])")

    assert lab.page.evaluate("() => window.hacked") is None
    assert 0 == made.count()


def test_a_view_is_accessible_in_light_and_dark(lab, gate):
    """axe-core finds nothing to complain about in what is ours; pictures are kept in SCREENSHOTS, if that is set."""
    gate.set()
    view = lab.run(SUBMIT)
    expect(view.get_by_role("button", name="36 completed")).to_be_visible()
    expect(view.get_by_role("link", name="double")).to_have_attribute("href", re.compile("^https://"))
    view.get_by_role("grid").get_by_role("gridcell", name="'row-3'").click()
    expect(view.get_by_role("region", name="Detail of the row")).to_contain_text("no model for 3")
    found = {}
    for theme in ("Light", "Dark"):
        lab.use_theme(theme)
        picture(lab.page, f"job-{theme.lower()}")
        told = Axe().run(lab.page, context=".sma", options={"runOnly": RULES})
        ours = [one for one in told.response["violations"] if one["id"] not in NOT_OURS]
        found[theme] = [(one["id"], [node["html"][:160] for node in one["nodes"]]) for one in ours]

    assert {"Light": [], "Dark": []} == found
