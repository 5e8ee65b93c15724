"""This project's own weight files: safetensors whose metadata say everything needed to run the model."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ..core.errors import ConfigError, DependencyError, OutputError, WeightsError
from .architectures import network_from_state
from .entry import ModelEntry

if TYPE_CHECKING:
    from types import ModuleType

#: Metadata key under which the entry stands as JSON.
METADATA_KEY = "voxelmorph"
#: Facts about the file itself; a file cannot hold them.
_FILE_FACTS = ("file", "url", "bytes", "sha256", "format")
_DTYPES = ("F32", "F16", "BF16")
_LARGEST_METADATA = 1 << 16


def write_model(network: nn.Module, entry: ModelEntry, path: str | Path) -> None:
    """Write a network and its entry; the file appears complete or not at all.

    Args:
        network: an instance of `entry.architecture`, built with `entry.arguments`.
        entry: what the model is; its file, url, bytes, sha256 and format are not stored.
        path: ending in .safetensors; its folder must exist.

    Raises:
        ConfigError: the path ends otherwise.
        WeightsError: the network is not what the entry says.
        OutputError: the file cannot be written.
        DependencyError: the package safetensors is missing.
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        raise ConfigError(f"{path} does not end in .safetensors. Models are written in that format only.")
    state = {key: value.detach().cpu().contiguous() for key, value in network.state_dict().items()}
    network_from_state(entry.architecture, entry.arguments, state, path)
    facts = {key: value for key, value in entry.to_dict().items() if key not in _FILE_FACTS}
    content = _safetensors().torch.save(state, {METADATA_KEY: json.dumps(facts)})
    temporary = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise OutputError(f"{path} cannot be written ({error.strerror}). Choose another folder.") from error


def read_model(path: str | Path) -> tuple[nn.Module, ModelEntry]:
    """Read a network and its entry; nothing in the file is executed.

    Returns:
        The network in float32 on the CPU, and its entry with this file's name.

    Raises:
        WeightsError: the file is damaged, no model of this project, or does not fit its own description.
        DependencyError: the package safetensors is missing.
    """
    path = Path(path)
    metadata, state = _read(path)
    entry = _entry(path, metadata)
    network = network_from_state(entry.architecture, entry.arguments, state, path)
    return network, entry


def read_entry(path: str | Path) -> ModelEntry:
    """What a file says about its network, without the weights.

    Raises:
        WeightsError: the file is damaged or no model of this project.
        DependencyError: the package safetensors is missing.
    """
    path, library = Path(path), _safetensors()
    try:
        with library.safe_open(path, framework="pt", device="cpu") as file:
            return _entry(path, file.metadata() or {})
    except (library.SafetensorError, ValueError, OSError) as error:
        raise WeightsError(f"{path} is damaged or no safetensors file ({error}). Get a fresh copy.") from error


def _safetensors() -> ModuleType:
    try:
        import safetensors
        import safetensors.torch
    except ImportError as error:
        raise DependencyError(
            "Files ending in .safetensors need the Python package safetensors. Install it with: pip install safetensors"
        ) from error
    return safetensors


def _read(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    library = _safetensors()
    try:
        with library.safe_open(path, framework="pt", device="cpu") as file:
            kinds = {file.get_slice(key).get_dtype() for key in file.keys()}  # noqa: SIM118, not a mapping
            if not kinds <= set(_DTYPES):
                raise WeightsError(
                    f"{path} holds numbers of type {', '.join(sorted(kinds))}; only {', '.join(_DTYPES)} are read."
                )
            state = {key: file.get_tensor(key).to(torch.float32) for key in file.keys()}  # noqa: SIM118
            return file.metadata() or {}, state
    except WeightsError:
        raise
    except (library.SafetensorError, ValueError, OSError) as error:
        raise WeightsError(f"{path} is damaged or no safetensors file ({error}). Get a fresh copy.") from error


def _entry(path: Path, metadata: dict[str, str]) -> ModelEntry:
    text = metadata.get(METADATA_KEY, "")
    if not 0 < len(text) <= _LARGEST_METADATA:
        raise WeightsError(f"{path} does not describe its network (metadata {METADATA_KEY!r}). Choose another file.")
    try:
        values: Any = json.loads(text)
        facts = dict.fromkeys(_FILE_FACTS)
        return ModelEntry.from_dict({**facts, **values, "file": path.name, "format": "safetensors"})
    except (ConfigError, ValueError, TypeError, RecursionError) as error:
        raise WeightsError(f"{path} describes its network wrongly ({error}). Choose another file.") from error
