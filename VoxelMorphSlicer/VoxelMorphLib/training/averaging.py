"""Running means: of the weights over the steps, and of the losses over an epoch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


def weight_average(network: nn.Module, decay: float) -> AveragedModel | None:
    """The exponential mean of a network's weights, its `module` to be used like the network; None for decay 0.

    The mean begins with the weights after the first step; buffers are copied.

    Args:
        network: on its device.
        decay: share of the old mean that each step keeps.
    """
    return AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(decay)) if decay else None


class LossMeans:
    """Means of named losses; the sums stay on the device, so that adding does not wait for it."""

    def __init__(self) -> None:
        self.count = 0
        self._sums: dict[str, Tensor] = {}

    def add(self, terms: Mapping[str, Tensor], share: float = 1.0) -> None:
        """Add the losses of a batch.

        Args:
            terms: scalars.
            share: of the step's samples that are in this batch; a step counts when its shares come to 1.
        """
        for name, value in terms.items():
            value = value.detach().double() if value.device.type != "mps" else value.detach().float()
            self._sums[name] = self._sums.get(name, 0) + value * share

    def end_step(self) -> None:
        """All losses of one more step have been added."""
        self.count += 1

    def means(self) -> dict[str, float]:
        """By name, in the order of the first step; waits for the device."""
        return {name: float(value) / self.count for name, value in self._sums.items()}

    def clear(self) -> None:
        """Begin a new epoch."""
        self.__init__()

    def reduce(self, fabric: Any) -> None:
        """Replace the sums by their means over all processes."""
        if fabric.world_size > 1 and self._sums:
            together = fabric.all_reduce(torch.stack(list(self._sums.values())), reduce_op="mean")
            self._sums = dict(zip(self._sums, together))

    def state(self) -> dict[str, Any]:
        """Plain values for a checkpoint."""
        return {"count": self.count, "sums": {name: float(value) for name, value in self._sums.items()}}

    def load(self, state: Mapping[str, Any], device: torch.device) -> None:
        """Go on from `state`."""
        dtype = torch.float32 if device.type == "mps" else torch.float64
        self.count = state["count"]
        self._sums = {name: torch.tensor(value, dtype=dtype, device=device) for name, value in state["sums"].items()}
