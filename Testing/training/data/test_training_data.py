"""Batches, dataset info and validation pairs of whole lists."""

from __future__ import annotations

import sys

import pytest
import torch
from support.training_files import LABELS, a_data_config, write_cases, write_list
from VoxelMorphLib.core.errors import ConfigError
from VoxelMorphLib.training.data.case import Batch
from VoxelMorphLib.training.data.training_data import TrainingData


@pytest.fixture(scope="module")
def a_folder(tmp_path_factory):
    """Six small cases; tests that change files write their own."""
    folder = tmp_path_factory.mktemp("cases")
    write_cases(folder, 6)
    return folder


def tensors(batches: list[Batch]) -> list[torch.Tensor]:
    found = [(b.fixed, b.moving, b.fixed_labels, b.moving_labels) for b in batches]
    return [tensor for row in found for tensor in row if tensor is not None]


def same(first: list[Batch], second: list[Batch]) -> bool:
    alike = [b.names for b in first] == [b.names for b in second]
    pairs = list(zip(tensors(first), tensors(second)))
    return alike and all(torch.equal(a, b) for a, b in pairs)


def test_batches_are_pairs_of_different_cases_with_their_labels(a_folder):
    data = TrainingData(a_data_config(a_folder), 16)
    batches = list(data.batches(0, 5))
    assert [b.numbers for b in batches] == [(2 * i, 2 * i + 1) for i in range(5)]
    assert batches[0].fixed.shape == batches[0].moving.shape == (2, 1, 16, 16, 16)
    assert batches[0].fixed_labels.dtype == torch.int16
    assert batches[0].moving_labels.unique().tolist() == [0, *LABELS]
    for batch in batches:
        for place, name in enumerate(batch.names):
            moving, fixed = ({case.name: case for case in data.cases}[part] for part in name.split())
            assert moving != fixed
            assert torch.equal(batch.moving[place], data.store.images(moving).image)
            assert torch.equal(batch.fixed_labels[place], data.store.images(fixed).labels)


def test_the_dataset_info_tells_shape_labels_and_mean(a_folder):
    data = TrainingData(a_data_config(a_folder), 8)
    info = data.info(needs_mean=True)
    assert (info.shape, info.channels, info.labels, info.labelled) == ((16, 16, 16), 1, LABELS, True)
    images = torch.stack([data.store.images(case).image for case in data.cases])
    assert torch.allclose(info.mean, images.mean(dim=0), atol=1e-6)
    assert info.label_mean.shape == (4, 16, 16, 16)
    assert torch.allclose(info.label_mean.sum(dim=0), torch.ones(16, 16, 16))
    assert (info.atlas, info.attributes) == (None, 0)
    assert data.bytes_in_memory() == 6 * 16**3 * 6
    assert TrainingData(a_data_config(a_folder, shape=(12, 12, 16)), 8).info().shape == (12, 12, 16)


@pytest.mark.slow
@pytest.mark.parametrize("cache", ["memory", "disk", "none"])
def test_workers_give_the_same_batches(a_folder, tmp_path, cache):
    values = {"cache": cache, "output_dir": str(tmp_path)}
    alone = list(TrainingData(a_data_config(a_folder, **values), 16).batches(0, 4))
    shared = list(TrainingData(a_data_config(a_folder, workers=2, **values), 16).batches(0, 4))
    assert same(alone, shared)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="workers load data on Linux only")
def test_what_workers_loaded_takes_no_shared_memory(a_folder):
    data = TrainingData(a_data_config(a_folder, workers=1), 16)
    data.derive = lambda image, labels: {"double": 2 * image}
    next(data.batches(0, 1))
    prepared = [data.store.load(case) for case in data.cases]
    kept = [tensor for case in prepared for tensor in (case.image, case.labels, *case.extras.values())]
    assert len(kept) == 3 * 6
    assert not any(tensor.is_shared() for tensor in kept)


def test_ranks_share_the_samples_of_one_process(a_folder):
    together = list(TrainingData(a_data_config(a_folder, batch_size=4), 16).batches(1, 2))
    data = TrainingData(a_data_config(a_folder, batch_size=2), 16)
    ranks = [list(data.batches(1, 2, rank, 2)) for rank in range(2)]
    for step, batch in enumerate(together):
        assert torch.equal(batch.fixed, torch.cat([rank[step].fixed for rank in ranks]))
        assert batch.numbers == ranks[0][step].numbers + ranks[1][step].numbers


