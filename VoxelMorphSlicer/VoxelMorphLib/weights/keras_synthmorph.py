"""SynthMorph's weight files become networks: an affine detector, a deformable network or both.

Which of them a file holds follows from its layer names alone. Keras numbers the layers of a type as they are made, not
always from 0, so their order is that of the numbers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Union

import numpy as np
from torch import Tensor, nn

from ..core.errors import ConfigError, VoxelMorphError, WeightsError
from .architectures import DETECTOR, JOINT, build_network, network_from_state
from .keras_file import KerasFile, KerasLayer, read_keras
from .keras_tensors import Arrays, layer_tensors

Hyperparameters = Union[float, Sequence[float], None]

_KINDS = {
    "convolutions": (re.compile(r"conv[23]d(?:_(\d{1,6}))?"), {"kernel", "bias"}),
    "hidden": (re.compile(r"dense(?:_(\d{1,6}))?"), {"kernel", "bias"}),
    "generated": (
        re.compile(r"hyper_conv(?:[23]d)?_from_dense(?:_(\d{1,6}))?"),
        {"hyperkernel_kernel", "hyperkernel_bias", "hyperbias_kernel", "hyperbias_bias"},
    ),
}


def synthmorph_network(
    file: KerasFile,
    layers: SynthMorphLayers,
    hyperparameters: Hyperparameters = None,
    options: dict[str, Any] | None = None,
) -> nn.Module:
    """The network of one file, in evaluation mode.

    Args:
        file: that holds `layers`.
        layers: from `synthmorph_layers`.
        hyperparameters: the values for which a hypernetwork is evaluated while it is read, one number for all or one
            each; None keeps the hypernetwork.
        options: constructor arguments that replace those found.

    Raises:
        WeightsError: the file is damaged, or its layers and the options do not fit.
        ConfigError: another number of hyperparameters.
    """
    arguments = {**synthmorph_arguments(layers), **(options or {})}
    if layers.generated and hyperparameters is not None:
        arguments["hyp_num"] = 0
    state = _state(file, layers, arguments, hyperparameters)
    return network_from_state(layers.name, arguments, state, file.path).eval()


def joint_from_keras(
    affine: str | Path, deform: str | Path, /, hyperparameters: Hyperparameters = None, **options: Any
) -> nn.Module:
    """The joint network of two files, as FreeSurfer combines them: an affine detector, then a deformable network.

    Args:
        affine: weights of a `VxmAffineFeatureDetector`.
        deform: weights of a `HyperVxmJoint` without affine part.
        hyperparameters, options: as in `synthmorph_network`; FreeSurfer takes `mid_space`.

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
    if hyperparameters is not None:
        arguments["hyp_num"] = 0
    inner = {**{name: arguments[name] for name in shared}, **arguments["affine"]}
    state = _state(files[1], deformable, arguments, hyperparameters)
    state.update({f"affine.{name}": tensor for name, tensor in _state(files[0], detector, inner, None).items()})
    return network_from_state(JOINT, arguments, state, files[1].path).eval()


def _state(
    file: KerasFile, layers: SynthMorphLayers, arguments: dict[str, Any], hyperparameters: Hyperparameters
) -> dict[str, Tensor]:
    state: dict[str, Tensor] = {}
    try:
        for path, arrays in _arrays(file, layers, arguments, hyperparameters):
            state.update(layer_tensors(path, arrays, {"ndims": arguments["ndims"]}))
    except VoxelMorphError:
        raise
    except (ValueError, IndexError, KeyError, ZeroDivisionError) as error:
        raise WeightsError(
            f"{file.path} holds no {layers.name} network of {arguments['ndims']} axes ({error}). Choose another file."
        ) from error
    return state


