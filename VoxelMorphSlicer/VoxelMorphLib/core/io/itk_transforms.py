"""ITK transform files (.h5, .tfm, .txt, .mat) <-> Transform. ITK maps LPS points, fixed -> moving, as we do in RAS."""

from __future__ import annotations

import re
import struct
import tempfile
from pathlib import Path

import numpy as np
import SimpleITK as sitk  # noqa: N813

from ..errors import GeometryError, OutputError
from ..geometry import Geometry
from ..memory import check_memory, is_memory_shortage
from ..transform import AffineTransform, CompositeTransform, DisplacementField, Transform
from .files import check_readable, extension, naming
from .itk import LPS, array_of, geometry_of, itk_image, quiet, swap_ras_lps
from .itk_apart import read_apart
from .itk_hdf5 import can_write_hdf5, write_hdf5
from .matlab_transforms import matlab_as_text
from .text_transforms import read_foreign

ITK_EXTENSIONS = (".h5", ".tfm", ".txt")
#: MATLAB files, which hold a single matrix.
MATRIX_EXTENSION = ".mat"
HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_UNKNOWN = re.compile(r'Could not create an instance of "(\w+?)_(?:double|float)')


def read_itk_transform(path: Path | str, fixed: Geometry | None = None) -> Transform:
    """Read linear transforms, displacement fields and composites of them.

    Args:
        path: of the file.
        fixed: grid on which whatever else ITK can apply, such as a B-spline, is sampled.

    Raises:
        GeometryError: missing or damaged file, or of another kind; not 3-D, or an unsupported kind of transform.
    """
    path = check_readable(path, GeometryError)
    if extension(path) == ".h5":  # ITK and HDF5 crash on some damaged files
        _check_hdf5(path)
        return read_apart(path, fixed)
    with quiet():
        foreign = read_foreign(path)
    if foreign is not None:
        with naming(path):
            return _from_itk(foreign, path, fixed)
    if extension(path) == MATRIX_EXTENSION:
        return _read_matlab(path)
    return read_here(path, fixed=fixed)


def read_here(path: Path | str, named: Path | None = None, fixed: Geometry | None = None) -> Transform:
    """What `read_itk_transform` says, in this process, whose end a damaged HDF5 or MATLAB file may be.

    Args:
        path: of an existing file.
        named: what messages call it; None for `path`.
        fixed: as there.
    """
    source, path = path, named or Path(path)
    try:
        with quiet(), naming(path):
            return _from_itk(sitk.ReadTransform(str(source)), path, fixed)
    except (RuntimeError, MemoryError, UnicodeError) as cause:
        if is_memory_shortage(cause):
            raise
        if "InverseDisplacementField" in str(cause):
            raise GeometryError(
                f"{path} stores its displacement field for the opposite direction (to parent). "
                "In Slicer's Transforms module convert it to a displacement field, then save that."
            ) from cause
        unknown = _UNKNOWN.search(str(cause))
        if unknown:
            raise GeometryError(
                f"{path} holds a {unknown[1]}, which this ITK does not know. Convert it to a displacement field."
            ) from cause
        raise GeometryError(f"{path} is damaged or not an ITK transform file. Export it again.") from cause


def write_itk_transform(transform: Transform, scratch: Path, path: Path) -> None:
    """Write any transform to `scratch`, a linear one where `path` ends in .mat; messages name `path`.

    Raises:
        OutputError: ITK could not write the file.
        OSError: HDF5 could not.
    """
    try:
        if extension(path) == ".h5" and can_write_hdf5():
            write_hdf5(transform, scratch)
            return
        with quiet():
            sitk.WriteTransform(to_itk(transform), str(scratch))
    except RuntimeError as cause:
        raise OutputError(f"{path} could not be written. Check the free space and the folder.") from cause


def to_itk(transform: Transform) -> sitk.Transform:
    """The same map as an ITK transform in LPS, with double precision."""
    if isinstance(transform, CompositeTransform):
        parts = sitk.CompositeTransform(3)
        for part in reversed(transform.transforms):  # ITK applies the part added last first
            parts.AddTransform(to_itk(part))
        return parts
    if isinstance(transform, DisplacementField):
        vectors = swap_ras_lps(transform.array.astype(np.float64))
        return sitk.DisplacementFieldTransform(itk_image(vectors, transform.geometry))  # takes ownership of the image
    ras = transform.as_matrix()
    assert ras is not None
    matrix = LPS @ ras @ LPS
    return sitk.AffineTransform(matrix[:3, :3].ravel().tolist(), matrix[:3, 3].tolist())