def test_a_resumed_training_sees_what_it_would_have_seen(a_folder):
    config = a_data_config(a_folder, accumulate=2)
    whole = list(TrainingData(config, 16).batches(0, 5))
    assert len(whole) == 10
    assert same(whole[6:], list(TrainingData(config, 16).batches(3, 2)))


def test_another_seed_draws_other_pairs(a_folder):
    def names(seed: int) -> list:
        return [b.names for b in TrainingData(a_data_config(a_folder, seed=seed), 16).batches(0, 5)]

    assert names(1) == names(1) != names(2)


def test_an_atlas_is_fixed_and_never_moving(a_folder, tmp_path):
    (atlas,) = write_cases(tmp_path, 1, geometry="LPS")
    labels = tmp_path / "labels" / atlas.name
    data = TrainingData(a_data_config(a_folder, atlas=str(atlas), atlas_labels=str(labels)), 16)
    info = data.info()
    for batch in data.batches(0, 3):
        assert all(torch.equal(image, info.atlas) for image in batch.fixed)
        assert all(torch.equal(image, info.atlas_labels) for image in batch.fixed_labels)
        assert not torch.equal(batch.moving[0], batch.fixed[0])


def test_single_samples_have_no_moving_image(a_folder):
    data = TrainingData(a_data_config(a_folder, validation_pairs=1), 16, samples="single")
    batch = next(data.batches(0, 1))
    assert batch.moving is None
    assert all(" " not in name for name in batch.names)
    assert next(data.validation()).moving is not None


def test_listed_pairs_are_used_as_they_are(a_folder):
    pairs = write_list(a_folder / "pairs.txt", ["case0 case1", "case4 case2"])
    values = {"image_prefix": "images/", "image_suffix": ".nii.gz", "image_list": "", "label_list": ""}
    data = TrainingData(a_data_config(a_folder, pair_list=pairs, **values), 16)
    names = {name for batch in data.batches(0, 10) for name in batch.names}
    assert names == {"case0 case1", "case4 case2"}
    with pytest.raises(ConfigError, match="atlas and pair_list both name the fixed images"):
        TrainingData(a_data_config(a_folder, pair_list=pairs, atlas="a.nii.gz"), 16)


def test_attributes_are_those_of_the_fixed_images(a_folder):
    rows = ["image,age [years]", *(f"case{i},{i}" for i in range(5))]
    config = a_data_config(a_folder, attributes=write_list(a_folder / "ages.csv", rows))
    with pytest.warns(UserWarning, match="1 of 6 images are left out"):
        data = TrainingData(config, 16)
    assert data.info().attributes == 1
    (age,) = data.info().described
    assert (age.name, age.unit, age.limits, age.mean) == ("age", "years", (0, 4), 2)
    for batch in data.batches(0, 3):
        assert batch.attributes.flatten().tolist() == [float(name[-1]) for name in batch.names]


def test_extras_are_named_by_their_image(a_folder):
    data = TrainingData(a_data_config(a_folder), 16)
    assert next(data.batches(0, 1)).extras == {}
    data.derive = lambda image, labels: {"sum": image.sum()[None] + labels.sum()}
    batch = next(data.batches(0, 1))
    expected = batch.moving.flatten(1).sum(1) + batch.moving_labels.flatten(1).sum(1)
    assert torch.allclose(batch.extras["moving_sum"].flatten(), expected)
    assert set(batch.extras) == {"moving_sum", "fixed_sum"}


@pytest.mark.parametrize("workers", [0, 1])
def test_extras_are_derived_of_images_that_a_mean_has_loaded(a_folder, workers):
    data = TrainingData(a_data_config(a_folder, workers=workers), 16)
    data.info(needs_mean=True)
    data.derive = lambda image, labels: {"sum": image.sum()[None]}
    batch = next(data.batches(0, 1))
    assert torch.allclose(batch.extras["fixed_sum"].flatten(), batch.fixed.flatten(1).sum(1))


def test_two_images_are_enough_for_pairs_and_one_for_an_atlas(tmp_path):
    first, second = write_cases(tmp_path, 2)
    names = {n for b in TrainingData(a_data_config(tmp_path), 16).batches(0, 9) for n in b.names}
    assert names == {"case0 case1", "case1 case0"}
    config = a_data_config(tmp_path, labelled=False, image_list=str(first))
    with pytest.raises(ConfigError, match="needs two different images, but 1 images are left"):
        TrainingData(config, 16)
    alone = a_data_config(tmp_path, labelled=False, image_list=str(first), atlas=str(second))
    assert next(TrainingData(alone, 16).batches(0, 1)).names == ("case0 case1",) * 2
