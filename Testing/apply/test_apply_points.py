"""Points, surfaces and streamlines go the opposite way of volumes, and their files keep what else they hold."""

from __future__ import annotations

import json

import nibabel
import numpy as np
import pytest
from support.chains import a_field, an_affine, chain_called, chains, moved_by_itk
from support.volumes import CENTRE, GEOMETRIES, a_geometry
from VoxelMorphLib.apply.apply import apply, apply_transform
from VoxelMorphLib.apply.chain import Chain, Link
from VoxelMorphLib.apply.request import ApplyRequest, read_moved, write_moved
from VoxelMorphLib.core.errors import ImageError, OutputError
from VoxelMorphLib.core.io.moved_points import write_points
from VoxelMorphLib.core.io.points import read_points
from VoxelMorphLib.core.io.streamlines import Streamlines
from VoxelMorphLib.core.landmarks import Points
from VoxelMorphLib.core.transform import DisplacementField

vtk = pytest.importorskip("vtk", reason="vtk is not installed")

SIGNS = np.array([-1.0, -1.0, 1.0])
SURFACES = (".vtk", ".vtp", ".stl", ".ply", ".obj")


def places(count: int = 40, spread_mm: float = 9.0) -> np.ndarray:
    return CENTRE + np.random.default_rng(0).uniform(-spread_mm, spread_mm, (count, 3))


def some_points(count: int = 5) -> Points:
    return Points(places(count), tuple(f"F-{n}" for n in range(count)), "made")


@pytest.mark.parametrize("chain", chains())
def test_points_agree_with_itk_to_a_hundredth_of_a_millimetre(chain):
    moving = places()
    moved = apply(ApplyRequest(Points(moving, ("",) * 40, "made"), chain_called(chain))).positions
    assert np.abs(moved_by_itk(moved, chains()[chain]) - moving).max() < 0.01  # ITK brings them back
    assert np.abs(moved - moving).max() > 0.3


@pytest.mark.parametrize("name", GEOMETRIES)
def test_points_go_where_the_moved_image_shows_them(name):
    """What lies under a point of the input lies under the moved point of the resampled input."""
    field = DisplacementField(a_field(name).array, a_field(name).geometry)
    reference, moving = a_geometry(name, (40, 40, 40), 0.8), places(10, 5.0)
    moved = apply(ApplyRequest(Points(moving, ("",) * 10, "made"), Chain((Link(field), Link(an_affine()))), reference))
    pulled = an_affine().apply_to_points(field.apply_to_points(moved.positions))
    assert np.abs(pulled - moving).max() < 0.001


def test_points_outside_the_field_are_carried_by_its_edge_and_counted():
    field, far = a_field(), places()
    far[:7] += 200
    with pytest.warns(UserWarning, match="7 of 40 points of made lie outside the field of f.nii, whose edge carries"):
        moved = apply(ApplyRequest(Points(far, ("",) * 40, "made"), Chain((Link(field, False, "f.nii"),))))
    assert np.abs(field.apply_to_points(moved.positions) - far).max() < 0.001


def test_points_without_an_exact_inverse_are_counted():
    grid = a_geometry("RAS", (12, 12, 12), 2.0)
    rough = DisplacementField(np.random.default_rng(0).normal(scale=8, size=(*grid.shape, 3)), grid)
    with (
        pytest.warns(UserWarning, match="rough folds, so that its inverse is not exact at"),
        pytest.warns(UserWarning, match="points of made lie outside the field of rough"),
    ):
        apply(ApplyRequest(Points(grid.points().reshape(-1, 3), (), "made"), Chain((Link(rough, False, "rough"),))))


@pytest.mark.parametrize("extension", [".mrk.json", ".json", ".fcsv", ".csv"])
def test_points_are_written_and_read_in_every_format(tmp_path, extension):
    points = some_points()
    read = read_points(write_points(points, tmp_path / f"points{extension}"))
    assert np.abs(read.positions - points.positions).max() < 1e-5 and read.labels == points.labels


@pytest.mark.parametrize("system", ["LPS", "RAS"])
def test_what_else_a_list_of_markups_holds_is_kept(tmp_path, system):
    controls = [{"label": "a", "description": "tip", "position": [1, 2, 3]}, {"positionStatus": "undefined"}]
    controls.append({"label": "b", "locked": True, "position": [4.5, 5, 6]})
    markup = {"type": "Curve", "coordinateSystem": system, "controlPoints": controls, "display": {"opacity": 0.5}}
    markup["measurements"] = [{"name": "length", "value": 3}]
    (tmp_path / "curve.mrk.json").write_text(json.dumps({"@schema": "x", "markups": [markup]}))
    apply_transform(tmp_path / "curve.mrk.json", an_affine(), output=tmp_path / "moved.mrk.json")
    moved = json.loads((tmp_path / "moved.mrk.json").read_text())["markups"][0]
    signs = SIGNS if system == "LPS" else 1
    expected = an_affine().inverse().apply_to_points(np.array([[1, 2, 3], [4.5, 5, 6]]) * signs) * signs
    placed = [point for point in moved["controlPoints"] if "position" in point]
    assert np.allclose([point["position"] for point in placed], expected)
    assert placed[0]["description"] == "tip" and placed[1]["locked"] and "measurements" not in moved
    assert moved["controlPoints"][1] == {"positionStatus": "undefined"} and moved["display"] == {"opacity": 0.5}


