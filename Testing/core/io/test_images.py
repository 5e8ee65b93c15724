"""Every image format gives back voxels, type and place, and agrees with ITK and nibabel about the place."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from support.volumes import a_blob_image, a_geometry, a_label_map
from VoxelMorphLib.core.errors import ImageError, OutputError
from VoxelMorphLib.core.image import Image, LabelMap
from VoxelMorphLib.core.io.images import (
    IMAGE_EXTENSIONS,
    check_image_extension,
    read_image,
    read_image_geometry,
    read_label_map,
    write_image,
)
from VoxelMorphLib.core.io.itk import LPS

nibabel = pytest.importorskip("nibabel")

ITK_EXTENSIONS = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd")
ALL_TYPES = ["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float32", "float64"]


@pytest.mark.parametrize("extension", IMAGE_EXTENSIONS)
def test_a_volume_comes_back_on_its_grid(tmp_path, any_geometry, extension):
    image = a_blob_image(any_geometry)
    path = write_image(image, tmp_path / f"t1{extension}")
    again = read_image(path)
    assert (again.array == image.array).all()
    assert again.array.flags.c_contiguous
    assert again.geometry.matches(any_geometry, 1e-4)
    assert again.name == f"t1{extension}"
    assert read_image_geometry(path).matches(again.geometry)


@pytest.mark.parametrize("dtype", ALL_TYPES)
@pytest.mark.parametrize("extension", [*ITK_EXTENSIONS, ".npz"])
def test_voxel_types_are_kept(tmp_path, extension, dtype):
    geometry = a_geometry("oblique", (5, 4, 3))
    limits = np.iinfo(dtype) if dtype[-1] not in "24" or "int" in dtype else np.finfo(dtype)
    array = np.linspace(0, 100, 60).astype(dtype).reshape(5, 4, 3)
    array[0, 0, 0], array[1, 0, 0] = limits.min, limits.max
    again = read_image(write_image(Image(array, geometry), tmp_path / f"x{extension}"))
    assert again.array.dtype == array.dtype
    assert (again.array == array).all()


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "int32", "float32"])
def test_voxel_types_of_freesurfer_are_kept(tmp_path, dtype):
    image = a_blob_image(a_geometry(), dtype=dtype)
    again = read_image(write_image(image, tmp_path / "x.mgz"))
    assert again.array.dtype == image.array.dtype
    assert (again.array == image.array).all()


@pytest.mark.parametrize("extension", IMAGE_EXTENSIONS)
def test_truth_values_become_zero_and_one(tmp_path, extension):
    geometry = a_geometry()
    mask = np.indices(geometry.shape).sum(axis=0) % 2 == 0
    again = read_image(write_image(Image(mask, geometry), tmp_path / f"mask{extension}"))
    assert again.array.dtype == np.uint8
    assert (again.array == mask).all()


@pytest.mark.parametrize("extension", [".nii", ".nii.gz", ".mgz"])
def test_nibabel_agrees_about_voxels_and_place(tmp_path, any_geometry, extension):
    image = a_blob_image(any_geometry)
    theirs = nibabel.load(write_image(image, tmp_path / f"x{extension}"))
    assert (np.asarray(theirs.dataobj) == image.array).all()
    assert np.abs(theirs.affine - any_geometry.affine).max() < 1e-4


def test_a_file_of_nibabel_is_read_on_its_grid(tmp_path, any_geometry):
    image = a_blob_image(any_geometry)
    nibabel.Nifti1Image(image.array, any_geometry.affine).to_filename(tmp_path / "x.nii.gz")
    assert read_image(tmp_path / "x.nii.gz").geometry.matches(any_geometry, 1e-4)


@pytest.mark.parametrize("codes", [(1, 0), (0, 1), (1, 1), (2, 4)])
def test_either_position_of_a_nifti_header_is_enough(tmp_path, any_geometry, codes):
    file = nibabel.Nifti1Image(a_blob_image(any_geometry).array, any_geometry.affine)
    file.header.set_qform(any_geometry.affine, codes[0])
    file.header.set_sform(any_geometry.affine, codes[1])
    file.to_filename(tmp_path / "x.nii")
    assert read_image(tmp_path / "x.nii").geometry.matches(any_geometry, 1e-4)


@pytest.mark.parametrize("extension", ITK_EXTENSIONS)
def test_itk_agrees_about_voxels_and_place(tmp_path, any_geometry, extension):
    image = a_blob_image(any_geometry)
    theirs = sitk.ReadImage(str(write_image(image, tmp_path / f"x{extension}")))
    voxel = (3, 5, 7)
    assert theirs[voxel] == image.array[voxel]
    lps = np.array(theirs.TransformIndexToPhysicalPoint(voxel))
    assert np.abs(LPS[:3, :3] @ lps - any_geometry.voxel_to_world(voxel)).max() < 1e-4


@pytest.mark.parametrize("extension", ITK_EXTENSIONS)
def test_files_of_itk_are_read(tmp_path, extension):
    theirs = sitk.GetImageFromArray(np.random.default_rng(0).random((4, 5, 6)))
    theirs.SetSpacing((1, 2, 3))
    theirs.SetOrigin((10, 20, 30))
    theirs.SetDirection((0, -1, 0, 1, 0, 0, 0, 0, 1))
    sitk.WriteImage(theirs, str(tmp_path / f"x{extension}"))
    ours = read_image(tmp_path / f"x{extension}")
    assert ours.array.shape == (6, 5, 4)
    assert np.allclose(ours.geometry.origin, (-10, -20, 30))
    assert np.allclose(ours.geometry.affine[:3, :3], [[0, 2, 0], [-1, 0, 0], [0, 0, 3]])
    assert np.allclose(ours.array, sitk.GetArrayFromImage(theirs).transpose())


def test_the_voxels_of_a_neighbour_with_a_similar_name_are_not_taken(tmp_path):
    """ITK reads the voxels of x.nii when x.nii.gz is asked for."""
    zeros = Image(np.zeros(a_geometry().shape, np.float32), a_geometry())
    write_image(zeros, tmp_path / "x.nii")
    image = a_blob_image(a_geometry())
    assert (read_image(write_image(image, tmp_path / "x.nii.gz")).array == image.array).all()


@pytest.mark.parametrize("order", ["<", ">"])
def test_both_byte_orders_are_read(tmp_path, order):
    array = a_blob_image(a_geometry("LAS"), dtype="int16").array
    header = nibabel.Nifti1Header(endianness=order)
    header.set_data_dtype(np.int16)
    nibabel.Nifti1Image(array.astype(f"{order}i2"), a_geometry("LAS").affine, header).to_filename(tmp_path / "x.nii")
    again = read_image(tmp_path / "x.nii")
    assert (tmp_path / "x.nii").read_bytes()[:4] == np.array([348], f"{order}i4").tobytes()
    assert (again.array == array).all()
    assert again.array.dtype == np.dtype("=i2")
    assert again.geometry.matches(a_geometry("LAS"), 1e-4)


@pytest.mark.parametrize("extension", [".nii", ".nrrd", ".mha", ".mgz", ".npz"])
def test_voxels_in_foreign_byte_order_are_written(tmp_path, extension):
    array = a_blob_image(a_geometry()).array.astype(">f4")
    again = read_image(write_image(Image(array, a_geometry()), tmp_path / f"x{extension}"))
    assert (again.array == array).all()


@pytest.mark.parametrize(
    ("slope", "intercept", "dtype"),
    [(2.5, -7, "float32"), (1, 0, "int16"), (0, 5, "int16"), (1, -1024, "float32"), (np.nan, 0, "int16")],
)
def test_scaled_voxels_have_their_real_values(tmp_path, slope, intercept, dtype):
    file = nibabel.Nifti1Image(np.arange(24, dtype=np.int16).reshape(2, 3, 4), np.eye(4))
    file.to_filename(tmp_path / "x.nii")
    raw = bytearray((tmp_path / "x.nii").read_bytes())
    raw[112:120] = np.array([slope, intercept], "<f4").tobytes()
    (tmp_path / "x.nii").write_bytes(raw)
    again = read_image(tmp_path / "x.nii").array
    expected = slope * 3 + intercept if dtype == "float32" else 3
    assert again.dtype == dtype
    assert again[0, 0, 3] == pytest.approx(expected)


def test_a_single_last_frame_is_dropped(tmp_path):
    image = a_blob_image(a_geometry("oblique"))
    nibabel.Nifti1Image(image.array[..., None], image.geometry.affine).to_filename(tmp_path / "x.nii")
    assert (read_image(tmp_path / "x.nii").array == image.array).all()
    frames = sitk.JoinSeries([sitk.GetImageFromArray(image.array.transpose())])
    sitk.WriteImage(frames, str(tmp_path / "x.nrrd"))
    assert (read_image(tmp_path / "x.nrrd").array == image.array).all()


def test_label_maps_come_back_as_label_maps(tmp_path):
    labels = a_label_map(a_geometry("LPS"))
    for extension in IMAGE_EXTENSIONS:
        again = read_label_map(write_image(labels, tmp_path / f"seg-{extension[1:]}{extension}"))
        assert isinstance(again, LabelMap)
        assert again.array.dtype == np.int16
        assert (again.array == labels.array).all()


def test_an_image_of_fractions_is_no_label_map(tmp_path):
    path = write_image(a_blob_image(a_geometry()), tmp_path / "t1.nii.gz")
    with pytest.raises(ImageError, match=r"t1.nii.gz is not a label map"):
        read_label_map(path)


def test_messages_use_the_given_name(tmp_path):
    path = write_image(a_blob_image(a_geometry()), tmp_path / "x.nii")
    assert read_image(path, "atlas").name == "atlas"
    assert read_label_map(write_image(a_label_map(a_geometry()), tmp_path / "y.nii"), "seg").name == "seg"


def test_paths_may_be_text_have_capitals_and_any_letters(tmp_path):
    folder = tmp_path / "Größe 1"
    folder.mkdir()
    image = a_blob_image(a_geometry())
    for extension in (".nii.gz", ".nrrd", ".mha"):
        write_image(image, str(folder / f"ä{extension}"))
        shutil.copy(folder / f"ä{extension}", folder / f"Ä{extension.upper()}")
        assert (read_image(str(folder / f"Ä{extension.upper()}")).array == image.array).all()


@pytest.mark.parametrize("extension", [".nhdr", ".mhd"])
def test_a_header_finds_its_voxels_after_moving_the_folder(tmp_path, extension):
    image = a_blob_image(a_geometry())
    (tmp_path / "a").mkdir()
    write_image(image, tmp_path / "a" / f"x{extension}")
    assert sorted(file.suffix for file in (tmp_path / "a").iterdir()) == sorted([extension, ".raw"])
    (tmp_path / "a").rename(tmp_path / "b")
    assert (read_image(tmp_path / "b" / f"x{extension}").array == image.array).all()


@pytest.mark.parametrize("name", ["x.jpg", "x", "x.gz", "x.nii.zip", "x.hdr.bz2"])
def test_an_unknown_extension_is_refused(tmp_path, name):
    with pytest.raises(OutputError, match=r"no image format has the extension .* Use one of \.nii, "):
        write_image(a_blob_image(a_geometry()), tmp_path / name)
    with pytest.raises(OutputError, match=r"no image format"):
        check_image_extension(tmp_path / name)
    (tmp_path / name).write_bytes(b"something")
    with pytest.raises(ImageError, match=r"is not an image format|Convert it to .nii.gz or .nrrd"):
        read_image(tmp_path / name)


@pytest.mark.parametrize(
    ("extension", "dtype"),
    [(".mgz", "int64"), (".mgh", "uint32"), (".nii", "float16"), (".nrrd", "longdouble")],
)
def test_a_voxel_type_that_the_format_lacks_is_refused(tmp_path: Path, extension, dtype):
    image = Image(np.zeros(a_geometry().shape, dtype), a_geometry())
    with pytest.raises(OutputError, match=rf"{extension} cannot hold voxels of type \w+, only .*Convert the voxels"):
        write_image(image, tmp_path / f"x{extension}")
    assert list(tmp_path.iterdir()) == []


def test_a_failure_of_itk_is_one_sentence(tmp_path, monkeypatch):
    def fail(*_arguments, **_options):
        raise RuntimeError("ITK ERROR: disk quota")

    monkeypatch.setattr(sitk, "WriteImage", fail)
    with pytest.raises(OutputError, match=r"x.nrrd could not be written. Check the free space"):
        write_image(a_blob_image(a_geometry()), tmp_path / "x.nrrd")
    assert list(tmp_path.iterdir()) == []
