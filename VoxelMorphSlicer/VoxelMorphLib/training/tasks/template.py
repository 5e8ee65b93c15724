"""TemplateTask and its conditional companion: a template is learned together with its registration."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ...core.errors import ConfigError
from ...networks.conditional_template import ConditionalTemplateCreation
from ...networks.template import TemplateCreation, TemplateOutput
from ..data.case import Batch, DatasetInfo
from ..options import TrainingConfig
from .registration import RegistrationTask, Terms, weighted

#: Arguments of a VxmDense that follow from the template.
_OWN = ("ndims", "bidir", "moving_features", "fixed_features")


class TemplateTask(RegistrationTask):
    """The template (moving) is deformed onto every image and compared with it."""

    samples = "single"
    needs_mean = True
    network_class = TemplateCreation

    def arguments(self) -> dict[str, Any]:
        info = self.info
        dense = {name: value for name, value in super().arguments().items() if name not in _OWN}
        own = {"shape": list(info.shape), "mean_cap": self.config.mean_cap, "image_features": info.channels}
        return {**own, "template_features": info.channels, **dense}

    def build(self) -> nn.Module:
        network = super().build()
        start = self.info.atlas if self.config.atlas else self.info.mean
        if start is not None:
            network.start_from(start)
        return network

    def losses(self, network: nn.Module, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        output = self.run(network, batch, generator)
        registration, back = output.registration, 1 - self.config.image_weight
        return weighted(
            {
                **self.template_terms(output, batch),
                "image_back": (back, lambda: self.image_term(output.template, registration.moved_fixed)),
            }
        )

    def run(self, network: nn.Module, batch: Batch, generator: torch.Generator) -> TemplateOutput:
        """One forward pass for a batch of images."""
        return network(batch.fixed, generator=generator)

    def template_terms(self, output: TemplateOutput, batch: Batch) -> Terms:
        """The terms that all templates are trained with."""
        config, registration = self.config, output.registration
        return {
            "image": (config.image_weight, lambda: self.image_term(batch.fixed, registration.moved)),
            "mean": (config.mean_weight, lambda: output.mean_displacement.square().mean()),
            "penalty": (config.smoothness, lambda: self.penalty_term(registration.displacement)),
            "deformation": (config.deformation_weight, lambda: registration.displacement.square().mean()),
        }

    def template(self, network: nn.Module) -> Tensor:
        """(1, C, *shape), the template between all images."""
        return network.template[None]

    def images(self) -> dict[str, Tensor]:
        with torch.no_grad():
            return {"template": self.template(self.network)[0].clone()}


class ConditionalTemplateTask(TemplateTask):
    """Every image has a template of its own that follows from its attributes; 0 stands for the average subject.

    Raises:
        ConfigError: there are no attributes.
    """

    network_class = ConditionalTemplateCreation

    def __init__(self, config: TrainingConfig, info: DatasetInfo):
        if not info.attributes:
            raise ConfigError(
                f"The recipe {config.recipe} makes a template for each value of some attributes, and the data have "
                "none. Give a CSV file as attributes."
            )
        super().__init__(config, info)

    def arguments(self) -> dict[str, Any]:
        config = self.config
        return {
            **super().arguments(),
            "attributes": self.info.attributes,
            "generator_levels": config.generator_levels,
            "generator_features": config.generator_features,
            "generator_kernel": config.generator_kernel,
            "extra_convolutions": config.extra_convolutions,
        }

    def losses(self, network: nn.Module, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        return weighted(self.template_terms(self.run(network, batch, generator), batch))

    def run(self, network: nn.Module, batch: Batch, generator: torch.Generator) -> TemplateOutput:
        return network(self._standardised(batch.attributes), batch.fixed, generator=generator)

    def _standardised(self, attributes: Tensor) -> Tensor:
        """As the network takes them, (B, A): in standard deviations from the mean of the training."""
        if not self.info.described:
            return attributes
        mean = attributes.new_tensor([attribute.mean for attribute in self.info.described])
        return (attributes - mean) / attributes.new_tensor([a.deviation for a in self.info.described])

    def template(self, network: nn.Module) -> Tensor:
        return network.template(network.base.new_zeros(1, self.info.attributes))

    def images(self) -> dict[str, Tensor]:
        """The template of the average subject, and those one below and one above it in each attribute."""
        images = super().images()
        with torch.no_grad():
            for index in range(self.info.attributes):
                for name, value in (("below", -1.0), ("above", 1.0)):
                    attributes = self.network.base.new_zeros(1, self.info.attributes)
                    attributes[0, index] = value
                    images[f"template_attribute{index + 1}_{name}"] = self.network.template(attributes)[0]
        return images
