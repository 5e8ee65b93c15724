"""Files of landmarks -> Points in RAS mm: markups of Slicer (.mrk.json), its older lists (.fcsv), and tables (.csv)."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ImageError
from ..landmarks import LandmarkPairs, Points, paired
from .files import check_readable

EXTENSIONS = (".mrk.json", ".json", ".fcsv", ".csv")
#: Names of the columns of coordinates, lower-case, in the order in which they are looked for.
COLUMNS = (("x", "y", "z"), ("r", "a", "s"))
#: Larger files hold no landmarks.
LARGEST_BYTES = 50_000_000
_LPS = np.array([-1.0, -1.0, 1.0])


def read_landmark_pairs(fixed: Path | str, moving: Path | str) -> LandmarkPairs:
    """Read the landmarks of both images and pair them, see `landmarks.paired`."""
    return paired(read_points(fixed), read_points(moving))


def read_points(path: Path | str) -> Points:
    """Read the placed points of a file.

    Args:
        path: .mrk.json or .json (markups of Slicer), .fcsv (markups of Slicer before 5), or .csv with the columns x, y
            and z in RAS mm, and perhaps label; without a header the last three columns are taken.

    Raises:
        ImageError: a missing, damaged or foreign file.
    """
    path = Path(path)
    if not path.name.lower().endswith(EXTENSIONS):
        raise ImageError(f"{path}: landmarks are read from {', '.join(EXTENSIONS)}. Save them as one of these.")
    check_readable(path, ImageError)
    if path.stat().st_size > LARGEST_BYTES:
        raise ImageError(f"{path} has {path.stat().st_size / 1e6:.0f} MB and holds no landmarks. Choose another file.")
    read = {".json": _markups, ".fcsv": _fiducials, ".csv": _table}[path.suffix.lower()]
    try:
        document = path.read_text(encoding="utf-8-sig")
        labels, positions = read(document)
        points = np.array(positions, np.float64).reshape(-1, 3)
    except (AttributeError, IndexError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise ImageError(
            f"{path} holds no landmarks that can be read ({type(error).__name__}: {error}). Save the points again."
        ) from error
    if not np.isfinite(points).all():
        raise ImageError(f"{path} has a coordinate that is no finite number. Save the points again.")
    return Points(points, tuple(labels), path.name, document, path.suffix.lower())


def _markups(text: str) -> tuple[list[str], list[Any]]:
    markup = json.loads(text)["markups"][0]
    placed = placed_of(markup)
    signs = signs_of(markup.get("coordinateSystem", "LPS"))
    if any(len(point["position"]) != 3 for point in placed):
        raise ValueError("a position without three coordinates")
    positions = [np.array(point["position"], np.float64) * signs for point in placed]
    return [str(point.get("label", "")) for point in placed], positions


def placed_of(markup: dict[str, Any]) -> list[dict[str, Any]]:
    """The control points of a list that have a place."""
    return [point for point in markup["controlPoints"] if point.get("positionStatus", "defined") == "defined"]


def _fiducials(text: str) -> tuple[list[str], list[Any]]:
    """The order of the columns never changed: id, x, y, z, and more, of which the label is the 12th."""
    signs = np.ones(3)
    labels, positions = [], []
    for row in csv.reader(text.splitlines()):
        if row and row[0].startswith("#"):
            name, _, value = row[0].lstrip("# ").partition("=")
            if name.strip().lower() == "coordinatesystem":
                signs = signs_of(value.strip())
        elif row:
            positions.append(np.array([float(value) for value in row[1:4]]) * signs)
            labels.append(row[11] if len(row) > 11 else "")
    return labels, positions


def _table(text: str) -> tuple[list[str], list[Any]]:
    rows = [row for row in csv.reader(text.splitlines()) if any(value.strip() for value in row)]
    columns, at, has_header = columns_of(rows[0] if rows else [])
    rows = rows[has_header:]
    labels = ["" if at is None else row[at].strip() for row in rows]
    return labels, [[float(row[column]) for column in columns] for row in rows]


def columns_of(first: list[str]) -> tuple[list[int], int | None, bool]:
    """Where a table has its coordinates and labels, and whether its first row is a header."""
    header = [value.strip().lower() for value in first]
    names = next((names for names in COLUMNS if set(names) <= set(header)), None)
    if names is None:
        return [-3, -2, -1], 0 if len(header) == 4 else None, False
    return [header.index(name) for name in names], header.index("label") if "label" in header else None, True


def signs_of(system: str) -> np.ndarray:
    """Of the axes of a coordinate system, to RAS; older files number them."""
    signs = {"RAS": np.ones(3), "0": np.ones(3), "LPS": _LPS, "1": _LPS}
    if str(system) not in signs:
        raise ValueError(f"the coordinate system {system!r} is neither RAS nor LPS")
    return signs[str(system)]
