"""VxmDense trained with more than images: with label maps, or with the surfaces of labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..core.errors import GeometryError
from ..core.options import check_range
from ..core.resize import resize_displacement
from ..core.spatial import values_at, warp, warp_surface
from .dense import LARGEST_RESOLUTION, VxmDense
from .fields import RegistrationOutput


@dataclass(frozen=True)
class LabelledOutput:
    """A registration and the labels it moved.

    Args:
        registration: of the images.
        moved_labels: (B, L, *coarse), the moving image's labels, blended linearly.
        moved_fixed_labels: (B, L, *coarse), the fixed image's labels moved by the inverse; None unless given.
    """

    registration: RegistrationOutput
    moved_labels: Tensor
    moved_fixed_labels: Tensor | None


class VxmDenseSemiSupervisedSeg(VxmDense):
    """A VxmDense with the same weights, trained with label maps beside the images.

    Args:
        ndims: number of spatial axes, 1 to 3.
        label_resolution: voxel size of the label maps in input voxels.
        options: the other arguments of `VxmDense`; `bidir` is needed to move the fixed image's labels.

    Raises:
        ConfigError: impossible values.

    Source: Balakrishnan et al., IEEE TMI 2019, doi:10.1109/TMI.2019.2897538, section III.C.
    """

    def __init__(self, ndims: int = 3, label_resolution: float = 2, **options: Any) -> None:
        super().__init__(ndims, **options)
        check_range("label_resolution", label_resolution, 1, LARGEST_RESOLUTION)
        self.label_resolution = label_resolution

    def forward(
        self, moving: Tensor, fixed: Tensor, moving_labels: Tensor, fixed_labels: Tensor | None = None, **options: Any
    ) -> LabelledOutput:
        """All tensors of one pass.

        Args:
            moving, fixed: (B, C, *shape).
            moving_labels: (B, L, *coarse), one channel per label, `label_resolution` input voxels apart.
            fixed_labels: the same of the fixed image.
            options: `sample` and `generator` of `RegistrationNetwork.forward`.

        Raises:
            GeometryError: images or labels do not fit, or fixed labels are given to a network that is not `bidir`.
        """
        output = super().forward(moving, fixed, **options)
        if fixed_labels is not None and output.inverse is None:
            raise GeometryError("The fixed image's labels need the inverse; build the network with bidir=True.")
        return LabelledOutput(
            registration=output,
            moved_labels=self.move_labels(moving_labels, output.displacement),
            moved_fixed_labels=None if fixed_labels is None else self.move_labels(fixed_labels, output.inverse),
        )

    def move_labels(self, labels: Tensor, displacement: Tensor) -> Tensor:
        """Labels (B, L, *coarse) moved by a displacement (B, N, *shape) in input voxels, blended linearly.

        Raises:
            GeometryError: the labels are not on a grid of `label_resolution` input voxels.
        """
        wanted = tuple(n / self.label_resolution for n in displacement.shape[2:])
        coarse = tuple(labels.shape[2:])
        if len(coarse) != len(wanted) or any(abs(n - m) >= 1 for n, m in zip(coarse, wanted)):
            raise GeometryError(
                f"Labels of {tuple(labels.shape)} do not lie {self.label_resolution:g} voxels apart on images of "
                f"{tuple(displacement.shape[2:])}; resample them, or set label_resolution."
            )
        if self.label_resolution != 1:
            displacement = resize_displacement(displacement, coarse, scale=1 / self.label_resolution)
        return warp(labels, displacement)


@dataclass(frozen=True)
class SurfaceOutput:
    """A registration and how far surfaces lie apart after it.

    Args:
        registration: of the images.
        distance: (B, P), of the moved points of the fixed surfaces from the moving ones, in voxels of the distance map.
        fixed_distance: (B, P), of the moved points of the moving surfaces from the fixed ones; None unless given.
    """

    registration: RegistrationOutput
    distance: Tensor
    fixed_distance: Tensor | None


class VxmDenseSemiSupervisedPointCloud(VxmDense):
    """A VxmDense with the same weights, trained with surfaces beside the images; always bidirectional.

    The displacement that pulls the moving image onto the fixed one carries points of the fixed image to the moving
    one, where the moving image's distance map tells how far its surface is.

    Args:
        ndims: number of spatial axes, 1 to 3.
        options: the other arguments of `VxmDense`.

    Raises:
        ConfigError: impossible values.

    Source: Dalca et al., Medical Image Analysis 2019, doi:10.1016/j.media.2019.07.006, section 3.3.
    """

    def __init__(self, ndims: int = 3, **options: Any) -> None:
        super().__init__(ndims, **{**options, "bidir": True})

    def forward(
        self,
        moving: Tensor,
        fixed: Tensor,
        moving_distance: Tensor,
        fixed_surface: Tensor,
        fixed_distance: Tensor | None = None,
        moving_surface: Tensor | None = None,
        **options: Any,
    ) -> SurfaceOutput:
        """All tensors of one pass; the last two images of a pair of surfaces make it symmetric.

        Args:
            moving, fixed: (B, C, *shape).
            moving_distance, fixed_distance: (B, L, *own), signed distance of every label's surface; a grid of another
                extent spans the corners of the images' one.
            fixed_surface, moving_surface: (B, P, N + 1), points in input voxels, then the channel of their label.
            options: `sample` and `generator` of `RegistrationNetwork.forward`.

        Raises:
            GeometryError: the images or points do not fit, or one of the last two is missing.
        """
        if (fixed_distance is None) != (moving_surface is None):
            raise GeometryError("Give both fixed_distance and moving_surface, or neither of them.")
        output = super().forward(moving, fixed, **options)
        both = moving_surface is not None
        return SurfaceOutput(
            registration=output,
            distance=self._distance(fixed_surface, output.displacement, moving_distance),
            fixed_distance=self._distance(moving_surface, output.inverse, fixed_distance) if both else None,
        )

    def _distance(self, surface: Tensor, displacement: Tensor, distances: Tensor) -> Tensor:
        """(B, P): |distance| at the moved points, each in the channel of its label."""
        labels = surface[..., -1].round().long()
        if surface.shape[-1] != self.unet.ndims + 1 or labels.min() < 0 or labels.max() >= distances.shape[1]:
            raise GeometryError(
                f"Surface points (B, P, N + 1) of {tuple(surface.shape)} with the labels {int(labels.min())} to "
                f"{int(labels.max())} do not fit {distances.shape[1]} distance maps of {self.unet.ndims} axes; end "
                "every point with the channel of its label, counted from 0."
            )
        places = warp_surface(surface, displacement)[..., :-1]
        extents = zip(distances.shape[2:], displacement.shape[2:])
        places = places * places.new_tensor([(own - 1) / max(n - 1, 1) for own, n in extents])
        return torch.gather(values_at(distances, places), 2, labels[..., None])[..., 0].abs()
