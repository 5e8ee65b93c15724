"""The lists of a configuration -> cases to train on, pairs of them, and pairs to validate with."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ...core.errors import ConfigError
from ...core.io.files import extension
from ..config import TrainingConfig
from . import bids
from .attributes import with_attributes
from .case import Case, stem, unique_names
from .files import label_column, list_pairs, list_paths


def read_cases(config: TrainingConfig) -> tuple[Case, ...]:
    """The images to train on with their label maps and attributes; files are not opened yet, except .npz indices.

    Args:
        config: names the images by `image_list`, or else by `pair_list`.

    Raises:
        ConfigError: no list, lists that do not fit each other, or nothing in them.
    """
    if config.image_list:
        images = list_paths(config.image_list, "image_list", config.image_prefix, config.image_suffix)
        labels = _labels_of(images, config)
    elif config.pair_list:
        images, labels = _cases_of_pairs(config)
    else:
        raise ConfigError("There are no images to train on. Give image_list or pair_list.")
    doubled = len(images) - len(set(images))
    if doubled:
        raise ConfigError(f"image_list names {doubled} images twice, such as {_first_double(images)}. Name each once.")
    cases = [Case(name, image, label) for name, image, label in zip(unique_names(images), images, labels)]
    return tuple(with_attributes(cases, config.attributes) if config.attributes else cases)


def read_pairs(config: TrainingConfig, cases: Sequence[Case]) -> tuple[tuple[Case, Case], ...]:
    """The pairs (moving, fixed) of `pair_list`; nothing without the list.

    Raises:
        ConfigError: the list is unreadable, or names an image that is not among the cases.
    """
    if not config.pair_list:
        return ()
    found = {case.image: case for case in cases}
    pairs = list_pairs(config.pair_list, "pair_list", config.image_prefix, config.image_suffix)
    if not config.attributes:  # whoever is not in their table has been left out
        unknown = [image for pair in pairs for image in pair if image not in found]
        if unknown:
            raise ConfigError(f"pair_list names {unknown[0]}, which image_list does not. Add it, or drop image_list.")
    return tuple((found[a], found[b]) for a, b in pairs if a in found and b in found)


def read_validation(config: TrainingConfig, cases: Sequence[Case]) -> tuple[tuple[Case, Case], ...]:
    """The pairs (moving, fixed) of `validation_list`; nothing without the list.

    Args:
        config: the lists.
        cases: of the training, whose label maps count where `validation_label_list` is empty.

    Raises:
        ConfigError: lists that cannot be read or do not fit each other.
    """
    if not config.validation_list:
        return ()
    pairs = list_pairs(config.validation_list, "validation_list", config.image_prefix, config.image_suffix)
    images = [image for pair in pairs for image in pair]
    if config.validation_label_list:
        labels = [
            label
            for pair in list_pairs(
                config.validation_label_list, "validation_label_list", config.label_prefix, config.label_suffix
            )
            for label in pair
        ]
        _check_count(labels, images, "validation_label_list", "validation_list")
    else:
        known = {case.image: case.labels for case in cases}
        labels = [known.get(image) or _own_labels(image) for image in images]
    found = dict(zip(images, labels))
    names = _names_beside(cases, list(found))
    rows = {image: Case(name, image, found[image]) for name, image in zip(names, found)}
    if config.attributes:
        rows = {case.image: case for case in with_attributes(list(rows.values()), config.attributes)}
        pairs = [pair for pair in pairs if pair[0] in rows and pair[1] in rows]
    return tuple((rows[moving], rows[fixed]) for moving, fixed in pairs)


def _labels_of(images: Sequence[Path], config: TrainingConfig) -> Sequence[Path | None]:
    if config.label_list:
        labels = list_paths(config.label_list, "label_list", config.label_prefix, config.label_suffix)
        _check_count(labels, images, "label_list", "image_list")
        return labels
    labels = label_column(config.image_list) or [_own_labels(image) for image in images]
    return _all_or_none(labels, images, config)


def _cases_of_pairs(config: TrainingConfig) -> tuple[list[Path], list[Path | None]]:
    """Each image of the pair list once, with the label map that stands in its place of the label list."""
    pairs = list_pairs(config.pair_list, "pair_list", config.image_prefix, config.image_suffix)
    images = [image for pair in pairs for image in pair]
    if config.label_list:
        rows = list_pairs(config.label_list, "label_list", config.label_prefix, config.label_suffix)
        labels: Sequence[Path | None] = [label for row in rows for label in row]
        _check_count(labels, images, "label_list", "pair_list")
    else:
        labels = _all_or_none([_own_labels(image) for image in images], images, config)
    found = dict(zip(images, labels))
    return list(found), list(found.values())


def _own_labels(image: Path) -> Path | None:
    """The label map that an image brings along: `seg` of its .npz file, or the one of its BIDS folder."""
    if extension(image) != ".npz":
        return bids.label_map(image)
    try:
        with np.load(image, allow_pickle=False) as archive:
            return image if "seg" in archive.files else None
    except Exception:  # whatever is wrong is said when the image is read
        return None


def _all_or_none(labels: list[Path | None], images: Sequence[Path], config: TrainingConfig) -> list[Path | None]:
    """Label maps that were found beside the images serve only when no image lacks one."""
    missing = [image for image, label in zip(images, labels) if label is None]
    if not missing or len(missing) == len(images):
        return labels
    text = f"{len(missing)} of {len(images)} images have no label map beside them, such as {missing[0]}."
    if config.labels:
        raise ConfigError(f"{text} Give label_list, or images that all have one.")
    warnings.warn(f"{text} The label maps of the others are not used.", stacklevel=2)
    return [None] * len(images)


def _check_count(labels: Sequence, images: Sequence, label_option: str, image_option: str) -> None:
    if len(labels) != len(images):
        raise ConfigError(
            f"{label_option} names {len(labels)} label maps for the {len(images)} images of {image_option}. "
            "Give one for each image, in the same order."
        )


def _first_double(images: Sequence[Path]) -> Path:
    return next(image for place, image in enumerate(images) if image in images[:place])


def read_atlas(config: TrainingConfig, cases: Sequence[Case]) -> Case | None:
    """The atlas with its label map, under a name that none of the cases has; None without."""
    if not config.atlas:
        return None
    path = Path(config.atlas).expanduser().absolute()
    labels = Path(config.atlas_labels).expanduser().absolute() if config.atlas_labels else _own_labels(path)
    name = stem(path) if stem(path) not in {case.name for case in cases} else str(path)
    return Case(name, path, labels)


def _names_beside(cases: Sequence[Case], images: Sequence[Path]) -> list[str]:
    """Names of images: those of the cases that they are, and for others names that no case has."""
    known, taken = {case.image: case.name for case in cases}, {case.name for case in cases}
    names = unique_names(images)
    return [known.get(image) or (name if name not in taken else str(image)) for name, image in zip(names, images)]
