"""Layers of the original under its names, as modules without weights, for networks and scripts of one's own.

Images are (B, C, *shape) and dense transforms (B, N, *shape) in voxels of their grid, with 1 to 3 axes; affine ones are
matrices (B, N, N + 1) or (B, N + 1, N + 1) on voxel coordinates. A transform maps places of the result to places of
what is sampled (pull). With the indexing "xy", which the original had at first, the first two axes of a transform
change places.

Source: Balakrishnan et al., IEEE TMI 2019, doi:10.1109/TMI.2019.2897538; Dalca et al., Medical Image Analysis 2019,
doi:10.1016/j.media.2019.07.006.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from ..core.affine import affine_to_displacement, from_xy, is_affine, rescale_affine
from ..core.displacement import compose, integrate_velocity
from ..core.errors import ConfigError
from ..core.options import check_choice, check_range
from ..core.resize import resize_displacement
from ..core.spatial import INTERPOLATIONS, PADDINGS, warp

INDEXINGS = ("ij", "xy")
#: Sums that a velocity is integrated by.
METHODS = ("scaling-squaring", "quadrature")


class SpatialTransformer(nn.Module):
    """Move images by dense or affine transforms.

    Args:
        interpolation: "linear", or "nearest", which keeps the values of label maps.
        indexing: of the transforms, "ij" or "xy".
        shift_center: matrices act on coordinates relative to the centre of the grid, otherwise to voxel 0.
        shape: grid of the result of a matrix; None takes that of the image.
        padding, fill: what lies outside the image, as in `warp`.

    Raises:
        ConfigError: an unknown choice.
    """

    def __init__(
        self,
        interpolation: str = "linear",
        indexing: str = "ij",
        shift_center: bool = True,
        shape: Sequence[int] | None = None,
        padding: str = "border",
        fill: float = 0.0,
    ) -> None:
        super().__init__()
        check_choice("interpolation", interpolation, INTERPOLATIONS)
        check_choice("indexing", indexing, INDEXINGS)
        check_choice("padding", padding, PADDINGS)
        self.interpolation, self.indexing, self.padding, self.fill = interpolation, indexing, padding, fill
        self.shift_center, self.shape = shift_center, None if shape is None else tuple(shape)

    def forward(self, image: Tensor, transform: Tensor) -> Tensor:
        """The image where the transform points.

        Args:
            image: (B, C, *in).
            transform: (B, N, *out), or matrices; of one item for all images, too.

        Returns:
            (B, C, *out).

        Raises:
            GeometryError: image and transform do not fit each other.
        """
        displacement = _as_ij(transform, self.indexing)
        if is_affine(displacement):
            shape = self.shape or image.shape[2:]
            displacement = affine_to_displacement(displacement, shape, self.shift_center)
        return warp(image, displacement, self.interpolation, self.padding, self.fill)


class VecInt(nn.Module):
    """Integrate stationary velocities (B, N, *shape), in voxels, to displacements.

    Args:
        steps: squarings of "scaling-squaring", or small steps of "quadrature".
        method: "scaling-squaring" or "quadrature".
        indexing: of the velocities and displacements, "ij" or "xy".

    Raises:
        ConfigError: an unknown choice, or an impossible number of steps.
    """

    def __init__(self, steps: int = 7, method: str = "scaling-squaring", indexing: str = "ij") -> None:
        super().__init__()
        check_choice("method", method, METHODS)
        check_choice("indexing", indexing, INDEXINGS)
        check_range("steps", steps, METHODS.index(method), 1024)
        self.steps, self.method, self.indexing = steps, method, indexing

    def forward(self, velocity: Tensor) -> Tensor:
        """(B, N, *shape): the displacement of exp(velocity), float32."""
        displacement = integrate_velocity(_as_ij(velocity, self.indexing), self.steps, self.method)
        return _as_ij(displacement, self.indexing)


class RescaleTransform(nn.Module):
    """Bring transforms to a grid with `factor` times as many voxels along every axis.

    Args:
        factor: of the voxels; extents are rounded down, as in the original.

    Raises:
        ConfigError: the factor is not positive.
    """

    def __init__(self, factor: float) -> None:
        super().__init__()
        check_range("factor", factor, 1e-3, 1e3)
        self.factor = factor

    def forward(self, transform: Tensor) -> Tensor:
        """(B, N, *(factor * shape)) in voxels of the new grid, or matrices for its coordinates."""
        if is_affine(transform):
            return rescale_affine(transform, self.factor)
        shape = [max(1, int(extent * self.factor)) for extent in transform.shape[2:]]
        return resize_displacement(transform, shape, scale=self.factor)


class ResizeTransform(RescaleTransform):
    """`RescaleTransform` by 1 / `voxel_size`, the voxel size of the new grid in voxels of the old one."""

    def __init__(self, voxel_size: float) -> None:
        check_range("voxel_size", voxel_size, 1e-3, 1e3)
        super().__init__(1 / voxel_size)


class ComposeTransform(nn.Module):
    """Several transforms as one: x -> T0(T1(...(x))); applied to images, the first one acts first.

    Args:
        interpolation: how dense transforms are sampled, "linear" or "nearest".
        shift_center: as in `SpatialTransformer`.
        shape: grid of the result if the last transform is a matrix; None takes that of the dense one before it.
        indexing: of the transforms and of the result, "ij" or "xy".

    Raises:
        ConfigError: an unknown choice.
    """

    def __init__(
        self,
        interpolation: str = "linear",
        shift_center: bool = True,
        shape: Sequence[int] | None = None,
        indexing: str = "ij",
    ) -> None:
        super().__init__()
        check_choice("interpolation", interpolation, INTERPOLATIONS)
        check_choice("indexing", indexing, INDEXINGS)
        self.interpolation, self.shift_center, self.indexing = interpolation, shift_center, indexing
        self.shape = None if shape is None else tuple(shape)

    def forward(self, *transforms: Tensor) -> Tensor:
        """(B, N, N + 1) if all are matrices, else (B, N, *shape).

        Raises:
            GeometryError: no transform, or they do not fit each other.
        """
        inner = [_as_ij(transform, self.indexing) for transform in transforms]
        return _as_ij(compose(inner, self.shift_center, self.shape, self.interpolation), self.indexing)


class AffineToDenseShift(nn.Module):
    """Matrices as displacements on a grid.

    Args:
        shape: of the grid.
        shift_center: as in `SpatialTransformer`.

    Raises:
        ConfigError: no grid of 1 to 3 axes.
    """

    def __init__(self, shape: Sequence[int], shift_center: bool = True) -> None:
        super().__init__()
        if len(shape) not in (1, 2, 3) or min(shape) < 1:
            raise ConfigError(f"shape is {tuple(shape)}; give 1 to 3 positive extents.")
        self.shape, self.shift_center = tuple(shape), shift_center

    def forward(self, matrix: Tensor) -> Tensor:
        """(B, N, *shape), voxels.

        Raises:
            GeometryError: the matrices do not fit the grid.
        """
        return affine_to_displacement(matrix, self.shape, self.shift_center)


def _as_ij(transform: Tensor, indexing: str) -> Tensor:
    """From the indexing to "ij" and, as swapping two axes is its own inverse, back."""
    return from_xy(transform) if indexing == "xy" else transform
