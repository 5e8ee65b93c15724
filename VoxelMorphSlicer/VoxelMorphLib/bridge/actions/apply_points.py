"""Models and markups moved by a transform: their points go the opposite direction of voxels."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import slicer
import vtk

from ...core.errors import OutputError
from ..scene.transform_nodes import VtkTransform, general_transform

#: Corners of a box that miss by less are not worth a word, mm.
EXACT_MM = 0.1


def apply_to_points(
    node: slicer.vtkMRMLDisplayableNode,
    transform: VtkTransform,
    to_world: vtk.vtkAbstractTransform,
    target: slicer.vtkMRMLDisplayableNode | None = None,
) -> slicer.vtkMRMLDisplayableNode:
    """Move the points of a model or of markups, by Slicer's own code for each kind.

    Lines, angles, curves, and planes through several points follow from the places of their points. What has one place
    and a direction, a plane or a box, takes the turn and the stretching that the transform has there.

    Args:
        node: is not changed.
        transform: world of `node` -> world of the result.
        to_world: own coordinates of `node` -> its world.
        target: receives a moved copy of everything in `node`; None creates a node of the same class.

    Returns:
        The node with the result, under no parent transform.

    Raises:
        OutputError: `target` is of another class.

    Warns:
        UserWarning: a box, which stays one where the transform bends it.
    """
    moves = general_transform(to_world, transform.vtk_transform)
    if target is not None and target.GetClassName() != node.GetClassName():
        raise OutputError(
            f"{target.GetName()} is a {target.GetClassName()} and cannot hold a {node.GetClassName()}. "
            "Choose a node of the same kind."
        )
    if target is None:
        scene = node.GetScene()
        name = scene.GenerateUniqueName(f"{node.GetName()} moved")
        target = scene.AddNewNodeByClass(node.GetClassName(), name)
    with slicer.util.NodeModify(target):
        target.SetAndObserveTransformNodeID(None)
        _copy_content(node, target)
        target.ApplyTransform(moves)
    copy_display(target, node)
    if isinstance(node, slicer.vtkMRMLMarkupsROINode):
        _warn_of_a_bent_box(node, target, moves)
    return target


def _warn_of_a_bent_box(
    node: slicer.vtkMRMLMarkupsROINode, result: slicer.vtkMRMLMarkupsROINode, moves: vtk.vtkAbstractTransform
) -> None:
    wanted = np.array([moves.TransformPoint(*corner) for corner in _corners(node)])
    found = _corners(result)
    misses = np.linalg.norm(wanted[:, None] - found, axis=-1).min(axis=1).max()  # axes may have changed their order
    if misses > EXACT_MM:
        warnings.warn(
            f"{node.GetName()} stays a box, whose corners lie up to {misses:.1f} mm from where the transform brings "
            "them. Export it to a model or a segmentation to move its shape.",
            stacklevel=2,
        )


def _corners(box: slicer.vtkMRMLMarkupsROINode) -> np.ndarray:
    """(8, 3), own coordinates."""
    to_node = slicer.util.arrayFromVTKMatrix(box.GetObjectToNodeMatrix())
    half = np.array(box.GetSize()) / 2
    return np.array(
        [to_node[:3, :3] @ (half * signs) + to_node[:3, 3] for signs in itertools.product((-1, 1), repeat=3)]
    )


def _copy_content(node: slicer.vtkMRMLDisplayableNode, target: slicer.vtkMRMLDisplayableNode) -> None:
    """An independent copy; a deep copy of a model would overwrite the target's mesh for good."""
    target.CopyContent(node, False)
    if isinstance(node, slicer.vtkMRMLModelNode) and node.GetMesh() is not None:
        mesh = node.GetMesh().NewInstance()
        mesh.DeepCopy(node.GetMesh())
        target.SetAndObserveMesh(mesh)


def copy_display(node: slicer.vtkMRMLDisplayableNode, model: slicer.vtkMRMLDisplayableNode) -> None:
    """Show a node as another of its class, of segments each one, where it has no display of its own yet."""
    if node.GetDisplayNode() is None:
        node.CreateDefaultDisplayNodes()
        if node.GetDisplayNode() is not None and model.GetDisplayNode() is not None:
            node.GetDisplayNode().CopyContent(model.GetDisplayNode())
