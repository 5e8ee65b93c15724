"""Local correlation with its gradient against convolutions with a filter of ones, and against the PyPI package's."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional
from VoxelMorphLib.core.losses.ncc import ncc_loss

from .row import Row
from .settings import Settings
from .subjects import image_pair
from .training_steps import measure_paces
from .training_subjects import missing_package

SMALL = (48, 64, 48)
WINDOW = 9

_OURS, _ONES, _OTHER = "NCC", "NCC by a filter of ones", "NCC of neurite 0.3.4"


def measure_ncc(settings: Settings) -> list[Row]:
    """Forward and backward at a small size, and once at the full one."""
    torch.set_num_threads(1)
    rounds = ((SMALL, settings.repeats), (settings.shape, 1))
    return [row for shape, repeats in rounds for row in _rows(shape, repeats)]


def ncc_by_ones(fixed: Tensor, moved: Tensor) -> Tensor:
    """The loss as the original of 2019 wrote it: each of the five sums is a convolution.

    Args:
        fixed, moved: (B, 1, I, J, K).

    Source: Balakrishnan et al., IEEE TMI 2019, doi:10.1109/TMI.2019.2897538, equation 6.
    """
    ones = torch.ones(1, 1, *[WINDOW] * 3)
    voxels = ones.numel()
    products = (fixed, moved, fixed * fixed, moved * moved, fixed * moved)
    fixed_sum, moved_sum, fixed_squares, moved_squares, mixed = (
        functional.conv3d(product, ones, padding=WINDOW // 2) for product in products
    )
    cross = (mixed - fixed_sum * moved_sum / voxels).clamp(min=1e-5)
    fixed_variance = (fixed_squares - fixed_sum * fixed_sum / voxels).clamp(min=1e-5)
    moved_variance = (moved_squares - moved_sum * moved_sum / voxels).clamp(min=1e-5)
    return -(cross / fixed_variance * (cross / moved_variance)).mean()


def _rows(shape: tuple[int, ...], repeats: int) -> list[Row]:
    fixed, moved = image_pair(Settings(shape=shape))
    moved.requires_grad_()
    works = {
        _OURS: _with_gradient(lambda: ncc_loss(fixed, moved, WINDOW), moved),
        _ONES: _with_gradient(lambda: ncc_by_ones(fixed, moved), moved),
    }
    if not missing_package():
        from neurite.nn.modules import NCC

        other = NCC(window_size=WINDOW)
        works[_OTHER] = _with_gradient(lambda: -other(fixed, moved).mean(), moved)
    paces = measure_paces(works, repeats)
    size = "x".join(map(str, shape))
    return [
        Row(
            "training",
            f"{name} and its gradient, {size}",
            1000 * pace.processor,
            "ms CPU",
            "" if name == _OURS else "ours",
            None if name == _OURS else pace.processor / paces[_OURS].processor,
            f"1 thread, best of {repeats}; {1000 * pace.wall:.0f} ms by the clock on the wall",
        )
        for name, pace in paces.items()
    ]


def _with_gradient(loss: Callable[[], Tensor], moved: Tensor) -> Callable[[], object]:
    return lambda: torch.autograd.grad(loss(), moved)
