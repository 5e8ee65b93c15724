"""RegistrationTask: a dense network learns to register image pairs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ...core.errors import ConfigError
from ...networks.dense import VxmDense
from ...networks.fields import RegistrationOutput
from ..config import TrainingConfig
from ..data.batch import Batch
from ..data.facts import DataFacts
from ..task import Task
from .terms import image_term, penalty_term, weighted

Terms = dict[str, tuple[float, Callable[[], Tensor]]]


def dense_arguments(config: TrainingConfig, facts: DataFacts) -> dict[str, Any]:
    """Of a VxmDense, as plain values for a weights file."""
    return {
        "ndims": len(facts.shape),
        "features": [list(config.encoder), list(config.decoder)],
        "int_steps": config.int_steps,
        "svf_resolution": config.svf_resolution,
        "int_resolution": config.int_resolution,
        "bidir": config.bidir,
        "moving_features": facts.channels,
        "fixed_features": facts.channels,
    }


class RegistrationTask(Task):
    """Pairs are compared by `image_loss`, in both directions with `bidir`, and the velocity is penalised."""

    #: What is built with `arguments`.
    network_class: type[nn.Module] = VxmDense

    def __init__(self, config: TrainingConfig, facts: DataFacts):
        super().__init__(config, facts)
        self.image_term, self.penalty_term = image_term(config), penalty_term(config)

    def arguments(self) -> dict[str, Any]:
        """Of the network's class, as plain values."""
        return dense_arguments(self.config, self.facts)

    def build(self) -> nn.Module:
        return self.network_class(**self.arguments())

    def losses(self, network: nn.Module, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        output = network(batch.moving, batch.fixed, generator=generator)
        return weighted(self.registration_terms(output, batch))

    def registration_terms(self, output: RegistrationOutput, batch: Batch) -> Terms:
        """Similarity and penalty of one pass."""
        weight = self.config.image_weight
        terms: Terms = {}
        if output.moved_fixed is not None:
            weight = weight / 2
            terms["image_back"] = (weight, lambda: self.image_term(batch.moving, output.moved_fixed))
        return {
            "image": (weight, lambda: self.image_term(batch.fixed, output.moved)),
            **terms,
            "penalty": (self.config.smoothness, lambda: self.penalty_term(output.regularised)),
        }

    def published(self) -> tuple[nn.Module, str, dict[str, Any]]:
        return self.network, type(self.network).__name__, self.arguments()


class AtlasTask(RegistrationTask):
    """The fixed image of every pair is the atlas.

    Raises:
        ConfigError: there is no atlas.
    """

    def __init__(self, config: TrainingConfig, facts: DataFacts):
        if facts.atlas is None:
            raise ConfigError("The recipe atlas registers all images with one. Give its file as atlas.")
        super().__init__(config, facts)
