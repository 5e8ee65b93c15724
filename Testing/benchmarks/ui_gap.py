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
_BUDGET_S = 5.0


@dataclass(frozen=True)
class Gap:
    """One gap between two ticks: seconds, and what the panel showed after it."""

    seconds: float
    text: str


def measure_ui_gap(settings: Settings) -> list[Row]:
    """The gaps of one click: from Register to the nodes, the table and the slice views."""
    for package in ("slicer", "PySide6"):
        if importlib.util.find_spec(package) is None:
            return [Row("ui", "longest gap", note=f"{package} is not installed")]
    gaps = sorted(_gaps_of_a_click(settings), key=lambda gap: -gap.seconds)
    shape = "x".join(map(str, settings.shape))
    note = f"limit {LIMIT_MS:g} ms; {shape}, optimised; a {TICK_MS} ms timer"
    rows = [Row("ui", f"longest gap, at: {gaps[0].text}", 1000 * gaps[0].seconds, "ms", note=note)]
    rows += [Row("ui", f"next longest gap, at: {gap.text}", 1000 * gap.seconds, "ms") for gap in gaps[1:4]]
    return rows


def _gaps_of_a_click(settings: Settings) -> list[Gap]:
    from support.mrml_scene import the_application
    from support.qt_standin.fixtures import MODULE_FILE
    from support.qt_standin.installation import installed

    headless = the_application()
    with installed(headless):
        from support.qt_standin.panel import Panel

        panel = Panel(MODULE_FILE)
        try:
            _choose_volumes(panel, settings)
            return _watch(panel)
        finally:
            panel.close()
            headless.scene.Clear(0)


def _choose_volumes(panel, settings: Settings) -> None:
    import slicer

    chosen = panel.widget.panel.parameters
    for seed, name in enumerate(("fixedVolume", "movingVolume")):
        coarse = np.random.default_rng(seed).random([max(2, n // 16) for n in settings.shape])
        voxels = coarse.repeat(16, 0).repeat(16, 1).repeat(16, 2).astype(np.float32)
        setattr(chosen, name, slicer.util.addVolumeFromArray(voxels, name=name))
    chosen.affine, chosen.device, chosen.budget = "none", "cpu", _BUDGET_S


def _watch(panel) -> list[Gap]:
    """Click, and write down every gap until the panel is idle again."""
    import qt

    gaps, last = [], time.perf_counter()

    def tick() -> None:
        nonlocal last
        now = time.perf_counter()
        gaps.append(Gap(now - last, panel.ui.statusLabel.text))
        last = now

    timer = qt.QTimer()
    timer.setInterval(TICK_MS)
    timer.connect("timeout()", tick)
    timer.start()
    panel.click("registerButton")
    panel.wait(lambda: not panel.widget.panel.run.busy, 600)
    tick()
    timer.stop()
    assert panel.ui.statusLabel.text.startswith("Done"), panel.ui.statusLabel.text
    return gaps
