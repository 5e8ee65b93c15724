"""Transform parameter files of elastix -> ITK transforms: linear ones, B-splines, and those that continue others.

Their format: https://elastix.dev/doxygen/classelastix_1_1TransformBase.html; like ITK it maps LPS points, fixed ->
moving, and its B-splines have the coefficients of ITK's on a grid whose direction is listed by columns.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path, PurePosixPath, PureWindowsPath

import numpy as np
import SimpleITK as sitk  # noqa: N813

from ..errors import GeometryError
from ..memory import check_memory
from .files import check_readable
from .paths import exists

#: Name of elastix -> the transform of ITK with the same parameters.
LINEAR: dict[str, Callable[[], sitk.Transform]] = {
    "TranslationTransform": lambda: sitk.TranslationTransform(3),
    "EulerTransform": sitk.Euler3DTransform,
    "SimilarityTransform": sitk.Similarity3DTransform,
    "AffineTransform": lambda: sitk.AffineTransform(3),
}
BSPLINES = ("BSplineTransform", "RecursiveBSplineTransform")
#: Entries that name the transform that comes before, of later and of earlier versions.
_INITIAL = ("InitialTransformParameterFileName", "InitialTransformParametersFileName")
#: Files that continue one another, at most.
_LONGEST_CHAIN = 20
_ENTRY = re.compile(r"^\(([A-Za-z]\w*) +([^()\n]*)\)", re.MULTILINE)
_REMEDY = "Convert it to a displacement field with `transformix -def all`."


def is_elastix(head: str) -> bool:
    """Whether the beginning of a text is that of a file of elastix; its entries come in any order."""
    names = {name for name, _value in _ENTRY.findall(head)}
    return "Transform" in names or bool(names & {"FixedImageDimension", "NumberOfParameters"})


def read_elastix(path: Path) -> sitk.Transform:
    """The transform of a file, behind those that it continues, which lie in the same folder.

    Raises:
        GeometryError: a transform of another kind or dimension, or a file that is missing or damaged.
    """
    parts = _chain(path)
    if len(parts) == 1:
        return parts[0]
    whole = sitk.CompositeTransform(3)
    for part in parts:  # ITK applies the part added last first
        whole.AddTransform(part)
    return whole


def _chain(path: Path) -> list[sitk.Transform]:
    """The transforms, last first."""
    parts: list[sitk.Transform] = []
    current: Path | None = path
    while current is not None:
        if len(parts) == _LONGEST_CHAIN:
            raise GeometryError(f"{path} continues more than {_LONGEST_CHAIN} other files. {_REMEDY}")
        entries = _entries(current)
        parts.append(_transform(entries, current))
        current = _initial(entries, current)
    return parts


def _entries(path: Path) -> dict[str, str]:
    check_memory(path, 12 * path.stat().st_size)
    text = path.read_text("latin-1")
    entries = dict(_ENTRY.findall(text))
    if "Transform" not in entries:
        raise GeometryError(f"{path} is a parameter file of elastix without a transform. Choose TransformParameters.")
    return entries


def _initial(entries: dict[str, str], path: Path) -> Path | None:
    """The file that a transform continues; elastix names it from where it was run, so its folder counts nothing."""
    named = next((_word(entries, name) for name in _INITIAL if name in entries), "")
    if named in ("", "NoInitialTransform"):
        return None
    if _word(entries, "HowToCombineTransforms") == "Add":
        raise GeometryError(f"{path} is added to the transform {named} instead of following it. {_REMEDY}")
    name = min(PurePosixPath(named).name, PureWindowsPath(named).name, key=len)
    beside = path.parent / name
    if not exists(beside):
        raise GeometryError(
            f"{path} continues {named}, and no file {name} lies beside it. Put it into the same folder."
        )
    beside = check_readable(beside, GeometryError)
    if beside.resolve().parent not in (path.parent.resolve(), path.resolve().parent):
        raise GeometryError(f"{path} continues {name}, a link to another folder. Copy the file there.")
    return beside


def _transform(entries: dict[str, str], path: Path) -> sitk.Transform:
    kind, whole = _word(entries, "Transform"), f"{path} is a transform of elastix"
    if kind not in (*LINEAR, *BSPLINES):
        raise GeometryError(f"{whole}, a {kind}, which is not read. {_REMEDY}")
    if entries.get("FixedImageDimension", "3").strip() != "3":
        raise GeometryError(f"{whole} in {entries['FixedImageDimension']} dimensions. Choose a 3-D one.")
    if _word(entries, "UseDirectionCosines") == "false":
        raise GeometryError(f"{whole} that leaves out the directions of the images, which is not read. {_REMEDY}")
    return _linear(entries, kind, whole) if kind in LINEAR else _bspline(entries, kind, whole)


def _linear(entries: dict[str, str], kind: str, whole: str) -> sitk.Transform:
    transform = LINEAR[kind]()
    parameters, centre = _numbers(entries, "TransformParameters"), _numbers(entries, "CenterOfRotationPoint")
    needs_centre = kind != "TranslationTransform"
    if len(parameters) != transform.GetNumberOfParameters() or (needs_centre and len(centre) != 3):
        raise GeometryError(
            f"{whole}, but has no {transform.GetNumberOfParameters()} numbers as TransformParameters or no 3 as "
            "CenterOfRotationPoint. Export it again."
        )
    if needs_centre:
        transform.SetFixedParameters([*centre, *transform.GetFixedParameters()[3:]])
    if isinstance(transform, sitk.Euler3DTransform) and _word(entries, "ComputeZYX") == "true":
        transform.SetComputeZYX(True)
    transform.SetParameters(parameters)
    return transform


def _bspline(entries: dict[str, str], kind: str, whole: str) -> sitk.Transform:
    order = _numbers(entries, "BSplineTransformSplineOrder") or [3.0]
    if _word(entries, "UseCyclicTransform") == "true" or order[0] not in (1, 2, 3):
        raise GeometryError(
            f"{whole}, a {kind} that is cyclic or of the order {order[0]:g}, which is not read. {_REMEDY}"
        )
    size, spacing, origin = (_numbers(entries, f"Grid{name}") for name in ("Size", "Spacing", "Origin"))
    index, columns = _numbers(entries, "GridIndex") or [0.0] * 3, _numbers(entries, "GridDirection")
    parameters = _numbers(entries, "TransformParameters")
    fits = [len(each) for each in (size, spacing, origin, index, columns)] == [3, 3, 3, 3, 9]
    if not fits or min(size) <= order[0] or min(spacing) <= 0 or len(parameters) != 3 * np.prod(size):
        raise GeometryError(
            f"{whole}, but its grid (GridSize, GridSpacing, GridOrigin, GridDirection) is incomplete, or it has no 3 "
            "TransformParameters for each of its nodes. Export it again."
        )
    direction = np.reshape(columns, (3, 3)).T
    first = np.array(origin) + direction @ (np.array(spacing) * index)
    transform = sitk.BSplineTransform(3, int(order[0]))
    transform.SetFixedParameters([*size, *first, *spacing, *direction.ravel()])
    transform.SetParameters(parameters)
    return transform


def _word(entries: dict[str, str], name: str) -> str:
    return entries.get(name, "").strip('" ')


def _numbers(entries: dict[str, str], name: str) -> list[float]:
    """The finite numbers of an entry; empty if something else is there."""
    try:
        numbers = [float(word) for word in entries.get(name, "").split()]
    except ValueError:
        return []
    return numbers if np.isfinite(numbers).all() else []
