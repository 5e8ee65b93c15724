"""Volume nodes through a map between worlds: one interpolation of the original voxels onto a grid, never hardened."""

from __future__ import annotations

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from ..core.errors import ImageError, OutputError
from ..core.geometry import Geometry
from ..core.image import Image
from ..core.transform import Transform
from .node_geometry import volume_geometry
from .steps import Steps
from .volume_nodes import i_fastest, image_from_node, image_to_node, is_colour, show_like

VECTOR_CLASS = "vtkMRMLVectorVolumeNode"


def volume_steps(
    node: slicer.vtkMRMLScalarVolumeNode,
    transform: Transform,
    to_world: np.ndarray,
    geometry: Geometry,
    target: slicer.vtkMRMLScalarVolumeNode | None = None,
    interpolation: str = "linear",
) -> Steps:
    """Resample a scalar, label map or colour volume.

    Args:
        node: is not changed.
        transform: world of the result -> world of `node`, without VTK.
        to_world: (4, 4), own coordinates of `node` -> its world.
        geometry: grid of the result, in world coordinates.
        target: receives the result; None creates a node of the same class.
        interpolation: of intensities; label maps are always sampled by nearest neighbour.

    Returns:
        A function that writes the result into the scene and returns its node, under no parent transform.

    Raises:
        ImageError: vectors or tensors, which a resampling would have to turn too.
        OutputError: `target` is of another class.
    """
    if isinstance(node, slicer.vtkMRMLVectorVolumeNode):
        return (yield from _colour_steps(node, transform, to_world, geometry, target, interpolation))
    image = image_from_node(node, to_world=to_world)
    moved = yield lambda: i_fastest(transform.resample(image, geometry, interpolation))

    def write() -> slicer.vtkMRMLScalarVolumeNode:
        result = image_to_node(moved, target, f"{node.GetName()} moved", node.GetScene())
        show_like(result, node)
        return result

    return write


def _colour_steps(
    node: slicer.vtkMRMLVectorVolumeNode,
    transform: Transform,
    to_world: np.ndarray,
    geometry: Geometry,
    target: slicer.vtkMRMLVectorVolumeNode | None,
    interpolation: str,
) -> Steps:
    """Every colour by itself."""
    seen = volume_geometry(node, to_world)
    scalars = vtk_to_numpy(node.GetImageData().GetPointData().GetScalars())
    scalars = scalars.reshape(len(scalars), -1)
    if not is_colour(node, scalars):
        raise ImageError(
            f"The volume {node.GetName()} holds vectors or tensors, whose directions a resampling would have to turn. "
            "Put it under the transform instead."
        )
    if target is not None and target.GetClassName() != VECTOR_CLASS:
        raise OutputError(
            f"{target.GetName()} is a {target.GetClassName()} and cannot hold colours. Choose a {VECTOR_CLASS}."
        )
    colours = [Image(values.reshape(seen.shape[::-1]).T, seen, node.GetName()) for values in scalars.T.copy()]

    def resample() -> np.ndarray:
        parts = [transform.resample(colour, geometry, interpolation, background=0).array.T for colour in colours]
        return np.stack(parts, axis=-1)

    moved = yield resample
    return lambda: _write_colours(moved, geometry, node, target)


def _write_colours(
    moved: np.ndarray,
    geometry: Geometry,
    node: slicer.vtkMRMLVectorVolumeNode,
    target: slicer.vtkMRMLVectorVolumeNode | None,
) -> slicer.vtkMRMLVectorVolumeNode:
    data = vtk.vtkImageData()
    data.SetDimensions(geometry.shape)
    data.GetPointData().SetScalars(numpy_to_vtk(moved.reshape(-1, moved.shape[-1]), deep=True))
    if target is None:
        scene = node.GetScene()
        target = scene.AddNewNodeByClass(VECTOR_CLASS, scene.GenerateUniqueName(f"{node.GetName()} moved"))
    with slicer.util.NodeModify(target):
        target.SetAndObserveTransformNodeID(None)
        target.SetVoxelVectorType(node.GetVoxelVectorType())
        target.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(geometry.affine))
        target.SetAndObserveImageData(data)
    show_like(target, node)
    return target
