"""Images, structures, landmarks and transforms of a registration -> rows of measures before and after it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ..core.arrays import bounding_box
from ..core.geometry import Geometry
from ..core.image import Image
from ..core.jacobian import jacobian_image
from ..core.landmarks import LandmarkPairs
from ..core.metrics import folding, surface_distances, target_registration_error, volume_similarity
from ..core.transform import IDENTITY, Transform
from ..registration.quality import (
    coarse_grid,
    contents,
    log_spread,
    places_shown,
    round_trip,
    similarities,
    unmirrored,
)
from .rows import (
    ALONE,
    BACK,
    CONSISTENCY,
    CORRELATION,
    DICE,
    FOLDED,
    HAUSDORFF,
    INFORMATION,
    JACOBIAN,
    LANDMARKS,
    MEAN,
    SPREAD,
    SURFACE,
    VOLUME,
    Row,
)
from .structures import Sampler, Structure

#: What is measured of each structure: words, unit and decimals.
_OVERLAP = ((DICE, "", 3), (HAUSDORFF, "mm", 2), (SURFACE, "mm", 2), (VOLUME, "", 3))


@dataclass(frozen=True, eq=False)
class Compared:
    """One structure of the fixed image and the same one of the other image.

    Args:
        truth: in the fixed space.
        before: in the moving space; None where it is not known there.
        after: in the moving space, or in the fixed one where it has been moved already; None as `before`.
    """

    truth: Structure
    before: Structure | None
    after: Structure | None


@dataclass(frozen=True)
class VolumeChange:
    """The Jacobian determinant of a transform in figures.

    Args:
        folded_voxels, folded_percent: where it is not positive.
        minimum, maximum: of it.
        log_std: standard deviation of its logarithm, in the contents of the fixed image; None where it was not kept.
    """

    folded_voxels: int
    folded_percent: float
    minimum: float
    maximum: float
    log_std: float | None = None


def similarity_rows(
    fixed: Image,
    moving: Image | None,
    moved: Image | None,
    initial: Transform = IDENTITY,
    forward: Transform | None = None,
) -> Iterator[Row]:
    """Correlation and mutual information on a subset of the fixed voxels, as a registration reports them.

    Args:
        fixed: on whose grid is compared.
        moving: before the registration; None where it is unknown.
        moved: after it, in the fixed space; None takes `moving` through `forward`.
        initial: where the moving image was before, fixed -> moving.
        forward: fixed -> moving; None where it is unknown.
    """
    grid = coarse_grid(fixed.geometry)
    reference = IDENTITY.resample(fixed, grid).array
    before = None if moving is None else initial.resample(moving, grid).array
    after = None if moved is None else IDENTITY.resample(moved, grid).array
    if after is None and moving is not None and forward is not None:
        after = forward.resample(moving, grid).array
    places = _places(grid, moving, moved, initial, forward)
    first, second = before if before is not None else after, after if after is not None else before
    assert first is not None and second is not None, "one of both is known"
    correlations, information = similarities(reference, (first, second), places)
    for measure, values, unit in ((CORRELATION, correlations, ""), (INFORMATION, information, "nat")):
        told = [value if array is not None else None for value, array in zip(values, (before, after))]
        yield Row(measure, "", told[0], told[1], unit)


def _places(
    grid: Geometry, moving: Image | None, moved: Image | None, initial: Transform, forward: Transform | None
) -> tuple[np.ndarray, np.ndarray]:
    """Voxels of the grid that count before and after."""
    points = grid.points()
    if moving is not None:
        through = forward if forward is not None else initial
        return places_shown(moving.geometry, initial.apply_to_points(points), through.apply_to_points(points))
    assert moved is not None
    return places_shown(moved.geometry, points, points)


def overlap_rows(
    compared: Sequence[Compared], grid: Geometry, before: Transform | None, after: Transform | None
) -> Iterator[Row]:
    """Dice overlap, distances and volumes of each structure.

    Args:
        compared: the structures.
        grid: in the fixed space, on which they are compared.
        before, after: fixed -> where the structures of that time lie; None measures nothing of that time.
    """
    truths = Sampler(IDENTITY, grid)
    samplers = [None if way is None else Sampler(way, grid) for way in (before, after)]
    for each in compared:
        truth = truths.mask(each.truth)
        columns = [
            (None,) * len(_OVERLAP)
            if sampler is None or structure is None
            else _compare(truth, sampler.mask(structure), grid.spacing)
            for sampler, structure in zip(samplers, (each.before, each.after))
        ]
        for (measure, unit, decimals), *values in zip(_OVERLAP, *columns):
            yield _row(measure, each.truth, values, unit, decimals)


def back_rows(
    pairs: Sequence[tuple[Structure, Structure]], grid: Geometry, before: Transform, after: Transform
) -> Iterator[Row]:
    """Dice overlap of the fixed structures that are brought to the moving ones.

    Args:
        pairs: the same structure in the fixed and in the moving image.
        grid: in the moving space, on which they are compared.
        before, after: moving -> fixed.
    """
    own, *ways = (Sampler(way, grid) for way in (IDENTITY, before, after))
    for fixed, moving in pairs:
        truth = own.mask(moving)
        yield _row(BACK, fixed, [_dice(truth, way.mask(fixed)) for way in ways], "", 3)


def alone_rows(structures: Sequence[Structure], missing_in: str) -> Iterator[Row]:
    """What cannot be compared, with the name of what lacks it."""
    for structure in structures:
        yield _row(ALONE, structure, [None, f"not in {missing_in}"], "", 3)


def landmark_rows(pairs: LandmarkPairs, before: Transform | None, after: Transform | None) -> Iterator[Row]:
    """Distance of where the fixed landmarks come to from the moving ones, each and on average.

    Args:
        pairs: the landmarks.
        before, after: fixed -> moving; None measures nothing of that time.
    """
    errors = [
        None if way is None else target_registration_error(pairs.fixed, pairs.moving, way) for way in (before, after)
    ]
    for index in range(len(pairs.fixed)):
        name = (pairs.names[index] if index < len(pairs.names) else "") or str(index + 1)
        first, second = (None if each is None else float(each[index]) for each in errors)
        yield Row(LANDMARKS, name, first, second, "mm", 2)
    first, second = (None if each is None else float(each.mean()) for each in errors)
    yield Row(LANDMARKS, MEAN, first, second, "mm", 2)


def volume_change(transform: Transform, grid: Geometry, fixed: Image | None = None) -> VolumeChange:
    """The Jacobian determinant of a transform, affine part included and without the sign of a map that mirrors.

    Args:
        transform: fixed -> moving.
        grid: in the fixed space.
        fixed: image on `grid` in whose contents the logarithm counts; None takes every voxel.
    """
    ratio = unmirrored(jacobian_image(transform, grid).array)
    folds = folding(ratio)
    inside = ratio if fixed is None else ratio[contents(fixed.array)]
    return VolumeChange(folds.count, folds.percent, folds.minimum, folds.maximum, log_spread(inside))


def volume_change_rows(change: VolumeChange) -> Iterator[Row]:
    """Folds, extremes and spread."""
    yield Row(FOLDED, "", None, change.folded_voxels, "voxels")
    yield Row(FOLDED, "", None, change.folded_percent, "%")
    yield Row(JACOBIAN, "minimum", None, change.minimum, decimals=2)
    yield Row(JACOBIAN, "maximum", None, change.maximum, decimals=2)
    if change.log_std is not None:
        yield Row(SPREAD, "", None, change.log_std)


def consistency_rows(there: Transform, back: Transform, grid: Geometry, measure: str = CONSISTENCY) -> Iterator[Row]:
    """How far a way there and back ends from where it began, in the inner part of a grid.

    Args:
        there, back: the transforms.
        grid: in the space from which `there` starts.
        measure: name of the measure.
    """
    coarse = coarse_grid(grid)
    residual = round_trip(coarse, there.apply_to_points(coarse.points()), back)
    yield from consistency_figures(float(residual.mean()), float(np.percentile(residual, 99)), measure)


def consistency_figures(mean: float, percentile: float, measure: str = CONSISTENCY) -> Iterator[Row]:
    """The rows of a round trip that has been measured: its mean and its 99th percentile, mm."""
    yield Row(measure, MEAN, None, mean, "mm", 3)
    yield Row(measure, "99th percentile", None, percentile, "mm", 3)


def _row(measure: str, structure: Structure, values: Sequence, unit: str, decimals: int) -> Row:
    label = structure.label if structure.is_numbered else None
    before, after = values
    return Row(measure, structure.title, before, after, unit, decimals, label, structure.name.strip())


def _compare(truth: np.ndarray, mask: np.ndarray, spacing: np.ndarray) -> tuple[float | None, ...]:
    """As `_OVERLAP`; None where a structure has no voxel to measure from."""
    flat = tuple(axis for axis, n in enumerate(truth.shape) if n == 1)  # a slice has contours instead of surfaces
    box = bounding_box(truth | mask)  # both surfaces lie inside, so distances there are those of the whole grid
    truth, mask = truth[box], mask[box]
    if not truth.any():
        return (None,) * len(_OVERLAP)
    overlap, volumes = _dice(truth, mask), volume_similarity(truth, mask)
    if not mask.any():
        return overlap, None, None, volumes
    truth, mask = (part.squeeze(axis=flat) for part in (truth, mask))
    distances = surface_distances(truth, mask, np.delete(spacing, flat).tolist())
    return overlap, distances.percentile95, distances.mean, volumes


def _dice(truth: np.ndarray, mask: np.ndarray) -> float | None:
    """Dice overlap; None where the structure is not in the image."""
    if not truth.any():
        return None
    return float(2 * np.count_nonzero(truth & mask) / (np.count_nonzero(truth) + np.count_nonzero(mask)))
