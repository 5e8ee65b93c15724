"""The configuration class of each kind of training on images: its options and their defaults."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..core.errors import ConfigError
from ..core.options import option
from .options import TrainingConfig


@dataclass(frozen=True)
class PairwiseConfig(TrainingConfig):
    """Unsupervised registration of random pairs, with the options of the original's train.py.

    Source: Balakrishnan et al., IEEE TMI 2019, doi:10.1109/TMI.2019.2897538.
    """

    recipe: ClassVar[str] = "pairwise"


@dataclass(frozen=True)
class AtlasConfig(TrainingConfig):
    """Unsupervised registration of images (moving) with `atlas` (fixed), which must be given.

    Source: Balakrishnan et al., IEEE TMI 2019, doi:10.1109/TMI.2019.2897538.
    """

    recipe: ClassVar[str] = "atlas"


@dataclass(frozen=True)
class BidirectionalConfig(TrainingConfig):
    """Unsupervised registration that compares both moved images with their targets, half the weight each.

    Source: Dalca et al., Medical Image Analysis 2019, doi:10.1016/j.media.2019.07.006.
    """

    recipe: ClassVar[str] = "bidirectional"

    bidir: bool = True


@dataclass(frozen=True)
class ProbabilisticConfig(TrainingConfig):
    """Unsupervised registration with a variational loss: squared differences and a divergence from a smooth prior.

    `smoothness` is the weight of the divergence; `penalty` and its multiplier have no meaning here. The defaults of
    `image_sigma` and `smoothness` are those that the original's authors advise for this loss.

    Source: Dalca et al., MICCAI 2018, arXiv:1805.04605.
    """

    recipe: ClassVar[str] = "probabilistic"

    image_sigma: float = 0.02
    smoothness: float = 1.0
    prior_lambda: float = option(10.0, "precision of the prior", low=0, high=1e6)
    kl_variant: str = option(
        "current",
        '"current", or "miccai2018" whose variance term is weaker, as in the first code',
        choices=("current", "miccai2018"),
    )
    original: bool = option(
        False,
        "train the network of 2018 as its first code did: it predicts the velocity divided by 2 to the power of "
        "`int_steps`, with components in the order xy; sigma and lambda count after that division, and `kl_variant` "
        "is miccai2018",
    )


@dataclass(frozen=True)
class SemiSupervisedConfig(TrainingConfig):
    """Registration trained with images and the overlap of their label maps, in both directions.

    Without `bidir` images and labels are compared on the fixed grid alone, as by the original. Then the network can
    raise the overlap by squeezing what does not fit, and the inverse brings the fixed labels back badly. With
    `symmetric` too the loss of swapped images is the same.

    Source: Balakrishnan et al., IEEE TMI 2019, doi:10.1109/TMI.2019.2897538, section III.C.
    """

    recipe: ClassVar[str] = "semisupervised"

    bidir: bool = True
    symmetric: bool = True
    dice_weight: float = option(
        0.01, "weight of the overlap of the label maps; each direction has half of it", low=0, high=1e6
    )
    label_resolution: int = option(2, "voxel size of the labels that are compared, in image voxels", low=1, high=16)
    labels_per_step: int = option(0, "so many labels, drawn for each step, are compared; 0 takes all", low=0, high=4096)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.bidir and not self.int_steps:
            raise ConfigError(
                "A displacement that is predicted directly (int_steps 0) has no inverse to bring the fixed labels back "
                "with. Integrate a velocity, or turn bidir and symmetric off."
            )


@dataclass(frozen=True)
class SurfacesConfig(TrainingConfig):
    """Registration in both directions, trained with images and the distance of surface points from the other surface.

    Surfaces are those of the labels; they are found once per case, so the images cannot be deformed at random.

    Source: Dalca et al., Medical Image Analysis 2019, doi:10.1016/j.media.2019.07.006.
    """

    recipe: ClassVar[str] = "surfaces"

    bidir: bool = True
    surface_weight: float = option(0.25, "weight of the squared distances, of each direction", low=0, high=1e6)
    dt_sigma: float = option(1.0, "distance that counts as 1", low=1e-6, high=1e6, unit="voxels")
    surf_points: int = option(5000, "points drawn from the surfaces of an image for each step", low=1, high=1_000_000)
    surf_bidir: bool = option(False, "move the points of the moving image too")
    sdt_resize: float = option(
        1.0, "extent of the distance maps as a part of the image's; less than 1 saves memory", low=0.1, high=1
    )
    labels_per_step: int = option(0, "so many labels, drawn for each pair, have points; 0 takes all", low=0, high=4096)
    use_probs: bool = option(False, "predict a distribution of velocities; the penalty is its divergence from a prior")
    prior_lambda: float = option(10.0, "precision of that prior", low=0, high=1e6)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.bidir:
            raise ConfigError("The recipe surfaces compares images in both directions; leave bidir on.")
        if self.flips or self.augment_affine or self.augment_warp:
            raise ConfigError(
                "Images whose surfaces are known cannot be deformed at random. Turn flips, augment_affine and "
                "augment_warp off."
            )


@dataclass(frozen=True)
class HyperMorphConfig(TrainingConfig):
    """Unsupervised registration for all lambda from 0 to 1: (1 - lambda) of the image loss plus lambda of the penalty.

    Lambda is drawn for every pair, and `image_weight` and `smoothness` scale the two terms. Validation tries a sweep of
    lambdas; the best one becomes the default of what is exported.

    Source: Hoopes et al., IPMI 2021, doi:10.1007/978-3-030-78191-0_1.
    """

    recipe: ClassVar[str] = "hypermorph"

    svf_resolution: float = 2.0
    image_sigma: float = 0.05
    smoothness: float = 1.0
    epochs: int = 6000
    save_every: int = 100
    oversample_rate: float = option(0.2, "share of pairs that get a lambda of exactly 0 or 1", low=0, high=1)
    sweep: int = option(11, "how many lambdas from 0 to 1 are validated", low=2, high=101)
    hyper_layers: int = option(6, "hidden layers of the network that writes the weights", low=1, high=100)
    hyper_units: int = option(
        128, "features of the hidden layers of the network that writes the weights", low=1, high=4096
    )


@dataclass(frozen=True)
class _TemplateConfig(TrainingConfig):
    """What all templates share."""

    image_loss: str = "ncc"
    smoothness: float = 1.0
    mean_weight: float = option(
        1.0, "weight of the mean displacement, which keeps the template central", low=0, high=1e6
    )
    deformation_weight: float = option(0.0, "weight of the size of the displacements", low=0, high=1e6)
    mean_cap: float = option(100.0, "images over which the mean displacement runs", low=1, high=4096)


@dataclass(frozen=True)
class TemplateConfig(_TemplateConfig):
    """A template and the network that deforms it onto every image, learned together.

    The template starts from `atlas`, or from the mean of up to 100 images. The penalty is that of the displacement on
    the images' grid.

    Source: Dalca et al., NeurIPS 2019, arXiv:1908.02738.
    """

    recipe: ClassVar[str] = "template"

    image_weight: float = option(
        1.0,
        "weight of the deformed template's likeness to the image, 0 to 1; the rest of 1 is the weight of the deformed "
        "image's likeness to the template",
        low=0,
        high=1,
        group="Losses",
    )


@dataclass(frozen=True)
class ConditionalTemplateConfig(_TemplateConfig):
    """A template for every value of the `attributes`, which must be given, and the network that deforms it.

    The template is `atlas`, or the mean of up to 100 images, plus what a generator makes of the attributes. The penalty
    is that of the displacement on the images' grid.

    Source: Dalca et al., NeurIPS 2019, arXiv:1908.02738.
    """

    recipe: ClassVar[str] = "conditional-template"

    deformation_weight: float = 0.01
    generator_levels: int = option(
        0,
        "levels of the generator's decoder; 0 makes the template at full size from the first layer on",
        low=0,
        high=16,
    )
    generator_features: int = option(4, "features of the generator's layers", low=1, high=4096)
    generator_kernel: int = option(3, "extent of the generator's convolutions", low=1, high=15)
    extra_convolutions: int = option(3, "linear convolutions at the generator's end", low=0, high=100)


@dataclass(frozen=True)
class AtlasSegmentationConfig(TrainingConfig):
    """Unsupervised segmentation: the atlas is deformed onto each image, and its labels get Gaussians of intensity.

    The atlas is `prob_atlas`, or else made of `atlas_labels`, or else the mean of the label maps of the training.

    Source: Dalca et al., MICCAI 2019, arXiv:1904.11319.
    """

    recipe: ClassVar[str] = "atlas-segmentation"

    smoothness: float = 10.0
    prob_atlas: str = option(
        "",
        '.npz file, array "vol" (I, J, K, labels): the probability of every label on the grid of the training space',
        path="file",
    )
    atlas_blur: float = option(
        1.0, "standard deviation of the uncertainty of an atlas made of `atlas_labels`", low=0, high=20, unit="voxels"
    )
    warp_atlas: bool = option(True, "use the deformed atlas as prior, else the atlas as it is")
    stat_post_warp: bool = option(
        True, "estimate intensities from the image and the deformed atlas, else from the network's features"
    )
    init_stat: str = option(
        "",
        '.npz file, arrays "init_mu" and "init_sigma" of one number per label: what is known of '
        "intensities; empty takes those of the labels in the mean of the images",
        path="file",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.stat_post_warp and not self.warp_atlas:
            raise ConfigError("stat_post_warp needs the deformed atlas; turn warp_atlas on too, or both off.")


@dataclass(frozen=True)
class InstanceConfig(TrainingConfig):
    """Registration of one pair by fitting its velocity; there is no network, and the result serves this pair alone.

    The pair is the one line of `pair_list`. `init_weights` may be the weights file of any registration network: its
    velocity of the pair is then refined.

    Source: Balakrishnan et al., IEEE TMI 2019, doi:10.1109/TMI.2019.2897538, section V.
    """

    recipe: ClassVar[str] = "instance"

    epochs: int = 10
    steps_per_epoch: int = 20
    lr: float = 0.001
    multiplier: float = option(1000.0, "the fitted numbers times this are the velocity", low=1e-6, high=4096)
