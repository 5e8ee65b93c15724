"""HyperVxmDense: a VxmDense for every value of the hyperparameters, such as the weight of smoothness."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from .dense import VxmDense
from .fields import FieldPair, RegistrationOutput
from .hyper_unet import HyperUnet
from .hypernetwork import as_hyperparameters


class HyperVxmDense(VxmDense):
    """Dense registration whose U-net is written by a network of the hyperparameters; the flow convolution is fixed.

    Args:
        ndims: number of spatial axes, 1 to 3.
        hyperparameters: how many there are.
        hyper_layers, hyper_units: hidden layers of the network that writes the weights, and their features.
        default: the hyperparameters where a call names none; one number for all, or one each.
        options: the other arguments of `VxmDense`.

    Raises:
        ConfigError: impossible or contradicting values.

    Source: Hoopes et al., IPMI 2021, doi:10.1007/978-3-030-78191-0_1.
    """

    def __init__(
        self,
        ndims: int = 3,
        hyperparameters: int = 1,
        hyper_layers: int = 6,
        hyper_units: int = 128,
        default: float | Sequence[float] = 0.5,
        **options: Any,
    ) -> None:
        super().__init__(ndims, **options)
        self._dense_arguments = {"ndims": ndims, **options}
        self.unet = HyperUnet(self.unet, hyperparameters, hyper_layers, hyper_units)
        self.choose([default] * hyperparameters if isinstance(default, (int, float)) else default)

    def choose(self, hyperparameters: float | Sequence[float]) -> None:
        """Set the hyperparameters of the calls that name none.

        Raises:
            ConfigError: another number of hyperparameters than the network has.
        """
        as_hyperparameters(hyperparameters, self.unet.values, like=self.flow.bias[:1])
        self.unet.chosen = hyperparameters

    def start_from(self, dense: VxmDense) -> None:
        """Register as a trained network does, whatever the hyperparameters; training then learns how they matter.

        Raises:
            ConfigError: the network has other features.
        """
        self.unet.start_from(dict(dense.unet.named_parameters()))
        self.flow.load_state_dict(dense.flow.state_dict())

    def forward(
        self,
        moving: Tensor,
        fixed: Tensor,
        hyperparameters: float | Sequence[float] | Tensor | None = None,
        sample: bool | None = None,
        generator: torch.Generator | None = None,
    ) -> RegistrationOutput:
        """As `RegistrationNetwork.forward`, with hyperparameters (H,) for the whole batch or (B, H)."""
        with self.unet.choosing(hyperparameters):
            return super().forward(moving, fixed, sample, generator)

    def fields(
        self,
        moving: Tensor,
        fixed: Tensor,
        sample: bool = False,
        generator: torch.Generator | None = None,
        hyperparameters: float | Sequence[float] | Tensor | None = None,
    ) -> FieldPair:
        """As `RegistrationNetwork.fields`, with hyperparameters (H,) for the whole batch or (B, H)."""
        with self.unet.choosing(hyperparameters):
            return super().fields(moving, fixed, sample, generator)

    def specialise(self, hyperparameters: float | Sequence[float]) -> VxmDense:
        """The ordinary network for one choice of hyperparameters: the same fields from a hundredth of the weights.

        Raises:
            ConfigError: another number of hyperparameters than the network has.
        """
        weights = {f"unet.{name}": tensor for name, tensor in self.unet.specialised(hyperparameters).items()}
        heads = {name: tensor for name, tensor in self.state_dict().items() if not name.startswith("unet.")}
        network = VxmDense(**self._dense_arguments).to(self.flow.weight.device)
        network.load_state_dict({**weights, **heads})
        return network.train(self.training)
