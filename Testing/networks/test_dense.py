"""The dense networks: size, initial weights, resolutions, directions, sampling, and refused input."""

from __future__ import annotations

import pytest
import torch
from support.tiny_networks import SHAPES, a_cvpr, a_dense, a_miccai, a_pair, with_constant_flow
from VoxelMorphLib.core.displacement import compose
from VoxelMorphLib.core.errors import ConfigError, GeometryError
from VoxelMorphLib.core.spatial import warp
from VoxelMorphLib.networks.dense import VxmDense
from VoxelMorphLib.networks.padding import pad_to_multiple, padded_shape

every_dimension = pytest.mark.parametrize("ndims", [1, 2, 3])
EVERY_NETWORK = {
    "dense": a_dense,
    "half": lambda ndims, **options: a_dense(ndims, svf_resolution=2, **options),
    "displacement": lambda ndims, **options: a_dense(ndims, int_steps=0, svf_resolution=2, **options),
    "probabilistic": lambda ndims, **options: a_dense(ndims, use_probs=True, **options),
    "cvpr": a_cvpr,
    "miccai": a_miccai,
}
every_network = pytest.mark.parametrize("build", EVERY_NETWORK.values(), ids=EVERY_NETWORK.keys())


@pytest.mark.parametrize(("svf_resolution", "count"), [(1, 327_331), (2, 313_507)])
def test_the_number_of_weights_is_that_of_the_original(svf_resolution, count):
    network = VxmDense(svf_resolution=svf_resolution)
    assert sum(parameter.numel() for parameter in network.parameters()) == count


def test_first_weights_hardly_move_anything():
    torch.manual_seed(0)
    network = VxmDense(2, use_probs=True)
    assert network.flow.weight.std().item() == pytest.approx(1e-5, rel=0.2)
    assert not network.flow.bias.any()
    assert network.logvar.weight.std().item() == pytest.approx(1e-10, rel=0.2)
    assert network.logvar.bias.tolist() == [-10, -10]


@pytest.mark.parametrize(
    ("svf_resolution", "int_resolution", "svf", "velocity"),
    [(1, 2, 24, 12), (2, 2, 12, 12), (2, 1, 12, 12), (4, 2, 6, 12), (1.5, 2, 16, 12), (1, 1, 24, 24), (3, 3, 8, 8)],
)
def test_tensors_have_the_resolutions_asked_for(svf_resolution, int_resolution, svf, velocity):
    network = a_dense(2, svf_resolution=svf_resolution, int_resolution=int_resolution)
    output = network(*a_pair((24, 24)))
    assert output.svf.shape[-1] == svf
    assert output.velocity.shape[-1] == output.integrated.shape[-1] == velocity
    assert output.displacement.shape[-1] == 24


@every_dimension
def test_swapped_images_give_a_symmetric_network_the_inverse(ndims):
    network, (moving, fixed) = a_dense(ndims, symmetric=True, bidir=True), a_pair(SHAPES[ndims])
    with torch.no_grad():
        network.flow.weight.mul_(50)
    there, back = network(moving, fixed), network(fixed, moving)
    assert there.displacement.abs().max() > 0.1
    assert torch.allclose(there.displacement, back.inverse, atol=1e-5)
    assert torch.allclose(there.velocity, -back.velocity, atol=1e-5)
    assert not network(moving, moving).displacement.any()
    pair = network.fields(moving, fixed)
    assert torch.equal(pair.displacement, there.displacement) and torch.equal(pair.inverse, there.inverse)
    plain = a_dense(ndims, bidir=True)
    plain.load_state_dict(network.state_dict())
    expected = (plain(moving, fixed).velocity - plain(fixed, moving).velocity) / 2
    assert torch.allclose(there.velocity, expected, atol=1e-6)


@pytest.mark.parametrize("options", [{"use_probs": True}, {"int_steps": 0}, {"fixed_features": 2}])
def test_what_cannot_be_symmetric_is_refused(options):
    with pytest.raises(ConfigError, match="A symmetric network integrates a velocity"):
        a_dense(2, symmetric=True, **options)


def test_the_multiple_is_that_of_the_encoder():
    assert a_dense(2).multiple == 4
    assert VxmDense().multiple == 16


def test_a_velocity_coarser_than_the_bottleneck_is_refused():
    with pytest.raises(ConfigError, match="allows 0 to 2"):
        a_dense(2, svf_resolution=8)


@every_dimension
@every_network
def test_fields_lie_on_the_input_grid_whatever_its_extents(build, ndims):
    network, shape = build(ndims), (19, 5, 9)[:ndims]
    fields = network.fields(*a_pair(shape))
    assert fields.displacement.shape == (1, ndims, *shape)
    assert (fields.inverse is not None) == (fields.velocity is not None) == network.diffeomorphic
    assert fields.inverse is None or fields.inverse.shape == fields.displacement.shape


