"""FreeSurfer volumes: what the header tells, and what is missing."""

from __future__ import annotations

import gzip
import struct
import sys

import numpy as np
import pytest
from support.volumes import a_blob_image, a_geometry, a_smooth_field
from VoxelMorphLib.core.errors import DependencyError, ImageError, OutputError
from VoxelMorphLib.core.io.images import read_image, write_image
from VoxelMorphLib.core.io.mgh import WARP_TAG
from VoxelMorphLib.core.io.transforms import read_transform, write_transform
from VoxelMorphLib.core.transform import DisplacementField

nibabel = pytest.importorskip("nibabel")


def a_header(version=1, dims=(14, 12, 10, 1), kind=3) -> bytes:
    return struct.pack(">6i", version, *dims, kind)


def with_header(path, header: bytes, footer: bytes = b""):
    """Replace the first numbers of an .mgz file and append to it."""
    content = gzip.decompress(path.read_bytes())
    path.write_bytes(gzip.compress(header + content[len(header) :] + footer))
    return path


@pytest.mark.parametrize(
    ("header", "text"),
    [
        (a_header(version=2), "not an MGH file"),
        (a_header(version=-1), "not an MGH file"),
        (a_header(dims=(14, 0, 10, 1)), "not an MGH file"),
        (a_header(dims=(14, -12, 10, 1)), "not an MGH file"),
        (a_header(kind=2), "voxels of MGH type 2, which is not a real scalar"),
        (a_header(dims=(14, 12, 11, 1)), r"truncated: 7392 bytes announced, \d+ found"),
        (a_header(dims=(60000, 50000, 40000, 1)), "announces 4.8e.05 GB, which its size rules out"),
    ],
)
def test_damaged_headers(tmp_path, header, text):
    path = write_image(a_blob_image(a_geometry()), tmp_path / "x.mgz")
    with pytest.raises(ImageError, match=text):
        read_image(with_header(path, header))


def test_a_failure_of_nibabel_is_one_sentence(tmp_path, monkeypatch):
    path = write_image(a_blob_image(a_geometry()), tmp_path / "x.mgz")

    def fail(_content):
        raise nibabel.spatialimages.HeaderDataError("bad")

    monkeypatch.setattr(nibabel.MGHImage, "from_bytes", fail)
    with pytest.raises(ImageError, match=r"x.mgz is damaged: nibabel cannot read it"):
        read_image(path)


@pytest.mark.parametrize(("given", "stored"), [("float64", "float32"), ("float16", "float32"), ("int8", "int16")])
def test_types_that_the_format_lacks_are_written_in_the_next_one(tmp_path, given, stored):
    image = a_blob_image(a_geometry())
    image = image.with_array((image.array * 100).astype(given))
    found = read_image(write_image(image, tmp_path / "x.mgz")).array
    assert found.dtype == stored
    np.testing.assert_allclose(found, image.array, rtol=1e-7)


def test_numbers_beyond_single_precision_are_refused(tmp_path):
    image = a_blob_image(a_geometry())
    with pytest.raises(OutputError, match=r"x\.mgz cannot hold numbers beyond 3\.4e\+38"):
        write_image(image.with_array(image.array.astype(np.float64) + 1e39), tmp_path / "x.mgz")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("extension", [".mgz", ".mgh"])
def test_without_nibabel_the_message_says_how_to_install_it(tmp_path, monkeypatch, extension):
    path = write_image(a_blob_image(a_geometry()), tmp_path / f"x{extension}")
    monkeypatch.setitem(sys.modules, "nibabel", None)
    with pytest.raises(DependencyError, match=r"x.mg. needs .* nibabel. Install it with `pip install nibabel`"):
        read_image(path)
    with pytest.raises(DependencyError, match=r"nibabel"):
        write_image(a_blob_image(a_geometry()), tmp_path / f"y{extension}")
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def a_warp(folder, intent: int, kind: int | None):
    """A warp as surfa and FreeSurfer 8 write it: intent in the version, kind in a tag."""
    field = DisplacementField(a_smooth_field(a_geometry("LAS")), a_geometry("LAS"))
    path = write_transform(field, folder / "warp.mgz")
    tag = b"" if kind is None else WARP_TAG + struct.pack(">iif", kind, 1, 0)
    return field, with_header(path, struct.pack(">i", intent << 8 | 1), b"\0" * 20 + tag)


def test_a_warp_with_intent_is_read(tmp_path):
    field, path = a_warp(tmp_path, intent=6, kind=3)
    assert np.abs(read_transform(path).array - field.array).max() < 1e-6


@pytest.mark.parametrize("kind", [0, 1, 2, None])
def test_a_warp_that_is_no_ras_displacement_is_refused(tmp_path, kind):
    _, path = a_warp(tmp_path, intent=6, kind=kind)
    with pytest.raises(ImageError, match=r"does not hold RAS displacements. Convert it with `mri_warp_convert"):
        read_transform(path)
