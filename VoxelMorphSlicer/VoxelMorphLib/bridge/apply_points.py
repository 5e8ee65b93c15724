"""Models and markups through a map between worlds; their points go the other way round than voxels are fetched."""

from __future__ import annotations

import slicer
import vtk

from ..core.errors import OutputError
from .node_maps import SceneTransform, general_transform


def apply_to_points(
    node: slicer.vtkMRMLDisplayableNode,
    transform: SceneTransform,
    to_world: vtk.vtkAbstractTransform,
    target: slicer.vtkMRMLDisplayableNode | None = None,
) -> slicer.vtkMRMLDisplayableNode:
    """Move the points of a model or of markups, by Slicer's own code for each kind.

    Of planes and regions of interest only the control points move: a box stays a box.

    Args:
        node: is not changed.
        transform: world of `node` -> world of the result.
        to_world: own coordinates of `node` -> its world.
        target: receives a moved copy of everything in `node`; None creates a node of the same class.

    Returns:
        The node with the result, under no parent transform.

    Raises:
        OutputError: `target` is of another class.
    """
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
        target.ApplyTransform(general_transform(to_world, transform.vtk_transform))
    _show_like(target, node)
    return target


def _copy_content(node: slicer.vtkMRMLDisplayableNode, target: slicer.vtkMRMLDisplayableNode) -> None:
    """An independent copy; a deep copy of a model would overwrite the target's old mesh in place, beyond undoing."""
    target.CopyContent(node, False)
    if isinstance(node, slicer.vtkMRMLModelNode) and node.GetMesh() is not None:
        mesh = node.GetMesh().NewInstance()
        mesh.DeepCopy(node.GetMesh())
        target.SetAndObserveMesh(mesh)


def _show_like(node: slicer.vtkMRMLDisplayableNode, model: slicer.vtkMRMLDisplayableNode) -> None:
    if node.GetDisplayNode() is None:
        node.CreateDefaultDisplayNodes()
        if node.GetDisplayNode() is not None and model.GetDisplayNode() is not None:
            node.GetDisplayNode().CopyContent(model.GetDisplayNode())
