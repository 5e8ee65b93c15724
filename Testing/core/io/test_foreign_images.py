"""Images of other programs: DICOM series and NIfTI-2 are read, others are named for what they are."""

from __future__ import annotations

import os

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from support.volumes import a_blob_image, a_geometry
from VoxelMorphLib.core.errors import GeometryError, ImageError
from VoxelMorphLib.core.io.images import read_image, read_image_geometry, write_image
from VoxelMorphLib.core.io.itk import itk_image, quiet

VOXELS = (np.random.default_rng(0).uniform(0, 1000, (6, 8, 10))).astype(np.int16)


def a_series(folder, series: str = "1.2.3.4", left_out: tuple[int, ...] = (), shear: float = 0.0):
    """Six slices of 8 x 10 pixels of 2 mm, 3 mm apart, named in the reverse order."""
    folder.mkdir(exist_ok=True)
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    for k in sorted(set(range(6)) - set(left_out)):
        image = sitk.GetImageFromArray(VOXELS[k])
        image.SetSpacing((2, 2))
        tags = {
            "0008|0060": "MR",
            "0008|0018": f"{series}.{k}",
            "0020|000d": "1.2.3",
            "0020|000e": series,
            "0020|0032": f"1\\{2 + shear * k}\\{3 * k}",
            "0020|0037": "1\\0\\0\\0\\1\\0",
            "0020|0013": str(k),
        }
        for tag, value in tags.items():
            image.SetMetaData(tag, value)
        writer.SetFileName(str(folder / f"{series}-{9 - k}.dcm"))
        writer.Execute(image)
    return folder


class TestDicom:
    """Folders with DICOM images."""

    def test_a_series_is_one_volume(self, tmp_path, capfd):
        folder = a_series(tmp_path / "scan")
        (folder / "notes.txt").write_text("no image")
        image = read_image(folder)
        assert np.array_equal(image.array, VOXELS.transpose(2, 1, 0))
        assert np.allclose(image.geometry.affine, [[-2, 0, 0, -1], [0, -2, 0, -2], [0, 0, 3, 0], [0, 0, 0, 1]])
        assert read_image_geometry(folder).matches(image.geometry, 1e-9)
        assert capfd.readouterr() == ("", "")

    def test_two_series(self, tmp_path):
        a_series(a_series(tmp_path / "scan"), "1.2.3.5")
        with pytest.raises(ImageError, match=r"scan holds 2 DICOM series. Put the one to read"):
            read_image(tmp_path / "scan")

    @pytest.mark.parametrize("left_out", [(2,), (2, 3)])
    def test_a_missing_slice(self, tmp_path, left_out):
        far = 3 * (len(left_out) + 1)
        with pytest.raises(GeometryError, match=rf"slices that are 3 to {far} mm apart: some are missing"):
            read_image(a_series(tmp_path / "scan", left_out=left_out))

    def test_a_tilted_gantry(self, tmp_path):
        with pytest.raises(GeometryError, match="tilted gantry"):
            read_image(a_series(tmp_path / "scan", shear=0.5))

    def test_a_single_slice(self, tmp_path):
        with pytest.raises(ImageError, match="holds a single DICOM slice"):
            read_image(a_series(tmp_path / "scan", left_out=(1, 2, 3, 4, 5)))

    def test_a_folder_of_something_else(self, tmp_path, capfd):
        (tmp_path / "notes.txt").write_text("no image")
        with pytest.raises(ImageError, match=r"is a folder\. Choose a file in it"):
            read_image(tmp_path)
        assert capfd.readouterr() == ("", "")

    def test_a_pipe_beside_the_slices_blocks_nothing(self, tmp_path):
        os.mkfifo(a_series(tmp_path / "scan") / "pipe")
        with pytest.raises(ImageError, match=r"is a folder\. Choose a file in it"):
            read_image(tmp_path / "scan")


class TestNifti2:
    """Files whose header is longer."""

    @pytest.mark.parametrize("extension", [".nii", ".nii.gz"])
    @pytest.mark.parametrize("byte_order", "<>")
    def test_it_is_read_as_nifti_1_is(self, tmp_path, extension, byte_order):
        nibabel = pytest.importorskip("nibabel")
        image = a_blob_image(a_geometry("left-handed oblique"))
        old = read_image(write_image(image, tmp_path / f"old{extension}"))
        loaded = nibabel.load(tmp_path / f"old{extension}")
        header = nibabel.Nifti2Header(endianness=byte_order)
        new = nibabel.Nifti2Image(np.asarray(loaded.dataobj), loaded.affine, header)
        new.header.set_xyzt_units("mm")
        new.to_filename(tmp_path / f"new{extension}")
        found = read_image(tmp_path / f"new{extension}")
        assert np.array_equal(found.array, old.array)
        assert found.geometry.matches(old.geometry, 1e-4)
        assert read_image_geometry(tmp_path / f"new{extension}").matches(old.geometry, 1e-4)

    def test_extents_beyond_any_volume(self, tmp_path):
        nibabel = pytest.importorskip("nibabel")
        header = nibabel.Nifti2Header()
        header["dim"] = [3, 1 << 40, 2, 2, 1, 1, 1, 1]
        header["magic"] = b"n+2\0\r\n\032\n"
        (tmp_path / "x.nii").write_bytes(header.binaryblock + bytes(100))
        with pytest.raises(ImageError, match=r"x.nii has impossible extents \[3, 1099511627776"):
            read_image(tmp_path / "x.nii")


