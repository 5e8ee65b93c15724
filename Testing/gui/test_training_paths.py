"""An emptied path is an empty option, although CTK tells only valid paths as changed."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6.QtUiTools", reason="PySide6 is not installed")


def options(panel) -> dict:
    return json.loads(panel.widget.panel.parameters.training or "{}")


@pytest.mark.parametrize(
    ("edit", "name"), [("trainingLabelListEdit", "label_list"), ("trainingOutputDirEdit", "output_dir")]
)
def test_a_path_can_be_cleared(a_module_widget, edit, name):
    panel = a_module_widget()
    line = getattr(panel.ui, edit)
    line.currentPath = "/data/labels"
    assert options(panel)[name] == "/data/labels"
    line.currentPath = ""
    assert not options(panel).get(name)
    panel.ui.trainingEpochsSpinBox.value = 7
    assert line.currentPath == "" and not options(panel).get(name)
