"""Small networks of one regularity, kept in the cache folder after a hypernetwork of gigabytes was evaluated once."""

from __future__ import annotations

import contextlib
import dataclasses
from pathlib import Path

from torch import nn

from ..core.errors import AccessError, OutputError, WeightsError
from ..core.io.paths import is_file
from .catalogue import load_catalogue
from .entry import ModelEntry
from .folders import default_cache_folder
from .safetensors_file import read_model, write_model


def read_specialised(entry: ModelEntry, regularisation: float) -> nn.Module | None:
    """The small network of an earlier `keep_specialised`; None where there is none, or it is damaged."""
    try:
        path = _path(entry, regularisation)
        if not is_file(path):
            return None
        network, kept = read_model(path)
    except (AccessError, WeightsError):
        return None
    return network if kept.arguments == _plain_arguments(entry) else None


def keep_specialised(network: nn.Module, entry: ModelEntry, regularisation: float) -> None:
    """Keep the small network in the cache folder, so that the large file is not read again; not when it is full."""
    path = _path(entry, regularisation)
    kept = dataclasses.replace(
        entry, arguments=_plain_arguments(entry), file=path.name, format="safetensors", affine_model=None
    )
    with contextlib.suppress(OutputError, OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_model(network, kept, path)


def _plain_arguments(entry: ModelEntry) -> dict:
    return {**entry.arguments, "hyp_num": 0}


def _path(entry: ModelEntry, regularisation: float) -> Path:
    """Another version of a file has another checksum, and so what was made of it another name."""
    files = [entry] if entry.affine_model is None else [entry, load_catalogue().get(entry.affine_model, entry)]
    checksums = "-".join((file.sha256 or "unknown")[:8] for file in files)
    return default_cache_folder() / f"{entry.id}-{checksums}-{regularisation:.4g}.safetensors"
