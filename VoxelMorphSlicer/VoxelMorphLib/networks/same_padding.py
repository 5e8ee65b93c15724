"""Padding "same" as TensorFlow does it: as many outputs as ceil(inputs / stride), the odd surplus behind."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional


def same_padding(extent: int, kernel: int, stride: int = 1) -> tuple[int, int]:
    """Zeros before and after an axis of `extent` voxels.

    Kernel 3 with stride 2 needs (0, 1) for an even extent and (1, 1) for an odd one; a symmetric padding shifts the
    whole network by a voxel.
    """
    total = max((-(-extent // stride) - 1) * stride + kernel - extent, 0)
    return total // 2, total - total // 2


def pad_same(features: Tensor, kernel: Sequence[int], stride: Sequence[int] | int = 1) -> Tensor:
    """(B, C, *padded): features (B, C, *shape) with the zeros that a convolution of `kernel` needs."""
    strides = [stride] * len(kernel) if isinstance(stride, int) else stride
    widths = [same_padding(*axis) for axis in zip(features.shape[2:], kernel, strides)]
    # torch wants the last axis first
    return functional.pad(features, [width for pair in reversed(widths) for width in pair])
