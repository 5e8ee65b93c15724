"""SemiSupervisedTask: a dense network learns from images and the overlap of their labels."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ...core.losses.by_name import make_loss
from ...networks.dense import VxmDense
from ...networks.semi_supervised import VxmDenseSemiSupervisedSeg
from ..data.case import Batch, DatasetInfo
from ..recipes import SemiSupervisedConfig
from .registration import RegistrationTask, check_labels, one_hot, weighted


class SemiSupervisedTask(RegistrationTask):
    """Pairs and their label maps are compared; the exported network needs no labels.

    Raises:
        ConfigError: there are no label maps.
    """

    network_class = VxmDenseSemiSupervisedSeg

    def __init__(self, config: SemiSupervisedConfig, info: DatasetInfo):
        check_labels(config, info)
        super().__init__(config, info)
        self.dice_term = make_loss("dice")

    def build(self) -> nn.Module:
        return VxmDenseSemiSupervisedSeg(label_resolution=self.config.label_resolution, **self.arguments())

    def losses(self, network: nn.Module, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        fixed, moving = self._labels(batch, generator)
        back = fixed if self.config.bidir else None
        output = network(batch.moving, batch.fixed, moving, back, generator=generator)
        weight = self.config.dice_weight
        terms = {}
        if output.moved_fixed_labels is not None:
            weight = weight / 2
            terms["labels_back"] = (weight, lambda: self.dice_term(moving, output.moved_fixed_labels))
        return weighted(
            {
                **self.registration_terms(output.registration, batch),
                "labels": (weight, lambda: self.dice_term(fixed, output.moved_labels)),
                **terms,
            }
        )

    def published(self) -> tuple[nn.Module, str, dict[str, Any]]:
        dense = VxmDense(**self.arguments())
        dense.load_state_dict(self.network.state_dict())
        return dense, "VxmDense", self.arguments()

    def _labels(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Of the fixed and the moving images, the labels of this step as channels (B, L, *coarse)."""
        values, count = list(self.info.labels), self.config.labels_per_step
        if 0 < count < len(values):
            values = [values[i] for i in torch.randperm(len(values), generator=generator)[:count].sort()[0]]
        step = self.config.label_resolution
        return one_hot(batch.fixed_labels, values, step), one_hot(batch.moving_labels, values, step)
