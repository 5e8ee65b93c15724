"""Segmentations and label maps of the scene -> named structures."""

from __future__ import annotations

from collections import Counter

import numpy as np
import slicer

from ...core.errors import ImageError
from ...evaluation.structures import Structure
from ..scene.placement import matrix_to_world
from ..scene.segment_layers import binary_segmentation, segment_layers
from ..scene.volume_nodes import label_map_from_node


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
