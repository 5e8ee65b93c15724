"""Two lists of markups -> pairs of the same landmark."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import slicer

from ..core.errors import ImageError
from .node_maps import SceneTransform, transform_to_world


@dataclass(frozen=True, eq=False)
class LandmarkPairs:
    """Landmarks that were marked in both images.

    Args:
        names: of the pairs.
        fixed, moving: (P, 3), RAS mm of the world of each image.
    """

    names: tuple[str, ...]
    fixed: np.ndarray
    moving: np.ndarray


def landmark_pairs(
    fixed: slicer.vtkMRMLMarkupsNode,
    moving: slicer.vtkMRMLMarkupsNode,
    *under: slicer.vtkMRMLTransformNode | None,
) -> LandmarkPairs:
    """Pair the placed points of two markups nodes by their labels where these agree, else by their order.

    Args:
        fixed, moving: markups drawn on the fixed and on the moving image.
        under: transforms that do not count where `moving` lies under them.

    Raises:
        ImageError: no points, or lists that cannot be paired.
    """
    first, second = _placed(fixed), _placed(moving, *under)
    names = [name for name, _position in first]
    others = dict(second)
    if len(others) == len(second) == len(first) and set(names) == set(others):
        second = [(name, others[name]) for name in names]
    elif len(first) != len(second):
        raise ImageError(
            f"{fixed.GetName()} has {len(first)} placed points and {moving.GetName()} {len(second)}. "
            "Mark the same landmarks in both, with the same labels or in the same order."
        )
    if not first:
        raise ImageError(f"{fixed.GetName()} and {moving.GetName()} have no placed points. Mark landmarks first.")
    positions = [np.array([position for _name, position in points]) for points in (first, second)]
    return LandmarkPairs(tuple(names), *positions)


def _placed(
    node: slicer.vtkMRMLMarkupsNode, *under: slicer.vtkMRMLTransformNode | None
) -> list[tuple[str, np.ndarray]]:
    """Label and world position of each point that has one."""
    indices = [
        index
        for index in range(node.GetNumberOfControlPoints())
        if node.GetNthControlPointPositionStatus(index) == node.PositionDefined
    ]
    own = np.array([node.GetNthControlPointPosition(index) for index in indices]).reshape(-1, 3)
    world = SceneTransform(transform_to_world(node, *under)).apply_to_points(own)
    return [(node.GetNthControlPointLabel(index), position) for index, position in zip(indices, world)]
