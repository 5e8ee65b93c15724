"""NumPy archives of the original VoxelMorph, with and without a place."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest
from support.volumes import a_blob_image
from VoxelMorphLib.core.errors import GeometryError, ImageError
from VoxelMorphLib.core.io.images import read_image, read_label_map, write_image
from VoxelMorphLib.core.io.npz import default_geometry

VOLUME = np.random.default_rng(0).random((4, 5, 6)).astype(np.float32)
LABELS = (VOLUME * 5).astype(np.int32)


@pytest.mark.parametrize("key", ["vol", "vol_data", "anything"])
def test_a_volume_is_found_under_its_key(tmp_path, key):
    np.savez(tmp_path / "x.npz", **{key: VOLUME})
    assert (read_image(tmp_path / "x.npz").array == VOLUME).all()


def test_volume_and_labels_lie_in_one_file(tmp_path):
    np.savez_compressed(tmp_path / "x.npz", vol=VOLUME, seg=LABELS)
    assert (read_image(tmp_path / "x.npz").array == VOLUME).all()
    assert (read_label_map(tmp_path / "x.npz").array == LABELS).all()


def test_labels_alone_are_labels(tmp_path):
    np.savez(tmp_path / "x.npz", vol=LABELS)
    assert (read_label_map(tmp_path / "x.npz").array == LABELS).all()


@pytest.mark.parametrize("shape", [(1, 4, 5, 6, 1), (4, 5, 6, 1), (1, 4, 5, 6)])
def test_batch_and_channel_axes_are_dropped(tmp_path, shape):
    np.savez(tmp_path / "x.npz", vol=VOLUME.reshape(shape))
    assert (read_image(tmp_path / "x.npz").array == VOLUME).all()


def test_a_volume_without_a_place_lies_where_the_original_puts_it():
    """The matrix that `save_volfile` of the original writes into NIfTI files of such arrays."""
    geometry = default_geometry((160, 192, 224))
    assert geometry.orientation == "LIA"
    assert np.allclose(geometry.affine, [[-1, 0, 0, 80], [0, 0, 1, -112], [0, -1, 0, 96], [0, 0, 0, 1]])


def test_our_files_keep_their_place(tmp_path, any_geometry):
    image = a_blob_image(any_geometry)
    again = read_image(write_image(image, tmp_path / "x.npz"))
    assert np.array_equal(again.geometry.affine, any_geometry.affine)


def test_a_wrong_place_names_the_file(tmp_path):
    np.savez(tmp_path / "x.npz", vol=VOLUME, affine=np.zeros((4, 4)))
    with pytest.raises(GeometryError, match=r"x.npz: The voxel-to-RAS matrix must be 4x4"):
        read_image(tmp_path / "x.npz")


def test_several_arrays_without_a_known_name_are_listed(tmp_path):
    np.savez(tmp_path / "x.npz", a=VOLUME, b=VOLUME)
    with pytest.raises(ImageError, match=r"holds the arrays \['a', 'b'\]. Store the volume under 'vol'"):
        read_image(tmp_path / "x.npz")
    with pytest.raises(ImageError, match=r"Store the volume under 'seg'"):
        read_label_map(tmp_path / "x.npz")


def test_pickled_objects_are_never_loaded(tmp_path):
    np.savez(tmp_path / "x.npz", vol=np.array([print], dtype=object))
    with pytest.raises(ImageError, match=r"not a NumPy archive of plain arrays"):
        read_image(tmp_path / "x.npz")


def test_a_single_array_file_is_no_archive(tmp_path):
    with (tmp_path / "x.npz").open("wb") as stream:
        np.save(stream, VOLUME)
    with pytest.raises(ImageError, match=r"not a NumPy archive"):
        read_image(tmp_path / "x.npz")


def test_an_array_that_claims_more_than_is_stored(tmp_path):
    member = io.BytesIO()
    claim = {"descr": "<f4", "fortran_order": False, "shape": (40000, 50000, 60000)}
    np.lib.format.write_array_header_1_0(member, claim)
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("vol.npy", member.getvalue() + VOLUME.tobytes())
    with pytest.raises(ImageError, match=r"announces 480000000000000 bytes for 'vol' but holds"):
        read_image(tmp_path / "x.npz")


@pytest.mark.parametrize("affine", [np.zeros((3000, 3000), np.int8), np.zeros(16), np.array(["a"] * 16).reshape(4, 4)])
def test_an_affine_of_another_kind_is_never_read(tmp_path, affine, monkeypatch):
    np.savez_compressed(tmp_path / "x.npz", vol=VOLUME, affine=affine)
    monkeypatch.setattr(np, "asarray", lambda value, *_kind: value if value.shape != affine.shape else pytest.fail())
    with pytest.raises(ImageError, match=r"x\.npz holds an affine of .* with the shape .* instead of \(4, 4\)"):
        read_image(tmp_path / "x.npz")


def saved(array: np.ndarray) -> bytes:
    """What numpy.save writes."""
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=True)
    return stream.getvalue()


@pytest.mark.parametrize("shape", [(4, 5, 6), (1, 4, 5, 6, 1)])
def test_an_array_of_its_own_is_placed_as_the_original_does(tmp_path, shape):
    array = np.random.default_rng(0).random(shape)
    np.save(tmp_path / "atlas.npz.npy", array)
    image = read_image(tmp_path / "atlas.npz.npy")
    assert np.array_equal(image.array, array.reshape(4, 5, 6))
    assert image.geometry == default_geometry((4, 5, 6))
    assert "atlas.npz.npy holds numbers without a position" in image.notes[0]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"no array", "is no NumPy array of numbers, or is damaged"),
        (saved(np.array([{}], object)), "is no NumPy array of numbers, or is damaged"),
        (saved(np.zeros((4, 4, 4)))[:300], "announces 512 bytes but holds 300"),
        (saved(np.zeros((4, 4, 4, 4, 4))), "has 5 dimensions"),
    ],
)
def test_a_bad_array_is_refused(tmp_path, content, text):
    path = tmp_path / "atlas.npy"
    path.write_bytes(content)
    with pytest.raises(ImageError, match=text):
        read_image(path)
