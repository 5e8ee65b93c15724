"""Slicer's own command line logic runs the commands: nodes to files, a process, and its results back in the scene."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")

import slicer
from support.cli_description import Description, require_parser, run_to_end
from support.mrml_nodes import add_volume, map_from_world, reslice
from support.volumes import a_geometry, a_label_map, blob_values, smooth_displacement
from VoxelMorphLib.bridge.scene.transform_nodes import transform_to_node
from VoxelMorphLib.bridge.scene.volume_nodes import image_from_node, image_to_node
from VoxelMorphLib.core.image import Image, LabelMap
from VoxelMorphLib.core.transform import AffineTransform

FOLDER = Path(__file__).resolve().parents[2] / "VoxelMorphSlicer" / "CLI"


@pytest.fixture
def register(application, scene):
    """Run the register command with parameters by name, nodes among them; gives the finished command node."""
    return runner("VoxelMorphRegister", application, scene)


@pytest.fixture
def evaluate(application, scene):
    """The same for the evaluate command."""
    return runner("VoxelMorphEvaluate", application, scene)


def runner(command, application, scene):
    """A function that runs a command as Slicer does."""
    require_parser()
    script = FOLDER / f"{command}.py"
    description = Description(script.with_suffix(".xml").read_text(), target=str(script), location=sys.executable)
    logic = description.logic(application)

    def run(**values):
        node = description.node(scene)
        for name, value in values.items():
            set_value = node.SetParameterAsNode if isinstance(value, slicer.vtkMRMLNode) else node.SetParameterAsString
            set_value(name, value if isinstance(value, slicer.vtkMRMLNode) else str(value))
        run_to_end(node, logic, application)
        return node

    return run


@pytest.fixture
def pair(scene):
    """Fixed and moving volume: the same blobs, warped and 5 mm apart, on an oblique and a left-handed grid."""
    fixed, moving = a_geometry("oblique", (30, 28, 26), 1.2), a_geometry("left-handed oblique", (34, 50, 20), 1.2)
    seen = moving.points() - (5, 0, 0)
    fixed_values, moving_values = blob_values(fixed.points()), blob_values(seen + smooth_displacement(seen, 1.0))
    return add_volume(Image(fixed_values, fixed), "fixed"), add_volume(Image(moving_values, moving), "moving")


def a_shift(mm):
    matrix = np.eye(4)
    matrix[:3, 3] = mm
    return AffineTransform(matrix)


@pytest.fixture
def outputs(scene):
    """An empty node for every output of the command."""
    classes = {"moved": "ScalarVolume", "movedLabels": "LabelMapVolume", "forward": "Transform", "inverse": "Transform"}
    return {name: scene.AddNewNodeByClass(f"vtkMRML{kind}Node", name) for name, kind in classes.items()}


def correlation(image, other):
    return np.corrcoef(image.array.ravel(), other.array.ravel())[0, 1]


@pytest.mark.slow
def test_register_brings_volumes_labels_and_transforms_into_the_scene(register, pair, outputs):
    fixed, moving = pair
    fixed_image, moving_image = image_from_node(fixed), image_from_node(moving)
    shift = a_shift((5, 0, 0))
    labels, initial = image_to_node(a_label_map(moving_image.geometry)), transform_to_node(shift)
    inputs = {"fixed": fixed, "moving": moving, "movingLabels": labels, "initialTransform": initial}
    node = register(**inputs, **outputs, model="optimise", budget=2, affine="none", device="cpu")
    assert (node.GetStatusString(), node.GetErrorText()) == ("Completed", "")

    moved, moved_labels = image_from_node(outputs["moved"]), image_from_node(outputs["movedLabels"])
    assert moved.geometry.matches(fixed_image.geometry) and moved_labels.geometry.matches(fixed_image.geometry)
    only_shifted = shift.resample(moving_image, fixed_image.geometry)
    assert correlation(fixed_image, moved) > max(0.9, correlation(fixed_image, only_shifted))
    assert isinstance(moved_labels, LabelMap) and set(np.unique(moved_labels.array)) == {0, 2, 17, 53}

    forward, inverse = outputs["forward"], outputs["inverse"]
    assert moving.GetParentTransformNode() is forward
    assert np.abs(reslice(moving, fixed) - moved.array)[2:-2, 2:-2, 2:-2].max() < 0.005
    labels.SetAndObserveTransformNodeID(forward.GetID())
    assert (reslice(labels, fixed, "nearest") == moved_labels.array).mean() >= 0.999
    inner = fixed_image.geometry.points()[8:-8, 8:-8, 8:-8]
    assert np.abs(map_from_world(inverse, map_from_world(forward, inner)) - inner).max() < 0.3
    for transform, source, target in ((forward, moving, fixed), (inverse, fixed, moving)):
        assert transform.GetNodeReference(transform.GetMovingNodeReferenceRole()) is source
        assert transform.GetNodeReference(transform.GetFixedNodeReferenceRole()) is target


@pytest.mark.slow
def test_a_volume_that_cannot_be_registered_is_one_sentence_and_no_result(register, application, pair, outputs):
    geometry = a_geometry()
    constant = add_volume(Image(np.full(geometry.shape, 7.0), geometry), "constant")
    del outputs["movedLabels"]
    node = register(fixed=pair[0], moving=constant, **outputs, model="optimise", budget=1)
    assert node.GetStatusString() == "Completed with errors"
    assert node.GetErrorText().startswith("Error: The moving volume") and "Traceback" not in node.GetErrorText()
    assert outputs["moved"].GetImageData() is None
    assert outputs["forward"].GetTransformFromParent() is None and constant.GetParentTransformNode() is None
    assert application.errors
    application.errors.clear()


@pytest.mark.slow
def test_the_lists_are_printed(register):
    node = register(listModels="true", listDevices="true")
    assert (node.GetStatusString(), node.GetErrorText()) == ("Completed", "")
    assert "optimise" in node.GetOutputText() and "cpu" in node.GetOutputText()


@pytest.mark.slow
def test_nodes_are_measured_into_a_table_and_a_page(evaluate, pair, tmp_path):
    fixed, moving = pair
    grids = image_from_node(fixed).geometry, image_from_node(moving).geometry
    shift = a_shift((5, 0, 0))
    labels = [add_volume(a_label_map(grids[0]), "fixed labels", "vtkMRMLLabelMapVolumeNode")]
    seen = shift.inverse().resample(a_label_map(grids[0]), grids[1])
    labels.append(add_volume(seen, "moving labels", "vtkMRMLLabelMapVolumeNode"))
    inputs = {"fixed": fixed, "moving": moving, "fixedLabels": labels[0], "movingLabels": labels[1]}
    transforms = {"transform": transform_to_node(shift), "inverse": transform_to_node(shift.inverse())}
    outputs = {name: tmp_path / f"measures.{end}" for name, end in (("csv", "csv"), ("report", "html"))}
    node = evaluate(**inputs, **transforms, **outputs, labels="17,53")
    assert (node.GetStatusString(), node.GetErrorText()) == ("Completed", "")
    rows = {(row["measure"], row["name"]): row for row in csv.DictReader(outputs["csv"].open())}
    for label in ("label 17", "label 53"):
        assert float(rows["dice", label]["before"]) < 0.7 < 0.85 < float(rows["dice", label]["after"])
    assert ("dice", "label 2") not in rows
    assert float(rows["inverse_consistency", "mean"]["after"]) < 1e-4
    assert float(rows["jacobian", "minimum"]["after"]) == pytest.approx(1, abs=1e-3)
    assert "Deformation" in outputs["report"].read_text()
    assert "Dice overlap" in node.GetOutputText()


def test_nothing_to_measure_is_one_sentence(evaluate, application):
    node = evaluate()
    assert node.GetStatusString() == "Completed with errors"
    assert node.GetErrorText().startswith("Error: There is nothing to measure") and "Trace" not in node.GetErrorText()
    assert application.errors
    application.errors.clear()
