"""A transform node -> its linear and its deformable part as two nodes, one under the other."""

from __future__ import annotations

import slicer

from ...core.errors import GeometryError, OutputError
from ...core.transform import AffineTransform, Transform, split_linear
from ..background.steps import Steps
from ..scene.placement import set_space, space_to_world
from ..scene.result_nodes import set_roles
from ..scene.rollback import place_beside, unchanged_on_failure
from ..scene.transform_nodes import transform_from_node, transform_to_node
from .apply import Application


def split_steps(application: Application) -> Steps:
    """Add both parts beside the node; when that fails the scene is unchanged.

    Args:
        application: transform and direction.

    Raises:
        OutputError: there is only one part, or the opposite direction is stored in no node.
        GeometryError: neither matrices nor displacement grids, whose parts nobody can tell.
    """
    application.check_transform()
    return _split(application)


def _split(application: Application) -> Steps:
    whole = application.path.stored_node()
    if whole is None:
        raise OutputError(
            f"No node holds the inverse of {application.transform_node.GetName()}. Choose a transform and no inverse."
        )
    parts = split_linear(_read(whole))
    yield None
    if parts is None:
        kind = "linear" if whole.IsTransformToWorldLinear() else "deformable"
        raise OutputError(f"{whole.GetName()} is {kind} alone, so that there is nothing to split. Use it as it is.")
    application.check_transform()  # time has passed
    scene = whole.GetScene()
    with unchanged_on_failure(scene, []):
        outer, inner = (transform_to_node(part, None, f"{whole.GetName()} {_kind(part)}", scene) for part in parts)
        inner.SetAndObserveTransformNodeID(outer.GetID())
        set_space(inner, space_to_world(whole))
        for node in (inner, outer):
            _name_volumes(node, whole)
            place_beside(node, whole)
    return inner, outer


def _kind(part: Transform) -> str:
    return "linear" if isinstance(part, AffineTransform) else "deformable"


def _read(node: slicer.vtkMRMLTransformNode) -> Transform:
    try:
        return transform_from_node(node)
    except GeometryError as error:
        raise GeometryError(f"{node.GetName()} cannot be split: {error}") from error


def _name_volumes(node: slicer.vtkMRMLTransformNode, whole: slicer.vtkMRMLTransformNode) -> None:
    """Keep what the scene knows of the volumes that the whole transform leads between."""
    roles = whole.GetMovingNodeReferenceRole(), whole.GetFixedNodeReferenceRole()
    moving, fixed = (whole.GetNodeReference(role) for role in roles)
    if moving is not None and fixed is not None:
        set_roles(node, moving=moving, fixed=fixed)
