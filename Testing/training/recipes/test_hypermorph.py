"""The HyperMorph recipe: lambda's distribution, its place in the loss, and the one that is exported."""

from __future__ import annotations

import pytest
import torch
from support.made_up_training import a_batch, a_task, losses
from support.tiny_networks import filled
from VoxelMorphLib.core.errors import ConfigError, WeightsError
from VoxelMorphLib.networks.dense import VxmDense
from VoxelMorphLib.training.data.case import Batch, join
from VoxelMorphLib.training.tasks.registration import dense_arguments


def a_moved_task(**values):
    task = a_task("hypermorph", **values)
    filled(task.network, size=0.5)
    return task


def many_samples(count: int) -> Batch:
    return Batch(tuple(range(count)), (), torch.zeros(count, 1, 1, 1, 1))


def test_losses_and_their_gradient_follow_the_written_formula():
    task = a_moved_task(image_sigma=0.2, smoothness=0.7, image_weight=1.5)
    batch = a_batch(task, size=3)
    hyper = task.draw(batch)
    output = task.network(batch.moving, batch.fixed, hyper[:, None])
    image = ((batch.fixed - output.moved).square().flatten(1).mean(1) / 0.2**2 * (1 - hyper)).mean() * 1.5
    slopes = [output.velocity.diff(dim=axis).square().flatten(1).mean(1) for axis in (2, 3, 4)]
    penalty = (2 * sum(slopes) / 3 * hyper).mean() * 0.7
    terms = losses(task, batch)
    assert terms["image"].item() == pytest.approx(image.item(), rel=1e-5)
    assert terms["penalty"].item() == pytest.approx(penalty.item(), rel=1e-4)
    weights = list(task.network.parameters())
    given = torch.autograd.grad(sum(terms.values()), weights)
    for a, b in zip(given, torch.autograd.grad(image + penalty, weights)):
        assert torch.allclose(a, b, rtol=1e-3, atol=1e-5 * float(b.abs().max()) + 1e-9)


def test_lambda_is_uniform_with_more_of_the_ends():
    drawn = a_task("hypermorph", oversample_rate=0.2).draw(many_samples(4000))
    zeros, ones = (drawn == 0).float().mean().item(), (drawn == 1).float().mean().item()
    assert zeros == pytest.approx(0.1, abs=0.02)
    assert ones == pytest.approx(0.1, abs=0.02)
    inner = drawn[(drawn > 0) & (drawn < 1)]
    quarters = torch.histc(inner, 4, 0, 1) / len(inner)
    assert torch.allclose(quarters, torch.full((4,), 0.25), atol=0.03)


def test_no_ends_are_drawn_without_oversampling():
    drawn = a_task("hypermorph", oversample_rate=0.0).draw(many_samples(500))
    assert drawn.min() > 0
    assert drawn.max() < 1


def test_lambda_follows_from_seed_and_sample_alone():
    task = a_task("hypermorph")
    together = task.draw(many_samples(4))
    apart = [task.draw(Batch((i,), (), torch.zeros(1, 1, 1, 1, 1))) for i in range(4)]
    assert torch.equal(together, torch.cat(apart))
    assert not torch.equal(together, a_task("hypermorph", seed=1).draw(many_samples(4)))


def test_a_batch_costs_the_mean_of_its_samples():
    task = a_moved_task()
    single = [a_batch(task, first=i) for i in range(2)]
    apart = [losses(task, batch)["image"].item() for batch in single]
    assert losses(task, join(single))["image"].item() == pytest.approx(sum(apart) / 2, rel=1e-4)


def test_variants_sweep_lambda_and_give_other_fields():
    task = a_moved_task(sweep=3)
    assert task.variants() == ("0", "0.5", "1")
    batch = a_batch(task)
    fields = [task.fields(task.network, batch.moving, batch.fixed, v).displacement for v in task.variants()]
    assert not torch.allclose(fields[0], fields[1])
    assert not torch.allclose(fields[1], fields[2])


def test_the_chosen_lambda_is_the_default_of_what_is_published():
    task = a_moved_task(sweep=3)
    batch = a_batch(task)
    expected = task.fields(task.network, batch.moving, batch.fixed, "1").displacement
    task.choose("1")
    network, _, arguments = task.published()
    assert arguments["default"] == 1.0
    assert torch.equal(network.fields(batch.moving, batch.fixed).displacement, expected)


def test_both_directions_count_half_each():
    one, both = a_moved_task(), a_moved_task(bidir=True)
    batch = a_batch(one)
    terms = losses(both, batch)
    assert terms["image"].item() == pytest.approx(losses(one, batch)["image"].item() / 2, rel=1e-5)
    assert terms["image_back"] > 0


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"oversample_rate": 1.5}, "oversample_rate is 1.5"),
        ({"sweep": 1}, "sweep is 1; choose a number from 2"),
        ({"hyper_layers": 2.5}, "hyper_layers is 2.5; give a whole number"),
        ({"hyper_units": 0}, "hyper_units is 0"),
    ],
)
def test_impossible_options_are_refused(values, message):
    with pytest.raises(ConfigError, match=message):
        a_task("hypermorph", **values)


def test_a_trained_network_without_lambda_is_a_start():
    task = a_moved_task()
    dense = filled(VxmDense(**dense_arguments(task.config, task.info)), size=0.5)
    task.start_from(dense, "dense.safetensors")
    pair = a_batch(task)
    wanted = dense.fields(pair.moving, pair.fixed).displacement
    for variant in ("0", "1"):
        assert torch.allclose(task.fields(task.network, pair.moving, pair.fixed, variant).displacement, wanted)


def test_a_start_of_other_features_is_refused():
    with pytest.raises(WeightsError, match=r"other\.safetensors does not fit: .*Choose encoder and decoder alike"):
        a_task("hypermorph").start_from(VxmDense(3, features=[[2, 3], [3, 2]], svf_resolution=2), "other.safetensors")
