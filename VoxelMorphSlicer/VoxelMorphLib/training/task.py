"""Task: what one recipe trains, and how its losses follow from a batch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn

from ..networks.fields import FieldPair
from .checkpoint import fill
from .data.case import Batch, DatasetInfo
from .options import TrainingConfig


class Task(ABC):
    """The trainable form of one recipe: the trainer owns the loop, the task owns the network and the losses.

    Args:
        config: of the recipe's class.
        info: about the dataset.

    Raises:
        ConfigError: the data lack what the recipe needs, such as label maps.
    """

    #: Whether a sample has a moving image: "pair", or "single" for templates and segmentation.
    samples = "pair"
    #: Whether `DatasetInfo.mean` is needed.
    needs_mean = False
    #: Whether the task itself reads `config.init_weights`; otherwise they are loaded into its network.
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
        """Weighted loss terms by name; the trainer minimises their sum.

        Args:
            network: the task's own, perhaps wrapped for several processes; call it, never its methods.
            batch: on the network's device.
            generator: on the CPU, seeded for this step.
        """

    def derive(self, image: Tensor, labels: Tensor | None) -> dict[str, Tensor]:
        """What the recipe needs besides image (C, *shape) and labels (1, *shape); computed once for each case."""
        return {}

    @classmethod
    def derived_bytes(cls, config: TrainingConfig, shape: tuple[int, ...], labels: tuple[int, ...]) -> int:
        """Bytes of what `derive` returns for each case, known before any is loaded.

        Args:
            config: of the recipe's class.
            shape: of the training space.
            labels: values of the label maps, without 0.
        """
        return 0

    def variants(self) -> tuple[str, ...]:
        """What is validated separately, such as the values of a hyperparameter; the best one counts."""
        return ("",)

    def choose(self, variant: str) -> None:  # noqa: B027, most recipes have nothing to choose
        """Make the variant that was best in validation the default of what is published."""

    def fields(self, network: nn.Module, moving: Tensor, fixed: Tensor, variant: str = "") -> FieldPair:
        """The fields of a validation pair, images of (B, C, *shape)."""
        return network.fields(moving, fixed)

    def labels_of(self, network: nn.Module, image: Tensor) -> Tensor | None:
        """(B, 1, *shape): the labels that the network finds in images (B, C, *shape); None where it only moves them."""
        return None

    @abstractmethod
    def published(self) -> tuple[nn.Module, str, dict[str, Any]]:
        """What is exported: the network with the trained weights, its architecture's name and its arguments."""

    def validation_batch(self, batch: Batch) -> Batch:
        """What is validated of a pair of the data, on the network's device."""
        return batch

    def previews(self) -> dict[str, Tensor]:
        """(B, C, *shape) by name: images of the last step that were made and that no file holds."""
        return {}

    def images(self) -> dict[str, Tensor]:
        """(C, *shape) by name: images that the network has learned, such as a template."""
        return {}
