"""NIfTI headers that contradict themselves, round or leave fields unset are read as ITK means them, and said."""

from __future__ import annotations

import gzip
import struct

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from support.volumes import a_blob_image, a_geometry
from VoxelMorphLib.core.config import RegistrationOptions
from VoxelMorphLib.core.errors import GeometryError
from VoxelMorphLib.core.image import check_registrable
from VoxelMorphLib.core.io.images import read_image, read_image_geometry, write_image
from VoxelMorphLib.core.io.nifti_position import FIELDS
from VoxelMorphLib.core.io.transforms import write_transform
from VoxelMorphLib.registration.register import register_pair

GRID = a_geometry("oblique", (9, 8, 7), (2.0, 2.0, 3.0))
IMAGE = a_blob_image(GRID)


def a_file(folder, sform=None, sform_code=1, qform=None, qform_code=0, pixdim=None, name="x.nii"):
    header = nibabel.Nifti1Image(IMAGE.array.astype(np.float32), None)
    header.set_qform(GRID.affine if qform is None else qform, qform_code)
    header.set_sform(GRID.affine if sform is None else sform, sform_code)
    nibabel.save(header, folder / name)
    if pixdim is not None:
        patched(folder / name, "pixdim", struct.pack("<3f", *pixdim), 4)
    return folder / name


def patched(path, field, data, skip=0):
    raw = bytearray(path.read_bytes())
    start = FIELDS[field][1] + skip
    raw[start : start + len(data)] = data
    path.write_bytes(raw)
    return path


def test_a_plain_header_has_no_notes(tmp_path):
    for qform_code in (0, 1):
        image = read_image(a_file(tmp_path, qform_code=qform_code))
        assert image.notes == ()
        assert np.allclose(image.geometry.affine, GRID.affine, atol=1e-4)


def test_a_spacing_that_differs_from_the_sform_is_told_with_both(tmp_path):
    image = read_image(a_file(tmp_path, pixdim=(1, 1, 1)))
    assert np.allclose(image.geometry.spacing, 1)
    assert len(image.notes) == 1
    assert "[1.0, 1.0, 1.0] mm in its header (pixdim), but [2.0, 2.0, 3.0] mm in its sform" in image.notes[0]


@pytest.mark.parametrize(("qform_code", "sform_code"), [(1, 2), (1, 4), (1, 1), (2, 1)])
def test_two_positions_are_told_in_mm_and_itks_is_kept(tmp_path, qform_code, sform_code):
    moved = GRID.affine.copy()
    moved[:3, 3] += (3, 4, 12)
    path = a_file(tmp_path, sform=moved, sform_code=sform_code, qform_code=qform_code)
    image = read_image(path)
    itk = sitk.ReadImage(str(path))
    assert np.allclose(image.geometry.origin, np.array(itk.GetOrigin()) * (-1, -1, 1), atol=1e-4)
    used = "sform" if np.allclose(image.geometry.origin, moved[:3, 3], atol=1e-3) else "qform"
    assert f"place it up to 13 mm apart. Its {used} is used" in image.notes[0]


def test_shear_by_rounding_is_read(tmp_path):
    rounded = GRID.affine.copy()
    rounded[:3, :3] = rounded[:3, :3].round(3)
    rounded[0, 1] += 5e-4
    path = a_file(tmp_path, sform=rounded)
    assert np.allclose(read_image(path).geometry.affine, rounded, atol=2e-3)
    assert read_image_geometry(path).matches(read_image(path).geometry)


def test_shear_of_a_gantry_is_named(tmp_path):
    tilted = GRID.affine.copy()
    tilted[:3, 2] += 0.2 * tilted[:3, 1]
    with pytest.raises(GeometryError, match=r"x.nii: The voxel axes are sheared"):
        read_image(a_file(tmp_path, sform=tilted))


def test_an_unset_spacing_is_that_of_the_sform(tmp_path):
    image = read_image(a_file(tmp_path, pixdim=(0, 0, 0)))
    assert np.allclose(image.geometry.spacing, (2, 2, 3))
    assert image.notes == ()


def test_unset_fields_and_another_magic_are_read(tmp_path):
    for field, data in (("vox_offset", struct.pack("<f", 0)), ("magic", b"ni1\0")):
        assert (read_image(patched(a_file(tmp_path), field, data)).array == IMAGE.array).all()


@pytest.mark.parametrize(
    ("slope", "intercept", "times"), [(2, np.nan, 2), (np.nan, 1, 1), (0, 5, 1), (np.nan, np.nan, 1)]
)
def test_a_slope_counts_without_its_intercept(tmp_path, slope, intercept, times):
    path = patched(a_file(tmp_path), "scl_slope", struct.pack("<2f", slope, intercept))
    assert np.allclose(read_image(path).array, times * IMAGE.array)


@pytest.mark.parametrize("name", ["gz.nii", "Mixed.Nii", "MIXED.Nii.Gz"])
def test_unusual_names_are_read(tmp_path, name):
    content = a_file(tmp_path, name="plain.nii").read_bytes()
    (tmp_path / name).write_bytes(content if name == "Mixed.Nii" else gzip.compress(content))
    assert (read_image(tmp_path / name).array == IMAGE.array).all()
    assert read_image_geometry(tmp_path / name).matches(read_image(tmp_path / "plain.nii").geometry)


def test_notes_reach_the_report(tmp_path):
    path = a_file(tmp_path, pixdim=(1, 1, 1))
    array = IMAGE.array.astype(np.float32)
    array[0], array[-1], array[:, 0], array[:, :, 0], array[:, -1] = (np.nan,) * 5
    moving = write_image(IMAGE.with_array(array), tmp_path / "nan.nrrd")
    warnings = register_pair(path, moving, "linear", RegistrationOptions(affine="centre")).report.warnings
    assert any("pixdim" in warning for warning in warnings)
    assert any(warning.startswith("The NaN voxels of nan.nrrd (") for warning in warnings)


def test_nan_outside_the_object_is_outside(tmp_path):
    array = IMAGE.array.astype(np.float32) + 5
    lowest = array[1:-1, 1:-1, 1:-1].min()
    outside = np.ones(array.shape, bool)
    outside[1:-1, 1:-1, 1:-1] = False
    image = read_image(write_image(IMAGE.with_array(np.where(outside, np.float32("nan"), array)), tmp_path / "a.nii"))
    check_registrable(image, "fixed")
    assert (image.array[outside] == lowest).all()
    assert (image.array[~outside] == array[~outside]).all()
    assert "are treated as outside: they get its lowest value" in image.notes[0]


@pytest.mark.parametrize("extension", [".nii", ".nii.gz"])
def test_outputs_have_the_position_that_was_used_in_both_places(tmp_path, extension):
    image = a_blob_image(GRID)
    two = nibabel.load(write_image(image, tmp_path / "plain.nii"))
    moved = two.affine.copy()
    moved[:3, 3] += 4, 5, 6
    two.set_sform(moved, 2)
    nibabel.save(two, tmp_path / "two.nii")
    fixed = read_image(tmp_path / "two.nii")
    assert any("results have that position in both" in note for note in fixed.notes)
    result = register_pair(fixed, fixed, "linear", RegistrationOptions(affine="rigid"))
    files = [write_image(result.moved, tmp_path / f"moved{extension}")]
    files.append(write_transform(result.forward, tmp_path / f"field{extension}", fixed.geometry))
    for path in files:
        written = nibabel.load(path)
        for position, code in (written.get_qform(coded=True), written.get_sform(coded=True)):
            assert code > 0
            np.testing.assert_allclose(position, fixed.geometry.affine, atol=1e-4)
