"""Local normalised cross-correlation of two images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ..config import Settings
from ..full_precision import in_float32
from ..options import check_choice, check_range
from ..windows import box_sum, box_window
from .reduction import check_same_shape, reduce_map

#: Rounding errors of a window's sum of squares, in units of the last place of that sum.
ROUNDING = 8
FORMS = ("squared", "signed", "legacy", "absolute")


@in_float32
def ncc_map(
    fixed: Tensor,
    moved: Tensor,
    window: int | Sequence[int] = 9,
    eps: float = 1e-5,
    form: str = "squared",
    mask: Tensor | None = None,
) -> Tensor:
    """Similarity of the windows around each voxel, 1 where they agree up to contrast and brightness.

    Args:
        fixed: (B, C, *shape); channels are summed together.
        moved: (B, C, *shape).
        window: extent of the window in voxels, one for all axes or one per axis. Voxels outside the grid count as 0
            and a window at the border still has its full size, as in the original.
        eps: lower bound of covariance and variances; their scale is intensity^2 times the voxels of a window.
        form: "squared" bounds covariance and variances from below (the original). "signed" is its square root.
            "legacy" is cross^2 / (var var + eps) without bounds, so that inverted contrast counts as similar (the
            original before 2021). "absolute" is (|cross| + eps)^2 / ((var + eps) (var + eps)): inverted contrast
            counts as similar too, and by Cauchy's inequality no window exceeds the 1 of identical images, however
            flat it is; eps is the variance that noise has.
        mask: (B or 1, 1, *shape); voxels where it is 0 are left out of every window.

    Returns:
        (B, 1, *shape).

    Source: Avants et al., Med Image Anal 2008, doi:10.1016/j.media.2007.06.004; the bounds are those of VoxelMorph.
    """
    check_choice("form", form, FORMS)
    check_same_shape(fixed, moved)
    extents = box_window(window, fixed.ndim - 2)
    if mask is None:
        per_voxel: Tensor | float = 1 / (math.prod(extents) * fixed.shape[1])
    else:
        inside = (mask > 0).to(fixed.dtype)
        per_voxel = (box_sum(inside, extents) * fixed.shape[1]).clamp_(min=1).reciprocal_()
        fixed, moved = fixed * inside, moved * inside
    return _LocalCorrelation.apply(fixed, moved, per_voxel, extents, eps, form)


def ncc_loss(
    fixed: Tensor,
    moved: Tensor,
    window: int | Sequence[int] = 9,
    eps: float = 1e-5,
    form: str = "squared",
    mask: Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Negative mean of `ncc_map`, weighted by the mask: -1 for images that agree; see there for the arguments."""
    similarity = ncc_map(fixed, moved, window, eps, form, mask)
    return -reduce_map(similarity, reduction, mask)


@dataclass(frozen=True)
class NCC(Settings):
    """`ncc_loss` with its options bound."""

    window: int | tuple[int, ...] = 9
    eps: float = 1e-5
    form: str = "squared"

    def __post_init__(self) -> None:
        box_window(self.window, 1 if isinstance(self.window, int) else len(self.window))
        check_range("eps", self.eps, 1e-12, 1e6)
        check_choice("form", self.form, FORMS)

    def __call__(self, fixed: Tensor, moved: Tensor, mask: Tensor | None = None) -> Tensor:
        return ncc_loss(fixed, moved, self.window, self.eps, self.form, mask)


