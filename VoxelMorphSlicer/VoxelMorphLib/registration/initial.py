"""An initial transform before it is used: damaged ones are refused, mirrors and folds are told."""

from __future__ import annotations

import numpy as np

from ..core.errors import GeometryError
from ..core.image_resampling import slabs
from ..core.transform import CompositeTransform, DisplacementField, Transform

#: A matrix that shrinks one direction this much against another flattens the volume.
FLATTEST = 1e-6
#: A displacement that is this many times the extent of its grid away from the others is damage.
FARTHEST = 10.0
#: Displacements that suffice to know their median.
MEDIAN_VOXELS = 1_000_000


def check_initial(transform: Transform) -> None:
    """Refuse a transform that flattens space, or a field with displacements that cannot be meant.

    Raises:
        GeometryError: with what is wrong.
    """
    for part in _parts(transform):
        matrix = part.as_matrix()
        if matrix is not None:
            _check_matrix(matrix)
        if isinstance(part, DisplacementField):
            _check_field(part)


def initial_warnings(transform: Transform) -> tuple[str, ...]:
    """Sentences about a transform that can be used but is unusual: it mirrors, or it folds."""
    is_mirrored, said = False, []
    for part in _parts(transform):
        matrix = part.as_matrix()
        if matrix is not None:
            is_mirrored ^= bool(np.linalg.det(matrix[:3, :3]) < 0)
        elif isinstance(part, DisplacementField):
            ratio = part.jacobian_determinant().array
            mirrors = bool(np.median(ratio) < 0)
            is_mirrored ^= mirrors
            folded = int((ratio >= 0).sum() if mirrors else (ratio <= 0).sum())
            if folded:
                said.append(
                    f"The initial transform folds {folded} of its {ratio.size} voxels, where it has no inverse: what "
                    "is brought back to the moving volume is not exact there. Use a smoother transform."
                )
    if is_mirrored:
        said.insert(
            0,
            "The initial transform mirrors the volume (its determinant is negative), so left and right are exchanged. "
            "Give one without a reflection, unless that is meant.",
        )
    return tuple(said)


def _parts(transform: Transform) -> tuple[Transform, ...]:
    return transform.transforms if isinstance(transform, CompositeTransform) else (transform,)


def _check_matrix(matrix: np.ndarray) -> None:
    scales = np.linalg.svd(matrix[:3, :3], compute_uv=False)
    if scales[-1] < FLATTEST * scales[0]:
        factors = ", ".join(f"{scale:.3g}" for scale in scales)
        raise GeometryError(
            f"The initial transform flattens the volume: it scales by {factors} along its axes, and has no inverse. "
            "Estimate it again, or give none."
        )


def _check_field(field: DisplacementField) -> None:
    vectors = field.array.reshape(-1, 3)
    middle = np.median(vectors[:: max(1, len(vectors) // MEDIAN_VOXELS)].astype(np.float64), axis=0)
    limit = FARTHEST * float((field.geometry.spacing * field.geometry.shape).max())
    wrong, farthest = 0, 0.0
    for slab in slabs(field.geometry):  # a copy in double precision of all would be large
        distance = np.abs(field.array[slab] - middle).max(axis=-1)
        wrong, farthest = wrong + int((distance > limit).sum()), max(farthest, float(distance.max()))
    if wrong:
        raise GeometryError(
            f"The initial transform displaces {wrong} of its {len(vectors)} voxels by up to {farthest:.3g} mm "
            f"from the others, on a grid of {limit / FARTHEST:.3g} mm. It looks damaged; compute it again."
        )
