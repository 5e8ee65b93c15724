"""SynthMorph's weights under this project's names, the hypernetwork as it is or evaluated while it is read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Union

import numpy as np
from torch import Tensor, nn

from ..core.errors import ConfigError, VoxelMorphError, WeightsError
from .architectures import build_network
from .keras_file import KerasFile, KerasLayer, read_keras
from .keras_synthmorph import DETECTOR, JOINT, SynthMorphLayers, synthmorph_arguments, synthmorph_layers
from .keras_tensors import Arrays, layer_tensors
from .state import network_from_state

Hyper = Union[float, Sequence[float], None]


def synthmorph_network(
    file: KerasFile, layers: SynthMorphLayers, hyper: Hyper = None, options: dict[str, Any] | None = None
) -> nn.Module:
    """The network of one file, in evaluation mode.

    Args:
        file: that holds `layers`.
        layers: from `synthmorph_layers`.
        hyper: hyperparameters at which a hypernetwork is evaluated while it is read, one number for all or one each;
            None keeps it.
        options: constructor arguments that replace those found.

    Raises:
        WeightsError: the file is damaged, or its layers and the options do not fit.
        ConfigError: another number of hyperparameters.
    """
    arguments = {**synthmorph_arguments(layers), **(options or {})}
    if layers.generated and hyper is not None:
        arguments["hyp_num"] = 0
    state = _state(file, layers, arguments, hyper)
    return network_from_state(layers.name, arguments, state, file.path).eval()


def joint_from_keras(affine: str | Path, deform: str | Path, hyper: Hyper = None, **options: Any) -> nn.Module:
    """The joint network of two files, as FreeSurfer makes it: an affine detector, then a deformable network.

    Args:
        affine: weights of a `VxmAffineFeatureDetector`.
        deform: weights of a `HyperVxmJoint` without affine part.
        hyper, options: as in `synthmorph_network`; FreeSurfer takes `mid_space`.

    Raises:
        WeightsError: a file is missing, damaged, unsafe or holds another network.
        ConfigError: another number of hyperparameters.
        DependencyError: the package h5py is missing.
    """
    files = [read_keras(path) for path in (affine, deform)]
    detector, deformable = (synthmorph_layers(file) for file in files)
    if not detector or not deformable or detector.name != DETECTOR or deformable.name != JOINT or deformable.affine:
        raise WeightsError(
            f"{affine} and {deform} are not an affine and a deformable SynthMorph network. Give them in this order."
        )
    shared = {"ndims", "num_chan"}
    own = synthmorph_arguments(detector)
    arguments = {**synthmorph_arguments(deformable), **options, "skip_affine": False}
    arguments.setdefault("affine", {name: value for name, value in own.items() if name not in shared})
    if hyper is not None:
        arguments["hyp_num"] = 0
    inner = {**{name: arguments[name] for name in shared}, **arguments["affine"]}
    state = _state(files[1], deformable, arguments, hyper)
    state.update({f"affine.{name}": tensor for name, tensor in _state(files[0], detector, inner, None).items()})
    return network_from_state(JOINT, arguments, state, files[1].path).eval()


def _state(file: KerasFile, layers: SynthMorphLayers, arguments: dict[str, Any], hyper: Hyper) -> dict[str, Tensor]:
    state: dict[str, Tensor] = {}
    try:
        for path, arrays in _arrays(file, layers, arguments, hyper):
            state.update(layer_tensors(path, arrays, {"ndims": arguments["ndims"]}))
    except VoxelMorphError:
        raise
    except (ValueError, IndexError, KeyError, ZeroDivisionError) as error:
        raise WeightsError(
            f"{file.path} holds no {layers.name} network of {arguments['ndims']} axes ({error}). Choose another file."
        ) from error
    return state


def _arrays(
    file: KerasFile, layers: SynthMorphLayers, arguments: dict[str, Any], hyper: Hyper
) -> Iterator[tuple[str, Arrays]]:
    """The arrays of every module by its path."""
    network = build_network(layers.name, arguments, device="meta")
    paths = [name[: -len(".weight")] for name in network.state_dict() if name.endswith(".weight")]
    affine = [path for path in paths if not path.startswith("deform.")]
    deform = [path for path in paths if path.startswith("deform.")]
    for convolutions, own in ((layers.affine, affine), (layers.deform, deform)):
        for i, layer in enumerate(convolutions):  # what is too much keeps its name and is reported as foreign
            yield own[i] if i < len(own) else layer.name, file.read(layer)
    if not layers.generated:
        return
    if hyper is None:
        for i, layer in enumerate(layers.hidden):
            yield f"deform.hidden.{i}", file.read(layer)
        for i, layer in enumerate(layers.generated):  # kernel and bias of one convolution count as two
            yield f"deform.generated.{2 * i}", file.read(layer)
        return
    for i, (layer, arrays) in enumerate(_evaluated(file, layers, hyper)):
        kernel = arrays["kernel"].reshape(*[3] * arguments["ndims"], -1, arrays["bias"].size)
        yield deform[i] if i < len(deform) else layer.name, {**arrays, "kernel": kernel}


def _evaluated(
    file: KerasFile, layers: SynthMorphLayers, hyper: float | Sequence[float]
) -> Iterator[tuple[KerasLayer, Arrays]]:
    """Flat kernel and bias of every generated convolution."""
    count = layers.hidden[0].shapes["kernel"][0]
    values = np.array([hyper] * count if isinstance(hyper, (int, float)) else list(hyper), dtype=np.float32)
    if values.shape != (count,) or not np.isfinite(values).all():
        raise ConfigError(f"{file.path} takes {count} hyperparameters, got {hyper}. Give as many finite numbers.")
    for layer in layers.hidden:
        arrays = file.read(layer)
        values = np.maximum(values @ arrays["kernel"] + arrays["bias"], 0)
    for layer in layers.generated:
        arrays = file.read(layer)
        kernel = values @ arrays.pop("hyperkernel_kernel") + arrays["hyperkernel_bias"]
        yield layer, {"kernel": kernel, "bias": values @ arrays["hyperbias_kernel"] + arrays["hyperbias_bias"]}
