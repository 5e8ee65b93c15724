"""The register command writes transforms in the format of their extension, or says before the work that it cannot."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from support.tiny_networks import filled
from support.volumes import a_blob_image, a_geometry, a_smooth_field, rotation
from VoxelMorphLib.cli.register import main
from VoxelMorphLib.core.io.images import read_image, write_image
from VoxelMorphLib.core.io.transforms import SAMPLED, WRITABLE, read_transform, write_transform
from VoxelMorphLib.core.transform import AffineTransform, DisplacementField
from VoxelMorphLib.networks.affine_detector import VxmAffineFeatureDetector
from VoxelMorphLib.registration.result import Registration, RegistrationReport
from VoxelMorphLib.weights.entry import ModelEntry
from VoxelMorphLib.weights.safetensors_file import write_model

FIXED, MOVING = a_geometry("LAS", (24, 20, 18), 1.6), a_geometry("left-handed oblique", (24, 28, 12), 1.6)
TURN = np.eye(4)
TURN[:3, :3] = rotation((1, 2, 3), 4)
BENT = AffineTransform(TURN).compose(DisplacementField(a_smooth_field(FIXED).astype(np.float32), FIXED))
UNBENT = AffineTransform(TURN)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("pair")
    write_image(a_blob_image(FIXED), folder / "fixed.nii.gz")
    write_image(a_blob_image(MOVING), folder / "moving.nrrd")
    return ["--fixed", str(folder / "fixed.nii.gz"), "--moving", str(folder / "moving.nrrd"), "--device", "cpu"]


def finds(monkeypatch: pytest.MonkeyPatch, forward: object) -> None:
    """Let a registration end in this transform at once."""
    report = RegistrationReport(seconds={"total": 1.0})
    result = Registration(a_blob_image(FIXED), forward, forward.inverse(), report)
    monkeypatch.setattr("VoxelMorphLib.registration.register.register", lambda *_: result)


def never_registers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("VoxelMorphLib.registration.register.register", lambda *_: 1 / 0)


@pytest.mark.filterwarnings("ignore:The displacement field has no exact inverse")
@pytest.mark.parametrize("extension", [each for each in WRITABLE if each not in (".lta", ".mat")])
def test_a_deformation_goes_into_both_files(pair, tmp_path, monkeypatch, extension):
    finds(monkeypatch, BENT)
    files = [tmp_path / f"{name}{extension}" for name in ("forward", "inverse")]
    assert main([*pair, "--forward", str(files[0]), "--inverse", str(files[1])]) == 0
    for path, transform, grid in zip(files, (BENT, BENT.inverse()), (FIXED, MOVING)):
        again, places = read_transform(path), grid.points()
        error = np.linalg.norm(again.apply_to_points(places) - transform.apply_to_points(places), axis=-1)
        assert error.max() < 0.01
        assert extension not in SAMPLED or again.geometry.matches(grid, 1e-4)


@pytest.mark.parametrize("extension", WRITABLE)
def test_a_matrix_goes_into_every_format(pair, tmp_path, monkeypatch, extension):
    finds(monkeypatch, UNBENT)
    path = tmp_path / f"forward{extension}"
    assert main([*pair, "--model", "linear", "--forward", str(path)]) == 0
    places = FIXED.points()
    error = read_transform(path).apply_to_points(places) - UNBENT.apply_to_points(places)
    assert np.linalg.norm(error, axis=-1).max() < 0.01


@pytest.mark.parametrize("name", ["forward", "inverse"])
@pytest.mark.parametrize("extension", [".lta", ".mat"])
@pytest.mark.parametrize("model", ["optimise", "unknown-weights.safetensors"])
def test_a_matrix_file_is_refused_before_a_deformation(pair, tmp_path, monkeypatch, capsys, name, extension, model):
    never_registers(monkeypatch)
    assert main([*pair, "--model", model, f"--{name}", str(tmp_path / f"x{extension}")]) == 2
    told = capsys.readouterr().err
    assert f"{extension} cannot hold this transform (composite), only affine. Use one of .h5, .tfm" in told
    assert told.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_start_that_bends_is_refused_too(pair, tmp_path, monkeypatch, capsys):
    never_registers(monkeypatch)
    start, path = write_transform(BENT, tmp_path / "start.h5"), tmp_path / "x.lta"
    options = ["--model", "linear", "--affine", "none", "--initialTransform", str(start)]
    assert main([*pair, *options, "--forward", str(path)]) == 2
    assert ".lta cannot hold this transform (composite)" in capsys.readouterr().err
    assert not path.exists()


def test_a_package_that_is_missing_is_told_before_the_work(pair, tmp_path, monkeypatch, capsys):
    never_registers(monkeypatch)
    monkeypatch.setitem(sys.modules, "nibabel", None)
    for option in ("--forward", "--moved"):
        assert main([*pair, option, str(tmp_path / "x.mgz")]) == 2
        assert "x.mgz needs the Python package nibabel" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_rigid_registration_ends_in_a_file_of_freesurfer(pair: list[str], tmp_path: Path) -> None:
    files = {"forward": tmp_path / "x.lta", "inverse": tmp_path / "x.mat"}
    moved = tmp_path / "moved.nii.gz"
    options = [part for name, path in {**files, "moved": moved}.items() for part in (f"--{name}", str(path))]
    assert main([*pair, "--model", "linear", "--affine", "rigid", "--headerOnly", *options]) == 0
    there, back = (read_transform(path) for path in files.values())
    assert np.abs(there.matrix @ back.matrix - np.eye(4)).max() < 1e-6
    moving, placed = read_image(pair[pair.index("--moving") + 1]), read_image(moved)
    assert np.array_equal(moving.array, placed.array)
    assert np.abs(there.matrix @ placed.geometry.affine - moving.geometry.affine).max() < 1e-4


def test_a_file_says_itself_that_its_network_bends_nothing(pair: list[str], tmp_path: Path) -> None:
    arguments = {"enc_nf": (2,), "add_nf": (2,), "num_feat": 6}
    model = tmp_path / "mine.safetensors"
    architecture = "VxmAffineFeatureDetector"
    entry = ModelEntry("mine", "Mine", "A test.", architecture, arguments, file=model.name, format="safetensors")
    write_model(filled(VxmAffineFeatureDetector(**arguments)), entry, model)
    assert main([*pair, "--model", str(model), "--forward", str(tmp_path / "x.lta")]) == 0
    assert read_transform(tmp_path / "x.lta").matrix.shape == (4, 4)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--moved", "x.nii.gz", "--model", "optimise"], "The model optimise bends the volume, which a header cannot"),
        (["--forward", "x.lta", "--model", "linear"], "--headerOnly says how --moved and --movedLabels are written"),
    ],
)
def test_a_header_alone_moves_no_bent_and_no_missing_volume(pair, tmp_path, words, said, capsys):
    assert main([*pair, "--headerOnly", words[0], str(tmp_path / words[1]), *words[2:]]) == 2
    assert said in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("extension", [".nii.gz", ".mha"])
def test_2d_images_give_2d_images_and_3d_transforms(tmp_path, extension):
    x, y = np.meshgrid(np.arange(40), np.arange(36))
    for name, right in (("fixed", 0), ("moving", 4)):
        disc = (np.hypot(x - 19 - right, y - 17) < 11).astype(np.float32)
        for kind, array in (("", disc * (2 + np.sin(x / 2) * np.cos(y / 3))), ("_labels", disc.astype(np.uint8))):
            picture = sitk.GetImageFromArray(array)
            picture.SetOrigin((5.0, 6.0))
            picture.SetSpacing((0.7, 0.7))
            sitk.WriteImage(picture, str(tmp_path / f"{name}{kind}{extension}"))

    def file(name: str) -> str:
        return str(tmp_path / f"{name}{extension}")

    pair = ["--fixed", file("fixed"), "--moving", file("moving"), "--movingLabels", file("moving_labels")]
    outputs = ["--movedLabels", file("moved_labels"), "--moved", file("moved"), "--forward", str(tmp_path / "t.h5")]
    assert main([*pair, *outputs, "--model", "linear", "--affine", "rigid", "--device", "cpu"]) == 0
    fixed, moving, moved = (sitk.ReadImage(file(f"{name}_labels")) for name in ("fixed", "moving", "moved"))
    assert moved.GetDimension() == 2 and moved.GetOrigin() == fixed.GetOrigin()
    ours, true = sitk.GetArrayFromImage(moved), sitk.GetArrayFromImage(fixed)
    assert 2 * (ours & true).sum() / (ours.sum() + true.sum()) > 0.97
    transform = sitk.ReadTransform(str(tmp_path / "t.h5"))
    by_itk = sitk.Resample(sitk.JoinSeries(moving), sitk.JoinSeries(fixed), transform, sitk.sitkNearestNeighbor)
    assert (sitk.GetArrayFromImage(by_itk)[0] != ours).sum() <= 2
