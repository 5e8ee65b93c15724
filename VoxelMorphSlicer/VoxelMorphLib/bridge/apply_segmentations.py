"""Segmentations through a map between worlds, by their label maps; what is known about each segment stays."""

from __future__ import annotations

import numpy as np
import slicer

from ..core.errors import OutputError
from ..core.geometry import Geometry
from ..core.image import LabelMap
from ..core.transform import Transform
from .segment_layers import BINARY, binary_segmentation, oriented_image, segment_layers


def apply_to_segmentation(
    node: slicer.vtkMRMLSegmentationNode,
    transform: Transform,
    to_world: np.ndarray,
    geometry: Geometry,
    target: slicer.vtkMRMLSegmentationNode | None = None,
    reference: slicer.vtkMRMLScalarVolumeNode | None = None,
) -> slicer.vtkMRMLSegmentationNode:
    """Resample every segment by nearest neighbour; segments that overlap still do.

    Args:
        node: is not changed.
        transform: world of the result -> world of `node`.
        to_world: (4, 4), own coordinates of `node` -> its world.
        geometry: grid of the result, in world coordinates.
        target: receives the result instead of what it holds; None creates a node.
        reference: volume whose grid `geometry` is, for the segment editor.

    Returns:
        The node with the result, under no parent transform; segments keep identifier, name, colour, terminology, tags
        and order.

    Raises:
        ImageError: no segments, or none that can be turned into label maps.
        OutputError: `target` is no segmentation.
    """
    if target is not None and not isinstance(target, slicer.vtkMRMLSegmentationNode):
        raise OutputError(
            f"{target.GetName()} is a {target.GetClassName()} and cannot hold segments. Choose a segmentation."
        )
    moved = _moved_segmentation(node, transform, to_world, geometry)
    if target is None:
        scene = node.GetScene()
        name = scene.GenerateUniqueName(f"{node.GetName()} moved")
        target = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
    with slicer.util.NodeModify(target):
        target.SetAndObserveTransformNodeID(None)
        target.SetAndObserveSegmentation(moved)
        if reference is not None:
            target.SetReferenceImageGeometryParameterFromVolumeNode(reference)
    _show_like(target, node)
    return target


def _moved_segmentation(
    node: slicer.vtkMRMLSegmentationNode, transform: Transform, to_world: np.ndarray, geometry: Geometry
) -> slicer.vtkSegmentation:
    source = binary_segmentation(node)
    images = {}
    for layer in segment_layers(source, to_world, node.GetName()):
        labels = layer.labels or LabelMap(np.zeros((1, 1, 1), np.uint8), Geometry((1, 1, 1), np.eye(4)))
        image = oriented_image(transform.resample(labels, geometry))
        images.update(dict.fromkeys(layer.segment_ids, image))
    moved = slicer.vtkSegmentation()
    moved.SetSourceRepresentationName(BINARY)
    for segment_id in source.GetSegmentIDs():
        segment = slicer.vtkSegment()
        segment.DeepCopyMetadata(source.GetSegment(segment_id))
        segment.AddRepresentation(BINARY, images[segment_id])
        moved.AddSegment(segment, segment_id)
    return moved


def _show_like(node: slicer.vtkMRMLSegmentationNode, model: slicer.vtkMRMLSegmentationNode) -> None:
    """Visibility and opacity of every segment, where the node has no display of its own yet."""
    if node.GetDisplayNode() is None:
        node.CreateDefaultDisplayNodes()
        if model.GetDisplayNode() is not None:
            node.GetDisplayNode().CopyContent(model.GetDisplayNode())
