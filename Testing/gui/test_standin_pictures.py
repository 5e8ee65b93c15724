"""Pictures of panels and of the whole window, as the screenshots of the extension are made."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6.QtUiTools", reason="PySide6 is not installed", exc_type=ImportError)

import slicer
from support.slice_view import SliceView, require_rendering

DEMO = Path(__file__).parent / "standin_demo" / "StandInDemo.py"


@pytest.fixture
def panel(a_module_widget):
    return a_module_widget(DEMO)


def pixels_of(path: Path) -> np.ndarray:
    """(height, width, 3), uint8."""
    from PySide6 import QtGui

    image = QtGui.QImage(str(path)).convertToFormat(QtGui.QImage.Format_RGB888)
    rows = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine())
    return rows[:, : 3 * image.width()].reshape(image.height(), image.width(), 3)


def test_a_picture_of_the_panel_is_written(panel, tmp_path):
    panel.picture(tmp_path / "panel.png", width=400)
    picture = pixels_of(tmp_path / "panel.png")
    assert picture.shape[1] == 400
    assert picture.shape[0] > 300
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 20


def test_a_folded_section_makes_the_picture_lower(panel, tmp_path):
    shown = panel.picture(tmp_path / "shown.png").height()
    panel.ui.section.collapsed = True
    assert panel.picture(tmp_path / "folded.png").height() < shown - 100


def test_a_picture_of_panel_and_slices_is_written(application, panel, tmp_path):
    from support.qt_standin.window import window_picture

    require_rendering()
    ramp = np.arange(16**3, dtype=np.float32).reshape(16, 16, 16)
    volume = slicer.util.addVolumeFromArray(ramp, name="ramp")
    volume.CreateDefaultDisplayNodes()
    views = {name: SliceView(application, size=(120, 90), name=name) for name in ("Red", "Green")}
    for view in views.values():
        view.show(volume)
        view.fit()
    pictures = {name: view.picture() for name, view in views.items()}
    for view in views.values():
        view.close()
    window_picture(tmp_path / "window.png", panel.picture(tmp_path / "panel.png"), pictures, {"Red": "R: 4 mm"})
    picture = pixels_of(tmp_path / "window.png")
    assert picture.shape[1] == 430 + 2 + 120
    np.testing.assert_array_equal(picture[20:110, 432:], pictures["Red"])
    assert tuple(picture[2, -2]) == (0xF3, 0x4A, 0x33)
