"""Landmarks of both images -> the smoothest map that brings each of the fixed ones onto its moving one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .errors import ImageError
from .geometry import Geometry
from .landmarks import FLAT, fit_landmarks
from .transform import DisplacementField, Transform

#: Nodes of the field, and distances from nodes to landmarks that are computed for it, at most.
MOST_NODES, MOST_DISTANCES = 1_000_000, 300_000_000
#: More pairs take too much memory and time.
MOST_PAIRS = 2000


def fit_thin_plate(fixed: np.ndarray, moving: np.ndarray, geometry: Geometry) -> Transform:
    """The affine map that fits the landmarks best, before it the smoothest displacement that brings them together.

    Args:
        fixed, moving: (P, 3), RAS mm, same order.
        geometry: of the fixed volume; outside of it the displacement goes on as at its edge.

    Returns:
        A displacement field on a grid of at most `MOST_NODES` voxels, with its inverse, then the affine map.

    Raises:
        ImageError: too few or too many pairs, points that leave the map undetermined, two at one place, or pairs that
            only a map that folds or mirrors brings together.

    Source: the thin-plate spline of three dimensions, Bookstein, IEEE PAMI 1989, doi:10.1109/34.24792.
    """
    from scipy.interpolate import RBFInterpolator

    if len(fixed) > MOST_PAIRS:
        raise ImageError(
            f"There are {len(fixed)} pairs of landmarks, and the thin-plate start takes at most {MOST_PAIRS}. Give "
            "fewer, or choose the start landmarks-affine."
        )
    affine = fit_landmarks(fixed, moving, "thin-plate")
    for points, role in ((fixed, "fixed"), (moving, "moving")):
        _check_apart(points, role)
    spline = RBFInterpolator(fixed, affine.inverse().apply_to_points(moving) - fixed, kernel="linear", degree=1)
    nodes = _nodes(geometry, len(fixed))
    array = spline(nodes.points().reshape(-1, 3)).reshape(*nodes.shape, 3).astype(np.float32)
    field = DisplacementField(array, nodes)
    _check_folds(field, fixed)
    return replace(field, inverse_field=replace(field.inverse(), inverse_field=None)).compose(affine)


def _nodes(geometry: Geometry, pairs: int) -> Geometry:
    """The grid of the field: that of the volume, or one of larger voxels."""
    extent = geometry.shape * geometry.spacing
    most = min(MOST_NODES, MOST_DISTANCES // pairs)
    return geometry.with_spacing(np.maximum(geometry.spacing, (np.prod(extent) / most) ** (1 / 3)))


def _check_apart(points: np.ndarray, role: str) -> None:
    from scipy.spatial import cKDTree

    distances, others = cKDTree(points).query(points, k=2)
    nearest = int(distances[:, 1].argmin())
    if distances[nearest, 1] <= FLAT * np.ptp(points, axis=0).max():
        one, two = sorted((nearest, int(others[nearest].max())))
        raise ImageError(
            f"The {role} landmarks {one + 1} and {two + 1} lie at one place, which the thin-plate start cannot use. "
            "Remove one of the two pairs, or choose the start landmarks-affine."
        )


def _check_folds(field: DisplacementField, fixed: np.ndarray) -> None:
    ratio = field.jacobian_determinant().array
    folded = int((ratio <= 0).sum())
    if not folded:
        return
    worst = field.geometry.voxel_to_world(np.array(np.unravel_index(int(ratio.argmin()), ratio.shape)))
    nearest = np.argsort(np.linalg.norm(fixed - worst, axis=1))[:2] + 1
    raise ImageError(
        f"The thin-plate start would fold {folded} of {ratio.size} places, most of all near the landmarks {nearest[0]} "
        f"and {nearest[1]}, whose pairs do not lie next to each other in both volumes alike. Correct them, or choose "
        "the start landmarks-affine."
    )
