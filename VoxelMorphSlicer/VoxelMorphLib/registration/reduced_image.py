"""An image on few voxels, as an affine start needs it: what is seen, where its middle lies, and its contents alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk  # noqa: N813

from ..core.geometry import Geometry
from ..core.image import Image, LabelMap
from ..core.image_resampling import background_of
from ..core.io.itk import array_of, itk_image
from .intensities import without_outliers
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
        image = without_outliers(image)
        whole = itk_image(image.array.astype(np.float32, copy=False), image.geometry)
        whole_mask = None if mask is None else itk_image(mask.array.astype(np.uint8, copy=False), mask.geometry)
        return cls(whole, whole_mask, image.geometry, float(background_of(image.array))).reduced(voxels)

    def reduced(self, voxels: int) -> ReducedImage:
        """The same on about `voxels` voxels at most, isotropic ones unless the volume is too thin for that."""
        extent = np.array(self.geometry.shape) * self.geometry.spacing
        spacing = max(self.geometry.spacing.min(), float(np.prod(extent) / voxels) ** (1 / 3))
        grid = self.geometry.with_spacing(np.minimum(spacing, extent / FEWEST))
        image = _resampled(self.image, grid, self.background)
        mask = None if self.mask is None else _resampled_mask(self.mask, grid)
        return ReducedImage(image, mask, grid, self.background)

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


def _resampled(image: sitk.Image, grid: Geometry, outside: float) -> sitk.Image:
    """Smoothed and sampled on a coarser grid; means of whole blocks come first, as they cost little."""
    blocks = [max(1, int(coarse / fine + 1e-6)) for coarse, fine in zip(grid.spacing, image.GetSpacing())]
    # Not the recursive filter, which refuses volumes of fewer than four slices.
    smooth = sitk.DiscreteGaussian(sitk.BinShrink(image, blocks), ((grid.spacing / 2) ** 2).tolist())
    reference = itk_image(np.empty(grid.shape, np.uint8), grid)
    return sitk.Resample(smooth, reference, sitk.Transform(), sitk.sitkLinear, outside, sitk.sitkFloat32)


def _resampled_mask(mask: sitk.Image, grid: Geometry) -> sitk.Image:
    """Voxels of which half is inside; a mask too thin for that keeps its fullest voxels."""
    share = _resampled(sitk.Cast(mask, sitk.sitkFloat32), grid, 0.0)
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
