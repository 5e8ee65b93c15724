"""Task: what one recipe trains, and how its losses follow from a batch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn

from ..networks.fields import FieldPair
from .checkpoint import fill
from .config import TrainingConfig
from .data.case import Batch, DatasetInfo


class Task(ABC):
    """One recipe at work. The trainer owns the loop; the task owns the network and the losses.

    Args:
        config: of the recipe's class.
        info: about the data.

    Raises:
        ConfigError: the data lack what the recipe needs, such as label maps.
    """

    #: Whether a sample has a moving image: "pair", or "single" for templates and segmentation.
    samples = "pair"
    #: Whether `DatasetInfo.mean` is needed.
    needs_mean = False
    #: Whether the task itself reads `config.init_weights`, which else are those of its network.
    reads_init_weights = False

    def __init__(self, config: TrainingConfig, info: DatasetInfo):
        self.config, self.info = config, info
        self.network = self.build()

    @abstractmethod
    def build(self) -> nn.Module:
        """A new network; random numbers come from torch's global generator, which the trainer has seeded."""

    def start_from(self, network: nn.Module, path: str) -> None:
        """Begin with the weights of a trained network.

        Args:
            network: of the kind that the recipe publishes.
            path: that it was read from, for messages.

        Raises:
            WeightsError: it has another architecture.
        """
        fill(self.network, network.state_dict(), path)

    @abstractmethod
    def losses(self, network: nn.Module, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Weighted terms by name; the trainer minimises their sum.

        Args:
            network: the task's own, perhaps wrapped for several processes; call it, never its methods.
            batch: on the network's device.
            generator: on the CPU, seeded for this step.
        """

    def derive(self, image: Tensor, labels: Tensor | None) -> dict[str, Tensor]:
        """What a case needs beside image (C, *shape) and labels (1, *shape), computed once when it is loaded."""
        return {}

    @classmethod
    def derived_bytes(cls, config: TrainingConfig, shape: tuple[int, ...], labels: tuple[int, ...]) -> int:
        """What `derive` takes of memory for each case, known before any is loaded.

        Args:
            config: of the recipe's class.
            shape: of the training space.
            labels: values of the label maps, without 0.
        """
        return 0

    def variants(self) -> tuple[str, ...]:
        """What is validated apart, such as the values of a hyperparameter; the best one counts."""
        return ("",)

    def choose(self, variant: str) -> None:  # noqa: B027, most recipes have nothing to choose
        """Make the variant that validation found best the default of what is published."""

    def fields(self, network: nn.Module, moving: Tensor, fixed: Tensor, variant: str = "") -> FieldPair:
        """Of a validation pair (B, C, *shape)."""
        return network.fields(moving, fixed)

    @abstractmethod
    def published(self) -> tuple[nn.Module, str, dict[str, Any]]:
        """What is exported: the network with the trained weights, its architecture's name and its arguments."""

    def images(self) -> dict[str, Tensor]:
        """(C, *shape) by name: images that the network has learned, such as a template."""
        return {}
