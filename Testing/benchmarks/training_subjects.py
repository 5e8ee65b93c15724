"""One training step of our network and of the PyPI package voxelmorph 0.3.4, with equal work in the convolutions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from VoxelMorphLib.core.losses.ncc import ncc_loss
from VoxelMorphLib.core.losses.regularisers import gradient_penalty
from VoxelMorphLib.networks.dense import VxmDense

from .compare import PACKAGES
from .settings import Settings
from .subjects import image_pair

#: Levels of `VxmPairwise` with its default arguments; it needs extents of a multiple of 2^levels.
DEFAULT_LEVELS = 5
#: How the fields are integrated: as both packages do by default, or ours as the other one.
OURS, AS_THE_OTHER = "VxmDense", "VxmDense integrating 5 steps at full resolution"
OTHER = "VxmPairwise of voxelmorph 0.3.4"

_WINDOW = 9
_SMOOTHNESS = 0.01
_RATE = 1e-4
_OPERATORS = (torch.ops.aten.convolution.default, torch.ops.aten.mkldnn_convolution.default)

Forward = Callable[[Tensor, Tensor], Tensor]


class MultiplyAdds(TorchDispatchMode):
    """Counts the multiply-adds of all convolutions that torch runs inside its context."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, operator: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        result = operator(*args, **(kwargs or {}))
        if operator in _OPERATORS:
            self.total += result.numel() * args[1][0].numel()
        return result


def count_multiply_adds(network: nn.Module, shape: tuple[int, ...]) -> int:
    """Of a forward pass in training on a pair of `shape`."""
    image = torch.rand(1, 1, *shape)
    with MultiplyAdds() as counted:
        network(image, image)
    return counted.total


def levels_for(shape: tuple[int, ...]) -> int:
    """How many of the default's levels fit a shape, whose extents are halved on each."""
    return min(DEFAULT_LEVELS, *((n & -n).bit_length() - 1 for n in shape))


def our_network(levels: int, name: str = OURS) -> nn.Module:
    """`VxmDense` with as many multiply-adds as `other_network` to 1 %: its last convolution has one feature less."""
    torch.manual_seed(0)
    integration = {"int_steps": 5, "int_resolution": 1} if name == AS_THE_OTHER else {}
    return VxmDense(features=([16] * levels, [16] * levels + [15]), **integration)


def other_network(levels: int) -> nn.Module:
    """`VxmPairwise` with 16 features on every level, its default."""
    from voxelmorph.nn.models import VxmPairwise

    torch.manual_seed(0)
    return VxmPairwise(3, 1, 1, nb_features=(16,) * levels)


def missing_package() -> str:
    """Why the other package cannot be measured, or nothing."""
    try:
        import neurite  # noqa: F401
        import voxelmorph.nn.models  # noqa: F401
    except ImportError as error:
        return f"{error}; pip install --no-deps {PACKAGES}"
    return ""


def network_named(name: str, levels: int) -> nn.Module:
    """The network of a subject: OURS, AS_THE_OTHER or OTHER."""
    return other_network(levels) if name == OTHER else our_network(levels, name)


def loss_of(name: str, network: nn.Module) -> Forward:
    """Forward pass and loss of a subject: NCC in windows of 9 voxels and the squared gradient of the velocity."""
    if name != OTHER:

        def ours(moving: Tensor, fixed: Tensor) -> Tensor:
            output = network(moving, fixed)
            return ncc_loss(fixed, output.moved, _WINDOW) + _SMOOTHNESS * gradient_penalty(output.regularised)

        return ours
    from neurite.nn.modules import NCC, SpatialGradient

    similarity, penalty = NCC(window_size=_WINDOW), SpatialGradient("l2")

    def other(moving: Tensor, fixed: Tensor) -> Tensor:
        velocity, moved = network(moving, fixed, return_warped_source=True, return_field_type="velocity")
        return _SMOOTHNESS * penalty(velocity) - similarity(fixed, moved).mean()

    return other


def step_of(
    network: nn.Module, loss: Forward, moving: Tensor, fixed: Tensor, capturable: bool = False
) -> Callable[[], None]:
    """One step of Adam: forward, losses, backward, update.

    Args:
        network: whose weights change.
        loss: of moving and fixed.
        moving, fixed: (B, 1, I, J, K), on the network's device.
        capturable: the step may be captured in a CUDA graph.
    """
    adam = torch.optim.Adam(network.parameters(), lr=_RATE, fused=moving.is_cuda, capturable=capturable)

    def step() -> None:
        adam.zero_grad()
        loss(moving, fixed).backward()
        adam.step()

    return step


def make_step(name: str, shape: tuple[int, ...], batch: int) -> Callable[[], None]:
    """The step of a subject on the CPU, on pairs (batch, 1, *shape)."""
    network = network_named(name, levels_for(shape))
    moving, fixed = (image.repeat(batch, 1, 1, 1, 1) for image in image_pair(Settings(shape=shape)))
    return step_of(network, loss_of(name, network), moving, fixed)
