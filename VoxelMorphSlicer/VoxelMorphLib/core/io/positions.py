"""Which image files say where their voxels lie, and what to say where only some of several do."""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Iterable
from pathlib import Path

from .files import extension


def lacks_position(path: Path | str) -> bool:
    """Whether a file holds an array alone, as those of the original do; what is wrong with it shows when it is read."""
    if extension(path) == ".npy":
        return True
    if extension(path) != ".npz":
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return "affine.npy" not in archive.namelist()
    except (OSError, zipfile.BadZipFile):
        return False


def mixed_positions(paths: Iterable[Path | str | None]) -> str:
    """A sentence about volumes some of which say where their voxels lie and others do not; "" where all are alike."""
    from .images import IMAGE_EXTENSIONS  # SimpleITK, which some callers do not need

    lacking: dict[bool, Path] = {}
    for path in paths:
        if path is not None and extension(path) in (*IMAGE_EXTENSIONS, ".npy"):
            lacking.setdefault(lacks_position(path), Path(path))
    if len(lacking) < 2:
        return ""
    return (
        f"{lacking[True].name} holds an array without a position, {lacking[False].name} has one. The array is placed "
        "as the original places it: axes to the left, down and to the front, voxels of 1 mm, the middle at the origin. "
        "If both files hold arrays of the same kind, one is turned now: give all files as .npz, or save the array as "
        "NIfTI with the position of its scan."
    )


def warn_of_mixed_positions(paths: Iterable[Path | str | None]) -> None:
    """Warn of what `mixed_positions` says."""
    sentence = mixed_positions(paths)
    if sentence:
        warnings.warn(sentence, stacklevel=3)
