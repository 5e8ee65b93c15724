"""VxmAffineFeatureDetector and VxmAffine: their size, options, precision, and images that hold nothing."""

from __future__ import annotations

import pytest
import torch
from support.tiny_networks import a_pair, filled
from torch import Tensor
from VoxelMorphLib.core.affine import affine_to_displacement, invert_affine
from VoxelMorphLib.core.displacement import compose
from VoxelMorphLib.core.errors import ConfigError, GeometryError
from VoxelMorphLib.core.spatial import warp
from VoxelMorphLib.networks.affine_detector import VxmAffineFeatureDetector
from VoxelMorphLib.networks.historic_affine import TRANSFORM_TYPES, VxmAffine
from VoxelMorphLib.networks.precision import set_precision
from VoxelMorphLib.weights.architectures import build_network

TINY = {"enc_nf": (4, 6), "add_nf": (6,), "num_feat": 8}
SHAPES = {2: (32, 24), 3: (16, 24, 16)}


def a_detector(ndims: int = 3, **options) -> VxmAffineFeatureDetector:
    return filled(VxmAffineFeatureDetector(ndims, **{**TINY, **options}))


def a_historic_network(**options) -> VxmAffine:
    return filled(VxmAffine((12, 9), (3, 4), **options), size=0.3)


def identity(ndims: int) -> Tensor:
    return torch.eye(ndims, ndims + 1)


def test_the_published_size():
    network = build_network("VxmAffineFeatureDetector", {}, device="meta")
    assert sum(p.numel() for p in network.parameters()) == 12_837_696
    assert len(network.unet.blocks) == 9
    assert network.multiple == 32


@pytest.mark.parametrize("ndims", [2, 3])
@pytest.mark.parametrize("rigid", [True, False])
def test_equal_images_stay_where_they_are(ndims, rigid):
    image = a_pair(SHAPES[ndims])[0]
    output = a_detector(ndims, rigid=rigid)(image, image)
    assert torch.allclose(output.matrix[0], identity(ndims), atol=1e-4)
    assert output.displacement.abs().max() < 1e-3


@pytest.mark.parametrize("blank", [0, 1, 2])
@pytest.mark.parametrize("bias", [0.0, 0.1, -10.0])
def test_blank_images_give_finite_output(blank, bias):
    """A bias of -10 leaves no feature alive."""
    network = a_detector(bidir=True, return_moved=True, return_feat=True)
    for block in network.unet.blocks:
        block.convolution.bias.data.fill_(bias)
    pair = a_pair(SHAPES[3])
    for image in pair[:blank] if blank < 2 else pair:
        image.zero_()
    output = network(*pair)
    for tensor in (output.matrix, output.inverse_matrix, output.displacement, output.moved, output.features):
        assert tensor.isfinite().all()
    if bias == -10:
        assert torch.equal(output.matrix[0], identity(3))


def test_fields_are_the_matrix_and_its_inverse():
    network, pair = a_detector(return_trans_to_mid_space=True, return_trans_to_half_res=True), a_pair(SHAPES[3])
    fields = network.fields(*pair)
    assert fields.velocity is None
    assert torch.equal(fields.displacement, affine_to_displacement(fields.matrix, SHAPES[3], shift_center=False))
    inverse = affine_to_displacement(invert_affine(fields.matrix), SHAPES[3], shift_center=False)
    assert torch.allclose(fields.inverse, inverse, atol=1e-4)
    assert torch.equal(fields.matrix, a_detector()(*pair).matrix)


def test_two_ways_to_the_middle_make_a_whole_one():
    pair = a_pair(SHAPES[3])
    half = a_detector(return_trans_to_mid_space=True, bidir=True, make_dense=False)(*pair)
    whole = a_detector(make_dense=False)(*pair)
    assert half.displacement is None
    twice = compose([half.matrix, half.matrix], shift_center=False)
    assert torch.allclose(twice, whole.matrix, atol=1e-4)
    there_and_back = compose([half.matrix, half.inverse_matrix], shift_center=False)
    assert torch.allclose(there_and_back[0], identity(3), atol=1e-4)


def test_transforms_to_half_the_resolution_show_every_second_voxel():
    pair = a_pair((32, 24))
    whole = a_detector(2, return_moved=True)(*pair)
    half = a_detector(2, return_trans_to_half_res=True, return_moved=True, bidir=True)(*pair)
    assert half.displacement.shape == half.inverse.shape == (1, 2, 16, 12)
    assert torch.allclose(half.moved, whole.moved[:, :, ::2, ::2], atol=1e-3)


def test_moved_images_are_the_warped_ones():
    pair = a_pair((32, 24))
    output = a_detector(2, return_moved=True)(*pair)
    assert torch.equal(output.moved, warp(pair[0], output.displacement, padding="hard"))
    assert output.moved_fixed is output.features is output.inverse_matrix is None


def test_any_extent_is_padded_without_moving_the_first_voxel():
    pair = a_pair((31, 24))
    padded = [torch.nn.functional.pad(image, (0, 0, 0, 1), mode="replicate") for image in pair]
    output = a_detector(2)(*pair)
    assert output.displacement.shape == (1, 2, 31, 24)
    assert torch.allclose(output.matrix, a_detector(2)(*padded).matrix, atol=1e-5)


