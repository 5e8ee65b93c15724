"""The pages of measured pairs: one pair with pictures and all measures, or many with thumbnails, the worst first."""

from __future__ import annotations

from collections.abc import Sequence

from ..core.errors import GeometryError
from ..core.image import Image
from ..core.transform import IDENTITY
from ..evaluation.results import Result, means, worst_first
from ..evaluation.rows import (
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
    WARNING,
    Row,
    summary,
)
from ..evaluation.subject import FILES, Subject
from .figures import thumbnail
from .layout import Case, Cases, Page, Table
from .pictures import comparison_pictures
from .views import make_views

_OF_STRUCTURES = {
    DICE: "Dice",
    HAUSDORFF: "95 % Hausdorff distance",
    SURFACE: "mean surface distance",
    VOLUME: "volume similarity",
    BACK: "Dice, fixed to moving",
}
#: What cards and the overview of many pairs show, with short names.
_KEY = {
    DICE: "mean Dice",
    BACK: "mean Dice, fixed to moving",
    HAUSDORFF: "mean 95 % Hausdorff distance",
    LANDMARKS: "mean landmark error",
    CORRELATION: "correlation",
    CONSISTENCY: "mean inverse consistency error",
    FOLDED: "of the voxels folded",
}
_SPACE = "\N{NO-BREAK SPACE}"
#: Pictures of more pairs would make the page too large to be opened.
MOST_PICTURES = 200


def evaluation_page(subject: Subject, result: Result) -> Page:
    """The page of one pair.

    Args:
        subject: what was measured.
        result: its measures.

    Raises:
        DependencyError: matplotlib is not installed.
    """
    pair = pictured(subject)
    views = [] if pair is None else make_views(pair[0], pair[1], pair[2], subject.forward)
    return Page(
        title=f"Evaluation of {result.name}" if result.name else "Evaluation of a registration",
        subtitle=summary(result.rows).removesuffix("."),
        cards=_cards([result]),
        warnings=[str(row.after) for row in result.rows if row.measure == WARNING],
        pictures=comparison_pictures(views) if views else [],
        tables=[
            Table("Structures", *_structures(result.rows)),
            Table("Measurements", ("Quantity", "Part", "Before", "After"), _others(result.rows)),
            Table("Landmarks", ("Landmark", "Error before", "Error after"), _landmarks(result.rows)),
            _inputs(subject, result),
        ],
    )


def overview_page(results: Sequence[Result], title: str, links: dict[str, str] | None = None) -> Page:
    """The page of many pairs, the worst first.

    Args:
        results: of all pairs.
        title: heading of the page.
        links: name of a pair -> file with its own report, relative to the page.
    """
    shown = [measure for measure in _KEY if any(_has(result, measure) for result in results)]
    cases = [
        Case(
            result.name,
            [_change(result, measure) for measure in shown],
            result.picture if place < MOST_PICTURES else None,
            "; ".join(str(row.after) for row in result.rows if row.measure == WARNING),
            (links or {}).get(result.name, ""),
        )
        for place, result in enumerate(worst_first(results))
    ]
    rows = [(row.measure, *row.cells()[2:]) for row in means(results)]
    return Page(
        title=title,
        subtitle=f"{len(results)} pairs",
        cards=_cards(results),
        cases=Cases("Pairs, the worst first", [_title(measure) for measure in shown], cases),
        tables=[Table("Means over all pairs", ("Quantity", "Before", "After"), rows)],
    )


def pictured(subject: Subject) -> tuple[Image, Image | None, Image] | None:
    """Fixed image, moving one where it is known, and moved one, for pictures; label maps where there are no images."""
    fixed, moving, moved = subject.fixed, subject.moving, subject.moved
    if fixed is None or (moved is None and moving is None):
        fixed, moving, moved = subject.fixed_labels, subject.moving_labels, subject.moved_labels
    if fixed is None or (moved is None and moving is None):
        return None
    if moved is None:
        assert moving is not None
        if subject.forward is None:
            return fixed, None, IDENTITY.resample(moving, fixed.geometry)
        return fixed, moving, subject.forward.resample(moving, fixed.geometry)
    same = moved.geometry.matches(fixed.geometry)
    return fixed, moving, moved if same else IDENTITY.resample(moved, fixed.geometry)


