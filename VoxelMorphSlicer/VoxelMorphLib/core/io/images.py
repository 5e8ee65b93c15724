"""Image files <-> Image and LabelMap, whatever the format."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk  # noqa: N813

from ..errors import ImageError, OutputError
from ..geometry import Geometry
from ..image import Image, LabelMap, without_nan_background
from .dicom import is_dicom_folder, read_dicom
from .files import check_readable, extension, naming, replacing
from .itk import (
    NIFTI_EXTENSIONS,
    READERS,
    array_of,
    geometry_of,
    itk_image,
    quiet,
    read_geometry,
    read_itk,
    slice_image,
)
from .mgh import MGH_EXTENSIONS, MGH_TYPES, STORED_AS, check_nibabel, read_mgh, write_mgh
from .minc import MINC_EXTENSION, MINC_NOTE, read_minc
from .nifti import PAIR_EXTENSIONS, read_nifti, read_nifti_geometry, read_pair
from .npz import (
    ARRAY_EXTENSION,
    ARRAY_NOTE,
    IMAGE_KEYS,
    LABEL_KEYS,
    default_geometry,
    plane_geometry,
    read_npy,
    read_npz,
    write_npz,
)

IMAGE_EXTENSIONS = (*READERS, *MGH_EXTENSIONS, ".npz")
#: Files of other programs that are not read, and what to do instead.
_FOREIGN = {
    **dict.fromkeys((".dcm", ".ima"), "a single DICOM file of a series, whose folder can be given instead"),
    **dict.fromkeys((".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"), "a 2-D picture or a stack without position"),
}


def read_image(path: Path | str, name: str | None = None) -> Image:
    """Read one scalar volume.

    Args:
        path: .nii, .nii.gz, .nrrd, .nhdr, .mha, .mhd, .mgh, .mgz or .npz (arrays `vol`, `vol_data` or a single one),
            .npy (one array), a pair of .hdr and .img, .mnc (MINC 2), or a folder with one DICOM series. A 2-D image
            becomes a volume of one slice.
        name: shown in messages; default the file name.

    Raises:
        ImageError: missing or damaged file, or of another kind; several frames, colour, or a single axis.
        GeometryError: impossible spacing, axes or position.
        DependencyError: .mgz without nibabel.
    """
    name = name or Path(path).name
    array, geometry, notes = _read(path, IMAGE_KEYS)
    array, found = without_nan_background(array, name)
    return Image(array, geometry, name, notes + found)


def read_label_map(path: Path | str, name: str | None = None) -> LabelMap:
    """Read a volume of label numbers, `seg` in .npz files; otherwise as `read_image`.

    Raises:
        ImageError: also when a value is not a whole number.
    """
    array, geometry, notes = _read(path, LABEL_KEYS + IMAGE_KEYS)
    return LabelMap(array, geometry, name or Path(path).name, notes)


def read_image_geometry(path: Path | str) -> Geometry:
    """Grid of an image file, read without the voxels if the format allows it; otherwise as `read_image`."""
    if extension(path) in READERS:
        if extension(path) in NIFTI_EXTENSIONS:
            return read_nifti_geometry(path)
        return read_geometry(check_readable(path, ImageError))
    return read_image(path).geometry


def write_image(image: Image, path: Path | str) -> Path:
    """Write a volume in the format of the extension, which must be able to keep its voxel type and position.

    What was read from a 2-D file is written as one again, but for .mgz, which has three axes.

    Returns:
        The path.

    Raises:
        OutputError: unknown extension, a voxel type that it cannot hold, or a folder that cannot be written.
        DependencyError: .mgz without nibabel.
    """
    path = Path(path)
    kind, array = check_image_extension(path), _storable(image, path)
    is_slice = image.geometry.dimensions == 2
    with replacing(path, array.nbytes) as scratch:
        if kind == ".npz":
            key = LABEL_KEYS[0] if isinstance(image, LabelMap) else IMAGE_KEYS[0]
            write_npz(scratch, array[:, :, 0] if is_slice else array, image.geometry.affine, key)
        elif kind in MGH_EXTENSIONS:
            write_mgh(scratch, array, image.geometry.affine)
        else:
            _write_itk((slice_image if is_slice else itk_image)(array, image.geometry), scratch, path)
    return path


def check_image_extension(path: Path | str) -> str:
    """The extension of an image file that can be written.

    Raises:
        OutputError: no format has this extension.
        DependencyError: .mgz without nibabel.
    """
    kind = extension(path)
    if kind not in IMAGE_EXTENSIONS:
        raise OutputError(f"{path}: no image format has the extension {kind!r}. Use one of {_listed()}.")
    if kind in MGH_EXTENSIONS:
        check_nibabel(path)
    return kind


def _read(path: Path | str, keys: tuple[str, ...]) -> tuple[np.ndarray, Geometry, tuple[str, ...]]:
    """Voxels, grid, and sentences about what is ambiguous."""
    if is_dicom_folder(Path(path)):
        return *_from_itk(read_dicom(Path(path)), Path(path)), ()
    path, kind = check_readable(path, ImageError), extension(path)
    if kind == ".npz":
        array, affine = read_npz(path, keys)
        return *_scalar_volume(array, affine, path), ()
    if kind == ARRAY_EXTENSION:
        return *_scalar_volume(read_npy(path), None, path), (ARRAY_NOTE.format(path.name),)
    if kind in MGH_EXTENSIONS:
        return *_scalar_volume(*read_mgh(path), path), ()
    if kind in _FOREIGN:
        raise ImageError(f"{path} is {_FOREIGN[kind]}. Convert it to .nii.gz or .nrrd, e.g. in 3D Slicer.")
    if kind == MINC_EXTENSION:
        return *_from_itk(read_minc(path), path), (MINC_NOTE.format(path.name),)
    if kind not in (*READERS, *PAIR_EXTENSIONS):
        raise ImageError(f"{path}: the extension {kind!r} is not an image format. Convert it to one of {_listed()}.")
    if kind in (*NIFTI_EXTENSIONS, *PAIR_EXTENSIONS):
        nifti = read_nifti(path) if kind in NIFTI_EXTENSIONS else read_pair(path)
        _check_volume(nifti.array.shape, path)
        assert nifti.geometry is not None
        return nifti.array.reshape(nifti.geometry.shape), nifti.geometry, nifti.notes
    return *_from_itk(read_itk(path), path), ()


def _scalar_volume(array: np.ndarray, affine: np.ndarray | None, path: Path) -> tuple[np.ndarray, Geometry]:
    _check_volume(array.shape, path)
    with naming(path):
        if array.ndim == 2:
            return array[..., None], plane_geometry(array.shape, affine)
        return array, default_geometry(array.shape) if affine is None else Geometry(array.shape, affine)


def _from_itk(image: sitk.Image, path: Path) -> tuple[np.ndarray, Geometry]:
    while image.GetDimension() > 3 and image.GetSize()[-1] == 1:
        image = image[(slice(None),) * (image.GetDimension() - 1) + (0,)]
    components = image.GetNumberOfComponentsPerPixel()
    if components > 1:
        raise ImageError(
            f"{path} has {components} values per voxel (colour, vectors or complex numbers). "
            "Convert it to a scalar volume."
        )
    _check_volume(image.GetSize(), path)
    geometry = geometry_of(image, path)
    return array_of(sitk.JoinSeries(image) if image.GetDimension() == 2 else image), geometry


def _check_volume(shape: tuple[int, ...], path: Path) -> None:
    if len(shape) not in (2, 3):
        remedy = "Extract a single frame" if len(shape) > 3 else "Choose a volume or a slice"
        raise ImageError(f"{path} has {len(shape)} dimensions, {'x'.join(map(str, shape))}. {remedy}.")


def check_voxel_type(path: Path | str, dtype: np.dtype) -> None:
    """Make sure that a format can hold voxels of a type; call it before long computations.

    Args:
        path: file to be written.
        dtype: of the voxels; booleans are written as 0 and 1.

    Raises:
        OutputError: it cannot.
    """
    kind = extension(path)
    if kind in MGH_EXTENSIONS:
        allowed = [np.dtype(each).name for each in MGH_TYPES.values()] + list(STORED_AS)
    else:
        allowed = [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)] + ["float32", "float64"]
    if kind != ".npz" and dtype.kind != "b" and dtype.name not in allowed:
        raise OutputError(
            f"{path}: {kind} cannot hold voxels of type {dtype.name}, only {', '.join(allowed)}. "
            "Convert the voxels or choose another format."
        )


def _storable(image: Image, path: Path) -> np.ndarray:
    """The voxels in a type of the format, without changing a value; booleans become 0 and 1."""
    check_voxel_type(path, image.array.dtype)
    return image.array.astype(np.uint8) if image.array.dtype == bool else image.array


def _write_itk(image: sitk.Image, scratch: Path, path: Path) -> None:
    try:
        with quiet():
            sitk.WriteImage(image, str(scratch), useCompression=extension(path) in (".nrrd", ".mha"))
    except RuntimeError as cause:
        raise OutputError(f"{path} could not be written. Check the free space and the folder.") from cause


def _listed() -> str:
    return ", ".join(IMAGE_EXTENSIONS)
