"""MIND-SSC: a descriptor of the image around each voxel, whatever the modality, and its difference as a loss."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, product

import torch
from torch import Tensor
from torch.nn.functional import pad

from ..config import Settings
from ..errors import GeometryError
from ..filters import block_mean
from ..full_precision import in_float32
from ..options import check_range
from ..windows import box_sum
from .reduction import check_same_shape, reduce_map


@in_float32
def mind_descriptor(image: Tensor, radius: int = 1, dilation: int = 2) -> Tensor:
    """Self-similarity context: similarity of the patches around each voxel's face neighbours to one another.

    A channel is one of the pairs of face neighbours at right angles (12 in 3-D, 4 in 2-D). Its value is
    exp(-(D - min D) / V): D the mean squared difference of the two patches, V the mean of D over the pairs,
    clamped between 1/1000 and 1000 times its own mean over the image.

    Args:
        image: (B, C, *shape) with 2 or 3 spatial axes; channels are averaged. Border voxels are repeated outside.
        radius: of the cubic patch, voxels.
        dilation: distance of the neighbours, voxels.

    Returns:
        (B, number of pairs, *shape), 0 to 1.

    Raises:
        GeometryError: a 1-D image, which has no such pair of neighbours.

    Source: Heinrich et al., MICCAI 2013, doi:10.1007/978-3-642-40811-3_24.
    """
    differences = torch.stack(list(_differences(image, dilation)), dim=1)
    return _described(_patch_mean(differences, radius))


@in_float32
def mind_of_blocks(image: Tensor, size: int, dilation: int = 3) -> Tensor:
    """`mind_descriptor` of blocks of voxels, from their details: a patch is every other plane of a block.

    Args:
        image: (B, C, *shape) with 3 spatial axes, each extent a multiple of the size.
        size: voxels along a block, even.
        dilation: distance of the neighbours, voxels of the image.

    Returns:
        (B, 12, *(shape / size)), 0 to 1.
    """
    differences = (each[:, None] for each in _differences(image, dilation, every=2))
    return _described(torch.cat([block_mean(each, (size // 2, size, size)) for each in differences], dim=1))


def _differences(image: Tensor, dilation: int, every: int = 1) -> Iterator[Tensor]:
    """(B, *shape), squared, of what lies at both neighbours of a pair, for one pair after the other.

    Only one of `every` so many planes of the first axis is looked at.
    """
    axes = image.ndim - 2
    if axes < 2:
        raise GeometryError(f"MIND needs images of 2 or 3 axes, got {axes}. Use local correlation instead.")
    padded = pad(image, (dilation,) * (2 * axes), mode="replicate")
    for pair in _neighbour_pairs(axes):
        first, second = (_shifted(padded, step, image.shape[2:], dilation)[:, :, ::every] for step in pair)
        squares = (first - second).square_()
        yield squares[:, 0] if squares.shape[1] == 1 else squares.mean(1)


def _described(distance: Tensor) -> Tensor:
    """The descriptors of mean differences (B, pairs, *shape)."""
    mean = distance.mean(1, keepdim=True)
    typical = mean.flatten(1).mean(1).view(-1, 1, *(1,) * (distance.ndim - 2)).detach().clamp(min=1e-12)
    variance = mean.clamp(min=1e-3 * typical, max=1e3 * typical)
    return ((distance.amin(1, keepdim=True) - distance) / variance).exp_()


@in_float32
def mind_loss(
    fixed: Tensor,
    moved: Tensor,
    radius: int = 1,
    dilation: int = 2,
    mask: Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Mean squared difference of the descriptors, 0 to 1; see `mind_descriptor`.

    Args:
        fixed: (B, C, *shape).
        moved: (B, C, *shape), of any modality.
        mask: (B or 1, 1, *shape) weights of the voxels.
        reduction: see `reduce_map`.
    """
    check_same_shape(fixed, moved)
    difference = mind_descriptor(fixed, radius, dilation) - mind_descriptor(moved, radius, dilation)
    return reduce_map(difference.square().mean(1, keepdim=True), reduction, mask)


def _neighbour_pairs(axes: int) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Pairs of face neighbours, as steps of -1, 0 or 1 per axis, that lie at right angles to each other."""
    steps = [step for step in product((-1, 0, 1), repeat=axes) if sum(map(abs, step)) == 1]
    return [(a, b) for a, b in combinations(steps, 2) if sum(x * y for x, y in zip(a, b)) == 0]


def _shifted(padded: Tensor, step: Sequence[int], shape: Sequence[int], dilation: int) -> Tensor:
    """The image as seen from `dilation` voxels along `step`."""
    for axis, (direction, extent) in enumerate(zip(step, shape), start=2):
        padded = padded.narrow(axis, dilation * (1 + direction), extent)
    return padded


def _patch_mean(image: Tensor, radius: int) -> Tensor:
    window = (2 * radius + 1,) * (image.ndim - 2)
    return box_sum(image, window) / box_sum(torch.ones_like(image[:1, :1]), window)


@dataclass(frozen=True)
class MIND(Settings):
    """`mind_loss` with its options bound."""

    radius: int = 1
    dilation: int = 2

    def __post_init__(self) -> None:
        check_range("radius", self.radius, 0, 10)
        check_range("dilation", self.dilation, 1, 10)

    def __call__(self, fixed: Tensor, moved: Tensor, mask: Tensor | None = None) -> Tensor:
        return mind_loss(fixed, moved, self.radius, self.dilation, mask)
