"""A published hypernetwork at one choice of its hyperparameters, kept as the small network that follows."""

from __future__ import annotations

import contextlib
import dataclasses
from pathlib import Path

from torch import nn

from ..core.errors import OutputError, WeightsError
from .entry import ModelEntry
from .folders import default_cache_folder
from .safetensors_file import read_model, write_model


def read_specialised(entry: ModelEntry, hyper: float) -> nn.Module | None:
    """The small network of an earlier `keep_specialised`; None where there is none, or it is damaged."""
    path = _path(entry, hyper)
    if not path.is_file():
        return None
    try:
        network, kept = read_model(path)
    except WeightsError:
        return None
    return network if kept.arguments == _plain_arguments(entry) else None


def keep_specialised(network: nn.Module, entry: ModelEntry, hyper: float) -> None:
    """Keep the small network in the cache folder, so that the large file is not read again; not when it is full."""
    path = _path(entry, hyper)
    kept = dataclasses.replace(entry, arguments=_plain_arguments(entry), file=path.name, format="safetensors")
    with contextlib.suppress(OutputError, OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_model(network, kept, path)


def _plain_arguments(entry: ModelEntry) -> dict:
    return {**entry.arguments, "hyp_num": 0}


def _path(entry: ModelEntry, hyper: float) -> Path:
    """Another version of the file has another checksum and so another name."""
    return default_cache_folder() / f"{entry.id}-{(entry.sha256 or 'unknown')[:8]}-{hyper:.4g}.safetensors"
