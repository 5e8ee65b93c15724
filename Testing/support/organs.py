"""Balls that stand for organs, as segments of both images of a known registration."""

from __future__ import annotations

import numpy as np
from VoxelMorphLib.core.image import LabelMap

from .known_registration import known_forward
from .segmentations import add_segmentation
from .volumes import CENTRE, a_geometry


def a_ball(geometry, radius_mm, shift=(0, 0, 0), through=None):
    """(I, J, K), bool: the voxels of a ball, seen through a transform."""
    points = geometry.points()
    points = points if through is None else through.apply_to_points(points)
    return np.linalg.norm(points - CENTRE - np.array(shift), axis=-1) < radius_mm


def organs():
    """The same organs as segments of both images, "Spleen" only in the fixed one, "Cyst" only in the moving one."""
    grids = [a_geometry("RAS", (34, 32, 30), 1.0), a_geometry("LPS", (34, 32, 30), 1.0)]
    nodes = []
    for name, grid, through, other in zip(("truth", "atlas"), grids, (known_forward(), None), ("Spleen", "Cyst")):
        number = 1 + (other == "Cyst")
        array = 5 * a_ball(grid, 6, (-4, 0, 0), through) + 9 * a_ball(grid, 4, (7, 1, 0), through)
        layers = [LabelMap(values.astype(np.uint8), grid) for values in (array, number * a_ball(grid, 3))]
        kidney = "kidney" if other == "Cyst" else "Kidney "
        segments = [("a", "Liver", 0, 5), ("b", kidney, 0, 9), ("c", other, 1, number)]
        nodes.append(add_segmentation(name, layers, segments))
    return nodes
