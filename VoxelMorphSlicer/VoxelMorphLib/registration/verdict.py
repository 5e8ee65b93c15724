"""Whether a registration is worse than its start: what both images show is compared, and the field is looked at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from scipy.ndimage import map_coordinates
from torch import Tensor
from torch.nn import functional

from ..core.filters import box_moments, box_sum
from ..core.geometry import Geometry
from ..core.image import Image, LabelMap
from ..core.losses.ncc import ncc_map
from ..core.metrics import correlation, information
from ..core.transform import Transform
from ..weights.architectures import LINEAR, OPTIMISE
from ..weights.entry import ModelEntry
from .intensities import CLEARLY, without_outliers
from .quality import FEWEST, Figures, compared_places

#: Voxels on which two images are compared, at most.
SAMPLES = 120_000
#: Side of the window of the local correlation, in voxels of that grid.
WINDOW = 5
#: Sum over a window of the squared deviations that noise has in images of 0..1.
NOISE = WINDOW**3 * 0.02**2
BINS = 32
#: Percentiles of the intensities that become 0 and 1.
CONTRAST = (0.5, 99.5)

#: A result that shows less than this part of what the start showed may agree by chance.
LEAST_OVERLAP = 0.5
#: Share of the contrast above which a voxel of the fixed image has contents.
CONTENTS = 0.1
#: Share of these that may be displaced by more than half their extent, and percentage that may be folded.
MOST_FAR, MOST_FOLDED = 0.1, 0.1
#: Percentage of the fixed voxels that may be folded without a word: one or two of 5 million tell nothing.
FEW_FOLDED = 0.001
#: Volume ratios between which a change of anatomy is usual.
LEAST_RATIO, LARGEST_RATIO = 0.2, 5.0
#: Standard deviation of the logarithm of the volume ratio.
MOST_IRREGULAR = 0.8


@dataclass(frozen=True)
class Agreement:
    """How well two images agree inside what both show, whatever the sign of the contrast.

    Args:
        correlation: magnitude of the correlation of the intensities, 0 to 1.
        information: mutual information of the intensities, nats.
        local: root of the mean squared correlation of small windows where the fixed image has contents, 0 to 1.
    """

    correlation: float
    information: float
    local: float


#: Falls that are more than chance, measured on pairs that are registered well.
MARGINS = Agreement(correlation=0.02, information=0.03, local=0.02)
#: Less is rounding.
LEAST_RISE = 1e-4
NAMES = {"correlation": "correlation", "information": "mutual information", "local": "local correlation"}
#: The measure that falls when the named similarity does; "auto" and others are judged by all three.
DECISIVE = {"ncc": "local", "mi": "information", "mse": "correlation"}


@dataclass(frozen=True)
class Change:
    """Agreement at an earlier and at a later position."""

    before: Agreement
    after: Agreement

    def worse(self, similarity: str = "auto") -> bool:
        """Whether two measures fell, or the one that the registration maximised, and none rose.

        Args:
            similarity: that was used, "ncc", "mi", "mse", or another without a measure of its own.
        """
        falls = self._falls()
        decisive = DECISIVE.get(similarity)
        return (len(falls) > 1 or decisive in falls) and not self._rises()

    def rose(self) -> bool:
        """Whether any measure is larger at the later position."""
        return any(change > LEAST_RISE for _name, change in self._changes())

    def text(self) -> str:
        """The measures that fell, with their values."""
        return ", ".join(
            f"{NAMES[name]} {getattr(self.before, name):.2f} before and {getattr(self.after, name):.2f} after"
            for name in self._falls()
        )

    def _falls(self) -> list[str]:
        return [name for name, change in self._changes() if change < -getattr(MARGINS, name)]

    def _rises(self) -> list[str]:
        return [name for name, change in self._changes() if change > getattr(MARGINS, name)]

    def _changes(self) -> Iterator[tuple[str, float]]:
        for field in fields(Agreement):
            yield field.name, getattr(self.after, field.name) - getattr(self.before, field.name)


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
    fixed: Image,
    moving: Image,
    transforms: tuple[Transform, Transform, Transform],
    figures: Figures,
    entry: ModelEntry,
    masks: tuple[LabelMap | None, LabelMap | None] = (None, None),
    similarity: str = "auto",
) -> Verdict:
    """Compare where the moving image was, where the deformation began and where it ended.

    Masks on both sides limit the comparison to their inside. One alone does not: a model that sees all of one image
    and a part of the other fits that part to everything, which looks good inside the mask and nowhere else.

    Args:
        fixed, moving: of the registration.
        transforms: fixed -> moving before everything, after the affine start, and at the end.
        figures: of the field.
        entry: the model, for what to change.
        masks: of fixed and moving image, 0 and 1 on their grids.
        similarity: that was maximised; "auto" where that is not known.
    """
    pair = _Pair(fixed, moving, *masks)
    before, begun, after = (pair.at(transform) for transform in transforms)
    whole = pair.change(before, after)
    sentence = _blank(after, entry) or _fall(pair, (before, begun, after), entry, masks, similarity)
    if not sentence and after.overlap < LEAST_OVERLAP * before.overlap:
        sentence = (
            f"The moving volume covers {100 * after.overlap:.0f} % of the fixed one, and {100 * before.overlap:.0f} % "
            f"before. {_other_start(entry)}"
        )
    sentence = sentence or _implausible(pair.far(begun, after), figures, entry)
    local = (0.0, 0.0) if whole is None else (whole.before.local, whole.after.local)
    return Verdict(sentence, *local, before.overlap, after.overlap)


def _fall(
    pair: _Pair,
    positions: tuple[_Position, _Position, _Position],
    entry: ModelEntry,
    masks: tuple[LabelMap | None, LabelMap | None],
    similarity: str,
) -> str:
    """Which measures fell since the first position, or else since the start; "" where none did."""
    before, begun, after = positions
    whole = pair.change(before, after)
    if whole is not None and whole.worse(similarity):
        by_start = pair.change(before, begun)
        blames_start = by_start is not None and by_start.worse(similarity)
        remedy = _other_mask(*masks) or _other_way(entry, blames_start)
        return f"The result agrees less than the volumes did before: {whole.text()}. {remedy}"
    bent = None if entry.architecture == LINEAR else pair.change(begun, after)
    if bent is not None and bent.worse(similarity):
        remedy = _other_mask(*masks) or _other_way(entry)
        return f"The deformation agrees less than the start alone: {bent.text()}. {remedy}"
    return ""


def strained(figures: Figures, entry: ModelEntry, optimises: bool = False) -> str:
    """Where the deformation folds, or changes the volume by a large factor, and what to change; "" for nowhere.

    Args:
        figures: of the field.
        entry: the model.
        optimises: whether an optimisation went on from its result.
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


