"""The view of a job, in a real browser: what people see, click and type."""

from __future__ import annotations

import re

import nbformat
import pytest
from axe_playwright_python.sync_playwright import Axe
from browser_scene import HOSTILE, MENDED, SETUP, Notebook, picture
from nbconvert import HTMLExporter
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
    expect(grid.get_by_role("gridcell", name='{"y": 22}')).to_be_visible()
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
    found = [(int(row.get_attribute("aria-rowindex")), row.locator(".c0").inner_text()) for row in rows]
    return [label for _, label in sorted(found)]


def test_it_is_sorted_searched_and_walked_through_by_keys_alone(lab, gate):
    """And the notebook does not take the keys for its own; a page for page tour of the keyboard."""
    gate.set()
    view = lab.run(SUBMIT)
    grid, keys = view.get_by_role("grid"), lab.page.keyboard
    lab.saved_with("36 completed")
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


def test_two_views_go_on_each_in_its_own_order_while_the_kernel_is_busy_with_the_users_own_cell(lab, gate):
    """They do not disturb each other, and the rows are followed on threads of their own."""
    lab.run(SUBMIT)
    lab.run("job")
    first, second = (lab.page.locator(".jp-Cell-outputArea").nth(cell) for cell in (1, 2))
    expect(first.get_by_role("button", name="18 completed")).to_be_visible()
    second.get_by_role("button", name="2 failed").click()
    expect(second.get_by_role("grid")).to_have_attribute("aria-rowcount", "3")
    first.get_by_role("button", name="Index").dblclick()
    expect(first.locator(".sma-space .sma-row:visible").first).to_contain_text("'row-9'")
    end = lab.server.folder / f"end-of-{lab.name}"
    lab.run(f"while not os.path.exists({end.name!r}): time.sleep(0.1)\nprint('the cell', 'is over')", wait=False)
    gate.set()
    try:
        expect(second.get_by_role("grid")).to_have_attribute("aria-rowcount", "5")
        expect(first.get_by_role("button", name="36 completed")).to_be_visible()
        assert 0 == lab.page.get_by_text("the cell is over", exact=True).count()

        expect(first.get_by_role("grid")).to_have_attribute("aria-rowcount", "41")
        expect(first.locator(".sma-space .sma-row:visible").first).to_contain_text("'row-9'")
        expect(second.locator(".sma-space .sma-row:visible").first).to_contain_text("'row-3'")
    finally:
        end.touch()
    expect(lab.page.get_by_text("the cell is over", exact=True)).to_be_visible()


def test_a_page_that_was_closed_is_there_again_and_without_a_kernel_it_says_so(lab, gate):
    """The kernel has gone on meanwhile; when that is gone too, nothing is pretended."""
    lab.run("frozen = df.head(4).sm_async.submit('double').wait()\nfrozen.failures()\nfrozen")
    lab.run("frozen.freeze()")
    cells = lab.page.locator(".jp-Cell.jp-CodeCell")
    expect(cells.nth(1).get_by_role("grid")).to_have_count(0)
    view = lab.run(SUBMIT)
    expect(view.get_by_role("button", name="18 completed")).to_be_visible()
    lab.save()
    lab.page.goto("about:blank")
    gate.set()
    lab.open()
    expect(cells.nth(3).get_by_role("button", name="36 completed")).to_be_visible()
    expect(cells.nth(1).get_by_text("no model for 3", exact=False).first).to_be_visible()
    assert 0 == cells.nth(1).get_by_role("grid").count()

    again = lab.run("job.wait()\njob")
    expect(again.get_by_role("button", name="36 completed")).to_be_visible()
    saved = lab.save()
    (html,) = [output.data["text/html"] for output in saved.cells[-1].outputs if "text/html" in output.get("data", {})]
    assert "36 completed" in html
    assert "no model for 13" in html
    assert "<img" not in html

    lab.restart_kernel()
    expect(again.get_by_role("alert")).to_contain_text("sm_async_nb.attach('s3://")
    lab.run(SETUP)


LOSSY = """
from comm.base_comm import BaseComm
whole = BaseComm.send
def lossy(self, *told, **more):
    if not threading.current_thread().name.startswith("sm-async"):
        whole(self, *told, **more)
BaseComm.send = lossy
"""


