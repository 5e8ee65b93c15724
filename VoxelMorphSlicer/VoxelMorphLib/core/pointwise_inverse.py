"""The inverse of a displacement field at single points, solved there instead of on a grid."""

from __future__ import annotations

import dataclasses
import threading
from dataclasses import dataclass

import numpy as np

from .transform import AffineTransform, CompositeTransform, DisplacementField, Transform, simplest

#: What a solution may miss by, mm, and the rounds it may take. A point whose error does not shrink halves its step.
PRECISION_MM = 1e-4
ROUNDS = 60


class Misses:
    """How far solutions were from exact, counted over all points that were mapped, by any number of threads.

    Attributes:
        points: that missed by more than `PRECISION_MM`.
        worst_mm: largest miss.
    """

    def __init__(self) -> None:
        self.points, self.worst_mm = 0, 0.0
        self._lock = threading.Lock()

    def add(self, misses_mm: np.ndarray) -> None:
        """Count (N,) misses."""
        with self._lock:
            self.points += int((misses_mm > PRECISION_MM).sum())
            self.worst_mm = max(self.worst_mm, float(misses_mm.max(initial=0.0)))


@dataclass(frozen=True, eq=False)
class PointwiseInverse(Transform):
    """y -> x with x + u(x) = y. Between voxels it is as exact as at them, which the inverse on a grid is not.

    Where the field folds there are several solutions or none; the nearest that is found is taken, and counted.

    Args:
        field: fixed -> moving.
        misses: counts solutions that are not exact.

    Source: Chen et al., Med. Phys. 35:81-88 (2008), doi:10.1118/1.2816107, with a step that adapts per point.
    """

    field: DisplacementField
    misses: Misses = dataclasses.field(default_factory=Misses)

    def apply_to_points(self, points: np.ndarray) -> np.ndarray:
        targets = np.asarray(points, np.float64).reshape(-1, 3)
        solution, miss = targets.copy(), np.full(len(targets), np.inf)
        best, least = targets.copy(), miss.copy()
        step, active = np.ones(len(targets)), np.arange(len(targets))
        for _round in range(ROUNDS):
            error = targets[active] - self.field.apply_to_points(solution[active])
            length = np.linalg.norm(error, axis=1)
            better = length < least[active]
            best[active[better]], least[active[better]] = solution[active[better]], length[better]
            step[active] = np.where(length < miss[active], step[active], step[active] / 2)
            miss[active] = length
            going_on = length > PRECISION_MM
            active, error = active[going_on], error[going_on]
            if not len(active):
                break
            solution[active] += step[active, None] * error
        self.misses.add(least)
        return best.reshape(np.shape(points))

    def inverse(self) -> DisplacementField:
        return self.field


def inverse_at_points(transform: Transform) -> Transform:
    """The inverse of any transform, whose fields are inverted where they are asked and never sampled on a grid."""
    if isinstance(transform, CompositeTransform):
        return simplest(CompositeTransform(tuple(map(inverse_at_points, reversed(transform.transforms)))))
    if isinstance(transform, (AffineTransform, PointwiseInverse)):
        return transform.inverse()
    assert isinstance(transform, DisplacementField)
    return PointwiseInverse(transform)
