"""Trainings that find structures in images that are made of label maps."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from support.made_up_training import LABELS, SHAPE, SMALL, a_batch, a_scan, a_task, losses, some_info
from support.training_files import write_cases
from VoxelMorphLib.core.errors import ConfigError
from VoxelMorphLib.synth.border_tensor import border_loss
from VoxelMorphLib.training.checkpoint import OtherNetworkError
from VoxelMorphLib.training.export import export
from VoxelMorphLib.training.recipes import make_config, make_task
from VoxelMorphLib.training.trainer import train

RECIPE = "synthmorph-structures"
CALM = {"max_shift": 0.0, "max_rotation": 0.0, "max_scaling": 0.0, "max_shear": 0.0, "max_warp": 0.0, "cropped": 0.0}
PLAIN = {**CALM, "thick": 0.0, "noise": 0.0}


def test_label_maps_alone_are_trained_on_and_validated(tmp_path):
    write_cases(tmp_path, 4)
    values = {**SMALL, "label_list": str(tmp_path / "labels"), "output_dir": str(tmp_path / "out"), "device": "cpu"}
    config = make_config(
        RECIPE, {**values, "epochs": 1, "steps_per_epoch": 2, "validate_every": 1, "validation_pairs": 1}
    )
    result = train(config)
    assert result.step == 2 and result.best_value > 0
    assert "Images that were made of label maps" in (tmp_path / "out" / "summary.html").read_text(encoding="utf-8")


def overlap_of_unseen_images(task) -> float:
    """Mean Dice of the structures in images that no step shows."""
    generators = [torch.Generator().manual_seed(seed) for seed in range(4)]
    made = task.synthesise(torch.stack([a_scan(1000 + n)[1] for n in range(4)]), generators, still=True)
    with torch.no_grad():
        found, truth = task.network.eval()(made.image).argmax(1, keepdim=True), task.places(made.labels)
    task.network.train()
    parts = [(found == structure, truth == structure) for structure in (1, 2)]
    return sum(float(2 * (one & other).sum() / (one.sum() + other.sum())) for one, other in parts) / 2


@pytest.mark.slow
def test_pairs_of_half_resolution_are_drawn_on_their_own_grid(tmp_path):
    write_cases(tmp_path, 4)
    values = {**SMALL, "label_list": str(tmp_path / "labels"), "output_dir": str(tmp_path / "out"), "device": "cpu"}
    short = {"epochs": 1, "steps_per_epoch": 1, "validate_every": 1, "validation_pairs": 1, "pictures": 1}
    config = make_config(RECIPE, {**values, **short, "half_resolution": True, "voxel_size": 2.0})
    train(config)
    page = (tmp_path / "out" / "summary.html").read_text(encoding="utf-8")
    assert page.count("<img") + page.count("<svg") > 1
    entry = export(tmp_path / "out" / "checkpoints" / "last.pt", tmp_path / "model.safetensors")
    assert entry.space.voxel_size == 4 and entry.affine_start == "affine"


@pytest.mark.slow
def test_the_structures_are_found_in_images_that_were_not_trained_on():
    task = a_task(RECIPE, **CALM, thick=0.0)
    before = overlap_of_unseen_images(task)
    optimiser = torch.optim.Adam(task.network.parameters(), 1e-2)
    for step in range(80):
        optimiser.zero_grad()
        sum(losses(task, a_batch(task, size=2, first=2 * step)).values()).backward()
        optimiser.step()
    assert overlap_of_unseen_images(task) > before + 0.3


def test_maps_stay_where_they_are_where_nothing_moves_them():
    task = a_task(RECIPE, **PLAIN)
    batch = a_batch(task)
    made = task.synthesise(batch.fixed_labels, [torch.Generator().manual_seed(0)])
    assert torch.equal(made.labels, batch.fixed_labels.long())
    moved = a_task(RECIPE).synthesise(batch.fixed_labels, [torch.Generator().manual_seed(0)])
    assert not torch.equal(moved.labels, made.labels)


def test_parts_of_the_maps_suffice():
    made = a_task(RECIPE, patch=(8, 12, 8)).synthesise(a_scan(0)[1][None], [torch.Generator().manual_seed(0)])
    assert made.image.shape == made.labels.shape == (1, 1, 8, 12, 8)


def test_images_of_half_resolution_show_every_second_voxel():
    whole, half = (a_task(RECIPE, half_resolution=each, voxel_size=1.0, **PLAIN) for each in (False, True))
    labels = a_scan(0)[1][None]
    made = half.synthesise(labels, [torch.Generator().manual_seed(0)])
    assert torch.equal(made.labels[0, 0], labels[0, 0, ::2, ::2, ::2].long())
    assert made.image.shape == made.labels.shape == (1, 1, *(n // 2 for n in SHAPE))
    spaces = [task.config.network_space(SHAPE, 4) for task in (whole, half)]
    assert [(space.voxel_size, space.shape) for space in spaces] == [(1, SHAPE), (2, (8, 8, 8))]


def test_both_sides_are_one_structure_and_images_are_mirrored():
    info = some_info(labels=(2, 3, 41))
    task = a_task(RECIPE, info, sides=False, **PLAIN)
    assert task.structures == [[2, 41], [3]]
    labels = torch.zeros(1, 1, *SHAPE, dtype=torch.int16)
    labels[:, :, :4], labels[:, :, 12:] = 2, 41
    assert set(task.places(labels).unique().tolist()) == {0, 1}
    seen = [task.synthesise(labels, [torch.Generator().manual_seed(n)]).labels[0, 0, 0, 0, 0] for n in range(20)]
    assert {int(label) for label in seen} == {2, 41}
    kept = a_task(RECIPE, info, **PLAIN)
    assert kept.structures == [[2], [3], [41]]
    assert all(
        kept.synthesise(labels, [torch.Generator().manual_seed(n)]).labels[0, 0, 0, 0, 0] == 2 for n in range(20)
    )


def test_both_sides_of_a_structure_have_one_intensity():
    task = a_task(RECIPE, some_info(labels=(2, 41)), **PLAIN)
    labels = torch.zeros(1, 1, *SHAPE, dtype=torch.int16)
    labels[:, :, :4], labels[:, :, 12:] = 2, 41
    mean = task.synthesise(labels, [torch.Generator().manual_seed(1)]).mean
    assert mean[0, 0, 0, 0, 0] == mean[0, 0, -1, 0, 0] != mean[0, 0, 8, 0, 0]


def test_stripped_images_show_the_structures_or_a_rim_around_them_too():
    task = a_task(RECIPE, some_info(labels=(3,)), strip=1.0, **PLAIN)
    labels = torch.full((1, 1, *SHAPE), 7, dtype=torch.int16)
    labels[:, :, 6:10, 6:10, 6:10] = 3
    counts = {int((task.synthesise(labels, [torch.Generator().manual_seed(n)]).labels > 0).sum()) for n in range(20)}
    assert counts == {4**3, 6**3, 8**3}


def test_curves_change_the_intensities_of_so_many_images_and_nothing_else():
    plain, some = a_task(RECIPE, **PLAIN), a_task(RECIPE, curves=0.5, **PLAIN)
    labels, changed = a_batch(plain).fixed_labels, []
    for seed in range(30):
        made, other = (task.synthesise(labels, [torch.Generator().manual_seed(seed)]) for task in (plain, some))
        assert torch.equal(made.labels, other.labels) and torch.equal(made.mean, other.mean)
        assert other.image.min() >= 0 and other.image.max() <= 1
        changed.append(not torch.equal(made.image, other.image))
    assert 5 < sum(changed) < 25


def test_a_sample_does_not_depend_on_its_batch():
    task = a_task(RECIPE)
    both, alone = (a_batch(task, size=n, first=f) for n, f in ((2, 0), (1, 1)))
    losses(task, both)
    shown = task.previews()["image"]
    losses(task, alone)
    assert shown.shape == (1, 1, *SHAPE) and not torch.equal(shown, task.previews()["image"])
    generators = [torch.Generator().manual_seed(3), torch.Generator().manual_seed(4)]
    first = task.synthesise(both.fixed_labels, generators).image[1:]
    torch.testing.assert_close(first, task.synthesise(alone.fixed_labels, [torch.Generator().manual_seed(4)]).image)


def test_channels_name_labels_and_the_network_numbers_them():
    task = a_task(RECIPE, channels="7 3")
    assert task.arguments()["channels"] == [[2], [1]]
    assert task.network.channels == ((2,), (1,))


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"channels": "3 x"}, "channels is '3 x'; write whole numbers"),
        ({"channels": "3 3"}, "channels is '3 3'; name each label once"),
        ({"channels": "5"}, "channels names 5, which is not among the labels of the training"),
        ({"tissues": "0,3"}, "tissues is '0,3'; name each label once, and none below 1"),
        ({"decoder": (8, 4)}, "encoder names 2 levels and decoder 2"),
        ({"patch": (8, 8)}, r"patch is \(8, 8\); give three extents of at least 4"),
        ({"patch": (2, 8, 8)}, r"patch is \(2, 8, 8\); give three extents of at least 4"),
        ({"patch": (8, 8, 4), "half_resolution": True}, "give three extents of at least 8"),
        ({"half_resolution": True}, r"half_resolution the model's voxels must have a size\. Give voxel_size"),
        (
            {"half_resolution": True, "voxel_size": 1.0, "validation_list": "/a"},
            r"too fine for a model of half_resolution\. Give validation_pairs",
        ),
        ({"patch": (32, 8, 8), "shape": SHAPE}, "a part is no larger than the whole"),
        ({"conv_per_level": 0}, "conv_per_level is 0; choose a number from 1"),
        ({"noise": -1.0}, "noise is -1.0; choose a number from 0"),
        ({"shape": (16, 3, 16)}, "a network of 2 levels needs at least 4 voxels along each axis"),
        ({"image_list": "/a"}, r"makes its images itself\. Leave image_list empty"),
    ],
)
def test_impossible_trainings_are_refused(values, sentence):
    with pytest.raises(ConfigError, match=sentence):
        config = make_config(RECIPE, {**SMALL, **values})
        config.check_sources()
        make_task(config, some_info())


def test_label_maps_are_needed():
    with pytest.raises(ConfigError, match=r"there are none with labels\. Give label_list"):
        a_task(RECIPE, dataclasses.replace(some_info(), labels=()))


def test_borders_are_learned_beside_the_structures():
    task = a_task(RECIPE, border_weight=1.0, **PLAIN)
    assert set(losses(task, a_batch(task))) == {"entropy", "overlap", "borders"}
    assert set(task.previews()) == {"image", "borders"}
    assert task.network.borders and not a_task(RECIPE).network.borders
    made = task.synthesise(a_batch(task).fixed_labels, [torch.Generator().manual_seed(0)])
    truth, optimiser, history = task.borders(made.labels), torch.optim.Adam(task.network.parameters(), 5e-3), []
    for _ in range(60):
        optimiser.zero_grad()
        loss = border_loss(task.network.parts(task.network(made.image))[1], truth)
        loss.backward()
        optimiser.step()
        history.append(loss.item())
    assert history[-1] < 0.7 * history[0]


def test_both_sides_of_a_structure_have_no_border():
    task = a_task(RECIPE, some_info(labels=(2, 3, 41)), border_weight=1.0)
    labels = torch.full((1, 1, *SHAPE), 2)
    labels[:, :, 8:] = 41
    assert task.borders(labels).abs().max() == 0
    labels[:, :, 8:] = 3
    assert task.borders(labels).norm(dim=1).max() > 0.3


def test_a_network_of_structures_learns_borders_from_where_it_stands(tmp_path):
    plain, task = a_task(RECIPE), a_task(RECIPE, border_weight=1.0)
    image = torch.rand(1, 1, *SHAPE)
    with torch.no_grad():
        for weights in plain.network.parameters():
            weights *= 1.2
    task.start_from(plain.network, "plain.safetensors")
    odds, tensors = task.network.parts(task.network(image))
    torch.testing.assert_close(odds, plain.network(image))
    assert tensors.isfinite().all() and tensors.any()
    again = a_task(RECIPE, border_weight=1.0)
    again.start_from(task.network, "both.safetensors")
    torch.testing.assert_close(again.network(image), task.network(image))
    with pytest.raises(OtherNetworkError, match="belongs to another architecture"):
        a_task(RECIPE, encoder=(4, 4), decoder=(4, 4, 4), border_weight=1.0).start_from(plain.network, "plain")


def test_labels_of_the_training_are_found():
    assert [labels for group in a_task(RECIPE).structures for labels in group] == list(LABELS)
