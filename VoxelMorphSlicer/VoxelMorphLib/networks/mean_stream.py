"""A running mean over everything that has been seen, which a template's loss keeps at zero."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class MeanStream(nn.Module):
    """Mean of all training items, of the most recent ones once `cap` is reached.

    Args:
        shape: (C, *spatial), of one item.
        cap: number of items after which older ones fade.

    In training every call updates the mean; otherwise the stored one is returned. The mean is scaled down while fewer
    than `cap` items have been seen.

    Source: Dalca et al., NeurIPS 2019, arXiv:1908.02738, section 3.2.
    """

    def __init__(self, shape: Sequence[int], cap: float = 100):
        super().__init__()
        self.cap = cap
        self.register_buffer("mean", torch.zeros(tuple(shape)))
        self.register_buffer("count", torch.zeros(1))

    def forward(self, items: Tensor) -> Tensor:
        """(B, C, *spatial) -> the mean, the same for every item; gradients flow into the newest items."""
        mean, count = self.mean, self.count
        if self.training:
            batch = items.shape[0]
            weight = batch / (count + batch).clamp(max=self.cap)
            mean = mean + weight * (items.float().mean(0) - mean)
            count = count + batch
            self.mean, self.count = mean.detach(), count
        return ((count / self.cap).clamp(max=1) * mean).expand_as(items)
