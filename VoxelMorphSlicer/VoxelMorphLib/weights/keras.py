"""Keras HDF5 files become networks: the architecture is found in the file, its weights are converted."""

from __future__ import annotations

from collections.abc import Sequence
from math import log
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..core.config import check_choice
from ..core.errors import WeightsError
from .keras_architecture import KerasArchitecture, find_architecture
from .keras_file import KerasFile, KerasLayer, read_keras
from .keras_synthmorph import synthmorph_layers
from .keras_tensors import layer_tensors
from .state import network_from_state
from .synthmorph import synthmorph_network

__all__ = ["KerasFile", "KerasLayer", "find_architecture", "network_from_keras", "read_keras"]


def network_from_keras(
    path: str | Path, indexing: str | None = None, hyper: float | Sequence[float] | None = None, **options: Any
) -> nn.Module:
    """The network of a file that Keras wrote, float32 on the CPU, in evaluation mode.

    Args:
        path: full model or weights only, from the original's branches dev, master or legacy.
        indexing: "ij" or "xy" order of displacement components in a file of 2018; None believes its graph. The network
            is always "ij".
        hyper: hyperparameters at which a joint network's hypernetwork is evaluated while it is read, so that only the
            far smaller network that follows is ever in memory; None reads the hypernetwork itself.
        options: constructor arguments that replace those found, such as `int_steps`.

    Raises:
        ConfigError: unknown indexing.
        WeightsError: the file is missing, damaged, unsafe or holds no network of this version.
        DependencyError: the package h5py is missing.
    """
    if indexing is not None:
        check_choice("indexing", indexing, ("ij", "xy"))
    file = read_keras(path)
    layers = synthmorph_layers(file)
    if layers is not None:
        return synthmorph_network(file, layers, hyper, options)
    found = find_architecture(file, indexing)
    arguments = {**found.arguments, **options}
    return network_from_state(found.name, arguments, keras_state(file, found), file.path).eval()


def keras_state(file: KerasFile, found: KerasArchitecture) -> dict[str, Tensor]:
    """The weights of a file under the names and with the axes of this project, ready for `load_state_dict`.

    Args:
        file: the description that `read_keras` gives.
        found: what `find_architecture` makes of it.

    Raises:
        WeightsError: the file cannot be read.
    """
    state = {}
    for path, layer in found.modules.items():
        arrays = file.read(layer)
        try:
            if path in ("flow", "logvar"):
                arrays = _converted_head(path, arrays, found)
            state.update(layer_tensors(path, arrays, found.arguments))
        except (ValueError, IndexError, KeyError, ZeroDivisionError) as error:
            raise WeightsError(f"{file.path} holds no {found.name} network: {layer.name[:60]} ({error}).") from error
    if "generator.image.bias" in state:  # the original is given the base of its template with every image
        state["base"] = torch.zeros(len(state["generator.image.bias"]), *found.arguments["shape"])
    return state


def _converted_head(path: str, arrays: dict[str, np.ndarray], found: KerasArchitecture) -> dict[str, np.ndarray]:
    """The convolution of velocity or variance with components in the order of the axes and in our scale."""
    kernel, bias = arrays["kernel"], arrays["bias"]
    if found.swap_axes and bias.size > 1:
        order = [1, 0, *range(2, bias.size)]
        kernel, bias = kernel[..., order], bias[order]
    if path == "flow":
        return {"kernel": kernel * np.float32(2**found.squarings), "bias": bias * np.float32(2**found.squarings)}
    return {"kernel": kernel, "bias": bias + np.float32(2 * found.squarings * log(2))}
