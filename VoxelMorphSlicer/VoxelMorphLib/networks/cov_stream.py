"""A running second moment over everything that has been seen, the companion of the running mean."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor, nn


class CovStream(nn.Module):
    """Covariance of all training items about zero, of the most recent ones once `cap` is reached.

    Args:
        shape: (C, *spatial), of one item; the state holds the square of their product.
        cap: number of items after which older ones fade.

    In training every call updates the state; otherwise the stored one is returned. It is scaled down while fewer than
    `cap` items have been seen.

    Source: Dalca et al., NeurIPS 2019, arXiv:1908.02738. Its code divides the first item by zero; here by one.
    """

    def __init__(self, shape: Sequence[int], cap: float = 100):
        super().__init__()
        self.cap, numbers = cap, prod(shape)
        self.register_buffer("covariance", torch.zeros(numbers, numbers))
        self.register_buffer("count", torch.zeros(1))

    def forward(self, items: Tensor) -> Tensor:
        """(B, C, *spatial) -> (B, V, V) with V = C * prod(spatial), the same for every item."""
        covariance, count = self.covariance, self.count
        if self.training:
            rows = items.float().flatten(1)
            before = count.clamp(max=self.cap)
            total = covariance * (before - 1) + rows.T @ rows
            covariance = total / (before + len(rows) - 1).clamp(min=1)
            count = count + len(rows)
            self.covariance, self.count = covariance.detach(), count
        return ((count / self.cap).clamp(max=1) * covariance).expand(len(items), -1, -1)
