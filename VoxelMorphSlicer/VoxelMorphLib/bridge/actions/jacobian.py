"""Transforms -> Jacobian determinants on a voxel grid, as images and as volume nodes."""

from __future__ import annotations

import numpy as np
import slicer

from ...core.errors import OutputError
from ...core.geometry import Geometry
from ...core.image import Image
from ...core.transform import Transform
from ..background.steps import Steps, finish
from ..scene.rollback import place_beside, unchanged_on_failure
from ..scene.scene_path import sampling_steps
from ..scene.volume_nodes import i_fastest, image_to_node


def jacobian_image(transform: Transform, geometry: Geometry) -> Image:
    """Local volume ratio of a whole transform, affine part included: 1 keeps the volume, 0 and less is a fold.

    Uses NumPy, not `core.displacement`: loading torch into the application would block it for seconds.

    Args:
        transform: world -> world, RAS mm.
        geometry: grid on which it is sampled; central differences, one-sided at the border.
    """
    displacement = transform.to_displacement(geometry).array
    derivative = np.empty((3, 3, *geometry.shape), np.float32)
    for row in range(3):
        for axis in range(3):
            change = _derivative(displacement[..., row], axis)
            np.add(change, geometry.affine[row, axis], out=derivative[row, axis])
    a, b, c = derivative
    determinant = sum(a[i] * (b[j] * c[k] - b[k] * c[j]) for i, j, k in ((0, 1, 2), (1, 2, 0), (2, 0, 1)))
    ratio = determinant / np.float32(np.linalg.det(geometry.affine[:3, :3]))
    return Image(ratio, geometry, "Jacobian determinant")


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
) -> Steps:
    """Put the Jacobian determinant into the scene; when that fails the scene is unchanged.

    Args:
        transform: world -> world, RAS mm.
        geometry: grid of the map.
        beside: node next to which a new volume is placed and after which it is named.
        target: receives the map; None creates a node.

    Raises:
        OutputError: `target` cannot hold intensities or is `beside`, or one of them left the scene.
    """
    _check(beside, target)
    sampled = yield from sampling_steps(transform, geometry)
    image = yield lambda: i_fastest(jacobian_image(sampled, geometry))
    _check(beside, target)  # time has passed
    with unchanged_on_failure(beside.GetScene(), [] if target is None else [target]):
        node = image_to_node(image, target, f"{beside.GetName()} Jacobian", beside.GetScene())
        if target is None:
            node.CreateDefaultDisplayNodes()
            place_beside(node, beside)
    return node


def _derivative(values: np.ndarray, axis: int) -> np.ndarray:
    """Change per voxel along an axis; 0 where the axis has only one voxel."""
    return np.gradient(values, axis=axis) if values.shape[axis] > 1 else np.zeros_like(values)


def _check(beside: slicer.vtkMRMLNode, target: slicer.vtkMRMLScalarVolumeNode | None) -> None:
    if beside.GetScene() is None:
        raise OutputError(f"{beside.GetName()} is no longer in the scene. Load it again and repeat.")
    if target is not None and (target is beside or target.GetScene() is None):
        raise OutputError(f"{target.GetName()} cannot receive the Jacobian map. Choose another volume.")