def test_where_what_other_threads_send_is_lost_the_rows_come_all_the_same(lab, gate):
    """As in Colab, which shows nothing of it: the page asks, and is told what it has missed, around the table too."""
    lab.run(LOSSY)
    try:
        view = lab.run(SUBMIT)
        grid = view.get_by_role("grid")
        expect(grid.get_by_role("row").filter(has_text="'row-3'")).to_contain_text("failed")
        gate.set()
        expect(view.get_by_role("button", name="36 completed")).to_be_visible()
        view.get_by_role("button", name="4 failed").click()
        expect(grid).to_have_attribute("aria-rowcount", "5")
        grid.get_by_role("gridcell", name="'row-13'").click()
        expect(view.get_by_role("region", name="Detail of the row")).to_contain_text("row-13")
        expect(view.get_by_role("button", name="Retry failed (4)")).to_be_enabled()
    finally:
        lab.run("BaseComm.send = whole")


def test_without_our_table_or_without_trust_the_rows_are_there_as_html(page, server, gate):
    """Where the front end has no anywidget, as in remote kernels; and in a notebook that came from somebody else."""
    gate.set()
    page.route("**/extensions/anywidget/**", lambda route: route.abort())
    with Notebook(page, server, "notebook") as bare:
        view = bare.run(SUBMIT)
        expect(view.get_by_text("rows 1 to 20 of 40")).to_be_visible()
        expect(view.get_by_role("img", name="36 completed")).to_be_visible()
        view.get_by_label("Status").select_option("failed")
        expect(view.get_by_text("rows 1 to 4 of 4")).to_be_visible()

        assert view.get_by_role("grid").count() == 0

        saved = bare.saved_with("36 completed")
        saved.cells.append(nbformat.v4.new_markdown_cell("Somebody else's.", id="other"))
        nbformat.write(saved, server.folder / bare.name)
        bare.open()
        html = page.locator(".jp-Cell-outputArea .sm-async-job")
        expect(html.get_by_text("36 completed", exact=False)).to_be_visible()
        expect(html.get_by_text("no model for 13", exact=False).first).to_be_visible()


CORPUS = """
hostile = [
    '<img src=x onerror=window.hacked=1>', '<script>window.hacked=2</script>', '"><svg onload=window.hacked=3>',
    "' onfocus=window.hacked=4 autofocus='", 'javascript:window.hacked=5', '{{ 7*7 }}', '&lt;b&gt;', '$e^x$ **b**',
    '</pre></code><iframe srcdoc="<script>parent.hacked=6</script>">',
]
bad = pd.DataFrame({'x': [3] * len(hostile), hostile[0]: hostile}, index=hostile)
"""

PLAIN = """
plain._show_table(has_table=False)
plain._draw_plain()
display(plain.plain.widget)
"""


