"""Registration -> moved volume, forward and inverse transform nodes, with roles and provenance; all or nothing."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, Optional

import numpy as np
import slicer

from ...core.errors import GeometryError, OutputError
from ...core.geometry import Geometry
from ...core.image import Image
from ...core.transform import AffineTransform, Transform
from .placement import SPACE_ATTRIBUTE, set_space
from .rollback import place_beside, unchanged_on_failure
from .scene_path import set_partners
from .transform_nodes import transform_to_node
from .volume_nodes import has_voxels, image_to_node, own_affine, show_like, volume_geometry

if TYPE_CHECKING:
    from ...registration.result import Registration

ATTRIBUTE_PREFIX = "VoxelMorph."

#: Node references from every output to the volumes that it belongs to.
PAIR_ROLES = ("voxelMorphFixed", "voxelMorphMoving")

#: Which node receives each wanted output; None creates one, and an output that is not named is not written.
Targets = Mapping[str, Optional[slicer.vtkMRMLNode]]
NEW_NODES: Targets = {"moved": None, "forward": None, "inverse": None}
#: Class of the node that can receive an output; what is not in `NEW_NODES` is made after `write_registration`.
CLASSES = {
    "moved": "vtkMRMLScalarVolumeNode",
    "forward": "vtkMRMLTransformNode",
    "inverse": "vtkMRMLTransformNode",
    "jacobian": "vtkMRMLScalarVolumeNode",
}


def write_registration(
    registration: Registration,
    fixed: slicer.vtkMRMLScalarVolumeNode,
    moving: slicer.vtkMRMLScalarVolumeNode,
    targets: Targets = NEW_NODES,
    moving_geometry: Geometry | None = None,
) -> dict[str, slicer.vtkMRMLNode]:
    """Put a finished registration into the scene of its volumes; when anything fails the scene is unchanged.

    The moved volume lies on the fixed grid in world coordinates and under no parent transform, also where the fixed
    volume is under one. New nodes lie beside the fixed volume in the subject hierarchy. A volume placed directly under
    the forward node lands on the fixed volume: the node takes the place of the parent transforms that the moving
    volume had when it was read, so they are part of it. The inverse node does the same for the fixed volume.

    Args:
        registration: of the two volumes in world coordinates.
        fixed: the node whose grid, as it was read, `registration.moved` has.
        moving: the node that was moved.
        targets: nodes for the wanted outputs among "moved", "forward" and "inverse".
        moving_geometry: world grid of `moving` when it was read; default where it is now.

    Returns:
        The node of each wanted output.

    Raises:
        OutputError: an unknown output, a node that left the scene, is an input or cannot hold its output.
        GeometryError: an input changed its shape since it was read.
    """
    check_targets(targets, fixed, moving)
    moved = registration.moved
    used = [node for node in targets.values() if node is not None]
    with unchanged_on_failure(fixed.GetScene(), used):
        nodes = {}
        if "moved" in targets:
            nodes["moved"] = _write_moved(moved, moving, targets["moved"])
        if "forward" in targets:
            seen = moving_geometry or volume_geometry(moving)
            nodes["forward"] = _write_transform(registration.forward, moving, seen, fixed, targets["forward"])
        if "inverse" in targets:
            nodes["inverse"] = _write_transform(registration.inverse, fixed, moved.geometry, moving, targets["inverse"])
        set_partners(nodes.get("forward"), nodes.get("inverse"))
        for output, node in nodes.items():
            set_provenance(node, registration.report.to_dict())
            set_pair(node, fixed, moving)
            if node is not targets[output]:
                place_beside(node, fixed)
    return nodes


def seen_to_world(node: slicer.vtkMRMLVolumeNode, seen: Geometry) -> np.ndarray:
    """(4, 4), own coordinates of a volume node -> the world coordinates in which it was read.

    Args:
        node: may be under other parents by now.
        seen: world grid of `node` when it was read.

    Raises:
        GeometryError: the node has another shape now.
    """
    shape = node.GetImageData().GetDimensions() if has_voxels(node) else (0, 0, 0)
    if shape != seen.shape:
        raise GeometryError(
            f"{node.GetName()} had {seen.shape} voxels when it was read and has {shape} now. Register it again."
        )
    return seen.affine @ np.linalg.inv(own_affine(node))


def set_roles(transform: slicer.vtkMRMLTransformNode, moving: slicer.vtkMRMLNode, fixed: slicer.vtkMRMLNode) -> None:
    """Tell the scene which volume a transform moves, and onto which."""
    transform.SetNodeReferenceID(transform.GetMovingNodeReferenceRole(), moving.GetID())
    transform.SetNodeReferenceID(transform.GetFixedNodeReferenceRole(), fixed.GetID())


def set_pair(node: slicer.vtkMRMLNode, fixed: slicer.vtkMRMLNode, moving: slicer.vtkMRMLNode) -> None:
    """Note which two volumes an output belongs to; their names stay when they are gone."""
    for role, name, volume in zip(PAIR_ROLES, ("FixedName", "MovingName"), (fixed, moving)):
        node.SetNodeReferenceID(role, volume.GetID())
        node.SetAttribute(ATTRIBUTE_PREFIX + name, volume.GetName())


def pair_of(node: slicer.vtkMRMLNode) -> tuple[slicer.vtkMRMLNode | None, ...]:
    """Fixed and moving volume of an output; None for those that are gone or were never noted."""
    return tuple(node.GetNodeReference(role) for role in PAIR_ROLES)


def is_result(node: slicer.vtkMRMLNode) -> bool:
    """Whether a registration wrote the node, or something that follows one."""
    return any(name.startswith(ATTRIBUTE_PREFIX) for name in node.GetAttributeNames())


def set_provenance(node: slicer.vtkMRMLNode, report: Mapping[str, Any]) -> None:
    """Keep a report as attributes such as VoxelMorph.Model; attributes of an earlier report disappear.

    Args:
        node: any node.
        report: plain values by snake_case name; whatever is not text is stored as JSON, None and "" not at all.
    """
    for name in node.GetAttributeNames():
        if name.startswith(ATTRIBUTE_PREFIX) and name != SPACE_ATTRIBUTE:
            node.RemoveAttribute(name)
    for key, value in report.items():
        if value not in (None, ""):
            name = ATTRIBUTE_PREFIX + "".join(word.capitalize() for word in key.split("_"))
            node.SetAttribute(name, value if isinstance(value, str) else json.dumps(value))


def warnings_of(node: slicer.vtkMRMLNode) -> list[str]:
    """What the registration that wrote a node warned of."""
    return json.loads(node.GetAttribute(f"{ATTRIBUTE_PREFIX}Warnings") or "[]")


def worse_of(node: slicer.vtkMRMLNode) -> str:
    """What the registration that wrote a node found worse than before, the first of its warnings; "" for nothing."""
    return node.GetAttribute(f"{ATTRIBUTE_PREFIX}Worse") or ""


def check_targets(
    targets: Targets, fixed: slicer.vtkMRMLNode, moving: slicer.vtkMRMLNode, outputs: Collection[str] = NEW_NODES
) -> None:
    """Refuse outputs that do not exist, nodes that left the scene, and nodes with two roles.

    Args:
        targets: node for each wanted output, None to create one.
        fixed, moving: volumes that are registered.
        outputs: names of the outputs that can be made.

    Raises:
        OutputError: names the node and what to do.
    """
    unknown = sorted(targets.keys() - set(outputs))
    if unknown:
        raise OutputError(f"A registration has no output {', '.join(unknown)}. Choose among {', '.join(outputs)}.")
    taken = [fixed, moving]
    for node in (fixed, moving, *(target for target in targets.values() if target is not None)):
        if node.GetScene() is None:
            raise OutputError(f"{node.GetName()} is no longer in the scene. Load it again and repeat.")
    for output, node in targets.items():
        if node is not None and node in taken:
            raise OutputError(f"{node.GetName()} cannot receive the {output} output too. Choose another node.")
        _check_class(output, node)
        taken.append(node)


def _check_class(output: str, node: slicer.vtkMRMLNode | None) -> None:
    """Refuse a node that cannot hold an output, before anything is computed for it.

    Raises:
        OutputError: names its class.
    """
    is_exact = CLASSES[output] == "vtkMRMLScalarVolumeNode"  # label maps and vectors are of classes below it
    if node is None or (node.GetClassName() == CLASSES[output] if is_exact else node.IsA(CLASSES[output])):
        return
    raise OutputError(
        f"{node.GetName()} is a {node.GetClassName()} and cannot receive the {output} output. Choose a "
        f"{CLASSES[output]} or a new node."
    )


def _write_moved(
    moved: Image, moving: slicer.vtkMRMLScalarVolumeNode, target: slicer.vtkMRMLScalarVolumeNode | None
) -> slicer.vtkMRMLScalarVolumeNode:
    node = image_to_node(moved, target, f"{moving.GetName()} moved", moving.GetScene())
    show_like(node, moving)
    return node


def _write_transform(
    transform: Transform,
    moving: slicer.vtkMRMLScalarVolumeNode,
    seen: Geometry,
    fixed: slicer.vtkMRMLScalarVolumeNode,
    target: slicer.vtkMRMLTransformNode | None,
) -> slicer.vtkMRMLTransformNode:
    """A node that takes the place of the parents which the volume that it moves had when it was read.

    A linear node cannot hold a field; a new node is made then, as the kind of result is not known beforehand.
    """
    to_world = seen_to_world(moving, seen)
    if not np.allclose(to_world, np.eye(4), rtol=0, atol=1e-9):
        transform = transform.compose(AffineTransform(np.linalg.inv(to_world)))
    name = f"{moving.GetName()} to {fixed.GetName()}"
    if isinstance(target, slicer.vtkMRMLLinearTransformNode) and not isinstance(transform, AffineTransform):
        target = None
    node = transform_to_node(transform, target, name, moving.GetScene())
    set_roles(node, moving=moving, fixed=fixed)
    set_space(node, to_world)
    return node
