"""ANTs and the apply command do the same with each other's transforms; skipped where antspyx is not installed."""

from __future__ import annotations

import numpy as np
import pytest
from support.chains import a_field, an_affine
from support.volumes import CENTRE, a_blob_image, a_geometry
from VoxelMorphLib.cli.apply import main
from VoxelMorphLib.core.image import Image
from VoxelMorphLib.core.io.images import read_image, write_image
from VoxelMorphLib.core.io.transforms import write_transform

ants = pytest.importorskip("ants", reason="antspyx is not installed")
pandas = pytest.importorskip("pandas", reason="pandas, which ANTs takes points in, is not installed")

SIGNS = np.array([-1.0, -1.0, 1.0])
PLACES = CENTRE + np.random.default_rng(0).uniform(-8, 8, (12, 3))


@pytest.fixture
def pair(tmp_path):
    """Paths of a fixed and a moving image."""
    grids = a_geometry("LAS", (36, 34, 32), 1.2), a_geometry("left-handed oblique", (36, 50, 20), 1.5)
    moved = an_affine(5).inverse().compose(a_field())
    images = a_blob_image(grids[0]), moved.resample(a_blob_image(a_geometry("RAS", (60, 60, 60), 1.0)), grids[1])
    names = "fixed.nii.gz", "moving.nii.gz"
    return [write_image(Image(each.array, each.geometry), tmp_path / name) for each, name in zip(images, names)]


def resampled_by_ants(reference, image, files, inverts):
    read = [ants.image_read(str(path)) for path in (reference, image)]
    return ants.apply_transforms(*read, [str(file) for file in files], "linear", whichtoinvert=inverts).numpy()


def words(files, inverts):
    return [word for file, inv in zip(files, inverts) for word in ("--inverseOf" if inv else "--transform", str(file))]


def resampled_by_us(reference, image, files, inverts, output):
    named = ["--reference", str(reference), "--input", str(image), "--output", str(output), "--background", "0"]
    assert main([*words(files, inverts), *named]) == 0
    return read_image(output).array


def points_by_ants(files, inverts):
    """From the fixed to the moving space, as ANTs maps points."""
    table = pandas.DataFrame(PLACES * SIGNS, columns=["x", "y", "z"])
    moved = ants.apply_transforms_to_points(3, table, [str(file) for file in files], whichtoinvert=inverts)
    return moved[["x", "y", "z"]].to_numpy() * SIGNS


def agree(ours, theirs):
    inside = (slice(3, -3),) * 3
    return np.abs(ours - theirs)[inside].max() < 1e-3 * np.ptp(theirs) and np.ptp(theirs[inside]) > 20


def test_ants_and_we_apply_our_row_and_its_conversion_alike(pair, tmp_path):
    fixed, moving = pair
    files = write_transform(a_field(), tmp_path / "f.nii.gz"), write_transform(an_affine(), tmp_path / "a.mat")
    ours = resampled_by_us(fixed, moving, files, (False, True), tmp_path / "ours.nii.gz")
    assert agree(ours, resampled_by_ants(fixed, moving, files, [False, True]))
    for name in ("all.h5", "all.nii.gz"):
        whole = ["--reference", str(fixed), "--outputTransform", str(tmp_path / name)]
        assert main([*words(files, (False, True)), *whole]) == 0
        assert agree(ours, resampled_by_ants(fixed, moving, [tmp_path / name], [False]))


def test_we_apply_what_ants_writes_in_both_directions_and_to_points(pair, tmp_path):
    fixed, moving = pair
    read = [ants.image_read(str(path)) for path in pair]
    found = ants.registration(*read, "SyN", outprefix=str(tmp_path / "ants-"), reg_iterations=(10, 5), random_seed=1)
    forward, backward = found["fwdtransforms"], found["invtransforms"]
    assert [str(name)[-5:] for name in (*forward, *backward)] == ["ii.gz", "e.mat", "e.mat", "ii.gz"]
    for reference, image, files, inverts in (
        (fixed, moving, forward, [False, False]),
        (moving, fixed, backward, [True, False]),
    ):
        ours = resampled_by_us(reference, image, files, inverts, tmp_path / "ours.nii.gz")
        assert agree(ours, resampled_by_ants(reference, image, files, inverts))

    # Our points go from the moving to the fixed space by the forward row, those of ANTs by the inverse of it.
    np.savetxt(tmp_path / "points.csv", points_by_ants(forward, [False, False]), "%.8f", ",")
    row = [*words(forward, (False, False)), "--input", str(tmp_path / "points.csv")]
    assert main([*row, "--output", str(tmp_path / "moved.csv")]) == 0
    assert np.abs(np.loadtxt(tmp_path / "moved.csv", delimiter=",") - PLACES).max() < 0.01