class TestPairs:
    """Headers and voxels in two files: NIfTI, and Analyze, whose left and right are open."""

    @pytest.mark.parametrize("ending", ["", ".gz"])
    @pytest.mark.parametrize("half", [".hdr", ".img"])
    def test_a_nifti_pair_is_read_as_the_single_file(self, tmp_path, half, ending):
        nibabel = pytest.importorskip("nibabel")
        image = a_blob_image(a_geometry("left-handed oblique"), dtype="int16")
        loaded = nibabel.load(write_image(image, tmp_path / "single.nii"))
        pair = nibabel.Nifti1Pair(np.asarray(loaded.dataobj), loaded.affine, loaded.header)
        pair.to_filename(tmp_path / f"pair.img{ending}")
        found = read_image(tmp_path / f"pair{half}{ending}")
        assert found.notes == () and found.geometry.matches(image.geometry, 1e-4)
        np.testing.assert_array_equal(found.array, image.array)

    @pytest.mark.parametrize("kind", ["AnalyzeImage", "Spm99AnalyzeImage", "Spm2AnalyzeImage"])
    @pytest.mark.parametrize("byte_order", "<>")
    def test_analyze_is_placed_as_itk_does_and_left_and_right_are_told(self, tmp_path, kind, byte_order):
        nibabel = pytest.importorskip("nibabel")
        maker = getattr(nibabel, kind)
        array = np.arange(60, dtype=np.int16).reshape(5, 4, 3)
        header = maker.header_class(endianness=byte_order)
        affine = np.diag([2.0, 3.0, 4.0, 1.0])
        affine[:3, 3] = 10, 20, 30
        maker(array, affine, header).to_filename(tmp_path / "x.img")
        found = read_image(tmp_path / "x.img")
        assert [note for note in found.notes if "check left and right" in note]
        reader = sitk.ImageFileReader()
        reader.SetImageIO("NiftiImageIO")
        reader.SetFileName(str(tmp_path / "x.hdr"))
        with quiet():
            itk = reader.Execute()
        np.testing.assert_array_equal(found.array, sitk.GetArrayFromImage(itk).T)
        np.testing.assert_allclose(found.geometry.spacing, (2, 3, 4))
        place = np.array(itk.TransformIndexToPhysicalPoint((1, 2, 1))) * (-1, -1, 1)
        np.testing.assert_allclose(found.geometry.voxel_to_world((1, 2, 1)), place, atol=1e-5)

    def test_halves_are_missed_by_name(self, tmp_path):
        nibabel = pytest.importorskip("nibabel")
        nibabel.Nifti1Pair(np.zeros((3, 4, 5), np.int16), np.eye(4)).to_filename(tmp_path / "x.img")
        whole = (tmp_path / "x.img").read_bytes()
        (tmp_path / "x.img").write_bytes(whole[:-1])
        with pytest.raises(ImageError, match=r"x.img is truncated: its header announces 3x4x5 voxels in 120 bytes"):
            read_image(tmp_path / "x.hdr")
        (tmp_path / "x.img").unlink()
        with pytest.raises(ImageError, match=r"x.hdr is one half of a pair, and x.img does not lie beside it"):
            read_image(tmp_path / "x.hdr")
        (tmp_path / "x.img").write_bytes(whole)
        (tmp_path / "x.hdr").write_bytes(b"ENVI\nsamples = 3\n" * 40)
        with pytest.raises(ImageError, match=r"x.hdr is not a NIfTI file: its header is not recognised"):
            read_image(tmp_path / "x.img")


class TestMinc:
    """ITK reads them in a process of its own."""

    def test_a_volume_is_placed_as_itk_does_with_a_note(self, tmp_path):
        image = itk_image(np.arange(60, dtype=np.float32).reshape(5, 4, 3), a_geometry("oblique", (5, 4, 3)))
        sitk.WriteImage(image, str(tmp_path / "x.mnc"))
        found = read_image(tmp_path / "x.mnc")
        np.testing.assert_allclose(found.array, sitk.GetArrayFromImage(image).T)
        assert found.geometry.matches(a_geometry("oblique", (5, 4, 3)), 1e-3)
        assert [note for note in found.notes if "Check left and right" in note]
        whole = (tmp_path / "x.mnc").read_bytes()
        (tmp_path / "x.mnc").write_bytes(whole[: len(whole) // 2])
        with pytest.raises(ImageError, match=r"x.mnc is damaged, or a MINC file that ITK does not read"):
            read_image(tmp_path / "x.mnc")

    def test_minc_1_is_named(self, tmp_path):
        (tmp_path / "x.mnc").write_bytes(b"CDF\1" + bytes(100))
        with pytest.raises(ImageError, match=r"x.mnc is no MINC 2 file. Convert it"):
            read_image(tmp_path / "x.mnc")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("x.dcm", "is a single DICOM file of a series"),
        ("x.PNG", "is a 2-D picture"),
    ],
)
def test_others_are_named(tmp_path, name, words):
    (tmp_path / name).write_bytes(b"anything")
    with pytest.raises(ImageError, match=rf"{name} {words}.*\. Convert it to .nii.gz or .nrrd"):
        read_image(tmp_path / name)
