"""Transforms that have to be sampled are looked at in few places, however large the volume is."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")

import vtk
from support.mrml_nodes import map_points
from support.volumes import a_geometry, any_geometry  # noqa: F401
from VoxelMorphLib.bridge.scene import transform_nodes
from VoxelMorphLib.bridge.scene.transform_nodes import transform_from_node
from VoxelMorphLib.core.geometry import Geometry


@pytest.fixture
def a_bent_node(scene):
    """A thin-plate spline with a linear part, as landmarks make it."""
    places = a_geometry("RAS", (40, 40, 40), 1.0).corners()
    source, target = vtk.vtkPoints(), vtk.vtkPoints()
    for number, place in enumerate(places):
        source.InsertNextPoint(place)
        target.InsertNextPoint(1.1 * place + 3 * np.sin([number, 2 * number, 3 * number]))
    spline = vtk.vtkThinPlateSplineTransform()
    spline.SetSourceLandmarks(source)
    spline.SetTargetLandmarks(target)
    spline.SetBasisToR()
    node = scene.AddNewNodeByClass("vtkMRMLTransformNode", "spline")
    node.SetAndObserveTransformFromParent(spline)
    return node


def test_the_coarse_field_follows_the_transform(a_bent_node, any_geometry: Geometry, monkeypatch):  # noqa: F811
    geometry = any_geometry.with_spacing(any_geometry.spacing / 2)
    monkeypatch.setattr(transform_nodes, "SAMPLED_VOXELS", np.prod(geometry.shape) // 8)
    field = transform_from_node(a_bent_node, geometry)
    assert field.array[..., 0].size < np.prod(geometry.shape) / 2
    from_world = vtk.vtkGeneralTransform()
    a_bent_node.GetTransformFromWorld(from_world)
    points = geometry.points()
    error = np.linalg.norm(field.apply_to_points(points) - map_points(from_world, points), axis=-1)
    assert error.max() < 0.1


def test_small_grids_are_sampled_at_their_voxels(a_bent_node):
    geometry = a_geometry("oblique", (8, 9, 10))
    assert transform_from_node(a_bent_node, geometry).geometry.matches(geometry)
