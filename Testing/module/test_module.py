"""The module as Slicer's console uses it: description, models, and a registration of two nodes."""

from __future__ import annotations

import unittest
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")

from support.mrml_nodes import add_volume
from VoxelMorphLib.core.config import RegistrationOptions
from VoxelMorphLib.core.errors import Cancelled, DependencyError, ImageError
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


def test_the_module_describes_itself(module):
    parent = SimpleNamespace()
    module.VoxelMorphSlicer(parent)
    assert parent.title == "VoxelMorph"
    assert parent.categories == ["Registration"]
    assert "github.com" in parent.helpText
    assert "Balakrishnan" in parent.acknowledgementText


def test_the_logic_lists_models_that_this_version_can_run(module):
    models = module.VoxelMorphSlicerLogic().models()
    assert models[0].id == "optimise"
    assert all(entry.available for entry in models)


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


def test_missing_torch_is_reported_before_the_work(module, two_volumes, monkeypatch):
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DependencyError, match="PyTorch is not installed"):
        module.VoxelMorphSlicerLogic().register(*two_volumes)


def test_the_self_test_passes(module):
    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(module.VoxelMorphSlicerTest).run(result)
    assert result.testsRun
    assert result.wasSuccessful(), result.failures + result.errors
