"""VxmAffineFeatureDetector and VxmAffine: size, options, precision, empty images, and the fit that aligns features."""

from __future__ import annotations

import pytest
import torch
from support.tiny_networks import a_pair, filled
from torch import Tensor
from VoxelMorphLib.core.affine import affine_to_displacement, invert_affine
from VoxelMorphLib.core.affine_parameters import affine_to_parameters, parameters_to_affine
from VoxelMorphLib.core.displacement import compose
from VoxelMorphLib.core.errors import ConfigError, GeometryError
from VoxelMorphLib.core.spatial import warp
from VoxelMorphLib.networks.affine_detector import VxmAffineFeatureDetector, align_features
from VoxelMorphLib.networks.legacy_affine import TRANSFORM_TYPES, VxmAffine
from VoxelMorphLib.networks.unet import set_unet_precision
from VoxelMorphLib.weights.architectures import build_network

TINY = {"enc_nf": (4, 6), "add_nf": (6,), "num_feat": 8}
SHAPES = {2: (32, 24), 3: (16, 24, 16)}

SHAPE = {2: (40, 48), 3: (32, 40, 36)}
#: Shift, rotation in degrees, scale, shear.
MOTION = {
    2: [2.0, -3.0, 12.0, 1.1, 0.9, 0.1],
    3: [2.0, -3.0, 1.5, 12.0, -8.0, 5.0, 1.1, 0.9, 1.05, 0.1, -0.05, 0.08],
}


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
    rough = set_unet_precision(a_detector(), "bfloat16")(*pair)
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


def points(ndims: int, count: int = 9) -> Tensor:
    """(1, P, N), voxels from the middle."""
    generator = torch.Generator().manual_seed(3)
    extents = torch.tensor(SHAPE[ndims], dtype=torch.float64)
    return (torch.rand(1, count, ndims, generator=generator, dtype=torch.float64) - 0.5) * extents * 0.4


def blobs(centres: Tensor, shape: tuple[int, ...]) -> Tensor:
    """(B, P, *shape): one Gaussian of 1.5 voxels about every centre (B, P, N)."""
    axes = [torch.arange(n, dtype=torch.float64) - (n - 1) / 2 for n in shape]
    grid = torch.stack(torch.meshgrid(*axes, indexing="ij"))
    offsets = grid - centres.reshape(*centres.shape, *[1] * len(shape))
    return torch.exp(-(offsets**2).sum(2) / (2 * 1.5**2)).float()


def moved_by(matrix: Tensor, centres: Tensor) -> Tensor:
    return centres @ matrix[..., :-1].mT + matrix[..., -1:].mT


def motion(ndims: int, count: int | None = None) -> Tensor:
    return parameters_to_affine(torch.tensor([MOTION[ndims][:count]], dtype=torch.float64), ndims)


@pytest.mark.parametrize("ndims", [2, 3])
@pytest.mark.parametrize("weighted", [True, False])
def test_a_known_affine_motion_comes_back(ndims, weighted):
    truth, fixed = motion(ndims), points(ndims)
    maps = [blobs(moved_by(truth, fixed), SHAPE[ndims]), blobs(fixed, SHAPE[ndims])]
    found = align_features(*maps, SHAPE[ndims], weighted)
    assert found.dtype == torch.float64
    assert torch.allclose(found, truth, atol=2e-3)


@pytest.mark.parametrize("ndims", [2, 3])
def test_a_known_rigid_motion_comes_back(ndims):
    count = ndims * (ndims + 1) // 2
    truth, fixed = motion(ndims, count), points(ndims)
    found = align_features(
        blobs(moved_by(truth, fixed), SHAPE[ndims]), blobs(fixed, SHAPE[ndims]), SHAPE[ndims], rigid=True
    )
    assert torch.allclose(found, truth, atol=2e-3)


def test_rigid_leaves_no_scale_and_shear():
    truth, fixed = motion(3), points(3)
    found = align_features(blobs(moved_by(truth, fixed), SHAPE[3]), blobs(fixed, SHAPE[3]), SHAPE[3], rigid=True)
    identity = torch.tensor([1.0, 1, 1, 0, 0, 0], dtype=torch.float64)
    assert torch.allclose(affine_to_parameters(found)[0, 6:], identity, atol=1e-9)
    assert torch.allclose(found[0, :, :3] @ found[0, :, :3].T, torch.eye(3, dtype=torch.float64), atol=1e-9)


