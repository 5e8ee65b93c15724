"""Direction: one image moved towards the other, by the exact slope of what compares them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..core.spatial import warp
from .feature_pyramid import ReducedPair
from .gauss_newton import structure_tensor
from .guides import Guides
from .similarity import Pull, Similarity
from .velocity_nodes import VelocityNodes, gather, spread


class Direction:
    """One image moved towards the other: its curvature, and what the velocity should change.

    Args:
        back: move the fixed image by the negative velocity instead.
        guides: pull too.
    """

    #: Share by which the energy may rise in a step that is taken nevertheless, before the last resolution.
    rise = 0.0

    def __init__(
        self,
        pair: ReducedPair,
        nodes: VelocityNodes,
        similarity: Similarity,
        back: bool,
        guides: Guides | None = None,
    ):
        self.pair, self.nodes, self.back = pair, nodes, back
        self.moving = pair.features[0 if back else 1]
        self.known_mask, self.moving_mask = pair.masks[::-1] if back else pair.masks
        reference = pair.features[1 if back else 0]
        self.similarity: Pull = similarity.against(reference)
        self.weights = nodes.weights(pair.places)
        self._sides = torch.tensor(pair.scale, device=self.moving.device).view(1, 3, 1, 1, 1)
        # At the goal the moved image has the slopes of the one that it is compared with.
        tensor = structure_tensor(pair.textures[1 if back else 0], pair.scale)
        self.curvature = gather(tensor, self.weights)
        self.guide = None if guides is None else guides.towards(nodes, pair.scale, pair.contrast, back)
        if self.guide is not None:
            self.curvature = self.curvature + self.guide.curvature

    @property
    def comparable(self) -> bool:
        """Whether energies tell which of two velocities is better: through masks they are of different voxels."""
        return self.known_mask is None and self.moving_mask is None

    @property
    def guide_loss(self) -> float:
        """Of the guides at the last pull, to tell whether they have settled."""
        return 0.0 if self.guide is None else self.guide.loss

    def pull(self, velocity: Tensor) -> tuple[float, Tensor]:
        """Energy, and its gradient (1, 3, *nodes) for the forward velocity."""
        with torch.enable_grad():
            own = velocity.detach().requires_grad_(True)
            field = self.nodes.exponential(-own if self.back else own)
            displacement = spread(field / self._sides, self.weights)
            moved = warp(self.moving, displacement)
            guided = [] if self.guide is None else [self.guide.energy(field)]
        energy, slope = self.similarity(moved.detach(), self._mask(displacement.detach()))
        with torch.enable_grad():
            pulled = sum(guided, _Pulled.apply(moved, slope))
        (gradient,) = torch.autograd.grad(pulled, own)
        return float(energy) + sum(float(part.detach()) for part in guided), gradient

    def _mask(self, displacement: Tensor) -> Tensor | None:
        """Voxels that are compared, 1, and others: inside the mask here, and come from inside the one there."""
        if self.moving_mask is None:
            return self.known_mask
        there = warp(self.moving_mask, displacement) > 1 - 1e-3
        return there.to(displacement.dtype) if self.known_mask is None else self.known_mask * there


class _Pulled(torch.autograd.Function):
    """A number whose gradient for what is moved is a known slope.

    To hand the slope to `torch.autograd.grad` does the same, but has torch import sympy, 0.8 s at the first step.
    """

    @staticmethod
    def forward(ctx: Any, moved: Tensor, slope: Tensor) -> Tensor:
        ctx.save_for_backward(slope)
        return moved.new_zeros(())

    @staticmethod
    def backward(ctx: Any, _one: Tensor) -> tuple[Tensor, None]:
        return ctx.saved_tensors[0], None
