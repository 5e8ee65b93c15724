"""Precision of the convolutions: float32, or bfloat16 where the processor multiplies matrices of it."""

from __future__ import annotations

import torch
from torch import nn

from ..core.config import PRECISIONS, check_choice


def set_precision(network: nn.Module, precision: str) -> nn.Module:
    """Give the encoder-decoder of a registration network weights and activations of `precision`, in place.

    The convolution that predicts the velocity, sampling, integration and warps stay in float32.

    Args:
        network: with an encoder-decoder `unet`.
        precision: "float32" or "bfloat16"; going to bfloat16 and back loses the digits in between.

    Returns:
        `network`.

    Raises:
        ConfigError: unknown precision.
    """
    check_choice("precision", precision, PRECISIONS)
    network.unet.to(getattr(torch, precision))
    return network
