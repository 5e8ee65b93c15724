"""Every widget that a person uses is explained, and opening the panel loads nothing heavy."""

from __future__ import annotations

import os
import subprocess
import sys
from xml.etree import ElementTree

import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6.QtUiTools", reason="PySide6 is not installed")

import slicer
from support.shared_data import REPOSITORY

UI_FILE = REPOSITORY / "VoxelMorphSlicer" / "Resources" / "UI" / "VoxelMorphSlicer.ui"
#: Classes of widgets that a person uses; sections are opened in passing.
INTERACTIVE = (
    *("QPushButton", "QCheckBox", "QComboBox", "QSpinBox", "QLineEdit", "QPlainTextEdit"),
    *("ctkSliderWidget", "ctkPathLineEdit", "ctkCollapsibleButton", "QToolButton"),
    *("qMRMLNodeComboBox", "qMRMLSubjectHierarchyComboBox", "qMRMLTableView"),
)
#: They show what they were named for, and say nothing more on a tooltip.
SELF_EXPLAINING = {"cancelButton", "trainingPlanEdit"}


def ui_widgets() -> dict[str, ElementTree.Element]:
    """The widgets of the panel by name."""
    return {item.get("name"): item for item in ElementTree.parse(UI_FILE).iter("widget")}


def interactive() -> list[str]:
    """Names of the widgets that a person uses."""
    return [name for name, item in ui_widgets().items() if item.get("class") in INTERACTIVE]


@pytest.fixture
def panel(sequences, a_module_widget):
    return a_module_widget()


def test_every_class_of_widgets_was_thought_of():
    passive = {"QLabel", "QProgressBar", "qMRMLWidget", "QGroupBox"}
    assert {item.get("class") for item in ui_widgets().values()} == {*INTERACTIVE, *passive}


def test_no_two_widgets_share_a_place():
    """Qt would draw one of them over something else."""
    for layout in ElementTree.parse(UI_FILE).iter("layout"):
        places = [(item.get("row"), item.get("column")) for item in layout.findall("item") if item.get("row")]
        assert len(set(places)) == len(places), layout.get("name")


def test_every_widget_has_a_tooltip(panel):
    sections = {name for name in interactive() if ui_widgets()[name].get("class") == "ctkCollapsibleButton"}
    explained = [name for name in interactive() if name not in sections | SELF_EXPLAINING]
    assert [name for name in explained if not getattr(panel.ui, name).toolTip] == []


def test_every_label_says_something(panel):
    """Labels of widgets have their text from the start; those of news are named for what they show."""
    news = ("Description", "Facts", "Status", "status", "Problem", "Icon", "Fit", "Summary")
    labels = [name for name, item in ui_widgets().items() if item.get("class") == "QLabel"]
    texts = {name: getattr(panel.ui, name).text for name in labels}
    assert [name for name, text in texts.items() if not text and not any(part in name for part in news)] == []
    assert [text for text in texts.values() if text != text.strip()] == []


def test_the_module_has_a_help_text(panel):
    assert "moving volume" in slicer.app.moduleManager().module("VoxelMorphSlicer").helpText


_OPEN = """
import sys
sys.path[:0] = [{testing!r}]
from slicer_standin.headless import the_application
from slicer_standin.installation import installed
with installed(the_application()):
    from pathlib import Path
    from slicer_standin.panel import Panel
    panel = Panel(Path({module!r}))
    assert "VoxelMorphLib.bridge.panel.panel" in sys.modules
    {more}
    print("torch" in sys.modules, "h5py" in sys.modules, "safetensors" in sys.modules)
    panel.close()
"""


def heavy_modules(more: str = "pass") -> str:
    """What a new process that opens the panel and does `more` has loaded."""
    module = REPOSITORY / "VoxelMorphSlicer" / "VoxelMorphSlicer.py"
    code = _OPEN.format(testing=str(REPOSITORY / "Testing"), module=str(module), more=more)
    path = [str(REPOSITORY / "VoxelMorphSlicer"), *sys.path]
    environment = {"PYTHONPATH": ":".join(filter(None, path)), "QT_QPA_PLATFORM": "offscreen", **_kept()}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


def _kept() -> dict[str, str]:
    return {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}


@pytest.mark.slow
def test_opening_the_panel_loads_no_torch():
    assert heavy_modules() == "False False False"


@pytest.mark.slow
def test_a_panel_that_loads_torch_is_found(tmp_path):
    (tmp_path / "torch.py").touch()  # its name is enough
    assert heavy_modules(f"sys.path.insert(0, {str(tmp_path)!r}); import torch") == "True False False"
