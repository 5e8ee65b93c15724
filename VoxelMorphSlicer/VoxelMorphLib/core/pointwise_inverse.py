"""The inverse of a displacement field at single points, solved there instead of on a grid."""

from __future__ import annotations

import dataclasses
import threading
from dataclasses import dataclass
from typing import Any

import numpy as np

from .transform import AffineTransform, CompositeTransform, DisplacementField, Transform, simplest

#: What a solution may miss by, mm, and the rounds it may take. A point whose error does not shrink halves its step.
PRECISION_MM = 1e-4
ROUNDS = 60
#: Points from which on a coarse inverse, on every `COARSE` voxels of the field, pays as the start of their search.
MANY, COARSE = 50_000, 3


class Misses:
    """How far solutions were from exact, counted over all points that were mapped, by any number of threads.

    Attributes:
        points: that missed by more than they should.
        worst_mm: largest miss.
    """

    def __init__(self) -> None:
        self.points, self.worst_mm = 0, 0.0
        self._lock = threading.Lock()

    def add(self, misses_mm: np.ndarray, precision_mm: float = PRECISION_MM) -> None:
        """Count (N,) misses."""
        with self._lock:
            self.points += int((misses_mm > precision_mm).sum())
            self.worst_mm = max(self.worst_mm, float(misses_mm.max(initial=0.0)))


@dataclass(frozen=True, eq=False)
class PointwiseInverse(Transform):
    """y -> x with x + u(x) = y. Between voxels it is as exact as at them, which the inverse on a grid is not.

    Where the field folds there are several solutions or none; the nearest that is found is taken, and counted.

    Args:
        field: fixed -> moving.
        precision_mm: what a solution may miss by.
        misses: counts solutions that are not exact.

    Source: Chen et al., Med. Phys. 35:81-88 (2008), doi:10.1118/1.2816107, with a step that adapts per point.
    """

    field: DisplacementField
    precision_mm: float = PRECISION_MM
    misses: Misses = dataclasses.field(default_factory=Misses)
    _start: list[DisplacementField] = dataclasses.field(default_factory=list, repr=False)
    _lock: Any = dataclasses.field(default_factory=threading.Lock, repr=False)

    def apply_to_points(self, points: np.ndarray) -> np.ndarray:
        targets = np.asarray(points, np.float64).reshape(-1, 3)
        start = self._coarse().apply_to_points(targets) if len(targets) >= MANY else targets.copy()
        best, misses = self._solved(targets, start)
        self.misses.add(misses, self.precision_mm)
        return best.reshape(np.shape(points))

    def _solved(self, targets: np.ndarray, solution: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The best solution (N, 3) from a start, and what it misses by, (N,) mm."""
        miss = np.full(len(targets), np.inf)
        best, least = targets.copy(), miss.copy()
        step, active = np.ones(len(targets)), np.arange(len(targets))
        for _round in range(ROUNDS):
            error = targets[active] - self.field.apply_to_points(solution[active])
            length = np.linalg.norm(error, axis=1)
            better = length < least[active]
            best[active[better]], least[active[better]] = solution[active[better]], length[better]
            step[active] = np.where(length < miss[active], step[active], step[active] / 2)
            miss[active] = length
            going_on = length > self.precision_mm
            active, error = active[going_on], error[going_on]
            if not len(active):
                break
            solution[active] += step[active, None] * error
        return best, least

    def _coarse(self) -> DisplacementField:
        """The inverse on few voxels, for all searches to start from; made once."""
        with self._lock:
            if not self._start:
                grid = self.field.geometry.with_spacing(COARSE * self.field.geometry.spacing)
                places = grid.points().reshape(-1, 3)
                moved, _misses = self._solved(places, places.copy())
                self._start.append(DisplacementField((moved - places).reshape(*grid.shape, 3), grid))
            return self._start[0]

    def inverse(self) -> DisplacementField:
        return self.field


def inverse_at_points(transform: Transform, precision_mm: float = PRECISION_MM) -> Transform:
    """The inverse of any transform, whose fields are inverted where they are asked and never sampled on a grid."""
    if isinstance(transform, CompositeTransform):
        parts = (inverse_at_points(part, precision_mm) for part in reversed(transform.transforms))
        return simplest(CompositeTransform(tuple(parts)))
    if isinstance(transform, (AffineTransform, PointwiseInverse)):
        return transform.inverse()
    assert isinstance(transform, DisplacementField)
    return PointwiseInverse(transform, precision_mm)
