"""The browser's side of the table in a page without a notebook: its time is made to pass, and its theme is chosen.

The kernel's part is a list of what the page says, and what it is told; the file is the one that people get.
"""

from __future__ import annotations

import pytest
from browser_scene import HOSTILE
from playwright.sync_api import expect

from sm_async_nb.notebook.panel.table import HERE, Grid

COUNTS = [0, 0, 0, 38, 2, 0, 0, 0]

PAGE = """async ([script, traits]) => {
  const module = await import(URL.createObjectURL(new Blob([script], { type: "text/javascript" })));
  const told = {}, acts = {};
  window.said = [];
  window.tell = (message) => acts["msg:custom"]({ ...message, view: window.said.at(-1).view });
  window.commIsGone = false;
  const model = {
    get: (name) => (name in told ? told[name] : traits[name]),
    set: (name, value) => { told[name] = value; },
    on: (name, act) => { acts[name] = act; },
    off: () => {},
    send: (message) => {
      if (window.commIsGone) throw new Error("Cannot send");
      window.said.push(message);
    },
  };
  module.default.render({ model, el: document.getElementById("here") });
}"""


def line(at, label="'row-{at}'", answer='{{"y": {at}}}', mark=""):
    status = 4 if at % 20 == 3 else 3
    told = ["1", "10:00:00", "1.00 s", f'{{"x": {at}}}', answer.format(at=at), mark]
    return [at, label.format(at=at), status, *told]


def head(*, over=False):
    return {
        "counts": COUNTS,
        "figures": "40 of 40 requests",
        "words": "running: 38 completed",
        "over": over,
        "total": 40,
    }


def rows_message(seq, *, over=False, is_whole=True, **told):
    rows = [[at, line(at, **told)] for at in range(40)]
    return {"type": "rows", "seq": seq, "all": is_whole, "head": head(over=over), "rows": rows}


class Alone:
    """A table in an empty page, and what it says to the kernel that is not there."""

    def __init__(self, page, style="", saved=None):
        self.page = page
        saved = {"rows": saved or [line(at) for at in range(40)], "head": head()}
        grid = Grid(lambda _: None, saved=saved, uri="s3://b/job/")
        style += (HERE / "table.css").read_text()
        classes = " ".join(grid._dom_classes)
        page.goto("about:blank")
        page.set_content(f"<html lang=en><title>t</title><style>{style}</style><main id=here class='{classes}'></main>")
        traits = {name: getattr(grid, name) for name in ("kind", "labels", "asked", "saved")}
        page.evaluate(PAGE, [(HERE / "table.js").read_text(), traits])
        page.wait_for_function("() => window.said.length > 0")

    def said(self, kind=None):
        said = self.page.evaluate("() => window.said")
        return [one for one in said if kind in (None, one["type"])]

    def tell(self, message):
        self.page.evaluate("(message) => window.tell(message)", message)

    def pass_time(self, milliseconds):
        self.page.clock.run_for(milliseconds)


@pytest.fixture(scope="module")
def stopped(empty):
    """A page whose time passes when it is told to."""
    empty.clock.install()
    return empty


@pytest.fixture
def alone(stopped):
    stopped.emulate_media(forced_colors="none", color_scheme="light", reduced_motion="no-preference")
    return Alone(stopped)


def start(alone, **told):
    alone.pass_time(100)
    alone.tell(rows_message(1, **told))
    alone.pass_time(100)


def test_what_is_read_aloud_changes_every_five_seconds_at_most(alone):
    """However often the counts change, nobody is talked over."""
    start(alone)
    heard = []
    for second in range(20):
        alone.tell({**rows_message(second + 2), "head": {**head(), "words": f"running: {second} completed"}})
        alone.pass_time(1_000)
        heard.append(alone.page.get_by_role("status").text_content())

    assert 4 <= len(set(heard) - {""}) <= 5


def test_where_nothing_comes_by_itself_it_is_asked_for(alone):
    """As in Colab; and when all is over, and nothing was lost, nothing is asked any more."""
    start(alone)
    alone.pass_time(4_000)
    polls = len(alone.said("poll"))
    alone.tell(rows_message(2, over=True))
    alone.pass_time(30_000)

    assert 1 <= polls <= 3
    assert polls == len(alone.said("poll"))


def test_a_gap_in_the_numbers_is_asked_about_at_once(alone):
    """Something was lost on the way; the kernel is told how far the page has come."""
    start(alone)
    alone.tell(rows_message(4, is_whole=False))

    assert [1] == [one["seq"] for one in alone.said("poll")]


def test_a_kernel_that_does_not_answer_is_said_to_be_busy_or_gone(alone):
    """Rather than pretending; and not any more when it does."""
    start(alone, over=True)
    alone.page.get_by_role("button", name="2 failed").click()
    alone.pass_time(7_000)
    notice = alone.page.get_by_role("alert")
    expect(notice).to_contain_text("sm_async_nb.attach('s3://b/job/')")
    alone.tell(rows_message(2, over=True))
    alone.pass_time(1_100)
    expect(notice).to_have_text("")


def test_a_kernel_whose_line_is_cut_is_said_to_be_gone_at_once(alone):
    """The click does nothing, and breaks nothing."""
    start(alone, over=True)
    alone.page.evaluate("() => { window.commIsGone = true; }")
    alone.page.get_by_role("button", name="2 failed").click()
    alone.pass_time(1_100)

    expect(alone.page.get_by_role("alert")).to_contain_text("busy with a cell, or gone")


def test_a_row_that_is_open_is_told_anew_when_it_changes(alone):
    """Accepted becomes completed, and its answer is there."""
    start(alone)
    alone.page.get_by_role("gridcell", name="'row-5'").click()
    alone.tell({**rows_message(2, is_whole=False), "rows": [[5, line(5)]]})

    assert [5, 5] == [one["row"] for one in alone.said("open")]


