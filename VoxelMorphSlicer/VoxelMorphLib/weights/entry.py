"""ModelEntry: everything that is known about a model before its weights are read."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass, field
from pathlib import PureWindowsPath
from typing import Any

from ..core.attributes import Attribute
from ..core.config import NetworkSpace
from ..core.errors import ConfigError
from .architectures import (
    ARCHITECTURES,
    DETECTOR,
    HYPER_DENSE,
    JOINT,
    LARGEST_ARGUMENT,
    LINEAR,
    MATRIX_ONLY,
    WITHOUT_BASE,
    WITHOUT_WEIGHTS,
    plausible,
)

FORMATS = ("keras", "safetensors", "torch")
#: Keys of one measurement: the data set, what was measured, the number, and the command that measures it again.
MEASUREMENT_KEYS = {"data", "metric", "value", "command"}
_REQUIRED = ("id", "title", "description", "architecture")
_TEXTS = ("id", "title", "description", "architecture", "anatomy", "modality")
_OPTIONAL_TEXTS = ("file", "url", "sha256", "format", "licence", "citation", "affine_model")
_LISTS = ("measured", "labels", "attributes")


@dataclass(frozen=True)
class ModelEntry:
    """One model of the catalogue, or one found in a file.

    Args:
        id: what `--model` and scenes store.
        title: what lists show.
        description: one line on what it is good for and what it needs.
        architecture: class name of the network, "optimise", or "linear".
        arguments: of the class, by name.
        file: plain name of the weight file, in the extension, the cache or the user's folder.
        url: where the file can be fetched; None for files that are bundled or the user's own.
        bytes: size of the file; None if unknown.
        sha256: 64 lower-case hexadecimal digits; None where unknown.
        format: "keras", "safetensors" or "torch".
        licence: of the weights; None where their authors state none.
        citation: of the paper to cite.
        anatomy: what it was trained on.
        modality: of the images it was trained on.
        space: grid and intensities that the network expects.
        requires_affine: the images must be affinely aligned first.
        requires_centring: the model was trained on images with their centres aligned, whatever their headers.
        requires_skull_strip: the images must show the brain only.
        labels: numbers of the channels of the atlas that a segmenting network keeps, background included; empty where
            they are counted from 0, or where there is none.
        affine_model: id of the model whose file holds the affine part of a joint network; None where `file` holds all.
        attributes: what the template of a conditional model depends on, in the order of the network's input.
        measured: accuracy measured by this project, each a dict of `MEASUREMENT_KEYS`.

    Raises:
        ConfigError: a value is missing, of the wrong type or impossible.
    """

    id: str
    title: str
    description: str
    architecture: str
    arguments: dict[str, Any] = field(default_factory=dict, hash=False)
    file: str | None = None
    url: str | None = None
    bytes: int | None = None
    sha256: str | None = None
    format: str | None = None
    licence: str | None = None
    citation: str | None = None
    anatomy: str = "any"
    modality: str = "any"
    space: NetworkSpace = field(default_factory=NetworkSpace)
    requires_affine: bool = False
    requires_centring: bool = False
    requires_skull_strip: bool = False
    labels: tuple[int, ...] = ()
    affine_model: str | None = None
    attributes: tuple[Attribute, ...] = ()
    measured: tuple[dict[str, Any], ...] = field(default=(), hash=False)

    def __post_init__(self) -> None:
        problem = _type_problem(self) or _value_problem(self)
        if problem:
            raise ConfigError(f"The model entry {self.id!r} {problem}.")

    @property
    def available(self) -> bool:
        """Whether this version can run the model."""
        return self.architecture in WITHOUT_WEIGHTS or self.architecture in ARCHITECTURES

    @property
    def bends(self) -> bool:
        """Whether the result is a deformation rather than a matrix."""
        return self.architecture not in (LINEAR, *MATRIX_ONLY)

    @property
    def affine_start(self) -> str:
        """The alignment before the model unless another is chosen: "affine", "centre", "grid" (centre on centre of the
        grids) or "none".

        A SynthMorph network with an affine part of its own only needs both heads within its field of view. FreeSurfer's
        mri_synthmorph, from which its weights come, centres the grids of both images on each other for that.
        """
        if self.requires_affine:
            return "affine"
        if self.requires_centring:
            return "grid"
        return "centre" if self.architecture in (DETECTOR, JOINT) else "none"

    def to_dict(self) -> dict[str, Any]:
        """The entry as plain values for JSON; `from_dict` turns them back into an equal entry."""
        values = dataclasses.asdict(self)
        arguments = values.pop("arguments")
        return {**values, "architecture": {"class": self.architecture, "arguments": arguments}}

    @classmethod
    def from_dict(cls, values: Any) -> ModelEntry:
        """Build an entry from one object of a catalogue file.

        Raises:
            ConfigError: a key is unknown or missing, or a value is impossible.
        """
        name, architecture = _check_keys(cls, values)
        space, lists = values.get("space", {}), {key: values.get(key, []) for key in _LISTS}
        if not isinstance(space, dict) or not all(isinstance(value, list) for value in lists.values()):
            raise ConfigError(f"The model entry {name!r} needs an object as space and lists as {', '.join(_LISTS)}.")
        converted = {
            "architecture": architecture["class"],
            "arguments": architecture["arguments"],
            "space": _space(name, space),
            "measured": tuple(lists["measured"]),
            "labels": tuple(lists["labels"]),
            "attributes": tuple(map(Attribute.from_dict, lists["attributes"])),
        }
        return cls(**{**values, **converted})


def supports_regularisation(entry: ModelEntry | None) -> bool:
    """Whether `RegistrationOptions.hyper`, the weight of the regularisation, means anything to a model."""
    return entry is not None and (entry.architecture == HYPER_DENSE or has_hypernetwork(entry))


#: Voxels along each axis of the grid of SynthMorph's models, and of the smaller one that FreeSurfer offers for them.
LARGE_EXTENT, SMALL_EXTENT = 256, 192


def takes_extent(entry: ModelEntry | None) -> bool:
    """Whether `RegistrationOptions.extent` means anything to a model."""
    return entry is not None and entry.architecture in (DETECTOR, JOINT) and entry.space.shape == (LARGE_EXTENT,) * 3


def check_regularity(entry: ModelEntry, value: float) -> None:
    """Refuse a weight of the regularisation that a joint network was never trained for.

    Source: SynthMorph draws it from the open interval (0, 1), Hoffmann et al., doi:10.1162/imag_a_00197.

    Raises:
        ConfigError: it is an end of the interval or lies outside.
    """
    if has_hypernetwork(entry) and not 0 < value < 1:
        raise ConfigError(
            f"hyper is {value:g}, but {entry.id} was trained for values between 0 and 1 without the ends. Choose one "
            "of them, such as 0.05 or 0.95."
        )


#: Start by which the model without deformation does each of its tasks.
STARTS = {"affine": "affine", "rigid": "rigid", "shift": "centre"}
#: What a registration may do to the moving image.
TASKS = ("deformable", *STARTS)


def tasks_of(entry: ModelEntry | None) -> tuple[str, ...]:
    """Those of `TASKS` that a model does; of a file that was not read yet nobody knows, so it deforms."""
    if entry is not None and entry.architecture in WITHOUT_BASE:
        return ()
    if entry is not None and entry.architecture == LINEAR:
        return tuple(STARTS)
    if entry is not None and entry.architecture in MATRIX_ONLY:
        return ("rigid",) if entry.arguments.get("rigid") else ("affine",)
    return ("deformable",)


def has_hypernetwork(entry: ModelEntry | None) -> bool:
    """Whether the model's file holds a joint network whose weights another network computes."""
    return entry is not None and entry.architecture == JOINT and entry.arguments.get("hyp_num", 1) > 0


