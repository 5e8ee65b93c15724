"""Trainings on images that are made of label maps or of random shapes."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from support.made_up_training import SHAPE, SMALL, a_batch, a_task, losses
from support.made_up_training import train as train_on
from support.training_files import write_cases, write_list
from VoxelMorphLib.core.errors import ConfigError, ImageError
from VoxelMorphLib.core.geometry import Geometry
from VoxelMorphLib.core.image import Image
from VoxelMorphLib.core.io.images import write_image
from VoxelMorphLib.core.spatial import warp
from VoxelMorphLib.synth.label_tables import labels_to_labels, look_up
from VoxelMorphLib.training.build import build_training
from VoxelMorphLib.training.checkpoint import load_checkpoint
from VoxelMorphLib.training.export import export
from VoxelMorphLib.training.recipes import make_config
from VoxelMorphLib.training.tasks.synthmorph import known_displacement
from VoxelMorphLib.training.trainer import train
from VoxelMorphLib.training.validation import Validator

STILL = {"vel_std": 0, "blur_std": 0, "bias_std": 0, "gamma_std": 0}


def a_label_folder(folder: Path, count: int = 4) -> str:
    write_cases(folder, count)
    return str(folder / "labels")


def a_training(folder: Path, **values):
    small = {**SMALL, "label_list": a_label_folder(folder), "output_dir": str(folder / "out"), "device": "cpu"}
    return make_config("synthmorph-labels", {**small, "epochs": 1, "steps_per_epoch": 2, **values})


def test_label_maps_alone_are_trained_on_and_validated(tmp_path):
    config = a_training(tmp_path, validation_pairs=1, epochs=2, validate_every=1)
    result = train(config)
    assert result.step == 4 and result.best_value > 0  # mean Dice of made images
    page = (tmp_path / "out" / "summary.html").read_text(encoding="utf-8")
    assert "Images that were made of label maps" in page


def test_validation_images_are_the_same_every_time(tmp_path):
    task, data = build_training(a_training(tmp_path, validation_pairs=1))
    batch = next(data.validation())
    first, second = task.validation_batch(batch), task.validation_batch(batch)
    assert torch.equal(first.moving, second.moving) and not torch.equal(first.moving, batch.moving)
    assert first.fixed_labels.unique().numel() > 1


def test_pairs_of_a_validation_list_stay_as_they_are(tmp_path):
    images = write_cases(tmp_path, 4)
    pairs = write_list(tmp_path / "pairs.txt", [f"{images[0]} {images[1]}"])
    labels = [str(image).replace("images", "labels") for image in images]
    segs = write_list(tmp_path / "segs.txt", [f"{labels[0]} {labels[1]}"])
    config = a_training(tmp_path, validation_list=pairs, validation_label_list=segs)
    task, data = build_training(config)
    batch = next(data.validation())
    assert task.validation_batch(batch) is batch and batch.fixed_labels is not None


def test_images_are_made_of_all_labels_and_the_loss_of_the_named_ones(tmp_path):
    task, data = build_training(a_training(tmp_path, labels=(17,), **STILL))
    batch = next(data.batches(0, 1))
    assert {2, 17, 53} <= set(batch.fixed_labels.unique().tolist())
    _moving, fixed = task.synthesise(batch)
    assert fixed.image[batch.fixed_labels == 2].std() > 0
    assert list(task.structures()) == [17]


def test_the_known_deformation_brings_the_moving_labels_to_the_fixed_ones():
    task = a_task(
        "synthmorph-labels", same_subject=True, field_weight=1.0, dice_weight=0.0, vel_std=2.0, vel_res=(6.0,)
    )
    moving, fixed = task.synthesise(a_batch(task))
    known = known_displacement(moving, fixed)
    moved = warp(moving.labels, known, "nearest")
    before, after = ((labels == fixed.labels).float().mean() for labels in (moving.labels, moved))
    assert after > before and 1 - after < 0.7 * (1 - before)
    assert set(losses(task, a_batch(task))) == {"field", "penalty"}
    assert task._distance(moving, fixed, known) == 0
    shifted = known + torch.tensor([2.0, 0, 0]).view(1, 3, 1, 1, 1)
    assert task._distance(moving, fixed, shifted) == pytest.approx(4)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"same_subject": False}, "is known only where both are made of one label map"),
        ({"aligned": True}, "is known only where both are made of one label map"),
        ({"misaligned": 1.0}, "is known only where both are made of one label map"),
        ({"vel_std": 0.0}, "field_weight has nothing to teach"),
    ],
)
def test_an_unknown_deformation_cannot_be_learned(values, sentence):
    with pytest.raises(ConfigError, match=sentence):
        make_config("synthmorph-labels", {"same_subject": True, "field_weight": 1.0, **values})


@pytest.mark.slow
def test_a_training_with_muon_from_demons_goes_on_where_it_stopped(tmp_path):
    wide = {"encoder": (12, 12), "decoder": (12, 12, 12), "optimiser": "muon", "first_weights": "demons"}
    known = {"same_subject": True, "field_weight": 1.0, "dice_weight": 0.0}
    whole = a_training(tmp_path / "a", **wide, **known, epochs=2)
    train(whole)
    half = a_training(tmp_path / "b", **wide, **known, epochs=1)
    train(half)
    train(dataclasses.replace(half, epochs=2), resume=True)
    first, second = (
        load_checkpoint(Path(config.output_dir) / "checkpoints" / "last.pt")["network"] for config in (whole, half)
    )
    assert first.keys() == second.keys()
    for name, weight in first.items():
        torch.testing.assert_close(weight, second[name], msg=name)
    entry = export(tmp_path / "b" / "out" / "checkpoints" / "last.pt", tmp_path / "model.safetensors")
    assert entry.affine_start == "affine"


@pytest.mark.parametrize(
    ("recipe", "values", "aligned"),
    [
        ("synthmorph-labels", {}, False),
        ("synthmorph-labels", {"aligned": True}, True),
        ("synthmorph-labels", {"same_subject": True}, True),
        ("synthmorph-shapes", {}, True),
        ("pairwise", {}, False),
    ],
)
def test_a_model_needs_the_affine_start_that_its_pairs_had(recipe, values, aligned):
    assert make_config(recipe, values).affine_first is aligned


def test_one_subject_gives_both_images():
    task = a_task("synthmorph-labels", same_subject=True)
    moving, fixed = task.maps(a_batch(task))
    assert torch.equal(moving, fixed)
    assert not torch.equal(*(made.image for made in task.synthesise(a_batch(task))))


def test_stripped_images_show_the_named_labels_alone():
    task = a_task("synthmorph-labels", strip=0.5)
    task.info = dataclasses.replace(task.info, labels=(3,))
    kept = [set(maps.unique().tolist()) for n in range(20) for maps in task.maps(a_batch(task, first=n))]
    assert {0, 3} in kept and {0, 3, 7} in kept
    assert 10 < sum(labels == {0, 3} for labels in kept) < 30


def test_moving_maps_are_brought_to_the_fixed_ones():
    fixed = torch.zeros(1, 1, 24, 24, 24, dtype=torch.int64)
    for label, corner in enumerate([(4, 4, 4), (14, 5, 6), (6, 14, 5), (5, 6, 15), (15, 15, 15)], start=1):
        fixed[(0, 0, *(slice(first, first + 4) for first in corner))] = label
    moving = fixed.roll((2, -1, 3), (2, 3, 4))
    matrix = labels_to_labels(fixed, moving, range(1, 6))
    torch.testing.assert_close(
        matrix[0], torch.tensor([[1.0, 0, 0, 2], [0, 1, 0, -1], [0, 0, 1, 3]]), atol=1e-4, rtol=0
    )
    few = labels_to_labels(fixed, moving, [1, 2])
    assert torch.equal(few[0], torch.eye(3, 4))
    plain, placed = (a_task("synthmorph-labels", aligned=a, misaligned=m) for a, m in ((False, 0.0), (True, 3.0)))
    batch = a_batch(plain)
    assert torch.equal(plain.maps(batch)[0], batch.moving_labels)
    assert not torch.equal(placed.maps(batch)[0], batch.moving_labels)


def test_a_sample_does_not_depend_on_its_batch():
    task = a_task("synthmorph-labels")
    both, alone = (task.synthesise(a_batch(task, size=n, first=f)) for n, f in ((2, 0), (1, 1)))
    torch.testing.assert_close(both[0].image[1:], alone[0].image)
    assert not torch.equal(both[0].image[0], both[0].image[1])


def test_pairs_may_share_their_contrast():
    batch = a_batch(a_task("synthmorph-labels"), size=6)
    shared, mixed = (a_task("synthmorph-labels", same_contrast=share, **STILL) for share in (1.0, 0.5))

    def alike(task) -> list[bool]:
        images = [made.mean for made in task.synthesise(batch)]
        labels = batch.fixed_labels.clone(), batch.moving_labels.clone()
        means = [[image[i][maps[i] == 3][0] for image, maps in zip(images[::-1], labels)] for i in range(6)]
        return [bool(first == second) for first, second in means]

    assert alike(shared) == [True] * 6 and 0 < sum(alike(mixed)) < 6
    assert torch.equal(shared.synthesise(batch)[0].image, shared.synthesise(batch)[0].image)


def test_the_images_of_the_last_step_are_shown():
    task = a_task("synthmorph-shapes")
    assert task.previews() == {}
    losses(task, a_batch(task))
    assert set(task.previews()) == {"moving", "fixed"} and task.previews()["fixed"].shape == (1, 1, *SHAPE)


def test_shapes_are_trained_on_without_any_file(tmp_path):
    values = {**SMALL, "shape": (16, 16, 16), "output_dir": str(tmp_path), "epochs": 2, "steps_per_epoch": 2}
    config = make_config("synthmorph-shapes", {**values, "device": "cpu", "batch_size": 2})
    task, data = build_training(config)
    first, second = list(data.batches(0, 2))
    assert first.numbers == (0, 1) and second.numbers == (2, 3) and len(data.cases) == 0
    moving, fixed = task.synthesise(first)
    assert moving.labels.unique().numel() > 2 and not torch.equal(moving.labels, fixed.labels)
    assert not torch.equal(task.synthesise(second)[0].labels, moving.labels)
    assert train(config).step == 4


def test_shapes_are_validated_with_real_pairs(tmp_path):
    images = write_cases(tmp_path, 2)
    pairs = write_list(tmp_path / "pairs.txt", [f"{images[0]} {images[1]}"])
    values = {**SMALL, "shape": (16, 16, 16), "output_dir": str(tmp_path / "out"), "validation_list": pairs}
    task, data = build_training(make_config("synthmorph-shapes", values))
    (batch,) = data.validation()
    assert batch.fixed.shape == (1, 1, 16, 16, 16) and batch.fixed.any() and task.validation_batch(batch) is batch


def test_making_the_images_takes_less_than_a_quarter_of_a_step():
    """On a grid of the size of a head at 5 mm, with the default network; both in processor time."""
    shape = (32, 48, 48)
    task = a_task("synthmorph-labels", encoder=(32,) * 4, decoder=(32,) * 6)
    batch = a_batch(task)

    def larger(tensor: torch.Tensor) -> torch.Tensor:
        return tensor[..., torch.arange(32) % 16, :, :][..., torch.arange(48) % 16, :][..., torch.arange(48) % 16]

    names = ("fixed", "moving", "fixed_labels", "moving_labels")
    batch = dataclasses.replace(batch, **{name: larger(getattr(batch, name)) for name in names})
    assert batch.fixed.shape[2:] == shape
    made, whole = [], []
    for _ in range(3):
        start = time.process_time()
        task.synthesise(batch)
        made.append(time.process_time() - start)
        start = time.process_time()
        sum(losses(task, batch).values()).backward()
        whole.append(time.process_time() - start)
    assert min(made) < 0.25 * min(whole)


def test_affine_maps_are_learned_from_label_maps(tmp_path):
    values = {**SMALL, "label_list": a_label_folder(tmp_path), "output_dir": str(tmp_path / "out"), "device": "cpu"}
    values |= {"features": 6, "epochs": 1, "steps_per_epoch": 2, "validation_pairs": 1}
    assert train(make_config("synthmorph-affine", values)).step == 2
    with pytest.raises(ConfigError, match=r"makes its images itself\. Leave atlas empty"):
        build_training(make_config("synthmorph-affine", {**values, "atlas": "/a.nii"}))


def test_a_detector_learns_to_undo_a_shift():
    """From its random features alone a detector sees little; the loss of one pair falls as it learns."""
    still = {"max_shift": 0, "max_rotation": 0, "max_scaling": 0, "max_shear": 0, "max_warp": 0}
    task = a_task("synthmorph-affine", rigid=True, **still)
    batch = a_batch(task)
    batch = dataclasses.replace(batch, moving_labels=batch.fixed_labels.roll(2, 2))
    history = train_on(task, batch, steps=25, lr=1e-2)
    assert min(history[-5:]) < 0.8 * history[0]


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"label_list": ""}, "makes its images of label maps. Give label_list"),
        ({"labels": (17, 999)}, "labels names 999, which no label map has"),
        ({"labels": (0,)}, "labels names 0 alone"),
        ({"image_list": "/scans"}, "makes its images itself. Leave image_list empty"),
        ({"atlas": "/a.nii"}, "makes its images itself. Leave atlas empty"),
        ({"augment_intensity": 0.5}, "makes the intensities of its images itself"),
        ({"vel_res": ()}, "vel_res is \\(\\); give one or more distances"),
        ({"vel_res": (0.5,)}, "give one or more distances from 1"),
        ({"symmetric": True, "int_steps": 0}, "A symmetric network integrates a velocity"),
    ],
)
def test_impossible_trainings_are_refused(tmp_path, values, sentence):
    with pytest.raises(ConfigError, match=sentence):
        build_training(a_training(tmp_path, **values))


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"shape": ()}, "Random shapes have no size of their own. Give shape"),
        ({"shape": (16, 8, 16), "encoder": (8,) * 4}, "needs at least 16 voxels along each axis"),
        ({"label_list": "/maps"}, "makes its label maps itself"),
        ({"shape_labels": 1}, "shape_labels is 1; choose a number from 2"),
        ({"dice_weight": float("nan")}, "dice_weight is nan"),
    ],
)
def test_impossible_shapes_are_refused(values, sentence):
    with pytest.raises(ConfigError, match=sentence):
        build_training(make_config("synthmorph-shapes", values))


def write_map(folder: Path, array: np.ndarray) -> None:
    write_image(Image(array, Geometry(array.shape, np.eye(4))), folder / "labels" / "case9.nii.gz")


def test_maps_that_are_no_label_maps_are_left_out_or_refused(tmp_path):
    config = a_training(tmp_path)
    write_map(tmp_path, np.random.default_rng(0).random((14, 12, 10)).astype(np.float32))
    with pytest.warns(UserWarning, match="1 of 5 images are left out"):
        _task, data = build_training(config)
    assert "whole" in data.skipped["case9"]
    with pytest.raises(ImageError, match="case9"):
        build_training(dataclasses.replace(config, strict=True))


def test_labels_that_images_cannot_be_made_of_are_named(tmp_path):
    config = a_training(tmp_path, labels=(17,))
    array = np.zeros((14, 12, 10), np.int32)
    array[3:6, 3:6, 3:6], array[7:9] = 17, 70000
    write_map(tmp_path, array)
    _task, data = build_training(config)
    case = next(case for case in data.cases if case.name == "case9")
    with pytest.raises(ImageError, match="labels from 0 to 70000; those that images are made of are from 0 to 32767"):
        data.store.load(case)


def test_holes_in_the_numbering_do_not_matter():
    labels = torch.tensor([[0, 5, 1000, 3]])
    assert look_up(labels, (0, 5, 1000), (0, 1, 2)).tolist() == [[0, 1, 2, 0]]
    assert look_up(labels + 70000, (70000, 70005, 71000), (0, 1, 2), -1).tolist() == [[0, 1, 2, -1]]


def test_the_first_steps_of_a_training_compute_with_no_denormal_numbers():
    from VoxelMorphLib.training.trainer import without_denormals

    tiny = torch.tensor(1e-30)
    assert (tiny * 1e-10).item() != 0
    with without_denormals():
        assert (tiny * 1e-10).item() == 0
    assert (tiny * 1e-10).item() != 0


def test_synthesised_validation_measures_the_overlap(tmp_path):
    task, data = build_training(a_training(tmp_path, validation_pairs=1))
    fabric = type("Fabric", (), {"device": torch.device("cpu"), "global_rank": 0, "world_size": 1})()
    validation, pictures = Validator(task, data, fabric)(task.network, pictures=1)
    batch = task.validation_batch(next(data.validation()))
    moved = warp(
        batch.moving_labels, task.network.eval().fields(batch.moving, batch.fixed).displacement.detach(), "nearest"
    )
    label = task.info.labels[0]
    first, second = moved == label, batch.fixed_labels == label
    dice = 2 * (first & second).sum() / (first.sum() + second.sum())
    assert validation.measures.dice[label] == pytest.approx(float(dice), abs=1e-6)
    assert len(pictures.pairs) == 1