def test_hostile_texts_are_texts_wherever_they_appear(lab, gate, empty):
    """Column names, labels, payloads, errors, notes and tags: in each part of the view, in the form, in saved HTML."""
    gate.set()
    lab.run(CORPUS)
    view = lab.run(f"job = bad.sm_async.submit('double', note={HOSTILE!r}, tags={{'a': {HOSTILE!r}}})\njob")
    grid, keys = view.get_by_role("grid"), lab.page.keyboard
    expect(view.get_by_role("button", name="9 failed")).to_be_visible()
    lab.saved_with("no model for 3")
    for _ in range(3):
        grid.focus()
        keys.press("Enter")
        expect(view.get_by_role("region", name="Detail of the row")).to_contain_text("onerror=window.hacked=1")
        keys.press("Escape")
        keys.press("ArrowDown")
    for title in ("Latency", "Failures", "Events"):
        view.get_by_role("button", name=f"▸ {title}").press("Enter")
    view.get_by_role("button", name="▸ Failures").press("Enter")
    expect(view.get_by_text("9 times")).to_be_visible()
    view.get_by_role("searchbox").fill("<svg onload")
    expect(grid).to_have_attribute("aria-rowcount", "2")
    view.get_by_role("searchbox").fill("")
    view = lab.run("job = bad.sm_async.submit('echo')\njob")
    expect(view.get_by_role("grid").get_by_role("gridcell", name="<script>window.hacked=2").last).to_be_visible()
    for label in ("Variable", "Folder"):
        view.get_by_label(label).fill(HOSTILE)
        view.get_by_label(label).press("Tab")
    expect(view.get_by_text(f"{HOSTILE} = job.results()")).to_be_visible()
    view.get_by_role("button", name="Load results").click()
    expect(view.get_by_text("cannot be the name of a variable.")).to_be_visible()
    lab.run("from IPython.display import HTML, display\ndisplay(HTML(job_view.static_bundle(job)['text/html']))")
    lab.run("plain = job_view.JobView(job)")
    lab.run(PLAIN)
    expect(lab.page.get_by_text("rows 1 to 9 of 9").last).to_be_visible()
    lab.run("raise RuntimeError(hostile[0])")
    lab.run("from sm_async_nb.notebook.form import form\nform.panel(bad)")
    expect(lab.page.get_by_text("Choose an endpoint.", exact=False)).to_be_visible()
    made = ":is(img, svg[onload], iframe, script, [onerror], [onfocus])"

    assert lab.page.evaluate("() => window.hacked") is None
    assert 0 == lab.page.locator(f".jp-Cell-outputArea {made}").count()
    exported = HTMLExporter().from_notebook_node(lab.save())[0]
    empty.route("**/*", lambda route: route.abort())
    empty.set_content(exported, wait_until="domcontentloaded")
    expect(empty.get_by_text("9 failed", exact=False).first).to_be_visible()
    expect(empty.get_by_text("9 completed", exact=False).first).to_be_visible()
    assert empty.evaluate("() => window.hacked") is None
    assert 0 == empty.locator(f".sm-async-job {made}").count()


def test_a_job_without_a_variable_is_attached_once_and_its_buttons_stay_small(lab, gate):
    """The address was in each line once, and the buttons above were as wide."""
    gate.set()
    view = lab.run("df.head(4).sm_async.submit('double').wait()")
    expect(view.get_by_role("button", name="3 completed")).to_be_visible()
    buttons = [view.get_by_role("button", name=name) for name in ("Retry failed (1)", "Cancel", "Load results")]
    widths = [button.bounding_box()["width"] for button in buttons]

    expect(view.get_by_text("sm_async_nb.attach('s3://", exact=False)).to_have_count(1)
    assert max(widths) < 200


LINKED = """
from sm_async_nb.aws.described import Endpoint
(face,) = job.faces
face.endpoint = Endpoint(
    endpoint_name="double", endpoint_status="InService", s3_output_path=None, region_name="eu-west-1"
)
face._draw_head()
failed = job.failures()  # none are read where nothing is fetched unasked
"""


def test_a_view_is_accessible_in_light_and_dark(lab, gate):
    """axe-core finds nothing to complain about in the whole view; pictures are taken of both."""
    gate.set()
    view = lab.run(SUBMIT)
    # What is not fetched is grey, which is to be read as well.
    view.get_by_label("Fetch the answers in sight").uncheck()
    expect(view.get_by_role("button", name="36 completed")).to_be_visible()
    lab.run_unseen(LINKED)
    expect(view.get_by_role("link", name="double")).to_have_attribute("href", re.compile("^https://"))
    view.get_by_role("grid").get_by_role("gridcell", name="'row-3'").click()
    expect(view.get_by_role("region", name="Detail of the row")).to_contain_text("no model for 3")
    view.get_by_role("button", name="▸ Failures").click()
    expect(view.get_by_text("4 times")).to_be_visible()
    found = {}
    for theme in ("Light", "Dark"):
        lab.use_theme(theme)
        picture(lab.page, f"job-{theme.lower()}")
        told = Axe().run(lab.page, context=".sma-view", options={"runOnly": RULES})
        ours = [one for one in told.response["violations"] if one["id"] not in NOT_OURS]
        found[theme] = [(one["id"], [node["html"][:160] for node in one["nodes"]]) for one in ours]

    assert {"Light": [], "Dark": []} == found
