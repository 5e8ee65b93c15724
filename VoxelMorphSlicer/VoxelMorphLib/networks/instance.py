"""InstanceDense: the velocity of one image pair, optimised itself instead of predicted by a network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..core.displacement import integrate_velocity
from ..core.errors import ConfigError, GeometryError
from ..core.options import check_range
from ..core.resize import resize_displacement
from ..core.spatial import warp
from .dense import LARGEST_RESOLUTION, LARGEST_STEPS, check_made_for
from .fields import FieldPair


@dataclass(frozen=True)
class InstanceOutput:
    """The tensors of one pass.

    Args:
        moved: (B, C, *shape), the moving image moved by `displacement`.
        velocity: (B, N, *own), voxels of its own grid.
        displacement: (B, N, *shape), voxels.
    """

    moved: Tensor
    velocity: Tensor
    displacement: Tensor


class InstanceDense(nn.Module):
    """A stationary velocity that an optimiser fits to one pair; it starts at zero unless `std` is given.

    Args:
        shape: of the images.
        multiplier: the stored numbers times this are the velocity, so that small steps of an optimiser suffice.
        std: standard deviation of the initial numbers; the original starts from 0.05, that is from 50 voxels of noise.
        int_steps: squarings of the integration; 0 takes the velocity as displacement.
        int_resolution: voxel size of the velocity in image voxels.

    Raises:
        ConfigError: impossible values.

    Source: Balakrishnan et al., IEEE TMI 2019, doi:10.1109/TMI.2019.2897538, section V.
    """

    #: Any extent is allowed; nothing is padded.
    multiple = 1

    def __init__(
        self,
        shape: Sequence[int],
        multiplier: float = 1000.0,
        std: float = 0.0,
        int_steps: int = 7,
        int_resolution: float = 2,
    ) -> None:
        super().__init__()
        if len(shape) not in (1, 2, 3) or min(shape) < 1:
            raise ConfigError(f"shape is {tuple(shape)}; give 1 to 3 positive extents.")
        if int_steps not in range(LARGEST_STEPS + 1):
            raise ConfigError(f"int_steps is {int_steps!r}; choose a whole number from 0 to {LARGEST_STEPS}.")
        check_range("int_resolution", int_resolution, 1, LARGEST_RESOLUTION)
        check_range("multiplier", multiplier, 1e-6, 1e6)
        check_range("std", std, 0, 1e6)
        self.shape, self.multiplier, self.int_steps = tuple(shape), multiplier, int_steps
        self.parameter = nn.Parameter(torch.zeros(len(shape), *(max(1, int(n / int_resolution)) for n in shape)))
        if std:
            nn.init.normal_(self.parameter, std=std)

    @property
    def diffeomorphic(self) -> bool:
        """Whether the velocity is integrated, so that the inverse is known."""
        return self.int_steps > 0

    @property
    def velocity(self) -> Tensor:
        """(1, N, *own), voxels of its own grid."""
        return self.parameter[None] * self.multiplier

    def start_from(self, velocity: Tensor) -> None:
        """Set the velocity, such as that of a `FieldPair`, so that training refines a network's result.

        Args:
            velocity: (1, N, *any), voxels of its own grid, which spans the images.

        Raises:
            GeometryError: the number of items, components or axes differs.
        """
        if tuple(velocity.shape[:2]) != (1, len(self.shape)):
            raise GeometryError(
                f"A velocity of {tuple(velocity.shape)} does not fit; give (1, {len(self.shape)}, *shape), one pair."
            )
        with torch.no_grad():
            own = resize_displacement(velocity, self.parameter.shape[1:])
            self.parameter.copy_(own[0] / self.multiplier)

    def forward(self, moving: Tensor) -> InstanceOutput:
        """Move images (B, C, *shape), all alike.

        Raises:
            GeometryError: the images have another shape.
        """
        check_made_for(self.shape, moving)
        velocity = self.velocity
        displacement = self._displacement(velocity)
        batch = len(moving)
        return InstanceOutput(
            moved=warp(moving, displacement),
            velocity=velocity.expand(batch, *velocity.shape[1:]),
            displacement=displacement.expand(batch, *displacement.shape[1:]),
        )

    def fields(self, moving: Tensor, fixed: Tensor, sample: bool = False) -> FieldPair:
        """The fields of the pair that the velocity was fitted to; the images only give the batch size.

        Raises:
            GeometryError: the images have another shape.
        """
        check_made_for(self.shape, moving)
        check_made_for(self.shape, fixed)
        velocity = self.velocity.expand(len(moving), *self.parameter.shape)
        displacement = self._displacement(velocity)
        if not self.diffeomorphic:
            return FieldPair(None, displacement, None)
        return FieldPair(velocity, displacement, self._displacement(-velocity))

    @property
    def image_shape(self) -> tuple[int, ...]:
        """The shape of the pair."""
        return self.shape

    def _displacement(self, velocity: Tensor) -> Tensor:
        displacement = integrate_velocity(velocity, self.int_steps)
        if tuple(velocity.shape[2:]) == self.shape:
            return displacement
        return resize_displacement(displacement, self.shape)
