"""AtlasSegmentationConfig: a probabilistic atlas learns to label images that nobody has labelled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ...core.errors import ConfigError
from ...core.options import check_range
from ..config import TrainingConfig


@dataclass(frozen=True)
class AtlasSegmentationConfig(TrainingConfig):
    """Unsupervised segmentation: the atlas is deformed onto each image, and its labels get Gaussians of intensity.

    The atlas is `prob_atlas`, or else made of `atlas_labels`, or else the mean of the label maps of the training.

    Args:
        prob_atlas: .npz file, array "vol" (I, J, K, labels): the probability of every label on the grid of the
            training space.
        atlas_blur: standard deviation, voxels, of the uncertainty of an atlas made of `atlas_labels`.
        warp_atlas: use the deformed atlas as prior, else the atlas as it is.
        stat_post_warp: estimate intensities from the image and the deformed atlas, else from the network's features.
        init_stat: .npz file, arrays "init_mu" and "init_sigma" of one number per label: what is known of intensities;
            empty estimates them from the mean of the images, as a start.

    Source: Dalca et al., MICCAI 2019, arXiv:1904.11319.
    """

    recipe: ClassVar[str] = "atlas-segmentation"

    smoothness: float = 10.0
    prob_atlas: str = ""
    atlas_blur: float = 1.0
    warp_atlas: bool = True
    stat_post_warp: bool = True
    init_stat: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("atlas_blur", self.atlas_blur, 0, 20)
        if self.stat_post_warp and not self.warp_atlas:
            raise ConfigError("stat_post_warp needs the deformed atlas; turn warp_atlas on too, or both off.")
