"""The apply command with bad input of every kind: one sentence, exit code 2, and nothing half written."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest
from support.chains import a_field, an_affine
from support.refusal import listing
from support.volumes import CENTRE, a_blob_image, a_geometry, a_label_map, transformed
from VoxelMorphLib.cli.apply import main
from VoxelMorphLib.core.image import Image
from VoxelMorphLib.core.io.images import write_image
from VoxelMorphLib.core.io.moved_points import write_points
from VoxelMorphLib.core.io.transforms import write_transform
from VoxelMorphLib.core.landmarks import Points
from VoxelMorphLib.core.transform import DisplacementField

AWAY = np.array([[1, 0, 0, 900.0], *np.eye(4)[1:]])


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Good files, and bad ones of every kind."""
    folder = tmp_path_factory.mktemp("made")
    grid, field = a_geometry(), a_field()
    write_image(a_blob_image(grid), folder / "moving.nii.gz")
    write_image(a_label_map(grid), folder / "labels.nii.gz")
    write_image(a_blob_image(a_geometry("LAS")), folder / "reference.nii.gz")
    write_image(Image(np.ones(grid.shape), transformed(grid, AWAY), "far"), folder / "far.nii.gz")
    write_points(Points(CENTRE[None], ("a",), "points"), folder / "points.csv")
    write_transform(an_affine(), folder / "affine.tfm")
    write_transform(field, folder / "field.nii.gz")
    write_transform(DisplacementField(field.array, transformed(field.geometry, AWAY)), folder / "other.nii.gz")
    write_transform(field.compose(an_affine()), folder / "composite.tfm")
    text = (folder / "affine.tfm").read_text()
    singular = [line if not line.startswith("Parameters") else "Parameters: " + "0 " * 12 for line in text.splitlines()]
    (folder / "singular.tfm").write_text("\n".join(singular) + "\n")
    (folder / "nan.tfm").write_text(text.replace("Parameters: ", "Parameters: nan ", 1))
    holes = field.array.copy()
    holes[3, 4, 5] = np.nan
    np.savez(folder / "holes.npz", vol=holes, affine=field.geometry.affine)
    np.savez(folder / "unplaced.npz", vol=np.zeros((5, 6, 7, 3)))
    (folder / "noise.h5").write_bytes(b"noise" * 100)
    (folder / "noise.nii.gz").write_bytes(b"noise" * 100)
    (folder / "noise.csv").write_text("x,y,z\n1,2,inf\n")
    return folder


#: Words and files of the command, and what the sentence says; files lie in the folder, outputs begin with "new".
ROWS = {
    "another subject's field": ("--transform other.nii.gz", "field of other.nii.gz .* does not meet the reference"),
    "another subject's inverse": ("--inverseOf other.nii.gz", "field of other.nii.gz .* does not meet the reference"),
    "another subject's image": (
        "--transform affine.tfm --input far.nii.gz",
        "No voxel of the reference .*goes the wrong",
    ),
    "singular affine": ("--transform singular.tfm", "singular.tfm.* cannot be inverted"),
    "affine with NaN": ("--transform nan.tfm", "nan.tfm"),
    "field with NaN": ("--transform holes.npz", "holes.npz: The displacement field holds 3 NaN"),
    "no position": ("--transform affine.tfm --transform unplaced.npz", "voxel displacements without a position"),
    "damaged transform": ("--transform noise.h5", "noise.h5 is not an HDF5 file"),
    "missing transform": ("--transform none.h5", "none.h5 does not exist"),
    "a volume as transform": ("--transform moving.nii.gz", "moving.nii.gz .*field"),
    "no transform format": ("--transform points.csv", "no transform format has the extension '.csv'"),
    "damaged volume": ("--transform affine.tfm --input noise.nii.gz", "noise.nii.gz is not a NIfTI file"),
    "damaged points": ("--transform affine.tfm --input noise.csv --output new.csv", "no finite number"),
    "missing reference": ("--transform affine.tfm --reference none.nii", "none.nii does not exist"),
    "labels that are none": ("--transform affine.tfm --interpolation multilabel", "moving.nii.gz is not a label map"),
    "unknown interpolation": ("--transform affine.tfm --interpolation best", "interpolation is 'best'; choose one of"),
    "impossible background": ("--transform affine.tfm --background nan", "background is nan; choose a number"),
    "output of another kind": ("--transform affine.tfm --output new.csv", "no image format has the extension '.csv'"),
    "points into a volume": ("--transform affine.tfm --input points.csv", "points are written to"),
    "output is an input": ("--transform affine.tfm --output moving.nii.gz", "also a file of --input"),
    "output is a transform": ("--transform field.nii.gz --output field.nii.gz", "also a file of --transform 1"),
    "two outputs are one": ("--transform affine.tfm --jacobian new.nii.gz", "also a file of --output"),
    "no such folder": ("--transform affine.tfm --output none/new.nii.gz", "the folder .*none does not exist"),
    "map of another kind": ("--transform affine.tfm --jacobian new.csv", "no image format has the extension '.csv'"),
    "lta of a field": ("--transform field.nii.gz --outputTransform new.lta", ".lta cannot hold this transform"),
    "header of a field": ("--transform field.nii.gz --headerOnly", "bends the volume, which a header cannot tell"),
    "header of a shear": ("--transform affine.tfm --headerOnly", "shears the volume .*which a header cannot tell"),
    "unknown option": ("--transform affine.tfm --inverse x", "Unrecognized arguments"),
}
#: The same where nothing but these words is given.
ALONE = {
    "nothing at all": ("", "Nothing would be written"),
    "no transform": ("--input moving.nii.gz --output new.nii.gz", "There is nothing to apply"),
    "no output": ("--transform affine.tfm --input moving.nii.gz", "--input and --output belong together"),
    "no input": ("--transform affine.tfm --movedLabels new.nii.gz", "--movingLabels and --movedLabels belong together"),
    "no motion of a header": ("--headerOnly --jacobian new.nii.gz --reference moving.nii.gz", "--headerOnly changes"),
    "no grid": ("--transform affine.tfm --input moving.nii.gz --output new.nii.gz", "no grid to resample onto"),
    "no grid for a map": ("--inverseOf composite.tfm --jacobian new.nii.gz", "no grid to resample onto"),
    "no grid for a field": ("--transform affine.tfm --outputTransform new.nii.gz", "Give the grid of the fixed image"),
}


