"""The header of a NIfTI-1 file -> Geometry, by ITK as Slicer does, and what about it is ambiguous.

ITK reads a corrected copy of the header, so that rounding, unset fields and unusual file names do not stop it. Field
offsets: nifti1.h, https://nifti.nimh.nih.gov/nifti-1.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from ..errors import GeometryError
from ..geometry import Geometry
from .files import naming
from .itk import read_geometry

#: Field: (type, offset).
FIELDS = {
    "sizeof_hdr": ("i4", 0),
    "dim": ("8i2", 40),
    "intent_code": ("i2", 68),
    "datatype": ("i2", 70),
    "bitpix": ("i2", 72),
    "pixdim": ("8f4", 76),
    "vox_offset": ("f4", 108),
    "scl_slope": ("f4", 112),
    "scl_inter": ("f4", 116),
    "xyzt_units": ("u1", 123),
    "qform_code": ("i2", 252),
    "sform_code": ("i2", 254),
    "quaternion": ("3f4", 256),
    "qoffset": ("3f4", 268),
    "srow": ("(3,4)f4", 280),
    "magic": ("S4", 344),
}


def layout(fields: dict[str, tuple[str, int]], length: int) -> np.dtype:
    """The structured type of a header.

    Args:
        fields: name: (type, offset).
        length: bytes of the whole.
    """
    kinds, offsets = zip(*fields.values())
    return np.dtype({"names": list(fields), "formats": kinds, "offsets": offsets, "itemsize": length})


HEADER = layout(FIELDS, 348)

#: Byte of the first voxel behind the header of a single file.
SINGLE_FILE_OFFSET = 352
#: mm of the units of space.
_UNITS = {1: 1000.0, 2: 1.0, 3: 1e-3}
#: Two positions are the same up to this part of a voxel, and two spacings up to this part of themselves.
_SAME_VOX, _SAME_SPACING = 0.05, 1e-3


def check_position(header: np.void, shape: tuple[int, ...], path: Path) -> None:
    """Refuse what ITK would take for something else.

    Raises:
        GeometryError: a spacing that is not positive, NaN in the position, or sheared axes.
    """
    spacing = header["pixdim"][1 : min(len(shape), 3) + 1]
    by_sform = header["sform_code"] > 0 and header["qform_code"] <= 0
    unset = by_sform and not spacing.any()
    if not unset and (not np.isfinite(spacing).all() or spacing.min() <= 0):
        raise GeometryError(f"{path} has the voxel spacing {_listed(spacing)} mm. Correct the file header.")
    used = [header["quaternion"], header["qoffset"]] if header["qform_code"] > 0 else []
    used += [header["srow"]] if header["sform_code"] > 0 else []
    if not all(np.isfinite(values).all() for values in used):
        raise GeometryError(f"{path} holds NaN or infinity in the position of its header. Correct the file header.")
    if by_sform and len(shape) >= 3:
        with naming(path):
            Geometry(shape[:3], _sform(header))


def place(header: np.void, shape: tuple[int, ...], path: Path) -> tuple[Geometry, tuple[str, ...]]:
    """The grid that ITK makes of a checked header of at least two axes, and sentences about contradictions."""
    if len(shape) == 2:
        geometry, notes = place(_with_third_axis(header), (*shape, 1), path)
        return geometry.as_slice(), notes
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "header.nii"
        file.write_bytes(_corrected(header, shape).ljust(SINGLE_FILE_OFFSET, b"\0"))
        geometry = read_geometry(file, path)
    return geometry, tuple(_contradictions(header, geometry, path))


def _with_third_axis(header: np.void) -> np.void:
    """The header of a 2-D image as that of a slice, which 2-D programs leave without a thickness."""
    completed = header.copy()
    if not completed["pixdim"][3] > 0:
        completed["pixdim"][3] = 1
    axes = completed["srow"][:, :3]
    if header["sform_code"] > 0 and not axes[:, 2].any():
        normal = np.cross(axes[:, 0], axes[:, 1])
        axes[:, 2] = normal / max(float(np.linalg.norm(normal)), 1e-12) * completed["pixdim"][3]
    return completed


def _corrected(header: np.void, shape: tuple[int, ...]) -> bytes:
    """The header of a volume of bytes at the same place, its axes exactly orthogonal."""
    content = bytearray(header.tobytes())
    fields = np.frombuffer(content, header.dtype)[0:1]
    fields["dim"][0] = (3, *shape[:3], 1, 1, 1, 1)
    fields["intent_code"], fields["datatype"], fields["bitpix"] = 0, 2, 8
    fields["vox_offset"], fields["scl_slope"], fields["scl_inter"] = SINGLE_FILE_OFFSET, 1, 0
    fields["magic"] = b"n+1"
    fields["pixdim"][0][4:] = 1
    if header["sform_code"] > 0 and header["qform_code"] <= 0:
        axes = _sform(header)[:3, :3]
        spacing = np.linalg.norm(axes, axis=0)
        left, _sizes, right = np.linalg.svd(axes / spacing)
        fields["srow"][0][:, :3] = (left @ right) * spacing
        if not header["pixdim"][1:4].any():
            fields["pixdim"][0][1:4] = spacing
    return bytes(content)


def _contradictions(header: np.void, geometry: Geometry, path: Path) -> list[str]:
    if header["sform_code"] <= 0:
        return []
    stored, sform = header["pixdim"][1:4].astype(float), _sform(header)
    spacing = np.linalg.norm(sform[:3, :3], axis=0)
    if stored.any() and np.abs(stored - spacing).max() > _SAME_SPACING * spacing.max():
        return [
            f"{path.name} has the voxel spacing {_listed(stored)} mm in its header (pixdim), but {_listed(spacing)} mm "
            f"in its sform. {_listed(geometry.spacing)} mm are used, as in ITK and 3D Slicer; correct the header if "
            "that is wrong."
        ]
    if header["qform_code"] <= 0:
        return []
    qform, corners = _qform(header), _corners(geometry.shape)
    apart = _largest_distance(sform, qform, corners)
    if apart <= _SAME_VOX * spacing.min():
        return []
    unit = _UNITS.get(int(header["xyzt_units"]) & 7, 1.0)
    chosen = geometry.affine / [unit, unit, unit, unit]
    by_sform = _largest_distance(sform, chosen, corners) < _largest_distance(qform, chosen, corners)
    used, other = ("sform", "qform") if by_sform else ("qform", "sform")
    return [
        f"The sform and qform of {path.name} place it up to {apart * unit:.3g} mm apart. Its {used} is used, as in ITK "
        f"and 3D Slicer, and results have that position in both; programs that use the {other} show it elsewhere."
    ]


def _sform(header: np.void) -> np.ndarray:
    return np.vstack([header["srow"].astype(float), (0, 0, 0, 1)])


def _qform(header: np.void) -> np.ndarray:
    """The matrix of the quaternion, https://nifti.nimh.nih.gov/nifti-1/documentation/nifti1fields, method 2."""
    b, c, d = header["quaternion"].astype(float)
    a = np.sqrt(max(0.0, 1 - b * b - c * c - d * d))
    rotation = np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ]
    )
    spacing = header["pixdim"][1:4].astype(float) * (1, 1, -1 if header["pixdim"][0] < 0 else 1)
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = rotation * spacing, header["qoffset"]
    return matrix


def _corners(shape: tuple[int, ...]) -> np.ndarray:
    """(4, 8), homogeneous voxel positions."""
    ends = np.stack(np.meshgrid(*[(0, n - 1) for n in shape], indexing="ij")).reshape(3, 8)
    return np.vstack([ends, np.ones((1, 8))])


def _largest_distance(first: np.ndarray, second: np.ndarray, corners: np.ndarray) -> float:
    return float(np.linalg.norm(((first - second) @ corners)[:3], axis=0).max())


def _listed(values: np.ndarray) -> str:
    return str([float(f"{value:.6g}") for value in values])
