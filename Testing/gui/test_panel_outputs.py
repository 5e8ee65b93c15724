"""Results go into the nodes of their own pair, whatever class and pair the chosen ones have."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6.QtUiTools", reason="PySide6 is not installed")

import slicer
from support.mrml_nodes import add_volume
from support.scripted_worker import ScriptedWorker
from support.volumes import a_blob_image, a_geometry

OUTPUTS = ("movedVolume", "forwardTransform", "inverseTransform", "jacobianVolume", "resultsTable")


@pytest.fixture
def panel(a_module_widget, scene):
    panel = a_module_widget()
    panel.worker = ScriptedWorker()
    panel.widget.panel.runner.makeWorker = lambda: panel.worker
    panel.ui.budgetSlider.value = 1
    choose(panel, "A")
    panel.ui.jacobianVolumeSelector.addNode()
    return panel


def chosen(panel):
    return panel.widget.panel.parameters


def choose(panel, name: str) -> None:
    """Another pair of volumes."""
    for seed, role in enumerate(("fixed", "moving")):
        volume = add_volume(a_blob_image(a_geometry("RAS", (14, 12, 10)), seed), f"{role} {name}")
        setattr(chosen(panel), f"{role}Volume", volume)


def register(panel) -> dict:
    panel.click("registerButton")
    panel.worker.finish()
    panel.wait(lambda: not panel.widget.panel.working, 60)
    assert panel.ui.statusLabel.text.startswith("Done"), panel.ui.statusLabel.text
    return {name: getattr(chosen(panel), name) for name in OUTPUTS}


@pytest.mark.slow
def test_the_same_pair_writes_into_its_own_nodes(panel):
    assert register(panel) == register(panel)


@pytest.mark.slow
def test_another_pair_gets_nodes_of_its_own(panel):
    first = register(panel)
    arrays = {name: slicer.util.arrayFromVolume(first[name]).copy() for name in ("movedVolume", "jacobianVolume")}
    choose(panel, "B")
    second = register(panel)
    assert not set(first.values()) & set(second.values())
    for name, array in arrays.items():
        assert (slicer.util.arrayFromVolume(first[name]) == array).all()


@pytest.mark.slow
def test_a_deleted_transform_does_not_give_the_other_nodes_away(panel, scene):
    first = register(panel)
    scene.RemoveNode(first["forwardTransform"])
    choose(panel, "B")
    second = register(panel)
    assert first["movedVolume"] is not second["movedVolume"]
    assert first["movedVolume"].GetName() == "moving A moved"


@pytest.mark.slow
def test_a_linear_result_makes_room_for_a_field(panel, scene):
    first = register(panel)
    linear = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "affine result")
    chosen(panel).forwardTransform = linear
    second = register(panel)
    assert second["forwardTransform"] not in (linear, first["forwardTransform"])
    assert panel.ui.forwardTransformSelector.currentNode() is second["forwardTransform"]


@pytest.mark.parametrize(
    "node_class",
    ["vtkMRMLTransformNode", "vtkMRMLLinearTransformNode", "vtkMRMLGridTransformNode", "vtkMRMLBSplineTransformNode"],
)
@pytest.mark.parametrize("name", ["forwardTransform", "inverseTransform", "initialTransform"])
def test_transforms_of_every_class_are_shown(panel, scene, name, node_class):
    node = scene.AddNewNodeByClass(node_class, "a transform")
    setattr(chosen(panel), name, node)
    assert getattr(panel.ui, f"{name}Selector").currentNode() is node


def register_and_cancel(panel) -> None:
    """Cancel once the result is there, before anything followed."""
    panel.click("registerButton")
    panel.worker.finish()
    following = ("Jacobian map", "Moving the segmentation", "Measuring")
    panel.wait(lambda: panel.ui.statusLabel.text.startswith(following), 60)
    panel.click("cancelButton")
    assert panel.ui.statusLabel.text == "Registered; what follows was cancelled"


@pytest.mark.slow
@pytest.mark.parametrize("pair", ["A", "B"])
def test_what_followed_the_earlier_registration_is_not_shown_as_a_part_of_the_new_one(panel, pair):
    first = register(panel)
    if pair != "A":
        choose(panel, pair)
    register_and_cancel(panel)
    assert chosen(panel).movedVolume.GetName() == f"moving {pair} moved"
    assert [chosen(panel).jacobianVolume, chosen(panel).resultsTable] == [None, None]
    assert panel.ui.resultsTableView.mrmlTableNode() is None
    assert slicer.mrmlScene.IsNodePresent(first["resultsTable"])


def test_a_node_that_was_chosen_to_receive_the_map_stays_chosen(panel):
    wanted = chosen(panel).jacobianVolume
    register_and_cancel(panel)
    assert chosen(panel).jacobianVolume is wanted


@pytest.mark.slow
def test_without_deformation_the_transforms_are_linear(panel):
    chosen(panel).model, chosen(panel).affine = "linear", "rigid"
    assert not panel.ui.smoothnessSlider.enabled
    nodes = register(panel)
    forward, inverse = nodes["forwardTransform"], nodes["inverseTransform"]
    assert {forward.GetClassName(), inverse.GetClassName()} == {"vtkMRMLLinearTransformNode"}
    product = slicer.util.arrayFromTransformMatrix(forward) @ slicer.util.arrayFromTransformMatrix(inverse)
    assert product == pytest.approx(np.eye(4), abs=1e-6)
    assert slicer.util.arrayFromVolume(nodes["jacobianVolume"]) == pytest.approx(1, abs=1e-4)
