"""Transforms in text files that are not ITK's: those of elastix are read, plain matrices named for what they are."""

from __future__ import annotations

from pathlib import Path

import SimpleITK as sitk  # noqa: N813

from ..errors import GeometryError
from .elastix_transforms import is_elastix, read_elastix

#: Other files need not be looked at further than this.
_LONGEST = 1 << 16


def read_foreign(path: Path) -> sitk.Transform | None:
    """The transform of a text file of elastix; None for a file that is not known here.

    Raises:
        GeometryError: a transform of elastix that is not read, or a matrix that says nothing else.
    """
    with path.open("rb") as stream:
        text = stream.read(_LONGEST).decode("latin-1").replace("\r\n", "\n")
    if _is_matrix(text):
        raise GeometryError(
            f"{path} holds nothing but a 4x4 matrix, as FSL's flirt and others write it, which does not say between "
            "which coordinates it maps. Convert it to an ITK transform, e.g. with `c3d_affine_tool -ref FIXED -src "
            "MOVING MATRIX -fsl2ras -oitk OUT.txt` if it is flirt's."
        )
    return read_elastix(path) if is_elastix(text) else None


def _is_matrix(text: str) -> bool:
    rows = [line.split() for line in text.splitlines() if line.strip()]
    return [len(row) for row in rows] == [4, 4, 4, 4] and all(_is_number(word) for row in rows for word in row)


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
