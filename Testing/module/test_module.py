"""The module as Slicer lists it and as Slicer's console uses it, without its panel."""

from __future__ import annotations

import re
import struct
import sys
import types
import unittest
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6.QtUiTools", reason="PySide6 is not installed")

import slicer
from support.mrml_nodes import add_volume
from support.shared_data import REPOSITORY
from VoxelMorphLib.core.config import RegistrationOptions
from VoxelMorphLib.core.errors import Cancelled, ImageError
from VoxelMorphLib.core.geometry import Geometry
from VoxelMorphLib.core.image import Image

QUICK = RegistrationOptions(budget_s=1)


@pytest.fixture
def two_volumes(scene):
    geometry = Geometry((16, 16, 16), np.diag([2.0, 2.0, 2.0, 1.0]))
    distances = [np.linalg.norm(np.indices(geometry.shape).T - centre, axis=-1).T for centre in (8, 9)]
    balls = [np.clip(5 - distance, 0, 1) for distance in distances]
    return [
        add_volume(Image(ball.astype(np.float32), geometry), name) for ball, name in zip(balls, ("fixed", "moving"))
    ]


@pytest.fixture
def sample_data(monkeypatch):
    """Slicer's module Sample Data; returns what was registered with it."""
    registered = []
    module = types.ModuleType("SampleData")
    module.SampleDataLogic = types.SimpleNamespace(
        registerCustomSampleDataSource=lambda **source: registered.append(source)
    )
    monkeypatch.setitem(sys.modules, "SampleData", module)
    return registered


def test_the_module_describes_itself(module):
    described = slicer.app.moduleManager().module("VoxelMorphSlicer")
    assert described.title == "VoxelMorph"
    assert list(described.categories) == ["Registration"]
    assert list(described.dependencies) == []
    assert list(described.associatedNodeTypes) == ["vtkMRMLScriptedModuleNode"]
    assert "github.com" in described.helpText
    assert "Balakrishnan" in described.acknowledgementText


def test_sample_data_are_registered_once_the_application_has_started(module, sample_data):
    slicer.app.startupCompleted.emit()
    source = sample_data[-1]
    assert source["category"] == "VoxelMorph"
    width, height = struct.unpack(">II", Path(source["thumbnailFileName"]).read_bytes()[16:24])  # of a PNG
    assert (width, height) == (260, 280)  # as the core's thumbnails
    assert source["nodeNames"] == ["MRBrainTumor1", "MRBrainTumor2"]
    for uri, checksum in zip(source["uris"], source["checksums"]):
        assert uri.startswith("https://")
        assert checksum == f"SHA256:{uri.rsplit('/', 1)[1]}"


def test_the_console_completes_every_method(module):
    from VoxelMorphLib.bridge.logic import VoxelMorphLogic

    logic = module.VoxelMorphSlicerLogic()
    completed = dir(logic)
    assert {name for name in dir(VoxelMorphLogic) if not name.startswith("_")} <= set(completed)
    assert {"register", "getParameterNode", "isSingletonParameterNode"} <= set(completed)
    assert [name for name in completed if not hasattr(logic, name)] == []


def test_the_logic_has_every_method_of_the_library(module):
    from VoxelMorphLib.bridge.logic import VoxelMorphLogic

    logic = module.VoxelMorphSlicerLogic()
    for name in dir(VoxelMorphLogic):
        if not name.startswith("_"):
            assert callable(getattr(logic, name))
    with pytest.raises(AttributeError, match="frobnicate"):
        logic.frobnicate()


def test_the_logic_makes_one_configuration(module, scene):
    logic = module.VoxelMorphSlicerLogic()
    first = logic.getParameterNode()
    first.smoothness = 1.0
    assert logic.getParameterNode().smoothness == 1.0
    assert len(logic.getAllParameterNodes()) == 1


def test_the_logic_lists_models_that_this_version_can_run(module):
    models = module.VoxelMorphSlicerLogic().models()
    assert models[0].id == "optimise"
    assert all(entry.available for entry in models)


@pytest.mark.slow
def test_registering_two_nodes_adds_the_moved_volume_and_both_transforms(module, two_volumes):
    nodes = module.VoxelMorphSlicerLogic().register(*two_volumes, options=QUICK)
    assert set(nodes) == {"moved", "forward", "inverse"}
    assert nodes["moved"].GetImageData().GetDimensions() == (16, 16, 16)
    assert nodes["forward"].IsA("vtkMRMLTransformNode")
    assert nodes["inverse"].IsA("vtkMRMLTransformNode")


def test_cancelling_leaves_the_scene_as_it_was(module, scene, two_volumes):
    def stop(_fraction, _text):
        raise Cancelled("stopped by the test")

    before = scene.GetNumberOfNodes()
    with pytest.raises(Cancelled, match="stopped by the test"):
        module.VoxelMorphSlicerLogic().register(*two_volumes, options=QUICK, progress=stop)
    assert scene.GetNumberOfNodes() == before


def test_a_missing_volume_is_refused(module, two_volumes):
    with pytest.raises(ImageError, match="got none"):
        module.VoxelMorphSlicerLogic().register(two_volumes[0], None)


@pytest.mark.slow
def test_the_self_test_passes(module):
    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(module.VoxelMorphSlicerTest).run(result)
    assert result.testsRun
    assert result.wasSuccessful(), result.failures + result.errors


def test_the_papers_that_the_module_names_are_those_to_be_cited():
    cited = set(re.findall(r"doi: (\S+)", (REPOSITORY / "CITATION.cff").read_text(encoding="utf-8")))
    readme = set(re.findall(r"https://doi\.org/([^)\s]+)", (REPOSITORY / "README.md").read_text(encoding="utf-8")))
    module = (REPOSITORY / "VoxelMorphSlicer" / "VoxelMorphSlicer.py").read_text(encoding="utf-8")
    named = set(re.findall(r'https://doi\.org/([^"]+)', module))
    assert named and named <= cited <= readme
