"""Landmarks that were marked in both images: which point belongs to which, and the linear map between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from .errors import ImageError
from .geometry import Geometry
from .transform import AffineTransform

#: Pairs that determine a map, and the dimensions that their points must span.
NEEDED = {"rigid": (3, 2), "affine": (4, 3), "thin-plate": (4, 3)}
#: Points whose spread along a direction is less than this share of their largest one lie on a plane, or on a line.
FLAT = 1e-3
#: What points of so few dimensions do, in words.
_SHAPES = ("coincide", "lie on one line", "lie on one plane")


@dataclass(frozen=True, eq=False)
class Points:
    """Placed points of one image.

    Args:
        positions: (P, 3), RAS mm.
        labels: one for each point, perhaps empty.
        name: of the file or node, for messages.
        document: text of the file, whose other contents are kept when moved points are written; "" without one.
        format: extension of that file.
    """

    positions: np.ndarray
    labels: tuple[str, ...]
    name: str
    document: str = ""
    format: str = ""

    def with_positions(self, positions: np.ndarray) -> Points:
        """The same points at other places, (P, 3) RAS mm."""
        return replace(self, positions=positions)


@dataclass(frozen=True, eq=False)
class LandmarkPairs:
    """Landmarks that were marked in both images.

    Args:
        fixed, moving: (P, 3), RAS mm.
        names: of the pairs.
    """

    fixed: np.ndarray
    moving: np.ndarray
    names: tuple[str, ...] = ()


def paired(fixed: Points, moving: Points) -> LandmarkPairs:
    """Pair points by their labels where these are the same ones in both, each once; else by their order.

    Raises:
        ImageError: no points, or lists that cannot be paired.
    """
    others = dict(zip(moving.labels, moving.positions))
    positions = moving.positions
    same_labels = set(fixed.labels) == set(others) and len(others) == len(moving.labels) == len(fixed.labels)
    if same_labels and len(positions):
        positions = np.array([others[label] for label in fixed.labels])
    elif len(fixed.positions) != len(positions):
        raise ImageError(
            f"{fixed.name} has {len(fixed.positions)} placed points and {moving.name} {len(positions)}. "
            "Mark the same landmarks in both, with the same labels or in the same order."
        )
    if not len(positions):
        raise ImageError(f"{fixed.name} and {moving.name} have no placed points. Mark landmarks first.")
    return LandmarkPairs(fixed.positions, positions, fixed.labels)


def as_points(values: object, role: str) -> np.ndarray:
    """(P, 3) float64 of what a caller gave for the landmarks of one image.

    Raises:
        ImageError: no list of at least one point, or a coordinate that is no finite number.
    """
    try:
        points = np.asarray(values, np.float64)
    except (TypeError, ValueError):
        points = np.empty(0)
    if points.ndim != 2 or points.shape[1] != 3 or not len(points):
        raise ImageError(
            f"The {role} landmarks have the shape {points.shape}; give at least one point of three coordinates, in "
            "RAS mm."
        )
    if not np.isfinite(points).all():
        number = int(np.argmin(np.isfinite(points).all(axis=1)))
        raise ImageError(f"The {role} landmark {number + 1} is {_text(points[number])}; mark it anew.")
    return points


def check_pairs(fixed: object, moving: object) -> tuple[np.ndarray, np.ndarray] | None:
    """(P, 3) of both images; None where neither has landmarks.

    Raises:
        ImageError: one has none, or another number of them, or they are no points.
    """
    if fixed is None and moving is None:
        return None
    if fixed is None or moving is None:
        given, missing = ("moving", "fixed") if fixed is None else ("fixed", "moving")
        raise ImageError(f"There are {given} landmarks but no {missing} ones. Give both or neither.")
    points = as_points(fixed, "fixed"), as_points(moving, "moving")
    if len(points[0]) != len(points[1]):
        raise ImageError(
            f"There are {len(points[0])} fixed landmarks and {len(points[1])} moving ones. Mark the same landmarks in "
            "both, in the same order."
        )
    return points


def check_inside(points: np.ndarray, geometry: Geometry, role: str) -> None:
    """Refuse landmarks that lie in no voxel of their volume.

    Raises:
        ImageError: as said.
    """
    inside = geometry.holds(geometry.world_to_voxel(points))
    if not inside.all():
        number = int(np.argmin(inside))
        raise ImageError(
            f"The {role} landmark {number + 1} at {_text(points[number])} lies outside the {role} volume ({geometry}). "
            "Mark it on that volume, and check that file and volume use the same coordinates."
        )


def fit_landmarks(fixed: np.ndarray, moving: np.ndarray, kind: str) -> AffineTransform:
    """The map that brings the fixed landmarks nearest to the moving ones, in the sense of least squares.

    Args:
        fixed, moving: (P, 3), RAS mm, same order.
        kind: "rigid", "affine", or "thin-plate" for the affine part of that start.

    Raises:
        ImageError: too few pairs, points that leave the map undetermined, or pairs that only a mirror brings together.

    Source: rigid: Arun et al., IEEE PAMI 1987, doi:10.1109/TPAMI.1987.4767965; proper rotations: Umeyama, IEEE PAMI
    1991, doi:10.1109/34.88573.
    """
    for points, role in ((fixed, "fixed"), (moving, "moving")):
        _check_spread(points, role, kind)
    middle, target = fixed.mean(axis=0), moving.mean(axis=0)
    own, other = fixed - middle, moving - target
    linear = _rotation(own, other) if kind == "rigid" else np.linalg.lstsq(own, other, rcond=None)[0].T
    _check_handedness(linear, kind)
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = linear, target - linear @ middle
    return AffineTransform(matrix)


def _check_handedness(linear: np.ndarray, kind: str) -> None:
    determinant = float(np.linalg.det(linear))
    if determinant <= 0:
        raise ImageError(
            f"The {kind} start of these landmarks would mirror the moving volume (determinant {determinant:.3g}), so "
            "that left and right are exchanged. Check that both lists name the same points, or choose the start "
            "landmarks-rigid."
        )


def _rotation(own: np.ndarray, other: np.ndarray) -> np.ndarray:
    left, _values, right = np.linalg.svd(other.T @ own)
    handedness = np.linalg.det(left) * np.linalg.det(right)
    return left @ np.diag([1.0, 1.0, np.sign(handedness)]) @ right


def _check_spread(points: np.ndarray, role: str, kind: str) -> None:
    count, dimensions = NEEDED[kind]
    if len(points) < count:
        raise ImageError(
            f"{len(points)} {'pair' if len(points) == 1 else 'pairs'} of landmarks cannot determine the {kind} start, "
            f"which needs at least {count}. Mark more of them, or choose another start."
        )
    spread = np.linalg.svd(points - points.mean(axis=0), compute_uv=False)
    spanned = int((spread > FLAT * max(spread[0], 1e-9)).sum())
    if spanned < dimensions:
        raise ImageError(
            f"The {role} landmarks {_SHAPES[spanned]}, which leaves the {kind} start undetermined. Mark another one "
            "apart from them, or choose another start."
        )


def _text(point: Sequence[float] | np.ndarray) -> str:
    return "(" + ", ".join(f"{value:.1f}" for value in point) + ") mm"
