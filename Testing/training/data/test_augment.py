"""Augmented samples: deterministic, alone or in a batch, labels still labels."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from support.cuda_device import needs_cuda
from support.volumes import a_blob_image, a_geometry, a_label_map
from VoxelMorphLib.core.displacement import jacobian_determinant
from VoxelMorphLib.core.errors import ConfigError
from VoxelMorphLib.training.data.augment import augment, augment_intensities, random_displacement, random_flips
from VoxelMorphLib.training.data.case import Batch, join
from VoxelMorphLib.training.data.sampling import device_generator
from VoxelMorphLib.training.options import TrainingConfig

SHAPE = (16, 20, 12)
ALL = {"flips": True, "augment_affine": 1.0, "augment_warp": 1.0, "augment_intensity": 1.0}


def a_sample(number: int) -> Batch:
    def image(seed: int) -> torch.Tensor:
        array = a_blob_image(a_geometry("RAS", SHAPE), seed).array
        return torch.from_numpy(array / array.max())[None, None]

    def labels(seed: int) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(a_label_map(a_geometry("RAS", SHAPE), seed).array))[None, None]

    return Batch(
        numbers=(number,),
        names=("moving fixed",),
        fixed=image(number),
        moving=image(number + 1),
        fixed_labels=labels(number),
        moving_labels=labels(number + 1),
    )


def a_config(**values: Any) -> TrainingConfig:
    return TrainingConfig(**values)


def tensors(batch: Batch) -> list[torch.Tensor]:
    return [batch.fixed, batch.moving, batch.fixed_labels, batch.moving_labels]


def test_nothing_asked_for_changes_nothing():
    sample = a_sample(0)
    assert augment(sample, a_config()) is sample


@pytest.mark.parametrize("name", list(ALL))
def test_every_option_changes_the_images_and_not_the_input(name):
    sample = a_sample(3)
    before = [tensor.clone() for tensor in tensors(sample)]
    after = augment(sample, a_config(**{name: ALL[name], "seed": 1}))
    assert not torch.equal(after.fixed, sample.fixed)
    assert all(torch.equal(old, new) for old, new in zip(before, tensors(sample)))
    assert (after.numbers, after.names) == (sample.numbers, sample.names)


def test_a_sample_does_not_depend_on_its_batch():
    config = a_config(**ALL)
    alone = [augment(a_sample(number), config) for number in range(3)]
    together = augment(join([a_sample(number) for number in range(3)]), config)
    for place, sample in enumerate(alone):
        assert all(torch.equal(a[0], b[place]) for a, b in zip(tensors(sample), tensors(together)))


def test_seed_and_number_decide():
    one, config = a_sample(3), a_config(**ALL)
    assert torch.equal(augment(one, config).fixed, augment(one, config).fixed)
    assert not torch.equal(augment(one, config).fixed, augment(one, a_config(**ALL, seed=1)).fixed)
    assert not torch.equal(augment(one, config).fixed, augment(replace(one, numbers=(4,)), config).fixed)


def test_labels_stay_labels_and_follow_their_image():
    sample = a_sample(3)
    after = augment(sample, a_config(augment_affine=1.0, augment_warp=1.0))
    assert after.fixed_labels.dtype == sample.fixed_labels.dtype
    assert set(after.fixed_labels.unique().tolist()) <= {0, 2, 17, 53}
    inside, outside = after.fixed_labels == 53, after.fixed_labels == 2
    assert after.fixed[inside].mean() > 1.3 * after.fixed[outside].mean()


def test_a_pair_is_mirrored_alike_and_bent_apart():
    sample = replace(a_sample(3), moving=a_sample(3).fixed)
    flipped = [augment(replace(sample, numbers=(n,)), a_config(flips=True)) for n in range(20)]
    assert all(torch.equal(each.fixed, each.moving) for each in flipped)
    assert len({tuple(each.fixed.flatten().tolist()) for each in flipped}) == 8
    bent = augment(sample, a_config(augment_warp=1.0))
    assert not torch.equal(bent.fixed, bent.moving)


def test_an_atlas_is_only_mirrored():
    sample = a_sample(3)
    after = augment(sample, a_config(atlas="atlas.nii.gz", **{**ALL, "flips": False}))
    assert torch.equal(after.fixed, sample.fixed)
    assert torch.equal(after.fixed_labels, sample.fixed_labels)
    assert not torch.equal(after.moving, sample.moving)


def test_a_single_image_is_bent_even_with_an_atlas():
    sample = replace(a_sample(3), moving=None, moving_labels=None, fixed_labels=None)
    after = augment(sample, a_config(atlas="atlas.nii.gz", augment_warp=1.0))
    assert after.moving is None and after.fixed_labels is None
    assert not torch.equal(after.fixed, sample.fixed)


def test_skipped_files_and_attributes_are_kept():
    sample = replace(a_sample(1), skipped=("case7",), attributes=torch.ones(1, 2))
    after = augment(join([sample, replace(sample, skipped=())]), a_config(flips=True))
    assert after.skipped == ("case7",)
    assert after.attributes.shape == (2, 2)


def test_derived_values_do_not_follow_a_map():
    sample = replace(a_sample(1), extras={"fixed_points": torch.zeros(1, 3)})
    with pytest.raises(ConfigError, match=r"cannot follow .* \(fixed_points\). Set them to 0"):
        augment(sample, a_config(flips=True))
    assert set(augment(sample, a_config(augment_intensity=1.0)).extras) == {"fixed_points"}


@pytest.mark.parametrize("rms", [0.5, 2.0])
def test_smooth_maps_have_the_strength_asked_for_and_do_not_fold(rms):
    for seed in range(3):
        field = random_displacement((32, 32, 32), 0, rms, torch.Generator().manual_seed(seed), torch.device("cpu"))
        assert float(field.square().sum(1).mean().sqrt()) == pytest.approx(rms, rel=0.2)
        assert jacobian_determinant(field).min() > 0


def test_affine_maps_stay_within_their_strength():
    shape = (33, 33, 33)
    for seed in range(10):
        field = random_displacement(shape, 1, 0, torch.Generator().manual_seed(seed), torch.device("cpu"))
        assert field[0, :, 16, 16, 16].abs().max() <= 3.3 + 1e-4
        volume = float(jacobian_determinant(field).mean())
        assert 0.9**3 - 1e-3 <= volume <= 1.1**3 + 1e-3


def test_axes_are_mirrored_half_of_the_time():
    random = torch.Generator().manual_seed(0)
    counts = np.bincount([axis for _time in range(400) for axis in random_flips(SHAPE, random)], minlength=3)
    assert ((counts > 150) & (counts < 250)).all()


def test_intensities_stay_between_0_and_1_and_keep_their_order_without_noise():
    image = torch.linspace(0, 1, 1000).reshape(1, 1, 10, 10, 10)
    for seed in range(5):
        after = augment_intensities(image, 1.0, torch.Generator().manual_seed(seed))
        assert after.min() >= 0 and after.max() <= 1
        assert torch.corrcoef(torch.stack([after.flatten(), image.flatten()]))[0, 1] > 0.8


def test_generators_of_a_device_are_seeded():
    first, second = (torch.rand(3, generator=device_generator(torch.device("cpu"), 5)) for _time in range(2))
    assert torch.equal(first, second)


@needs_cuda
def test_a_gpu_makes_the_same_maps():
    config = a_config(flips=True, augment_affine=1.0, augment_warp=1.0)
    here, there = augment(a_sample(3), config), augment(a_sample(3).to("cuda"), config)
    assert there.fixed.is_cuda
    assert torch.allclose(there.fixed.cpu(), here.fixed, atol=1e-3)
    assert (there.fixed_labels.cpu() != here.fixed_labels).float().mean() < 1e-3
    assert augment(a_sample(3).to("cuda"), a_config(augment_intensity=1.0)).moving.is_cuda
