"""2-D files become volumes of one slice, and are written as 2-D files again."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from VoxelMorphLib.core.geometry import Geometry
from VoxelMorphLib.core.image import LabelMap
from VoxelMorphLib.core.io.images import read_image, read_image_geometry, read_label_map, write_image

ITK_EXTENSIONS = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd")
DIRECTIONS = {"upright": (1, 0, 0, 1), "turned": (0.6, -0.8, 0.8, 0.6), "mirrored": (-1, 0, 0, 1)}


def a_picture(direction: str) -> sitk.Image:
    image = sitk.GetImageFromArray(np.arange(30, dtype=np.float32).reshape(5, 6))
    image.SetSpacing((0.5, 0.7))
    image.SetOrigin((3.0, -4.0))
    image.SetDirection(DIRECTIONS[direction])
    return image


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("extension", ITK_EXTENSIONS)
def test_itk_reads_back_what_it_wrote(tmp_path, extension, direction):
    path = tmp_path / f"a{extension}"
    sitk.WriteImage(a_picture(direction), str(path))
    image, stored = read_image(path), sitk.ReadImage(str(path))
    assert image.array.shape == (6, 5, 1) and image.geometry.dimensions == 2
    assert read_image_geometry(path) == image.geometry
    np.testing.assert_allclose(
        image.geometry.voxel_to_world((2, 3, 0))[:2] * -1, stored.TransformIndexToPhysicalPoint((2, 3)), atol=1e-5
    )
    back = sitk.ReadImage(str(write_image(image, tmp_path / f"b{extension}")))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(back), sitk.GetArrayFromImage(stored))
    for part in ("GetSpacing", "GetOrigin", "GetDirection"):
        np.testing.assert_allclose(getattr(back, part)(), getattr(stored, part)(), atol=1e-6)


def test_a_place_in_space_that_2d_files_cannot_hold_keeps_its_third_axis(tmp_path):
    nibabel = pytest.importorskip("nibabel")
    affine = np.array([[2.0, 0, 0, 1], [0, 0, -4, 2], [0, 3, 0, 5], [0, 0, 0, 1]])
    nibabel.Nifti1Image(np.arange(30, dtype=np.float32).reshape(5, 6), affine).to_filename(tmp_path / "a.nii")
    image = read_image(tmp_path / "a.nii")
    assert image.geometry.dimensions == 3 and image.geometry == Geometry((5, 6, 1), affine)
    back = nibabel.load(write_image(image, tmp_path / "b.nii"))
    assert back.shape == (5, 6, 1)
    np.testing.assert_allclose(back.affine, affine, atol=1e-5)


def test_a_slice_without_thickness_gets_one(tmp_path):
    nibabel = pytest.importorskip("nibabel")
    affine = np.diag([2.0, 3.0, 0.0, 1.0])
    image = nibabel.Nifti1Image(np.arange(30, dtype=np.float32).reshape(5, 6), np.diag([2.0, 3.0, 1.0, 1.0]))
    image.header["srow_z"][:] = 0
    image.header["pixdim"][3] = 0
    image.header["qform_code"] = 0
    image.to_filename(tmp_path / "a.nii")
    del affine
    np.testing.assert_allclose(read_image(tmp_path / "a.nii").geometry.affine, np.diag([2.0, 3.0, 1.0, 1.0]))


def test_archives_hold_slices_too(tmp_path):
    values = np.arange(30).reshape(5, 6)
    np.savez(tmp_path / "a.npz", vol=values, seg=values)
    image, labels = read_image(tmp_path / "a.npz"), read_label_map(tmp_path / "a.npz")
    assert isinstance(labels, LabelMap) and image.geometry.dimensions == 2
    write_image(image, tmp_path / "b.npz")
    with np.load(tmp_path / "b.npz") as archive:
        np.testing.assert_array_equal(archive["vol"], values)
    assert read_image(tmp_path / "b.npz").geometry == image.geometry
    flat = sitk.ReadImage(str(write_image(image, tmp_path / "b.mha")))
    assert flat.GetDimension() == 2 and flat.GetDirection() == (1, 0, 0, 1)
