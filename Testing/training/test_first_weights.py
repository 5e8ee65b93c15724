"""First weights by which two images of one contrast move towards each other."""

from __future__ import annotations

import pytest
import torch
from support.tiny_networks import a_dense
from VoxelMorphLib.core.errors import ConfigError
from VoxelMorphLib.networks.dense import VxmDense
from VoxelMorphLib.training.first_weights import start_with_demons


def a_ball(centre: float, inside: float, outside: float) -> torch.Tensor:
    places = torch.stack(torch.meshgrid(*[torch.arange(24.0)] * 3, indexing="ij"))
    distance = (places - torch.tensor([centre, 11.5, 11.5]).view(3, 1, 1, 1)).norm(dim=0)
    return outside + (inside - outside) * torch.sigmoid(7 - distance)[None, None]


@pytest.mark.parametrize("svf_resolution", [1, 2])
@pytest.mark.parametrize(("inside", "outside"), [(0.8, 0.1), (0.1, 0.8)])
def test_a_shift_is_recognised_by_its_direction_in_either_contrast(svf_resolution, inside, outside):
    torch.manual_seed(0)
    network = VxmDense(ndims=3, features=[[16, 16], [16, 16, 16]], svf_resolution=svf_resolution)
    start_with_demons(network)
    fixed, moving = (a_ball(centre, inside, outside) for centre in (11.5, 13.0))
    with torch.no_grad():
        there, back = (network(*pair).displacement for pair in ((moving, fixed), (fixed, moving)))
    edge = (slice(None), slice(None), slice(3, 21), slice(8, 16), slice(8, 16))
    mean = there[edge].mean((2, 3, 4))[0]
    assert mean[0] > 0.1 and mean[1:].abs().max() < 0.3 * mean[0]
    torch.testing.assert_close(back[edge].mean((2, 3, 4))[0, 0], -mean[0], rtol=0.2, atol=0)


def test_images_that_agree_stay():
    torch.manual_seed(0)
    network = VxmDense(ndims=3, features=[[16, 16], [16, 16, 16]])
    start_with_demons(network)
    image = a_ball(11.5, 0.8, 0.1)
    with torch.no_grad():
        assert network(image, image).displacement.abs().max() < 1e-3


def test_networks_that_cannot_hold_them_are_refused():
    with pytest.raises(ConfigError, match="need 12 features in every convolution"):
        start_with_demons(a_dense(3))
    with pytest.raises(ConfigError, match="two images"):
        start_with_demons(torch.nn.Conv3d(2, 3, 3))