@every_dimension
@every_network
def test_padding_inside_equals_padding_outside(build, ndims):
    network, shape = build(ndims), (19, 5, 9)[:ndims]
    pair = a_pair(shape)
    inside = network.fields(*pair).displacement
    outside = network.fields(*[pad_to_multiple(image, network.multiple) for image in pair]).displacement
    assert outside.shape[2:] == padded_shape(shape, network.multiple)
    assert torch.allclose(inside, outside[(..., *(slice(n) for n in shape))], atol=1e-5)


@every_dimension
@every_network
def test_fields_equal_those_of_the_forward_pass(build, ndims):
    network, pair = build(ndims), a_pair(SHAPES[ndims])
    network.bidir = network.diffeomorphic
    output = network(*pair)
    with torch.inference_mode():
        fields = network.fields(*pair)
    assert output.displacement.abs().max() > 1e-3
    assert torch.allclose(fields.displacement, output.displacement, atol=1e-4)
    if network.diffeomorphic:
        assert torch.allclose(fields.velocity, output.velocity, atol=1e-4)
        assert torch.allclose(fields.inverse, output.inverse, atol=1e-4)


@every_network
def test_moved_is_the_moving_image_moved(build):
    network, (moving, fixed) = build(3), a_pair((16, 9, 12))
    output = network(moving, fixed)
    assert torch.allclose(output.moved, warp(moving, output.displacement), atol=1e-5)


def test_a_bidirectional_network_moves_the_fixed_image_back():
    network, (moving, fixed) = a_dense(2, bidir=True), a_pair(SHAPES[2])
    output = network(moving, fixed)
    assert torch.allclose(output.moved_fixed, warp(fixed, output.inverse), atol=1e-6)


def test_a_network_of_one_direction_gives_no_inverse_in_its_output():
    output = a_dense(2)(*a_pair(SHAPES[2]))
    assert output.inverse is None
    assert output.moved_fixed is None


def test_the_gradient_of_the_velocity_takes_the_fast_way():
    """torch alone took half of a training step for the convolution that predicts the velocity."""
    node = a_dense(3)(*a_pair((8, 8, 8))).flow.grad_fn
    names = [type(node).__name__, *(type(before).__name__ for before, _ in node.next_functions if before is not None)]
    assert any("SmallConvolution" in name for name in names)


@every_network
def test_without_flow_nothing_moves(build):
    network, (moving, fixed) = with_constant_flow(build(3), 0.0), a_pair((16, 9, 12))
    output = network(moving, fixed)
    assert not output.displacement.any()
    assert torch.allclose(output.moved, moving, atol=1e-6)


@every_dimension
@pytest.mark.parametrize(("options", "scale"), [({}, 1), ({"svf_resolution": 2}, 2), ({"int_resolution": 4}, 1)])
@pytest.mark.parametrize("int_steps", [0, 5])
def test_a_constant_flow_is_scaled_to_input_voxels(ndims, options, scale, int_steps):
    network = with_constant_flow(a_dense(ndims, int_steps=int_steps, **options), 0.5)
    displacement = network.fields(*a_pair(SHAPES[ndims])).displacement
    assert torch.allclose(displacement, torch.full_like(displacement, 0.5 * scale), atol=1e-5)


def test_axes_are_scaled_by_their_own_factor():
    """An extent of 6 at a resolution of 4 rounds to 2 voxels, one of 12 to 3."""
    network = with_constant_flow(a_dense(2, int_resolution=4, features=((4,), (4, 4))), 1.0)
    output = network(*a_pair((6, 12)))
    assert output.velocity.shape[2:] == (2, 3)
    assert output.velocity[0, :, 0, 0].tolist() == pytest.approx([2 / 6, 3 / 12])
    assert torch.allclose(output.displacement, torch.ones_like(output.displacement), atol=1e-5)


def test_inverse_undoes_displacement():
    network = a_dense(3, svf_resolution=2, features=((4, 8, 8), (8, 8, 8, 4)))
    fields = network.fields(*[torch.nn.functional.avg_pool3d(x, 9, 1, 4) for x in a_pair((32, 24, 24))])
    assert fields.displacement.abs().max() > 0.05
    residual = compose([fields.displacement, fields.inverse])[0][:, 4:-4, 4:-4, 4:-4]
    assert residual.norm(dim=0).max() < 0.1


@every_network
def test_batch_items_do_not_influence_each_other(build):
    network, (moving, fixed) = build(2), a_pair(SHAPES[2], batch=3)
    together = network.fields(moving, fixed).displacement
    alone = network.fields(moving[1:2], fixed[1:2]).displacement
    assert torch.allclose(together[1:2], alone, atol=1e-4)


@every_network
def test_images_stay_as_they_are(build):
    network, pair = build(3), a_pair((16, 9, 12))
    before = [image.clone() for image in pair]
    network.fields(*pair)
    network(*pair)
    assert all(torch.equal(image, copy) for image, copy in zip(pair, before))