class _LocalCorrelation(torch.autograd.Function):
    """The map with an explicit gradient: 5 box sums forward, 3 backward, and few maps kept in between."""

    @staticmethod
    def forward(
        ctx: Any,
        fixed: Tensor,
        moved: Tensor,
        per_voxel: Tensor | float,
        extents: tuple[int, ...],
        eps: float,
        form: str,
    ) -> Tensor:
        def moment(values: Tensor) -> Tensor:
            return box_sum(values.sum(1, keepdim=True) if values.shape[1] > 1 else values, extents)

        fixed_sum, moved_sum = moment(fixed), moment(moved)
        fixed_mean, moved_mean = fixed_sum * per_voxel, moved_sum * per_voxel
        cross = moment(fixed * moved).addcmul_(fixed_sum, moved_mean, value=-1)
        fixed_squares, moved_squares = moment(fixed * fixed), moment(moved * moved)
        floors = [squares * (ROUNDING * torch.finfo(squares.dtype).eps) for squares in (fixed_squares, moved_squares)]
        fixed_variance = fixed_squares.addcmul_(fixed_sum, fixed_mean, value=-1)
        moved_variance = moved_squares.addcmul_(moved_sum, moved_mean, value=-1)
        similarity, by_cross, by_fixed, by_moved = _correlate(form, eps, cross, fixed_variance, moved_variance, floors)
        ctx.extents = extents
        slopes = [s if needed else None for s, needed in zip((by_fixed, by_moved), ctx.needs_input_grad)]
        ctx.save_for_backward(fixed, moved, fixed_mean, moved_mean, by_cross, *slopes)
        return similarity

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        fixed, moved, fixed_mean, moved_mean, by_cross, by_fixed, by_moved = ctx.saved_tensors
        by_cross = by_cross * gradient
        shared = box_sum(by_cross, ctx.extents, adjoint=True)

        def image_gradient(own: Tensor, own_mean: Tensor, by_own: Tensor, other: Tensor, other_mean: Tensor) -> Tensor:
            by_own = by_own * gradient
            pull = (by_cross * other_mean).addcmul_(by_own, own_mean, value=2)
            result = other * shared - box_sum(pull, ctx.extents, adjoint=True)
            return result.addcmul_(own, box_sum(by_own, ctx.extents, adjoint=True), value=2)

        to_fixed = None if by_fixed is None else image_gradient(fixed, fixed_mean, by_fixed, moved, moved_mean)
        to_moved = None if by_moved is None else image_gradient(moved, moved_mean, by_moved, fixed, fixed_mean)
        return to_fixed, to_moved, None, None, None, None


def _correlate(
    form: str, eps: float, cross: Tensor, fixed: Tensor, moved: Tensor, floors: list[Tensor]
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Similarity and its slopes by covariance and variances, which are changed in place.

    A window whose variance is below the bound (eps; 0 in the forms legacy and absolute) or below `floors`, its own
    rounding, is flat. There the moments get their bounds, as they do in the original where an image is exactly
    constant. Without `floors`, noise in bright flat regions reaches similarities of several hundred.
    """
    bound = eps if form in ("squared", "signed") else 0.0
    fixed_flat, moved_flat = (v < floor.clamp_(min=bound) for v, floor in zip((fixed, moved), floors))
    unrelated = fixed_flat | moved_flat
    if bound:
        unrelated.logical_or_(cross < bound)
    for moment, hidden in ((cross, unrelated), (fixed, fixed_flat), (moved, moved_flat)):
        moment.masked_fill_(hidden, bound)
    similarity, by_cross, by_fixed, by_moved = _SLOPES[form](cross, fixed, moved, eps)
    by_cross.masked_fill_(unrelated, 0)
    return similarity, by_cross, by_fixed.masked_fill_(fixed_flat, 0), by_moved.masked_fill_(moved_flat, 0)


def _squared(cross: Tensor, fixed: Tensor, moved: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    ratio = (cross / fixed).div_(moved)
    similarity = cross * ratio
    return similarity, ratio.mul_(2), (similarity / fixed).neg_(), (similarity / moved).neg_()


def _signed(cross: Tensor, fixed: Tensor, moved: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    slope = (fixed * moved).add_(eps).rsqrt_()
    similarity = cross * slope
    common = (similarity * slope).mul_(slope).mul_(-0.5)
    return similarity, slope, common * moved, common * fixed


def _legacy(cross: Tensor, fixed: Tensor, moved: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    slope = (fixed * moved).add_(eps).reciprocal_().mul_(cross)
    similarity = cross * slope
    common = (slope * slope).neg_()
    return similarity, slope.mul_(2), common * moved, common * fixed


def _absolute(cross: Tensor, fixed: Tensor, moved: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    fixed, moved = fixed.add_(eps), moved.add_(eps)
    ratio = (cross.abs() + eps).div_(fixed).div_(moved)
    similarity = (cross.abs() + eps).mul_(ratio)
    by_cross = ratio.mul_(2).mul_(cross.sign())
    return similarity, by_cross, (similarity / fixed).neg_(), (similarity / moved).neg_()


_SLOPES = {"squared": _squared, "signed": _signed, "legacy": _legacy, "absolute": _absolute}
