"""NetworkCache: loaded networks, kept for the next registration with the same model."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from pathlib import Path

from ..core.progress import Progress, silent
from ..networks.joint import DEFAULT_REGULARISATION
from ..networks.registrar import Registrar, choose_regularisation, hyperparameter_count
from ..weights.catalogue import load_catalogue
from ..weights.entry import ModelEntry, supports_regularisation
from ..weights.folders import default_cache_folder
from ..weights.load import load_network

#: A loaded network and what is known about it.
LoadedNetwork = tuple[Registrar, ModelEntry]


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
            key = (model_key, regularisation if _is_for_one_value(*loaded) else None)
            self._networks[key] = loaded
        self._networks.move_to_end(key)
        choose_regularisation(self._networks[key][0], regularisation)
        return self._networks[key]

    def clear(self) -> None:
        """Forget all networks, so that their memory can be used for something else."""
        self._networks.clear()


def _is_for_one_value(network: Registrar, entry: ModelEntry) -> bool:
    """Whether a hypernetwork was evaluated while the network was read."""
    return supports_regularisation(entry) and not hyperparameter_count(network)


def model_identity(model: str | Path, weights_dir: Path | None = None) -> Hashable:
    """Changes when the catalogue's entry or the file that is used changes.

    Args:
        model: id of the catalogue or a weights file.
        weights_dir: folder that is searched before that of the downloads.
    """
    entry = load_catalogue().get(str(model)) if isinstance(model, str) else None
    if entry is None:
        return _file_state(Path(model)) or str(model)
    if entry.sha256 is not None or entry.file is None:
        return entry
    folders = [default_cache_folder()] if weights_dir is None else [Path(weights_dir), default_cache_folder()]
    return entry, tuple(_file_state(folder / entry.file) for folder in folders)


def _file_state(path: Path) -> Hashable | None:
    if not path.is_file():
        return None
    state = path.stat()
    return str(path.resolve()), state.st_mtime_ns, state.st_size
