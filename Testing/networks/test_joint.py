"""HyperVxmJoint: its size, its inverse, its options, and the network cut out for one choice of hyperparameters."""

from __future__ import annotations

import pytest
import torch
from support.tiny_networks import a_pair, filled
from torch import Tensor, nn
from VoxelMorphLib.core.displacement import compose
from VoxelMorphLib.core.errors import ConfigError, GeometryError
from VoxelMorphLib.networks.joint import DEFAULT_REGULARISATION, HyperVxmJoint
from VoxelMorphLib.networks.unet import set_unet_precision
from VoxelMorphLib.weights.architectures import build_network

TINY = {"hyp_units": (4, 4), "enc_nf": (4, 4), "dec_nf": (4, 4), "add_nf": (4,)}
DETECTOR = {"enc_nf": (4, 6), "add_nf": (6,), "num_feat": 8}
SHAPES = {2: (48, 40), 3: (24, 32, 24)}


def a_joint(ndims: int = 2, **options) -> HyperVxmJoint:
    if not options.get("skip_affine"):
        options = {"affine": DETECTOR, **options}
    return filled(HyperVxmJoint(ndims, **{**TINY, **options}), size=0.5)


class KnownVelocity(nn.Module):
    """Slow waves of one voxel, the other way round when the brighter image comes second."""

    def forward(self, pair: Tensor, _values: Tensor) -> Tensor:
        axes = torch.meshgrid(*[torch.arange(n) / n for n in pair.shape[2:]], indexing="ij")
        waves = torch.stack([torch.sin(2 * torch.pi * (axis + i / 5)) for i, axis in enumerate(axes[::-1])])
        return waves[None] * (pair[:, :1].mean() - pair[:, 1:].mean()).sign()


def known(ndims: int, **options) -> tuple[HyperVxmJoint, list[Tensor]]:
    """A network that predicts a known affine motion and velocity for these images, the moving one the brighter."""
    network = a_joint(ndims, **options)
    network.deform = KnownVelocity()
    if network.affine is not None:
        fixed = 0.5 * torch.rand(1, 9, ndims, generator=torch.Generator().manual_seed(1)) + 0.25
        angle = 0.1
        turned = (fixed - 0.5) @ torch.linalg.matrix_exp(angle * (torch.eye(ndims).roll(1, 0).triu() * 2)) + 0.52

        def detect(image: Tensor) -> Tensor:
            places = turned if image.mean() > 0.5 else fixed
            axes = torch.meshgrid(*[(torch.arange(32) + 0.5) / 32] * ndims, indexing="ij")
            offsets = torch.stack(axes) - places.reshape(1, 9, ndims, *[1] * ndims)
            return torch.exp(-(offsets**2).sum(2) / 0.005)

        network.affine.detect = detect
    return network, [image / 4 + bright for image, bright in zip(a_pair(SHAPES[ndims]), (0.7, 0.1))]


@pytest.mark.parametrize(
    ("arguments", "count"),
    [
        ({"skip_affine": True}, 877_133_827),
        ({"skip_affine": True, "hyp_num": 0}, 26_579_715),
        ({"mid_space": True}, 877_133_827 + 12_837_696),
    ],
)
def test_the_published_size(arguments, count):
    network = build_network("HyperVxmJoint", arguments, device="meta")
    assert sum(p.numel() for p in network.parameters()) == count
    assert network.multiple == 32


