"""Precision of the convolutions: float32, or bfloat16 where the processor multiplies matrices of it."""

from __future__ import annotations

import torch
from torch import nn

from ..core.config import PRECISIONS, check_choice


def set_precision(network: nn.Module, precision: str) -> nn.Module:
    """Give the encoder-decoders of a registration network weights and activations of `precision`, in place.

    The convolution that predicts the velocity, sampling, integration and warps stay in float32.

    Args:
        network: one without an encoder-decoder `unet`, its own or a part's, stays as it is.
        precision: "float32" or "bfloat16"; going to bfloat16 and back loses the digits in between.

    Returns:
        `network`.

    Raises:
        ConfigError: unknown precision.
    """
    check_choice("precision", precision, PRECISIONS)
    for module in network.modules():
        if isinstance(getattr(module, "unet", None), nn.Module):
            module.unet.to(getattr(torch, precision))
    return network
