"""Keras HDF5 files become networks: the architecture is found in the file, its weights are converted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import log
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..core.errors import WeightsError
from ..core.options import check_choice
from .architectures import network_from_state
from .keras_file import KerasFile, KerasLayer, read_keras
from .keras_legacy_template import legacy_template
from .keras_models import MODELS, model_modules
from .keras_synthmorph import synthmorph_layers, synthmorph_network
from .keras_tensors import layer_tensors
from .keras_unet import (
    dense_arguments,
    guessed_arguments,
    legacy_arguments,
    legacy_modules,
    legacy_squarings,
    unet_modules,
)

REMEDY = (
    f"Choose a file of VxmDense, {', '.join(MODELS)}, or of the networks of CVPR 2018, MICCAI 2018 and NeurIPS 2019."
)


def network_from_keras(
    path: str | Path,
    indexing: str | None = None,
    hyperparameters: float | Sequence[float] | None = None,
    **options: Any,
) -> nn.Module:
    """The network of a file that Keras wrote, float32 on the CPU, in evaluation mode.

    Args:
        path: full model or weights only, from the original's branches dev, master or legacy.
        indexing: "ij" or "xy" order of displacement components in a file of 2018; None believes its graph. The network
            is always "ij".
        hyperparameters: the values for which a joint network's hypernetwork is evaluated while it is read, so that only
            the far smaller network that follows is ever in memory; None reads the hypernetwork itself.
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
        return synthmorph_network(file, layers, hyperparameters, options)
    found = find_architecture(file, indexing)
    arguments = {**found.arguments, **options}
    return network_from_state(found.name, arguments, keras_state(file, found), file.path).eval()


def keras_state(file: KerasFile, found: KerasArchitecture) -> dict[str, Tensor]:
    """The weights of a file under the names and with the axes of this project, ready for `load_state_dict`.

    Args:
        file: as `read_keras` returns it.
        found: as `find_architecture` returns it.

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


@dataclass(frozen=True)
class KerasArchitecture:
    """What `network_from_keras` builds and fills.

    Args:
        name: class of the network.
        arguments: of its constructor.
        modules: for every module of the network that has weights, by its path, the layer with them.
        swap_axes: the file names displacements in Cartesian order (x before y): exchange components 0 and 1.
        squarings: how many halvings of the velocity the file leaves to the network, which must be made up for.
    """

    name: str
    arguments: dict[str, Any]
    modules: dict[str, KerasLayer] = field(repr=False)
    swap_axes: bool = False
    squarings: int = 0


def find_architecture(file: KerasFile, indexing: str | None = None) -> KerasArchitecture:
    """The network of a file, from its configuration or, in weights-only files, from names and shapes.

    Args:
        file: as `read_keras` returns it.
        indexing: "ij" or "xy" order of displacement components in a file of 2018; None believes its graph.

    Raises:
        WeightsError: this version has no such network, or layers are missing or unknown.
    """
    if file.class_name in MODELS:
        return KerasArchitecture(file.class_name, MODELS[file.class_name](file), model_modules(file))
    template = legacy_template(file)
    if template is not None:
        return KerasArchitecture(*template)
    bare = [layer.name for layer in file.layers if set(layer.shapes) != {"kernel", "bias"}]
    if bare:
        raise WeightsError(f"{file.path} has layers that are no convolutions ({_some(bare)}). {REMEDY}")
    if file.class_name is not None and file.class_name not in ("Model", "Functional", "VxmDense"):
        raise WeightsError(f"{file.path} holds a {file.class_name[:80]}, which this version cannot run. {REMEDY}")
    modules = unet_modules(file.layers)
    if modules is not None:
        known = {layer.name for layer in modules.values()}
        foreign = [layer.name for layer in file.layers if layer.name not in known]
        if foreign:
            raise WeightsError(f"{file.path} has layers that are not part of a U-net ({_some(foreign)}). {REMEDY}")
        name, arguments = guessed_arguments(file, modules)
        if file.class_name == "VxmDense":
            name, arguments = "VxmDense", dense_arguments(file)
        prefix = "" if name == "Unet" else "unet."
        heads = ("flow", "logvar")
        return KerasArchitecture(
            name, arguments, {path if path in heads else prefix + path: layer for path, layer in modules.items()}
        )
    modules = legacy_modules(file.layers)
    if modules is None:
        raise WeightsError(
            f"{file.path} holds no network of this version; its layers are {_some([x.name for x in file.layers])}. "
            f"{REMEDY}"
        )
    name, arguments = legacy_arguments(file, modules)
    swap, squarings = legacy_squarings(file)
    return KerasArchitecture(name, arguments, modules, swap if indexing is None else indexing == "xy", squarings)


def _some(names: list[str]) -> str:
    return ", ".join(name[:60] for name in names[:3]) + (", ..." if len(names) > 3 else "")
