"""The configuration classes of trainings whose network looks at single images that are made of label maps."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from ..core.config import NetworkSpace
from ..core.errors import ConfigError
from ..core.options import option
from .options import TrainingConfig
from .synthmorph_recipes import MovedMapsConfig, check_made, made


@dataclass(frozen=True)
class ImageUnetConfig(TrainingConfig):
    """What trainings of an `ImageUnet` share.

    `encoder` names the features of every level, `decoder` those of the way up from the coarsest level, and then of the
    full resolution.
    """

    image_loss: str = "mind"
    intensity: str = "percentile"

    conv_per_level: int = option(2, "convolutions of every level", low=1, high=8, group="Network")
    noise: float = made(0.12, "largest noise, as a share of the brightest voxel", low=0, high=10)
    thick: float = made(0.1, "share of the images with thick slices", low=0, high=1)
    curves: float = made(
        0.0,
        "share of the images whose intensities are changed by a random curve, so that noise and what lies between two "
        "labels look as in images of another contrast",
        low=0,
        high=1,
        advanced=True,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.decoder) != len(self.encoder) + 1:
            raise ConfigError(
                f"encoder names {len(self.encoder)} levels and decoder {len(self.decoder)}. The recipe "
                f"{self.recipe} goes up as it goes down; give decoder one number more, for the full resolution."
            )

    @property
    def affine_first(self) -> bool:
        return True

    @property
    def step(self) -> int:
        """Voxels of the maps along one of the images."""
        return 1

    def check_sources(self) -> None:
        check_made(self, self.step * 2 ** len(self.encoder))


@dataclass(frozen=True)
class SynthMorphStructuresConfig(ImageUnetConfig, MovedMapsConfig):
    """Structures of images of any contrast, learned from images that are made of the label maps of `label_list` alone.

    The network finds the structures of each image alone. A registration brings those of two images together by a short
    optimisation, which is symmetric, diffeomorphic, and free to be smoothed. `encoder` names the features of every
    level, `decoder` those of the way up from the coarsest level, and then of the full resolution.

    Source: images: Billot et al., Medical Image Analysis 2023, doi:10.1016/j.media.2023.102789; registration of
    structures: Siebert, Hansen and Heinrich, Learn2Reg 2021, arXiv:2112.03053.
    """

    recipe: ClassVar[str] = "synthmorph-structures"

    encoder: tuple[int, ...] = (12, 24, 48, 64)
    decoder: tuple[int, ...] = (64, 48, 32, 24, 16)
    max_shift: float = 10.0
    max_rotation: float = 15.0
    max_scaling: float = 0.15
    max_shear: float = 0.08
    max_warp: float = 3.0
    cropped: float = 0.1
    thick: float = 0.25

    channels: str = option(
        "",
        'labels whose structures are compared, those in one word together, "2 3,10 8,12": fewer channels save time, '
        "and structures that never touch can share one; empty compares each alone",
        title="Labels that are compared",
        group="Network",
        advanced=True,
    )
    dice_weight: float = option(
        1.0, "weight of the overlap of the structures, beside their cross entropy", low=0, high=1e6, group="Losses"
    )
    border_weight: float = option(
        0.0,
        "weight of the borders of all labels, which are found and compared beside the structures; 0 leaves them out",
        low=0,
        high=1e6,
        group="Losses",
        advanced=True,
    )
    patch: tuple[int, ...] = made(
        (), "extents of the parts of the maps that images are made of; empty takes whole maps", unit="voxels"
    )
    half_resolution: bool = made(
        False,
        "make images of every second voxel of the maps, whose borders stay smoother than those of maps that are moved "
        "on coarse voxels; the model then has voxels twice as large as `voxel_size`",
    )
    sides: bool = made(
        True, "tell the left from the right one of a structure (FreeSurfer's numbers); else images are mirrored too"
    )
    tissues: str = made(
        "",
        'labels that look nearly alike in the images of `alike`, those in one word, "3,17,18 2,16 4,14"; others look '
        "as they will",
        advanced=True,
    )
    alike: float = made(0.6, "share of the images in which `tissues` look nearly alike", low=0, high=1, advanced=True)
    strip: float = made(
        0.0, "share of the images that show nothing but the labels that are brought together", low=0, high=1
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("channels", "tissues"):
            label_groups(getattr(self, name), name)
        least = self.step * 2 ** len(self.encoder)
        if self.patch and (len(self.patch) != 3 or min(self.patch) < least):
            raise ConfigError(f"patch is {self.patch}; give three extents of at least {least} voxels, or none.")
        if self.patch and self.shape and any(part > whole for part, whole in zip(self.patch, self.shape)):
            raise ConfigError(
                f"patch is {self.patch} and shape {self.shape}; a part is no larger than the whole. Lower patch."
            )

    @property
    def step(self) -> int:
        """Voxels of the maps along one of the images."""
        return 2 if self.half_resolution else 1

    def network_space(self, shape: tuple[int, ...], multiple: int) -> NetworkSpace:
        whole = self.space(shape, multiple)
        size = None if whole.voxel_size is None else self.step * whole.voxel_size
        return replace(whole, voxel_size=size, shape=tuple(n // self.step for n in shape))

    def check_sources(self) -> None:
        super().check_sources()
        if self.half_resolution and not self.voxel_size:
            raise ConfigError("With half_resolution the model's voxels must have a size. Give voxel_size.")
        if self.half_resolution and self.validation_list:
            raise ConfigError(
                "Images of validation_list have the voxels of the maps, which are too fine for a model of "
                "half_resolution. Give validation_pairs instead."
            )


@dataclass(frozen=True)
class SynthMorphBordersConfig(ImageUnetConfig):
    """Borders in images of any contrast and anatomy, learned from images of random shapes.

    There are no files at all; `shape` names the extents of the images. A registration brings the borders of two images
    together by a short optimisation.

    Source: Hoffmann et al., IEEE TMI 2022, doi:10.1109/TMI.2021.3116879, section III.B; see `VxmBorderDetector`.
    """

    recipe: ClassVar[str] = "synthmorph-borders"
    images: ClassVar[str] = "none"

    encoder: tuple[int, ...] = (16, 32, 48, 48)
    decoder: tuple[int, ...] = (48, 48, 32, 16, 16)
    shape: tuple[int, ...] = (48, 48, 48)
    noise: float = 0.1

    shape_labels: int = made(32, "how many labels a map of shapes has at most", low=2, high=1000)

    def check_sources(self) -> None:
        super().check_sources()
        if self.label_list or self.merge_labels:
            raise ConfigError(
                f"The recipe {self.recipe} makes its label maps itself. Leave label_list and merge_labels empty, or "
                "choose synthmorph-structures."
            )
        if not self.shape:
            raise ConfigError("Random shapes have no size of their own. Give shape, such as 48,48,48.")


def label_groups(text: str, name: str) -> tuple[tuple[int, ...], ...]:
    """ "2 3,10" as ((2,), (3, 10)).

    Args:
        text: labels of one group with commas between, groups with spaces between.
        name: of the option, for messages.

    Raises:
        ConfigError: something else, or a label that is in two groups.
    """
    try:
        groups = tuple(tuple(int(label) for label in word.split(",")) for word in text.split())
    except ValueError as error:
        raise ConfigError(
            f'{name} is {text!r}; write whole numbers, commas within a group and spaces between, such as "2 3,10".'
        ) from error
    named = [label for group in groups for label in group]
    if len(named) != len(set(named)) or any(label < 1 for label in named):
        raise ConfigError(f"{name} is {text!r}; name each label once, and none below 1.")
    return groups
