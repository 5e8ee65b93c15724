"""ReducedImage: an image and its mask on fewer voxels, for searches that need no detail."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk  # noqa: N813

from ..core.geometry import Geometry
from ..core.image import Image, LabelMap
from ..core.io.itk import array_of, itk_image

#: Voxels along an axis that ITK's metrics and filters need at least.
FEWEST = 4


@dataclass(frozen=True, eq=False)
class ReducedImage:
    """An image as SimpleITK's (float32, LPS mm).

    Args:
        image: its voxels.
        mask: 0 and 1 (uint8) on the same grid, or None.
        geometry: that grid in RAS.
        low: value beyond the image.
    """

    image: sitk.Image
    mask: sitk.Image | None
    geometry: Geometry
    low: float

    @classmethod
    def of(cls, image: Image, mask: LabelMap | None, voxels: int) -> ReducedImage:
        """The image on about `voxels` voxels at most; `mask` is on its grid."""
        whole = itk_image(image.array.astype(np.float32, copy=False), image.geometry)
        whole_mask = None if mask is None else itk_image(mask.array.astype(np.uint8, copy=False), mask.geometry)
        return cls(whole, whole_mask, image.geometry, float(image.array.min())).reduced(voxels)

    def reduced(self, voxels: int) -> ReducedImage:
        """The same on about `voxels` voxels at most, isotropic ones unless the volume is too thin for that."""
        extent = self.geometry.shape * self.geometry.spacing
        spacing = max(self.geometry.spacing.min(), (np.prod(extent) / voxels) ** (1 / 3))
        grid = self.geometry.with_spacing(np.minimum(spacing, extent / FEWEST))
        image = _resampled(self.image, grid, self.low)
        return ReducedImage(image, None if self.mask is None else _resampled_mask(self.mask, grid), grid, self.low)

    def as_image(self, name: str) -> Image:
        """The voxels as an image of ours."""
        return Image(array_of(self.image), self.geometry, name)

    def centre_of_grid(self) -> np.ndarray:
        """(3,), LPS mm."""
        return self._point([(n - 1) / 2 for n in self.image.GetSize()])

    def centre_of_mass(self) -> np.ndarray:
        """(3,), LPS mm, of the intensities above the minimum, single bright specks held down."""
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
        low, high = seen.min(), np.percentile(seen, 99)
        weights = np.zeros_like(array)
        weights[inside] = np.minimum(seen, high) - low
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
