"""Regularity of models that were trained for all values of it: which they are, and how one value is chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .architectures import JOINT
from .entry import ModelEntry

if TYPE_CHECKING:
    from torch import nn

DENSE = "HyperVxmDense"


def supports_hyper(entry: ModelEntry | None) -> bool:
    """Whether `RegistrationOptions.hyper` means anything to a model; imports no torch."""
    return entry is not None and (entry.architecture == DENSE or has_hypernetwork(entry))


def has_hypernetwork(entry: ModelEntry | None) -> bool:
    """Whether the model's file holds a joint network whose weights another network writes."""
    return entry is not None and entry.architecture == JOINT and entry.arguments.get("hyp_num", 1) > 0


def hyperparameter_count(network: nn.Module) -> int:
    """How many hyperparameters a loaded network can still be run with; 0 for an ordinary one."""
    if type(network).__name__ == DENSE:
        return network.unet.values
    return getattr(network, "hyp_num", 0)


def choose_hyper(network: nn.Module, hyper: float) -> None:
    """Set all hyperparameters of a loaded network to one value; an ordinary one stays as it is.

    Raises:
        ConfigError: not a finite number.
    """
    count = hyperparameter_count(network)
    if count:
        network.choose([hyper] * count)
