"""Volumes with several values per voxel: read, written, and seen alike by nibabel and ITK."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from support.volumes import GEOMETRIES, a_blob_image, a_geometry, a_label_map
from VoxelMorphLib.core.errors import ImageError, OutputError
from VoxelMorphLib.core.image import Image, LabelMap
from VoxelMorphLib.core.io.images import write_image
from VoxelMorphLib.core.io.volumes import read_volume, write_volume
from VoxelMorphLib.core.series import CHANNELS, COLOURS, FRAMES, Series

KINDS = {"frames": (FRAMES, 5, "int16"), "vectors": (CHANNELS, 3, "float32"), "colours": (COLOURS, 3, "uint8")}
KINDS |= {"colours with opacity": (COLOURS, 4, "uint8"), "two channels": (CHANNELS, 2, "float64")}
#: Kind of series that each extension gives back, where it cannot tell which it was.
ONLY = {".mgz": FRAMES, ".npz": CHANNELS}


def a_series(name: str = "oblique", kind: str = "frames") -> Series:
    grid = a_geometry(name)
    what, count, dtype = KINDS[kind]
    values = np.random.default_rng(0).integers(0, 255, (*grid.shape, count)).astype(dtype)
    return Series(values, grid, "made", what, 2.5 if what == FRAMES else 1.0)


@pytest.mark.parametrize("extension", [".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd", ".mgz", ".npz"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_is_read(tmp_path, kind, extension):
    series = a_series(kind=kind)
    if extension == ".mgz" and series.array.dtype == np.float64:
        pytest.skip("MGZ has no double precision")
    read = read_volume(write_volume(series, tmp_path / f"series{extension}"))
    assert np.array_equal(read.array, series.array) and read.array.dtype == series.array.dtype
    assert read.geometry.matches(series.geometry)
    assert read.kind == ONLY.get(extension, series.kind)
    assert extension in ONLY or read.step == pytest.approx(series.step)


@pytest.mark.parametrize("name", GEOMETRIES)
def test_nibabel_sees_the_frames_and_their_step(tmp_path, name):
    series = a_series(name)
    seen = nibabel.load(write_volume(series, tmp_path / "series.nii.gz"))
    assert np.array_equal(seen.get_fdata(), series.array)
    assert np.allclose(seen.affine, series.geometry.affine, atol=1e-4)
    assert seen.header.get_zooms()[3] == 2.5 and seen.header.get_xyzt_units() == ("mm", "sec")


@pytest.mark.parametrize("kind", ["colours", "colours with opacity"])
def test_nibabel_and_itk_see_the_colours(tmp_path, kind):
    series = a_series(kind=kind)
    path = write_volume(series, tmp_path / "colours.nii")
    seen = np.asarray(nibabel.load(path).dataobj)
    assert list(seen.dtype.names) == list("RGBA")[: len(series)]
    assert np.array_equal(np.stack([seen[name] for name in seen.dtype.names], axis=-1), series.array)
    itk = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
    assert np.array_equal(np.moveaxis(itk, (0, 1, 2), (2, 1, 0)), series.array)


def test_nibabel_sees_vectors_with_their_intent(tmp_path):
    series = a_series(kind="vectors")
    seen = nibabel.load(write_volume(series, tmp_path / "vectors.nii"))
    assert np.array_equal(np.squeeze(seen.get_fdata()), series.array) and seen.shape[3:] == (1, 3)
    assert int(seen.header["intent_code"]) == 1007


def test_the_intent_and_milliseconds_of_other_programs_are_kept(tmp_path):
    image = nibabel.Nifti1Image(np.zeros((4, 5, 6, 1, 3), np.float32), np.eye(4))
    image.header.set_intent(1006)
    nibabel.save(image, tmp_path / "field.nii")
    again = nibabel.load(write_volume(read_volume(tmp_path / "field.nii"), tmp_path / "again.nii"))
    assert int(again.header["intent_code"]) == 1006
    image = nibabel.Nifti1Image(np.zeros((4, 5, 6, 7), np.int16), np.eye(4))
    image.header.set_xyzt_units("mm", "msec")
    image.header["pixdim"][4] = 1800
    nibabel.save(image, tmp_path / "bold.nii")
    assert read_volume(tmp_path / "bold.nii").step == pytest.approx(1.8)


def test_a_sequence_of_slicer_keeps_what_its_header_says(tmp_path):
    values = np.random.default_rng(0).integers(0, 99, (4, 5, 6, 3)).astype(np.int16)  # frames fastest, then I
    header = "NRRD0005\ntype: short\ndimension: 4\nspace: left-posterior-superior\nsizes: 3 6 5 4\n"
    header += "space directions: none (1,0,0) (0,2,0) (0,0,3)\nkinds: list domain domain domain\nencoding: raw\n"
    header += "endian: little\nspace origin: (0,0,0)\naxis 0 index type:=numeric\naxis 0 index values:=0 2 4\n\n"
    path = tmp_path / "sequence.seq.nrrd"
    path.write_bytes(header.encode() + values.tobytes())
    read = read_volume(path)
    assert np.array_equal(read.array, values.transpose(2, 1, 0, 3)) and read.metadata["axis 0 index values"] == "0 2 4"
    text = write_volume(read, tmp_path / "again.nrrd").read_bytes()[:2000]
    assert b"axis 0 index values:=0 2 4" in text and b"kinds: list domain domain domain" in text


def test_one_value_per_voxel_is_an_image(tmp_path):
    image, labels = a_blob_image(a_geometry()), a_label_map(a_geometry())
    for extension in (".nii.gz", ".nrrd", ".mgz", ".npz"):
        write_image(image, tmp_path / f"image{extension}")
        write_image(labels, tmp_path / f"labels{extension}")
        read = read_volume(tmp_path / f"image{extension}")
        assert type(read) is Image and np.array_equal(read.array, image.array)
        assert type(read_volume(tmp_path / f"labels{extension}", as_labels=True)) is LabelMap
    one = sitk.GetImageFromArray(np.ones((1, 4, 5, 6), np.int16), isVector=False)
    sitk.WriteImage(one, str(tmp_path / "one.nrrd"))
    assert type(read_volume(tmp_path / "one.nrrd")) is Image
    assert write_volume(image, tmp_path / "again.nii").exists()


def test_frames_of_vectors_are_refused(tmp_path):
    nibabel.save(nibabel.Nifti1Image(np.zeros((4, 5, 6, 2, 3), np.float32), np.eye(4)), tmp_path / "both.nii")
    with pytest.raises(ImageError, match=r"both.nii has 5 axes, 4x5x6x2x3. Save its frames or its channels one by one"):
        read_volume(tmp_path / "both.nii")


def test_frames_are_images_or_label_maps_and_named():
    series = a_series()
    assert isinstance(series.frame(2, LabelMap), LabelMap) and series.frame(2).name == "made, 3 of 5"
    assert np.array_equal(series.frame(2).array, series.array[..., 2])


def test_impossible_series_are_refused(tmp_path):
    grid = a_geometry()
    with pytest.raises(ImageError, match="made has shape"):
        Series(np.zeros((2, 3, 4, 5)), grid, "made")
    with pytest.raises(ImageError, match="voxels of type complex128"):
        Series(np.zeros((*grid.shape, 2), complex), grid, "made")
    wide = a_series()
    wide = wide.with_array(wide.array.astype(np.uint32), grid)
    with pytest.raises(OutputError, match="cannot hold voxels of type uint32"):
        write_volume(wide, tmp_path / "a.mgz")
    assert not list(tmp_path.iterdir())
