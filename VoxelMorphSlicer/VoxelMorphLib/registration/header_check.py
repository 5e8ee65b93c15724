"""Whether an alignment that was found is better than what the headers say, whatever the two images show."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ..core.arrays import bounding_box
from ..core.filters import MARGIN, block_mean
from ..core.geometry import Geometry
from ..core.image import Image, LabelMap
from ..core.image_resampling import background_of
from ..core.losses.mind import mind_descriptor
from ..core.tensors import as_tensor
from ..core.transform import IDENTITY, AffineTransform, Transform
from .intensities import bounds
from .network_space import without_aliasing

#: Voxels on which both images are sampled, and side of the blocks that are averaged, so that interpolating one of the
#: images changes little.
SAMPLED_VOXELS, BLOCK = 1_500_000, 2
#: Share of the fixed extent up to which an alignment is near the headers; farther ones need no second opinion.
NEAR = 0.1
#: Share by which the descriptors' difference must fall. On pairs of T1, T2 and FLAIR with known truth it falls by 2 %
#: or more where the search is better, by up to 1.1 % where nothing was to be found, and it rises where the search only
#: follows a bright rim.
LEAST_GAIN = 0.015
#: Share of the contrast with the background from which on a voxel has contents, and blocks kept around these.
CONTENTS, SURROUNDINGS = 0.05, 4
#: Fewer voxels that both positions show tell nothing.
FEWEST = 500


class HeaderCheck:
    """Compares positions near the headers by self-similarity descriptors, which other contrasts hardly change.

    Mutual information may rise by several percent while an alignment gets worse, e.g. where a field of view ends or
    a tumour shines after a contrast agent.

    Args:
        fixed, moving: the images.
        mask: 0 and 1 on the grid of the fixed image.

    Source: Heinrich et al., MICCAI 2013, doi:10.1007/978-3-642-40811-3_24.
    """

    def __init__(self, fixed: Image, moving: Image, mask: LabelMap | None = None):
        grid = _grid(fixed.geometry)
        self.fixed, self.moving = (without_aliasing(image, grid, *bounds(image, MARGIN)) for image in (fixed, moving))
        self._field_of_view = moving.geometry
        self.grid, self._contents = _cropped(grid, self._seen(_blocks(grid), mask))
        self._blocks = _blocks(self.grid)

    def best(self, found: Sequence[AffineTransform]) -> AffineTransform:
        """One of the positions, fixed -> moving, that a search went through; the identity where none is better.

        The last one comes back where it is far from the headers, or where too little is seen to compare.
        """
        shown = self._compared((IDENTITY, *found))
        if self._distance(found[-1]) > NEAR * self._extent() or int(shown.sum()) < FEWEST:
            return found[-1]
        reference = self._descriptor(self.fixed, IDENTITY)
        headers, *others = (self._difference(reference, at, shown) for at in (IDENTITY, *found))
        least = int(np.argmin(others))
        return found[least] if others[least] < (1 - LEAST_GAIN) * headers else IDENTITY

    def _difference(self, reference: Tensor, position: AffineTransform, shown: Tensor) -> float:
        differences = (self._descriptor(self.moving, position) - reference).square().mean(1)
        return float(differences[0][shown].mean())

    def _extent(self) -> float:
        return float((self.grid.spacing * self.grid.shape).min())

    def _distance(self, found: AffineTransform) -> float:
        """Mean length of the displacement, mm."""
        corners = self.grid.corners()
        return float(np.linalg.norm(found.apply_to_points(corners) - corners, axis=1).mean())

    def _descriptor(self, image: Image, position: Transform) -> Tensor:
        sampled = position.resample(image, self.grid)
        return mind_descriptor(block_mean(as_tensor(sampled.array, torch.float32)[None, None], (BLOCK,) * 3))

    def _seen(self, blocks: Geometry, mask: LabelMap | None) -> np.ndarray:
        """(I, J, K) bool, blocks inside the mask where the fixed image has contents."""
        if mask is not None:
            return IDENTITY.resample(mask, blocks).array > 0
        array = IDENTITY.resample(self.fixed, blocks).array
        contrast = np.abs(array - background_of(array))
        return contrast > CONTENTS * np.percentile(contrast, 99.5)

    def _compared(self, positions: Sequence[AffineTransform]) -> Tensor:
        """(I, J, K) bool, blocks with fixed contents that lie in the moving field of view at every position."""
        points, geometry, inside = self._blocks.points(), self._field_of_view, self._contents.copy()
        for position in positions:
            inside &= geometry.holds(geometry.world_to_voxel(position.apply_to_points(points)))
        return as_tensor(inside)


def _grid(geometry: Geometry) -> Geometry:
    """The grid of an image, or one of about `SAMPLED_VOXELS` isotropic voxels; axes hold at least two blocks."""
    volume = float(np.prod(geometry.spacing * geometry.shape))
    spacing = np.maximum(geometry.spacing, (volume / SAMPLED_VOXELS) ** (1 / 3))
    spacing = np.minimum(spacing, geometry.spacing * geometry.shape / (2 * BLOCK))
    return geometry if np.allclose(spacing, geometry.spacing) else geometry.with_spacing(spacing)


def _blocks(grid: Geometry) -> Geometry:
    """The grid of whole blocks of a grid."""
    affine = grid.affine.copy()
    affine[:3, 3] = grid.voxel_to_world(np.full(3, (BLOCK - 1) / 2))
    affine[:3, :3] *= BLOCK
    return Geometry(tuple(n // BLOCK for n in grid.shape), affine)


def _cropped(grid: Geometry, contents: np.ndarray) -> tuple[Geometry, np.ndarray]:
    """The part of a grid around the blocks with contents, and these blocks of it."""
    if not contents.any():
        return grid, contents
    box = bounding_box(contents)
    low = np.array([max(each.start - SURROUNDINGS, 0) for each in box])
    high = np.array([min(each.stop + SURROUNDINGS, n) for each, n in zip(box, contents.shape)])
    part = tuple(slice(a, b) for a, b in zip(low, high))
    return grid.shifted(BLOCK * low, BLOCK * (high - low)), contents[part]
