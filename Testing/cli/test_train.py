"""The train command in process: it trains, resumes, exports, plans; and refuses bad data in one sentence."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
from support.made_up_training import LABELS
from support.small_scans import training, write_scans
from VoxelMorphLib.cli import register
from VoxelMorphLib.cli.train import main
from VoxelMorphLib.core.errors import ConfigError
from VoxelMorphLib.core.geometry import Geometry
from VoxelMorphLib.core.image import LabelMap
from VoxelMorphLib.core.io.images import write_image
from VoxelMorphLib.training.checkpoint import load_checkpoint
from VoxelMorphLib.weights.catalogue import load_catalogue
from VoxelMorphLib.weights.safetensors_file import read_model


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    return write_scans(tmp_path_factory.mktemp("scans"))


@pytest.fixture
def folder(scans, tmp_path, monkeypatch):
    """Six scans with labels, and a cache folder of the test's own."""
    monkeypatch.setenv("VXM_CACHE", str(tmp_path / "cache"))
    shutil.copytree(scans, tmp_path, dirs_exist_ok=True)
    return tmp_path


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def refusal(capsys, argv):
    """The sentence with which the command refuses."""
    assert main([str(word) for word in argv]) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("Error: ") and printed.count("\n") == 1 and printed.endswith(".\n")
    return ConfigError(printed)


@pytest.mark.slow
def test_a_training_leaves_checkpoints_and_a_model_that_registers(folder, capsys):
    model = folder / "mine.safetensors"
    argv = training(folder, "--validationPairs", "1", "--model", str(model), recipe="semisupervised", labels=True)
    assert main(argv) == 0
    shown = capsys.readouterr().out
    assert "<filter-progress>1.000</filter-progress>" in shown
    assert f"Model: {model}" in shown
    _network, entry = read_model(model)
    assert entry.space.shape == (16, 16, 16)
    assert {measured["metric"] for measured in entry.measured} >= {"mean Dice", "folded voxels, %"}
    assert "--recipe semisupervised" in entry.measured[0]["command"]
    assert str(folder) not in json.dumps(entry.to_dict())
    pair = ["--fixed", f"{folder}/images/scan0.nii.gz", "--moving", f"{folder}/images/scan1.nii.gz"]
    assert register.main([*pair, "--model", str(model), "--moved", f"{folder}/moved.nii.gz", "--device", "cpu"]) == 0


@pytest.mark.slow
def test_a_model_in_the_list_registers_by_its_id(folder, capsys):
    facts = ["--addToModels", "--modelId", "balls", "--modelTitle", "Two balls", "--modelAnatomy", "balls"]
    assert main(training(folder, *facts)) == 0
    assert "use it with --model balls" in capsys.readouterr().out
    entry = load_catalogue()["balls"]
    assert (entry.title, entry.anatomy) == ("Two balls", "balls")
    pair = ["--fixed", f"{folder}/images/scan0.nii.gz", "--moving", f"{folder}/images/scan1.nii.gz"]
    assert register.main([*pair, "--model", "balls", "--forward", f"{folder}/f.h5", "--device", "cpu"]) == 0
    sentence = refusal(capsys, [*training(folder, *facts), "--outputDir", folder / "again"])
    with pytest.raises(ConfigError, match="You already have a model 'balls'"):
        raise sentence
    assert not (folder / "again").exists()


@pytest.mark.slow
def test_an_earlier_checkpoint_is_exported_alone(folder, capsys):
    assert main(training(folder)) == 0
    last = folder / "out" / "checkpoints" / "last.pt"
    assert main(["--export", str(last), "--model", str(folder / "m.safetensors"), "--addToModels"]) == 0
    assert read_model(folder / "m.safetensors")[1].id == "m"
    assert load_catalogue()["m"].architecture == "VxmDense"


@pytest.mark.slow
def test_a_training_goes_on_with_its_own_configuration(folder, monkeypatch):
    monkeypatch.chdir(folder)
    argv = ["--imageList", "images", "--outputDir", "out", *training(folder)[6:]]
    assert main([*argv, "--epochs", "1"]) == 0
    monkeypatch.chdir("/")
    assert main(["--resume", "--outputDir", str(folder / "out"), "--epochs", "3"]) == 0
    checkpoint = load_checkpoint(folder / "out" / "checkpoints" / "last.pt")
    assert (checkpoint["step"], checkpoint["config"]["epochs"]) == (9, 3)
    assert main([*training(folder), "--epochs", "3", "--resume"]) == 0


def test_resuming_what_was_never_begun_begins_it(folder):
    assert main([*training(folder), "--resume"]) == 0
    assert load_checkpoint(folder / "out" / "checkpoints" / "last.pt")["step"] == 6


@pytest.mark.slow
def test_a_moved_training_goes_on(folder):
    assert main(training(folder)) == 0
    (folder / "out").rename(folder / "moved")
    assert main(["--resume", "--outputDir", str(folder / "moved"), "--epochs", "3"]) == 0


def test_a_training_is_not_written_over(folder, capsys):
    assert main(training(folder)) == 0
    with pytest.raises(ConfigError, match="already holds a training"):
        raise refusal(capsys, training(folder))


