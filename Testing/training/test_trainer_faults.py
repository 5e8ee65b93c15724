"""What must not end in a damaged network: numbers out of bounds, full disks, kills, other checkpoints."""

from __future__ import annotations

import errno
import json
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from support import tiny_training
from support.tiny_training import TinyConfig, assert_same_weights, tiny_trainer
from VoxelMorphLib.core.errors import (
    ConfigError,
    DeviceError,
    OutputError,
    TrainingError,
    VoxelMorphError,
    WeightsError,
)
from VoxelMorphLib.core.io import files
from VoxelMorphLib.core.io.locks import locked
from VoxelMorphLib.training.checkpoint import NoCheckpointError, load_checkpoint, save_checkpoint
from VoxelMorphLib.training.monitors.available import make_monitors
from VoxelMorphLib.training.monitors.curves import Monitor
from VoxelMorphLib.training.recipes import make_config
from VoxelMorphLib.training.stopping import StopRequest
from VoxelMorphLib.training.trainer import LOCK, train

ROOT = Path(__file__).resolve().parents[2]


def a_child(config: TinyConfig, *arguments: str) -> subprocess.Popen:
    """A training in a process of its own."""
    Path(config.output_dir).mkdir(parents=True, exist_ok=True)
    path = f"{ROOT / 'VoxelMorphSlicer'}:{ROOT / 'Testing'}"
    environment = {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "PATH": "/usr/bin:/bin"}
    command = [sys.executable, tiny_training.__file__, json.dumps(config.to_dict()), *arguments]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)


def wait_for_step(config: TinyConfig, step: int, child: subprocess.Popen) -> None:
    """Return while the child trains, after so many steps."""
    file = Path(config.output_dir) / "steps.txt"
    deadline = time.monotonic() + 60
    while not (file.is_file() and int(file.read_text() or 0) >= step):
        assert time.monotonic() < deadline
        assert child.poll() is None, child.stderr.read()
        time.sleep(0.01)


def a_whole_run(a_config, epochs: int):
    trainer = tiny_trainer(a_config("whole", epochs=epochs))
    trainer.run()
    return trainer.task.network.state_dict()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_an_ended_process_resumes_to_identical_weights(a_config, number):
    config = a_config(epochs=8)
    child = a_child(replace(config, epochs=500))
    wait_for_step(config, 10, child)
    child.send_signal(number)
    errors = child.communicate(timeout=60)[1]
    last = Path(config.output_dir) / "checkpoints" / "last.pt"
    step = load_checkpoint(last)["step"]
    assert step >= 8
    if number == signal.SIGKILL:
        assert child.returncode == -signal.SIGKILL
    else:
        assert f"TrainingStopped: Stopped after step {step} of 2000" in errors
    config = replace(config, epochs=step // 4 + 2)
    resumed = tiny_trainer(config, resume=True)
    resumed.run()
    assert_same_weights(resumed.task.network.state_dict(), a_whole_run(a_config, config.epochs))


def test_a_second_ctrl_c_ends_at_once_and_tells_what_is_left():
    with pytest.raises(KeyboardInterrupt, match="A checkpoint that was written before is whole"), StopRequest() as stop:
        signal.raise_signal(signal.SIGINT)
        assert stop.asked
        signal.raise_signal(signal.SIGINT)


@pytest.mark.slow
def test_a_loss_that_is_not_finite_names_the_files_and_spares_the_weights(a_config):
    config = a_config()
    trainer = tiny_trainer(config, broken=(6,))
    with pytest.raises(TrainingError, match=r"in step 7, with m6.nii f6.nii\. .*last.pt holds the training before it"):
        trainer.run()
    assert load_checkpoint(trainer.last)["step"] == 4
    resumed = tiny_trainer(config, resume=True)
    resumed.run()
    assert_same_weights(resumed.task.network.state_dict(), a_whole_run(a_config, 3))


def test_weights_stay_finite_after_a_loss_that_is_not(a_config):
    trainer = tiny_trainer(a_config(), broken=(1,))
    with pytest.raises(TrainingError, match="No checkpoint was written yet"):
        trainer.run()
    assert all(torch.isfinite(tensor).all() for tensor in trainer.task.network.state_dict().values())


def test_a_full_disk_leaves_the_older_checkpoint(a_config, monkeypatch):
    config = a_config()
    tiny_trainer(replace(config, epochs=1)).run()
    resumed = tiny_trainer(config, resume=True)

    def full(_path, _data):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OutputError, match=r"No space left on device\. Free some space"):
        resumed.run()
    assert load_checkpoint(resumed.last)["step"] == 4
    assert [file.name for file in resumed.last.parent.iterdir() if file.name.startswith(".")] == []


