"""The widget object through failures: a setup that raised, a reload, values that no version can read."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6.QtUiTools", reason="PySide6 is not installed")

import slicer


@pytest.fixture
def temporary_folder(tmp_path):
    """Slicer's temporary folder, as a person has set it; it does not exist yet."""
    before, folder = slicer.app.temporaryPath, tmp_path / "not" / "there"
    slicer.app.temporaryPath = str(folder)
    yield folder
    slicer.app.temporaryPath = before


def parameters(panel):
    return panel.widget.panel.parameters


def show(panel, **texts: str) -> None:
    """A configuration of a scene that holds these texts."""
    node = panel.logic.createParameterNode()
    for name, text in texts.items():
        node.SetParameter(name, text)
    slicer.mrmlScene.AddNode(node)
    panel.choose(parameterNodeSelector=node)


def test_a_setup_that_raised_can_be_cleaned_up(panel, monkeypatch):
    def fail(*_arguments):
        raise RuntimeError("broken by the test")

    widget_class = type(panel.widget)
    monkeypatch.setattr("VoxelMorphLib.bridge.panel.panel.Panel", fail)
    widget = widget_class(panel.frame)
    with pytest.raises(RuntimeError, match="broken by the test"):
        widget.setup()
    widget.enter()
    widget.cleanup()
    slicer.app.moduleManager().disconnect("moduleAboutToBeUnloaded(QString)", widget._onModuleAboutToBeUnloaded)


@pytest.mark.filterwarnings("ignore:does not have observer")  # of the fixture's second cleanup
def test_observers_end_even_where_the_panel_cannot_be_closed(panel, monkeypatch):
    widget = panel.widget

    def fail():
        raise RuntimeError("broken by the test")

    with monkeypatch.context() as patch:
        patch.setattr(widget.panel, "close", fail)
        with pytest.raises(RuntimeError, match="broken by the test"):
            widget.cleanup()
    assert not list(widget.Observations)


def test_the_selector_of_a_reloaded_panel_is_disconnected(the_library, panel, scene):
    old, selector = panel.widget, panel.ui.parameterNodeSelector
    other = scene.AddNode(panel.logic.createParameterNode())
    panel.widget.onReload()
    selector.setCurrentNode(other)
    assert old is not panel.widget
    assert old.panel.parameters is None
    assert not list(old.Observations)


def test_the_worker_exchanges_arrays_in_the_folder_of_slicer(panel, temporary_folder):
    worker = panel.widget.makeWorker()
    assert worker.temporary_folder == temporary_folder
    assert temporary_folder.is_dir()


def test_a_temporary_folder_that_cannot_be_made_is_left_to_the_worker(panel, temporary_folder):
    temporary_folder.parent.parent.mkdir(exist_ok=True)
    temporary_folder.parent.write_text("a file")
    assert panel.widget.makeWorker().temporary_folder == Path(slicer.app.temporaryPath)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("fade", "abc"),
        ("fade", "nan"),
        ("sequenceFrame", "x"),
        ("sequenceFrame", "2.5"),
        ("budget", ""),
        ("budget", "-3"),
    ],
)
def test_a_number_that_cannot_be_used_gives_way_to_the_default(panel, name, text):
    show(panel, **{name: text})
    assert getattr(parameters(panel), name) == parameters(panel).default(name).value
    assert f'holds values that cannot be used ({name} "{text}")' in panel.ui.statusLabel.text


def test_one_sentence_names_all_values_that_cannot_be_used(panel):
    show(panel, fade="abc", budget="", smoothness="1.5")
    assert 'fade "abc"' in panel.ui.statusLabel.text
    assert 'budget ""' in panel.ui.statusLabel.text
    assert "smoothness" not in panel.ui.statusLabel.text
    assert parameters(panel).smoothness == 1.5


def test_scripts_get_the_defaults_too(panel, scene):
    panel.leave()
    scene.Clear(0)
    node = panel.logic.createParameterNode()
    node.SetParameter("hyper", "much")
    scene.AddNode(node)
    assert panel.logic.getParameterNode().hyper == 0.5


def test_a_configuration_that_is_left_is_no_longer_observed(panel, scene):
    left = parameters(panel)
    panel.choose(parameterNodeSelector=scene.AddNode(panel.logic.createParameterNode()))
    left.smoothness = 2.0
    assert panel.ui.smoothnessSlider.value == pytest.approx(0.5)


def test_observers_that_slicer_forgets_end_too(panel, scene, monkeypatch):
    left = parameters(panel)
    monkeypatch.setattr(type(left), "disconnectGui", lambda _self, _tag: None)  # of Slicer 5.10, as to observers
    panel.choose(parameterNodeSelector=scene.AddNode(panel.logic.createParameterNode()))
    left.smoothness = 2.0
    assert panel.ui.smoothnessSlider.value == pytest.approx(0.5)
