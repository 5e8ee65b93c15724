"""Tables that are written as CSV, safe to be opened by a spreadsheet."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from .files import replacing

#: Characters with which a spreadsheet begins a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def write_csv(path: Path | str, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a table; an existing file is replaced last and kept when anything fails.

    Args:
        path: of the file.
        header: titles of the columns.
        rows: numbers, which keep all their digits, texts, and None for an empty cell.

    Raises:
        OutputError: the file cannot be written.
    """
    text = csv_text(header, rows)
    with replacing(path) as file:
        file.write_bytes(text.encode("utf-8", errors="backslashreplace"))


def csv_text(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """The text of a table, see `write_csv`."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([cell(title) for title in header])
    writer.writerows([cell(value) for value in row] for row in rows)
    return stream.getvalue()


def cell(value: object) -> str:
    """A value as a cell; a text that a spreadsheet would compute begins with an apostrophe, which makes it a text."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, (int, np.integer)):
        return str(int(value))
    if isinstance(value, (float, np.floating)):
        return repr(float(value))
    text = str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text
