"""Geometry: the shape of a voxel grid and its position in the patient (RAS millimetres)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from .errors import GeometryError

#: Largest deviation from orthogonality, as cosine between two axes, that rounding in file headers explains.
SHEAR_TOLERANCE = 1e-3


def _as_shape(shape: Sequence[int]) -> tuple[int, ...]:
    values = tuple(int(n) for n in shape)
    if len(values) != 3 or min(values) < 1:
        raise GeometryError(f"A grid needs three positive extents, got {values}. Choose a 3-D volume.")
    return values


def _as_affine(affine: np.ndarray) -> np.ndarray:
    matrix = np.array(affine, dtype=np.float64)
    if matrix.shape != (4, 4) or not np.allclose(matrix[3], (0, 0, 0, 1)):
        raise GeometryError(f"The voxel-to-RAS matrix must be 4x4 with last row 0 0 0 1, got {matrix.tolist()}.")
    if not np.isfinite(matrix).all():
        raise GeometryError(
            f"The voxel-to-RAS matrix holds NaN or infinity: {matrix.tolist()}. Repair the file header."
        )
    _check_axes(matrix[:3, :3])
    matrix.flags.writeable = False
    return matrix


def _check_axes(axes: np.ndarray) -> None:
    spacing = np.linalg.norm(axes, axis=0)
    if spacing.min() < 1e-6:
        fault = "has an entry below 1e-06; check its unit" if spacing.min() > 0 else "has a zero entry"
        listed = [float(f"{value:.6g}") for value in spacing]
        raise GeometryError(f"The voxel spacing {listed} mm {fault}. Correct the file header.")
    cosines = axes / spacing
    shear = np.abs(cosines.T @ cosines - np.eye(3)).max()
    if shear > SHEAR_TOLERANCE:
        raise GeometryError(
            f"The voxel axes are sheared (largest cosine between two axes {shear:.4f}, allowed {SHEAR_TOLERANCE}). "
            "Resample the volume onto an orthogonal grid first."
        )


@dataclass(frozen=True, eq=False)
class Geometry:
    """A grid of voxel centres; it may be oblique, anisotropic and left-handed.

    Args:
        shape: (I, J, K), number of voxels along each array axis.
        affine: (4, 4), voxel (i, j, k) -> RAS mm; orthogonal columns of any length and handedness.
        dimensions: 2 of a single slice whose file knows no third axis, and is written without one again.

    Raises:
        GeometryError: not three positive extents, or a singular, non-finite or sheared matrix.
    """

    shape: tuple[int, ...]
    affine: np.ndarray = field(repr=False)
    dimensions: int = 3

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", _as_shape(self.shape))
        object.__setattr__(self, "affine", _as_affine(self.affine))

    @classmethod
    def from_parts(
        cls,
        shape: Sequence[int] | np.ndarray,
        spacing: Sequence[float] | np.ndarray,
        direction: np.ndarray,
        origin: Sequence[float] | np.ndarray,
    ) -> Geometry:
        """Build from spacing (mm), direction cosines (3, 3, columns are axes) and origin (RAS mm)."""
        affine = np.eye(4)
        affine[:3, :3] = np.asarray(direction, float) * np.asarray(spacing, float)
        affine[:3, 3] = origin
        return cls(tuple(shape), affine)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Geometry) and self.matches(other)

    __hash__ = None  # type: ignore[assignment]  # equality has a tolerance, so hashes would be inconsistent

    @property
    def spacing(self) -> np.ndarray:
        """(3,), mm between neighbouring voxel centres along I, J, K."""
        return np.linalg.norm(self.affine[:3, :3], axis=0)

    @property
    def direction(self) -> np.ndarray:
        """(3, 3), unit columns: RAS directions of the I, J, K axes."""
        return self.affine[:3, :3] / self.spacing

    @property
    def origin(self) -> np.ndarray:
        """(3,), RAS mm of the centre of voxel (0, 0, 0)."""
        return self.affine[:3, 3].copy()

    @property
    def centre(self) -> np.ndarray:
        """(3,), RAS mm of the middle of the grid."""
        return self.voxel_to_world((np.array(self.shape) - 1) / 2)

    @property
    def world_to_voxel_affine(self) -> np.ndarray:
        """(4, 4), RAS mm -> voxel (i, j, k)."""
        return np.linalg.inv(self.affine)

    @property
    def flat_axis(self) -> int | None:
        """The array axis along which a single slice has its one voxel; None of volumes, and of lines."""
        single = [axis for axis, extent in enumerate(self.shape) if extent == 1]
        return single[0] if len(single) == 1 else None

    @property
    def orientation(self) -> str:
        """Three letters such as "RAS" or "LIA": the anatomical direction nearest to each array axis."""
        return "".join("RAS"[axis] if sign > 0 else "LPI"[axis] for axis, sign in self.axes_to_ras())

    def axes_to_ras(self) -> list[tuple[int, int]]:
        """For each array axis the nearest RAS axis (each used once) and the sign of their product."""
        direction = self.direction
        remaining = np.abs(direction)
        result = [(0, 1)] * 3
        for _ in range(3):
            axis, column = np.unravel_index(np.argmax(remaining), (3, 3))
            result[column] = (int(axis), 1 if direction[axis, column] > 0 else -1)
            remaining[axis, :] = -1
            remaining[:, column] = -1
        return result

    def voxel_to_world(self, voxels: np.ndarray) -> np.ndarray:
        """Map (..., 3) voxel coordinates to (..., 3) RAS mm."""
        return np.asarray(voxels, float) @ self.affine[:3, :3].T + self.affine[:3, 3]

    def world_to_voxel(self, points: np.ndarray) -> np.ndarray:
        """Map (..., 3) RAS mm to (..., 3) voxel coordinates."""
        inverse = self.world_to_voxel_affine
        return np.asarray(points, float) @ inverse[:3, :3].T + inverse[:3, 3]

    def holds(self, voxels: np.ndarray) -> np.ndarray:
        """(...) bool: which of (..., 3) voxel coordinates lie in voxels of this grid, borders included."""
        return np.all((voxels >= -0.5) & (voxels <= np.array(self.shape) - 0.5), axis=-1)

    def corners(self) -> np.ndarray:
        """(8, 3), RAS mm of the centres of the corner voxels."""
        last = np.array(self.shape) - 1
        return self.voxel_to_world(np.array(np.meshgrid(*[(0, n) for n in last], indexing="ij")).reshape(3, -1).T)

    def points(self) -> np.ndarray:
        """(I, J, K, 3), RAS mm of every voxel centre, float64."""
        along = (np.arange(n)[:, None] * axis for n, axis in zip(self.shape, self.affine[:3, :3].T))
        i, j, k = along  # sums of these, small ones first, take a third of the time of a product with the matrix
        return (i[:, None, None] + (j[:, None] + self.affine[:3, 3])) + k

    def matches(self, other: Geometry, tolerance_vox: float = 1e-3) -> bool:
        """True if both grids have the same shape and no corner differs by more than a part of the finest voxel side."""
        if self.shape != other.shape:
            return False
        return bool(np.abs(self.corners() - other.corners()).max() <= tolerance_vox * self.spacing.min())

    def as_slice(self) -> Geometry:
        """The same with two dimensions, where 2-D files can hold the place: a slice (I, J, 1) upright at height 0."""
        is_upright = abs(abs(self.direction[2, 2]) - 1) < 1e-6 and abs(self.origin[2]) < 1e-6 * self.spacing.min()
        return replace(self, dimensions=2) if is_upright and self.shape[2] == 1 else self

    def shifted(self, voxels: Sequence[float] | np.ndarray, shape: Sequence[int] | np.ndarray) -> Geometry:
        """The grid that starts at voxel coordinate `voxels` of this one and has `shape`: crops and pads."""
        affine = self.affine.copy()
        affine[:3, 3] = self.voxel_to_world(np.asarray(voxels, float))
        return Geometry(tuple(shape), affine)

    def moved(self, motion: np.ndarray) -> Geometry:
        """The same grid elsewhere in space.

        Args:
            motion: (4, 4), RAS mm -> RAS mm, that keeps right angles.
        """
        return replace(self, affine=motion @ self.affine)

    def with_spacing(self, spacing: Sequence[float] | np.ndarray | float) -> Geometry:
        """The same field of view, axes and centre with other voxel sizes (mm); extents are rounded up."""
        new = np.broadcast_to(np.asarray(spacing, float), (3,))
        shape = np.maximum(np.ceil(np.array(self.shape) * self.spacing / new - 1e-6), 1).astype(int)
        direction = self.direction
        origin = self.centre - direction @ (new * (shape - 1) / 2)
        return Geometry.from_parts(tuple(shape), new, direction, origin)

    def __str__(self) -> str:
        spacing = " x ".join(f"{s:.4g}" for s in self.spacing)
        return f"{'x'.join(map(str, self.shape))} voxels of {spacing} mm, {self.orientation}"
