"""Templates of models as volume nodes, made by the logic in this process."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")

import slicer
from support.scene_content import content
from support.template_models import write_conditional_model
from VoxelMorphLib.bridge.actions.template import kept_template
from VoxelMorphLib.bridge.logic import VoxelMorphLogic
from VoxelMorphLib.core.errors import ConfigError, OutputError
from VoxelMorphLib.registration.template import make_template
from VoxelMorphLib.registration.template_request import TemplateRequest


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "many.safetensors"
    write_conditional_model(path)
    return path


def voxels(node) -> np.ndarray:
    return slicer.util.arrayFromVolume(node).transpose(2, 1, 0)


def test_the_template_of_a_subject_becomes_a_volume(scene, model):
    node = VoxelMorphLogic().template(model, {"age": 71})
    np.testing.assert_allclose(voxels(node), make_template(TemplateRequest(model, {"age": 71})).array, atol=1e-6)
    assert (node.GetName(), node.GetDescription()) == ("Template", "Template, age 71 years, sex 0.5")
    assert not node.GetDisplayNode().GetAutoWindowLevel()


def test_a_node_is_filled_again_and_its_copy_is_not(scene, model):
    logic = VoxelMorphLogic()
    node = logic.template(model, {"age": 30})
    kept = kept_template(node)
    before = voxels(kept).copy()
    with pytest.warns(UserWarning, match="age 95 is outside the trained range, 20 to 90 years"):
        assert logic.template(model, {"age": 95}, targetNode=node) is node
    assert (voxels(kept) == before).all()
    assert not (voxels(node) == before).all()
    assert kept.GetName() == "Template, age 30 years, sex 0.5"
    assert kept.GetDisplayNode().GetWindow() == node.GetDisplayNode().GetWindow()


@pytest.mark.parametrize("case", ["attribute", "label map", "removed"])
def test_a_failure_leaves_the_scene_alone(scene, model, case):
    kind = "vtkMRMLLabelMapVolumeNode" if case == "label map" else "vtkMRMLScalarVolumeNode"
    target = scene.AddNewNodeByClass(kind, "target")
    if case == "removed":
        scene.RemoveNode(target)
    before = content(scene)
    attributes = {"weight": 1} if case == "attribute" else {"age": 30}
    with pytest.raises((ConfigError, OutputError), match=r"no attribute 'weight'|cannot hold|no longer in the scene"):
        VoxelMorphLogic().template(model, attributes, targetNode=target)
    assert content(scene) == before
