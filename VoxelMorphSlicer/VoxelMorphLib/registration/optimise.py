"""The model `optimise`, and the refinement of networks: the velocity of one pair, optimised coarse to fine.

Both directions of the pair are compared at every step, so that swapping the images gives the inverse.
Not the recipe `instance`, which trains on with a network's own loss.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..core.progress import Progress, silent
from ..networks.fields import FieldPair
from .direction import Direction
from .effort import EFFORTS, Effort, Level
from .feature_pyramid import FeaturePyramid, ReducedPair
from .gauss_newton import Regularity, solve
from .guides import Guides
from .listed_direction import ListedDirection
from .similarity import Similarity, choose_similarity
from .velocity_nodes import VelocityNodes

#: Share of a step that is taken.
STRIDE, MASKED_STRIDE = 0.9, 0.5
#: Voxels of a level that a node moves in one step at most.
LONGEST_STEP = 1.0


class VelocityOptimiser:
    """Finds the stationary velocity that aligns one pair.

    Args:
        smoothness: 0.5 is what suits the similarity; twice as much halves the strains, about.
        budget_s: seconds after which the search stops wherever it is.
        similarity: "auto" or a name, see `similarity`; or one that takes what the "images" are instead of images.
        effort: of `EFFORTS`, by its name, or another one.
        binary: roles of images with two values, see `similarity.binary_roles`; interpolation hides it.
        direction: how an image is moved towards the other; a `ListedDirection` takes masks for the voxels of each
            image that are brought to the other one, and no guides.

    Source: velocity parametrisation: Dalca et al., MICCAI 2018, doi:10.1007/978-3-030-00928-1_82; both directions:
    Vercauteren et al., MICCAI 2008, doi:10.1007/978-3-540-85988-8_90; steps: Ashburner, NeuroImage 2007,
    doi:10.1016/j.neuroimage.2007.07.007.
    """

    multiple = 1
    diffeomorphic = True

    def __init__(
        self,
        smoothness: float = 0.5,
        budget_s: float = 600.0,
        similarity: str | Similarity = "auto",
        effort: str | Effort = "balanced",
        binary: Sequence[str] = (),
        direction: type[Direction | ListedDirection] = Direction,
    ):
        self.smoothness, self.budget_s, self.similarity = smoothness, budget_s, similarity
        self.effort, self.binary = EFFORTS[effort] if isinstance(effort, str) else effort, binary
        self.direction = direction
        #: How the last pair was compared, and why so.
        self.chosen = self.reason = ""
        #: Whether the search of the last pair ended before it was done.
        self.out_of_time = False

    def fields(
        self,
        moving: Tensor,
        fixed: Tensor,
        progress: Progress = silent,
        fixed_mask: Tensor | None = None,
        moving_mask: Tensor | None = None,
        start: Tensor | None = None,
        guides: Guides | None = None,
    ) -> FieldPair:
        """Optimise one pair.

        Args:
            moving: (1, 1, *shape), about 0..1; (1, C, *shape) for a similarity of its own.
            fixed: as `moving`.
            progress: called at every step; may raise `Cancelled`.
            fixed_mask, moving_mask: (1, 1, *shape), voxels of that image where it is 0 are compared with nothing;
                None compares all.
            start: (1, 3, *shape), voxels, displacement that a network found, to go on from.
            guides: landmarks and labels on the same grid that pull too.

        Returns:
            Velocity on its own coarser grid, displacement and inverse on the grid of the images, voxels.

        Raises:
            ConfigError: the pair cannot have the similarity.
        """
        deadline = time.monotonic() + self.budget_s
        compared = _both(fixed_mask, moving_mask)
        if isinstance(self.similarity, Similarity):
            similarity, self.reason = self.similarity, self.similarity.title
        else:
            similarity, self.reason = choose_similarity(self.similarity, fixed, moving, compared, self.binary)
        self.chosen = similarity.name
        pair = FeaturePyramid(moving, fixed, moving_mask, fixed_mask, similarity)
        levels = self._affordable(pair.features[0], start is not None)
        grids = [VelocityNodes(fixed.shape[2:], each.distance, fixed.device, self.effort.squarings) for each in levels]
        velocity = grids[0].zero() if start is None else grids[0].from_displacement(start)
        for number, (level, nodes) in enumerate(zip(levels, grids)):
            stage = _Stage(number, levels, deadline, progress)
            velocity = nodes.resampled(velocity)
            velocity = self._descend(velocity, nodes, pair.at(level.reduction), similarity, stage, guides)
            if stage.out_of_time:
                break
        self.out_of_time = stage.out_of_time
        return FieldPair(velocity, *grids[-1].displacements(velocity))

    def _affordable(self, features: Tensor, refining: bool) -> list[Level]:
        """The levels without those that are too fine for the effort; the first one stays."""
        levels, most = self.effort.refining if refining else self.effort.levels, self.effort.values
        return [level for level in levels if level is levels[0] or features.numel() / level.reduction**3 <= most]

    def _descend(
        self,
        velocity: Tensor,
        nodes: VelocityNodes,
        pair: ReducedPair,
        similarity: Similarity,
        stage: _Stage,
        guides: Guides | None,
    ) -> Tensor:
        ways = [self.direction(pair, nodes, similarity, back, guides) for back in (False, True)]
        curvature = (ways[0].curvature + ways[1].curvature) / 2
        # A node's part of the energy grows with the voxels that it moves, so its regularity does.
        part = 2 * self.smoothness * np.prod(pair.shape) / np.prod(nodes.shape) * pair.contrast
        regularity = Regularity(similarity.membrane * part, similarity.bending * part, nodes.strained)
        best = _Found(np.inf, velocity, torch.zeros_like(velocity))
        # Through masks other voxels are compared after every step, so energies tell nothing: all steps are shorter.
        masked = not ways[0].comparable
        step, stride = best.direction, MASKED_STRIDE if masked else STRIDE
        rise = 0.0 if stage.is_last else ways[0].rise
        for iteration in range(stage.iterations):
            energies, slopes = zip(*(way.pull(velocity) for way in ways))
            strain = regularity.gradient(velocity)
            energy = sum(energies) / 2
            total = energy + 0.5 * float((velocity * strain).sum())
            if masked or total <= best.energy * (1 + rise):
                found = solve(curvature, regularity, -((slopes[0] + slopes[1]) / 2 + strain), self.effort.gradients)
                lengths = found.square().sum(1, keepdim=True).sqrt_()
                limit = LONGEST_STEP * max(pair.scale)
                best = _Found(min(total, best.energy), velocity, found * (limit / lengths.clamp_(min=limit)))
                step = similarity.momentum * step + stride * best.direction
            else:  # the step was too long: go a shorter one from where it began
                stride /= 2
                step = stride * best.direction
            if stage.finished(iteration, energy / pair.contents + sum(way.guide_loss for way in ways) / 2):
                return best.velocity
            velocity = best.velocity + step
        # Nobody looked at the last step, so it counts only as long as all steps were good.
        return velocity if masked or stride == STRIDE else best.velocity


@dataclass(frozen=True, eq=False)
class _Found:
    """The last velocity that was good enough, the lowest energy so far, and where it is to go on to."""

    energy: float
    velocity: Tensor
    direction: Tensor


class _Stage:
    """One level's place in the whole: its share of the progress, the deadline, and when it has converged."""

    #: Steps over which the energy must still fall by `GAIN`.
    MEMORY, GAIN = 4, 1e-4

    def __init__(self, number: int, levels: Sequence[Level], deadline: float, progress: Progress):
        self.level, self.deadline, self.progress = levels[number], deadline, progress
        costs = [level.iterations / level.reduction**3 for level in levels]
        self.begin, self.share = sum(costs[:number]) / sum(costs), costs[number] / sum(costs)
        self.losses: list[float] = []
        self.is_last = number + 1 == len(levels)
        self.out_of_time = False

    @property
    def iterations(self) -> int:
        return self.level.iterations

    def finished(self, iteration: int, loss: float) -> bool:
        """Report a step; True when the time is up or the loss has stopped falling."""
        fraction = self.begin + self.share * (iteration + 1) / self.iterations
        self.progress(fraction, f"Optimising at 1/{self.level.reduction} resolution, loss {loss:.3f}")
        self.losses.append(loss)
        settled = len(self.losses) > self.MEMORY and self.losses[-self.MEMORY - 1] - loss < self.GAIN
        done = self.is_last and (settled or iteration + 1 == self.iterations)
        self.out_of_time = time.monotonic() > self.deadline and not done
        return settled or self.out_of_time


def _both(one: Tensor | None, other: Tensor | None) -> Tensor | None:
    if one is None or other is None:
        return one if other is None else other
    return one * other
