"""VxmDense with `save` and `load`: the network of `networks.dense` that scripts train and keep."""

from __future__ import annotations

import inspect
import os
import re
from pathlib import Path
from typing import Any, cast

from ..core.config import NetworkSpace
from ..core.errors import WeightsError
from ..networks import dense
from .entry import ModelEntry
from .load import load_network
from .safetensors_file import write_model


class VxmDense(dense.VxmDense):
    """A `networks.dense.VxmDense`, with its arguments, that is kept in a file which describes itself.

    What `save` writes is a model like every other: `register`, the commands and the panel take its path.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        bound = inspect.signature(dense.VxmDense).bind(*args, **options)
        #: Of the constructor, as plain values.
        self.arguments = {name: _plain(value) for name, value in bound.arguments.items()}

    def save(self, path: str | Path, space: NetworkSpace | None = None, title: str = "") -> Path:
        """Write weights and arguments.

        Args:
            path: ending in .safetensors, in a folder that exists.
            space: grid and intensities of the images that the network was trained on; None says nothing of them.
            title: what lists of models show; "" takes the name of the file.

        Returns:
            The path.

        Raises:
            ConfigError: the path ends otherwise.
            OutputError: the file cannot be written.
            DependencyError: the package safetensors is missing.
        """
        path = Path(path)
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", path.stem).strip("-._") or "model"
        entry = ModelEntry(
            id=name,
            title=title or name,
            description="Trained by a script.",
            architecture="VxmDense",
            arguments=self.arguments,
            file=path.name,
            format="safetensors",
            space=space or NetworkSpace(multiple=self.multiple),
        )
        write_model(self, entry, path)
        return path

    @classmethod
    def load(cls, path: str | os.PathLike[str], device: str = "cpu") -> VxmDense:
        """The network of a file, ready to train on or to be used.

        Args:
            path: what `save` or a training wrote, a .h5 or .pt file of the original, or the id of a model.
            device: where the network is to be.

        Raises:
            WeightsError: the file is missing, damaged, or holds another network.
        """
        network, entry = load_network(path)
        if entry.architecture != "VxmDense" or not isinstance(network, dense.VxmDense):
            raise WeightsError(f"{path} holds a {entry.architecture}, not a VxmDense. Choose another file.")
        own = cls(**cast("dict[str, Any]", network.built_with))
        own.load_state_dict(network.state_dict())
        return own.to(device)


def _plain(value: Any) -> Any:
    """As JSON returns it."""
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value