@pytest.mark.parametrize("width", [566, 768, 1008], ids=["page of 1000", "page of 1200", "page of 1440"])
@pytest.mark.parametrize("label", ["review-{at:05}", "customer-{at:07}", "patient-2026-eu-{at:08}"])
def test_labels_that_differ_in_their_last_letters_do_so_in_the_table(stopped, width, label):
    """They were cut until all looked the same. What a notebook leaves of a page, with labels of 12 to 24 letters."""
    stopped.set_viewport_size({"width": width + 16, "height": 600})
    first = [line(at, repr(label)) for at in range(40)]
    alone = Alone(stopped, saved=first)
    start(alone, label=repr(label))
    cells = stopped.locator(".sma-space .sma-row:visible .c0")
    cut = cells.evaluate_all("(nodes) => nodes.filter((node) => node.scrollWidth > node.clientWidth).length")
    across = [stopped.locator(place).first.bounding_box()["width"] for place in (".sma-head", ".sma-row .c6")]

    assert 0 == cut
    assert cells.count() > 10
    assert across[0] <= max(width, 766)
    assert across[1] >= 140


def test_a_text_that_is_cut_is_told_whole_where_one_points(alone):
    """As a text, whatever it is; also when the line is another row's by now."""
    start(alone)
    titles = []
    for seq, label in ((2, HOSTILE), (3, "'row-{at}'")):
        alone.tell(rows_message(seq, label=label))
        alone.pass_time(100)
        titles.append(alone.page.locator(".sma-space .sma-row:visible .c0").first.get_attribute("title"))
    status = alone.page.locator(".sma-space .sma-row:visible .c1").first.get_by_title("completed")

    assert [HOSTILE, "'row-0'"] == titles
    assert (1, 0) == (status.count(), alone.page.locator("img").count())


def test_an_answer_that_was_not_fetched_does_not_look_like_one(alone):
    """The model may have answered with these very words."""
    start(alone)
    opacities = []
    for seq, mark in ((2, "unread"), (3, "")):
        alone.tell(rows_message(seq, answer="not fetched", mark=mark))
        alone.pass_time(100)
        opacities.append(colour(alone.page, ".sma-space .sma-row:visible .c6", "opacity"))

    assert ["0.7", "1"] == opacities


def test_texts_are_copied_also_where_the_page_may_not_use_the_clipboard(alone):
    """Frames of other origins may not; then it is done in the old way, and said."""
    start(alone)
    alone.page.evaluate(
        """() => {
            window.copied = [];
            document.addEventListener("copy", () => window.copied.push(document.activeElement.value));
        }"""
    )
    alone.page.get_by_role("gridcell", name="'row-5'").click()
    alone.tell({"type": "detail", "row": 5, "title": "Row", "fields": [["In Python", "job.table()", "copy"]]})
    button = alone.page.get_by_role("button", name="Copy")
    button.press("Enter")
    expect(alone.page.get_by_role("button", name="Copied")).to_be_focused()
    alone.pass_time(2_100)

    expect(button).to_be_visible()
    assert ["job.table()"] == alone.page.evaluate("() => window.copied")


def test_a_button_alone_copies_its_text_by_keyboard_and_says_so(stopped):
    """The form's, which has no table."""
    stopped.goto("about:blank")
    stopped.set_content("<title>t</title><main id=here></main>")
    stopped.evaluate("() => { window.copied = []; }")
    stopped.evaluate(
        PAGE, [(HERE / "table.js").read_text(), {"kind": "copy", "text": "a\nb", "label": "Copy as Python"}]
    )
    stopped.evaluate("document.addEventListener('copy', () => window.copied.push(document.activeElement.value))")
    button = stopped.get_by_role("button", name="Copy as Python")
    button.press("Enter")
    expect(stopped.get_by_role("button", name="Copied")).to_be_visible()
    stopped.clock.run_for(2_100)

    expect(button).to_be_visible()
    assert ["a\nb"] == stopped.evaluate("() => window.copied")


def colour(page, selector, name):
    return page.locator(selector).first.evaluate("(node, name) => getComputedStyle(node)[name]", name)


@pytest.mark.parametrize("background", ["rgb(30, 30, 30)", "rgb(255, 255, 255)"])
def test_vs_codes_theme_is_followed(stopped, background):
    """Its pages define its own variables, and none of JupyterLab's."""
    ink = "rgb(204, 204, 204)" if "30" in background else "rgb(60, 60, 60)"
    stopped.emulate_media(forced_colors="none", color_scheme="light")
    alone = Alone(stopped, f":root {{ --vscode-editor-background: {background}; --vscode-foreground: {ink}; }}")
    start(alone)

    assert [background, ink] == [colour(stopped, ".sma-row", name) for name in ("backgroundColor", "color")]


def test_forced_colours_are_left_to_the_system_and_the_chosen_row_is_still_seen(alone):
    """By an outline, since backgrounds are gone; statuses have their words anyway."""
    start(alone)
    alone.page.emulate_media(forced_colors="active")
    outlines = [colour(alone.page, f'.sma-row[aria-selected="{one}"]', "outlineStyle") for one in ("true", "false")]

    assert ["solid", "none"] == outlines
    assert "failed" in alone.page.get_by_role("row").nth(4).inner_text()


def test_nothing_moves_by_itself_where_that_is_asked(alone):
    """The bar grows step by step then."""
    start(alone)
    alone.page.emulate_media(reduced_motion="reduce")

    assert "0s" == colour(alone.page, ".sma-bar i", "transitionDuration")
