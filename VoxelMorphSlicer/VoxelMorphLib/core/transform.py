"""Transforms: maps of RAS points from the fixed to the moving image, applied, composed and inverted."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from functools import reduce
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import map_coordinates

from .errors import GeometryError
from .geometry import Geometry
from .image import Image
from .image_resampling import copy_if_aligned, each_slab, resample_mapped, slab_points, slabs
from .parallel_grids import ParallelGrids

if TYPE_CHECKING:
    from torch import Tensor

#: Residual of a numerical inverse, in voxels of its grid: the goal, and the limit above which a warning is given.
INVERSE_PRECISION_VOX = 1e-3
INVERSE_TOLERANCE_VOX = 0.1
INVERSE_ITERATIONS = 50


class Transform(ABC):
    """A map of RAS points, fixed -> moving (pull; ITK's "resampling", Slicer's "from parent")."""

    @abstractmethod
    def apply_to_points(self, points: np.ndarray) -> np.ndarray:
        """Map (..., 3) RAS mm of the fixed space to (..., 3) RAS mm of the moving space, float64."""

    @abstractmethod
    def inverse(self) -> Transform:
        """The map moving -> fixed."""

    def map_slab(self, geometry: Geometry, slab: slice) -> np.ndarray:
        """Map the voxel centres of `geometry` whose index along I lies in `slab`: (slab, J, K, 3) RAS mm."""
        return self.apply_to_points(slab_points(geometry, slab))

    def resample(
        self, image: Image, geometry: Geometry, interpolation: str = "linear", background: float | None = None
    ) -> Image:
        """The moving `image` on the fixed grid, by one interpolation of its original voxels.

        Args:
            image: in the moving space; a `LabelMap` is sampled by nearest neighbour unless `interpolation` is
                "multilabel".
            geometry: grid in the fixed space.
            interpolation: "linear", "cubic" (B-spline) or "nearest"; "multilabel" for label maps alone.
            background: value outside `image`; default `background_of` it, 0 for label maps.

        Returns:
            An image of the same kind and voxel type on `geometry`.

        Raises:
            ConfigError: unknown interpolation.
        """
        return resample_mapped(
            image, geometry, lambda slab: self.map_slab(geometry, slab), interpolation, background, self.as_matrix()
        )

    def as_matrix(self) -> np.ndarray | None:
        """(4, 4), RAS mm -> RAS mm, of a linear map; None for others."""
        return None

    def compose(self, then: Transform) -> Transform:
        """The map x -> then(self(x)); neighbouring matrices become one."""
        return simplest(CompositeTransform((self, then)))

    def to_displacement(self, geometry: Geometry) -> DisplacementField:
        """The displacement at every voxel of `geometry`, float32."""
        field = np.empty((*geometry.shape, 3), np.float32)

        def fill(slab: slice) -> None:
            field[slab] = self.map_slab(geometry, slab) - slab_points(geometry, slab)

        each_slab(geometry, fill)
        return DisplacementField(field, geometry)


@dataclass(frozen=True, eq=False)
class AffineTransform(Transform):
    """A linear map and a translation.

    Args:
        matrix: (4, 4), RAS mm -> RAS mm, fixed -> moving.

    Raises:
        GeometryError: not an invertible, finite 4x4 matrix with last row 0 0 0 1.
    """

    matrix: np.ndarray

    def __post_init__(self) -> None:
        matrix = np.array(self.matrix, dtype=np.float64)
        if matrix.shape != (4, 4) or not np.allclose(matrix[3], (0, 0, 0, 1)):
            raise GeometryError(f"An affine transform needs a 4x4 matrix with last row 0 0 0 1, got {matrix.tolist()}.")
        if not np.isfinite(matrix).all() or abs(np.linalg.det(matrix[:3, :3])) < 1e-12:
            raise GeometryError(f"The affine transform cannot be inverted: {matrix.tolist()}. Estimate it again.")
        matrix.flags.writeable = False
        object.__setattr__(self, "matrix", matrix)

    def apply_to_points(self, points: np.ndarray) -> np.ndarray:
        return np.asarray(points, np.float64) @ self.matrix[:3, :3].T + self.matrix[:3, 3]

    def inverse(self) -> AffineTransform:
        return AffineTransform(np.linalg.inv(self.matrix))

    def as_matrix(self) -> np.ndarray:
        return self.matrix


#: Maps every point onto itself.
IDENTITY = AffineTransform(np.eye(4))


@dataclass(frozen=True, eq=False)
class DisplacementField(Transform):
    """x -> x + u(x), linear between the voxels; outside the grid the nearest edge value continues, as in Slicer.

    Args:
        array: (I, J, K, 3), RAS mm, float32 or float64; never modified.
        geometry: grid of the same shape, in the fixed space.
        inverse_field: the inverse if it is known exactly, e.g. from the integral of the negative velocity.

    Raises:
        GeometryError: wrong shape, or NaN or infinity.
    """

    array: np.ndarray
    geometry: Geometry
    inverse_field: DisplacementField | None = None

    def __post_init__(self) -> None:
        array = np.asarray(self.array)
        if array.shape != (*self.geometry.shape, 3):
            raise GeometryError(
                f"A displacement field on a grid of {self.geometry.shape} voxels needs an array of shape "
                f"{(*self.geometry.shape, 3)}, got {array.shape}."
            )
        if array.dtype not in (np.float32, np.float64):
            array = array.astype(np.float64)
        bad = int(array.size - np.isfinite(array).sum())
        if bad:
            raise GeometryError(f"The displacement field holds {bad} NaN or infinite values. Compute it again.")
        object.__setattr__(self, "array", array)

    def apply_to_points(self, points: np.ndarray) -> np.ndarray:
        points = np.asarray(points, np.float64)
        moved = points.reshape(-1, 3).copy()
        voxels = self.geometry.world_to_voxel(moved).T
        for axis in range(3):
            moved[:, axis] += map_coordinates(self.array[..., axis], voxels, np.float64, order=1, mode="nearest")
        return moved.reshape(points.shape)

    def map_slab(self, geometry: Geometry, slab: slice) -> np.ndarray:
        if geometry.matches(self.geometry, tolerance_vox=1e-6):
            return slab_points(geometry, slab) + self.array[slab]
        grids = ParallelGrids.between(self.geometry.world_to_voxel_affine @ geometry.affine, geometry.shape)
        if grids is None:
            return super().map_slab(geometry, slab)
        return slab_points(geometry, slab) + grids.sample(self.array, slab)

    def to_displacement(self, geometry: Geometry) -> DisplacementField:
        if geometry.matches(self.geometry, tolerance_vox=1e-6):
            return self
        same = copy_if_aligned(self.array, self.geometry.world_to_voxel_affine @ geometry.affine, geometry.shape)
        return super().to_displacement(geometry) if same is None else DisplacementField(same, geometry)

    def inverse(self) -> DisplacementField:
        """The attached inverse, otherwise one computed by fixed-point iteration on the same grid.

        Warns:
            UserWarning: the field folds or the iteration leaves more than 0.1 voxel.
        """
        if self.inverse_field is not None:
            return replace(self.inverse_field, inverse_field=self)
        inverse, residual_vox = self._invert()
        folded = self.folded_voxels()
        if folded or residual_vox > INVERSE_TOLERANCE_VOX:
            residual_mm = residual_vox * self.geometry.spacing.max()
            warnings.warn(
                f"The displacement field has no exact inverse: {folded} voxels are folded and the round trip misses "
                f"by up to {residual_vox:.2g} voxels ({residual_mm:.2g} mm). "
                "A smoother deformation comes back closer.",
                UserWarning,
                stacklevel=2,
            )
        return DisplacementField(inverse, self.geometry, inverse_field=self)

    def _invert(self) -> tuple[np.ndarray, float]:
        from .displacement import invert_displacement
        from .tensors import as_array

        inverse, residual_vox = invert_displacement(self.voxel_tensor(), INVERSE_ITERATIONS, INVERSE_PRECISION_VOX)
        axes = self.geometry.affine[:3, :3]
        return np.moveaxis(as_array(inverse[0]), 0, -1) @ axes.T.astype(np.float32), float(residual_vox)

    def jacobian_determinant(self) -> Image:
        """Local volume ratio det(d(x + u)/dx); 1 preserves volume, 0 or less is a fold."""
        from .displacement import jacobian_determinant
        from .tensors import as_array

        determinant = np.empty(self.geometry.shape, np.float32)
        extent = len(determinant)
        for slab in slabs(self.geometry):
            first, last = max(slab.start - 1, 0), min(slab.stop + 1, extent)  # neighbours for the differences
            found = as_array(jacobian_determinant(self.voxel_tensor(slice(first, last)))[0])
            determinant[slab] = found[slab.start - first : slab.stop - first]
        return Image(determinant, self.geometry, "Jacobian determinant")

    def folded_voxels(self) -> int:
        """Number of voxels whose Jacobian determinant is not positive."""
        return int((self.jacobian_determinant().array <= 0).sum())

    def voxel_tensor(self, slab: slice = slice(None)) -> Tensor:
        """(1, 3, slab, J, K), float32, displacement in voxels; the determinant is the same in voxels and in mm."""
        from .tensors import as_tensor

        array, to_voxels = self.array[slab], self.geometry.world_to_voxel_affine[:3, :3].astype(np.float32)
        voxels = np.zeros((1, 3, *array.shape[:3]), np.float32)
        for axis, component in np.argwhere(to_voxels):  # few entries, as most grids are parallel to the patient's axes
            voxels[0, axis] += to_voxels[axis, component] * array[..., component]
        return as_tensor(voxels)


@dataclass(frozen=True, eq=False)
class CompositeTransform(Transform):
    """Several transforms, applied first to last; nested composites are flattened and neighbouring matrices merged.

    Args:
        transforms: at least one.

    Raises:
        GeometryError: there are none.
    """

    transforms: tuple[Transform, ...]

    def __post_init__(self) -> None:
        if not self.transforms:
            raise GeometryError("A composite transform needs at least one part, got none.")
        nothing: tuple[Transform, ...] = ()
        object.__setattr__(self, "transforms", reduce(_append, self.transforms, nothing))

    def apply_to_points(self, points: np.ndarray) -> np.ndarray:
        return reduce(lambda moved, part: part.apply_to_points(moved), self.transforms, np.asarray(points, np.float64))

    def map_slab(self, geometry: Geometry, slab: slice) -> np.ndarray:
        first, *rest = self.transforms
        return reduce(lambda moved, part: part.apply_to_points(moved), rest, first.map_slab(geometry, slab))

    def inverse(self) -> Transform:
        return simplest(CompositeTransform(tuple(part.inverse() for part in reversed(self.transforms))))


def _append(parts: tuple[Transform, ...], part: Transform) -> tuple[Transform, ...]:
    if isinstance(part, CompositeTransform):
        return reduce(_append, part.transforms, parts)
    if parts and isinstance(part, AffineTransform) and isinstance(parts[-1], AffineTransform):
        return (*parts[:-1], AffineTransform(part.matrix @ parts[-1].matrix))
    return (*parts, part)


def simplest(composite: CompositeTransform) -> Transform:
    """The only part of a composite that has one, else the composite."""
    return composite.transforms[0] if len(composite.transforms) == 1 else composite


def split_linear(transform: Transform) -> tuple[Transform, Transform] | None:
    """A matrix at either end of a transform, and the rest: applied first to last both are the transform.

    The forward transform of a registration ends with its linear start, the inverse one begins with it. None where there
    is no such matrix, or nothing beside it.
    """
    parts = transform.transforms if isinstance(transform, CompositeTransform) else (transform,)
    if len(parts) == 1:
        return None
    if isinstance(parts[-1], AffineTransform):
        return simplest(CompositeTransform(parts[:-1])), parts[-1]
    if isinstance(parts[0], AffineTransform):
        return parts[0], simplest(CompositeTransform(parts[1:]))
    return None