def _check_keys(cls: type[ModelEntry], values: Any) -> tuple[Any, dict[str, Any]]:
    if not isinstance(values, dict):
        raise ConfigError(f"A model entry must be a JSON object, got {type(values).__name__}.")
    known = [f.name for f in dataclasses.fields(cls) if f.name != "arguments"]
    name = values.get("id", "without id")
    missing = [key for key in _REQUIRED if key not in values]
    unknown = sorted(set(values) - set(known))
    if missing or unknown:
        faults = [f"lacks {', '.join(missing)}"] * bool(missing) + [f"has unknown {', '.join(unknown)}"] * bool(unknown)
        raise ConfigError(f"The model entry {name!r} {' and '.join(faults)}. Keys: {', '.join(known)}.")
    architecture = values["architecture"]
    if not isinstance(architecture, dict) or set(architecture) != {"class", "arguments"}:
        raise ConfigError(f"The model entry {name!r} needs an architecture of the keys class and arguments.")
    return name, architecture


def _space(name: Any, values: dict[str, Any]) -> NetworkSpace:
    try:
        return NetworkSpace.from_dict(values)
    except (ConfigError, TypeError) as error:
        raise ConfigError(f"The model entry {name!r} has a wrong space: {error}") from error


def _type_problem(entry: ModelEntry) -> str | None:
    wanted: dict[str, Any] = dict.fromkeys(_TEXTS, str)
    wanted.update(dict.fromkeys(_OPTIONAL_TEXTS, (str, type(None))))
    wanted.update(labels=tuple, arguments=dict, bytes=(int, type(None)), space=NetworkSpace, measured=tuple)
    wanted.update(attributes=tuple)
    wanted.update(requires_affine=bool, requires_centring=bool, requires_skull_strip=bool)
    for name, kind in wanted.items():
        value = getattr(entry, name)
        if not isinstance(value, kind):
            return f"has {value!r} of the wrong type as {name}"
    if any(type(label) is not int or not 0 <= label < 1 << 31 for label in entry.labels):
        return f"has {entry.labels!r} as labels; give whole numbers from 0"
    return None


