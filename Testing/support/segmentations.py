"""Segmentation nodes for tests, made and read by Slicer's own calls."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import slicer
from VoxelMorphLib.core.image import LabelMap
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

BINARY = "Binary labelmap"


def add_segmentation(name: str, layers: Sequence[LabelMap], segments: Sequence[tuple[str, str, int, int]]):
    """A segmentation node.

    Args:
        name: of the node.
        layers: label maps; segments of different layers may overlap.
        segments: identifier, name, index of the layer and label number of each segment, in this order.
    """
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
    images = [_oriented_image(labels) for labels in layers]
    for segment_id, title, layer, label in segments:
        segment = slicer.vtkSegment()
        segment.SetName(title)
        segment.SetLabelValue(label)
        segment.AddRepresentation(BINARY, images[layer])
        node.GetSegmentation().AddSegment(segment, segment_id)
    return node


def segment_voxels(node, segment_id: str) -> np.ndarray:
    """(I, J, K), bool, the voxels of one segment on the grid of its layer."""
    segment = node.GetSegmentation().GetSegment(segment_id)
    image = segment.GetRepresentation(BINARY)
    array = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(image.GetDimensions()[::-1]).transpose(2, 1, 0)
    return array == segment.GetLabelValue()


def _oriented_image(labels: LabelMap):
    image = slicer.vtkOrientedImageData()
    image.SetDimensions(labels.array.shape)
    image.SetImageToWorldMatrix(slicer.util.vtkMatrixFromArray(labels.geometry.affine))
    image.GetPointData().SetScalars(numpy_to_vtk(labels.array.ravel(order="F"), deep=True))
    return image
