"""FreeSurfer .mgh and .mgz <-> arrays (I, J, K[, 3]) and voxel -> RAS matrices, through nibabel.

Header layout and the intent in the version number: FreeSurfer `mriio.cpp`; tags of warps: `fstagsio.cpp`.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path
from types import ModuleType

import numpy as np

from ..errors import DependencyError, ImageError, OutputError
from ..memory import check_memory
from .files import LARGEST_COMPRESSION, check_readable

MGH_EXTENSIONS = (".mgz", ".mgh")
#: Bytes per voxel of each voxel type.
MGH_TYPES = {0: np.uint8, 1: np.int32, 3: np.float32, 4: np.int16, 10: np.uint16}
#: Types that are written as another one: the format has no longer floats, so that those keep seven digits.
STORED_AS = {"float64": np.float32, "float16": np.float32, "int8": np.int16, "bool": np.uint8}
HEADER_BYTES = 284
INTENT_WARP = 6
#: Tag 13 with its length: what kind of warp, spacing, exp_k. Kind 3 is a displacement in RAS.
WARP_TAG = struct.pack(">iq", 13, 12)
WARP_DISPLACEMENT_RAS = 3


def read_mgh(path: Path | str) -> tuple[np.ndarray, np.ndarray]:
    """Voxels, without a last axis of one frame, and the (4, 4) voxel -> RAS matrix.

    Raises:
        ImageError: missing, damaged or truncated file, or of another kind, or a warp that is not a RAS displacement.
        DependencyError: nibabel is not installed.
    """
    path = check_readable(path, ImageError)
    nibabel = _nibabel(path)
    content = bytearray(_content(path))
    if content[2:3] != b"\0":
        _check_warp(content, path)
    content[:4] = struct.pack(">i", 1)  # nibabel does not know intents
    try:
        with np.errstate(all="ignore"):  # a damaged position is found by Geometry
            image = nibabel.MGHImage.from_bytes(bytes(content))
            array, affine = np.asarray(image.dataobj), image.affine
    except MemoryError:
        raise
    except Exception as cause:  # nibabel has no common error class
        raise ImageError(f"{path} is damaged: nibabel cannot read it. Copy or export it again.") from cause
    return array.astype(array.dtype.newbyteorder("="), order="C"), affine


def write_mgh(path: Path, array: np.ndarray, affine: np.ndarray) -> None:
    """Write an array of one of the `MGH_TYPES` or of `STORED_AS`.

    Raises:
        OutputError: numbers beyond those of single precision.
    """
    nibabel = _nibabel(path)
    with np.errstate(over="ignore"):
        array, given = array.astype(STORED_AS.get(array.dtype.name, array.dtype), copy=False), array
    if array.dtype.kind == "f" and np.isinf(array).any() and np.isfinite(given).all():
        raise OutputError(
            f"{path} cannot hold numbers beyond {np.finfo(np.float32).max:.2g}. Scale the voxels or choose .nii.gz."
        )
    nibabel.MGHImage(array, affine).to_filename(str(path))


def check_nibabel(path: Path | str) -> None:
    """Refuse a file that cannot be written here, before the work.

    Raises:
        DependencyError: nibabel is not installed.
    """
    _nibabel(Path(path))


def _nibabel(path: Path) -> ModuleType:
    try:
        import nibabel
    except ImportError as cause:
        raise DependencyError(
            f"{path.name} needs the Python package nibabel. Install it with `pip install nibabel`, in Slicer's Python "
            "console `slicer.util.pip_install('nibabel')`, or convert the file to NIfTI."
        ) from cause
    return nibabel


def _content(path: Path) -> bytes:
    """The decompressed file; never more than its header announces."""
    with path.open("rb") as stream:
        is_compressed = stream.read(2) == b"\x1f\x8b"
    try:
        with gzip.open(path) if is_compressed else path.open("rb") as stream:
            header = stream.read(HEADER_BYTES)
            needed = _voxel_bytes(header, path)
            if needed > path.stat().st_size * LARGEST_COMPRESSION:
                raise ImageError(f"{path} announces {needed / 1e9:.3g} GB, which its size rules out. Copy it again.")
            check_memory(path, needed)
            body = stream.read(needed)
            if len(body) < needed:
                raise ImageError(f"{path} is truncated: {needed} bytes announced, {len(body)} found. Copy it again.")
            return header + body + stream.read(1 << 20)
    except (EOFError, zlib.error, gzip.BadGzipFile) as cause:
        raise ImageError(f"{path} is damaged: its compressed data end early or are wrong. Copy it again.") from cause


def _voxel_bytes(header: bytes, path: Path) -> int:
    if len(header) == HEADER_BYTES:
        version, *dims, kind = struct.unpack(">6i", header[:24])
        if version & 0xFF == 1 and 0 <= version < 1 << 24 and min(dims) > 0:
            if kind not in MGH_TYPES:
                raise ImageError(f"{path} has voxels of MGH type {kind}, which is not a real scalar. Convert it first.")
            return int(np.prod(dims, dtype=object)) * np.dtype(MGH_TYPES[kind]).itemsize
    raise ImageError(f"{path} is not an MGH file: its header is not recognised. Export the volume again.")


def _check_warp(content: bytes, path: Path) -> None:
    version = struct.unpack(">i", content[:4])[0]
    tag = content.rfind(WARP_TAG)
    kind = content[tag + len(WARP_TAG) : tag + len(WARP_TAG) + 4]
    if version >> 8 == INTENT_WARP and (tag < 0 or kind != struct.pack(">i", WARP_DISPLACEMENT_RAS)):
        raise ImageError(
            f"{path} is a FreeSurfer warp that does not hold RAS displacements. "
            "Convert it with `mri_warp_convert --outfmt disp_ras`, or write it with mri_synthmorph."
        )
