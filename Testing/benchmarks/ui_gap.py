"""How long the application stands still during a registration: the longest gap of a timer in its event loop."""

from __future__ import annotations

import importlib.util
import time
from dataclasses import dataclass

import numpy as np

from .row import Row
from .settings import Settings

#: Period of the timer whose gaps are measured.
TICK_MS = 10
#: The longest gap that a person takes for smooth.
LIMIT_MS = 200.0
#: What follows the registration: structures that are moved and compared, and pairs of points.
SEGMENTS, LANDMARKS = 30, 20
_BUDGET_S = 5.0


@dataclass(frozen=True)
class Gap:
    """One gap between two ticks: seconds, and what the panel showed before and after it."""

    seconds: float
    before: str
    after: str

    @property
    def stage(self) -> str:
        """What was done in it."""
        return self.before if self.before == self.after else f"{self.before} > {self.after}"


def measure_ui_gap(settings: Settings) -> list[Row]:
    """The gaps of one click: from Register to the nodes, the map, the segmentation, the table and the slice views."""
    for package in ("slicer", "PySide6"):
        if importlib.util.find_spec(package) is None:
            return [Row("ui", "longest gap", note=f"{package} is not installed")]
    longest: dict[str, float] = {}
    for gap in _gaps_of_a_click(settings):
        longest[gap.stage] = max(gap.seconds, longest.get(gap.stage, 0.0))
    shape = "x".join(map(str, settings.shape))
    note = f"limit {LIMIT_MS:g} ms; {shape}, optimised, {SEGMENTS} segments, {LANDMARKS} landmarks; {TICK_MS} ms timer"
    ranked = sorted(longest.items(), key=lambda item: -item[1])[:8]
    rows = [Row("ui", f"longest gap at: {stage}", 1000 * seconds, "ms") for stage, seconds in ranked]
    return [Row("ui", rows[0].name, rows[0].value, "ms", note=note), *rows[1:]]


def _gaps_of_a_click(settings: Settings) -> list[Gap]:
    from slicer_standin.headless import the_application
    from slicer_standin.installation import installed
    from support.shared_data import MODULE_FILE

    headless = the_application()
    with installed(headless):
        from slicer_standin.panel import Panel

        panel = Panel(MODULE_FILE)
        try:
            _choose_nodes(panel, settings)
            return _watch(panel)
        finally:
            panel.close()
            headless.scene.Clear(0)


def _choose_nodes(panel, settings: Settings) -> None:
    import slicer

    chosen = panel.widget.panel.parameters
    for seed, role in enumerate(("fixed", "moving")):
        coarse = np.random.default_rng(seed).random([max(2, n // 16) for n in settings.shape])
        voxels = coarse.repeat(16, 0).repeat(16, 1).repeat(16, 2).astype(np.float32)
        setattr(chosen, f"{role}Volume", slicer.util.addVolumeFromArray(voxels, name=f"{role}Volume"))
        setattr(chosen, f"{role}Segmentation", _segmentation(getattr(chosen, f"{role}Volume"), seed))
        setattr(chosen, f"{role}Landmarks", _landmarks(getattr(chosen, f"{role}Volume"), seed))
    panel.ui.jacobianVolumeSelector.addNode()
    chosen.affine, chosen.device, chosen.budget = "none", "cpu", _BUDGET_S


def _segmentation(volume, shift: int):
    """Boxes beside each other that fill the volume, as the structures of a brain do."""
    from support.segmentations import add_segmentation
    from VoxelMorphLib.bridge.scene.volume_nodes import volume_geometry
    from VoxelMorphLib.core.image import LabelMap

    geometry = volume_geometry(volume)
    cells = np.arange(1, SEGMENTS + 1, dtype=np.uint8).reshape(5, 3, 2)
    places = [np.arange(n) * count // n for n, count in zip(geometry.shape, cells.shape)]
    labels = np.roll(cells[np.ix_(*places)], shift, axis=(0, 1, 2))
    segments = [(f"s{label}", f"structure {label}", 0, label) for label in range(1, SEGMENTS + 1)]
    return add_segmentation(f"{volume.GetName()} parts", [LabelMap(labels, geometry)], segments)


def _landmarks(volume, seed: int):
    import slicer

    markups = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", f"{volume.GetName()} points")
    extents = np.array(volume.GetImageData().GetDimensions())
    for point in np.random.default_rng(seed).uniform(0.2, 0.8, (LANDMARKS, 3)) * extents:
        markups.AddControlPoint(*point)
    return markups


def _watch(panel) -> list[Gap]:
    """Click, and write down every gap until the panel is idle again."""
    import qt

    gaps, last, text = [], time.perf_counter(), "click"

    def tick() -> None:
        nonlocal last, text
        now, shown = time.perf_counter(), panel.ui.statusLabel.text.split(" (")[0]
        gaps.append(Gap(now - last, text, shown))
        last, text = now, shown

    timer = qt.QTimer()
    timer.setInterval(TICK_MS)
    timer.connect("timeout()", tick)
    timer.start()
    panel.click("registerButton")
    panel.wait(lambda: not panel.widget.panel.working, 600)
    tick()
    timer.stop()
    assert panel.ui.statusLabel.text.startswith("Done"), panel.ui.statusLabel.text
    return gaps
