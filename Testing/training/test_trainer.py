"""The loop: learning, validation, checkpoints, resuming, and ends of every kind."""

from __future__ import annotations

import pytest
import torch
from support.tiny_training import TinyConfig, tiny_trainer
from VoxelMorphLib.core.errors import Cancelled


@pytest.fixture
def a_config(tmp_path):
    def make(name: str = "run", **values) -> TinyConfig:
        return TinyConfig(output_dir=str(tmp_path / name), **values)

    return make


def weights(trainer):
    return trainer.task.network.state_dict()


def assert_same_weights(first, second):
    assert list(first) == list(second)
    for name in first:
        assert torch.equal(first[name], second[name]), name


def test_the_loss_falls_and_the_overlap_rises(a_config):
    trainer = tiny_trainer(a_config(epochs=1))
    before, _ = trainer.validator(trainer.task.network)
    trainer = tiny_trainer(a_config("longer", epochs=15))
    result = trainer.run()
    assert result.losses["loss"] < 0.8 * before.measures.image_loss
    assert result.best_value > before.measures.mean_dice + 0.02
    assert result.step == 60
    assert result.epoch == 15


@pytest.mark.parametrize("values", [{}, {"ema": 0.9, "schedule": "cosine", "clip": 0.01, "accumulate": 2}])
@pytest.mark.parametrize("stop", [2, 4, 7])
def test_a_stopped_training_resumes_as_if_it_had_not_stopped(a_config, values, stop):
    whole = tiny_trainer(a_config("whole", **values))
    expected = whole.run()

    def stopper(fraction, _text):
        if round(fraction * 12) == stop:
            raise Cancelled("enough")

    with pytest.raises(Cancelled, match=f"after step {stop} of 12"):
        tiny_trainer(a_config("parts", **values), progress=stopper).run()
    second = tiny_trainer(a_config("parts", **values), resume=True)
    result = second.run()
    assert_same_weights(weights(second), weights(whole))
    assert result.losses == expected.losses
    assert (result.best_value, result.best_step) == (expected.best_value, expected.best_step)
