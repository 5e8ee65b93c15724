"""VxmDenseSemiSupervisedSeg: a VxmDense that also moves label maps, so that their overlap can train it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from ..core.config import check_range
from ..core.errors import GeometryError
from ..core.resize import resize_displacement
from ..core.spatial import warp
from .dense import VxmDense
from .fields import RegistrationOutput
from .registration_network import LARGEST_RESOLUTION


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