def _arrays(
    file: KerasFile, layers: SynthMorphLayers, arguments: dict[str, Any], hyperparameters: Hyperparameters
) -> Iterator[tuple[str, Arrays]]:
    """The arrays of every module by its path."""
    network = build_network(layers.name, arguments, device="meta")
    paths = [name[: -len(".weight")] for name in network.state_dict() if name.endswith(".weight")]
    affine = [path for path in paths if not path.startswith("deform.")]
    deform = [path for path in paths if path.startswith("deform.")]
    for convolutions, own in ((layers.affine, affine), (layers.deform, deform)):
        for i, layer in enumerate(convolutions):  # a surplus layer keeps its name and is reported as foreign
            yield own[i] if i < len(own) else layer.name, file.read(layer)
    if not layers.generated:
        return
    if hyperparameters is None:
        for i, layer in enumerate(layers.hidden):
            yield f"deform.hidden.{i}", file.read(layer)
        for i, layer in enumerate(layers.generated):  # kernel and bias of one convolution count as two
            yield f"deform.generated.{2 * i}", file.read(layer)
        return
    for i, (layer, arrays) in enumerate(_evaluated(file, layers, hyperparameters)):
        kernel = arrays["kernel"].reshape(*[3] * arguments["ndims"], -1, arrays["bias"].size)
        yield deform[i] if i < len(deform) else layer.name, {**arrays, "kernel": kernel}


def _evaluated(
    file: KerasFile, layers: SynthMorphLayers, hyperparameters: float | Sequence[float]
) -> Iterator[tuple[KerasLayer, Arrays]]:
    """Flat kernel and bias of every generated convolution."""
    count = layers.hidden[0].shapes["kernel"][0]
    values = np.array(
        [hyperparameters] * count if isinstance(hyperparameters, (int, float)) else list(hyperparameters),
        dtype=np.float32,
    )
    if values.shape != (count,) or not np.isfinite(values).all():
        raise ConfigError(
            f"{file.path} takes {count} hyperparameters, got {hyperparameters}. Give as many finite numbers."
        )
    for layer in layers.hidden:
        arrays = file.read(layer)
        values = np.maximum(values @ arrays["kernel"] + arrays["bias"], 0)
    for layer in layers.generated:
        yield layer, {short: _generated(file, layer, f"hyper{short}", values) for short in ("kernel", "bias")}


def _generated(file: KerasFile, layer: KerasLayer, name: str, values: np.ndarray) -> np.ndarray:
    """One tensor of a generated convolution, flat: a linear function of the last hidden layer."""
    return file.weighted_sum(layer, f"{name}_kernel", values) + file.read_one(layer, f"{name}_bias")


@dataclass(frozen=True)
class SynthMorphLayers:
    """The layers of a file by their role, each in the order of the network.

    Args:
        affine: convolutions of the detector.
        deform: convolutions of a deformable network with weights of its own.
        hidden: hidden layers of a hypernetwork.
        generated: convolutions whose weights the hypernetwork computes.
    """

    affine: tuple[KerasLayer, ...] = field(repr=False)
    deform: tuple[KerasLayer, ...] = field(repr=False)
    hidden: tuple[KerasLayer, ...] = field(repr=False)
    generated: tuple[KerasLayer, ...] = field(repr=False)

    @property
    def name(self) -> str:
        """Class of the network."""
        return JOINT if self.deform or self.generated else DETECTOR


def synthmorph_layers(file: KerasFile) -> SynthMorphLayers | None:
    """The layers by role; None when the file holds another network.

    SynthMorph is published as weights only; a full model of another class with automatic names is something else.
    """
    if file.class_name not in (None, DETECTOR, JOINT):
        return None
    found: dict[str, list[tuple[int, KerasLayer]]] = {kind: [] for kind in _KINDS}
    for layer in file.layers:
        for kind, (pattern, arrays) in _KINDS.items():
            match = pattern.fullmatch(layer.name)
            if match and set(layer.shapes) == arrays:
                found[kind].append((int(match[1] or 0), layer))
                break
        else:
            return None
    convolutions, hidden, generated = ([layer for _, layer in sorted(f, key=lambda x: x[0])] for f in found.values())
    if bool(hidden) != bool(generated) or any(len(x.shapes["kernel"]) not in (4, 5) for x in convolutions):
        return None
    start = len(convolutions) if generated else _start_of_deformation(convolutions)
    return SynthMorphLayers(*map(tuple, (convolutions[:start], convolutions[start:], hidden, generated)))


