"""Fields between two images by way of a third."""

from __future__ import annotations

import pytest
import torch
from VoxelMorphLib.networks.fields import FieldPair, via_template

SHAPE = (12, 10, 8)


@pytest.mark.parametrize("invertible", [True, False])
def test_fields_by_way_of_a_template_lead_from_the_fixed_to_the_moving_image(invertible):
    """Constant shifts: the third image is shifted by 2 to the moving and by -1 to the fixed image."""

    def shift(voxels):
        field = torch.zeros(1, 3, *SHAPE)
        field[:, 0] = voxels
        return FieldPair(None, field, -field if invertible else None)

    pair = via_template(to_moving=shift(2.0), to_fixed=shift(-1.0))
    assert torch.allclose(pair.displacement[:, 0], torch.tensor(-3.0), atol=0.02)
    assert torch.allclose(pair.inverse[:, 0], torch.tensor(3.0), atol=0.02)
    assert pair.displacement[:, 1:].abs().max() < 0.02
