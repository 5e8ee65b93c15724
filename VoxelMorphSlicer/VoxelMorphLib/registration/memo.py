"""What earlier registrations leave for the next one: results by the contents they depend on, and loaded networks."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np

from ..core.progress import Progress, silent
from ..networks.joint import DEFAULT_REGULARISATION
from ..networks.registrar import Network, choose_regularisation, hyperparameter_count
from ..weights.entry import ModelEntry, supports_regularisation
from ..weights.identity import model_identity
from ..weights.load import load_network

Value = TypeVar("Value")


class Memo(Generic[Value]):
    """Values by the contents of everything that they depend on; the least recently used one goes first.

    Args:
        capacity: values that are kept; 0 keeps none.
    """

    def __init__(self, capacity: int):
        self.capacity = capacity
        self._values: OrderedDict[bytes, Value] = OrderedDict()

    def recall(self, find: Callable[[], Value], *inputs: object) -> Value:
        """What `find` returned for equal `inputs` before, else what it returns now.

        Args:
            find: makes the value, which nobody may change.
            inputs: images, transforms and plain values that decide about it.
        """
        if not self.capacity:
            return find()
        key = fingerprint(*inputs)
        if key not in self._values:
            while len(self._values) >= self.capacity:  # first, so that the old value's memory serves the new one
                self._values.popitem(last=False)
            self._values[key] = find()
        self._values.move_to_end(key)
        return self._values[key]

    def clear(self) -> None:
        """Forget everything."""
        self._values.clear()


def fingerprint(*values: object) -> bytes:
    """Digest of plain values, arrays, and dataclasses of them (images, geometries, transforms), names left out."""
    digest = hashlib.blake2b(digest_size=16)
    for value in values:
        _add(digest, value)
    return digest.digest()


def _add(digest: hashlib.blake2b, value: object) -> None:
    if is_dataclass(value):
        _add_text(digest, type(value).__name__)
        parts = [getattr(value, field.name) for field in fields(value) if field.name != "name"]
        value = tuple(parts)
    if isinstance(value, tuple):
        digest.update(b"(%d" % len(value))
        for part in value:
            _add(digest, part)
    elif isinstance(value, np.ndarray):
        _add_text(digest, f"{value.dtype.str}{value.shape}")
        digest.update(np.ascontiguousarray(value).data)
    else:
        _add_text(digest, repr(value))


def _add_text(digest: hashlib.blake2b, text: str) -> None:
    """With its length, or 0.5 and 10 would be what 0.51 and 0 are."""
    digest.update(b"%d:" % len(text))
    digest.update(text.encode())


#: A loaded network and what is known about it.
LoadedNetwork = tuple[Network, ModelEntry]


class NetworkCache:
    """Networks by model, device and precision; the least recently used one goes when there are too many.

    A network that still has its hyperparameters is kept once and told their value at every call; one that was read for
    a single value is kept for that one.

    Args:
        capacity: networks that are kept.
    """

    def __init__(self, capacity: int = 2):
        self.capacity = capacity
        self._networks: OrderedDict[Hashable, LoadedNetwork] = OrderedDict()

    def load(
        self,
        model: str | Path,
        weights_dir: Path | None = None,
        device: str = "cpu",
        precision: str = "float32",
        progress: Progress = silent,
        regularisation: float = DEFAULT_REGULARISATION,
    ) -> LoadedNetwork:
        """The network of `load_network`, from memory where it was loaded before and its file has not changed since."""
        model_key = (model_identity(model, weights_dir), str(weights_dir), device, precision)
        key = next((key for key in ((model_key, None), (model_key, regularisation)) if key in self._networks), None)
        if key is None:
            while len(self._networks) >= self.capacity:
                self._networks.popitem(last=False)
            loaded = load_network(model, weights_dir, device, precision, progress, regularisation)
            is_for_one = _is_for_one_value(*loaded)
            key = (model_key, regularisation) if is_for_one else (model_key, None)
            self._networks[key] = loaded
        self._networks.move_to_end(key)
        choose_regularisation(self._networks[key][0], regularisation)
        return self._networks[key]

    def clear(self) -> None:
        """Forget all networks, so that their memory can be used for something else."""
        self._networks.clear()


def _is_for_one_value(network: Network, entry: ModelEntry) -> bool:
    """Whether a hypernetwork was evaluated while the network was read."""
    return supports_regularisation(entry) and not hyperparameter_count(network)
