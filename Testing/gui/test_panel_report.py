"""The page of a result is written where a person says, and shown in the browser; the scene is only read."""

from __future__ import annotations

import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6.QtUiTools", reason="PySide6 is not installed")

from support.panel_runs import is_idle
from support.scene_content import content
from VoxelMorphLib.bridge.logic import VoxelMorphLogic


@pytest.fixture
def registered(ready, scripted):
    """The panel with a result."""
    assert ready.ui.reportButton.toolTip == "There is no result to measure. Register first."
    ready.click("registerButton")
    scripted.finish()
    ready.wait(lambda: is_idle(ready))
    return ready


def report(panel) -> str:
    panel.click("reportButton")
    panel.wait(lambda: is_idle(panel))
    return panel.ui.statusLabel.text


@pytest.mark.slow
def test_the_page_is_written_and_shown_and_the_scene_stays(registered, dialogs, scene, tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    parameters = registered.widget.panel.parameters
    parameters.movingVolume.SetName("<script>alert(1)</script>")
    before = content(scene)
    dialogs.answer(str(tmp_path / "page"))
    assert report(registered) == f"Done: {tmp_path / 'page.html'}"
    assert dialogs.opened == [(tmp_path / "page.html").as_uri()]
    assert f"{parameters.forwardTransform.GetName()}.html" in dialogs.texts[-1]
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "Evaluation of &lt;script&gt;alert(1)" in page and "<script>alert" not in page
    for word in ("Correlation", "Jacobian determinant", "Checkerboard", "data:image/png;base64"):
        assert word.lower() in page.lower(), word
    assert content(scene) == before


def test_no_path_no_page_and_what_is_wrong_is_one_sentence(registered, dialogs, monkeypatch, tmp_path):
    dialogs.answer("")
    before = registered.ui.statusLabel.text
    assert report(registered) == before
    dialogs.answer(str(tmp_path / "nowhere" / "page.html"))
    monkeypatch.setattr(VoxelMorphLogic, "ensureReportPackages", lambda _self, _ask: None)
    assert f"{tmp_path / 'nowhere'}" in report(registered)
    assert dialogs.opened == [] and not list(tmp_path.iterdir())
