"""KerasFile: the contents of a Keras HDF5 file, read by h5py alone; no code is run and no link out of it followed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.errors import DependencyError, WeightsError
from ..core.io.paths import is_file

if TYPE_CHECKING:
    import h5py

#: Keras writes plain float32; a file whose arrays claim more than this many times its size would fill the memory.
_LARGEST_EXPANSION = 4
_LARGEST_CONFIG = 1 << 26
_MOST_NAMES = 20_000
_REMEDY = "Get a fresh copy, or choose a file that VoxelMorph wrote."


@dataclass(frozen=True)
class KerasLayer:
    """One layer that has weights.

    Args:
        name: "vxm_dense_flow"; of a nested model the name of the inner layer.
        shapes: of its arrays by their short names, {"kernel": (3, 3, 3, 16, 3), "bias": (3,)}; channels last.
    """

    name: str
    shapes: dict[str, tuple[int, ...]]
    _places: dict[str, str] = field(repr=False)


@dataclass(frozen=True)
class KerasFile:
    """A full model or weights only.

    Args:
        path: of the file.
        class_name: of the model, such as "VxmDense" or "Model"; None when the file holds weights only.
        config: constructor arguments or graph of the model; empty when the file holds weights only.
        layers: that have weights, in the listed order.
    """

    path: Path
    class_name: str | None
    config: dict[str, Any] = field(repr=False)
    layers: tuple[KerasLayer, ...]

    def read(self, layer: KerasLayer) -> dict[str, np.ndarray]:
        """The arrays of one layer by their short names, float32.

        Raises:
            WeightsError: the file cannot be read any more.
        """
        return {name: self.read_one(layer, name) for name in layer.shapes}

    def read_one(self, layer: KerasLayer, name: str) -> np.ndarray:
        """One array of a layer, float32.

        Raises:
            WeightsError: as `read`.
        """
        with _open(self.path) as file:
            return _numbers(_dataset(file, layer._places[name])[()])

    def weighted_sum(self, layer: KerasLayer, name: str, weights: np.ndarray) -> np.ndarray:
        """`weights` (N,) times an array (N, ...) of a layer, which is never in memory as a whole; (...), float32.

        Args:
            layer: of this file.
            name: of the array.
            weights: rows of weight 0 are not even read.

        Raises:
            WeightsError: the file cannot be read any more, or the array has another number of rows.
        """
        shape = layer.shapes[name]
        if shape[:1] != weights.shape:
            raise WeightsError(f"{self.path} holds {name} of shape {shape} in {layer.name}. {_REMEDY}")
        total = np.zeros(shape[1:], np.float32)
        with _open(self.path) as file:
            rows = _dataset(file, layer._places[name])
            for row in np.flatnonzero(weights):
                total += np.float32(weights[row]) * _numbers(rows[row])
        return total


def read_keras(path: str | Path) -> KerasFile:
    """Read the description of a file: model class, configuration, layers and shapes, but no weights yet.

    Args:
        path: of a file written by `model.save` or `model.save_weights` of Keras 2.

    Raises:
        WeightsError: the file is missing, damaged, unsafe or no Keras file.
        DependencyError: the package h5py is missing.
    """
    path = Path(path)
    with _open(path) as file:
        class_name, config = _model(file)
        root = "model_weights" if "model_weights" in file else "/"
        layers = [layer for name in _names(_group(file, root), "layer_names") for layer in _layers(file, root, name)]
        if not layers:
            raise _refusal("has no layers with weights")
        _check_size(file, sum(prod(shape) for layer in layers for shape in layer.shapes.values()), "of weights")
    return KerasFile(path, class_name, config, tuple(layers))


def _numbers(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float32, copy=False)


class _Refused(WeightsError):
    """A reason without the path, which `_open` puts in front."""


def _refusal(reason: str) -> _Refused:
    return _Refused(reason)


@contextmanager
def _open(path: Path) -> Iterator[h5py.File]:
    try:
        import h5py
    except ImportError as error:
        raise DependencyError(
            "Published Keras weights (.h5) need the Python package h5py. Install it with: pip install h5py"
        ) from error
    try:
        if not is_file(path):
            raise _refusal("does not exist")
        with h5py.File(path, "r") as file:
            yield file
    except _Refused as error:
        raise WeightsError(f"{path} {error}. {_REMEDY}") from error
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, MemoryError) as error:
        reason = str(error).strip().split("\n")[0][:200]
        raise WeightsError(f"{path} is damaged or no HDF5 file ({reason}). {_REMEDY}") from error


def _model(file: h5py.File) -> tuple[str | None, dict[str, Any]]:
    if "model_config" not in file.attrs:
        return None, {}
    try:
        text = _text(_attribute(file, "model_config", _LARGEST_CONFIG))
        model = json.loads(text)
        class_name, config = model["class_name"], model["config"]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise _refusal("has a model configuration that is no valid JSON description of a model") from error
    if not isinstance(class_name, str) or not isinstance(config, dict):
        raise _refusal("has a model configuration without class and arguments")
    return class_name, config


def _layers(file: h5py.File, root: str, name: str) -> Iterator[KerasLayer]:
    """The layers with weights of one listed layer: itself, or those of a nested model."""
    group = f"{root.rstrip('/')}/{name}"
    places: dict[str, dict[str, str]] = {}
    for weight in _names(_group(file, group), "weight_names"):
        owner, _, short = weight.rpartition("/")
        places.setdefault(owner, {})[short.split(":")[0]] = f"{group}/{weight}"
    for owner, weights in places.items():
        own = name if len(places) == 1 else owner.rpartition("/")[2]
        yield KerasLayer(own, {short: _dataset(file, place).shape for short, place in weights.items()}, weights)


def _names(group: h5py.Group, attribute: str) -> list[str]:
    """The strings of an attribute; Keras splits long ones into attribute0, attribute1 and so on."""
    if attribute in group.attrs:
        parts = [_attribute(group, attribute)]
    else:
        parts = []
        while f"{attribute}{len(parts)}" in group.attrs:
            parts.append(_attribute(group, f"{attribute}{len(parts)}"))
        if not parts:
            raise _refusal(f"has no {attribute} in {group.name}, so Keras did not write it")
    names = [_text(name) for part in parts for name in np.atleast_1d(part)]
    if len(names) > _MOST_NAMES:
        raise _refusal(f"lists {len(names)} names in {group.name}; no network has so many")
    return names


def _attribute(group: h5py.Group, name: str, largest: int = 1 << 20) -> Any:
    stored = group.attrs.get_id(name)
    if prod(stored.shape) * stored.dtype.itemsize > largest or stored.dtype.kind not in "SOf":
        raise _refusal(f"has an attribute {name} that holds no names")
    return group.attrs[name]  # an empty list of names is an array of numbers


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8")
    if not isinstance(value, str):
        raise _refusal(f"names a layer {value}, which is no text")
    return str(value)


def _group(file: h5py.File, place: str) -> h5py.Group:
    import h5py

    found = _follow(file, place)
    if not isinstance(found, h5py.Group):
        raise _refusal(f"has no layer {place}")
    return found


def _dataset(file: h5py.File, place: str) -> h5py.Dataset:
    """An array whose numbers lie in this file."""
    import h5py

    found = _follow(file, place)
    if not isinstance(found, h5py.Dataset):
        raise _refusal(f"has no array {place}")
    if found.dtype.kind != "f" or found.shape is None:
        raise _refusal(f"holds {found.dtype} in {place} instead of real numbers")
    if found.is_virtual or found.external:
        raise _refusal(f"takes {place} from another file")
    _check_size(file, found.size, f"in {place}")
    return found


def _check_size(file: h5py.File, numbers: int, where: str) -> None:
    claimed, stored = 4 * numbers, file.id.get_filesize()
    if claimed > _LARGEST_EXPANSION * stored:
        raise _refusal(f"claims {claimed} bytes {where} but is only {stored} bytes long")


def _follow(file: h5py.File, place: str) -> h5py.Group | h5py.Dataset | None:
    """The object at a place, reached through hard links only: others may lead out of the file."""
    import h5py

    found: Any = file
    for part in place.strip("/").split("/"):
        if not part:
            continue
        if not isinstance(found, h5py.Group) or part not in found:
            return None
        if part == "." or not isinstance(found.get(part, getlink=True), h5py.HardLink):
            raise _refusal(f"has a link in {place} that leads elsewhere")
        found = found[part]
    return found
