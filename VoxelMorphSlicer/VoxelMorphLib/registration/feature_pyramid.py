"""The two images of a pair as they are compared while a velocity is optimised, at one resolution after the other."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor

from ..core.rows import rows_of
from .similarity import Similarity, reduce_features

#: Axes are not reduced below this many voxels.
SMALLEST_EXTENT = 12


class FeaturePyramid:
    """The features of both images at full resolution, computed once."""

    def __init__(
        self,
        moving: Tensor,
        fixed: Tensor,
        moving_mask: Tensor | None,
        fixed_mask: Tensor | None,
        similarity: Similarity,
    ):
        self.images = fixed, moving
        self.features = similarity.features(fixed), similarity.features(moving)
        self.masks = fixed_mask, moving_mask
        self.texture = similarity.texture

    def at(self, reduction: int) -> ReducedPair:
        """The pair on voxels of so many times the size, less along short axes."""
        shape = self.images[0].shape[2:]
        blocks = tuple(max(1, min(reduction, n // SMALLEST_EXTENT)) for n in shape)
        features = [reduce_features(f, blocks) for f in self.features]
        masks = [None if m is None else _reduced_mask(m, blocks) for m in self.masks]
        return ReducedPair(features, masks, blocks, [self.texture(f) for f in features])


class ReducedPair:
    """Features and masks of (fixed, moving) at one resolution; `scale` is the side of a voxel, per axis."""

    def __init__(
        self, features: list[Tensor], masks: list[Tensor | None], scale: tuple[int, ...], textures: list[Tensor]
    ):
        self.features, self.masks, self.scale, self.textures = features, masks, scale, textures
        self.shape = tuple(features[0].shape[2:])
        energy = torch.zeros_like(textures[0][:, 0])
        for texture in textures:
            for channel in texture.unbind(1):
                energy.addcmul_(channel, channel, value=0.5)
        shown = energy > 1e-3
        #: Voxels with contents, and the mean energy of one.
        self.contents = max(int(shown.sum()), 1)
        self.contrast = float(energy[shown].mean()) if self.contents > 1 else 1.0
        #: Of each axis, where its voxels lie in the full image.
        self.places = [torch.arange(n, dtype=torch.float32) * s + (s - 1) / 2 for n, s in zip(self.shape, scale)]

    @cached_property
    def rows(self) -> list[Tensor]:
        """The features of each image, (voxels, C)."""
        return [rows_of(each) for each in self.features]


def _reduced_mask(mask: Tensor, blocks: Sequence[int]) -> Tensor:
    """0 and 1; what is too small to fill half a voxel of the reduced grid keeps its fullest voxels."""
    reduced = reduce_features(mask, blocks)
    return (reduced >= 0.5 * reduced.max()).to(mask.dtype)
