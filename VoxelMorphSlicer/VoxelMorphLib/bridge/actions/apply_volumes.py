"""Volumes moved by a transform: their voxels are resampled onto another grid."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from ...core.errors import OutputError
from ...core.geometry import Geometry
from ...core.image import Image, LabelMap
from ...core.transform import Transform
from ..background.steps import Steps
from ..scene.volume_nodes import i_fastest, image_from_node, image_to_node, is_colour, show_like, volume_geometry

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
        interpolation: label maps are sampled by nearest neighbour unless it is "multilabel".

    Returns:
        A function that writes the result into the scene and returns its node, under no parent transform.

    Raises:
        ImageError: tensors, or a volume without voxels.
        OutputError: `target` is of another class.

    Warns:
        UserWarning: vectors, whose components are carried along but not turned.
    """
    if isinstance(node, slicer.vtkMRMLVectorVolumeNode):
        return (yield from _colour_steps(node, transform, to_world, geometry, target, interpolation))
    image = image_from_node(node, to_world=to_world)
    moved = yield lambda: i_fastest(transform.resample(image, geometry, interpolation))
    if isinstance(image, LabelMap):
        warn_of_loss(node.GetName(), [image], [moved])

    def write() -> slicer.vtkMRMLScalarVolumeNode:
        result = image_to_node(moved, target, f"{node.GetName()} moved", node.GetScene())
        show_like(result, node)
        return result

    return write


def warn_of_loss(name: str, labels: Sequence[LabelMap], moved: Sequence[Image]) -> None:
    """Say it where nothing of label maps is left on the new grid: they probably belong to another volume."""
    if any(part.array.any() for part in labels) and not any(part.array.any() for part in moved):
        warnings.warn(
            f"Nothing of {name} lies on the grid of the result, which is empty. Check that it belongs to the moving "
            "volume and lies at the same place.",
            stacklevel=2,
        )


def _colour_steps(
    node: slicer.vtkMRMLVectorVolumeNode,
    transform: Transform,
    to_world: np.ndarray,
    geometry: Geometry,
    target: slicer.vtkMRMLVectorVolumeNode | None,
    interpolation: str,
) -> Steps:
    """Resample each colour channel or component separately."""
    seen = volume_geometry(node, to_world)
    scalars = vtk_to_numpy(node.GetImageData().GetPointData().GetScalars())
    scalars = scalars.reshape(len(scalars), -1)
    if not is_colour(node, scalars):
        warnings.warn(
            f"The components of {node.GetName()} are carried along as they are: if they are directions, they are not "
            "turned.",
            stacklevel=2,
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
