"""Matrices of flirt and fields of fnirt map between coordinates that FSL counts in each image from its first voxel."""

from __future__ import annotations

import numpy as np
import pytest
from support.chains import a_field, an_affine
from support.volumes import a_blob_image, a_geometry
from VoxelMorphLib.cli.apply import main
from VoxelMorphLib.core.errors import GeometryError
from VoxelMorphLib.core.geometry import Geometry
from VoxelMorphLib.core.io.images import read_image, write_image
from VoxelMorphLib.core.io.transforms import read_transform
from VoxelMorphLib.core.transform import DisplacementField

GRIDS = [
    (a_geometry("oblique", (14, 12, 10), 1.5), a_geometry("left-handed oblique", (13, 15, 11), 1.2)),
    (a_geometry("LAS", (12, 13, 14), 1.1), a_geometry("RAS", (11, 12, 13), 1.7)),
]


def fsl_places(geometry: Geometry, world: np.ndarray) -> np.ndarray:
    """(P, 3), in mm from the first voxel as FSL counts them, written down axis by axis."""
    i, j, k = geometry.world_to_voxel(world).T
    if np.linalg.det(geometry.direction) > 0:
        i = geometry.shape[0] - 1 - i
    return np.stack([i, j, k], axis=1) * geometry.spacing


def a_flirt_matrix(fixed: Geometry, moving: Geometry, path):
    """The matrix that flirt would find for `an_affine`: of four corresponding places, moving to fixed."""
    seen = fixed.centre + np.vstack([np.zeros(3), 9 * np.eye(3)])
    ends = fsl_places(fixed, seen), fsl_places(moving, an_affine().apply_to_points(seen))
    to_fixed, from_moving = (np.vstack([end.T, np.ones(4)]) for end in ends)
    np.savetxt(path, to_fixed @ np.linalg.inv(from_moving), "%.10f")
    return path


def a_fnirt_file(fixed: Geometry, moving: Geometry, path, intent=2006, places=False):
    nibabel = pytest.importorskip("nibabel", reason="nibabel is not installed")
    seen = fixed.points().reshape(-1, 3)
    vectors = fsl_places(moving, a_field().apply_to_points(seen)) - (0 if places else fsl_places(fixed, seen))
    file = nibabel.Nifti1Image(vectors.reshape(*fixed.shape, 3).astype(np.float32), fixed.affine)
    file.header.set_xyzt_units("mm")
    file.header["intent_code"] = intent
    nibabel.save(file, path)
    return path


@pytest.mark.parametrize("fixed, moving", GRIDS)
def test_a_matrix_of_flirt_is_read_with_both_images(tmp_path, fixed, moving):
    path = a_flirt_matrix(fixed, moving, tmp_path / "flirt.mat")
    with pytest.warns(UserWarning, match=r"flirt.mat is taken for a matrix of FSL's flirt"):
        found = read_transform(path, fixed, moving)
    points = fixed.points().reshape(-1, 3)
    assert np.abs(found.apply_to_points(points) - an_affine().apply_to_points(points)).max() < 1e-4


@pytest.mark.parametrize("fixed, moving", GRIDS)
def test_a_field_of_fnirt_is_read_with_the_moving_image(tmp_path, fixed, moving):
    found = read_transform(a_fnirt_file(fixed, moving, tmp_path / "warp.nii.gz"), None, moving)
    assert isinstance(found, DisplacementField) and found.geometry.matches(fixed)
    points = fixed.points().reshape(-1, 3)
    assert np.abs(found.apply_to_points(points) - a_field().apply_to_points(points)).max() < 1e-4


@pytest.mark.parametrize("extension", [".mat", ".txt", ".tfm"])
def test_a_plain_matrix_is_named(tmp_path, extension):
    np.savetxt(tmp_path / f"x{extension}", np.eye(4))
    with pytest.raises(GeometryError, match=r"nothing but a 4x4 matrix, as FSL's flirt and others write it"):
        read_transform(tmp_path / f"x{extension}", *(GRIDS[0] if extension != ".mat" else ()))


def test_a_matrix_that_cannot_be_inverted_is_refused(tmp_path):
    np.savetxt(tmp_path / "x.mat", np.zeros((4, 4)))
    with pytest.raises(GeometryError, match=r"x.mat holds a matrix that cannot be inverted"):
        read_transform(tmp_path / "x.mat", *GRIDS[0])


def test_other_files_of_fnirt_are_named(tmp_path):
    fixed, moving = GRIDS[0]
    with pytest.raises(GeometryError, match=r"is a field of FSL's fnirt, .* Give the moving image"):
        read_transform(a_fnirt_file(fixed, moving, tmp_path / "a.nii"), fixed)
    with pytest.raises(GeometryError, match=r"holds places instead of displacements. .*convertwarp --relout"):
        read_transform(a_fnirt_file(fixed, fixed, tmp_path / "b.nii", places=True), fixed, fixed)
    for intent in (2007, 2008, 2009):
        with pytest.raises(GeometryError, match=r"holds the coefficients .*fnirtfileutils --in=c.nii --ref=FIXED"):
            read_transform(a_fnirt_file(fixed, moving, tmp_path / "c.nii", intent), fixed, moving)


@pytest.mark.parametrize("inverts", [False, True])
def test_the_apply_command_takes_both_images_from_its_ends(tmp_path, inverts, capsys):
    grids = GRIDS[0]
    matrix = str(a_flirt_matrix(*grids, tmp_path / "flirt.mat"))
    reference, image = reversed(grids) if inverts else grids
    write_image(a_blob_image(reference), tmp_path / "reference.nii.gz")
    write_image(a_blob_image(image), tmp_path / "image.nii.gz")
    words = ["--reference", "reference.nii.gz", "--input", "image.nii.gz", "--output", "moved.nii.gz"]
    words = [word if word.startswith("--") else str(tmp_path / word) for word in words]
    assert main(["--inverseOf" if inverts else "--transform", matrix, *words]) == 0
    assert "is taken for a matrix of FSL's flirt" in capsys.readouterr().out
    transform = an_affine().inverse() if inverts else an_affine()
    expected = transform.resample(read_image(tmp_path / "image.nii.gz"), reference).array
    assert np.abs(read_image(tmp_path / "moved.nii.gz").array - expected).max() < 1e-3 * np.ptp(expected)
