"""What is measured: the published networks at full size, and an image pair to feed them."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from VoxelMorphLib.networks.dense import VxmDense
from VoxelMorphLib.networks.unet import set_unet_precision
from VoxelMorphLib.weights.architectures import build_network
from VoxelMorphLib.weights.catalogue import find_entry
from VoxelMorphLib.weights.load import load_network

from .settings import Settings

PUBLISHED = "vxm-dense-brain-T1-mse"


def published_file(settings: Settings) -> Path | None:
    """The weights of the published network where the user has them."""
    file = settings.weights / find_entry(PUBLISHED).file
    return file if file.is_file() else None


def published_network(settings: Settings) -> tuple[nn.Module, str]:
    """The network, and whether its weights are the published ones or random; speed is the same."""
    file = published_file(settings)
    if file is not None:
        return load_network(file)[0], "published weights"
    entry = find_entry(PUBLISHED)
    torch.manual_seed(0)
    network = build_network(entry.architecture, entry.arguments)
    return network.eval().requires_grad_(False), "random weights"


def full_resolution_network() -> nn.Module:
    """VxmDense with the original's default arguments, features at the resolution of the images."""
    torch.manual_seed(0)
    return VxmDense().eval().requires_grad_(False)


def in_precision(network: nn.Module, precision: str) -> nn.Module:
    """A copy of the network whose convolutions have another precision."""
    return set_unet_precision(copy.deepcopy(network), precision)


def image_pair(settings: Settings) -> tuple[Tensor, Tensor]:
    """Moving and fixed (1, 1, *shape), 0..1: two brains where the recorded ones are at hand, else smooth noise."""
    recorded = settings.reference / "A_full_size" / "inputs.npz"
    if recorded.is_file():
        with np.load(recorded) as arrays:
            moving, fixed = arrays["moving"], arrays["fixed_icbm152"]
        if moving.shape == settings.shape:
            return tuple(torch.from_numpy(image.astype(np.float32) / 255)[None, None] for image in (moving, fixed))
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand((2, 1, *(max(2, n // 8) for n in settings.shape)), generator=generator)
    smooth = nn.functional.interpolate(coarse, settings.shape, mode="trilinear", align_corners=True)
    return smooth[:1], smooth[1:]
