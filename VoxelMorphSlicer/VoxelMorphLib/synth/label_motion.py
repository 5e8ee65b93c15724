"""LabelMotion: random affine maps, deformations and fields of view of label maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..core.affine import affine_to_displacement
from ..core.affine_parameters import parameters_to_affine
from ..core.config import Settings
from ..core.displacement import compose, integrate_velocity
from ..core.errors import ConfigError
from ..core.resize import resize_displacement
from ..core.spatial import warp
from .labels_to_image import COARSENESS, STEPS
from .noise import crop_mask, smooth_noise
from .random_parts import Part, Sample

Span = tuple[float, ...]


@dataclass(frozen=True)
class LabelMotion(Settings):
    """How the later generator of SynthMorph moves label maps before it makes images of them.

    Args:
        half_res: make everything on every second voxel; shifts are still in voxels of the maps.
        axes_flip, axes_swap: mirror each axis at random; exchange axes at random, which needs equal extents.
        aff_shift, aff_rotate, aff_scale, aff_shear: largest shift (voxels), rotation (degrees), change of scale and
            shear, uniform on both sides of 0.
        aff_normal_shift, aff_normal_rotate, aff_normal_scale, aff_normal_shear: take these as standard deviations of
            normal numbers.
        warp_min, warp_max: limits of the velocity's maximum, voxels of its own grid; a largest of 0 leaves it out.
        warp_blur_min, warp_blur_max: limits of its width at half maximum, voxels; one, or one per axis.
        warp_zero_mean: remove the mean of the displacement.
        crop_min, crop_max, crop_prob, crop_axes: see `noise.crop_mask`.

    Raises:
        ConfigError: limits that are negative, not finite or out of order.
    """

    half_res: bool = False
    axes_flip: bool = False
    axes_swap: bool = False
    aff_shift: float = 0
    aff_rotate: float = 0
    aff_scale: float = 0
    aff_shear: float = 0
    aff_normal_shift: bool = False
    aff_normal_rotate: bool = False
    aff_normal_scale: bool = False
    aff_normal_shear: bool = False
    warp_min: float = 0.01
    warp_max: float = 2
    warp_blur_min: Span = (8,)
    warp_blur_max: Span = (32,)
    warp_zero_mean: bool = False
    crop_min: float = 0
    crop_max: float = 0.2
    crop_prob: float = 0
    crop_axes: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("warp", "crop"):
            self.check_limits(name)
        if self.crop_max >= 1:
            raise ConfigError(f"crop_max is {self.crop_max}, which leaves nothing. Give a share below 1.")

    def check_limits(self, name: str) -> None:
        """Refuse a least and a largest value that are negative, not finite or out of order."""
        least, most = getattr(self, f"{name}_min"), getattr(self, f"{name}_max")
        if not 0 <= least < float("inf") or not 0 <= most < float("inf") or (most and least > most):
            raise ConfigError(f"{name}_min is {least} and {name}_max {most}. Give finite numbers from 0 on, in order.")

    def affine_map(self, sample: Sample, dims: int) -> Tensor:
        """(1, N + 1, N + 1), about the middle of the grid."""
        turns = dims * (dims - 1) // 2
        parts = (
            ("shift", "shift", dims),
            ("rot", "rotate", turns),
            ("scale", "scale", dims),
            ("shear", "shear", turns),
        )

        def drawn(part: Part, name: str, count: int) -> Tensor:
            amount = getattr(self, f"aff_{name}")
            if getattr(self, f"aff_normal_{name}"):
                return part.normal(amount, count)
            return part.uniform(-amount, amount, count)

        values = [drawn(sample.part(part), name, count) for part, name, count in parts]
        values[2] = values[2].clamp(min=-0.9)  # a scale near 0 leaves nothing
        return parameters_to_affine(torch.cat(values)[None], dims, shift_scale=True, last_row=True)

    def deformation(
        self, shape: tuple[int, ...], samples: Sequence[Sample], velocity: Tensor | None
    ) -> tuple[Tensor | None, Tensor | None]:
        """Velocity and displacement (B, N, *shape) of a grid; None without deformation."""
        if velocity is None:
            if self.warp_max == 0:
                return None, None
            half = [max(1, n // COARSENESS) for n in shape]
            low, high = (self._blurs(limits, len(shape)) for limits in (self.warp_blur_min, self.warp_blur_max))
            drawn = [
                smooth_noise(
                    s.part("warp"),
                    len(half),
                    half,
                    low,
                    high,
                    positive(self.warp_min),
                    self.warp_max,
                    reduce="max",
                )
                for s in samples
            ]
            velocity = torch.cat(drawn)
        displacement = resize_displacement(integrate_velocity(velocity, STEPS), shape, scale=COARSENESS)
        if self.warp_zero_mean:
            displacement = displacement - displacement.mean(tuple(range(2, displacement.ndim)), keepdim=True)
        return velocity, displacement

    def _blurs(self, limits: Span, dims: int) -> list[float]:
        given = [limits] if isinstance(limits, (int, float)) else list(limits)
        return [
            value / COARSENESS / (2 if self.half_res else 1) for value in (given * dims if len(given) == 1 else given)
        ]

    def moved(
        self,
        places: Tensor,
        whole: tuple[int, ...],
        step: int,
        affine: Tensor,
        displacement: Tensor | None,
        samples: Sequence[Sample],
    ) -> Tensor:
        """The places of labels on the output grid, 0 outside the maps and outside the field of view."""
        dims, shape = len(whole), tuple(max(1, n // step) for n in whole)
        middle = [(n - 1) / 2 for n in whole]
        spread = torch.diag(torch.tensor([float(step)] * dims + [1.0]))
        to_middle, from_middle = _shifted(middle, -1) @ spread, torch.linalg.inv(spread) @ _shifted(middle, 1)
        inner = from_middle @ affine.cpu() @ to_middle  # on voxels of the output grid
        to_map = torch.stack([self._orientation(sample, dims) for sample in samples])
        outer = _shifted([(old - 1) / 2 for old in places.shape[2:]], 1) @ to_map @ to_middle
        whole_matrix = outer @ inner
        if displacement is None:
            plain = torch.equal(whole_matrix, torch.eye(dims + 1).expand_as(whole_matrix))
            field = affine_to_displacement(whole_matrix.to(places.device), shape, shift_center=False)
            moved = places if plain and tuple(places.shape[2:]) == shape else warp(places, field, "nearest", "hard")
        else:
            # As in the original the affine map is a field too, which its border values continue outside the grid.
            field = affine_to_displacement(inner.to(places.device), shape, shift_center=False)
            field = compose([outer.to(places.device), compose([field, displacement])], shift_center=False)
            moved = warp(places, field, "nearest", "hard")
        if self.crop_prob == 0:
            return moved
        masks = [
            crop_mask(s.part("crop"), shape, self.crop_min, self.crop_max, self.crop_prob, axes=self.crop_axes)
            for s in samples
        ]
        return moved * torch.cat(masks).to(moved.device, moved.dtype)

    def _orientation(self, sample: Sample, dims: int) -> Tensor:
        """(N + 1, N + 1): random reflections and exchanges of axes."""
        matrix = torch.eye(dims + 1)
        if self.axes_flip:
            matrix[range(dims), range(dims)] = torch.where(sample.part("flip").uniform(0, 1, dims) < 0.5, -1.0, 1.0)
        if self.axes_swap:
            matrix = matrix[[*sample.part("swap").order(dims), dims]]
        return matrix


def positive(least: float) -> float:
    """Sizes of random fields are above 0."""
    return max(least, 1e-6)


def _shifted(middle: Sequence[float], sign: int) -> Tensor:
    """(N + 1, N + 1): adds the middle of a grid, or takes it away."""
    matrix = torch.eye(len(middle) + 1)
    matrix[:-1, -1] = sign * torch.tensor(middle)
    return matrix
