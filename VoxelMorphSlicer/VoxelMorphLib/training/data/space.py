"""Cases on the disk -> tensors in the training space, by the same code that prepares a registration.

Label maps keep the labels that the training uses.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from torch import Tensor

from ...core.config import NetworkSpace
from ...core.errors import ConfigError, ImageError
from ...core.geometry import Geometry
from ...core.image import check_registrable
from ...core.io.images import read_image, read_label_map
from ...core.tensors import as_tensor
from ...core.transform import IDENTITY
from ...registration.network_space import encode, training_grid, whole_grid
from .case import Case

LARGEST = int(np.iinfo(np.int16).max)


@dataclass(frozen=True)
class Prepared:
    """One case in the training space.

    Args:
        image: (C, *shape), float32.
        labels: (1, *shape), int16, or None.
        extras: what the recipe derived from both, by name.
    """

    image: Tensor
    labels: Tensor | None = None
    extras: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class TrainingSpace:
    """The grid, intensities and labels of all tensors of a training.

    Args:
        space: with its `shape`.
        labels: values that are kept.
        merges: values that are read as others.
        keep_all: keep other labels of the maps too, because images are made of them.
    """

    space: NetworkSpace
    labels: tuple[int, ...] = ()
    merges: Mapping[int, int] = field(default_factory=dict)
    keep_all: bool = False

    def prepare(self, case: Case) -> Prepared:
        """Read a case and bring it onto its grid; the label map by nearest neighbour.

        Raises:
            ImageError: a file cannot be read, holds nothing, or image and label map lie at different places.
            GeometryError: an impossible position in a file.
        """
        if self.keep_all and case.image == case.labels:
            return self._label_map(case.image)
        image = read_image(case.image)
        for note in image.notes:
            warnings.warn(note, stacklevel=2)
        check_registrable(image, "training")
        if image.geometry.flat_axis is not None:
            raise ImageError(f"The training volume {case.image} is a single slice. Train on volumes.")
        grid = training_grid(image, self.space)
        tensor = encode(image, grid, self.space)[0]
        if not tensor.any():
            raise ImageError(f"{case.image} is constant where it lies in the training space. Choose another image.")
        if case.labels is None or not self.labels:
            return Prepared(tensor)
        labels = IDENTITY.resample(read_label_map(case.labels), grid).array
        return Prepared(tensor, self._kept(labels, case.labels))

    def _label_map(self, path: Path) -> Prepared:
        """A label map without an image, in whose place its own numbers stand."""
        whole = read_label_map(path)
        check_registrable(whole, "training")
        kept = self._kept(IDENTITY.resample(whole, training_grid(whole, self.space)).array, path)
        return Prepared(kept.float(), kept)

    def _kept(self, array: np.ndarray, path: Path) -> Tensor:
        kept = select_labels(array, self.labels, self.merges, str(path), self.keep_all)
        return as_tensor(kept)[None]


def extents(geometry: Geometry, space: NetworkSpace) -> tuple[int, ...]:
    """How many voxels of the training space an image fills along its axes."""
    return whole_grid(geometry, replace(space, shape=None)).shape


def common_shape(all_extents: Sequence[Sequence[int]], multiple: int) -> tuple[int, ...]:
    """The smallest shape that holds every image and that the network's levels divide."""
    largest = np.max(np.array(all_extents), axis=0)
    return tuple(int(n) for n in -(-largest // multiple) * multiple)


def parse_merges(text: str) -> dict[int, int]:
    """ "17=1 53=1" as {17: 1, 53: 1}; commas and spaces separate.

    Raises:
        ConfigError: something else, a label that is merged twice, or one that becomes larger than `LARGEST`.
    """
    merges: dict[int, int] = {}
    for word in re.split(r"[\s,;]+", text.strip()) if text.strip() else []:
        found = re.fullmatch(r"(\d+)=(\d+)", word)
        if not found or int(found.group(1)) in merges:
            raise ConfigError(f'merge_labels has {word!r}; write each label once, such as "17=1 53=1".')
        if int(found.group(2)) > LARGEST:
            raise ConfigError(
                f"merge_labels has {word!r}; labels of a training are at most {LARGEST}. Write a smaller one."
            )
        merges[int(found.group(1))] = int(found.group(2))
    return merges


def merge_labels(array: np.ndarray, merges: Mapping[int, int]) -> np.ndarray:
    """A copy in which labels are replaced, of a type that holds them; all at once, so "1=2 2=1" exchanges."""
    result = array.astype(np.result_type(array.dtype, np.min_scalar_type(max(merges.values(), default=0))))
    for old, new in merges.items():
        result[array == old] = new
    return result


def choose_labels(wanted: Sequence[int], found: Mapping[str, frozenset[int]]) -> tuple[tuple[int, ...], str]:
    """The labels of a training.

    Args:
        wanted: of the configuration; empty takes what all label maps have.
        found: labels, after merging and without 0, by the label map's name.

    Returns:
        The labels, ascending, and a sentence about those that not every map has; "" without such.

    Raises:
        ConfigError: the label maps share no label, a label that no map can hold, or only the background is wanted.
    """
    if not found and not wanted:
        return (), ""
    if set(wanted) == {0}:
        raise ConfigError(
            "labels names 0 alone, the background. Name other labels, or none to take all that are shared."
        )
    common = frozenset.intersection(*found.values()) if found else frozenset()
    every = frozenset().union(*found.values())
    labels = tuple(sorted(set(wanted) - {0} or common))
    if not labels:
        (first, a), (second, b) = _most_different(found)
        raise ConfigError(
            f"The label maps share no label: {first} has {_few(a)}, {second} has {_few(b)}. "
            "Choose label maps of one kind, or make them alike with merge_labels."
        )
    if labels[0] < 0 or labels[-1] > LARGEST:
        raise ConfigError(f"labels {_few(labels)} are outside 1 to {LARGEST}. Renumber them with merge_labels.")
    partial = sorted((every if not wanted else frozenset(labels)) - common) if found else []
    if not partial:
        return labels, ""
    lacking = next(name for name, values in found.items() if partial[0] not in values)
    use = "are left out" if not wanted else "are used all the same"
    return labels, f"Labels {_few(partial)} are not in every label map and {use}; {lacking} lacks {partial[0]}."


def select_labels(
    array: np.ndarray, labels: Sequence[int], merges: Mapping[int, int], name: str, keep_all: bool = False
) -> np.ndarray:
    """Merged labels as int16; unless `keep_all`, others than those of the training are 0.

    Raises:
        ImageError: none of the labels occurs, or with `keep_all` one of the map's is beyond `LARGEST`.
    """
    values = merge_labels(array, merges)
    if keep_all and (values.min() < 0 or values.max() > LARGEST):
        raise ImageError(
            f"{name} has labels from {values.min()} to {values.max()}; those that images are made of are from 0 to "
            f"{LARGEST}. Renumber them with merge_labels."
        )
    used = np.isin(values, labels)
    kept = (values if keep_all else np.where(used, values, 0)).astype(np.int16)
    if not used.any():
        raise ImageError(
            f"{name} has none of the labels {_few(labels)} in the training space. "
            "Check that it is the label map of this image."
        )
    return kept


def _most_different(found: Mapping[str, frozenset[int]]) -> tuple[tuple[str, frozenset[int]], ...]:
    """Two maps without a common label, or the first and the one most unlike it."""
    items = list(found.items())
    first = items[0]
    return first, min(items[1:] or items, key=lambda item: len(item[1] & first[1]))


def _few(values: Sequence[int] | frozenset[int]) -> str:
    ordered = sorted(values)
    return ", ".join(map(str, ordered[:8])) + (", ..." if len(ordered) > 8 else "") if ordered else "none"
