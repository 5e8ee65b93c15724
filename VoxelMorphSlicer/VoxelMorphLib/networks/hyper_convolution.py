"""Convolution whose kernels come from a network: another one for every item of the batch."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from .same_padding import pad_same


def convolve_each(features: Tensor, kernels: Tensor, biases: Tensor | None = None) -> Tensor:
    """Convolve every item with its own kernels, padding "same", stride 1.

    Args:
        features: (B, C, *shape), one to three spatial axes.
        kernels: (B, D, C, *kernel).
        biases: (B, D).

    Returns:
        (B, D, *shape).

    Source: Hoopes et al., IPMI 2021, doi:10.1007/978-3-030-78191-0_1. The items become groups of one convolution.
    """
    batch, outputs = kernels.shape[:2]
    grouped = pad_same(features, kernels.shape[3:]).flatten(0, 1).unsqueeze(0)
    convolve = (functional.conv1d, functional.conv2d, functional.conv3d)[features.ndim - 3]
    bias = None if biases is None else biases.flatten()
    return convolve(grouped, kernels.flatten(0, 1), bias, groups=batch).reshape(batch, outputs, *features.shape[2:])
