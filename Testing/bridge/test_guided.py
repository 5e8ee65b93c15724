"""Landmarks and structures of nodes as guides of a registration: read where the volumes are, paired by name."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")

from support.known_registration import a_rigid_matrix
from support.mrml_nodes import add_linear_parent, add_points, add_volume, map_from_world
from support.segmentations import add_segmentation
from support.volumes import CENTRE, a_blob_image, a_geometry, a_label_map
from VoxelMorphLib.bridge.actions.guides import Marked
from VoxelMorphLib.bridge.scene.volume_nodes import image_from_node
from VoxelMorphLib.core.config import RegistrationOptions
from VoxelMorphLib.core.errors import ConfigError, ImageError
from VoxelMorphLib.core.image import LabelMap

GRID = a_geometry("RAS", (20, 18, 16))
PLACES = CENTRE + np.array([[0.0, 0, 0], [8, 0, 0], [0, 8, 0], [0, 0, 8], [5, 5, 5]])


@pytest.fixture
def pair(scene):
    return add_volume(a_blob_image(GRID), "fixed"), add_volume(a_blob_image(GRID), "moving")


def test_landmarks_start_a_registration_of_nodes(logic, pair):
    turned = a_rigid_matrix(20, (2.0, -1.5, 1.0))
    moving = PLACES @ turned[:3, :3].T + turned[:3, 3]
    options = RegistrationOptions(affine="landmarks-rigid")
    marked = {"fixedLandmarks": add_points("f", PLACES), "movingLandmarks": add_points("m", moving)}
    nodes = logic.register(*pair, "linear", options, **marked)
    np.testing.assert_allclose(map_from_world(nodes["forward"], PLACES), moving, atol=1e-4)
    assert nodes["forward"].GetAttribute("VoxelMorph.Affine") == "landmarks-rigid"


def test_landmarks_pull_a_registration_of_nodes(logic, pair):
    moving = PLACES + [3.0, 0, 0]
    marked = {"fixedLandmarks": add_points("f", PLACES), "movingLandmarks": add_points("m", moving)}
    options = RegistrationOptions(affine="none", landmark_weight=10)
    errors = []
    for guides in ({}, marked):
        nodes = logic.register(*pair, "optimise", options, **guides)
        errors.append(np.linalg.norm(map_from_world(nodes["forward"], PLACES) - moving, axis=1).mean())
    assert errors[1] < 0.5 * errors[0]


def test_what_lies_under_the_initial_transform_is_read_where_it_was(logic, pair, worker_jobs):
    parent = add_linear_parent(pair[1], a_rigid_matrix(0, (5.0, 0, 0)))
    points = add_points("m", PLACES)
    points.SetAndObserveTransformNodeID(parent.GetID())
    logic.register.steps(
        *pair, "optimise", initialNode=parent, fixedLandmarks=add_points("f", PLACES), movingLandmarks=points
    )
    np.testing.assert_allclose(worker_jobs[0].moving_landmarks, PLACES, atol=1e-9)


@pytest.fixture
def worker_jobs(monkeypatch):
    """The requests that are made."""
    from VoxelMorphLib.bridge.actions import register

    made, replace = [], register.replace
    monkeypatch.setattr(register, "replace", lambda *args, **fields: made.append(replace(*args, **fields)) or made[-1])
    return made


def test_structures_are_paired_by_name_and_numbered_alike(scene, pair):
    labels = a_label_map(GRID)
    fixed = add_segmentation("f", [labels], [("a", "Outer", 0, 2), ("b", "Inner", 0, 53), ("c", "Alone", 0, 17)])
    swapped = LabelMap(np.select([labels.array == 2, labels.array == 53], [53, 2], 0).astype(np.int16), GRID)
    moving = add_segmentation("m", [swapped], [("x", "inner ", 0, 2), ("y", "outer", 0, 53)])
    images = [image_from_node(node) for node in pair]
    fields = Marked(fixed_structures=fixed, moving_structures=moving).read(*images, (), ())
    assert list(fields["fixed_labels"].labels()) == list(fields["moving_labels"].labels()) == [1, 2]
    expected = np.select([labels.array == 2, labels.array == 53], [1, 2], 0)
    np.testing.assert_array_equal(fields["fixed_labels"].array, expected)
    np.testing.assert_array_equal(fields["moving_labels"].array, expected)


def test_what_cannot_guide_is_refused(logic, pair, scene):
    points = add_points("points", PLACES)
    with pytest.raises(ImageError, match=r"points cannot pull alone. Choose the moving landmarks too"):
        logic.register(*pair, fixedLandmarks=points)
    labels = a_label_map(GRID)
    one = add_segmentation("one", [labels], [("a", "Outer", 0, 2)])
    other = add_segmentation("other", [labels], [("a", "Else", 0, 17)])
    with pytest.raises(ImageError, match="one and other have no structure in common"):
        logic.register(*pair, fixedSegmentation=one, movingSegmentation=other)
    with pytest.raises(ImageError, match="points has 5 placed points and few 2"):
        logic.register(*pair, fixedLandmarks=points, movingLandmarks=add_points("few", PLACES[:2]))
    with pytest.raises(ConfigError, match="landmarks would not be used"):
        logic.register(
            *pair, "linear", RegistrationOptions(affine="rigid"), fixedLandmarks=points, movingLandmarks=points
        )
