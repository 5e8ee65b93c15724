"""ProbAtlasSegmentation: probabilities, known intensities, labels in groups."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.tiny_networks import TINY, filled, with_constant_flow
from VoxelMorphLib.core.errors import ConfigError, GeometryError
from VoxelMorphLib.networks.atlas_segmentation import ProbAtlasSegmentation, gaussian_log_density, merge_labels, segment

SHAPE = (16, 13)
VARIANTS = (
    {},
    {"stats_after_warp": True},
    {"warp_atlas": False},
    {"gaussian": False},
    {"svf_resolution": 2},
    {"means": [0.1, 0.5, 0.9], "sigmas": [0.1, 0.2, 0.1]},
)


def a_network(ndims: int = 2, labels: int = 3, **options) -> ProbAtlasSegmentation:
    return filled(ProbAtlasSegmentation(ndims, labels, **{"features": TINY, **options}))


def an_atlas(labels: int = 3, shape: tuple[int, ...] = SHAPE, batch: int = 1, seed: int = 0) -> torch.Tensor:
    return torch.randn(batch, labels, *shape, generator=torch.Generator().manual_seed(seed)).softmax(1)


def an_image(shape: tuple[int, ...] = SHAPE, batch: int = 1) -> torch.Tensor:
    return torch.rand(batch, 1, *shape, generator=torch.Generator().manual_seed(9))


@pytest.mark.parametrize("options", VARIANTS, ids=str)
@pytest.mark.parametrize("ndims", [1, 2, 3])
def test_posteriors_sum_to_one(options, ndims):
    shape = (16, 13, 9)[:ndims]
    output = a_network(ndims, **options)(an_image(shape, batch=2), an_atlas(shape=shape))
    assert output.posterior.shape == (2, 3, *shape)
    torch.testing.assert_close(output.posterior.sum(1), torch.ones(2, *shape))
    assert output.log_evidence.shape == (2, 1, *shape)
    assert output.registration.displacement.shape == (2, ndims, *shape)


@pytest.mark.parametrize("options", VARIANTS, ids=str)
def test_gradients_reach_all_weights(options):
    network = a_network(**options)
    output = network(an_image(), an_atlas())
    (output.log_evidence.mean() + output.registration.displacement.square().mean()).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


@settings(max_examples=30, deadline=None, derandomize=True)
@given(mean=st.floats(-3, 3), log_variance=st.floats(-6, 3), value=st.floats(-5, 5))
def test_the_density_is_the_normal_one(mean, log_variance, value):
    ours = gaussian_log_density(torch.full((1, 1, 2), value), torch.tensor([[mean]]), torch.tensor([[log_variance]]))
    normal = torch.distributions.Normal(mean, torch.tensor(log_variance / 2).exp())
    torch.testing.assert_close(ours, normal.log_prob(torch.full((1, 1, 2), value)), rtol=1e-4, atol=1e-4)


def test_known_intensities_are_found_again():
    """A flat atlas, no displacement: the intensity alone tells the label."""
    network = with_constant_flow(a_network(means=[0.1, 0.5, 0.9], sigmas=[0.05, 0.05, 0.05]), 0.0)
    truth = torch.randint(3, (1, *SHAPE), generator=torch.Generator().manual_seed(0))
    image = torch.tensor([0.1, 0.5, 0.9])[truth][:, None]
    output = network(image, torch.full((1, 3, *SHAPE), 1 / 3))
    assert torch.equal(output.posterior.argmax(1), truth)
    torch.testing.assert_close(output.means, torch.tensor([[0.1, 0.5, 0.9]]), rtol=0, atol=0.01)
    torch.testing.assert_close((output.log_variances / 2).exp(), torch.full((1, 3), 0.05), rtol=0.02, atol=0)


def test_a_label_that_the_atlas_excludes_is_not_found():
    atlas = an_atlas()
    atlas[:, 1] = 0
    assert a_network()(an_image(), atlas).posterior[:, 1].max() < 1e-20


def test_the_atlas_moves_with_the_displacement():
    network = with_constant_flow(a_network(int_resolution=1), 2.0)
    output = network(an_image(), an_atlas())
    prior = torch.log_softmax(output.log_joint - output.log_likelihood, dim=1).exp()
    torch.testing.assert_close(prior[:, :, :-2, :-2], an_atlas()[:, :, 2:, 2:])
    still = with_constant_flow(a_network(int_resolution=1, warp_atlas=False), 2.0)(an_image(), an_atlas())
    torch.testing.assert_close((still.log_joint - still.log_likelihood).exp(), an_atlas())


def test_the_padding_has_no_part_in_the_intensities():
    """The network pads 13 to 16 voxels by repetition; the largest response is that of the image alone."""
    network = a_network(stats_after_warp=False, int_steps=0)
    features = network._features(network(an_image(), an_atlas()).registration, an_image())
    assert features.shape[2:] == SHAPE


@pytest.mark.parametrize("options", [{}, {"warp_atlas": False}, {"gaussian": False}], ids=str)
def test_groups_of_labels_give_what_all_at_once_give(options):
    network, image, atlas = a_network(**options), an_image(batch=2), an_atlas(7)
    classes = [0, 1, 2, 0, 1, 2, 2]
    everything = segment(network, image, atlas, classes, group=7)
    for group in (1, 2, 3, 21):
        grouped = segment(network, image, atlas, classes, group)
        assert torch.equal(grouped.labels, everything.labels)
        torch.testing.assert_close(grouped.confidence, everything.confidence)


def test_labels_that_are_their_own_classes_give_the_posterior():
    network, image, atlas = a_network(), an_image(), an_atlas()
    posterior = network(image, atlas).posterior
    result = segment(network, image, atlas, [0, 1, 2], group=2)
    assert torch.equal(result.labels, posterior.argmax(1))
    torch.testing.assert_close(result.confidence, posterior.amax(1))


def test_merged_labels_keep_the_sum():
    atlas = an_atlas(5)
    merged = merge_labels(atlas, [1, 0, 1, 2, 1], 3)
    torch.testing.assert_close(merged.sum(1), torch.ones(1, *SHAPE))
    torch.testing.assert_close(merged[:, 1], atlas[:, [0, 2, 4]].sum(1))


@pytest.mark.parametrize("classes", [[0, 1], [0, 1, 3], [0, 1, -1]])
def test_classes_that_do_not_fit_are_refused(classes):
    with pytest.raises(GeometryError, match="give every label one from 0 to 2"):
        segment(a_network(), an_image(), an_atlas(), classes)


def test_an_atlas_on_another_grid_is_refused():
    with pytest.raises(GeometryError, match="on one grid"):
        a_network()(an_image(), an_atlas(shape=(13, 16)))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"means": [0.1]}, "1 means do not fit 3 labels"),
        ({"sigmas": [0.1, 0.0, 0.1]}, "sigmas is 0.0"),
        ({"labels": 0}, "labels is 0"),
        ({"warp_atlas": False, "stats_after_warp": True}, "needs the deformed atlas"),
        ({"gaussian": False, "svf_resolution": 2}, "features at full resolution"),
    ],
)
def test_impossible_options_are_refused(options, text):
    with pytest.raises(ConfigError, match=text):
        a_network(**options)


def test_an_atlas_can_be_kept_with_the_weights():
    network = a_network(atlas_shape=(24, 16))
    image = torch.rand(2, 1, 24, 16)
    atlas = torch.softmax(torch.randn(3, 24, 16), 0)
    network.start_from(atlas)
    assert torch.equal(network.state_dict()["atlas"], atlas)
    assert torch.equal(network(image).log_joint, network(image, atlas[None]).log_joint)


def test_a_network_without_atlas_says_so():
    with pytest.raises(GeometryError, match="keeps no atlas"):
        a_network()(torch.rand(1, 1, 24, 16))