def test_every_item_of_a_batch_has_its_own_matrix():
    pair = a_pair((32, 24), batch=3)
    together = a_detector(2)(*pair).matrix
    apart = [a_detector(2)(*[image[i : i + 1] for image in pair]).matrix for i in range(3)]
    assert torch.allclose(together, torch.cat(apart), atol=1e-4)


def test_dropout_is_for_training_only():
    network, pair = a_detector(2, dropout=0.5, return_feat=True), a_pair((32, 24))
    assert torch.equal(network(*pair).features, a_detector(2, return_feat=True)(*pair).features)
    torch.manual_seed(0)
    network.train()
    first, second = (network(*pair).features for _ in range(2))
    assert not torch.equal(first, second)
    assert network.unet.blocks[-1].dropout == 0


@pytest.mark.parametrize("options", [{}, {"dec_nf": (5,)}, {"dec_nf": (5, 4)}, {"add_nf": ()}, {"per_level": 2}])
def test_the_resolution_of_the_features(options):
    network = a_detector(2, return_feat=True, **options)
    features = network(*a_pair((32, 24))).features
    scale = 2 ** (3 - len(options.get("dec_nf", ())))
    assert features.shape == (1, 8, 32 // scale, 24 // scale)
    assert features.min() >= 0


def test_convolutions_in_bfloat16_leave_the_matrix_in_float32():
    pair = a_pair(SHAPES[3])
    exact = a_detector()(*pair)
    rough = set_precision(a_detector(), "bfloat16")(*pair)
    assert rough.matrix.dtype == rough.displacement.dtype == torch.float32
    assert (rough.matrix - exact.matrix).abs().max() < 0.5


def test_one_step_of_training_lowers_the_loss():
    torch.manual_seed(0)
    network, pair = VxmAffineFeatureDetector(2, **TINY).train(), a_pair((32, 24))
    wanted = affine_to_displacement(torch.tensor([[[1.0, 0.1, 2.0], [0.0, 1.0, -1.0]]]), (32, 24))
    optimiser = torch.optim.Adam(network.parameters(), 1e-3)
    losses = []
    for _ in range(5):
        loss = (network(*pair).displacement - wanted).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"ndims": 1}, "works on 2 or 3 axes"),
        ({"dec_nf": (4, 4, 4)}, "goes up no further than down"),
        ({"half_res": False, "return_trans_to_half_res": True}, "needs half_res"),
        ({"dropout": 1.0}, "dropout is 1.0"),
    ],
)
def test_impossible_options_are_refused(options, text):
    with pytest.raises(ConfigError, match=text):
        VxmAffineFeatureDetector(**{**TINY, **options})


def test_images_that_do_not_fit_are_refused():
    with pytest.raises(GeometryError, match=r"on one grid of 2 axes, got \(1, 1, 32, 24\) and \(1, 1, 24, 32\)"):
        a_detector(2)(a_pair((32, 24))[0], a_pair((24, 32))[0])
    with pytest.raises(GeometryError, match=r"needs a moving and a fixed image \(B, 1, \*shape\)"):
        a_detector(2).fields(*a_pair((32, 24), channels=(2, 2)))


@pytest.mark.parametrize("kind", TRANSFORM_TYPES)
@pytest.mark.parametrize("blurs", [(1,), (2, 1)])
def test_the_historic_network_gives_a_matrix_and_its_inverse(kind, blurs):
    network, pair = a_historic_network(transform_type=kind, blurs=blurs, bidir=True), a_pair((12, 9))
    output, fields = network(*pair), network.fields(*pair)
    assert torch.equal(output.displacement, fields.displacement)
    assert torch.allclose(output.displacement, affine_to_displacement(output.matrix, (12, 9), False), atol=1e-4)
    product = compose([output.matrix, output.inverse_matrix], shift_center=False)
    assert torch.allclose(product[0], identity(2), atol=1e-4)
    linear = output.matrix[0, :, :2]
    gram = linear @ linear.T
    if kind != "affine":
        assert torch.allclose(gram, gram[0, 0] * torch.eye(2), atol=1e-4)
    if kind == "rigid":
        assert torch.allclose(gram, torch.eye(2), atol=1e-4)
    assert torch.equal(output.moved, warp(pair[0], output.displacement))


def test_the_historic_network_scales_its_numbers():
    small = a_historic_network(rescale_affine=1e-3)(*a_pair((12, 9))).displacement
    assert 0 < small.abs().max() < 0.01 * a_historic_network()(*a_pair((12, 9))).displacement.abs().max()


def test_the_historic_network_refuses_what_does_not_fit():
    with pytest.raises(ConfigError, match="transform_type is 'bent'"):
        VxmAffine((12, 9), transform_type="bent")
    with pytest.raises(ConfigError, match=r"blurs \[0\]"):
        VxmAffine((12, 9), blurs=(0,))
    with pytest.raises(GeometryError, match=r"made for images of \(12, 9\) voxels, got \(9, 12\)"):
        a_historic_network()(*a_pair((9, 12)))
