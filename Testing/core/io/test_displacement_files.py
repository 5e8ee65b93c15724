"""Displacement fields as images: RAS or LPS is told from the file, and the wrong direction is refused."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from support.volumes import a_blob_image, a_geometry, a_smooth_field
from VoxelMorphLib.core.errors import GeometryError, ImageError, OutputError
from VoxelMorphLib.core.io.displacement_files import FIELD_EXTENSIONS
from VoxelMorphLib.core.io.images import write_image
from VoxelMorphLib.core.io.itk import LPS, array_of, itk_image
from VoxelMorphLib.core.io.transforms import read_transform, write_transform
from VoxelMorphLib.core.transform import DisplacementField

nibabel = pytest.importorskip("nibabel")

ITK_FORMATS = (".nrrd", ".nhdr", ".mha", ".mhd")


def a_field(geometry=None, dtype=np.float64) -> DisplacementField:
    geometry = geometry or a_geometry("oblique")
    return DisplacementField(a_smooth_field(geometry).astype(dtype), geometry)


def a_nifti(folder, array, intent: int, units: int = 0, geometry=None):
    file = nibabel.Nifti1Image(array, (geometry or a_geometry("oblique")).affine)
    file.header["intent_code"] = intent
    file.header["xyzt_units"] = units
    file.to_filename(folder / "x.nii.gz")
    return folder / "x.nii.gz"


@pytest.mark.parametrize("extension", FIELD_EXTENSIONS)
def test_a_field_comes_back(tmp_path, any_geometry, extension):
    field = a_field(any_geometry, np.float32)
    again = read_transform(write_transform(field, tmp_path / f"x{extension}"))
    assert (again.array == field.array).all()
    assert again.geometry.matches(any_geometry, 1e-4)
    assert not list(tmp_path.glob(".*"))
    assert not list(tmp_path.glob("uncompressed*"))


@pytest.mark.parametrize("extension", [".nii", ".nii.gz", *ITK_FORMATS])
def test_double_precision_is_kept(tmp_path, extension):
    again = read_transform(write_transform(a_field(), tmp_path / f"x{extension}"))
    assert again.array.dtype == np.float64
    assert (again.array == a_field().array).all()


@pytest.mark.parametrize("extension", ITK_FORMATS)
def test_itk_formats_hold_lps_vectors(tmp_path, extension):
    path = write_transform(a_field(), tmp_path / f"x{extension}")
    vectors = array_of(sitk.ReadImage(str(path)))
    assert np.abs(vectors @ LPS[:3, :3] - a_field().array).max() < 1e-12


def test_nrrd_files_carry_the_keys_of_slicer(tmp_path):
    header = write_transform(a_field(), tmp_path / "x.nrrd").read_bytes().split(b"\n\n")[0]
    assert b"displacement field type:=resampling" in header
    assert b"intent_code:=1006" in header
    assert b"space: left-posterior-superior" in header


@pytest.mark.parametrize("extension", [".nii", ".nii.gz"])
def test_nifti_files_hold_ras_vectors_with_their_intent(tmp_path, any_geometry, extension):
    field = a_field(any_geometry)
    file = nibabel.load(write_transform(field, tmp_path / f"x{extension}"))
    assert file.shape == (*any_geometry.shape, 1, 3)
    assert file.header["intent_code"] == 1006
    assert (np.asarray(file.dataobj)[:, :, :, 0] == field.array).all()
    assert np.abs(file.affine - any_geometry.affine).max() < 1e-4


def test_itk_reads_our_nifti_as_lps(tmp_path, any_geometry):
    field = a_field(any_geometry)
    vectors = array_of(sitk.ReadImage(str(write_transform(field, tmp_path / "x.nii.gz"))))
    assert np.abs(vectors @ LPS[:3, :3] - field.array).max() < 1e-12


def test_mgz_files_hold_three_ras_frames(tmp_path):
    file = nibabel.load(write_transform(a_field(), tmp_path / "x.mgz"))
    assert file.shape == (*a_geometry("oblique").shape, 3)
    assert np.abs(np.asarray(file.dataobj) - a_field().array).max() < 1e-6


@pytest.mark.parametrize(("intent", "sign"), [(1006, (1, 1, 1)), (1007, (-1, -1, 1))])
def test_the_intent_tells_ras_from_lps(tmp_path, intent, sign):
    path = a_nifti(tmp_path, a_field().array[:, :, :, None] * sign, intent)
    assert np.abs(read_transform(path).array - a_field().array).max() < 1e-12


@pytest.mark.parametrize("intent", [0, 1001, 1008, 2001])
def test_any_other_intent_is_refused(tmp_path, intent):
    path = a_nifti(tmp_path, a_field().array[:, :, :, None], intent, units=2)
    with pytest.raises(
        GeometryError, match=rf"has the NIfTI intent {intent}; displacement fields have 1006 .RAS. or 1007"
    ):
        read_transform(path)


def test_three_frames_of_freesurfer_are_ras(tmp_path):
    path = a_nifti(tmp_path, a_field().array.astype(np.float32), intent=0, units=2 | 8)
    assert np.abs(read_transform(path).array - a_field().array).max() < 1e-6


def test_three_frames_without_a_unit_are_not_taken_for_mm(tmp_path):
    path = a_nifti(tmp_path, a_field().array.astype(np.float32), intent=0)
    with pytest.raises(GeometryError, match=r"does not say that its three frames are mm.*Give the fixed image"):
        read_transform(path)


def test_a_field_written_by_itk_is_read(tmp_path, any_geometry):
    field = a_field(any_geometry, np.float32)
    vectors = itk_image(field.array * np.float32([-1, -1, 1]), any_geometry)
    for extension in (".nii.gz", *ITK_FORMATS):
        sitk.WriteImage(vectors, str(tmp_path / f"x{extension}"))
        assert np.abs(read_transform(tmp_path / f"x{extension}").array - field.array).max() < 1e-6


def test_whole_numbers_are_displacements_too(tmp_path):
    geometry = a_geometry("LPS")
    vectors = itk_image(np.full((*geometry.shape, 3), 2, np.int16), geometry)
    sitk.WriteImage(vectors, str(tmp_path / "x.nrrd"))
    assert (read_transform(tmp_path / "x.nrrd").array[1, 2, 3] == (-2, -2, 2)).all()


def test_a_modeling_field_is_refused(tmp_path):
    path = write_transform(a_field(), tmp_path / "x.nrrd")
    path.write_bytes(path.read_bytes().replace(b"field type:=resampling", b"field type:=modeling"))
    with pytest.raises(GeometryError, match=r"opposite direction .displacement field type: modeling.. In Slicer"):
        read_transform(path)


@pytest.mark.parametrize("extension", [".nii.gz", ".nrrd", ".mha", ".mgz"])
def test_a_scalar_volume_is_no_field(tmp_path, extension):
    path = write_image(a_blob_image(a_geometry()), tmp_path / f"x{extension}")
    with pytest.raises(GeometryError, match=r"x.* is not a displacement field: it has the extents \(14, 12, 10"):
        read_transform(path)


def test_two_components_are_no_field(tmp_path):
    path = a_nifti(tmp_path, np.zeros((5, 6, 7, 1, 2)), 1006)
    with pytest.raises(GeometryError, match=r"extents \(5, 6, 7, 2\) instead of three axes and three components"):
        read_transform(path)


def test_holes_name_the_file(tmp_path):
    array = a_field().array[:, :, :, None].copy()
    array[1, 2, 3] = np.nan
    with pytest.raises(GeometryError, match=r"x.nii.gz: The displacement field holds 3 NaN"):
        read_transform(a_nifti(tmp_path, array, 1006))


@pytest.mark.parametrize("extension", FIELD_EXTENSIONS)
def test_missing_and_truncated_files(tmp_path, capfd, extension):
    path = tmp_path / f"x{extension}"
    with pytest.raises(GeometryError, match=r"does not exist"):
        read_transform(path)
    write_transform(a_field(), path)
    data = tmp_path / "x.raw" if extension in (".nhdr", ".mhd") else path
    data.write_bytes(data.read_bytes()[:-2000])
    with pytest.raises(ImageError, match=r"truncated|damaged"):
        read_transform(path)
    assert capfd.readouterr() == ("", "")


def test_a_failure_of_itk_is_one_sentence(tmp_path, monkeypatch):
    def fail(*_arguments):
        raise RuntimeError("ITK ERROR")

    monkeypatch.setattr(sitk, "WriteImage", fail)
    for extension in (".nii.gz", ".nrrd"):
        with pytest.raises(OutputError, match=r"could not be written. Check the free space"):
            write_transform(a_field(), tmp_path / f"x{extension}")
    assert list(tmp_path.iterdir()) == []
