"""Points -> files of landmarks: what else their own file held is kept, other formats get places and labels."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np

from ..errors import ImageError, OutputError
from ..landmarks import Points
from .files import replacing
from .points import EXTENSIONS, columns_of, placed_of, signs_of

#: Kinds of markups that are nothing but their control points.
_MADE_OF_POINTS = ("Fiducial", "Line", "Angle", "Curve", "ClosedCurve")
_SCHEMA = (
    "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/Resources/Schema/"
    "markups-schema-v1.0.3.json#"
)


def write_points(points: Points, path: Path | str) -> Path:
    """Write points.

    Args:
        points: with the document that they were read from, if there is one.
        path: .mrk.json, .json, .fcsv or .csv. A file of the document's format is the document with other places.

    Raises:
        OutputError: another extension, or the folder cannot be written.
        ImageError: the document holds several lists, or a plane or box, which have more than points.
    """
    path = check_points_extension(path)
    kind = path.suffix.lower()
    moved = {".json": _markups, ".fcsv": _fiducials, ".csv": _table}[kind](points, points.format == kind)
    with replacing(path, len(moved)) as scratch:
        scratch.write_text(moved, encoding="utf-8")
    return path


def check_points_extension(path: Path | str) -> Path:
    """The path of a file that points can be written to.

    Raises:
        OutputError: another extension.
    """
    if not Path(path).name.lower().endswith(EXTENSIONS):
        raise OutputError(f"{path}: points are written to {', '.join(EXTENSIONS)}. Give the file one of them.")
    return Path(path)


def _markups(points: Points, is_own: bool) -> str:
    content = json.loads(points.document if is_own else _new_markups(points))
    lists = content["markups"]
    kind = lists[0].get("type", "Fiducial")
    if len(lists) > 1 or kind not in _MADE_OF_POINTS:
        what = f"{len(lists)} lists of points" if len(lists) > 1 else f"a {kind}, which is more than its points"
        raise ImageError(f"{points.name} holds {what}. Save one list of points, or move it in Slicer.")
    lists[0].pop("measurements", None)  # lengths and angles of before
    numbers = points.positions * signs_of(lists[0].get("coordinateSystem", "LPS"))
    for point, position in zip(placed_of(lists[0]), numbers.tolist()):
        point["position"] = position
    return json.dumps(content, indent=4)


def _new_markups(points: Points) -> str:
    controls = [{"id": str(n + 1), "label": label, "position": []} for n, label in enumerate(points.labels)]
    markup = {"type": "Fiducial", "coordinateSystem": "LPS", "controlPoints": controls}
    return json.dumps({"@schema": _SCHEMA, "markups": [markup]})


def _fiducials(points: Points, is_own: bool) -> str:
    document = points.document if is_own else _new_fiducials(points)
    signs, left, written = np.ones(3), iter(points.positions), io.StringIO()
    for line in document.splitlines():
        if line.startswith("#"):
            name, _, value = line.lstrip("# ").partition("=")
            signs = signs_of(value.strip()) if name.strip().lower() == "coordinatesystem" else signs
        elif line:
            row = next(csv.reader([line]))
            row[1:4] = [f"{value:.6f}" for value in next(left) * signs]
            line = _row(row)
        written.write(line + "\n")
    return written.getvalue()


def _new_fiducials(points: Points) -> str:
    head = "# Markups fiducial file version = 5.0\n# CoordinateSystem = LPS\n"
    head += "# columns = id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label,desc,associatedNodeID\n"
    rows = [[str(n + 1), *"0000001110", label, "", ""] for n, label in enumerate(points.labels)]
    return head + "".join(_row(row) + "\n" for row in rows)


def _table(points: Points, is_own: bool) -> str:
    if not is_own:
        rows = [[label, *map(_number, place)] for label, place in zip(points.labels, points.positions)]
        return "".join(_row(row) + "\n" for row in [["label", "x", "y", "z"], *rows])
    rows = [row for row in csv.reader(points.document.splitlines()) if any(value.strip() for value in row)]
    columns, _label, has_header = columns_of(rows[0] if rows else [])
    for row, place in zip(rows[has_header:], points.positions):
        for column, value in zip(columns, place):
            row[column] = _number(value)
    return "".join(_row(row) + "\n" for row in rows)


def _number(value: float) -> str:
    return f"{value:.6f}"


def _row(values: list[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(values)
    return text.getvalue()