def improves(
    fixed: Image,
    moving: Image,
    begun: Transform,
    after: Transform,
    masks: tuple[LabelMap | None, LabelMap | None] = (None, None),
) -> bool:
    """Whether a deformation raised any measure of agreement, or what was before shows too little to tell.

    Args:
        fixed, moving: of the registration.
        begun, after: fixed -> moving before and after the deformation.
        masks: of fixed and moving image, 0 and 1 on their grids.
    """
    pair = _Pair(fixed, moving, *masks)
    bent = pair.change(pair.at(begun), pair.at(after))
    return bent is None or bent.rose()


def _blank(after: _Position, entry: ModelEntry) -> str:
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


@dataclass(frozen=True, eq=False)
class _Position:
    """The moving image seen through a transform.

    Args:
        points: (I, J, K, 3), where the voxels of the pair's grid are in the moving space.
        values: (I, J, K), of the moving image there, 0 to 1.
        seen: (I, J, K) bool, inside its field of view.
        compared: the same inside its mask.
    """

    points: np.ndarray
    values: np.ndarray
    seen: np.ndarray
    compared: np.ndarray

    @property
    def overlap(self) -> float:
        return float(self.seen.mean())


class _Pair:
    """Both images on few voxels, with masks only where both have one.

    Args:
        fixed, moving: the images.
        fixed_mask, moving_mask: on the grids of their images.
    """

    def __init__(self, fixed: Image, moving: Image, fixed_mask: LabelMap | None, moving_mask: LabelMap | None):
        coarse, coarse_moving = (_coarse(without_outliers(image, CLEARLY)) for image in (fixed, moving))
        self.fixed, self.grid, self.moving = _to_unit(coarse.array), coarse.geometry, moving.geometry
        self.inside: np.ndarray | bool = True
        self._mask: np.ndarray | None = None
        if fixed_mask is not None and moving_mask is not None:
            self.inside = _coarse(fixed_mask).array >= 0.5
            self._mask = _coarse(moving_mask).array
        self._moving_values = _to_unit(coarse_moving.array)
        self._blocks = np.rint(coarse_moving.geometry.spacing / moving.geometry.spacing)

    def at(self, transform: Transform) -> _Position:
        points = transform.apply_to_points(self.grid.points())
        voxels = self.moving.world_to_voxel(points)
        seen = self.moving.holds(voxels)
        voxels = np.moveaxis((voxels - (self._blocks - 1) / 2) / self._blocks, -1, 0)
        values = map_coordinates(self._moving_values, voxels, np.float32, order=1, mode="nearest")
        compared = seen & self.inside
        if self._mask is not None:
            compared &= map_coordinates(self._mask, voxels, np.float32, order=1, mode="nearest") >= 0.5
        return _Position(points, values, seen, compared)

    def change(self, earlier: _Position, later: _Position) -> Change | None:
        """Their agreement with the fixed image, at the same voxels if possible; None where one shows nothing."""
        if min(earlier.compared.sum(), later.compared.sum()) < FEWEST:
            return None
        places = compared_places(earlier.compared, later.compared)
        before, after = (self._agreement(at.values, place) for at, place in zip((earlier, later), places))
        return Change(before, after)

    def far(self, begun: _Position, after: _Position) -> float:
        """Share of the fixed contents that the deformation displaces by more than half their smallest extent."""
        contents = self.fixed > CONTENTS
        voxels = np.argwhere(contents)
        if len(voxels) < FEWEST:
            return 0.0
        extent = ((np.ptp(voxels, axis=0) + 1) * self.grid.spacing).min()
        shift = (after.points - begun.points)[contents]
        return float((np.einsum("ij,ij->i", shift, shift) > (extent / 2) ** 2).mean())

    def _agreement(self, moved: np.ndarray, place: np.ndarray) -> Agreement:
        first, second = self.fixed[place], moved[place]
        return Agreement(
            abs(correlation(first, second)), _information(first, second), _local_correlation(self.fixed, moved, place)
        )


