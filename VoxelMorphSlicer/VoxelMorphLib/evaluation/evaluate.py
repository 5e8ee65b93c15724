"""Everything that can be measured of a pair, from what is known of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from ..core.errors import ConfigError, ImageError
from ..core.geometry import Geometry
from ..core.image import LabelMap
from ..core.io.label_names import LabelChoice, read_label_choice
from ..core.transform import IDENTITY, CompositeTransform, DisplacementField, Transform
from .measures import (
    Compared,
    alone_rows,
    back_rows,
    consistency_rows,
    landmark_rows,
    overlap_rows,
    similarity_rows,
    volume_change,
    volume_change_rows,
)
from .rows import CONSISTENCY_BACK, CORRELATION, CORRELATION_BACK, INFORMATION, INFORMATION_BACK, Row, important_first
from .structures import Structure, matched, structure_of, structures_of
from .subject import FILES, Subject, read_subject

_BACK = {CORRELATION: CORRELATION_BACK, INFORMATION: INFORMATION_BACK}


def evaluate(subject: Subject, labels: LabelChoice | None = None) -> list[Row]:
    """Measure a pair: overlap of structures, landmarks, the transforms and the images, the most important first.

    Structures are compared on the grid of their volume, as in the panel, or on that of their label map without one.

    Args:
        subject: the pair.
        labels: which ones count, and their names; None takes all.

    Raises:
        ImageError: the label maps have no label in common, or none that was asked for.
    """
    return important_first(
        [
            *_overlap(subject, labels or LabelChoice()),
            *_landmarks(subject),
            *_transforms(subject),
            *_similarities(subject),
            *subject.provenance,
        ]
    )


def evaluate_files(labels: str = "", **files: str | Path) -> list[Row]:
    """Measure a pair of which the files are given; `VoxelMorphLib.evaluate` is this function.

    Args:
        labels: which ones count, as the option of the command: numbers, or a file of them; empty takes all.
        files: any of fixed, moving, moved, fixedLabels, movingLabels, movedLabels, transform, inverse, fixedPoints and
            movingPoints, see `subject.FILES`.

    Raises:
        ConfigError: an unknown file, or nothing that can be measured.
        VoxelMorphError: a file cannot be read, or does not fit the others.
    """
    unknown = sorted(set(files) - set(FILES))
    if unknown:
        raise ConfigError(f"{unknown[0]!r} cannot be measured. Give some of {', '.join(FILES)}.")
    return evaluate(read_subject("", {name: Path(file) for name, file in files.items()}), read_label_choice(labels))


def _overlap(subject: Subject, choice: LabelChoice) -> Iterator[Row]:
    fixed, moving, moved = subject.fixed_labels, subject.moving_labels, subject.moved_labels
    other = moving if moving is not None else moved
    if fixed is None or other is None:
        return
    names = {**subject.label_names, **choice.names}
    groups = [structures_of(each, names, choice.numbers) for each in (fixed, other)]
    pairs, only_fixed, only_other = matched(*groups)
    if not pairs:
        raise ImageError(_nothing_in_common(fixed, other, choice))
    lost = only_fixed if moving is None else []  # a moved map that lacks a structure has lost it
    pairs += [(each, structure_of(each.label, moved, names)) for each in lost]
    after = subject.forward if moved is None else IDENTITY
    compared = [_compared(pair, moving, moved, names) for pair in sorted(pairs, key=lambda pair: pair[0].label)]
    grid, back = subject.fixed_grid or fixed.geometry, subject.moving_grid
    yield from overlap_rows(compared, grid, None if moving is None else IDENTITY, after)
    if moving is not None and back is not None and subject.inverse is not None:
        yield from back_rows(pairs, back, IDENTITY, subject.inverse)
    yield from alone_rows([each for each in only_fixed if each not in lost], other.name)
    yield from alone_rows(only_other, fixed.name)


def _compared(
    pair: tuple[Structure, Structure], moving: LabelMap | None, moved: LabelMap | None, names: dict[int, str]
) -> Compared:
    truth, other = pair
    after = other if moved is None or moving is None else structure_of(other.label, moved, names)
    return Compared(truth, None if moving is None else other, after)


def _nothing_in_common(fixed: LabelMap, other: LabelMap, choice: LabelChoice) -> str:
    present = [_few(labels.labels().tolist()) for labels in (fixed, other)]
    asked = f" among those of --labels ({_few(choice.numbers)})" if choice.numbers else ""
    return (
        f"{fixed.name} with the labels {present[0]} and {other.name} with {present[1]} have none in common{asked}. "
        "Give label maps of the same structures with the same numbers or names."
    )


def _few(numbers: Sequence[int]) -> str:
    return (", ".join(map(str, numbers[:8])) or "none") + (", ..." if len(numbers) > 8 else "")


def _landmarks(subject: Subject) -> Iterator[Row]:
    if subject.landmarks is not None:
        yield from landmark_rows(subject.landmarks, IDENTITY, subject.forward)


def _transforms(subject: Subject) -> Iterator[Row]:
    if subject.forward is None:
        return
    grid = subject.fixed_grid or _own_grid(subject.forward)
    yield from volume_change_rows(volume_change(subject.forward, grid, subject.fixed))
    if subject.inverse is not None:
        yield from consistency_rows(subject.forward, subject.inverse, grid)
        back = subject.moving_grid or _own_grid(subject.inverse)
        yield from consistency_rows(subject.inverse, subject.forward, back, CONSISTENCY_BACK)


def _similarities(subject: Subject) -> Iterator[Row]:
    fixed, moving, moved = subject.fixed, subject.moving, subject.moved
    if fixed is None or (moving is None and moved is None):
        return
    yield from similarity_rows(fixed, moving, moved, IDENTITY, subject.forward)
    if moving is not None and subject.inverse is not None:
        for row in similarity_rows(moving, fixed, None, IDENTITY, subject.inverse):
            yield dataclasses.replace(row, measure=_BACK[row.measure])


def _own_grid(transform: Transform) -> Geometry:
    """Of the first field of a transform; where it is linear, a small one, as it is the same everywhere."""
    parts = transform.transforms if isinstance(transform, CompositeTransform) else (transform,)
    grids = [part.geometry for part in parts if isinstance(part, DisplacementField)]
    return grids[0] if grids else Geometry((8, 8, 8), np.eye(4))
