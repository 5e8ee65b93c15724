"""The affine start of two slices: the linear map inside their plane, searched over all rotations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates

from ..core.errors import GeometryError
from ..core.geometry import Geometry
from ..core.image import Image, LabelMap
from ..core.image_resampling import background_of
from ..core.metrics import information
from ..core.progress import Progress, silent
from ..core.transform import AffineTransform
from .initialisation import MIRROR_GAIN, TOLD_TURN_DEG, TRIAL_GAIN, Start, start_warnings
from .intensities import without_outliers
from .order import precedes
from .pose_search import LEAST_OVERLAP, SCALES, TURN_GAIN

#: Pixels of the scan over rotations, and of the ascent at the end.
SCAN_PIXELS, FINE_PIXELS = 2_500, 20_000
BINS = 24
#: Rotations of the scan, and how many of the poses are improved.
ROTATIONS, CLIMBS = 36, 3
#: When Powell's method stops: for poses that are compared with others, and at the end.
ROUGHLY, FINELY = ({"xtol": x, "ftol": f, "maxiter": n} for x, f, n in ((5e-3, 1e-4, 8), (2e-3, 1e-5, 12)))
#: First step of the ascent: radians, share of the extent, logarithm of the scale.
TURN_STEP, SHIFT_STEP, SCALE_STEP = 0.1, 0.05, 0.05
#: Largest logarithm of the ratio of the scales along two directions.
LARGEST_STRETCH = 0.3
#: Parameters of each kind: turn and shift; one scale; two more that stretch.
FREE = {"rigid": 3, "similarity": 4, "affine": 6}


def planar_start(
    fixed: Image,
    moving: Image,
    kind: str,
    seed: int = 0,
    progress: Progress = silent,
    fixed_mask: LabelMap | None = None,
    moving_mask: LabelMap | None = None,
) -> Start:
    """Align two slices that lie in one plane, as `affine_start` aligns volumes.

    Args:
        fixed, moving: of one slice each, in the same plane.
        kind: "grid", "centre", "rigid" or "affine".
        seed: of the pixels that are compared.
        progress: called while it is searched; may raise `Cancelled`.
        fixed_mask, moving_mask: 0 and 1 on the grids of the images.

    Returns:
        The map, which leaves the plane in its place and is the identity where nothing better was found.

    Raises:
        GeometryError: the contents overlap in no position.

    Source: mutual information: Viola and Wells, IJCV 1997, doi:10.1023/A:1007958904918; ascent: Powell, The Computer
    Journal 1964, doi:10.1093/comjnl/7.2.155, as implemented in SciPy.
    """
    frame = _frame(fixed.geometry)
    here, there = _Slice.of(fixed, fixed_mask, frame), _Slice.of(moving, moving_mask, frame)
    if kind == "grid":
        return Start(_in_space(_shifted(there.centre - here.centre), frame))
    if precedes(fixed, moving, fixed_mask, moving_mask):
        matrix, told = _found(here, there, kind, seed, progress)
    else:
        matrix, told = _found(there, here, kind, seed, progress)
        matrix = np.linalg.inv(matrix)
    return Start(_in_space(matrix, frame), told)


def _found(here: _Slice, there: _Slice, kind: str, seed: int, progress: Progress) -> tuple[np.ndarray, tuple[str, ...]]:
    """(3, 3), here -> there in the plane, and what the user should check."""
    coarse = _Search(here, there, SCAN_PIXELS, seed)
    if not coarse.meet:
        raise GeometryError(
            "The contents of the two slices do not overlap in any of the tried positions. Give an initial transform "
            "that brings them together."
        )
    if kind == "centre":
        return coarse.best_shift(), ()
    near, far, mirrored = (coarse.best_pose(*each, progress) for each in ((True, False), (False, False), (False, True)))
    pose = far if far[1] > TURN_GAIN * near[1] else near
    fine = _Search(here, there, FINE_PIXELS, seed)
    ways = [fine.ascended(pose[0], kind, progress), fine.ascended(np.zeros(6), kind, progress)]
    parameters, score = max(ways, key=lambda way: way[1])
    told = start_warnings(float(np.degrees(abs(_wrapped(parameters[:1])[0]))), mirrored[1] > MIRROR_GAIN * pose[1])
    if fine.score(np.eye(3)) >= score:
        return np.eye(3), ()
    return fine.matrix(parameters), told


@dataclass(frozen=True, eq=False)
class _Slice:
    """A slice in the coordinates of the plane, mm.

    Args:
        values: (A, B), float32.
        place: (3, 3), pixel (a, b, 1) -> plane.
        mask: (A, B) bool, what may be looked at.
        background: value beyond the slice.
    """

    values: np.ndarray
    place: np.ndarray
    mask: np.ndarray
    background: float

    @classmethod
    def of(cls, image: Image, mask: LabelMap | None, frame: np.ndarray) -> _Slice:
        axis = image.geometry.flat_axis
        assert axis is not None
        kept = [each for each in range(3) if each != axis]
        in_frame = np.linalg.inv(frame) @ image.geometry.affine
        place = np.eye(3)
        place[:2, :2], place[:2, 2] = in_frame[:2, kept], in_frame[:2, 3]
        values = without_outliers(image).array.astype(np.float32).squeeze(axis)
        seen = np.ones(values.shape, bool) if mask is None else mask.array.squeeze(axis) > 0
        return cls(values, place, seen, float(background_of(image.array)))

    @property
    def spacing(self) -> np.ndarray:
        """(2,), mm."""
        return np.linalg.norm(self.place[:2, :2], axis=0)

    @property
    def centre(self) -> np.ndarray:
        """(2,), of the field of view."""
        return self._point((np.array(self.values.shape) - 1) / 2)

    def centre_of_mass(self) -> np.ndarray:
        """(2,), of how far the intensities are from the background."""
        contrast = np.where(self.mask, np.abs(self.values - self.background), 0)
        contrast = np.minimum(contrast, np.percentile(contrast[self.mask], 99))
        total = float(contrast.sum())
        if total <= 0:
            return self.centre
        return self._point(np.array([(n * contrast).sum() / total for n in np.indices(contrast.shape)]))

    def reduced(self, pixels: int) -> _Slice:
        """The same smoothed, on about so many pixels at most, about as long as wide."""
        side = np.sqrt(self.values.size * np.prod(self.spacing) / pixels)
        steps = np.maximum(1, np.rint(side / self.spacing)).astype(int)
        smooth = gaussian_filter(self.values, np.maximum(0.5 * steps, 0.7), mode="nearest")
        place = self.place @ np.diag([*steps, 1.0])
        part = tuple(slice(None, None, step) for step in steps)
        return _Slice(smooth[part], place, self.mask[part], self.background)

    def _point(self, pixel: np.ndarray) -> np.ndarray:
        return self.place[:2, :2] @ pixel + self.place[:2, 2]


class _Search:
    """Mutual information of two slices under a map of their plane, and the maps that raise it.

    Parameters are the turn, rad, two shifts in extents, the logarithms of the scale and of two stretches.
    """

    def __init__(self, here: _Slice, there: _Slice, pixels: int, seed: int):
        fixed, self.moving = here.reduced(pixels), there.reduced(pixels)
        self.about = here.centre_of_mass()
        self.shifts = [np.zeros(2), there.centre - here.centre, there.centre_of_mass() - self.about]
        places = np.argwhere(fixed.mask)
        jitter = np.random.default_rng(seed).uniform(-0.5, 0.5, places.shape)  # or maps that meet the pixels would gain
        places = np.clip(places + jitter, 0, np.array(fixed.values.shape) - 1)
        #: (2, P), mm in the plane.
        self.points = fixed.place[:2, :2] @ places.T + fixed.place[:2, 2:]
        self.extent = float(np.ptp(self.points, axis=1).min()) or 1.0
        self._edges = _edges(self.moving.values[self.moving.mask])
        values = map_coordinates(fixed.values, places.T, order=1, mode="nearest")
        self._fixed_bins = np.searchsorted(_edges(fixed.values[fixed.mask]), values) * BINS
        self._to_pixels = np.linalg.inv(self.moving.place)
        self._least: float = LEAST_OVERLAP * max(int(self._inside(_shifted(shift))[1].sum()) for shift in self.shifts)

    @property
    def meet(self) -> bool:
        """Whether any of the shifts lets both show something at the same place."""
        return self._least > 0

    def best_shift(self) -> np.ndarray:
        """(3, 3), the headers or, where they are better, equal centres."""
        headers, *centred = [_shifted(shift) for shift in self.shifts]
        best = max(centred, key=self.score)
        return headers if TRIAL_GAIN * self.score(headers) >= self.score(best) else best

    def best_pose(self, is_near: bool, is_mirrored: bool, progress: Progress) -> tuple[np.ndarray, float]:
        """Parameters and score of the best similarity: within `TOLD_TURN_DEG` of the headers, or at any angle."""
        turns = np.arange(ROTATIONS) * 2 * np.pi / ROTATIONS
        if is_near:
            turns = turns[np.abs(_wrapped(turns)) <= np.radians(TOLD_TURN_DEG)]
        starts = [np.array([turn, *(shift / self.extent), 0, 0, 0]) for turn in turns for shift in self.shifts]
        starts.sort(key=lambda start: -self.score(self.matrix(start, is_mirrored)))
        climbed = []
        for start in starts[:CLIMBS]:
            progress(0.3, "Aligning")
            climbed.append(self.ascended(start, "similarity", is_mirrored=is_mirrored))
        return max(climbed, key=lambda each: each[1])

    def ascended(
        self, start: np.ndarray, kind: str, progress: Progress = silent, is_mirrored: bool = False
    ) -> tuple[np.ndarray, float]:
        """Parameters and score that Powell's method climbs to."""
        from scipy.optimize import minimize  # 0.15 s of every start, which volumes need not wait for

        steps = np.array([TURN_STEP, SHIFT_STEP, SHIFT_STEP, SCALE_STEP, SCALE_STEP, SCALE_STEP])
        free = FREE[kind]
        best = np.array(start, float)

        def loss(scaled: np.ndarray) -> float:
            tried = best.copy()
            tried[:free] = start[:free] + scaled * steps[:free]
            return -self.score(self.matrix(tried, is_mirrored)) if _is_usual(tried) else 0.0

        progress(0.6, "Aligning")
        found = minimize(loss, np.zeros(free), method="Powell", options=ROUGHLY if kind == "similarity" else FINELY)
        best[:free] = start[:free] + found.x * steps[:free]
        return best, -float(found.fun)

    def matrix(self, parameters: np.ndarray, is_mirrored: bool = False) -> np.ndarray:
        """(3, 3), here -> there in the plane."""
        turn, along, across, size, stretch, skew = parameters
        values, vectors = np.linalg.eigh(np.array([[size + stretch, skew], [skew, size - stretch]]))
        linear = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        linear = linear @ (vectors * np.exp(values)) @ vectors.T @ np.diag([-1.0 if is_mirrored else 1.0, 1.0])
        matrix = np.eye(3)
        matrix[:2, :2] = linear
        matrix[:2, 2] = self.about + self.extent * np.array([along, across]) - linear @ self.about
        return matrix

    def score(self, matrix: np.ndarray) -> float:
        """Mutual information, nats; 0 with too little overlap."""
        pixels, inside = self._inside(matrix)
        if inside.sum() < max(self._least, 16):
            return 0.0
        values = map_coordinates(self.moving.values, pixels[:, inside], order=1, mode="nearest")
        cells = self._fixed_bins[inside] + np.searchsorted(self._edges, values)
        return information(np.bincount(cells, minlength=BINS**2).reshape(BINS, BINS))

    def _inside(self, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(2, P) pixels of the moving slice, and (P,) which of the points lie in what may be looked at."""
        rows, (x, y) = (self._to_pixels @ matrix)[:2], self.points  # no product of matrices: its threads wait longer
        pixels = np.stack([row[0] * x + row[1] * y + row[2] for row in rows])
        last = np.array(self.moving.values.shape)[:, None] - 1
        inside = ((pixels >= -0.5) & (pixels <= last + 0.5)).all(axis=0)
        nearest = np.clip(np.rint(pixels), 0, last).astype(np.intp)
        return pixels, inside & self.moving.mask[nearest[0], nearest[1]]


def _edges(values: np.ndarray) -> np.ndarray:
    """(BINS - 1,), between classes of equal width."""
    return np.linspace(values.min(), values.max(), BINS + 1)[1:-1]


def _is_usual(parameters: np.ndarray) -> bool:
    size = np.log(SCALES)
    return size[0] <= parameters[3] <= size[1] and float(np.hypot(*parameters[4:])) <= LARGEST_STRETCH


def _wrapped(angles: np.ndarray) -> np.ndarray:
    wrapped: np.ndarray = (angles + np.pi) % (2 * np.pi) - np.pi
    return wrapped


def _shifted(shift: np.ndarray) -> np.ndarray:
    matrix = np.eye(3)
    matrix[:2, 2] = shift
    return matrix


def _frame(geometry: Geometry) -> np.ndarray:
    """(4, 4), coordinates (along, across, normal) of the plane of a slice, mm -> RAS mm."""
    axis = geometry.flat_axis
    assert axis is not None
    frame = np.eye(4)
    frame[:3, :3] = geometry.direction[:, [each for each in range(3) if each != axis] + [axis]]
    frame[:3, 3] = geometry.centre
    return frame


def _in_space(matrix: np.ndarray, frame: np.ndarray) -> AffineTransform:
    whole = np.eye(4)
    whole[:2, :2], whole[:2, 3] = matrix[:2, :2], matrix[:2, 2]
    return AffineTransform(frame @ whole @ np.linalg.inv(frame))
