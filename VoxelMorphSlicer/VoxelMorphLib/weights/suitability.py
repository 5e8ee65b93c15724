"""Whether a model was made for such volumes as a pair shows: extent, skull, anatomy, contrast; without running it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ..core.arrays import bounding_box
from ..core.geometry import Geometry
from .architectures import STRUCTURES, WITHOUT_WEIGHTS
from .entry import ModelEntry, tasks_of

#: Voxels that are looked at, about.
SAMPLES = 200_000
#: Percentiles between which a tenth of the range is the border between air and contents.
CONTRAST = (0.5, 99.5)
#: Extent of the contents, as a part of the extent that a model was trained on, which it still knows.
KNOWN = (0.4, 1.25)
#: Litres of contents above which a head is shown and not a brain alone: brains alone have 1.2 to 2.1 of them, heads 2.6
#: and more.
LARGEST_BRAIN = 2.3
#: Share of voxels below -200 from which on a volume is a CT.
AIR_HU, AIR_SHARE = -200.0, 0.01

#: Words of names that tell the anatomy.
_ANATOMY = {
    "hippocampus": "hippocamp",
    "brain": "brain|head|cranium|cerebr",
    "knee": "knee",
    "foot": "foot|ankle",
    "chest": "chest|thorax|lung",
    "abdomen": "abdomen|abdominal|liver|kidney",
    "heart": "heart|cardiac",
    "prostate": "prostate",
    "spine": "spine|vertebra",
}
#: Words of names that tell the contrast; they stand alone.
_CONTRASTS = {"T1": "t1w?|mprage|spgr", "T2": "t2w?", "FLAIR": "flair", "PD": "pdw?", "CT": "ct", "US": "us|ultrasound"}
_MR = ("T1", "T2", "FLAIR", "PD")


@dataclass(frozen=True)
class Shown:
    """What is known about a volume before anything is computed with it.

    Args:
        name: of the volume.
        extent: (R, A, S), mm, of its contents; None where nobody looked.
        litres: volume of its contents; None where nobody looked.
        contrast: "CT" by its intensities, or what its name says; "" for unknown.
        anatomy: what its name says; empty for unknown.
    """

    name: str
    extent: tuple[float, float, float] | None = None
    litres: float | None = None
    contrast: str = ""
    anatomy: frozenset[str] = frozenset()

    @classmethod
    def named(cls, name: str) -> Shown:
        """What the name of a volume tells alone."""
        anatomy = [part for part, words in _ANATOMY.items() if re.search(words, name, re.IGNORECASE)]
        alone = r"(?<![A-Za-z0-9])(?:{})(?![A-Za-z0-9])"
        contrasts = [c for c, words in _CONTRASTS.items() if re.search(alone.format(words), name, re.IGNORECASE)]
        return cls(name, contrast=contrasts[0] if len(contrasts) == 1 else "", anatomy=frozenset(anatomy))

    @classmethod
    def of(cls, array: np.ndarray, geometry: Geometry, name: str) -> Shown:
        """Look at a volume.

        Args:
            array: (I, J, K) intensities; about `SAMPLES` of them are looked at.
            geometry: its grid.
            name: of the volume.
        """
        step = max(1, int(np.ceil((array.size / SAMPLES) ** (1 / 3))))
        values = np.asarray(array[::step, ::step, ::step], np.float32)
        values = np.where(np.isfinite(values), values, 0)
        low, high = np.percentile(values, CONTRAST)
        contents = values > low + 0.1 * (high - low)
        told = cls.named(name)
        if not contents.any():
            return told
        extent = [0.0, 0.0, 0.0]
        lengths = np.minimum([(part.stop - part.start) * step for part in bounding_box(contents)], array.shape)
        for (axis, _sign), length in zip(geometry.axes_to_ras(), lengths * geometry.spacing):
            extent[axis] = float(length)
        litres = float(contents.mean() * array.size * np.prod(geometry.spacing) / 1e6)
        is_ct = (values < AIR_HU).mean() > AIR_SHARE
        return cls(name, (extent[0], extent[1], extent[2]), litres, "CT" if is_ct else told.contrast, told.anatomy)


@dataclass(frozen=True)
class Fit:
    """How a model suits a pair.

    Args:
        entry: the model.
        against: what speaks against it; empty where nothing does.
        anatomy_known: whether the names of the volumes tell its anatomy.
    """

    entry: ModelEntry
    against: tuple[str, ...] = ()
    anatomy_known: bool = False

    @property
    def is_general(self) -> bool:
        """Whether the model needs no training, so that it suits every pair."""
        return self.entry.architecture in WITHOUT_WEIGHTS

    @property
    def suits(self) -> bool:
        """Whether nothing speaks against the model."""
        return not self.against

    def sentence(self) -> str:
        """The fit in one line."""
        if self.is_general:
            return "Suits any two volumes of the same anatomy."
        if self.against:
            return f"Does not fit: {self.against[0]}; made for {made_for(self.entry)}."
        known = "Fits" if self.anatomy_known or self.entry.anatomy == "any" else "Fits by size"
        return f"{known}: made for {made_for(self.entry, with_extent=False)}."


def fit(entry: ModelEntry, fixed: Shown, moving: Shown) -> Fit:
    """Whether a model suits a pair."""
    if entry.architecture in WITHOUT_WEIGHTS:
        return Fit(entry)
    sides = (("fixed", fixed), ("moving", moving))
    against = [reason for role, volume in sides for reason in _against(entry, volume, f"the {role} volume")]
    return Fit(entry, tuple(against), all(entry.anatomy in volume.anatomy for volume in (fixed, moving)))


def ordered(entries: Iterable[ModelEntry], fixed: Shown, moving: Shown) -> list[Fit]:
    """The models as a person wants to see them: those for any pair, those that fit, the others; the oldest last.

    Models for one anatomy stand before those for any, those that reached more on the data that they were measured with
    before those that reached less, and among others those that come with the extension before those that are still to
    be fetched.
    """
    fits = [fit(entry, fixed, moving) for entry in entries]
    return sorted(fits, key=lambda one: (not one.is_general, _is_old(one.entry), not one.suits, *_rank(one.entry)))


def advice(entry: ModelEntry, fixed: Shown, moving: Shown, entries: Iterable[ModelEntry]) -> str:
    """What is wrong with a model for a pair and which one fits, as a sentence; "" where nothing is wrong."""
    chosen = fit(entry, fixed, moving)
    if chosen.suits:
        return ""
    reason = f"{chosen.against[0]}, but {entry.id} was made for {made_for(entry)}"
    return f"The model does not fit: {reason}. {_instead(entry, fixed, moving, entries)}"


def fitting(entry: ModelEntry, fixed: Shown, moving: Shown, entries: Iterable[ModelEntry]) -> list[ModelEntry]:
    """The networks for what a model does, other than itself, that were made for such a pair, the best first."""
    others = [other for other in entries if set(tasks_of(other)) & set(tasks_of(entry)) and other is not entry]
    found = [one for one in ordered(others, fixed, moving) if one.suits and not one.is_general]
    known = [one for one in found if one.anatomy_known]
    return [one.entry for one in known or found if one.entry.anatomy != "any"]


def made_for(entry: ModelEntry, with_extent: bool = True) -> str:
    """Anatomy, contrast and extent that a model was trained on, such as "brain, MR T1, 160 x 224 x 192 mm"."""
    extent = _trained_extent(entry) if with_extent else None
    parts = ["any anatomy" if entry.anatomy == "any" else entry.anatomy]
    parts += [] if entry.modality == "any" else [entry.modality]
    parts += ["without skull"] if entry.requires_skull_strip else []
    return ", ".join(parts + ([_size(extent)] if extent else []))


def _instead(entry: ModelEntry, fixed: Shown, moving: Shown, entries: Iterable[ModelEntry]) -> str:
    entries = list(entries)
    found = fitting(entry, fixed, moving, entries)
    tasks = set(tasks_of(entry))
    general = [other.id for other in entries if other.architecture in WITHOUT_WEIGHTS and tasks & set(tasks_of(other))]
    choices = [f"{other.id} ({made_for(other, with_extent=False)})" for other in found[:1]]
    choices += [f"{name}, which suits any pair" for name in general[:1]]
    return f"Choose {' or '.join(choices)}." if choices else "Choose another model."


def _against(entry: ModelEntry, volume: Shown, role: str) -> list[str]:
    reasons = []
    known = frozenset(_ANATOMY) & {entry.anatomy}
    if known and volume.anatomy and not known & volume.anatomy:
        reasons.append(f"{role} shows {' and '.join(sorted(volume.anatomy))} by its name")
    if _is_foreign(entry.modality, volume.contrast):
        reasons.append(f"{role} is {volume.contrast}")
    extent = _trained_extent(entry)
    if extent and volume.extent:
        parts = np.divide(volume.extent, extent)
        most = np.inf if entry.architecture == STRUCTURES else KNOWN[1]  # structures are found in any surroundings
        if parts.min() < KNOWN[0] or parts.max() > most:
            reasons.append(f"{role} shows {_size(volume.extent)}")
    if entry.requires_skull_strip and volume.litres and volume.litres > LARGEST_BRAIN and not reasons:
        reasons.append(f"{role} shows {volume.litres:.1f} litres, so more than a brain without its skull")
    return reasons


def _is_foreign(modality: str, contrast: str) -> bool:
    """Whether a contrast is not among those of a modality such as "MR T1", "any MR contrast" or "any"."""
    words = set(re.findall(r"[A-Z0-9]+", modality.upper()))
    if not contrast or not words & {*_CONTRASTS, "MR", "MRI"}:
        return False
    named = words & set(_CONTRASTS)
    return contrast not in (named or _MR)


def _trained_extent(entry: ModelEntry) -> tuple[float, float, float] | None:
    """(R, A, S), mm, of the grid that a model was trained on."""
    space = entry.space
    if space.voxel_size is None or space.shape is None:
        return None
    extent = dict(zip(("RLAPSI".find(letter) // 2 for letter in space.orientation), space.shape))
    return extent[0] * space.voxel_size, extent[1] * space.voxel_size, extent[2] * space.voxel_size


def _size(extent: tuple[float, float, float]) -> str:
    return " x ".join(f"{length:.3g}" for length in extent) + " mm"


def _is_old(entry: ModelEntry) -> bool:
    return any(year in entry.title for year in ("2018", "2019"))


def _rank(entry: ModelEntry) -> tuple[bool, float, bool]:
    dice = [float(m["value"]) for m in entry.measured if str(m["metric"]).startswith("mean Dice")]
    return entry.anatomy == "any", -max(dice, default=0.0), entry.url is not None
