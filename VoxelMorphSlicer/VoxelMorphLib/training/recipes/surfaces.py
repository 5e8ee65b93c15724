"""SurfacesConfig: surfaces of labels help to train a registration that needs none later."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ...core.errors import ConfigError
from ...core.options import check_range, check_whole
from ..config import TrainingConfig


@dataclass(frozen=True)
class SurfacesConfig(TrainingConfig):
    """Registration in both directions, trained with images and the distance of surface points from the other surface.

    Surfaces are those of the labels; they are found once per case, so the images cannot be deformed at random.

    Args:
        surface_weight: weight of the squared distances, of each direction.
        dt_sigma: distance that counts as 1, voxels.
        surf_points: points drawn from the surfaces of an image for each step.
        surf_bidir: move the points of the moving image too.
        sdt_resize: extent of the distance maps as a part of the image's; less than 1 saves memory.
        labels_per_step: so many labels, drawn for each pair, have points; 0 takes all.
        use_probs: predict a distribution of velocities; the penalty is its divergence from a prior.
        prior_lambda: precision of that prior.

    Source: Dalca et al., Medical Image Analysis 2019, doi:10.1016/j.media.2019.07.006.
    """

    recipe: ClassVar[str] = "surfaces"

    bidir: bool = True
    surface_weight: float = 0.25
    dt_sigma: float = 1.0
    surf_points: int = 5000
    surf_bidir: bool = False
    sdt_resize: float = 1.0
    labels_per_step: int = 0
    use_probs: bool = False
    prior_lambda: float = 10.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, (low, high) in _RANGES.items():
            check_range(name, getattr(self, name), low, high)
        for name in ("surf_points", "labels_per_step"):
            check_whole(name, getattr(self, name))
        if not self.bidir:
            raise ConfigError("The recipe surfaces compares images in both directions; leave bidir on.")
        if self.flips or self.augment_affine or self.augment_warp:
            raise ConfigError(
                "Images whose surfaces are known cannot be deformed at random. Turn flips, augment_affine and "
                "augment_warp off."
            )


_RANGES = {
    "surface_weight": (0, 1e6),
    "dt_sigma": (1e-6, 1e6),
    "surf_points": (1, 1_000_000),
    "sdt_resize": (0.1, 1),
    "labels_per_step": (0, 4096),
    "prior_lambda": (0, 1e6),
}
