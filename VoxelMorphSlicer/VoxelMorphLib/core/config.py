"""Settings as frozen dataclasses of plain values; panel, commands and checkpoints carry the same ones."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, TypeVar

from .errors import ConfigError
from .options import check_choice, check_range, check_whole, option, options_of

Self = TypeVar("Self", bound="Settings")

PRECISIONS = {"float32": "Single", "bfloat16": "Half (bfloat16)"}
REGISTRATION_PRECISIONS = {"auto": "Automatic", **PRECISIONS}
CENTRINGS = ("image", "foreground")
INTENSITY_RULES = ("minmax", "percentile", "freesurfer")
#: Everything that draws numbers takes a seed of 31 bits.
LARGEST_SEED = 2**31 - 1
#: Voxels along an axis of a network's grid; no real one is near it.
LARGEST_EXTENT = 4096


@dataclass(frozen=True)
class Settings:
    """Base of all settings: plain values, checked at construction, equal when their values are."""

    def __post_init__(self) -> None:
        for described in options_of(type(self)).values():
            described.check(getattr(self, described.field))

    def to_dict(self) -> dict[str, Any]:
        """The values by name, ready for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls: type[Self], values: dict[str, Any]) -> Self:
        """Build from values by name; missing ones keep their defaults.

        Raises:
            ConfigError: a name does not exist or a value is impossible.
        """
        known = [f.name for f in dataclasses.fields(cls)]
        unknown = sorted(set(values) - set(known))
        if unknown:
            raise ConfigError(f"{cls.__name__} has no option {', '.join(unknown)}. Options: {', '.join(known)}.")
        for name, described in options_of(cls).items():
            if name in values:
                described.check_type(values[name])
        return cls(**{name: tuple(v) if isinstance(v, list) else v for name, v in values.items()})


