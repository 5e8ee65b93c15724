"""Six ways of new users through the panel, as clicks: each begins with two volumes and the first model of the list."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6.QtUiTools", reason="PySide6 is not installed")

from support.mrml_nodes import add_volume, map_points
from support.panel_runs import reloaded
from support.scripted_worker import ScriptedWorker
from VoxelMorphLib.core.geometry import Geometry
from VoxelMorphLib.core.image import Image, LabelMap

pytestmark = pytest.mark.slow

#: A head's extent on few voxels.
SHAPE, VOXEL_MM = (30, 34, 30), 5.5
GRID = Geometry(SHAPE, np.diag([VOXEL_MM] * 3 + [1.0]))
#: mm, of the shift and of the smooth displacement between the two volumes.
SHIFT, BEND = np.array([6.0, -5.0, 4.0]), 6.0
#: Middle, width and sign of the structures of the head, as parts of its grid.
NUMBERS = np.random.default_rng(4)
STRUCTURES = NUMBERS.uniform(-0.33, 0.33, (40, 3)), NUMBERS.uniform(0.04, 0.1, 40), NUMBERS.choice([-1, 1], 40)
#: Intensities of T2 at tissue values: fluid is bright, and the order of the rest is another one than in T1.
T2_LOOK = ([0, 0.1, 0.3, 0.5, 0.6, 0.8, 1], [0, 900, 1000, 500, 650, 300, 400])
#: What a scanner writes where it measured nothing.
PADDING = -3024.0


def to_fixed(points: np.ndarray) -> np.ndarray:
    """Where the anatomy at (..., 3) RAS mm of the moving volume is in the fixed one."""
    waves = np.sin(2 * np.pi * points[..., [1, 2, 0]] / 120.0)
    return points - SHIFT + BEND * waves


def tissue(points: np.ndarray) -> np.ndarray:
    """(...), 0 outside of a head, and 0.15 to 1 of its structures."""
    offsets = (points - GRID.centre) / (np.array(SHAPE) * VOXEL_MM)
    radius = np.linalg.norm(offsets / (0.38, 0.42, 0.38), axis=-1)
    structures = np.zeros(radius.shape)
    for middle, width, sign in zip(*STRUCTURES):
        structures += sign * np.exp(-((offsets - middle) ** 2).sum(axis=-1) / (2 * width**2))
    inside = np.where(radius < 1, np.clip(0.55 + 0.3 * structures, 0.15, 1), 0)
    return inside * np.clip((1 - radius) * 12, 0, 1)


def t1(values: np.ndarray) -> np.ndarray:
    return 1000 * values


def t2(values: np.ndarray) -> np.ndarray:
    return np.interp(values, *T2_LOOK)


def ct(values: np.ndarray) -> np.ndarray:
    """Hounsfield units, with padding outside of the round field of view."""
    i, j = np.indices(SHAPE[:2])
    outside = np.hypot(i - (SHAPE[0] - 1) / 2, j - (SHAPE[1] - 1) / 2) > SHAPE[0] / 2
    return np.where(outside[..., None], PADDING, -1000 + 1100 * values)


def pair(fixed_look=t1, moving_look=t1) -> list:
    """Two volume nodes that show the same head, bent and shifted."""
    points = GRID.points()
    looks = (fixed_look(tissue(points)), moving_look(tissue(to_fixed(points))))
    return [add_volume(Image(a.astype(np.float32), GRID), name) for a, name in zip(looks, ("visit 1", "visit 2"))]


@pytest.fixture
def panel(a_module_widget):
    """With a worker that does the work at once, in the process of the test."""
    panel = a_module_widget()
    worker = ScriptedWorker(aligns=True)
    panel.widget.panel.runner.makeWorker = lambda: worker
    panel.worker = worker
    return panel


def activate(box, value: str) -> None:
    box.setCurrentIndex(box.findData(value))
    box.activated.emit(box.currentIndex)


def choose(panel, volumes, quality: str = "fast") -> None:
    panel.choose(fixedSelector=volumes[0], movingSelector=volumes[1])
    activate(panel.ui.refineComboBox, quality)


def register(panel) -> str:
    """Click, wait, and read the sentence."""
    panel.click("registerButton")
    panel.worker.finish()
    panel.wait(lambda: not panel.widget.panel.busy, 120)
    return panel.ui.statusLabel.text


def error_mm(panel) -> tuple[float, float]:
    """Mean distance of the places in the head from their true ones, before and after."""
    points = GRID.points()[tissue(GRID.points()) > 0.1]
    moved = map_points(panel.widget.panel.parameters.forwardTransform.GetTransformFromParent(), points)
    before, after = (np.linalg.norm(to_fixed(places) - points, axis=-1).mean() for places in (points, moved))
    return float(before), float(after)


def assert_aligned(panel, part: float) -> None:
    """The error is at most this part of what it was, and the result is shown with its line of words."""
    before, after = error_mm(panel)
    assert after < part * before
    ui = panel.ui
    assert not ui.statusIconLabel.isVisibleTo(panel.frame)
    assert ui.resultSummaryLabel.isVisibleTo(panel.frame) and "no folds" in ui.resultSummaryLabel.text
    assert ui.resultsTableSection.collapsed


def test_t1_to_t1_by_the_default(panel):
    choose(panel, pair())
    assert register(panel) == "Done: visit 2 moved"
    assert_aligned(panel, 0.4)
    assert panel.ui.resultSummaryLabel.text.startswith("Correlation 0.")


def test_t1_to_t2_by_the_default(panel):
    choose(panel, pair(t1, t2))
    assert register(panel) == "Done: visit 2 moved"
    assert_aligned(panel, 0.5)


def test_ct_with_padding_by_the_default(panel):
    choose(panel, pair(ct, ct))
    activate(panel.ui.modelComboBox, "synthmorph-brains")
    assert "the fixed volume is CT" in panel.ui.modelFitLabel.text
    activate(panel.ui.modelComboBox, "optimise")
    assert register(panel) == "Done: visit 2 moved"
    assert_aligned(panel, 0.5)


def test_a_wrong_model_is_told_before_and_after_and_the_first_one_is_better(panel, dialogs):
    choose(panel, pair(), "auto")
    activate(panel.ui.modelComboBox, "hippocampus-T1")
    assert panel.ui.modelFitLabel.text.startswith("Does not fit: the fixed volume shows 1")
    dialogs.answer(True)  # the licence
    told = register(panel)
    assert "The model does not fit: the fixed volume shows 1" in told and "optimise, which suits any pair" in told
    wrong = error_mm(panel)[1]
    activate(panel.ui.modelComboBox, "optimise")
    activate(panel.ui.refineComboBox, "fast")
    assert register(panel) == "Done: visit 2 moved"
    assert error_mm(panel)[1] < 0.6 * wrong


def test_masks_on_both_volumes(panel):
    choose(panel, pair())
    panel.ui.advancedSection.collapsed = False
    for name, places in (("fixed", GRID.points()), ("moving", to_fixed(GRID.points()))):
        inside = LabelMap((tissue(places) > 0.05).astype(np.uint8), GRID)
        panel.choose(**{f"{name}MaskSelector": add_volume(inside, f"{name} head", "vtkMRMLLabelMapVolumeNode")})
    assert register(panel) == "Done: visit 2 moved"
    assert panel.worker.jobs[-1].fixed_mask is not None and panel.worker.jobs[-1].moving_mask is not None
    assert_aligned(panel, 0.4)


def saved_and_opened(panel, scene, folder) -> None:
    """Write the scene with the data of its nodes, close it, and load it again."""
    for index in range(scene.GetNumberOfNodes()):
        node = scene.GetNthNode(index)
        suffix = {"vtkMRMLScalarVolumeNode": "nrrd", "vtkMRMLTransformNode": "h5"}.get(node.GetClassName())
        if suffix is not None:
            node.AddDefaultStorageNode()
            node.GetStorageNode().SetFileName(str(folder / f"{node.GetID()}.{suffix}"))
            assert node.GetStorageNode().WriteData(node)
    reloaded(panel, scene, folder)


@pytest.mark.parametrize("configuration", ["the same", "a new one"])
def test_a_saved_scene_that_is_opened_again(panel, scene, tmp_path, dialogs, configuration):
    volumes = pair()
    choose(panel, volumes)
    register(panel)
    first = error_mm(panel)[1]
    volumes[1].SetAndObserveTransformNodeID(panel.widget.panel.parameters.forwardTransform.GetID())
    saved_and_opened(panel, scene, tmp_path)
    volumes = [scene.GetFirstNodeByName(name) for name in ("visit 1", "visit 2")]
    if configuration == "a new one":
        panel.ui.advancedSection.collapsed = False
        panel.ui.parameterNodeSelector.addNode()
        choose(panel, volumes)
        dialogs.answer(True)
    assert register(panel).startswith("Done: visit 2 moved")
    assert error_mm(panel)[1] < 1.1 * first
    if configuration == "a new one":
        assert "which an earlier registration made. Start from there?" in dialogs.texts[0]
        assert panel.widget.panel.parameters.initialTransform is volumes[1].GetParentTransformNode()
