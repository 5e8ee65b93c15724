"""Images of other programs: DICOM series and NIfTI-2 are read, others are named for what they are."""

from __future__ import annotations

import os

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from support.volumes import a_blob_image, a_geometry
from VoxelMorphLib.core.errors import GeometryError, ImageError
from VoxelMorphLib.core.io.images import read_image, read_image_geometry, write_image

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


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("x.hdr", "is half of an Analyze or NIfTI pair"),
        ("x.img", "is half of an Analyze or NIfTI pair"),
        ("x.mnc", "is a MINC file"),
        ("x.dcm", "is a single DICOM file of a series"),
        ("x.PNG", "is a 2-D picture"),
    ],
)
def test_others_are_named(tmp_path, name, words):
    (tmp_path / name).write_bytes(b"anything")
    with pytest.raises(ImageError, match=rf"{name} {words}.*\. Convert it to .nii.gz or .nrrd"):
        read_image(tmp_path / name)