class Failing(Monitor):
    """Fails at everything, after the checkpoint of the epoch was looked for."""

    shows = "the page"

    def __init__(self, last: Path):
        self.last, self.saved = last, []

    def _fail(self, *_values: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    begin = step = end = _fail

    def epoch(self, row, pictures):
        self.saved.append(self.last.is_file())
        self._fail()


def test_no_page_ends_a_training_and_the_checkpoint_comes_first(a_config):
    config = a_config(epochs=3)
    monitor = Failing(Path(config.output_dir) / "checkpoints" / "last.pt")
    with pytest.warns(UserWarning, match=r"The training goes on, but the page may be incomplete: .*No space") as said:
        tiny_trainer(config, monitors=[monitor]).run()
    assert len(said) == 1
    assert monitor.saved == [True] * 3
    assert_same_weights(load_checkpoint(monitor.last)["network"], a_whole_run(a_config, 3))


@pytest.mark.parametrize("name", ["curves.csv", "summary.html", "tensorboard"])
def test_whatever_blocks_a_page_the_training_is_saved(a_config, name):
    config = a_config(epochs=2)
    folder = Path(config.output_dir)
    folder.mkdir(parents=True)
    (folder / name).write_bytes(b"") if name == "tensorboard" else (folder / name).mkdir()
    with pytest.warns(UserWarning, match=name):
        tiny_trainer(config, monitors=make_monitors(config, (12, 12, 12), {})).run()
    assert load_checkpoint(folder / "checkpoints" / "last.pt")["step"] == config.steps


def test_two_trainings_do_not_share_a_folder(tmp_path):
    config = make_config("pairwise", {"image_list": "none.txt", "output_dir": str(tmp_path / "out")})
    with pytest.raises(VoxelMorphError, match=r"none.txt"):
        train(config)
    assert not (tmp_path / "out").exists()
    folder = tmp_path / "out" / "checkpoints"
    folder.mkdir(parents=True)
    with locked(folder / LOCK, 0), pytest.raises(ConfigError, match=r"Another training is running in .*out"):
        train(config)
    assert list(folder.iterdir()) == []


def test_a_nearly_full_disk_is_noticed_before_writing(tmp_path, monkeypatch):
    monkeypatch.setattr(files.shutil, "disk_usage", lambda _folder: type("Usage", (), {"free": 10}))
    with pytest.raises(OutputError, match="the disk has 0 MB left"):
        save_checkpoint(tmp_path / "last.pt", {"network": torch.zeros(1000)})


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(OutputError, match="Choose another output_dir"):
        tiny_trainer(TinyConfig(output_dir=str(tmp_path / "file"))).run()


@pytest.mark.parametrize(("name", "value"), [("lr", 0.5), ("seed", 7), ("encoder", (4, 4)), ("batch_size", 3)])
def test_a_changed_configuration_is_refused(a_config, name, value):
    config = a_config(epochs=1)
    tiny_trainer(config).run()
    with pytest.raises(ConfigError, match=rf"other values of {name} \(was .*, is .*\)"):
        tiny_trainer(replace(config, **{name: value}), resume=True)


def test_the_end_of_the_training_may_move(a_config):
    config = a_config(epochs=1)
    tiny_trainer(config).run()
    resumed = tiny_trainer(replace(config, epochs=2, patience=5, validate_every=2), resume=True)
    assert resumed.run().step == 8


def changed_checkpoint(trainer, **values) -> None:
    save_checkpoint(trainer.last, {**load_checkpoint(trainer.last), **values})


def test_a_checkpoint_of_another_training_is_refused(a_config):
    config = a_config(epochs=1)
    trainer = tiny_trainer(config)
    trainer.run()
    checkpoint = load_checkpoint(trainer.last)
    changed_checkpoint(trainer, recipe="other")
    with pytest.raises(WeightsError, match="with the recipe 'other', not 'tiny'"):
        tiny_trainer(config, resume=True)
    changed_checkpoint(trainer, recipe="tiny", facts={**checkpoint["facts"], "labels": (1, 2, 3)})
    with pytest.raises(ConfigError, match=r"data have changed .* labels \(was \[1, 2, 3\], is \[1, 2\]\)"):
        tiny_trainer(config, resume=True)
    changed_checkpoint(trainer, facts=checkpoint["facts"], network={"flow.weight": torch.zeros(2)})
    with pytest.raises(WeightsError, match="belongs to another architecture"):
        tiny_trainer(config, resume=True)
    changed_checkpoint(trainer, format=2)
    with pytest.raises(WeightsError, match="format 2; this version reads 1"):
        tiny_trainer(config, resume=True)


@pytest.mark.parametrize("damage", ["torn", "foreign", "empty", "code"])
def test_a_damaged_checkpoint_is_refused(a_config, damage):
    trainer = tiny_trainer(a_config(epochs=1))
    trainer.run()
    content = trainer.last.read_bytes()
    if damage == "torn":
        trainer.last.write_bytes(content[: len(content) // 2])
    elif damage == "empty":
        trainer.last.write_bytes(b"")
    else:
        torch.save({"weights": torch.zeros(3)} if damage == "foreign" else Path, trainer.last)
    reason = {"torn": "damaged", "foreign": "no checkpoint", "empty": "is empty", "code": "could run programs"}
    with pytest.raises(WeightsError, match=reason[damage].replace(" ", r"\s")) as raised:
        load_checkpoint(trainer.last)
    assert isinstance(raised.value, NoCheckpointError) == (damage == "foreign")


CHANGES = {
    "a negative step": ({"step": -1}, "its step is -1 of 4"),
    "a step beyond the end": ({"step": 10**9}, "its step is 1000000000 of 4"),
    "a step in words": ({"step": "four"}, "its step is of the type str"),
    "a step of yes": ({"step": True}, "its step is True"),
    "no configuration": ({"config": None}, "its config is of the type NoneType"),
    "no facts": ({"facts": None}, "its facts is of the type NoneType"),
    "empty facts": ({"facts": {}}, "its facts lacks shape, channels, labels, attributes"),
    "no best": ({"best": None}, "its best is of the type NoneType"),
    "half a best": ({"best": {"value": 0.5}}, "its best lacks variant, step, waited"),
    "weights in words": ({"network": {"flow.weight": "words"}}, "its network holds something else than named tensors"),
    "averages in words": ({"ema": {"flow.weight": 5}}, "its ema holds something else than named tensors"),
    "no optimiser": ({"optimiser": []}, "its optimiser is of the type list"),
    "an empty optimiser": ({"optimiser": {}}, "its state of the optimisation cannot be restored"),
    "an optimiser of nothing": ({"optimiser": {"state": {}, "param_groups": []}}, "cannot be restored"),
    "an empty epoch": ({"epoch": {}}, "cannot be restored"),
    "an epoch in words": ({"epoch": {"count": 1, "sums": {"loss": "words"}}}, "cannot be restored"),
    "a recipe of numbers": ({"recipe": 5}, "its recipe is of the type int"),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_a_checkpoint_that_no_training_wrote_is_one_sentence(a_config, kind):
    config, (values, words) = a_config(epochs=1), CHANGES[kind]
    trainer = tiny_trainer(config)
    trainer.run()
    changed_checkpoint(trainer, **values)
    with pytest.raises(WeightsError, match=re.escape(words)):
        tiny_trainer(config, resume=True)


def test_a_missing_checkpoint_is_named(tmp_path):
    with pytest.raises(WeightsError, match="does not exist"):
        load_checkpoint(tmp_path / "last.pt")


def test_a_training_is_not_overwritten(a_config):
    config = a_config(epochs=1)
    tiny_trainer(config).run()
    with pytest.raises(ConfigError, match="already holds a training"):
        train(config)


def test_too_little_memory_is_a_sentence(a_config):
    trainer = tiny_trainer(a_config())

    def too_much(*_arguments):
        raise torch.OutOfMemoryError

    trainer.task.losses = too_much
    with pytest.raises(DeviceError, match=r"too little memory for batches of 1 with the shape \(12, 12, 12\)"):
        trainer.run()


def test_a_fault_while_loading_is_raised_and_one_after_ctrl_c_is_not(a_config):
    trainer = tiny_trainer(a_config())

    def fails(*_arguments):
        raise RuntimeError("worker died")
        yield

    trainer.data.batches = fails
    with pytest.raises(RuntimeError, match="worker died"):
        trainer.run()
