"""An image on few voxels, as an affine start needs it: what is seen, where its middle lies, and its contents alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk  # noqa: N813

from ..core.filters import MARGIN as OUTLYING
from ..core.geometry import Geometry
from ..core.image import Image, LabelMap
from ..core.image_resampling import background_of
from ..core.io.itk import array_of, itk_image
from .averaging import averaged
from .intensities import bounds
from .pose_search import Seen

#: Empty space around the contents is left out but for this share of their extent, or it would take the voxels.
MARGIN = 0.1
#: Voxels on which contents are looked for.
COARSE_VOXELS = 10_000
#: Share of the range of intensities that is empty.
EMPTY = 0.1
#: Voxels along an axis that ITK's metrics and filters need at least.
FEWEST = 4


@dataclass(frozen=True, eq=False)
class ReducedImage:
    """An image as SimpleITK's (float32, LPS mm).

    Args:
        image: its voxels.
        mask: 0 and 1 (uint8) on the same grid, or None.
        geometry: that grid in RAS.
        background: value beyond the image.
    """

    image: sitk.Image
    mask: sitk.Image | None
    geometry: Geometry
    background: float

    @classmethod
    def of(cls, image: Image, mask: LabelMap | None, voxels: int) -> ReducedImage:
        """The image on about `voxels` voxels at most; `mask` is on its grid."""
        low, high = bounds(image, OUTLYING)
        grid = _reduced_grid(image.geometry, voxels)
        blocks = _blocks(image.geometry, grid)
        whole = _itk(_filled(image, blocks), blocks, low, high)
        whole_mask = None if mask is None else _itk(_filled(mask, blocks), blocks)
        background = float(background_of(image.array, low, high))
        return _on_grid(whole, whole_mask, grid, background)

    def reduced(self, voxels: int) -> ReducedImage:
        """The same on about `voxels` voxels at most, isotropic ones unless the volume is too thin for that."""
        grid = _reduced_grid(self.geometry, voxels)
        blocks = [int(n) for n in _blocks(self.geometry, grid)]
        mask = None if self.mask is None else sitk.BinShrink(sitk.Cast(self.mask, sitk.sitkFloat32), blocks)
        return _on_grid(sitk.BinShrink(self.image, blocks), mask, grid, self.background)

    def as_image(self, name: str) -> Image:
        """The voxels as an image of ours."""
        return Image(array_of(self.image), self.geometry, name)

    def volume(self) -> float:
        """mm3 of the field of view, or of the mask."""
        share = 1.0 if self.mask is None else float((sitk.GetArrayViewFromImage(self.mask) > 0).mean())
        return share * float(np.prod(np.array(self.geometry.shape) * self.geometry.spacing))

    def seen(self) -> Seen:
        """The same for a search over poses."""
        inside = None if self.mask is None else array_of(self.mask) > 0
        return Seen(self.as_image("coarse"), inside)

    def mean(self) -> float:
        """Mean intensity on the scale from 0 to 1."""
        array = sitk.GetArrayViewFromImage(self.image)
        low, high = float(array.min()), float(array.max())
        return (float(array.mean()) - low) / max(high - low, 1e-12)

    def centre_of_grid(self) -> np.ndarray:
        """(3,), LPS mm."""
        return self._point([(n - 1) / 2 for n in self.image.GetSize()])

    def centre_of_mass(self) -> np.ndarray:
        """(3,), LPS mm, of how far the intensities are from the background, single bright specks held down."""
        weights = self._weights()
        total = weights.sum()
        if total <= 0:
            return self.centre_of_grid()
        profiles = [weights.sum(axis=tuple(a for a in range(3) if a != axis)) for axis in range(3)]
        return self._point([float((profile * np.arange(profile.size)).sum() / total) for profile in profiles])

    def _point(self, index: list[float]) -> np.ndarray:
        return np.array(self.image.TransformContinuousIndexToPhysicalPoint(index))

    def _weights(self) -> np.ndarray:
        array = sitk.GetArrayViewFromImage(self.image).T
        inside = slice(None) if self.mask is None else sitk.GetArrayViewFromImage(self.mask).T > 0
        seen = array[inside]
        contrast = np.abs(seen - self.background) if self.mask is None else seen - seen.min()
        weights = np.zeros_like(array)
        weights[inside] = np.minimum(contrast, np.percentile(contrast, 99))
        return weights


def _reduced_grid(geometry: Geometry, voxels: int) -> Geometry:
    extent = np.array(geometry.shape) * geometry.spacing
    spacing = max(geometry.spacing.min(), float(np.prod(extent) / voxels) ** (1 / 3))
    return geometry.with_spacing(np.minimum(spacing, extent / FEWEST))


def _blocks(fine: Geometry, coarse: Geometry) -> np.ndarray:
    """(3,), whole voxels along a coarse one; their means come first, as they cost little."""
    return np.maximum((coarse.spacing / fine.spacing + 1e-6).astype(int), 1)


def _filled(image: Image, blocks: np.ndarray) -> Image:
    """Without the far ends, where less than a block is left."""
    part = image.array[tuple(slice(n // block * block) for n, block in zip(image.array.shape, blocks))]
    return Image(part, image.geometry.shifted((0, 0, 0), part.shape), image.name)


def _itk(image: Image, blocks: np.ndarray, low: float = -np.inf, high: float = np.inf) -> sitk.Image:
    coarse = averaged(image, blocks, low, high)
    return itk_image(coarse.array, coarse.geometry)


def _on_grid(image: sitk.Image, share: sitk.Image | None, grid: Geometry, background: float) -> ReducedImage:
    """Of the image and the share inside the mask, float32 on a finer grid."""
    mask = None if share is None else _resampled_mask(share, grid)
    return ReducedImage(_resampled(image, grid, background), mask, grid, background)


def _resampled(image: sitk.Image, grid: Geometry, outside: float) -> sitk.Image:
    """Smoothed and sampled on a coarser grid."""
    # Not the recursive filter, which refuses volumes of fewer than four slices.
    smooth = sitk.DiscreteGaussian(image, ((grid.spacing / 2) ** 2).tolist())
    reference = itk_image(np.empty(grid.shape, np.uint8), grid)
    return sitk.Resample(smooth, reference, sitk.Transform(), sitk.sitkLinear, outside, sitk.sitkFloat32)


def _resampled_mask(share: sitk.Image, grid: Geometry) -> sitk.Image:
    """Voxels of which half is inside; a mask too thin for that keeps its fullest voxels."""
    share = _resampled(share, grid, 0.0)
    fullest = float(sitk.GetArrayViewFromImage(share).max())
    return sitk.Cast(share >= 0.5 * min(fullest, 1.0), sitk.sitkUInt8)


def reduced_contents(image: Image, mask: LabelMap | None, voxels: int) -> ReducedImage:
    """The image on few voxels, which lie where something is if that is less than half of the volume."""
    whole = ReducedImage.of(image, mask, voxels)
    if mask is not None:
        return whole
    coarse = whole.reduced(COARSE_VOXELS).as_image(image.name)
    contrast = np.abs(coarse.array - whole.background)
    filled = np.argwhere(contrast > EMPTY * np.percentile(contrast, 99.9))
    if len(filled) == 0:
        return whole
    corners = [filled.min(axis=0) - 1, filled.max(axis=0) + 1]
    low, high = image.geometry.world_to_voxel(coarse.geometry.voxel_to_world(np.array(corners)))
    low, high = low - MARGIN * (high - low), high + MARGIN * (high - low)
    first = np.maximum(np.floor(low), 0).astype(int)
    last = np.minimum(np.ceil(high) + 1, image.array.shape).astype(int)
    if 2 * np.prod(last - first) > image.array.size:
        return whole
    part = image.array[tuple(slice(a, b) for a, b in zip(first, last))]
    return ReducedImage.of(Image(part, image.geometry.shifted(first, last - first), image.name), None, voxels)
