"""Volume nodes -> Geometry in world coordinates, through linear parent transforms."""

from __future__ import annotations

import numpy as np
import slicer
import vtk

from ..core.errors import GeometryError, ImageError
from ..core.geometry import Geometry


def has_voxels(node: slicer.vtkMRMLVolumeNode) -> bool:
    """True when the volume node holds an image with at least one scalar voxel."""
    image = node.GetImageData()
    return image is not None and image.GetNumberOfPoints() > 0 and image.GetPointData().GetScalars() is not None


def own_affine(node: slicer.vtkMRMLVolumeNode) -> np.ndarray:
    """(4, 4), array index (i, j, k) -> RAS mm of the node itself, without its parent transforms.

    Array index 0 is where the extent of the image data begins, which need not be voxel 0 of the node.
    """
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    affine = np.array(slicer.util.arrayFromVTKMatrix(matrix), dtype=np.float64)
    affine[:3, 3] += affine[:3, :3] @ np.array(node.GetImageData().GetExtent()[::2], float)
    return affine


def parent_matrix(node: slicer.vtkMRMLTransformableNode, stop: slicer.vtkMRMLTransformNode | None = None) -> np.ndarray:
    """(4, 4), RAS mm of the node itself -> RAS mm of the world, through all its parent transforms.

    Args:
        node: any node that can be under a transform.
        stop: one of the parents; the result then ends in the space of nodes directly under it.

    Raises:
        GeometryError: one of the parents is not linear.
    """
    parent = node.GetParentTransformNode()
    if parent is not None and not parent.IsTransformToNodeLinear(stop):
        raise GeometryError(
            f"{node.GetName()} is under the non-linear transform {parent.GetName()}. "
            "Harden the transform (Data module, right click on the node) or remove it, then try again."
        )
    matrix = vtk.vtkMatrix4x4()
    slicer.vtkMRMLTransformNode.GetMatrixTransformBetweenNodes(parent, stop, matrix)
    return np.array(slicer.util.arrayFromVTKMatrix(matrix), dtype=np.float64)


def volume_geometry(node: slicer.vtkMRMLVolumeNode, to_world: np.ndarray | None = None) -> Geometry:
    """The voxel grid of a volume node where the scene shows it: in world coordinates.

    Args:
        node: holds voxels.
        to_world: (4, 4), takes the place of the node's parent transforms.

    Raises:
        ImageError: the node holds no voxels.
        GeometryError: a parent transform is not linear, or the grid is sheared or singular.
    """
    if not has_voxels(node):
        raise ImageError(f"The volume {node.GetName()} holds no voxels. Load or create its image first.")
    affine = (parent_matrix(node) if to_world is None else to_world) @ own_affine(node)
    try:
        return Geometry(node.GetImageData().GetDimensions(), affine)
    except GeometryError as error:
        raise GeometryError(f"The volume {node.GetName()} cannot be used: {error}") from error
