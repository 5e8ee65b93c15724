"""Transform nodes of the real scene: the same points, the same resampling, before and after saving."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")

import slicer
import vtk
from support.mrml_nodes import add_linear_parent, add_volume, map_from_world, map_points, reslice
from support.volumes import (
    CENTRE,
    GEOMETRIES,
    a_blob_image,
    a_geometry,
    a_label_map,
    a_smooth_field,
    any_geometry,  # noqa: F401
    rotation,
    smooth_displacement,
)
from VoxelMorphLib.bridge.scene import transform_nodes
from VoxelMorphLib.bridge.scene.transform_nodes import grid_from_field, transform_from_node, transform_to_node
from VoxelMorphLib.bridge.scene.volume_nodes import image_to_node
from VoxelMorphLib.core.errors import GeometryError, OutputError
from VoxelMorphLib.core.geometry import Geometry
from VoxelMorphLib.core.transform import AffineTransform, CompositeTransform, DisplacementField


def a_matrix(shift=(3.0, -2.0, 1.0), angle_deg=12.0):
    matrix = np.eye(4)
    matrix[:3, :3] = rotation((1, -1, 2), angle_deg)
    matrix[:3, 3] = CENTRE - matrix[:3, :3] @ CENTRE + shift
    return matrix


def a_field(name="oblique", amplitude_mm=2.0):
    geometry = a_geometry(name)
    return DisplacementField(a_smooth_field(geometry, amplitude_mm), geometry)


def all_kinds(name):
    field, affine = a_field(name), AffineTransform(a_matrix())
    return {
        "vtkMRMLLinearTransformNode": affine,
        "vtkMRMLGridTransformNode": field,
        "vtkMRMLTransformNode": CompositeTransform((field, affine)),
    }


@pytest.mark.parametrize("name", GEOMETRIES)
@pytest.mark.parametrize("node_class", all_kinds("RAS"))
def test_nodes_map_points_as_the_transform_does(scene, name, node_class):
    transform = all_kinds(name)[node_class]
    node = transform_to_node(transform, name="forward")
    assert (node.GetClassName(), node.GetName()) == (node_class, "forward")
    points = a_geometry(name).points()
    assert np.abs(map_from_world(node, points) - transform.apply_to_points(points)).max() < 1e-3


@pytest.mark.parametrize("order", [(0, 1), (1, 0), (0, 1, 0)])
def test_composites_are_applied_first_to_last(scene, order):
    parts = (AffineTransform(a_matrix()), a_field("RAS"))
    transform = CompositeTransform(tuple(parts[index] for index in order))
    points = a_geometry("RAS").points()[4:-4, 4:-4, 4:-4]
    mapped = map_from_world(transform_to_node(transform), points)
    # Between voxels the node interpolates by cubic, the field by linear polynomials.
    assert np.abs(mapped - transform.apply_to_points(points)).max() < 0.03


def test_fields_are_stored_from_parent_with_cubic_interpolation(scene):
    grid = transform_to_node(a_field()).GetTransformFromParent()
    assert grid.GetClassName() == "vtkOrientedGridTransform" and not grid.GetInverseFlag()
    assert grid.GetInterpolationModeAsString() == "Cubic"


def test_fields_keep_their_precision_and_are_copied(scene):
    field = a_field()
    small = DisplacementField(field.array.astype(np.float32), field.geometry)
    for source, kind in ((field, vtk.VTK_DOUBLE), (small, vtk.VTK_FLOAT)):
        node = transform_to_node(source)
        grid = node.GetTransformFromParent().GetDisplacementGrid()
        assert grid.GetScalarType() == kind
        slicer.util.arrayFromGridTransform(node)[:] = 0
        assert np.abs(source.array).max() > 1


def test_outside_the_grid_the_edge_continues_as_in_the_field(scene):
    field = a_field("oblique")
    far = CENTRE + np.array([[200.0, 0, 0], [0, -300, 100]])
    assert np.abs(map_from_world(transform_to_node(field), far) - field.apply_to_points(far)).max() < 1e-3


@pytest.mark.parametrize("name", GEOMETRIES)
@pytest.mark.parametrize("node_class", all_kinds("RAS"))
def test_slicer_resamples_as_we_do(scene, application, name, node_class):
    transform, geometry = all_kinds(name)[node_class], a_geometry(name)
    image = a_blob_image(a_geometry("LAS", (20, 18, 16)), dtype="float64")
    expected = transform.resample(image, geometry, background=0).array
    moving, fixed = add_volume(image), add_volume(a_blob_image(geometry))
    moving.SetAndObserveTransformNodeID(transform_to_node(transform).GetID())
    inside = np.zeros(geometry.shape, bool)
    inside[2:-2, 2:-2, 2:-2] = True
    assert np.abs(reslice(moving, fixed) - expected)[inside].max() < 0.01
    by_logic = application.logics["Volumes"].ResampleVolumeToReferenceVolume(moving, fixed)
    array = slicer.util.arrayFromVolume(by_logic).transpose(2, 1, 0)
    assert np.abs(array - expected)[inside].max() < 0.01


@pytest.mark.parametrize("name", GEOMETRIES)
def test_slicer_moves_labels_as_we_do(scene, name):
    geometry = a_geometry(name, (28, 24, 20), 1.0)
    field = DisplacementField(a_smooth_field(geometry), geometry)
    transform = CompositeTransform((field, AffineTransform(a_matrix())))
    labels = a_label_map(a_geometry("LAS", (30, 28, 26), 1.0))
    expected = transform.resample(labels, geometry).array
    moving, fixed = image_to_node(labels), add_volume(a_blob_image(geometry))
    moving.SetAndObserveTransformNodeID(transform_to_node(transform).GetID())
    assert (reslice(moving, fixed, "nearest") == expected).mean() >= 0.999
    assert len(np.unique(expected)) == 4


@pytest.mark.parametrize("node_class", all_kinds("RAS"))
def test_saving_and_reloading_keeps_every_point(scene, application, tmp_path, node_class):
    transform = all_kinds("left-handed oblique")[node_class]
    node = transform_to_node(transform)
    storage = slicer.vtkMRMLTransformStorageNode()
    storage.SetFileName(str(tmp_path / "forward.h5"))
    assert storage.WriteData(node)
    reloaded = application.logics["Transforms"].AddTransform(storage.GetFileName(), scene)
    assert reloaded.GetClassName() == node_class
    points = CENTRE + np.random.default_rng(0).uniform(-20, 20, (500, 3))
    assert np.abs(map_from_world(reloaded, points) - map_from_world(node, points)).max() < 1e-5
    assert (
        np.abs(transform_from_node(reloaded).apply_to_points(points) - transform.apply_to_points(points)).max() < 1e-5
    )


def test_the_inverse_node_undoes_the_forward_node(scene):
    field = DisplacementField(
        a_smooth_field(a_geometry("oblique", (28, 24, 20), 1.0)), a_geometry("oblique", (28, 24, 20), 1.0)
    )
    transform = CompositeTransform((field, AffineTransform(a_matrix((0.5, 0, 0), 3))))
    forward, inverse = transform_to_node(transform), transform_to_node(transform.inverse())
    points = CENTRE + np.random.default_rng(0).uniform(-5, 5, (500, 3))
    assert np.abs(map_from_world(inverse, map_from_world(forward, points)) - points).max() < 0.1
    to_world = vtk.vtkGeneralTransform()
    forward.GetTransformToWorld(to_world)
    assert np.abs(map_from_world(inverse, points) - map_points(to_world, points)).max() < 0.1


@pytest.mark.parametrize("name", GEOMETRIES)
@pytest.mark.parametrize("node_class", all_kinds("RAS"))
def test_nodes_give_their_transform_back(scene, name, node_class):
    transform = all_kinds(name)[node_class]
    read = transform_from_node(transform_to_node(transform))
    assert type(read) is type(transform)
    points = CENTRE + np.random.default_rng(0).uniform(-30, 30, (200, 3))
    assert np.abs(read.apply_to_points(points) - transform.apply_to_points(points)).max() < 1e-6


def test_parents_of_a_transform_node_come_first(scene):
    node = transform_to_node(a_field("oblique"))
    parent = add_linear_parent(node, a_matrix())
    add_linear_parent(parent, a_matrix((0, 4, 0), 5))
    read = transform_from_node(node)
    assert [type(part) for part in read.transforms] == [AffineTransform, DisplacementField]
    points = CENTRE + np.random.default_rng(0).uniform(-6, 6, (200, 3))
    to_parents = np.linalg.inv(a_matrix((0, 4, 0), 5) @ a_matrix())
    expected = a_field("oblique").apply_to_points(points @ to_parents[:3, :3].T + to_parents[:3, 3])
    assert np.abs(read.apply_to_points(points) - expected).max() < 1e-9


@pytest.mark.parametrize("node_class", all_kinds("RAS"))
def test_a_new_node_is_the_identity(scene, node_class):
    read = transform_from_node(scene.AddNewNodeByClass(node_class))
    points = a_geometry("RAS").points()
    np.testing.assert_allclose(read.apply_to_points(points), points, rtol=1e-12)


def test_scaled_integer_grids_without_axes_are_read(scene):
    """Plain VTK grids may store integers with a scale; they have no direction matrix."""
    data = vtk.vtkImageData()
    data.SetExtent(2, 6, 1, 4, 0, 3)
    data.SetSpacing(2, 3, 4)
    data.AllocateScalars(vtk.VTK_SHORT, 3)
    stored = vtk.util.numpy_support.vtk_to_numpy(data.GetPointData().GetScalars())
    stored[:] = np.random.default_rng(0).integers(-100, 100, stored.shape)
    grid = vtk.vtkGridTransform()
    grid.SetDisplacementGridData(data)
    grid.SetDisplacementScale(0.01)
    grid.SetDisplacementShift(0.5)
    node = scene.AddNewNodeByClass("vtkMRMLTransformNode")
    node.SetAndObserveTransformFromParent(grid)
    read = transform_from_node(node)
    points = read.geometry.points()
    np.testing.assert_allclose(points[0, 0, 0], (4, 3, 0))
    assert np.abs(read.apply_to_points(points) - map_points(grid, points)).max() < 1e-5


def a_spline():
    spline = vtk.vtkThinPlateSplineTransform()
    landmarks = [vtk.vtkPoints(), vtk.vtkPoints()]
    for point in CENTRE + np.array([[0, 0, 0], [9, 0, 0], [0, 9, 0], [0, 0, 9], [5, 5, 5]], float):
        landmarks[0].InsertNextPoint(point)
        landmarks[1].InsertNextPoint(point + smooth_displacement(point))
    spline.SetSourceLandmarks(landmarks[0])
    spline.SetTargetLandmarks(landmarks[1])
    spline.SetBasisToR()
    return spline


def test_other_transforms_need_a_geometry_and_are_sampled(scene):
    geometry = a_geometry("oblique")
    node = scene.AddNewNodeByClass("vtkMRMLTransformNode", "landmarks")
    node.SetAndObserveTransformFromParent(a_spline())
    with pytest.raises(GeometryError, match="landmarks holds a vtkThinPlateSplineTransform that is not a matrix"):
        transform_from_node(node)
    sampled = transform_from_node(node, geometry)
    points = geometry.points()
    assert np.abs(sampled.apply_to_points(points) - map_from_world(node, points)).max() < 1e-5


def test_grids_stored_to_parent_are_sampled(scene):
    geometry = a_geometry("LPS")
    node = scene.AddNewNodeByClass("vtkMRMLGridTransformNode", "to parent")
    node.SetAndObserveTransformToParent(grid_from_field(a_field("LPS")))
    with pytest.raises(GeometryError, match="to parent holds a vtkOrientedGridTransform that is not"):
        transform_from_node(node)
    sampled = transform_from_node(node, geometry)
    inner = geometry.points()[4:-4, 4:-4, 4:-4]
    assert np.abs(a_field("LPS").apply_to_points(sampled.apply_to_points(inner)) - inner).max() < 0.1


def test_sheared_grids_are_refused(scene):
    grid = grid_from_field(a_field())
    sheared = np.eye(4)
    sheared[0, 1] = 0.5
    grid.SetGridDirectionMatrix(slicer.util.vtkMatrixFromArray(sheared))
    node = scene.AddNewNodeByClass("vtkMRMLGridTransformNode", "skewed")
    node.SetAndObserveTransformFromParent(grid)
    with pytest.raises(GeometryError, match=r"skewed cannot be used: .*sheared"):
        transform_from_node(node)


def test_matrices_without_inverse_are_refused(scene):
    node = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "flat")
    flat = vtk.vtkTransform()
    flat.Scale(1, 1, 1e-13)
    node.SetAndObserveTransformFromParent(flat)
    with pytest.raises(GeometryError, match=r"flat cannot be used: .*cannot be inverted"):
        transform_from_node(node)


@pytest.mark.parametrize("before", ["vtkMRMLTransformNode", "vtkMRMLGridTransformNode", "vtkMRMLLinearTransformNode"])
def test_existing_nodes_are_replaced_and_leave_their_parent(scene, before):
    node = scene.AddNewNodeByClass(before, "output")
    if before != "vtkMRMLLinearTransformNode":
        transform_to_node(a_field("RAS"), node)
    add_linear_parent(node, a_matrix())
    transform = AffineTransform(a_matrix((0, 0, 4)))
    assert transform_to_node(transform, node) is node
    assert node.GetParentTransformNode() is None and node.IsLinear()
    matrix = vtk.vtkMatrix4x4()
    node.GetMatrixTransformFromParent(matrix)
    np.testing.assert_allclose(slicer.util.arrayFromVTKMatrix(matrix), transform.matrix)


def test_linear_nodes_refuse_fields(scene):
    node = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "output")
    with pytest.raises(OutputError, match="output is a linear transform node and cannot hold a displacement field"):
        transform_to_node(a_field(), node)
    assert node.IsLinear()


def test_the_matrix_of_a_written_linear_node_can_be_edited(scene):
    node = transform_to_node(AffineTransform(a_matrix()))
    assert node.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(np.diag([2.0, 2, 2, 1])))
    assert np.allclose(map_from_world(node, np.array([[2.0, 4, 6]])), [[1, 2, 3]])


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
