"""NetworkCache: loaded networks, kept for the next registration with the same model."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from pathlib import Path

from torch import nn

from ..core.progress import Progress, silent
from ..weights.catalogue import load_catalogue
from ..weights.entry import ModelEntry
from ..weights.load import load_network

#: A loaded network and what is known about it.
LoadedNetwork = tuple[nn.Module, ModelEntry]


class NetworkCache:
    """Networks by model, device and precision; the least recently used one goes when there are too many.

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
    ) -> LoadedNetwork:
        """The network of `load_network`, from memory where it was loaded before and its file has not changed since."""
        key = (_identity(model), str(weights_dir), device, precision)
        if key not in self._networks:
            while len(self._networks) >= self.capacity:
                self._networks.popitem(last=False)
            self._networks[key] = load_network(model, weights_dir, device, precision, progress)
        self._networks.move_to_end(key)
        return self._networks[key]

    def clear(self) -> None:
        """Forget all networks, so that their memory can be used for something else."""
        self._networks.clear()


def _identity(model: str | Path) -> Hashable:
    """Changes when the catalogue's entry or the file of this name does."""
    entry = load_catalogue().get(str(model)) if isinstance(model, str) else None
    path = Path(model)
    if entry is not None or not path.is_file():
        return entry or str(model)
    state = path.stat()
    return str(path.resolve()), state.st_mtime_ns, state.st_size
