"""A network ready to run, from an id of the catalogue or from any weight file."""

from __future__ import annotations

import dataclasses
import os
import re
from pathlib import Path
from typing import cast

from torch import nn

from ..core.config import NetworkSpace
from ..core.devices import is_faster_in_bfloat16, resolve_device
from ..core.errors import ConfigError, WeightsError
from ..core.io.paths import is_file
from ..core.progress import Progress, silent, span
from ..networks.joint import DEFAULT_REGULARISATION, HyperVxmJoint
from ..networks.registrar import FeatureDetector, Network, choose_regularisation
from ..networks.unet import set_unet_precision
from .architectures import DETECTOR, JOINT
from .catalogue import find_entry, load_catalogue
from .entry import ModelEntry, has_hypernetwork
from .file_format import file_format
from .keras import network_from_keras
from .keras_synthmorph import joint_from_keras
from .safetensors_file import read_model
from .specialised import keep_specialised, read_specialised
from .store import locate_weights, sha256_of
from .torch_file import network_from_torch

#: The networks of 2018 and 2019 exist only as trained on FreeSurfer's affinely aligned brains.
_BRAIN_NETWORKS = ("VxmCvpr2018", "VxmMiccai2018", "LegacyTemplateCreation", "LegacyConditionalTemplateCreation")
_BRAIN_SPACE = NetworkSpace(1.0, "LIA", (160, 192, 224), 16, "foreground", "freesurfer")
#: Of the networks whose weights files say nothing about themselves: SynthMorph's.
_SYNTHMORPH_NETWORKS = (DETECTOR, JOINT)
_SYNTHMORPH_SPACE = NetworkSpace(1.0, "LIA", (256, 256, 256), 32, "image", "minmax")


def load_network(
    model: ModelEntry | str | os.PathLike[str],
    weights_dir: str | Path | None = None,
    device: str = "cpu",
    precision: str = "float32",
    progress: Progress = silent,
    regularisation: float | None = None,
) -> tuple[Network, ModelEntry]:
    """Read a network, ready for registration.

    Args:
        model: an entry or id of the catalogue, or the path of a weight file. A file with the checksum of a published
            one is treated as that model, whatever its folder and name.
        weights_dir: folder with the user's copies of published files.
        device: where the network runs, see `core.devices`.
        precision: of its convolutions, "float32", "bfloat16", or "auto", which is bfloat16 where the network only tells
            what both images are compared by, and the device is a processor that is faster with it, and else float32.
        progress: receives what is fetched and read; may raise `Cancelled`.
        regularisation: its weight, 0 to 1, of a model that was trained for all values of it; None takes the model's own
            default. Published joint networks are evaluated for it while they are read, and the far smaller network
            that follows is kept in the cache folder; others can be given another value with `choose_regularisation`.

    Returns:
        The network in evaluation mode and without gradients, and the entry that says how to feed it.

    Raises:
        ConfigError: no such model, or this version cannot run it.
        WeightsError: the file is missing, damaged, of another network or cannot be downloaded.
        DeviceError: this machine has no such device.
        OutputError: a download cannot be stored.
        DependencyError: a package that this format needs is missing.
    """
    device = resolve_device(device)
    loaded = _kept(model, regularisation)
    if loaded is None:
        listed, path = _find(model, weights_dir, span(progress, 0.0, 0.7))
        affine = _affine_file(listed, weights_dir, span(progress, 0.7, 0.8))
        progress(0.8, f"Reading {path.name}")
        loaded = _read(listed, path, affine, regularisation)
    network, entry = loaded
    if regularisation is not None:
        choose_regularisation(network, regularisation)
    if precision == "auto":
        halved = isinstance(network, FeatureDetector) and is_faster_in_bfloat16(device)
        precision = "bfloat16" if halved else "float32"
    network = set_unet_precision(network.eval().requires_grad_(False), precision).to(device)
    progress(1.0, f"{entry.title} is ready")
    return cast(Network, network), entry  # `_read` refuses what is none


def _kept(
    model: ModelEntry | str | os.PathLike[str], regularisation: float | None
) -> tuple[nn.Module, ModelEntry] | None:
    """A hypernetwork of the catalogue that was evaluated before, so that its file is not needed."""
    entry = model if isinstance(model, ModelEntry) else load_catalogue().get(str(model))
    if entry is None or not has_hypernetwork(entry):
        return None
    network = read_specialised(entry, _joint(regularisation))
    return None if network is None else (network, entry)


def _joint(regularisation: float | None) -> float:
    """The value that a joint network is evaluated for."""
    return DEFAULT_REGULARISATION if regularisation is None else regularisation


