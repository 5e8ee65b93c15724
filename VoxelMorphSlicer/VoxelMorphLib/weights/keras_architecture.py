"""KerasArchitecture: which network of this project a Keras file holds, and which of its layers is which."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..core.errors import WeightsError
from .keras_file import KerasFile, KerasLayer
from .keras_legacy import legacy_arguments, legacy_modules, legacy_squarings
from .keras_models import MODELS, model_modules
from .keras_unet import dense_arguments, guessed_arguments, unet_modules

REMEDY = f"Choose a file of VxmDense, {', '.join(MODELS)}, or of the CVPR-2018 or MICCAI-2018 network."


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
        file: the description that `read_keras` gives.
        indexing: "ij" or "xy" order of displacement components in a file of 2018; None believes its graph.

    Raises:
        WeightsError: this version has no such network, or layers are missing or foreign.
    """
    if file.class_name in MODELS:
        return KerasArchitecture(file.class_name, MODELS[file.class_name](file), model_modules(file))
    bare = [layer.name for layer in file.layers if set(layer.shapes) != {"kernel", "bias"}]
    if bare:
        raise WeightsError(f"{file.path} has layers that are no convolutions ({_some(bare)}). {REMEDY}")
    if file.class_name not in (None, "Model", "Functional", "VxmDense"):
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
