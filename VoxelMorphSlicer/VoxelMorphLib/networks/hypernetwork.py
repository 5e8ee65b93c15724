"""Hypernetwork: hyperparameters, such as the weight of the regularisation, become the weights of another network."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from math import prod, sqrt

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ..core.errors import ConfigError
from ..core.options import check_range


class GeneratedTensor(nn.Module):
    """One tensor of the other network, a linear function of the last hidden layer.

    Args:
        units: of the last hidden layer.
        shape: of the tensor.
    """

    def __init__(self, units: int, shape: Sequence[int]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(units, *shape))
        self.bias = nn.Parameter(torch.empty(*shape))
        size = prod(shape)
        for tensor, limit in ((self.weight, sqrt(6 / (units + size))), (self.bias, sqrt(3 / size))):  # Glorot
            nn.init.uniform_(tensor, -limit, limit)

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, units) -> (B, *shape)."""
        return torch.addmm(self.bias.flatten(), hidden, self.weight.flatten(1)).unflatten(1, self.bias.shape)


class Hypernetwork(nn.Module):
    """Runs a network whose weights are computed from hyperparameters, for every item of a batch or once for all.

    Args:
        template: the network to run; its own weights are not used and take no memory.
        values: number of hyperparameters.
        units: of the hidden layers.

    Raises:
        ConfigError: no hyperparameter, or no hidden layer.

    Source: Hoopes et al., IPMI 2021, doi:10.1007/978-3-030-78191-0_1.
    """

    def __init__(self, template: nn.Module, values: int = 1, units: Sequence[int] = (32, 32, 32, 32)) -> None:
        super().__init__()
        if values < 1 or not units or min(units) < 1:
            raise ConfigError(f"{values} hyperparameters and the hidden layers {list(units)} make no hypernetwork.")
        self.values = values
        self.template = (copy.deepcopy(template).to("meta"),)  # in a tuple: no part of this network's parameters
        widths = [values, *units]
        self.hidden = nn.ModuleList(nn.Linear(a, b) for a, b in zip(widths, units))
        for layer in self.hidden:
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
        self.names = [name for name, _ in template.named_parameters()]
        self.generated = nn.ModuleList(GeneratedTensor(units[-1], p.shape) for p in template.parameters())

    def weights(self, hyperparameters: Tensor) -> dict[str, Tensor]:
        """The tensors of the other network by name, each (B, *shape), for hyperparameters (B, values)."""
        hidden = hyperparameters
        for layer in self.hidden:
            hidden = torch.relu(layer(hidden))
        return {name: layer(hidden) for name, layer in zip(self.names, self.generated)}

    def start_from(self, weights: Mapping[str, Tensor]) -> None:
        """Make these the weights for all hyperparameters; training then learns how they differ.

        Args:
            weights: every tensor of the other network by name.

        Raises:
            ConfigError: a tensor is missing, unexpected or of another shape.
        """
        shapes = {name: layer.bias.shape for name, layer in zip(self.names, self.generated)}
        if shapes != {name: tensor.shape for name, tensor in weights.items()}:
            raise ConfigError("A hypernetwork cannot start from the weights of a network of other features.")
        with torch.no_grad():
            for name, layer in zip(self.names, self.generated):
                layer.weight.zero_()
                layer.bias.copy_(weights[name])
            # Without it all hidden units grow with the hyperparameters and die together at low ones.
            nn.init.uniform_(self.hidden[0].bias, -0.5, 0.5)

    def forward(self, image: Tensor, hyperparameters: Tensor) -> Tensor:
        """The other network's output.

        Args:
            image: (B, C, *shape).
            hyperparameters: (B, values), or (1, values) for all items.

        Returns:
            (B, ...), the output of the template.
        """
        generated = self.weights(hyperparameters)
        template = self.template[0].train(self.training)
        if hyperparameters.shape[0] == 1:
            return functional_call(template, {name: tensor[0] for name, tensor in generated.items()}, image)
        items = [
            functional_call(template, {name: tensor[i] for name, tensor in generated.items()}, image[i : i + 1])
            for i in range(image.shape[0])
        ]
        return torch.cat(items)


def as_hyperparameters(chosen: float | Sequence[float] | Tensor, values: int, like: Tensor) -> Tensor:
    """Hyperparameters as a tensor (B, values) or (1, values), float32 on the device of `like` (B, ...).

    Raises:
        ConfigError: another number of them, or of items.
    """
    if not torch.is_tensor(chosen):
        chosen = [chosen] if isinstance(chosen, (int, float)) else list(chosen)
        for value in chosen:
            check_range("hyper", value, -1e6, 1e6)
    given = torch.as_tensor(chosen, dtype=torch.float32, device=like.device)
    given = given[None] if given.ndim == 1 else given
    if given.ndim != 2 or given.shape[1] != values or given.shape[0] not in (1, like.shape[0]):
        raise ConfigError(
            f"The network takes {values} hyperparameters for each of {like.shape[0]} pairs or once for all, got "
            f"{tuple(given.shape)}. Give as many."
        )
    return given
