"""The table of results as a test reads it."""

from __future__ import annotations

import re


def read(table):
    rows = [[table.GetCellText(row, column) for column in range(4)] for row in range(table.GetNumberOfRows())]
    found = {_key(measure, structure, after): (before, after) for measure, structure, before, after in rows}
    assert len(found) == len(rows)
    return found


def _key(measure: str, structure: str, after: str) -> tuple[str, str, str]:
    """Measure, name of the structure, and the unit of the values or what the measure says of them."""
    name, _space, told = measure.partition(" (")
    value = re.fullmatch(r"[-\d.]+ (\S+)", after)
    unit = "mm" if "distance" in name else value[1] if value else told.rstrip(")")
    return name, re.sub(r"^label \d+ \((.*)\)$", r"\1", structure), unit


def numbers(cells):
    return [float(cell.split()[0]) if cell else None for cell in cells]
