"""The results as Markdown: means over the pairs of each group, every pair by itself, and what could not be measured."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from .execute import Result


@dataclass(frozen=True)
class Column:
    """Of the tables: heading, field of `Result`, digits after the point, and what a unit of the table is."""

    heading: str
    name: str
    digits: int
    unit: float = 1.0


COLUMNS = (
    Column("Dice", "dice", 3),
    Column("back", "back_dice", 3),
    Column("HD95, mm", "hd95_mm", 2),
    Column("back, mm", "back_hd95_mm", 2),
    Column("error, mm", "error_mm", 2),
    Column("folded, %", "folded_percent", 3),
    Column("std log J", "log_jacobian_std", 3),
    Column("round trip, mm", "round_trip_mm", 3),
    Column("CPU s", "cpu_s", 1),
    Column("peak GB", "peak_bytes", 2, 1e9),
)

LEGEND = """\
Means over the pairs. *Dice* and *HD95* compare the moving labels, brought to the fixed grid by nearest neighbour, with
the fixed ones; *back* compares the fixed labels on the moving grid by the inverse or, where the program gives none
(marked ^), by registering the swapped pair. *error* is the mean distance from the known deformation. *folded* and
*std log J* are of the Jacobian determinant of the whole map in the contents of the fixed image, *round trip* is the
mean distance of its points from where both maps bring them back to. *CPU s* and *peak GB* are of the program's own
process, with reading and writing files, without its imports."""


def summary(results: Sequence[Result], titles: Mapping[str, str]) -> str:
    """One table of the means of each group and method, in the order of `titles`.

    Args:
        results: of single pairs.
        titles: of the methods by name.
    """
    lines = [("pairs", "method", *(column.heading for column in COLUMNS))]
    for group in dict.fromkeys(result.group for result in results):
        for name, title in titles.items():
            rows = [row for row in results if (row.group, row.method) == (group, name)]
            good = [row for row in rows if not row.failure]
            if good:
                count = f"{len(good)}" if len(good) == len(rows) else f"{len(good)} of {len(rows)}"
                lines.append((f"{group} ({count})", title, *cells(good)))
    return _markdown(lines)


def details(results: Sequence[Result], titles: Mapping[str, str]) -> str:
    """A line for every pair and method."""
    lines = [("pair", "method", *(column.heading for column in COLUMNS))]
    lines += [
        (f"{row.group}/{row.pair}", titles.get(row.method, row.method), *cells([row]))
        for row in results
        if not row.failure
    ]
    return _markdown(lines)


def failures(results: Iterable[Result], titles: Mapping[str, str], absent: Mapping[str, str]) -> str:
    """What is missing and why, a list.

    Args:
        results: of single pairs.
        titles: of the methods by name.
        absent: why methods could not run at all, by name.
    """
    lines = [f"- {titles[name]}: {reason}" for name, reason in absent.items()]
    failed = (row for row in results if row.failure)
    lines += [f"- {titles.get(row.method, row.method)}, {row.group}/{row.pair}: {row.failure}" for row in failed]
    return "\n".join(lines)


def versions(results: Iterable[Result]) -> dict[str, str]:
    """Of all packages that took part."""
    found: dict[str, set[str]] = {}
    for row in results:
        for name, number in row.versions.items():
            found.setdefault(name, set()).add(number)
    return {name: " and ".join(sorted(numbers)) for name, numbers in sorted(found.items())}


def from_json(row: Mapping[str, Any]) -> Result:
    """A result from its dictionary; fields of other versions are dropped."""
    known = {each.name for each in fields(Result)}
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in row.items()}
    return Result(**{name: value for name, value in values.items() if name in known})


def cells(rows: Sequence[Result]) -> tuple[str, ...]:
    """Texts of the columns, means over the rows that have a value."""
    return tuple(_cell(rows, column) for column in COLUMNS)


def _cell(rows: Sequence[Result], column: Column) -> str:
    found = (getattr(row, column.name) for row in rows)
    values = [value for value in found if value is not None and not math.isnan(value)]
    if not values:
        return "–"
    by_swap = column.heading.startswith(("back", "round")) and any(row.back_by == "swap" for row in rows)
    return f"{sum(values) / len(values) / column.unit:.{column.digits}f}" + ("^" if by_swap else "")


def _markdown(lines: Sequence[Sequence[str]]) -> str:
    ruled = [lines[0], ["---"] * len(lines[0]), *lines[1:]]
    return "\n".join("| " + " | ".join(cell.replace("|", "/") for cell in line) + " |" for line in ruled)
