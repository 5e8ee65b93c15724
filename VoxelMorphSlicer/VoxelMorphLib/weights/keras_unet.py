"""The layers and arguments of the original's Unet, VxmDense and networks of 2018, under the names used here."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from ..core.errors import WeightsError
from .keras_file import KerasFile, KerasLayer

_CONVOLUTION = re.compile(
    r"(?P<residual>resfix_)?(?:.*_)?"
    r"(?:(?P<part>enc|dec)_conv_(?P<level>\d{1,3})_(?P<conv>\d{1,3})|dec_final_conv_(?P<final>\d{1,3}))"
)
_HEADS = {"flow": "flow", "log_sigma": "logvar"}

#: Constructor arguments of the original's VxmDense that keep their meaning under another name.
_RENAMED = {
    "nb_unet_features": "features",
    "nb_unet_levels": "levels",
    "unet_feat_mult": "multiplier",
    "nb_unet_conv_per_level": "conv_per_level",
    "int_steps": "int_steps",
    "svf_resolution": "svf_resolution",
    "int_resolution": "int_resolution",
    "bidir": "bidir",
    "use_probs": "use_probs",
    "src_feats": "moving_features",
    "trg_feats": "fixed_features",
    "reg_field": "reg_field",
    "fill_value": "fill_value",
}
#: Arguments that are not needed to run the network: it takes any shape, and the caller passes the images.
_IGNORED = {"inshape", "input_model", "name", "metadata"}

_LEVELS = 4
_AUTOMATIC_NAME = re.compile(r"conv[123]d(_\d{1,6})?")


def unet_modules(layers: Iterable[KerasLayer]) -> dict[str, KerasLayer] | None:
    """The layers by the path of their module in `Unet`, heads included; None when no layer has a U-net's name."""
    found = [(_CONVOLUTION.fullmatch(layer.name), layer) for layer in layers]
    if not any(match for match, _ in found):
        return None
    depth = 1 + max((int(m["level"]) for m, _ in found if m and m["part"] == "enc"), default=0)
    modules = {}
    for match, layer in found:
        head = next((name for suffix, name in _HEADS.items() if re.fullmatch(f"(.*_)?{suffix}", layer.name)), None)
        path = _path(match, depth) if match else head
        if path is not None:
            modules[path] = layer
    return modules


def _path(match: re.Match, depth: int) -> str:
    kind = "projection" if match["residual"] else "convolution"
    if match["final"] is not None:
        return f"final.{int(match['final'])}.{kind}"
    level, conv = int(match["level"]), int(match["conv"])
    if match["part"] == "dec":  # the original counts levels from the finest
        return f"decoder.{depth - 1 - level}.{conv}.{kind}"
    return f"encoder.{level}.{conv}.{kind}"


def dense_arguments(file: KerasFile) -> dict[str, Any]:
    """Arguments of our `VxmDense` from the configuration of the original's, its deprecated names included.

    Raises:
        WeightsError: an argument that changes the result is unknown.
    """
    config = dict(file.config)
    if config.pop("hyp_model", None) is not None:
        raise WeightsError(f"{file.path} holds a network with hyperparameters, which VxmDense cannot run.")
    half, downsize = config.pop("unet_half_res", False), config.pop("int_downsize", None)
    unknown = sorted(set(config) - set(_RENAMED) - _IGNORED)
    shape = config.get("inshape")
    if unknown or not isinstance(shape, list):
        raise WeightsError(
            f"{file.path} has a VxmDense configuration with unknown options ({', '.join(unknown) or 'inshape'}). "
            "Choose a file of the original's branch dev."
        )
    arguments = {ours: config[theirs] for theirs, ours in _RENAMED.items() if theirs in config}
    if half:
        arguments["svf_resolution"] = 2
    if downsize is not None:
        arguments["int_resolution"] = downsize
    return {"ndims": len(shape), **arguments}


