"""The model `optimise`: registration without weights, the velocity of one pair optimised from zero, coarse to fine.

Not the recipe `instance`, which goes on from a trained network, nor `training.optimisation`. The constants suit the
local correlation that is maximised here; another similarity needs its own.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..core.config import NetworkSpace
from ..core.displacement import integrate_velocity
from ..core.filters import gaussian
from ..core.geometry import Geometry
from ..core.losses.ncc import ncc_loss
from ..core.losses.regularisers import gradient_penalty
from ..core.progress import Progress, silent
from ..core.resize import resize, resize_displacement
from ..core.spatial import warp
from ..networks.fields import FieldPair

#: Voxels of the finest grid: what two CPU cores optimise within a minute (a head at 2 mm).
FINEST_VOXELS = 1_000_000
#: Sum over a window of the squared deviations that noise has in images of 0..1; flatter windows do not pull.
NOISE = 5e-2
#: Change of one window's correlation per voxel of velocity that is not worth a step.
SLOPE_FLOOR = 1e-2
#: Axes are not reduced below this many voxels.
SMALLEST_EXTENT = 12


@dataclass(frozen=True)
class Level:
    """One resolution of the optimisation.

    Args:
        reduction: image extents are divided by this.
        iterations: steps of Adam at most.
    """

    reduction: int
    iterations: int


LEVELS = (Level(4, 50), Level(2, 60), Level(1, 50))


def optimiser_voxel_size(geometry: Geometry) -> float:
    """mm, isotropic: the image's own finest spacing, or coarser so that the grid has about `FINEST_VOXELS`."""
    volume = float(np.prod(geometry.shape * geometry.spacing))
    return max(float(geometry.spacing.min()), (volume / FINEST_VOXELS) ** (1 / 3))


