"""The network classes by the names that the catalogue and weight files use, and how they are built and filled."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from ..core.errors import VoxelMorphError, WeightsError

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor, nn

#: The registration that optimises one pair instead of running a network; it has no weights.
OPTIMISE = "optimise"
#: No deformation after the initial alignment: a rigid or affine registration.
LINEAR = "linear"
#: Architectures that need no weights file.
WITHOUT_WEIGHTS = (OPTIMISE, LINEAR)
#: SynthMorph's networks: affine, and deformable with or without an affine part.
DETECTOR, JOINT = "VxmAffineFeatureDetector", "HyperVxmJoint"
#: Affine registration before SynthMorph.
AFFINE = "VxmAffine"
#: Their result is a matrix, which has no deformation to go on from.
MATRIX_ONLY = (DETECTOR, AFFINE)
#: Dense registration whose weights follow from hyperparameters.
HYPER_DENSE = "HyperVxmDense"
#: Keeps an atlas of labels, which it deforms onto images.
SEGMENTING = "ProbAtlasSegmentation"
#: Finds structures in each image alone, by which an optimisation compares the pair.
STRUCTURES = "VxmStructureDetector"
#: Finds borders in each image alone, likewise.
BORDERS = "VxmBorderDetector"
#: Keep the image that they were trained to deform onto all others, or make it of attributes such as age.
TEMPLATES = (
    "TemplateCreation",
    "ConditionalTemplateCreation",
    "LegacyTemplateCreation",
    "LegacyConditionalTemplateCreation",
)
#: Their files lack the image that the generated one is added to, so that there is no template to register by way of.
WITHOUT_BASE = ("LegacyConditionalTemplateCreation",)
#: Files with greater weights are damaged or foreign.
LARGEST_WEIGHT = 1e6

#: Module in `networks` of every class; names only, so that listing models does not import torch.
ARCHITECTURES = {
    "Unet": "unet",
    "VxmDense": "dense",
    "VxmCvpr2018": "legacy",
    "VxmMiccai2018": "legacy",
    HYPER_DENSE: "hyper_dense",
    "VxmDenseSemiSupervisedSeg": "semi_supervised",
    "VxmDenseSemiSupervisedPointCloud": "semi_supervised",
    "InstanceDense": "instance",
    "TemplateCreation": "template",
    "ConditionalTemplateCreation": "conditional_template",
    "LegacyTemplateCreation": "legacy_template",
    "LegacyConditionalTemplateCreation": "legacy_template",
    SEGMENTING: "atlas_segmentation",
    DETECTOR: "affine_detector",
    JOINT: "joint",
    AFFINE: "legacy_affine",
    STRUCTURES: "structures",
    BORDERS: "borders",
}

#: No extent, feature count or level of a real network is larger; a file that claims so is not believed.
LARGEST_ARGUMENT = 4096
_DEEPEST_ARGUMENT = 8
_REFUSALS = (VoxelMorphError, ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)


def build_network(name: str, arguments: dict[str, Any], device: str = "cpu") -> nn.Module:
    """A new network of the named class, with random weights.

    Args:
        name: one of `ARCHITECTURES`.
        arguments: of its constructor, by name; they may come from a file and are not trusted.
        device: "cpu", or "meta" for a network of shapes without memory.

    Returns:
        The network, whose `built_with` holds the arguments.

    Raises:
        WeightsError: the class is unknown or refuses the arguments.
    """
    if name not in ARCHITECTURES:
        raise WeightsError(f"There is no network {name!r}. This version has {', '.join(sorted(ARCHITECTURES))}.")
    if not plausible(arguments):
        raise WeightsError(f"The network {name} has numbers beyond {LARGEST_ARGUMENT} or foreign values in its file.")
    # Imported before the device changes: constants that a module keeps as tensors must have values.
    network_class = getattr(importlib.import_module(f"..networks.{ARCHITECTURES[name]}", __package__), name)
    try:
        with _shapes_only() if device == "meta" else contextlib.nullcontext():
            network = network_class(**arguments)
    except _REFUSALS as error:
        raise WeightsError(f"The network {name} cannot be built from its arguments {arguments} ({error}).") from error
    network.built_with = arguments
    return network


@contextlib.contextmanager
def _shapes_only() -> Iterator[None]:
    """New tensors have no memory and no values; drawing normal values for them would import torch's compiler (2 s)."""
    import torch
    from torch.overrides import TorchFunctionMode

    class WithoutNormalValues(TorchFunctionMode):
        def __torch_function__(
            self, func: Callable[..., Any], types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None
        ) -> Any:
            kwargs = kwargs or {}
            return kwargs["tensor"] if func is torch.nn.init.normal_ else func(*args, **kwargs)

    with torch.device("meta"), WithoutNormalValues():
        yield


def plausible(value: Any, depth: int = _DEEPEST_ARGUMENT) -> bool:
    """Whether a network may have such arguments: plain values, none of them huge, few within each other."""
    if isinstance(value, dict):
        return depth > 0 and all(isinstance(key, str) and plausible(item, depth - 1) for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return depth > 0 and len(value) <= LARGEST_ARGUMENT and all(plausible(item, depth - 1) for item in value)
    if isinstance(value, (int, float)):
        return abs(value) <= LARGEST_ARGUMENT
    return value is None or isinstance(value, str)


def network_from_state(name: str, arguments: dict[str, Any], state: dict[str, Tensor], path: Path) -> nn.Module:
    """Build the named network and fill it.

    The shapes are compared with a network without memory first, so that a file cannot ask for more memory than
    its own tensors take.

    Args:
        name: one of `ARCHITECTURES`.
        arguments: of its constructor.
        state: every tensor of the network by its name.
        path: of the file, for messages.

    Raises:
        WeightsError: tensors are missing, unexpected, of another shape or type, or hold NaN or infinity.
    """
    try:
        shapes = build_network(name, arguments, device="meta").state_dict()
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from error
    expected = {key: tuple(value.shape) for key, value in shapes.items()}
    problem = _problem(expected, state)
    if problem:
        raise WeightsError(f"{path} does not hold a {name} network: {problem}. Choose a file that belongs to it.")
    network = build_network(name, arguments)
    network.load_state_dict(state)
    return network


def _problem(expected: dict[str, tuple[int, ...]], state: dict[str, Tensor]) -> str | None:
    missing, foreign = sorted(set(expected) - set(state)), sorted(set(state) - set(expected))
    if missing or foreign:
        return f"{len(missing)} layers are missing ({_first(missing)}), {len(foreign)} are foreign ({_first(foreign)})"
    for key, shape in expected.items():
        if tuple(state[key].shape) != shape:
            return f"{key} has the shape {tuple(state[key].shape)} instead of {shape}"
        if not state[key].is_floating_point():
            return f"{key} holds {state[key].dtype} instead of real numbers"
        if not state[key].isfinite().all():
            return f"{key} holds NaN or infinite numbers"
        if state[key].numel() and float(state[key].abs().max()) > LARGEST_WEIGHT:
            return f"{key} holds numbers up to {float(state[key].abs().max()):.3g}, which no training gives"
    return None


def _first(names: list[str]) -> str:
    return ", ".join(names[:2]) + (", ..." if len(names) > 2 else "") if names else "none"