def _read_matlab(path: Path) -> Transform:
    text = matlab_as_text(path)
    with tempfile.TemporaryDirectory() as folder:
        readable = Path(folder) / "transform.tfm"
        readable.write_text(text, encoding="latin-1", errors="replace")
        return read_here(readable, path)


def _check_hdf5(path: Path) -> None:
    """Compare the length with the superblock's, because ITK's HDF5 prints its errors to the terminal."""
    with path.open("rb") as stream:
        head = stream.read(64)
    if len(head) < 64 or not head.startswith(HDF5_SIGNATURE):
        raise GeometryError(f"{path} is not an HDF5 file. Export the transform again.")
    (end,) = struct.unpack_from("<Q", head, 40 if head[8] < 2 else 28)
    if path.stat().st_size < end:
        raise GeometryError(f"{path} is truncated: {path.stat().st_size} of {end} bytes. Copy or export it again.")


def _from_itk(transform: sitk.Transform, path: Path, fixed: Geometry | None) -> Transform:
    transform = transform.Downcast()
    if transform.GetDimension() != 3:
        raise GeometryError(f"{path} holds a {transform.GetDimension()}-D transform. Choose a 3-D one.")
    if transform.IsLinear():
        return AffineTransform(LPS @ _matrix(transform) @ LPS)
    if isinstance(transform, sitk.CompositeTransform):
        parts = [part for part in _parts(transform) if part is not None and _is_kept(part)]
        if len(parts) == transform.GetNumberOfTransforms():
            return _simplified(tuple(_from_itk(part, path, fixed) for part in reversed(parts)))
    if isinstance(transform, sitk.DisplacementFieldTransform):
        field = transform.GetDisplacementField()
        if not all(field.GetSize()):
            raise GeometryError(f"{path} is damaged: it ends before its displacement field. Copy or export it again.")
        return DisplacementField(swap_ras_lps(array_of(field)), geometry_of(field, path))
    if fixed is None:
        raise GeometryError(
            f"{path} holds a {transform.GetName()}, which is neither linear nor a displacement field. Give the fixed "
            "volume with it, or convert it to a displacement field, e.g. in Slicer's Transforms module."
        )
    return _sampled(transform, path, fixed)


def _parts(composite: sitk.CompositeTransform) -> list[sitk.Transform | None]:
    """The parts in ITK's order; None for those that SimpleITK has no name for."""
    return [_part(composite, n) for n in range(composite.GetNumberOfTransforms())]


def _part(composite: sitk.CompositeTransform, number: int) -> sitk.Transform | None:
    try:
        return composite.GetNthTransform(number).Downcast()
    except RuntimeError:
        return None


def _is_kept(part: sitk.Transform | None) -> bool:
    """Whether a part becomes one of ours without sampling."""
    if isinstance(part, sitk.CompositeTransform):
        return all(map(_is_kept, _parts(part)))
    return part is not None and (part.IsLinear() or isinstance(part, sitk.DisplacementFieldTransform))


def _sampled(transform: sitk.Transform, path: Path, fixed: Geometry) -> DisplacementField:
    """The displacement at the voxels of a grid."""
    flip = np.diag(LPS)[:3]
    check_memory(path, 12 * int(np.prod(fixed.shape)))
    field = sitk.TransformToDisplacementField(
        transform,
        sitk.sitkVectorFloat32,
        [int(n) for n in fixed.shape],
        (flip * fixed.origin).tolist(),
        fixed.spacing.tolist(),
        (LPS[:3, :3] @ fixed.direction).ravel().tolist(),
    )
    array = swap_ras_lps(array_of(field))
    if not array.any() and any(transform.GetParameters()):
        raise GeometryError(
            f"{path} holds a {transform.GetName()} that moves nothing in the fixed volume. Check that it belongs to it."
        )
    return DisplacementField(array, fixed)


def _simplified(parts: tuple[Transform, ...]) -> Transform:
    composite = CompositeTransform(parts)
    return composite.transforms[0] if len(composite.transforms) == 1 else composite


def _matrix(transform: sitk.Transform) -> np.ndarray:
    """(4, 4), LPS, from where the origin and the unit vectors are mapped."""
    origin, *units = (np.array(transform.TransformPoint(p)) for p in np.vstack([np.zeros(3), np.eye(3)]).tolist())
    matrix = np.eye(4)
    matrix[:3, :3] = np.transpose([unit - origin for unit in units])
    matrix[:3, 3] = origin
    return matrix
