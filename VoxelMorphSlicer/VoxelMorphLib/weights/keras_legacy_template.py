"""Files of the template networks of 2019: the learnt image or its generator in front of a MICCAI-2018 network."""

from __future__ import annotations

import re
from math import prod
from typing import Any

from ..core.errors import WeightsError
from .keras_file import KerasFile, KerasLayer
from .keras_unet import legacy_features, legacy_modules

#: (pattern of the layer's name, path of our module). The names are those of the scripts that trained the files.
_GENERATOR = (
    (r"dense(?:_\d{1,6})?", "generator.dense"),
    (r".*_conv_uparm_(\d{1,3})_(\d{1,3})", "generator.decoder.{0}.{1}"),
    (r".*_likelihood", "generator.likelihood"),
    (r"atlas_ec_(\d{1,3})", "generator.extra.{0}"),
    (r"atlasmodel_c", "generator.image"),
)
_OWN = {"atlas": "template", "mean_stream": "mean_stream"}

Found = tuple[str, dict[str, Any], dict[str, KerasLayer]]


def legacy_template(file: KerasFile) -> Found | None:
    """Class, arguments and layers by the path of their module; None where a file has neither template nor generator.

    What leaves no trace in the file keeps its default: the squarings, and over how many images the mean runs.

    Raises:
        WeightsError: a layer is missing, unknown or does not fit the others.
    """
    if file.class_name not in (None, "Model", "Functional"):
        return None
    modules = {path: layer for layer in file.layers if (path := _path(layer.name)) is not None}
    image, generated = "template" in modules, "generator.image" in modules
    if not image and not generated:
        return None
    known = {layer.name for layer in modules.values()}
    network = legacy_modules([layer for layer in file.layers if layer.name not in known])
    if network is None or "logvar" in network or "mean_stream" not in modules or (image and generated):
        raise _incomplete(file)
    arguments = {"shape": _shape(file, modules), "features": legacy_features(network)}
    if image:
        return "LegacyTemplateCreation", arguments, {**network, **modules}
    modules, levels = _counted_from_0(modules)
    return (
        "LegacyConditionalTemplateCreation",
        {**arguments, **_generator_arguments(file, modules, levels)},
        {**network, **modules},
    )


def _path(name: str) -> str | None:
    if name in _OWN:
        return _OWN[name]
    for pattern, path in _GENERATOR:
        match = re.fullmatch(pattern, name)
        if match:
            return path.format(*map(int, match.groups()))
    return None


def _shape(file: KerasFile, modules: dict[str, KerasLayer]) -> list[int]:
    """Of the images: that of the mean displacement, whose last axis holds the components."""
    shape = modules["mean_stream"].shapes.get("mean", ())
    template = modules["template"].shapes.get("kernel") if "template" in modules else (*shape[:-1], 1)
    if len(shape) < 2 or shape[-1] != len(shape) - 1 or template != (*shape[:-1], 1):
        raise _incomplete(file)
    return list(shape[:-1])


def _counted_from_0(modules: dict[str, KerasLayer]) -> tuple[dict[str, KerasLayer], int]:
    """The decoder's levels, which the original counts on from those of an encoder that is not there; their number."""
    upsampled = [int(path.split(".")[2]) for path in modules if path.startswith("generator.decoder.")]
    first = min(upsampled, default=0)

    def counted(path: str) -> str:
        part, kind, *numbers = path.split(".") if path.startswith("generator.decoder.") else (path, "")
        return ".".join([part, kind, str(int(numbers[0]) - first), *numbers[1:]]) if numbers else path

    return {counted(path): layer for path, layer in modules.items()}, len(set(upsampled)) + 1 if upsampled else 0


def _generator_arguments(file: KerasFile, modules: dict[str, KerasLayer], levels: int) -> dict[str, Any]:
    shapes: dict[str, tuple[int, ...]] = {path: layer.shapes.get("kernel", ()) for path, layer in modules.items()}
    dense, likelihood = shapes.get("generator.dense", ()), shapes.get("generator.likelihood", ())
    if len(dense) != 2 or not likelihood:
        raise _incomplete(file)
    extra = [path for path in shapes if path.startswith("generator.extra.")]
    inner = [shape for path, shape in shapes.items() if path.startswith(("generator.extra.", "generator.decoder."))]
    arguments = {
        "attributes": dense[0],
        "generator_levels": levels,
        "generator_features": likelihood[-1],
        "generator_kernel": inner[0][0] if inner else 3,
        "extra_convolutions": len(extra),
    }
    halvings = max(levels - 1, 0)
    coarse = [n >> halvings for n in modules["mean_stream"].shapes["mean"][:-1]]
    if dense[1] != prod(coarse) * likelihood[-1]:
        raise WeightsError(
            f"{file.path} makes its template from {dense[1]} numbers; this version needs {prod(coarse)} voxels of "
            f"{likelihood[-1]} features. Choose a file of the original's train_cond_template.py."
        )
    return arguments


def _incomplete(file: KerasFile) -> WeightsError:
    names = ", ".join(layer.name[:60] for layer in file.layers[:3])
    return WeightsError(
        f"{file.path} holds no whole template network; its layers are {names}, ... It needs the atlas or its "
        "generator, mean_stream, and the convolutions up to flow. Get a fresh copy."
    )