@pytest.mark.parametrize("ndims", [2, 3])
@pytest.mark.parametrize("options", [{}, {"mid_space": True}, {"skip_affine": True}])
def test_forward_and_inverse_cancel(ndims, options):
    network, pair = known(ndims, **options)
    fields = network.fields(*pair)
    assert fields.displacement.shape == (1, ndims, *SHAPES[ndims])
    there = fields.displacement.square().mean().sqrt()
    assert there > 1
    residual = compose([fields.displacement, fields.inverse])
    inner = residual[(..., *(slice(n // 4, -n // 4) for n in SHAPES[ndims]))]
    assert inner.square().mean().sqrt() < 0.05 * there


@pytest.mark.parametrize("options", [{}, {"mid_space": True}, {"skip_affine": True}])
def test_fields_are_what_forward_gives(options):
    """Beyond the last voxel of the coarse grid the original continues with the nearest value, `fields` exactly."""
    network, pair = known(2, bidir=True, **options)
    output, fields = network(*pair), network.fields(*pair)
    inner = (..., slice(8, -8), slice(8, -8))
    assert torch.allclose(output.displacement[inner], fields.displacement[inner], atol=0.05)
    if options:
        assert torch.allclose(output.inverse[inner], fields.inverse[inner], atol=0.05)


def test_equal_images_stay_where_they_are():
    image = a_pair(SHAPES[2])[0]
    for options in ({}, {"mid_space": True}, {"skip_affine": True}):
        assert a_joint(**options).fields(image, image).displacement.abs().max() < 1e-3


@pytest.mark.parametrize("mid_space", [True, False])
def test_blank_images_give_finite_output(mid_space):
    network = a_joint(mid_space=mid_space, bidir=True, return_moved=True)
    output = network(torch.zeros(1, 1, *SHAPES[2]), torch.zeros(1, 1, *SHAPES[2]))
    assert all(t.isfinite().all() for t in (output.displacement, output.inverse, output.moved))


def test_options_choose_the_outputs():
    pair = a_pair(SHAPES[2])
    output = a_joint()(*pair)
    assert [name for name, tensor in vars(output).items() if tensor is not None] == ["displacement"]
    options = dict.fromkeys(("return_def", "return_aff", "return_svf", "return_moved", "bidir"), True)
    output = a_joint(**options)(*pair)
    assert all(tensor is not None for tensor in vars(output).values())
    assert output.svf.shape == (1, 2, 24, 20)
    output = a_joint(**options, return_tot=False, return_trans_to_half_res=True)(*pair)
    assert output.displacement is None
    assert output.deformation.shape == (1, 2, 24, 20)
    assert output.moved.shape == (1, 1, 24, 20)


def test_without_integration_there_is_no_inverse():
    network = a_joint(int_steps=0)
    assert not network.diffeomorphic
    assert network.fields(*a_pair(SHAPES[2])).inverse is None


def test_hyperparameters_change_the_velocity():
    network, pair = a_joint(return_svf=True), a_pair(SHAPES[2])
    assert torch.equal(network(*pair).svf, network(*pair, DEFAULT_REGULARISATION).svf)
    assert not torch.allclose(network(*pair, 0.0).svf, network(*pair, 1.0).svf)
    network.choose(0.9)
    assert torch.equal(network(*pair).svf, network(*pair, torch.tensor([[0.9]])).svf)


def test_every_item_of_a_batch_has_its_own_hyperparameters():
    network, pair = a_joint(return_svf=True, skip_affine=True), a_pair(SHAPES[2], batch=2)
    together = network(*pair, torch.tensor([[0.1], [0.8]])).svf
    for i, hyper in enumerate((0.1, 0.8)):
        apart = network(*[image[i : i + 1] for image in pair], hyper).svf
        assert torch.allclose(together[i : i + 1], apart, atol=1e-5)


@pytest.mark.parametrize("options", [{"mid_space": True}, {"skip_affine": True}, {"hyp_num": 2}])
def test_a_specialised_network_does_the_same(options):
    network, pair = a_joint(**options), a_pair(SHAPES[2])
    hyper = [0.3, 0.6][: network.hyp_num]
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    plain = network.specialise(hyper)
    network.choose(hyper)
    assert plain.hyp_num == 0
    assert not plain.training
    assert sum(p.numel() for p in plain.parameters()) < 0.5 * sum(p.numel() for p in network.parameters())
    assert torch.allclose(plain.fields(*pair).displacement, network.fields(*pair).displacement, atol=1e-4)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_a_specialised_network_runs_in_bfloat16():
    pair = a_pair(SHAPES[2])
    rough = set_unet_precision(a_joint(mid_space=True).specialise(0.5), "bfloat16")
    assert rough.deform.unet.dtype == rough.affine.unet.dtype == torch.bfloat16
    assert rough.fields(*pair).displacement.dtype == torch.float32
    network = a_joint(skip_affine=True).specialise(0.5)
    exact = network.fields(*pair).displacement
    rough = set_unet_precision(network, "bfloat16").fields(*pair).displacement
    assert 0 < (rough - exact).abs().mean() < 0.1 * exact.abs().mean()


def test_gradients_reach_the_hypernetwork():
    network = a_joint(mid_space=True).train()
    network(*a_pair(SHAPES[2]), torch.rand(1, 1)).displacement.square().mean().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"ndims": 1}, "has 2 or 3 axes"),
        ({"dec_nf": (4,)}, "2 levels down, 1 up"),
        ({"int_steps": 2.5}, "int_steps 2.5"),
        ({"affine": {"bidir": False}}, "itself chooses bidir"),
        ({"hyp_units": ()}, "make no hypernetwork"),
    ],
)
def test_impossible_options_are_refused(options, text):
    with pytest.raises(ConfigError, match=text):
        HyperVxmJoint(**{**TINY, **options})


def test_impossible_hyperparameters_are_refused():
    network, pair = a_joint(), a_pair(SHAPES[2])
    with pytest.raises(ConfigError, match="takes 1 hyperparameters"):
        network(*pair, [0.1, 0.2])
    with pytest.raises(ConfigError, match="hyper is nan"):
        network.choose(float("nan"))
    with pytest.raises(ConfigError, match="no hyperparameters left to choose"):
        network.specialise(0.5).specialise(0.5)
    with pytest.raises(GeometryError, match="on one grid of 2 axes"):
        network(*a_pair(SHAPES[3]))
