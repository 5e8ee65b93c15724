"""Every control of the panel writes into the configuration, and shows what the configuration says."""

from __future__ import annotations

import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6.QtUiTools", reason="PySide6 is not installed")

#: Selector and class of every node that can be chosen.
SELECTORS = {
    "fixedVolume": ("fixedSelector", "vtkMRMLScalarVolumeNode"),
    "movingVolume": ("movingSelector", "vtkMRMLScalarVolumeNode"),
    "initialTransform": ("initialTransformSelector", "vtkMRMLLinearTransformNode"),
    "fixedMask": ("fixedMaskSelector", "vtkMRMLSegmentationNode"),
    "movingMask": ("movingMaskSelector", "vtkMRMLLabelMapVolumeNode"),
    "fixedSegmentation": ("fixedSegmentationSelector", "vtkMRMLSegmentationNode"),
    "movingSegmentation": ("movingSegmentationSelector", "vtkMRMLLabelMapVolumeNode"),
    "fixedLandmarks": ("fixedLandmarksSelector", "vtkMRMLMarkupsFiducialNode"),
    "movingLandmarks": ("movingLandmarksSelector", "vtkMRMLMarkupsFiducialNode"),
    "movedVolume": ("movedVolumeSelector", "vtkMRMLScalarVolumeNode"),
    "forwardTransform": ("forwardTransformSelector", "vtkMRMLTransformNode"),
    "inverseTransform": ("inverseTransformSelector", "vtkMRMLTransformNode"),
    "jacobianVolume": ("jacobianVolumeSelector", "vtkMRMLScalarVolumeNode"),
    "movedSegmentation": ("movedSegmentationSelector", "vtkMRMLSegmentationNode"),
    "sequence": ("sequenceSelector", "vtkMRMLSequenceNode"),
    "sequenceBrowser": ("sequenceBrowserSelector", "vtkMRMLSequenceBrowserNode"),
    "appliedTransform": ("appliedTransformSelector", "vtkMRMLGridTransformNode"),
    "appliedNode": ("appliedNodeSelector", "vtkMRMLModelNode"),
    "appliedReference": ("appliedReferenceSelector", "vtkMRMLScalarVolumeNode"),
    "templateBase": ("templateBaseSelector", "vtkMRMLScalarVolumeNode"),
    "templateVolume": ("templateVolumeSelector", "vtkMRMLScalarVolumeNode"),
    "templatePatient": ("templatePatientSelector", "vtkMRMLScalarVolumeNode"),
    "templateLabels": ("templateLabelsSelector", "vtkMRMLLabelMapVolumeNode"),
}
CREATABLE = ("movedVolume", "forwardTransform", "inverseTransform", "jacobianVolume", "movedSegmentation")
SLIDERS = {"smoothness": 0.75, "hyper": 0.2, "budget": 12.0, "fade": 0.2}
CHECK_BOXES = ("allowFallback", "showResult", "showGrid", "applyInverse")
COMBO_BOXES = {
    "affine": (
        *("auto", "none", "centre", "rigid", "affine"),
        *("landmarks-rigid", "landmarks-affine", "landmarks-thin-plate"),
    ),
    "refine": ("auto", "none", "fast", "balanced", "best"),
    "similarity": ("auto", "ncc", "mind", "mse", "mi"),
    "extent": ("auto", "192", "256"),
    "precision": ("auto", "float32", "bfloat16"),
    "interpolation": ("linear", "cubic", "nearest"),
    "overlay": ("moved", "checkerboard", "moving", "jacobian"),
    "sequenceReference": ("frame", "volume"),
    "applyInterpolation": ("linear", "nearest", "cubic", "multilabel"),
    "applyResult": ("moved", "jacobian", "displacement", "parts"),
}


@pytest.fixture
def panel(sequences, a_module_widget):
    return a_module_widget()


def parameters(panel):
    """The configuration that the panel shows."""
    return panel.widget.panel.parameters


def activate(box, value: str) -> None:
    """Choose an item of a combo box as a person does."""
    assert box.findData(value) >= 0, f"{box.name} does not offer {value}"
    box.setCurrentIndex(box.findData(value))
    box.activated.emit(box.currentIndex)


