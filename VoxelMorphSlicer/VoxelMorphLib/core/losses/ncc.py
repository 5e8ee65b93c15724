"""Local normalised cross-correlation of two images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..config import Settings
from .box import box_sum, box_window
from .precision import in_float32
from .reduction import check_same_shape, reduce_map


@in_float32
def ncc_map(
    fixed: Tensor,
    moved: Tensor,
    window: int | Sequence[int] = 9,
    eps: float = 1e-5,
    signed: bool = False,
    legacy: bool = False,
    mask: Tensor | None = None,
) -> Tensor:
    """Similarity of the windows around each voxel, 1 where they agree up to contrast and brightness.

    Args:
        fixed: (B, C, *shape); channels are summed together.
        moved: (B, C, *shape).
        window: extent of the window in voxels, one for all axes or one per axis. Voxels outside the grid count as 0
            and a window at the border still has its full size, as in the original.
        eps: lower bound of covariance and variances; their scale is intensity^2 times the voxels of a window.
        signed: correlation instead of its square.
        legacy: cross^2 / (var var + eps) without bounds, so that inverted contrast counts as similar (the original
            before 2021).
        mask: (B or 1, 1, *shape) weights; voxels of weight 0 take part in no window.

    Returns:
        (B, 1, *shape).

    Source: Avants et al., Med Image Anal 2008, doi:10.1016/j.media.2007.06.004; the bounds are those of VoxelMorph.
    """
    check_same_shape(fixed, moved)
    extents = box_window(window, fixed.ndim - 2)
    if mask is None:
        size = torch.tensor(float(math.prod(extents) * fixed.shape[1]), dtype=fixed.dtype, device=fixed.device)
    else:
        weights = mask.to(fixed.dtype)
        size = (box_sum(weights, extents) * fixed.shape[1]).clamp(min=1)
        fixed, moved = fixed * weights, moved * weights
    kind = "legacy" if legacy else "signed" if signed else "squared"
    return _LocalCorrelation.apply(fixed, moved, size, extents, eps, kind)


def ncc_loss(
    fixed: Tensor,
    moved: Tensor,
    window: int | Sequence[int] = 9,
    eps: float = 1e-5,
    signed: bool = False,
    legacy: bool = False,
    mask: Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Negative mean of `ncc_map`: -1 for images that agree, about 0 for unrelated ones; see there for the arguments."""
    similarity = ncc_map(fixed, moved, window, eps, signed, legacy, mask)
    return -reduce_map(similarity, reduction, mask)


@dataclass(frozen=True)
class NCC(Settings):
    """`ncc_loss` with its options bound."""

    window: int | tuple[int, ...] = 9
    eps: float = 1e-5
    signed: bool = False
    legacy: bool = False

    def __call__(self, fixed: Tensor, moved: Tensor, mask: Tensor | None = None) -> Tensor:
        return ncc_loss(fixed, moved, self.window, self.eps, self.signed, self.legacy, mask)


class _LocalCorrelation(torch.autograd.Function):
    """The map with its gradient written out: 5 box sums forward and 3 backward, few maps kept in between."""

    @staticmethod
    def forward(ctx, fixed, moved, size, extents, eps, kind):
        def moment(values):
            return box_sum(values.sum(1, keepdim=True), extents)

        fixed_sum, moved_sum = moment(fixed), moment(moved)
        cross = moment(fixed * moved).addcdiv_(fixed_sum * moved_sum, size, value=-1)
        fixed_variance = moment(fixed * fixed).addcdiv_(fixed_sum * fixed_sum, size, value=-1)
        moved_variance = moment(moved * moved).addcdiv_(moved_sum * moved_sum, size, value=-1)
        similarity = _CORRELATIONS[kind](cross, fixed_variance, moved_variance, eps)
        ctx.extents, ctx.eps, ctx.kind = extents, eps, kind
        ctx.save_for_backward(fixed, moved, size, fixed_sum, moved_sum, cross, fixed_variance, moved_variance)
        return similarity

    @staticmethod
    def backward(ctx, gradient):
        fixed, moved, size, fixed_sum, moved_sum, *moments = ctx.saved_tensors
        by_cross, by_fixed, by_moved = _moment_gradients(moments, ctx.eps, ctx.kind, gradient)
        shared = box_sum(by_cross, ctx.extents, adjoint=True)

        def image_gradient(own, own_sum, by_own, other, other_sum):
            pull = (by_cross * other_sum).addcmul_(by_own, own_sum, value=2).div_(size)
            result = other * shared - box_sum(pull, ctx.extents, adjoint=True)
            return result.addcmul_(own, box_sum(by_own, ctx.extents, adjoint=True), value=2)

        needs_fixed, needs_moved = ctx.needs_input_grad[:2]
        to_fixed = image_gradient(fixed, fixed_sum, by_fixed, moved, moved_sum) if needs_fixed else None
        to_moved = image_gradient(moved, moved_sum, by_moved, fixed, fixed_sum) if needs_moved else None
        return to_fixed, to_moved, None, None, None, None


def _moment_gradients(moments: list[Tensor], eps: float, kind: str, gradient: Tensor) -> tuple[Tensor, ...]:
    """Gradient of the voxelwise part, which is cheap, by ordinary differentiation."""
    with torch.enable_grad():
        leaves = [moment.detach().requires_grad_() for moment in moments]
        return torch.autograd.grad(_CORRELATIONS[kind](*leaves, eps), leaves, gradient)


def _squared(cross: Tensor, fixed_variance: Tensor, moved_variance: Tensor, eps: float) -> Tensor:
    cross = cross.clamp(min=eps)
    return (cross / fixed_variance.clamp(min=eps)) * (cross / moved_variance.clamp(min=eps))


def _signed(cross: Tensor, fixed_variance: Tensor, moved_variance: Tensor, eps: float) -> Tensor:
    product = fixed_variance.clamp(min=eps) * moved_variance.clamp(min=eps)
    return cross.clamp(min=eps) / (product + eps).sqrt()


def _legacy(cross: Tensor, fixed_variance: Tensor, moved_variance: Tensor, eps: float) -> Tensor:
    return cross * cross / (fixed_variance * moved_variance + eps)


_CORRELATIONS = {"squared": _squared, "signed": _signed, "legacy": _legacy}
