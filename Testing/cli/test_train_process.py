"""The train command as a process of its own, as Slicer and schedulers start it: stopped, killed and resumed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.small_scans import NETWORK, training, write_scans
from VoxelMorphLib.cli.train import main
from VoxelMorphLib.training.checkpoint import load_checkpoint

SCRIPT = Path(__file__).resolve().parents[2] / "VoxelMorphSlicer" / "CLI" / "VoxelMorphTrain.py"
ENDLESS = [*NETWORK, "--epochs", "100000", "--stepsPerEpoch", "5", "--saveEvery", "1"]
LIMIT_S = 120


def start(*argv):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, str(SCRIPT), *map(str, argv)], env=environment, **pipes)


def wait_for(path, process):
    end = time.monotonic() + LIMIT_S
    while not path.is_file():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.fixture
def folder(tmp_path):
    return write_scans(tmp_path, 3)


@pytest.mark.slow
def test_bad_input_is_exit_code_2_and_one_sentence(folder):
    process = start(*training(folder, "--imageList", str(folder / "absent")))
    out, err = process.communicate(timeout=LIMIT_S)
    assert (process.returncode, err.count("\n")) == (2, 1), err
    assert err.startswith("Error: image_list") and "Traceback" not in out + err


@pytest.mark.slow
def test_progress_is_on_the_output_channel_and_nothing_on_the_error_channel(folder):
    process = start(*training(folder))
    out, err = process.communicate(timeout=LIMIT_S)
    assert (process.returncode, err) == (0, "")
    fractions = [float(line[17:-18]) for line in out.splitlines() if line.startswith("<filter-progress>")]
    assert fractions == sorted(fractions) and fractions[-1] == 1
    assert "steps done; no validation decides, so the model is that of the last step: " in out and "last.pt" in out


@pytest.mark.slow
def test_ctrl_c_saves_and_the_training_goes_on(folder):
    last = folder / "out" / "checkpoints" / "last.pt"
    process = start(*training(folder), *ENDLESS)
    wait_for(last, process)
    process.send_signal(signal.SIGINT)
    _out, err = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 130, err
    assert err.startswith("Stopped after step ") and "resume the training to go on" in err
    step = load_checkpoint(last)["step"]
    assert f"Stopped after step {step} " in err
    epochs = -(-step // 5) + 1
    assert main(["--resume", "--outputDir", str(folder / "out"), "--epochs", str(epochs)]) == 0
    assert load_checkpoint(last)["step"] == 5 * epochs


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_a_killed_training_leaves_a_whole_checkpoint(folder):
    last = folder / "out" / "checkpoints" / "last.pt"
    process = start(*training(folder), *ENDLESS)
    wait_for(last, process)
    process.kill()
    process.communicate(timeout=LIMIT_S)
    epochs = load_checkpoint(last)["step"] // 5 + 1
    assert main(["--resume", "--outputDir", str(folder / "out"), "--epochs", str(epochs)]) == 0
