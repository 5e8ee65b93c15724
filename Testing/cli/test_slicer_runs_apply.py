"""Slicer's own command line logic runs the apply command: nodes to files, a process, and its results in the scene."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")

import slicer
import vtk
from support.chains import a_field, an_affine, moved_by_itk, resampled_by_itk
from support.cli_description import Description, require_parser, run_to_end
from support.mrml_nodes import add_volume
from support.volumes import CENTRE, a_blob_image, a_geometry, a_label_map
from VoxelMorphLib.apply.chain import Link
from VoxelMorphLib.bridge.scene.transform_nodes import transform_from_node, transform_to_node
from VoxelMorphLib.bridge.scene.volume_nodes import image_from_node, image_to_node
from vtk.util.numpy_support import vtk_to_numpy

SCRIPT = Path(__file__).resolve().parents[2] / "VoxelMorphSlicer" / "CLI" / "VoxelMorphApply.py"


@pytest.fixture
def run(application, scene):
    """Run the apply command with parameters by name, nodes among them; gives the finished command node."""
    require_parser()
    description = Description(SCRIPT.with_suffix(".xml").read_text(), target=str(SCRIPT), location=sys.executable)
    logic = description.logic(application)

    def run(**values):
        node = description.node(scene)
        for name, value in values.items():
            set_value = node.SetParameterAsNode if isinstance(value, slicer.vtkMRMLNode) else node.SetParameterAsString
            set_value(name, value if isinstance(value, slicer.vtkMRMLNode) else str(value))
        run_to_end(node, logic, application)
        return node

    return run


def a_sphere(scene):
    source = vtk.vtkSphereSource()
    source.SetCenter(*CENTRE)
    source.SetRadius(6)
    source.Update()
    node = scene.AddNewNodeByClass("vtkMRMLModelNode", "sphere")
    node.SetAndObservePolyData(source.GetOutput())
    return node, vtk_to_numpy(source.GetOutput().GetPoints().GetData()).astype(float)


@pytest.mark.slow
def test_the_form_moves_nodes_of_every_kind(run, scene):
    moving = a_blob_image(a_geometry("left-handed oblique", (28, 40, 16), 2.0))
    reference = a_geometry("oblique")
    sphere, places = a_sphere(scene)
    points = scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "points")
    points.AddControlPoint(vtk.vtkVector3d(*CENTRE), "middle")
    outputs = {"output": "ScalarVolume", "movedLabels": "LabelMapVolume", "movedPoints": "MarkupsFiducial"}
    outputs |= {"movedSurface": "Model", "jacobian": "ScalarVolume", "outputTransform": "Transform"}
    outputs = {name: scene.AddNewNodeByClass(f"vtkMRML{kind}Node", name) for name, kind in outputs.items()}
    inputs = {"input": add_volume(moving, "moving"), "movingLabels": image_to_node(a_label_map(moving.geometry))}
    inputs |= {"movingPoints": points, "movingSurface": sphere, "reference": add_volume(a_blob_image(reference), "r")}
    row = {"inverseOf": transform_to_node(a_field()), "transform2": transform_to_node(an_affine())}
    node = run(**row, **inputs, **outputs)
    assert (node.GetStatusString(), node.GetErrorText()) == ("Completed", "")

    links = Link(a_field(), True), Link(an_affine())
    moved = image_from_node(outputs["output"])
    expected = resampled_by_itk(moving, links, reference)
    assert moved.geometry.matches(reference)
    assert np.abs(moved.array - expected)[2:-2, 2:-2, 2:-2].max() < 1e-3 * np.ptp(moving.array)
    assert set(np.unique(image_from_node(outputs["movedLabels"]).array)) == {0, 2, 17, 53}
    place = np.array(outputs["movedPoints"].GetNthControlPointPositionWorld(0))
    assert np.abs(moved_by_itk(place[None], links) - CENTRE).max() < 0.01
    assert outputs["movedPoints"].GetNthControlPointLabel(0) == "middle"
    surface = vtk_to_numpy(outputs["movedSurface"].GetPolyData().GetPoints().GetData())
    assert np.abs(moved_by_itk(surface, links) - places).max() < 0.01
    assert 0.5 < np.median(image_from_node(outputs["jacobian"]).array) < 1.5
    whole = transform_from_node(outputs["outputTransform"])
    inner = reference.points()[3:-3, 3:-3, 3:-3].reshape(-1, 3)
    assert np.abs(whole.apply_to_points(inner) - moved_by_itk(inner, links)).max() < 0.05


@pytest.mark.slow
def test_what_does_not_meet_is_one_sentence(run, application, scene):
    far = a_geometry("RAS", (8, 8, 8))
    matrix = np.eye(4)
    matrix[:3, 3] = 900
    far = type(far)(far.shape, matrix @ far.affine)
    output = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "output")
    volumes = {
        "input": add_volume(a_blob_image(a_geometry()), "moving"),
        "reference": add_volume(a_blob_image(far), "far"),
    }
    node = run(transform=transform_to_node(a_field()), **volumes, output=output)
    assert node.GetStatusString() == "Completed with errors"
    assert "does not meet the reference" in node.GetErrorText() and "Traceback" not in node.GetErrorText()
    assert output.GetImageData() is None
    application.errors.clear()
