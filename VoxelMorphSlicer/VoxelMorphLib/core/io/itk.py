"""SimpleITK images <-> arrays (I, J, K[, 3]) and Geometry: converts from and to LPS and ITK's axis order."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import SimpleITK as sitk  # noqa: N813

from ..errors import GeometryError, ImageError
from ..geometry import Geometry
from ..memory import check_memory, is_memory_shortage
from .detached import data_file
from .files import LARGEST_COMPRESSION, check_readable, extension, naming
from .metaimage import check_meta_length, read_meta_header

#: Reader of each extension; fixed, so that the content of a file cannot select another reader.
READERS = {
    ".nii": "NiftiImageIO",
    ".nii.gz": "NiftiImageIO",
    ".nrrd": "NrrdImageIO",
    ".nhdr": "NrrdImageIO",
    ".mha": "MetaImageIO",
    ".mhd": "MetaImageIO",
}
NIFTI_EXTENSIONS = (".nii", ".nii.gz")
META_EXTENSIONS = (".mha", ".mhd")

#: RAS <-> LPS for points, vectors and, on both sides, for matrices.
LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def read_itk(path: Path | str) -> sitk.Image:
    """Read a .nrrd, .nhdr, .mha or .mhd file after checking that it is safe to read; ITK prints nothing.

    Raises:
        ImageError: missing, damaged or truncated file, or of another kind.
        GeometryError: impossible spacing or axes.
    """
    path = check_readable(path, ImageError)
    header, data = (read_meta_header(path) if extension(path) in META_EXTENSIONS else None), data_file(path)
    with quiet(), _explained(path):
        reader = _information(path)
        _check_size(reader, path, data)
        if header:
            check_meta_length(header, path, data, _declared_bytes(reader))
        return reader.Execute()


def read_geometry(path: Path, shown: Path | None = None) -> Geometry:
    """Grid of the first three axes of a file that ITK knows; its voxels are not read; messages name `shown`."""
    data_file(path)  # which ITK opens
    shown = shown or path
    with quiet(), _explained(shown):
        return geometry_of(_information(path), shown)


def read_itk_shape(path: Path) -> tuple[tuple[int, ...], int]:
    """Extents of a .nrrd, .nhdr, .mha or .mhd file, and how many values each voxel has; its voxels are not read."""
    data_file(path)  # which ITK opens
    with quiet(), _explained(path):
        reader = _information(path)
        return reader.GetSize(), reader.GetNumberOfComponents()


def geometry_of(image: sitk.Image | sitk.ImageFileReader, path: Path | str) -> Geometry:
    """Grid of the first three axes of an ITK image, in RAS; a 2-D one is a slice of 1 mm at 0, as in Slicer."""
    dimension = image.GetDimension()
    axes = min(dimension, 3)
    lps = np.eye(4)
    lps[:axes, :axes] = np.reshape(image.GetDirection(), (dimension, dimension))[:axes, :axes]
    lps[:axes, :axes] *= image.GetSpacing()[:axes]
    lps[:axes, 3] = image.GetOrigin()[:axes]
    with naming(path):
        return Geometry((*image.GetSize()[:axes], 1)[:3], LPS @ lps, axes)


def array_of(image: sitk.Image) -> np.ndarray:
    """(I, J, K) or (I, J, K, components), a C-contiguous copy of the voxels of a 3-D ITK image."""
    voxels = sitk.GetArrayViewFromImage(image)
    return np.array(np.moveaxis(voxels, (0, 1, 2), (2, 1, 0)), order="C")


def swap_ras_lps(vectors: np.ndarray) -> np.ndarray:
    """A copy of vectors (..., 3) with the first two components negated."""
    swapped = vectors.copy()
    np.negative(vectors[..., :2], out=swapped[..., :2])
    return swapped


def itk_image(array: np.ndarray, geometry: Geometry) -> sitk.Image:
    """ITK image of an array (I, J, K) or, as vectors, (I, J, K, 3); the numbers are copied unchanged."""
    ordered = np.ascontiguousarray(np.moveaxis(array, (0, 1, 2), (2, 1, 0)), dtype=array.dtype.newbyteorder("="))
    image = sitk.GetImageFromArray(ordered, isVector=array.ndim == 4)
    image.SetSpacing(geometry.spacing.tolist())
    image.SetDirection((LPS[:3, :3] @ geometry.direction).ravel().tolist())
    image.SetOrigin((LPS[:3, :3] @ geometry.origin).tolist())
    return image


def slice_image(array: np.ndarray, geometry: Geometry) -> sitk.Image:
    """2-D ITK image of an array (I, J, 1) whose geometry has two dimensions."""
    volume = itk_image(array, geometry)
    image = volume[:, :, 0]
    image.SetDirection(np.reshape(volume.GetDirection(), (3, 3))[:2, :2].ravel().tolist())  # ITK may take another one
    return image


def _information(path: Path) -> sitk.ImageFileReader:
    reader = sitk.ImageFileReader()
    reader.SetImageIO(READERS[extension(path)])
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    _check_spacing(reader.GetSpacing(), path)
    return reader


@contextmanager
def quiet() -> Iterator[None]:
    """Keep ITK's warnings off the terminal; errors are still raised."""
    before = sitk.ProcessObject.GetGlobalWarningDisplay()
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalWarningDisplay(before)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except (RuntimeError, MemoryError, OverflowError, UnicodeError) as cause:
        if is_memory_shortage(cause):
            raise
        text = str(cause).replace(str(path), "").lower()
        if any(word in text for word in ("orthonormal", "determinant", "spacing")):
            raise GeometryError(
                f"{path} has sheared, parallel or missing voxel axes, which ITK does not read. "
                "Resample the volume onto an orthogonal grid or correct the header."
            ) from cause
        raise ImageError(f"{path} is damaged or not a {extension(path)} file. Copy or export it again.") from cause


def _declared_bytes(reader: sitk.ImageFileReader) -> int:
    size = int(np.prod(reader.GetSize(), dtype=object)) * reader.GetNumberOfComponents()
    return size * _bytes_per_component(reader.GetPixelIDValue())


def _bytes_per_component(pixel_id: int) -> int:
    bits = re.search(r"(8|16|32|64)[- ]bit", sitk.GetPixelIDValueAsString(pixel_id))
    return int(bits.group(1)) // 8 if bits else 1


def _check_size(reader: sitk.ImageFileReader, path: Path, data: Path) -> None:
    declared, found = _declared_bytes(reader), data.stat().st_size
    if declared > found * LARGEST_COMPRESSION:
        raise ImageError(
            f"{path} announces {'x'.join(map(str, reader.GetSize()))} voxels ({declared / 1e9:.3g} GB) "
            f"but its data have {found} bytes. Copy or export it again."
        )
    check_memory(path, declared)


def _check_spacing(spacing: tuple[float, ...], path: Path) -> None:
    if not np.isfinite(spacing).all() or min(spacing) <= 0:
        raise GeometryError(f"{path} has the voxel spacing {list(spacing)} mm. Correct the file header.")