def _value_problem(entry: ModelEntry) -> str | None:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", entry.id):
        return "needs an id of letters, digits, points, dashes and underscores"
    if not entry.title.strip() or not entry.description.strip() or "\n" in entry.description:
        return "needs a title and a description of one line"
    if not plausible(entry.arguments):
        return f"has numbers beyond {LARGEST_ARGUMENT} or foreign values as arguments of its architecture"
    if any(not isinstance(m, dict) or set(m) != MEASUREMENT_KEYS for m in entry.measured):
        return f"has a measurement whose keys are not {', '.join(sorted(MEASUREMENT_KEYS))}"
    return _file_problem(entry)


def _file_problem(entry: ModelEntry) -> str | None:
    if (entry.file is None) != (entry.architecture in WITHOUT_WEIGHTS):
        return f"needs a file, unless its architecture is {' or '.join(WITHOUT_WEIGHTS)}"
    if entry.affine_model is not None and entry.architecture != JOINT:
        return f"has an affine_model, which only a {JOINT} network can take"
    if entry.file in ("", "..") or (entry.file and PureWindowsPath(entry.file).name != entry.file):
        return f"has the file {entry.file!r}; give a plain name without folders"
    if entry.format not in FORMATS and entry.file is not None:
        return f"has the format {entry.format!r}; choose one of {', '.join(FORMATS)}"
    if entry.sha256 is not None and not re.fullmatch(r"[0-9a-f]{64}", entry.sha256):
        return f"has the sha256 {entry.sha256!r}; give 64 lower-case hexadecimal digits or null"
    if entry.bytes is not None and entry.bytes <= 0:
        return f"has a size of {entry.bytes} bytes; give a positive number or null"
    return None