def test_exchanged_images_give_the_inverse():
    truth, fixed = motion(3), points(3)
    maps = [blobs(moved_by(truth, fixed) + 0.3 * torch.rand(fixed.shape), SHAPE[3]), blobs(fixed, SHAPE[3])]
    product = compose([align_features(*maps, SHAPE[3]), align_features(*maps[::-1], SHAPE[3])])
    assert torch.allclose(product, torch.eye(3, 4, dtype=torch.float64), atol=1e-2)


def test_coarse_features_align_the_images_they_cover():
    """Maps at a quarter of the resolution still give voxels of the images."""
    fixed = points(2)
    shift = torch.tensor([[[1.0, -2.0]]], dtype=torch.float64)
    found = align_features(blobs(fixed + shift, SHAPE[2]), blobs(fixed, SHAPE[2]), [4 * n for n in SHAPE[2]])
    assert torch.allclose(found[0, :, 2], 4 * shift[0, 0], atol=0.01)


@pytest.mark.parametrize("rigid", [True, False])
@pytest.mark.parametrize("dead", ["both", "moving", "fixed"])
def test_features_without_contents_give_the_identity(dead, rigid):
    maps = {name: blobs(points(3), SHAPE[3]) for name in ("moving", "fixed")}
    for name in maps if dead == "both" else [dead]:
        maps[name] = torch.zeros_like(maps[name])
    found = align_features(maps["moving"], maps["fixed"], SHAPE[3], rigid=rigid)
    assert torch.equal(found[0], torch.eye(3, 4, dtype=torch.float64))


def test_constant_features_give_a_translation_at_most():
    found = align_features(torch.ones(1, 5, 8, 8), torch.ones(1, 5, 8, 8), (32, 32))
    assert torch.allclose(found[0], torch.eye(2, 3, dtype=torch.float64), atol=1e-4)


def test_a_feature_that_one_image_lacks_is_ignored():
    truth, fixed = motion(3), points(3)
    maps = [blobs(moved_by(truth, fixed), SHAPE[3]), blobs(fixed, SHAPE[3])]
    maps[0][:, 2] = 0
    assert torch.allclose(align_features(*maps, SHAPE[3]), truth, atol=2e-3)
    assert not torch.allclose(align_features(*maps, SHAPE[3], weighted=False), truth, atol=0.05)


def test_one_dead_pair_leaves_the_others_of_its_batch():
    truth, fixed = motion(2), points(2)
    moving, fixed_maps = blobs(moved_by(truth, fixed), SHAPE[2]), blobs(fixed, SHAPE[2])
    batch = [torch.cat([torch.zeros_like(maps), maps]) for maps in (moving, fixed_maps)]
    found = align_features(*batch, SHAPE[2])
    assert torch.equal(found[0], torch.eye(2, 3, dtype=torch.float64))
    assert torch.allclose(found[1:], truth, atol=2e-3)


@pytest.mark.parametrize("rigid", [True, False])
def test_gradients_of_dead_features_are_finite(rigid):
    moving = torch.cat([torch.zeros(1, 9, *SHAPE[2]), blobs(points(2) + 1, SHAPE[2])]).requires_grad_()
    fixed = torch.cat([torch.zeros(1, 9, *SHAPE[2]), blobs(points(2), SHAPE[2])])
    align_features(moving, fixed, SHAPE[2], rigid=rigid).square().sum().backward()
    assert moving.grad.isfinite().all()
    assert moving.grad[1].abs().max() > 0


def test_half_precision_features_are_summed_in_full_precision():
    truth, fixed = motion(3), points(3)
    maps = [blobs(moved_by(truth, fixed), SHAPE[3]), blobs(fixed, SHAPE[3])]
    with torch.autocast("cpu", torch.bfloat16):
        found = align_features(*[x.bfloat16() for x in maps], SHAPE[3])
    assert torch.allclose(found, truth, atol=0.1)
    assert torch.allclose(invert_affine(found), invert_affine(truth), atol=0.1)
