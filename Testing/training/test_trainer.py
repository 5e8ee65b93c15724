"""The loop: learning, validation, checkpoints, resuming, and ends of every kind."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from support.tiny_training import assert_same_weights, tiny_trainer
from VoxelMorphLib.core.errors import Cancelled, TrainingStopped
from VoxelMorphLib.training.checkpoint import load_checkpoint, trained_weights
from VoxelMorphLib.training.monitors.curves import Monitor, read_curves


class Recorder(Monitor):
    """Keeps the rows of the epochs."""

    def __init__(self):
        self.rows = []

    def epoch(self, row, pictures):
        self.rows.append(row)


def weights(trainer):
    return trainer.task.network.state_dict()


@pytest.mark.slow
def test_the_loss_falls_and_the_overlap_rises(a_config):
    trainer = tiny_trainer(a_config(epochs=1))
    before, _ = trainer.validator(trainer.task.network)
    trainer = tiny_trainer(a_config("longer", epochs=6, lr=3e-3))
    result = trainer.run()
    assert result.losses["loss"] < 0.8 * before.measures.image_loss
    assert result.best_value > before.measures.mean_dice + 0.02
    assert result.step == 24
    assert result.epoch == 6


@pytest.mark.slow
@pytest.mark.parametrize("values", [{}, {"ema": 0.9, "schedule": "cosine", "clip": 0.01, "accumulate": 2}])
@pytest.mark.parametrize("stop", [2, 4, 7])
def test_a_stopped_training_resumes_as_if_it_had_not_stopped(a_config, values, stop):
    whole = tiny_trainer(a_config("whole", **values), curves=True)
    expected = whole.run()

    def stopper(fraction, _text):
        if round(fraction * 12) == stop:
            raise Cancelled("enough")

    with pytest.raises(TrainingStopped, match=f"after step {stop} of 12"):
        tiny_trainer(a_config("parts", **values), progress=stopper, curves=True).run()
    second = tiny_trainer(a_config("parts", **values), resume=True, curves=True)
    result = second.run()
    assert_same_weights(weights(second), weights(whole))
    assert result.losses == expected.losses
    assert (result.best_value, result.best_step) == (expected.best_value, expected.best_step)
    rows, expected_rows = (read_curves(trainer.folder / "curves.csv") for trainer in (second, whole))
    assert [without_times(row) for row in rows] == [without_times(row) for row in expected_rows]


def without_times(row):
    return {name: value for name, value in row.items() if name != "seconds"}


def test_patience_ends_a_training_that_gets_no_better(a_config):
    trainer = tiny_trainer(a_config(epochs=50, lr=1e-9, patience=2))
    result = trainer.run()
    assert result.out_of_patience
    assert result.step == trainer.best.step + 8
    assert load_checkpoint(trainer.last)["step"] == result.step
    assert load_checkpoint(result.best)["step"] == result.best_step
    assert tiny_trainer(trainer.config, resume=True).run().step == result.step


def test_without_validation_pairs_the_last_weights_are_the_model(a_config):
    trainer = tiny_trainer(a_config(epochs=3), pairs=0, monitors=[Recorder()])
    trainer.best_file.parent.mkdir(parents=True)
    trainer.best_file.write_bytes(b"of a version that kept the epoch of the lowest training loss")
    result = trainer.run()
    assert result.best == result.last and not trainer.best_file.exists()
    assert (result.best_value, result.best_step) == (-trainer.monitors[0].rows[-1]["loss"], 12)
    assert "the model is that of the last step" in result.sentence()
    longer = tiny_trainer(replace(trainer.config, epochs=5), resume=True, pairs=0)
    result = longer.run()
    assert load_checkpoint(result.best)["step"] == result.best_step == 20
    assert_same_weights(load_checkpoint(result.best)["network"], weights(longer))


def test_the_running_mean_of_the_weights_is_what_counts(a_config):
    trainer = tiny_trainer(a_config(epochs=1, ema=0.5))
    trainer.run()
    checkpoint = load_checkpoint(trainer.last)
    assert_same_weights(trained_weights(checkpoint), trainer.optimisation.network.state_dict())
    assert not torch.equal(checkpoint["ema"]["flow.weight"], checkpoint["network"]["flow.weight"])
    assert trained_weights({**checkpoint, "ema": None}) is checkpoint["network"]


def test_accumulated_batches_train_like_one_large_batch(a_config):
    parts = tiny_trainer(a_config("parts", accumulate=2, epochs=1))
    whole = tiny_trainer(a_config("whole", batch_size=2, epochs=1))
    first, second = parts.run(), whole.run()
    assert first.losses == pytest.approx(second.losses, abs=1e-6)
    for name, tensor in weights(parts).items():
        assert torch.allclose(tensor, weights(whole)[name], atol=1e-5), name


def test_bfloat16_convolutions_train_float32_weights(a_config):
    trainer = tiny_trainer(a_config(precision="bfloat16", epochs=2))
    half = trainer.run().losses["loss"]
    assert all(tensor.dtype == torch.float32 for tensor in weights(trainer).values())
    assert half == pytest.approx(tiny_trainer(a_config("float", epochs=2)).run().losses["loss"], rel=0.05)


def test_the_gradient_is_clipped(a_config):
    trainer = tiny_trainer(a_config(clip=1e-3, epochs=1))
    trainer.run()
    norms = [p.grad.norm() for p in trainer.task.network.parameters()]
    assert torch.stack(norms).norm() == pytest.approx(1e-3, rel=1e-3)
