"""Padding: of images to a multiple of voxels and back, and of features as TensorFlow's convolutions do it."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional


def padded_shape(shape: Sequence[int], multiple: int) -> tuple[int, ...]:
    """`shape` with every extent raised to a multiple of `multiple`."""
    return tuple(-(-int(n) // multiple) * multiple for n in shape)


def pad_to_multiple(image: Tensor, multiple: int) -> Tensor:
    """Repeat the last voxel of each axis until every extent is a multiple of `multiple`.

    Nothing is added before the first voxel, so voxel coordinates stay what they are.

    Args:
        image: (B, C, *shape).
        multiple: of voxels.

    Returns:
        (B, C, *padded); `image` itself where nothing is missing.
    """
    shape = image.shape[2:]
    missing = [wanted - n for wanted, n in zip(padded_shape(shape, multiple), shape)]
    if not any(missing):
        return image
    return functional.pad(image, [side for extra in reversed(missing) for side in (0, extra)], mode="replicate")


def crop(image: Tensor, shape: Sequence[int]) -> Tensor:
    """The first `shape` voxels of (B, C, *padded), which undoes `pad_to_multiple`."""
    if tuple(image.shape[2:]) == tuple(shape):
        return image
    return image[(..., *(slice(n) for n in shape))].contiguous()


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
