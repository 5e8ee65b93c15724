"""The layout of all reports: parts that are there, in order, escaped, and nothing that the page would have to fetch."""

from __future__ import annotations

import re

import pytest
from VoxelMorphLib import __version__
from VoxelMorphLib.report.layout import Case, Cases, Page, Picture, Table

EVIL = "<script>alert(\"1\" + '2')</script> & {{ 7 * 7 }}"
ESCAPED = "&lt;script&gt;alert(&#34;1&#34; + &#39;2&#39;)&lt;/script&gt; &amp; {{ 7 * 7 }}"
PNG = b"\x89PNG"


def written(tmp_path, **parts) -> str:
    Page(**{"title": "T", **parts}).write(tmp_path / "page.html")
    return (tmp_path / "page.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "parts",
    [
        {"title": EVIL},
        {"subtitle": EVIL},
        {"cards": [(EVIL, EVIL)]},
        {"alarm": EVIL},
        {"warnings": [EVIL]},
        {"pictures": [Picture(EVIL, PNG, EVIL, EVIL)]},
        {"tables": [Table(EVIL, [EVIL], [[EVIL]])]},
        {"cases": Cases(EVIL, [EVIL], [Case(EVIL, [EVIL], PNG, EVIL, EVIL)])},
    ],
    ids=lambda parts: next(iter(parts)),
)
def test_every_text_is_escaped(tmp_path, parts):
    text = written(tmp_path, **parts)
    assert "<script" not in text
    assert ESCAPED in text


@pytest.mark.parametrize(
    "link", ["javascript:alert(1)", "https://example.org/", "//example.org", 'a" onclick="b', "../x"]
)
def test_links_lead_to_files_only(tmp_path, link):
    text = written(tmp_path, cases=Cases("Pairs", [], [Case("a", link=link)]))
    (address,) = re.findall(r'href="([^"]*)"', text)
    assert address.startswith("./") and ":" not in address and "onclick" not in text.replace(address, "")


def test_a_link_to_a_report_in_a_folder_stays_one(tmp_path):
    assert 'href="./sub-01/report%201.html"' in written(
        tmp_path, cases=Cases("P", [], [Case("a", link="sub-01/report 1.html")])
    )


def test_the_parts_come_in_their_order(tmp_path):
    text = written(
        tmp_path,
        cards=[("0.9", "a card")],
        alarm="an alarm",
        warnings=["a warning"],
        cases=Cases("some pairs", ["Dice"], [Case("pair 1", ["0.81"], PNG, "a note")]),
        pictures=[Picture("a picture", PNG, "what", "a caption")],
        tables=[Table("a table", ["x"], [["y"]]), Table("an empty table", ["x"], [])],
    )
    order = [
        "an alarm",
        "a card",
        "a warning",
        "some pairs",
        "pair 1",
        "0.81",
        "a note",
        "a picture",
        "a caption",
        "a table",
    ]
    places = [text.index(part) for part in order]
    assert places == sorted(places)
    assert "an empty table" not in text
    assert f"version {__version__}." in text


def test_columns_without_content_are_left_out(tmp_path):
    text = written(tmp_path, cases=Cases("some pairs", ["Dice"], [Case("pair 1", ["0.81"])]))
    assert 'class="note"' not in text and "<img" not in text and text.count('scope="col"') == 2