def test_what_else_the_older_lists_hold_is_kept(tmp_path):
    text = "# Markups fiducial file version = 4.11\n# CoordinateSystem = RAS\n# columns = id,x,y,z,more\n"
    text += 'id_1,1,2,3,0,0,0,1,1,1,0,"tip, left",seen,node\n'
    (tmp_path / "list.fcsv").write_text(text)
    apply_transform(tmp_path / "list.fcsv", an_affine(), output=tmp_path / "moved.fcsv")
    *head, row = (tmp_path / "moved.fcsv").read_text().splitlines()
    expected = an_affine().inverse().apply_to_points([1, 2, 3])
    assert head == text.splitlines()[:3] and row.endswith(',0,0,0,1,1,1,0,"tip, left",seen,node')
    assert np.allclose(np.array(row.split(",")[1:4], float), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("table", "kept"),
    [
        ("name,x,y,z,weight\nA,1,2,3,0.5\n", "name,x,y,z,weight\nA,{},{},{},0.5\n"),
        ("1,2,3\n", "{},{},{}\n"),
        ("A,1,2,3\n", "A,{},{},{}\n"),
        ("Z,Y,X,label\n3,2,1,tip\n", "Z,Y,X,label\n{2},{1},{0},tip\n"),
    ],
)
def test_what_else_a_table_holds_is_kept(tmp_path, table, kept):
    (tmp_path / "table.csv").write_text(table)
    apply_transform(tmp_path / "table.csv", an_affine(), output=tmp_path / "moved.csv")
    moved = an_affine().inverse().apply_to_points([1, 2, 3])
    assert (tmp_path / "moved.csv").read_text() == kept.format(*(f"{value:.6f}" for value in moved))


@pytest.mark.parametrize(
    ("markups", "said"),
    [
        ([{"type": "ROI"}], "holds a ROI, which is more than its points"),
        ([{"type": "Plane"}], "holds a Plane, which is more than its points"),
        ([{}, {}], "holds 2 lists of points"),
    ],
)
def test_lists_that_are_more_than_points_are_refused(tmp_path, markups, said):
    lists = [{"controlPoints": [{"position": [1, 2, 3]}], **markup} for markup in markups]
    (tmp_path / "box.mrk.json").write_text(json.dumps({"markups": lists}))
    with pytest.raises(ImageError, match=f"box.mrk.json {said}.*move it in Slicer"):
        apply_transform(tmp_path / "box.mrk.json", an_affine(), output=tmp_path / "moved.mrk.json")
    assert [path.name for path in tmp_path.iterdir()] == ["box.mrk.json"]


def a_sphere(vtk_types=vtk) -> object:
    source = vtk_types.vtkSphereSource()
    source.SetCenter(*(CENTRE * SIGNS))
    source.SetRadius(8)
    source.Update()
    return source.GetOutput()


def write_sphere(path, comment=""):
    names = {".vtk": "PolyData", ".vtp": "XMLPolyData", ".stl": "STL", ".ply": "PLY", ".obj": "OBJ"}
    writer = getattr(vtk, f"vtk{names[path.suffix]}Writer")()
    writer.SetInputData(a_sphere())
    if comment and path.suffix in (".vtk", ".stl"):
        writer.SetHeader(comment)
    writer.SetFileName(str(path))
    assert writer.Write()
    return path


@pytest.mark.parametrize("extension", SURFACES)
def test_surfaces_are_moved_in_every_format(tmp_path, extension):
    path = write_sphere(tmp_path / f"sphere{extension}")
    sphere = read_moved(path)
    assert np.abs(sphere.positions.mean(axis=0) - CENTRE).max() < 1  # LPS where nothing else is said
    moved = apply_transform(path, a_field(), output=tmp_path / f"moved{extension}")
    again = read_moved(tmp_path / f"moved{extension}")
    assert len(again.positions) == len(sphere.positions)
    assert np.abs(again.positions - moved.positions).max() < 1e-3
    assert np.abs(a_field().apply_to_points(again.positions) - sphere.positions).max() < 1e-3
    assert again.mesh.GetNumberOfCells() == sphere.mesh.GetNumberOfCells()


def test_normals_belong_to_the_moved_surface(tmp_path):
    path = write_sphere(tmp_path / "sphere.vtp")
    turned = an_affine(90)
    apply_transform(path, turned, output=tmp_path / "moved.vtp")
    moved, before = read_moved(tmp_path / "moved.vtp"), read_moved(path)
    normals = vtk.util.numpy_support.vtk_to_numpy(moved.mesh.GetPointData().GetNormals()) * SIGNS
    outwards = moved.positions - moved.positions.mean(axis=0)
    assert (np.einsum("pc,pc->p", normals, outwards) > 0).all() and len(normals) == len(before.positions)


