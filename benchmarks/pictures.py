"""The pictures of the panel: a job that runs, in light and dark, and a short animation; writes docs/images.

``python benchmarks/pictures.py`` needs chromium, the dev dependencies and Pillow. Nothing in the pictures is made up:
the job runs through the local endpoint, before a real kernel and a real browser.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from io import BytesIO
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"
FRAMES, EVERY_SECONDS = 24, 0.5

FRAME = """\
import numpy as np
rng = np.random.default_rng(7)
plans = rng.choice(["basic", "plus", "pro"], 400)
df = pd.DataFrame({"age": rng.integers(18, 90, 400), "plan": plans}, index=[f"c-{1000 + n}" for n in range(400)])
"""


def model(body: bytes, _content_type: str, _accept: str) -> str:
    """A third of a second for each customer; those above 86 are refused."""
    customer = json.loads(body)
    time.sleep(0.33)
    if customer["age"] > 86:  # noqa: PLR2004
        raise ValueError(f"age {customer['age']} is above what the model was trained on")
    return json.dumps({"churn": round(1 / (1 + customer["age"] / 30), 3)})


def picture(page: Any) -> bytes:
    """The last cell, as it is now."""
    return bytes(page.locator(".jp-Cell.jp-CodeCell").last.screenshot())


def animation(pictures: list[bytes]) -> None:
    """One file of all of them."""
    from PIL import Image

    frames = [Image.open(BytesIO(one)).convert("P", palette=Image.Palette.ADAPTIVE, colors=64) for one in pictures]
    frames[0].save(
        IMAGES / "panel.gif",
        save_all=True,
        append_images=frames[1:],
        duration=[*[int(EVERY_SECONDS * 1_000)] * (len(frames) - 1), 3_000],
        loop=0,
        optimize=True,
    )


def form(notebook: Any) -> None:
    """Fill one in."""
    view = notebook.run("df.sm_async.panel()")
    menu = view.get_by_label("Endpoint", exact=True)
    menu.locator("option", has_text="churn-xgb").wait_for(state="attached")
    menu.select_option(label=menu.locator("option", has_text="churn-xgb").inner_text())
    view.get_by_role("radio", name="a template").check()
    view.get_by_label("Template", exact=True).fill('{"age": {{ age }}, "plan": {{ plan }}}')
    view.get_by_label("Rows per request").fill("20")
    view.get_by_role("button", name="Copy as code").click()
    view.get_by_text("20 InvokeEndpointAsync", exact=False).wait_for()
    view.get_by_text("All 400 rows were checked", exact=False).wait_for()


def main() -> None:
    """Run a job, and look at it."""
    sys.path += [str(ROOT / "tests" / "browser")]
    from browser_scene import Notebook, Server
    from playwright.sync_api import sync_playwright

    from sm_async_nb.local import LocalEndpoint

    IMAGES.mkdir(exist_ok=True)
    endpoint = LocalEndpoint(model, endpoint_name="churn-xgb", max_concurrent_invocations_per_instance=16)
    with (
        endpoint as local,
        tempfile.TemporaryDirectory() as folder,
        Server(Path(folder), local.environment) as server,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu", "--disable-quic"]
        )
        page = browser.new_page(viewport={"width": 1000, "height": 900})
        with Notebook(page, server, "notebook") as notebook:
            notebook.run(FRAME)
            notebook.run("job = df.sm_async.submit('churn-xgb')\njob")
            page.locator(".sma-row").first.wait_for()
            pictures = []
            for number in range(FRAMES):
                pictures.append(picture(page))
                if number == FRAMES // 3:
                    (IMAGES / "panel-light.png").write_bytes(pictures[-1])
                page.wait_for_timeout(EVERY_SECONDS * 1_000)
            animation(pictures)
            page.locator(".sma-chip", has_text="failed").click()
            page.locator(".sma-space .sma-row:visible").first.click()
            page.locator(".sma-detail dd").first.wait_for()
            notebook.use_theme("Dark")
            page.set_viewport_size({"width": 1000, "height": 1500})
            page.wait_for_timeout(500)
            (IMAGES / "panel-dark.png").write_bytes(picture(page))
            notebook.use_theme("Light")
            form(notebook)
            (IMAGES / "panel-form.png").write_bytes(picture(page))


if __name__ == "__main__":
    main()