@dataclass(frozen=True)
class NetworkSpace(Settings):
    """The grid and intensities that a model was trained on.

    Args:
        voxel_size: mm, isotropic; None keeps the fixed image's own.
        orientation: three letters such as "LIA"; the network's axes are the fixed image's axes nearest to them.
        shape: grid used when the images fit into it; None fits the grid to the images.
        multiple: every extent is a multiple of this.
        centring: "image" puts the grid on the middle of the fixed image, "foreground" on its contents.
        intensity: "minmax" to 0..1, "percentile" (0.5 and 99.5 %, clipped) or "freesurfer" (FreeSurfer's
            normalised T1 scale divided by 255, white matter near 0.43).
        lengthen: an axis gets longer than `shape` where the contents of the image are; else they are cut.
    """

    voxel_size: float | None = None
    orientation: str = "RAS"
    shape: tuple[int, int, int] | None = None
    multiple: int = 1
    centring: str = "image"
    intensity: str = "minmax"
    lengthen: bool = True

    def __post_init__(self) -> None:
        if self.voxel_size is not None:
            check_range("voxel_size", self.voxel_size, 1e-6, 1e6)
        if sorted("RLAPSI".find(c) // 2 for c in self.orientation) != [0, 1, 2]:
            raise ConfigError(f"orientation is {self.orientation!r}; use one letter each of R/L, A/P and S/I.")
        if self.shape is not None:
            _check_shape(self.shape)
        check_range("multiple", self.multiple, 1, 256)
        check_whole("multiple", self.multiple)
        check_choice("centring", self.centring, CENTRINGS)
        check_choice("intensity", self.intensity, INTENSITY_RULES)


def _check_shape(shape: Any) -> None:
    fits = isinstance(shape, tuple) and len(shape) == 3
    if not fits or not all(type(n) is int and 1 <= n <= LARGEST_EXTENT for n in shape):
        raise ConfigError(f"shape is {shape!r}; give three whole numbers from 1 to {LARGEST_EXTENT}.")


@dataclass(frozen=True)
class RegistrationOptions(Settings):
    """How one pair is registered, whatever the model.

    A field that is added here is an option of the register command and of its form, has a widget in the panel, is kept
    with the scene, and comes with every request and report.
    """

    device: str = option(
        "auto",
        "where to compute: auto takes the graphics card with the most free memory, else the processor; or name one: "
        "cpu, cuda, cuda:1, mps",
        group="Advanced",
    )
    affine: str = option(
        "auto",
        "alignment that comes first. auto: what the model needs; none: the volumes are already "
        "aligned; centre: shift the volume centres onto each other; rigid: shift and turn; affine: shift, turn, scale "
        "and shear; landmarks-rigid and landmarks-affine: the same from pairs of landmarks instead of the images; "
        "landmarks-thin-plate: also bend, so that all pairs meet",
        title="Start",
        choices={
            "auto": "Automatic: what the model needs",
            "none": "None",
            "centre": "Centre of the volumes",
            "rigid": "Rigid",
            "affine": "Affine",
            "landmarks-rigid": "Landmarks, rigid",
            "landmarks-affine": "Landmarks, affine",
            "landmarks-thin-plate": "Landmarks, thin plate",
        },
        group="Stages",
    )
    refine: str = option(
        "auto",
        "how thoroughly the deformation is optimised on the pair itself. auto: balanced for the model optimise, none "
        "for networks. none: a network's result as it is. fast, balanced, best: go on from the network's result, or "
        "from the start, up to half or to the full resolution",
        title="Quality",
        choices={
            "auto": "Automatic: what the model needs",
            "none": "Network alone",
            "fast": "Fast",
            "balanced": "Balanced",
            "best": "Best",
        },
        group="Stages",
    )
    similarity: str = option(
        "auto",
        "what an optimisation or refinement compares. auto: decided from the pair; ncc: local correlation, for one "
        "contrast, inverted or not; mind: descriptors, for different contrasts; mse: squared difference; mi: mutual "
        "information",
        choices={
            "auto": "Automatic: what suits the pair",
            "ncc": "Local correlation",
            "mind": "Descriptors (MIND)",
            "mse": "Squared difference",
            "mi": "Mutual information",
        },
        group="Stages",
    )
    smoothness: float = option(
        0.5,
        "how strongly an optimisation or refinement prefers smooth deformations: larger values deform less. Networks "
        "alone ignore it, unless they find structures that are brought together",
        low=0,
        high=1000,
        step=0.05,
        panel_limits=(0, 3),
        group="Stages",
    )
    budget_s: float = option(
        600.0,
        "how long an optimisation or refinement may work on the pair. Networks alone ignore it",
        title="Time limit",
        name="budget",
        unit="s",
        low=1,
        high=86400,
        step=5,
        panel_limits=(1, 600),
        group="Stages",
    )
    landmark_weight: float = option(
        1.0,
        "how strongly pairs of landmarks pull in an optimisation or refinement: at 1 each as hard as 100 voxels that "
        "are off by as much; 0 leaves them to the start",
        low=0,
        high=1000,
        step=0.1,
        panel_limits=(0, 20),
        group="Stages",
    )
    label_weight: float = option(
        1.0,
        "how strongly labels of both images pull in an optimisation or refinement: at 1 a voxel where they differ "
        "counts as five of the image; 0 ignores them",
        low=0,
        high=1000,
        step=0.1,
        panel_limits=(0, 20),
        group="Stages",
    )
    hyper: float = option(
        0.5,
        "for models that were trained for all values of it, such as synthmorph-joint-3 and HyperMorph networks: 0 "
        "follows the images, 1 gives the smoothest deformation; SynthMorph's take neither end. Other models ignore it",
        title="Regularity",
        low=0,
        high=1,
        step=0.05,
        group="Stages",
    )
    extent: str = option(
        "auto",
        "voxels of 1 mm along each axis of the grid of SynthMorph's rigid, affine, deformable and joint models: 256 "
        "for a whole head, 192 for a brain in 0.42 of the time and memory. auto: 256, or 192 where the memory does "
        "not suffice. Other models ignore it",
        choices={"auto": "Automatic", "192": "192 (a brain)", "256": "256 (a whole head)"},
        group="Advanced",
    )
    integration_steps: int = option(
        0,
        "squarings in which a network integrates its velocity; more are more exact, and below 5 large deformations may "
        "fold. 0: as it was trained",
        low=0,
        high=10,
        group="Advanced",
    )
    mid_space: bool = option(
        False,
        "bring either volume halfway to the other by the start before a network sees them, so that both are "
        "interpolated alike; for starts that are matrices",
        title="Meet halfway",
        group="Advanced",
    )
    precision: str = option(
        "auto",
        "number format of the network. bfloat16 needs half of the memory, is faster on recent hardware and slightly "
        "less exact; positions are always computed in float32. Automatic is bfloat16 for networks that only tell what "
        "to compare in each image, on processors that are faster with it, else float32",
        choices=REGISTRATION_PRECISIONS,
        group="Advanced",
    )
    interpolation: str = option(
        "linear",
        "how values of the moved volume are computed between voxels. Label maps always keep their values (nearest)",
        choices={"linear": "Linear", "cubic": "Cubic", "nearest": "Nearest neighbour"},
        group="Outputs",
    )
    background: float | None = option(
        None,
        "value of moved voxels that lie outside the moving volume; by default that of its border, or its least value "
        "where the border is uneven",
        low=-1e9,
        high=1e9,
        in_form=False,  # Slicer passes a number always, and there is none by default
        in_panel=False,
    )
    seed: int = option(
        0,
        "of everything random: the same number gives the same result on the same device",
        title="Random seed",
        low=0,
        high=LARGEST_SEED,
        in_panel=False,
        group="Advanced",
    )
