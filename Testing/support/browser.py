"""Pages as a browser shows them: headless Chromium, where one is installed."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
#: Asks the browser what it made of a page, and leaves the answer in it.
_QUESTION = """<script>
const broken = [...document.images].filter(image => !image.complete || image.naturalWidth === 0).length;
const asked = [...document.querySelectorAll("[src], [srcset], [data], link[href]")].map(
  each => each.getAttribute("src") || each.getAttribute("srcset") || each.getAttribute("href") || each.outerHTML
).filter(name => !name.startsWith("data:"));
const clipped = [...document.querySelectorAll(".card, .card b, .scroll, figure")].filter(
  each => each.scrollWidth > each.clientWidth + 1).map(each => each.textContent.slice(0, 200));
const answer = {clipped, images: document.images.length, broken, asked, width: document.documentElement.scrollWidth,
  window: window.innerWidth, alerts: window.alerts || 0, text: document.body.innerText};
const place = document.createElement("pre");
place.id = "answer";
place.textContent = btoa(unescape(encodeURIComponent(JSON.stringify(answer))));
document.body.append(place);
</script>"""
_WATCH = "<script>window.alert = () => { window.alerts = (window.alerts || 0) + 1; };</script>"


def require_browser() -> str:
    """The browser's program; skips the calling test where none is installed."""
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None:
        pytest.skip("no Chromium is installed")
    return found


def seen(page: Path, width: int = 1200) -> dict:
    """What a browser makes of a page.

    Args:
        page: the .html file.
        width: of the window.

    Returns:
        The texts of parts that are `clipped`, numbers of `images` and `broken` ones, what it `asked` others for, the
        `width` of the page and of its `window`, the number of `alerts` that scripts gave, and the visible `text`.
    """
    import base64

    with tempfile.TemporaryDirectory() as folder:
        text = page.read_text(encoding="utf-8").replace("<head>", f"<head>{_WATCH}", 1)
        copy = Path(folder) / page.name
        copy.write_text(text.replace("</body>", f"{_QUESTION}</body>"), encoding="utf-8")
        shown = _run(folder, f"--window-size={width},1000", "--dump-dom", copy.as_uri())
    answer = re.search(r'id="answer"[^>]*>([^<]+)<', shown)
    assert answer, shown[-2000:]
    return json.loads(base64.b64decode(answer[1]))


def screenshot(page: Path, png: Path, width: int = 1200, height: int = 2400) -> None:
    """The upper part of a page as a picture."""
    with tempfile.TemporaryDirectory() as folder:
        _run(folder, f"--window-size={width},{height}", f"--screenshot={png}", page.absolute().as_uri())


def _run(folder: str, *words: str) -> str:
    quiet = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--disable-dev-shm-usage")
    argv = [require_browser(), *quiet, f"--user-data-dir={folder}/profile", "--virtual-time-budget=3000", *words]
    return subprocess.run(argv, capture_output=True, encoding="utf-8", timeout=60, check=True).stdout