@pytest.mark.parametrize("name", SELECTORS)
def test_a_chosen_node_is_stored_and_shown(panel, scene, name):
    selector, node_class = SELECTORS[name]
    node = scene.AddNewNodeByClass(node_class, name)
    panel.choose(**{selector: node})
    assert getattr(parameters(panel), name) is node
    setattr(parameters(panel), name, None)
    assert getattr(panel.ui, selector).currentNode() is None


@pytest.mark.parametrize("name", CREATABLE)
def test_every_output_can_be_created_in_place(panel, scene, name):
    selector = getattr(panel.ui, SELECTORS[name][0])
    assert selector.addEnabled
    created = selector.addNode()
    assert scene.IsNodePresent(created)
    assert getattr(parameters(panel), name) is created


@pytest.mark.parametrize("name", SLIDERS)
def test_a_slider_is_stored_and_shown(panel, name):
    slider = getattr(panel.ui, f"{name}Slider")
    assert slider.value == pytest.approx(getattr(parameters(panel), name))
    slider.value = SLIDERS[name]
    assert getattr(parameters(panel), name) == pytest.approx(SLIDERS[name])
    setattr(parameters(panel), name, 1.0)
    assert slider.value == 1.0


@pytest.mark.parametrize("name", CHECK_BOXES)
def test_a_tick_is_stored_and_shown(panel, name):
    box = getattr(panel.ui, f"{name}CheckBox")
    before = box.checked
    assert before == getattr(parameters(panel), name)
    box.click()
    assert getattr(parameters(panel), name) != before
    setattr(parameters(panel), name, before)
    assert box.checked == before


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in COMBO_BOXES.items() for value in values])
def test_a_choice_is_stored_and_shown(panel, name, value):
    box = getattr(panel.ui, f"{name}ComboBox")
    activate(box, value)
    assert getattr(parameters(panel), name) == value
    first = COMBO_BOXES[name][0]
    setattr(parameters(panel), name, first)
    assert box.currentData == first


def test_every_parameter_has_a_control_or_is_shown_elsewhere(panel):
    bound = {widget.property("SlicerParameterName") for widget in vars(panel.ui).values()} - {None, ""}
    by_hand = {*COMBO_BOXES, "model", "device", "resultsTable", "appliedFolder", "training"}
    by_hand |= {"batchSource", "batchFolder", "batchOutput", "batchResults", "templateModel", "templateValues"}
    assert bound | by_hand == set(parameters(panel).allParameters)
    assert not bound & by_hand


def test_defaults_are_those_of_the_library(panel):
    from VoxelMorphLib.bridge.panel.parameters import chosen_options
    from VoxelMorphLib.core.config import RegistrationOptions

    assert chosen_options(parameters(panel)) == RegistrationOptions()


def test_combo_boxes_offer_what_the_library_knows():
    from VoxelMorphLib.core.config import RegistrationOptions
    from VoxelMorphLib.core.options import options_of

    known = options_of(RegistrationOptions)
    for name in ("affine", "precision", "interpolation"):
        assert COMBO_BOXES[name] == tuple(known[name].choices)


def test_smoothness_and_time_limit_belong_to_the_optimisation_only(panel):
    assert panel.ui.smoothnessSlider.enabled
    assert panel.ui.budgetSlider.enabled
    activate(panel.ui.modelComboBox, "vxm-dense-brain-T1-mse")
    assert not panel.ui.smoothnessSlider.enabled
    assert not panel.ui.budgetSlider.enabled


@pytest.mark.parametrize(
    ("model", "expected"), [("optimise", False), ("vxm-dense-brain-T1-mse", False), ("synthmorph-deform-3", True)]
)
def test_regularity_is_enabled_where_the_model_has_one(panel, model, expected):
    activate(panel.ui.modelComboBox, model)
    enabled = [widget.enabled for widget in (panel.ui.hyperSlider, panel.ui.hyperLabel)]
    assert enabled == [expected, expected]


def test_only_plain_volumes_are_offered_as_inputs(panel, scene):
    labels = scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "labels")
    vectors = scene.AddNewNodeByClass("vtkMRMLVectorVolumeNode", "vectors")
    for node in (labels, vectors):
        panel.ui.fixedSelector.setCurrentNode(node)
        assert panel.ui.fixedSelector.currentNode() is None
