"""Segmentations and label maps -> the mask of a volume."""

from __future__ import annotations

import numpy as np
import slicer

from ..core.errors import ImageError
from ..core.image import Image, LabelMap
from ..core.transform import IDENTITY
from ..registration.masks import fitted_mask
from .node_maps import matrix_to_world
from .segment_layers import binary_segmentation, segment_layers
from .volume_nodes import label_map_from_node


def mask_from_node(
    node: slicer.vtkMRMLNode | None,
    image: Image,
    role: str,
    *under: slicer.vtkMRMLTransformNode | None,
) -> LabelMap | None:
    """What a node marks of a volume.

    Args:
        node: segmentation, whose segments count together, label map, or volume of whole numbers; None for no mask.
        image: the volume, in world coordinates.
        role: "fixed" or "moving", for the messages.
        under: transforms that do not count where the node lies under them; see `node_maps.matrix_to_world`.

    Returns:
        0 and 1 on the grid of `image`; None without node.

    Raises:
        ImageError: neither of these kinds, or empty.
        GeometryError: under a non-linear parent, or beside the volume.
    """
    if node is None:
        return None
    if isinstance(node, slicer.vtkMRMLSegmentationNode):
        labels = _segments(node, image, matrix_to_world(node, *under))
    elif isinstance(node, slicer.vtkMRMLScalarVolumeNode):
        labels = label_map_from_node(node, matrix_to_world(node, *under))
    else:
        raise ImageError(
            f"{node.GetName()} is a {node.GetClassName()} and cannot be a mask. Choose a segmentation or label map."
        )
    return fitted_mask(labels, image, role)


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
