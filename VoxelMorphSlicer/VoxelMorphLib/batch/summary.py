"""Summary: counts, means and the worst rows of a batch, gathered while rows end, and the page that shows them."""

from __future__ import annotations

import heapq
import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..report.layout import Case, Cases, Page, Table
from .places import REPORT
from .row import MEASURES, Outcome

#: Pairs that the page shows, the worst ones; the table of results has all.
SHOWN = 100
#: What orders pairs, from the first one that is known; small is bad.
_QUALITY = ("dice_after", "local_similarity_after", "similarity_after")
_COLUMNS = ("dice_before", "dice_after", "similarity_before", "similarity_after", "folded_percent")


@dataclass
class Spread:
    """Mean, standard deviation and extremes of numbers that are seen once (Welford 1962, doi:10.2307/1266577)."""

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0
    low: float = math.inf
    high: float = -math.inf

    def add(self, value: float) -> None:
        """Take a number into account."""
        self.count += 1
        step = value - self.mean
        self.mean += step / self.count
        self.squares += step * (value - self.mean)
        self.low, self.high = min(self.low, value), max(self.high, value)

    @property
    def deviation(self) -> float:
        """Of the sample; 0 for one number."""
        return math.sqrt(self.squares / (self.count - 1)) if self.count > 1 else 0.0


class Summary:
    """Takes outcomes in any order and keeps the worst ones, whatever their number."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.spreads = {name: Spread() for name in MEASURES}
        self._worst: list[tuple[Any, ...]] = []

    def add(self, outcome: Outcome) -> None:
        """Take a row into account."""
        self.counts[outcome.status] += 1
        for name, value in outcome.measures.items():
            if name in self.spreads and math.isfinite(value):
                self.spreads[name].add(value)
        entry = (_badness(outcome), -outcome.number, outcome)
        (heapq.heappush if len(self._worst) < SHOWN else heapq.heappushpop)(self._worst, entry)

    @property
    def finished(self) -> int:
        """Number of rows that ended."""
        return sum(self.counts.values())

    def worst(self) -> list[Outcome]:
        """The worst rows, the worst one first."""
        return [entry[-1] for entry in sorted(self._worst, reverse=True)]

    def lines(self) -> list[str]:
        """The summary for a terminal."""
        counts = self.counts
        text = f"{counts['done']} pairs registered, {counts['unchanged']} already done, {counts['failed']} failed."
        shown = [(MEASURES[name], self.spreads[name]) for name in _COLUMNS if self.spreads[name].count]
        return [text, *(f"{title}: {spread.mean:.4g} on average, {_range(spread)}." for title, spread in shown)]

    def write_page(self, folder: Path, total: int) -> None:
        """Write the page with the worst rows first.

        Args:
            folder: of the batch.
            total: number of rows.

        Raises:
            OutputError: it cannot be written.
        """
        counts, finished = self.counts, self.finished
        cards = [(f"{finished} of {total}", "pairs"), (str(counts["failed"]), "of them failed")]
        for name in ("similarity", "dice"):
            before, after = (self.spreads[f"{name}_{when}"] for when in ("before", "after"))
            if before.count:
                title = "correlation" if name == "similarity" else "Dice of the labels"
                cards.append((f"{before.mean:.3f} → {after.mean:.3f}", f"{title}, on average"))
        worst = self.worst()
        cases = Cases(
            "Pairs, the worst first" if finished <= SHOWN else f"The worst {SHOWN} pairs of {finished}",
            ["Status", *(MEASURES[name] for name in _COLUMNS)],
            [_case(outcome, folder) for outcome in worst],
        )
        measures = Table(
            "Measures of all pairs",
            ("Measure", "Pairs", "Mean", "Standard deviation", "Smallest", "Largest"),
            [_spread_row(MEASURES[name], spread) for name, spread in self.spreads.items() if spread.count],
        )
        warnings = [f"{total - finished} pairs were not begun; the same command goes on with them."]
        Page(
            title=f"{total} pairs",
            subtitle=f"Batch in {folder.name}",
            cards=cards,
            warnings=warnings if finished < total else [],
            cases=cases,
            tables=[measures],
        ).write(folder / REPORT)


def _badness(outcome: Outcome) -> tuple[int, float]:
    """What is larger is worse: failures, then results that are worse than their start, then low similarity."""
    group = 2 if outcome.status == "failed" else 1 if outcome.sentence else 0
    quality = next((outcome.measures[name] for name in _QUALITY if name in outcome.measures), 0.0)
    return group, -quality if math.isfinite(quality) else math.inf


def _case(outcome: Outcome, folder: Path) -> Case:
    values = [f"{outcome.measures[name]:.3f}" if name in outcome.measures else "" for name in _COLUMNS]
    picture = None
    if outcome.thumbnail:
        try:
            picture = (folder / outcome.thumbnail).read_bytes()
        except OSError:  # somebody removed it; the row has been done all the same
            picture = None
    note = " ".join(filter(None, [outcome.sentence, *outcome.warnings]))
    return Case(outcome.id, [outcome.status, *values], picture, note, outcome.report)


def _range(spread: Spread) -> str:
    return f"from {spread.low:.4g} to {spread.high:.4g}"


def _spread_row(title: str, spread: Spread) -> list[str]:
    numbers = (spread.mean, spread.deviation, spread.low, spread.high)
    return [title, str(spread.count), *(f"{value:.4g}" for value in numbers)]
