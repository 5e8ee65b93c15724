"""The probabilistic recipe against its formula."""

from __future__ import annotations

import pytest
import torch
from support.made_up_training import a_batch, a_task, losses
from support.tiny_networks import filled
from VoxelMorphLib.core.displacement import integrate_velocity
from VoxelMorphLib.core.errors import ConfigError
from VoxelMorphLib.core.losses.regularisers import kl_loss


def test_losses_and_their_gradient_follow_the_written_formula():
    task = a_task("probabilistic", image_sigma=0.1, smoothness=0.5, prior_lambda=20.0)
    batch = a_batch(task, size=2)
    terms = losses(task, batch, seed=4)
    output = task.network(batch.moving, batch.fixed, generator=torch.Generator().manual_seed(4))
    mean, logvar = output.flow, output.logvar
    neighbours = torch.zeros(mean.shape[2:])
    for axis in range(3):
        neighbours += 2
        neighbours.select(axis, 0).sub_(1)
        neighbours.select(axis, -1).sub_(1)
    sigma = (20.0 * neighbours * logvar.exp() - logvar).mean()
    precision = 20.0 * sum(mean.diff(dim=axis).square().mean() for axis in (2, 3, 4)) / 3 / 2
    image = (batch.fixed - output.moved).square().mean() / 0.1**2
    divergence = 0.5 * 0.5 * 3 * (sigma + precision)
    assert terms["image"].item() == pytest.approx(image.item(), rel=1e-5)
    assert terms["penalty"].item() == pytest.approx(divergence.item(), rel=1e-5)
    weights = list(task.network.parameters())
    given = torch.autograd.grad(sum(terms.values()), weights)
    for a, b in zip(given, torch.autograd.grad(image + divergence, weights)):
        assert torch.allclose(a, b, rtol=1e-3, atol=1e-6 * float(b.abs().max()) + 1e-9)


def test_the_velocity_is_drawn_in_training_only():
    task = a_task("probabilistic")
    batch = a_batch(task)
    assert losses(task, batch, seed=1)["image"] != losses(task, batch, seed=2)["image"]
    pairs = [task.fields(task.network.eval(), batch.moving, batch.fixed) for _ in range(2)]
    assert torch.equal(pairs[0].displacement, pairs[1].displacement)


def test_the_variant_of_2018_weakens_the_variance():
    usual, old = a_task("probabilistic"), a_task("probabilistic", kl_variant="miccai2018")
    batch = a_batch(usual)
    output = old.network(batch.moving, batch.fixed, generator=torch.Generator().manual_seed(0))
    given = losses(old, batch)["penalty"].item()
    assert given == pytest.approx(kl_loss(output.regularised, 10.0, "miccai2018").item(), rel=1e-5)
    assert given < losses(usual, batch)["penalty"].item()


ORIGINAL = {"encoder": (2, 3, 4, 5), "decoder": (5, 4, 4, 4, 3)}


def test_the_original_mode_penalises_the_velocity_before_it_is_scaled():
    task = a_task("probabilistic", original=True, int_steps=4, prior_lambda=20.0, image_sigma=0.1, **ORIGINAL)
    assert type(task.network).__name__ == "VxmMiccai2018"
    filled(task.network, size=0.3)
    batch = a_batch(task, size=2)
    terms = losses(task, batch, seed=4)
    output = task.network(batch.moving, batch.fixed, generator=torch.Generator().manual_seed(4))
    parameters = torch.cat([output.flow, output.logvar], dim=1)
    assert terms["penalty"].item() == pytest.approx(kl_loss(parameters, 20.0, "miccai2018").item(), rel=1e-5)
    image = (batch.fixed - output.moved).square().mean() / 0.1**2
    assert terms["image"].item() == pytest.approx(image.item(), rel=1e-5)
    torch.testing.assert_close(output.integrated, integrate_velocity(16 * output.svf, 4))
    name, arguments = task.published()[1:]
    assert (name, arguments["original"], arguments["int_steps"]) == ("VxmMiccai2018", True, 4)
    assert sum(terms.values()).backward() is None


@pytest.mark.parametrize(
    ("values", "text"),
    [({"symmetric": True}, "cannot be symmetric"), ({"encoder": (4, 8)}, "the networks of 2018 have 4 encoder")],
)
def test_impossible_networks_of_2018_are_refused(values, text):
    with pytest.raises(ConfigError, match=text):
        a_task("probabilistic", original=True, **{**ORIGINAL, **values})


def test_it_can_compare_both_directions():
    task = a_task("probabilistic", bidir=True)
    assert list(losses(task, a_batch(task))) == ["image", "image_back", "penalty"]


def test_the_divergence_is_dropped_without_weight():
    task = a_task("probabilistic", smoothness=0.0)
    assert "penalty" not in losses(task, a_batch(task))


def test_impossible_priors_are_refused():
    with pytest.raises(ConfigError, match="prior_lambda is -1"):
        a_task("probabilistic", prior_lambda=-1)
    with pytest.raises(ConfigError, match="kl_variant is 'other'"):
        a_task("probabilistic", kl_variant="other")