def refused(words: str, said: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = listing(folder)
    named = [word if word.startswith("--") or "." not in word else str(folder / word) for word in words.split()]
    code, printed = main(named), capsys.readouterr().err
    assert code == 2, printed
    assert printed.startswith("Error: ") and printed.count("\n") == 1 and printed.rstrip().endswith((".", "?"))
    assert re.search(said, printed), printed
    assert listing(folder) == before


@pytest.mark.parametrize("row", ROWS)
def test_bad_input_is_one_sentence_and_nothing_is_written(row, made, capsys):
    words, said = ROWS[row]
    standard = {"--input": "moving.nii.gz", "--output": "new.nii.gz", "--reference": "reference.nii.gz"}
    words += "".join(f" {flag} {file}" for flag, file in standard.items() if flag not in words.split())
    refused(words, said, made, capsys)


@pytest.mark.parametrize("row", ALONE)
def test_what_is_missing_is_named(row, made, capsys):
    refused(*ALONE[row], made, capsys)


def test_a_failure_at_the_end_leaves_nothing_of_the_beginning(made, capsys):
    words = "--transform affine.tfm --reference reference.nii.gz --input moving.nii.gz --output new.nii.gz"
    refused(f"{words} --movingPoints noise.csv --movedPoints new.csv", "no finite number", made, capsys)


def test_points_outside_are_moved_counted_and_no_error(made, tmp_path, capsys):
    (tmp_path / "points.csv").write_text("label,x,y,z\na,6,-11,17\nb,900,0,0\n")
    words = ["--transform", made / "field.nii.gz", "--input", tmp_path / "points.csv", "--output", tmp_path / "new.csv"]
    assert main([*map(str, words)]) == 0
    printed = capsys.readouterr()
    assert "Warning: 1 of 2 points of points.csv lie outside the field of field.nii.gz" in printed.out
    assert printed.err == "" and (tmp_path / "new.csv").read_text().startswith("label,x,y,z\na,")


def test_a_reference_that_is_larger_than_the_field_is_told(made, tmp_path, capsys):
    wide = a_geometry("RAS", (90, 20, 20), 2.0)
    write_image(Image(np.ones(wide.shape), wide), tmp_path / "wide.nii.gz")
    words = ["--transform", made / "field.nii.gz", "--reference", tmp_path / "wide.nii.gz"]
    assert main([*map(str, words), "--magnitude", str(tmp_path / "new.nii.gz")]) == 0
    assert "% of the reference lie outside the field of field.nii.gz" in capsys.readouterr().out


@pytest.mark.parametrize("package", ["vtk", "nibabel"])
def test_a_package_that_is_missing_is_named(package, made, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    file = tmp_path / ("a.stl" if package == "vtk" else "a.trk")
    file.write_bytes(b"something")
    words = ["--transform", made / "affine.tfm", "--input", file, "--output", file.with_stem("new")]
    assert main([*map(str, words)]) == 2
    said = capsys.readouterr().err
    assert f"{file.name} needs the Python package {package}" in said and "pip install" in said
    assert [path.name for path in tmp_path.iterdir()] == [file.name]