class VelocityOptimiser:
    """Finds the stationary velocity that aligns one pair, by gradient descent on local correlation of either sign.

    Inverted contrast counts as agreement, so T1 aligns with T2.

    Args:
        smoothness: weight of the mean squared gradient of the velocity.
        budget_s: seconds after which the search stops wherever it is.
        window: voxels, side of the correlation window.
        rate: step of Adam, voxels of the velocity grid.
        levels: resolutions, coarse to fine.

    Source: objective of Balakrishnan et al., IEEE TMI 2019, doi:10.1109/TMI.2019.2897538; velocity parametrisation of
    Dalca et al., MICCAI 2018, doi:10.1007/978-3-030-00928-1_82; one pair instead of a training set.
    """

    multiple = 1
    diffeomorphic = True
    steps = 7

    def __init__(
        self,
        smoothness: float = 0.5,
        budget_s: float = 60.0,
        window: int = 5,
        rate: float = 0.1,
        levels: tuple[Level, ...] = LEVELS,
    ):
        self.smoothness, self.budget_s = smoothness, budget_s
        self.window, self.rate, self.levels = window, rate, levels

    def fields(
        self,
        moving: Tensor,
        fixed: Tensor,
        progress: Progress = silent,
        fixed_mask: Tensor | None = None,
        moving_mask: Tensor | None = None,
    ) -> FieldPair:
        """Optimise one pair.

        Args:
            moving: (1, 1, *shape), about 0..1.
            fixed: (1, 1, *shape), about 0..1.
            progress: called at every step; may raise `Cancelled`.
            fixed_mask, moving_mask: (1, 1, *shape), voxels of that image where it is 0 are compared with nothing;
                None compares all.

        Returns:
            Velocity on its own coarser grid, displacement and inverse on the grid of the images, voxels.
        """
        deadline = time.monotonic() + self.budget_s
        velocity = torch.zeros(1, 1, device=fixed.device)
        # Even where all is compared, a mask keeps what lies beyond the grid out of the windows.
        compared = torch.ones_like(fixed) if fixed_mask is None else fixed_mask
        with torch.enable_grad():
            for number, level in enumerate(self.levels):
                images = _reduced(moving, level.reduction), _reduced(fixed, level.reduction)
                velocity = self._initial(velocity, images[1].shape[2:])
                stage = _Stage(number, self.levels, deadline, progress)
                there = None if moving_mask is None else _reduced_mask(moving_mask, level.reduction)
                masks = _reduced_mask(compared, level.reduction), there
                velocity = self._descend(velocity, *images, *masks, stage)
        # Integrated on the finer grid of the images the two directions undo each other more exactly.
        fine = _to_grid(velocity, fixed.shape[2:])
        return FieldPair(velocity, integrate_velocity(fine, self.steps), integrate_velocity(-fine, self.steps))

    def _descend(
        self,
        velocity: Tensor,
        moving: Tensor,
        fixed: Tensor,
        fixed_mask: Tensor,
        moving_mask: Tensor | None,
        stage: _Stage,
    ) -> Tensor:
        velocity = velocity.requires_grad_(True)
        # The loss is a mean over voxels, so its slopes are; below this floor Adam would turn rounding into whole steps.
        optimiser = torch.optim.Adam([velocity], lr=self.rate, eps=SLOPE_FLOOR / velocity[0, 0].numel())
        for iteration in range(stage.iterations):
            optimiser.zero_grad(set_to_none=True)
            displacement = self._displacement(velocity, fixed.shape[2:])
            moved = warp(moving, displacement)
            compared = _compared(fixed_mask, moving_mask, displacement.detach())
            loss = ncc_loss(fixed, moved, self.window, NOISE, "absolute", compared)
            loss = loss + self.smoothness * gradient_penalty(velocity)
            loss.backward()
            optimiser.step()
            if stage.finished(iteration, loss.item()):
                break
        return velocity.detach()

    def _displacement(self, velocity: Tensor, shape: torch.Size) -> Tensor:
        return _to_grid(integrate_velocity(velocity, self.steps), shape)

    @staticmethod
    def _initial(velocity: Tensor, shape: torch.Size) -> Tensor:
        """Zero on half the image grid, or the result of the coarser level."""
        grid = [max(n // 2, min(n, 4)) for n in shape]
        if velocity.ndim == 2:
            return torch.zeros(1, len(shape), *grid, device=velocity.device)
        return _to_grid(velocity, torch.Size(grid)).clone()


class _Stage:
    """One level's place in the whole: its share of the progress, the deadline, and when it has converged."""

    #: Steps over which the loss must still fall by `GAIN`.
    MEMORY, GAIN = 10, 1e-3

    def __init__(self, number: int, levels: tuple[Level, ...], deadline: float, progress: Progress):
        self.level, self.deadline, self.progress = levels[number], deadline, progress
        costs = [level.iterations / level.reduction**3 for level in levels]
        self.begin, self.share = sum(costs[:number]) / sum(costs), costs[number] / sum(costs)
        self.losses: list[float] = []

    @property
    def iterations(self) -> int:
        return self.level.iterations

    def finished(self, iteration: int, loss: float) -> bool:
        """Report a step; True when the time is up or the loss has stopped falling."""
        fraction = self.begin + self.share * (iteration + 1) / self.iterations
        self.progress(fraction, f"Optimising at 1/{self.level.reduction} resolution, loss {loss:.3f}")
        self.losses.append(loss)
        settled = len(self.losses) > self.MEMORY and self.losses[-self.MEMORY - 1] - loss < self.GAIN
        return settled or time.monotonic() > self.deadline


def _reduced(image: Tensor, reduction: int) -> Tensor:
    shape = [max(n // reduction, min(n, SMALLEST_EXTENT)) for n in image.shape[2:]]
    return resize(gaussian(image, reduction / 2, "border"), shape) if reduction > 1 else image


def _reduced_mask(mask: Tensor, reduction: int) -> Tensor:
    """0 and 1; what is too small to fill half a voxel of the reduced grid keeps its fullest voxels."""
    reduced = _reduced(mask, reduction)
    return (reduced >= 0.5 * reduced.max()).to(mask.dtype)


def _compared(fixed_mask: Tensor, moving_mask: Tensor | None, displacement: Tensor) -> Tensor:
    """Voxels whose values come from inside both masks alone, 1, others 0."""
    if moving_mask is None:
        return fixed_mask
    return fixed_mask * (warp(moving_mask, displacement) > 1 - 1e-3)


def _to_grid(field: Tensor, shape: torch.Size) -> Tensor:
    """Corner-aligned, so values scale with the distance between voxel centres, not with the extents."""
    scale = [(new - 1) / max(old - 1, 1) for new, old in zip(shape, field.shape[2:])]
    return resize_displacement(field, shape, scale=scale)


def optimiser_space(space: NetworkSpace, fixed: Geometry) -> NetworkSpace:
    """The space of the catalogue with the voxel size that suits this image."""
    return NetworkSpace.from_dict({**space.to_dict(), "voxel_size": optimiser_voxel_size(fixed)})
