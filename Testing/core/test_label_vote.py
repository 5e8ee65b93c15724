"""Labels between voxels: the largest of the linearly interpolated masks wins, whatever the number of labels."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import map_coordinates
from support.volumes import GEOMETRIES, a_blob_image, a_geometry, a_label_map, a_smooth_field
from VoxelMorphLib.core.errors import ConfigError
from VoxelMorphLib.core.geometry import Geometry
from VoxelMorphLib.core.image import LabelMap
from VoxelMorphLib.core.label_vote import most_of
from VoxelMorphLib.core.transform import IDENTITY, DisplacementField


def masks_compared(labels: np.ndarray, voxels: np.ndarray) -> np.ndarray:
    """The same by interpolating the mask of every label: (N,) of (N, 3)."""
    numbers = np.unique(labels)
    shares = [map_coordinates((labels == n).astype(float), voxels.T, order=1, mode="nearest") for n in numbers]
    return numbers[np.argmax(np.round(shares, 9), axis=0)]


def test_it_is_the_argmax_of_interpolated_masks():
    rng = np.random.default_rng(0)
    labels = rng.choice([0, 3, 4, 2**40, -7], (6, 5, 4))
    voxels = rng.uniform(-1, 7, (4000, 3))
    assert (most_of(labels, voxels) == masks_compared(labels, voxels)).all()


def test_of_equal_shares_the_smallest_label_is_taken_from_either_side():
    labels = np.zeros((4, 1, 1), int)
    labels[2:] = 5
    halves = np.array([[1.5, 0, 0]])
    assert most_of(labels, halves) == most_of(labels[::-1], halves) == 0


@pytest.mark.parametrize("name", GEOMETRIES)
def test_label_maps_are_smoother_than_by_nearest_neighbour(name):
    coarse = a_label_map(a_geometry(name, (10, 9, 8), 3.0))
    fine = a_geometry("RAS", (40, 40, 40), 0.5)
    truth, field = a_label_map(fine).array, DisplacementField(np.zeros((*fine.shape, 3)), fine)
    voted, nearest = (field.resample(coarse, fine, rule).array for rule in ("multilabel", "nearest"))
    assert set(np.unique(voted)) <= {0, 2, 17, 53} and voted.dtype == coarse.array.dtype
    assert (voted == truth).mean() > (nearest == truth).mean() + 0.01


def test_no_label_appears_between_others_and_outside_is_background():
    grid = a_geometry()
    labels = LabelMap(np.full(grid.shape, 9), grid)
    moved = DisplacementField(a_smooth_field(grid, 4.0), grid).resample(labels, grid, "multilabel").array
    assert set(np.unique(moved)) == {0, 9}
    far = Geometry(grid.shape, np.array([[1, 0, 0, 500], *np.eye(4)[1:]]) @ grid.affine)
    assert not IDENTITY.resample(labels, far, "multilabel").array.any()


def test_images_cannot_be_voted_about():
    image = a_blob_image(a_geometry())
    with pytest.raises(ConfigError, match="blobs is no label map, which the interpolation multilabel needs"):
        IDENTITY.resample(image, image.geometry, "multilabel")
