"""Every kind of transform in every format: written, read back by us and by others, or refused in one sentence."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from support.volumes import CENTRE, a_blob_image, a_geometry, a_smooth_field, rotation
from VoxelMorphLib.core.errors import DependencyError, GeometryError, ImageError, OutputError
from VoxelMorphLib.core.geometry import Geometry
from VoxelMorphLib.core.io.images import read_image, write_image
from VoxelMorphLib.core.io.itk import READERS
from VoxelMorphLib.core.io.itk_transforms import ITK_EXTENSIONS
from VoxelMorphLib.core.io.mgh import MGH_EXTENSIONS
from VoxelMorphLib.core.io.transforms import (
    SAMPLED,
    WRITABLE,
    check_transform_extension,
    kind_of,
    read_transform,
    read_voxel_warp,
    write_transform,
)
from VoxelMorphLib.core.transform import AffineTransform, DisplacementField, Transform

FIXED, MOVING = a_geometry("left-handed oblique"), a_geometry("LAS", (13, 15, 11))
MATRIX = np.eye(4)
MATRIX[:3, :3] = rotation((3, 1, 2), 12) * 1.07
MATRIX[:3, 3] = CENTRE - MATRIX[:3, :3] @ CENTRE + (0.3, -0.2, 0.5)
AFFINE = AffineTransform(MATRIX)
FIELD = DisplacementField(a_smooth_field(FIXED).astype(np.float32), FIXED)
TRANSFORMS = {
    "affine": AFFINE,
    "field": FIELD,
    "affine, then field": AFFINE.compose(FIELD),
    "field, then affine": FIELD.compose(AFFINE),
    "fields on two grids": FIELD.compose(AFFINE).compose(DisplacementField(a_smooth_field(MOVING, seed=1), MOVING)),
}
#: Formats of one matrix.
LINEAR = (".lta", ".mat")
TABLE = [(name, extension) for name in TRANSFORMS for extension in WRITABLE]
HELD = [(name, extension) for name, extension in TABLE if name == "affine" or extension not in LINEAR]
REFUSED = sorted(set(TABLE) - set(HELD))
TOLERANCE_MM = 0.01


def points() -> np.ndarray:
    """(..., 3), RAS mm: the voxel centres of the fixed grid, where fields are sampled."""
    return FIXED.points()[1:-1, 1:-1, 1:-1].reshape(-1, 3)


def miss_mm(mapped: np.ndarray, transform: Transform, places: np.ndarray) -> float:
    return float(np.linalg.norm(mapped - transform.apply_to_points(places), axis=-1).max())


def read_by_itk(path: Path) -> sitk.Transform:
    """As a user of SimpleITK reads it, with no help of ours."""
    if not path.name.endswith(tuple(READERS)):
        return sitk.ReadTransform(str(path))
    return sitk.DisplacementFieldTransform(sitk.Cast(sitk.ReadImage(str(path)), sitk.sitkVectorFloat64))


def mapped_by_itk(path: Path, places: np.ndarray) -> np.ndarray:
    transform = read_by_itk(path)
    lps = places * (-1, -1, 1)
    return np.array([transform.TransformPoint(point) for point in lps.tolist()]) * (-1, -1, 1)


def written(name: str, folder: Path, extension: str) -> Path:
    return write_transform(TRANSFORMS[name], folder / f"x{extension}", FIXED, MOVING)


@pytest.fixture(autouse=True)
def needs_nibabel(request: pytest.FixtureRequest) -> None:
    if getattr(request.node, "callspec", None) and request.node.callspec.params.get("extension") in MGH_EXTENSIONS:
        pytest.importorskip("nibabel")


def test_the_table_names_every_format():
    assert {*ITK_EXTENSIONS, *READERS, *MGH_EXTENSIONS, ".npz", *LINEAR} == set(WRITABLE)
    assert len(HELD) + len(REFUSED) == len(TRANSFORMS) * len(WRITABLE)


@pytest.mark.parametrize(("name", "extension"), HELD)
def test_what_is_written_is_read_back(tmp_path, name, extension):
    transform = TRANSFORMS[name]
    path = tmp_path / f"x{extension}"
    assert check_transform_extension(path, kind_of(transform)) == extension
    again = read_transform(written(name, tmp_path, extension))
    assert miss_mm(again.apply_to_points(points()), transform, points()) < TOLERANCE_MM
    assert isinstance(again, DisplacementField if extension in SAMPLED else type(transform))
    assert extension not in SAMPLED or again.geometry.matches(FIXED, 1e-4)


@pytest.mark.parametrize(
    ("name", "extension"), [pair for pair in HELD if pair[1] not in (".lta", ".npz", *MGH_EXTENSIONS)]
)
def test_itk_maps_the_same_points(tmp_path, name, extension):
    """Beyond a field ITK moves nothing, where we and Slicer continue its edge: points are taken from the middle."""
    places = FIXED.points()[3:-3, 3:-3, 3:-3].reshape(-1, 3)
    path = written(name, tmp_path, extension)
    assert miss_mm(mapped_by_itk(path, places), TRANSFORMS[name], places) < TOLERANCE_MM


@pytest.mark.parametrize("name", TRANSFORMS)
@pytest.mark.parametrize("extension", [".h5", ".tfm", ".nrrd", ".mha", ".nii.gz"])
def test_itk_resamples_the_same_image(tmp_path, name, extension):
    moving = a_blob_image(MOVING)
    images = [
        write_image(a_blob_image(grid), tmp_path / f"{number}.nrrd") for number, grid in enumerate((FIXED, MOVING))
    ]
    theirs = sitk.Resample(
        sitk.ReadImage(str(images[1])),
        sitk.ReadImage(str(images[0])),
        read_by_itk(written(name, tmp_path, extension)),
        sitk.sitkLinear,
        0.0,
        sitk.sitkFloat32,
    )
    sitk.WriteImage(theirs, str(tmp_path / "theirs.nrrd"))
    ours = TRANSFORMS[name].resample(moving, FIXED, background=0).array
    inside = (slice(3, -3),) * 3  # see above
    difference = np.abs(read_image(tmp_path / "theirs.nrrd").array - ours)[inside]
    assert ours[inside].std() > 5
    assert difference.max() < 1e-3 * np.ptp(moving.array)


@pytest.mark.parametrize("name", TRANSFORMS)
@pytest.mark.parametrize("extension", MGH_EXTENSIONS)
def test_nibabel_finds_three_frames_of_mm(tmp_path, name, extension):
    file = pytest.importorskip("nibabel").load(written(name, tmp_path, extension))
    centres = FIXED.points()
    assert np.abs(file.affine - FIXED.affine).max() < 1e-4
    assert miss_mm(centres + np.asarray(file.dataobj), TRANSFORMS[name], centres) < TOLERANCE_MM


@pytest.mark.parametrize("name", TRANSFORMS)
def test_an_archive_is_a_warp_of_the_original(tmp_path, name):
    path = written(name, tmp_path, ".npz")
    with np.load(path) as archive:
        voxels = archive["vol"]
    assert voxels.shape == (*FIXED.shape, 3)
    mapped = FIXED.voxel_to_world(np.moveaxis(np.indices(FIXED.shape), 0, -1) + voxels)
    assert miss_mm(mapped, TRANSFORMS[name], FIXED.points()) < TOLERANCE_MM
    assert np.abs(read_voxel_warp(path, FIXED).array - read_transform(path).array).max() < 1e-6


def test_an_lta_holds_the_grids_and_the_way_back(tmp_path):
    text = written("affine", tmp_path, ".lta").read_text()
    rows = text.partition("1 4 4\n")[2].splitlines()[:4]
    back = np.array([row.split() for row in rows], float)
    assert np.abs(back @ MATRIX - np.eye(4)).max() < 1e-9
    assert text.count("valid = 1") == 2


@pytest.mark.parametrize(("name", "extension"), REFUSED)
def test_what_a_format_cannot_hold_is_refused_before_and_at_the_end(tmp_path, name, extension):
    transform, path = TRANSFORMS[name], tmp_path / f"x{extension}"
    kind = kind_of(transform)
    sentence = (
        rf"x{extension}: {extension} cannot hold this transform \({kind}\), only affine\. Use one of \.h5, \.tfm,.*"
    )
    for attempt in (lambda: check_transform_extension(path, kind), lambda: written(name, tmp_path, extension)):
        with pytest.raises(OutputError, match=sentence) as caught:
            attempt()
        named = str(caught.value).partition("Use one of ")[2].rstrip(".").split(", ")
        assert set(named) == {able for able in WRITABLE if able not in LINEAR}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", [name for name in TRANSFORMS if name != "field"])
@pytest.mark.parametrize("extension", SAMPLED)
def test_sampling_needs_a_grid(tmp_path, name, extension):
    with pytest.raises(OutputError, match=r"has none. Give the grid of the fixed image, or use one of \.h5, \.tfm"):
        write_transform(TRANSFORMS[name], tmp_path / f"x{extension}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("extension", SAMPLED)
def test_a_field_is_sampled_on_another_grid(tmp_path, extension):
    again = read_transform(write_transform(FIELD, tmp_path / f"x{extension}", MOVING))
    assert again.geometry.matches(MOVING, 1e-4)
    assert miss_mm(again.apply_to_points(MOVING.points()), FIELD, MOVING.points()) < TOLERANCE_MM


def test_a_field_without_a_grid_keeps_its_own(tmp_path):
    again = read_transform(write_transform(FIELD, tmp_path / "x.npz"))
    assert again.geometry.matches(FIXED, 1e-9)


def test_an_archive_keeps_a_grid_of_one_layer(tmp_path):
    grid = Geometry((1, 6, 5), FIXED.affine)
    field = DisplacementField(np.random.default_rng(0).normal(0, 1, (1, 6, 5, 3)), grid)
    again = read_transform(write_transform(field, tmp_path / "x.npz"))
    assert again.geometry.shape == grid.shape
    assert np.abs(again.array - field.array).max() < 1e-5


@pytest.mark.parametrize(
    ("content", "error", "text"),
    [
        (
            {"vol": np.zeros((4, 5, 6))},
            GeometryError,
            r"holds float64 with the shape \(4, 5, 6\) instead of \(I, J, K, 3\)",
        ),
        ({"vol": np.full((4, 5, 6, 3), "a")}, GeometryError, r"is not a displacement field: it holds <U1"),
        ({"vol": np.full((4, 5, 6, 3), np.nan)}, GeometryError, r"x.npz: The displacement field holds 360 NaN"),
        ({"a": np.zeros(3), "b": np.zeros(3)}, ImageError, r"holds the arrays \['a', 'b'\]"),
    ],
)
def test_an_archive_that_is_no_field(tmp_path, content, error, text):
    np.savez(tmp_path / "x.npz", affine=np.eye(4), **content)
    with pytest.raises(error, match=text):
        read_transform(tmp_path / "x.npz")


def test_a_missing_package_is_noticed_before_the_work(monkeypatch):
    monkeypatch.setitem(sys.modules, "nibabel", None)
    with pytest.raises(DependencyError, match=r"x.mgz needs the Python package nibabel"):
        check_transform_extension("x.mgz", "composite")


@pytest.mark.parametrize(
    ("name", "extension"),
    [pair for pair in HELD if pair[1] in (".h5", ".tfm", ".mat", ".nii.gz", ".nii", ".nrrd", ".mha")],
)
def test_ants_resamples_the_same_image(tmp_path, name, extension):
    ants = pytest.importorskip("ants")
    fixed, moving = (
        ants.image_read(str(write_image(a_blob_image(grid), tmp_path / f"{n}.nii.gz")))
        for n, grid in enumerate((FIXED, MOVING))
    )
    theirs = ants.apply_transforms(fixed, moving, [str(written(name, tmp_path, extension))], "linear").numpy()
    ours = TRANSFORMS[name].resample(a_blob_image(MOVING), FIXED, background=0).array
    inside = (slice(3, -3),) * 3
    assert np.abs(theirs - ours)[inside].max() < 1e-3 * np.ptp(ours)