@pytest.mark.parametrize("extension", [".vtk", ".stl"])
def test_coordinates_that_a_file_states_are_believed_and_stated_again(tmp_path, extension):
    lps, ras = (read_moved(write_sphere(tmp_path / f"{s}{extension}", f"SPACE={s}")) for s in ("LPS", "RAS"))
    assert np.allclose(lps.positions * SIGNS, ras.positions, atol=1e-4) and ras.is_ras and not lps.is_ras
    again = read_moved(write_moved(ras, tmp_path / f"again{extension}"))
    assert again.is_ras and np.allclose(again.positions, ras.positions, atol=1e-4)
    other = read_moved(write_moved(ras, tmp_path / "other.ply"))
    assert other.is_ras and np.allclose(other.positions, ras.positions, atol=1e-4)


def test_slicer_reads_moved_surfaces_where_we_put_them(tmp_path):
    slicer = pytest.importorskip("slicer", reason="slicer-core is not installed")
    for extension in SURFACES:
        path = write_sphere(tmp_path / f"sphere{extension}")
        moved = apply_transform(path, an_affine(), output=tmp_path / f"moved{extension}")
        scene = slicer.vtkMRMLScene()
        node, storage = slicer.vtkMRMLModelNode(), slicer.vtkMRMLModelStorageNode()
        scene.AddNode(node)
        scene.AddNode(storage)
        storage.SetFileName(str(tmp_path / f"moved{extension}"))
        assert storage.ReadData(node)
        seen = vtk.util.numpy_support.vtk_to_numpy(node.GetPolyData().GetPoints().GetData())
        assert np.abs(seen - moved.positions).max() < 1e-3, extension


def test_volume_meshes_stay_in_vtk_files(tmp_path):
    tetra = vtk.vtkUnstructuredGrid()
    points = vtk.vtkPoints()
    for place in ((0, 0, 0), (9, 0, 0), (0, 9, 0), (0, 0, 9)):
        points.InsertNextPoint(place)
    tetra.SetPoints(points)
    tetra.InsertNextCell(vtk.VTK_TETRA, 4, range(4))
    writer = vtk.vtkUnstructuredGridWriter()
    writer.SetInputData(tetra)
    writer.SetFileName(str(tmp_path / "mesh.vtk"))
    writer.Write()
    moved = apply_transform(tmp_path / "mesh.vtk", an_affine(), output=tmp_path / "moved.vtk")
    assert np.abs(read_moved(tmp_path / "moved.vtk").positions - moved.positions).max() < 1e-4
    with pytest.raises(OutputError, match=r".stl holds surfaces only, and mesh.vtk is none. Write a .vtk file"):
        write_moved(moved, tmp_path / "moved.stl")


@pytest.mark.parametrize("extension", [".trk", ".tck"])
def test_streamlines_are_moved(tmp_path, extension):
    lines = [places(4).astype(np.float32), places(7)[::-1].astype(np.float32)]
    known = {"data_per_point": {"fa": [np.ones((4, 1)), np.full((7, 1), 2)]}} if extension == ".trk" else {}
    tractogram = nibabel.streamlines.Tractogram(lines, affine_to_rasmm=np.eye(4), **known)
    nibabel.streamlines.save(tractogram, str(tmp_path / f"lines{extension}"))
    reference = a_geometry("LAS")
    moved = apply_transform(tmp_path / f"lines{extension}", a_field(), reference, tmp_path / f"moved{extension}")
    assert isinstance(moved, Streamlines) and moved.lengths == (4, 7)
    again = nibabel.streamlines.load(str(tmp_path / f"moved{extension}"))
    for line, before in zip(again.streamlines, lines):
        assert np.abs(a_field().apply_to_points(line) - before).max() < 1e-3
    if extension == ".trk":
        assert np.array_equal(again.tractogram.data_per_point["fa"][1], np.full((7, 1), 2))
        assert np.allclose(again.header["voxel_to_rasmm"], reference.affine, atol=1e-4)


@pytest.mark.parametrize("name", ["a.vtk", "a.vtp", "a.stl", "a.ply", "a.obj", "a.trk", "a.tck"])
@pytest.mark.parametrize("content", [b"nonsense", b"\0" * 2000])
def test_damaged_files_are_one_sentence(tmp_path, name, content, capfd):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ImageError, match=name):
        read_moved(tmp_path / name)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("source", "target", "said"),
    [
        ("sphere.vtk", "moved.nii", "surfaces are written to"),
        ("points.csv", "moved.vtk", "points are written to"),
        ("lines.tck", "moved.csv", "streamlines are written to"),
    ],
)
def test_another_kind_of_file_is_refused(tmp_path, source, target, said):
    write_sphere(tmp_path / "sphere.vtk")
    write_points(some_points(), tmp_path / "points.csv")
    nibabel.streamlines.save(
        nibabel.streamlines.Tractogram([places(3)], affine_to_rasmm=np.eye(4)), tmp_path / "lines.tck"
    )
    with pytest.raises(OutputError, match=said):
        apply_transform(tmp_path / source, an_affine(), output=tmp_path / target)