def synthmorph_arguments(layers: SynthMorphLayers) -> dict[str, Any]:
    """Arguments of the network, as far as its weights show them.

    What leaves no trace keeps its default: integration, mid-space, rigid, half resolution. Where the levels of the
    detector end and its further convolutions begin is a guess: half of them are levels.
    """
    if layers.name == DETECTOR:
        return _detector_arguments(layers.affine)
    if layers.generated:
        ndims = layers.generated[-1].shapes["hyperbias_bias"][0]
        outputs = [layer.shapes["hyperbias_bias"][0] for layer in layers.generated]
        sizes = [layer.shapes["hyperkernel_bias"][0] for layer in layers.generated]
        channels = [(size // (3**ndims * out), out) for size, out in zip(sizes, outputs)]
        widths = [layer.shapes["kernel"] for layer in layers.hidden]
        values = {"hyp_num": widths[0][0], "hyp_units": [width[-1] for width in widths]}
    else:
        channels = _channels(layers.deform)
        ndims, values = channels[-1][1], {"hyp_num": 0}
    arguments = {"ndims": ndims, **values, **_levels(channels), "skip_affine": not layers.affine}
    if layers.affine:
        affine = _detector_arguments(layers.affine)
        arguments["affine"] = {name: affine[name] for name in ("num_feat", "enc_nf", "dec_nf", "add_nf")}
    return arguments


def _start_of_deformation(convolutions: list[KerasLayer]) -> int:
    """Where the layers of a deformable network begin: it sees twice the channels and returns one per axis."""
    if not convolutions:
        return 0
    channels = _channels(convolutions)
    if channels[-1][1] != len(convolutions[-1].shapes["kernel"]) - 2:
        return len(convolutions)
    pairs = [i for i, (inputs, _) in enumerate(channels) if i and inputs == 2 * channels[0][0] != channels[i - 1][1]]
    return pairs[-1] if pairs else 0


def _channels(convolutions: Sequence[KerasLayer]) -> list[tuple[int, int]]:
    """(inputs, outputs) of every convolution."""
    shapes = [layer.shapes["kernel"] for layer in convolutions]
    return [(shape[-2], shape[-1]) for shape in shapes]


def _joins(channels: Sequence[tuple[int, int]]) -> list[int]:
    """Numbers of the convolutions that see a skip connection."""
    return [i for i in range(1, len(channels)) if channels[i][0] != channels[i - 1][1]]


def _levels(channels: Sequence[tuple[int, int]]) -> dict[str, Any]:
    """Features and convolutions per level of a deformable network: every level up ends with a skip connection."""
    joins = _joins(channels)
    per_level = max(1, joins[0] // (len(joins) + 1)) if joins else 1
    ends = len(joins) * per_level
    outputs = [out for _, out in channels]
    return {
        "num_chan": max(1, channels[0][0] // 2),
        "enc_nf": outputs[:ends:per_level],
        "dec_nf": outputs[ends : 2 * ends : per_level],
        "add_nf": outputs[2 * ends : -1],
        "per_level": per_level,
    }


def _detector_arguments(convolutions: Sequence[KerasLayer]) -> dict[str, Any]:
    channels = _channels(convolutions)
    *outputs, num_feat = [out for _, out in channels]
    joins = _joins(channels)
    down = joins[0] - 1 if joins else (len(outputs) + 1) // 2
    return {
        "ndims": len(convolutions[0].shapes["kernel"]) - 2,
        "num_chan": channels[0][0],
        "num_feat": num_feat,
        "enc_nf": outputs[:down],
        "dec_nf": outputs[down : down + len(joins)],
        "add_nf": outputs[down + len(joins) :],
    }
