"""Series -> NIfTI files: frames as a fourth axis, channels as a fifth one, colours as bytes of one voxel.

ITK writes neither frames of any number nor colours. It writes the position of one volume, the rest of the header is
completed here: nifti1.h, https://nifti.nimh.nih.gov/nifti-1.
"""

from __future__ import annotations

import gzip
from io import BufferedWriter
from pathlib import Path

import numpy as np
import SimpleITK as sitk  # noqa: N813

from ..geometry import Geometry
from ..series import CHANNELS, COLOURS, FRAMES, Series
from .files import extension
from .itk import itk_image, quiet
from .nifti import COLOURS as COLOUR_CODES
from .nifti import SCALARS
from .nifti_position import HEADER, SINGLE_FILE_OFFSET

#: Intent of channels of which nothing else is known: a vector.
VECTOR = 1007
#: mm and s.
_UNITS = 2 | 8


def write_nifti_series(series: Series, scratch: Path) -> None:
    """Write to `scratch`, compressed if its extension says so.

    Raises:
        RuntimeError: ITK could not write the position.
    """
    head = _header(series, scratch)
    with _opened(scratch) as stream:
        stream.write(head)
        if series.kind == COLOURS:
            for plane in np.moveaxis(series.array, 2, 0):
                stream.write(np.ascontiguousarray(plane.transpose(1, 0, 2)).tobytes())
        else:
            for frame in np.moveaxis(series.array, 3, 0):
                stream.write(np.ascontiguousarray(frame.T, frame.dtype.newbyteorder("=")).tobytes())


def _opened(scratch: Path) -> gzip.GzipFile | BufferedWriter:
    return gzip.GzipFile(scratch, "wb", 1, mtime=0) if extension(scratch).endswith(".gz") else scratch.open("wb")


def _header(series: Series, scratch: Path) -> bytes:
    """The bytes before the voxels."""
    head = bytearray(_positioned(series.geometry, scratch))
    fields = np.frombuffer(head, HEADER, count=1)
    count, dtype = len(series), series.array.dtype
    if series.kind == COLOURS:
        code, extents, bits = next(c for c, n in COLOUR_CODES.items() if n == count), [], 8 * count
    else:
        code = next(c for c, name in SCALARS.items() if np.dtype(name) == dtype.newbyteorder("="))
        extents, bits = ([count] if series.kind == FRAMES else [1, count]), 8 * dtype.itemsize
    shape = [*series.geometry.shape, *extents]
    fields["dim"] = [len(shape), *shape, *[1] * (7 - len(shape))]
    fields["datatype"], fields["bitpix"] = code, bits
    fields["pixdim"][0, 4:] = [series.step, 1, 1, 1]
    fields["xyzt_units"] = _UNITS
    fields["intent_code"] = _intent(series)
    return bytes(head)


def _intent(series: Series) -> int:
    if series.intent is not None:
        return series.intent
    return VECTOR if series.kind == CHANNELS else 0


def _positioned(geometry: Geometry, scratch: Path) -> bytes:
    """Header and gap of a scalar volume at the place, as ITK writes it."""
    plain = scratch.with_name("position.nii")
    with quiet():
        sitk.WriteImage(itk_image(np.zeros(geometry.shape, np.uint8), geometry), str(plain))
    try:
        with plain.open("rb") as stream:
            return stream.read(SINGLE_FILE_OFFSET)
    finally:
        plain.unlink()
