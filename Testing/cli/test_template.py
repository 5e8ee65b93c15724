"""The template command: files in and out, and refusals in one sentence."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest
from support.template_models import SHAPE, write_conditional_model, write_template_model
from VoxelMorphLib.cli.template import main
from VoxelMorphLib.core.io.images import read_image
from VoxelMorphLib.core.io.volumes import read_volume
from VoxelMorphLib.registration.template import make_template
from VoxelMorphLib.registration.template_request import TemplateRequest


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "many.safetensors"
    write_conditional_model(path)
    return path


def test_the_template_of_a_subject_is_written(many, tmp_path, capsys):
    path = tmp_path / "template.nii.gz"
    assert main(["--modelFile", str(many), "--attributes", "age=71, sex=1", "--output", str(path)]) == 0
    expected = make_template(TemplateRequest(many, {"age": 71, "sex": 1}))
    written = read_image(path)
    np.testing.assert_array_equal(written.array, expected.array)
    assert written.geometry.matches(expected.geometry)
    assert "Template, age 71 years, sex 1: 8x12x8 voxels" in capsys.readouterr().out


def test_a_sweep_is_written_as_frames(many, tmp_path, capsys):
    path = tmp_path / "sweep.nii.gz"
    words = ["--modelFile", str(many), "--attributes", "sex=1", "--output", str(path)]
    assert main([*words, "--series", "age"]) == 0
    whole = read_volume(path)
    assert whole.array.shape == (*SHAPE, 11)
    assert nibabel.load(path).shape == (*SHAPE, 11)
    assert main([*words, "--series", "age=20:100:3"]) == 0
    assert "Warning: age 100 is outside the trained range, 20 to 90 years" in capsys.readouterr().out
    short = read_volume(path)
    assert short.array.shape == (*SHAPE, 3)
    np.testing.assert_array_equal(short.array[..., 0], whole.array[..., 0])


def test_a_model_without_attributes_has_one_template(tmp_path):
    network = write_template_model(tmp_path / "one.safetensors")
    path = tmp_path / "template.nrrd"
    assert main(["--modelFile", str(tmp_path / "one.safetensors"), "--output", str(path)]) == 0
    np.testing.assert_array_equal(read_image(path).array, network.template[0].detach())


def test_an_atlas_stored_as_an_array_becomes_a_volume(tmp_path, capsys):
    array = np.random.default_rng(0).random((1, 4, 5, 6, 1))
    np.save(tmp_path / "atlas.npz.npy", array)
    path = tmp_path / "atlas.nii.gz"
    assert main(["--modelFile", str(tmp_path / "atlas.npz.npy"), "--output", str(path)]) == 0
    np.testing.assert_array_equal(read_image(path).array, array[0, ..., 0])
    assert "Warning: atlas.npz.npy holds numbers without a position." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--attributes", "weight=1"], "There is no attribute 'weight'; this model has age, sex."),
        (["--attributes", "age"], "--attributes has 'age'. Write every attribute once, as in age=71,sex=1."),
        (["--attributes", "age=1,age=2"], "--attributes has 'age=2'. Write every attribute once"),
        (["--attributes", "age=old"], "The attribute age is 'old'. Write a number, as in age=71."),
        (["--series", "weight"], "There is no attribute 'weight' to sweep through; this model has age, sex."),
        (["--series", "age=1:2:1"], "--series asks for 1 frames; choose 2 to 1000."),
        (["--series", "age="], "--series is 'age='. Write age, age=20:90 or age=20:90:15"),
        (["--output", "template.txt"], "no image format has the extension '.txt'"),
        (["--modelFile", "", "--model", "vxm-miccai2018"], "is a VxmMiccai2018 and has no template"),
    ],
)
def test_what_cannot_be_made_is_one_sentence(many, tmp_path, capsys, words, text):
    path = tmp_path / "template.nii.gz"
    given = ["--modelFile", str(many), "--output", str(path), *words]
    if words[0] == "--modelFile":
        given = ["--output", str(path), *words[2:]]
    assert main(given) == 2
    said = capsys.readouterr()
    assert said.err.count("\n") == 1
    assert text in said.err
    assert not list(tmp_path.iterdir())


def test_an_array_has_no_attributes(tmp_path, capsys):
    np.save(tmp_path / "atlas.npy", np.zeros((4, 4, 4)))
    words = ["--modelFile", str(tmp_path / "atlas.npy"), "--output", str(tmp_path / "a.nii"), "--attributes", "age=1"]
    assert main(words) == 2
    assert "is one volume without attributes. Leave these options out." in capsys.readouterr().err