def guessed_arguments(file: KerasFile, modules: dict[str, KerasLayer]) -> tuple[str, dict[str, Any]]:
    """Class and arguments of a U-net without configuration, from names and shapes.

    What leaves no trace in the weights keeps its default: integration steps and resolution, final activation.

    Raises:
        WeightsError: a convolution is missing.
    """
    kernels = {path: layer.shapes["kernel"] for path, layer in modules.items()}
    encoder, decoder, final = (_sequence(kernels, part) for part in ("encoder", "decoder", "final"))
    per_level = max(int(path.split(".")[2]) for path in encoder) + 1 if encoder else 0
    if not encoder or len(encoder) != len(decoder) or len(encoder) % per_level:
        raise WeightsError(
            f"{file.path} lacks layers of its U-net: {len(encoder)} encoder and {len(decoder)} decoder convolutions "
            "were found. Choose a complete file."
        )
    arguments = {
        "ndims": len(kernels[encoder[0]]) - 2,
        "features": [[kernels[path][-1] for path in part] for part in (encoder, decoder + final)],
        "conv_per_level": per_level,
    }
    skips = _upsample_skips(kernels, per_level, [*decoder, *final, "flow"], encoder)
    channels = kernels[encoder[0]][-2]
    if "flow" not in kernels:
        residual = any(path.endswith("projection") for path in kernels)
        return "Unet", {**arguments, "in_channels": channels, "upsample_skips": skips, "residual": residual}
    images = {"moving_features": channels - channels // 2, "fixed_features": channels // 2}
    return "VxmDense", {**arguments, "svf_resolution": 2**skips, "use_probs": "logvar" in kernels, **images}


def _sequence(kernels: dict[str, tuple[int, ...]], part: str) -> list[str]:
    """The convolutions of one part in the order of the network."""
    paths = [path for path in kernels if path.startswith(part) and path.endswith("convolution")]
    return sorted(paths, key=lambda path: [int(index) for index in path.split(".")[1:-1]])


def _upsample_skips(kernels: dict[str, tuple[int, ...]], per_level: int, decoder: list[str], encoder: list[str]) -> int:
    """How many levels of the decoder are not followed by upsampling: the next kernel sees no skip connection."""
    skips = 0
    for end in range(per_level - 1, len(encoder), per_level):
        following = kernels.get(decoder[end + 1])
        skips += following is not None and following[-2] == kernels[decoder[end]][-1]
    return skips


def legacy_modules(layers: Iterable[KerasLayer]) -> dict[str, KerasLayer] | None:
    """The layers by the path of their module; None when these are not the layers of a 2018 network.

    The convolutions have automatic names and count in the listed order: four strided ones, then the decoder.
    """
    modules, count = {}, 0
    for layer in layers:
        if layer.name in _HEADS:
            modules[_HEADS[layer.name]] = layer
        elif _AUTOMATIC_NAME.fullmatch(layer.name):
            part = f"encoder.{count}" if count < _LEVELS else f"decoder.{count - _LEVELS}"
            modules[f"unet.{part}.convolution"] = layer
            count += 1
        else:
            return None
    return modules if "flow" in modules and count > _LEVELS else None


def legacy_arguments(file: KerasFile, modules: dict[str, KerasLayer]) -> tuple[str, dict[str, Any]]:
    """Class and arguments of a 2018 network.

    Raises:
        WeightsError: the graph in the file shows that the first convolutions are not strided.
    """
    kernels = {path: layer.shapes["kernel"] for path, layer in modules.items()}
    strides = {layer.get("name"): layer["config"].get("strides") for layer in _graph(file)}
    for level in range(_LEVELS):
        stride = strides.get(modules[f"unet.encoder.{level}.convolution"].name)
        if stride is not None and set(stride) != {2}:
            raise WeightsError(
                f"{file.path} is no network of 2018: its convolution {level + 1} has the strides {stride} instead of "
                "2. Choose a file of the original's branch legacy."
            )
    arguments: dict[str, Any] = {"ndims": len(kernels["flow"]) - 2, "features": legacy_features(modules)}
    if "logvar" not in kernels:
        return "VxmCvpr2018", arguments
    _, squarings = legacy_squarings(file)
    negated = any(layer.get("class_name") == "Negate" for layer in _graph(file))
    return "VxmMiccai2018", {**arguments, "bidir": negated, **({"int_steps": squarings} if squarings else {})}


def legacy_features(modules: dict[str, KerasLayer]) -> list[list[int]]:
    """The features of encoder and decoder of a 2018 network."""
    return [
        [layer.shapes["kernel"][-1] for path, layer in modules.items() if path.startswith(f"unet.{part}.")]
        for part in ("encoder", "decoder")
    ]


def legacy_squarings(file: KerasFile) -> tuple[bool, int]:
    """Whether displacements are in Cartesian order (x before y), and how many squarings lack their scaling.

    The first code of 2018 knew one transformer layer, with Cartesian axes, and integrated by v <- v + v(x + v(x)) in a
    chain of additions without dividing the velocity by 2^steps before.
    """
    graph = _graph(file)
    classes = [layer.get("class_name") for layer in graph]
    cartesian = "Dense3DSpatialTransformer" in classes or any(
        layer["config"].get("indexing") == "xy" for layer in graph if layer.get("class_name") == "SpatialTransformer"
    )
    return cartesian, classes.count("Add") // (2 if "Negate" in classes else 1)


def _graph(file: KerasFile) -> list[dict[str, Any]]:
    """The layers of the stored graph; empty in weights-only files."""
    layers = file.config.get("layers", [])
    return [x for x in layers if isinstance(x, dict) and isinstance(x.get("config"), dict)]