@every_network
def test_gradients_reach_every_weight(build):
    network, pair = build(2).train(), a_pair((32, 48))
    output = network(*pair)
    (output.moved.square().mean() + output.regularised.square().mean()).backward()
    without = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert not without


@every_network
def test_double_the_images_give_finite_fields_in_float32(build):
    fields = build(3).fields(*[image.double() for image in a_pair((16, 8, 12))])
    assert fields.displacement.dtype == torch.float32
    assert torch.isfinite(fields.displacement).all()


@pytest.mark.parametrize("build", [EVERY_NETWORK["probabilistic"], a_miccai], ids=["dense", "miccai"])
def test_samples_repeat_with_their_generator_and_vary_without(build):
    network, pair = build(2), a_pair(SHAPES[2])

    def draw(seed: int) -> torch.Tensor:
        return network.fields(*pair, sample=True, generator=torch.Generator().manual_seed(seed)).displacement

    assert torch.equal(draw(1), draw(1))
    assert not torch.equal(draw(1), draw(2))
    assert not torch.equal(draw(1), network.fields(*pair).displacement)


def test_samples_have_the_predicted_mean_and_variance():
    network, pair = a_dense(2, use_probs=True), a_pair((64, 64))
    output = network(*pair, sample=True, generator=torch.Generator().manual_seed(0))
    standardised = (output.svf - output.flow) / (output.logvar / 2).exp()
    assert standardised.mean().item() == pytest.approx(0, abs=0.05)
    assert standardised.std().item() == pytest.approx(1, abs=0.05)


def test_training_samples_and_evaluation_takes_the_mean():
    network, pair = a_dense(2, use_probs=True), a_pair(SHAPES[2])
    assert torch.equal(network(*pair).svf, network(*pair).flow)
    output = network.train()(*pair)
    assert not torch.equal(output.svf, output.flow)
    assert torch.equal(network(*pair, sample=False).svf, network(*pair, sample=False).flow)


def test_a_deterministic_network_trains_without_sampling():
    output = a_dense(2).train()(*a_pair(SHAPES[2]))
    assert torch.equal(output.svf, output.flow)


@pytest.mark.parametrize(
    ("reg_field", "tensor"),
    [("svf", "svf"), ("preintegrated", "velocity"), ("postintegrated", "integrated"), ("warp", "displacement")],
)
def test_the_training_penalises_the_named_field(reg_field, tensor):
    output = a_dense(2, reg_field=reg_field)(*a_pair(SHAPES[2]))
    assert output.regularised is getattr(output, tensor)


def test_the_training_of_a_probabilistic_network_penalises_mean_and_variance():
    output = a_dense(2, use_probs=True, reg_field="warp")(*a_pair(SHAPES[2]))
    assert torch.equal(output.regularised, torch.cat([output.flow, output.logvar], dim=1))


def test_samples_from_outside_take_the_fill_value():
    network = with_constant_flow(a_dense(2, int_steps=0, fill_value=-3.0), 2.0)
    moved = network(*a_pair(SHAPES[2])).moved
    assert (moved[..., -2:, :] == -3).all()
    assert (moved[..., :-2, :-2] >= 0).all()


def test_images_may_have_several_channels():
    network = a_dense(2, moving_features=2, fixed_features=3, bidir=True)
    output = network(*a_pair(SHAPES[2], channels=(2, 3)))
    assert output.moved.shape[1] == 2
    assert output.moved_fixed.shape[1] == 3


@pytest.mark.parametrize(
    ("moving", "fixed"),
    [((1, 1, 8, 8), (1, 1, 8, 12)), ((1, 2, 8, 8), (1, 1, 8, 8)), ((1, 1, 8), (1, 1, 8)), ((8, 8), (8, 8))],
)
def test_images_that_do_not_fit_are_refused(moving, fixed):
    with pytest.raises(GeometryError, match="of 1 and 1 channels on one grid of 2 axes"):
        a_dense(2).fields(torch.zeros(moving), torch.zeros(fixed))


def test_sampling_needs_a_variance():
    with pytest.raises(ConfigError, match="predicts no variance"):
        a_dense(2).fields(*a_pair(SHAPES[2]), sample=True)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"reg_field": "flow"}, "reg_field is 'flow'; choose one of svf, preintegrated, postintegrated, warp"),
        ({"int_steps": -1}, "int_steps is -1"),
        ({"int_steps": 2.5}, "int_steps is 2.5"),
        ({"svf_resolution": 0.5}, "svf_resolution is 0.5"),
        ({"int_resolution": 0}, "int_resolution is 0"),
        ({"fill_value": float("nan")}, "fill_value is nan"),
    ],
)
def test_impossible_options_are_refused(options, text):
    with pytest.raises(ConfigError, match=text):
        a_dense(2, **options)
