"""Scan all files of a training: which can be read, and which space and labels fit them."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from ...core.config import NetworkSpace
from ...core.errors import ConfigError, ImageError, VoxelMorphError
from ...core.io.images import read_image_geometry, read_label_map
from ...core.io.positions import warn_of_mixed_positions
from ..options import TrainingConfig
from .case import Case
from .lists import Split
from .space import TrainingSpace, choose_labels, common_shape, extents, merge_labels, parse_merges

#: Files that are read at a time.
THREADS = 4


@dataclass
class FileScan:
    """What a scan found, by the names of the cases.

    Args:
        extents: voxels of the training space that an image fills.
        labels: values in the label maps, by file name; empty where they were not read.
        reasons: why a case cannot be used.
    """

    extents: dict[str, tuple[int, ...]] = field(default_factory=dict)
    labels: dict[str, frozenset[int]] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)


def scan_files(
    split: Split, atlas: Case | None, config: TrainingConfig, multiple: int
) -> tuple[TrainingSpace, dict[str, str]]:
    """The space of a training; warnings tell of cases left out, images cropped and labels missing.

    Args:
        split: all cases.
        atlas: may not fail, or None.
        config: of the training.
        multiple: of the network.

    Returns:
        The space, and why cases cannot be used, by name.

    Raises:
        ImageError: no image or not the atlas can be read, or with `config.strict` one of them cannot.
        ConfigError: the label maps share no label.
    """
    cases = [*split.cases, *(case for pair in split.validation for case in pair)]
    unique = list({case.name: case for case in cases}.values())
    unlimited, merges = config.space(None, multiple), parse_merges(config.merge_labels)
    made = config.images == "labels"
    seen = scan_cases(unique, unlimited, merges, made or not config.labels, config.strict)
    if not seen.extents:
        name, reason = next(iter(seen.reasons.items()))
        raise ImageError(f"None of the {len(unique)} images can be read. {name}: {reason}")
    if seen.reasons:
        name, reason = next(iter(seen.reasons.items()))
        _warn(f"{len(seen.reasons)} of {len(unique)} images are left out. {name}: {reason}")
    if atlas is not None:
        found = scan_cases([atlas], unlimited, merges, not config.labels, strict=True)
        seen.extents.update(found.extents)
        seen.labels.update(found.labels)
    shape = tuple(config.shape) or common_shape(list(seen.extents.values()), multiple)
    _warn_of_cropping(seen.extents, shape)
    has_labels = any(case.labels for case in [*unique, *([atlas] if atlas else [])])
    if made:
        _check_known(config.labels, seen.labels)
    labels = _labels(config, seen.labels) if has_labels else ()
    read = [*unique, *([atlas] if atlas else [])]
    warn_of_mixed_positions(path for case in read for path in (case.image, case.labels))
    return TrainingSpace(config.space(shape, multiple), labels, merges, made), seen.reasons


def scan_cases(
    cases: Sequence[Case], space: NetworkSpace, merges: Mapping[int, int], read_labels: bool, strict: bool
) -> FileScan:
    """Read the geometry and, if asked, the labels of each case once.

    Args:
        cases: to scan.
        space: of the training; its shape does not matter.
        merges: labels that are read as others.
        read_labels: read the label maps, which takes long for large ones.
        strict: raise for the first case that cannot be used.

    Raises:
        VoxelMorphError: with `strict`.
    """
    result = FileScan()

    def look(case: Case) -> tuple[tuple[int, ...], frozenset[int]] | VoxelMorphError:
        try:
            size = extents(read_image_geometry(case.image), space)
            if case.labels is None or not read_labels:
                return size, frozenset()
            return size, frozenset(merge_labels(np.unique(read_label_map(case.labels).array), merges).tolist()) - {0}
        except VoxelMorphError as error:
            return error

    with ThreadPoolExecutor(THREADS) as pool:
        for case, seen in zip(cases, pool.map(look, cases)):
            if isinstance(seen, VoxelMorphError):
                if strict:
                    raise seen
                result.reasons[case.name] = str(seen)
                continue
            result.extents[case.name] = seen[0]
            if case.labels is not None and read_labels:
                result.labels[str(case.labels)] = seen[1]
    return result


def _labels(config: TrainingConfig, found: Mapping[str, frozenset[int]]) -> tuple[int, ...]:
    """Label maps that merely lie beside the images may have nothing in common."""
    try:
        labels, sentence = choose_labels(config.labels, found)
    except ConfigError as error:
        if config.label_list or config.validation_label_list or config.labels:
            raise
        labels, sentence = (), f"The label maps beside the images are not used. {error}"
    if sentence:
        _warn(sentence)
    return labels


def _check_known(wanted: tuple[int, ...], found: Mapping[str, frozenset[int]]) -> None:
    """Raise ConfigError for labels that no map has."""
    unknown = sorted(set(wanted) - frozenset().union(*found.values()) - {0})
    if unknown:
        raise ConfigError(
            f"labels names {', '.join(map(str, unknown[:5]))}{', ...' * (len(unknown) > 5)}, which no label map has. "
            "Leave out what is missing, or check label_list and merge_labels."
        )


def _warn_of_cropping(sizes: Mapping[str, tuple[int, ...]], shape: tuple[int, ...]) -> None:
    larger = [name for name, size in sizes.items() if any(n > limit for n, limit in zip(size, shape))]
    if larger:
        _warn(
            f"{len(larger)} images are larger than the training space {shape} and are cut about their middle: "
            f"{', '.join(larger[:3])}{', ...' * (len(larger) > 3)}. Give a larger shape to keep all of them."
        )


def _warn(text: str) -> None:
    warnings.warn(text, stacklevel=4)
