"""Named structures of label maps that can be sampled on any grid, and matching pairs of them."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..core.geometry import Geometry
from ..core.image import LabelMap
from ..core.transform import Transform


@dataclass(frozen=True, eq=False)
class Structure:
    """One segment, or one label of a label map.

    Args:
        name: of the segment or of the label's colour.
        label: its number in `labels`.
        labels: label map that holds it, in world coordinates; None for a segment without voxels.
        is_numbered: whether no other structure of its node has its number.
    """

    name: str
    label: int
    labels: LabelMap | None
    is_numbered: bool = True

    @property
    def title(self) -> str:
        """What people read: number and name, such as "label 17 (left hippocampus)"."""
        number = f"label {self.label}"
        return f"{number} ({self.name.strip()})" if self.is_numbered and self.name != number else self.name.strip()


def structures_of(
    labels: LabelMap, names: Mapping[int, str] | None = None, wanted: Sequence[int] | None = None
) -> list[Structure]:
    """The structures of a label map, ascending.

    Args:
        labels: the map.
        names: of the labels; others are called "label 17".
        wanted: labels that count; None takes all.
    """
    found = [int(label) for label in labels.labels()]
    kept = found if wanted is None else [label for label in found if label in set(wanted)]
    return [structure_of(label, labels, names) for label in kept]


def structure_of(label: int, labels: LabelMap | None, names: Mapping[int, str] | None = None) -> Structure:
    """One label as a structure, whether it occurs in `labels` or not."""
    return Structure((names or {}).get(label) or f"label {label}", label, labels)


def matched(
    fixed: Sequence[Structure], moving: Sequence[Structure]
) -> tuple[list[tuple[Structure, Structure]], list[Structure], list[Structure]]:
    """Pairs of the same structure: of equal name, else of equal label number where that is unambiguous.

    Returns:
        The pairs in the order of `fixed`, and what is left of `fixed` and of `moving`.
    """
    partners = _pair(fixed, moving, lambda structure: structure.name.strip().casefold())
    left = [[s for s in group if s not in used] for group, used in ((fixed, partners), (moving, partners.values()))]
    partners.update(_pair(left[0], left[1], lambda structure: structure.label))
    found = set(partners.values())
    pairs = [(structure, partners[structure]) for structure in fixed if structure in partners]
    return pairs, [s for s in fixed if s not in partners], [s for s in moving if s not in found]


class Sampler:
    """Structures resampled through one transform onto one grid; the latest label maps are cached.

    Args:
        transform: world of the grid -> world of the structures.
        geometry: the grid.
        kept: number of label maps in the cache; every segment can have its own, as large as the grid.
    """

    def __init__(self, transform: Transform, geometry: Geometry, kept: int = 2):
        self.transform, self.geometry, self.kept = transform, geometry, kept
        self._sampled: OrderedDict[int, np.ndarray] = OrderedDict()

    def mask(self, structure: Structure) -> np.ndarray:
        """(I, J, K), bool."""
        if structure.labels is None:
            return np.zeros(self.geometry.shape, bool)
        key = id(structure.labels)
        if key not in self._sampled:
            while len(self._sampled) >= self.kept:
                self._sampled.popitem(last=False)
            self._sampled[key] = self.transform.resample(structure.labels, self.geometry).array
        self._sampled.move_to_end(key)
        mask: np.ndarray = self._sampled[key] == structure.label
        return mask


def _pair(
    fixed: Sequence[Structure], moving: Sequence[Structure], key: Callable[[Structure], Hashable]
) -> dict[Structure, Structure]:
    """Structures whose key occurs exactly once on each side."""
    counts = [Counter(map(key, group)) for group in (fixed, moving)]
    by_key = {key(structure): structure for structure in moving}
    return {s: by_key[key(s)] for s in fixed if counts[0][key(s)] == counts[1][key(s)] == 1}
