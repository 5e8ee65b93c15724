"""Measures of one or many pairs as tables, as JSON, and as the lines that a command prints."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from .. import __version__
from .rows import (
    BACK,
    CONSISTENCY,
    CORRELATION,
    DICE,
    FOLDED,
    HAUSDORFF,
    LANDMARKS,
    MEAN,
    SURFACE,
    VOLUME,
    Row,
    mean_of,
    summary,
)

HEADER = ("id", "measure", "label", "name", "before", "after", "unit")
#: Measures that have a mean over structures or landmarks, with the number of decimals.
AVERAGED = {DICE: 3, BACK: 3, HAUSDORFF: 2, SURFACE: 2, VOLUME: 3, LANDMARKS: 2}


@dataclass(frozen=True)
class Result:
    """The measures of one pair.

    Args:
        name: of the pair.
        rows: what was measured.
        files: role -> file or model that was measured.
        picture: small PNG of both images over each other; None without.
    """

    name: str
    rows: Sequence[Row]
    files: Mapping[str, str] = field(default_factory=dict)
    picture: bytes | None = None

    def value(self, measure: str, when: str = "after") -> float:
        """The mean of a measure over structures or landmarks, or its only value; NaN where there is none."""
        return mean_of(self.rows, measure, when)


def table_rows(results: Sequence[Result]) -> Iterator[tuple[object, ...]]:
    """One row a measure, as `HEADER` says."""
    for result in results:
        for row in result.rows:
            label = None if row.structure == MEAN else row.label
            yield result.name, row.key, label, row.name or row.structure, row.before, row.after, row.unit


def json_text(results: Sequence[Result]) -> str:
    """All results, with versions and the mean over the pairs."""
    content = {
        "version": __version__,
        "pairs": [
            {
                "id": result.name,
                "files": dict(result.files),
                "summary": summary(result.rows),
                "measures": [_measure(row) for row in result.rows],
            }
            for result in results
        ],
        "means": {row.key: {"before": _plain(row.before), "after": _plain(row.after)} for row in means(results)},
    }
    return json.dumps(content, indent=1, ensure_ascii=True, allow_nan=False) + "\n"


def means(results: Sequence[Result]) -> list[Row]:
    """Means over the pairs, of those that have the measure."""
    rows = []
    for measure, decimals in {**AVERAGED, CORRELATION: 3, CONSISTENCY: 3, FOLDED: 3}.items():
        before, after = (_mean([_one(result, measure, when) for result in results]) for when in ("before", "after"))
        if not (math.isnan(before) and math.isnan(after)):
            unit = "%" if measure == FOLDED else _unit(results, measure)
            first, second = (None if math.isnan(value) else value for value in (before, after))
            rows.append(Row(measure, MEAN, first, second, unit, decimals))
    return rows


def lines(results: Sequence[Result]) -> Iterator[str]:
    """What a command prints: the whole table of one pair; of many a line each, and their means."""
    if len(results) == 1:
        yield from _aligned([row.cells() for row in results[0].rows])
        return
    for result in results:
        yield f"{result.name}: {summary(result.rows) or 'Nothing is known after a registration.'}"
    yield ""
    yield from _aligned([(row.measure, row.structure, *row.cells()[2:]) for row in means(results)])
    dice = [value for value in (result.value(DICE) for result in results) if not math.isnan(value)]
    if dice:
        many = f"{len(dice)} pair{'s' * (len(dice) > 1)}"
        yield f"Dice of {many}: {np.mean(dice):.4f}, standard deviation {np.std(dice):.4f}."


def worst_first(results: Sequence[Result]) -> list[Result]:
    """By overlap, else by landmarks, else by correlation; those of which nothing is known come first."""

    def goodness(result: Result) -> tuple[float, ...]:
        values = (result.value(DICE), -result.value(LANDMARKS), result.value(CORRELATION))
        return tuple(-math.inf if math.isnan(value) else value for value in values)

    return sorted(results, key=goodness)


def _one(result: Result, measure: str, when: str) -> float:
    if measure == FOLDED:
        shares = [row for row in result.rows if row.measure == FOLDED and row.unit == "%"]
        return mean_of(shares, FOLDED, when)
    if measure == CONSISTENCY:
        return _mean([getattr(row, when) for row in result.rows if row.measure == measure and row.structure == MEAN])
    return result.value(measure, when)


def _unit(results: Sequence[Result], measure: str) -> str:
    return next((row.unit for result in results for row in result.rows if row.measure == measure), "")


def _mean(values: Sequence) -> float:
    known = [value for value in values if isinstance(value, (int, float)) and not math.isnan(value)]
    return float(np.mean(known)) if known else math.nan


def _measure(row: Row) -> dict[str, object]:
    return {
        "measure": row.key,
        "title": row.measure,
        "label": row.label,
        "name": row.name or row.structure,
        "before": _plain(row.before),
        "after": _plain(row.after),
        "unit": row.unit,
    }


def _plain(value: float | str | None) -> float | str | None:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Cells below each other."""
    table = [("", "", "before", "after"), *rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    for row in table:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip()
