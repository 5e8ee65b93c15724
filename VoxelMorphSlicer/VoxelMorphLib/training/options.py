"""TrainingConfig: everything that decides what a training does, shared by command, module and checkpoint."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar, TypeVar

from ..core.config import CENTRINGS, INTENSITY_RULES, LARGEST_SEED, PRECISIONS, NetworkSpace, Settings
from ..core.errors import ConfigError
from ..core.io.paths import expanded
from ..core.options import option, options_of

Self = TypeVar("Self", bound="TrainingConfig")

#: A resumed training may change these; everything else decides the weights.
FREE_ON_RESUME = (
    "output_dir",
    "epochs",
    "device",
    "devices",
    "nodes",
    "workers",
    "cache",
    "validate_every",
    "save_every",
    "patience",
    "pictures",
)

#: Convolutions on one way of the U-net, and features of one of them, beyond which no network is built.
MOST_CONVOLUTIONS, MOST_FEATURES = 64, 4096

_data = partial(option, group="Data")
_space = partial(option, group="Training space")
_network = partial(option, group="Network")
_loss = partial(option, group="Losses")
_optimisation = partial(option, group="Optimisation")
_output = partial(option, group="Output")
_computation = partial(option, group="Computation")
_rare_data, _rare_loss, _rare_optimisation = (partial(o, advanced=True) for o in (_data, _loss, _optimisation))


@dataclass(frozen=True)
class TrainingConfig(Settings):
    """What all recipes share; each recipe is a subclass with its own defaults and options.

    Lists are a text file (one path a line), a CSV file with a header, a folder, a glob pattern or a BIDS folder; paths
    that are not absolute belong to the list's folder.
    """

    recipe: ClassVar[str] = ""
    #: Where images come from: "files", "labels" (made of label maps) or "none" (made of nothing).
    images: ClassVar[str] = "files"
    image_list: str = _data(
        "",
        "images to train on: a text file with one path a line, a CSV file, a folder, a pattern such as scans/*.nii.gz, "
        "or a BIDS folder",
        path="files",
    )
    image_prefix: str = _rare_data(
        "",
        "put before every line of a text file of images that is no absolute path; in `validation_list` only where the "
        "line names no file as it stands",
    )
    image_suffix: str = _rare_data(
        "", "put after every line of a text file of images; in `validation_list` as the prefix"
    )
    pair_list: str = _data(
        "", "text file of two images a line, moving and fixed, instead of random pairs of `image_list`", path="file"
    )
    label_list: str = _data(
        "",
        "label maps in the order of the images, a list, folder or pattern as these; .npz images may hold theirs under "
        '"seg"',
        path="files",
    )
    label_prefix: str = _rare_data("", "put before every line of a text file of label maps, as the prefix of images")
    label_suffix: str = _rare_data("", "put after every line of a text file of label maps, as the suffix of images")
    labels: tuple[int, ...] = _rare_data((), "label values to use; empty takes all that every label map has, without 0")
    merge_labels: str = _rare_data("", 'label values to be read as others, "17=1 53=1"')
    atlas: str = _data(
        "",
        "image that all images are registered with instead of with each other, or that a template starts from",
        path="file",
    )
    atlas_labels: str = _data("", "label map of the atlas", path="file")
    attributes: str = _rare_data(
        "",
        "CSV file, first column the image's name and then one number per column, such as its age, with the header "
        '"image,age [years]"; for conditional templates',
        path="file",
    )
    validation_list: str = _data(
        "", "text file of two images a line, moving and fixed, that are never trained on", path="file"
    )
    validation_label_list: str = _data("", "label maps of the validation list, two a line", path="file")
    validation_pairs: int = _data(
        0, "without a validation list, so many pairs are held back from the images; 0 for none", low=0, high=10_000
    )

    shape: tuple[int, ...] = _space(
        (), "extents of the training space in voxels, such as 160,192,224; empty fits all images"
    )
    voxel_size: float = _space(0.0, "of the training space; 0 keeps that of each image", low=0, high=50, unit="mm")
    orientation: str = _space("RAS", "of the training space's axes, such as RAS")
    centring: str = _space(
        "image",
        '"image" puts the middle of every image in the middle of the space, "foreground" its contents',
        choices=CENTRINGS,
    )
    intensity: str = _space(
        "percentile",
        '"minmax" to 0..1, "percentile" (0.5 and 99.5 %, clipped) or "freesurfer" (its T1 scale)',
        choices=INTENSITY_RULES,
    )
    flips: bool = _space(False, "mirror each pair along random axes", title="Mirror at random")
    augment_affine: float = _space(
        0.0,
        "strength of random affine maps, 1 for up to 10 degrees, 10 % scale and 10 % shift; 0 for none",
        low=0,
        high=10,
    )
    augment_warp: float = _space(
        0.0,
        "size of random smooth warps, mm root mean square; voxels where `voxel_size` is 0; 0 for none",
        low=0,
        high=100,
    )
    augment_intensity: float = _space(0.0, "strength of random gamma, brightness and noise, 0 to 1", low=0, high=1)

    encoder: tuple[int, ...] = _network(
        (16, 32, 32, 32), "features of the convolutions on the U-net's way down, one for each level"
    )
    decoder: tuple[int, ...] = _network(
        (32, 32, 32, 32, 32, 16, 16),
        "features of the convolutions on the U-net's way up, and of more at full resolution",
    )
    svf_resolution: float = _network(
        1.0,
        "voxel size of the velocity that the network predicts, in image voxels",
        title="Voxel size of the velocity",
        low=1,
        high=64,
    )
    int_resolution: float = _network(
        2.0,
        "voxel size at which the velocity is integrated, in image voxels",
        title="Voxel size of the integration",
        low=1,
        high=64,
    )
    int_steps: int = _network(
        7, "squarings of the integration; 0 predicts a displacement", title="Integration steps", low=0, high=20
    )
    bidir: bool = _network(
        False,
        "compare the fixed image and its labels, moved by the inverse, with the moving ones too",
        title="Both directions",
    )
    symmetric: bool = _network(
        False,
        "predict the mean of the velocity and the negative one of the swapped images: no direction is preferred, and "
        "the U-net works twice",
        title="Symmetric network",
    )
    first_weights: str = _network(
        "random",
        'what a network starts from without `init_weights`: "random" weights, or "demons", which move two images of '
        "one contrast towards each other at once",
        choices={"random": "Random", "demons": "Force of demons"},
        advanced=True,
    )
    init_weights: str = _network("", "weights file of the same network to start from", path="file")

    image_loss: str = _loss(
        "mse",
        "how the likeness of two images is measured",
        choices={
            "ncc": "Local correlation",
            "mse": "Squared difference",
            "mi": "Mutual information",
            "mind": "MIND descriptors",
            "tukey": "Tukey's biweight",
        },
    )
    image_sigma: float = _rare_loss(1.0, 'expected difference of intensities, of the loss "mse"', low=1e-6, high=1e6)
    ncc_window: int = _rare_loss(
        9,
        'extent of the windows of the loss "ncc"',
        title="Window of the local correlation",
        low=1,
        high=99,
        unit="voxels",
    )
    ncc_form: str = _rare_loss(
        "squared",
        'of the loss "ncc": "squared" as the original, or "signed", which leads from farther away; "legacy" and '
        '"absolute" take inverted contrast for similar',
        title="Form of the local correlation",
        choices={"squared": "Squared", "signed": "Signed", "legacy": "Legacy", "absolute": "Absolute"},
    )
    image_weight: float = _rare_loss(1.0, "weight of the image loss", low=0, high=1e6)
    smoothness: float = _loss(
        0.01,
        "weight of the field's penalty (lambda)",
        title="Smoothness (lambda)",
        low=0,
        high=1e6,
        aliases=("lambda",),
    )
    penalty: str = _rare_loss(
        "l2", 'of the field: "l2" or "l1" of its gradient, or "bending"', choices=("l2", "l1", "bending")
    )
    penalty_multiplier: float = _rare_loss(
        0.0, "factor of the gradient penalty; 0 takes `int_resolution`, as the original", low=0, high=1e6
    )

    epochs: int = _optimisation(
        1500, "parts of the training, each followed by a row in the table of curves", low=1, high=1_000_000
    )
    steps_per_epoch: int = _optimisation(100, "steps of the optimiser in each epoch", low=1, high=1_000_000)
    batch_size: int = _optimisation(1, "samples that each device computes at once", low=1, high=1024)
    accumulate: int = _rare_optimisation(1, "batches that are added up for one step of the optimiser", low=1, high=1024)
    optimiser: str = _rare_optimisation(
        "adam",
        '"adam", or "muon", which leaves the plateau at the beginning of hard trainings sooner; its learning rate is '
        "larger, such as 0.003",
        choices={"adam": "Adam", "muon": "Muon"},
    )
    lr: float = _optimisation(
        1e-4,
        "learning rate: step of each weight with Adam, of each feature with Muon",
        title="Learning rate",
        low=1e-9,
        high=10,
    )
    schedule: str = _rare_optimisation(
        "constant",
        'of the learning rate: "constant", "cosine" to zero, or "onecycle" with a warm up of 5 % of the steps',
        choices=("constant", "cosine", "onecycle"),
    )
    clip: float = _rare_optimisation(
        0.0, "largest norm of the gradient; 0 for no limit", title="Largest gradient", low=0, high=1e6
    )
    ema: float = _rare_optimisation(
        0.0,
        "decay of the running mean of the weights that is validated and exported; 0 for none",
        title="Running mean of the weights",
        low=0,
        high=0.99999,
    )
    patience: int = _rare_optimisation(
        0,
        "validations without a better result after which the training ends; 0 goes on to the last epoch",
        low=0,
        high=1_000_000,
    )

    output_dir: str = _output(
        "models", "folder of checkpoints, curves and summary", title="Output folder", path="folder"
    )
    validate_every: int = _output(10, "epochs between two validations", low=1, high=1_000_000)
    save_every: int = _output(20, "epochs between two checkpoints", low=1, high=1_000_000)
    pictures: int = _output(2, "validation pairs drawn for TensorBoard and the summary", low=0, high=100)

    device: str = _computation("auto", 'where to compute: "auto", "cpu", "cuda", "cuda:N" or "mps"')
    devices: int = _computation(1, "processes on each machine, one for each graphics card", low=1, high=1024)
    nodes: int = _computation(1, "machines", title="Machines", low=1, high=1024)
    precision: str = _computation(
        "float32",
        "number format of the convolutions; bfloat16 is faster on graphics cards that support it",
        choices=PRECISIONS,
    )
    workers: int = _computation(
        0, "processes that load images; 0 loads in the training process", title="Loading processes", low=0, high=256
    )
    cache: str = _computation(
        "memory", "where prepared images are kept", title="Keep prepared images", choices=("memory", "disk", "none")
    )
    seed: int = _computation(
        0, "of everything random: the same number gives the same training", low=0, high=LARGEST_SEED
    )
    strict: bool = _computation(
        False, "stop at the first unreadable file instead of leaving it out", title="Stop at unreadable files"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.shape) not in (0, 3):
            raise ConfigError(f"shape is {self.shape}; give three extents, or none to fit the images.")
        for name in ("encoder", "decoder"):
            _check_features(name, getattr(self, name))
        if not all(-(2**63) <= label < 2**63 for label in self.labels):
            raise ConfigError("labels has a value that no label map can hold. Name labels of your label maps.")
        self.space(self.shape or None)

    def check_sources(self) -> None:
        """Make sure that the lists suit the recipe, before any of them is read.

        Raises:
            ConfigError: they contradict it.
        """

    @property
    def affine_first(self) -> bool:
        """Whether images are affinely aligned before they come to the model, in the training and afterwards."""
        return False

    @property
    def steps(self) -> int:
        """Steps of the whole training."""
        return self.epochs * self.steps_per_epoch

    def space(self, shape: tuple[int, ...] | None, multiple: int = 1) -> NetworkSpace:
        """The space of networks that this training makes.

        Args:
            shape: of all training tensors.
            multiple: of the network.

        Raises:
            ConfigError: impossible values.
        """
        return NetworkSpace(
            voxel_size=self.voxel_size or None,
            orientation=self.orientation,
            shape=shape,
            multiple=multiple,
            centring=self.centring,
            intensity=self.intensity,
        )

    def network_space(self, shape: tuple[int, ...], multiple: int) -> NetworkSpace:
        """The space of the images that the network sees, where that is not the one of the files; see `space`."""
        return self.space(shape, multiple)

    def with_absolute_paths(self: Self) -> Self:
        """The same configuration for any working folder, so that a training can be resumed from anywhere."""
        paths = {o.field: getattr(self, o.field) for o in options_of(type(self)).values() if o.path}
        absolute = {name: str(expanded(path).absolute()) for name, path in paths.items() if path}
        return replace(self, **absolute)


def _check_features(name: str, features: tuple[int, ...]) -> None:
    """Refuse networks that no memory holds, before one is built."""
    if len(features) > MOST_CONVOLUTIONS:
        raise ConfigError(f"{name} has {len(features)} convolutions; give at most {MOST_CONVOLUTIONS}.")
    if not all(1 <= number <= MOST_FEATURES for number in features):
        raise ConfigError(f"{name} has a convolution whose features are not from 1 to {MOST_FEATURES}. Change it.")
