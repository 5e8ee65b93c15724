"""What a report consists of, and its page: the one layout of the demo, register, evaluate and batch commands."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from .html import write_page

#: What the page says of every transform.
FOOTNOTE = "Displacements map points of the fixed volume to the moving volume (RAS, mm)."


@dataclass(frozen=True)
class Picture:
    """A figure with its heading.

    Args:
        title: heading.
        png: the figure.
        alternative: text that stands for it where it is not seen.
        caption: what it shows and how to read it.
    """

    title: str
    png: bytes
    alternative: str
    caption: str


@dataclass(frozen=True)
class Table:
    """A table with its heading; without rows it is left out.

    Args:
        title: heading.
        header: of the columns; the first one names the rows.
        rows: texts, as many as the header has.
    """

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Case:
    """One pair in the overview of many.

    Args:
        name: of the pair.
        values: as many as the header of its `Cases` has.
        picture: small PNG, such as `figures.thumbnail` makes; None without.
        note: a sentence about it, perhaps why it failed; empty without.
        link: file with its own report, relative to the page and with / between folders; empty without.
    """

    name: str
    values: Sequence[str] = ()
    picture: bytes | None = None
    note: str = ""
    link: str = ""

    @property
    def address(self) -> str:
        """The link in the form that HTML wants; it can lead to a file only."""
        return f"./{quote(self.link)}" if self.link else ""


@dataclass(frozen=True)
class Cases:
    """An overview of many pairs, in the order in which they are shown; the caller puts the worst first.

    Args:
        title: heading.
        header: of the values.
        rows: the pairs. Pictures make the page large: give them to some hundred cases only.
    """

    title: str
    header: Sequence[str]
    rows: Sequence[Case]


@dataclass(frozen=True)
class Page:
    """A report, from top to bottom; every text is escaped when it is written, so that names may hold anything.

    Args:
        title: heading of the page.
        subtitle: what made it.
        cards: value and meaning of the most important results.
        alarm: what is worse than before, above everything else.
        warnings: sentences.
        cases: overview of many pairs; None for a single one.
        pictures, tables: in this order.
        dated: whether the time is added.
    """

    title: str
    subtitle: str = ""
    cards: Sequence[tuple[str, str]] = ()
    alarm: str = ""
    warnings: Sequence[str] = ()
    cases: Cases | None = None
    pictures: Sequence[Picture] = ()
    tables: Sequence[Table] = ()
    dated: bool = True

    def write(self, path: str | Path) -> None:
        """Write the page, which needs no other file; an existing one is replaced last and kept when anything fails.

        Args:
            path: of the .html file, in an existing folder.

        Raises:
            OutputError: the file cannot be written.
        """
        time = f"{datetime.datetime.now():%d %B %Y, %H:%M}" if self.dated else ""
        write_page(
            path,
            "report.html",
            title=self.title,
            subtitle=", ".join(filter(None, (self.subtitle, time))),
            cards=self.cards,
            alarm=self.alarm,
            warnings=self.warnings,
            cases=self.cases,
            pictures=self.pictures,
            tables=self.tables,
            footnote=FOOTNOTE,
        )
