"""Every parameter of a configuration keeps its name and its value: in the scene, in a file, in later versions."""

from __future__ import annotations

import ast
import json

import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6.QtUiTools", reason="PySide6 is not installed")

import slicer
from support.mrml_nodes import add_volume
from support.panel_runs import reloaded
from support.shared_data import REPOSITORY
from support.volumes import a_blob_image, a_geometry
from VoxelMorphLib.core.devices import Device
from VoxelMorphLib.training.recipes import make_config

#: Saved scenes hold these names. One that is renamed or removed loses its value in every old scene.
FROZEN_NAMES = {
    *("fixedVolume", "movingVolume", "initialTransform", "fixedMask", "movingMask"),
    *("fixedSegmentation", "movingSegmentation", "fixedLandmarks", "movingLandmarks"),
    *("model", "device", "affine", "precision", "interpolation", "smoothness", "hyper", "budget", "allowFallback"),
    *("extent", "integrationSteps", "midSpace"),
    *("refine", "similarity", "segmentationsGuide", "landmarksGuide", "labelWeight", "landmarkWeight"),
    *("movedVolume", "forwardTransform", "inverseTransform", "jacobianVolume", "movedSegmentation", "resultsTable"),
    *("showResult", "overlay", "fade", "showGrid"),
    *("sequence", "sequenceReference", "sequenceFrame", "sequenceBrowser"),
    *("appliedTransform", "appliedNode", "appliedFolder", "appliedReference", "applyInverse"),
    *("applyInterpolation", "applyResult"),
    *("batchSource", "batchTable", "batchFolder", "batchTemplate", "batchOutput", "batchWorkers", "batchResults"),
    *("templateModel", "templateValues", "templateBase", "templateVolume", "templatePatient", "templateLabels"),
    "training",
}
#: Values other than the defaults.
VALUES = {
    "model": "hippocampus-T1",
    "device": "cpu",
    "affine": "rigid",
    "precision": "bfloat16",
    "interpolation": "cubic",
    "smoothness": 1.25,
    "refine": "fast",
    "similarity": "mind",
    "segmentationsGuide": True,
    "landmarksGuide": True,
    "labelWeight": 2.5,
    "landmarkWeight": 0.3,
    "hyper": 0.15,
    "extent": "192",
    "integrationSteps": 8,
    "midSpace": True,
    "budget": 12.0,
    "allowFallback": True,
    "showResult": False,
    "overlay": "jacobian",
    "fade": 0.25,
    "showGrid": True,
    "sequenceReference": "volume",
    "sequenceFrame": 7,
    "appliedFolder": "8d0b1c",
    "applyInverse": True,
    "applyInterpolation": "multilabel",
    "applyResult": "jacobian",
    "batchSource": "/data/scans",
    "batchFolder": "5c1f00",
    "batchOutput": "/data/registered",
    "batchWorkers": 3,
    "templateModel": "vxm-atlas-2019-age-sex",
    "templateValues": json.dumps({"age": 71, "sex": 1}),
    "training": json.dumps({"recipe": "pairwise", "output_dir": "", "epochs": 33}),
}
#: Class of the node that each other parameter holds.
CLASSES = {
    "initialTransform": "vtkMRMLLinearTransformNode",
    "fixedMask": "vtkMRMLSegmentationNode",
    "movingMask": "vtkMRMLLabelMapVolumeNode",
    "fixedSegmentation": "vtkMRMLSegmentationNode",
    "movingSegmentation": "vtkMRMLLabelMapVolumeNode",
    "fixedLandmarks": "vtkMRMLMarkupsFiducialNode",
    "movingLandmarks": "vtkMRMLMarkupsFiducialNode",
    "forwardTransform": "vtkMRMLLinearTransformNode",
    "inverseTransform": "vtkMRMLLinearTransformNode",
    "movedSegmentation": "vtkMRMLSegmentationNode",
    **dict.fromkeys(("resultsTable", "batchTable", "batchResults"), "vtkMRMLTableNode"),
    "sequence": "vtkMRMLSequenceNode",
    "sequenceBrowser": "vtkMRMLSequenceBrowserNode",
    "appliedTransform": "vtkMRMLLinearTransformNode",
    "appliedNode": "vtkMRMLMarkupsCurveNode",
    "templateLabels": "vtkMRMLSegmentationNode",
}
VOLUMES = (
    *("fixedVolume", "movingVolume", "movedVolume", "jacobianVolume", "appliedReference", "batchTemplate"),
    *("templateBase", "templateVolume", "templatePatient"),
)


@pytest.fixture
def panel(sequences, a_module_widget):
    """With the devices known, so that the one of a scene is not in doubt."""
    panel = a_module_widget()
    panel.widget.panel.devices.setDevices([Device("cpu", "processor, 2 threads")])
    return panel


def parameters(panel):
    return panel.widget.panel.parameters


def a_value(scene, name: str):
    """What a parameter can hold, and does not hold by default."""
    if name in VALUES:
        return VALUES[name]
    if name in VOLUMES:
        return add_volume(a_blob_image(a_geometry("RAS", (5, 6, 7))), name)
    return scene.AddNewNodeByClass(CLASSES[name], name)


def seen(value):
    return value.GetName() if isinstance(value, slicer.vtkMRMLNode) else value


def test_the_names_of_parameters_stay(panel):
    names = set(parameters(panel).allParameters)
    assert names >= FROZEN_NAMES, "a renamed parameter loses its value in scenes that were saved before"
    assert names == FROZEN_NAMES, "add new parameters to FROZEN_NAMES"


def test_every_parameter_has_a_value_to_try(panel):
    tried = {*VALUES, *CLASSES, *VOLUMES}
    assert tried == set(parameters(panel).allParameters)
    for name, value in VALUES.items():
        assert value != parameters(panel).default(name).value


@pytest.mark.slow
def test_all_parameters_come_back_together(panel, scene, tmp_path):
    for name in parameters(panel).allParameters:
        setattr(parameters(panel), name, a_value(scene, name))
    before = {name: seen(getattr(parameters(panel), name)) for name in parameters(panel).allParameters}
    assert {name: before[name] for name in VALUES if name != "training"} == {
        name: value for name, value in VALUES.items() if name != "training"
    }
    reloaded(panel, scene, tmp_path)
    after = {name: seen(getattr(parameters(panel), name)) for name in parameters(panel).allParameters}
    assert after == before
    assert panel.widget.panel.training.config == make_config("pairwise", {"output_dir": "", "epochs": 33})
    assert panel.ui.statusLabel.text == ""


def translated_f_strings(source: str) -> list[int]:
    """Lines in which an f-string is to be translated; no translator ever sees what it becomes."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    wanted = [call for call in calls if getattr(call.func, "id", None) in ("_", "tr", "translate")]
    parts = [(call.lineno, part) for call in wanted for item in call.args for part in ast.walk(item)]
    return [line for line, part in parts if isinstance(part, ast.JoinedStr)]


@pytest.mark.slow
def test_no_f_string_is_to_be_translated():
    files = sorted((REPOSITORY / "VoxelMorphSlicer").rglob("*.py"))
    found = {path.name: lines for path in files if (lines := translated_f_strings(path.read_text(encoding="utf-8")))}
    assert found == {}


@pytest.mark.parametrize(
    ("source", "found"),
    [('_(f"{a}")', [1]), ('_("x" f"{a}")', [1]), ('_("{a}").format(a=f"{b}")', []), ('print(f"{a}")', [])],
)
def test_an_f_string_to_be_translated_is_found(source, found):
    assert translated_f_strings(source) == found
