"""Small networks of one regularity, kept in the cache folder after a hypernetwork of gigabytes was evaluated once."""

from __future__ import annotations

import contextlib
import dataclasses

from torch import nn

from ..core.errors import AccessError, OutputError, WeightsError
from ..core.io.paths import is_file
from .entry import ModelEntry
from .safetensors_file import read_model, write_model
from .store import kept_files, kept_path

#: Regularities of one model whose networks stay, of 106 MB each as published.
MOST_KEPT = 8


def read_specialised(entry: ModelEntry, regularisation: float) -> nn.Module | None:
    """The small network of an earlier `keep_specialised`; None where there is none, or it is damaged."""
    try:
        path = kept_path(entry, regularisation)
        if not is_file(path):
            return None
        network, kept = read_model(path)
    except (AccessError, WeightsError):
        return None
    return network if kept.arguments == _plain_arguments(entry) else None


def keep_specialised(network: nn.Module, entry: ModelEntry, regularisation: float) -> None:
    """Keep the small network in the cache folder, so that the large file is not read again; not when it is full.

    Of more than `MOST_KEPT` the oldest ones go.
    """
    path = kept_path(entry, regularisation)
    kept = dataclasses.replace(
        entry, arguments=_plain_arguments(entry), file=path.name, format="safetensors", affine_model=None
    )
    with contextlib.suppress(OutputError, OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_model(network, kept, path)
        for oldest in kept_files(entry)[:-MOST_KEPT]:
            oldest.unlink()


def _plain_arguments(entry: ModelEntry) -> dict:
    return {**entry.arguments, "hyp_num": 0}
