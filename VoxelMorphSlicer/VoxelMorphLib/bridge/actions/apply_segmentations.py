"""Segmentations moved by a transform, as label maps; names, colours and tags of the segments are kept."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import slicer

from ...core.arrays import bounding_box
from ...core.errors import OutputError
from ...core.geometry import Geometry
from ...core.image import LabelMap
from ...core.image_resampling import MULTILABEL
from ...core.transform import Transform
from ..background.steps import Steps
from ..scene.segment_layers import BINARY, Layer, binary_segmentation, oriented_image, segment_layers
from ..scene.volume_nodes import i_fastest
from .apply_points import copy_display
from .apply_volumes import warn_of_loss


def segmentation_steps(
    node: slicer.vtkMRMLSegmentationNode,
    transform: Transform,
    to_world: np.ndarray,
    geometry: Geometry,
    target: slicer.vtkMRMLSegmentationNode | None = None,
    reference: slicer.vtkMRMLScalarVolumeNode | None = None,
    smooth: bool = False,
) -> Steps:
    """Resample every segment; overlapping segments stay overlapping.

    Args:
        node: is not changed.
        transform: world of the result -> world of `node`, without VTK.
        to_world: (4, 4), own coordinates of `node` -> its world.
        geometry: grid of the result, in world coordinates.
        target: receives the result instead of what it holds; None creates a node.
        reference: volume whose grid `geometry` is, for the segment editor.
        smooth: interpolate the borders of the segments instead of taking the nearest neighbour.

    Returns:
        A function that writes the result into the scene and returns its node, under no parent transform; segments keep
        identifier, name, colour, terminology, tags and order.

    Raises:
        ImageError: no segments, or none that can be turned into label maps.
        OutputError: `target` is no segmentation.
    """
    if target is not None and not isinstance(target, slicer.vtkMRMLSegmentationNode):
        raise OutputError(
            f"{target.GetName()} is a {target.GetClassName()} and cannot hold segments. Choose a segmentation."
        )
    source = binary_segmentation(node)
    segments = {segment_id: _described(source.GetSegment(segment_id)) for segment_id in source.GetSegmentIDs()}
    layers = []
    for layer in segment_layers(source, to_world, node.GetName()):
        layers.append(layer)
        yield None
    rule = MULTILABEL if smooth else "nearest"
    maps = [_padded(layer) if smooth else _voxels_of(layer) for layer in layers]
    labels = yield lambda: [trimmed(transform.resample(each, geometry, rule)) for each in maps]
    warn_of_loss(node.GetName(), [_voxels_of(layer) for layer in layers], labels)
    moved = slicer.vtkSegmentation()
    moved.SetSourceRepresentationName(BINARY)
    images = {}
    for layer, resampled in zip(layers, labels):
        images.update(dict.fromkeys(layer.segment_ids, oriented_image(resampled)))
        yield None
    for segment_id, segment in segments.items():
        if segment_id in images:  # the others were removed in the meantime
            segment.AddRepresentation(BINARY, images[segment_id])
            moved.AddSegment(segment, segment_id)
    return lambda: _write(moved, node, target, reference)


def trimmed(labels: LabelMap) -> LabelMap:
    """Crop to the labelled voxels, in VTK's memory order; Slicer keeps one such layer per segment where all overlap."""
    box = bounding_box(labels.array != 0)
    array = labels.array[box] if labels.array[box].size else np.zeros((1, 1, 1), labels.array.dtype)
    place = labels.geometry.shifted([part.start for part in box], array.shape)
    return i_fastest(replace(labels, array=array, geometry=place))


def _voxels_of(layer: Layer) -> LabelMap:
    """The label map of a layer; one empty voxel where it has none."""
    return layer.labels or LabelMap(np.zeros((1, 1, 1), np.uint8), Geometry((1, 1, 1), np.eye(4)))


def _padded(layer: Layer) -> LabelMap:
    """The label map of a layer within background, so that its outermost voxels have a border too."""
    labels = _voxels_of(layer)
    array = np.pad(labels.array, 1)
    return replace(labels, array=array, geometry=labels.geometry.shifted((-1, -1, -1), array.shape))


def _described(example: slicer.vtkSegment) -> slicer.vtkSegment:
    """An empty segment with the same name, colour and tags."""
    segment = slicer.vtkSegment()
    segment.DeepCopyMetadata(example)
    return segment


def _write(
    moved: slicer.vtkSegmentation,
    node: slicer.vtkMRMLSegmentationNode,
    target: slicer.vtkMRMLSegmentationNode | None,
    reference: slicer.vtkMRMLScalarVolumeNode | None,
) -> slicer.vtkMRMLSegmentationNode:
    if target is None:
        scene = node.GetScene()
        name = scene.GenerateUniqueName(f"{node.GetName()} moved")
        target = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
    with slicer.util.NodeModify(target):
        target.SetAndObserveTransformNodeID(None)
        target.SetAndObserveSegmentation(moved)
        if reference is not None:
            target.SetReferenceImageGeometryParameterFromVolumeNode(reference)
    copy_display(target, node)
    return target
