"""A transform node as a path between the worlds of two images, there and back, whatever the node holds."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import slicer
import vtk

from ...core.errors import GeometryError
from ...core.geometry import Geometry
from ...core.image_resampling import slab_points, slabs
from ...core.transform import AffineTransform, CompositeTransform, DisplacementField, Transform
from ..background.steps import Steps
from .placement import SPACE_ATTRIBUTE, matrix_to_world, space_to_world, transform_to_world
from .transform_nodes import VtkTransform, general_transform, transform_from_node
from .volume_nodes import has_voxels

#: Node reference between the forward and the inverse transform of one registration, in both directions.
PARTNER_ROLE = "voxelMorphInverse"
#: Node reference from a forward transform to the initial transform of its registration.
INITIAL_ROLE = "voxelMorphInitial"

#: Two transforms whose round trip misses by more than this are not taken for inverses; folds make some places differ.
LARGEST_ROUND_TRIP_VOX = 1.0


@dataclass(frozen=True, eq=False)
class ScenePath:
    """The path from the world of the fixed image to the world of the moving image, or back.

    From fixed to moving is the direction that resamples images ("from parent"); points go the other way.

    Args:
        node: forward or inverse transform of a registration, or any other transform.
        inverse: go against the node's direction.

    Warns:
        UserWarning: by most methods of an inverse path: the node or its partner was changed since the registration,
            so that they no longer undo each other.
    """

    node: slicer.vtkMRMLTransformNode
    inverse: bool = False

    def reversed(self) -> ScenePath:
        """The same path in the opposite direction."""
        return ScenePath(self.node, not self.inverse)

    def stored_node(self) -> slicer.vtkMRMLTransformNode | None:
        """The node that holds this direction; None where the inverse has to be computed.

        For an inverse path this is the partner of the node, while both belong to the same registration.
        """
        return _partner(self.node) if self.inverse else self.node

    def initial(self) -> ScenePath | None:
        """The initial transform of the registration that made this path; None where there was none."""
        node = _initial_node(self.stored_node())
        return None if node is None else ScenePath(node)

    def own_nodes(self) -> tuple[slicer.vtkMRMLTransformNode, ...]:
        """The transform nodes that the path replaces for whatever lies under them.

        These are the node that stores it, and the initial transform that it contains.
        """
        stored = self.stored_node()
        return tuple(node for node in (stored, _initial_node(stored)) if node is not None)

    def matrix_to_world(self, node: slicer.vtkMRMLTransformableNode) -> np.ndarray:
        """(4, 4), own coordinates of a node -> world in which the path starts; see `placement.matrix_to_world`."""
        return matrix_to_world(node, *self.own_nodes())

    def transform_to_world(self, node: slicer.vtkMRMLTransformableNode) -> vtk.vtkGeneralTransform:
        """As `matrix_to_world`, through parents of any kind."""
        return transform_to_world(node, *self.own_nodes())

    def through_vtk(self) -> VtkTransform:
        """The path as the scene applies it.

        An inverse path is that of the partner node where there is one, exact where the transform is linear, and else
        searched by VTK for every point.

        Warns:
            UserWarning: the inverse is searched.
        """
        stored = self.stored_node()
        return self._computed_inverse() if stored is None else _from_world(stored)

    def on_grid(self, geometry: Geometry) -> Transform:
        """As `through_vtk`; where `geometry` is the grid of the node's field, without interpolating it: faster."""
        stored = self.stored_node()
        if stored is None:
            return self._computed_inverse()
        try:
            transform = transform_from_node(stored)
        except GeometryError:
            return _from_world(stored)
        if isinstance(transform, AffineTransform):
            return _continued_to_world(transform, stored)
        first = transform.transforms[0] if isinstance(transform, CompositeTransform) else transform
        if not isinstance(first, DisplacementField) or not first.geometry.matches(geometry, tolerance_vox=1e-6):
            return _from_world(stored)
        return _continued_to_world(transform, stored)

    def sampled(self, geometry: Geometry) -> Steps:
        """As `on_grid`, for the voxels of a grid and without VTK; gives a transform that a thread may use."""
        return (yield from sampling_steps(self.on_grid(geometry), geometry))

    def captured(self, geometry: Geometry) -> Transform:
        """The path at once and without VTK: exact, or sampled on `geometry`; see `transform_from_node`."""
        stored = self.stored_node()
        if stored is None:
            return self._computed_inverse().to_displacement(geometry)
        return _continued_to_world(transform_from_node(stored, geometry), stored)

    def _computed_inverse(self) -> VtkTransform:
        node = self.node
        if not node.IsTransformToWorldLinear():
            warnings.warn(
                f"The inverse of {node.GetName()} is searched numerically, to 0.01 mm where it does not fold, because "
                "no inverse transform belongs to it.",
                UserWarning,
                stacklevel=3,
            )
        to_world = vtk.vtkGeneralTransform()
        node.GetTransformToWorld(to_world)
        return VtkTransform(general_transform(np.linalg.inv(space_to_world(node)), to_world))


