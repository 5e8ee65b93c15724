"""Transforms of FSL: matrices of flirt and fields of fnirt, which map between coordinates of both of their images.

These count mm from the first voxel along the axes of the array, the first axis backwards where the grid is right-handed
in RAS: FSL's FAQ, "What is the format of the matrix used by FLIRT", and `newimage_vox2mm_mat` of its newimage library.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..errors import GeometryError
from ..geometry import Geometry
from ..transform import AffineTransform, DisplacementField

#: NIfTI intents of displacements, and of cubic, DCT and quadratic coefficients: FSL's newimage, `fslio.h`.
FIELD, COEFFICIENTS = 2006, (2007, 2008, 2009)
#: Extension that flirt's manual gives its matrices; others may hold matrices of anything.
FLIRT_EXTENSION = ".mat"
#: Matrices need not be looked for in larger files.
_LONGEST = 1 << 12


def read_matrix(path: Path) -> np.ndarray | None:
    """(4, 4), the matrix of a text file that holds nothing else; None for other files."""
    with path.open("rb") as stream:
        text = stream.read(_LONGEST).decode("latin-1")
    try:
        rows = [[float(word) for word in line.split()] for line in text.splitlines() if line.strip()]
    except ValueError:
        return None
    return np.array(rows) if [len(row) for row in rows] == [4, 4, 4, 4] else None


def flirt_transform(
    matrix: np.ndarray, path: Path, fixed: Geometry | None = None, moving: Geometry | None = None
) -> AffineTransform:
    """A matrix of flirt, which maps its -in, the moving image, onto its -ref, the fixed one.

    Args:
        matrix: (4, 4).
        path: of its file.
        fixed, moving: grids of both images.

    Raises:
        GeometryError: an image is not known, or the file need not be flirt's.
    """
    if fixed is None or moving is None or path.suffix.lower() != FLIRT_EXTENSION:
        raise GeometryError(
            f"{path} holds nothing but a 4x4 matrix, as FSL's flirt and others write it, which does not say between "
            f"which coordinates it maps. If it is flirt's, name it {FLIRT_EXTENSION} and give both of its images; else "
            "convert it to an ITK transform."
        )
    try:
        back = np.linalg.inv(matrix)
    except np.linalg.LinAlgError as cause:
        raise GeometryError(f"{path} holds a matrix that cannot be inverted. Export it again.") from cause
    return AffineTransform(_from_fsl(moving) @ back @ np.linalg.inv(_from_fsl(fixed)))


def fnirt_field(
    array: np.ndarray, intent: int, path: Path, own: Geometry, moving: Geometry | None = None
) -> DisplacementField:
    """A field of fnirt, applywarp or convertwarp.

    Args:
        array: (I, J, K, 3), from a place in the fixed image to the one in the moving image, each in its coordinates.
        intent: of its file.
        path: of its file.
        own: grid of the field, that of the fixed image.
        moving: grid of the moving image.

    Raises:
        GeometryError: coefficients, absolute places, or the moving image is not known.
    """
    if intent in COEFFICIENTS:
        raise GeometryError(
            f"{path} holds the coefficients of FSL's fnirt and no displacements. Make a field of it: `fnirtfileutils "
            f"--in={path.name} --ref=FIXED --out=FIELD --withaff`."
        )
    if moving is None:
        raise GeometryError(
            f"{path} is a field of FSL's fnirt, which maps between coordinates of its two images. Give the moving "
            "image with it."
        )
    places = np.moveaxis(np.indices(own.shape), 0, -1) @ _voxels_to_fsl(own)[:3, :3].T + _voxels_to_fsl(own)[:3, 3]
    # As FSL itself tells them apart, `is_abs_convention` of its warpfns library.
    if np.var(array - places, axis=(0, 1, 2)).sum() < np.var(array, axis=(0, 1, 2)).sum():
        raise GeometryError(
            f"{path} holds places instead of displacements. Convert it with FSL's `convertwarp --relout`."
        )
    to_world = _from_fsl(moving)
    ends = (places + array) @ to_world[:3, :3].T + to_world[:3, 3]
    return DisplacementField((ends - own.points()).astype(np.float32), own)


def _from_fsl(geometry: Geometry) -> np.ndarray:
    """(4, 4), FSL's coordinates of an image -> RAS, mm."""
    return geometry.affine @ np.linalg.inv(_voxels_to_fsl(geometry))


def _voxels_to_fsl(geometry: Geometry) -> np.ndarray:
    matrix = np.diag([*geometry.spacing, 1.0])
    if np.linalg.det(geometry.affine[:3, :3]) > 0:
        matrix[0, 3] = matrix[0, 0] * (geometry.shape[0] - 1)
        matrix[0, 0] *= -1
    return matrix