def _coarse(image: Image) -> Image:
    """Means over blocks, about as long on all axes, so that at most `SAMPLES` remain; also of masks."""
    spacing, shape = image.geometry.spacing, np.array(image.geometry.shape)
    size, blocks = float(spacing.min()), np.ones(3, int)
    while np.prod(-(-shape // blocks)) > SAMPLES:
        size *= 1.1
        blocks = np.maximum(1, np.floor(size / spacing)).astype(int)
    affine = image.geometry.affine.copy()
    affine[:3, 3] = image.geometry.voxel_to_world((blocks - 1) / 2)
    affine[:3, :3] *= blocks
    array = torch.from_numpy(np.ascontiguousarray(image.array, dtype=np.float32))[None]
    if (blocks > 1).any():
        array = functional.avg_pool3d(array, tuple(blocks.tolist()), ceil_mode=True)
    return Image(array[0].numpy(), Geometry(tuple(array.shape[1:]), affine), image.name)


def _to_unit(array: np.ndarray) -> np.ndarray:
    low, high = np.percentile(array, CONTRAST)
    if low == high:  # little is bright
        low, high = array.min(), array.max()
    return np.clip((array - low) / max(high - low, np.finfo(np.float32).tiny), 0, 1).astype(np.float32)


def _information(first: np.ndarray, second: np.ndarray) -> float:
    """As `metrics.mutual_information`, of values of 0..1, in a tenth of its time."""
    levels = [np.minimum((values * BINS).astype(np.intp), BINS - 1) for values in (first, second)]
    return information(np.bincount(levels[0] * BINS + levels[1], minlength=BINS**2).reshape(BINS, BINS))


def _local_correlation(first: np.ndarray, second: np.ndarray, place: np.ndarray) -> float:
    fixed, moved, inside = (torch.from_numpy(array.astype(np.float32))[None, None] for array in (first, second, place))
    squared = ncc_map(fixed, moved, WINDOW, NOISE, "absolute", inside)
    variation = _variation(fixed * inside, inside)
    weight = variation / (variation + NOISE) * inside
    total = weight.sum()
    return float((squared.mul_(weight).sum() / total).sqrt()) if total > 0 else 0.0


def _variation(image: Tensor, inside: Tensor) -> Tensor:
    """Sum over the windows of the squared deviations from their mean."""
    window = (WINDOW,) * 3
    return box_moments(image, window, box_sum(inside, window).clamp_(min=1))[1]
