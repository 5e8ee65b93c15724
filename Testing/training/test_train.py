"""`train` on files: a recipe from lists to checkpoints, resumed and started from weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from support.tiny_training import assert_same_weights
from support.training_files import write_cases
from VoxelMorphLib.core.errors import Cancelled, ConfigError, DependencyError, DeviceError, ImageError, WeightsError
from VoxelMorphLib.training import launch
from VoxelMorphLib.training.build import build_training
from VoxelMorphLib.training.checkpoint import load_checkpoint, save_checkpoint
from VoxelMorphLib.training.export import export
from VoxelMorphLib.training.monitors.curves import read_curves
from VoxelMorphLib.training.options import TrainingConfig
from VoxelMorphLib.training.recipes import make_config
from VoxelMorphLib.training.trainer import train


@pytest.fixture(scope="module")
def some_cases(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("cases")
    write_cases(folder, count=6, shape=(12, 12, 12))
    return folder


@pytest.fixture
def a_file_config(some_cases, tmp_path):
    def make(name: str = "run", **values):
        lists = {"image_list": str(some_cases / "images"), "label_list": str(some_cases / "labels")}
        quick = {"encoder": (4, 8), "decoder": (8, 4), "epochs": 2, "steps_per_epoch": 3, "validate_every": 1}
        more = {"device": "cpu", "validation_pairs": 1, "pictures": 0, "flips": True, "augment_intensity": 0.5}
        return make_config("pairwise", {**lists, **quick, **more, "output_dir": str(tmp_path / name), **values})

    return make


@pytest.mark.slow
def test_a_stopped_training_on_files_resumes_to_identical_weights(a_file_config):
    whole, parts = a_file_config("whole"), a_file_config("parts")
    result = train(whole)

    def stopper(fraction, _text):
        if round(fraction * whole.steps) == 4:
            raise Cancelled("enough")

    with pytest.raises(Cancelled, match="resume the training to go on"):
        train(parts, progress=stopper)
    resumed = train(parts, resume=True)
    assert_same_weights(load_checkpoint(resumed.last)["network"], load_checkpoint(result.last)["network"])
    assert resumed.losses == result.losses
    rows = read_curves(Path(parts.output_dir) / "curves.csv")
    assert [row["epoch"] for row in rows] == [1, 2]
    assert (Path(parts.output_dir) / "summary.html").is_file()


@pytest.mark.slow
def test_known_intensities_are_kept_for_whoever_resumes(a_file_config, tmp_path):
    file = tmp_path / "known.npz"
    np.savez(file, init_mu=[0.1, 0.3, 0.5, 0.7], init_sigma=[0.1] * 4)
    config = replace(a_segmentation(a_file_config), init_stat=str(file))
    result = train(config)
    np.savez(file, init_mu=[0.1, 0.3, 0.5, 0.8], init_sigma=[0.1] * 4)
    with pytest.raises(ConfigError, match=r"data have changed .* intensities \(was .*0\.7.*, is .*0\.8"):
        train(replace(config, epochs=3), resume=True)
    file.unlink()
    assert train(replace(config, epochs=3), resume=True).epoch == 3
    forget(result.last, "intensities")
    with pytest.raises(ImageError, match=r"known\.npz does not exist"):
        train(replace(config, epochs=4), resume=True)


def a_segmentation(a_file_config) -> TrainingConfig:
    values = {**a_file_config().to_dict(), "validation_pairs": 0, "stat_post_warp": False}
    return make_config("atlas-segmentation", values)


def forget(checkpoint: Path, fact: str) -> None:
    """Make a checkpoint of an earlier version."""
    content = load_checkpoint(checkpoint)
    del content["facts"][fact], content["rate"]
    save_checkpoint(checkpoint, content)


@pytest.mark.slow
def test_a_checkpoint_of_an_earlier_version_is_resumed(a_file_config):
    forget(train(a_file_config(epochs=1)).last, "intensities")
    assert train(a_file_config(epochs=2), resume=True).epoch == 2


@pytest.mark.slow
def test_resuming_where_nothing_is_begins(a_file_config):
    assert train(a_file_config(epochs=1), resume=True).step == 3


def test_one_seed_gives_one_network(a_file_config):
    first, second, other = (build_training(a_file_config(seed=seed))[0].network.state_dict() for seed in (1, 1, 2))
    assert_same_weights(first, second)
    assert not torch.equal(first["unet.encoder.0.0.convolution.weight"], other["unet.encoder.0.0.convolution.weight"])


@pytest.mark.slow
def test_a_training_starts_from_a_checkpoint_and_from_a_model(a_file_config, tmp_path):
    first = train(a_file_config("first", epochs=1, ema=0.5))
    export(first.last, tmp_path / "start.safetensors")
    expected = load_checkpoint(first.last)["ema"]
    for path in (first.last, tmp_path / "start.safetensors"):
        assert_same_weights(build_training(a_file_config(init_weights=str(path)))[0].network.state_dict(), expected)


@pytest.mark.slow
def test_weights_of_other_layers_do_not_start_a_training_and_the_sentence_names_them(a_file_config, tmp_path):
    config = a_file_config("first", epochs=1)
    path = train(config).last
    export(path, tmp_path / "start.safetensors")
    encoder, decoder = (",".join(map(str, part)) for part in (config.encoder, config.decoder))
    sentence = rf"other layers than .* those of the file, encoder {encoder}, decoder {decoder}, or choose another file"
    for file in (path, tmp_path / "start.safetensors"):
        with pytest.raises(WeightsError, match=sentence):
            build_training(a_file_config(init_weights=str(file), encoder=(4, 4), decoder=(4, 4)))
    with pytest.raises(WeightsError, match="does not exist"):
        build_training(a_file_config(init_weights=str(path.parent / "none.pt")))


def test_a_damaged_checkpoint_does_not_start_a_training(a_file_config, tmp_path):
    (tmp_path / "torn.pt").write_bytes(b"PK\x03\x04 torn")
    with pytest.raises(WeightsError, match=r"torn\.pt is damaged"):
        build_training(a_file_config(init_weights=str(tmp_path / "torn.pt")))


def test_a_file_of_foreign_tensors_does_not_start_a_training(a_file_config, tmp_path):
    torch.save({"weights": torch.zeros(3)}, tmp_path / "foreign.pt")
    with pytest.raises(WeightsError, match=r"foreign\.pt is no VoxelMorph file"):
        build_training(a_file_config(init_weights=str(tmp_path / "foreign.pt")))


def test_a_missing_package_is_named(a_file_config, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "lightning_fabric", None)
    with pytest.raises(DependencyError, match="pip install lightning-fabric"):
        launch.start_fabric(a_file_config())


def test_a_missing_device_is_named(a_file_config):
    with pytest.raises(DeviceError, match="no device 'cuda:9'"):
        train(replace(a_file_config(), device="cuda:9"))


def test_a_step_that_does_not_fit_into_memory_is_refused(a_file_config, monkeypatch):
    monkeypatch.setattr("VoxelMorphLib.training.memory_estimate.free_memory", lambda _device: 1000)
    with pytest.raises(DeviceError, match="of memory and cpu has"):
        train(a_file_config())
