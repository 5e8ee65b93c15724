"""The header of a NIfTI-2 file -> that of NIfTI-1. Field offsets: nifti2.h, https://nifti.nimh.nih.gov/nifti-2."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np

from ..errors import ImageError
from .nifti_position import HEADER, layout

LENGTH = 540
#: Bytes by which the header is longer than that of NIfTI-1.
LONGER = LENGTH - HEADER.itemsize
#: Field: (type, offset).
FIELDS = {
    "magic": ("S3", 4),
    "datatype": ("i2", 12),
    "bitpix": ("i2", 14),
    "dim": ("8i8", 16),
    "pixdim": ("8f8", 104),
    "vox_offset": ("i8", 168),
    "scl_slope": ("f8", 176),
    "scl_inter": ("f8", 184),
    "qform_code": ("i4", 344),
    "sform_code": ("i4", 348),
    "quaternion": ("3f8", 352),
    "qoffset": ("3f8", 376),
    "srow": ("(3,4)f8", 400),
    "xyzt_units": ("i4", 500),
    "intent_code": ("i4", 504),
}
_LAYOUT = layout(FIELDS, LENGTH)


def as_nifti1(raw: bytes, byte_order: Literal["<", ">", "=", "|"], path: Path) -> np.void:
    """A NIfTI-1 header with the same content; its voxels begin `LONGER` bytes earlier, as the header is shorter.

    Raises:
        ImageError: not a NIfTI-2 header, or numbers in it that a volume cannot have.
    """
    if len(raw) != LENGTH or raw[4:7] != b"n+2":
        raise ImageError(f"{path} is not a NIfTI file: its header is not recognised. Export the volume again.")
    found = np.frombuffer(raw, _LAYOUT.newbyteorder(byte_order))[0]
    dim, offset = found["dim"], int(found["vox_offset"])
    if dim.min() < 0 or dim.max() > np.iinfo(np.int16).max:
        raise ImageError(f"{path} has impossible extents {dim.tolist()} in its header. Export it again.")
    header: Any = np.zeros(1, HEADER.newbyteorder(byte_order))
    with np.errstate(all="ignore"):  # what is out of range becomes infinite, and is refused as such
        for name in FIELDS:
            header[name][0] = found[name]
    header["sizeof_hdr"], header["magic"] = HEADER.itemsize, b"n+1"
    header["vox_offset"] = (offset - LONGER) if offset else 0
    first: np.void = header[0]
    return first
