"""Segmentations as the label maps of their layers, and as masks of volumes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from ...core.errors import ImageError
from ...core.geometry import Geometry
from ...core.image import Image, LabelMap
from ...core.transform import IDENTITY
from ...registration.masks import fitted_mask
from .placement import matrix_to_world
from .volume_nodes import image_to_vtk, label_map_from_node

BINARY = "Binary labelmap"


@dataclass(frozen=True, eq=False)
class Layer:
    """Segments that do not overlap.

    Args:
        labels: their voxels; None when no segment of the layer has any.
        segment_ids: of the segments in the segmentation.
    """

    labels: LabelMap | None
    segment_ids: tuple[str, ...]


def segment_layers(segmentation: slicer.vtkSegmentation, to_world: np.ndarray, name: str) -> Iterator[Layer]:
    """The label maps of a segmentation, layer by layer.

    Args:
        segmentation: see `binary_segmentation`.
        to_world: (4, 4), own coordinates of the segmentation -> world.
        name: of the label maps.
    """
    for index in range(segmentation.GetNumberOfLayers(BINARY)):
        labels = _label_map(segmentation.GetLayerDataObject(index, BINARY), to_world, name)
        yield Layer(labels, tuple(segmentation.GetSegmentIDsForLayer(index, BINARY)))


def check_segments(node: slicer.vtkMRMLSegmentationNode) -> None:
    """Refuse a segmentation without content.

    Raises:
        ImageError: no segments.
    """
    segmentation = node.GetSegmentation()
    if segmentation is None or segmentation.GetNumberOfSegments() == 0:
        raise ImageError(f"The segmentation {node.GetName()} has no segments. Add or load some first.")


def binary_segmentation(node: slicer.vtkMRMLSegmentationNode) -> slicer.vtkSegmentation:
    """The segmentation with label maps: the node's own, or a converted copy where it holds surfaces.

    Raises:
        ImageError: no segments, or they cannot be turned into label maps.
    """
    check_segments(node)
    segmentation = node.GetSegmentation()
    if segmentation.GetSourceRepresentationName() == BINARY:
        return segmentation
    copy = slicer.vtkSegmentation()
    copy.DeepCopy(segmentation)
    if not copy.CreateRepresentation(BINARY) or copy.GetNumberOfSegments() != segmentation.GetNumberOfSegments():
        raise ImageError(
            f"The {segmentation.GetSourceRepresentationName()} segments of {node.GetName()} cannot be turned into "
            "label maps. Create the binary labelmap representation in the Segmentations module first."
        )
    return copy


def oriented_image(labels: LabelMap) -> slicer.vtkOrientedImageData:
    """A label map as a layer for segments, in its own world coordinates."""
    data = slicer.vtkOrientedImageData()
    data.ShallowCopy(image_to_vtk(labels))
    data.SetImageToWorldMatrix(slicer.util.vtkMatrixFromArray(labels.geometry.affine))
    return data


def mask_from_node(
    node: slicer.vtkMRMLNode | None,
    image: Image,
    role: str,
    *ignored: slicer.vtkMRMLTransformNode | None,
) -> LabelMap | None:
    """The region of a volume that a node marks.

    Args:
        node: segmentation, whose segments count together, label map, or volume of whole numbers; None for no mask.
        image: the volume, in world coordinates.
        role: "fixed" or "moving", for the messages.
        ignored: transforms that do not count where the node lies under them; see `placement.matrix_to_world`.

    Returns:
        0 and 1 on the grid of `image`; None without node.

    Raises:
        ImageError: the node is of another kind, or empty.
        GeometryError: the node is under a non-linear parent, or outside the volume.
    """
    if node is None:
        return None
    if isinstance(node, slicer.vtkMRMLSegmentationNode):
        labels = _segments(node, image, matrix_to_world(node, *ignored))
    elif isinstance(node, slicer.vtkMRMLScalarVolumeNode):
        labels = label_map_from_node(node, matrix_to_world(node, *ignored))
    else:
        raise ImageError(
            f"{node.GetName()} is a {node.GetClassName()} and cannot be a mask. Choose a segmentation or label map."
        )
    return fitted_mask(labels, image, role)


def _label_map(data: slicer.vtkOrientedImageData, to_world: np.ndarray, name: str) -> LabelMap | None:
    """Copy a layer; its extent is the part of a grid that the segments fill, so it begins anywhere."""
    shape = data.GetDimensions()
    scalars = data.GetPointData().GetScalars()
    if min(shape) < 1 or scalars is None:
        return None
    matrix = vtk.vtkMatrix4x4()
    data.GetImageToWorldMatrix(matrix)
    whole = Geometry(shape, to_world @ slicer.util.arrayFromVTKMatrix(matrix))
    array = vtk_to_numpy(scalars).reshape(shape[::-1]).T
    return LabelMap(np.array(array, order="C"), whole.shifted(data.GetExtent()[::2], shape), name)


def _segments(node: slicer.vtkMRMLSegmentationNode, image: Image, to_world: np.ndarray) -> LabelMap:
    """All segments together: as they are when they share voxels, else on the grid of the image."""
    layers = segment_layers(binary_segmentation(node), to_world, node.GetName())
    filled = [layer.labels for layer in layers if layer.labels is not None]
    if len(filled) == 1:
        return filled[0]
    inside = np.zeros(image.geometry.shape, np.uint8)
    for labels in filled:
        inside |= (IDENTITY.resample(labels, image.geometry).array != 0).astype(np.uint8)
    return LabelMap(inside, image.geometry, node.GetName())
