"""Mutual information of two images: how well the intensities of one predict those of the other."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from ..config import Settings
from ..errors import ConfigError
from ..filters import robust_range
from ..full_precision import in_float32
from ..options import check_choice, check_range
from .reduction import check_same_shape

#: Keeps quotients and logarithms finite.
EPSILON = 1e-7

#: Voxels whose bins are computed at a time, to fit the CPU's cache and limit peak memory.
CHUNK = 1 << 15

RANGES = ("pair", "batch")

#: Intensities this far beyond the others, in ranges of the others, do not stretch the bins.
OUTLIER = 1.0


@dataclass(frozen=True)
class MutualInformation(Settings):
    """`mutual_information_loss` with its options bound.

    Args:
        bins: number of bin centres, evenly spaced over the range of intensities.
        bin_alpha: a voxel of intensity x counts exp(-bin_alpha (x - centre)^2) in a bin; None takes a Gaussian whose
            standard deviation is half the spacing of the bins.
        clip: range to which intensities are clipped first.
        ranges: "pair" takes the range of each image without outliers, so that brightness, contrast and a hot voxel do
            not matter. "batch" is the original: the range of all images of a batch before clipping, `bin_alpha` for a
            range of 0 to 1, and a gradient through the extreme voxels that set the range.
        normalised: (H(fixed) + H(moved)) / H(fixed, moved), 1 for unrelated images and 2 for equal ones.
    """

    bins: int = 16
    bin_alpha: float | None = None
    clip: tuple[float, float] | None = None
    ranges: str = "pair"
    normalised: bool = False

    def __post_init__(self) -> None:
        check_range("bins", self.bins, 2, 256)
        check_choice("ranges", self.ranges, RANGES)
        if self.clip is not None and not self.clip[0] < self.clip[1]:
            raise ConfigError(f"clip is {self.clip}; give the lower intensity first, then a higher one.")

    def __call__(self, fixed: Tensor, moved: Tensor, mask: Tensor | None = None, reduction: str = "mean") -> Tensor:
        return mutual_information_loss(fixed, moved, self, mask, reduction)


@in_float32
def mutual_information_loss(
    fixed: Tensor,
    moved: Tensor,
    options: MutualInformation = MutualInformation(),
    mask: Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Negative mutual information in nats.

    Args:
        fixed: (B, C, *shape); every channel is a pair of its own, and their mean is taken.
        moved: (B, C, *shape).
        options: see `MutualInformation`.
        mask: (B or 1, C or 1, *shape) weights of the voxels; an item without any has information 0.
        reduction: "mean" over the batch or "item" (B,).

    Source: Hoffmann et al., IEEE TMI 2022, doi:10.1109/TMI.2021.3116879; normalised form: Studholme et al., Pattern
    Recognition 1999, doi:10.1016/S0031-3203(98)00091-0.
    """
    check_same_shape(fixed, moved)
    check_choice("reduction", reduction, ("mean", "item"))
    weights = None if mask is None else _as_pairs(mask.to(fixed.dtype).expand_as(fixed))
    histograms = _soft_histograms(_as_pairs(fixed), _as_pairs(moved), weights, options)
    items = -_information(*histograms, options.normalised).view(fixed.shape[:2]).mean(1)
    return items if reduction == "item" else items.mean()


def _as_pairs(image: Tensor) -> Tensor:
    """(B, C, *shape) -> (B C, voxels)."""
    return image.flatten(0, 1).flatten(1)


def _information(joint: Tensor, fixed: Tensor, moved: Tensor, normalised: bool) -> Tensor:
    """(P,) from histograms (P, n, n), (P, n) and (P, n), not normalised."""
    joint = joint / (joint.sum((1, 2), keepdim=True) + EPSILON)
    product = _shares(fixed)[:, :, None] * _shares(moved)[:, None, :]
    information = (joint * (joint / (product + EPSILON) + EPSILON).log()).sum((1, 2))
    if not normalised:
        return information
    entropy = -(joint * (joint + EPSILON).log()).sum((1, 2))
    return 1 + information / entropy.clamp(min=EPSILON)


def _shares(histogram: Tensor) -> Tensor:
    return histogram / (histogram.sum(1, keepdim=True) + EPSILON)


def _soft_histograms(
    fixed: Tensor, moved: Tensor, weights: Tensor | None, options: MutualInformation
) -> tuple[Tensor, Tensor, Tensor]:
    """Joint (P, n, n), fixed (P, n) and moved (P, n) histograms of (P, voxels) images, summed chunk by chunk.

    The backward pass recomputes the memberships of each chunk instead of storing them.
    """
    fixed, fixed_bins = _bins(fixed, options)
    moved, moved_bins = _bins(moved, options)
    sums: list[Tensor] = []
    for start in range(0, fixed.shape[1], CHUNK):
        chunk = slice(start, start + CHUNK)
        part = None if weights is None else weights[:, chunk]
        arguments = fixed[:, chunk], moved[:, chunk], part, *fixed_bins, *moved_bins
        terms = checkpoint(_chunk_histograms, *arguments, use_reentrant=False, preserve_rng_state=False)
        sums = [total + term for total, term in zip(sums, terms)] if sums else terms
    joint, of_fixed, of_moved = sums
    return joint, of_fixed, of_moved


def _bins(image: Tensor, options: MutualInformation) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """The clipped image (P, voxels), the centres (P or 1, n) and the alphas (P or 1, 1, 1) of its bins."""
    clipped = image if options.clip is None else image.clamp(*options.clip)
    if options.ranges == "batch":
        low, high = image.min().view(1, 1), image.max().view(1, 1)
        spacing = torch.full_like(low, 1 / (options.bins - 1))
    else:
        low, high = (end[:, None].to(image.dtype) for end in robust_range(clipped, OUTLIER))
        clipped = torch.minimum(torch.maximum(clipped, low), high)
        spacing = (high - low).clamp(min=1e-9) / (options.bins - 1)
    alpha = 2 / spacing.square() if options.bin_alpha is None else torch.full_like(spacing, options.bin_alpha)
    steps = torch.linspace(0, 1, options.bins, dtype=image.dtype, device=image.device)
    return clipped, (low + (high - low) * steps, alpha[..., None])


def _chunk_histograms(
    fixed: Tensor,
    moved: Tensor,
    weights: Tensor | None,
    fixed_centres: Tensor,
    fixed_alpha: Tensor,
    moved_centres: Tensor,
    moved_alpha: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    in_fixed = _memberships(fixed, fixed_centres, fixed_alpha)
    in_moved = _memberships(moved, moved_centres, moved_alpha)
    weighted_moved = in_moved if weights is None else in_moved * weights[:, None]
    weighted_fixed = in_fixed if weights is None else in_fixed * weights[:, None]
    return in_fixed @ weighted_moved.transpose(1, 2), weighted_fixed.sum(2), weighted_moved.sum(2)


def _memberships(image: Tensor, centres: Tensor, alpha: Tensor) -> Tensor:
    """(P, voxels) -> (P, n, voxels), at least e^-40: smaller ones are slow denormal numbers in the products."""
    return (image[:, None] - centres[..., None]).square().mul(-alpha).clamp(min=-40).exp()
