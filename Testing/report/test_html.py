"""Pages from templates: what comes from outside is escaped, and nothing that a template names may be missing."""

from __future__ import annotations

import pytest
from jinja2 import UndefinedError
from VoxelMorphLib.report.html import write_page

EVIL = "<script>alert(\"1\" + '2')</script> & {{ 7 * 7 }}"
A_TRAINING = {
    "title": "T",
    "subtitle": "S",
    "cards": [("1", "one")],
    "warnings": [],
    "curves": b"\x89PNG",
    "pairs": [],
    "learned": [],
    "made": None,
    "variants": {},
    "settings": [],
}


@pytest.mark.parametrize(
    "values",
    [
        {"title": EVIL},
        {"subtitle": EVIL},
        {"cards": [(EVIL, EVIL)]},
        {"warnings": [EVIL]},
        {"pairs": [{"name": EVIL, "images": b"", "agreement": b""}]},
        {"learned": [{"name": EVIL, "png": b""}]},
        {"variants": {"measures": [EVIL], "rows": [(EVIL, EVIL)]}},
        {"settings": [(EVIL, EVIL)]},
    ],
    ids=lambda values: next(iter(values)),
)
def test_every_value_is_escaped(tmp_path, values):
    write_page(tmp_path / "page.html", "training.html", **{**A_TRAINING, **values})
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<script" not in text
    assert "&lt;script&gt;alert(&#34;1&#34; + &#39;2&#39;)&lt;/script&gt; &amp; {{ 7 * 7 }}" in text


def test_a_missing_value_is_an_error_and_leaves_the_old_page(tmp_path):
    (tmp_path / "page.html").write_text("old")
    with pytest.raises(UndefinedError, match="'settings' is undefined"):
        write_page(tmp_path / "page.html", "training.html", **{k: v for k, v in A_TRAINING.items() if k != "settings"})
    assert (tmp_path / "page.html").read_text() == "old"
