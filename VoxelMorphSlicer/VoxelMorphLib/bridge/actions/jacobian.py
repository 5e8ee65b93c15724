"""Transforms -> maps of what they do on a voxel grid: Jacobian determinant, length of the displacement."""

from __future__ import annotations

from collections.abc import Callable

import slicer

from ...apply.maps import magnitude_map
from ...core.errors import OutputError
from ...core.geometry import Geometry
from ...core.image import Image
from ...core.jacobian import jacobian_image
from ...core.transform import Transform
from ..background.steps import Steps, finish
from ..scene.rollback import place_beside, unchanged_on_failure
from ..scene.scene_path import sampling_steps
from ..scene.volume_nodes import i_fastest, image_to_node


def write_jacobian(
    transform: Transform,
    geometry: Geometry,
    beside: slicer.vtkMRMLNode,
    target: slicer.vtkMRMLScalarVolumeNode | None = None,
) -> slicer.vtkMRMLScalarVolumeNode:
    """Put the Jacobian determinant into the scene at once; see `jacobian_steps`."""
    return finish(jacobian_steps(transform, geometry, beside, target))


def jacobian_steps(
    transform: Transform,
    geometry: Geometry,
    beside: slicer.vtkMRMLNode,
    target: slicer.vtkMRMLScalarVolumeNode | None = None,
    draw: Callable[[Transform, Geometry], Image] = jacobian_image,
    suffix: str = "Jacobian",
) -> Steps:
    """Put a map, by default of the Jacobian determinant, into the scene; when that fails the scene is unchanged.

    Args:
        transform: world -> world, RAS mm.
        geometry: grid of the map.
        beside: node next to which a new volume is placed and after which it is named.
        target: receives the map; None creates a node.
        draw: makes the map.
        suffix: of its name.

    Raises:
        OutputError: `target` cannot hold intensities or is `beside`, or one of them left the scene.
    """
    _check(beside, target)
    sampled = yield from sampling_steps(transform, geometry)
    image = yield lambda: i_fastest(draw(sampled, geometry))
    _check(beside, target)  # time has passed
    with unchanged_on_failure(beside.GetScene(), [] if target is None else [target]):
        node = image_to_node(image, target, f"{beside.GetName()} {suffix}", beside.GetScene())
        if target is None:
            node.CreateDefaultDisplayNodes()
            place_beside(node, beside)
    return node


def magnitude_steps(
    transform: Transform,
    geometry: Geometry,
    beside: slicer.vtkMRMLNode,
    target: slicer.vtkMRMLScalarVolumeNode | None = None,
) -> Steps:
    """Put the length of the displacement, mm, into the scene; as `jacobian_steps`."""
    return jacobian_steps(transform, geometry, beside, target, magnitude_map, "displacement")


def _check(beside: slicer.vtkMRMLNode, target: slicer.vtkMRMLScalarVolumeNode | None) -> None:
    if beside.GetScene() is None:
        raise OutputError(f"{beside.GetName()} is no longer in the scene. Load it again and repeat.")
    if target is not None and (target is beside or target.GetScene() is None):
        raise OutputError(f"{target.GetName()} cannot receive the Jacobian map. Choose another volume.")
