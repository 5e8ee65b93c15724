"""Markups nodes as landmarks of the two images, in world coordinates."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import slicer

from ...core.landmarks import LandmarkPairs, Points, paired
from .placement import transform_to_world
from .transform_nodes import VtkTransform

#: Parents of a node that do not count.
Ignored = Sequence[slicer.vtkMRMLTransformNode | None]


def points_of(node: slicer.vtkMRMLMarkupsNode, ignored: Ignored = ()) -> Points:
    """The placed points of a markups node, with labels and world positions.

    Args:
        node: points that are not placed are left out.
        ignored: transforms that do not count where the node lies under them.
    """
    indices = [
        index
        for index in range(node.GetNumberOfControlPoints())
        if node.GetNthControlPointPositionStatus(index) == node.PositionDefined
    ]
    own = np.array([node.GetNthControlPointPosition(index) for index in indices]).reshape(-1, 3)
    world = VtkTransform(transform_to_world(node, *ignored)).apply_to_points(own)
    return Points(world, tuple(node.GetNthControlPointLabel(index) for index in indices), node.GetName())


def landmark_pairs(
    fixed: slicer.vtkMRMLMarkupsNode,
    moving: slicer.vtkMRMLMarkupsNode,
    moving_ignored: Ignored = (),
    fixed_ignored: Ignored = (),
) -> LandmarkPairs:
    """Pair the placed points of two markups nodes by their labels where these agree, else by their order.

    Args:
        fixed, moving: markups drawn on the fixed and on the moving image.
        moving_ignored, fixed_ignored: transforms that do not count where the node lies under them.

    Raises:
        ImageError: no points, or lists that cannot be paired.
    """
    return paired(points_of(fixed, fixed_ignored), points_of(moving, moving_ignored))
