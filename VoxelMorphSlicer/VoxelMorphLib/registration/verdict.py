"""Whether a registration is worse than its start: what both images show is compared, and the field is looked at."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from ..core.image import LabelMap
from ..core.transform import Transform
from ..weights.architectures import LINEAR, OPTIMISE
from ..weights.entry import ModelEntry
from .compared_pair import ComparedPair, Position
from .quality import Figures

#: A result that shows less than this part of what the start showed may agree by chance.
LEAST_OVERLAP = 0.5
#: Share of the fixed contents that may be displaced by more than half their extent, and percentage that may be folded.
MOST_FAR, MOST_FOLDED = 0.1, 0.1
#: Percentage of the fixed voxels that may be folded without a word: one or two of 5 million tell nothing.
FEW_FOLDED = 0.001
#: Volume ratios between which a change of anatomy is usual.
LEAST_RATIO, LARGEST_RATIO = 0.2, 5.0
#: Standard deviation of the logarithm of the volume ratio.
MOST_IRREGULAR = 0.8


@dataclass(frozen=True)
class Verdict:
    """What comparing a result with its start says.

    Args:
        sentence: what is worse or implausible and what to change; empty where nothing is.
        local_similarity_before, local_similarity_after: local correlation where both images show something, 0 to 1.
        overlap_before, overlap_after: share of the fixed volume where the moving one shows something, 0 to 1.
    """

    sentence: str
    local_similarity_before: float
    local_similarity_after: float
    overlap_before: float
    overlap_after: float

    def figures(self) -> dict[str, Any]:
        """The measured part."""
        return {field.name: getattr(self, field.name) for field in fields(self)[1:]}


def judge(
    pair: ComparedPair,
    transforms: tuple[Transform, Transform, Transform],
    figures: Figures,
    entry: ModelEntry,
    similarity: str = "auto",
) -> Verdict:
    """Compare where the moving image was, where the deformation began and where it ended.

    Args:
        pair: the images with their masks.
        transforms: fixed -> moving before everything, after the affine start, and at the end.
        figures: of the field.
        entry: the model, for what to change.
        similarity: that was maximised; "auto" where that is not known.
    """
    before, begun, after = (pair.at(transform) for transform in transforms)
    whole = pair.change(before, after)
    sentence = _blank(after, entry) or _fall(pair, (before, begun, after), entry, similarity)
    if not sentence and after.overlap < LEAST_OVERLAP * before.overlap:
        sentence = (
            f"The moving volume covers {100 * after.overlap:.0f} % of the fixed one, and {100 * before.overlap:.0f} % "
            f"before. {_other_start(entry)}"
        )
    sentence = sentence or _implausible(pair.far(begun, after), figures, entry)
    local = (0.0, 0.0) if whole is None else (whole.before.local, whole.after.local)
    return Verdict(sentence, *local, before.overlap, after.overlap)


def _fall(
    pair: ComparedPair, positions: tuple[Position, Position, Position], entry: ModelEntry, similarity: str
) -> str:
    """Which measures fell since the first position, or else since the start; "" where none did."""
    before, begun, after = positions
    whole = pair.change(before, after)
    if whole is not None and whole.worse(similarity):
        by_start = pair.change(before, begun)
        blames_start = by_start is not None and by_start.worse(similarity)
        remedy = _other_mask(*pair.masks) or _other_way(entry, blames_start)
        return f"The result agrees less than the volumes did before: {whole.text()}. {remedy}"
    bent = None if entry.architecture == LINEAR else pair.change(begun, after)
    if bent is not None and bent.worse(similarity):
        remedy = _other_mask(*pair.masks) or _other_way(entry)
        return f"The deformation agrees less than the start alone: {bent.text()}. {remedy}"
    return ""


def strained(figures: Figures, entry: ModelEntry, optimises: bool = False) -> str:
    """Where the deformation folds, or changes the volume by a large factor, and what to change; "" for nowhere.

    Args:
        figures: of the field.
        entry: the model.
        optimises: whether an optimisation found it, or went on from the model's.
    """
    faults = []
    if figures.folded_percent > FEW_FOLDED:
        faults.append(
            f"folds {figures.folded_voxels} of the fixed voxels ({figures.folded_percent:.2g} %), where the inverse is "
            "not exact"
        )
    elif figures.jacobian_min < LEAST_RATIO:
        faults.append(f"shrinks the volume to {max(figures.jacobian_min, 0):.2f} of what it was")
    if figures.jacobian_max > LARGEST_RATIO:
        faults.append(f"enlarges the volume {figures.jacobian_max:.1f} times")
    if not faults:
        return ""
    smoother = "Choose a larger smoothness, if the anatomy should not change so much."
    remedy = smoother if optimises else _other_way(entry)
    return f"Somewhere the deformation {' and '.join(faults)}. {remedy}"


def _blank(after: Position, entry: ModelEntry) -> str:
    """That nothing is left to see of the moving volume; "" where something is."""
    values = after.values[after.compared]
    if not values.size:
        return f"The moving volume lies outside the fixed one after the registration. {_other_start(entry)}"
    if values.min() == values.max():
        return (
            "The moved image is constant inside the fixed volume: nothing of the moving contents is left there. "
            f"{_other_way(entry)}"
        )
    return ""


def _implausible(far: float, figures: Figures, entry: ModelEntry) -> str:
    """What is wrong with the field alone, whatever the images look like; far is the share of what moved far."""
    if far > MOST_FAR:
        fault = f"displaces {100 * far:.0f} % of the fixed contents by more than half their extent"
    elif figures.log_jacobian_std > MOST_IRREGULAR:
        fault = (
            f"is very irregular: the logarithm of the volume ratio varies by {figures.log_jacobian_std:.2f} (standard "
            f"deviation; up to {MOST_IRREGULAR:.1f} is usual)"
        )
    elif figures.folded_contents_percent > MOST_FOLDED:
        fault = f"folds {figures.folded_contents_percent:.2f} % of the fixed contents"
    else:
        return ""
    return f"The deformation {fault}. {_other_way(entry)}"


def _other_mask(fixed_mask: LabelMap | None, moving_mask: LabelMap | None) -> str:
    if (fixed_mask is None) == (moving_mask is None):
        return ""
    return f"Draw a mask on the {'fixed' if fixed_mask is None else 'moving'} volume too, or give no mask."


def _other_way(entry: ModelEntry, blames_start: bool = False) -> str:
    if blames_start or entry.architecture == LINEAR:
        return _other_start(entry)
    if entry.architecture == OPTIMISE:
        return "Choose a larger smoothness, or draw masks on both volumes."
    return "Choose the model optimise, which needs no training on such volumes."


def _other_start(entry: ModelEntry) -> str:
    if entry.architecture == LINEAR:
        return "Choose another start, or give an initial transform."
    return "Choose the start none, or give an initial transform."
