"""Volumes of any kind <-> Image or Series: scalar, in colour, of vectors, or with frames of time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk  # noqa: N813

from ..errors import ImageError, OutputError
from ..geometry import Geometry
from ..image import Image
from ..series import CHANNELS, COLOURS, FRAMES, Series, Volume
from .dicom import is_dicom_folder
from .files import check_readable, extension, naming, replacing
from .images import check_image_extension, check_voxel_type, read_image, read_label_map, write_image
from .itk import LPS, NIFTI_EXTENSIONS, READERS, array_of, geometry_of, itk_image, quiet, read_itk, read_itk_shape
from .mgh import MGH_EXTENSIONS, read_mgh, write_mgh
from .nifti import read_nifti, read_nifti_shape
from .nifti_series import write_nifti_series
from .npz import IMAGE_KEYS, LABEL_KEYS, default_geometry, read_npz, write_npz


def read_volume(path: Path | str, as_labels: bool = False) -> Volume:
    """Read a volume with one or several values per voxel.

    Args:
        path: as of `read_image`.
        as_labels: it holds label numbers.

    Returns:
        An `Image`, or a `LabelMap`; a `Series` where there are several values per voxel.

    Raises:
        ImageError: as `read_image`, or frames that have several values per voxel themselves.
        GeometryError: impossible spacing, axes or position.
        DependencyError: .mgz without nibabel.
    """
    found = None if is_dicom_folder(Path(path)) else _series(check_readable(path, ImageError), as_labels)
    if found is None:
        return read_label_map(path) if as_labels else read_image(path)
    return found


def write_volume(volume: Volume, path: Path | str) -> Path:
    """Write a volume in the format of the extension, which must be able to keep its voxel type and position.

    Raises:
        OutputError: as `write_image`.
    """
    if isinstance(volume, Image):
        return write_image(volume, path)
    path, kind = Path(path), check_image_extension(path)
    check_voxel_type(path, volume.array.dtype)
    array = volume.array.astype(np.uint8) if volume.array.dtype == bool else volume.array
    with replacing(path, array.nbytes) as scratch:
        if kind == ".npz":
            write_npz(scratch, array, volume.geometry.affine, IMAGE_KEYS[0])
        elif kind in MGH_EXTENSIONS:
            write_mgh(scratch, array, volume.geometry.affine)
        elif kind in NIFTI_EXTENSIONS:
            write_nifti_series(volume.with_array(array, volume.geometry), scratch)
        else:
            _write_itk(volume.with_array(array, volume.geometry), scratch, path)
    return path


def _series(path: Path, as_labels: bool) -> Series | None:
    """None for a file with one value per voxel, and for one that only `read_image` can speak about."""
    kind = extension(path)
    if kind in NIFTI_EXTENSIONS:
        shape, is_colour = read_nifti_shape(path)
        return _from_nifti(path) if len(shape) > 3 or (is_colour and len(shape) == 3) else None
    if kind in READERS:
        size, components = read_itk_shape(path)
        return _from_itk(path) if components > 1 or size[3:] not in ((), (1,)) else None
    if kind in MGH_EXTENSIONS:
        array, affine = read_mgh(path)
        return _placed(array, affine, path, FRAMES)
    if kind == ".npz":
        array, matrix = read_npz(path, (LABEL_KEYS if as_labels else ()) + IMAGE_KEYS)
        return _placed(array, matrix, path, CHANNELS)
    return None


def _placed(array: np.ndarray, affine: np.ndarray | None, path: Path, kind: str) -> Series | None:
    if array.ndim != 4:
        return None
    with naming(path):
        geometry = default_geometry(array.shape) if affine is None else Geometry(array.shape[:3], affine)
        return Series(array, geometry, path.name, kind)


def _from_nifti(path: Path) -> Series:
    nifti = read_nifti(path, takes_colours=True)
    array, kind = nifti.array, FRAMES
    if nifti.is_colour:
        kind = COLOURS
    elif array.ndim == 5 and array.shape[3] == 1:
        array, kind = array[:, :, :, 0], CHANNELS
    _check_axes(array.shape, path)
    assert nifti.geometry is not None
    intent = nifti.intent or None
    return Series(array, nifti.geometry, path.name, kind, nifti.step, intent, notes=nifti.notes)


def _from_itk(path: Path) -> Series:
    image = read_itk(path)
    components, dimension = image.GetNumberOfComponentsPerPixel(), image.GetDimension()
    _check_axes((*image.GetSize(), *((components,) if components > 1 else ())), path)
    metadata = {key: image.GetMetaData(key) for key in image.GetMetaDataKeys()}
    if dimension == 4:
        array = np.array(np.transpose(sitk.GetArrayViewFromImage(image)), order="C")
        step = float(image.GetSpacing()[3])
        return Series(array, geometry_of(image, path), path.name, FRAMES, step, metadata=metadata)
    array = array_of(image)
    is_colour = array.dtype == np.uint8 and components in (3, 4)
    return Series(array, geometry_of(image, path), path.name, COLOURS if is_colour else CHANNELS, metadata=metadata)


def _check_axes(shape: tuple[int, ...], path: Path) -> None:
    if len(shape) != 4:
        raise ImageError(
            f"{path} has {len(shape)} axes, {'x'.join(map(str, shape))}. Save its frames or its channels one by one."
        )


def _write_itk(series: Series, scratch: Path, path: Path) -> None:
    image = _frames(series) if series.kind == FRAMES else itk_image(series.array, series.geometry)
    for key, text in series.metadata.items():
        if not key.startswith(("ITK_", "NRRD_")):
            image.SetMetaData(key, text)
    try:
        with quiet():
            sitk.WriteImage(image, str(scratch), useCompression=extension(path) in (".nrrd", ".mha"))
    except RuntimeError as cause:
        raise OutputError(f"{path} could not be written. Check the free space and the folder.") from cause
    if series.metadata.get("NRRD_kinds[pixel]") == "list" and extension(path) in (".nrrd", ".nhdr"):
        _call_list(scratch)


def _call_list(scratch: Path) -> None:
    """Say that the first axis is a list, as Slicer expects of sequences; ITK calls it a vector whatever it was."""
    head, gap, voxels = scratch.read_bytes().partition(b"\n\n")
    scratch.write_bytes(head.replace(b"\nkinds: vector ", b"\nkinds: list ", 1) + gap + voxels)


def _frames(series: Series) -> sitk.Image:
    """A 4-D image of ITK."""
    image = sitk.GetImageFromArray(np.ascontiguousarray(series.array.T), isVector=False)
    geometry, direction = series.geometry, np.eye(4)
    direction[:3, :3] = LPS[:3, :3] @ geometry.direction
    image.SetSpacing([*geometry.spacing.tolist(), series.step])
    image.SetDirection(direction.ravel().tolist())
    image.SetOrigin([*(LPS[:3, :3] @ geometry.origin).tolist(), 0.0])
    return image
