"""The pose of a volume: where, how turned and how large its contents lie, searched over all rotations.

Two coarse images are compared at some thousand points by the mutual information of their joint histogram. That takes a
fifth of a millisecond, so that every rotation can be tried, and the best of them be improved before they are compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

import numpy as np
from scipy.ndimage import map_coordinates, zoom

from ..core.image import Image
from ..core.metrics import information
from ..core.progress import Progress, silent

#: Places of the fixed image at which poses are compared, and how many of them decide which ones are looked at.
POINTS, SCAN_POINTS = 4000, 1500
BINS = 24
#: Rotations of the scan: none is farther than about 25 degrees from one of them, 15 on average.
ROTATIONS = 1200
#: Poses that are improved: of those near the headers, and of all.
NEAR_CLIMBS, FAR_CLIMBS = 5, 14
#: Two poses of the scan that are closer than this are one.
APART_DEG = 25.0
#: Tried about each axis, so that a head that was scanned tilted is found without the scan.
TRIAL_ANGLES_DEG = (-30.0, 0.0, 30.0)
#: Steps of the ascent, coarse to fine: degrees, and shares of the median extent of the fixed image.
COARSE_STEPS = ((12.0, 0.12), (8.0, 0.06), (5.0, 0.03))
FINE_STEPS = ((3.0, 0.02), (1.5, 0.01))
#: Sweeps over all parameters at each step length.
SWEEPS = 3
#: Sizes between which a head may lie.
SCALES = 0.75, 1.33
#: A turned pose must raise mutual information by this factor over the near one to be believed.
TURN_GAIN = 1.1
#: Share of the best overlap that every pose must keep, as mutual information rewards what little is left.
LEAST_OVERLAP = 0.5


class Pose(NamedTuple):
    """A similarity about the centre of a search, fixed -> moving in RAS mm.

    Args:
        rotation: (3, 3), with determinant -1 where it mirrors.
        shift: (3,), mm by which the centre moves.
        scale: about the centre.
        score: mutual information, nats.
    """

    rotation: np.ndarray
    shift: np.ndarray
    scale: float = 1.0
    score: float = -np.inf

    @property
    def angle_deg(self) -> float:
        """Angle of the rotation, 0 to 180."""
        return float(np.degrees(np.arccos(np.clip((np.trace(self.rotation) - 1) / 2, -1, 1))))


@dataclass(frozen=True, eq=False)
class Seen:
    """A coarse image and what of it may be looked at.

    Args:
        image: voxels and their grid.
        mask: True inside, on the same grid; None for everything.
    """

    image: Image
    mask: np.ndarray | None = None


class PoseSearch:
    """Mutual information of two coarse images under a pose, and the poses that raise it.

    Args:
        fixed, moving: smoothed to about a cubic centimetre for a head; detail only makes false maxima.
        centre: (3,), RAS mm, that rotations turn about.
        shifts: translations to begin with, the headers' (zero) first.
        seed: of the points that are compared.
        progress: called for every pose that is improved; may raise `Cancelled`.
    """

    def __init__(
        self,
        fixed: Seen,
        moving: Seen,
        centre: np.ndarray,
        shifts: Sequence[np.ndarray],
        seed: int,
        progress: Progress = silent,
    ):
        self.centre, self.shifts, self.progress = centre, shifts, progress
        points, values = _sampled(fixed, np.random.default_rng(seed))
        self._from_centre = np.ascontiguousarray((points - centre).T)
        self._length = float(np.median(np.ptp(points, axis=0)))
        self._set_moving(moving, values)
        self._least = 0
        self._least = int(LEAST_OVERLAP * max(self._inside(Pose(np.eye(3), shift)) for shift in shifts))

    def best(self, with_scale: bool) -> Pose:
        """The pose of the most mutual information; one that is turned far has to be clearly better than a near one."""
        near = self.near(with_scale)
        far = self.anywhere(with_scale)
        return far if far.score > TURN_GAIN * near.score else near

    def near(self, with_scale: bool) -> Pose:
        """The best that can be climbed to from the headers and from equal centres, tilted or not."""
        angles = [np.deg2rad(a) for a in product(TRIAL_ANGLES_DEG, repeat=3)]
        poses = [Pose(_turn(a), shift) for shift in self.shifts for a in angles]
        straight = [Pose(np.eye(3), shift) for shift in self.shifts]
        return self._climbed(straight + self._promising(poses, NEAR_CLIMBS), with_scale)

    def anywhere(self, with_scale: bool, mirrored: bool = False) -> Pose:
        """The best that can be climbed to from all rotations about equal centres."""
        flip = np.diag([-1.0, 1.0, 1.0]) if mirrored else np.eye(3)
        poses = [Pose(turn @ flip, shift) for shift in self.shifts[1:] for turn in rotations(ROTATIONS)]
        return self._climbed(self._promising(poses, FAR_CLIMBS), with_scale)

    def mirrored(self, pose: Pose, with_scale: bool) -> Pose:
        """The best that can be climbed to from `pose` and from the headers, both mirrored along each axis."""
        flips = [np.diag(np.where(np.arange(3) == axis, -1.0, 1.0)) for axis in range(3)]
        starts = [Pose(pose.rotation @ flip, pose.shift, pose.scale) for flip in flips]
        starts += [Pose(flip, shift) for shift in self.shifts[1:] for flip in flips]
        return self._climbed(starts, with_scale)

    def matrix(self, pose: Pose) -> np.ndarray:
        """(4, 4), fixed -> moving in RAS mm."""
        matrix = np.eye(4)
        matrix[:3, :3] = pose.scale * pose.rotation
        matrix[:3, 3] = self.centre + pose.shift - matrix[:3, :3] @ self.centre
        return matrix

    def score(self, pose: Pose, points: int = POINTS) -> float:
        """Mutual information in nats; minus infinity with too little overlap."""
        moving = self._bins_at(pose, points)
        inside = moving >= 0
        count = np.count_nonzero(inside)
        if count < max(self._least * len(moving) // len(self._fixed_bins), 8):
            return -np.inf
        cells = (self._fixed_bins[:points] + moving)[inside]
        return information(np.bincount(cells, minlength=self._cells[0] * self._cells[1]).reshape(self._cells))

    def _set_moving(self, moving: Seen, values: np.ndarray) -> None:
        """Number the intensities of both images; the moving ones on finer voxels, where the nearest is near enough."""
        array = zoom(moving.image.array.astype(np.float32), 2, order=1, mode="nearest", grid_mode=True)
        mask = None if moving.mask is None else moving.mask.repeat(2, 0).repeat(2, 1).repeat(2, 2)
        fixed_edges, moving_edges = _edges(values), _edges(array if mask is None else array[mask])
        self._cells = len(fixed_edges) + 1, len(moving_edges) + 1
        self._fixed_bins = np.searchsorted(fixed_edges, values) * self._cells[1]
        bins = np.searchsorted(moving_edges, array).astype(np.int16)
        if mask is not None:
            bins[~mask] = -1
        padded = np.pad(bins, 1, constant_values=-1)
        self._moving_bins, self._moving_shape = padded.ravel(), np.array(padded.shape)
        geometry = moving.image.geometry
        fine = geometry.affine @ np.diag([0.5, 0.5, 0.5, 1.0])
        fine[:3, 3] = geometry.voxel_to_world(np.full(3, -0.25))
        self._to_voxels = np.linalg.inv(fine)

    def _bins_at(self, pose: Pose, points: int = POINTS) -> np.ndarray:
        """Numbers of the moving intensities at the points; -1 outside."""
        linear = self._to_voxels[:3, :3] @ (pose.scale * pose.rotation)
        offset = self._to_voxels[:3, :3] @ (self.centre + pose.shift) + self._to_voxels[:3, 3] + 1.5
        voxels = linear @ self._from_centre[:, :points]
        voxels += offset[:, None]
        np.clip(voxels, 0, self._moving_shape[:, None] - 1, out=voxels)
        i, j, k = voxels.astype(np.intp)
        return self._moving_bins[(i * self._moving_shape[1] + j) * self._moving_shape[2] + k]

    def _inside(self, pose: Pose) -> int:
        return int(np.count_nonzero(self._bins_at(pose) >= 0))

    def _promising(self, poses: Sequence[Pose], count: int) -> list[Pose]:
        """The best of many, no two of them alike."""
        scores = np.array([self.score(pose, SCAN_POINTS) for pose in poses])
        kept: list[Pose] = []
        for index in np.argsort(-scores, kind="stable"):
            if len(kept) == count or not np.isfinite(scores[index]):
                break
            pose = poses[index]
            if not any(_is_near(pose, other) for other in kept):
                kept.append(pose)
        return kept

    def _climbed(self, poses: Iterable[Pose], with_scale: bool) -> Pose:
        """The best of several after an ascent of each."""
        found = []
        for pose in poses:
            self.progress(0.02, "Looking for the pose")
            found.append(self.climb(pose, COARSE_STEPS, with_scale))
        finest = sorted(found, key=lambda pose: -pose.score)[:2]
        finest = [self.climb(pose, FINE_STEPS, with_scale) for pose in finest]
        return max(finest, key=lambda pose: pose.score, default=Pose(np.eye(3), self.shifts[0]))

    def climb(self, pose: Pose, steps: Sequence[tuple[float, float]], with_scale: bool) -> Pose:
        """Ascent by steps along one parameter after the other."""
        best = pose._replace(score=self.score(pose))
        for angle, share in steps:
            moves = _moves(np.deg2rad(angle), share * self._length, angle / 200 if with_scale else 0.0)
            for _ in range(SWEEPS):
                before = best.score
                for there, back in moves:
                    best = self._better(best, there) or self._better(best, back) or best
                if best.score <= before:
                    break
        return best

    def _better(self, pose: Pose, move: Pose) -> Pose | None:
        moved = Pose(move.rotation @ pose.rotation, pose.shift + move.shift, pose.scale * move.scale)
        if not SCALES[0] < moved.scale < SCALES[1]:
            return None
        moved = moved._replace(score=self.score(moved))
        return moved if moved.score > pose.score else None


def rotations(count: int) -> np.ndarray:
    """(count, 3, 3), spread evenly over all rotations.

    Source: super-Fibonacci spirals, Alexa, CVPR 2022, doi:10.1109/CVPR52688.2022.00811.
    """
    steps = np.arange(count) + 0.5
    inner, outer = np.sqrt(steps / count), np.sqrt(1 - steps / count)
    one, other = 2 * np.pi * steps / np.sqrt(2.0), 2 * np.pi * steps / 1.533751168755204288118041
    x, y, z, w = inner * np.sin(one), inner * np.cos(one), outer * np.sin(other), outer * np.cos(other)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return np.moveaxis(np.array(rows), -1, 0)


def _turn(angles: np.ndarray) -> np.ndarray:
    """(3, 3), rotation about the first, then the second, then the third axis; radians."""
    (a, b, c), (p, q, r) = np.cos(angles), np.sin(angles)
    first = np.array([[1, 0, 0], [0, a, -p], [0, p, a]])
    second = np.array([[b, 0, q], [0, 1, 0], [-q, 0, b]])
    third = np.array([[c, -r, 0], [r, c, 0], [0, 0, 1]])
    return third @ second @ first


def _moves(angle: float, length: float, growth: float) -> list[tuple[Pose, Pose]]:
    """Steps there and back along each parameter."""
    pairs = []
    for axis in np.eye(3):
        pairs.append((Pose(_turn(angle * axis), np.zeros(3)), Pose(_turn(-angle * axis), np.zeros(3))))
        pairs.append((Pose(np.eye(3), length * axis), Pose(np.eye(3), -length * axis)))
    if growth:
        pairs.append((Pose(np.eye(3), np.zeros(3), 1 + growth), Pose(np.eye(3), np.zeros(3), 1 / (1 + growth))))
    return pairs


def _is_near(one: Pose, other: Pose) -> bool:
    alike = np.trace(one.rotation.T @ other.rotation) > 1 + 2 * np.cos(np.deg2rad(APART_DEG))
    return bool(one.shift is other.shift and alike)


def _sampled(seen: Seen, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Scattered points (N, 3) in RAS mm and the intensities there; a lattice would favour shifts by its own spacing."""
    geometry = seen.image.geometry
    if seen.mask is None:
        voxels = random.uniform(-0.5, np.array(geometry.shape) - 0.5, (POINTS, 3))
    else:
        inside = np.argwhere(seen.mask)
        voxels = inside[random.integers(0, len(inside), POINTS)] + random.uniform(-0.5, 0.5, (POINTS, 3))
    values = map_coordinates(seen.image.array.astype(np.float32), voxels.T, order=1, mode="nearest")
    return geometry.voxel_to_world(voxels), values


def _edges(values: np.ndarray) -> np.ndarray:
    """Between bins that are narrow where intensities are frequent, without leaving too few for the rare ones."""
    low, high = np.percentile(values, [0.5, 99.5])
    if high <= low:
        low, high = values.min(), values.max()
    counts, edges = np.histogram(np.clip(values, low, high), bins=256, range=(low, high))
    filled = np.cumsum(np.sqrt(counts))
    return np.unique(np.interp(np.arange(1, BINS) / BINS, filled / filled[-1], edges[1:]))
