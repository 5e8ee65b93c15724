"""Distance of moved surface points from the surface they should lie on."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ..config import Settings, check_range
from ..errors import GeometryError
from ..points import values_at
from ..precision import in_float32


def surface_distance(distance: Tensor, points: Tensor) -> Tensor:
    """Absolute distance of labelled points from the surface of their label.

    Args:
        distance: (B, L, *shape), signed distance in voxels of each of L labels, see `core.distance`.
        points: (B, P, N + 1), voxel coordinates, then the index of the label's channel; (B, P, N) when L is 1.

    Returns:
        (B, P), voxels.

    Raises:
        GeometryError: not N or N + 1 columns.
    """
    axes = distance.ndim - 2
    labelled = points.shape[-1] == axes + 1
    if not labelled and (points.shape[-1] != axes or distance.shape[1] != 1):
        raise GeometryError(
            f"Surface points on {axes} axes with {distance.shape[1]} labels have {axes + 1} columns, got "
            f"{points.shape[-1]}. Give the voxel coordinates, then the index of the label."
        )
    values = values_at(distance, points[..., :axes])
    if labelled:
        values = values.gather(2, points[..., axes:].round().long())
    return values[..., 0].abs()


@in_float32
def surface_loss(distance: Tensor, points: Tensor, sigma: float = 1.0) -> Tensor:
    """Mean over points and pairs of (distance / sigma)^2; see `surface_distance` for the tensors.

    The gradient reaches the points, and so the field that moved them.

    Args:
        sigma: voxels, distance that counts as 1.

    Source: Balakrishnan et al., IEEE TMI 2019, doi:10.1109/TMI.2019.2897538; VoxelMorph's semi-supervised point clouds.
    """
    return (surface_distance(distance, points) / sigma).square().mean()


@dataclass(frozen=True)
class Surface(Settings):
    """`surface_loss` with its options bound."""

    sigma: float = 1.0

    def __post_init__(self) -> None:
        check_range("sigma", self.sigma, 1e-6, 1e6)

    def __call__(self, distance: Tensor, points: Tensor) -> Tensor:
        return surface_loss(distance, points, self.sigma)
