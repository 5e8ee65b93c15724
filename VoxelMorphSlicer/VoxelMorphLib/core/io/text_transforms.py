"""Transforms in text files that are not ITK's: linear ones of elastix are read, others named for what they are.

Parameters of elastix: https://elastix.dev/doxygen/classelastix_1_1TransformBase.html; like ITK it maps LPS points,
fixed -> moving.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import SimpleITK as sitk  # noqa: N813

from ..errors import GeometryError

#: Name of elastix -> the transform of ITK with the same parameters.
LINEAR: dict[str, Callable[[], sitk.Transform]] = {
    "TranslationTransform": lambda: sitk.TranslationTransform(3),
    "EulerTransform": sitk.Euler3DTransform,
    "SimilarityTransform": sitk.Similarity3DTransform,
    "AffineTransform": lambda: sitk.AffineTransform(3),
}
#: Other files need not be looked at further than this.
_LONGEST = 1 << 16
_ENTRY = re.compile(r"^\(([A-Za-z]\w*) +([^()\n]*)\)", re.MULTILINE)
_REMEDY = "Convert it to a displacement field with `transformix -def all`."


def read_foreign(path: Path) -> sitk.Transform | None:
    """The transform of a text file of elastix; None for a file that is not known here.

    Raises:
        GeometryError: a transform of elastix that is not linear or not alone, or a matrix that says nothing else.
    """
    with path.open("rb") as stream:
        text = stream.read(_LONGEST).decode("latin-1").replace("\r\n", "\n")
    if _is_matrix(text):
        raise GeometryError(
            f"{path} holds nothing but a 4x4 matrix, as FSL's flirt and others write it, which does not say between "
            "which coordinates it maps. Convert it to an ITK transform, e.g. with `c3d_affine_tool -ref FIXED -src "
            "MOVING MATRIX -fsl2ras -oitk OUT.txt` if it is flirt's."
        )
    entries = dict(_ENTRY.findall(text))
    return _elastix(entries, path) if "Transform" in entries else None


def _is_matrix(text: str) -> bool:
    rows = [line.split() for line in text.splitlines() if line.strip()]
    return [len(row) for row in rows] == [4, 4, 4, 4] and all(_is_number(word) for row in rows for word in row)


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _elastix(entries: dict[str, str], path: Path) -> sitk.Transform:
    kind, whole = entries["Transform"].strip('" '), f"{path} is a transform of elastix"
    initial = entries.get("InitialTransformParametersFileName", entries.get("InitialTransformParameterFileName", ""))
    if kind not in LINEAR:
        raise GeometryError(f"{whole}, a {kind}, which is not read. {_REMEDY}")
    if initial.strip('" ') not in ("", "NoInitialTransform"):
        raise GeometryError(f"{whole} that continues another one, {initial}, which is not read. {_REMEDY}")
    if entries.get("FixedImageDimension", "3").strip() != "3":
        raise GeometryError(f"{whole} in {entries['FixedImageDimension']} dimensions. Choose a 3-D one.")
    if entries.get("UseDirectionCosines", "").strip('" ') == "false":
        raise GeometryError(f"{whole} that leaves out the directions of the images, which is not read. {_REMEDY}")
    transform = LINEAR[kind]()
    parameters, centre = _numbers(entries, "TransformParameters"), _numbers(entries, "CenterOfRotationPoint")
    needs_centre = kind != "TranslationTransform"
    if len(parameters) != transform.GetNumberOfParameters() or (needs_centre and len(centre) != 3):
        raise GeometryError(
            f"{whole}, but has no {transform.GetNumberOfParameters()} numbers as TransformParameters or no 3 as "
            "CenterOfRotationPoint. Export it again."
        )
    return _filled(transform, parameters, centre if needs_centre else [], entries)


def _filled(
    transform: sitk.Transform, parameters: list[float], centre: list[float], entries: dict[str, str]
) -> sitk.Transform:
    if centre:
        transform.SetFixedParameters([*centre, *transform.GetFixedParameters()[3:]])
    if isinstance(transform, sitk.Euler3DTransform) and entries.get("ComputeZYX", "").strip('" ') == "true":
        transform.SetComputeZYX(True)
    transform.SetParameters(parameters)
    return transform


def _numbers(entries: dict[str, str], name: str) -> list[float]:
    """The finite numbers of an entry; empty if something else is there."""
    words = entries.get(name, "").split()
    if not all(_is_number(word) for word in words) or not np.isfinite([float(word) for word in words]).all():
        return []
    return [float(word) for word in words]
