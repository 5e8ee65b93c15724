"""Transforms in text files that are not ITK's: those of elastix."""

from __future__ import annotations

from pathlib import Path

import SimpleITK as sitk  # noqa: N813

from .elastix_transforms import is_elastix, read_elastix

#: Other files need not be looked at further than this.
_LONGEST = 1 << 16


def read_foreign(path: Path) -> sitk.Transform | None:
    """The transform of a text file of elastix; None for a file that is not known here.

    Raises:
        GeometryError: a transform of elastix that is not read.
    """
    with path.open("rb") as stream:
        text = stream.read(_LONGEST).decode("latin-1").replace("\r\n", "\n")
    return read_elastix(path) if is_elastix(text) else None
