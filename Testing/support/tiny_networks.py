"""Small networks and images of one, two and three dimensions."""

from __future__ import annotations

from math import log

import torch
from torch import Tensor, nn
from VoxelMorphLib.networks.dense import RegistrationNetwork, VxmDense
from VoxelMorphLib.networks.legacy import VxmCvpr2018, VxmMiccai2018
from VoxelMorphLib.networks.legacy_template import LegacyConditionalTemplateCreation, LegacyTemplateCreation

TINY = ((4, 8), (8, 8, 4))
PARTS = ("weight", "bias")
#: Features of a tiny network of 2018 that predicts a velocity.
LEGACY_TINY = ((2, 3, 4, 5), (5, 4, 4, 4, 3))
SHAPES = {1: (48,), 2: (24, 16), 3: (16, 8, 12)}


def filled(network: nn.Module, seed: int = 0, size: float = 1.0) -> nn.Module:
    """The network with random numbers in all weights and biases, so that nothing is zero by chance."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in network.named_parameters():
        scale = size * 0.5 / max(parameter[0].numel(), 1) ** 0.5 if name.endswith("weight") else 0.1
        parameter.data = scale * torch.randn(parameter.shape, generator=generator)
    return network.eval()


def a_pair(shape: tuple[int, ...], batch: int = 1, channels: tuple[int, int] = (1, 1), seed: int = 0) -> list[Tensor]:
    """A moving and a fixed image of noise in 0..1."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.rand(batch, n, *shape, generator=generator) for n in channels]


def a_dense(ndims: int = 3, seed: int = 0, **options) -> VxmDense:
    return filled(VxmDense(ndims, **{"features": TINY, **options}), seed)


def a_cvpr(ndims: int = 3, seed: int = 0) -> VxmCvpr2018:
    return filled(VxmCvpr2018(ndims, ((2, 3, 4, 5), (5, 4, 4, 4, 3, 3))), seed)


def a_miccai(ndims: int = 3, seed: int = 0, **options) -> VxmMiccai2018:
    return filled(VxmMiccai2018(ndims, LEGACY_TINY, **options), seed)


def as_original(network: VxmMiccai2018) -> VxmMiccai2018:
    """The network of 2018 that predicts the same as the first code stored it: a small velocity, y before x."""
    channels = {"moving_features": network.moving_features, "fixed_features": network.fixed_features}
    blocks = [network.unet.encoder, network.unet.decoder]
    features = [[block.convolution.out_channels for block in part] for part in blocks]
    other = VxmMiccai2018(network.unet.ndims, features, network.int_steps, network.bidir, True, **channels).eval()
    state, scale = dict(network.state_dict()), 2**network.int_steps
    order = [1, 0, *range(2, network.unet.ndims)]
    state.update({f"{head}.{part}": state[f"{head}.{part}"][order] for head in ("flow", "logvar") for part in PARTS})
    state.update({f"flow.{part}": state[f"flow.{part}"] / scale for part in PARTS})
    state["logvar.bias"] = state["logvar.bias"] - 2 * log(scale)
    other.load_state_dict(state)
    return other


def a_legacy_template(shape: tuple[int, ...] = (16, 32), seed: int = 0) -> LegacyTemplateCreation:
    return _with_mean(filled(LegacyTemplateCreation(shape, LEGACY_TINY), seed))


def a_legacy_conditional_template(
    shape: tuple[int, ...] = (16, 32), seed: int = 0, **options
) -> LegacyConditionalTemplateCreation:
    small = {"features": LEGACY_TINY, "generator_features": 3}
    return _with_mean(filled(LegacyConditionalTemplateCreation(shape, **{**small, **options}), seed))


def _with_mean(network: nn.Module) -> nn.Module:
    """With numbers in the mean displacement too."""
    network.mean_stream.mean = torch.rand(network.mean_stream.mean.shape)
    network.mean_stream.count += 30
    return network


def with_constant_flow(network: RegistrationNetwork, flow: float) -> RegistrationNetwork:
    """The network that predicts the same number everywhere, whatever the images."""
    nn.init.zeros_(network.flow.weight)
    nn.init.constant_(network.flow.bias, flow)
    return network
