"""Which network classes this version can run, by the names that the catalogue and weight files use."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from ..core.errors import VoxelMorphError, WeightsError

if TYPE_CHECKING:
    from torch import nn

#: The registration that optimises one pair instead of running a network; it has no weights.
OPTIMISE = "optimise"

#: Module in `networks` of every class; names only, so that listing models does not import torch.
ARCHITECTURES = {
    "VxmDense": "dense",
}


def build_network(name: str, arguments: dict[str, Any]) -> nn.Module:
    """A new network of the named class, with random weights.

    Args:
        name: one of `ARCHITECTURES`.
        arguments: of its constructor, by name; they may come from a file and are not trusted.

    Raises:
        WeightsError: the class is unknown or refuses the arguments.
    """
    if name not in ARCHITECTURES:
        raise WeightsError(f"There is no network {name!r}. This version has {', '.join(sorted(ARCHITECTURES))}.")
    module = importlib.import_module(f"..networks.{ARCHITECTURES[name]}", __package__)
    try:
        return getattr(module, name)(**arguments)
    except (VoxelMorphError, TypeError, ValueError, KeyError, IndexError, AttributeError) as error:
        raise WeightsError(f"The network {name} cannot be built from the arguments {arguments} ({error}).") from error
