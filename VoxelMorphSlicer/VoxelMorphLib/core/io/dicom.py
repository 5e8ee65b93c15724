"""Folders with one DICOM series -> ITK image, by SimpleITK's series reader, after a look at where the slices are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import SimpleITK as sitk  # noqa: N813

from ..errors import AccessError, GeometryError, ImageError
from ..memory import check_memory, is_memory_shortage
from .itk import quiet
from .paths import entries, is_file, is_folder

READER = "GDCMImageIO"
#: Steps between slices may differ by this part of their median, and point this far (sine) from the normal.
STEP_TOLERANCE, TILT_TOLERANCE = 0.02, 1e-3
BYTES_PER_VOXEL = 4


def is_dicom_folder(path: Path) -> bool:
    """Whether a folder directly holds DICOM images, and nothing that would block who opens it."""
    try:
        if not is_folder(path):
            return False
        str(path).encode("utf-8")  # ITK ends the process on other names
        if not all(is_file(entry) or is_folder(entry) for entry in entries(path)):
            return False
    except (AccessError, ValueError):  # who reads it says so
        return False
    return bool(_series(path))


def read_dicom(path: Path) -> sitk.Image:
    """Read the series of a folder.

    Raises:
        ImageError: several series, a single slice, or damaged files.
        GeometryError: missing or repeated slices, or a tilted gantry.
    """
    series = _series(path)
    if len(series) != 1:
        raise ImageError(f"{path} holds {len(series)} DICOM series. Put the one to read into a folder of its own.")
    try:
        with quiet():
            files = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(path), series[0])
            _check_slices(files, path)
            reader = sitk.ImageSeriesReader()
            reader.SetImageIO(READER)
            reader.SetFileNames(files)
            return reader.Execute()
    except (RuntimeError, UnicodeError) as cause:
        if is_memory_shortage(cause):
            raise
        raise ImageError(f"{path} holds DICOM files that cannot be read together. Export the series again.") from cause


def _series(path: Path) -> tuple[str, ...]:
    with quiet():
        return tuple(sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(path)))


def _check_slices(files: Sequence[str], path: Path) -> None:
    first = _information(files[0])
    if first.GetDimension() == 3 and first.GetSize()[2] > 1 and len(files) == 1:  # an enhanced file holds all slices
        return
    if len(files) == 1:
        raise ImageError(f"{path} holds a single DICOM slice. Choose a folder with the whole series.")
    check_memory(path, BYTES_PER_VOXEL * len(files) * int(np.prod(first.GetSize(), dtype=object)))
    steps = np.diff([_information(file).GetOrigin() for file in files], axis=0)
    lengths = np.linalg.norm(steps, axis=1)
    usual = float(np.median(lengths))
    if lengths.min() <= 0 or np.abs(lengths - usual).max() > STEP_TOLERANCE * usual:
        raise GeometryError(
            f"{path} has DICOM slices that are {lengths.min():.3g} to {lengths.max():.3g} mm apart: some are missing, "
            "repeated or of another volume. Export the series again, as a single volume."
        )
    normal = np.reshape(first.GetDirection(), (3, 3))[:, 2]
    if np.linalg.norm(np.cross(steps.sum(axis=0) / lengths.sum(), normal)) > TILT_TOLERANCE:
        raise GeometryError(f"{path} was taken with a tilted gantry. Resample it to upright slices, e.g. in 3D Slicer.")


def _information(file: str) -> sitk.ImageFileReader:
    reader = sitk.ImageFileReader()
    reader.SetImageIO(READER)
    reader.SetFileName(file)
    reader.ReadImageInformation()
    return reader
