"""The layers of the CVPR-2018 and MICCAI-2018 networks, and what their graphs say about axes and integration."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from ..core.errors import WeightsError
from .keras_file import KerasFile, KerasLayer

_LEVELS = 4
_HEADS = {"flow": "flow", "log_sigma": "logvar"}
_AUTOMATIC_NAME = re.compile(r"conv[123]d(_\d{1,6})?")


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
    features = [
        [kernel[-1] for path, kernel in kernels.items() if path.startswith(f"unet.{part}.")]
        for part in ("encoder", "decoder")
    ]
    arguments: dict[str, Any] = {"ndims": len(kernels["flow"]) - 2, "features": features}
    if "logvar" not in kernels:
        return "VxmCvpr2018", arguments
    _, squarings = legacy_squarings(file)
    negated = any(layer.get("class_name") == "Negate" for layer in _graph(file))
    return "VxmMiccai2018", {**arguments, "bidir": negated, **({"int_steps": squarings} if squarings else {})}


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
