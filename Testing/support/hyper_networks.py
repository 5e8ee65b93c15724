"""Files of small networks that were made for every value of their hyperparameters."""

from __future__ import annotations

from pathlib import Path

from VoxelMorphLib.networks.hyper_dense import HyperVxmDense
from VoxelMorphLib.networks.joint import HyperVxmJoint
from VoxelMorphLib.weights.entry import ModelEntry
from VoxelMorphLib.weights.safetensors_file import write_model

from .tiny_networks import TINY, filled

JOINT = {"hyp_units": [5, 4], "enc_nf": [4, 6], "dec_nf": [6, 4], "add_nf": [4, 5], "skip_affine": True}


def write_hyper_dense(path: Path, default: float = 0.25, hyperparameters: int = 1) -> Path:
    """A `HyperVxmDense` of random weights whose fields depend much on its hyperparameters."""
    arguments = {
        "features": [list(part) for part in TINY],
        "hyper_layers": 2,
        "hyper_units": 4,
        "default": default,
        "hyperparameters": hyperparameters,
    }
    return _written(filled(HyperVxmDense(**arguments), size=3), arguments, path)


def write_hyper_joint(path: Path) -> Path:
    """A `HyperVxmJoint` with its hypernetwork."""
    return _written(filled(HyperVxmJoint(**JOINT), size=0.5), JOINT, path)


def _written(network, arguments: dict, path: Path) -> Path:
    entry = ModelEntry(
        path.stem, path.name, "Random weights.", type(network).__name__, arguments, path.name, format="safetensors"
    )
    write_model(network, entry, path)
    return path
