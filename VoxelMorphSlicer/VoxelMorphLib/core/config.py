"""Settings as frozen dataclasses with JSON in and out; widget, commands and checkpoints carry the same ones."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from .errors import ConfigError

Self = TypeVar("Self", bound="Settings")

AFFINE_STARTS = ("auto", "none", "centre", "rigid", "affine")
INTERPOLATIONS = ("linear", "nearest", "cubic")
PRECISIONS = ("float32", "bfloat16")
CENTRINGS = ("image", "foreground")
INTENSITY_RULES = ("minmax", "percentile", "freesurfer")
#: Everything that draws numbers takes a seed of 31 bits.
LARGEST_SEED = 2**31 - 1


@dataclass(frozen=True)
class Settings:
    """Base of all settings: plain values, checked at construction, equal when their values are."""

    def to_dict(self) -> dict[str, Any]:
        """The values by name, ready for JSON."""
        return dataclasses.asdict(self)

    def to_json(self) -> str:
        """One JSON object; `from_json` gives equal settings back."""
        return json.dumps(self.to_dict(), indent=2)

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
        return cls(**{name: tuple(v) if isinstance(v, list) else v for name, v in values.items()})

    @classmethod
    def from_json(cls: type[Self], text: str) -> Self:
        """Build from a JSON object; see `from_dict`."""
        try:
            values = json.loads(text)
        except json.JSONDecodeError as error:
            raise ConfigError(f"The settings are not valid JSON ({error}). Correct or delete them.") from error
        if not isinstance(values, dict):
            raise ConfigError(f"The settings must be one JSON object, got {type(values).__name__}.")
        return cls.from_dict(values)


def check_choice(name: str, value: str, choices: Sequence[str]) -> None:
    """Raise ConfigError unless `value` is one of `choices`."""
    if value not in choices:
        raise ConfigError(f"{name} is {value!r}; choose one of {', '.join(choices)}.")


def check_range(name: str, value: float, low: float, high: float) -> None:
    """Raise ConfigError unless `value` is a number from `low` to `high`, both included."""
    if not isinstance(value, (int, float)) or math.isnan(value) or not low <= value <= high:
        raise ConfigError(f"{name} is {value!r}; choose a number from {low:.10g} to {high:.10g}.")


def check_whole(name: str, value: int) -> None:
    """Raise ConfigError unless `value` is a whole number."""
    if not isinstance(value, int):
        raise ConfigError(f"{name} is {value!r}; give a whole number.")


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
    """

    voxel_size: float | None = None
    orientation: str = "RAS"
    shape: tuple[int, int, int] | None = None
    multiple: int = 1
    centring: str = "image"
    intensity: str = "minmax"

    def __post_init__(self) -> None:
        if self.voxel_size is not None:
            check_range("voxel_size", self.voxel_size, 0.01, 50)
        if sorted("RLAPSI".find(c) // 2 for c in self.orientation) != [0, 1, 2]:
            raise ConfigError(f"orientation is {self.orientation!r}; use one letter each of R/L, A/P and S/I.")
        check_range("multiple", self.multiple, 1, 256)
        check_choice("centring", self.centring, CENTRINGS)
        check_choice("intensity", self.intensity, INTENSITY_RULES)


@dataclass(frozen=True)
class RegistrationOptions(Settings):
    """How one pair is registered, whatever the model.

    Args:
        affine: alignment before the network: "none", "centre" (of the images), "rigid", "affine", or "auto": what the
            model needs, see `ModelEntry.affine_start`.
        device: "auto", "cpu", "cuda", "cuda:N" or "mps".
        precision: of the convolutions; warps and integration are always float32.
        interpolation: of the moved image.
        background: value of moved voxels that lie outside the moving image; None takes the moving image's minimum.
        budget_s: seconds that an optimised registration may take.
        smoothness: weight of the gradient penalty of an optimised registration.
        hyper: regularity of a model that was trained for all values of it: 0 follows the images, 1 is smoothest. Other
            models ignore it.
        seed: of everything random, 0 to 2147483647.
    """

    affine: str = "auto"
    device: str = "auto"
    precision: str = "float32"
    interpolation: str = "linear"
    background: float | None = None
    budget_s: float = 60.0
    smoothness: float = 0.5
    hyper: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        check_choice("affine", self.affine, AFFINE_STARTS)
        check_choice("precision", self.precision, PRECISIONS)
        check_choice("interpolation", self.interpolation, INTERPOLATIONS)
        check_range("budget_s", self.budget_s, 1, 86400)
        check_range("smoothness", self.smoothness, 0, 1000)
        check_range("hyper", self.hyper, 0, 1)
        check_range("seed", self.seed, 0, LARGEST_SEED)
        check_whole("seed", self.seed)
        if self.background is not None:
            check_range("background", self.background, -1e9, 1e9)
