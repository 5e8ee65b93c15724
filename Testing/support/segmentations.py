"""Segmentation nodes for tests, made and read by Slicer's own calls."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import slicer
from VoxelMorphLib.core.image import LabelMap
from vtk import vtkMatrix4x4
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
    """(I, J, K), bool, the voxels of one segment on the reference grid of the node, or on that of its layer."""
    segment = node.GetSegmentation().GetSegment(segment_id)
    image = segment.GetRepresentation(BINARY)
    array = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(image.GetDimensions()[::-1]).transpose(2, 1, 0)
    filled, grid = array == segment.GetLabelValue(), _reference_grid(node)
    if grid is None:
        return filled
    first = np.linalg.solve(_affine(grid), _affine(image) @ [*image.GetExtent()[::2], 1])[:3]
    np.testing.assert_allclose(first, np.round(first), atol=1e-3)
    whole = np.zeros(grid.GetDimensions(), bool)
    whole[tuple(slice(int(low), int(low) + n) for low, n in zip(np.round(first), filled.shape))] = filled
    return whole


def _reference_grid(node):
    """Voxelless image of the grid that the segment editor works on."""
    if not node.GetNodeReferenceID(node.GetReferenceImageGeometryReferenceRole()):
        return None
    name = slicer.vtkSegmentationConverter.GetReferenceImageGeometryParameterName()
    text = node.GetSegmentation().GetConversionParameter(name)
    grid = slicer.vtkOrientedImageData()
    slicer.vtkSegmentationConverter.DeserializeImageGeometry(text, grid, False)
    return grid


def _affine(image) -> np.ndarray:
    matrix = vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)


def _oriented_image(labels: LabelMap):
    image = slicer.vtkOrientedImageData()
    image.SetDimensions(labels.array.shape)
    image.SetImageToWorldMatrix(slicer.util.vtkMatrixFromArray(labels.geometry.affine))
    image.GetPointData().SetScalars(numpy_to_vtk(labels.array.ravel(order="F"), deep=True))
    return image
