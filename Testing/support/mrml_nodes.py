"""Nodes for tests, made by Slicer's own calls and not by the code under test; vtk transforms of points and volumes."""

from __future__ import annotations

import numpy as np
import slicer
import vtk
from VoxelMorphLib.core.image import Image
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy


def add_volume(image: Image, name: str = "volume", node_class: str = "vtkMRMLScalarVolumeNode"):
    """A volume node with the voxels and the grid of `image`, without display."""
    node = slicer.mrmlScene.AddNewNodeByClass(node_class, name)
    node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(image.geometry.affine))
    slicer.util.updateVolumeFromArray(node, image.array.transpose(2, 1, 0))
    return node


def add_points(name: str, positions: np.ndarray):
    """Fiducials at (P, 3) positions, RAS mm, labelled P-0, P-1 and so on."""
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", name)
    for number, position in enumerate(positions):
        node.AddControlPoint(*position, f"P-{number}")
    return node


def add_linear_parent(node, matrix: np.ndarray, name: str = "parent"):
    """Place `node` under a new linear transform with the (4, 4) to-parent matrix."""
    parent = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", name)
    parent.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))
    node.SetAndObserveTransformNodeID(parent.GetID())
    return parent


def contents(scene) -> list[tuple[str, str]]:
    """Class and name of every node of a scene."""
    nodes = [scene.GetNthNode(index) for index in range(scene.GetNumberOfNodes())]
    return [(node.GetClassName(), node.GetName()) for node in nodes]


def map_points(transform: vtk.vtkAbstractTransform, points: np.ndarray) -> np.ndarray:
    """(..., 3) RAS mm mapped by a VTK transform in double precision."""
    before, after = vtk.vtkPoints(), vtk.vtkPoints()
    before.SetData(numpy_to_vtk(np.ascontiguousarray(points, float).reshape(-1, 3), deep=True))
    after.SetDataTypeToDouble()
    transform.TransformPoints(before, after)
    return vtk_to_numpy(after.GetData()).reshape(points.shape).copy()


def map_from_world(node, points: np.ndarray) -> np.ndarray:
    """(..., 3) RAS mm of the world mapped into the space of nodes directly under a transform node."""
    from_world = vtk.vtkGeneralTransform()
    node.GetTransformFromWorld(from_world)
    return map_points(from_world, points)


def reslice(moving, fixed, interpolation: str = "linear") -> np.ndarray:
    """(I, J, K), the moving volume on the fixed grid, each where its parent transforms put it.

    The resampling of Slicer's Volumes logic ignores a parent of the fixed volume, so it is written out here.
    """
    fixed_to_moving = vtk.vtkGeneralTransform()
    slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(
        fixed.GetParentTransformNode(), moving.GetParentTransformNode(), fixed_to_moving
    )
    voxel_to_ras, ras_to_voxel = vtk.vtkMatrix4x4(), vtk.vtkMatrix4x4()
    fixed.GetIJKToRASMatrix(voxel_to_ras)
    moving.GetRASToIJKMatrix(ras_to_voxel)
    chain = vtk.vtkGeneralTransform()
    chain.PostMultiply()
    for part in (voxel_to_ras, fixed_to_moving, ras_to_voxel):
        chain.Concatenate(part)
    filter_ = vtk.vtkImageReslice()
    filter_.SetInputData(moving.GetImageData())
    filter_.SetResliceTransform(chain)
    filter_.SetOutputOrigin(0, 0, 0)
    filter_.SetOutputSpacing(1, 1, 1)
    filter_.SetOutputExtent(*fixed.GetImageData().GetExtent())
    filter_.SetInterpolationMode({"nearest": 0, "linear": 1}[interpolation])
    filter_.Update()
    voxels = filter_.GetOutput()
    return vtk_to_numpy(voxels.GetPointData().GetScalars()).reshape(voxels.GetDimensions()[::-1]).transpose(2, 1, 0)
