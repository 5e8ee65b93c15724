"""Transform nodes -> maps between world coordinates, in both directions and whatever the nodes hold."""

from __future__ import annotations

import json
import warnings

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from ...core.errors import GeometryError
from ...core.geometry import Geometry
from ...core.image_resampling import slab_points, slabs
from ...core.transform import AffineTransform, CompositeTransform, DisplacementField, Transform
from ..background.steps import Steps
from .transform_nodes import transform_from_node
from .volume_nodes import has_voxels, parent_matrix

#: Node reference between the forward and the inverse transform of one registration, in both directions.
PARTNER_ROLE = "voxelMorphInverse"
#: Node reference from a forward transform to the transform that came before everything else in its registration.
INITIAL_ROLE = "voxelMorphInitial"
#: Attribute of a transform node: own coordinates of the volume that it moves -> world, when that volume was read.
SPACE_ATTRIBUTE = "VoxelMorph.SpaceToWorld"

#: Farther from each other than this, two transforms are not taken for inverses; folds make some places differ.
LARGEST_ROUND_TRIP_VOX = 1.0


class SceneTransform(Transform):
    """A VTK transform as the scene applies it; grids are interpolated by cubic polynomials.

    Args:
        transform: of RAS mm; its inverse, where VTK has to search it, is found to 0.01 mm.
    """

    def __init__(self, transform: vtk.vtkAbstractTransform):
        self.vtk_transform = transform

    def apply_to_points(self, points: np.ndarray) -> np.ndarray:
        flat = np.ascontiguousarray(points, np.float64).reshape(-1, 3)
        before, after = vtk.vtkPoints(), vtk.vtkPoints()
        before.SetData(numpy_to_vtk(flat, deep=True))
        after.SetDataTypeToDouble()
        self.vtk_transform.TransformPoints(before, after)
        return vtk_to_numpy(after.GetData()).reshape(np.shape(points)).copy()

    def inverse(self) -> SceneTransform:
        return SceneTransform(self.vtk_transform.GetInverse())


def general_transform(*parts: vtk.vtkAbstractTransform | np.ndarray) -> vtk.vtkGeneralTransform:
    """Transforms and (4, 4) matrices as one, applied first to last."""
    general = vtk.vtkGeneralTransform()
    general.PostMultiply()
    for part in parts:
        general.Concatenate(slicer.util.vtkMatrixFromArray(part) if isinstance(part, np.ndarray) else part)
    return general


def set_partners(forward: slicer.vtkMRMLTransformNode | None, inverse: slicer.vtkMRMLTransformNode | None) -> None:
    """Note that two nodes hold the two directions of one registration; one alone loses its former partner."""
    for node, other in ((forward, inverse), (inverse, forward)):
        if node is not None:
            node.SetNodeReferenceID(PARTNER_ROLE, other.GetID() if other is not None else None)


def partner(node: slicer.vtkMRMLTransformNode) -> slicer.vtkMRMLTransformNode | None:
    """The node that holds the opposite direction, while both still belong to the same registration.

    Warns:
        UserWarning: one of them was changed since, so that they undo each other no longer.
    """
    other = node.GetNodeReference(PARTNER_ROLE)
    if other is None or other.GetNodeReference(PARTNER_ROLE) is not node:
        return None
    if node.GetParentTransformNode() is not None or other.GetParentTransformNode() is not None:
        return None
    residual_vox = _round_trip_vox(node, other)
    if residual_vox > LARGEST_ROUND_TRIP_VOX:
        warnings.warn(
            f"{other.GetName()} does not undo {node.GetName()} any longer (by {residual_vox:.1f} voxels) and is not "
            "used as its inverse. Register again to get both.",
            UserWarning,
            stacklevel=2,
        )
        return None
    return other


