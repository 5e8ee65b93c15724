"""Transform files <-> Transform, whatever the format; all in RAS mm, fixed -> moving."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np

from ..errors import GeometryError, ImageError, OutputError, UnplacedFieldError
from ..geometry import Geometry
from ..transform import AffineTransform, CompositeTransform, DisplacementField, Transform
from .displacement_files import FIELD_EXTENSIONS, read_displacement, write_displacement
from .files import check_readable, extension, replacing
from .fsl import flirt_transform, read_matrix
from .itk import NIFTI_EXTENSIONS
from .itk_transforms import ITK_EXTENSIONS, MATRIX_EXTENSION, read_itk_transform, write_itk_transform
from .lta import read_lta, write_lta
from .mgh import MGH_EXTENSIONS, check_nibabel
from .nifti import read_nifti
from .npz import read_npz
from .npz_fields import FIELD_ARCHIVE, read_npz_field, write_npz_field

KINDS = ("affine", "displacement", "composite")
#: Files of one displacement per voxel, which sample any transform on the fixed grid.
SAMPLED = (*FIELD_EXTENSIONS, FIELD_ARCHIVE)
#: Kinds of transforms that each extension can hold.
WRITABLE = {**dict.fromkeys((*ITK_EXTENSIONS, *SAMPLED), KINDS), ".lta": ("affine",), MATRIX_EXTENSION: ("affine",)}


def read_transform(path: Path | str, fixed: Geometry | None = None, moving: Geometry | None = None) -> Transform:
    """Read a transform.

    Args:
        path: .h5, .tfm, .txt, .mat (ITK), .txt (elastix), .mat (flirt), .nrrd, .nhdr, .mha, .mhd, .nii, .nii.gz
            (displacement field), .mgz, .mgh (FreeSurfer warp), .npz (voxel displacements with their position) or .lta.
        fixed: grid on which B-splines are sampled, and of voxel warps that name none; without it both are refused.
        moving: grid of the other image, without which the transforms of FSL are refused.

    Raises:
        GeometryError: missing file, or a transform of another kind or direction.
        ImageError: the image of a displacement field is damaged.
        DependencyError: .mgz without nibabel.

    Warns:
        UserWarning: a plain matrix is taken for one of flirt.
    """
    kind = extension(path)
    if kind in (*ITK_EXTENSIONS, MATRIX_EXTENSION):
        matrix = read_matrix(check_readable(path, GeometryError)) if kind != ".h5" else None
        if matrix is None:
            return read_itk_transform(path, fixed)
        transform = flirt_transform(matrix, Path(path), fixed, moving)
        warnings.warn(
            f"{path} is taken for a matrix of FSL's flirt, which brings the moving image onto the fixed one.",
            stacklevel=2,
        )
        return transform
    if kind == ".lta":
        return read_lta(path)
    if kind in SAMPLED:
        try:
            return read_npz_field(path) if kind == FIELD_ARCHIVE else read_displacement(path, moving)
        except UnplacedFieldError:
            if fixed is None:
                raise
        return read_voxel_warp(path, fixed)
    raise GeometryError(f"{path}: no transform format has the extension {kind!r}. Use one of {', '.join(WRITABLE)}.")


def write_transform(
    transform: Transform, path: Path | str, fixed: Geometry | None = None, moving: Geometry | None = None
) -> Path:
    """Write a transform in the format of the extension.

    Args:
        transform: fixed -> moving.
        path: see `WRITABLE`.
        fixed: grid of the space that `transform` starts from. Files of one displacement per voxel sample it there;
            without it a field keeps its own grid. .lta files store it.
        moving: grid of the other space, which .lta files store.

    Returns:
        The path.

    Raises:
        OutputError: the extension cannot hold this kind of transform or needs `fixed`, or the folder cannot be written.
        DependencyError: .mgz without nibabel.
    """
    path = Path(path)
    kind = check_transform_extension(path, kind_of(transform))
    if kind in SAMPLED:
        _write_sampled(_sampled(transform, path, fixed), path)
        return path
    with replacing(path, _expected_bytes(transform)) as scratch:
        if isinstance(transform, AffineTransform) and kind == ".lta":
            write_lta(transform, scratch, fixed, moving)
        else:
            write_itk_transform(transform, scratch, path)
    return path


def _sampled(transform: Transform, path: Path, grid: Geometry | None) -> DisplacementField:
    if grid is not None:
        return transform.to_displacement(grid)
    if isinstance(transform, DisplacementField):
        return transform
    raise OutputError(
        f"{path} holds a displacement for every voxel of a grid, and this transform ({kind_of(transform)}) has none. "
        f"Give the grid of the fixed image, or use one of {', '.join(ITK_EXTENSIONS)}."
    )


def _write_sampled(field: DisplacementField, path: Path) -> None:
    with replacing(path, _expected_bytes(field)) as scratch:
        if extension(path) == FIELD_ARCHIVE:
            write_npz_field(field, scratch)
        else:
            write_displacement(field, scratch, path)


def kind_of(transform: Transform) -> str:
    """ "affine", "displacement" or "composite"."""
    kinds = {AffineTransform: "affine", DisplacementField: "displacement", CompositeTransform: "composite"}
    return kinds[type(transform)]


def check_transform_extension(path: Path | str, kind: str) -> str:
    """The extension of a file that can hold a kind of transform; call it before long computations.

    Args:
        path: file to be written.
        kind: "affine", "displacement" or "composite".

    Raises:
        OutputError: it cannot hold this kind, or no transform format has this extension.
        DependencyError: .mgz without nibabel.
    """
    found = extension(path)
    able = [each for each, kinds in WRITABLE.items() if kind in kinds]
    if found not in WRITABLE:
        raise OutputError(f"{path}: no transform format has the extension {found!r}. Use one of {', '.join(able)}.")
    if kind not in WRITABLE[found]:
        raise OutputError(
            f"{path}: {found} cannot hold this transform ({kind}), only {WRITABLE[found][0]}. "
            f"Use one of {', '.join(able)}."
        )
    if found in MGH_EXTENSIONS:
        check_nibabel(path)
    return found


def read_voxel_warp(path: Path | str, geometry: Geometry) -> DisplacementField:
    """Import a warp of the original VoxelMorph: displacements in voxels of the fixed grid, without a position.

    Args:
        path: .npz, .nii or .nii.gz with an array (I, J, K, 3), or (3, I, J, K) as the torch branch writes it.
        geometry: of the fixed image that the network saw.

    Returns:
        The field in RAS mm: the matrix of the grid times the voxel displacement.

    Raises:
        ImageError: missing or damaged file.
        GeometryError: the array does not fit the grid.
    """
    path = check_readable(path, ImageError)
    array = read_nifti(path).array if extension(path) in NIFTI_EXTENSIONS else read_npz(path)[0]
    array = np.squeeze(array) if array.ndim == 5 else array
    if array.shape == (3, *geometry.shape):
        array = np.moveaxis(array, 0, -1)
    if array.shape != (*geometry.shape, 3):
        raise GeometryError(
            f"{path} has the shape {array.shape}, which does not fit a fixed image of {geometry.shape} voxels. "
            "Give the fixed image with which the warp was made."
        )
    axes = geometry.affine[:3, :3].T
    return DisplacementField((array @ axes).astype(np.float32), geometry)


def _expected_bytes(transform: Transform) -> int:
    parts = transform.transforms if isinstance(transform, CompositeTransform) else (transform,)
    return sum(8 * part.array.size for part in parts if isinstance(part, DisplacementField))
