"""HyperUnet: a U-net whose convolutions follow from hyperparameters, with the interface of a `Unet`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from ..core.config import check_range
from .hypernetwork import Hypernetwork, as_hyperparameters
from .unet import Unet


class HyperUnet(Hypernetwork):
    """A U-net and the network that writes its weights, for the hyperparameters that are chosen.

    Args:
        unet: gives the structure; its weights have no meaning.
        hyperparameters: how many there are.
        layers: number of hidden layers.
        units: features of each.

    Raises:
        ConfigError: impossible values.

    Source: Hoopes et al., IPMI 2021, doi:10.1007/978-3-030-78191-0_1.
    """

    def __init__(self, unet: Unet, hyperparameters: int = 1, layers: int = 6, units: int = 128) -> None:
        check_range("layers", layers, 1, 100)
        super().__init__(unet, hyperparameters, [units] * layers)
        self.ndims, self.out_channels, self.multiple = unet.ndims, unet.out_channels, unet.multiple
        self.chosen: float | Sequence[float] | Tensor = [0.5] * hyperparameters

    @property
    def dtype(self) -> torch.dtype:
        """Of the weights and therefore of the activations."""
        return self.hidden[0].weight.dtype

    @contextmanager
    def choosing(self, hyperparameters: float | Sequence[float] | Tensor | None) -> Iterator[None]:
        """The hyperparameters of the calls within a block; None leaves those that are chosen."""
        before = self.chosen
        try:
            if hyperparameters is not None:
                self.chosen = hyperparameters
            yield
        finally:
            self.chosen = before

    def forward(self, image: Tensor) -> Tensor:
        """(B, in_channels, *shape) -> (B, out_channels, *(shape / reduction)), with the hyperparameters chosen.

        Raises:
            ConfigError: another number of hyperparameters than the network has, or neither one set nor one per item.
            GeometryError: the number of axes or an extent does not fit.
        """
        hyper = as_hyperparameters(self.chosen, self.values, like=image)
        return super().forward(image, hyper.to(self.dtype))

    def specialised(self, hyperparameters: float | Sequence[float] | Tensor) -> dict[str, Tensor]:
        """The weights of the ordinary U-net for one choice of hyperparameters, by name, without gradients.

        Raises:
            ConfigError: another number of hyperparameters than the network has.
        """
        hyper = as_hyperparameters(hyperparameters, self.values, like=self.hidden[0].weight[:1])
        with torch.no_grad():
            return {name: tensor[0] for name, tensor in self.weights(hyper.to(self.dtype)).items()}