def small_picture(subject: Subject) -> bytes | None:
    """Both images over each other as a thumbnail; None where there is nothing to be seen.

    Raises:
        DependencyError: matplotlib is not installed.
    """
    pair = pictured(subject)
    try:
        return None if pair is None else thumbnail(make_views(pair[0], None, pair[2]))
    except GeometryError:  # an image without contents
        return None


def _cards(results: Sequence[Result]) -> list[tuple[str, str]]:
    rows = {row.measure: row for row in means(results)}
    return [
        (
            _arrow(*rows[measure].cells()[2:]).replace(_SPACE, " "),
            text.removeprefix("mean ") if measure != FOLDED else text,
        )
        for measure, text in _KEY.items()
        if measure in rows
    ]


def _title(measure: str) -> str:
    """Of a column."""
    text = "folded voxels" if measure == FOLDED else _KEY[measure]
    return f"{text[0].upper()}{text[1:]}"


def _has(result: Result, measure: str) -> bool:
    return any(row.measure == measure for row in means([result]))


def _change(result: Result, measure: str) -> str:
    rows = [row for row in means([result]) if row.measure == measure]
    return _arrow(*rows[0].cells()[2:]) if rows else ""


def _arrow(before: str, after: str) -> str:
    """Both values with their unit once, which a browser does not break."""
    if not (before and after):
        return after.replace(" ", _SPACE) or (f"{before} before".replace(" ", _SPACE) if before else "")
    number, _, unit = before.partition(" ")
    text = f"{number if unit and after.endswith(f' {unit}') else before} → {after}"
    return text.replace(" ", _SPACE)


def _structures(rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the table of structures, their mean last; measures that none of them has are left out."""
    found: dict[str, dict[str, Row]] = {}
    for row in rows:
        if row.measure in _OF_STRUCTURES and row.structure != MEAN:
            found.setdefault(row.structure, {})[row.measure] = row
    if len(found) > 1:
        found[MEAN] = {row.measure: row for row in means([Result("", rows)])}
    texts = {
        name: [_arrow(*own[measure].cells()[2:]) if measure in own else "" for measure in _OF_STRUCTURES]
        for name, own in found.items()
    }
    shown = [place for place in range(len(_OF_STRUCTURES)) if any(cells[place] for cells in texts.values())]
    header = ["Structure", *(list(_OF_STRUCTURES.values())[place] for place in shown)]
    return header, [[name, *(cells[place] for place in shown)] for name, cells in texts.items()]


def _others(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    left = [row for row in rows if row.measure not in (*_OF_STRUCTURES, LANDMARKS, WARNING)]
    return [row.cells() for row in left]


def _landmarks(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    marks = [row for row in rows if row.measure == LANDMARKS]
    return [row.cells()[1:] for row in sorted(marks, key=lambda row: row.structure == MEAN)]


def _inputs(subject: Subject, result: Result) -> Table:
    """Where everything comes from: file, grid and range of each input."""
    images = {
        "fixed": subject.fixed,
        "moving": subject.moving,
        "moved": subject.moved,
        "fixedLabels": subject.fixed_labels,
        "movingLabels": subject.moving_labels,
        "movedLabels": subject.moved_labels,
    }
    rows = []
    for role, file in result.files.items():
        image = images.get(role)
        grid = "" if image is None else f"{image.geometry}, {image.array.min():.4g} to {image.array.max():.4g}"
        words = FILES.get(role, role)
        rows.append((words[:1].upper() + words[1:], file, grid))
    return Table("Inputs", ("Role", "File", "Grid and values"), rows)
