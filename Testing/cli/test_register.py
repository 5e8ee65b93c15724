"""The register command in process and as a process: files in, files out, exit codes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from support.shared_data import REPOSITORY
from support.volumes import a_blob_image, a_geometry, a_label_map, transformed
from VoxelMorphLib.cli.register import main
from VoxelMorphLib.core.image import LabelMap
from VoxelMorphLib.core.io.images import read_image, read_label_map, write_image
from VoxelMorphLib.core.io.transforms import read_transform, write_transform
from VoxelMorphLib.core.transform import IDENTITY, AffineTransform
from VoxelMorphLib.registration.result import Registration, RegistrationReport

PAIR = {"fixed": "fixed.nii.gz", "moving": "moving.nrrd"}
SCRIPT = REPOSITORY / "VoxelMorphSlicer" / "CLI" / "VoxelMorphRegister.py"


@pytest.fixture(scope="module")
def a_folder_of_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """fixed.nii.gz, moving.nrrd (left-handed, oblique) and labels.nii.gz of the same blobs."""
    folder = tmp_path_factory.mktemp("pair")
    moving = a_geometry("left-handed oblique", (24, 28, 12), 1.6)
    write_image(a_blob_image(a_geometry("RAS", (24, 20, 18), 1.6)), folder / "fixed.nii.gz")
    write_image(a_blob_image(moving), folder / "moving.nrrd")
    write_image(a_label_map(moving), folder / "labels.nii.gz")
    return folder


@pytest.fixture(scope="module")
def the_outputs(a_folder_of_files: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("outputs")
    arguments = {
        "fixed": a_folder_of_files / "fixed.nii.gz",
        "moving": a_folder_of_files / "moving.nrrd",
        "movingLabels": a_folder_of_files / "labels.nii.gz",
        "moved": folder / "moved.nii.gz",
        "movedLabels": folder / "movedLabels.nii.gz",
        "forward": folder / "forward.h5",
        "inverse": folder / "inverse.h5",
        "report": folder / "report.html",
        "affine": "rigid",
        "budget": 2,
    }
    assert main([part for name, value in arguments.items() for part in (f"--{name}", str(value))]) == 0
    return folder


def test_every_output_is_there_and_nothing_else(the_outputs: Path) -> None:
    names = {"moved.nii.gz", "movedLabels.nii.gz", "forward.h5", "inverse.h5", "report.html"}
    assert {path.name for path in the_outputs.iterdir()} == names


def test_the_moved_files_lie_on_the_fixed_grid(a_folder_of_files: Path, the_outputs: Path) -> None:
    fixed = read_image(a_folder_of_files / "fixed.nii.gz")
    assert read_image(the_outputs / "moved.nii.gz").geometry.matches(fixed.geometry)
    labels = read_label_map(the_outputs / "movedLabels.nii.gz")
    assert labels.geometry.matches(fixed.geometry)
    assert set(labels.labels()) == {2, 17, 53}


def test_itk_resamples_the_same_images_from_the_forward_file(a_folder_of_files: Path, the_outputs: Path) -> None:
    fixed = sitk.ReadImage(str(a_folder_of_files / "fixed.nii.gz"))
    forward = sitk.ReadTransform(str(the_outputs / "forward.h5"))
    labels = sitk.ReadImage(str(a_folder_of_files / "labels.nii.gz"))
    ours = sitk.GetArrayFromImage(sitk.ReadImage(str(the_outputs / "movedLabels.nii.gz")))
    theirs = sitk.GetArrayFromImage(sitk.Resample(labels, fixed, forward, sitk.sitkNearestNeighbor, 0))
    assert (ours == theirs).mean() >= 0.999
    moving = sitk.ReadImage(str(a_folder_of_files / "moving.nrrd"))
    low = float(sitk.GetArrayViewFromImage(moving).min())
    resampled = sitk.GetArrayFromImage(sitk.Resample(moving, fixed, forward, sitk.sitkLinear, low))
    moved = sitk.GetArrayFromImage(sitk.ReadImage(str(the_outputs / "moved.nii.gz")))
    assert np.percentile(np.abs(moved - resampled), 99) < 0.1


def test_the_two_transform_files_undo_each_other(a_folder_of_files: Path, the_outputs: Path) -> None:
    forward, inverse = (read_transform(the_outputs / f"{name}.h5") for name in ("forward", "inverse"))
    points = read_image(a_folder_of_files / "fixed.nii.gz").geometry.points()[4:-4, 4:-4, 4:-4]
    error = np.linalg.norm(inverse.apply_to_points(forward.apply_to_points(points)) - points, axis=-1)
    assert error.mean() < 0.05


@pytest.mark.slow
def test_an_initial_transform_from_a_file_is_used(a_folder_of_files: Path, tmp_path: Path) -> None:
    shift = np.eye(4)
    shift[:3, 3] = (30, -20, 10)
    far = read_image(a_folder_of_files / "moving.nrrd")
    write_image(type(far)(far.array, transformed(far.geometry, shift)), tmp_path / "far.nrrd")
    write_transform(AffineTransform(shift), tmp_path / "initial.tfm")
    arguments = ["--fixed", str(a_folder_of_files / "fixed.nii.gz"), "--moving", str(tmp_path / "far.nrrd")]
    arguments += ["--initialTransform", str(tmp_path / "initial.tfm"), "--affine", "none", "--budget", "1"]
    assert main([*arguments, "--forward", str(tmp_path / "forward.h5")]) == 0
    moved = read_transform(tmp_path / "forward.h5").apply_to_points(np.zeros(3))
    assert np.linalg.norm(moved - shift[:3, 3]) < 8


@pytest.mark.slow
def test_masks_from_files_keep_an_artefact_out(a_folder_of_files: Path, tmp_path: Path) -> None:
    fixed = read_image(a_folder_of_files / "fixed.nii.gz")
    away = np.linalg.norm(fixed.geometry.points() - fixed.geometry.centre, axis=-1)
    mask = LabelMap((away < 11).astype(np.uint8), fixed.geometry)
    write_image(mask, tmp_path / "mask.nrrd")
    write_image(fixed.with_array(np.where(away < 11, fixed.array, 5000 * np.cos(away))), tmp_path / "spoiled.nrrd")
    arguments = ["--fixed", str(tmp_path / "spoiled.nrrd"), "--moving", str(a_folder_of_files / "moving.nrrd")]
    arguments += ["--affine", "none", "--budget", "59", "--forward", str(tmp_path / "forward.h5")]
    masks = ["--fixedMask", str(tmp_path / "mask.nrrd"), "--movingMask", str(tmp_path / "mask.nrrd")]
    assert main([*arguments, *masks]) == 0
    points = fixed.geometry.points()[away < 8]
    error = np.linalg.norm(read_transform(tmp_path / "forward.h5").apply_to_points(points) - points, axis=-1)
    assert error.mean() < 0.5


def test_that_the_result_is_worse_is_the_last_message(
    a_folder_of_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    image = read_image(a_folder_of_files / "fixed.nii.gz")
    report = RegistrationReport(seconds={"total": 1.0}, worse="It is worse.", warnings=("It is worse.", "It folds."))
    result = Registration(image, IDENTITY, IDENTITY, report)
    monkeypatch.setattr("VoxelMorphLib.registration.register.register", lambda *_: result)
    arguments = ["--fixed", str(a_folder_of_files / "fixed.nii.gz"), "--moving", str(a_folder_of_files / "moving.nrrd")]
    assert main([*arguments, "--moved", str(tmp_path / "moved.nrrd")]) == 0
    printed = capsys.readouterr()
    assert printed.err == "Warning: It is worse.\n"
    assert "Warning: It folds." in printed.out and "worse" not in printed.out


@pytest.mark.slow
def test_a_process_prints_progress_that_slicer_reads(a_folder_of_files: Path, tmp_path: Path) -> None:
    pair = {"fixed": a_folder_of_files / "fixed.nii.gz", "moving": a_folder_of_files / "moving.nrrd"}
    named = {**pair, "moved": tmp_path / "moved.nrrd", "budget": 1}
    options = [part for name, value in named.items() for part in (f"--{name}", str(value))]
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *options],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "PYTHONWARNINGS": "error"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    fractions = [float(f) for f in re.findall(r"<filter-progress>([\d.]+)</filter-progress>", done.stdout)]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert (tmp_path / "moved.nrrd").is_file()


@pytest.mark.slow
def test_a_process_reports_bad_input_in_one_line(tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPT), "--fixed", "no.nii.gz", "--moving", "no.nii.gz"]
    done = subprocess.run(
        [*command, "--moved", str(tmp_path / "m.nrrd")], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "no.nii.gz does not exist" in done.stderr
    assert not list(tmp_path.iterdir())


def test_models_and_devices_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--listModels", "--listDevices"]) == 0
    printed = capsys.readouterr().out
    assert "vxm-dense-brain-T1-mse" in printed
    assert "cpu: processor" in printed


@pytest.mark.slow
def test_slicers_return_file_and_negative_numbers_are_accepted(a_folder_of_files: Path, tmp_path: Path) -> None:
    arguments = ["--fixed", str(a_folder_of_files / "fixed.nii.gz"), "--moving", str(a_folder_of_files / "moving.nrrd")]
    arguments += ["--affine", "none", "--budget", "1", "--background", "-1e3", "--returnparameterfile", "x.txt"]
    assert main([*arguments, "--moved", str(tmp_path / "moved.nrrd")]) == 0
    assert read_image(tmp_path / "moved.nrrd").array.min() >= -1000


def test_a_fault_of_ours_is_told_apart_from_bad_input(
    a_folder_of_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_arguments: object, **_options: object) -> None:
        raise ZeroDivisionError("surprise")

    monkeypatch.setattr("VoxelMorphLib.registration.register.register", broken)
    arguments = ["--fixed", str(a_folder_of_files / "fixed.nii.gz"), "--moving", str(a_folder_of_files / "moving.nrrd")]
    assert main([*arguments, "--moved", str(tmp_path / "moved.nrrd")]) == 1
    assert "please report" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_help_states_the_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    told = " ".join(capsys.readouterr().out.split())
    for default in ("weights file; default: optimise", "default: auto", "default: 0.5"):
        assert default in told


def test_a_file_takes_the_place_of_the_model_of_a_form(
    a_folder_of_files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Slicer's form always passes a model of its list."""
    pair = [f"--{role}={a_folder_of_files / name}" for role, name in PAIR.items()]
    missing = tmp_path / "mine.safetensors"
    assert main([*pair, "--model", "optimise", "--modelFile", str(missing), f"--moved={tmp_path / 'o.nrrd'}"]) == 2
    assert str(missing) in capsys.readouterr().err


def test_a_model_that_does_not_fit_is_told_before_and_after(
    a_folder_of_files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = read_image(a_folder_of_files / "fixed.nii.gz")
    small = transformed(whole.geometry, np.diag([0.3, 0.3, 0.3, 1.0]))
    write_image(type(whole)(whole.array, small), tmp_path / "tiny.nii.gz")
    pair = [f"--{role}={tmp_path / 'tiny.nii.gz'}" for role in PAIR]
    assert main([*pair, "--model", "hippocampus-T1", "--device", "cpu", f"--moved={tmp_path / 'o.nrrd'}"]) == 0
    lines = capsys.readouterr().out.splitlines()
    told = [index for index, line in enumerate(lines) if line.startswith("Warning: The model does not fit")]
    assert len(told) == 2 and told[0] < next(i for i, line in enumerate(lines) if line.startswith("Correlation"))
    assert "Choose optimise, which suits any pair." in lines[told[0]]
