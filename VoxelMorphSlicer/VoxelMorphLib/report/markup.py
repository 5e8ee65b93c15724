"""Building blocks of the report page: text in, HTML out, everything that comes from outside escaped."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape

_STYLE = """
:root { color-scheme: light dark; --page: #f5f7f9; --sheet: #fff; --text: #1b2430; --quiet: #5c6a79;
  --line: #dbe2e9; --accent: #0b6bcb; --warn: #8a5300; --warn-back: #fff4dd; }
@media (prefers-color-scheme: dark) { :root { --page: #10151b; --sheet: #19202a; --text: #e4eaf1; --quiet: #9aa8b7;
  --line: #2c3744; --accent: #6db3ff; --warn: #ffcf7d; --warn-back: #33280f; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text); font: 15px/1.5 system-ui, "Segoe UI", Roboto, Arial,
  sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 28px 20px 48px; }
h1 { font-size: 26px; margin: 0; } h2 { font-size: 18px; margin: 34px 0 10px; }
p { margin: 6px 0; } .quiet, figcaption, footer { color: var(--quiet); } footer { margin-top: 34px; font-size: 13px; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(185px, 1fr)); gap: 12px; margin: 20px 0 0; }
.card { background: var(--sheet); border: 1px solid var(--line); border-radius: 8px; padding: 12px 14px; }
.card b { display: block; font-size: 21px; font-weight: 600; font-variant-numeric: tabular-nums; }
.card span { display: block; color: var(--quiet); font-size: 13px; }
.warnings { background: var(--warn-back); color: var(--warn); border-radius: 8px; padding: 10px 14px 10px 32px; }
figure { margin: 14px 0 22px; } figure img { width: 100%; height: auto; display: block; border-radius: 6px; }
figcaption { font-size: 13.5px; margin-top: 7px; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; background: var(--sheet); border: 1px solid var(--line); }
th, td { text-align: left; padding: 6px 12px; border-top: 1px solid var(--line); vertical-align: top; }
thead th { color: var(--quiet); font-weight: 600; font-size: 13px; border-top: 0; }
td { overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
th[scope=row] { font-weight: 500; }
@media print { :root { --page: #fff; --sheet: #fff; --text: #000; --quiet: #444; --line: #bbb; }
  body { font-size: 11px; } main { max-width: none; padding: 0; } h2 { margin-top: 18px; }
  figure, tr, .card { break-inside: avoid; } h2 { break-after: avoid; }
  .cards { grid-template-columns: repeat(5, 1fr); } .card { padding: 6px 8px; } .card b { font-size: 14px; }
  .card span { font-size: 10px; } figure img { width: auto; max-width: 100%; max-height: 160mm; }
  img { print-color-adjust: exact; -webkit-print-color-adjust: exact; } }
"""


def document(title: str, body: Iterable[str]) -> str:
    """A complete page that needs nothing from outside."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(part for part in body if part)
        + "\n</main>\n</body>\n</html>\n"
    )


def heading(text: str, level: int = 2) -> str:
    """A heading of one level."""
    return f"<h{level}>{escape(text)}</h{level}>"


def paragraph(text: str, quiet: bool = False) -> str:
    """A paragraph, in the quieter colour when it only explains."""
    return f"<p{' class=quiet' if quiet else ''}>{escape(text)}</p>"


def cards(values: Iterable[tuple[str, str]]) -> str:
    """Key figures side by side, each a (large text, what it is) pair."""
    inner = "".join(
        f'<div class="card"><b>{escape(value)}</b><span>{escape(name)}</span></div>' for value, name in values
    )
    return f'<div class="cards">{inner}</div>'


def warnings_box(sentences: Sequence[str]) -> str:
    """The sentences as a list that stands out; nothing when there are none."""
    items = "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences)
    return f'<ul class="warnings">{items}</ul>' if items else ""


def footer(text: str) -> str:
    """The last line of the page."""
    return f"<footer>{escape(text)}</footer>"


def picture(png: bytes, alternative: str, caption: str) -> str:
    """A PNG inside the page, with the text that stands for it and the caption below."""
    data = base64.b64encode(png).decode("ascii")
    return (
        f'<figure><img alt="{escape(alternative)}" src="data:image/png;base64,{data}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table whose first column names the rows; nothing when there are no rows."""
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in header)
    body = "".join(_row(cells) for cells in rows)
    if not body:
        return ""
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _row(cells: Sequence[str]) -> str:
    name, *values = (escape(cell) for cell in cells)
    return f'<tr><th scope="row">{name}</th>' + "".join(f"<td>{value}</td>" for value in values) + "</tr>"
