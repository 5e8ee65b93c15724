"""The commands that the README gives for those of the original, run as they are written, on .npz files."""

from __future__ import annotations

import re
import shlex
from importlib import import_module

import numpy as np
import pytest
import torch
from support.made_up_training import a_scan
from support.shared_data import REPOSITORY
from VoxelMorphLib.cli import train
from VoxelMorphLib.core.io.transforms import read_transform

README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
#: Original script -> our command, from the rows of the table.
COMMANDS = dict(re.findall(r"^\| `(\w+\.py) [^`]*` \| `(VoxelMorph\w+\.py [^`]*)` \|$", README, re.MULTILINE))


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    """What users of the original have: scans with labels, an atlas, the numbers of the labels, a list, and a model."""
    folder = tmp_path_factory.mktemp("original")
    for number, name in enumerate(("atlas", "scan1", "scan2", "scan3")):
        image, labels = (tensor[0].numpy() for tensor in a_scan(number))
        np.savez(folder / f"{name}.npz", vol=image, seg=labels)
    np.savez(folder / "labels.npz", labels=np.unique(np.load(folder / "atlas.npz")["seg"]))
    (folder / "images.txt").write_text("scan1.npz\nscan2.npz\nscan3.npz\n")
    argv = ["--recipe", "atlas", "--imageList", folder / "images.txt", "--atlas", folder / "atlas.npz", "--outputDir"]
    tiny = ["--encoder", "4,8", "--decoder", "8,8,4", "--device", "cpu", "--epochs", "1", "--stepsPerEpoch", "2"]
    argv = [*argv, folder / "trained", "--model", folder / "model.safetensors", *tiny]
    assert train.main([str(word) for word in argv]) == 0
    return folder


@pytest.fixture
def run(archives, tmp_path, monkeypatch, capsys):
    """Runs the new form of an original script in a folder with those files."""
    monkeypatch.setenv("VXM_CACHE", str(tmp_path / "cache"))
    for file in archives.glob("*.*"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)

    def call(script: str) -> str:
        program, *words = shlex.split(COMMANDS[script])
        command = import_module(f"VoxelMorphLib.cli.{program.removeprefix('VoxelMorph').removesuffix('.py').lower()}")
        code = command.main(words)
        printed = capsys.readouterr()
        assert code == 0, printed.err
        return printed.out

    yield call
    torch.set_num_threads(threads)


def test_the_table_has_the_four_commands():
    assert set(COMMANDS) == {"test.py", "register.py", "warp.py", "train.py"}


@pytest.mark.slow
def test_the_evaluation_of_the_original(run, tmp_path):
    shown = run("test.py")
    assert "scan1: Overlap of" in shown and re.search(
        r"^Dice of 2 pairs: 0\.\d+, standard deviation", shown, re.MULTILINE
    )


@pytest.mark.slow
def test_the_registration_with_its_warp(run, tmp_path):
    run("register.py")
    moved, atlas = (np.load(tmp_path / f"{name}.npz") for name in ("moved", "atlas"))
    assert moved["vol"].shape == atlas["vol"].shape
    warp = np.load(tmp_path / "warp.npz")["vol"]
    assert warp.shape == (*atlas["vol"].shape, 3) and np.isfinite(warp).all()
    assert read_transform(tmp_path / "warp.npz").geometry.shape == atlas["vol"].shape


def test_the_application_of_a_warp(run, tmp_path):
    """A warp as the original writes it, in voxels and without a position: every voxel shows the one two further on."""
    scan = np.load(tmp_path / "scan1.npz")["vol"]
    warp = np.zeros((*scan.shape, 3), np.float32)
    warp[..., 1] = 2
    np.savez(tmp_path / "warp.npz", vol=warp)
    run("warp.py")
    moved = np.load(tmp_path / "moved.npz")["vol"]
    np.testing.assert_allclose(moved[:, :-2], scan[:, 2:], atol=1e-5)


@pytest.mark.slow
def test_the_training(run, tmp_path):
    run("train.py")
    assert (tmp_path / "models" / "checkpoints" / "last.pt").is_file()
