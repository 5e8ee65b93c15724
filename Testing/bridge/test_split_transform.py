"""The linear and the deformable part of a transform as two nodes that together do what one did."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")

import slicer
from support.known_registration import a_rigid_matrix, known_forward, known_registration
from support.mrml_nodes import add_linear_parent, map_from_world
from support.volumes import CENTRE
from VoxelMorphLib.bridge.logic import VoxelMorphLogic
from VoxelMorphLib.bridge.scene.placement import matrix_to_world, space_to_world
from VoxelMorphLib.bridge.scene.result_nodes import write_registration
from VoxelMorphLib.bridge.scene.transform_nodes import transform_to_node
from VoxelMorphLib.core.errors import OutputError
from VoxelMorphLib.core.transform import AffineTransform, CompositeTransform, DisplacementField, split_linear

POINTS = CENTRE + np.random.default_rng(0).uniform(-9, 9, (12, 3))
LINEAR = AffineTransform(a_rigid_matrix(3, 1))


@pytest.fixture
def bent():
    known = known_forward()
    return known if isinstance(known, DisplacementField) else known.transforms[0]


def test_both_parts_in_a_row_are_the_transform(bent):
    for whole in (
        CompositeTransform((bent, LINEAR)),
        CompositeTransform((LINEAR, bent)),
        CompositeTransform((LINEAR, bent, LINEAR)),
    ):
        first, last = split_linear(whole)
        assert isinstance(first, AffineTransform) != isinstance(last, AffineTransform)
        np.testing.assert_allclose(last.apply_to_points(first.apply_to_points(POINTS)), whole.apply_to_points(POINTS))
    for alone in (bent, LINEAR, CompositeTransform((bent, bent))):
        assert split_linear(alone) is None


def test_what_lies_under_the_linear_node_lands_as_before(scene, bent):
    whole = transform_to_node(CompositeTransform((bent, LINEAR)), name="whole")
    linear, deformable = VoxelMorphLogic().splitTransform(whole)
    assert (linear.GetName(), deformable.GetName()) == ("whole linear", "whole deformable")
    assert isinstance(linear, slicer.vtkMRMLLinearTransformNode)
    assert isinstance(deformable, slicer.vtkMRMLGridTransformNode)
    assert linear.GetParentTransformNode() is deformable
    assert deformable.GetParentTransformNode() is None
    np.testing.assert_allclose(map_from_world(linear, POINTS), map_from_world(whole, POINTS), atol=1e-3)


@pytest.mark.parametrize("inverse", [False, True])
def test_a_registration_under_parents_is_split_in_both_directions(scene, volumes, inverse):
    fixed, moving = volumes
    add_linear_parent(moving, a_rigid_matrix(5, 2))
    nodes = write_registration(known_registration(fixed, moving), fixed, moving)
    whole = nodes["inverse" if inverse else "forward"]
    inner, outer = VoxelMorphLogic().splitTransform(nodes["forward"], inverse=inverse)
    assert inner.GetName() == f"{whole.GetName()} {'deformable' if inverse else 'linear'}"
    assert inner.GetParentTransformNode() is outer
    np.testing.assert_allclose(map_from_world(inner, POINTS), map_from_world(whole, POINTS), atol=1e-3)
    np.testing.assert_array_equal(space_to_world(inner), space_to_world(whole))
    volume = fixed if inverse else moving
    assert inner.GetNodeReference(inner.GetMovingNodeReferenceRole()) is volume
    before = matrix_to_world(volume)
    volume.SetAndObserveTransformNodeID(inner.GetID())
    np.testing.assert_allclose(matrix_to_world(volume, inner), before, atol=1e-9)


@pytest.mark.parametrize(("part", "kind"), [("linear", "linear"), ("bent", "deformable")])
def test_a_transform_of_one_part_is_refused(scene, bent, part, kind):
    node = transform_to_node(LINEAR if part == "linear" else bent, name="alone")
    count = scene.GetNumberOfNodes()
    with pytest.raises(OutputError, match=f"alone is {kind} alone"):
        VoxelMorphLogic().splitTransform(node)
    with pytest.raises(OutputError, match="No node holds the inverse of alone"):
        VoxelMorphLogic().splitTransform(node, inverse=True)
    assert scene.GetNumberOfNodes() == count
