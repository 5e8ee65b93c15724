"""Padding: images of any extent become multiples of what a network halves, and fields are cropped back."""

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
    """The first `shape` voxels of (B, C, *padded): what `pad_to_multiple` had not added."""
    if tuple(image.shape[2:]) == tuple(shape):
        return image
    return image[(..., *(slice(n) for n in shape))].contiguous()
