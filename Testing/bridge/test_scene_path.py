"""Paths along transform nodes: both directions of one registration, as VTK or as plain fields."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")

import vtk
from support.known_registration import a_rigid_matrix, known_forward, known_registration
from support.mrml_nodes import add_linear_parent, map_points
from support.volumes import CENTRE
from VoxelMorphLib.bridge.scene.result_nodes import write_registration
from VoxelMorphLib.bridge.scene.scene_path import ScenePath
from VoxelMorphLib.bridge.scene.transform_nodes import VtkTransform, transform_from_node, transform_to_node
from VoxelMorphLib.bridge.scene.volume_nodes import volume_geometry

POINTS = CENTRE + np.random.default_rng(0).uniform(-9, 9, (12, 3))


def test_a_partner_counts_only_while_both_belong_together(scene, volumes, registered):
    forward, inverse = registered["forward"], registered["inverse"]
    way_back, way_there = ScenePath(forward, inverse=True), ScenePath(inverse, inverse=True)
    assert way_back.stored_node() is inverse and way_there.stored_node() is forward
    add_linear_parent(inverse, a_rigid_matrix(3, 1))
    assert way_back.stored_node() is None and way_there.stored_node() is None
    inverse.SetAndObserveTransformNodeID(None)
    fixed, moving = volumes
    write_registration(known_registration(fixed, moving, 0.5), fixed, moving, {"inverse": inverse})
    assert way_back.stored_node() is None, "the inverse belongs to another registration now"
    scene.RemoveNode(inverse)
    assert way_back.stored_node() is None


def test_a_captured_path_needs_no_vtk_in_either_direction(scene, registered):
    alone = transform_to_node(known_forward(), name="alone")
    grid = volume_geometry(registered["moved"])
    forward = ScenePath(alone).captured(grid)
    with pytest.warns(UserWarning, match="The inverse of alone is searched numerically"):
        back = ScenePath(alone, inverse=True).captured(grid)
    assert not any(isinstance(transform, VtkTransform) for transform in (forward, back))
    assert np.abs(back.apply_to_points(forward.apply_to_points(POINTS)) - POINTS).max() < 0.1


def test_the_path_through_vtk_agrees_with_the_library(registered):
    transform = ScenePath(registered["forward"]).through_vtk()
    exact = transform_from_node(registered["forward"])
    assert np.abs(transform.apply_to_points(POINTS) - exact.apply_to_points(POINTS)).max() < 0.01
    assert np.abs(transform.inverse().apply_to_points(transform.apply_to_points(POINTS)) - POINTS).max() < 0.05
    translation = vtk.vtkTransform()
    translation.Translate(1, 2, 3)
    np.testing.assert_allclose(VtkTransform(translation).apply_to_points(POINTS), POINTS + (1, 2, 3))
    np.testing.assert_allclose(map_points(translation, POINTS), POINTS + (1, 2, 3))
