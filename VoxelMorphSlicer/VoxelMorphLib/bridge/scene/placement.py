"""Where the scene shows a node, through its parent transforms, with or without some of them."""

from __future__ import annotations

import json

import numpy as np
import slicer
import vtk

from .transform_nodes import general_transform
from .volume_nodes import parent_matrix

#: Attribute of a transform node: own coordinates of the volume that it moves -> world, when that volume was read.
SPACE_ATTRIBUTE = "VoxelMorph.SpaceToWorld"


def matrix_to_world(node: slicer.vtkMRMLTransformableNode, *ignored: slicer.vtkMRMLTransformNode | None) -> np.ndarray:
    """(4, 4), own coordinates of `node` -> world, without the `ignored` transforms and what lies above them.

    A node that lies under one of them already is thus read where it was before, and is not moved twice.

    Raises:
        GeometryError: a parent transform is not linear.
    """
    under = _first_above(node, ignored)
    return parent_matrix(node) if under is None else space_to_world(under) @ parent_matrix(node, under)


def transform_to_world(
    node: slicer.vtkMRMLTransformableNode, *ignored: slicer.vtkMRMLTransformNode | None
) -> vtk.vtkGeneralTransform:
    """As `matrix_to_world`, through parents of any kind."""
    under = _first_above(node, ignored)
    to_world = vtk.vtkGeneralTransform()
    slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(node.GetParentTransformNode(), under, to_world)
    return to_world if under is None else general_transform(to_world, space_to_world(under))


def is_under(node: slicer.vtkMRMLTransformableNode, transform: slicer.vtkMRMLTransformNode) -> bool:
    """Whether a transform moves a node, directly or through other transforms."""
    return _first_above(node, (transform,)) is not None


def bending_parent(
    node: slicer.vtkMRMLTransformableNode, *ignored: slicer.vtkMRMLTransformNode | None
) -> slicer.vtkMRMLTransformNode | None:
    """The nearest transform above `node` that is not linear; None for none, or where it lies under an ignored one."""
    if _first_above(node, ignored) is not None:
        return None
    parent = node.GetParentTransformNode()
    while parent is not None and parent.IsTransformToNodeLinear(parent.GetParentTransformNode()):
        parent = parent.GetParentTransformNode()
    return parent


def set_space(node: slicer.vtkMRMLTransformNode, to_world: np.ndarray) -> None:
    """Keep the parents that the volume moved by `node` had, so that other nodes can be taken into its space.

    Args:
        node: maps the world into the own coordinates of that volume.
        to_world: (4, 4), own coordinates of the volume -> world when it was read.
    """
    if np.allclose(to_world, np.eye(4), rtol=0, atol=1e-9):
        node.RemoveAttribute(SPACE_ATTRIBUTE)
    else:
        node.SetAttribute(SPACE_ATTRIBUTE, json.dumps(np.asarray(to_world, float).tolist()))


def space_to_world(node: slicer.vtkMRMLTransformNode) -> np.ndarray:
    """(4, 4), space of nodes directly under `node` -> world of the moving image; see `set_space`."""
    text = node.GetAttribute(SPACE_ATTRIBUTE)
    return np.array(json.loads(text), float) if text else np.eye(4)


def _first_above(
    node: slicer.vtkMRMLTransformableNode, transforms: tuple[slicer.vtkMRMLTransformNode | None, ...]
) -> slicer.vtkMRMLTransformNode | None:
    parent = node.GetParentTransformNode()
    while parent is not None and parent not in transforms:
        parent = parent.GetParentTransformNode()
    return parent
