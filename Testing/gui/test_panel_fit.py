"""The list of models says which ones fit the two chosen volumes, and the line below it which one to take instead."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6.QtUiTools", reason="PySide6 is not installed")

from support.mrml_nodes import add_volume
from VoxelMorphLib.core.geometry import Geometry
from VoxelMorphLib.core.image import Image

#: mm along R, A and S of what the volumes show.
HIPPOCAMPUS, BRAIN, MOUSE = (35, 51, 35), (140, 180, 140), (11, 18, 8)


@pytest.fixture
def panel(a_module_widget):
    return a_module_widget()


def a_volume(name: str, extent, value: float = 100.0, air: float = 0.0):
    """A ball of that extent, with a margin of air, on 20 voxels along each axis."""
    affine = np.diag([*(length / 16 for length in extent), 1.0])
    distance = np.linalg.norm(np.indices((20, 20, 20)).T - 9.5, axis=-1)
    return add_volume(Image(np.where(distance < 8.5, value, air).astype(np.float32), Geometry((20,) * 3, affine)), name)


def show(panel, extent, names=("fixed", "moving"), **look):
    volumes = [a_volume(name, extent, **look) for name in names]
    panel.choose(fixedSelector=volumes[0], movingSelector=volumes[1])
    return volumes


def activate(box, value: str) -> None:
    box.setCurrentIndex(box.findData(value))
    box.activated.emit(box.currentIndex)


def texts(panel) -> dict[str, str]:
    box = panel.ui.modelComboBox
    return {box.itemData(index): box.itemText(index) for index in range(box.count)}


def is_old(text: str) -> bool:
    return "2018" in text or "2019" in text


def test_without_a_pair_the_models_are_described_and_the_oldest_come_last(panel):
    assert panel.ui.modelFitLabel.text == panel.widget.panel.models.entries["optimise"].description
    assert all(is_old(text) for text in list(texts(panel).values())[-6:])
    assert not any("fit" in text for text in texts(panel).values())


#: Its models that bend.
SYNTHMORPH = {f"synthmorph-{name}" for name in ("shapes", "brains", "deform-3", "joint-3")}


@pytest.mark.parametrize(
    ("extent", "fits"),
    [
        (HIPPOCAMPUS, {"hippocampus-T1-labels", "hippocampus-T1", "synth-any"}),
        (BRAIN, {"synth-brain", "synth-any", "vxm-dense-brain-T1-mse", *SYNTHMORPH}),
        (MOUSE, {"synth-any"}),
    ],
    ids=["hippocampus", "brain", "mouse"],
)
def test_the_list_marks_what_fits(panel, extent, fits):
    show(panel, extent)
    shown = texts(panel)
    recent = {name: text for name, text in shown.items() if not is_old(text) and name != "optimise"}
    assert {name for name, text in recent.items() if text.endswith(" - fits")} == fits
    assert {name for name, text in recent.items() if text.endswith(" - does not fit")} == set(recent) - fits
    assert next(iter(shown)) == "optimise" and set(list(shown)[1 : 1 + len(fits)]) == fits


def test_the_default_names_the_network_that_was_made_for_the_pair(panel):
    show(panel, HIPPOCAMPUS)
    told = panel.ui.modelFitLabel.text
    assert told.startswith("Suits any two volumes of the same anatomy. Made for such volumes: Hippocampus T1")
    show(panel, MOUSE)
    assert panel.ui.modelFitLabel.text == "Suits any two volumes of the same anatomy."


def test_a_wrong_model_is_told_with_the_one_that_fits(panel):
    show(panel, HIPPOCAMPUS)
    activate(panel.ui.modelComboBox, "vxm-dense-brain-T1-mse")
    told = panel.ui.modelFitLabel.text
    assert told.startswith("Does not fit: the fixed volume shows 3") and "made for brain, MR T1" in told
    assert told.endswith("Made for such volumes: Hippocampus T1, trained with labels.")
    show(panel, MOUSE)
    assert panel.ui.modelFitLabel.text.endswith("Choose the first model of the list.")


def test_a_ct_is_known_by_its_air(panel):
    show(panel, BRAIN, air=-1000.0, value=40.0)
    activate(panel.ui.modelComboBox, "synthmorph-brains")
    assert panel.ui.modelFitLabel.text.startswith("Does not fit: the fixed volume is CT; made for brain, any MR")


def test_the_name_of_a_volume_counts_and_may_change(panel):
    volumes = show(panel, BRAIN)
    activate(panel.ui.modelComboBox, "vxm-dense-brain-T1-mse")
    assert panel.ui.modelFitLabel.text.startswith("Fits by size: made for brain, MR T1")
    volumes[1].SetName("patient T2")
    panel.widget.panel.update()
    assert "the moving volume is T2" in panel.ui.modelFitLabel.text


def test_voxels_that_changed_are_looked_at_again(panel):
    import slicer

    volumes = show(panel, BRAIN)
    activate(panel.ui.modelComboBox, "vxm-dense-brain-T1-mse")
    slicer.util.arrayFromVolume(volumes[0])[:14] = 0
    slicer.util.arrayFromVolumeModified(volumes[0])
    panel.widget.panel.update()
    assert panel.ui.modelFitLabel.text.startswith("Does not fit: the fixed volume shows")


def test_a_mask_leaves_the_contents_unknown(panel, scene):
    show(panel, MOUSE)
    activate(panel.ui.modelComboBox, "vxm-dense-brain-T1-mse")
    for role in ("fixed", "moving"):
        mask = scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", f"{role} mask")
        setattr(panel.widget.panel.parameters, f"{role}Mask", mask)
    assert panel.ui.modelFitLabel.text.startswith("Fits by size")