@pytest.mark.slow
def test_another_configuration_does_not_resume(folder, capsys):
    assert main(training(folder)) == 0
    with pytest.raises(ConfigError, match=r"cannot be resumed with other values of seed \(was 0, is 5\)"):
        raise refusal(capsys, ["--resume", "--outputDir", folder / "out", "--seed", "5"])
    with pytest.raises(ConfigError, match="was begun with the recipe pairwise and cannot go on as bidirectional"):
        raise refusal(capsys, ["--resume", "--outputDir", folder / "out", "--recipe", "bidirectional"])


def test_a_damaged_checkpoint_does_not_resume(folder, capsys):
    checkpoint = folder / "out" / "checkpoints" / "last.pt"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.write_bytes(b"torn")
    with pytest.raises(ConfigError, match=r"last\.pt"):
        raise refusal(capsys, ["--resume", "--outputDir", folder / "out"])
    assert checkpoint.read_bytes() == b"torn"


def test_a_plan_says_what_would_happen_and_writes_nothing(folder, capsys):
    before = sorted(folder.rglob("*"))
    assert main(training(folder, "--dryRun", "--validationPairs", "1", recipe="semisupervised", labels=True)) == 0
    shown = capsys.readouterr().out
    for text in (
        "Recipe:      semisupervised",
        "Images:      4, 12 pairs; 1 validation pairs; labels: " + ", ".join(map(str, LABELS)),
        "16 x 16 x 16 voxels",
        "VxmDense",
        "6 (2 epochs of 3)",
        "labels ",
        "MiB for a step on cpu",
        "s for a step",
    ):
        assert text in shown
    assert sorted(folder.rglob("*")) == before


def test_unreadable_files_are_counted_in_the_plan(folder, capsys):
    (folder / "images" / "scan3.nii.gz").write_bytes(b"no image")
    assert main(training(folder, "--dryRun")) == 0
    shown = capsys.readouterr().out
    assert "Images:      5, 20 pairs" in shown
    assert "Left out:    scan3: " in shown and "Warning: 1 of 6 images are left out. scan3: " in shown


def write_labels(path, value):
    array = np.full((16, 16, 16), value, np.int16)
    write_image(LabelMap(array, Geometry(array.shape, np.eye(4))), path)


def empty_list(folder):
    (folder / "empty.txt").touch()
    return ["--imageList", folder / "empty.txt"]


def one_image(folder):
    (folder / "one.txt").write_text("images/scan0.nii.gz\n")
    return ["--imageList", folder / "one.txt"]


def missing_files(folder):
    (folder / "missing.txt").write_text("images/a.nii.gz\nimages/b.nii.gz\n")
    return ["--imageList", folder / "missing.txt"]


def fewer_labels(folder):
    (folder / "labels" / "scan5.nii.gz").unlink()
    return ["--labelList", folder / "labels"]


def foreign_labels(folder):
    for path in (folder / "labels").iterdir():
        write_labels(path, 11)
    return ["--recipe", "semisupervised", "--labelList", folder / "labels", "--labels", "3"]


def a_file_in_the_way(folder):
    (folder / "out").write_text("")
    return []


BAD = {
    "no list": (lambda f: ["--imageList", ""], "There are no images to train on"),
    "absent list": (lambda f: ["--imageList", f / "absent.txt"], "image_list .* does not exist"),
    "empty list": (empty_list, "names no image"),
    "one image": (one_image, "needs two different images, but 1 images are left"),
    "missing files": (missing_files, r"None of the 2 images can be read\. a: .* does not exist"),
    "no labels": (lambda f: ["--recipe", "semisupervised"], "learns from label maps, and the data have no"),
    "fewer labels": (fewer_labels, "label_list names 5 label maps for the 6 images"),
    "foreign labels": (foreign_labels, "3"),
    "no atlas": (lambda f: ["--recipe", "atlas"], "Give its file as atlas"),
    "too many pairs": (lambda f: ["--validationPairs", "50"], "validation_pairs is 50, but 6 images give only"),
    "file in the way": (a_file_in_the_way, "cannot be made|is a file|cannot be written"),
    "no device": (lambda f: ["--device", "cuda:77"], "This machine has no device 'cuda:77'"),
    "model elsewhere": (lambda f: ["--model", f / "no" / "m.safetensors"], "the folder .* does not exist"),
    "model format": (lambda f: ["--model", f / "m.pt"], r"does not end in \.safetensors"),
    "model id": (lambda f: ["--addToModels", "--modelId", "a b"], "needs an id of letters"),
    "extension's model": (lambda f: ["--addToModels", "--modelId", "optimise"], "The extension itself has a model"),
    "too large": (
        lambda f: ["--shape", "4096,4096,4096", "--cache", "none"],
        "GiB of memory and cpu has .* free. Choose a smaller",
    ),
    "too many": (lambda f: ["--shape", "4096,4096,4096"], 'prepared images take .* Set cache to "disk" or "none"'),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_input_is_one_sentence(kind, folder, capsys):
    change, message = BAD[kind]
    more = change(folder)
    with pytest.raises(ConfigError, match=message):
        raise refusal(capsys, [*training(folder), *more])
    assert not (folder / "out" / "checkpoints" / "last.pt").exists()


def test_strict_stops_at_the_first_unreadable_file(folder, capsys):
    (folder / "images" / "scan3.nii.gz").write_bytes(b"no image")
    with pytest.raises(ConfigError, match=r"scan3\.nii\.gz"):
        raise refusal(capsys, training(folder, "--strict"))
