"""Real volumes from the click in the panel with the default model: T1 to T1, T1 to T2 and CT, on coarse voxels."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6.QtUiTools", reason="PySide6 is not installed")

from support.mrml_nodes import add_volume, map_points
from support.scripted_worker import ScriptedWorker
from support.shared_data import data_folder
from VoxelMorphLib.core.geometry import Geometry
from VoxelMorphLib.core.image import Image, LabelMap
from VoxelMorphLib.core.io.images import read_image, read_label_map
from VoxelMorphLib.core.transform import IDENTITY, DisplacementField
from VoxelMorphLib.registration.network_space import without_aliasing

pytestmark = pytest.mark.slow

#: mm, of the voxels and of the smooth displacement that is made.
VOXEL_MM, BEND_MM = 4.0, 8.0


@pytest.fixture
def panel(a_module_widget):
    """With a worker that does the work at once, in the process of the test."""
    panel = a_module_widget()
    panel.worker = ScriptedWorker(aligns=True)
    panel.widget.panel.runner.makeWorker = lambda: panel.worker
    return panel


def coarse(image: Image) -> Image:
    """On voxels of `VOXEL_MM`; labels keep their values."""
    grid = image.geometry.with_spacing([VOXEL_MM] * 3)
    if isinstance(image, LabelMap):
        return IDENTITY.resample(image, grid)
    precise = Image(image.array.astype(np.float32), image.geometry, image.name)
    return IDENTITY.resample(without_aliasing(precise, grid), grid)


def bent(geometry: Geometry) -> DisplacementField:
    """A smooth displacement, fixed -> moving of a volume that it has moved."""
    waves = np.sin(2 * np.pi * geometry.points()[..., [1, 2, 0]] / 150)
    return DisplacementField((BEND_MM * waves).astype(np.float32), geometry)


def register(panel, fixed, moving, quality: str = "fast") -> str:
    panel.choose(fixedSelector=fixed, movingSelector=moving)
    panel.ui.refineComboBox.setCurrentIndex(panel.ui.refineComboBox.findData(quality))
    panel.ui.refineComboBox.activated.emit(panel.ui.refineComboBox.currentIndex)
    panel.click("registerButton")
    panel.worker.finish()
    panel.wait(lambda: not panel.widget.panel.busy, 300)
    assert panel.ui.statusLabel.text.startswith("Done: ")
    return panel.ui.resultSummaryLabel.text


def known_error(panel, still: Image, way: DisplacementField, inside: np.ndarray) -> tuple[float, float]:
    """Mean distance from the true places in mm before and after; `way` made the moving volume of `still`."""
    points = still.geometry.points()[inside]
    moved = map_points(panel.widget.panel.parameters.forwardTransform.GetTransformFromParent(), points)
    errors = [np.linalg.norm(way.apply_to_points(places) - points, axis=-1).mean() for places in (points, moved)]
    return float(errors[0]), float(errors[1])


def test_two_t1_brains(panel):
    folder = data_folder() / "brain"
    nodes = []
    for name in ("oasis_a", "oasis_b"):
        volume = coarse(read_image(folder / f"{name}_t1.nii.gz"))
        labels = coarse(read_label_map(folder / f"{name}_aseg.nii.gz"))
        nodes.append((add_volume(volume, name), add_volume(labels, f"{name} labels", "vtkMRMLLabelMapVolumeNode")))
    panel.ui.advancedSection.collapsed = False
    panel.choose(fixedSegmentationSelector=nodes[0][1], movingSegmentationSelector=nodes[1][1])
    told = register(panel, nodes[0][0], nodes[1][0])
    before, after = (float(part) for part in told.split("structures ")[1].split(";")[0].split(" to "))
    assert after > before + 0.08
    assert panel.ui.modelFitLabel.text.endswith("Made for such volumes: VoxelMorph brain T1.")


@pytest.mark.parametrize("contrast", ["t2", "flair"])
def test_t1_to_another_contrast(panel, contrast):
    folder = data_folder() / "multicontrast"
    fixed, other = (coarse(read_image(folder / f"kirby113_{name}.nii.gz")) for name in ("t1", contrast))
    way = bent(fixed.geometry)
    moving = way.resample(other, fixed.geometry)
    register(panel, add_volume(fixed, "T1"), add_volume(moving, contrast))
    before, after = known_error(panel, fixed, way, fixed.array > 0.1 * np.percentile(fixed.array, 99))
    assert after < 0.5 * before


def test_a_ct_with_padding(panel):
    fixed = coarse(read_image(data_folder() / "body" / "totalseg_ct.nii.gz"))
    way = bent(fixed.geometry)
    moving = way.resample(fixed, fixed.geometry)
    inside = fixed.array > -300
    for image in (fixed, moving):
        image.array[:2] = image.array[-2:] = -3024
    register(panel, add_volume(fixed, "visit 1"), add_volume(moving, "visit 2"))
    before, after = known_error(panel, fixed, way, inside)
    assert after < 0.5 * before