def sampling_steps(transform: Transform, geometry: Geometry) -> Steps:
    """The same map for the voxels of a grid without VTK, so that a thread may use it; sampled piece by piece."""
    if not isinstance(transform, VtkTransform):
        return transform
    field = np.empty((*geometry.shape, 3), np.float32)
    for slab in slabs(geometry):
        yield None
        field[slab] = transform.map_slab(geometry, slab) - slab_points(geometry, slab)
    return DisplacementField(field, geometry)


def set_partners(forward: slicer.vtkMRMLTransformNode | None, inverse: slicer.vtkMRMLTransformNode | None) -> None:
    """Note that two nodes hold the two directions of one registration; one alone loses its former partner."""
    for node, other in ((forward, inverse), (inverse, forward)):
        if node is not None:
            node.SetNodeReferenceID(PARTNER_ROLE, other.GetID() if other is not None else None)


def set_initial(node: slicer.vtkMRMLTransformNode, initial: slicer.vtkMRMLTransformNode | None) -> None:
    """Note which initial transform a forward transform contains already; None for none."""
    node.SetNodeReferenceID(INITIAL_ROLE, initial.GetID() if initial is not None else None)


def _initial_node(node: slicer.vtkMRMLTransformNode | None) -> slicer.vtkMRMLTransformNode | None:
    return None if node is None else node.GetNodeReference(INITIAL_ROLE)


def _partner(node: slicer.vtkMRMLTransformNode) -> slicer.vtkMRMLTransformNode | None:
    """The node that holds the opposite direction, while both still belong to the same registration."""
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
            stacklevel=3,
        )
        return None
    return other


def _round_trip_vox(node: slicer.vtkMRMLTransformNode, other: slicer.vtkMRMLTransformNode) -> float:
    """Median error of a round trip from the middle of the fixed volume; 0 where that volume is not known."""
    volume = node.GetNodeReference(node.GetFixedNodeReferenceRole())
    if volume is None or not has_voxels(volume):
        return 0.0
    bounds = np.zeros(6)
    volume.GetRASBounds(bounds)
    low, high = bounds[::2], bounds[1::2]
    shares = np.stack(np.meshgrid(*[np.linspace(0.25, 0.75, 4)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    points = low + shares * (high - low)
    back = _from_world(other).apply_to_points(_from_world(node).apply_to_points(points))
    return float(np.median(np.linalg.norm(back - points, axis=1)) / max(volume.GetSpacing()))


def _from_world(node: slicer.vtkMRMLTransformNode) -> VtkTransform:
    """World of the fixed image -> world of the moving image, as the node holds it."""
    from_world = vtk.vtkGeneralTransform()
    node.GetTransformFromWorld(from_world)
    return VtkTransform(general_transform(from_world, space_to_world(node)))


def _continued_to_world(transform: Transform, node: slicer.vtkMRMLTransformNode) -> Transform:
    """Continue the map of a transform node from the space of nodes under it to the world; see `set_space`."""
    if node.GetAttribute(SPACE_ATTRIBUTE) is None:
        return transform
    return transform.compose(AffineTransform(space_to_world(node)))
