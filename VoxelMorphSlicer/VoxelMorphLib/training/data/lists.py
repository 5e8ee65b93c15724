"""The lists of a configuration -> cases to train on, their attributes, pairs of them, and pairs to validate with."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ...core.attributes import Attribute, describe
from ...core.errors import ConfigError
from ...core.io.image_lists import bids_subject, label_column, list_pairs, list_paths, own_label_map, read_table
from ...core.io.names import stem, unique_names
from ...core.io.paths import expanded
from ..options import TrainingConfig
from .case import Case
from .sampling import held_back

Pair = tuple[Case, Case]


def read_cases(config: TrainingConfig) -> tuple[Case, ...]:
    """The images to train on with their label maps and attributes; files are not opened yet, except .npz indices.

    Args:
        config: names the images by `image_list`, or else by `pair_list`.

    Raises:
        ConfigError: no list, lists that do not fit each other, or nothing in them.
    """
    if config.images == "labels":
        if not config.label_list:
            raise ConfigError(f"The recipe {config.recipe} makes its images of label maps. Give label_list.")
        images = list_paths(config.label_list, "label_list", config.label_prefix, config.label_suffix)
        labels: Sequence[Path | None] = images
    elif config.image_list:
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
    if not config.attributes:  # images that their table does not name have been left out
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
    around = config.image_prefix, config.image_suffix
    pairs = list_pairs(config.validation_list, "validation_list", *around, only_missing=True)
    images = [image for pair in pairs for image in pair]
    if config.validation_label_list:
        around = config.label_prefix, config.label_suffix
        rows = list_pairs(config.validation_label_list, "validation_label_list", *around, only_missing=True)
        labels = [label for row in rows for label in row]
        _check_count(labels, images, "validation_label_list", "validation_list")
    else:
        known = {case.image: case.labels for case in cases}
        labels = [known.get(image) or own_label_map(image) for image in images]
    found = dict(zip(images, labels))
    names = _names_beside(cases, list(found))
    by_image = {image: Case(name, image, found[image]) for name, image in zip(names, found)}
    if config.attributes:
        by_image = {case.image: case for case in with_attributes(list(by_image.values()), config.attributes)}
        pairs = [pair for pair in pairs if pair[0] in by_image and pair[1] in by_image]
    return tuple((by_image[moving], by_image[fixed]) for moving, fixed in pairs)


def read_atlas(config: TrainingConfig, cases: Sequence[Case]) -> Case | None:
    """The atlas with its label map, under a name that none of the cases has; None without."""
    if not config.atlas:
        return None
    path = expanded(config.atlas).absolute()
    labels = expanded(config.atlas_labels).absolute() if config.atlas_labels else own_label_map(path)
    name = stem(path) if stem(path) not in {case.name for case in cases} else str(path)
    return Case(name, path, labels)


def read_attributes(path: str) -> dict[str, tuple[float, ...]]:
    """The numbers of each row by the text in its first column.

    Args:
        path: .csv or .tsv file; the first row is a header.

    Raises:
        ConfigError: missing file, a row without name, twice the same name, or a cell that is no finite number.
    """
    file = expanded(path)
    header, rows = read_table(file, "attributes")
    table: dict[str, tuple[float, ...]] = {}
    for number, (name, *cells) in enumerate(rows, start=2):
        if not name or name in table:
            raise ConfigError(f"Row {number} of attributes {path!r} names {name or 'no image'}{' again' * bool(name)}.")
        if len(cells) != len(header) - 1 or not cells:
            raise ConfigError(
                f"Row {number} ({name}) of attributes {path!r} has {len(cells)} numbers, but the header "
                f"{len(header) - 1}. Write the image's name and then one number per column."
            )
        table[name] = tuple(_number(cell, title, number, path) for cell, title in zip(cells, header[1:]))
    return table


def described_attributes(path: str, cases: Sequence[Case]) -> tuple[Attribute, ...]:
    """Name, unit and distribution of each column of a table that was read, over the cases that are trained on."""
    header, _ = read_table(expanded(path), "attributes")
    columns = zip(*(case.attributes for case in cases))
    return tuple(describe(title, values) for title, values in zip(header[1:], columns))


def with_attributes(cases: Sequence[Case], path: str) -> list[Case]:
    """The cases that the table names, by path, file name, name or BIDS subject; a warning counts the others.

    Raises:
        ConfigError: as `read_attributes`, or the table names none of the cases.
    """
    table = read_attributes(path)
    found = [(case, _row(case, table)) for case in cases]
    missing = [case.name for case, row in found if row is None]
    if len(missing) == len(cases):
        raise ConfigError(
            f"attributes {path!r} names none of the {len(cases)} images; it has rows for {_few(list(table))}, "
            f"the images are {_few(missing)}. Write the images' names into its first column."
        )
    if missing:
        warnings.warn(
            f"{len(missing)} of {len(cases)} images are left out because attributes {path!r} has no row for them: "
            f"{_few(missing)}.",
            stacklevel=2,
        )
    return [replace(case, attributes=row) for case, row in found if row is not None]


@dataclass(frozen=True)
class Split:
    """The cases of a training.

    Args:
        cases: to train on.
        pairs: (moving, fixed) of them, where a list names pairs.
        validation: (moving, fixed), of other cases.
    """

    cases: tuple[Case, ...]
    pairs: tuple[Pair, ...] = ()
    validation: tuple[Pair, ...] = ()

    def without(self, names: set[str]) -> Split:
        """The split without some cases and the pairs they are in."""

        def kept(pairs: Sequence[Pair]) -> tuple[Pair, ...]:
            return tuple(pair for pair in pairs if not {case.name for case in pair} & names)

        cases = tuple(case for case in self.cases if case.name not in names)
        return Split(cases, kept(self.pairs), kept(self.validation))

    def places(self) -> tuple[tuple[int, int], ...]:
        """The pairs as places in the cases."""
        found = {case.name: place for place, case in enumerate(self.cases)}
        return tuple((found[moving.name], found[fixed.name]) for moving, fixed in self.pairs)


def hold_back(split: Split, config: TrainingConfig, atlas: Case | None) -> Split:
    """Take the cases of the validation out of the training.

    Args:
        split: all cases, pairs and, from `validation_list`, validation pairs.
        config: `validation_pairs` counts where there is no `validation_list`; its seed decides which.
        atlas: the fixed image of all pairs, or None.

    Raises:
        ConfigError: too few images for so many pairs, or no pair of the list can be used.
    """
    if config.validation_list:
        if not split.validation:
            raise ConfigError(
                f"No pair of validation_list {config.validation_list!r} can be used. Check its files, or leave it out."
            )
        taken = {case.image.resolve() for pair in split.validation for case in pair}
        names = {case.name for case in split.cases if case.image.resolve() in taken}
        if names:
            warnings.warn(
                f"{len(names)} of {len(split.cases)} images are not trained on because validation_list uses them.",
                stacklevel=3,
            )
        return replace(split.without(names), validation=split.validation)
    validation = _random_pairs(split, config.seed, atlas)[: config.validation_pairs]
    if len(validation) < config.validation_pairs:
        raise ConfigError(
            f"validation_pairs is {config.validation_pairs}, but {len(split.cases)} images give only "
            f"{len(validation)} pairs. Lower it."
        )
    names = {case.name for pair in validation for case in pair if case is not atlas}
    return replace(split.without(names), validation=tuple(validation))


def check_enough(split: Split, config: TrainingConfig, needed: int, left_out: int) -> None:
    """Raise ConfigError where there is nothing to draw samples from.

    Args:
        split: what is left for the training.
        config: of the training.
        needed: different images of one sample.
        left_out: cases that cannot be read.
    """
    lacks_pair = bool(config.pair_list) and needed == 2 and not split.pairs
    if len(split.cases) >= needed and not lacks_pair:
        return
    what = "a pair of pair_list" if lacks_pair else "an image" if needed == 1 else "two different images"
    raise ConfigError(
        f"A sample needs {what}, but {len(split.cases)} images are left to train on besides {len(split.validation)} "
        f"validation pairs and {left_out} cases that cannot be used. Add images to the list."
    )


def _labels_of(images: Sequence[Path], config: TrainingConfig) -> Sequence[Path | None]:
    if config.label_list:
        labels = list_paths(config.label_list, "label_list", config.label_prefix, config.label_suffix)
        _check_count(labels, images, "label_list", "image_list")
        return labels
    labels = label_column(config.image_list) or [own_label_map(image) for image in images]
    return _all_or_none(labels, images, config)


def _cases_of_pairs(config: TrainingConfig) -> tuple[list[Path], list[Path | None]]:
    """Each image of the pair list once, with the label map at its place in the label list."""
    pairs = list_pairs(config.pair_list, "pair_list", config.image_prefix, config.image_suffix)
    images = [image for pair in pairs for image in pair]
    if config.label_list:
        rows = list_pairs(config.label_list, "label_list", config.label_prefix, config.label_suffix)
        labels: Sequence[Path | None] = [label for row in rows for label in row]
        _check_count(labels, images, "label_list", "pair_list")
    else:
        labels = _all_or_none([own_label_map(image) for image in images], images, config)
    found = dict(zip(images, labels))
    return list(found), list(found.values())


def _all_or_none(labels: list[Path | None], images: Sequence[Path], config: TrainingConfig) -> list[Path | None]:
    """Label maps that were found beside the images are used only where every image has one."""
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


def _names_beside(cases: Sequence[Case], images: Sequence[Path]) -> list[str]:
    """Names of images: those of the cases that they are, and for others names that no case has."""
    known, taken = {case.image: case.name for case in cases}, {case.name for case in cases}
    names = unique_names(images)
    return [known.get(image) or (name if name not in taken else str(image)) for name, image in zip(names, images)]


def _row(case: Case, table: dict[str, tuple[float, ...]]) -> tuple[float, ...] | None:
    keys = (str(case.image), case.name, case.image.name, stem(case.image), bids_subject(case.image))
    return next((table[key] for key in keys if key in table), None)


def _number(cell: str, title: str, row: int, path: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ConfigError(f"Row {row} of attributes {path!r} has {cell!r} as {title}. Write a number.")
    return value


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")


def _random_pairs(split: Split, seed: int, atlas: Case | None) -> list[Pair]:
    """Pairs in a random order: those of the list, or of cases that are in one pair only."""
    if split.pairs and atlas is None:
        return [split.pairs[place] for (place,) in held_back(seed, len(split.pairs), 1)]
    groups = held_back(seed, len(split.cases), 2 if atlas is None else 1)
    cases = [[split.cases[place] for place in group] for group in groups]
    return [(group[0], group[1] if atlas is None else atlas) for group in cases]
