"""Muon: an optimiser whose steps turn the weights of a convolution in all directions alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Adam

#: Share of the old direction that each step keeps.
MOMENTUM = 0.95
#: Learning rate of all other weights, which Adam steps along, as a share of that of the convolutions.
ADAM_SHARE = 0.1
#: Coefficients and number of the Newton-Schulz iterations that bring all singular values near to 1.
COEFFICIENTS, ITERATIONS = (3.4445, -4.7750, 2.0315), 5


class Muon(Adam):
    """The weights of convolutions step along the nearest orthogonal matrix of their averaged gradient.

    Features that are positive everywhere give gradients of nearly one direction, which shifts all outputs; Adam takes
    large steps along it and small ones along the directions that tell one place from another. Biases, and the
    convolution that predicts the velocity, whose size means something, step as with Adam.

    Args:
        network: whose `unet` has the convolutions; without one, all weights of three and more axes step so.
        lr: norm of a step for every output feature of a convolution.

    Source: Jordan et al. 2024, kellerjordan.github.io/posts/muon; Liu et al. 2025, arXiv:2502.16982.
    """

    def __init__(self, network: nn.Module, lr: float):
        inside = getattr(network, "unet", network)
        turned = [weight for weight in inside.parameters() if weight.ndim > 2]
        known = {id(weight) for weight in turned}
        others = [weight for weight in network.parameters() if id(weight) not in known]
        groups: list[dict[str, Any]] = [
            {"params": weights, "lr": rate, "turned": is_turned}
            for weights, rate, is_turned in ((turned, lr, True), (others, ADAM_SHARE * lr, False))
            if weights
        ]
        super().__init__(groups, lr=lr)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One step along the gradients."""
        all_groups = self.param_groups
        for group in all_groups:
            if group["turned"]:
                for weight in group["params"]:
                    self._turn(weight, group["lr"])
        self.param_groups = [group for group in all_groups if not group["turned"]]
        try:
            return super().step(closure) if self.param_groups else None
        finally:
            self.param_groups = all_groups

    def _turn(self, weight: Tensor, lr: float) -> None:
        if weight.grad is None:
            return
        state = self.state[weight]
        if not state:
            state["step"], state["momentum"] = torch.zeros(()), torch.zeros_like(weight)
        state["step"] += 1  # Adam looks for it in every state that it restores
        kept = state["momentum"].mul_(MOMENTUM).add_(weight.grad)
        direction = orthogonal((weight.grad + MOMENTUM * kept).flatten(1))
        weight.add_(direction.view_as(weight), alpha=-lr)


def orthogonal(matrix: Tensor) -> Tensor:
    """A matrix of the same singular vectors whose singular values all lie near 1, between 0.6 and 1.2; 0 stays 0."""
    a, b, c = COEFFICIENTS
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    wide = wide / wide.norm().clamp(min=torch.finfo(matrix.dtype).tiny)
    for _ in range(ITERATIONS):
        gram = wide @ wide.T
        wide = a * wide + (b * gram + c * gram @ gram) @ wide
    return wide if matrix.shape[0] <= matrix.shape[1] else wide.T
