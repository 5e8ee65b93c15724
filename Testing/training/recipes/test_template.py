"""Template recipes: their losses, where the template starts, and fields by way of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from support.made_up_training import SHAPE, a_batch, a_scan, a_task, losses, some_info
from support.tiny_networks import filled
from VoxelMorphLib.core.attributes import Attribute
from VoxelMorphLib.core.errors import ConfigError
from VoxelMorphLib.core.spatial import warp

BOTH = ("template", "conditional-template")


def a_moved_task(recipe="template", **values):
    task = a_task(recipe, **{"image_loss": "mse", **values})
    start = task.network.template.detach().clone() if recipe == "template" else None
    filled(task.network, size=0.7)
    if start is not None:
        task.network.template.data = start
    return task


def test_losses_and_their_gradient_follow_the_written_formula():
    task = a_moved_task(
        image_weight=0.6, mean_weight=2.0, smoothness=0.3, deformation_weight=0.1, image_sigma=0.5, mean_cap=4
    )
    batch = a_batch(task, size=2)
    network = task.network.eval()
    pair = network.forward(batch.fixed).registration
    template = network.template.expand(2, 1, *SHAPE)
    image = 0.6 * (warp(template, pair.displacement) - batch.fixed).square().mean() / 0.5**2
    back = 0.4 * (warp(batch.fixed, pair.inverse) - template).square().mean() / 0.5**2
    mean = 2.0 * (2 / 4 * pair.inverse.mean(0)).square().mean()  # two of the four images that make a full mean
    slopes = [pair.displacement.diff(dim=axis).square().mean() for axis in (2, 3, 4)]
    penalty = 0.3 * 2 * sum(slopes) / 3
    size = 0.1 * pair.displacement.square().mean()
    expected = {"image": image, "image_back": back, "mean": mean, "penalty": penalty, "deformation": size}
    terms = losses(task, batch)
    assert set(terms) == set(expected)
    for name, value in expected.items():
        assert terms[name].item() == pytest.approx(value.item(), rel=1e-4), name
    weights = list(task.network.parameters())
    given = torch.autograd.grad(sum(terms.values()), weights)
    for a, b in zip(given, torch.autograd.grad(sum(expected.values()), weights)):
        assert torch.allclose(a, b, rtol=1e-3, atol=1e-5 * float(b.abs().max()) + 1e-9)


@pytest.mark.parametrize("recipe", BOTH)
@pytest.mark.parametrize(
    ("option", "term"),
    [
        ("smoothness", "penalty"),
        ("mean_weight", "mean"),
        ("deformation_weight", "deformation"),
        ("image_weight", "image"),
    ],
)
def test_terms_without_weight_are_dropped(recipe, option, term):
    task = a_task(recipe, **{option: 0.0})
    assert term not in losses(task, a_batch(task))


def test_the_rest_of_the_image_weight_compares_with_the_template():
    task = a_task("template")
    assert "image_back" not in losses(task, a_batch(task))
    task = a_task("template", image_weight=0.0)
    assert "image_back" in losses(task, a_batch(task))


def test_the_template_starts_from_the_mean_or_from_the_atlas():
    mean, atlas = a_scan(1)[0], a_scan(2)[0]
    info = some_info(mean=mean, atlas=atlas)
    assert torch.equal(a_task("template", info).images()["template"], mean)
    assert torch.equal(a_task("template", info, atlas="atlas.nii.gz").images()["template"], atlas)
    assert torch.equal(a_task("conditional-template", info).network.base, mean)
    assert a_task("template", some_info(mean=None)).images()["template"].abs().max() < 1e-5


def test_every_attribute_has_images_of_its_own():
    task = a_moved_task("conditional-template")
    images = task.images()
    assert set(images) == {"template", "template_attribute1_below", "template_attribute1_above"}
    assert not torch.allclose(images["template_attribute1_below"], images["template_attribute1_above"])


def test_attributes_decide_the_template():
    task = a_moved_task("conditional-template")
    batch = a_batch(task, size=2)
    output = task.run(task.network, batch, torch.Generator())
    assert not torch.allclose(output.template[0], output.template[1])


def test_attributes_are_standardised_for_the_network():
    task = a_moved_task("conditional-template")
    task.info = replace(task.info, described=(Attribute("age", "years", 20, 90, 55, 10),))
    batch = replace(a_batch(task, size=2), attributes=torch.tensor([[55.0], [75.0]]))
    template = task.run(task.network, batch, torch.Generator()).template
    assert torch.equal(template, task.network.template(torch.tensor([[0.0], [2.0]])))


def test_the_conditional_recipe_needs_attributes():
    with pytest.raises(ConfigError, match="conditional-template makes a template for each value"):
        a_task("conditional-template", some_info(attributes=0))


@pytest.mark.parametrize("recipe", BOTH)
def test_an_image_is_not_moved_onto_itself(recipe):
    task = a_moved_task(recipe)
    task.network.flow.weight.data.mul_(16)
    image = a_scan(3)[0][None]
    with torch.no_grad():
        there = task.run(task.network, a_batch(task), torch.Generator()).registration.displacement
        pair = task.fields(task.network, image, image)
    inner = (..., *(slice(4, -4),) * 3)
    assert there.abs().max() > 0.3
    assert pair.displacement[inner].abs().max() < 0.2 * there.abs().max()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"image_weight": 1.5}, "image_weight is 1.5; choose a number from 0 to 1"),
        ({"mean_weight": -1}, "mean_weight is -1"),
        ({"deformation_weight": -1}, "deformation_weight is -1"),
        ({"mean_cap": 0}, "mean_cap is 0"),
    ],
)
def test_impossible_options_of_a_template_are_refused(values, message):
    with pytest.raises(ConfigError, match=message):
        a_task("template", **values)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"generator_features": 0}, "generator_features is 0"),
        ({"generator_levels": 1.5}, "generator_levels is 1.5; give a whole number"),
    ],
)
def test_impossible_generators_are_refused(values, message):
    with pytest.raises(ConfigError, match=message):
        a_task("conditional-template", **values)
