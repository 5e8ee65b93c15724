"""HDF5 transforms in their own precision: ITK reads the same map, from half of the bytes."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from support.volumes import CENTRE, a_geometry, a_smooth_field
from VoxelMorphLib.core.errors import OutputError
from VoxelMorphLib.core.geometry import Geometry
from VoxelMorphLib.core.io import itk_transforms
from VoxelMorphLib.core.io.transforms import read_transform, write_transform
from VoxelMorphLib.core.transform import AffineTransform, DisplacementField

pytest.importorskip("h5py")

BENT = np.array([[1.02, 0.03, 0, 1], [-0.03, 0.97, 0.01, -2], [0, 0, 1, 0.5], [0, 0, 0, 1]])


def a_field(geometry: Geometry, precision: type = np.float32) -> DisplacementField:
    return DisplacementField(a_smooth_field(geometry).astype(precision), geometry)


def made(kind: str, geometry: Geometry):
    field, affine = a_field(geometry), AffineTransform(BENT)
    several = field.compose(affine).compose(a_field(geometry, np.float64))
    return {"affine": affine, "field": field, "two": field.compose(affine), "three": several}[kind]


@pytest.mark.parametrize("kind", ["affine", "field", "two", "three"])
def test_itk_maps_points_as_we_do(tmp_path, any_geometry, kind):
    transform = made(kind, any_geometry)
    by_itk = sitk.ReadTransform(str(write_transform(transform, tmp_path / "x.h5")))
    points = CENTRE + np.random.default_rng(3).uniform(-2, 2, (50, 3))
    mapped = np.array([by_itk.TransformPoint(point) for point in (points * (-1, -1, 1)).tolist()]) * (-1, -1, 1)
    assert np.abs(mapped - transform.apply_to_points(points)).max() < 1e-5


def test_the_numbers_come_back_unchanged(tmp_path, any_geometry):
    field = a_field(any_geometry)
    again = read_transform(write_transform(field, tmp_path / "x.h5"))
    assert np.array_equal(again.array, field.array)
    assert again.geometry.matches(any_geometry)


def test_both_writers_say_the_same(tmp_path, monkeypatch):
    transform = made("two", a_geometry("oblique"))
    ours = sitk.ReadTransform(str(write_transform(transform, tmp_path / "ours.h5")))
    monkeypatch.setattr(itk_transforms, "can_write_hdf5", lambda: False)
    itks = sitk.ReadTransform(str(write_transform(transform, tmp_path / "itks.h5")))
    assert ours.GetNumberOfTransforms() == itks.GetNumberOfTransforms() == 2
    for number in range(2):
        a, b = ours.GetNthTransform(number), itks.GetNthTransform(number)
        assert a.GetName() == b.GetName()
        assert np.allclose(a.GetParameters(), b.GetParameters(), rtol=0, atol=1e-12)
        assert np.allclose(a.GetFixedParameters(), b.GetFixedParameters(), rtol=0, atol=1e-9)


def test_a_field_takes_its_own_bytes_and_no_more_memory(tmp_path):
    grid = Geometry((64, 64, 64), np.eye(4))
    field = DisplacementField(np.ones((*grid.shape, 3), np.float32), grid)
    tracemalloc.start()
    path = write_transform(field, tmp_path / "x.h5")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert path.stat().st_size < 1.02 * field.array.nbytes
    assert peak < 0.2 * field.array.nbytes


@pytest.mark.parametrize(
    "failure", [RuntimeError("Can't decrement id ref count"), OSError(28, "No space left on device")]
)
def test_a_failure_of_hdf5_is_one_sentence_and_leaves_nothing(tmp_path, monkeypatch, failure):
    def fail(*_arguments):
        raise failure

    monkeypatch.setattr(itk_transforms, "write_hdf5", fail)
    with pytest.raises(OutputError, match=r"x\.h5 could not be written"):
        write_transform(AffineTransform(BENT), tmp_path / "x.h5")
    assert list(tmp_path.iterdir()) == []
