"""Files as the original's torch branch writes them, made from one of our networks."""

from __future__ import annotations

from pathlib import Path

import torch
from VoxelMorphLib.weights.architectures import build_network

_NAMES = (("unet.final", "unet_model.remaining"), ("unet.", "unet_model."), (".convolution.", ".main."))


def write_branch_file(path: Path, features: list[list[int]]) -> None:
    """Write a random three-dimensional VxmDense with these encoder and decoder features."""
    state = {}
    for key, value in build_network("VxmDense", {"features": features}).state_dict().items():
        for ours, theirs in _NAMES:
            key = key.replace(ours, theirs)
        state[key] = value
    torch.save({"config": {"inshape": (16, 16, 16), "nb_unet_features": features}, "model_state": state}, path)
