"""HyperMorphTask: one network learns to register for every weight of smoothness."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ...core.errors import ConfigError, WeightsError
from ...networks.dense import VxmDense
from ...networks.fields import FieldPair
from ...networks.hyper_dense import HyperVxmDense
from ..data.case import Batch
from .registration import HYPERPARAMETER, RegistrationTask, sample_generators, weighted


class EveryLambda:
    """What tasks share whose network is trained, validated and published for every lambda."""

    config: Any
    network: nn.Module
    #: Lambda of what is exported.
    _chosen = 0.5

    def draw(self, batch: Batch) -> Tensor:
        """Lambda (B,) of every sample, on the CPU; it follows from the sample's number alone."""
        generators = sample_generators(self.config.seed, batch, HYPERPARAMETER)
        return torch.tensor([self._draw(generator) for generator in generators])

    def _draw(self, generator: torch.Generator) -> float:
        """Lambda of one sample, evenly distributed."""
        return float(torch.rand((), generator=generator))

    def fields(self, network: nn.Module, moving: Tensor, fixed: Tensor, variant: str = "") -> FieldPair:
        """Of a validation pair, for the lambda that a variant is."""
        return network.fields(moving, fixed, hyperparameters=float(variant) if variant else None)

    def choose(self, variant: str) -> None:
        """Make a lambda the default of what is published."""
        self._chosen = float(variant)
        self.network.choose(self._chosen)


class HyperMorphTask(EveryLambda, RegistrationTask):
    """Every pair is compared and penalised with a lambda of its own."""

    network_class = HyperVxmDense

    def arguments(self) -> dict[str, Any]:
        hyper = {"hyper_layers": self.config.hyper_layers, "hyper_units": self.config.hyper_units}
        return {**super().arguments(), **hyper, "default": self._chosen}

    def losses(self, network: nn.Module, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        hyper = self.draw(batch)
        output = network(batch.moving, batch.fixed, hyper.to(batch.fixed.device)[:, None], generator=generator)
        config, items = self.config, [slice(i, i + 1) for i in range(len(batch))]

        def images(fixed: Tensor, moved: Tensor) -> Tensor:
            values = [(1 - a) * self.image_term(fixed[item], moved[item]) for a, item in zip(hyper.tolist(), items)]
            return sum(values) / len(items)

        def penalty() -> Tensor:
            values = [a * self.penalty_term(output.regularised[item]) for a, item in zip(hyper.tolist(), items)]
            return sum(values) / len(items)

        terms = {
            "image": (config.image_weight / (1 + config.bidir), lambda: images(batch.fixed, output.moved)),
            "penalty": (config.smoothness, penalty),
        }
        if output.moved_fixed is not None:
            terms["image_back"] = (config.image_weight / 2, lambda: images(batch.moving, output.moved_fixed))
        return weighted(terms)

    def _draw(self, generator: torch.Generator) -> float:
        """Also exactly 0 and 1."""
        end, value = torch.rand(2, generator=generator).tolist()
        return float(value >= 0.5) if end < self.config.oversample_rate else value

    def start_from(self, network: nn.Module, path: str) -> None:
        """Also from an ordinary network of the same features."""
        if not isinstance(network, VxmDense) or isinstance(network, HyperVxmDense):
            return super().start_from(network, path)
        try:
            return self.network.start_from(network)
        except ConfigError as error:
            raise WeightsError(f"{path} does not fit: {error} Choose encoder and decoder alike.") from error

    def variants(self) -> tuple[str, ...]:
        return tuple(f"{value:.3g}" for value in torch.linspace(0, 1, self.config.sweep).tolist())
