"""VelocityNodes: the coarse grid that carries the velocity of an optimisation, and the way from its nodes to voxels."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, inf, log2, prod

import torch
from torch import Tensor

from ..core.displacement import integrate_velocity
from ..core.resize import resize

#: Squarings of the result.
FINAL_STEPS = 7
#: Nodes that a velocity passes in unit time at most, to be integrated in as many squarings as it was meant to be.
USUAL_WAY = 16.0
#: Voxels between the nodes that the result is integrated on, at most; images of so few voxels take all of them.
FINAL_SPACING, FINAL_VOXELS = 2.0, 500_000
#: Corrections that turn a displacement into the velocity of which it is the exponential.
CORRECTIONS = 6
#: Axes have so many nodes at least, as far as they have voxels.
FEWEST = 4


class VelocityNodes:
    """Nodes on the corners of an image and evenly between them; all values are in voxels of that image.

    Args:
        shape: of the image.
        spacing: voxels between two nodes, about.
        device: of the fields.
        squarings: in which velocities are integrated, for longer ways more, up to those of the result.
    """

    def __init__(
        self,
        shape: Sequence[int],
        spacing: float,
        device: torch.device | str = "cpu",
        squarings: int = FINAL_STEPS,
    ):
        self.image_shape, self.squarings = tuple(shape), squarings
        self.shape = tuple(max(round((n - 1) / spacing) + 1, min(n, FEWEST)) for n in shape)
        #: Voxels between two nodes, per axis.
        self.spacing = tuple((n - 1) / max(nodes - 1, 1) or 1.0 for n, nodes in zip(shape, self.shape))
        #: The same where a velocity can change, infinite along an axis of a single node.
        self.strained = tuple(h if nodes > 1 else inf for h, nodes in zip(self.spacing, self.shape))
        self.device = device
        self._scale = torch.tensor(self.spacing, device=device).view(1, 3, 1, 1, 1)

    def zero(self) -> Tensor:
        """(1, 3, *nodes)."""
        return torch.zeros(1, 3, *self.shape, device=self.device)

    def exponential(self, velocity: Tensor) -> Tensor:
        """Displacement (1, 3, *nodes) of a velocity (1, 3, *nodes)."""
        relative = velocity / self._scale
        return integrate_velocity(relative, self._enough(relative)) * self._scale

    def weights(self, places: Sequence[Tensor]) -> list[Tensor]:
        """(places, nodes) for each axis: how much of every node is in the values at these voxel coordinates."""
        return [_linear_weights(p.to(self.device) / s, n) for p, s, n in zip(places, self.spacing, self.shape)]

    def resampled(self, field: Tensor) -> Tensor:
        """A velocity or displacement (1, 3, *any) over the same image on these nodes."""
        return resize(field, self.shape)

    def from_displacement(self, displacement: Tensor) -> Tensor:
        """The velocity (1, 3, *nodes) whose exponential is nearest to a displacement (1, 3, *shape), by fixed point."""
        target = self.resampled(displacement)
        velocity = target.clone()
        for _ in range(CORRECTIONS):
            velocity += 0.5 * (target - self.exponential(velocity))
        return velocity

    def displacements(self, velocity: Tensor) -> tuple[Tensor, Tensor]:
        """exp(v) and exp(-v) on the grid of the image, (1, 3, *shape)."""
        spacing = 1.0 if prod(self.image_shape) <= FINAL_VOXELS else FINAL_SPACING
        fine = VelocityNodes(self.image_shape, min(spacing, *self.spacing), self.device)
        velocity = fine.resampled(velocity)
        there, back = (resize(fine.exponential(v), self.image_shape) for v in (velocity, -velocity))
        return there, back

    def _enough(self, relative: Tensor) -> int:
        """Squarings for a velocity in nodes."""
        times = float(relative.detach().abs().max()) / USUAL_WAY
        return min(self.squarings + ceil(log2(min(max(1.0, times), 2.0**FINAL_STEPS))), FINAL_STEPS)


def spread(values: Tensor, weights: Sequence[Tensor]) -> Tensor:
    """Values (B, C, *nodes) at the places of the weights: (B, C, *places)."""
    values = weights[1] @ (values @ weights[2].T)
    return (weights[0] @ values.flatten(3)).unflatten(3, values.shape[3:])


def gather(values: Tensor, weights: Sequence[Tensor]) -> Tensor:
    """The adjoint of `spread`: sums of values (B, C, *places) over the places that each node reaches."""
    values = (weights[0].T @ values.flatten(3)).unflatten(3, values.shape[3:])
    return (weights[1].T @ values) @ weights[2]


def _linear_weights(positions: Tensor, extent: int) -> Tensor:
    """(places, extent): linear interpolation at positions counted in elements, clamped to the ends."""
    positions = positions.clamp(0, extent - 1)
    lower = positions.floor().clamp(max=max(extent - 2, 0))
    weights = torch.zeros(len(positions), extent, device=positions.device)
    rows = torch.arange(len(positions), device=positions.device)
    weights[rows, lower.long()] = 1 - (positions - lower)
    if extent > 1:
        weights[rows, lower.long() + 1] = positions - lower
    return weights
