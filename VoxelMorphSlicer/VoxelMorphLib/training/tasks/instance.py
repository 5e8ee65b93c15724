"""InstanceTask: the velocity of one pair is fitted to it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ...core.errors import ConfigError
from ...networks.instance import InstanceDense
from ...weights.load import load_network
from ..data.case import Batch, DatasetInfo
from ..options import TrainingConfig
from ..task import Task
from .registration import image_term, penalty_term, weighted


class InstanceTask(Task):
    """The optimiser changes the velocity itself, which starts at zero or at what a network predicts.

    Raises:
        WeightsError: the weights to start from are damaged or not those of a registration network.
    """

    reads_init_weights = True

    def __init__(self, config: TrainingConfig, info: DatasetInfo):
        super().__init__(config, info)
        self.image_term, self.penalty_term = image_term(config), penalty_term(config)
        self._first_names: tuple[str, ...] = ()
        self._started = not config.init_weights

    def arguments(self) -> dict[str, Any]:
        """Of the network's class, as plain values."""
        config = self.config
        return {
            "shape": list(self.info.shape),
            "multiplier": config.multiplier,
            "int_steps": config.int_steps,
            "int_resolution": config.int_resolution,
        }

    def build(self) -> nn.Module:
        return InstanceDense(**self.arguments())

    def losses(self, network: nn.Module, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        self._check_pair(batch)
        if not self._started:
            self._start(batch)
        output = network(batch.moving)
        return weighted(
            {
                "image": (self.config.image_weight, lambda: self.image_term(batch.fixed, output.moved)),
                "penalty": (self.config.smoothness, lambda: self.penalty_term(output.velocity)),
            }
        )

    def published(self) -> tuple[nn.Module, str, dict[str, Any]]:
        return self.network, "InstanceDense", self.arguments()

    def _check_pair(self, batch: Batch) -> None:
        names = {*self._first_names, *batch.names}
        if len(names) > 1:
            raise ConfigError(
                f"The recipe instance fits one pair, and the data have several ({', '.join(sorted(names))}). Give a "
                "pair_list of one line."
            )
        self._first_names = batch.names[:1]

    def _start(self, batch: Batch) -> None:
        """Start from the velocity of a network, unless the training was resumed and has already done so."""
        self._started = True
        if self.network.parameter.any():
            return
        path = self.config.init_weights
        network, _ = load_network(path, device=str(batch.fixed.device))
        if any(n % network.multiple for n in self.info.shape):
            raise ConfigError(
                f"The network of {path} needs extents that are multiples of {network.multiple}; the training space has "
                f"{self.info.shape}. Set shape accordingly."
            )
        with torch.no_grad():
            pair = network.fields(batch.moving[:1], batch.fixed[:1])
        if pair.velocity is None:
            raise ConfigError(f"The network of {path} gives no velocity to refine. Choose one that integrates.")
        self.network.start_from(pair.velocity)
