"""The pages below the table: one at a time, and none is made that nobody looks at."""

from __future__ import annotations

from sm_async_nb.notebook.panel.pages import Pages


class Scene:
    def __init__(self):
        self.made = []
        told = {title: lambda title=title: self.make(title) for title in ("Latency", "Events")}
        self.pages = Pages(told, soon=self.draw)

    def draw(self):
        self.pages.refresh()

    def make(self, title):
        self.made.append(title)
        return f"page of {title}"

    def press(self, title):
        self.pages._buttons[title].click()
        return self.pages._html.value


def test_a_press_opens_a_page_another_press_another_and_the_same_shuts_it():
    """As the buttons say."""
    scene = Scene()
    shown = [scene.press("Latency"), scene.press("Events"), scene.press("Events")]

    assert ["page of Latency", "page of Events", ""] == shown
    assert ["▸ Latency", "▸ Events"] == [button.description for button in scene.pages._buttons.values()]


def test_a_page_is_made_while_it_is_open_only():
    """A histogram of a million rows takes its time."""
    scene = Scene()
    scene.pages.refresh()
    before = list(scene.made)
    scene.press("Latency")
    scene.pages.refresh()

    assert ([], ["Latency", "Latency"]) == (before, scene.made)
