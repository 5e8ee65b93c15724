"""The apply command: files in, files out, by one interpolation through all transforms."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from support.chains import a_field, an_affine, moved_by_itk, resampled_by_itk
from support.volumes import CENTRE, GEOMETRIES, a_blob_image, a_geometry, a_label_map
from VoxelMorphLib.apply.chain import Link
from VoxelMorphLib.cli.apply import main
from VoxelMorphLib.core.io.images import read_image, read_label_map, write_image
from VoxelMorphLib.core.io.moved_points import write_points
from VoxelMorphLib.core.io.points import read_points
from VoxelMorphLib.core.io.transforms import read_transform, write_transform
from VoxelMorphLib.core.landmarks import Points

SCRIPT = Path(__file__).resolve().parents[2] / "VoxelMorphSlicer" / "CLI" / "VoxelMorphApply.py"
PLACES = CENTRE + np.random.default_rng(0).uniform(-8, 8, (6, 3))


@pytest.fixture
def files(tmp_path, request):
    """A moving image with labels and points, a reference, an affine and a field, in one folder."""
    moving = a_geometry("left-handed oblique", (28, 40, 16), 2.0)
    write_image(a_blob_image(moving), tmp_path / "moving.nii.gz")
    write_image(a_label_map(moving), tmp_path / "labels.nii.gz")
    write_image(a_blob_image(a_geometry(getattr(request, "param", "LAS"))), tmp_path / "reference.nrrd")
    write_points(Points(PLACES, tuple("abcdef"), "points"), tmp_path / "points.mrk.json")
    write_transform(an_affine(), tmp_path / "affine.tfm")
    write_transform(a_field(), tmp_path / "field.nii.gz")
    return tmp_path


def run(folder: Path, *words: object, **files: str) -> int:
    named = [word for name, file in files.items() for word in (f"--{name}", str(folder / file))]
    return main([*map(str, words), *named])


def links(folder: Path, *named: str) -> tuple[Link, ...]:
    """ "inverse:x" is the inverse of x."""
    return tuple(
        Link(read_transform(folder / name.removeprefix("inverse:")), name.startswith("inverse:")) for name in named
    )


@pytest.mark.parametrize("files", GEOMETRIES, indirect=True)
def test_everything_at_once_agrees_with_itk(files, capsys):
    names = "affine.tfm", "inverse:field.nii.gz"
    moves = {"input": "moving.nii.gz", "output": "moved.nii.gz", "movingLabels": "labels.nii.gz"}
    moves |= {"movedLabels": "moved-labels.nrrd", "movingPoints": "points.mrk.json", "movedPoints": "moved.fcsv"}
    maps = {"jacobian": "jacobian.nii.gz", "magnitude": "magnitude.mha", "outputTransform": "all.tfm"}
    order = ["--transform", files / "affine.tfm", "--inverseOf", files / "field.nii.gz", "--background", "0"]
    assert run(files, *order, reference="reference.nrrd", **moves, **maps) == 0
    printed = capsys.readouterr()
    assert "points.mrk.json: 6 points brought into the space of the reference, the opposite way" in printed.out
    assert printed.err == "" and "Warning" not in printed.out

    reference, moving = read_image(files / "reference.nrrd").geometry, read_image(files / "moving.nii.gz")
    moved, chain = read_image(files / "moved.nii.gz"), links(files, *names)
    expected = resampled_by_itk(moving, chain, reference)
    assert moved.geometry.matches(reference)
    assert np.abs(moved.array - expected)[1:-1, 1:-1, 1:-1].max() < 1e-3 * np.ptp(moving.array)
    labels = read_label_map(files / "moved-labels.nrrd")
    seen = resampled_by_itk(read_label_map(files / "labels.nii.gz"), chain, reference, "nearest")
    assert (labels.array == seen).mean() > 0.998
    points = read_points(files / "moved.fcsv")
    assert np.abs(moved_by_itk(points.positions, chain) - PLACES).max() < 0.01 and points.labels == tuple("abcdef")

    grid = reference.points()
    displaced = moved_by_itk(grid.reshape(-1, 3), chain).reshape(grid.shape)
    assert np.abs(read_image(files / "magnitude.mha").array - np.linalg.norm(displaced - grid, axis=-1)).max() < 0.01
    whole = read_transform(files / "all.tfm")
    assert np.abs(whole.apply_to_points(grid) - displaced).max() < 0.05  # its inverse is sampled on a grid
    jacobian = read_image(files / "jacobian.nii.gz").array
    steps = [np.gradient(displaced, axis=axis) for axis in range(3)]
    ratio = np.linalg.det(np.stack(steps, axis=-1)) / np.linalg.det(reference.affine[:3, :3])
    assert np.abs(jacobian - ratio)[1:-1, 1:-1, 1:-1].max() < 0.01


def test_the_jacobian_of_an_affine_is_its_determinant(files):
    assert run(files, transform="affine.tfm", reference="reference.nrrd", jacobian="j.nii.gz") == 0
    assert np.allclose(read_image(files / "j.nii.gz").array, 1.05 * 0.97, atol=1e-5)


@pytest.mark.parametrize("interpolation", ["linear", "nearest", "cubic", "multilabel"])
def test_the_interpolation_is_chosen(files, interpolation):
    moves = {"input": "labels.nii.gz", "output": "moved.nii.gz", "reference": "reference.nrrd"}
    assert run(files, "--interpolation", interpolation, transform="affine.tfm", **moves) == 0
    values = np.unique(read_image(files / "moved.nii.gz").array)
    assert (set(values) <= {0, 2, 17, 53}) == (interpolation in ("nearest", "multilabel"))


def test_label_maps_are_voted_about_where_that_is_chosen(files):
    for rule in ("nearest", "multilabel", "linear"):
        moves = {"movingLabels": "labels.nii.gz", "movedLabels": f"{rule}.nii.gz", "reference": "reference.nrrd"}
        assert run(files, "--interpolation", rule, transform="affine.tfm", **moves) == 0
    nearest, voted, linear = (read_label_map(files / f"{r}.nii.gz").array for r in ("nearest", "multilabel", "linear"))
    assert np.array_equal(nearest, linear) and not np.array_equal(nearest, voted)


def test_a_series_keeps_its_step_and_colours_stay_colours(files):
    moving = read_image(files / "moving.nii.gz")
    series = nibabel.Nifti1Image(np.stack([moving.array, 2 * moving.array], axis=-1), moving.geometry.affine)
    series.header.set_xyzt_units("mm", "sec")
    series.header["pixdim"][4] = 0.72
    nibabel.save(series, files / "bold.nii.gz")
    colours = np.zeros((*moving.array.shape, 3), np.uint8)
    colours[..., 1] = np.clip(moving.array, 0, 255)
    place = {"affine": moving.geometry.affine}
    rgb = nibabel.Nifti1Image(colours.view([("R", "u1"), ("G", "u1"), ("B", "u1")])[..., 0], **place)
    nibabel.save(rgb, files / "slide.nii.gz")
    for name in ("bold", "slide", "moving"):
        moves = {"input": f"{name}.nii.gz", "output": f"moved-{name}.nii.gz", "reference": "reference.nrrd"}
        assert run(files, "--background", "0", transform="field.nii.gz", **moves) == 0
    alone = read_image(files / "moved-moving.nii.gz").array
    bold = nibabel.load(files / "moved-bold.nii.gz")
    assert bold.header.get_zooms()[3] == pytest.approx(0.72)
    assert np.abs(bold.get_fdata()[..., 1] - 2 * alone).max() < 1e-3
    slide = np.asarray(nibabel.load(files / "moved-slide.nii.gz").dataobj)
    assert np.abs(slide["G"].astype(float) - alone).max() < 2 and not slide["R"].any()


CONVERSIONS = [
    *(("field.nii.gz", f"all{extension}") for extension in (".tfm", ".nrrd", ".mha", ".mgz", ".npz", ".nii.gz")),
    *(("affine.tfm", f"all{extension}") for extension in (".h5", ".lta", ".mat", ".txt")),
]


@pytest.mark.parametrize(("source", "target"), CONVERSIONS)
def test_transforms_are_converted(files, source, target):
    assert run(files, transform=source, outputTransform=target) == 0
    points = a_geometry().points()
    before, after = read_transform(files / source), read_transform(files / target)
    assert np.abs(after.apply_to_points(points) - before.apply_to_points(points)).max() < 0.01


@pytest.mark.parametrize("target", ["all.tfm", "all.nii.gz"])
def test_inverses_and_rows_are_converted(files, target):
    order = ["--inverseOf", files / "field.nii.gz", "--transform", files / "affine.tfm"]
    assert run(files, *order, reference="reference.nrrd", outputTransform=target) == 0
    points = read_image(files / "reference.nrrd").geometry.points()
    expected = moved_by_itk(points.reshape(-1, 3), links(files, "inverse:field.nii.gz", "affine.tfm"))
    written = read_transform(files / target).apply_to_points(points)
    assert np.abs(written.reshape(-1, 3) - expected).max() < 0.01


def test_sitk_reads_the_whole_row_as_one(files):
    order = ["--transform", files / "field.nii.gz", "--transform", files / "affine.tfm"]
    assert run(files, *order, outputTransform="all.tfm") == 0
    whole = sitk.ReadTransform(str(files / "all.tfm"))
    signs = np.array([-1.0, -1.0, 1.0])
    moved = np.array([whole.TransformPoint((signs * place).tolist()) for place in PLACES]) * signs
    assert np.abs(moved - moved_by_itk(PLACES, links(files, "field.nii.gz", "affine.tfm"))).max() < 0.01


def test_warps_of_the_original_are_applied_on_the_grid_of_the_reference(tmp_path):
    rng = np.random.default_rng(0)
    volume, shift = rng.uniform(size=(12, 13, 14)).astype(np.float32), np.zeros((12, 13, 14, 3), np.float32)
    shift[..., 0] = 2
    np.savez(tmp_path / "moving.npz", vol=volume)
    np.savez(tmp_path / "warp.npz", vol=shift)
    nibabel.save(nibabel.Nifti1Image(shift, np.diag([-1.0, 1, 1, 1])), tmp_path / "warp.nii.gz")
    for warp in ("warp.npz", "warp.nii.gz"):
        assert run(tmp_path, transform=warp, input="moving.npz", reference="moving.npz", output="moved.npz") == 0
        moved = np.load(tmp_path / "moved.npz")["vol"]
        assert np.allclose(moved[:-2], volume[2:], atol=1e-5)


def test_the_script_runs_as_a_process(files):
    words = ["--transform", files / "field.nii.gz", "--input", files / "moving.nii.gz", "--output", files / "m.nii.gz"]
    child = subprocess.run([sys.executable, SCRIPT, *map(str, words)], capture_output=True, text=True)
    assert (child.returncode, child.stderr) == (0, "")
    assert "<filter-progress>" in child.stdout and "resampled onto 30x32x28 voxels" in child.stdout
    assert read_image(files / "m.nii.gz").geometry.matches(a_field().geometry)
