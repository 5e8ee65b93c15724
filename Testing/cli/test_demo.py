"""The demo command: what it prints and leaves, and how it refuses."""

from __future__ import annotations

import io
import re
import sys

import numpy as np
import pytest
from support.volumes import a_blob_image, a_geometry, a_smooth_field
from VoxelMorphLib.cli.demo import TerminalProgress, main
from VoxelMorphLib.cli.demo_pair import SamplePair
from VoxelMorphLib.core.image import LabelMap
from VoxelMorphLib.core.io.images import read_image, write_image
from VoxelMorphLib.core.io.transforms import read_transform
from VoxelMorphLib.core.transform import DisplacementField
from VoxelMorphLib.registration.result import Registration, RegistrationReport

pytest.importorskip("matplotlib", reason="the demo writes pictures")
RESULTS = {"report.html", "moved.nii.gz", "forward.h5", "inverse.h5"}


def a_quick_registration(request, progress) -> Registration:
    """Stands in for `register`: a field that it did not look for."""
    fixed, moving = request.fixed, request.moving
    progress(0.25, "Looking, closely")
    progress(1.0, "Done")
    inverse = DisplacementField(a_smooth_field(moving.geometry, 0.5), moving.geometry)
    forward = DisplacementField(a_smooth_field(fixed.geometry, 0.5), fixed.geometry)
    report = RegistrationReport(
        model=request.model or "optimise",
        model_title="A stand-in",
        device=request.options.device,
        seconds={"total": 1.5},
        similarity_before=0.25,
        similarity_after=0.75,
        warnings=("This is a stand-in.",),
    )
    return Registration(forward.resample(moving, fixed.geometry), forward, inverse, report)


@pytest.fixture
def own_pair(tmp_path):
    paths = tmp_path / "fixed.nii.gz", tmp_path / "moving.nrrd"
    for path, name in zip(paths, ("LPS", "oblique")):
        write_image(a_blob_image(a_geometry(name, (20, 18, 16))), path)
    return ["--fixed", str(paths[0]), "--moving", str(paths[1])]


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr("VoxelMorphLib.registration.register.register", a_quick_registration)


@pytest.mark.slow
def test_an_own_pair_leaves_four_files_that_can_be_read(own_pair, quick, tmp_path, capsys):
    out = tmp_path / "a" / "b"
    assert main([*own_pair, "--out", str(out)]) == 0
    assert {path.name for path in out.iterdir()} == RESULTS
    assert read_image(out / "moved.nii.gz").geometry.matches(read_image(own_pair[1]).geometry)
    points = read_image(own_pair[1]).geometry.points()[4:8, 4:8, 4:8]
    forward = read_transform(out / "forward.h5").apply_to_points(points)
    assert 0 < np.abs(forward - points).max() < 1
    printed = capsys.readouterr().out
    for text in ("0.250", "0.750", "A stand-in: 1.5 s on auto", "Warning: This is a stand-in.", str(out)):
        assert text in printed
    assert "error in mm" not in printed


@pytest.mark.slow
def test_a_real_registration_of_an_own_pair(own_pair, tmp_path, capsys):
    assert main([*own_pair, "--out", str(tmp_path / "out"), "--device", "cpu"]) == 0
    assert "on cpu" in capsys.readouterr().out


def a_small_sample_pair() -> SamplePair:
    """Blobs in place of brains."""
    fixed, moving = a_geometry("RAS", (20, 18, 16)), a_geometry("oblique", (20, 18, 16))
    truth = DisplacementField(a_smooth_field(fixed), fixed)
    labels = [LabelMap(np.digitize(a_blob_image(grid).array, (20, 60, 100)), grid) for grid in (fixed, moving)]
    return SamplePair(a_blob_image(fixed), a_blob_image(moving), truth, *labels)


@pytest.mark.slow
def test_a_sample_pair_is_reported_with_its_truth(quick, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr("VoxelMorphLib.cli.demo_pair.make_sample_pair", a_small_sample_pair)
    assert main(["--out", str(tmp_path)]) == 0
    assert {path.name for path in tmp_path.iterdir()} == RESULTS | {"fixed.nii.gz", "moving.nii.gz"}
    printed = capsys.readouterr().out
    assert "error in mm, 95th percentile" in printed
    assert "Dice, grey matter" in printed and "Dice, grey matter, back" in printed
    assert "mean error in mm" in (tmp_path / "report.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_demo_finds_the_known_deformation(tmp_path, capsys):
    pytest.importorskip("nilearn", reason="the sample pair is made from nilearn's template")
    assert main(["--out", str(tmp_path), "--device", "cpu"]) == 0
    before, after = map(float, re.search(r"error in mm, mean +([\d.]+) +([\d.]+)", capsys.readouterr().out).groups())
    assert before > 4
    assert after < 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--fixed", "a.nii"], "--fixed and --moving belong together"),
        (["--fixed", "missing.nii", "--moving", "missing.nii"], "missing.nii does not exist"),
        (["--mode", "x"], "Unrecognized arguments: --mode x"),
    ],
)
def test_bad_input_gives_one_sentence_and_code_2(arguments, message, tmp_path, capsys):
    assert main([*arguments, "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize(("option", "message"), [("--model", "There is no model 'x'"), ("--device", "no device 'x'")])
def test_unknown_models_and_devices_leave_nothing(option, message, own_pair, tmp_path, capsys):
    assert main([*own_pair, option, "x", "--out", str(tmp_path / "out")]) == 2
    assert message in capsys.readouterr().err
    assert not list((tmp_path / "out").iterdir())


def test_a_file_in_place_of_the_folder_is_refused(own_pair, tmp_path, capsys):
    (tmp_path / "taken").write_text("x")
    assert main([*own_pair, "--out", str(tmp_path / "taken")]) == 2
    assert "cannot be made" in capsys.readouterr().err


@pytest.mark.slow
def test_a_failing_writer_leaves_no_files(own_pair, quick, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr("VoxelMorphLib.core.io.transforms.write_transform", lambda *_: 1 / 0)
    assert main([*own_pair, "--out", str(tmp_path / "out")]) == 1
    assert "fault of VoxelMorph" in capsys.readouterr().err
    assert not list((tmp_path / "out").iterdir())


def test_progress_outside_a_terminal_is_one_line_per_stage(capsys):
    progress = TerminalProgress()
    for fraction, text in ((0.0, "Reading"), (0.4, "Optimising, loss 1"), (0.5, "Optimising, loss 0"), (1, "Done")):
        progress(fraction, text)
    progress.end()
    assert capsys.readouterr().out.splitlines() == ["    0% Reading", "   40% Optimising", "  100% Done"]


def test_progress_in_a_terminal_redraws_one_line(monkeypatch):
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr(sys, "stdout", terminal)
    progress = TerminalProgress()
    progress(0.5, "A long stage name")
    progress(1.0, "Done")
    progress.end()
    lines = terminal.getvalue().split("\r")
    assert lines[1].startswith("[###############...............]  50% A long")
    assert len(lines[2].rstrip("\n")) == len(lines[1])


def test_a_result_that_was_registered_again_is_not_written_over(tmp_path, own_pair, capsys):
    earlier = tmp_path / "moved.nii.gz"
    earlier.write_bytes((tmp_path / own_pair[3]).read_bytes())
    assert main([*own_pair[:2], "--moving", str(earlier), "--out", str(tmp_path)]) == 2
    assert "--out would be written to" in capsys.readouterr().err
    assert earlier.read_bytes() == (tmp_path / own_pair[3]).read_bytes()
