"""HyperVxmDense: a VxmDense for every value of the hyperparameters, such as the weight of the regularisation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from ..core.options import check_range
from .dense import VxmDense
from .fields import FieldPair, RegistrationOutput
from .hypernetwork import Hypernetwork, as_hyperparameters
from .unet import Unet


class HyperVxmDense(VxmDense):
    """Dense registration whose U-net has weights computed from hyperparameters; the flow convolution has its own.

    Args:
        ndims: number of spatial axes, 1 to 3.
        hyperparameters: how many there are.
        hyper_layers, hyper_units: hidden layers of the network that computes the weights, and their features.
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

    @property
    def hyperparameters(self) -> int:
        """How many there are to choose."""
        return self.unet.values

    def choose(self, hyperparameters: float | Sequence[float]) -> None:
        """Set the hyperparameters of the calls that name none.

        Raises:
            ConfigError: another number of hyperparameters than the network has.
        """
        as_hyperparameters(hyperparameters, self.unet.values, like=self.flow.bias[:1])
        self.unet.chosen = hyperparameters

    def start_from(self, dense: VxmDense) -> None:
        """Start from a trained network, for all hyperparameters alike; training then learns their effect.

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


class HyperUnet(Hypernetwork):
    """A U-net and the network that computes its weights from the chosen hyperparameters.

    Args:
        unet: gives the structure; its weights are not used.
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
        self.peak_features = unet.peak_features

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
        values = as_hyperparameters(self.chosen, self.values, like=image)
        return super().forward(image, values.to(self.dtype))

    def specialised(self, hyperparameters: float | Sequence[float] | Tensor) -> dict[str, Tensor]:
        """The weights of the ordinary U-net for one choice of hyperparameters, by name, without gradients.

        Raises:
            ConfigError: another number of hyperparameters than the network has.
        """
        values = as_hyperparameters(hyperparameters, self.values, like=self.hidden[0].weight[:1])
        with torch.no_grad():
            return {name: tensor[0] for name, tensor in self.weights(values.to(self.dtype)).items()}
