"""The extension decides what a file can hold, and says so before the work; warps in voxels find their place."""

from __future__ import annotations

import numpy as np
import pytest
from support.volumes import a_geometry, a_smooth_field
from VoxelMorphLib.core.errors import GeometryError, ImageError, OutputError
from VoxelMorphLib.core.io.transforms import (
    kind_of,
    read_transform,
    read_voxel_warp,
    write_transform,
)
from VoxelMorphLib.core.transform import AffineTransform, DisplacementField

AFFINE = AffineTransform(np.diag([1.1, 1, 1, 1]))
FIELD = DisplacementField(a_smooth_field(a_geometry("LAS")), a_geometry("LAS"))
TRANSFORMS = {"affine": AFFINE, "displacement": FIELD, "composite": FIELD.compose(AFFINE)}


@pytest.mark.parametrize("kind", TRANSFORMS)
def test_kinds_have_names(kind):
    assert kind_of(TRANSFORMS[kind]) == kind


@pytest.mark.parametrize("name", ["x.xfm", "x", "x.png"])
def test_an_unknown_extension_is_refused(tmp_path, name):
    with pytest.raises(OutputError, match=r"no transform format has the extension .* Use one of \.h5, \.tfm, \.txt"):
        write_transform(AFFINE, tmp_path / name)


def test_a_file_of_unknown_extension_is_refused(tmp_path):
    (tmp_path / "x.xfm").write_text("hello")
    with pytest.raises(GeometryError, match=r"x.xfm: no transform format has the extension '.xfm'. Use one of \.h5"):
        read_transform(tmp_path / "x.xfm")


def test_a_disk_that_is_too_small_is_noticed(tmp_path, monkeypatch):
    import shutil

    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage._replace(free=1000))
    with pytest.raises(OutputError, match=r"needs about 0 MB but the disk has 0 MB"):
        write_transform(TRANSFORMS["composite"], tmp_path / "x.h5")
    assert list(tmp_path.iterdir()) == []


def voxels_of(geometry) -> np.ndarray:
    """A displacement in voxels, different along every axis."""
    return np.random.default_rng(0).normal(0, 1, (*geometry.shape, 3)).astype(np.float32)


@pytest.mark.parametrize("first", [False, True], ids=["components last", "components first"])
@pytest.mark.parametrize("extension", [".npz", ".nii", ".nii.gz"])
def test_a_voxel_warp_gets_the_place_of_its_image(tmp_path, any_geometry, extension, first):
    nibabel = pytest.importorskip("nibabel")
    warp = voxels_of(any_geometry)
    stored = np.moveaxis(warp, -1, 0) if first else warp
    path = tmp_path / f"warp{extension}"
    if extension == ".npz":
        np.savez_compressed(path, vol=stored)
    else:
        nibabel.Nifti1Image(stored, np.diag([-1, 1, 1, 1])).to_filename(path)
    field = read_voxel_warp(path, any_geometry)
    voxel = np.array([3, 4, 5])
    mapped = any_geometry.world_to_voxel(field.apply_to_points(any_geometry.voxel_to_world(voxel)))
    assert np.allclose(mapped, voxel + warp[3, 4, 5], atol=1e-5)


@pytest.mark.parametrize("shape", [(1, 14, 12, 10, 3), (14, 12, 10, 1, 3)])
def test_a_voxel_warp_may_have_axes_of_length_one(tmp_path, shape):
    warp = voxels_of(a_geometry())
    np.savez(tmp_path / "warp.npz", vol=warp.reshape(shape))
    assert np.allclose(read_voxel_warp(tmp_path / "warp.npz", a_geometry()).array, 2 * warp)


def test_a_voxel_warp_of_another_image_is_refused(tmp_path):
    np.savez(tmp_path / "warp.npz", vol=voxels_of(a_geometry()))
    with pytest.raises(
        GeometryError, match=r"shape \(14, 12, 10, 3\), which does not fit a fixed image of \(9, 9, 9\)"
    ):
        read_voxel_warp(tmp_path / "warp.npz", a_geometry("RAS", (9, 9, 9)))


def test_a_missing_voxel_warp_is_named(tmp_path):
    with pytest.raises(ImageError, match=r"warp.npz does not exist"):
        read_voxel_warp(tmp_path / "warp.npz", a_geometry())


def test_a_voxel_warp_cannot_be_read_without_its_image(tmp_path):
    np.savez(tmp_path / "warp.npz", vol=voxels_of(a_geometry()))
    with pytest.raises(GeometryError, match=r"holds voxel displacements without a position.*Give the fixed image"):
        read_transform(tmp_path / "warp.npz")
