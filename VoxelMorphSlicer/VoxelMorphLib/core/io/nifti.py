"""NIfTI files -> voxels (I, J, K[, frames]) and Geometry.

The voxels are read here and the position by ITK, as Slicer does. ITK's own reading of the voxels fills truncated
files with zeros without an error, allocates whatever a damaged header asks for, and reads `a.nii`
instead of a requested `a.nii.gz` beside it. Field offsets: nifti1.h, https://nifti.nimh.nih.gov/nifti-1.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path

import numpy as np

from ..errors import ImageError
from ..geometry import Geometry
from ..memory import check_memory
from .files import LARGEST_COMPRESSION, check_readable, extension
from .nifti2 import LENGTH, LONGER, as_nifti1
from .nifti_position import HEADER, SINGLE_FILE_OFFSET, check_position, place
from .paths import exists

#: Real scalar types by their NIfTI code.
SCALARS = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4", 1024: "i8", 1280: "u8"}
#: Bytes of one voxel, red first, by NIfTI code.
COLOURS = {128: 3, 2304: 4}

#: Headers and voxels in two files.
PAIR_EXTENSIONS = (".hdr", ".img", ".hdr.gz", ".img.gz")

UNIT_MM = 2
#: Of the units of time in the same byte.
_SECONDS = {8: 1.0, 16: 1e-3, 24: 1e-6}


@dataclass(frozen=True, eq=False)
class NiftiFile:
    """The content of a file.

    Args:
        array: (I, J[, K[, ...]]), scaled as the header says, trailing axes of length one beyond the third removed;
            colours are a last axis of three or four bytes.
        intent: NIfTI intent code.
        in_mm: the header states mm as the unit of space; FreeSurfer's do, those of the original VoxelMorph do not.
        geometry: of the first three axes; of two it has a single slice. None of one axis.
        notes: sentences about positions that contradict each other.
        is_colour: the last axis holds the bytes of colours.
        step: from one frame to the next, in seconds where the file says so.
    """

    array: np.ndarray
    intent: int
    in_mm: bool
    geometry: Geometry | None
    notes: tuple[str, ...] = ()
    is_colour: bool = False
    step: float = 1.0


def read_nifti(path: Path | str, takes_colours: bool = False) -> NiftiFile:
    """Read a .nii or .nii.gz file.

    Args:
        path: of the file.
        takes_colours: read colours too, which are refused else.

    Raises:
        ImageError: missing, not NIfTI-1 or NIfTI-2, not real scalars, or shorter than the header says.
        GeometryError: a spacing that is not positive, NaN in the position, or sheared axes.
    """
    path = check_readable(path, ImageError)
    with _decompressing(path) as stream:
        header, shape = _header(stream, path)
        is_colour = takes_colours and int(header["datatype"]) in COLOURS
        array = _voxels(stream, header, shape, path, is_colour)
        stream.read(1)  # at the end a compressed file compares its checksum
    in_mm = int(header["xyzt_units"]) & 7 == UNIT_MM
    geometry, notes = place(header, shape, path) if len(shape) >= 2 else (None, ())
    return NiftiFile(array, int(header["intent_code"]), in_mm, geometry, notes, is_colour, _step(header))


def read_pair(path: Path | str) -> NiftiFile:
    """Read a NIfTI or Analyze pair, placed as ITK and Slicer do.

    Args:
        path: of the header (.hdr) or of the voxels (.img); the other one lies beside it. Either may end in .gz.

    Raises:
        ImageError: also of a missing half.
        GeometryError: as `read_nifti`.
    """
    header_path, data_path = (_half(Path(path), kind) for kind in (".hdr", ".img"))
    with _decompressing(header_path) as stream:
        header, shape = _header(stream, header_path)
    with _decompressing(data_path) as stream:
        array = _voxels(stream, header, shape, data_path, begin=0)
    geometry, notes = place(header, shape, header_path) if len(shape) >= 2 else (None, ())
    if header["magic"] not in (b"n+1", b"ni1"):
        notes += (
            f"{header_path.name} is in the format Analyze, which does not say where left and right are, nor where the "
            "volume lies. It was placed as ITK and 3D Slicer place it; check left and right.",
        )
    return NiftiFile(array, int(header["intent_code"]), True, geometry, notes)


def _half(path: Path, kind: str) -> Path:
    """The header or the voxels of a pair, by the name of either."""
    if extension(path) in (kind, f"{kind}.gz"):
        return check_readable(path, ImageError)
    name = re.sub(r"\.(hdr|img)(\.gz)?$", "", path.name, flags=re.IGNORECASE)
    known = [path.with_name(name + each) for each in (kind, kind.upper(), f"{kind}.gz")]
    found = next((each for each in known if exists(each)), None)
    if found is None:
        raise ImageError(f"{path} is one half of a pair, and {known[0].name} does not lie beside it. Copy it there.")
    return check_readable(found, ImageError)


def read_nifti_geometry(path: Path | str) -> Geometry:
    """Grid of the axes of space of a .nii or .nii.gz file; its voxels are not read; otherwise as `read_nifti`.

    Raises:
        ImageError: also of a single axis.
    """
    path = check_readable(path, ImageError)
    with _decompressing(path) as stream:
        header, shape = _header(stream, path)
    if len(shape) < 2:
        raise ImageError(f"{path} has a single axis of {shape[0]} voxels. Choose a volume or a slice.")
    return place(header, shape, path)[0]


def read_nifti_shape(path: Path | str) -> tuple[tuple[int, ...], bool]:
    """Extents of a .nii or .nii.gz file, and whether it holds colours; its voxels are not read."""
    path = check_readable(path, ImageError)
    with _decompressing(path) as stream:
        header, shape = _header(stream, path)
    return shape, int(header["datatype"]) in COLOURS


@contextmanager
def _decompressing(path: Path) -> Iterator[BufferedIOBase]:
    try:
        with _open(path) as stream:
            yield stream
    except (EOFError, zlib.error, gzip.BadGzipFile) as cause:
        raise ImageError(f"{path} is damaged: its compressed data end early or are wrong. Copy it again.") from cause


def _header(stream: BufferedIOBase, path: Path) -> tuple[np.void, tuple[int, ...]]:
    header = _parse(stream, path)
    shape = _shape(header, path)
    check_position(header, shape, path)
    return header, shape


def _open(path: Path) -> BufferedIOBase:
    with path.open("rb") as stream:
        is_compressed = stream.read(2) == b"\x1f\x8b"
    return gzip.open(path) if is_compressed else path.open("rb")


def _parse(stream: BufferedIOBase, path: Path) -> np.void:
    raw = stream.read(HEADER.itemsize)
    is_analyze = extension(path) in PAIR_EXTENSIONS
    if len(raw) == HEADER.itemsize:
        for layout in (HEADER.newbyteorder("<"), HEADER.newbyteorder(">")):
            header = np.frombuffer(raw, layout)[0]
            if header["sizeof_hdr"] == HEADER.itemsize and header["magic"] in (b"n+1", b"ni1"):
                return header
            if header["sizeof_hdr"] == HEADER.itemsize and is_analyze:
                return _of_analyze(header)
            if header["sizeof_hdr"] == LENGTH:
                return as_nifti1(raw + stream.read(LONGER), layout["sizeof_hdr"].byteorder, path)
    raise ImageError(f"{path} is not a NIfTI file: its header is not recognised. Export the volume again.")


def _of_analyze(header: np.void) -> np.void:
    """The header of an Analyze file, which has other things where NIfTI keeps position and scale."""
    plain = header.copy()
    plain["qform_code"] = plain["sform_code"] = plain["intent_code"] = 0
    plain["scl_slope"], plain["scl_inter"], plain["xyzt_units"] = 0, 0, UNIT_MM
    plain["pixdim"] = np.abs(plain["pixdim"])  # a sign that flips, in some programs
    return plain


def _shape(header: np.void, path: Path) -> tuple[int, ...]:
    count = int(header["dim"][0])
    shape = [int(n) for n in header["dim"][1 : count + 1]] if 1 <= count <= 7 else []
    if not shape or min(shape) < 1:
        raise ImageError(f"{path} has impossible extents {header['dim'].tolist()} in its header. Export it again.")
    while len(shape) > 3 and shape[-1] == 1:
        shape.pop()
    return tuple(shape)


def _step(header: np.void) -> float:
    """From one frame to the next; 1 where the file has no such number."""
    step, unit = float(header["pixdim"][4]), int(header["xyzt_units"]) & 0x38
    return step * _SECONDS.get(unit, 1.0) if np.isfinite(step) and step > 0 else 1.0


def _voxels(
    stream: BufferedIOBase,
    header: np.void,
    shape: tuple[int, ...],
    path: Path,
    is_colour: bool = False,
    begin: int = HEADER.itemsize,
) -> np.ndarray:
    """The voxels of a stream that stands at the byte `begin` of its file."""
    code, offset = int(header["datatype"]), float(header["vox_offset"]) or float(SINGLE_FILE_OFFSET if begin else 0)
    if code not in SCALARS and not is_colour:
        raise ImageError(
            f"{path} has voxels of NIfTI type {code}, which are not real scalars (colour or complex). "
            "Convert it to a scalar volume."
        )
    if not begin <= offset < 2**31:
        raise ImageError(f"{path} places its voxels at byte {offset:g}, which is impossible. Export it again.")
    stored = np.dtype(SCALARS.get(code, "u1")).newbyteorder(header.dtype["sizeof_hdr"].byteorder)
    parts = COLOURS[code] if is_colour else 1
    skipped, needed = int(offset) - begin, parts * stored.itemsize * int(np.prod(shape, dtype=object))
    if needed <= path.stat().st_size * LARGEST_COMPRESSION:
        check_memory(path, needed)
    found = _read_at_most(stream, skipped + needed)
    if len(found) < skipped + needed:
        raise ImageError(
            f"{path} is truncated: its header announces {'x'.join(map(str, shape))} voxels in "
            f"{int(offset) + needed} bytes, found {begin + len(found)}. Copy or export it again."
        )
    voxels = np.frombuffer(found, stored, offset=skipped)
    if is_colour:
        return np.ascontiguousarray(np.moveaxis(voxels.reshape((parts, *shape), order="F"), 0, -1))
    return _scaled(voxels.reshape(shape, order="F"), header)


def _read_at_most(stream: BufferedIOBase, count: int) -> bytearray:
    """Read in blocks, so that memory depends on the file's size and not on what its header claims."""
    found = bytearray()
    while len(found) < count:
        block = stream.read(min(1 << 22, count - len(found)))
        if not block:
            break
        found += block
    return found


def _scaled(stored: np.ndarray, header: np.void) -> np.ndarray:
    array = stored.astype(stored.dtype.newbyteorder("="), order="C")
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    intercept = intercept if np.isfinite(intercept) else 0.0
    is_scaled = np.isfinite(slope) and slope != 0 and (slope, intercept) != (1, 0)
    if not is_scaled:
        return array
    return (array * slope + intercept).astype(np.result_type(array.dtype, np.float32))
