"""AtlasSegmentationTask: a probabilistic atlas learns to label images."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import Tensor, nn

from ...core.errors import ConfigError
from ...networks.atlas_segmentation import ProbAtlasSegmentation
from ..data.batch import Batch
from ..data.facts import DataFacts
from ..recipes.atlas_segmentation import AtlasSegmentationConfig
from .prob_atlas import estimated_statistics, known_intensities, prob_atlas
from .registration import RegistrationTask
from .terms import weighted

#: Arguments of a VxmDense that follow from the atlas.
_OWN = ("moving_features", "fixed_features")


class AtlasSegmentationTask(RegistrationTask):
    """Images are explained by the deformed atlas; pairs are registered by way of it.

    Raises:
        ConfigError: there is no atlas, or the images have several channels.
        ImageError: the file of the atlas or of the intensities cannot be read.
    """

    samples = "single"
    needs_mean = True
    network_class = ProbAtlasSegmentation

    def __init__(self, config: AtlasSegmentationConfig, facts: DataFacts):
        if facts.channels != 1:
            raise ConfigError(
                f"The recipe atlas-segmentation knows images of one channel, these have {facts.channels}. Choose one."
            )
        self.atlas = prob_atlas(config, facts)
        known = known_intensities(config, facts, len(self.atlas))
        super().__init__(config, dataclasses.replace(facts, intensities=known))

    def arguments(self) -> dict[str, Any]:
        known = zip(("means", "sigmas"), map(list, self.facts.intensities or ()))
        return {
            **{name: value for name, value in super().arguments().items() if name not in _OWN},
            "labels": len(self.atlas),
            "atlas_shape": list(self.facts.shape),
            "warp_atlas": self.config.warp_atlas,
            "stats_after_warp": self.config.stat_post_warp,
            **dict(known),
        }

    def build(self) -> nn.Module:
        network = super().build()
        network.start_from(self.atlas)
        if self.facts.mean is not None and not self.facts.intensities:
            means, sigmas = estimated_statistics(self.facts.mean, self.atlas)
            with torch.no_grad():
                network.mean_head.bias.copy_(means)
                network.log_variance_head.bias.copy_(2 * sigmas.log())
        return network

    def losses(self, network: nn.Module, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        output = network(batch.fixed, generator=generator)
        return weighted(
            {
                "evidence": (self.config.image_weight, lambda: -output.log_evidence.mean()),
                "penalty": (self.config.smoothness, lambda: self.penalty_term(output.registration.regularised)),
            }
        )

    def images(self) -> dict[str, Tensor]:
        return {"atlas": self.network.atlas.clone()}
