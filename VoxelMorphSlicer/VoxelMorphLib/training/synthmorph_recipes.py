"""The configuration classes of trainings on images that are made of label maps: their options and their defaults."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from ..core.errors import ConfigError
from ..core.options import option
from .options import TrainingConfig

made = partial(option, group="Synthesis")


@dataclass(frozen=True)
class _SynthMorphConfig(TrainingConfig):
    """What trainings on synthesised images share; options as in the original's train_synthmorph.py.

    Images of labels differ in contrast without limits, so the network sees shapes alone. The loss is the overlap of the
    labels; `image_loss` and its options have a part in the validation alone.
    """

    svf_resolution: float = 2.0
    int_resolution: float = 2.0
    int_steps: int = 5
    encoder: tuple[int, ...] = (64, 64, 64, 64)
    decoder: tuple[int, ...] = (64, 64, 64, 64, 64, 64)
    image_loss: str = "mind"
    smoothness: float = 1.0
    penalty_multiplier: float = 1.0
    intensity: str = "minmax"

    dice_weight: float = option(
        1.0, "weight of the overlap of the labels; each direction has half of it", low=0, high=1e6, group="Losses"
    )
    field_weight: float = option(
        0.0,
        "weight of the squared distance, voxels, from the known deformation between two images of one label map; "
        "teaches sooner than the overlap",
        low=0,
        high=1e6,
        group="Losses",
    )
    vel_std: float = made(0.5, "largest strength of the random velocities that deform label maps", low=0, high=1000)
    vel_res: tuple[float, ...] = made((16.0,), "distances of the points of these velocities, voxels, one or several")
    blur_std: float = made(1.0, "largest standard deviation of the images' blur", low=0, high=100, unit="voxels")
    bias_std: float = made(0.3, "largest strength of the images' bias field", low=0, high=100)
    bias_res: float = made(40.0, "distance of the points of the bias field", low=1, high=4096, unit="voxels")
    gamma_std: float = made(0.25, "standard deviation of the logarithm of the images' gamma", low=0, high=100)
    background_zero: float = made(0.2, "share of the images whose background is black", low=0, high=1)

    same_contrast: float = made(
        0.0,
        "share of the pairs whose two images have the same intensities; a network for any contrast learns faster when "
        "it begins with many of them",
        low=0,
        high=1,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.vel_res or not all(1 <= scale <= 4096 for scale in self.vel_res):
            raise ConfigError(f"vel_res is {self.vel_res}; give one or more distances from 1 to 4096 voxels.")
        if self.augment_intensity:
            raise ConfigError(
                f"The recipe {self.recipe} makes the intensities of its images itself. Set augment_intensity to 0, and "
                "change gamma_std, bias_std or blur_std instead."
            )
        if self.field_weight and self.vel_std == 0:
            raise ConfigError("With vel_std 0 nothing deforms, and field_weight has nothing to teach. Raise vel_std.")

    def check_sources(self) -> None:
        check_made(self, 2 ** len(self.encoder))


@dataclass(frozen=True)
class _LabelMapsConfig(_SynthMorphConfig):
    """What trainings on images of label maps of files share."""

    images: ClassVar[str] = "labels"

    same_subject: bool = made(False, "make both images of one label map, so that only its deformations differ")
    misaligned: float = made(
        0.0,
        "strength of a random affine map of the moving map, 1 for up to 10 degrees, 10 % scale and 10 % shift",
        low=0,
        high=10,
    )
    strip: float = made(
        0.0, "share of the images that show nothing but the labels that are brought together", low=0, high=1
    )

    @property
    def affine_first(self) -> bool:
        return self.aligned


@dataclass(frozen=True)
class SynthMorphLabelsConfig(_LabelMapsConfig):
    """Registration for any contrast, trained on images that are made of the label maps of `label_list` alone.

    `labels` names those that are brought together; images are made of all that the maps have. Without a validation
    list, the maps held back by `validation_pairs` are made into images too.

    Source: Hoffmann et al., IEEE TMI 2022, doi:10.1109/TMI.2021.3116879.
    """

    recipe: ClassVar[str] = "synthmorph-labels"

    aligned: bool = made(
        False,
        "bring the moving map to the fixed one by the affine map that fits the middles of their labels, as an affine "
        "start does before the network's turn",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.field_weight and (not self.same_subject or self.aligned or self.misaligned):
            raise ConfigError(
                "The deformation between two images is known only where both are made of one label map. With "
                "field_weight, set same_subject, and leave aligned and misaligned off."
            )

    @property
    def affine_first(self) -> bool:
        return self.aligned or self.same_subject


@dataclass(frozen=True)
class SynthMorphJointConfig(_LabelMapsConfig):
    """Registration for any contrast and every regularity: (1 - lambda) of the overlap loss plus lambda of the penalty.

    Lambda is drawn for every pair between 0 and 1. `affine_weights` names the affine network that comes first and is
    not trained; it becomes a part of the model. Without it pairs are brought together by the affine map that fits the
    middles of their labels, and the model needs an affine start. `decoder` names first as many convolutions as
    `encoder`, then those that follow. Everything is symmetric, and computed at half the resolution.

    Source: Hoffmann et al., Imaging Neuroscience 2024, doi:10.1162/imag_a_00197.
    """

    recipe: ClassVar[str] = "synthmorph-joint"

    int_steps: int = 7
    encoder: tuple[int, ...] = (64, 64, 64, 64)
    decoder: tuple[int, ...] = (64, 64, 64, 64, 64, 64, 64, 64)

    affine_weights: str = option(
        "",
        "weights of an affine network of the recipe synthmorph-affine, or SynthMorph's, which comes first; empty "
        "brings label maps together by the middles of their labels",
        path="file",
        group="Network",
    )
    hyper_layers: int = option(4, "hidden layers of the network that writes the weights", low=1, high=100)
    hyper_units: int = option(
        32, "features of the hidden layers of the network that writes the weights", low=1, high=4096
    )
    sweep: int = option(3, "how many lambdas between 0 and 1 are validated", low=1, high=101)

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.svf_resolution, self.int_resolution) != (2, 2):
            raise ConfigError(
                f"svf_resolution is {self.svf_resolution:g} and int_resolution {self.int_resolution:g}, but the recipe "
                "synthmorph-joint computes at half the resolution. Leave both at 2."
            )
        if self.field_weight:
            raise ConfigError("The recipe synthmorph-joint teaches no known deformation. Leave field_weight at 0.")
        if len(self.decoder) < len(self.encoder):
            raise ConfigError(
                f"decoder names {len(self.decoder)} convolutions and encoder {len(self.encoder)}. A joint network goes "
                "up as many levels as down; give decoder at least as many."
            )

    @property
    def aligned(self) -> bool:
        """Whether pairs are brought together without a network."""
        return not self.affine_weights

    def check_sources(self) -> None:
        check_made(self, 2 * 2 ** len(self.encoder))


@dataclass(frozen=True)
class SynthMorphShapesConfig(_SynthMorphConfig):
    """Registration for any contrast and anatomy, trained on images of random shapes; there are no files at all.

    `shape` names the extents of the images. Each pair is one map of shapes, deformed twice.

    Source: Hoffmann et al., IEEE TMI 2022, doi:10.1109/TMI.2021.3116879, section III.B.
    """

    recipe: ClassVar[str] = "synthmorph-shapes"
    images: ClassVar[str] = "none"

    shape: tuple[int, ...] = (96, 96, 96)
    vel_std: float = 3.0
    vel_res: tuple[float, ...] = (8.0, 16.0, 32.0)
    shape_labels: int = made(16, "how many labels a map of shapes has at most", low=2, high=1000)
    shared_warps: bool = made(
        False, "deform the noise that shapes are cut from by one warp for all labels, as the original"
    )

    @property
    def affine_first(self) -> bool:
        return True

    def check_sources(self) -> None:
        super().check_sources()
        if self.label_list or self.merge_labels:
            raise ConfigError(
                "The recipe synthmorph-shapes makes its label maps itself. Leave label_list and merge_labels empty, or "
                "choose synthmorph-labels."
            )
        if not self.shape:
            raise ConfigError("Random shapes have no size of their own. Give shape, such as 96,96,96.")


@dataclass(frozen=True)
class MovedMapsConfig(TrainingConfig):
    """What trainings share whose label maps are moved at random before images are made of them."""

    images: ClassVar[str] = "labels"

    image_loss: str = "mind"
    intensity: str = "minmax"

    max_shift: float = made(30.0, "largest random shift of each image along each axis", low=0, high=1000, unit="voxels")
    max_rotation: float = made(45.0, "largest random rotation of each image", low=0, high=180, unit="degrees")
    max_scaling: float = made(0.1, "largest random change of scale", low=0, high=0.9)
    max_shear: float = made(0.1, "largest random shear", low=0, high=1)
    max_warp: float = made(2.0, "largest maximum of the random velocities", low=0, high=1000)
    cropped: float = made(1.0, "share of the images whose field of view ends early", low=0, high=1)
    thick: float = made(1.0, "share of the images with thick slices", low=0, high=1)

    def motion(self) -> dict[str, float]:
        """How maps are moved, as arguments of `LabelMotion`."""
        return {
            "aff_shift": self.max_shift,
            "aff_rotate": self.max_rotation,
            "aff_scale": self.max_scaling,
            "aff_shear": self.max_shear,
            "warp_max": self.max_warp,
            "warp_min": min(0.01, self.max_warp),
            "crop_prob": self.cropped,
        }


@dataclass(frozen=True)
class SynthMorphAffineConfig(MovedMapsConfig):
    """An affine or rigid map for any contrast, trained on images that are made of the label maps of `label_list` alone.

    A network detects features in either image, whose middles are fitted to each other. `encoder` names its levels and
    `decoder` the convolutions that follow at the coarsest one. `labels` should be few and large; `merge_labels` makes
    them of small ones. Options of velocities and of the penalty have no meaning here.

    Source: Hoffmann et al., Imaging Neuroscience 2024, doi:10.1162/imag_a_00197.
    """

    recipe: ClassVar[str] = "synthmorph-affine"

    encoder: tuple[int, ...] = (256, 256, 256, 256)
    decoder: tuple[int, ...] = (256, 256, 256, 256)

    features: int = option(64, "feature maps whose middles are fitted", low=4, high=4096, group="Network")
    rigid: bool = option(False, "shift and turn only", group="Network")

    def check_sources(self) -> None:
        check_made(self, 2 * 2 ** len(self.encoder))


def check_made(config: TrainingConfig, least: int) -> None:
    """Refuse images of files, and images of fewer voxels than the network halves them.

    Args:
        config: of a training that makes its images.
        least: voxels of an axis that the network needs.

    Raises:
        ConfigError: as said.
    """
    if config.shape and min(config.shape) < least:
        raise ConfigError(
            f"shape is {config.shape}, but a network of {len(config.encoder)} levels needs at least {least} voxels "
            "along each axis. Give a larger shape, or fewer numbers in encoder."
        )
    named = [name for name in ("image_list", "pair_list", "atlas", "attributes") if getattr(config, name)]
    if named:
        raise ConfigError(f"The recipe {config.recipe} makes its images itself. Leave {', '.join(named)} empty.")