def _find(
    model: ModelEntry | str | os.PathLike[str], weights_dir: str | Path | None, progress: Progress
) -> tuple[ModelEntry | None, Path]:
    """The entry, if the catalogue has one, and the file."""
    if not isinstance(model, ModelEntry) and _is_path(model):
        path = Path(model)
        entry = _published(path, progress)
        if entry is not None:
            _check_available(entry)
        return entry, path
    entry = model if isinstance(model, ModelEntry) else find_entry(str(model))
    _check_available(entry)
    return entry, locate_weights(entry, weights_dir, progress)


def _affine_file(entry: ModelEntry | None, weights_dir: str | Path | None, progress: Progress) -> Path | None:
    """The file of another model that holds the affine part."""
    if entry is None or entry.affine_model is None:
        return None
    return locate_weights(find_entry(entry.affine_model), weights_dir, progress)


def _is_path(model: str | os.PathLike[str]) -> bool:
    if isinstance(model, str) and model in load_catalogue():
        return False
    if is_file(model):
        return True
    if not isinstance(model, str) or len(Path(model).parts) > 1 or re.search(r"\.(h5|hdf5|pt|safetensors)$", model):
        raise WeightsError(f"There is no weights file {model}. Check the path, or choose a model of the catalogue.")
    return False


def _published(path: Path, progress: Progress) -> ModelEntry | None:
    """The catalogue's entry for a file of this content."""
    size = path.stat().st_size
    candidates = [e for e in load_catalogue().values() if e.sha256 is not None and e.bytes in (None, size)]
    if not candidates:
        return None
    found = sha256_of(path, progress)
    return next((entry for entry in candidates if entry.sha256 == found), None)


def _check_available(entry: ModelEntry) -> None:
    if entry.file is None:
        raise ConfigError(f"The model {entry.id} has no network to load. Register with it directly.")
    if not entry.available:
        runnable = ", ".join(name for name, other in load_catalogue().items() if other.available)
        raise ConfigError(
            f"The model {entry.id} needs the network {entry.architecture}, which this version cannot run yet. "
            f"Choose one of: {runnable}."
        )


def _read(
    entry: ModelEntry | None, path: Path, affine: Path | None, regularisation: float | None
) -> tuple[nn.Module, ModelEntry]:
    kind = file_format(path)
    described: ModelEntry | None = None
    if kind == "safetensors":
        network, described = read_model(path)
    else:
        network = _from_keras(entry, path, affine, regularisation) if kind == "keras" else network_from_torch(path)
    if not isinstance(network, Network):
        raise WeightsError(f"{path} holds a {type(network).__name__}, which registers nothing. Choose another file.")
    described = described or _describe(network, path, kind)
    if entry is not None and entry.architecture != described.architecture:
        raise WeightsError(
            f"{path} holds a {described.architecture} network, but the model {entry.id} is a {entry.architecture}. "
            "Replace the file by the published one."
        )
    if entry is not None and kind == "keras" and has_hypernetwork(entry):
        keep_specialised(network, entry, _joint(regularisation))
    return network, entry or described


def _from_keras(entry: ModelEntry | None, path: Path, affine: Path | None, regularisation: float | None) -> nn.Module:
    """What SynthMorph's files do not say about their network, the catalogue does."""
    options = entry.arguments if entry is not None and entry.architecture in _SYNTHMORPH_NETWORKS else {}
    if affine is not None:
        return joint_from_keras(affine, path, _joint(regularisation), **options)
    return network_from_keras(path, hyperparameters=_joint(regularisation), **options)


def _describe(network: Network, path: Path, kind: str) -> ModelEntry:
    """An entry for a file without a description.

    A network of 2018 or 2019 is fed with brains in FreeSurfer's space, one of SynthMorph in that of its authors; any
    other one on the grid of the fixed image, with intensities from 0 to 1.
    """
    name = type(network).__name__
    brain = name in _BRAIN_NETWORKS
    return ModelEntry(
        id=re.sub(r"[^A-Za-z0-9._-]+", "-", path.stem).strip("-._") or "weights",
        title=path.name,
        description=f"Weights from {path.name}; nothing is known about the images it was trained on.",
        architecture=name,
        file=path.name,
        format=kind,
        space=_space(name, network),
        requires_affine=brain or (isinstance(network, HyperVxmJoint) and network.affine is None),
        requires_skull_strip=brain,
    )


def _space(name: str, network: Network) -> NetworkSpace:
    space = NetworkSpace(multiple=network.multiple)
    if name in _BRAIN_NETWORKS:
        space = _BRAIN_SPACE
    elif name in _SYNTHMORPH_NETWORKS:
        space = _SYNTHMORPH_SPACE
    shape = getattr(network, "image_shape", None)  # of networks that keep an image of their own
    return dataclasses.replace(space, shape=shape) if shape and len(shape) == 3 else space
