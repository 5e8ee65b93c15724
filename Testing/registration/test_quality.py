"""The figures of a registration are those of the whole transform."""

from __future__ import annotations

import numpy as np
import pytest
from support.volumes import a_geometry
from VoxelMorphLib.core.transform import AffineTransform, DisplacementField
from VoxelMorphLib.registration.quality import deformable_part, volume_ratio

GRID = a_geometry("oblique", (16, 15, 14))
LARGER = AffineTransform(np.diag([1.1, 1.2, 0.9, 1.0]))
BENT = DisplacementField((0.5 * np.sin(GRID.points() / 4)).astype(np.float32), GRID)


@pytest.mark.parametrize(
    "transform",
    [LARGER, BENT, BENT.compose(LARGER), LARGER.compose(BENT), BENT.compose(LARGER).compose(BENT)],
    ids=["affine", "field", "field, affine", "affine, field", "field, affine, field"],
)
def test_the_volume_ratio_counts_every_part(transform):
    expected = transform.to_displacement(GRID).jacobian_determinant().array
    np.testing.assert_allclose(volume_ratio(transform, deformable_part(transform, GRID)), expected, atol=2e-4)
    assert abs(expected.mean() - 1) > 0.1 or transform is BENT