def _round_trip_vox(node: slicer.vtkMRMLTransformNode, other: slicer.vtkMRMLTransformNode) -> float:
    """Median distance from where places amid the fixed volume come back to; 0 where that volume is not known."""
    volume = node.GetNodeReference(node.GetFixedNodeReferenceRole())
    if volume is None or not has_voxels(volume):
        return 0.0
    bounds = np.zeros(6)
    volume.GetRASBounds(bounds)
    low, high = bounds[::2], bounds[1::2]
    shares = np.stack(np.meshgrid(*[np.linspace(0.25, 0.75, 4)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    points = low + shares * (high - low)
    back = world_map(other).apply_to_points(world_map(node).apply_to_points(points))
    return float(np.median(np.linalg.norm(back - points, axis=1)) / max(volume.GetSpacing()))


def set_space(node: slicer.vtkMRMLTransformNode, to_world: np.ndarray) -> None:
    """Keep the parents that the volume moved by `node` had, so that other nodes find their way into its space.

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


def world_map(node: slicer.vtkMRMLTransformNode, inverse: bool = False) -> SceneTransform:
    """World of the fixed image -> world of the moving image, or back.

    This is the direction that resamples images ("from parent"); points go the other way. The inverse is the partner
    node where there is one, exact where the transform is linear, and else searched by VTK for every point.

    Warns:
        UserWarning: the inverse is searched.
    """
    if not inverse:
        from_world = vtk.vtkGeneralTransform()
        node.GetTransformFromWorld(from_world)
        return SceneTransform(general_transform(from_world, space_to_world(node)))
    other = partner(node)
    if other is not None:
        return world_map(other)
    if not node.IsTransformToWorldLinear():
        warnings.warn(
            f"The inverse of {node.GetName()} is searched numerically, to 0.01 mm where it does not fold, because no "
            "inverse transform belongs to it.",
            UserWarning,
            stacklevel=2,
        )
    to_world = vtk.vtkGeneralTransform()
    node.GetTransformToWorld(to_world)
    return SceneTransform(general_transform(np.linalg.inv(space_to_world(node)), to_world))


def image_map(node: slicer.vtkMRMLTransformNode, geometry: Geometry, inverse: bool = False) -> Transform:
    """As `world_map`; where `geometry` is the grid of the node's field, without interpolating it, which is faster."""
    if inverse:
        other = partner(node)
        return world_map(node, inverse) if other is None else image_map(other, geometry)
    try:
        transform = transform_from_node(node)
    except GeometryError:
        return world_map(node)
    if isinstance(transform, AffineTransform):
        return into_world(transform, node)
    first = transform.transforms[0] if isinstance(transform, CompositeTransform) else transform
    if not isinstance(first, DisplacementField) or not first.geometry.matches(geometry, tolerance_mm=1e-6):
        return world_map(node)
    return into_world(transform, node)


def plain_map(transform: Transform, geometry: Geometry) -> Steps:
    """The same map for the voxels of a grid without VTK, so that a thread may use it; sampled piece by piece."""
    if not isinstance(transform, SceneTransform):
        return transform
    field = np.empty((*geometry.shape, 3), np.float32)
    for slab in slabs(geometry):
        yield None
        field[slab] = transform.map_slab(geometry, slab) - slab_points(geometry, slab)
    return DisplacementField(field, geometry)


def into_world(transform: Transform, node: slicer.vtkMRMLTransformNode) -> Transform:
    """Continue the map of a transform node from the space of nodes under it to the world; see `set_space`."""
    if node.GetAttribute(SPACE_ATTRIBUTE) is None:
        return transform
    return transform.compose(AffineTransform(space_to_world(node)))


def scene_map(node: slicer.vtkMRMLTransformNode, geometry: Geometry) -> Transform:
    """As `world_map`, without VTK: taken over exactly, or sampled on `geometry`; see `transform_from_node`."""
    return into_world(transform_from_node(node, geometry), node)


def set_initial(node: slicer.vtkMRMLTransformNode, initial: slicer.vtkMRMLTransformNode | None) -> None:
    """Note which transform, None for no one, a forward transform contains already."""
    node.SetNodeReferenceID(INITIAL_ROLE, initial.GetID() if initial is not None else None)


def initial_of(node: slicer.vtkMRMLTransformNode | None) -> slicer.vtkMRMLTransformNode | None:
    """The initial transform of the registration that made a forward transform."""
    return None if node is None else node.GetNodeReference(INITIAL_ROLE)


def holders(
    node: slicer.vtkMRMLTransformNode | None, inverse: bool = False
) -> tuple[slicer.vtkMRMLTransformNode | None, ...]:
    """The transform nodes of which the way of `world_map` takes the place, for what lies under them.

    These are the node itself, or its partner, and the initial transform that it contains.
    """
    held = partner(node) if inverse and node is not None else node
    return held, initial_of(held)


def matrix_to_world(
    node: slicer.vtkMRMLTransformableNode, *transforms: slicer.vtkMRMLTransformNode | None
) -> np.ndarray:
    """(4, 4), own coordinates of `node` -> world, without `transforms` and what lies above them.

    A node that lies under the transform already is so read where it was before, and is not moved twice.

    Raises:
        GeometryError: a parent transform is not linear.
    """
    under = _first_above(node, transforms)
    return parent_matrix(node) if under is None else space_to_world(under) @ parent_matrix(node, under)


def is_under(node: slicer.vtkMRMLTransformableNode, transform: slicer.vtkMRMLTransformNode) -> bool:
    """Whether a transform moves a node."""
    return _first_above(node, (transform,)) is not None


def transform_to_world(
    node: slicer.vtkMRMLTransformableNode, *transforms: slicer.vtkMRMLTransformNode | None
) -> vtk.vtkGeneralTransform:
    """As `matrix_to_world`, through parents of any kind."""
    under = _first_above(node, transforms)
    to_world = vtk.vtkGeneralTransform()
    slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(node.GetParentTransformNode(), under, to_world)
    return to_world if under is None else general_transform(to_world, space_to_world(under))


def _first_above(
    node: slicer.vtkMRMLTransformableNode, transforms: tuple[slicer.vtkMRMLTransformNode | None, ...]
) -> slicer.vtkMRMLTransformNode | None:
    parent = node.GetParentTransformNode()
    while parent is not None and parent not in transforms:
        parent = parent.GetParentTransformNode()
    return parent
