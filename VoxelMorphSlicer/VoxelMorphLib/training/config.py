"""TrainingConfig: everything that decides what a training does, shared by command, module and checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..core.config import CENTRINGS, INTENSITY_RULES, LARGEST_SEED, PRECISIONS, NetworkSpace, Settings
from ..core.errors import ConfigError
from ..core.options import check_choice, check_range, check_whole

IMAGE_LOSSES = ("ncc", "mse", "mi", "mind", "tukey")
#: See `core.losses.ncc`.
NCC_FORMS = ("squared", "signed", "legacy", "absolute")
PENALTIES = ("l2", "l1", "bending")
SCHEDULES = ("constant", "cosine", "onecycle")
CACHES = ("memory", "disk", "none")
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


@dataclass(frozen=True)
class TrainingConfig(Settings):
    """What all recipes share; each recipe is a subclass with its own defaults and options.

    Lists are a text file (one path a line), a CSV file with a header, a folder, a glob pattern or a BIDS folder; paths
    that are not absolute belong to the list's folder.

    Args:
        image_list: images to train on.
        image_prefix: put before every line of a text file of images.
        image_suffix: put after every line of a text file of images.
        pair_list: text file of two images a line, moving and fixed, instead of random pairs of `image_list`.
        label_list: label maps in the order of the images; .npz images may hold theirs under "seg".
        label_prefix: put before every line of a text file of label maps.
        label_suffix: put after every line of a text file of label maps.
        labels: label values to use; empty takes all that every label map has, without 0.
        merge_labels: label values to be read as others, "17=1 53=1".
        atlas: image that all images are registered with instead of with each other.
        atlas_labels: label map of the atlas.
        attributes: CSV file, first column the image's name and then one number per column.
        validation_list: text file of two images a line, moving and fixed, that are never trained on.
        validation_label_list: label maps of the validation list, two a line.
        validation_pairs: without a validation list, so many pairs are held back from the images; 0 for none.
        shape: extents of the training space, voxels; empty fits all images.
        voxel_size: of the training space, mm; 0 keeps that of each image.
        orientation: of the training space's axes, e.g. "RAS".
        centring: "image" puts the middle of every image in the middle of the space, "foreground" its contents.
        intensity: "minmax" to 0..1, "percentile" (0.5 and 99.5 %, clipped) or "freesurfer" (its T1 scale).
        flips: mirror each pair along random axes.
        augment_affine: strength of random affine maps, 1 for up to 10 degrees, 10 % scale and 10 % shift; 0 for none.
        augment_warp: mm of random smooth warps, root mean square; voxels where `voxel_size` is 0; 0 for none.
        augment_intensity: strength of random gamma, brightness and noise, 0 to 1.
        encoder: features of the convolutions on the U-net's way down, one for each level.
        decoder: features of the convolutions on the U-net's way up, and of more at full resolution.
        svf_resolution: voxel size of the velocity that the network predicts, in image voxels.
        int_resolution: voxel size at which the velocity is integrated, in image voxels.
        int_steps: squarings of the integration; 0 predicts a displacement.
        bidir: compare the moved fixed image with the moving one too.
        image_loss: "ncc", "mse", "mi", "mind" or "tukey".
        image_sigma: expected difference of intensities, of the loss "mse".
        ncc_window: extent of the windows of the loss "ncc", voxels.
        ncc_form: of the loss "ncc": "squared" as the original, or "signed", which leads from farther away; "legacy" and
            "absolute" take inverted contrast for similar.
        image_weight: weight of the image loss.
        smoothness: weight of the field's penalty (lambda).
        penalty: "l2" or "l1" of the field's gradient, or "bending".
        penalty_multiplier: factor of the gradient penalty; 0 takes `int_resolution`, as the original.
        epochs: parts of the training, each followed by a row in the table of curves.
        steps_per_epoch: steps of the optimiser.
        batch_size: samples that each device computes at once.
        accumulate: batches that are added up for one step of the optimiser.
        lr: learning rate of Adam.
        schedule: of the learning rate: "constant", "cosine" to zero, or "onecycle" with a warm up of 5 % of the steps.
        clip: largest norm of the gradient; 0 for no limit.
        ema: decay of the running mean of the weights that is validated and exported; 0 for none.
        validate_every: epochs between two validations.
        save_every: epochs between two checkpoints.
        patience: validations without a better result after which the training ends; 0 goes on to the last epoch.
        pictures: validation pairs drawn for TensorBoard and the summary.
        output_dir: folder of checkpoints, curves and summary.
        init_weights: weights file of the same network to start from.
        device: "auto", "cpu", "cuda", "cuda:N" or "mps".
        devices: processes on each machine, one for each graphics card.
        nodes: machines.
        precision: of the convolutions, "float32" or "bfloat16".
        workers: processes that load images; 0 loads in the training process.
        cache: "memory", "disk" or "none": where prepared images are kept.
        seed: of everything random.
        strict: stop at the first unreadable file instead of leaving it out.
    """

    recipe: ClassVar[str] = ""

    image_list: str = ""
    image_prefix: str = ""
    image_suffix: str = ""
    pair_list: str = ""
    label_list: str = ""
    label_prefix: str = ""
    label_suffix: str = ""
    labels: tuple[int, ...] = ()
    merge_labels: str = ""
    atlas: str = ""
    atlas_labels: str = ""
    attributes: str = ""
    validation_list: str = ""
    validation_label_list: str = ""
    validation_pairs: int = 0

    shape: tuple[int, ...] = ()
    voxel_size: float = 0.0
    orientation: str = "RAS"
    centring: str = "image"
    intensity: str = "percentile"

    flips: bool = False
    augment_affine: float = 0.0
    augment_warp: float = 0.0
    augment_intensity: float = 0.0

    encoder: tuple[int, ...] = (16, 32, 32, 32)
    decoder: tuple[int, ...] = (32, 32, 32, 32, 32, 16, 16)
    svf_resolution: float = 1.0
    int_resolution: float = 2.0
    int_steps: int = 7
    bidir: bool = False

    image_loss: str = "mse"
    image_sigma: float = 1.0
    ncc_window: int = 9
    ncc_form: str = "squared"
    image_weight: float = 1.0
    smoothness: float = 0.01
    penalty: str = "l2"
    penalty_multiplier: float = 0.0

    epochs: int = 1500
    steps_per_epoch: int = 100
    batch_size: int = 1
    accumulate: int = 1
    lr: float = 1e-4
    schedule: str = "constant"
    clip: float = 0.0
    ema: float = 0.0
    validate_every: int = 10
    save_every: int = 20
    patience: int = 0
    pictures: int = 2

    output_dir: str = "models"
    init_weights: str = ""
    device: str = "auto"
    devices: int = 1
    nodes: int = 1
    precision: str = "float32"
    workers: int = 0
    cache: str = "memory"
    seed: int = 0
    strict: bool = False

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            check_choice(name, getattr(self, name), choices)
        for name, (low, high) in _RANGES.items():
            check_range(name, getattr(self, name), low, high)
        for name in _WHOLE:
            check_whole(name, getattr(self, name))
        if len(self.shape) not in (0, 3):
            raise ConfigError(f"shape is {self.shape}; give three extents, or none to fit the images.")
        self.space(self.shape or None)

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


_CHOICES = {
    "image_loss": IMAGE_LOSSES,
    "ncc_form": NCC_FORMS,
    "penalty": PENALTIES,
    "schedule": SCHEDULES,
    "cache": CACHES,
    "precision": PRECISIONS,
    "centring": CENTRINGS,
    "intensity": INTENSITY_RULES,
}
_WHOLE = (
    "validation_pairs",
    "int_steps",
    "ncc_window",
    "epochs",
    "steps_per_epoch",
    "batch_size",
    "accumulate",
    "validate_every",
    "save_every",
    "patience",
    "pictures",
    "devices",
    "nodes",
    "workers",
    "seed",
)
_RANGES = {
    "validation_pairs": (0, 10_000),
    "voxel_size": (0, 50),
    "augment_affine": (0, 10),
    "augment_warp": (0, 100),
    "augment_intensity": (0, 1),
    "svf_resolution": (1, 64),
    "int_resolution": (1, 64),
    "int_steps": (0, 20),
    "image_sigma": (1e-6, 1e6),
    "ncc_window": (1, 99),
    "image_weight": (0, 1e6),
    "smoothness": (0, 1e6),
    "penalty_multiplier": (0, 1e6),
    "epochs": (1, 1_000_000),
    "steps_per_epoch": (1, 1_000_000),
    "batch_size": (1, 1024),
    "accumulate": (1, 1024),
    "lr": (1e-9, 10),
    "clip": (0, 1e6),
    "ema": (0, 0.99999),
    "validate_every": (1, 1_000_000),
    "save_every": (1, 1_000_000),
    "patience": (0, 1_000_000),
    "pictures": (0, 100),
    "devices": (1, 1024),
    "nodes": (1, 1024),
    "workers": (0, 256),
    "seed": (0, LARGEST_SEED),
}
