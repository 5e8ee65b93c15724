"""Segmentations and label maps -> named structures that can be sampled on any grid, and matching pairs of them."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import slicer

from ...core.errors import ImageError
from ...core.geometry import Geometry
from ...core.image import LabelMap
from ...core.transform import Transform
from ..scene.placement import matrix_to_world
from ..scene.segment_layers import binary_segmentation, segment_layers
from ..scene.volume_nodes import label_map_from_node


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


def structures_from_node(node: slicer.vtkMRMLNode, *ignored: slicer.vtkMRMLTransformNode | None) -> list[Structure]:
    """The structures of a segmentation or label map, in its order.

    Args:
        node: segmentation or volume of label numbers.
        ignored: transforms that do not count where the node lies under them; see `placement.matrix_to_world`.

    Raises:
        ImageError: the node is neither, or is empty.
        GeometryError: the node is under a non-linear parent.
    """
    if isinstance(node, slicer.vtkMRMLSegmentationNode):
        return _segments(node, matrix_to_world(node, *ignored))
    if not isinstance(node, slicer.vtkMRMLScalarVolumeNode):
        raise ImageError(
            f"{node.GetName()} is a {node.GetClassName()} and has no structures. Choose a segmentation or label map."
        )
    labels = label_map_from_node(node, matrix_to_world(node, *ignored))
    display = node.GetDisplayNode()
    colours = display.GetColorNode() if display is not None else None
    return [Structure(_name(int(label), colours), int(label), labels) for label in labels.labels()]


def matched(
    fixed: Sequence[Structure], moving: Sequence[Structure]
) -> tuple[list[tuple[Structure, Structure]], list[Structure], list[Structure]]:
    """Pairs of the same structure: of equal name, else of equal label number where that is unambiguous.

    Returns:
        The pairs in the order of `fixed`, and what is left of `fixed` and of `moving`.
    """
    partners = _pair(fixed, moving, lambda structure: structure.name.strip().casefold())
    left = [[s for s in group if s not in used] for group, used in ((fixed, partners), (moving, partners.values()))]
    partners.update(_pair(*left, lambda structure: structure.label))
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
        return self._sampled[key] == structure.label


def _segments(node: slicer.vtkMRMLSegmentationNode, to_world: np.ndarray) -> list[Structure]:
    segmentation = binary_segmentation(node)
    layer_of = {}
    for layer in segment_layers(segmentation, to_world, node.GetName()):
        layer_of.update(dict.fromkeys(layer.segment_ids, layer.labels))
    segments = [(segment_id, segmentation.GetSegment(segment_id)) for segment_id in segmentation.GetSegmentIDs()]
    used = Counter(segment.GetLabelValue() for _segment_id, segment in segments)  # drawn ones have 1 each
    return [
        Structure(segment.GetName(), label, layer_of.get(segment_id), used[label] == 1)
        for segment_id, segment, label in ((*item, item[1].GetLabelValue()) for item in segments)
    ]


def _name(label: int, colours: slicer.vtkMRMLColorNode | None) -> str:
    name = colours.GetColorName(label) if colours is not None else None
    return name if name and name != "(none)" else f"label {label}"


def _pair(fixed: Sequence[Structure], moving: Sequence[Structure], key) -> dict[Structure, Structure]:
    """Structures whose key occurs exactly once on each side."""
    counts = [Counter(map(key, group)) for group in (fixed, moving)]
    by_key = {key(structure): structure for structure in moving}
    return {s: by_key[key(s)] for s in fixed if counts[0][key(s)] == counts[1][key(s)] == 1}
